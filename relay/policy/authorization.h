/* authorization.h - what an Authorization header says.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Basic (RFC 7617) and Bearer (RFC 6750).  No I/O, takes any bytes.          */
#ifndef RW_POLICY_AUTHORIZATION_H
#define RW_POLICY_AUTHORIZATION_H

#include "base/bytes.h"
#include "policy/password.h"
#include "policy/users.h"

enum credential_kind {
	CREDENTIAL_NONE,		/* no header */
	CREDENTIAL_BASIC,
	CREDENTIAL_BEARER,
	CREDENTIAL_OTHER,		/* anything else, or malformed */
};

struct authorization {
	enum credential_kind kind;
	struct bytes user;		/* in `text`; without a zero in it */
	const char *password;		/* likewise */
	struct bytes token;		/* in the header's value */
	char text[USERS_NAME_SIZE + PASSWORD_SIZE];
};

/* value.p NULL: there is no such header. */
void authorization_parse(struct bytes value, struct authorization *out);
/* Once it is not needed any more. */
void authorization_wipe(struct authorization *);

#endif
