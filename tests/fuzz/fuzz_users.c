/* fuzz_users.c - files of passwords (first byte even) and of tokens (odd), any
 * bytes.
 *
 * A user that is there can be found by what it is found by.
 * SPDX-License-Identifier: Apache-2.0 */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "policy/password.h"
#include "policy/users.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum users_kind kind = size && *data & 1 ? USERS_TOKENS :
	    USERS_PASSWORDS;
	struct users_fault why = { .line = 0 };
	struct users *s = NULL;
	const struct user *u;
	enum status st;
	size_t i;

	if (size == 0)
		return 0;
	st = users_parse(kind, bytes_of(data + 1, size - 1), &s, &why);
	assert(st == ST_OK ? s != NULL : !s && why.line && *why.text);
	for (i = 0; s && (u = users_at(s, i)) != NULL; i++) {
		assert(strlen(u->name) < USERS_NAME_SIZE);
		if (kind == USERS_TOKENS) {
			assert(users_by_token(s, &u->digest) == u);
			continue;
		}
		assert(users_by_name(s, bytes_str(u->name)) == u);
		assert(strlen(u->hash) < PASSWORD_HASH_SIZE);
	}
	assert(!s || i == users_count(s));
	users_free(&s);
	return 0;
}
