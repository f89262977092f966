/* outcome.c - what became of a request, and of an edge that is refused alone.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What failed goes back to the head of its edge's queue, and other edges' turns come
 * first.  An edge that is refused again and again while others are not is parked: a single
 * request of it is kept, and tried now and then; all else of it is left in the log.  */
#include "forward/forwarder_priv.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "forward/verdict.h"

#define PARK_AFTER 3			/* refusals in a row, while others pass */
#define CHANCE 0.01			/* at most, that it was only its turn */
#define REFUSALS_OF 32			/* requests, about */

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

/* What waits of it is owed from now on, the newest first; but what there is no room to
 * owe is kept, and with `but_one` the oldest.  Those, the oldest first. */
static struct unit *
give_back(struct forwarder *f, struct flow *o, bool but_one)
{
	struct unit *kept = NULL, *u, *next;
	uint32_t points;

	for (u = unwind(o); u; u = next) {
		enum supply_source source = u->source;

		next = u->next;
		points = points_ahead(u);
		if ((next || !but_one) && !kept && !u->from &&
		    supply_put_back(f->supply, &u)) {
			f->ahead[source] -= points;
			continue;
		}
		u->next = kept;
		kept = u;
	}
	return kept;
}

/* One unit is kept, that which is tried. */
static void
leave_all_but_one(struct forwarder *f, struct flow *o, enum pacer_class c)
{
	struct unit *u, *next;

	for (u = give_back(f, o, true); u; u = next) {
		next = u->next;
		/* or edges that are parked would leave no room for others */
		f->ahead[u->source] -= points_ahead(u);
		u->kept = u->busy = true;
		unit_list_push(&o->part[c].queue, u);
		o->part[c].points += u->points;
	}
}

static void
note_refusals(struct forwarder *f, bool refused)
{
	f->refusals += (refused - f->refusals) / REFUSALS_OF;
}

/* Refused again and again, while others were not; and not by chance, as it may be by an
 * upstream that refuses many, of whomever. */
static bool
is_hopeless(struct forwarder *f, struct flow *o)
{
	double chance = 1;
	unsigned i;

	if (o->refused == 0 || f->delivered > o->others)
		o->refused++;
	o->others = f->delivered;
	for (i = 0; i < o->refused && chance > CHANCE; i++)
		chance *= f->refusals;
	return o->parked || (o->refused >= PARK_AFTER && chance <= CHANCE);
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
	} else if (!o->told) {
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
go_on_with(struct forwarder *f, struct flow *o)
{
	o->parked = o->probing = false;
	backoff_reset(&o->backoff);
	show_parked(f, -1);
	/* a sweep that is under way may have passed what is the oldest of it */
	o->left_in = supply_sweep(f->supply);
	supply_sweep_again(f->supply);
}

static void
unpark(struct forwarder *f, struct flow *o, struct bytes edge)
{
	char name[300];

	if (o->parked)
		go_on_with(f, o);
	o->refused = 0;
	if (o->told)
		log_info("edge-resumed", "upstream=%s edge=%s", f->opts.name,
		    log_quote(edge, name, sizeof(name)));
	o->told = false;
}

void
outcome_try_parked(struct flow *o, void *arg)
{
	struct forwarder *f = arg;

	if (!o->parked || o->probing || clock_mono() < o->probe_at)
		return;
	o->probing = true;
	flow_settle(&f->flows, o);
}

/* What stays out has nothing newer behind it that does not. */
void
outcome_take_back(struct flow *o, void *arg)
{
	struct forwarder *f = arg;
	struct unit *u, *next;

	for (u = give_back(f, o, false); u; u = next) {
		next = u->next;
		unit_list_push(&o->part[PACER_BACKLOG].queue, u);
		o->part[PACER_BACKLOG].points += u->points;
	}
	o->part[PACER_LIVE].alone = o->part[PACER_BACKLOG].alone = 0;
	/* if it is still refused it is parked with the next */
	if (o->parked && flow_is_empty(o)) {
		o->parked = o->probing = o->told = false;
		o->refused = PARK_AFTER - 1;
		show_parked(f, -1);
	}
	flow_settle(&f->flows, o);
}

/* ---- what became of a request ------------------------------------------------------------ */

/* What the lane had is over with, or the part of it that was sent. */
void
outcome_let_go(struct forwarder *f, struct lane *l)
{
	struct flow *o = l->flow;
	struct unit *u;

	if (lane_next_part(l)) {
		lane_put_back(l);
	} else {
		while ((u = unit_list_pop(&l->sending)) != NULL) {
			f->ahead[u->source] -= points_ahead(u);
			if (o->part[l->class].alone)
				o->part[l->class].alone--;
			if (u->source == SUPPLY_NONE)
				resend_done(&f->resend, &u);
			else
				supply_done(f->supply, &u);
		}
		l->points = 0;
		l->flow = NULL;
		/* what it was tried with had no words in this protocol */
		if (o->parked && flow_is_empty(o))
			go_on_with(f, o);
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

/* With 2.0 the upstream says how many it has; on success a smaller number is its
 * loss, to be seen and not to be sent again. */
static void
delivered(struct forwarder *f, struct lane *l, const struct verdict_hint *hint)
{
	int64_t all = points_of_counts(l->counts), taken = all;

	f->delivered++;
	note_refusals(f, false);
	if (l->flow->refused && !l->flow->parked)
		pacer_took_it(&f->pacer, clock_mono());
	unpark(f, l->flow, dict_edge(l->sending.first->dict));
	pacer_taken(&f->pacer, (uint32_t)all, clock_mono());
	if (l->form.proto == PAYLOAD_V2 && points_of_counts(hint->written) < all)
		taken = points_of_counts(hint->written);
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
	if (!f->proven && same_form(l->form, f->form))
		gate_set_form(f, l->form, true);
	outcome_let_go(f, l);
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
	char text[FORWARDER_EXCERPT + 8], name[300];
	int64_t all = points_of_counts(l->counts), taken = 0;

	/* 2.0 partial write: what it says it has written is delivered */
	if (l->form.proto == PAYLOAD_V2 && hint->has_written)
		taken = points_of_counts(hint->written) < all ? points_of_counts(hint->written) : all;
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
	    a->body.n < FORWARDER_EXCERPT ? a->body.n : FORWARDER_EXCERPT), text, sizeof(text)));
	look_for_disorder(f, a, all - taken);
	set_aside(f, l, a, all - taken);
	unpark(f, l->flow, dict_edge(l->sending.first->dict));
	outcome_let_go(f, l);
}

/* What was tried is not understood: the same units in another form. */
static void
other_form(struct forwarder *f, struct lane *l)
{
	metric_group_add(f->metrics, METRIC_UP_RETRIED, 1);
	lane_put_back(l);
	if (same_form(l->form, f->form)) {
		gate_set_form(f, gate_next_form(f, l->form), false);
		if (gate_is_open(f))
			gate_enter(f, FWD_DOWN);
	}
}

/* What the lane has put back stands there, which may have become backlog meanwhile. */
static enum pacer_class
where_it_is(const struct flow *o, enum pacer_class c)
{
	return o->part[c].queue.first ? c : PACER_BACKLOG;
}

/* Refused by an upstream that has understood zstd before: it is the data, most likely,
 * but if it was put in another's place only snappy shows which. */
static void
plainly(struct forwarder *f, struct lane *l)
{
	struct flow *o = l->flow;

	metric_group_add(f->metrics, METRIC_UP_RETRIED, 1);
	lane_put_back(l);
	o->part[where_it_is(o, l->class)].plain = true;
}

/* That has shown it. */
static void
look_at_plain(struct forwarder *f, const struct lane *l, enum verdict v)
{
	struct flow_part *p = &l->flow->part[l->class];

	if (!p->plain || l->form.coding != PAYLOAD_SNAPPY ||
	    v == VERDICT_LATER || v == VERDICT_HELD)
		return;
	p->plain = false;
	if (v == VERDICT_DELIVERED && f->proven &&
	    f->form.coding == PAYLOAD_ZSTD)
		gate_set_form(f, l->form, true);
}

/* It may be this edge only that is told to wait: then nobody else is held up. */
static void
later(struct forwarder *f, struct lane *l, enum status st,
    const struct http_answer *a, int64_t retry_after_ns)
{
	struct flow *o = l->flow;
	enum pacer_class c = l->class;
	bool away;

	metric_group_add(f->metrics, METRIC_UP_RETRIED, 1);
	lane_put_back(l);
	c = where_it_is(o, c);
	if (a && !o->parked)
		note_refusals(f, true);
	if (a && is_hopeless(f, o)) {
		pacer_never_mind(&f->pacer);
		park(f, o, c, retry_after_ns, a->status);
		return;
	}
	if (o->parked)
		park(f, o, c, 0, 0);
	/* one that limits may well do so twice in a row */
	away = !a || (f->state == FWD_DOWN && a->status != 429);
	f->away = f->away || away;
	if (f->state == FWD_DOWN && away)
		pacer_never_mind(&f->pacer);
	else if (gate_is_open(f) && (st == ST_TIMEOUT || (a && (a->status == 429 ||
	    a->status == 503))))
		pacer_refused(&f->pacer, clock_mono());
	if (st == ST_TIMEOUT && o->refused == 0)
		o->refused = 1;
	gate_hold(f, false, retry_after_ns, st, a);
}

/* Written headers show that 2.0 is spoken.  Refused in 1.0 after 2.0 was not
 * understood either, the data may be at fault and nothing is known yet; nor of zstd. */
static void
learn_from_refusal(struct forwarder *f, const struct lane *l,
    const struct verdict_hint *hint)
{
	if (f->proven)
		return;
	if (l->form.proto == PAYLOAD_V2 && hint->has_written)
		gate_set_form(f, l->form, true);
	else
		f->form = gate_first_form(f);
}

/* 401 to what is shown no more says nothing; else whether another may help. */
static bool
shows_another(struct forwarder *f, const struct lane *l,
    const struct http_answer *a)
{
	if (a && a->status == 401)
		return credential_refused(f->credential, l->shown);
	if (a)
		credential_taken(f->credential, l->shown);
	return false;
}

static void
judge(struct forwarder *f, struct lane *l, enum status st,
    const struct http_answer *a)
{
	struct verdict_case c = {
		.sent = l->form,
		.may_change = f->opts.protocol == FORWARD_AUTO,
		.proven = f->proven && same_form(f->form, l->form),
		.drop_misconfig = f->opts.on_misconfig == FORWARD_DROP,
		.wall_ns = clock_wall(),
	};
	struct verdict_hint hint;
	enum verdict v = verdict_of(st, a, &c, &hint);

	if (v != VERDICT_DELIVERED && l->form.proto == PAYLOAD_V1)
		v1_forget_sent(f->tools.v1);
	look_at_plain(f, l, v);
	if (shows_another(f, l, a)) {
		metric_group_add(f->metrics, METRIC_UP_RETRIED, 1);
		lane_put_back(l);
		return;
	}
	switch (v) {
	case VERDICT_DELIVERED:
		delivered(f, l, &hint);
		gate_answered(f);
		return;
	case VERDICT_REFUSED:
		learn_from_refusal(f, l, &hint);
		refused(f, l, a, &hint);
		gate_answered(f);
		return;
	case VERDICT_SPLIT:
		if (l->sending.n == 1 && lane_halve(l)) {
			metric_group_add(f->metrics, METRIC_UP_RETRIED, 1);
			lane_put_back(l);
		} else {
			refused(f, l, a, &hint);
		}
		gate_answered(f);
		return;
	case VERDICT_OTHER:
		other_form(f, l);
		return;
	case VERDICT_PLAIN:
		plainly(f, l);
		return;
	case VERDICT_LATER:
		later(f, l, st, a, hint.retry_after_ns);
		return;
	case VERDICT_HELD:
		metric_group_add(f->metrics, METRIC_UP_RETRIED, 1);
		lane_put_back(l);
		/* none is understood, or the last not any more */
		if (a->status == 415 && forwarder_may_change(f) &&
		    same_form(f->form, l->form))
			gate_set_form(f, gate_first_form(f), false);
		gate_hold(f, true, hint.retry_after_ns, st, a);
		return;
	}
}

void
outcome_came(enum status st, const struct http_answer *a, void *arg)
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
	forwarder_go_on(f);
}
