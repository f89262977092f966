/* network.c - addresses and networks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/network.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(NETWORK_NAME_SIZE == INET6_ADDRSTRLEN, "any address fits");

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

/* ---- addresses -------------------------------------------------------------------- */

/* False: it has none. */
static bool
bytes_of_address(const struct loop_addr *a, uint8_t out[16])
{
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;

	if (a->ss.ss_family == AF_INET) {
		memcpy(&v4, &a->ss, sizeof(v4));
		memcpy(out, mapped, 12);
		memcpy(out + 12, &v4.sin_addr, 4);
		return true;
	}
	if (a->ss.ss_family != AF_INET6)
		return false;
	memcpy(&v6, &a->ss, sizeof(v6));
	memcpy(out, &v6.sin6_addr, 16);
	return true;
}

void
network_name(const struct loop_addr *a, char out[NETWORK_NAME_SIZE])
{
	const char *name = NULL;
	uint8_t b[16];

	if (bytes_of_address(a, b))
		name = memcmp(b, mapped, 12) == 0 ?
		    inet_ntop(AF_INET, b + 12, out, NETWORK_NAME_SIZE) :
		    inet_ntop(AF_INET6, b, out, NETWORK_NAME_SIZE);
	if (!name)
		memcpy(out, "unix", sizeof("unix"));
}

void
network_site(const struct loop_addr *a, uint8_t out[NETWORK_SITE_SIZE])
{
	if (!bytes_of_address(a, out))
		memset(out, 0, NETWORK_SITE_SIZE);
	else if (memcmp(out, mapped, 12) != 0)
		memset(out + 8, 0, 8);
}

void
network_address_v4(const uint8_t bytes[4], struct loop_addr *out)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };

	memcpy(&v4.sin_addr, bytes, 4);
	*out = (struct loop_addr){ .len = sizeof(v4) };
	memcpy(&out->ss, &v4, sizeof(v4));
}

void
network_address_v6(const uint8_t bytes[16], struct loop_addr *out)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

	memcpy(&v6.sin6_addr, bytes, 16);
	*out = (struct loop_addr){ .len = sizeof(v6) };
	memcpy(&out->ss, &v6, sizeof(v6));
}

static bool
is_port(struct bytes b)
{
	size_t i;

	for (i = 0; i < b.n; i++)
		if (b.p[i] < '0' || b.p[i] > '9')
			return false;
	return b.n > 0 && b.n <= 5;
}

/* Takes brackets and port off; false if that cannot be done. */
static bool
bare(struct bytes *b)
{
	const uint8_t *end;
	size_t n;

	if (b->n && b->p[0] == '[') {
		end = memchr(b->p, ']', b->n);
		if (!end)
			return false;
		n = b->n - (size_t)(end + 1 - b->p);
		*b = bytes_of(b->p + 1, (size_t)(end - b->p) - 1);
		return n == 0 || (end[1] == ':' &&
		    is_port(bytes_of(end + 2, n - 1)));
	}
	end = b->n ? memchr(b->p, ':', b->n) : NULL;
	n = end ? b->n - (size_t)(end + 1 - b->p) : 0;
	if (end && !memchr(end + 1, ':', n)) {
		b->n = (size_t)(end - b->p);
		return is_port(bytes_of(end + 1, n));
	}
	return true;
}

bool
network_numeric(struct bytes text, int family, struct loop_addr *out)
{
	char copy[NETWORK_NAME_SIZE];
	uint8_t b[16];

	if (text.n == 0 || text.n >= sizeof(copy) ||
	    memchr(text.p, '\0', text.n))
		return false;
	memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	if (family != AF_INET6 && inet_pton(AF_INET, copy, b) == 1)
		network_address_v4(b, out);
	else if (family != AF_INET && inet_pton(AF_INET6, copy, b) == 1)
		network_address_v6(b, out);
	else
		return false;
	return true;
}

bool
network_address(struct bytes text, struct loop_addr *out)
{
	return bare(&text) && network_numeric(text, AF_UNSPEC, out);
}

/* ---- networks ------------------------------------------------------------------------- */

static bool
parse_bits(const char *text, unsigned most, unsigned *out)
{
	size_t n = strspn(text, "0123456789");

	if (n == 0 || n > 3 || text[n])
		return false;
	*out = (unsigned)atoi(text);
	return *out <= most;
}

static bool
bit_of(const uint8_t *address, unsigned i)
{
	return address[i / 8] >> (7 - i % 8) & 1;
}

const char *
network_parse(const char *text, struct network *out)
{
	size_t n = strcspn(text, "/");
	char copy[NETWORK_NAME_SIZE];
	unsigned i;

	*out = (struct network){ .bits = 128 };
	if (strcmp(text, "unix") == 0) {
		out->unix_socket = true;
		return NULL;
	}
	if (n >= sizeof(copy))
		return "a network is written address/bits, or unix";
	memcpy(copy, text, n);
	copy[n] = '\0';
	if (inet_pton(AF_INET, copy, out->address + 12) == 1)
		memcpy(out->address, mapped, 12);
	else if (inet_pton(AF_INET6, copy, out->address) != 1)
		return "a network is written address/bits, or unix";
	if (text[n] && !parse_bits(text + n + 1, strchr(copy, ':') ? 128 : 32,
	    &out->bits))
		return "a network has up to 32 bits (IPv4) or 128 (IPv6)";
	if (text[n] && !strchr(copy, ':'))
		out->bits += 96;
	for (i = out->bits; i < 128; i++)
		if (bit_of(out->address, i))
			return "a network's address has zeros behind its bits";
	return NULL;
}

/* address NULL: a unix socket. */
static bool
one_has(const struct network *w, const uint8_t *address)
{
	unsigned i = w->bits / 8, rest = w->bits % 8;

	if (w->unix_socket || !address)
		return w->unix_socket && !address;
	if (memcmp(w->address, address, i) != 0)
		return false;
	return rest == 0 ||
	    (w->address[i] ^ address[i]) >> (8 - rest) == 0;
}

bool
network_has(const struct network *list, size_t n, const struct loop_addr *a)
{
	uint8_t b[16];
	const uint8_t *address = bytes_of_address(a, b) ? b : NULL;
	size_t i;

	for (i = 0; i < n; i++)
		if (one_has(&list[i], address))
			return true;
	return false;
}
