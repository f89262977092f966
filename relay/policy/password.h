/* password.h - hashes of passwords, as crypt(5) has them.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The door to libcrypt.  Such a hash is slow by intent: password_fits is for a
 * thread that nobody waits for.                                             */
#ifndef RW_POLICY_PASSWORD_H
#define RW_POLICY_PASSWORD_H

#include <stdbool.h>

#define PASSWORD_SIZE 512		/* with the zero at its end, libcrypt's limit */
#define PASSWORD_HASH_SIZE 256		/* likewise */

/* NULL if it is a whole hash by bcrypt ($2b$, $2y$), SHA-crypt ($5$, $6$) or yescrypt
 * ($y$), else a sentence (static) on what is wrong. */
const char *password_hash_check(const char *hash);

/* Memory that hashing needs, wiped after each. */
struct password_room;
struct password_room *password_room_new(void);	/* NULL when out of memory */
void password_room_free(struct password_room **);
bool password_fits(struct password_room *, const char *password,
    const char *hash);

#endif
