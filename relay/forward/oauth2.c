/* oauth2.c - asking for a token, and when.
 * SPDX-License-Identifier: Apache-2.0
 *
 *	      .-- renewed ahead --.
 *	      v                   |
 *	   ASKING -- a token --> GOOD -- its end, refused --> none, and ASKING
 *	    ^   `-- failed: backoff --.
 *	    `-------------------------'
 *
 * What fails while there is a good token is told, and harms nobody yet.          */
#include "forward/oauth2.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pace.h"
#include "forward/secret.h"

#define RETRY_FIRST CLOCK_S
#define RETRY_MAX (60 * CLOCK_S)
#define RETRY_AFTER_MAX (600 * CLOCK_S)
#define RENEW_AHEAD_MAX (300 * CLOCK_S)	/* or a fifth of its life */
#define END_AHEAD_MAX (10 * CLOCK_S)	/* it is on its way for a while; or a tenth */
#define RENEW_LEAST CLOCK_S		/* from one to the next */
#define BODY_MAX ((size_t)256 << 10)

struct oauth2 {
	struct oauth2_opts o;
	struct oauth2_client c;
	struct secret *secret;		/* owned */
	struct http_client *client;	/* owned */
	struct http_exchange *exchange;	/* owned; NULL: none under way */
	struct buf body, show;		/* owned; of the exchange */
	struct loop_timer *ask;		/* owned */
	struct loop_timer *end;		/* owned: of the token */
	struct backoff backoff;
	char *token;			/* owned; NULL: none */
	size_t n;
	bool again;			/* once this exchange is over */
	bool failed;			/* the last one; as last logged: */
	enum status why;
	int http;
};

/* ---- an answer -------------------------------------------------------------- */

static bool
is_bearer(const json_t *root)
{
	const json_t *type = json_object_get(root, "token_type");

	return !type || (json_is_string(type) &&
	    strcasecmp(json_string_value(type), "bearer") == 0);
}

static bool
is_token(const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (p[i] <= ' ' || p[i] > 126)
			return false;
	return n > 0 && n <= SECRET_MAX;
}

/* A number of seconds, which some servers write as a string.  False: nonsense. */
static bool
read_life(const json_t *root, int64_t *out)
{
	const json_t *v = json_object_get(root, "expires_in");
	double s;
	char *end;

	*out = 0;
	if (!v || json_is_null(v))
		return true;
	if (json_is_string(v)) {
		s = strtod(json_string_value(v), &end);
		if (end == json_string_value(v) || *end)
			return false;
	} else if (json_is_number(v)) {
		s = json_number_value(v);
	} else {
		return false;
	}
	if (!(s >= 0))
		return false;
	*out = s >= (double)(OAUTH2_LIFE_MAX / CLOCK_S) ? OAUTH2_LIFE_MAX :
	    (int64_t)(s * (double)CLOCK_S);
	return true;
}

static void
read_error(const json_t *root, char *out, size_t size)
{
	const json_t *v = json_object_get(root, "error");
	size_t n = json_is_string(v) ? json_string_length(v) : 0;

	if (n >= size)
		n = size - 1;
	if (n)
		memcpy(out, json_string_value(v), n);
	out[n] = '\0';
}

static enum status
read_token(const json_t *root, struct oauth2_answer *out)
{
	const json_t *v = json_object_get(root, "access_token");
	size_t n = json_is_string(v) ? json_string_length(v) : 0;

	if (n == 0 || !is_token(json_string_value(v), n) || !is_bearer(root) ||
	    !read_life(root, &out->life_ns))
		return ST_TOKEN_ANSWER;
	out->token = malloc(n);
	if (!out->token)
		return ST_NO_MEMORY;
	memcpy(out->token, json_string_value(v), n);
	out->n = n;
	return ST_OK;
}

enum status
oauth2_read(const struct http_answer *a, struct oauth2_answer *out)
{
	enum status st = ST_TOKEN_ANSWER;
	json_t *root;

	memset(out, 0, sizeof(*out));
	if (a->body.n > OAUTH2_ANSWER_MAX)
		return st;
	root = json_loadb((const char *)a->body.p, a->body.n,
	    JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(root)) {
		read_error(root, out->error, sizeof(out->error));
		if (a->status == 200)
			st = read_token(root, out);
	}
	json_decref(root);
	return st;
}

/* ---- asking ------------------------------------------------------------------- */

/* application/x-www-form-urlencoded, as a form has it. */
static void
put_encoded(struct buf *b, struct bytes text)
{
	static const char plain[] = "*-._0123456789"
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	size_t i;

	for (i = 0; i < text.n; i++) {
		if (text.p[i] == ' ')
			(void)buf_append(b, "+", 1);
		else if (text.p[i] && strchr(plain, text.p[i]))
			(void)buf_append(b, text.p + i, 1);
		else
			(void)buf_printf(b, "%%%02X", text.p[i]);
	}
}

static void
put_body(const struct oauth2_opts *o, struct buf *b)
{
	size_t i, name;

	(void)buf_append_str(b, "grant_type=client_credentials");
	for (i = 0; i < o->n_scopes; i++) {
		(void)buf_append_str(b, i ? "+" : "&scope=");
		put_encoded(b, bytes_str(o->scopes[i]));
	}
	for (i = 0; i < o->n_params; i++) {
		name = strcspn(o->params[i], "=");
		(void)buf_append_str(b, "&");
		put_encoded(b, bytes_of(o->params[i], name));
		(void)buf_append_str(b, "=");
		put_encoded(b, bytes_str(o->params[i] + name + 1));
	}
}

/* RFC 6749 2.3.1: both are encoded as in a form first. */
static bool
put_show(const struct oauth2 *a, struct buf *out)
{
	struct bytes id = bytes_str(a->o.client_id);
	struct bytes secret = secret_text(a->secret);
	struct buf pair;
	bool fine;

	buf_init(&pair, BODY_MAX);
	/* at once, so that no copies stay behind */
	(void)buf_room(&pair, 3 * (id.n + secret.n) + 1);
	put_encoded(&pair, id);
	(void)buf_append_str(&pair, ":");
	put_encoded(&pair, secret);
	fine = !buf_failed(&pair);
	if (fine)
		secret_basic(buf_bytes(&pair), out);
	buf_wipe(&pair);
	return fine && !buf_failed(out);
}

static void answered(enum status, const struct http_answer *, void *);

static enum status
send_request(struct oauth2 *a)
{
	struct http_header h[4] = {
		{ BYTES_LIT("User-Agent"), bytes_str(a->c.user_agent) },
		{ BYTES_LIT("Accept"), BYTES_LIT("application/json") },
		{ BYTES_LIT("Content-Type"),
		    BYTES_LIT("application/x-www-form-urlencoded") },
	};
	struct http_call call = { .method = "POST", .headers = { h, 4 } };

	put_body(&a->o, &a->body);
	if (buf_failed(&a->body) || !put_show(a, &a->show))
		return ST_NO_MEMORY;
	h[3] = (struct http_header){ BYTES_LIT("Authorization"),
		buf_bytes(&a->show) };
	call.body = buf_bytes(&a->body);
	return http_client_send(a->client, &call, answered, a, &a->exchange);
}

static void
drop_request(struct oauth2 *a)
{
	buf_wipe(&a->show);
	buf_wipe(&a->body);
	buf_init(&a->show, BODY_MAX);
	buf_init(&a->body, BODY_MAX);
}

static void
drop_token(struct oauth2 *a)
{
	if (a->token)
		explicit_bzero(a->token, a->n);
	free(a->token);
	a->token = NULL;
	a->n = 0;
	loop_timer_stop(a->end);
}

/* One line when trouble begins or changes its kind, not one a try. */
static void
tell_failed(struct oauth2 *a, enum status st, int http, const char *error,
    int64_t wait_ns)
{
	char text[80];

	if (a->failed && a->why == st && a->http == http)
		return;
	a->why = st;
	a->http = http;
	log_warn("token-failed", "upstream=%s host=%s port=%s reason=%s "
	    "why=\"%s\" status=%d error=%s wait=%.1fs hint=\"%s\"",
	    a->c.upstream, a->o.url.host, a->o.url.port, status_info(st)->word,
	    status_info(st)->sentence, http, log_quote(bytes_str(error), text,
	    sizeof(text)), (double)wait_ns / 1e9, a->token ?
	    "the token of before is good for a while" :
	    "nothing is sent without a token");
}

static void
failed(struct oauth2 *a, enum status st, const struct http_answer *h,
    const char *error)
{
	int64_t wait = backoff_next(&a->backoff), after;

	after = h ? http_retry_after(http_header(h->headers, "retry-after"),
	    clock_wall()) : -1;
	if (after > RETRY_AFTER_MAX)
		after = RETRY_AFTER_MAX;
	if (after > wait)
		wait = after;
	metric_group_add(a->c.metrics, METRIC_UP_TOKEN_FAILURES, 1);
	tell_failed(a, st, h ? h->status : 0, error, wait);
	a->failed = true;
	loop_timer_start(a->ask, wait);
	if (!a->token)
		a->c.changed(a->c.arg);
}

static int64_t
ahead(int64_t life, int64_t part, int64_t most)
{
	return life / part < most ? life / part : most;
}

static void
took(struct oauth2 *a, struct oauth2_answer *r)
{
	int64_t renew = r->life_ns - ahead(r->life_ns, 5, RENEW_AHEAD_MAX);

	drop_token(a);
	a->token = r->token;
	a->n = r->n;
	backoff_reset(&a->backoff);
	if (r->life_ns) {
		loop_timer_start(a->end, r->life_ns - ahead(r->life_ns, 10,
		    END_AHEAD_MAX));
		loop_timer_start(a->ask, renew > RENEW_LEAST ? renew :
		    RENEW_LEAST);
	}
	if (a->failed)
		log_info("token-back", "upstream=%s", a->c.upstream);
	a->failed = false;
	a->c.changed(a->c.arg);
}

static void
ask(void *arg)
{
	struct oauth2 *a = arg;
	enum status st;

	if (a->exchange)
		return;
	a->again = false;
	st = send_request(a);
	if (st != ST_OK) {
		drop_request(a);
		failed(a, st, NULL, "");
	}
}

static void
answered(enum status st, const struct http_answer *h, void *arg)
{
	struct oauth2 *a = arg;
	struct oauth2_answer r = { .token = NULL };

	a->exchange = NULL;
	drop_request(a);
	if (st == ST_OK)
		st = oauth2_read(h, &r);
	if (st == ST_OK)
		took(a, &r);
	else
		failed(a, st, h, r.error);
	if (a->again)
		loop_timer_start(a->ask, 0);
}

static void
ended(void *arg)
{
	struct oauth2 *a = arg;

	drop_token(a);
	a->c.changed(a->c.arg);
}

/* ---- the door -------------------------------------------------------------------- */

enum status
oauth2_token(const struct oauth2 *a, struct bytes *out)
{
	*out = bytes_of(a->token, a->n);
	return a->token ? ST_OK : a->failed ? ST_NO_TOKEN : ST_WAIT;
}

void
oauth2_renew(struct oauth2 *a)
{
	drop_token(a);
	loop_timer_start(a->ask, 0);
}

void
oauth2_look(struct oauth2 *a)
{
	if (!secret_look(a->secret, a->c.upstream))
		return;
	backoff_reset(&a->backoff);
	a->again = a->exchange != NULL;
	loop_timer_start(a->ask, 0);
}

enum status
oauth2_new(const struct oauth2_opts *o, const struct oauth2_client *c,
    struct oauth2 **out)
{
	struct http_client_opts co = {
		.url = o->url,
		.proxy = c->proxy,
		.connect_timeout_ns = c->connect_timeout_ns,
		.answer_timeout_ns = c->timeout_ns,
		.idle_timeout_ns = 10 * CLOCK_S,
		.reconnect_ns = 600 * CLOCK_S,
		.max_body_bytes = OAUTH2_ANSWER_MAX + 1,
		.tls = o->tls,
	};
	struct oauth2 *a = calloc(1, sizeof(*a));
	enum status st;

	if (!a)
		return ST_NO_MEMORY;
	a->o = *o;
	a->c = *c;
	a->backoff = (struct backoff){ RETRY_FIRST, RETRY_MAX, 0,
		(uint64_t)clock_mono() | 1 };
	buf_init(&a->body, BODY_MAX);
	buf_init(&a->show, BODY_MAX);
	st = secret_open_for(c->upstream, o->secret_file, SECRET_PASSWORD,
	    &a->secret);
	if (st == ST_OK)
		st = http_client_new(c->loop, &co, &a->client);
	if (st == ST_OK)
		st = loop_timer_new(c->loop, ask, a, &a->ask);
	if (st == ST_OK)
		st = loop_timer_new(c->loop, ended, a, &a->end);
	if (st != ST_OK) {
		oauth2_free(&a);
		return st;
	}
	loop_timer_start(a->ask, 0);
	*out = a;
	return ST_OK;
}

void
oauth2_free(struct oauth2 **taken)
{
	struct oauth2 *a = *taken;

	*taken = NULL;
	if (!a)
		return;
	if (a->client)
		http_client_free(&a->client);
	if (a->end)
		drop_token(a);
	drop_request(a);
	loop_timer_free(&a->ask);
	loop_timer_free(&a->end);
	secret_close(&a->secret);
	free(a);
}
