/* test_delivery.c - an outage, and what comes after it: pace, turns, live data first.
 * SPDX-License-Identifier: Apache-2.0
 *
 * With RW_SWEEP set outages last a day, and there are thousands of random schedules;
 * RW_ONLY is a pattern of tests' names, RW_SEED the one schedule to run.    */
#include "unit/uprig.h"

#include <stdlib.h>
#include <string.h>

#include "base/metric.h"

/* Points in a request where all goes by the live rate.  Under TSan, which takes fifteen
 * times as long, there are fewer. */
#ifdef __SANITIZE_THREAD__
#define MANY 125
#else
#define MANY 625
#endif

#define TICK (5 * CLOCK_S)		/* from one request of an edge to the next */
#define ROUND_TRIP (50 * CLOCK_MS)

static bool sweep;

static struct rig *
rig_with(enum forward_order order, unsigned points)
{
	struct rig *g = rig_new(1, FORWARD_V1);

	rig_stop(g);
	g->points = points;
	g->opts[0].order = order;
	g->opts[0].max_samples = 10000;
	g->opts[0].read_ahead_samples = 100000;
	g->spool_opts.segment_bytes = 256 << 10;
	g->spool_opts.size_bytes = (uint64_t)(sweep ? 2048 : 256) << 20;
	g->receiver[0].after_ns = ROUND_TRIP;
	rig_start(g);
	return g;
}

/* A request of each of n edges every TICK, evenly. */
static void
live(struct rig *g, int n, int64_t ns)
{
	int64_t end = clock_mono() + ns;
	int e = 0;

	while (clock_mono() < end) {
		put(g, e);
		e = (e + 1) % n;
		fake_pass(TICK / n);
	}
}

static void
bears(struct receiver *r, double rate)
{
	r->bears.rate = 0;
	bucket_set(&r->bears, rate, clock_mono());
	r->retry_after = rate != 0 ? "1" : NULL;
}

/* ---- an upstream that bears 1.2 times the live rate ------------------------------------ */

static void
after_an_outage(enum forward_order order, unsigned points, int64_t outage)
{
	double rate = 8.0 * points * CLOCK_S / (double)TICK, taken;
	struct rig *g = rig_with(order, points);
	struct receiver *r = &g->receiver[0];
	unsigned requests, refused, had;
	int64_t begun;

	live(g, 8, 60 * CLOCK_S);
	r->http = 503;
	live(g, 8, outage);
	r->http = 0;
	bears(r, 1.2 * rate);
	live(g, 8, 300 * CLOCK_S);		/* until it has settled */
	requests = r->requests;
	refused = r->refused;
	had = r->points;
	begun = clock_mono();
	live(g, 8, outage);
	taken = (r->points - had) / (1.2 * rate *
	    (double)(clock_mono() - begun) / CLOCK_S);
	print_message("%s: %u of %u requests refused (%.2f %%), %.1f %% of what "
	    "it bears\n", order == FORWARD_STRICT ? "strict" : "live-first",
	    r->refused - refused, r->requests - requests,
	    100.0 * (r->refused - refused) / (r->requests - requests),
	    100 * taken);
	assert_true((r->refused - refused) * 50 < r->requests - requests);
	assert_true(taken >= 0.9);
	bears(r, 0);
	fake_pass(3 * outage);
	assert_int_equal(check_all(g, 0), 0);
	if (order == FORWARD_STRICT)
		assert_int_equal(r->overtaken, 0);
	rig_free(g);
}

/* A sweep's outage lasts a day, at a fifth of the rate, so that it can be had. */
static void
a_weak_upstream_is_not_flooded(void **state)
{
	enum forward_order order;

	(void)state;
	for (order = FORWARD_STRICT; order <= FORWARD_LIVE_FIRST; order++)
		after_an_outage(order, sweep ? 125 : MANY,
		    (sweep ? 24 * 3600 : 600) * CLOCK_S);
}

static void
the_cap_holds(void **state)
{
	struct rig *g = rig_with(FORWARD_STRICT, 100);
	struct receiver *r = &g->receiver[0];
	unsigned had;

	(void)state;
	rig_stop(g);
	g->opts[0].pace.rate = 400;		/* live: 160 */
	rig_start(g);
	r->http = 503;
	live(g, 8, 600 * CLOCK_S);
	r->http = 0;
	live(g, 8, 60 * CLOCK_S);
	had = r->points;
	live(g, 8, 100 * CLOCK_S);
	assert_in_range(r->points - had, 36000, 40800);
	fake_pass(600 * CLOCK_S);
	assert_int_equal(check_all(g, 0), 0);
	rig_free(g);
}

/* What came in at 160 a second, and comes in so still, comes at 320 more. */
static void
backlog_keeps_to_its_share(void **state)
{
	struct rig *g = rig_with(FORWARD_LIVE_FIRST, 1000);
	struct receiver *r = &g->receiver[0];
	unsigned had;

	(void)state;
	rig_stop(g);
	g->opts[0].pace.catch_up_milli = 2000;	/* live: 1600 */
	rig_start(g);
	live(g, 8, 60 * CLOCK_S);
	r->http = 503;
	live(g, 8, 600 * CLOCK_S);
	r->http = 0;
	live(g, 8, 60 * CLOCK_S);
	had = r->points;
	live(g, 8, 100 * CLOCK_S);
	assert_in_range(r->points - had, 430000, 500000);
	fake_pass(600 * CLOCK_S);
	assert_int_equal(check_all(g, 0), 0);
	rig_free(g);
}

/* ---- how long it will take -------------------------------------------------------------- */

struct asked {
	enum metric metric;
	int64_t value;
};

static void
look_at(const char *name, const struct metric_group *m, void *arg)
{
	struct asked *a = arg;

	(void)name;
	a->value = metric_group_read(m, a->metric);
}

static int64_t
figure(enum metric m)
{
	struct asked a = { .metric = m };

	metric_group_each(METRIC_SCOPE_UPSTREAM, look_at, &a);
	return a.value;
}

/* Not while it grows, and nearly right soon after it began to shrink. */
static void
catching_up_is_foreseen(void **state)
{
	enum forward_order order;

	(void)state;
	for (order = FORWARD_STRICT; order <= FORWARD_LIVE_FIRST; order++) {
		struct rig *g = rig_with(order, MANY);
		struct receiver *r = &g->receiver[0];
		double said, took;
		int64_t begun;

		live(g, 8, 60 * CLOCK_S);
		assert_int_equal(figure(METRIC_UP_CATCH_UP_MS), 0);
		assert_string_equal(forwarder_state(figure(METRIC_UP_STATE)),
		    "live");
		r->http = 503;
		live(g, 8, 600 * CLOCK_S);
		assert_int_equal(figure(METRIC_UP_CATCH_UP_MS), -1);
		assert_true(figure(METRIC_UP_STATE) >= 2);
		r->http = 0;
		live(g, 8, 60 * CLOCK_S);
		assert_string_equal(forwarder_state(figure(METRIC_UP_STATE)),
		    "catching-up");
		said = (double)figure(METRIC_UP_CATCH_UP_MS) / 1e3;
		begun = clock_mono();
		while (figure(METRIC_UP_CATCH_UP_MS) != 0 &&
		    clock_mono() < begun + 3600 * CLOCK_S)
			live(g, 8, TICK);
		took = (double)(clock_mono() - begun) / CLOCK_S;
		print_message("said %.0f s, took %.0f s\n", said, took);
		assert_true(said > 0.8 * took && said < 1.25 * took);
		fake_pass(60 * CLOCK_S);
		assert_string_equal(forwarder_state(figure(METRIC_UP_STATE)),
		    "live");
		assert_int_equal(check_all(g, 0), 0);
		rig_free(g);
	}
}

/* Nobody takes anything: it is full when it was said to be. */
static void
a_full_spool_is_foreseen(void **state)
{
	struct rig *g = rig_with(FORWARD_STRICT, 625);
	double said, took;
	int64_t begun;
	int e;

	(void)state;
	rig_stop(g);
	g->spool_opts.size_bytes = 4 << 20;
	g->spool_opts.segment_bytes = 128 << 10;
	rig_start(g);
	live(g, 8, 120 * CLOCK_S);
	assert_int_equal(metric_read(METRIC_SPOOL_FULL_MS), -1);
	g->receiver[0].http = 503;
	live(g, 8, 240 * CLOCK_S);
	said = (double)metric_read(METRIC_SPOOL_FULL_MS) / 1e3;
	begun = clock_mono();
	for (e = 0; spool_room(g->spool) == ST_OK; e = (e + 1) % 8) {
		put(g, e);
		fake_pass(TICK / 8);
	}
	took = (double)(clock_mono() - begun) / CLOCK_S;
	print_message("said %.0f s, took %.0f s\n", said, took);
	assert_true(said > 0.8 * took && said < 1.25 * took);
	fake_pass(5 * CLOCK_S);
	assert_int_equal(metric_read(METRIC_SPOOL_FULL_MS), 0);
	g->receiver[0].http = 0;
	fake_pass(600 * CLOCK_S);
	assert_int_equal(metric_read(METRIC_SPOOL_FULL_MS), -1);
	rig_free(g);
	assert_int_equal(metric_read(METRIC_SPOOL_FULL_MS), 0);
}

/* ---- live data first -------------------------------------------------------------------- */

static int
by_size(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void
live_data_does_not_wait_for_backlog(void **state)
{
	struct rig *g = rig_with(FORWARD_LIVE_FIRST, MANY);
	struct receiver *r = &g->receiver[0];
	unsigned i, outages;

	(void)state;
	r->max_delays = 20000;
	r->delay_ms = calloc(r->max_delays, sizeof(*r->delay_ms));
	r->since_ms = INT64_MAX;
	/* an hour at first; the others make ranges of their own */
	for (outages = 0; outages < 3; outages++) {
		r->http = 503;
		live(g, 8, (outages == 0 ? 3600 : 120) * CLOCK_S);
		r->http = 0;
		live(g, 8, 30 * CLOCK_S);
		r->since_ms = clock_wall() / CLOCK_MS;
		live(g, 8, 400 * CLOCK_S);
		r->since_ms = INT64_MAX;
	}
	qsort(r->delay_ms, r->n_delays, sizeof(*r->delay_ms), by_size);
	i = r->n_delays * 99 / 100;
	print_message("%u requests, delay p50 %lld ms, p99 %lld ms\n",
	    r->n_delays, (long long)r->delay_ms[r->n_delays / 2],
	    (long long)r->delay_ms[i]);
	assert_true(r->n_delays > 3 * 400 * 8 / 5 * 0.95);
	assert_true(r->delay_ms[i] <= 2 * ROUND_TRIP / CLOCK_MS);
	fake_pass(7200 * CLOCK_S);
	assert_int_equal(check_all(g, 0), 0);
	free(r->delay_ms);
	rig_free(g);
}

/* ---- turns ---------------------------------------------------------------------------------- */

/* One of a hundred edges has a hundred times the backlog. */
static void
edges_take_turns(void **state)
{
	const double rate = 5000, each = 20 * 50;
	enum forward_order order;

	(void)state;
	for (order = FORWARD_STRICT; order <= FORWARD_LIVE_FIRST; order++) {
		struct rig *g = rig_with(order, 50);
		struct receiver *r = &g->receiver[0];
		int64_t begun, last = 0;
		int e, i, k;

		rig_stop(g);
		g->opts[0].pace.rate = (uint64_t)rate;
		g->opts[0].pace.catch_up_milli = 1000000;
		g->opts[0].read_ahead_samples = 20000;
		g->opts[0].max_samples = 500;
		rig_start(g);
		r->http = 503;
		for (i = 0; i < 20; i++)
			for (e = 0; e < 100; e++) {
				for (k = 0; k < (e == 0 ? 100 : 1); k++)
					put(g, e);
				fake_pass(20 * CLOCK_MS);
			}
		fake_pass(30 * CLOCK_S);
		r->http = 0;
		while (!r->points)
			fake_pass(100 * CLOCK_MS);
		begun = clock_mono();
		fake_pass(200 * CLOCK_S);
		assert_int_equal(check_all(g, 0), 0);
		for (e = 1; e < 100; e++)
			if (r->done_at[e] > last)
				last = r->done_at[e];
		print_message("the last of the others after %.1f s, fair: %.1f; "
		    "all after %.1f s\n", (double)(last - begun) / CLOCK_S,
		    100 * each / rate,
		    (double)(r->done_at[0] - begun) / CLOCK_S);
		assert_true((double)(last - begun) / CLOCK_S <=
		    1.2 * 100 * each / rate);
		/* and nothing was wasted meanwhile: 199 shares in all */
		assert_true((double)(r->done_at[0] - begun) / CLOCK_S <=
		    1.1 * 199 * each / rate);
		if (order == FORWARD_STRICT)
			assert_int_equal(r->overtaken, 0);
		rig_free(g);
	}
}

static void
a_heavier_edge_gets_more(void **state)
{
	static const struct edge_policy policies[] = {
		{ .pattern = "[12]", .weight = 3 },
		{ .pattern = "*", .weight = 1 },
	};
	struct rig *g = rig_with(FORWARD_STRICT, 50);
	struct receiver *r = &g->receiver[0];
	int i, e, n[3] = { 0 };

	(void)state;
	rig_stop(g);
	g->opts[0].policies = (struct edge_policies){ policies, 2 };
	g->opts[0].pace.rate = 2000;
	g->opts[0].pace.catch_up_milli = 1000000;
	g->opts[0].max_samples = 200;
	rig_start(g);
	r->http = 503;
	for (i = 0; i < 600; i++) {
		for (e = 0; e < 3; e++)
			put(g, e);
		fake_pass(100 * CLOCK_MS);
	}
	r->http = 0;
	fake_pass(50 * CLOCK_S);
	for (e = 0; e < 3; e++)
		for (i = 0; i < 600; i++)
			n[e] += r->came[e][i];
	print_message("%d, %d and %d\n", n[0], n[1], n[2]);
	for (e = 1; e < 3; e++) {
		assert_true(n[e] > 2.5 * n[0]);
		assert_true(n[e] < 3.5 * n[0]);
	}
	fake_pass(200 * CLOCK_S);
	assert_int_equal(check_all(g, 0), 0);
	rig_free(g);
}

/* ---- one that is refused ------------------------------------------------------------------------ */

static unsigned
of_others(const struct rig *g)
{
	const struct receiver *r = &g->receiver[0];
	unsigned n = 0;
	int e, i;

	for (e = 0; e < 8; e++)
		for (i = 0; e != 1 && i < g->stored[e]; i++)
			n += r->came[e][i] > 0;
	return n;
}

static void
an_edge_that_is_refused_holds_up_nobody(void **state)
{
	enum forward_order order;

	(void)state;
	for (order = FORWARD_STRICT; order <= FORWARD_LIVE_FIRST; order++) {
		struct rig *g = rig_with(order, 100);
		struct receiver *r = &g->receiver[0];
		unsigned i, before;
		int e;

		r->max_delays = 20000;
		r->delay_ms = calloc(r->max_delays, sizeof(*r->delay_ms));
		live(g, 8, 60 * CLOCK_S);
		r->retry_after = "2";
		r->refused_edge = 1;
		live(g, 8, 60 * CLOCK_S);
		before = r->refused;
		r->n_delays = 0;
		live(g, 8, 1800 * CLOCK_S);
		/* asked less and less often, and not once more than that */
		assert_in_range(r->refused - before, 4, 15);
		fake_pass(CLOCK_S);
		assert_int_equal(of_others(g), 7 * g->stored[0]);
		qsort(r->delay_ms, r->n_delays, sizeof(*r->delay_ms), by_size);
		i = r->n_delays * 99 / 100;
		assert_true(r->n_delays >= 7 * 1800 / 5 * 0.99);
		assert_true(r->delay_ms[i] <= 2 * ROUND_TRIP / CLOCK_MS);
		/* its data waits, also for the next process */
		rig_stop(g);
		rig_start(g);
		live(g, 8, 60 * CLOCK_S);
		r->refused_edge = -1;
		live(g, 8, 400 * CLOCK_S);
		fake_pass(100 * CLOCK_S);
		assert_int_equal(check_all(g, 0), 0);
		for (e = 0; e < 8 && order == FORWARD_STRICT; e++)
			assert_int_equal(r->overtaken, 0);
		free(r->delay_ms);
		rig_free(g);
	}
}

/* ---- by series -------------------------------------------------------------------------------------- */

/* Each sample once; in fewer requests' labels. */
static void
backlog_may_go_by_series(void **state)
{
	static const enum forward_protocol p[] = { FORWARD_V1, FORWARD_V2 };
	int i, e, n;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct rig *g = rig_with(FORWARD_STRICT, 100);
		struct receiver *r = &g->receiver[0];

		rig_stop(g);
		g->opts[0].protocol = p[i];
		g->opts[0].relaxed = true;
		g->opts[0].max_samples = 2000;
		rig_start(g);
		r->in_parts = true;
		r->http = 503;
		live(g, 2, 600 * CLOCK_S);
		r->http = 0;
		live(g, 2, 60 * CLOCK_S);
		fake_pass(600 * CLOCK_S);
		for (e = 0; e < 2; e++)
			for (n = 0; n < g->stored[e]; n++)
				assert_int_equal(r->came[e][n], 100);
		assert_int_equal(r->points, 100 * (g->stored[0] + g->stored[1]));
		print_message("%u of %u samples behind one of their series, %u requests\n",
		    r->several, r->points, r->requests);
		assert_true(r->several > r->points / 2);
		rig_free(g);
	}
}

/* ---- anything ------------------------------------------------------------------------------------ */

static uint64_t
next(uint64_t *x, unsigned n)
{
	return pace_random(x, n);
}

static void
misbehave(struct receiver *r, uint64_t *x)
{
	static const int answer[] = { 0, 0, 0, 0, 0, 429, 503, 500 };
	static const enum status how[] = { ST_OK, ST_OK, ST_OK, ST_OK, ST_OK,
		ST_CONNECT, ST_TIMEOUT, ST_CUT };

	r->http = answer[next(x, 8)];
	r->st = how[next(x, 8)];
	r->lose_answer = next(x, 12) == 0;
	r->refused_edge = next(x, 3) == 0 ? (int)next(x, 8) : -1;
	r->after_ns = (int64_t)next(x, 300) * CLOCK_MS;
	bears(r, next(x, 3) == 0 ? (double)(50 + next(x, 400)) : 0);
	if (r->bears.rate == 0 && next(x, 4) == 0)
		r->retry_after = "3";
}

static void
behave(struct receiver *r)
{
	r->http = 0;
	r->st = ST_OK;
	r->lose_answer = false;
	r->refused_edge = -1;
	bears(r, 0);
	r->retry_after = NULL;
}

static void
run_at_random(uint64_t seed)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15 | 1;
	enum forward_order order = next(&x, 2) ? FORWARD_STRICT :
	    FORWARD_LIVE_FIRST;
	struct rig *g = rig_with(order, 1 + (unsigned)next(&x, 40));
	struct receiver *r = &g->receiver[0];
	int i, k;

	rig_stop(g);
	g->opts[0].protocol = next(&x, 2) ? FORWARD_V1 : FORWARD_AUTO;
	g->opts[0].lanes = 1 + (unsigned)next(&x, 5);
	g->opts[0].max_samples = 10 + (unsigned)next(&x, 200);
	g->opts[0].read_ahead_samples = g->opts[0].max_samples +
	    (uint32_t)next(&x, 1000);
	g->opts[0].live_window_ns = (int64_t)(1 + next(&x, 40)) * CLOCK_S;
	g->opts[0].pace.rate = next(&x, 3) ? 0 : 100 + next(&x, 1000);
	g->spool_opts.segment_bytes = 2048 + next(&x, 20000);
	rig_start(g);
	for (i = 0; i < 40; i++) {
		if (next(&x, 2))
			misbehave(r, &x);
		else
			behave(r);
		for (k = (int)next(&x, 20); k >= 0; k--) {
			/* the first has most */
			put(g, next(&x, 2) ? 0 : (int)next(&x, 8));
			fake_pass((int64_t)next(&x, 3000) * CLOCK_MS);
		}
		if (next(&x, 8) == 0) {
			rig_stop(g);
			rig_start(g);
		}
	}
	behave(r);
	for (i = 0; i < 30; i++) {
		fake_pass(100 * CLOCK_S);
		if (forwarder_is_drained(g->forwarder[0]))
			break;
	}
	if (!forwarder_is_drained(g->forwarder[0]))
		fail_msg("seed %llu: not drained", (unsigned long long)seed);
	(void)check_all(g, 0);
	if (order == FORWARD_STRICT && r->overtaken)
		fail_msg("seed %llu: %u overtaken", (unsigned long long)seed,
		    r->overtaken);
	rig_free(g);
}

static void
whatever_happens_nothing_is_lost(void **state)
{
	static const uint64_t failed_once[] = { 140, 222, 613 };
	const char *one = getenv("RW_SEED");
	uint64_t seed, n = sweep ? SCHEDULES_ALL : SCHEDULES;
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
		cmocka_unit_test(a_weak_upstream_is_not_flooded),
		cmocka_unit_test(the_cap_holds),
		cmocka_unit_test(backlog_keeps_to_its_share),
		cmocka_unit_test(catching_up_is_foreseen),
		cmocka_unit_test(a_full_spool_is_foreseen),
		cmocka_unit_test(live_data_does_not_wait_for_backlog),
		cmocka_unit_test(edges_take_turns),
		cmocka_unit_test(a_heavier_edge_gets_more),
		cmocka_unit_test(an_edge_that_is_refused_holds_up_nobody),
		cmocka_unit_test(backlog_may_go_by_series),
		cmocka_unit_test(whatever_happens_nothing_is_lost),
	};

	sweep = getenv("RW_SWEEP");
	if (getenv("RW_ONLY"))
		cmocka_set_test_filter(getenv("RW_ONLY"));
	if (!uprig_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
