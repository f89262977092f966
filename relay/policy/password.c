/* password.c - hashes of passwords.
 * SPDX-License-Identifier: Apache-2.0 */
#include "policy/password.h"

#include <crypt.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "io/digest.h"

_Static_assert(PASSWORD_SIZE <= CRYPT_MAX_PASSPHRASE_SIZE, "is taken whole");

#define CRYPT_64 "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

struct password_room {
	struct crypt_data data;
};

/* ---- what a hash looks like ----------------------------------------------------- */

static const struct kind {
	const char *prefix;
	size_t digits;			/* of the hash proper, at the end */
} kinds[] = {
	{ "$2b$", 53 },			/* salt and hash, nothing between */
	{ "$2y$", 53 },
	{ "$5$", 43 },
	{ "$6$", 86 },
	{ "$y$", 43 },
};

static const struct kind *
kind_of(const char *hash)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strncmp(hash, kinds[i].prefix,
		    strlen(kinds[i].prefix)) == 0)
			return &kinds[i];
	return NULL;
}

/* "$2b$NN$...": each more doubles the time; with 16 it is seconds. */
static bool
bcrypt_ok(const char *hash)
{
	int tens = hash[4] - '0', ones = hash[5] - '0', cost;

	if (tens < 0 || tens > 1 || ones < 0 || ones > 9 || hash[6] != '$')
		return false;
	cost = tens * 10 + ones;
	return cost >= 4 && cost <= 16;
}

/* To libcrypt the older of the kinds are legacy, but fine. */
static bool
setting_ok(const char *hash)
{
	int salt = crypt_checksalt(hash);

	return salt == CRYPT_SALT_OK || salt == CRYPT_SALT_METHOD_LEGACY;
}

const char *
password_hash_check(const char *hash)
{
	const struct kind *kind = kind_of(hash);
	const char *last = strrchr(hash, '$');

	if (!kind)
		return "a password's hash is by bcrypt ($2b$, $2y$), SHA-crypt "
		    "($5$, $6$) or yescrypt ($y$), as htpasswd -B or mkpasswd "
		    "make it";
	if (strlen(hash) >= PASSWORD_HASH_SIZE || strlen(last + 1) !=
	    kind->digits || strspn(last + 1, CRYPT_64) != kind->digits ||
	    !setting_ok(hash))
		return "the password's hash is damaged or cut off";
	if (hash[1] == '2' && !bcrypt_ok(hash))
		return "the cost of bcrypt is 04 to 16";
	return NULL;
}

/* ---- hashing ------------------------------------------------------------------------ */

struct password_room *
password_room_new(void)
{
	return calloc(1, sizeof(struct password_room));
}

void
password_room_free(struct password_room **at)
{
	free(*at);
	*at = NULL;
}

bool
password_fits(struct password_room *room, const char *password,
    const char *hash)
{
	const char *made = crypt_rn(password, hash, &room->data,
	    (int)sizeof(room->data));
	bool fits = made && digest_same_bytes(bytes_str(made),
	    bytes_str(hash));

	explicit_bzero(room, sizeof(*room));
	return fits;
}
