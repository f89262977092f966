/* control.c - orders for upstreams, by name.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What another loop carries out is an errand: it goes there and comes back, and then its
 * request is answered, if whoever asked is still there.                     */
#include "admin/control.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/answer.h"
#include "admin/pages.h"
#include "forward/rejected.h"
#include "spool/aside.h"

#define ORDERS 7
#define NAME_MAX_BYTES 128
#define WORDS 3				/* of a query */

struct control {
	struct control_opts o;
	struct http_route *routes;	/* owned */
	size_t n_routes;
	struct errand *errands;		/* owned: those under way */
};

struct errand {
	struct errand *next;
	struct control *control;	/* borrowed */
	struct loop *home;		/* borrowed */
	struct http_request *request;	/* borrowed; NULL: whoever asked has gone */
	struct loop_msg back;
	char name[NAME_MAX_BYTES + 1];	/* of the upstream */
	bool rejected;
	struct spool_forget forget;
	struct forward_command command;
};

/* ---- what was asked --------------------------------------------------------------- */

/* The words of a query, which have & between them; how many there are. */
static size_t
words_of(struct http_request *r, struct bytes word[WORDS])
{
	struct bytes q = http_request_query(r);
	const uint8_t *end;
	size_t n = 0;

	while (n < WORDS) {
		end = q.n ? memchr(q.p, '&', q.n) : NULL;
		word[n++] = bytes_of(q.p, end ? (size_t)(end - q.p) : q.n);
		if (!end)
			return n;
		q = bytes_of(end + 1, q.n - (size_t)(end - q.p) - 1);
	}
	return WORDS + 1;
}

static enum status
refuse_words(struct http_request *r)
{
	return answer_text(r, 400, "those are not the words for it\n");
}

static struct forwarder *
find(const struct control *c, struct bytes name)
{
	size_t i;

	for (i = 0; i < c->o.n_upstreams; i++)
		if (bytes_eq(bytes_str(c->o.upstreams[i].name), name))
			return c->o.upstreams[i].forwarder;
	return NULL;
}

/* The upstream that the query names; NULL: there is none, and it was said. */
static struct forwarder *
named(const struct control *c, struct http_request *r, enum status *st)
{
	struct forwarder *f = find(c, http_request_query(r));

	if (!f)
		*st = answer_text(r, 404, "there is no upstream of that name\n");
	return f;
}

/* ---- at once ----------------------------------------------------------------------- */

static enum status
order_pause(struct http_request *r, void *arg)
{
	enum status st = ST_OK;
	struct forwarder *f = named(arg, r, &st);

	if (!f)
		return st;
	forwarder_pause(f, true);
	return answer_text(r, 200, "paused\n");
}

static enum status
order_resume(struct http_request *r, void *arg)
{
	enum status st = ST_OK;
	struct forwarder *f = named(arg, r, &st);

	if (!f)
		return st;
	forwarder_pause(f, false);
	return answer_text(r, 200, "resumed\n");
}

static enum status
ask_drained(struct http_request *r, void *arg)
{
	enum status st = ST_OK;
	struct forwarder *f = named(arg, r, &st);

	if (!f)
		return st;
	return forwarder_is_drained(f) ? answer_text(r, 200, "drained\n") :
	    answer_text(r, 503, "not yet\n");
}

/* ---- errands ------------------------------------------------------------------------ */

/* ST_NO_MEMORY; ST_BAD_REQUEST: no upstream has such a name. */
static enum status
errand_new(struct control *c, struct http_request *r, struct bytes name,
    struct errand **out)
{
	struct errand *e;

	if (name.n == 0 || name.n > NAME_MAX_BYTES)
		return ST_BAD_REQUEST;
	e = calloc(1, sizeof(*e));
	if (!e)
		return ST_NO_MEMORY;
	memcpy(e->name, name.p, name.n);
	e->control = c;
	e->home = http_request_loop(r);
	e->request = r;
	http_request_set_user(r, e);
	e->next = c->errands;
	c->errands = e;
	*out = e;
	return ST_OK;
}

/* Answers, and is over. */
static void
errand_end(struct errand *e, int status, const char *text)
{
	struct errand **at = &e->control->errands;

	if (e->request && answer_text(e->request, status, text) != ST_OK)
		http_respond_status(e->request, ST_NO_MEMORY, NULL, 0);
	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	free(e);
}

static void
errand_gone(struct http_request *r, enum status why)
{
	struct errand *e = http_request_user(r);

	(void)why;
	if (e)
		e->request = NULL;
}

#define ANSWERED_LATER(fn) \
	{ fn, answer_ignore_body, answer_ignore_end, errand_gone }

/* ---- forgetting ---------------------------------------------------------------------- */

static enum status
remove_rejected(const struct errand *e)
{
	struct aside_opts o = { e->control->o.disk, e->control->o.directory,
		REJECTED_FOLDER, e->name, 0 };

	return aside_remove(&o);
}

static void
forgotten_here(struct loop_msg *m)
{
	struct errand *e = container_of(m, struct errand, back);
	enum status st = e->forget.status, aside = ST_OK;

	if (e->rejected && (st == ST_OK || st == ST_MISSING))
		aside = remove_rejected(e);
	if (st == ST_MISSING && e->rejected)
		st = aside;
	else if (st == ST_OK && aside != ST_MISSING)
		st = aside;
	if (st == ST_OK)
		errand_end(e, 200, "forgotten\n");
	else if (st == ST_MISSING || st == ST_CONFIG)
		errand_end(e, 404, "there is nothing of an upstream of that "
		    "name\n");
	else
		errand_end(e, 500, "the disk did not let it go; the log has "
		    "more\n");
}

static void
forgotten(struct spool_forget *o)
{
	struct errand *e = container_of(o, struct errand, forget);

	loop_post(e->home, &e->back, forgotten_here);
}

static enum status
order_forget(struct http_request *r, void *arg)
{
	struct control *c = arg;
	struct bytes word[WORDS];
	size_t n = words_of(r, word);
	struct errand *e;
	enum status st;

	if (n > 2 || (n == 2 && !bytes_eq(word[1], BYTES_LIT("--rejected"))))
		return refuse_words(r);
	if (find(c, word[0]))
		return answer_text(r, 409, "that upstream is configured: take "
		    "its section out, restart the relay, and then forget "
		    "it\n");
	st = errand_new(c, r, word[0], &e);
	if (st == ST_BAD_REQUEST)
		return refuse_words(r);
	if (st != ST_OK)
		return st;
	e->rejected = n == 2;
	e->forget = (struct spool_forget){ .name = e->name, .done = forgotten };
	spool_forget(c->o.spool, &e->forget);
	return ST_OK;
}

/* ---- commands of a forwarder ------------------------------------------------------------ */

/* "all", or as rwrelayctl rejected lists it. */
static bool
take_entry(struct bytes word, struct spool_pos *out)
{
	char text[48];
	int end = 0;

	*out = (struct spool_pos){ 0, 0 };
	if (bytes_eq(word, BYTES_LIT("all")))
		return true;
	if (word.n >= sizeof(text))
		return false;
	memcpy(text, word.p, word.n);
	text[word.n] = '\0';
	return sscanf(text, "%16" SCNx64 "-%" SCNu64 "%n", &out->segment,
	    &out->offset, &end) == 2 && (size_t)end == word.n &&
	    out->segment != 0;
}

static void
obeyed_here(struct loop_msg *m)
{
	struct errand *e = container_of(m, struct errand, back);
	const struct forward_command *o = &e->command;
	char text[120];

	if (o->what == FORWARD_SKIP)
		(void)snprintf(text, sizeof(text), "given up: samples: %" PRIu64
		    "%s\n", o->samples, o->status == ST_WAIT ? "; there is more, "
		    "say it again" : "");
	else
		(void)snprintf(text, sizeof(text), "%s: requests: %" PRIu64
		    ", samples: %" PRIu64 "\n", o->what == FORWARD_RESEND ?
		    "sent again" : "given up", o->entries, o->samples);
	if (o->status == ST_OK || o->status == ST_WAIT)
		errand_end(e, 200, text);
	else if (o->status == ST_MISSING)
		errand_end(e, 404, "there is no such entry\n");
	else if (o->status == ST_BUSY)
		errand_end(e, 503, "too many orders wait already; later\n");
	else if (o->status == ST_NO_MEMORY)
		errand_end(e, 503, "out of memory\n");
	else
		errand_end(e, 500, "the disk failed; the log has more\n");
}

static void
obeyed(struct forward_command *o)
{
	struct errand *e = container_of(o, struct errand, command);

	loop_post(e->home, &e->back, obeyed_here);
}

static enum status
command(struct control *c, struct http_request *r, struct bytes name,
    const struct forward_command *what)
{
	struct forwarder *f = find(c, name);
	struct errand *e;
	enum status st;

	if (!f)
		return answer_text(r, 404,
		    "there is no upstream of that name\n");
	st = errand_new(c, r, name, &e);
	if (st != ST_OK)
		return st;
	e->command = *what;
	e->command.done = obeyed;
	forwarder_command(f, &e->command);
	return ST_OK;
}

static enum status
of_rejected(struct control *c, struct http_request *r, enum forward_what what)
{
	struct forward_command o = { .what = what };
	struct bytes word[WORDS];

	if (words_of(r, word) != 2 || !take_entry(word[1], &o.entry))
		return refuse_words(r);
	return command(c, r, word[0], &o);
}

static enum status
order_resend(struct http_request *r, void *arg)
{
	return of_rejected(arg, r, FORWARD_RESEND);
}

static enum status
order_drop(struct http_request *r, void *arg)
{
	return of_rejected(arg, r, FORWARD_GIVE_UP);
}

static bool
take_ms(struct bytes word, int64_t *ms)
{
	uint64_t n;

	if (!http_number(word, &n) || n > INT64_MAX)
		return false;
	*ms = (int64_t)n;
	return true;
}

static enum status
order_skip(struct http_request *r, void *arg)
{
	struct forward_command o = { .what = FORWARD_SKIP };
	struct bytes word[WORDS];

	if (words_of(r, word) != 3 || !take_ms(word[1], &o.from_ms) ||
	    !take_ms(word[2], &o.to_ms) || o.from_ms >= o.to_ms)
		return refuse_words(r);
	return command(arg, r, word[0], &o);
}

/* ---- routes -------------------------------------------------------------------------- */

static const struct http_handler pause = ANSWERED_IN_BEGIN(order_pause);
static const struct http_handler resume = ANSWERED_IN_BEGIN(order_resume);
static const struct http_handler drained = ANSWERED_IN_BEGIN(ask_drained);
static const struct http_handler forget = ANSWERED_LATER(order_forget);
static const struct http_handler resend = ANSWERED_LATER(order_resend);
static const struct http_handler drop = ANSWERED_LATER(order_drop);
static const struct http_handler skip = ANSWERED_LATER(order_skip);

enum status
control_new(const struct control_opts *o, struct control **out)
{
	struct control *c = calloc(1, sizeof(*c));
	const struct http_route orders[ORDERS] = {
		{ "POST", "/pause", &pause, c },
		{ "POST", "/resume", &resume, c },
		{ "GET", "/drained", &drained, c },
		{ "POST", "/forget", &forget, c },
		{ "POST", "/resend", &resend, c },
		{ "POST", "/drop", &drop, c },
		{ "POST", "/skip", &skip, c },
	};
	const struct http_route *pages;
	size_t n_pages;

	if (!c)
		return ST_NO_MEMORY;
	pages = pages_routes(&n_pages);
	c->o = *o;
	c->n_routes = n_pages + ORDERS;
	c->routes = calloc(c->n_routes, sizeof(*c->routes));
	if (!c->routes) {
		control_free(&c);
		return ST_NO_MEMORY;
	}
	memcpy(c->routes, pages, n_pages * sizeof(*pages));
	memcpy(c->routes + n_pages, orders, sizeof(orders));
	*out = c;
	return ST_OK;
}

void
control_free(struct control **taken)
{
	struct control *c = *taken;
	struct errand *e;

	*taken = NULL;
	if (!c)
		return;
	while ((e = c->errands) != NULL) {
		c->errands = e->next;
		free(e);
	}
	free(c->routes);
	free(c);
}

const struct http_route *
control_routes(const struct control *c, size_t *n)
{
	*n = c->n_routes;
	return c->routes;
}
