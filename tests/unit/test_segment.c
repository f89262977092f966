/* test_segment.c - records in a file: compact, checked, in their place.
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
#include "fake/disk_ram.h"
#include "fake/loop.h"
#include "spool/crc32c.h"
#include "spool/recover.h"
#include "spool/scan.h"
#include "spool/segment.h"

#define DIR "/spool"
#define NUMBER 0x1234
#define PATH DIR "/segment/0000000000001234.rwl"

static struct disk_ram *disk;
static struct segment *segment;
static struct scan scan;
static uint8_t data[100000];

static int
setup_step(uint64_t reserve, uint64_t step)
{
	struct segment_opts o = { .directory = DIR, .number = NUMBER,
		.reserve = reserve, .step = step, .sync = SPOOL_SYNC_ALWAYS };
	size_t i;

	disk = disk_ram_new();
	o.disk = disk_ram_ops(disk);
	for (i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i ^ i >> 8);
	assert_int_equal(segment_create(&o, &segment), ST_OK);
	scan_init(&scan, o.disk);
	return 0;
}

static int
setup(void **state)
{
	(void)state;
	return setup_step(8192, 4096);
}

static int
setup_large(void **state)
{
	(void)state;
	return setup_step(SEGMENT_RESERVE, 2 << 20);
}

static int
teardown(void **state)
{
	(void)state;
	segment_free(&segment);
	scan_fini(&scan);
	disk_ram_free(&disk);
	return 0;
}

static enum status
commit(unsigned n, size_t size)
{
	struct spool_write *w = calloc(n, sizeof(*w));
	enum status st;
	unsigned i;

	for (i = 0; i < n; i++) {
		w[i].stream = i + 1;
		w[i].data = (struct bytes){ data + i, size };
		w[i].wall_ms = clock_wall() / CLOCK_MS - i * 1000;
		w[i].points = (struct spool_points){ 500,
			w[i].wall_ms - 9999, w[i].wall_ms - 1 };
		segment_queue(segment, &w[i]);
	}
	st = segment_commit(segment);
	assert_ptr_equal(segment_take(segment), w);
	free(w);
	return st;
}

static void
open_scan(void)
{
	assert_int_equal(scan_open(&scan, PATH, NUMBER), ST_OK);
	assert_int_equal(scan.disk->size(scan.disk->arg, scan.file, &scan.end),
	    ST_OK);
}

static void
expect(unsigned n, size_t size)
{
	struct spool_record r;
	unsigned i;

	for (i = 0; i < n; i++) {
		assert_int_equal(scan_next(&scan, &r), ST_OK);
		assert_int_equal(r.stream, i + 1);
		assert_int_equal(r.wall_ms,
		    clock_wall() / CLOCK_MS - i * 1000);
		assert_int_equal(r.data.n, size);
		assert_memory_equal(r.data.p, data + i, size);
	}
}

static void
sums_are_castagnolis(void **state)
{
	size_t i;

	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
	for (i = 0; i < 300; i++)
		assert_int_equal(crc32c(7, data + i % 9, i),
		    crc32c_plain(7, data + i % 9, i));
}

static void
what_is_committed_is_scanned(void **state)
{
	struct spool_record r;

	(void)state;
	assert_int_equal(commit(3, 0), ST_OK);
	assert_int_equal(commit(1200, 40), ST_OK);
	assert_int_equal(commit(2, 90000), ST_OK);
	assert_int_equal(segment_records(segment), 1205);
	open_scan();
	expect(3, 0);
	expect(1200, 40);
	expect(2, 90000);
	assert_int_equal(scan_next(&scan, &r), ST_END);
	assert_int_equal(scan.offset, segment_end(segment));
}

/* Bytes count: a request of an edge is often under 200.  Four of them say what is in
 * it. */
static void
a_record_costs_few_bytes(void **state)
{
	uint64_t before = segment_end(segment);

	(void)state;
	assert_int_equal(commit(1, 180), ST_OK);
	assert_in_range(segment_end(segment) - before - 180, 1, 14);
	before = segment_end(segment);
	assert_int_equal(commit(100, 180), ST_OK);
	assert_in_range(segment_end(segment) - before - 100 * 180, 1,
	    100 * 13 + 3);
}

static void
sealed_is_as_long_as_what_it_holds(void **state)
{
	struct recover_finding f;
	struct spool_record r;
	size_t n;

	(void)state;
	assert_int_equal(commit(3, 50), ST_OK);
	assert_int_equal(segment_seal(segment), ST_OK);
	assert_non_null(disk_ram_bytes(disk, PATH, &n));
	assert_int_equal(n, segment_end(segment) + FORMAT_FOOTER);
	assert_int_equal(segment_size(segment), n);
	open_scan();
	expect(3, 50);
	assert_int_equal(scan_next(&scan, &r), ST_END);
	assert_int_equal(recover_look(scan.disk, DIR, NUMBER, true, &f), ST_OK);
	assert_true(f.sealed && f.readable);
	assert_int_equal(f.totals.records, 3);
	assert_int_equal(f.totals.end, segment_end(segment));
	assert_int_equal(f.totals.last_ms - f.totals.first_ms, 2000);
	assert_int_equal(f.totals.points.n, 1500);
	assert_true(f.totals.points.oldest_s * 1000 <=
	    f.totals.first_ms - 9999);
	assert_true(f.totals.points.oldest_s * 1000 >
	    f.totals.first_ms - 9999 - 1000);
	assert_true(f.totals.points.newest_s * 1000 >= f.totals.last_ms - 1);
	assert_true(f.totals.points.newest_s * 1000 < f.totals.last_ms + 999);
	assert_int_equal(f.damaged, 0);
}

static void
a_failed_commit_leaves_nothing(void **state)
{
	uint64_t end;
	size_t n;

	(void)state;
	assert_int_equal(commit(3, 50), ST_OK);
	end = segment_end(segment);
	disk_ram_fail(disk, 0, 2, ST_DISK);
	disk_ram_fail_kind(disk, 's');
	assert_int_equal(commit(3, 500), ST_DISK);
	assert_int_equal(segment_end(segment), end);
	assert_int_equal(segment_cut(segment), ST_DISK);
	assert_int_equal(segment_cut(segment), ST_OK);
	assert_non_null(disk_ram_bytes(disk, PATH, &n));
	assert_int_equal(n, end + FORMAT_FOOTER);
}

/* Damage to what was acknowledged is not taken for a torn tail, and the other way
 * round. */
static void
recovery_tells_damage_from_a_torn_tail(void **state)
{
	struct recover_finding f;
	uint64_t first, second;
	uint8_t *bytes;
	size_t n;

	(void)state;
	assert_int_equal(commit(5, 100), ST_OK);
	first = segment_end(segment);
	assert_int_equal(commit(5, 100), ST_OK);
	second = segment_end(segment);
	bytes = disk_ram_bytes(disk, PATH, &n);
	assert_int_equal(recover_look(scan.disk, DIR, NUMBER, false, &f),
	    ST_OK);
	assert_int_equal(f.totals.records, 10);
	assert_int_equal(f.totals.points.n, 5000);
	assert_int_equal(f.totals.flags, 0);
	assert_int_equal(f.totals.end, second);
	/* in the last commit: torn, though whole records follow */
	bytes[first + 40] ^= 1;
	assert_int_equal(recover_look(scan.disk, DIR, NUMBER, false, &f),
	    ST_OK);
	assert_int_equal(f.totals.flags, FORMAT_CUT);
	assert_int_equal(f.totals.end, first);
	assert_int_equal(f.cut, second - first);
	assert_int_equal(f.damaged, 0);
	bytes[first + 40] ^= 1;
	/* in the one before: the disk has damaged it */
	bytes[first - 40] ^= 1;
	assert_int_equal(recover_look(scan.disk, DIR, NUMBER, false, &f),
	    ST_OK);
	assert_int_equal(f.totals.flags, FORMAT_DAMAGED);
	assert_int_equal(f.totals.records, 4);
	assert_int_equal(f.totals.points.n, 2000);
	assert_int_equal(f.totals.end, second);
	assert_in_range(f.damaged, second - first, second - first + 120);
	assert_int_equal(f.cut, 0);
}

static void
note(uint64_t number, enum status st, const struct recover_finding *f,
    void *arg)
{
	struct recover_finding *out = arg;

	assert_int_equal(number, NUMBER);
	assert_int_equal(st, ST_OK);
	*out = *f;
}

/* Looking at a spool, running or not, tells what is wrong and changes nothing. */
static void
verifying_finds_what_is_damaged(void **state)
{
	struct disk_ram *before;
	struct recover_finding f;
	uint8_t *bytes, *was;
	size_t n, m;

	(void)state;
	assert_int_equal(commit(5, 100), ST_OK);
	assert_int_equal(recover_verify(scan.disk, DIR, true, note, &f), ST_OK);
	assert_true(!f.sealed && f.readable);
	assert_int_equal(f.totals.records, 5);
	assert_int_equal(f.damaged, 0);
	assert_int_equal(segment_seal(segment), ST_OK);
	bytes = disk_ram_bytes(disk, PATH, &n);
	bytes[n - FORMAT_FOOTER - 150] ^= 1;
	before = disk_ram_copy(disk);
	assert_int_equal(recover_verify(scan.disk, DIR, true, note, &f), ST_OK);
	assert_true(f.sealed && f.readable);
	assert_in_range(f.damaged, 200, 230);
	bytes[20] ^= 1;
	assert_int_equal(recover_verify(scan.disk, DIR, true, note, &f), ST_OK);
	assert_false(f.readable);
	bytes[20] ^= 1;
	was = disk_ram_bytes(before, PATH, &m);
	assert_int_equal(n, m);
	assert_memory_equal(disk_ram_bytes(disk, PATH, &n), was, m);
	disk_ram_free(&before);
}

/* The same bytes at another place, or in another segment, are not a record. */
static void
records_hold_in_their_place_only(void **state)
{
	struct spool_record r;
	uint8_t *bytes;
	uint64_t end;
	size_t n;

	(void)state;
	assert_int_equal(commit(1, 100), ST_OK);
	end = segment_end(segment);
	bytes = disk_ram_bytes(disk, PATH, &n);
	memcpy(bytes + end, bytes + FORMAT_HEADER, end - FORMAT_HEADER);
	open_scan();
	expect(1, 100);
	assert_int_equal(scan_next(&scan, &r), ST_DAMAGED);
	assert_int_equal(scan_open(&scan, PATH, NUMBER + 1), ST_DAMAGED);
}

/* Room ahead of what is there: 64 KiB at least, then a quarter more, until it is a
 * step. */
static void
reserved_by_what_is_there(void **state)
{
	uint64_t end, ahead, most = 0;

	(void)state;
	assert_int_equal(segment_size(segment), SEGMENT_RESERVE);
	do {
		assert_int_equal(commit(1, sizeof(data)), ST_OK);
		assert_int_equal(segment_ahead(segment, UINT64_MAX), ST_OK);
		end = segment_end(segment);
		ahead = segment_size(segment) - end;
		assert_true(ahead >= SEGMENT_RESERVE / 2);
		assert_true(ahead <= SEGMENT_RESERVE + end / 2);
		most = ahead > most ? ahead : most;
	} while (end < 16 << 20);
	assert_in_range(most, 2 << 20, 4 << 20);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(sums_are_castagnolis),
		T(what_is_committed_is_scanned),
		T(a_record_costs_few_bytes),
		T(sealed_is_as_long_as_what_it_holds),
		T(a_failed_commit_leaves_nothing),
		T(recovery_tells_damage_from_a_torn_tail),
		T(verifying_finds_what_is_damaged),
		T(records_hold_in_their_place_only),
		cmocka_unit_test_setup_teardown(reserved_by_what_is_there,
		    setup_large, teardown),
	};

	fake_clock_init();
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
