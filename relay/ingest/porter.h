/* porter.h - who an edge is, and whether it may come in, before receive.c hears of
 * its request.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Of several names that an edge has, the first of these counts:
 *	the one in its certificate	(stream_peer_certified)
 *	the one that goes with the password or token in its Authorization header
 *	its address; behind a trusted proxy the one in X-Forwarded-For
 * A header that is not good is refused, even where those who have none may come in.
 * Where there are neither passwords nor tokens the header is not looked at.   */
#ifndef RW_INGEST_PORTER_H
#define RW_INGEST_PORTER_H

#include "http/server.h"
#include "policy/users.h"

struct network;
struct porter;
struct verifier;

enum porter_anonymous {
	PORTER_AUTO,			/* NO with passwords or tokens, else YES */
	PORTER_YES,
	PORTER_NO,
};

/* Of a listen section.  Paths: "" is none.  All of it is borrowed for life. */
struct porter_opts {
	const char *section;		/* for the log */
	const struct network *forwarders;	/* trusted with X-Forwarded-For */
	size_t n_forwarders;
	const char *password_file;
	const char *token_file;
	enum porter_anonymous anonymous;	/* who has no name but its address */
};

struct porter_fault {
	enum users_kind kind;		/* of the file */
	struct users_fault file;
};

/* Reads the files.  ST_CONFIG: one of them will not do, see `why`. */
enum status porter_new(const struct porter_opts *, struct porter **out,
    struct porter_fault *why);
/* Before it is asked.  The verifier is borrowed for life, NULL is enough without a
 * password file; the loop looks after the files from now on (roster_follow). */
enum status porter_start(struct porter *, struct verifier *, struct loop *);
/* When the servers and the verifier are gone; on the loop that it follows, or when that
 * has stopped. */
void porter_free(struct porter **);

/* The handler of a server's routes, and its arg: lets requests pass to the handler
 * behind.  Borrowed for life, one for each server. */
extern const struct http_handler porter_handler;
struct porter_door {
	struct porter *porter;
	const struct http_handler *behind;
	void *arg;			/* for behind->begin */
	unsigned turned_away;		/* 0 at first; varies Retry-After */
};

#endif
