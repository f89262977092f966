/* fuzz_authorization.c - any value of an Authorization header.
 * SPDX-License-Identifier: Apache-2.0 */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "policy/authorization.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct authorization c;

	authorization_parse(bytes_of(data, size), &c);
	switch (c.kind) {
	case CREDENTIAL_BASIC:
		assert(c.user.n && c.user.n < USERS_NAME_SIZE);
		assert(!memchr(c.user.p, ':', c.user.n));
		assert(strlen(c.password) < PASSWORD_SIZE);
		break;
	case CREDENTIAL_BEARER:
		assert(c.token.n && c.token.n < size);
		break;
	case CREDENTIAL_NONE:
		assert(!data);
		break;
	case CREDENTIAL_OTHER:
		break;
	}
	return 0;
}
