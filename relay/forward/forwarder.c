/* forwarder.c - lanes, the gate, verdicts.
 * SPDX-License-Identifier: Apache-2.0
 *
 *	            .---------- one was answered: delivered or refused --------.
 *	            v                                                          |
 *	   LIVE or CATCHING-UP -- failed, any lane --> HELD -- time is up --> DOWN
 *	        all lanes                               ^   (Retry-After,   one lane
 *	          send                                  |    backoff)          |
 *	                                                `------ failed --------'
 *
 * LIVE         each lane has at most one request in flight, each edge too.
 * CATCHING-UP  likewise, but there is backlog: it is sent at its own pace (pacer.h).
 * HELD         nothing is sent until the gate's time; what is in flight runs out.
 * DOWN         at most one request is in flight that was sent in this state: a weak
 *              upstream is not asked by all lanes at once.  It is also the first state
 *              while the protocol is not known.
 *
 * What failed goes back to the head of its edge's queue, and other edges' turns come
 * first.  An edge that is refused again and again while others are not is parked: a single
 * request of it is kept, and tried now and then; all else of it is left in the log.  */
#include "forward/forwarder.h"

#include <assert.h>
#include <fnmatch.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/pace.h"
#include "base/trend.h"
#include "forward/flow.h"
#include "forward/lane.h"
#include "forward/pacer.h"
#include "forward/regroup.h"
#include "forward/rejected.h"
#include "forward/resend.h"
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

#define PARK_AFTER 3			/* refusals in a row, while others pass */
#define HUNGRY_MS 60000			/* whoever sent since may send soon */
#define EDGE_NAME_MAX 512		/* longer ones match nothing */
#define FLOW_IDLE_NS (300 * CLOCK_S)

enum fwd_state {
	FWD_LIVE,
	FWD_CATCHING_UP,
	FWD_HELD,
	FWD_DOWN,
};

static const char *const state_name[] = { "live", "catching-up", "held",
	"down" };

struct forwarder {
	struct forward_opts opts;
	struct loop *loop;		/* borrowed */
	struct supply *supply;		/* owned */
	struct rejected *rejected;	/* owned */
	struct resend resend;		/* what was refused, once more */
	struct http_client *client;	/* owned */
	struct metric_group *metrics;	/* owned */
	struct lane_tools tools;	/* owned */
	struct http_header *headers;	/* owned: ours, then the operator's */
	struct flows flows;		/* owned */
	struct pacer pacer;
	struct trend backlog;		/* bytes of it */

	enum fwd_state state;
	struct lane *probe;		/* sent in DOWN; NULL: none */
	struct backoff backoff;
	struct loop_timer *gate;	/* owned: HELD until */
	int64_t gate_at;		/* when that is, clock_mono */
	int64_t held_since;		/* 0: not */
	enum status held_why;		/* as last logged */
	int held_http;
	bool away;			/* not only asked too much */
	uint64_t delivered;		/* requests */
	bool disorder;			/* it was said that it wants strict order */

	bool proven;			/* the upstream speaks `proto` */
	enum payload_proto proto;
	int64_t reprobe_at;		/* 0: never */

	uint32_t ahead[SUPPLY_SOURCES + 1];	/* points that are out, by source */
	enum { HUNGRY_UNKNOWN, HUNGRY_NOBODY, HUNGRY_SOME }
	    hungry[SUPPLY_SOURCES];	/* as of this turn */
	struct loop_timer *pace;	/* owned: something may be sent then */
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

static bool
is_open(const struct forwarder *f)
{
	return f->state == FWD_LIVE || f->state == FWD_CATCHING_UP;
}

const char *
forwarder_state(int64_t state)
{
	return state >= FWD_LIVE && state <= FWD_DOWN ? state_name[state] : "-";
}

/* DOWN because nothing is known yet is no trouble. */
static void
show_state(struct forwarder *f)
{
	bool held = f->state == FWD_HELD ||
	    (f->state == FWD_DOWN && f->held_since);

	metric_group_set(f->metrics, METRIC_UP_STATE,
	    f->state == FWD_DOWN && !held ? FWD_LIVE : f->state);
	metric_group_set(f->metrics, METRIC_UP_HELD, held);
	metric_group_set(f->metrics, METRIC_UP_CATCHING_UP,
	    f->state == FWD_CATCHING_UP);
}

static void
enter(struct forwarder *f, enum fwd_state to)
{
	static const bool may[4][4] = {
		[FWD_LIVE] = { [FWD_CATCHING_UP] = true, [FWD_HELD] = true,
		    [FWD_DOWN] = true },
		[FWD_CATCHING_UP] = { [FWD_LIVE] = true, [FWD_HELD] = true,
		    [FWD_DOWN] = true },
		[FWD_HELD] = { [FWD_DOWN] = true },
		[FWD_DOWN] = { [FWD_LIVE] = true, [FWD_CATCHING_UP] = true,
		    [FWD_HELD] = true },
	};

	assert(may[f->state][to]);
	log_debug("forwarder", "upstream=%s from=%s to=%s", f->opts.name,
	    state_name[f->state], state_name[to]);
	f->state = to;
	show_state(f);
}

/* Is there backlog that could be sent? */
static bool
has_backlog(const struct forwarder *f)
{
	return flows_has(&f->flows, PACER_BACKLOG) ||
	    f->ahead[SUPPLY_REST] > 0;
}

static void
enter_open(struct forwarder *f)
{
	enum fwd_state to = has_backlog(f) ? FWD_CATCHING_UP : FWD_LIVE;

	if (f->state != to)
		enter(f, to);
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

	enter(f, FWD_DOWN);
	pump(f);
}

static void
answered(struct forwarder *f)
{
	int64_t now = clock_mono();

	backoff_reset(&f->backoff);
	if (f->held_since) {
		log_info("upstream-back", "upstream=%s after=%.1fs",
		    f->opts.name, (double)(now - f->held_since) / 1e9);
		if (f->away)
			pacer_back(&f->pacer, now);
		f->away = false;
		f->held_since = 0;
		f->backlog = (struct trend){ .n = 0 };
	}
	/* an answer to what was sent before the gate closed opens nothing */
	if (f->state == FWD_DOWN && (f->proven ||
	    f->opts.protocol != FORWARD_AUTO))
		enter_open(f);
	else
		show_state(f);
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
	if (!f->reprobe_at || clock_mono() < f->reprobe_at || !is_open(f))
		return;
	set_protocol(f, PAYLOAD_V2, false);
	enter(f, FWD_DOWN);
}

/* ---- edges that are refused alone ----------------------------------------------------- */

static void
show_parked(struct forwarder *f, int change)
{
	f->flows.n_parked += (uint32_t)change;
	metric_group_set(f->metrics, METRIC_UP_PARKED, f->flows.n_parked);
}

/* All of it, the newest first. */
static struct unit *
unwind(struct flow *o)
{
	struct unit *all = NULL, *u;
	enum pacer_class c;

	for (c = PACER_CLASSES; c-- > 0;) {	/* backlog is older */
		while ((u = unit_list_pop(&o->part[c].queue)) != NULL) {
			u->next = all;
			all = u;
		}
		o->part[c].points = 0;
	}
	return all;
}

/* One unit is kept, that which is tried; what there is no room to owe stays, too. */
static void
leave_all_but_one(struct forwarder *f, struct flow *o, enum pacer_class c)
{
	struct unit *newest = unwind(o), *kept = NULL, *u, *next;
	uint32_t points;

	for (u = newest; u; u = next) {
		enum supply_source source = u->source;

		next = u->next;
		points = u->points;
		if (next && !kept && !u->from && supply_put_back(f->supply, &u)) {
			f->ahead[source] -= points;
			continue;
		}
		u->next = kept;
		kept = u;
	}
	for (u = kept; u; u = next) {
		next = u->next;
		unit_list_push(&o->part[c].queue, u);
		o->part[c].points += u->points;
	}
	if (kept)
		kept->busy = true;
}

/* Refused again and again, while others were not. */
static bool
is_hopeless(struct forwarder *f, struct flow *o)
{
	if (o->refused == 0 || f->delivered > o->others)
		o->refused++;
	o->others = f->delivered;
	return o->parked || o->refused >= PARK_AFTER;
}

static void
park(struct forwarder *f, struct flow *o, enum pacer_class c, int64_t wait_ns,
    int http)
{
	int64_t wait = backoff_next(&o->backoff);
	struct unit *first = o->part[c].queue.first;
	char name[300];

	if (wait_ns > wait)
		wait = wait_ns;
	o->probe_at = clock_mono() + wait;
	o->probing = false;
	o->left_in = supply_sweep(f->supply);
	if (!o->parked) {
		o->parked = true;
		show_parked(f, 1);
	} else if (!o->told && first) {
		/* tried once, and not only in bad luck */
		o->told = true;
		log_warn("edge-parked", "upstream=%s edge=%s status=%d "
		    "wait=%.1fs hint=\"refused alone: its data waits and is "
		    "tried now and then, other edges' goes on\"", f->opts.name,
		    log_quote(dict_edge(first->dict), name, sizeof(name)), http,
		    (double)wait / 1e9);
	}
	leave_all_but_one(f, o, c);
}

static void
unpark(struct forwarder *f, struct flow *o, struct bytes edge)
{
	char name[300];

	o->refused = 0;
	if (!o->parked)
		return;
	o->parked = o->probing = false;
	backoff_reset(&o->backoff);
	show_parked(f, -1);
	/* a sweep that is under way may have passed what is the oldest of it */
	o->left_in = supply_sweep(f->supply);
	supply_sweep_again(f->supply);
	if (o->told)
		log_info("edge-resumed", "upstream=%s edge=%s", f->opts.name,
		    log_quote(edge, name, sizeof(name)));
	o->told = false;
}

static void
maybe_probe(struct flow *o, void *arg)
{
	struct forwarder *f = arg;

	if (!o->parked || o->probing || clock_mono() < o->probe_at)
		return;
	o->probing = true;
	flow_settle(&f->flows, o);
}

/* ---- what became of a request ------------------------------------------------------------ */

/* What the lane had is over with, or the part of it that was sent. */
static void
let_go(struct forwarder *f, struct lane *l)
{
	struct flow *o = l->flow;
	struct unit *u;

	if (lane_next_part(l)) {
		lane_put_back(l);
	} else {
		while ((u = unit_list_pop(&l->sending)) != NULL) {
			f->ahead[u->source] -= u->points;
			if (o->part[l->class].alone)
				o->part[l->class].alone--;
			if (u->source == SUPPLY_NONE)
				resend_done(&f->resend, &u);
			else
				supply_done(f->supply, &u);
		}
		l->points = 0;
		l->flow = NULL;
	}
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

	f->delivered++;
	if (l->flow->refused && !l->flow->parked)
		pacer_took_it(&f->pacer, clock_mono());
	unpark(f, l->flow, dict_edge(l->sending.first->dict));
	pacer_taken(&f->pacer, (uint32_t)all, clock_mono());
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

/* Where the upstream took some of several, nobody knows which: all are kept.  What was
 * kept before and cannot be kept again stays where it is. */
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
		if (rejected_keep(f->rejected, u->dict, &part, u->wall_ms,
		    &why) != ST_OK && u->source == SUPPLY_NONE)
			f->resend.stays = true;
	}
}

/* Prometheus, Mimir, Thanos, Cortex: "out of order sample", "out-of-order". */
static bool
says_out_of_order(struct bytes text)
{
	size_t i;

	for (i = 0; i + 12 <= text.n; i++)
		if (memcmp(text.p + i, "out", 3) == 0 &&
		    memcmp(text.p + i + 4, "of", 2) == 0 &&
		    memcmp(text.p + i + 7, "order", 5) == 0)
			return true;
	return false;
}

/* What goes ahead of the backlog makes that out of order. */
static void
look_for_disorder(struct forwarder *f, const struct http_answer *a,
    int64_t samples)
{
	if (f->opts.order != FORWARD_LIVE_FIRST || !says_out_of_order(a->body))
		return;
	metric_group_add(f->metrics, METRIC_UP_DISORDER, samples);
	if (!f->disorder)
		log_warn("upstream-wants-order", "upstream=%s hint=\"it refuses "
		    "samples that are out of order: set order = strict, or have "
		    "it accept them (out_of_order_time_window)\"",
		    f->opts.name);
	f->disorder = true;
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
	look_for_disorder(f, a, all - taken);
	set_aside(f, l, a, all - taken);
	unpark(f, l->flow, dict_edge(l->sending.first->dict));
	let_go(f, l);
}

/* The protocol that was tried is not spoken: the same units in the other one. */
static void
other_protocol(struct forwarder *f, struct lane *l)
{
	metric_group_add(f->metrics, METRIC_UP_RETRIED, 1);
	lane_put_back(l);
	if (f->proto == PAYLOAD_V2) {
		set_protocol(f, PAYLOAD_V1, false);
		if (is_open(f))
			enter(f, FWD_DOWN);
	}
}

/* It may be this edge only that is told to wait: then nobody else is held up. */
static void
later(struct forwarder *f, struct lane *l, enum status st,
    const struct http_answer *a, int64_t retry_after_ns)
{
	struct flow *o = l->flow;
	enum pacer_class c = l->class;

	metric_group_add(f->metrics, METRIC_UP_RETRIED, 1);
	lane_put_back(l);
	if (a && is_hopeless(f, o)) {
		pacer_never_mind(&f->pacer);
		park(f, o, c, retry_after_ns, a->status);
		return;
	}
	if (o->parked)
		park(f, o, c, 0, 0);
	f->away = f->away || !a || (f->state == FWD_DOWN && a->status != 429);
	if (f->state == FWD_DOWN)
		pacer_never_mind(&f->pacer);
	else if (is_open(f) && (st == ST_TIMEOUT || (a && (a->status == 429 ||
	    a->status == 503))))
		pacer_refused(&f->pacer, clock_mono());
	if (st == ST_TIMEOUT && o->refused == 0)
		o->refused = 1;
	hold(f, false, retry_after_ns, st, a);
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
		if (l->sending.n == 1 && lane_halve(l)) {
			metric_group_add(f->metrics, METRIC_UP_RETRIED, 1);
			lane_put_back(l);
		} else {
			refused(f, l, a, &hint);
		}
		answered(f);
		return;
	case VERDICT_OTHER:
		other_protocol(f, l);
		return;
	case VERDICT_LATER:
		later(f, l, st, a, hint.retry_after_ns);
		return;
	case VERDICT_HELD:
		metric_group_add(f->metrics, METRIC_UP_RETRIED, 1);
		lane_put_back(l);
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
	struct flow *o = l->flow;

	l->exchange = NULL;
	o->part[l->class].busy = false;
	if (f->probe == l)
		f->probe = NULL;
	metric_group_add(f->metrics, METRIC_UP_IN_FLIGHT, -1);
	metric_group_observe(f->metrics, METRIC_UP_SEND_SECONDS,
	    clock_mono() - l->sent_at);
	judge(f, l, st, a);
	flow_settle(&f->flows, o);
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

/* The next request of the flow, whose turn it is.  False: nothing more can be sent now. */
static bool
start(struct forwarder *f, struct lane *l, struct flow *o, enum pacer_class c)
{
	struct flow_part *p = &o->part[c];
	enum status st = lane_build(l, &f->tools, f->proto, o, c,
	    o->parked ? 1 : pacer_most(&f->pacer, c, f->opts.max_samples));
	int64_t n;

	if (st == ST_OK && l->body.len == 0) {
		/* no words for it in this protocol: counted as loss */
		let_go(f, l);
		flow_settle(&f->flows, o);
		return true;
	}
	if (st == ST_OK) {
		st = send_request(f, l);
		if (st != ST_OK)
			lane_put_back(l);
	}
	if (st != ST_OK) {
		flow_settle(&f->flows, o);
		hold(f, false, -1, st, NULL);
		return false;
	}
	n = sum(l->counts);
	flow_spent(o, c, (uint32_t)n);
	pacer_sent(&f->pacer, c, (uint32_t)n, l->body.len, clock_mono());
	p->busy = true;
	flow_settle(&f->flows, o);
	if (f->state == FWD_DOWN)
		f->probe = l;
	return true;
}

/* Where live data goes first, backlog does not take the last lane. */
static struct lane *
free_lane(struct forwarder *f, enum pacer_class c)
{
	struct lane *found = NULL;
	unsigned i, n = 0;

	for (i = 0; i < f->n_lanes; i++) {
		if (f->lane[i].flow)
			continue;
		found = &f->lane[i];
		n++;
	}
	return c == PACER_BACKLOG && f->opts.order == FORWARD_LIVE_FIRST &&
	    n == 1 && f->n_lanes > 1 ? NULL : found;
}

static bool
may_send(const struct forwarder *f)
{
	return !f->paused && (is_open(f) || (f->state == FWD_DOWN && !f->probe));
}

/* Nanoseconds until the class may go on, 0: it has nothing, or waits for an answer. */
static int64_t
start_class(struct forwarder *f, enum pacer_class c)
{
	struct lane *l;
	int64_t wait;

	while (may_send(f) && flows_has(&f->flows, c) &&
	    (l = free_lane(f, c)) != NULL) {
		wait = pacer_wait(&f->pacer, c, clock_mono());
		if (wait > 0)
			return wait;
		if (!start(f, l, flows_next(&f->flows, c,
		    f->state == FWD_DOWN), c))
			return 0;
	}
	return 0;
}

static void
start_lanes(struct forwarder *f)
{
	int64_t live, backlog;

	maybe_reprobe(f);
	live = start_class(f, PACER_LIVE);
	backlog = start_class(f, PACER_BACKLOG);
	if (live > 0 && (backlog == 0 || live < backlog))
		backlog = live;
	if (backlog > 0)
		loop_timer_start(f->pace, backlog);
	else
		loop_timer_stop(f->pace);
	if (is_open(f))
		enter_open(f);
	if (f->state == FWD_LIVE && !supply_owes(f->supply))
		pacer_no_backlog(&f->pacer);
}

static void
pace_due(void *arg)
{
	pump(arg);
}

/* ---- reading ------------------------------------------------------------------------------- */

/* How many points may be out of a source. */
static uint32_t
room_of(const struct forwarder *f)
{
	uint32_t all = f->opts.read_ahead_samples;

	return f->ahead[SUPPLY_REST] > 0 || supply_owes(f->supply) ?
	    (all + 1) / 2 : all;
}

static uint32_t
points_of(const struct forwarder *f, const struct flow *o,
    enum supply_source source)
{
	if (f->opts.order == FORWARD_STRICT)
		return flow_points(o);
	return o->part[source == SUPPLY_LOG ? PACER_LIVE :
	    PACER_BACKLOG].points;
}

struct who {
	const struct forwarder *f;
	int64_t since_ms;
};

static bool
is_hungry(const struct flow *o, void *arg)
{
	const struct who *w = arg;

	return !o->parked && o->seen_ms >= w->since_ms &&
	    points_of(w->f, o, SUPPLY_LOG) == 0 &&
	    !(w->f->opts.order == FORWARD_STRICT &&
	    supply_owes_edge(w->f->supply, o->edge));
}

static bool
is_hungry_for_rest(void *arg, uint64_t edge)
{
	struct who *w = arg;
	const struct flow *o;

	if (edge == 0)		/* of anybody's */
		return flows_any(&w->f->flows, is_hungry, w);
	o = flows_find(&w->f->flows, edge);
	return !o || (!o->parked && points_of(w->f, o, SUPPLY_REST) == 0);
}

/* Whether others could have what is behind this record, while its edge has enough. */
static bool
others_are_hungry(struct forwarder *f, enum supply_source source,
    int64_t wall_ms)
{
	struct who w = { f, wall_ms - HUNGRY_MS };
	bool some;

	if (f->hungry[source] == HUNGRY_UNKNOWN) {
		some = source == SUPPLY_LOG ?
		    flows_any(&f->flows, is_hungry, &w) :
		    supply_owes_any(f->supply, is_hungry_for_rest, &w);
		f->hungry[source] = some ? HUNGRY_SOME : HUNGRY_NOBODY;
	}
	return f->hungry[source] == HUNGRY_SOME;
}

static enum supply_word
wants(void *arg, enum supply_source source, uint64_t edge, int64_t wall_ms)
{
	struct forwarder *f = arg;
	struct flow *o = flows_get(&f->flows, edge);
	uint32_t room = room_of(f), ahead = f->ahead[source];
	uint32_t sweep = supply_sweep(f->supply);

	if (!o)
		return SUPPLY_WAIT;
	o->used_at = loop_now(f->loop);
	o->seen_ms = wall_ms;
	if (o->parked || (source == SUPPLY_REST && o->left_in == sweep)) {
		o->left_in = sweep;
		return SUPPLY_LEAVE;
	}
	if (ahead >= room)
		return SUPPLY_WAIT;
	if (ahead < room / 2 || points_of(f, o, source) < room / f->flows.n)
		return SUPPLY_TAKE;
	if (!others_are_hungry(f, source, wall_ms))
		return SUPPLY_WAIT;
	if (source == SUPPLY_REST)
		o->left_in = sweep;
	return SUPPLY_LEAVE;
}

static void
saw(void *arg, enum supply_source source, uint64_t points, int64_t wall_ms)
{
	struct forwarder *f = arg;

	pacer_saw(&f->pacer, source == SUPPLY_LOG ? PACER_LIVE : PACER_BACKLOG,
	    points, wall_ms);
}

static bool
is_left(void *arg, uint64_t edge)
{
	struct forwarder *f = arg;
	const struct flow *o = flows_find(&f->flows, edge);

	return o && (o->parked || o->left_in == supply_sweep(f->supply));
}

static bool
is_old(const struct forwarder *f, const struct unit *u)
{
	return clock_wall() / CLOCK_MS - u->wall_ms >
	    f->opts.live_window_ns / CLOCK_MS;
}

static enum pacer_class
class_of(const struct forwarder *f, const struct unit *u)
{
	if (u->source == SUPPLY_REST)
		return PACER_BACKLOG;
	return f->opts.order == FORWARD_STRICT && is_old(f, u) ?
	    PACER_BACKLOG : PACER_LIVE;
}

/* In strict order what has waited for too long becomes backlog. */
static void
grow_old(struct flow *o, void *arg)
{
	struct flow_part *p = &o->part[PACER_LIVE];
	struct forwarder *f = arg;
	struct unit *u;

	while ((u = p->queue.first) != NULL && is_old(f, u)) {
		p->points -= u->points;
		flow_push(&f->flows, o, PACER_BACKLOG,
		    unit_list_pop(&p->queue));
	}
}

static uint32_t
weight_of(const struct forwarder *f, struct bytes edge)
{
	char name[EDGE_NAME_MAX + 1];
	size_t i;

	if (edge.n > EDGE_NAME_MAX)
		return 1;
	if (edge.n)
		memcpy(name, edge.p, edge.n);
	name[edge.n] = '\0';
	for (i = 0; i < f->opts.n_weights; i++)
		if (fnmatch(f->opts.weights[i].pattern, name, 0) == 0)
			return f->opts.weights[i].weight;
	return 1;
}

/* In strict order what waits already is older than this. */
static void
queue(struct forwarder *f, struct unit *u)
{
	struct flow *o = flows_find(&f->flows, u->edge);
	enum pacer_class c = class_of(f, u);
	struct unit *older;

	f->ahead[u->source] += u->points;
	if (o->weight == 0)
		o->weight = weight_of(f, dict_edge(u->dict));
	if (c == PACER_BACKLOG && f->opts.order == FORWARD_STRICT) {
		o->part[PACER_LIVE].points = 0;
		while ((older = unit_list_pop(&o->part[PACER_LIVE].queue)) !=
		    NULL)
			flow_push(&f->flows, o, PACER_BACKLOG, older);
	}
	flow_push(&f->flows, o, c, u);
}

/* True: there may be more, in another turn. */
static bool
read_from(struct forwarder *f, enum supply_source source)
{
	struct unit *u;
	enum status st = ST_OK;
	int i;

	for (i = 0; i < READ_A_TURN; i++) {
		st = supply_next(f->supply, source, &u);
		if (st != ST_OK)
			break;
		queue(f, u);
	}
	if (source == SUPPLY_LOG)
		f->caught_up = st == ST_END;
	return i == READ_A_TURN || supply_has_more(f->supply);
}

static void
go_on(struct loop_msg *m)
{
	struct forwarder *f = container_of(m, struct forwarder, more);

	f->more_posted = false;
	pump(f);
}

static void
read_on(struct forwarder *f)
{
	bool more;

	f->hungry[SUPPLY_LOG] = f->hungry[SUPPLY_REST] = HUNGRY_UNKNOWN;
	/* whoever had enough has not any more */
	if (f->ahead[SUPPLY_REST] < room_of(f) / 4)
		supply_sweep_again(f->supply);
	more = read_from(f, SUPPLY_LOG);
	more |= read_from(f, SUPPLY_REST);
	if (more && !f->more_posted) {
		f->more_posted = true;
		loop_post(f->loop, &f->more, go_on);
	}
}

/* ---- once more, by order -------------------------------------------------------------------------- */

static void
resend(struct forwarder *f)
{
	struct unit *u = f->draining ? NULL : resend_next(&f->resend);

	if (!u)
		return;
	f->ahead[SUPPLY_NONE] += u->points;
	flow_push(&f->flows, &f->resend.flow, PACER_BACKLOG, u);
}

/* ---- live data first --------------------------------------------------------------------------- */

struct pile {
	struct forwarder *f;
	struct unit *first;
};

/* All that has not begun to go. */
static void
pile_up(struct flow *o, void *arg)
{
	struct flow_part *p = &o->part[PACER_LIVE];
	struct pile *pile = arg;
	struct unit *u;

	if (o->parked || (p->queue.first && p->queue.first->from))
		return;
	while ((u = unit_list_pop(&p->queue)) != NULL) {
		p->points -= u->points;
		pile->f->ahead[u->source] -= u->points;
		u->next = pile->first;
		pile->first = u;
	}
	p->alone = 0;
	flow_settle(&pile->f->flows, o);
}

/* Every queue was turned round as it came onto the pile. */
static void
pile_back(struct pile *pile)
{
	struct forwarder *f = pile->f;
	struct unit *u;
	struct unit_list one;
	struct flow *o;

	while ((u = pile->first) != NULL) {
		pile->first = u->next;
		o = flows_find(&f->flows, u->edge);
		unit_list_init(&one);
		unit_list_push(&one, u);
		unit_list_put_first(&o->part[PACER_LIVE].queue, &one);
		o->part[PACER_LIVE].points += u->points;
		f->ahead[u->source] += u->points;
		flow_settle(&f->flows, o);
	}
}

/* What waits already is older than the live window, so it is backlog.  Where live data goes
 * first that is so with all that has not been read yet, and what comes from now on goes at
 * once. */
static void
jump(struct forwarder *f)
{
	struct pile pile = { f, NULL };
	int64_t lag = supply_log_lag_ms(f->supply, clock_wall() / CLOCK_MS);

	if (!is_open(f) || lag <= f->opts.live_window_ns / CLOCK_MS)
		return;
	if (f->opts.order == FORWARD_STRICT) {
		if (flows_has(&f->flows, PACER_LIVE))
			flows_each(&f->flows, grow_old, f);
		return;
	}
	flows_each(&f->flows, pile_up, &pile);
	if (!supply_put_back_all(f->supply, pile.first)) {
		pile_back(&pile);
		return;
	}
	(void)supply_jump(f->supply);
	log_info("upstream-jumps", "upstream=%s lag=%.1fs", f->opts.name,
	    (double)lag / 1e3);
	read_on(f);
}

/* ---- all together ----------------------------------------------------------------------------- */

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

/* Everything that can go on, goes on. */
static void
pump(struct forwarder *f)
{
	uint32_t ahead;

	if (f->stopped)
		return;
	read_on(f);
	jump(f);
	resend(f);
	start_lanes(f);
	ahead = f->ahead[SUPPLY_LOG] + f->ahead[SUPPLY_REST];
	metric_group_set(f->metrics, METRIC_UP_READ_AHEAD, ahead);
	atomic_store(&f->drained, f->caught_up && ahead == 0 &&
	    !supply_owes(f->supply));
	/* what waits for better times waits in the log */
	if (f->draining && idle(f) && !f->more_posted)
		stop(f);
}

static void
woken(void *arg)
{
	pump(arg);
}

/* Whose flow must not be forgotten while something of it is left. */
static bool
touch(void *arg, uint64_t edge)
{
	struct forwarder *f = arg;
	struct flow *o = flows_find(&f->flows, edge);

	if (o)
		o->used_at = loop_now(f->loop);
	return false;
}

static void
show_backlog(struct forwarder *f, int64_t now)
{
	int64_t lag = supply_lag_ms(f->supply, clock_wall() / CLOCK_MS);
	int64_t bytes = (int64_t)supply_backlog(f->supply);

	metric_group_set(f->metrics, METRIC_UP_LAG_MS, lag);
	metric_group_set(f->metrics, METRIC_UP_BACKLOG_BYTES, bytes);
	trend_put(&f->backlog, bytes, now);
	metric_group_set(f->metrics, METRIC_UP_CATCH_UP_MS,
	    lag <= f->opts.live_window_ns / CLOCK_MS ? 0 :
	    trend_ms(bytes, -trend_rate(&f->backlog)));
}

static void
sync_due(void *arg)
{
	struct forwarder *f = arg;
	int64_t now = clock_mono();

	supply_sync(f->supply);
	flows_each(&f->flows, maybe_probe, f);
	maybe_probe(&f->resend.flow, f);
	(void)supply_owes_any(f->supply, touch, f);
	flows_sweep(&f->flows, now - FLOW_IDLE_NS);
	metric_group_set(f->metrics, METRIC_UP_CEILING,
	    (int64_t)pacer_ceiling(&f->pacer));
	show_backlog(f, now);
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

static void
obey(struct loop_msg *m)
{
	struct forward_command *o = container_of(m, struct forward_command, msg);
	struct forwarder *f = o->forwarder;
	struct resend_sums sums = { 0, 0 };

	switch (o->what) {
	case FORWARD_RESEND:
		o->status = resend_order(&f->resend, o->entry, &sums);
		break;
	case FORWARD_GIVE_UP:
		o->status = resend_drop(&f->resend, o->entry, &sums);
		break;
	}
	o->entries = sums.entries;
	o->samples = sums.samples;
	o->done(o);
	pump(f);
}

void
forwarder_command(struct forwarder *f, struct forward_command *o)
{
	o->forwarder = f;
	loop_post(f->loop, &o->msg, obey);
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
		st = loop_timer_new(f->loop, pace_due, f, &f->pace);
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
		.strict = f->opts.order == FORWARD_STRICT,
		.route = f->opts.route,
		.policy = { wants, saw, is_left, woken, f },
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
		.tls = f->opts.tls,
	};
	enum status st = ST_OK;

	f->metrics = metric_group_new(METRIC_SCOPE_UPSTREAM,
	    bytes_str(f->opts.name));
	f->tools.v1 = v1_builder_new();
	f->tools.v2 = v2_builder_new();
	if (f->opts.relaxed) {
		f->tools.regroup = regroup_new();
		if (!f->tools.regroup)
			return ST_NO_MEMORY;
	}
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
		st = supply_new(&so, spool, disk, f->loop, f->metrics,
		    &f->supply);
	if (st == ST_OK)
		st = rejected_new(&ro, f->metrics, &f->rejected);
	resend_init(&f->resend, f->opts.name, f->rejected, f->metrics);
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
	f->tools.max_bytes = o->max_bytes;
	f->tools.most_bytes = o->most_bytes ? o->most_bytes : MOST_BYTES;
	f->backoff.seed = (uint64_t)clock_mono() | 1;
	flows_init(&f->flows, o->order == FORWARD_STRICT);
	pacer_init(&f->pacer, &o->pace, clock_mono());
	for (i = 0; i < o->lanes; i++)
		lane_init(&f->lane[i], f, o->order == FORWARD_STRICT);
	st = make_parts(f, spool, disk, directory);
	if (st != ST_OK) {
		forwarder_free(&f);
		return st;
	}
	f->proto = o->protocol == FORWARD_V1 ? PAYLOAD_V1 : PAYLOAD_V2;
	f->state = FWD_DOWN;
	if (o->protocol != FORWARD_AUTO) {
		set_protocol(f, f->proto, true);
		enter(f, FWD_LIVE);
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
	resend_fini(&f->resend);
	rejected_free(&f->rejected);
	v1_builder_free(&f->tools.v1);
	v2_builder_free(&f->tools.v2);
	regroup_free(&f->tools.regroup);
	loop_timer_free(&f->gate);
	loop_timer_free(&f->sync);
	loop_timer_free(&f->stop_at);
	loop_timer_free(&f->pace);
	flows_fini(&f->flows);
	metric_group_free(&f->metrics);
	free(f->headers);
	free(f);
}
