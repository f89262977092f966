/* roster.h - a file of names in use: asked by all workers, read again when it has
 * changed.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A password that was found right once is known by its proof, a digest under a key of
 * this process: so the slow hash is computed once, not for each request.  Each name has
 * one such proof; it goes when the name's hash in the file becomes another, or when
 * nobody has shown it for ROSTER_PROOF_NS.
 * Any thread may ask; the rest is for the loop that the roster follows.      */
#ifndef RW_POLICY_ROSTER_H
#define RW_POLICY_ROSTER_H

#include <stdbool.h>

#include "io/loop.h"
#include "policy/password.h"
#include "policy/users.h"

#define ROSTER_LOOK_NS (INT64_C(2) * 1000000000)
#define ROSTER_PROOF_NS (INT64_C(600) * 1000000000)

struct roster;

struct roster_opts {
	const char *section;		/* for the log; borrowed, as is path */
	const char *path;
	enum users_kind kind;
};

/* Reads the file: as users_read. */
enum status roster_new(const struct roster_opts *, struct roster **out,
    struct users_fault *why);
void roster_free(struct roster **);
/* From now on this loop looks at the file every ROSTER_LOOK_NS.  Once it has changed,
 * and has stayed so for as long, it is read; one that will not do is told of in the log,
 * and what was read before stays. */
enum status roster_follow(struct roster *, struct loop *);

/* Of a file of tokens. */
bool roster_token(struct roster *, const struct digest *token,
    char name[USERS_NAME_SIZE]);

/* Of a file of passwords. */
enum roster_word {
	ROSTER_UNKNOWN,			/* no such name */
	ROSTER_PROVED,			/* the password is known to be right */
	ROSTER_UNPROVED,		/* it has to be hashed: `hash` is filled in */
};
enum roster_word roster_password(struct roster *, struct bytes name,
    const struct digest *proof, char hash[PASSWORD_HASH_SIZE]);
/* The password of this proof fits this hash. */
void roster_prove(struct roster *, struct bytes name, const char *hash,
    const struct digest *proof);

#endif
