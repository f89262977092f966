/* test_spool.c - what was acknowledged comes out, in order, whatever the disk
 * does.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "spool/crc32c.h"
#include "spool/ledger.h"
#include "spoolrig.h"

static struct disk_ram *disk;
static struct rig *rig;

static int
setup(void **state)
{
	(void)state;
	disk = disk_ram_new();
	rig = malloc(sizeof(*rig));
	rig_init(rig, disk);
	assert_int_equal(rig_open(rig, &rig_opts), ST_OK);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	rig_close(rig);
	fake_settle();
	rig_fini(rig);
	free(rig);
	disk_ram_free(&disk);
	return 0;
}

/* As after a clean stop, or with the spool left alone when it dies. */
static void
reopen(const struct spool_opts *o)
{
	rig_close(rig);
	assert_int_equal(rig_open(rig, o), ST_OK);
}

/* For more than fits into the usual one. */
static void
reopen_large(void)
{
	struct spool_opts o = rig_opts;

	o.size_bytes = 1 << 20;
	reopen(&o);
}

static void
crash(enum disk_ram_cut how)
{
	disk_ram_die(disk, 0);
	rig_close(rig);
	disk_ram_power_cut(disk, how, 1);
	assert_int_equal(rig_open(rig, &rig_opts), ST_OK);
}

static unsigned
read_one(struct spool_reader *r, struct spool_record *out)
{
	assert_int_equal(spool_read(r, out), ST_OK);
	return rig_check(out);
}

static void
expect(struct spool_reader *r, unsigned from, unsigned to)
{
	struct spool_record rec;

	for (; from < to; from++)
		assert_int_equal(read_one(r, &rec), from);
	assert_int_equal(spool_read(r, &rec), ST_END);
}

static void
store_many(unsigned n, size_t size)
{
	while (n--)
		assert_int_equal(rig_store(rig, size), ST_OK);
}

static size_t
segments(void)
{
	return (size_t)metric_read(METRIC_SPOOL_SEGMENTS);
}

static void
put_cursor(const char *name, struct spool_pos head, struct spool_pos owed)
{
	struct cursor_state *cs = calloc(1, sizeof(*cs));
	struct cursor *c;

	assert_int_equal(cursor_open(disk_ram_ops(disk), RIG_DIR, name, &c,
	    cs), ST_OK);
	cs->head = head;
	cs->n_owed = 1;
	cs->owed[0] = (struct cursor_owed){ .from = owed, .to = head };
	assert_int_equal(cursor_put(c, cs), ST_OK);
	assert_int_equal(cursor_sync(c), ST_OK);
	cursor_close(&c);
	free(cs);
}

/* ---- the plain way -------------------------------------------------------------- */

static void
what_is_stored_is_read(void **state)
{
	struct spool_reader *r;
	struct spool_record rec;

	(void)state;
	reopen_large();
	r = rig_reader(rig, "a");
	assert_int_equal(spool_read(r, &rec), ST_END);
	rig_submit(rig, 0, 100);
	rig_submit(rig, 1, 0);
	rig_submit(rig, 1, 70000);
	assert_int_equal(rig->n_done, 0);
	fake_settle();
	assert_int_equal(rig->n_done, 3);
	assert_int_equal(rig->wakes, 1);
	assert_int_equal(read_one(r, &rec), 0);
	assert_int_equal(rec.stream, 1);
	assert_int_equal(rec.wall_ms, rig->writes[0].write.wall_ms);
	assert_int_equal(read_one(r, &rec), 1);
	assert_int_equal(rec.stream, 2);
	assert_int_equal(rec.wall_ms, rig->writes[1].write.wall_ms);
	assert_int_equal(read_one(r, &rec), 2);
	assert_int_equal(spool_read(r, &rec), ST_END);
	rig_reader_free(rig, &r);
}

static void
one_turn_is_one_sync(void **state)
{
	int64_t before = metric_read(METRIC_SPOOL_COMMITS);
	unsigned i;

	(void)state;
	reopen_large();
	for (i = 0; i < 1500; i++)
		rig_submit(rig, i % 2, 20);
	fake_settle();
	assert_int_equal(rig->n_done, 1500);
	for (i = 0; i < 1500; i++) {
		assert_int_equal(rig->order[i], i);
		assert_true(rig_acked(rig, i));
	}
	assert_int_equal(metric_read(METRIC_SPOOL_COMMITS) - before, 1);
}

static void
segments_follow_each_other(void **state)
{
	struct spool_reader *r = rig_reader(rig, "a");
	uint64_t epoch = spool_epoch(rig->spool);

	(void)state;
	store_many(40, 500);
	assert_true(spool_epoch(rig->spool) > epoch + 3);
	expect(r, 0, 40);
	rig_reader_free(rig, &r);
	reopen(&rig_opts);
	r = rig_reader(rig, "a");
	expect(r, 0, 40);
	rig_reader_free(rig, &r);
}

/* A writer that has not seen the new epoch yet still writes to the old segment,
 * and no reader goes past it meanwhile. */
static void
an_old_epoch_stays_open_until_all_passed(void **state)
{
	struct spool_reader *r = rig_reader(rig, "a");
	struct spool_record rec;
	uint64_t old = spool_epoch(rig->spool);
	unsigned late;

	(void)state;
	rig_submit(rig, 0, 5000);
	fake_turn(rig->loop);
	assert_true(spool_epoch(rig->spool) > old);
	rig_submit(rig, 0, 10);			/* new epoch: number 1 */
	late = rig_submit(rig, 1, 10);		/* old: number 2 */
	rig->writes[late].write.epoch = old;
	fake_turn(rig->loop);
	assert_true(rig_acked(rig, 1) && rig_acked(rig, 2));
	assert_int_equal(read_one(r, &rec), 0);
	assert_int_equal(read_one(r, &rec), 2);
	assert_int_equal(spool_read(r, &rec), ST_END);
	assert_int_equal(rig->wakes, 0);
	fake_settle();
	assert_true(rig->wakes > 0);
	assert_int_equal(read_one(r, &rec), 1);
	assert_int_equal(rec.pos.segment, spool_epoch(rig->spool));
	/* too late */
	late = rig_submit(rig, 1, 10);
	rig->writes[late].write.epoch = old;
	fake_settle();
	assert_int_equal(rig->writes[late].status, ST_STALE_EPOCH);
	rig_reader_free(rig, &r);
}

/* Up to an eighth of the spool. */
static void
many_series_make_it_larger(void **state)
{
	uint64_t epoch = spool_epoch(rig->spool);

	(void)state;
	rig->defines = 11;
	store_many(4, 1000);
	assert_int_equal(spool_epoch(rig->spool), epoch);
	rig->defines = 0;
	store_many(1, 1000);		/* past 44 * 96 */
	assert_int_equal(spool_epoch(rig->spool), epoch + 1);
	rig->defines = 1000;
	store_many(7, 1000);
	assert_int_equal(spool_epoch(rig->spool), epoch + 1);
	store_many(2, 1000);
	assert_int_equal(spool_epoch(rig->spool), epoch + 2);
}

static void
age_ends_a_segment_that_has_records(void **state)
{
	uint64_t epoch = spool_epoch(rig->spool);

	(void)state;
	fake_pass(3 * rig_opts.segment_age_ns);
	assert_int_equal(spool_epoch(rig->spool), epoch);
	store_many(1, 10);
	fake_pass(rig_opts.segment_age_ns);
	assert_int_equal(spool_epoch(rig->spool), epoch + 1);
	fake_pass(3 * rig_opts.segment_age_ns);
	assert_int_equal(spool_epoch(rig->spool), epoch + 1);
}

static void
streams_are_numbered_by_epoch(void **state)
{
	(void)state;
	assert_int_equal(spool_stream_new(rig->spool, 7), 1);
	assert_int_equal(spool_stream_new(rig->spool, 7), 2);
	assert_int_equal(spool_stream_new(rig->spool, 8), 1);
	assert_int_equal(spool_stream_new(rig->spool, 7), 3);
	assert_int_equal(spool_stream_new(rig->spool, 9), 1);
	assert_int_equal(spool_stream_new(rig->spool, 8), 2);
}

static void
a_second_relay_is_kept_out(void **state)
{
	struct spool *other;

	(void)state;
	assert_int_equal(spool_open(&rig_opts, disk_ram_ops(disk), rig->loop,
	    &other), ST_LOCKED);
}

/* ---- reading on ------------------------------------------------------------------- */

static void
seeking_starts_at_the_segments_first(void **state)
{
	struct spool_reader *r = rig_reader(rig, "a");
	struct spool_record rec, first = { .pos = { 0, 0 } };
	unsigned i, first_number = 0;

	(void)state;
	store_many(30, 500);
	for (i = 0; i < 20; i++) {
		read_one(r, &rec);
		if (rec.pos.segment != first.pos.segment) {
			first = rec;
			first_number = i;
		}
	}
	assert_int_equal(spool_reader_seek(r, rec.next), ST_OK);
	expect(r, first_number, 30);
	assert_int_equal(spool_reader_seek(r, (struct spool_pos){ 0, 0 }),
	    ST_OK);
	expect(r, 0, 30);
	/* at the very end there is nothing to read again */
	assert_int_equal(spool_reader_seek(r, first.pos), ST_OK);
	expect(r, first_number, 30);
	rig_reader_free(rig, &r);
}

static void
backlog_counts_what_is_left(void **state)
{
	struct spool_reader *r = rig_reader(rig, "a");
	struct spool_record rec;
	uint64_t all;

	(void)state;
	store_many(30, 500);
	all = spool_backlog(r, (struct spool_pos){ 0, 0 });
	assert_in_range(all, 30 * 500, 30 * 520);
	read_one(r, &rec);
	assert_int_equal(spool_backlog(r, rec.next),
	    all - (rec.next.offset - rec.pos.offset));
	assert_int_equal(spool_backlog(r, spool_newest(r)), 0);
	assert_int_equal(spool_pos_cmp(spool_oldest(r), rec.pos), 0);
	rig_reader_free(rig, &r);
}

static void
segments_go_when_all_have_released(void **state)
{
	struct spool_reader *a = rig_reader(rig, "a"), *b = rig_reader(rig, "b");
	size_t before;

	(void)state;
	store_many(40, 500);
	before = segments();
	expect(a, 0, 40);
	spool_reader_release(a, spool_newest(a));
	fake_settle();
	assert_int_equal(segments(), before);
	spool_reader_release(b, spool_newest(b));
	fake_settle();
	assert_int_equal(segments(), 1);
	/* b, that has not read them, does not look for them */
	store_many(1, 10);
	assert_int_equal(spool_reader_seek(b, spool_oldest(b)), ST_OK);
	rig_reader_free(rig, &a);
	rig_reader_free(rig, &b);
}

static void
a_cursor_file_keeps_segments(void **state)
{
	struct spool_reader *a = rig_reader(rig, "a");
	struct spool_record rec;

	(void)state;
	store_many(20, 500);
	read_one(a, &rec);
	put_cursor("other", spool_newest(a), rec.next);
	rig_reader_free(rig, &a);
	reopen(&rig_opts);
	a = rig_reader(rig, "a");
	spool_reader_release(a, spool_newest(a));
	fake_settle();
	expect(a, 0, 20);
	rig_reader_free(rig, &a);
}

static void
a_reader_may_go_while_it_is_being_woken(void **state)
{
	struct spool_reader *r = rig_reader(rig, "a");
	struct spool_record rec;

	(void)state;
	assert_int_equal(spool_read(r, &rec), ST_END);
	rig_submit(rig, 0, 10);
	fake_turn(rig->loop);
	rig_reader_free(rig, &r);
	fake_settle();
	assert_int_equal(rig->wakes, 0);
}

/* ---- the limit --------------------------------------------------------------------- */

static void
a_full_spool_refuses_and_comes_back(void **state)
{
	struct spool_reader *r = rig_reader(rig, "a");
	struct spool_record rec;
	unsigned n = 0, i;

	(void)state;
	while (spool_room(rig->spool) == ST_OK && n < 1000) {
		store_many(1, 500);
		n++;
	}
	assert_int_equal(spool_room(rig->spool), ST_SPOOL_FULL);
	assert_in_range(n, 55, 130);
	assert_in_range(disk_ram_used(disk), 32 << 10, 64 << 10);
	/* what was asked for before still goes in, if it fits */
	store_many(1, 500);
	for (i = 0; i < 30; i++)
		read_one(r, &rec);
	spool_reader_release(r, rec.next);
	fake_settle();
	assert_int_equal(spool_room(rig->spool), ST_OK);
	store_many(1, 500);
	for (; i < n + 2; i++)
		read_one(r, &rec);
	spool_reader_release(r, spool_newest(r));
	fake_settle();
	assert_int_equal(spool_room(rig->spool), ST_OK);
	store_many(50, 500);
	rig_reader_free(rig, &r);
}

static uint64_t
size_of_segments(void)
{
	char path[64];
	uint64_t size = 0, i;
	size_t n;

	for (i = 1; i < 200; i++) {
		(void)snprintf(path, sizeof(path), RIG_DIR "/segment/%016llx"
		    ".rwl", (unsigned long long)i);
		if (disk_ram_bytes(disk, path, &n))
			size += (n + 4095) / 4096 * 4096;
	}
	return size;
}

/* The limit holds, though nobody asked whether there is room. */
static void
the_size_is_a_hard_limit(void **state)
{
	struct spool_opts o = rig_opts;
	struct spool_reader *r;
	struct spool_record rec;
	unsigned i, round, taken, refused, next = 0;

	(void)state;
	for (round = 0; round < 20; round++) {
		o.drop_oldest = round >= 10;
		reopen(&o);
		r = rig_reader(rig, "a");
		if (round)
			assert_int_equal(spool_reader_seek(r,
			    spool_newest(r)), ST_OK);
		spool_reader_release(r, spool_newest(r));
		fake_settle();
		next = rig->n;
		for (i = 0; i < 60; i++)
			rig_submit(rig, i % 2, 1000 + 97 * round);
		fake_settle();
		assert_true(size_of_segments() <= o.size_bytes);
		for (i = next, taken = refused = 0; i < rig->n; i++) {
			taken += rig_acked(rig, i);
			refused += rig->writes[i].status == ST_SPOOL_FULL;
		}
		assert_int_equal(taken + refused, 60);
		assert_in_range(taken, 15, 60);
		if (round > 3)
			assert_true(refused > 0);
		/* those that were taken are the first ones */
		for (i = 0; i < taken; i++)
			assert_true(rig_acked(rig, next + i));
		for (i = 0; i < taken && !o.drop_oldest; i++)
			assert_int_equal(read_one(r, &rec), next + i);
		rig_reader_free(rig, &r);
	}
}

/* Even if all that there is stands in the segment that is being written. */
static void
a_full_spool_empties_though_small(void **state)
{
	struct spool_opts o = rig_opts;
	struct spool_reader *r;
	unsigned i;

	(void)state;
	o.size_bytes = 16 << 10;
	reopen(&o);
	r = rig_reader(rig, "a");
	for (i = 0; i < 40; i++) {
		while (spool_room(rig->spool) == ST_OK)
			store_many(1, 300);
		spool_reader_release(r, spool_newest(r));
		fake_settle();
		assert_int_equal(spool_room(rig->spool), ST_OK);
	}
	rig_reader_free(rig, &r);
}

static void
drop_oldest_tells_whom_it_takes_from(void **state)
{
	struct spool_opts o = rig_opts;
	struct spool_reader *a, *b;
	struct spool_record rec;
	struct spool_pos had;
	int64_t dropped = metric_read(METRIC_SPOOL_DROPPED);
	unsigned n;

	(void)state;
	o.drop_oldest = true;
	reopen(&o);
	a = rig_reader(rig, "a");
	b = rig_reader(rig, "b");
	store_many(3, 500);
	read_one(a, &rec);
	had = rec.next;
	store_many(300, 500);
	assert_int_equal(spool_room(rig->spool), ST_OK);
	assert_in_range(disk_ram_used(disk), 32 << 10, 64 << 10);
	assert_true(metric_read(METRIC_SPOOL_DROPPED) > dropped + 10);
	/* a stood in the middle of what is gone */
	assert_int_equal(spool_read(a, &rec), ST_MISSING);
	assert_int_equal(rec.pos.segment, had.segment);
	while (spool_read(a, &rec) == ST_MISSING)
		;
	n = rig_check(&rec);
	assert_in_range(n, 150, 250);
	expect(a, n + 1, 303);
	/* and so it is after a restart */
	put_cursor("a", had, had);
	rig_reader_free(rig, &a);
	rig_reader_free(rig, &b);
	reopen(&o);
	a = rig_reader(rig, "a");
	assert_int_equal(spool_reader_seek(a, had), ST_MISSING);
	assert_int_equal(read_one(a, &rec), n);
	assert_int_equal(spool_reader_seek(a, rec.pos), ST_OK);
	rig_reader_free(rig, &a);
}

static void
forgot(struct spool_forget *o)
{
	o->name = NULL;
}

static enum status
forget(const char *name)
{
	struct spool_forget o = { .name = name, .done = forgot };

	spool_forget(rig->spool, &o);
	fake_settle();
	assert_null(o.name);
	return o.status;
}

/* Who has gone keeps segments until he is forgotten, then nothing, for ever. */
static void
who_is_forgotten_keeps_nothing(void **state)
{
	struct spool_pos first = { 1, 64 };
	struct spool_reader *a, *b;
	size_t n;

	(void)state;
	put_cursor("gone", first, first);
	reopen(&rig_opts);
	a = rig_reader(rig, "a");
	put_cursor("a", first, first);
	store_many(40, 500);
	n = segments();
	assert_true(n > 4);
	spool_reader_release(a, spool_newest(a));
	fake_settle();
	assert_int_equal(segments(), n);
	assert_int_equal(forget("a"), ST_BUSY);
	assert_int_equal(forget("nobody"), ST_MISSING);
	assert_int_equal(forget("../segment"), ST_CONFIG);
	disk_ram_fail(disk, 0, 1, ST_DISK);
	assert_int_equal(forget("gone"), ST_DISK);
	assert_int_equal(segments(), n);
	disk_ram_fail(disk, 0, 0, ST_OK);
	assert_int_equal(forget("gone"), ST_OK);
	assert_in_range(segments(), 1, 2);
	assert_int_equal(forget("gone"), ST_MISSING);
	/* one that was here a moment ago; two of a name are one */
	b = rig_reader(rig, "b");
	store_many(40, 500);
	spool_reader_release(a, spool_newest(a));
	fake_settle();
	assert_true(segments() > 4);
	assert_int_equal(forget("b"), ST_BUSY);
	rig_reader_free(rig, &b);
	assert_int_equal(forget("b"), ST_OK);
	assert_in_range(segments(), 1, 2);
	crash(RAM_LOST);
	a = rig_reader(rig, "a");
	store_many(40, 500);
	spool_reader_release(a, spool_newest(a));
	fake_settle();
	assert_in_range(segments(), 1, 2);
}

/* Samples in the ledger, and what it says of one upstream and edge. */
struct told {
	const char *upstream, *edge;
	uint64_t samples, own;
	int64_t from_s, to_s;
	enum status reason;
	size_t gaps;
};

static void
each_gap(const struct ledger_gap *g, void *arg)
{
	struct told *t = arg;

	t->samples += g->samples;
	if (strcmp(g->upstream, t->upstream) != 0 ||
	    strcmp(g->edge, t->edge) != 0)
		return;
	t->gaps++;
	t->own += g->samples;
	t->from_s = g->from_s;
	t->to_s = g->to_s;
	t->reason = g->reason;
}

static struct told
told(const char *upstream, const char *edge)
{
	struct told t = { .upstream = upstream, .edge = edge };

	(void)ledger_read(disk_ram_ops(disk), RIG_DIR, each_gap, &t);
	return t;
}

/* One stands at the beginning, one in the middle, one owes an edge only. */
static void
a_gap_is_what_was_not_delivered(void **state)
{
	struct spool_opts o = rig_opts;
	struct spool_reader *a, *b, *c;
	struct spool_record rec;
	struct spool_pos half = { 0, 0 }, all;
	struct cursor *cursor;
	struct cursor_state *cs = calloc(1, sizeof(*cs));
	struct told t;
	unsigned i;

	(void)state;
	o.drop_oldest = true;
	reopen(&o);
	a = rig_reader(rig, "a");
	b = rig_reader(rig, "b");
	c = rig_reader(rig, "c");
	for (i = 0; i < 40; i++) {
		rig_submit(rig, i % 2, 500);
		fake_settle();
		assert_int_equal(read_one(b, &rec), i);
		if (i == 20)
			half = rec.next;
	}
	all = rec.next;
	put_cursor("b", half, half);
	assert_int_equal(cursor_open(disk_ram_ops(disk), RIG_DIR, "c", &cursor,
	    cs), ST_OK);
	cs->head = all;
	cs->n_owed = 1;
	cs->owed[0] = (struct cursor_owed){ .from = { 1, 64 },
		.to = half, .stream = 2 };
	assert_int_equal(cursor_put(cursor, cs), ST_OK);
	cursor_close(&cursor);
	/* until the first 30 and some are gone */
	for (; told("a", "edge-1").own < 15; i++) {
		assert_true(i < 300);
		assert_int_equal(rig_store(rig, 500), ST_OK);
	}
	t = told("a", "edge-1");
	assert_int_equal(t.gaps, 1);
	assert_int_equal(t.from_s, 1);
	assert_int_equal(t.to_s, 2 * t.own - 1);
	assert_int_equal(t.reason, ST_SPOOL_FULL);
	t = told("a", "edge-2");
	assert_int_equal(t.from_s, 2);
	assert_int_equal(t.to_s, 2 * t.own);
	/* 0 to 20 it had: eleven of the first edge, ten of the second */
	assert_int_equal(told("b", "edge-1").own,
	    told("a", "edge-1").own - 11);
	assert_int_equal(told("b", "edge-1").from_s, 23);
	assert_int_equal(told("b", "edge-2").own,
	    told("a", "edge-2").own - 10);
	/* of it nothing but the second edge's among these was owed */
	assert_int_equal(told("c", "edge-1").gaps, 0);
	t = told("c", "edge-2");
	assert_int_equal(t.own, 10);
	assert_int_equal(t.from_s, 2);
	assert_int_equal(t.to_s, 20);
	assert_int_equal(metric_read(METRIC_SPOOL_GAPS), 5);
	rig_reader_free(rig, &a);
	rig_reader_free(rig, &b);
	rig_reader_free(rig, &c);
	free(cs);
}

static void
what_is_too_old_goes(void **state)
{
	struct spool_opts o = rig_opts;
	struct spool_reader *r;
	struct spool_record rec;
	struct told t;
	unsigned i;

	(void)state;
	o.max_age_ns = 8 * 3600 * CLOCK_S;
	reopen(&o);
	for (i = 0; i < 10; i++) {
		assert_int_equal(rig_store(rig, 100), ST_OK);
		fake_pass(2 * 3600 * CLOCK_S);
	}
	/* of nobody, so far: kept for whoever comes */
	t = told("-", "edge-1");
	assert_in_range(t.own, 4, 6);
	assert_int_equal(t.reason, ST_EXPIRED);
	assert_int_equal(t.to_s, t.own);
	r = rig_reader(rig, "a");
	while (spool_read(r, &rec) == ST_MISSING)
		;
	assert_int_equal(rig_check(&rec), t.own);
	fake_pass(24 * 3600 * CLOCK_S);
	assert_int_equal(told("a", "edge-1").own, 10 - t.own);
	while (spool_read(r, &rec) == ST_MISSING)
		;
	assert_int_equal(rig_store(rig, 100), ST_OK);
	assert_int_equal(read_one(r, &rec), 10);
	rig_reader_free(rig, &r);
	/* also at a start, after a long time */
	assert_int_equal(rig_store(rig, 100), ST_OK);
	put_cursor("a", rec.pos, rec.pos);
	rig_close(rig);
	fake_pass(24 * 3600 * CLOCK_S);
	assert_int_equal(rig_open(rig, &o), ST_OK);
	fake_pass(3600 * CLOCK_S);
	assert_int_equal(told("a", "edge-1").own, 12 - t.own);
	assert_int_equal(told("-", "edge-1").own, t.own);
}

/* What was delivered is no gap, however it goes. */
static void
nothing_is_entered_that_all_had(void **state)
{
	struct spool_opts o = rig_opts;
	struct spool_reader *r;
	struct spool_record rec;
	unsigned i;

	(void)state;
	o.drop_oldest = true;
	o.max_age_ns = 3600 * CLOCK_S;
	reopen(&o);
	r = rig_reader(rig, "a");
	for (i = 0; i < 300; i++) {
		assert_int_equal(rig_store(rig, 500), ST_OK);
		assert_int_equal(read_one(r, &rec), i);
		put_cursor("a", rec.next, rec.next);
		spool_reader_release(r, rec.next);
	}
	fake_pass(24 * 3600 * CLOCK_S);
	assert_int_equal(told("a", "edge-1").samples, 0);
	rig_reader_free(rig, &r);
}

/* ---- trouble ----------------------------------------------------------------------- */

static void
trouble(char kind, enum status how)
{
	struct spool_reader *r = rig_reader(rig, "a");
	uint64_t epoch = spool_epoch(rig->spool);
	struct spool_record rec;
	unsigned first, i;

	store_many(3, 100);
	disk_ram_fail(disk, 0, 1000000, how);
	disk_ram_fail_kind(disk, kind);
	first = rig_submit(rig, 0, 100);
	rig_submit(rig, 1, 100);
	fake_settle();
	assert_int_equal(rig->writes[first].status, how);
	assert_int_equal(rig->writes[first + 1].status, how);
	assert_int_equal(spool_room(rig->spool), how);
	assert_int_equal(rig_store(rig, 10), how);
	/* delivery goes on */
	for (i = 0; i < 3; i++)
		assert_int_equal(read_one(r, &rec), i);
	assert_int_equal(spool_read(r, &rec), ST_END);
	fake_pass(60 * CLOCK_S);
	assert_int_equal(spool_room(rig->spool), how);
	disk_ram_fail(disk, 0, 0, ST_OK);
	fake_pass(60 * CLOCK_S);
	assert_int_equal(spool_room(rig->spool), ST_OK);
	assert_true(spool_epoch(rig->spool) > epoch);
	assert_int_equal(rig_store(rig, 100), ST_OK);
	assert_int_equal(read_one(r, &rec), first + 3);
	rig_reader_free(rig, &r);
	/* what was refused is not there after a power cut either */
	crash(RAM_KEPT);
	r = rig_reader(rig, "a");
	for (i = 0; i < 3; i++)
		assert_int_equal(read_one(r, &rec), i);
	assert_int_equal(read_one(r, &rec), first + 3);
	assert_int_equal(spool_read(r, &rec), ST_END);
	rig_reader_free(rig, &r);
}

static void
a_failed_sync_refuses_until_it_works(void **state)
{
	(void)state;
	trouble('s', ST_DISK);
}

static void
a_failed_write_refuses_until_it_works(void **state)
{
	(void)state;
	trouble('w', ST_DISK);
}

static void
no_space_refuses_until_there_is(void **state)
{
	(void)state;
	trouble('w', ST_NO_SPACE);
}

/* A segment that could not be cut yet may be delivered and gone meanwhile. */
static void
a_failed_segment_may_go_before_it_is_cut(void **state)
{
	struct spool_reader *r = rig_reader(rig, "a");

	(void)state;
	store_many(3, 100);
	disk_ram_fail(disk, 0, 2, ST_DISK);
	rig_submit(rig, 0, 100);
	fake_turn(rig->writer[0]);
	fake_turn(rig->loop);
	assert_int_equal(spool_room(rig->spool), ST_DISK);
	expect(r, 0, 3);
	spool_reader_release(r, spool_newest(r));
	rig_reader_free(rig, &r);
	fake_settle();
	assert_int_equal(segments(), 0);
	fake_pass(60 * CLOCK_S);
	assert_int_equal(segments(), 1);
	store_many(1, 100);
	r = rig_reader(rig, "a");
	expect(r, 4, 5);
	rig_reader_free(rig, &r);
}

static void
a_full_disk_harms_nothing_on_its_way(void **state)
{
	struct spool_reader *r = rig_reader(rig, "a");
	unsigned n;

	(void)state;
	disk_ram_limit(disk, 30 << 10);
	for (n = 0; spool_room(rig->spool) == ST_OK; n++)
		assert_int_equal(rig_store(rig, 500), ST_OK);
	assert_int_equal(spool_room(rig->spool), ST_NO_SPACE);
	assert_int_equal(rig_store(rig, 500), ST_OK);
	expect(r, 0, n + 1);
	spool_reader_release(r, spool_newest(r));
	fake_pass(60 * CLOCK_S);
	assert_int_equal(spool_room(rig->spool), ST_OK);
	rig_reader_free(rig, &r);
}

static void
a_broken_disk_at_start_still_delivers(void **state)
{
	struct spool_reader *r;

	(void)state;
	store_many(10, 500);
	rig_close(rig);
	disk_ram_fail(disk, 0, 1000000, ST_NO_SPACE);
	disk_ram_fail_kind(disk, 'a');
	assert_int_equal(rig_open(rig, &rig_opts), ST_OK);
	assert_int_equal(spool_room(rig->spool), ST_NO_SPACE);
	r = rig_reader(rig, "a");
	expect(r, 0, 10);
	disk_ram_fail(disk, 0, 0, ST_OK);
	fake_pass(60 * CLOCK_S);
	assert_int_equal(spool_room(rig->spool), ST_OK);
	store_many(1, 10);
	rig_reader_free(rig, &r);
}

/* ---- after a crash ------------------------------------------------------------------- */

static void
a_crash_loses_nothing_acknowledged(void **state)
{
	struct spool_reader *r;

	(void)state;
	store_many(30, 500);
	crash(RAM_LOST);
	r = rig_reader(rig, "a");
	expect(r, 0, 30);
	store_many(1, 10);
	expect(r, 30, 31);
	rig_reader_free(rig, &r);
	crash(RAM_LOST);
	r = rig_reader(rig, "a");
	expect(r, 0, 31);
	rig_reader_free(rig, &r);
}

static void
damage_is_told_and_passed_over(void **state)
{
	struct spool_reader *r = rig_reader(rig, "a");
	struct spool_record rec;
	unsigned i, next = 0;
	uint8_t *bytes;
	size_t n;
	char path[64];

	(void)state;
	store_many(30, 500);
	for (i = 0; i < 3; i++)
		read_one(r, &rec);
	(void)snprintf(path, sizeof(path), RIG_DIR "/segment/%016llx.rwl",
	    (unsigned long long)rec.pos.segment);
	bytes = disk_ram_bytes(disk, path, &n);
	assert_non_null(bytes);
	bytes[rec.pos.offset + 20] ^= 4;
	assert_int_equal(spool_reader_seek(r, rec.pos), ST_OK);
	assert_int_equal(read_one(r, &rec), 0);
	assert_int_equal(read_one(r, &rec), 1);
	assert_int_equal(spool_read(r, &rec), ST_DAMAGED);
	next = read_one(r, &rec);
	assert_in_range(next, 4, 9);
	expect(r, next + 1, 30);
	rig_reader_free(rig, &r);
}

static void
a_later_version_is_refused(void **state)
{
	static const char path[] = RIG_DIR "/segment/0000000000000099.rwl";
	uint8_t raw[64] = { 0x89, 'R', 'W', 'L', '\r', '\n', 0x1a, '\n', 2 };

	(void)state;
	rig_close(rig);
	le32_put(raw + 60, crc32c(0, raw, 60));
	disk_ram_put(disk, path, raw, sizeof(raw));
	assert_int_equal(rig_open(rig, &rig_opts), ST_BAD_FORMAT);
	/* what is no header at all is kept, and passed over */
	raw[60] ^= 1;
	disk_ram_put(disk, path, raw, sizeof(raw));
	assert_int_equal(rig_open(rig, &rig_opts), ST_OK);
	assert_int_equal(spool_epoch(rig->spool), 0x9a);
}

static void
written_mode_survives_the_process(void **state)
{
	struct spool_opts o = rig_opts;
	struct spool_reader *r;

	(void)state;
	o.sync = SPOOL_SYNC_WRITTEN;
	reopen(&o);
	store_many(30, 500);
	crash(RAM_KEPT);
	r = rig_reader(rig, "a");
	expect(r, 0, 30);
	rig_reader_free(rig, &r);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_stored_is_read),
		T(one_turn_is_one_sync),
		T(segments_follow_each_other),
		T(an_old_epoch_stays_open_until_all_passed),
		T(many_series_make_it_larger),
		T(age_ends_a_segment_that_has_records),
		T(streams_are_numbered_by_epoch),
		T(a_second_relay_is_kept_out),
		T(seeking_starts_at_the_segments_first),
		T(backlog_counts_what_is_left),
		T(segments_go_when_all_have_released),
		T(a_cursor_file_keeps_segments),
		T(a_reader_may_go_while_it_is_being_woken),
		T(a_full_spool_refuses_and_comes_back),
		T(the_size_is_a_hard_limit),
		T(a_full_spool_empties_though_small),
		T(drop_oldest_tells_whom_it_takes_from),
		T(who_is_forgotten_keeps_nothing),
		T(a_gap_is_what_was_not_delivered),
		T(what_is_too_old_goes),
		T(nothing_is_entered_that_all_had),
		T(a_failed_sync_refuses_until_it_works),
		T(a_failed_write_refuses_until_it_works),
		T(no_space_refuses_until_there_is),
		T(a_failed_segment_may_go_before_it_is_cut),
		T(a_full_disk_harms_nothing_on_its_way),
		T(a_broken_disk_at_start_still_delivers),
		T(a_crash_loses_nothing_acknowledged),
		T(damage_is_told_and_passed_over),
		T(a_later_version_is_refused),
		T(written_mode_survives_the_process),
	};

	fake_clock_init();
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
