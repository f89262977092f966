/* forwarder.c - lanes, the gate, verdicts.
 * SPDX-License-Identifier: Apache-2.0
 *
 *	         .-------- one was answered: delivered or refused --------.
 *	         v                                                        |
 *	      OPEN ------- failed, any lane -----> HELD -- time is up --> PROBING
 *	    all lanes                               ^   (Retry-After,     one lane
 *	      send                                  |    backoff)             |
 *	                                            `------- failed ----------'
 *
 * OPEN     each lane has at most one request in flight.
 * HELD     nothing is sent until the gate's time; what is in flight runs out.
 * PROBING  at most one request is in flight that was sent in this state: a weak
 *          upstream is not asked by all lanes at once.  It is also the first state
 *          while the protocol is not known.
 * A lane's failed request stays as it was built and goes again.              */
#include "forward/forwarder.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/pace.h"
#include "forward/lane.h"
#include "forward/rejected.h"
#include "forward/supply.h"
#include "forward/verdict.h"

#define BACKOFF_FIRST (100 * CLOCK_MS)
#define BACKOFF_MAX (30 * CLOCK_S)
#define MISCONFIG_FIRST (30 * CLOCK_S)
#define MISCONFIG_MAX (300 * CLOCK_S)
#define REPROBE_NS (3600 * CLOCK_S)	/* 2.0 again, after 1.0 was fallen back to */
#define SYNC_NS CLOCK_S			/* of the cursor */
#define READ_A_TURN 64			/* records, before others have their turn */
#define EXCERPT 200			/* of an error's text, in the log */
#define HEADERS_OWN 4
#define MOST_BYTES ((size_t)64 << 20)

enum fwd_state {
	FWD_OPEN,
	FWD_HELD,
	FWD_PROBING,
};

static const char *const state_name[] = { "open", "held", "probing" };

struct forwarder {
	struct forward_opts opts;
	struct loop *loop;		/* borrowed */
	struct supply *supply;		/* owned */
	struct rejected *rejected;	/* owned */
	struct http_client *client;	/* owned */
	struct metric_group *metrics;	/* owned */
	struct lane_tools tools;	/* owned */
	struct http_header *headers;	/* owned: ours, then the operator's */
	struct hash_key key;		/* of edges to lanes */

	enum fwd_state state;
	struct lane *probe;		/* sent in PROBING; NULL: none */
	unsigned turn;			/* lane that probes next */
	struct backoff backoff;
	struct loop_timer *gate;	/* owned: HELD until */
	int64_t gate_at;		/* when that is, clock_mono */
	int64_t held_since;		/* 0: not */
	enum status held_why;		/* as last logged */
	int held_http;

	bool proven;			/* the upstream speaks `proto` */
	enum payload_proto proto;
	int64_t reprobe_at;		/* 0: never */

	uint32_t ahead;			/* points out of the supply */
	struct loop_msg more;		/* to go on reading in another turn */
	bool more_posted;
	struct loop_timer *sync;	/* owned */
	struct loop_timer *stop_at;	/* owned */
	struct loop_msg drain_msg;
	int64_t drain_ns;
	bool draining, stopped;
	bool paused;
	atomic_bool pause_wanted, pause_posted;
	struct loop_msg pause_msg;
	atomic_bool drained;		/* for other threads to see */
	bool caught_up;			/* the supply said ST_END */

	unsigned n_lanes;
	struct lane lane[];
};

static void pump(struct forwarder *);

/* ---- the gate ---------------------------------------------------------------------- */

static void
enter(struct forwarder *f, enum fwd_state to)
{
	static const bool may[3][3] = {
		[FWD_OPEN] = { [FWD_HELD] = true, [FWD_PROBING] = true },
		[FWD_HELD] = { [FWD_PROBING] = true, [FWD_OPEN] = true },
		[FWD_PROBING] = { [FWD_OPEN] = true, [FWD_HELD] = true },
	};

	assert(may[f->state][to]);
	log_debug("forwarder", "upstream=%s from=%s to=%s", f->opts.name,
	    state_name[f->state], state_name[to]);
	f->state = to;
	metric_group_set(f->metrics, METRIC_UP_HELD, to != FWD_OPEN &&
	    f->held_since);
}

/* What to look at when an answer means a wrong configuration. */
static const char *
misconfig_hint(int http)
{
	if ((http >= 200 && http < 300) || http == 415)
		return "remote write 2.0 is not spoken there: protocol = auto";
	if (http == 401 || http == 403 || http == 407)
		return "credentials";
	return "url";
}

/* One line when trouble begins or changes its kind, not one a try. */
static void
tell_held(struct forwarder *f, bool misconfig, enum status st,
    const struct http_answer *a, int64_t wait_ns)
{
	char text[EXCERPT + 8];
	int http = a ? a->status : 0;

	if (f->held_since && f->held_why == st && f->held_http == http)
		return;
	if (!f->held_since)
		f->held_since = clock_mono();
	f->held_why = st;
	f->held_http = http;
	if (a)
		log_warn("upstream-held", "upstream=%s status=%d text=%s "
		    "wait=%.1fs%s%s%s", f->opts.name, http, log_quote(bytes_of(
		    a->body.p, a->body.n < EXCERPT ? a->body.n : EXCERPT),
		    text, sizeof(text)), (double)wait_ns / 1e9,
		    misconfig ? " check=\"" : "",
		    misconfig ? misconfig_hint(http) : "",
		    misconfig ? "\"" : "");
	else
		log_warn("upstream-held", "upstream=%s reason=%s why=\"%s\" "
		    "host=%s port=%s wait=%.1fs", f->opts.name,
		    status_info(st)->word, status_info(st)->sentence,
		    f->opts.url.host, f->opts.url.port, (double)wait_ns / 1e9);
}

static void
hold(struct forwarder *f, bool misconfig, int64_t retry_after_ns,
    enum status st, const struct http_answer *a)
{
	int64_t first = misconfig ? MISCONFIG_FIRST : BACKOFF_FIRST;
	int64_t now = clock_mono(), wait = 0;

	/* lanes that were in flight when the first failed fail with it: the
	 * backoff grows once for all of them */
	if (f->state != FWD_HELD) {
		if (f->backoff.first_ns != first)
			backoff_reset(&f->backoff);
		f->backoff.first_ns = first;
		f->backoff.max_ns = misconfig ? MISCONFIG_MAX : BACKOFF_MAX;
		wait = backoff_next(&f->backoff);
		f->gate_at = 0;
	}
	if (retry_after_ns > wait)
		wait = retry_after_ns;
	if (now + wait <= f->gate_at)
		return;
	f->gate_at = now + wait;
	tell_held(f, misconfig, st, a, wait);
	if (f->state != FWD_HELD)
		enter(f, FWD_HELD);
	loop_timer_start(f->gate, wait);
}

static void
gate_opens(void *arg)
{
	struct forwarder *f = arg;

	enter(f, FWD_PROBING);
	pump(f);
}

static void
answered(struct forwarder *f)
{
	backoff_reset(&f->backoff);
	if (f->held_since) {
		log_info("upstream-back", "upstream=%s after=%.1fs",
		    f->opts.name, (double)(clock_mono() - f->held_since) / 1e9);
		f->held_since = 0;
	}
	/* an answer to what was sent before the gate closed opens nothing */
	if (f->state == FWD_PROBING && (f->proven ||
	    f->opts.protocol != FORWARD_AUTO))
		enter(f, FWD_OPEN);
	else
		metric_group_set(f->metrics, METRIC_UP_HELD,
		    f->state == FWD_HELD);
}

/* ---- the protocol --------------------------------------------------------------------- */

static void
set_protocol(struct forwarder *f, enum payload_proto proto, bool proven)
{
	if (f->proven && (!proven || proto != f->proto))
		log_info("upstream-protocol", "upstream=%s from=%s",
		    f->opts.name, payload_version(f->proto));
	if (proven && (!f->proven || proto != f->proto))
		log_info("upstream-protocol", "upstream=%s speaks=%s",
		    f->opts.name, payload_version(proto));
	f->proto = proto;
	f->proven = proven;
	f->reprobe_at = proven && proto == PAYLOAD_V1 &&
	    f->opts.protocol == FORWARD_AUTO ? clock_mono() + REPROBE_NS : 0;
	metric_group_set(f->metrics, METRIC_UP_PROTOCOL, !proven ? 0 :
	    proto == PAYLOAD_V1 ? 1 : 2);
}

/* 2.0 is tried again once in a while; one lane alone does it. */
static void
maybe_reprobe(struct forwarder *f)
{
	if (!f->reprobe_at || clock_mono() < f->reprobe_at ||
	    f->state != FWD_OPEN)
		return;
	set_protocol(f, PAYLOAD_V2, false);
	enter(f, FWD_PROBING);
}

/* ---- what became of a request ------------------------------------------------------------ */

static void
let_go(struct forwarder *f, struct lane *l)
{
	bool more = lane_next_part(l);
	struct unit *u;

	while (!more && (u = unit_list_pop(&l->sending)) != NULL) {
		f->ahead -= u->points;
		if (l->alone)
			l->alone--;
		supply_done(f->supply, &u);
	}
	l->built = false;
	buf_reset(&l->body, (size_t)1 << 20);
	metric_group_add(f->metrics, METRIC_UP_LOST_STARTS,
	    (int64_t)l->loss.starts);
	metric_group_add(f->metrics, METRIC_UP_LOST_HISTOGRAMS,
	    (int64_t)l->loss.histograms);
	metric_group_add(f->metrics, METRIC_UP_LOST_METADATA,
	    (int64_t)l->loss.metadata);
	supply_note(f->supply);
}

static int64_t
sum(struct prw_counts n)
{
	return (int64_t)(n.samples + n.histograms + n.exemplars);
}

/* With 2.0 the upstream says how many it has; on success a smaller number is its
 * loss, to be seen and not to be sent again. */
static void
delivered(struct forwarder *f, struct lane *l, const struct verdict_hint *hint)
{
	int64_t all = sum(l->counts), taken = all;

	if (l->proto == PAYLOAD_V2 && sum(hint->written) < all)
		taken = sum(hint->written);
	metric_group_add(f->metrics, METRIC_UP_SAMPLES, taken);
	if (taken < all) {
		metric_group_add(f->metrics, METRIC_UP_NOT_WRITTEN,
		    all - taken);
		log_warn("upstream-wrote-less", "upstream=%s sent=%lld "
		    "written=%lld hint=\"the upstream answered success and left "
		    "some out; its log may say why\"", f->opts.name,
		    (long long)all, (long long)taken);
	}
	/* the last answers to 1.0 say nothing of 2.0, which is tried again */
	if (!f->proven && l->proto == f->proto)
		set_protocol(f, l->proto, true);
	let_go(f, l);
}

/* Where the upstream took some of several, nobody knows which: all are kept. */
static void
set_aside(struct forwarder *f, const struct lane *l, const struct http_answer *a,
    int64_t samples)
{
	struct rejected_reason why = { .http = a->status, .text = a->body };
	const struct unit *u;
	struct batch part;

	for (u = l->sending.first; u; u = u->next) {
		part = lane_part(u);
		why.samples = l->sending.n == 1 ? (uint64_t)samples : u->points;
		(void)rejected_keep(f->rejected, u->dict, &part, u->wall_ms,
		    &why);
	}
}

static void
refused(struct forwarder *f, struct lane *l, const struct http_answer *a,
    const struct verdict_hint *hint)
{
	struct bytes edge = dict_edge(l->sending.first->dict);
	char text[EXCERPT + 8], name[300];
	int64_t all = sum(l->counts), taken = 0;

	/* 2.0 partial write: what it says it has written is delivered */
	if (l->proto == PAYLOAD_V2 && hint->has_written)
		taken = sum(hint->written) < all ? sum(hint->written) : all;
	/* alone already, or partly taken: sending it again would not help */
	if (l->sending.n > 1 && taken == 0) {
		metric_group_add(f->metrics, METRIC_UP_RETRIED, 1);
		lane_break_up(l);
		return;
	}
	metric_group_add(f->metrics, METRIC_UP_SAMPLES, taken);
	metric_group_add(f->metrics, METRIC_UP_REFUSED, all - taken);
	log_warn("upstream-refused", "upstream=%s edge=%s status=%d "
	    "samples=%lld text=%s", f->opts.name,
	    log_quote(edge, name, sizeof(name)), a->status,
	    (long long)(all - taken), log_quote(bytes_of(a->body.p,
	    a->body.n < EXCERPT ? a->body.n : EXCERPT), text, sizeof(text)));
	set_aside(f, l, a, all - taken);
	let_go(f, l);
}

/* The protocol that was tried is not spoken: the same units in the other one. */
static void
other_protocol(struct forwarder *f, struct lane *l)
{
	if (l->proto == PAYLOAD_V2) {
		metric_group_add(f->metrics, METRIC_UP_RETRIED, 1);
		l->built = false;
		if (f->proto == PAYLOAD_V2) {
			set_protocol(f, PAYLOAD_V1, false);
			if (f->state == FWD_OPEN)
				enter(f, FWD_PROBING);
		}
	}
}

/* Written headers show that 2.0 is spoken.  Refused in 1.0 after 2.0 was not
 * understood either, the data may be at fault and nothing is known yet. */
static void
learn_from_refusal(struct forwarder *f, const struct lane *l,
    const struct verdict_hint *hint)
{
	if (f->proven)
		return;
	if (l->proto == PAYLOAD_V2 && hint->has_written)
		set_protocol(f, PAYLOAD_V2, true);
	else
		f->proto = PAYLOAD_V2;
}

static void
judge(struct forwarder *f, struct lane *l, enum status st,
    const struct http_answer *a)
{
	struct verdict_case c = {
		.sent = l->proto,
		.may_change = f->opts.protocol == FORWARD_AUTO,
		.proven = f->proven && f->proto == l->proto,
		.drop_misconfig = f->opts.on_misconfig == FORWARD_DROP,
		.wall_ns = clock_wall(),
	};
	struct verdict_hint hint;
	enum verdict v = verdict_of(st, a, &c, &hint);

	if (v != VERDICT_DELIVERED && l->proto == PAYLOAD_V1)
		v1_forget_sent(f->tools.v1);
	switch (v) {
	case VERDICT_DELIVERED:
		delivered(f, l, &hint);
		answered(f);
		return;
	case VERDICT_REFUSED:
		learn_from_refusal(f, l, &hint);
		refused(f, l, a, &hint);
		answered(f);
		return;
	case VERDICT_SPLIT:
		if (l->sending.n == 1 && lane_halve(l))
			metric_group_add(f->metrics, METRIC_UP_RETRIED, 1);
		else
			refused(f, l, a, &hint);
		answered(f);
		return;
	case VERDICT_OTHER:
		other_protocol(f, l);
		return;
	case VERDICT_LATER:
		metric_group_add(f->metrics, METRIC_UP_RETRIED, 1);
		/* it may be this edge only that is told to wait */
		if (a)
			lane_step_aside(l);
		hold(f, false, hint.retry_after_ns, st, a);
		return;
	case VERDICT_HELD:
		metric_group_add(f->metrics, METRIC_UP_RETRIED, 1);
		/* neither is understood, or 1.0 not any more */
		if (a->status == 415 && c.may_change && f->proto == l->proto)
			set_protocol(f, PAYLOAD_V2, false);
		hold(f, true, hint.retry_after_ns, st, a);
		return;
	}
}

static void
done(enum status st, const struct http_answer *a, void *arg)
{
	struct lane *l = arg;
	struct forwarder *f = l->forwarder;

	l->exchange = NULL;
	if (f->probe == l)
		f->probe = NULL;
	metric_group_add(f->metrics, METRIC_UP_IN_FLIGHT, -1);
	metric_group_observe(f->metrics, METRIC_UP_SEND_SECONDS,
	    clock_mono() - l->sent_at);
	judge(f, l, st, a);
	pump(f);
}

/* ---- sending ------------------------------------------------------------------------------- */

static void
set_header(struct http_header *h, const char *name, const char *value)
{
	*h = (struct http_header){ bytes_str(name), bytes_str(value) };
}

static enum status
send_request(struct forwarder *f, struct lane *l)
{
	struct http_call call = {
		.method = "POST",
		.headers = { f->headers, HEADERS_OWN + f->opts.headers.n },
		.body = buf_bytes(&l->body),
	};
	enum status st;

	set_header(&f->headers[0], "User-Agent", f->opts.user_agent);
	set_header(&f->headers[1], "Content-Encoding", "snappy");
	set_header(&f->headers[2], "Content-Type",
	    payload_content_type(l->proto));
	set_header(&f->headers[3], "X-Prometheus-Remote-Write-Version",
	    payload_version(l->proto));
	l->sent_at = clock_mono();
	st = http_client_send(f->client, &call, done, l, &l->exchange);
	if (st != ST_OK)
		return st;
	metric_group_add(f->metrics, METRIC_UP_REQUESTS, 1);
	metric_group_add(f->metrics, METRIC_UP_BYTES, (int64_t)call.body.n);
	metric_group_add(f->metrics, METRIC_UP_IN_FLIGHT, 1);
	return ST_OK;
}

/* True if something is in flight now. */
static bool
start(struct forwarder *f, struct lane *l)
{
	for (;;) {
		enum status st;

		if (l->exchange)
			return false;
		st = lane_build(l, &f->tools, f->proto);
		if (st == ST_END)
			return false;
		if (st == ST_OK && l->body.len == 0) {
			/* no words for it in this protocol: counted as loss */
			let_go(f, l);
			continue;
		}
		if (st == ST_OK)
			st = send_request(f, l);
		if (st != ST_OK)
			hold(f, false, -1, st, NULL);
		return st == ST_OK;
	}
}

static void
start_lanes(struct forwarder *f)
{
	unsigned i;

	if (f->paused)
		return;
	maybe_reprobe(f);
	for (i = 0; i < f->n_lanes && f->state == FWD_OPEN; i++)
		(void)start(f, &f->lane[i]);
	/* each probe from another lane: an edge whose data is refused for ever
	 * does not keep the others waiting for ever */
	for (i = 0; i < f->n_lanes && f->state == FWD_PROBING && !f->probe;
	    i++) {
		struct lane *l = &f->lane[f->turn++ % f->n_lanes];

		if (start(f, l))
			f->probe = l;
	}
}

/* ---- reading ------------------------------------------------------------------------------- */

static struct lane *
lane_of(struct forwarder *f, const struct unit *u)
{
	struct bytes edge = dict_edge(u->dict);

	return &f->lane[hash64(&f->key, edge.p, edge.n) % f->n_lanes];
}

static bool
idle(const struct forwarder *f)
{
	unsigned i;

	for (i = 0; i < f->n_lanes; i++)
		if (f->lane[i].exchange)
			return false;
	return true;
}

static void
stop(struct forwarder *f)
{
	if (f->stopped)
		return;
	f->stopped = true;
	supply_sync(f->supply);
	loop_stop(f->loop);
}

static void
go_on(struct loop_msg *m)
{
	struct forwarder *f = container_of(m, struct forwarder, more);

	f->more_posted = false;
	pump(f);
}

/* Records into lanes, up to the read-ahead. */
static void
read_on(struct forwarder *f)
{
	struct unit *u;
	enum status st = ST_OK;
	int i;

	f->caught_up = false;
	for (i = 0; i < READ_A_TURN && f->ahead < f->opts.read_ahead_samples;
	    i++) {
		st = supply_next(f->supply, &u);
		if (st != ST_OK)
			break;
		f->ahead += u->points;
		unit_list_push(&lane_of(f, u)->queue, u);
	}
	f->caught_up = st == ST_END;
	if (i == READ_A_TURN && !f->more_posted) {
		f->more_posted = true;
		loop_post(f->loop, &f->more, go_on);
	}
}

/* Everything that can go on, goes on. */
static void
pump(struct forwarder *f)
{
	if (f->stopped)
		return;
	read_on(f);
	start_lanes(f);
	metric_group_set(f->metrics, METRIC_UP_READ_AHEAD, f->ahead);
	atomic_store(&f->drained, f->caught_up && f->ahead == 0);
	/* while held there is nothing to wait for */
	if (f->draining && idle(f) &&
	    ((f->caught_up && f->ahead == 0) || f->state != FWD_OPEN ||
	    f->paused))
		stop(f);
}

static void
woken(void *arg)
{
	pump(arg);
}

static void
sync_due(void *arg)
{
	struct forwarder *f = arg;

	supply_sync(f->supply);
	metric_group_set(f->metrics, METRIC_UP_LAG_MS,
	    supply_lag_ms(f->supply, clock_wall() / CLOCK_MS));
	metric_group_set(f->metrics, METRIC_UP_BACKLOG_BYTES,
	    (int64_t)supply_backlog(f->supply));
	loop_timer_start(f->sync, SYNC_NS);
	pump(f);
}

/* ---- life ------------------------------------------------------------------------------------- */

static void
drain_over(void *arg)
{
	struct forwarder *f = arg;
	unsigned i;

	for (i = 0; i < f->n_lanes; i++)
		if (f->lane[i].exchange)
			http_exchange_cancel(&f->lane[i].exchange);
	stop(f);
}

static void
begin_drain(struct loop_msg *m)
{
	struct forwarder *f = container_of(m, struct forwarder, drain_msg);

	f->draining = true;
	loop_timer_start(f->stop_at, f->drain_ns);
	pump(f);
}

void
forwarder_drain(struct forwarder *f, int64_t at_most_ns)
{
	f->drain_ns = at_most_ns;
	loop_post(f->loop, &f->drain_msg, begin_drain);
}

static void
pause_seen(struct loop_msg *m)
{
	struct forwarder *f = container_of(m, struct forwarder, pause_msg);
	bool paused;

	atomic_store(&f->pause_posted, false);
	paused = atomic_load(&f->pause_wanted);
	if (paused == f->paused)
		return;
	f->paused = paused;
	metric_group_set(f->metrics, METRIC_UP_PAUSED, paused);
	log_info(paused ? "upstream-paused" : "upstream-resumed",
	    "upstream=%s", f->opts.name);
	pump(f);
}

void
forwarder_pause(struct forwarder *f, bool yes)
{
	atomic_store(&f->pause_wanted, yes);
	if (!atomic_exchange(&f->pause_posted, true))
		loop_post(f->loop, &f->pause_msg, pause_seen);
}

bool
forwarder_is_drained(const struct forwarder *f)
{
	return atomic_load(&f->drained);
}

static enum status
make_timers(struct forwarder *f)
{
	enum status st;

	st = loop_timer_new(f->loop, gate_opens, f, &f->gate);
	if (st == ST_OK)
		st = loop_timer_new(f->loop, sync_due, f, &f->sync);
	if (st == ST_OK)
		st = loop_timer_new(f->loop, drain_over, f, &f->stop_at);
	if (st == ST_OK)
		loop_timer_start(f->sync, 0);
	return st;
}

static enum status
make_parts(struct forwarder *f, struct spool *spool, const struct disk_ops *disk,
    const char *directory)
{
	struct supply_opts so = {
		.name = f->opts.name,
		.directory = directory,
		.start_now = f->opts.start == FORWARD_NOW,
		.route = f->opts.route,
	};
	struct rejected_opts ro = {
		.disk = disk,
		.directory = directory,
		.upstream = f->opts.name,
		.most_bytes = f->opts.rejected_bytes,
	};
	struct http_client_opts co = {
		.url = f->opts.url,
		.connect_timeout_ns = f->opts.connect_timeout_ns,
		.answer_timeout_ns = f->opts.timeout_ns,
		.idle_timeout_ns = 240 * CLOCK_S,
		.reconnect_ns = 600 * CLOCK_S,
		.max_body_bytes = 1024,
	};
	enum status st = hash_key_init(&f->key);

	f->metrics = metric_group_new(METRIC_SCOPE_UPSTREAM,
	    bytes_str(f->opts.name));
	f->tools.v1 = v1_builder_new();
	f->tools.v2 = v2_builder_new();
	f->headers = calloc(HEADERS_OWN + f->opts.headers.n,
	    sizeof(*f->headers));
	if (!f->metrics || !f->tools.v1 || !f->tools.v2 || !f->headers)
		return ST_NO_MEMORY;
	if (f->opts.headers.n)
		memcpy(f->headers + HEADERS_OWN, f->opts.headers.list,
		    f->opts.headers.n * sizeof(*f->headers));
	if (st == ST_OK)
		st = make_timers(f);
	if (st == ST_OK)
		st = http_client_new(f->loop, &co, &f->client);
	if (st == ST_OK)
		st = supply_new(&so, spool, disk, f->loop, f->metrics, woken, f,
		    &f->supply);
	if (st == ST_OK)
		st = rejected_new(&ro, f->metrics, &f->rejected);
	return st;
}

enum status
forwarder_new(const struct forward_opts *o, struct spool *spool,
    const struct disk_ops *disk, const char *directory, struct loop *loop,
    struct forwarder **out)
{
	struct forwarder *f;
	enum status st;
	unsigned i;

	f = calloc(1, sizeof(*f) + o->lanes * sizeof(f->lane[0]));
	if (!f)
		return ST_NO_MEMORY;
	f->opts = *o;
	f->loop = loop;
	f->n_lanes = o->lanes;
	f->tools.max_samples = o->max_samples;
	f->tools.max_bytes = o->max_bytes;
	f->tools.most_bytes = o->most_bytes ? o->most_bytes : MOST_BYTES;
	f->backoff.seed = (uint64_t)clock_mono() | 1;
	for (i = 0; i < o->lanes; i++)
		lane_init(&f->lane[i], f);
	st = make_parts(f, spool, disk, directory);
	if (st != ST_OK) {
		forwarder_free(&f);
		return st;
	}
	f->proto = o->protocol == FORWARD_V1 ? PAYLOAD_V1 : PAYLOAD_V2;
	f->state = FWD_PROBING;
	if (o->protocol != FORWARD_AUTO) {
		set_protocol(f, f->proto, true);
		enter(f, FWD_OPEN);
	}
	*out = f;
	return ST_OK;
}

void
forwarder_free(struct forwarder **taken)
{
	struct forwarder *f = *taken;
	unsigned i;

	*taken = NULL;
	if (!f)
		return;
	if (f->client)
		http_client_free(&f->client);
	for (i = 0; i < f->n_lanes; i++)
		lane_fini(&f->lane[i]);
	if (f->supply)
		supply_free(&f->supply);
	rejected_free(&f->rejected);
	v1_builder_free(&f->tools.v1);
	v2_builder_free(&f->tools.v2);
	loop_timer_free(&f->gate);
	loop_timer_free(&f->sync);
	loop_timer_free(&f->stop_at);
	metric_group_free(&f->metrics);
	free(f->headers);
	free(f);
}
