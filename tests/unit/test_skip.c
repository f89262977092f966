/* test_skip.c - what is given up by order, that and nothing else.
 * SPDX-License-Identifier: Apache-2.0
 *
 * RW_SWEEP: thousands of random schedules; RW_SEED is the one to run.       */
#include "unit/uprig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/metric.h"
#include "series/codec.h"
#include "spool/ledger.h"

#define WINDOWS 8

/* When each request was put, and what was ordered. */
struct history {
	int64_t at_ms[EDGES_ALL][REQUESTS];
	struct window {
		int64_t from_ms, to_ms, ordered_ms;
	} windows[WINDOWS];
	unsigned n;
};

static struct history *history;

static struct rig *
rig_with(enum forward_order order, enum forward_protocol p)
{
	struct rig *g = rig_new(1, p);

	rig_stop(g);
	g->opts[0].order = order;
	g->spool_opts.segment_bytes = 4 << 10;
	g->spool_opts.edge_of = codec_edge;
	rig_start(g);
	memset(history, 0, sizeof(*history));
	return g;
}

static void
note(struct rig *g, int e)
{
	history->at_ms[e][g->stored[e]] = clock_wall() / CLOCK_MS;
	put(g, e);
}

static void
live(struct rig *g, int seconds)
{
	int i, e;

	for (i = 0; i < seconds; i++)
		for (e = 0; e < EDGES_ALL; e++) {
			note(g, e);
			fake_pass(CLOCK_S / EDGES_ALL);
		}
}

static void
obeyed(struct forward_command *o)
{
	o->forwarder = NULL;
}

static struct forward_command
give_up(struct rig *g, int64_t from_ms, int64_t to_ms)
{
	struct forward_command o = { .what = FORWARD_SKIP, .from_ms = from_ms,
		.to_ms = to_ms, .done = obeyed };

	history->windows[history->n++] = (struct window){ from_ms, to_ms,
		clock_wall() / CLOCK_MS };
	forwarder_command(g->forwarder[0], &o);
	fake_settle();
	assert_null(o.forwarder);
	return o;
}

static int64_t
ms(void)
{
	return clock_wall() / CLOCK_MS;
}

/* ---- what the ledger has ---------------------------------------------------------------- */

struct told {
	uint64_t all, of[EDGES_ALL];
};

static void
each_gap(const struct ledger_gap *g, void *arg)
{
	struct told *t = arg;

	assert_string_equal(g->upstream, "one");
	assert_int_equal(g->reason, ST_SKIPPED);
	t->all += g->samples;
	t->of[atoi(g->edge)] += g->samples;
}

static struct told
told(struct rig *g)
{
	struct told t = { 0 };

	(void)ledger_read(disk_ram_ops(g->disk), "/spool", each_gap, &t);
	return t;
}

static bool
was_skipped(int e, int n)
{
	unsigned i;

	for (i = 0; i < history->n; i++) {
		const struct window *w = &history->windows[i];
		int64_t at = history->at_ms[e][n];

		if (at >= w->from_ms && at < w->to_ms && at <= w->ordered_ms)
			return true;
	}
	return false;
}

/* What did not come was to be skipped, and is in the ledger, edge by edge; exactly, if
 * nothing was killed in between. */
static unsigned
check_skipped(struct rig *g, bool exactly)
{
	struct receiver *r = &g->receiver[0];
	struct told t = told(g);
	unsigned all = 0;
	int e, n;

	for (e = 0; e < EDGES_ALL; e++) {
		uint64_t missing = 0;

		for (n = 0; n < g->stored[e]; n++) {
			if (r->came[e][n])
				continue;
			if (!was_skipped(e, n))
				fail_msg("edge %d lost %d", e, n);
			missing += g->points;
		}
		if (exactly ? t.of[e] != missing : t.of[e] < missing)
			fail_msg("edge %d: %llu missing, %llu told", e,
			    (unsigned long long)missing,
			    (unsigned long long)t.of[e]);
		all += (unsigned)missing;
	}
	return all;
}

/* ---- tests -------------------------------------------------------------------------------- */

static void
a_time_of_it_is_given_up(void **state)
{
	static const enum forward_protocol p[] = { FORWARD_V1, FORWARD_V2 };
	unsigned i, requests;

	(void)state;
	for (i = 0; i < 4; i++) {
		struct rig *g = rig_with(i < 2 ? FORWARD_STRICT :
		    FORWARD_LIVE_FIRST, p[i % 2]);
		struct receiver *r = &g->receiver[0];
		struct forward_command o;
		int64_t from, to;

		live(g, 20);
		r->http = 503;
		live(g, 40);
		from = ms();
		live(g, 50);
		to = ms();
		live(g, 40);
		o = give_up(g, from, to);
		assert_int_equal(o.status, ST_OK);
		assert_int_equal(o.samples, 50 * EDGES_ALL * POINTS);
		assert_int_equal(told(g).all, o.samples);
		live(g, 10);
		/* twice is once; nothing is owed of what was delivered */
		assert_int_equal(give_up(g, from, to).samples, 0);
		assert_int_equal(give_up(g, 0, 1).samples, 0);
		rig_stop(g);
		rig_start(g);
		r->http = 0;
		live(g, 10);
		fake_pass(300 * CLOCK_S);
		assert_true(forwarder_is_drained(g->forwarder[0]));
		assert_int_equal(check_skipped(g, true),
		    50 * EDGES_ALL * POINTS);
		if (i < 2)
			assert_int_equal(r->overtaken, 0);
		/* and then there is nothing */
		requests = r->requests;
		assert_int_equal(give_up(g, 0, INT64_MAX).samples, 0);
		fake_pass(60 * CLOCK_S);
		assert_int_equal(r->requests, requests);
		rig_free(g);
	}
}

/* What was read already and waits; what is in flight is not recalled.  The room is there
 * at once. */
static void
all_of_it_is_given_up(void **state)
{
	enum forward_order order;

	(void)state;
	for (order = FORWARD_STRICT; order <= FORWARD_LIVE_FIRST; order++) {
		struct rig *g = rig_with(order, FORWARD_V1);
		struct receiver *r = &g->receiver[0];
		struct forward_command o;

		live(g, 5);
		r->http = 503;
		live(g, 60);
		forwarder_pause(g->forwarder[0], true);
		fake_pass(60 * CLOCK_S);	/* nothing is in flight */
		assert_true(metric_read(METRIC_SPOOL_SEGMENTS) > 4);
		o = give_up(g, 0, ms() + 1);
		assert_int_equal(o.samples, 60 * EDGES_ALL * POINTS);
		fake_pass(5 * CLOCK_S);
		assert_true(metric_read(METRIC_SPOOL_SEGMENTS) <= 2);
		assert_true(forwarder_is_drained(g->forwarder[0]));
		r->http = 0;
		forwarder_pause(g->forwarder[0], false);
		live(g, 20);
		fake_pass(5 * CLOCK_S);
		assert_int_equal(check_skipped(g, true),
		    60 * EDGES_ALL * POINTS);
		rig_free(g);
	}
}

/* An edge that is parked is not any more, if nothing of it is left. */
static void
a_parked_edge_can_go_on(void **state)
{
	enum forward_order order;

	(void)state;
	for (order = FORWARD_STRICT; order <= FORWARD_LIVE_FIRST; order++) {
		struct rig *g = rig_with(order, FORWARD_V1);
		struct receiver *r = &g->receiver[0];

		live(g, 5);
		r->refused_edge = 2;
		live(g, 60);
		fake_pass(CLOCK_S);
		assert_true(give_up(g, 0, ms() + 1).samples >=
		    50 * POINTS);
		live(g, 20);
		assert_int_equal(r->came[2][g->stored[2] - 1], 0);
		r->refused_edge = -1;
		live(g, 20);
		fake_pass(600 * CLOCK_S);
		assert_true(forwarder_is_drained(g->forwarder[0]));
		(void)check_skipped(g, true);
		assert_int_equal(r->came[2][g->stored[2] - 21], 1);
		rig_free(g);
	}
}

/* At any operation of the disk: what is not in the ledger comes. */
static void
skipping_loses_nothing_else(void **state)
{
	enum forward_order order;
	unsigned n;

	(void)state;
	for (n = 0; n < 40; n++) {
		struct rig *g;
		int64_t from, to;

		order = n % 2 ? FORWARD_STRICT : FORWARD_LIVE_FIRST;
		g = rig_with(order, FORWARD_V1);
		g->receiver[0].http = 503;
		live(g, 10);
		from = ms();
		live(g, 10);
		to = ms();
		live(g, 10);
		disk_ram_die(g->disk, n / 2);
		(void)give_up(g, from, to);
		fake_pass(2 * CLOCK_S);
		rig_stop(g);
		disk_ram_power_cut(g->disk, n % 4 < 2 ? RAM_LOST : RAM_TORN,
		    n + 1);
		rig_start(g);
		g->receiver[0].http = 0;
		fake_pass(300 * CLOCK_S);
		assert_true(forwarder_is_drained(g->forwarder[0]));
		(void)check_skipped(g, false);
		rig_free(g);
	}
}

/* ---- anything --------------------------------------------------------------------------------- */

static void
misbehave(struct receiver *r, uint64_t *x)
{
	static const int answer[] = { 0, 0, 0, 429, 503, 500 };
	static const enum status how[] = { ST_OK, ST_OK, ST_OK, ST_CONNECT,
		ST_TIMEOUT };

	r->http = answer[pace_random(x, 6)];
	r->st = how[pace_random(x, 5)];
	r->refused_edge = pace_random(x, 2) ? (int)pace_random(x, 8) : -1;
	r->after_ns = (int64_t)pace_random(x, 300) * CLOCK_MS;
}

static void
skip_at_random(struct rig *g, int64_t begun, uint64_t *x)
{
	int64_t span = ms() + 2000 - begun, from, to;

	if (history->n == WINDOWS)
		return;
	from = begun + (int64_t)pace_random(x, (uint64_t)span);
	to = from + 1 + (int64_t)pace_random(x, (uint64_t)span / 2);
	assert_int_equal(give_up(g, from, to).status, ST_OK);
}

static void
run_at_random(uint64_t seed)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15 | 1;
	enum forward_order order = pace_random(&x, 2) ? FORWARD_STRICT :
	    FORWARD_LIVE_FIRST;
	struct rig *g = rig_with(order, FORWARD_V1);
	struct receiver *r = &g->receiver[0];
	int64_t begun;
	int i, k;

	rig_stop(g);
	g->points = 1 + (unsigned)pace_random(&x, 20);
	g->opts[0].lanes = 1 + (unsigned)pace_random(&x, 5);
	g->opts[0].max_samples = 10 + (unsigned)pace_random(&x, 200);
	g->opts[0].read_ahead_samples = g->opts[0].max_samples +
	    (uint32_t)pace_random(&x, 1000);
	g->opts[0].live_window_ns = (int64_t)(1 + pace_random(&x, 40)) * CLOCK_S;
	g->spool_opts.segment_bytes = 2048 + pace_random(&x, 20000);
	rig_start(g);
	begun = ms();
	for (i = 0; i < 40; i++) {
		misbehave(r, &x);
		for (k = (int)pace_random(&x, 30); k > 0; k--) {
			note(g, (int)pace_random(&x, EDGES_ALL));
			fake_pass((int64_t)pace_random(&x, 500) * CLOCK_MS);
		}
		if (pace_random(&x, 5) == 0)
			skip_at_random(g, begun, &x);
		if (pace_random(&x, 8) == 0) {
			rig_stop(g);
			rig_start(g);
		}
	}
	r->http = 0;
	r->st = ST_OK;
	r->refused_edge = -1;
	for (i = 0; i < 30 && !forwarder_is_drained(g->forwarder[0]); i++)
		fake_pass(100 * CLOCK_S);
	if (!forwarder_is_drained(g->forwarder[0]))
		fail_msg("not drained");
	/* a kill forgets what was delivered last: that may be given up, too */
	(void)check_skipped(g, false);
	if (order == FORWARD_STRICT && r->overtaken)
		fail_msg("%u overtaken", r->overtaken);
	rig_free(g);
}

static void
whatever_happens_nothing_else_is_lost(void **state)
{
	const char *one = getenv("RW_SEED");
	static const uint64_t failed_once[] = { 224, 245 };
	uint64_t seed, n = getenv("RW_SWEEP") ? SCHEDULES_ALL : SCHEDULES;
	size_t i;

	(void)state;
	if (one) {
		run_at_random(strtoull(one, NULL, 10));
		return;
	}
	for (i = 0; i < sizeof(failed_once) / sizeof(failed_once[0]); i++)
		run_at_random(failed_once[i]);
	for (seed = 1; seed <= n; seed++) {
		print_message("seed %llu\n", (unsigned long long)seed);
		run_at_random(seed);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_time_of_it_is_given_up),
		cmocka_unit_test(all_of_it_is_given_up),
		cmocka_unit_test(a_parked_edge_can_go_on),
		cmocka_unit_test(skipping_loses_nothing_else),
		cmocka_unit_test(whatever_happens_nothing_else_is_lost),
	};
	int failed;

	history = malloc(sizeof(*history));
	if (getenv("RW_ONLY"))
		cmocka_set_test_filter(getenv("RW_ONLY"));
	if (!history || !uprig_init())
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(history);
	return failed;
}
