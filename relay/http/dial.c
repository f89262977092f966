/* dial.c - addresses and attempts.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A dial:                      an attempt:
 *
 *	lookup ──► attempts          REACHING ──► TUNNEL ──► SHAKING ──► through
 *	           one, and soon        │  │         ▲          ▲  (READY)
 *	           one more ...         │  └─ proxy ─┘          │
 *	                                └──────────── TLS ──────┘
 */
#include "http/dial.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/metric.h"
#include "http/tunnel.h"

enum attempt_phase {
	REACHING,		/* the stream connects */
	TUNNEL,			/* the proxy is asked */
	SHAKING,		/* TLS; without a proxy it connects, too */
};

TAILQ_HEAD(attempt_list, attempt);
TAILQ_HEAD(dial_list, dial);

struct attempt {
	TAILQ_ENTRY(attempt) link;
	struct dial *dial;		/* borrowed */
	struct stream *stream;		/* owned */
	enum attempt_phase phase;
	struct h1_scan scan;		/* of the proxy's answer */
};

struct dial {
	TAILQ_ENTRY(dial) link;
	struct dialer *dialer;		/* borrowed */
	struct loop_timer *timer;	/* owned: to the next attempt */
	struct attempt_list attempts;	/* owned */
	struct loop_addr addrs[LOOP_ADDRS_MAX];
	size_t n, next;
	int64_t until;
	enum status why;
	bool looks_up;
};

struct dialer {
	struct loop *loop;		/* borrowed */
	struct dialer_opts opts;
	dialer_fn *fn;
	void *arg;			/* borrowed */
	struct dial_list dials;		/* owned */
	size_t n_dials;
	struct loop_lookup *lookup;	/* owned; NULL: none under way */
	struct loop_addr addrs[LOOP_ADDRS_MAX];
	size_t n_addrs;
	struct loop_addr answered;	/* the last time; len 0: none has */
	int64_t looked_up;
	bool doubt;
};

static bool
has_proxy(const struct dialer *dr)
{
	return *dr->opts.proxy.host != '\0';
}

static enum status
nobody_there(const struct dialer *dr)
{
	return has_proxy(dr) ? ST_PROXY_CONNECT : ST_CONNECT;
}

/* ---- ends ---------------------------------------------------------------------------- */

static void
free_attempt(struct attempt *a)
{
	TAILQ_REMOVE(&a->dial->attempts, a, link);
	stream_close(&a->stream, ST_CANCELLED);
	free(a);
}

static void
free_dial(struct dial *d)
{
	struct attempt *a;

	while ((a = TAILQ_FIRST(&d->attempts)) != NULL)
		free_attempt(a);
	TAILQ_REMOVE(&d->dialer->dials, d, link);
	d->dialer->n_dials--;
	loop_timer_free(&d->timer);
	free(d);
}

static void
end_dial(struct dial *d, enum status st, struct stream *s)
{
	struct dialer *dr = d->dialer;

	free_dial(d);
	if (st != ST_OK)
		dr->doubt = true;
	dr->fn(st, s, dr->arg);
}

/* ---- the order of addresses ------------------------------------------------------------- */

static bool
same_address(const struct loop_addr *a, const struct loop_addr *b)
{
	return a->len == b->len && memcmp(&a->ss, &b->ss, a->len) == 0;
}

/* Of those not taken, the first of another family than the last one's. */
static size_t
next_address(const struct loop_addr *addrs, size_t n, const bool *taken,
    int family)
{
	size_t i, any = n;

	for (i = 0; i < n; i++) {
		if (!taken[i] && addrs[i].ss.ss_family != family)
			return i;
		if (!taken[i] && any == n)
			any = i;
	}
	return any;
}

static void
arrange(struct dialer *dr)
{
	struct loop_addr from[LOOP_ADDRS_MAX];
	bool taken[LOOP_ADDRS_MAX] = { false };
	size_t i, k, n = dr->n_addrs;

	memcpy(from, dr->addrs, n * sizeof(*from));
	for (i = 0; i < n && !same_address(&from[i], &dr->answered); i++)
		;
	for (k = 0; k < n; k++) {
		if (k > 0 || i == n)
			i = next_address(from, n, taken, k == 0 ? AF_UNSPEC :
			    dr->addrs[k - 1].ss.ss_family);
		taken[i] = true;
		dr->addrs[k] = from[i];
	}
}

/* ---- attempts ---------------------------------------------------------------------------- */

static void attempt(struct dial *);

static void
through(struct attempt *a)
{
	struct dialer *dr = a->dial->dialer;
	struct stream *s = a->stream;

	a->stream = NULL;
	stream_deadline(s, 0);
	dr->answered = *stream_peer(s);
	arrange(dr);
	end_dial(a->dial, ST_OK, s);
}

/* Of several, what TLS or the proxy had against one tells more. */
static void
attempt_failed(struct attempt *a, enum status why)
{
	struct dial *d = a->dial;

	if (a->phase == SHAKING)
		metric_reason_add(METRIC_TLS_FAILURES, why, 1);
	if (d->why == nobody_there(d->dialer))
		d->why = why;
	free_attempt(a);
	attempt(d);
}

static enum status
secure(struct attempt *a)
{
	a->phase = SHAKING;
	return stream_secure(a->stream, a->dial->dialer->opts.tls);
}

static void
reached(struct attempt *a)
{
	struct dialer *dr = a->dial->dialer;

	if (a->phase == REACHING && has_proxy(dr)) {
		a->phase = TUNNEL;
		tunnel_ask(a->stream, &dr->opts.url);
		return;
	}
	through(a);
}

/* The proxy's answer, or the end of it. */
static void
input(struct attempt *a, bool ended)
{
	enum status st = tunnel_answer(a->stream, &a->scan);

	if (st == ST_OK && !a->dial->dialer->opts.tls) {
		through(a);
		return;
	}
	if (st == ST_OK)
		st = secure(a);
	if (st == ST_WAIT && ended)
		st = ST_PROXY_ANSWER;
	if (st != ST_OK && st != ST_WAIT)
		attempt_failed(a, st);
}

static enum status
why_failed(const struct attempt *a)
{
	enum status why = stream_why(a->stream);

	if (a->phase == TUNNEL)
		return ST_PROXY_ANSWER;
	return why == ST_CONNECT ? nobody_there(a->dial->dialer) : why;
}

static void
on_stream(struct stream *s, enum stream_event event, void *arg)
{
	struct attempt *a = arg;

	(void)s;
	switch (event) {
	case STREAM_READY:
		reached(a);
		break;
	case STREAM_INPUT:
	case STREAM_CLOSED:
		input(a, event == STREAM_CLOSED);
		break;
	case STREAM_DRAINED:
		break;
	case STREAM_TIMEOUT:
		attempt_failed(a, a->phase == REACHING ?
		    nobody_there(a->dial->dialer) : ST_TIMEOUT);
		break;
	case STREAM_FAILED:
		attempt_failed(a, why_failed(a));
		break;
	}
}

static enum status
begin_attempt(struct dial *d, const struct loop_addr *to)
{
	struct dialer *dr = d->dialer;
	struct attempt *a = calloc(1, sizeof(*a));
	enum status st;

	if (!a)
		return ST_NO_MEMORY;
	a->dial = d;
	st = stream_connect(dr->loop, to, on_stream, a, &a->stream);
	if (st != ST_OK) {
		free(a);
		return st;
	}
	TAILQ_INSERT_TAIL(&d->attempts, a, link);
	if (dr->opts.tls && !has_proxy(dr))
		st = secure(a);
	if (st != ST_OK)
		free_attempt(a);
	else
		stream_deadline(a->stream, d->until);
	return st;
}

/* One more, if there is an address and time. */
static void
attempt(struct dial *d)
{
	int64_t left = d->until - loop_now(d->dialer->loop);
	enum status st = ST_SYSTEM;

	loop_timer_stop(d->timer);
	while (st != ST_OK && d->next < d->n && left > 0) {
		st = begin_attempt(d, &d->addrs[d->next++]);
		if (st == ST_NO_MEMORY) {
			d->why = st;
			d->next = d->n;
		}
	}
	if (TAILQ_EMPTY(&d->attempts)) {
		end_dial(d, d->why, NULL);
		return;
	}
	if (d->next == d->n || left <= 0)
		return;
	left /= (int64_t)(d->n - d->next + 1);
	loop_timer_start(d->timer, left < DIAL_NEXT_NS ? left : DIAL_NEXT_NS);
}

/* ---- dials ------------------------------------------------------------------------------- */

static void
timer_due(void *arg)
{
	attempt(arg);
}

/* From the loop. */
static void
begin(struct dial *d)
{
	struct dialer *dr = d->dialer;

	d->looks_up = false;
	d->n = dr->n_addrs;
	memcpy(d->addrs, dr->addrs, d->n * sizeof(*d->addrs));
	d->until = loop_now(dr->loop) + dr->opts.timeout_ns;
	loop_timer_start(d->timer, 0);
}

static enum status
no_address(const struct dialer *dr)
{
	return has_proxy(dr) ? ST_PROXY_CONNECT : ST_NO_ADDRESS;
}

static void
looked_up(enum status st, const struct loop_addr *addrs, size_t n, void *arg)
{
	struct dialer *dr = arg;
	struct dial *d;

	dr->lookup = NULL;
	if (st == ST_OK) {
		memcpy(dr->addrs, addrs, n * sizeof(*addrs));
		dr->n_addrs = n;
		dr->looked_up = loop_now(dr->loop);
		dr->doubt = false;
		arrange(dr);
	}
	TAILQ_FOREACH(d, &dr->dials, link) {
		if (!d->looks_up)
			continue;
		/* without any address the first attempt is its end */
		if (dr->n_addrs == 0)
			d->why = no_address(dr);
		begin(d);
	}
}

static bool
addresses_fresh(const struct dialer *dr)
{
	return dr->n_addrs > 0 && !dr->doubt &&
	    loop_now(dr->loop) - dr->looked_up < dr->opts.look_again_ns;
}

static enum status
look_up(struct dialer *dr)
{
	const struct http_url *to = has_proxy(dr) ? &dr->opts.proxy :
	    &dr->opts.url;

	if (dr->lookup)
		return ST_OK;
	return loop_resolve(dr->loop, to->host, to->port, looked_up, dr,
	    &dr->lookup);
}

enum status
dialer_dial(struct dialer *dr)
{
	struct dial *d = calloc(1, sizeof(*d));
	enum status st;

	if (!d)
		return ST_NO_MEMORY;
	d->dialer = dr;
	d->why = nobody_there(dr);
	TAILQ_INIT(&d->attempts);
	st = loop_timer_new(dr->loop, timer_due, d, &d->timer);
	if (st != ST_OK) {
		free(d);
		return ST_NO_MEMORY;
	}
	TAILQ_INSERT_TAIL(&dr->dials, d, link);
	dr->n_dials++;
	if (addresses_fresh(dr)) {
		begin(d);
		return ST_OK;
	}
	d->looks_up = true;
	st = look_up(dr);
	if (st != ST_OK) {
		d->why = st;
		d->looks_up = false;
		loop_timer_start(d->timer, 0);
	}
	return ST_OK;
}

size_t
dialer_dials(const struct dialer *dr)
{
	return dr->n_dials;
}

enum status
dialer_late(const struct dialer *dr)
{
	return dr->lookup ? no_address(dr) : ST_TIMEOUT;
}

void
dialer_doubt(struct dialer *dr)
{
	dr->doubt = true;
}

/* ---- life -------------------------------------------------------------------------------- */

enum status
dialer_new(struct loop *loop, const struct dialer_opts *opts, dialer_fn *fn,
    void *arg, struct dialer **out)
{
	struct dialer *dr = calloc(1, sizeof(*dr));

	if (!dr)
		return ST_NO_MEMORY;
	dr->loop = loop;
	dr->opts = *opts;
	dr->fn = fn;
	dr->arg = arg;
	TAILQ_INIT(&dr->dials);
	*out = dr;
	return ST_OK;
}

void
dialer_free(struct dialer **at)
{
	struct dialer *dr = *at;
	struct dial *d;

	if (!dr)
		return;
	*at = NULL;
	loop_lookup_cancel(&dr->lookup);
	while ((d = TAILQ_FIRST(&dr->dials)) != NULL)
		free_dial(d);
	free(dr);
}
