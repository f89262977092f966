/* test_rejected.c - what an upstream refused is there, whole, with the reason.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/metric.h"
#include "fake/disk_ram.h"
#include "forward/rejected.h"
#include "series/codec.h"
#include "spool/aside.h"
#include "spool/recover.h"
#include "spool/scan.h"
#include "spool/spool_priv.h"

#define SPOOL "/spool"
#define PLACE SPOOL "/rejected/central"
#define SERIES 5
#define MS INT64_C(1795378828655)

static struct disk_ram *disk;
static struct metric_group *metrics;
static struct rejected *rejected;
static struct encoder *encoder;
static struct decoder *decoder;
static uint64_t most;

/* ---- something to refuse ---------------------------------------------------- */

static void
open_rejected(void)
{
	struct rejected_opts o = { disk_ram_ops(disk), SPOOL, "central", most };

	assert_int_equal(rejected_new(&o, metrics, &rejected), ST_OK);
}

static int
setup(void **state)
{
	static const struct encoder_opts eo = { BYTES_LIT("site-7"), 100,
		1 << 20 };
	static const struct decoder_opts d = { 1 << 24 };

	(void)state;
	disk = disk_ram_new();
	metrics = metric_group_new(METRIC_SCOPE_UPSTREAM, BYTES_LIT("central"));
	most = 1 << 19;
	assert_int_equal(disk_ram_ops(disk)->make_dir(disk, SPOOL), ST_OK);
	assert_int_equal(encoder_new(&eo, &encoder), ST_OK);
	assert_int_equal(decoder_new(&d, &decoder), ST_OK);
	open_rejected();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	rejected_free(&rejected);
	encoder_free(&encoder);
	decoder_free(&decoder);
	metric_group_free(&metrics);
	disk_ram_free(&disk);
	return 0;
}

static void
fill(struct batch *b, uint64_t value)
{
	struct label trace[] = { { BYTES_LIT("trace_id"), BYTES_LIT("abc") } };
	uint32_t i;

	b->n_samples = SERIES;
	b->samples = arena_take_array(b->arena, SERIES, sizeof(*b->samples));
	b->starts = arena_take_array(b->arena, SERIES, sizeof(*b->starts));
	for (i = 0; i < SERIES; i++) {
		/* not in the order of the numbers */
		b->samples[i] = (struct batch_sample){
			.series = SERIES - 1 - i, .ms = MS + (int64_t)value,
			.bits = value + i,
		};
		b->starts[i] = MS - i;
	}
	b->n_exemplars = 1;
	b->exemplars = arena_take(b->arena, sizeof(*b->exemplars));
	*b->exemplars = (struct batch_exemplar){ .series = 2, .ms = MS,
		.n_labels = 1,
		.labels = arena_copy(b->arena, trace, sizeof(trace)) };
	b->n_metadata = 1;
	b->metadata = arena_take(b->arena, sizeof(*b->metadata));
	*b->metadata = (struct batch_metadata){ .series = 1, .type = 1,
		.help = BYTES_LIT("what it is") };
}

/* As a forwarder has it: decoded, with the dictionary of its stream. */
static struct batch *
received(uint64_t value)
{
	struct batch *in = batch_new(1 << 20, 0), *out = batch_new(1 << 20, 0);
	char number[2] = "0";
	struct buf record;
	uint32_t i, id;

	for (i = encoder_n_series(encoder); i < SERIES; i++) {
		struct label labels[] = {
			{ BYTES_LIT("__name__"), BYTES_LIT("m") },
			{ BYTES_LIT("i"), bytes_str(number) },
		};

		number[0] = (char)('0' + i);
		assert_int_equal(encoder_define(encoder, labels, 2, &id),
		    ST_OK);
	}
	fill(in, value);
	buf_init(&record, 1 << 20);
	assert_int_equal(encoder_encode(encoder, in, &record), ST_OK);
	assert_int_equal(decoder_decode(decoder, buf_bytes(&record), out),
	    ST_OK);
	buf_fini(&record);
	batch_free(&in);
	return out;
}

static enum status
refuse(uint64_t value)
{
	struct rejected_reason why = { 400, SERIES + 1,
		BYTES_LIT("out of \"order\"\n") };
	struct batch *b = received(value);
	enum status st = rejected_keep(rejected, decoder_dict(decoder), b,
	    MS, &why);

	batch_free(&b);
	return st;
}

/* ---- what is there ----------------------------------------------------------- */

struct seen {
	unsigned entries;
	uint64_t last;			/* value of the last entry */
};

static void
check_why(const struct spool_record *r)
{
	assert_true(bytes_eq(r->data, BYTES_LIT(
	    "status=400 samples=6 text=\"out of \\\"order\\\"\\x0a\"")));
}

static void
check_what(const struct spool_record *r, struct seen *seen)
{
	static const struct decoder_opts o = { 1 << 24 };
	struct batch *b = batch_new(1 << 20, 0), *want = batch_new(1 << 20, 0);
	struct decoder *d;
	const uint32_t *symbols;
	uint32_t i, n;

	assert_int_equal(r->wall_ms, MS);
	assert_int_equal(decoder_new(&o, &d), ST_OK);
	assert_int_equal(decoder_decode(d, r->data, b), ST_OK);
	assert_true(bytes_eq(dict_edge(decoder_dict(d)), BYTES_LIT("site-7")));
	assert_int_equal(b->n_samples, SERIES);
	seen->last = b->samples[0].bits;
	fill(want, seen->last);
	for (i = 0; i < SERIES; i++) {
		symbols = dict_series(decoder_dict(d), b->samples[i].series,
		    &n);
		assert_int_equal(n, 4);
		assert_int_equal(dict_symbol(decoder_dict(d), symbols[3]).p[0],
		    '0' + want->samples[i].series);
		assert_int_equal(b->samples[i].ms, want->samples[i].ms);
		assert_int_equal(b->samples[i].bits, want->samples[i].bits);
		assert_int_equal(b->starts[i], want->starts[i]);
	}
	assert_int_equal(b->n_exemplars, 1);
	assert_int_equal(b->exemplars[0].ms, MS);
	assert_int_equal(b->n_metadata, 1);
	assert_true(bytes_eq(b->metadata[0].help, want->metadata[0].help));
	batch_free(&b);
	batch_free(&want);
	decoder_free(&d);
}

static void
look_at(uint64_t number, enum status st, const struct recover_finding *f,
    void *arg)
{
	char path[SPOOL_PATH_MAX];
	struct seen *seen = arg;
	struct spool_record r;
	struct scan scan;

	assert_int_equal(st, ST_OK);
	assert_int_equal(f->damaged, 0);
	spool_path(path, PLACE, SPOOL_SEGMENT, number, ".rwl");
	scan_init(&scan, disk_ram_ops(disk));
	assert_int_equal(scan_open(&scan, path, number), ST_OK);
	scan.end = f->totals.end;
	while (scan_next(&scan, &r) == ST_OK) {
		if (r.stream == 0) {
			check_why(&r);
			continue;
		}
		check_what(&r, seen);
		seen->entries++;
	}
	scan_fini(&scan);
}

static struct seen
look(void)
{
	struct seen seen = { 0, 0 };
	enum status st = recover_verify(disk_ram_ops(disk), PLACE, true,
	    look_at, &seen);

	assert_true(st == ST_OK || st == ST_MISSING);
	return seen;
}

static int64_t
metric(enum metric m)
{
	return metric_group_read(metrics, m);
}

/* ---- tests ---------------------------------------------------------------- */

static void
what_was_refused_is_there_with_the_reason(void **state)
{
	unsigned i;

	(void)state;
	assert_int_equal(look().entries, 0);
	assert_int_equal(metric(METRIC_UP_REJECTED_BYTES), 0);
	for (i = 0; i < 10; i++)
		assert_int_equal(refuse(i), ST_OK);
	assert_int_equal(look().entries, 10);
	assert_int_equal(look().last, 9);
	assert_true(metric(METRIC_UP_REJECTED_BYTES) > 0);
}

/* Killed or ended: what was kept stays, and more comes behind it. */
static void
it_outlives_the_process(void **state)
{
	(void)state;
	assert_int_equal(refuse(1), ST_OK);
	rejected_free(&rejected);
	disk_ram_power_cut(disk, RAM_LOST, 1);
	open_rejected();
	assert_true(metric(METRIC_UP_REJECTED_BYTES) > 0);
	assert_int_equal(look().entries, 1);
	assert_int_equal(refuse(2), ST_OK);
	assert_int_equal(look().entries, 2);
	assert_int_equal(look().last, 2);
}

static void
the_oldest_goes_when_there_is_no_room(void **state)
{
	int64_t bytes;
	unsigned i;

	(void)state;
	for (i = 0; i < 4000; i++) {
		assert_int_equal(refuse(i), ST_OK);
		bytes = metric(METRIC_UP_REJECTED_BYTES);
		assert_true(bytes <= (int64_t)most);
	}
	assert_int_equal(look().last, 3999);
	assert_in_range(look().entries, 1000, 3999);
	assert_int_equal(look().entries +
	    (uint64_t)metric(METRIC_UP_REJECTED_REMOVED), 4000);
}

static void
a_failing_disk_costs_what_it_did_not_take(void **state)
{
	unsigned n, kept = 0, i;

	(void)state;
	for (n = 0; n < 40; n++) {
		disk_ram_fail(disk, n, 1, n % 2 ? ST_DISK : ST_NO_SPACE);
		for (i = 0; i < 3; i++)
			kept += refuse(n) == ST_OK;
		disk_ram_fail(disk, 0, 0, ST_OK);
		assert_int_equal(look().entries, kept);
	}
	assert_true(metric(METRIC_UP_REJECTED_LOST) > 0);
	assert_int_equal(kept * (SERIES + 1) +
	    (uint64_t)metric(METRIC_UP_REJECTED_LOST), 120 * (SERIES + 1));
	assert_true(kept > 80);
}

/* Entries from the beginning; the first is *at. */
static unsigned
count(struct spool_pos *at)
{
	struct spool_pos after = { 0, 0 }, here;
	struct rejected_entry e;
	unsigned n = 0;

	while (rejected_next(rejected, after, &here, &e) == ST_OK) {
		assert_int_equal(e.samples, SERIES + 1);
		assert_int_equal(e.wall_ms, MS);
		if (n++ == 0)
			*at = here;
		after = here;
	}
	return n;
}

static enum status
over(struct spool_pos at)
{
	return rejected_over(rejected, at.segment, &at.offset, 1);
}

static void
what_is_over_is_seen_no_more(void **state)
{
	struct spool_pos at = { 0, 0 }, end;
	unsigned i;

	(void)state;
	assert_int_equal(count(&at), 0);
	for (i = 0; i < 20; i++)
		assert_int_equal(refuse(i), ST_OK);
	end = rejected_end(rejected);
	for (i = 20; i > 10; i--) {
		assert_int_equal(count(&at), i);
		assert_int_equal(over(at), ST_OK);
		assert_int_equal(over(at), ST_OK);	/* twice is once */
	}
	assert_int_equal(spool_pos_cmp(end, rejected_end(rejected)), 0);
	/* for ever, and what comes later is seen */
	rejected_free(&rejected);
	disk_ram_power_cut(disk, RAM_LOST, 1);
	open_rejected();
	assert_int_equal(count(&at), 10);
	assert_int_equal(refuse(21), ST_OK);
	assert_int_equal(count(&at), 11);
	while (count(&at))
		assert_int_equal(over(at), ST_OK);
	/* the room is there again, and its numbers mean something new */
	assert_int_equal(metric(METRIC_UP_REJECTED_BYTES), 0);
	assert_int_equal(look().entries, 0);
	rejected_free(&rejected);
	open_rejected();
	for (i = 0; i < 20; i++)
		assert_int_equal(refuse(i), ST_OK);
	assert_int_equal(count(&at), 20);
}

/* In whatever order, and with new ones coming. */
static void
segments_go_when_all_of_them_is_over(void **state)
{
	struct spool_pos at = { 0, 0 };
	unsigned i, n = 0;
	int64_t bytes;

	(void)state;
	for (i = 0; i < 1000; i++, n++)
		assert_int_equal(refuse(i), ST_OK);
	bytes = metric(METRIC_UP_REJECTED_BYTES);
	assert_int_equal(count(&at), n);
	for (i = 0; i < 600; i++) {
		assert_true(count(&at) == n - i);
		assert_int_equal(over(at), ST_OK);
	}
	assert_true(metric(METRIC_UP_REJECTED_BYTES) < bytes * 2 / 3);
	assert_int_equal(metric(METRIC_UP_REJECTED_REMOVED), 0);
	while (count(&at) > 3)
		assert_int_equal(over(at), ST_OK);
	assert_int_equal(refuse(1), ST_OK);
	assert_int_equal(count(&at), 4);
}

/* Killed at any write, or the disk refuses: an entry is there, or was said to be over. */
static void
being_over_survives_or_was_not_said(void **state)
{
	static const enum disk_ram_cut how[] = { RAM_LOST, RAM_TORN };
	struct spool_pos at;
	unsigned n, i, left;

	(void)state;
	for (n = 0; n < 40; n++) {
		for (i = 0; i < 6; i++)
			assert_int_equal(refuse(i), ST_OK);
		left = count(&at);
		disk_ram_fail(disk, n % 8, 1, ST_DISK);
		if (over(at) == ST_OK)
			left--;
		disk_ram_fail(disk, 0, 0, ST_OK);
		assert_int_equal(count(&at), left);
		disk_ram_die(disk, n % 8);
		if (over(at) == ST_OK)
			left--;
		rejected_free(&rejected);
		disk_ram_power_cut(disk, how[n % 2], n + 1);
		open_rejected();
		/* one may be over though nobody heard of it */
		assert_in_range(count(&at), left - 1, left);
		while (count(&at) > 3)
			assert_int_equal(over(at), ST_OK);
	}
}

/* As of an upstream that is no more. */
static void
it_can_all_be_removed(void **state)
{
	struct aside_opts o = { disk_ram_ops(disk), SPOOL, "rejected",
		"central", 0 };
	unsigned i;

	(void)state;
	assert_int_equal(aside_remove(&o), ST_OK);
	for (i = 0; i < 2000; i++)
		assert_int_equal(refuse(i), ST_OK);
	rejected_free(&rejected);
	assert_true(look().entries > 100);
	assert_int_equal(aside_remove(&o), ST_OK);
	disk_ram_power_cut(disk, RAM_LOST, 1);
	assert_int_equal(look().entries, 0);
	open_rejected();
	assert_int_equal(refuse(7), ST_OK);
	assert_int_equal(look().entries, 1);
}

static void
nothing_is_kept_if_so_wished(void **state)
{
	(void)state;
	rejected_free(&rejected);
	most = 0;
	open_rejected();
	assert_int_equal(refuse(1), ST_OK);
	assert_int_equal(look().entries, 0);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_was_refused_is_there_with_the_reason),
		TEST(it_outlives_the_process),
		TEST(the_oldest_goes_when_there_is_no_room),
		TEST(a_failing_disk_costs_what_it_did_not_take),
		TEST(what_is_over_is_seen_no_more),
		TEST(segments_go_when_all_of_them_is_over),
		TEST(being_over_survives_or_was_not_said),
		TEST(it_can_all_be_removed),
		TEST(nothing_is_kept_if_so_wished),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
