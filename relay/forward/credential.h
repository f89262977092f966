/* credential.h - what an upstream is shown in Authorization.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A user and a password (RFC 7617), a token (RFC 6750), or one that an OAuth2 server
 * gives.  Files are looked at every CREDENTIAL_LOOK_NS.  Belongs to one loop.   */
#ifndef RW_FORWARD_CREDENTIAL_H
#define RW_FORWARD_CREDENTIAL_H

#include "forward/oauth2.h"

#define CREDENTIAL_LOOK_NS (INT64_C(2) * 1000000000)

/* "" or NULL is none.  At most one of password_file, token_file and oauth2.client_id. */
struct credential_opts {
	const char *username;		/* with password_file */
	const char *password_file;
	const char *token_file;
	struct oauth2_opts oauth2;
};

struct credential;

/* Whose credential: `changed` says that credential_value() may tell something else, never
 * within a call of these functions.  *out is NULL where the options have none, which all
 * functions take.  ST_CONFIG: a file will not do, which is in the log; ST_NO_MEMORY. */
enum status credential_new(const struct credential_opts *,
    const struct oauth2_client *, struct credential **out);
void credential_free(struct credential **);

/* ST_OK: the value, n 0: there is nothing to be shown; ST_WAIT: there will be in a moment;
 * ST_NO_TOKEN: not at present.  Borrowed until the next turn. */
enum status credential_value(const struct credential *, struct bytes *out);
/* Another number with each value. */
uint32_t credential_version(const struct credential *);

/* An answer other than 401 to what was sent with that version. */
void credential_taken(struct credential *, uint32_t version);
/* 401 to it.  True: there is another one already, or will be in a moment; send it again. */
bool credential_refused(struct credential *, uint32_t version);

#endif
