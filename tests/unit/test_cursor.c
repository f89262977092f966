/* test_cursor.c - a position is never forgotten, and never half known.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "fake/disk_ram.h"
#include "spool/cursor.h"

#define DIR "/spool"
#define PATH DIR "/cursor/up-1"

static struct disk_ram *disk;
static struct cursor *cursor;
static struct cursor_state *cs;

static int
setup(void **state)
{
	(void)state;
	disk = disk_ram_new();
	cs = calloc(1, sizeof(*cs));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	cursor_close(&cursor);
	free(cs);
	disk_ram_free(&disk);
	return 0;
}

static enum status
open_it(void)
{
	memset(cs, 0x55, sizeof(*cs));
	return cursor_open(disk_ram_ops(disk), DIR, "up-1", &cursor, cs);
}

static void
put(uint64_t segment)
{
	uint32_t i;

	cs->head = (struct spool_pos){ segment, segment * 10 };
	cs->n_owed = (uint32_t)(segment % 5);
	for (i = 0; i < cs->n_owed; i++)
		cs->owed[i] = (struct cursor_owed){
			{ segment / 2 + i, 7 }, { segment / 2 + i, 900 }, i,
			UINT64_MAX - i, (int64_t)segment, 893 };
	assert_int_equal(cursor_put(cursor, cs), ST_OK);
}

static void
expect(uint64_t segment)
{
	uint32_t i;

	assert_int_equal(cs->head.segment, segment);
	assert_int_equal(cs->head.offset, segment * 10);
	assert_int_equal(cs->n_owed, segment % 5);
	for (i = 0; i < cs->n_owed; i++) {
		assert_int_equal(cs->owed[i].from.segment, segment / 2 + i);
		assert_int_equal(cs->owed[i].from.offset, 7);
		assert_int_equal(cs->owed[i].to.segment, segment / 2 + i);
		assert_int_equal(cs->owed[i].to.offset, 900);
		assert_int_equal(cs->owed[i].stream, i);
		assert_true(cs->owed[i].edge == UINT64_MAX - i);
		assert_int_equal(cs->owed[i].wall_ms, segment);
		assert_int_equal(cs->owed[i].bytes, 893);
	}
}

static void
power_cut(enum disk_ram_cut how, uint64_t seed)
{
	disk_ram_die(disk, 0);
	cursor_close(&cursor);
	disk_ram_power_cut(disk, how, seed);
	assert_int_equal(open_it(), ST_OK);
}

static void
a_new_one_stands_before_everything(void **state)
{
	(void)state;
	assert_int_equal(open_it(), ST_OK);
	expect(0);
	cursor_close(&cursor);
	assert_int_equal(open_it(), ST_OK);
	expect(0);
}

static void
what_was_put_survives_the_process(void **state)
{
	uint64_t i;

	(void)state;
	assert_int_equal(open_it(), ST_OK);
	for (i = 1; i < 20; i++) {
		put(i);
		if (i % 3 == 0)
			assert_int_equal(cursor_sync(cursor), ST_OK);
		cursor_close(&cursor);
		assert_int_equal(open_it(), ST_OK);
		expect(i);
	}
	power_cut(RAM_KEPT, 1);
	expect(19);
}

/* Whatever is torn, what was synced is there, or something newer. */
static void
what_was_synced_survives_a_power_cut(void **state)
{
	uint64_t seed, i;

	(void)state;
	assert_int_equal(open_it(), ST_OK);
	for (seed = 0; seed < 400; seed++) {
		uint64_t base = 100 + seed * 10;

		put(base);
		assert_int_equal(cursor_sync(cursor), ST_OK);
		for (i = 1; i <= seed % 4; i++)
			put(base + i);
		power_cut((enum disk_ram_cut)(seed % RAM_CUT__N), seed);
		assert_in_range(cs->head.segment, base, base + i - 1);
		expect(cs->head.segment);
	}
}

static void
a_failed_sync_harms_nothing(void **state)
{
	uint64_t seed;

	(void)state;
	assert_int_equal(open_it(), ST_OK);
	for (seed = 0; seed < 100; seed++) {
		uint64_t base = 100 + seed * 10;

		put(base);
		assert_int_equal(cursor_sync(cursor), ST_OK);
		put(base + 1);
		disk_ram_fail(disk, 0, 1, ST_DISK);
		assert_int_equal(cursor_sync(cursor), ST_DISK);
		put(base + 2);
		if (seed % 2)
			assert_int_equal(cursor_sync(cursor), ST_OK);
		power_cut(RAM_TORN, seed);
		assert_in_range(cs->head.segment, base + seed % 2 * 2,
		    base + 2);
		expect(cs->head.segment);
	}
}

static void
the_largest_fits(void **state)
{
	uint32_t i;

	(void)state;
	assert_int_equal(open_it(), ST_OK);
	cs->head = (struct spool_pos){ UINT64_MAX, UINT64_MAX };
	cs->n_owed = CURSOR_OWED_MAX;
	for (i = 0; i < CURSOR_OWED_MAX; i++)
		cs->owed[i] = (struct cursor_owed){
			{ UINT64_MAX - CURSOR_OWED_MAX + i, UINT64_MAX },
			{ UINT64_MAX, UINT64_MAX }, UINT32_MAX,
			UINT64_MAX, -1, UINT64_MAX };
	assert_int_equal(cursor_put(cursor, cs), ST_OK);
	cursor_close(&cursor);
	assert_int_equal(open_it(), ST_OK);
	assert_int_equal(cs->n_owed, CURSOR_OWED_MAX);
	assert_true(cs->owed[CURSOR_OWED_MAX - 1].from.segment ==
	    UINT64_MAX - 1);
	assert_true(cs->owed[0].to.offset == UINT64_MAX);
}

/* One slot spoiled: the other; both: a refusal, not a guess. */
static void
damage_is_seen(void **state)
{
	uint8_t *bytes;
	size_t n, i;

	(void)state;
	assert_int_equal(open_it(), ST_OK);
	put(7);
	assert_int_equal(cursor_sync(cursor), ST_OK);
	put(8);
	assert_int_equal(cursor_sync(cursor), ST_OK);
	cursor_close(&cursor);
	bytes = disk_ram_bytes(disk, PATH, &n);
	for (i = 0; i < 60; i++) {
		struct disk_ram *whole = disk;

		disk = disk_ram_copy(whole);
		bytes = disk_ram_bytes(disk, PATH, &n);
		bytes[i] ^= 0x10;
		assert_int_equal(open_it(), ST_OK);
		assert_in_range(cs->head.segment, 7, 8);
		expect(cs->head.segment);
		cursor_close(&cursor);
		bytes = disk_ram_bytes(disk, PATH, &n);
		bytes[(1 << 20) + 30] ^= 0x10;
		if (i < 28 + 12)
			assert_int_equal(open_it(), ST_BAD_FORMAT);
		disk_ram_free(&disk);
		disk = whole;
	}
}

/* The very first put, torn: there is nothing to fall back to, nor to lose. */
static void
a_torn_first_put_is_a_new_cursor(void **state)
{
	uint8_t junk[40];
	size_t n;

	(void)state;
	memset(junk, 0xee, sizeof(junk));
	assert_int_equal(open_it(), ST_OK);
	cursor_close(&cursor);
	disk_ram_put(disk, PATH, junk, sizeof(junk));
	assert_int_equal(open_it(), ST_OK);
	expect(0);
	put(3);
	assert_int_equal(cursor_sync(cursor), ST_OK);
	power_cut(RAM_LOST, 1);
	expect(3);
	assert_non_null(disk_ram_bytes(disk, PATH, &n));
}

static void
a_full_disk_takes_a_position(void **state)
{
	uint64_t n;

	(void)state;
	assert_int_equal(open_it(), ST_OK);
	cursor_close(&cursor);
	disk_ram_limit(disk, disk_ram_used(disk));
	assert_int_equal(open_it(), ST_OK);
	for (n = 1; n < 20; n++) {
		put(n);
		assert_int_equal(cursor_sync(cursor), ST_OK);
	}
	cursor_close(&cursor);
	assert_int_equal(open_it(), ST_OK);
	expect(19);
}

static void
names_are_plain(void **state)
{
	static const char *const bad[] = { "", "a/b", "..", ".x", "a b",
		"\xc3\xa9" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(cursor_open(disk_ram_ops(disk), DIR, bad[i],
		    &cursor, cs), ST_CONFIG);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_new_one_stands_before_everything),
		T(what_was_put_survives_the_process),
		T(what_was_synced_survives_a_power_cut),
		T(a_failed_sync_harms_nothing),
		T(the_largest_fits),
		T(damage_is_seen),
		T(a_torn_first_put_is_a_new_cursor),
		T(a_full_disk_takes_a_position),
		T(names_are_plain),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
