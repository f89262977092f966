/* digest.c - SHA-256.
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/digest.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

bool
digest_of(const struct bytes *parts, size_t n, struct digest *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool fine = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
	size_t i;

	for (i = 0; i < n && fine; i++)
		fine = EVP_DigestUpdate(ctx, parts[i].p, parts[i].n) == 1;
	fine = fine && EVP_DigestFinal_ex(ctx, out->byte, NULL) == 1;
	EVP_MD_CTX_free(ctx);		/* wipes what it held */
	if (!fine)
		ERR_clear_error();
	return fine;
}

bool
digest_same(const struct digest *a, const struct digest *b)
{
	return CRYPTO_memcmp(a->byte, b->byte, sizeof(a->byte)) == 0;
}

bool
digest_same_bytes(struct bytes a, struct bytes b)
{
	return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}

static int
hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
digest_parse(struct bytes hex, struct digest *out)
{
	struct digest d;
	int high, low;
	size_t i;

	if (hex.n != sizeof(d.byte) * 2)
		return false;
	for (i = 0; i < sizeof(d.byte); i++) {
		high = hex_digit(hex.p[2 * i]);
		low = hex_digit(hex.p[2 * i + 1]);
		if (high == -1 || low == -1)
			return false;
		d.byte[i] = (uint8_t)(high << 4 | low);
	}
	*out = d;
	return true;
}
