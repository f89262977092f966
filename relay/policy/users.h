/* users.h - who may send: names, each with what proves it, as a file has them.
 * SPDX-License-Identifier: Apache-2.0
 *
 *	site-a:$2y$10$...		a password's hash, as htpasswd(1) writes it
 *	site-a:9f86d081884c...		a token's SHA-256, in hexadecimal
 * Empty lines, and those that begin with #, are passed over.  A name is UTF-8, of
 * 1 to 255 bytes, without control characters.  A name has one password, but may
 * have several tokens.  The parser takes any bytes, and refuses the file whole. */
#ifndef RW_POLICY_USERS_H
#define RW_POLICY_USERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "io/digest.h"

#define USERS_NAME_SIZE 256		/* with the zero */
#define USERS_FILE_MAX ((size_t)16 << 20)

enum users_kind { USERS_PASSWORDS, USERS_TOKENS };

struct users;

struct user {
	const char *name;		/* borrowed from struct users; so is hash */
	const char *hash;		/* NULL: a token's line */
	struct digest digest;		/* of the token; of a password the owner's */
	int64_t proved;			/* the owner's; 0 at first */
	unsigned line;
};

struct users_fault {
	unsigned line;			/* 0: the file as such */
	char text[200];
};

/* ST_CONFIG: a line will not do, see `why`; ST_NO_MEMORY. */
enum status users_parse(enum users_kind, struct bytes text, struct users **out,
    struct users_fault *why);
/* Reads the file; what is in memory of it is wiped. */
enum status users_read(enum users_kind, const char *path, struct users **out,
    struct users_fault *why);
void users_free(struct users **);

size_t users_count(const struct users *);
/* In any order; NULL past the last. */
struct user *users_at(struct users *, size_t i);
/* NULL: there is none. */
struct user *users_by_name(struct users *, struct bytes name);
struct user *users_by_token(struct users *, const struct digest *token);

#endif
