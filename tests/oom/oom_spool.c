/* oom_spool.c - fail each allocation of a spool's life, one at a time.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The spool is compiled here with its allocations renamed.  Whichever fails,
 * alone or with all after it: nothing crashes or leaks, and once there is memory
 * again all that was acknowledged is there.                                 */
#undef malloc
#undef calloc
#undef realloc

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "fake/loop.h"
#include "spool/ledger.h"
#include "unit/spoolrig.h"

void *oom_malloc(size_t);
void *oom_calloc(size_t, size_t);
void *oom_realloc(void *, size_t);

static unsigned long asked, fail_at;
static bool fail_after;			/* and all that follow */

static bool
fails(void)
{
	unsigned long n = asked++;

	return fail_after ? n >= fail_at : n == fail_at;
}

void *
oom_malloc(size_t n)
{
	return fails() ? NULL : malloc(n);
}

void *
oom_calloc(size_t n, size_t size)
{
	return fails() ? NULL : calloc(n, size);
}

void *
oom_realloc(void *p, size_t n)
{
	return fails() ? NULL : realloc(p, n);
}

static struct cursor_state state;
static struct spool_opts opts;		/* those of the rig, or to drop the oldest */

static void
die(const char *why, unsigned number)
{
	(void)fprintf(stderr, "oom_spool: allocation %lu%s: %s (record %u)\n",
	    fail_at, fail_after ? " and on" : "", why, number);
	abort();
}

static void
wake(void *arg)
{
	(void)arg;
}

/* Reads on; false if there is no memory for it. */
static bool
follow(struct rig *rig, unsigned *next)
{
	struct spool_reader *reader;
	struct spool_record r;
	enum status st;

	if (spool_reader_new(rig->spool, "a", rig->reader_loop, wake, NULL,
	    &reader) != ST_OK)
		return false;
	while ((st = spool_read(reader, &r)) == ST_OK ||
	    (st == ST_MISSING && opts.drop_oldest))
		if (st == ST_OK)
			*next = rig_check(&r) + 1;
	spool_reader_free(&reader);
	if (st != ST_END)
		die("something cannot be read", *next);
	return true;
}

struct search {
	int64_t second;
	bool found;
};

static void
each_gap(const struct ledger_gap *g, void *arg)
{
	struct search *s = arg;

	s->found = s->found || (g->from_s <= s->second && s->second <= g->to_s);
}

/* A segment that could not end for want of memory is over the limit alone. */
static bool
is_gap(struct rig *rig, unsigned second)
{
	struct search s = { .second = second };

	(void)ledger_read(disk_ram_ops(rig->disk), RIG_DIR, each_gap, &s);
	return s.found;
}

static void
live(struct rig *rig)
{
	struct cursor *cursor;
	unsigned i, next;

	if (rig_open(rig, &opts) != ST_OK) {
		spool_close(&rig->spool);
		return;
	}
	for (i = 0; i < 40; i++) {
		rig_submit(rig, i % RIG_WRITERS, i != 20 ? 400 :
		    opts.drop_oldest ? 3000 : 300000);
		fake_settle();
		if (i % 8 == 0)
			(void)follow(rig, &next);
	}
	if (cursor_open(disk_ram_ops(rig->disk), RIG_DIR, "a", &cursor,
	    &state) == ST_OK) {
		state.n_owed = 0;
		if (cursor_put(cursor, &state) != ST_OK)
			die("cursor", 0);
		cursor_close(&cursor);
	}
	fake_pass(60 * CLOCK_S);
	rig_close(rig);
}

/* True if the failure was past the last allocation. */
static bool
run(void)
{
	struct disk_ram *disk = disk_ram_new();
	struct rig *rig = malloc(sizeof(*rig));
	unsigned i, next = 0, last = 0;
	bool through;

	if (!rig)
		abort();
	rig_init(rig, disk);
	asked = 0;
	live(rig);
	through = asked <= fail_at;
	fake_settle();
	fail_at += 1u << 30;
	if (rig_open(rig, &opts) != ST_OK)
		die("does not open", 0);
	if (!follow(rig, &next))
		die("no reader", 0);
	for (i = 0; i < rig->n; i++)
		if (rig_acked(rig, i))
			last = i + 1;
	if (next != last && !is_gap(rig, last))
		die("the last is not what was acknowledged last", next);
	rig_close(rig);
	fail_at -= 1u << 30;
	fake_settle();
	rig_fini(rig);
	free(rig);
	disk_ram_free(&disk);
	return through;
}

static unsigned long
sweep(void)
{
	unsigned long runs = 0;

	for (fail_at = 0; ; fail_at++) {
		bool through;

		fail_after = false;
		through = run();
		fail_after = true;
		(void)run();
		runs += 2;
		if (through)
			return runs;
	}
}

int
main(void)
{
	unsigned long runs;

	fake_clock_init();
	log_set_level(LOG_LEVEL_ERROR);
	opts = rig_opts;
	runs = sweep();
	opts.drop_oldest = true;
	opts.size_bytes = 16 << 10;
	runs += sweep();
	(void)printf("oom_spool: %lu runs\n", runs);
	return 0;
}
