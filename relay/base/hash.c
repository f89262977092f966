/* hash.c - the secret of the keyed hash.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <sys/random.h>

enum status
hash_key_init(struct hash_key *key)
{
	/* up to 256 bytes come whole or not at all (getrandom(2)) */
	if (getrandom(key->secret, sizeof(key->secret), 0) !=
	    (ssize_t)sizeof(key->secret))
		return ST_SYSTEM;
	return ST_OK;
}
