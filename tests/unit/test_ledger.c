/* test_ledger.c - gaps on disk: joined, bounded, and told from damage.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "fake/disk_ram.h"
#include "spool/ledger.h"

#define DIR "/spool"
#define PATH DIR "/" LEDGER_FILE

static struct disk_ram *disk;
static const struct disk_ops *ops;
static struct ledger *ledger;

static int
setup(void **state)
{
	(void)state;
	disk = disk_ram_new();
	ops = disk_ram_ops(disk);
	assert_int_equal(ops->make_dir(ops->arg, DIR), ST_OK);
	assert_int_equal(ledger_open(ops, DIR, &ledger), ST_OK);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ledger_close(&ledger);
	disk_ram_free(&disk);
	return 0;
}

static void
reopen(void)
{
	ledger_close(&ledger);
	assert_int_equal(ledger_open(ops, DIR, &ledger), ST_OK);
}

/* Ten points of an edge, of the ten seconds that end with the segment's. */
static void
add(const char *upstream, const char *edge, uint64_t segment)
{
	struct ledger_gap g = {
		.upstream = upstream, .edge = edge,
		.reason = ST_SPOOL_FULL, .samples = 10,
		.from_s = (int64_t)segment * 10 - 9,
		.to_s = (int64_t)segment * 10,
		.removed_s = 1000 + (int64_t)segment,
		.first = segment, .last = segment,
	};

	assert_int_equal(ledger_add(ledger, &g), ST_OK);
}

struct seen {
	char text[1024];
	size_t at, n;
	uint64_t samples;
};

static void
each(const struct ledger_gap *g, void *arg)
{
	struct seen *s = arg;

	s->n++;
	s->samples += g->samples;
	if (s->at < 900)
		s->at += (size_t)snprintf(s->text + s->at,
		    sizeof(s->text) - s->at, "%s %s %llu %lld-%lld %llu-%llu "
		    "%lld %s\n", g->upstream, g->edge,
		    (unsigned long long)g->samples, (long long)g->from_s,
		    (long long)g->to_s, (unsigned long long)g->first,
		    (unsigned long long)g->last, (long long)g->removed_s,
		    status_info(g->reason)->word);
}

static struct seen
look(void)
{
	struct seen s = { .n = 0 };

	assert_int_equal(ledger_read(ops, DIR, each, &s), ST_OK);
	return s;
}

static void
what_is_written_is_read(void **state)
{
	struct seen s = { .n = 0 };
	struct ledger_gap g = {
		.upstream = "up", .edge = "a b%\n*\xc3", .reason = ST_EXPIRED,
		.samples = UINT64_MAX, .from_s = INT64_MIN, .to_s = INT64_MAX,
		.removed_s = -1, .first = 7, .last = 9,
	};

	(void)state;
	assert_int_equal(ledger_read(ops, DIR, each, &s), ST_MISSING);
	assert_int_equal(ledger_write(ledger), ST_OK);
	assert_int_equal(ledger_read(ops, DIR, each, &s), ST_MISSING);
	assert_int_equal(ledger_add(ledger, &g), ST_OK);
	add("-", "", 3);
	assert_int_equal(ledger_write(ledger), ST_OK);
	s = look();
	assert_string_equal(s.text, "up a%20b%25%0a%2a%c3 18446744073709551615 "
	    "-9223372036854775808-9223372036854775807 7-9 -1 expired\n"
	    "- - 10 21-30 3-3 1003 spool-full\n");
}

static void
segments_that_follow_are_one_gap(void **state)
{
	struct seen s;

	(void)state;
	add("up", "x", 1);
	add("up", "x", 2);
	add("other", "x", 2);
	assert_int_equal(ledger_write(ledger), ST_OK);
	reopen();
	assert_int_equal(ledger_n(ledger), 2);
	add("up", "x", 2);	/* written, and then the power went */
	add("up", "x", 3);
	add("up", "y", 3);
	add("up", "x", 5);
	assert_int_equal(ledger_write(ledger), ST_OK);
	s = look();
	assert_string_equal(s.text, "up x 30 1-30 1-3 1003 spool-full\n"
	    "other x 10 11-20 2-2 1002 spool-full\n"
	    "up y 10 21-30 3-3 1003 spool-full\n"
	    "up x 10 41-50 5-5 1005 spool-full\n");
}

/* There may be more of a segment, and what was before it. */
static void
what_is_skipped_adds_up(void **state)
{
	struct ledger_gap g = { .upstream = "up", .edge = "x",
		.reason = ST_SKIPPED, .samples = 10, .from_s = 51, .to_s = 60,
		.removed_s = 1000, .first = 6, .last = 6 };
	struct seen s;

	(void)state;
	add("up", "x", 6);
	assert_int_equal(ledger_add(ledger, &g), ST_OK);
	assert_int_equal(ledger_add(ledger, &g), ST_OK);
	g.first = g.last = 5;
	g.from_s = 41;
	assert_int_equal(ledger_add(ledger, &g), ST_OK);
	g.first = g.last = 2;
	assert_int_equal(ledger_add(ledger, &g), ST_OK);
	assert_int_equal(ledger_write(ledger), ST_OK);
	reopen();
	s = look();
	assert_string_equal(s.text, "up x 10 51-60 6-6 1006 spool-full\n"
	    "up x 30 41-60 5-6 1000 skipped\n"
	    "up x 10 41-60 2-2 1000 skipped\n");
}

static void
it_is_bounded_and_loses_no_count(void **state)
{
	struct seen s;
	char edge[16];
	unsigned i;
	size_t n;

	(void)state;
	for (i = 0; i < 10000; i++) {
		(void)snprintf(edge, sizeof(edge), "e%u", i);
		add(i % 2 ? "a" : "b", edge, i + 1);
	}
	assert_int_equal(ledger_write(ledger), ST_OK);
	assert_in_range(ledger_n(ledger), LEDGER_GAPS_MAX / 2,
	    LEDGER_GAPS_MAX);
	assert_non_null(disk_ram_bytes(disk, PATH, &n));
	assert_in_range(n, 1, 1 << 20);
	s = look();
	assert_int_equal(s.n, ledger_n(ledger));
	assert_int_equal(s.samples, 100000);
	assert_non_null(strstr(s.text, "b * "));
	reopen();
	assert_int_equal(ledger_n(ledger), s.n);
}

static void
a_write_that_fails_is_made_up_for(void **state)
{
	struct seen s;
	unsigned n;

	(void)state;
	add("up", "x", 1);
	assert_int_equal(ledger_write(ledger), ST_OK);
	add("up", "x", 3);
	for (n = 0; n < 4; n++) {
		disk_ram_fail(disk, n, 1, ST_NO_SPACE);
		if (ledger_write(ledger) == ST_OK)
			break;
		s = look();
		assert_in_range(s.n, 1, 2);
	}
	assert_true(n >= 3);
	disk_ram_fail(disk, 0, 0, ST_OK);
	assert_int_equal(ledger_write(ledger), ST_OK);
	s = look();
	assert_int_equal(s.n, 2);
}

/* Whatever bit is wrong, no line says something else. */
static void
damage_does_not_pass(void **state)
{
	struct seen whole, s;
	size_t n, bit;
	uint8_t *raw;

	(void)state;
	add("up", "x", 1);
	add("up", "y", 1);
	assert_int_equal(ledger_write(ledger), ST_OK);
	whole = look();
	raw = disk_ram_bytes(disk, PATH, &n);
	for (bit = 0; bit < n * 8; bit++) {
		raw[bit / 8] ^= (uint8_t)(1 << bit % 8);
		s = (struct seen){ .n = 0 };
		if (ledger_read(ops, DIR, each, &s) == ST_OK) {
			assert_true(s.n < 2 ||
			    strcmp(s.text, whole.text) == 0);
			assert_true(s.n == 0 || strstr(whole.text, s.text));
		}
		raw[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	/* the rest is kept, and what is wrong is put aside */
	raw[n - 20] ^= 1;
	reopen();
	assert_int_equal(ledger_n(ledger), 1);
	assert_null(disk_ram_bytes(disk, PATH, &n));
	assert_non_null(disk_ram_bytes(disk, PATH ".old", &n));
	assert_int_equal(ledger_write(ledger), ST_OK);
	assert_int_equal(look().n, 1);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_is_written_is_read),
		T(segments_that_follow_are_one_gap),
		T(what_is_skipped_adds_up),
		T(it_is_bounded_and_loses_no_count),
		T(a_write_that_fails_is_made_up_for),
		T(damage_does_not_pass),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
