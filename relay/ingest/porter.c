/* porter.c - who an edge is.
 * SPDX-License-Identifier: Apache-2.0
 *
 *	begin ──► named by certificate, password, token or address ──► passed
 *	  │                              ▲
 *	  ├──► a visit: the password is being checked ──► refused
 *	  └──► refused                   └──► gone                            */
#include "ingest/porter.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/metric.h"
#include "io/network.h"
#include "policy/forwarded.h"
#include "policy/verify.h"

#define TOLD_MAX 256			/* addresses, of the last refusals */
#define TOLD_NS (60 * CLOCK_S)		/* until one of an address is told again */
#define RETRY_AFTER_S 2

struct told {
	uint8_t site[NETWORK_SITE_SIZE];
	int64_t at;			/* clock_mono; 0: nobody */
};

struct porter {
	struct porter_opts opts;
	struct verifier *verifier;	/* borrowed; NULL: no passwords */
	struct roster *passwords;	/* owned; NULL: none */
	struct roster *tokens;		/* owned; NULL: none */
	bool anonymous;
	pthread_mutex_t lock;		/* of told */
	struct told told[TOLD_MAX];
};

/* A request whose password is being checked. */
struct visit {
	struct http_request *request;	/* borrowed */
	struct porter_door *door;	/* borrowed */
	struct verify *verify;		/* its end frees the visit */
	char name[USERS_NAME_SIZE];
};

/* ---- where it comes from ---------------------------------------------------------- */

static struct loop_addr
address_of(const struct porter *p, const struct http_request *rq)
{
	const struct porter_opts *o = &p->opts;
	const struct loop_addr *peer = http_request_peer(rq);
	struct loop_addr first;

	if (network_has(o->forwarders, o->n_forwarders, peer) &&
	    forwarded_for(http_request_headers(rq), o->forwarders,
	    o->n_forwarders, &first))
		return first;
	return *peer;
}

/* ---- refusing --------------------------------------------------------------------- */

/* Once in a while of each address. */
static bool
to_be_told(struct porter *p, const uint8_t *site)
{
	struct told *t = &p->told[hash_lasting(site, NETWORK_SITE_SIZE) %
	    TOLD_MAX];
	int64_t now = clock_mono();
	bool again;

	(void)pthread_mutex_lock(&p->lock);
	again = t->at && now - t->at < TOLD_NS &&
	    memcmp(t->site, site, NETWORK_SITE_SIZE) == 0;
	if (!again) {
		memcpy(t->site, site, NETWORK_SITE_SIZE);
		t->at = now;
	}
	(void)pthread_mutex_unlock(&p->lock);
	return !again;
}

static void
tell(struct porter *p, const struct http_request *rq, enum status why)
{
	struct loop_addr address = address_of(p, rq);
	uint8_t site[NETWORK_SITE_SIZE];

	network_site(&address, site);
	if (to_be_told(p, site))
		log_warn("edge-refused", "listen=%s edge=%s reason=%s why=\"%s\"",
		    p->opts.section, http_request_edge(rq),
		    status_info(why)->word, status_info(why)->sentence);
}

static void
respond_unauthorized(const struct porter *p, struct http_request *rq,
    enum status why)
{
	char text[200];
	struct http_header h[3] = {
		{ BYTES_LIT("Content-Type"),
		    BYTES_LIT("text/plain; charset=utf-8") },
	};
	struct http_response r = { .status = 401, .headers = { h, 1 } };

	if (p->passwords)
		h[r.headers.n++] = (struct http_header){
			BYTES_LIT("WWW-Authenticate"),
			BYTES_LIT("Basic realm=\"rwrelay\"") };
	if (p->tokens)
		h[r.headers.n++] = (struct http_header){
			BYTES_LIT("WWW-Authenticate"),
			BYTES_LIT("Bearer realm=\"rwrelay\"") };
	(void)snprintf(text, sizeof(text), "%s\n", status_info(why)->sentence);
	r.body = buf_new(sizeof(text));
	if (r.body)	/* out of memory: an answer without words */
		(void)buf_append_str(r.body, text);
	http_respond(rq, &r);
}

static void
refuse(struct porter_door *d, struct http_request *rq, enum status why)
{
	metric_reason_add(METRIC_REQUESTS, why, 1);
	tell(d->porter, rq, why);
	if (status_info(why)->http == 401)
		respond_unauthorized(d->porter, rq, why);
	else
		http_respond_status(rq, why, NULL,
		    RETRY_AFTER_S + d->turned_away++ % 3);
}

/* ---- recognising -------------------------------------------------------------------- */

static void
decide(struct porter_door *d, struct http_request *rq, enum status st,
    const char *name)
{
	if (st != ST_OK) {
		refuse(d, rq, st);
		return;
	}
	if (name)
		http_request_set_edge(rq, name);
	http_request_pass(rq, d->behind, d->arg);
}

static void
verified(enum status st, void *arg)
{
	struct visit *v = arg;
	struct visit copy = *v;

	http_request_set_user(copy.request, NULL);
	free(v);
	decide(copy.door, copy.request, st, copy.name);
}

static enum status
begin_visit(struct porter_door *d, struct http_request *rq,
    const struct authorization *c)
{
	struct loop_addr address = address_of(d->porter, rq);
	struct visit *v = calloc(1, sizeof(*v));
	uint8_t site[NETWORK_SITE_SIZE];
	enum status st;

	if (!v)
		return ST_NO_MEMORY;
	v->request = rq;
	v->door = d;
	memcpy(v->name, c->user.p, c->user.n);
	network_site(&address, site);
	st = verify_ask(d->porter->verifier, d->porter->passwords, c,
	    bytes_of(site, sizeof(site)), http_request_loop(rq), verified, v,
	    &v->verify);
	if (st == ST_OK)
		http_request_set_edge(rq, v->name);
	if (st == ST_WAIT)
		http_request_set_user(rq, v);
	else
		free(v);
	return st;
}

static enum status
look_up_token(struct porter *p, struct http_request *rq, struct bytes token)
{
	char name[USERS_NAME_SIZE];
	struct digest d;

	if (!digest_of(&token, 1, &d))
		return ST_NO_MEMORY;
	if (!roster_token(p->tokens, &d, name))
		return ST_BAD_CREDENTIAL;
	http_request_set_edge(rq, name);
	return ST_OK;
}

static enum status
recognise(struct porter_door *d, struct http_request *rq)
{
	struct porter *p = d->porter;
	struct authorization c;
	enum status st = ST_BAD_CREDENTIAL;

	authorization_parse(http_header(http_request_headers(rq),
	    "authorization"), &c);
	if (c.kind == CREDENTIAL_NONE)
		st = p->anonymous ? ST_OK : ST_UNAUTHORIZED;
	else if (c.kind == CREDENTIAL_BASIC && p->passwords)
		st = begin_visit(d, rq, &c);
	else if (c.kind == CREDENTIAL_BEARER && p->tokens)
		st = look_up_token(p, rq, c.token);
	authorization_wipe(&c);
	return st;
}

/* Until it has a better one. */
static void
name_by_address(const struct porter *p, struct http_request *rq)
{
	struct loop_addr address = address_of(p, rq);
	char name[NETWORK_NAME_SIZE];

	network_name(&address, name);
	http_request_set_edge(rq, name);
}

/* ---- the handler ---------------------------------------------------------------------- */

static enum status
ask(struct porter_door *d, struct http_request *rq)
{
	const struct porter *p = d->porter;

	if (http_request_certified(rq))
		return ST_OK;
	if (p->opts.n_forwarders)
		name_by_address(p, rq);
	if (p->passwords || p->tokens)
		return recognise(d, rq);
	return p->anonymous ? ST_OK : ST_UNAUTHORIZED;
}

static enum status
begin(struct http_request *rq, void *arg)
{
	enum status st = ask(arg, rq);

	http_request_forget(rq, "authorization");
	if (st == ST_WAIT)
		return ST_WAIT;
	decide(arg, rq, st, NULL);
	return ST_OK;
}

/* Only while it is waited for a password: then it is still ours. */
static void
gone(struct http_request *rq, enum status why)
{
	struct visit *v = http_request_user(rq);

	(void)why;		/* the server counts it */
	if (!v)
		return;
	verify_cancel(&v->verify);
	free(v);
}

const struct http_handler porter_handler = { begin, NULL, NULL, gone };

/* ---- life -------------------------------------------------------------------------------- */

static enum status
open_roster(const struct porter_opts *o, enum users_kind kind,
    const char *path, struct roster **out, struct porter_fault *why)
{
	const struct roster_opts ro = { o->section, path, kind };

	why->kind = kind;
	return *path ? roster_new(&ro, out, &why->file) : ST_OK;
}

enum status
porter_new(const struct porter_opts *o, struct porter **out,
    struct porter_fault *why)
{
	struct porter *p = calloc(1, sizeof(*p));
	enum status st;

	if (!p)
		return ST_NO_MEMORY;
	p->opts = *o;
	(void)pthread_mutex_init(&p->lock, NULL);
	st = open_roster(o, USERS_PASSWORDS, o->password_file, &p->passwords,
	    why);
	if (st == ST_OK)
		st = open_roster(o, USERS_TOKENS, o->token_file, &p->tokens,
		    why);
	p->anonymous = o->anonymous == PORTER_YES ||
	    (o->anonymous == PORTER_AUTO && !p->passwords && !p->tokens);
	if (st != ST_OK)
		porter_free(&p);
	else
		*out = p;
	return st;
}

enum status
porter_start(struct porter *p, struct verifier *v, struct loop *l)
{
	enum status st = ST_OK;

	p->verifier = v;
	if (p->passwords)
		st = roster_follow(p->passwords, l);
	if (st == ST_OK && p->tokens)
		st = roster_follow(p->tokens, l);
	return st;
}

void
porter_free(struct porter **at)
{
	struct porter *p = *at;

	if (!p)
		return;
	*at = NULL;
	roster_free(&p->passwords);
	roster_free(&p->tokens);
	(void)pthread_mutex_destroy(&p->lock);
	free(p);
}
