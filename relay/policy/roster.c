/* roster.c - a file of names in use.
 * SPDX-License-Identifier: Apache-2.0 */
#include "policy/roster.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"

struct roster {
	struct roster_opts opts;
	struct files *files;		/* owned */
	struct loop_timer *look;	/* owned */

	pthread_mutex_t lock;		/* of what follows */
	struct users *users;		/* owned */
};

/* ---- the file changes ------------------------------------------------------------ */

/* Who has the same hash as before has the same password. */
static void
keep_proof(const struct user *old, struct users *to)
{
	struct user *now = users_by_name(to, bytes_str(old->name));

	if (!now || strcmp(old->hash, now->hash) != 0)
		return;
	now->digest = old->digest;
	now->proved = old->proved;
}

static void
replace(struct roster *r, struct users *users)
{
	struct users *old = r->users;
	const struct user *u;
	size_t i;

	(void)pthread_mutex_lock(&r->lock);
	for (i = 0; r->opts.kind == USERS_PASSWORDS && (u = users_at(old,
	    i)) != NULL; i++)
		if (u->proved)
			keep_proof(u, users);
	r->users = users;
	(void)pthread_mutex_unlock(&r->lock);
	users_free(&old);
}

static void
read_again(struct roster *r)
{
	struct users_fault why;
	struct users *users;
	enum status st;

	st = users_read(r->opts.kind, r->opts.path, &users, &why);
	if (st == ST_NO_MEMORY) {
		files_unread(r->files);
		return;
	}
	if (st != ST_OK) {
		log_error("edges-not-reloaded", "listen=%s file=%s:%u "
		    "error=\"%s\" hint=\"what was read before stays in use\"",
		    r->opts.section, r->opts.path, why.line, why.text);
		return;
	}
	replace(r, users);
	log_info("edges-reloaded", "listen=%s file=%s entries=%zu",
	    r->opts.section, r->opts.path, users_count(users));
}

static void
look(void *arg)
{
	struct roster *r = arg;

	if (files_changed(r->files))
		read_again(r);
	loop_timer_start(r->look, ROSTER_LOOK_NS);
}

/* Root has read it for us. */
static void
warn_if_hidden(struct roster *r)
{
	const char *file = files_hidden(r->files);

	if (file)
		log_warn("edges-not-followed", "listen=%s file=%s hint=\"the "
		    "relay's user may not read it: with a new one restart, or "
		    "let the user's group read it\"", r->opts.section, file);
}

enum status
roster_follow(struct roster *r, struct loop *l)
{
	enum status st = loop_timer_new(l, look, r, &r->look);

	if (st != ST_OK)
		return st;
	warn_if_hidden(r);
	loop_timer_start(r->look, ROSTER_LOOK_NS);
	return ST_OK;
}

/* ---- life ----------------------------------------------------------------------------- */

enum status
roster_new(const struct roster_opts *opts, struct roster **out,
    struct users_fault *why)
{
	struct roster *r = calloc(1, sizeof(*r));
	enum status st;

	if (!r)
		return ST_NO_MEMORY;
	r->opts = *opts;
	(void)pthread_mutex_init(&r->lock, NULL);
	st = files_new(1, &r->files);
	if (st == ST_OK) {
		/* what changes while it is read is read again */
		files_add(r->files, opts->path);
		st = users_read(opts->kind, opts->path, &r->users, why);
	}
	if (st != ST_OK)
		roster_free(&r);
	else
		*out = r;
	return st;
}

void
roster_free(struct roster **at)
{
	struct roster *r = *at;

	if (!r)
		return;
	*at = NULL;
	loop_timer_free(&r->look);
	files_free(&r->files);
	users_free(&r->users);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

/* ---- questions ------------------------------------------------------------------------- */

bool
roster_token(struct roster *r, const struct digest *token,
    char name[USERS_NAME_SIZE])
{
	const struct user *u;

	(void)pthread_mutex_lock(&r->lock);
	u = users_by_token(r->users, token);
	if (u)
		(void)snprintf(name, USERS_NAME_SIZE, "%s", u->name);
	(void)pthread_mutex_unlock(&r->lock);
	return u != NULL;
}

static bool
is_proved(struct user *u, const struct digest *proof, int64_t now)
{
	if (!u->proved || now - u->proved > ROSTER_PROOF_NS ||
	    !digest_same(&u->digest, proof))
		return false;
	u->proved = now;
	return true;
}

enum roster_word
roster_password(struct roster *r, struct bytes name,
    const struct digest *proof, char hash[PASSWORD_HASH_SIZE])
{
	enum roster_word word = ROSTER_UNPROVED;
	int64_t now = clock_mono();
	struct user *u;

	(void)pthread_mutex_lock(&r->lock);
	u = users_by_name(r->users, name);
	if (!u)
		word = ROSTER_UNKNOWN;
	else if (is_proved(u, proof, now))
		word = ROSTER_PROVED;
	else
		(void)snprintf(hash, PASSWORD_HASH_SIZE, "%s", u->hash);
	(void)pthread_mutex_unlock(&r->lock);
	return word;
}

void
roster_prove(struct roster *r, struct bytes name, const char *hash,
    const struct digest *proof)
{
	int64_t now = clock_mono();
	struct user *u;

	(void)pthread_mutex_lock(&r->lock);
	u = users_by_name(r->users, name);
	/* the file may have changed while it was hashed */
	if (u && strcmp(u->hash, hash) == 0) {
		u->digest = *proof;
		u->proved = now;
	}
	(void)pthread_mutex_unlock(&r->lock);
}
