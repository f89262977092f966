/* test_forwarder.c - what an upstream gets, through thick and thin.
 * SPDX-License-Identifier: Apache-2.0 */
#include "unit/uprig.h"

#include <string.h>

#include "base/metric.h"
#include "spool/recover.h"

/* ---- tests ------------------------------------------------------------------------------- */

static void
all_arrives_once_in_order(void **state)
{
	struct rig *g = rig_new(1, FORWARD_AUTO);

	(void)state;
	put_all(g, 50);
	fake_pass(5 * CLOCK_S);
	assert_int_equal(check_all(g, 0), 0);
	assert_int_equal(g->receiver[0].reorders, 0);
	assert_int_equal(g->receiver[0].v1, 0);
	rig_free(g);
}

static void
a_slow_upstream_gets_larger_requests(void **state)
{
	struct rig *g = rig_new(1, FORWARD_V1);
	struct receiver *r = &g->receiver[0];
	int i;

	(void)state;
	r->after_ns = CLOCK_S;
	for (i = 0; i < 100; i++) {
		put(g, 0);
		fake_pass(20 * CLOCK_MS);
	}
	fake_pass(5 * CLOCK_S);
	assert_int_equal(check_all(g, 0), 0);
	/* one at once, then one a second */
	assert_in_range(r->requests, 3, 5);
	rig_free(g);
}

static void
merging_keeps_to_max_samples(void **state)
{
	struct rig *g = rig_new(1, FORWARD_V1);
	struct receiver *r = &g->receiver[0];
	int i;

	(void)state;
	rig_stop(g);
	g->opts[0].max_samples = 10 * POINTS;
	rig_start(g);
	r->after_ns = CLOCK_S;
	for (i = 0; i < 101; i++)
		put(g, 0);
	fake_pass(60 * CLOCK_S);
	assert_int_equal(check_all(g, 0), 0);
	assert_int_equal(r->requests, 11);
	rig_free(g);
}

static void
an_outage_loses_nothing(void **state)
{
	static const int answer[] = { 429, 500, 502, 503, 504, 999 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(answer) / sizeof(answer[0]); i++) {
		struct rig *g = rig_new(1, FORWARD_AUTO);
		struct receiver *r = &g->receiver[0];
		unsigned before;

		put_all(g, 5);
		fake_pass(CLOCK_S);
		r->http = answer[i];
		before = r->requests;
		put_all(g, 20);
		fake_pass(600 * CLOCK_S);
		/* all lanes may fail once, then one request asks at a time,
		 * less and less often: 0.1 s doubling to 30 s */
		assert_in_range(r->requests - before, 20, 36);
		assert_true(fake_in_flight() <= 1);
		r->http = 0;
		fake_pass(40 * CLOCK_S);
		assert_int_equal(check_all(g, 0), 0);
		assert_int_equal(r->reorders, 0);
		rig_free(g);
	}
}

static void
no_connection_loses_nothing(void **state)
{
	static const enum status why[] = { ST_CONNECT, ST_TIMEOUT, ST_CUT,
		ST_BAD_ANSWER, ST_NO_ADDRESS };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(why) / sizeof(why[0]); i++) {
		struct rig *g = rig_new(1, FORWARD_AUTO);

		g->receiver[0].st = why[i];
		put_all(g, 20);
		fake_pass(60 * CLOCK_S);
		g->receiver[0].st = ST_OK;
		fake_pass(40 * CLOCK_S);
		assert_int_equal(check_all(g, 0), 0);
		assert_int_equal(g->receiver[0].reorders, 0);
		rig_free(g);
	}
}

static void
retry_after_is_a_hard_gate(void **state)
{
	struct rig *g = rig_new(1, FORWARD_V1);
	struct receiver *r = &g->receiver[0];
	unsigned before;

	(void)state;
	put_all(g, 1);
	fake_pass(CLOCK_S);
	r->http = 429;
	r->retry_after = "50";
	put_all(g, 2);
	fake_pass(CLOCK_S);
	before = r->requests;
	put_all(g, 2);
	fake_pass(47 * CLOCK_S);
	assert_int_equal(r->requests, before);
	r->http = 0;
	fake_pass(10 * CLOCK_S);
	assert_int_equal(check_all(g, 0), 0);
	rig_free(g);
}

static void
a_receiver_of_one_is_found_and_remembered(void **state)
{
	int how;

	(void)state;
	for (how = 0; how < 3; how++) {
		struct rig *g = rig_new(1, FORWARD_AUTO);
		struct receiver *r = &g->receiver[0];

		r->only_v1 = how == 0;
		r->http_v2 = how == 1 ? 415 : how == 2 ? 400 : 0;
		put_all(g, 20);
		fake_pass(20 * CLOCK_S);
		assert_int_equal(check_all(g, 0), 0);
		assert_int_equal(r->v2, 1);
		assert_true(r->v1 > 0);
		/* and asked again, rarely */
		fake_pass(3600 * CLOCK_S);
		put_all(g, 20);
		fake_pass(20 * CLOCK_S);
		assert_int_equal(check_all(g, 0), 0);
		assert_int_equal(r->v2, 2);
		rig_free(g);
	}
}

static struct rig *
rig_of_zstd(enum forward_protocol p)
{
	struct rig *g = rig_new(1, p);

	rig_stop(g);
	g->opts[0].coding = PAYLOAD_ZSTD;
	rig_start(g);
	return g;
}

static void
zstd_goes_to_whom_understands_it(void **state)
{
	static const enum forward_protocol p[] = { FORWARD_V1, FORWARD_V2,
		FORWARD_AUTO, FORWARD_AUTO };
	int how;

	(void)state;
	for (how = 0; how < 4; how++) {
		struct rig *g = rig_of_zstd(p[how]);
		struct receiver *r = &g->receiver[0];

		r->only_v1 = how == 3;		/* as VictoriaMetrics is */
		put_all(g, 20);
		fake_pass(20 * CLOCK_S);
		assert_int_equal(check_all(g, 0), 0);
		assert_int_equal(r->zstd, r->requests);
		assert_int_equal(r->v2 > 1, how == 1 || how == 2);
		rig_free(g);
	}
}

static void
a_receiver_of_snappy_is_found_and_remembered(void **state)
{
	static const struct {
		enum forward_protocol p;
		int http_zstd, http_v2;
		unsigned zstd, v2;		/* requests in vain */
	} c[] = {
		{ FORWARD_V1, 415, 0, 1, 0 }, { FORWARD_V1, 400, 0, 1, 0 },
		{ FORWARD_AUTO, 415, 415, 2, 2 },
		{ FORWARD_AUTO, 400, 400, 2, 2 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		struct rig *g = rig_of_zstd(c[i].p);
		struct receiver *r = &g->receiver[0];

		r->http_zstd = c[i].http_zstd;
		r->http_v2 = c[i].http_v2;
		put_all(g, 20);
		fake_pass(20 * CLOCK_S);
		assert_int_equal(check_all(g, 0), 0);
		assert_int_equal(r->zstd, c[i].zstd);
		assert_int_equal(r->v2, c[i].v2);
		/* and asked again, rarely: it has learnt it */
		r->http_zstd = 0;
		fake_pass(3600 * CLOCK_S);
		put_all(g, 20);
		fake_pass(20 * CLOCK_S);
		assert_int_equal(check_all(g, 0), 0);
		assert_true(r->zstd >= c[i].zstd + 8);
		rig_free(g);
	}
}

/* One that understood zstd is replaced by one that does not: nothing of what it refuses
 * is set aside for that. */
static void
zstd_may_be_understood_no_more(void **state)
{
	static const enum forward_protocol p[] = { FORWARD_V1, FORWARD_V2,
		FORWARD_AUTO };
	static const int http[] = { 400, 415 };
	unsigned before;
	int how;

	(void)state;
	for (how = 0; how < 6; how++) {
		struct rig *g = rig_of_zstd(p[how / 2]);
		struct receiver *r = &g->receiver[0];

		put_all(g, 20);
		fake_pass(20 * CLOCK_S);
		assert_true(r->zstd > 0 && r->zstd == r->requests);
		r->http_zstd = http[how % 2];
		put_all(g, 20);
		fake_pass(20 * CLOCK_S);
		assert_int_equal(check_all(g, 0), 0);
		assert_int_equal(r->reorders, 0);
		before = r->zstd;
		put_all(g, 20);
		fake_pass(20 * CLOCK_S);
		assert_int_equal(check_all(g, 0), 0);
		assert_int_equal(r->zstd, before);
		rig_free(g);
	}
}

/* A request of three series that share a long label: more than the upstream takes, or
 * than the relay makes at all. */
static void
what_is_too_large_goes_in_parts(void **state)
{
	static const enum forward_protocol p[] = { FORWARD_V1, FORWARD_AUTO };
	int how, i;

	(void)state;
	pad = PAD_MAX;
	for (how = 0; how < 6; how++) {
		struct rig *g = rig_new(1, p[how % 2]);
		struct receiver *r = &g->receiver[0];

		rig_stop(g);
		g->opts[0].most_bytes = how >= 2 ? 100000 : 0;
		rig_start(g);
		r->max_body = how < 4 ? 100000 : 0;
		r->http_v2 = 415;
		r->in_parts = true;
		for (i = 0; i < 4; i++)
			put(g, i % 2);
		fake_pass(60 * CLOCK_S);
		assert_int_equal(check_all(g, 0), 4);
		assert_int_equal(r->points, 4 * POINTS);
		assert_int_equal(r->reorders, 0);
		assert_in_range(r->largest, PAD_MAX, 100000);
		assert_int_equal(r->v1 >= 12, 1);
		if (how >= 4)
			assert_int_equal(r->v1, 12);
		rig_free(g);
	}
	pad = 0;
}

/* Even a single point is too large: it is set aside, the others are not. */
static void
a_point_too_large_is_set_aside(void **state)
{
	struct rig *g = rig_new(1, FORWARD_V1);
	struct receiver *r = &g->receiver[0];

	(void)state;
	r->max_body = 1000;
	r->in_parts = true;
	put(g, 0);
	pad = PAD_MAX;
	put(g, 1);
	pad = 0;
	put(g, 2);
	fake_pass(60 * CLOCK_S);
	assert_int_equal(r->came[0][0], POINTS);
	assert_int_equal(r->came[1][0], 0);
	assert_int_equal(r->came[2][0], POINTS);
	assert_int_equal(fake_in_flight(), 0);
	rig_free(g);
}

static void
metadata_outlives_an_outage(void **state)
{
	static const int answer[] = { 503, 429, 401, 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(answer) / sizeof(answer[0]); i++) {
		struct rig *g = rig_new(1, FORWARD_V1);
		struct receiver *r = &g->receiver[0];

		put(g, 0);
		fake_pass(CLOCK_S);
		r->http = answer[i];
		r->st = answer[i] ? ST_OK : ST_TIMEOUT;
		only_metadata = true;
		put(g, 0);
		g->stored[0]--;		/* not one that is looked for */
		only_metadata = false;
		fake_pass(10 * CLOCK_S);
		put(g, 0);
		assert_int_equal(r->metadata, 0);
		r->http = 0;
		r->st = ST_OK;
		fake_pass(400 * CLOCK_S);
		assert_true(r->metadata > 0);
		assert_int_equal(check_all(g, 0), 0);
		rig_free(g);
	}
}

/* Neither protocol is understood: somebody has to mend the upstream, and it is asked
 * now and then whether somebody has. */
static void
what_nobody_understands_is_not_hammered(void **state)
{
	struct rig *g = rig_new(1, FORWARD_AUTO);
	struct receiver *r = &g->receiver[0];

	(void)state;
	r->http = 415;
	put_all(g, 10);
	fake_pass(600 * CLOCK_S);
	assert_in_range(r->requests, 4, 24);
	assert_true(r->v1 > 0 && r->v2 > 1);
	r->http = 0;
	fake_pass(330 * CLOCK_S);
	assert_int_equal(check_all(g, 0), 0);
	rig_free(g);
}

/* With all lanes busy in 1.0 as 2.0 is tried again. */
static void
an_upstream_that_learnt_two_is_found_under_load(void **state)
{
	struct rig *g = rig_new(1, FORWARD_AUTO);
	struct receiver *r = &g->receiver[0];
	int i;

	(void)state;
	r->http_v2 = 415;
	r->after_ns = 100 * CLOCK_MS;
	put_all(g, 2);
	fake_pass(3590 * CLOCK_S);
	r->http_v2 = 0;
	for (i = 0; i < 400; i++) {
		put_all(g, 1);
		fake_pass(50 * CLOCK_MS);
	}
	fake_pass(CLOCK_S);
	assert_int_equal(check_all(g, 0), 0);
	assert_int_equal(r->reorders, 0);
	i = (int)r->v1;
	put_all(g, 1);
	fake_pass(CLOCK_S);
	assert_int_equal(r->v1, i);
	rig_free(g);
}

/* So many entries, two records each, in the log of what was refused. */
static void
check_rejected(struct rig *g, unsigned n)
{
	struct recover_finding f;

	assert_int_equal(recover_look(disk_ram_ops(g->disk),
	    "/spool/rejected/one", 1, true, &f), ST_OK);
	assert_int_equal(f.totals.records, 2 * n);
}

static void
only_the_poisoned_request_is_set_aside(void **state)
{
	static const enum forward_protocol p[] = { FORWARD_V1, FORWARD_V2,
		FORWARD_AUTO };
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct rig *g = rig_new(1, p[i]);
		struct receiver *r = &g->receiver[0];

		/* the first of all, so that with auto nothing is known yet */
		r->poison_edge = 3;
		r->poison_number = i == 2 ? 0 : 7;
		r->http = 503;
		put_all(g, 20);
		r->http = 0;
		fake_pass(60 * CLOCK_S);
		assert_int_equal(check_all(g, 0), 0);
		assert_int_equal(r->came[3][r->poison_number], 0);
		assert_int_equal(r->reorders, 0);
		check_rejected(g, 1);
		rig_free(g);
	}
}

/* A refusal of the data does not make zstd be forgotten. */
static void
what_is_poisoned_goes_by_snappy_once(void **state)
{
	static const enum forward_protocol p[] = { FORWARD_V1, FORWARD_V2,
		FORWARD_AUTO };
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct rig *g = rig_of_zstd(p[i]);
		struct receiver *r = &g->receiver[0];

		put_all(g, 5);
		fake_pass(20 * CLOCK_S);
		r->poison_edge = 3;
		r->poison_number = 7;
		put_all(g, 15);
		fake_pass(60 * CLOCK_S);
		assert_int_equal(check_all(g, 0), 0);
		assert_int_equal(r->came[3][7], 0);
		assert_int_equal(r->reorders, 0);
		assert_in_range(r->requests - r->zstd, i ? 0 : 1, 2);
		check_rejected(g, 1);
		rig_free(g);
	}
}

static void
obeyed(struct forward_command *o)
{
	o->forwarder = NULL;
}

static struct forward_command
order(struct rig *g, enum forward_what what, struct spool_pos entry)
{
	struct forward_command o = { .what = what, .entry = entry,
		.done = obeyed };

	forwarder_command(g->forwarder[0], &o);
	fake_settle();
	assert_null(o.forwarder);
	return o;
}

/* So many edges' requests were refused, half of a process ago. */
static struct rig *
with_refused(enum forward_protocol p, enum forward_order how, int edges)
{
	struct rig *g = rig_new(1, p);
	struct receiver *r = &g->receiver[0];
	int e;

	rig_stop(g);
	g->opts[0].order = how;
	rig_start(g);
	put_all(g, 3);
	fake_pass(5 * CLOCK_S);
	for (e = 0; e < edges; e++) {
		r->poison_edge = e;
		r->poison_number = g->stored[e];
		put(g, e);
		fake_pass(CLOCK_S);
		assert_int_equal(r->came[e][r->poison_number], 0);
	}
	rig_stop(g);
	rig_start(g);
	fake_pass(CLOCK_S);
	return g;
}

static const struct spool_pos all_of_them = { 0, 0 };

/* Not before it was mended; then once, and it is not there any more. */
static void
what_was_refused_can_be_sent_again(void **state)
{
	static const enum forward_protocol p[] = { FORWARD_V1, FORWARD_V2,
		FORWARD_AUTO };
	unsigned i;

	(void)state;
	for (i = 0; i < 6; i++) {
		struct rig *g = with_refused(p[i % 3], i < 3 ? FORWARD_STRICT :
		    FORWARD_LIVE_FIRST, 4);
		struct receiver *r = &g->receiver[0];
		struct forward_command o;
		unsigned requests;

		/* refused again: set aside again, once */
		r->poison_edge = 3;
		r->poison_number = 3;
		o = order(g, FORWARD_RESEND, all_of_them);
		assert_int_equal(o.status, ST_OK);
		assert_int_equal(o.entries, 4);
		assert_int_equal(o.samples, 4 * POINTS);
		fake_pass(10 * CLOCK_S);
		assert_int_equal(r->came[0][3], 1);
		assert_int_equal(r->came[3][3], 0);
		o = order(g, FORWARD_RESEND, all_of_them);
		assert_int_equal(o.entries, 1);
		fake_pass(10 * CLOCK_S);
		/* not at hand: it waits, as all does, and a restart forgets */
		r->poison_edge = -1;
		r->http = 503;
		o = order(g, FORWARD_RESEND, all_of_them);
		assert_int_equal(o.entries, 1);
		fake_pass(10 * CLOCK_S);
		rig_stop(g);
		rig_start(g);
		r->http = 0;
		fake_pass(60 * CLOCK_S);
		assert_int_equal(r->came[3][3], 0);
		/* twice ordered is once sent */
		o = order(g, FORWARD_RESEND, all_of_them);
		assert_int_equal(o.entries, 1);
		(void)order(g, FORWARD_RESEND, all_of_them);
		fake_pass(60 * CLOCK_S);
		assert_int_equal(check_all(g, 0), 0);
		requests = r->requests;
		assert_int_equal(order(g, FORWARD_RESEND, all_of_them).entries,
		    0);
		fake_pass(60 * CLOCK_S);
		assert_int_equal(r->requests, requests);
		rig_free(g);
	}
}

/* 429 to one edge for ever: what is sent again of it waits too, and nobody for it. */
static void
what_is_sent_again_may_be_parked(void **state)
{
	struct rig *g = with_refused(FORWARD_V1, FORWARD_STRICT, 2);
	struct receiver *r = &g->receiver[0];
	int i;

	(void)state;
	r->poison_edge = -1;
	r->refused_edge = 0;
	(void)order(g, FORWARD_RESEND, all_of_them);
	for (i = 0; i < 20; i++) {
		put(g, 5);
		put(g, 0);
		fake_pass(CLOCK_S);
	}
	assert_int_equal(r->came[5][g->stored[5] - 1], 1);
	assert_int_equal(r->came[0][3], 0);
	r->refused_edge = -1;
	fake_pass(600 * CLOCK_S);
	assert_int_equal(check_all(g, 0), 0);
	rig_free(g);
}

static void
what_was_refused_can_be_given_up(void **state)
{
	struct rig *g = with_refused(FORWARD_V1, FORWARD_STRICT, 4);
	struct receiver *r = &g->receiver[0];
	struct spool_pos one = { 1, 0 }, none = { 7, 100 };
	struct forward_command o;
	struct recover_finding f;

	(void)state;
	assert_int_equal(order(g, FORWARD_GIVE_UP, none).status, ST_MISSING);
	assert_int_equal(order(g, FORWARD_RESEND, none).status, ST_MISSING);
	/* the second record of an entry names it */
	for (one.offset = 64; order(g, FORWARD_GIVE_UP, one).status ==
	    ST_MISSING; one.offset++)
		assert_true(one.offset < 4000);
	assert_int_equal(order(g, FORWARD_GIVE_UP, one).status, ST_MISSING);
	assert_int_equal(order(g, FORWARD_RESEND, one).status, ST_MISSING);
	r->poison_edge = -1;
	disk_ram_fail(g->disk, 0, 1, ST_DISK);
	assert_int_equal(order(g, FORWARD_GIVE_UP, all_of_them).status,
	    ST_DISK);
	disk_ram_fail(g->disk, 0, 0, ST_OK);
	rig_stop(g);
	rig_start(g);
	o = order(g, FORWARD_GIVE_UP, all_of_them);
	assert_int_equal(o.status, ST_OK);
	assert_int_equal(o.entries, 3);
	assert_int_equal(o.samples, 3 * POINTS);
	o = order(g, FORWARD_GIVE_UP, all_of_them);
	assert_int_equal(o.status, ST_OK);
	assert_int_equal(o.entries, 0);
	assert_int_equal(recover_look(disk_ram_ops(g->disk),
	    "/spool/rejected/one", 1, true, &f), ST_MISSING);
	fake_pass(60 * CLOCK_S);
	assert_int_equal(r->came[0][3] + r->came[1][3] + r->came[2][3] +
	    r->came[3][3], 0);
	rig_free(g);
}

/* At any operation of the disk: it may come twice, and is never gone. */
static void
sending_again_loses_nothing(void **state)
{
	unsigned n, i;

	(void)state;
	for (n = 0; n < 40; n++) {
		struct rig *g = with_refused(FORWARD_V1, FORWARD_STRICT, 4);
		struct receiver *r = &g->receiver[0];

		r->poison_edge = n % 2 ? 2 : -1;
		r->poison_number = 3;
		disk_ram_die(g->disk, n);
		(void)order(g, FORWARD_RESEND, all_of_them);
		fake_pass(5 * CLOCK_S);
		rig_stop(g);
		disk_ram_power_cut(g->disk, RAM_LOST, n + 1);
		rig_start(g);
		r->poison_edge = -1;
		(void)order(g, FORWARD_RESEND, all_of_them);
		fake_pass(5 * CLOCK_S);
		for (i = 0; i < 4; i++)
			assert_true(r->came[i][3] > 0);
		(void)check_all(g, 0);
		rig_free(g);
	}
}

static void
a_wrong_configuration_is_waited_out(void **state)
{
	struct rig *g = rig_new(1, FORWARD_V1);
	struct receiver *r = &g->receiver[0];

	(void)state;
	r->http = 401;
	put_all(g, 10);
	fake_pass(600 * CLOCK_S);
	/* lanes at once, then 30 s, 60, 120, 240, 300 */
	assert_in_range(r->requests, 4, 10);
	r->http = 0;
	fake_pass(330 * CLOCK_S);
	assert_int_equal(check_all(g, 0), 0);
	rig_free(g);
}

static void
a_restart_repeats_only_what_was_in_flight(void **state)
{
	struct rig *g = rig_new(1, FORWARD_V1);
	struct receiver *r = &g->receiver[0];
	unsigned again;
	int i;

	(void)state;
	r->after_ns = 100 * CLOCK_MS;
	for (i = 0; i < 40; i++) {
		put_all(g, 3);
		fake_pass(70 * CLOCK_MS);
		/* what it took and did not say in time comes again */
		rig_stop(g);
		rig_start(g);
	}
	fake_pass(60 * CLOCK_S);
	again = check_all(g, 0);
	/* four lanes' first requests each time, of one round of puts each */
	assert_in_range(again, 1, 40 * 4 * 3);
	rig_free(g);
}

static void
a_lost_answer_repeats_one_request(void **state)
{
	struct rig *g = rig_new(1, FORWARD_V1);
	struct receiver *r = &g->receiver[0];

	(void)state;
	put_all(g, 1);
	fake_pass(CLOCK_S);
	r->lose_answer = true;
	put(g, 0);
	fake_pass(50 * CLOCK_MS);
	r->lose_answer = false;
	fake_pass(CLOCK_S);
	assert_int_equal(check_all(g, 0), 1);
	rig_free(g);
}

static void
one_upstream_down_costs_the_other_nothing(void **state)
{
	struct rig *g = rig_new(2, FORWARD_V1);
	int i;

	(void)state;
	g->receiver[0].http = 503;
	for (i = 0; i < 50; i++) {
		put_all(g, 4);
		fake_pass(CLOCK_S);
	}
	assert_int_equal(check_all(g, 1), 0);
	g->receiver[0].http = 0;
	fake_pass(60 * CLOCK_S);
	assert_int_equal(check_all(g, 0), 0);
	assert_int_equal(g->receiver[0].reorders, 0);
	/* and the spool lets go of it */
	put_all(g, 1);
	fake_pass(10 * CLOCK_S);
	assert_true(metric_read(METRIC_SPOOL_SEGMENTS) <= 2);
	rig_free(g);
}

/* By edge to the one, by series to the other; what is elsewhere is not owed. */
static void
each_upstream_gets_what_is_for_it(void **state)
{
	static const char *const edges[] = { "[0-2]", "5" };
	static const char *const series[] = { "{i=\"a\"}",
		"m{i=~\"b\",edge!=\"7\"}" };
	struct rig *g = rig_new(2, FORWARD_V2);
	struct receiver *by_edge = &g->receiver[0], *by_series = &g->receiver[1];
	int e, n, i;

	(void)state;
	rig_stop(g);
	g->opts[0].route = (struct route_opts){ edges, 2, NULL, 0 };
	g->opts[1].route = (struct route_opts){ NULL, 0, series, 2 };
	by_series->in_parts = true;
	rig_start(g);
	for (i = 0; i < 3; i++) {
		put_all(g, 20);
		fake_pass(CLOCK_S);
		rig_stop(g);
		rig_start(g);
	}
	for (e = 0; e < EDGES_ALL; e++)
		for (n = 0; n < g->stored[e]; n++)
			assert_int_equal(by_edge->came[e][n],
			    e <= 2 || e == 5);
	assert_int_equal(by_edge->points, 4 * 60 * POINTS);
	assert_int_equal(by_edge->torn, 0);
	assert_int_equal(by_edge->reorders, 0);
	assert_int_equal(by_series->points, 60 * (8 + 7));
	assert_int_equal(by_series->reorders, 0);
	rig_free(g);
}

static void
a_new_upstream_may_start_now(void **state)
{
	struct rig *g = rig_new(1, FORWARD_V1);
	int e;

	(void)state;
	put_all(g, 5);
	fake_pass(CLOCK_S);
	rig_stop(g);
	g->n_up = 2;
	g->opts[1] = g->opts[0];
	g->opts[1].name = "two";
	g->opts[1].start = FORWARD_NOW;
	assert_null(http_url_parse("http://two/w", &g->opts[1].url));
	receiver_init(&g->receiver[1]);
	fake_upstream_set("two", receive, &g->receiver[1]);
	rig_start(g);
	put_all(g, 5);
	fake_pass(CLOCK_S);
	for (e = 0; e < EDGES_ALL; e++) {
		assert_int_equal(g->receiver[1].came[e][4], 0);
		assert_int_equal(g->receiver[1].came[e][5], 1);
		assert_int_equal(g->receiver[1].came[e][9], 1);
	}
	rig_free(g);
}

static void
stopping_delivers_what_it_can(void **state)
{
	struct rig *g = rig_new(1, FORWARD_V1);

	(void)state;
	g->receiver[0].after_ns = 200 * CLOCK_MS;
	put_all(g, 30);
	forwarder_drain(g->forwarder[0], 20 * CLOCK_S);
	fake_pass(20 * CLOCK_S);
	assert_true(fake_stopped(g->up_loop[0]));
	assert_int_equal(check_all(g, 0), 0);
	rig_stop(g);
	rig_start(g);
	fake_pass(CLOCK_S);
	assert_int_equal(check_all(g, 0), 0);	/* nothing again */
	rig_free(g);
}

static void
random_trouble_loses_nothing(void **state)
{
	static const int answer[] = { 0, 0, 0, 429, 500, 503, 408, 404 };
	uint64_t seed;
	int round, i;

	(void)state;
	for (round = 1; round <= 30; round++) {
		struct rig *g = rig_new(1, round % 3 ? FORWARD_AUTO :
		    FORWARD_V1);
		struct receiver *r = &g->receiver[0];
		uint64_t x = seed = (uint64_t)round * 7919;

		for (i = 0; i < 60; i++) {
			x = x * 6364136223846793005u + 1442695040888963407u;
			r->http = answer[x >> 33 & 7];
			r->st = (x >> 36 & 7) == 0 ? ST_CONNECT : ST_OK;
			r->lose_answer = (x >> 39 & 7) == 0;
			r->after_ns = (int64_t)(x >> 42 & 0xff) * CLOCK_MS;
			put(g, (int)(x >> 50 & 7));
			put(g, (int)(x >> 53 & 7));
			fake_pass((int64_t)(x >> 56 & 0x3f) * 50 * CLOCK_MS);
			if ((x >> 30 & 15) == 0) {
				rig_stop(g);
				rig_start(g);
			}
		}
		r->http = 0;
		r->st = ST_OK;
		r->lose_answer = false;
		fake_pass(700 * CLOCK_S);
		print_message("seed %llu\n", (unsigned long long)seed);
		(void)check_all(g, 0);
		rig_free(g);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_arrives_once_in_order),
		cmocka_unit_test(a_slow_upstream_gets_larger_requests),
		cmocka_unit_test(merging_keeps_to_max_samples),
		cmocka_unit_test(an_outage_loses_nothing),
		cmocka_unit_test(no_connection_loses_nothing),
		cmocka_unit_test(retry_after_is_a_hard_gate),
		cmocka_unit_test(a_receiver_of_one_is_found_and_remembered),
		cmocka_unit_test(zstd_goes_to_whom_understands_it),
		cmocka_unit_test(a_receiver_of_snappy_is_found_and_remembered),
		cmocka_unit_test(zstd_may_be_understood_no_more),
		cmocka_unit_test(what_is_poisoned_goes_by_snappy_once),
		cmocka_unit_test(what_is_too_large_goes_in_parts),
		cmocka_unit_test(a_point_too_large_is_set_aside),
		cmocka_unit_test(metadata_outlives_an_outage),
		cmocka_unit_test(what_nobody_understands_is_not_hammered),
		cmocka_unit_test(an_upstream_that_learnt_two_is_found_under_load),
		cmocka_unit_test(only_the_poisoned_request_is_set_aside),
		cmocka_unit_test(what_was_refused_can_be_sent_again),
		cmocka_unit_test(what_is_sent_again_may_be_parked),
		cmocka_unit_test(what_was_refused_can_be_given_up),
		cmocka_unit_test(sending_again_loses_nothing),
		cmocka_unit_test(a_wrong_configuration_is_waited_out),
		cmocka_unit_test(a_restart_repeats_only_what_was_in_flight),
		cmocka_unit_test(a_lost_answer_repeats_one_request),
		cmocka_unit_test(one_upstream_down_costs_the_other_nothing),
		cmocka_unit_test(each_upstream_gets_what_is_for_it),
		cmocka_unit_test(a_new_upstream_may_start_now),
		cmocka_unit_test(stopping_delivers_what_it_can),
		cmocka_unit_test(random_trouble_loses_nothing),
	};

	if (!uprig_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
