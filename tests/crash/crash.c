/* crash.c - cut the power, or break the disk, at every change that a spool makes.
 * SPDX-License-Identifier: Apache-2.0
 *
 *	crash [full]
 *
 * A script of submissions, turns, reads, cursor moves and restarts is run again
 * and again; at its n-th change of the disk the power goes (and what was not
 * synced is lost, kept, torn or reordered), or the disk fails once or for long.
 * Then: everything acknowledged and not yet delivered is there, once, whole, in
 * order; nothing else is but what was on its way; and the spool works.  Where it
 * drops the oldest, what is not there any more is in the ledger.            */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "spool/ledger.h"
#include "unit/spoolrig.h"

#define STEPS 60
/* Of the calls to the disk, each so-manieth is tried.  One thread, so there is little for
 * TSan to find, and with it a run takes fifteen times as long. */
#ifdef __SANITIZE_THREAD__
#define EACH 4
#else
#define EACH 1
#endif

/* What the outside knows. */
struct world {
	struct disk_ram *disk;
	struct rig rig;
	struct cursor *cursor;
	struct cursor_state state;
	struct spool_reader *reader;
	struct spool_pos synced;	/* the cursor's head, for sure */
	struct spool_pos written;	/* if only the process dies */
	struct spool_pos put;		/* and at most */
	struct spool_pos most;		/* that was ever put */
	struct spool_pos claim;		/* what start-up found it to be */
	struct spool_pos read_to;
	struct spool_pos read_at[RIG_MAX];	/* {0, 0}: not read */
	bool orphan[RIG_MAX];		/* not answered when the power went */
	struct spool_opts opts;
	bool failures;			/* of the disk, at present */
	bool ghosts;			/* what was refused may be there: the disk
					   did not let it be cut off */
	uint64_t seed;
};

static struct {
	unsigned long runs, checked;
	char what[128];
} now;

static void
die(const char *why, unsigned number)
{
	(void)fprintf(stderr, "crash: %s: %s (record %u)\n", now.what, why,
	    number);
	abort();
}

static unsigned
dice(struct world *w, unsigned n)
{
	w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(w->seed >> 33) % n;
}

/* ---- one process's life --------------------------------------------------------- */

static void
stop(struct world *w)
{
	unsigned i;

	cursor_close(&w->cursor);
	w->reader = NULL;
	rig_close(&w->rig);
	rig_forget(&w->rig);
	for (i = 0; i < w->rig.n; i++)
		if (!w->rig.writes[i].done)
			w->orphan[i] = true;
}

/* To the cursor. */
static void
seek(struct world *w)
{
	if (spool_reader_seek(w->reader, w->state.head) != ST_OK &&
	    !w->opts.drop_oldest)
		die("seeking says that something is lost", 0);
}

/* The cursor must be at `least`.  False if the disk died under it. */
static bool
begin(struct world *w, struct spool_pos least)
{
	enum status st;

	/* A start takes the file's word, synced or not: it is delivered. */
	if (spool_pos_cmp(w->written, w->claim) > 0)
		w->claim = w->written;
	st = rig_open(&w->rig, &w->opts);
	if (st == ST_OK)
		st = cursor_open(disk_ram_ops(w->disk), RIG_DIR, "a",
		    &w->cursor, &w->state);
	if (st != ST_OK) {
		if (!disk_ram_dead(w->disk) && !w->failures)
			die("does not open", 0);
		stop(w);
		return false;
	}
	if (spool_pos_cmp(w->state.head, least) < 0)
		die("the cursor forgot what was synced", 0);
	if (spool_pos_cmp(w->state.head, w->put) > 0)
		die("the cursor is past what was put", 0);
	w->written = w->put = w->state.head;
	if (!disk_ram_dead(w->disk) && !w->failures)
		w->synced = w->state.head; /* opening has synced it */
	w->read_to = w->state.head;
	w->reader = rig_reader(&w->rig, "a");
	seek(w);
	return true;
}

/* ---- the script ------------------------------------------------------------------ */

static void
take_record(struct world *w, const struct spool_record *r)
{
	unsigned number = rig_check(r);
	const struct rig_write *rw = &w->rig.writes[number];

	if (spool_pos_cmp(r->pos, w->read_to) < 0)
		return; /* only decoded again */
	if (!rw->done && !w->orphan[number])
		die("read, but not acknowledged", number);
	if (rw->done && rw->status != ST_OK && !w->ghosts)
		die("read, but refused", number);
	w->read_at[number] = r->pos;
	w->read_to = r->next;
}

static void
read_some(struct world *w, unsigned n)
{
	struct spool_record r;
	enum status st;

	while (n--) {
		st = spool_read(w->reader, &r);
		if (st == ST_END)
			return;
		if (st == ST_OK)
			take_record(w, &r);
		else if (disk_ram_dead(w->disk))
			return;
		else if (st != ST_MISSING || !w->opts.drop_oldest)
			die("reading says that something is lost", 0);
	}
}

static void
move_cursor(struct world *w, bool sync)
{
	w->state.head = w->read_to;
	w->put = w->read_to;
	if (cursor_put(w->cursor, &w->state) != ST_OK) {
		w->written = w->synced; /* torn */
		return;
	}
	w->written = w->put;
	if (spool_pos_cmp(w->put, w->most) > 0)
		w->most = w->put;
	if (!sync || cursor_sync(w->cursor) != ST_OK)
		return;
	w->synced = w->put;
	spool_reader_release(w->reader, w->put);
}

static void
step(struct world *w)
{
	unsigned n;

	switch (dice(w, 12)) {
	case 0: case 1: case 2: case 3:
		for (n = 1 + dice(w, 4); n > 0; n--)
			if (spool_room(w->rig.spool) == ST_OK)
				rig_submit(&w->rig, dice(w, RIG_WRITERS),
				    dice(w, 10) ? dice(w, 400) :
				    dice(w, 6000));
		if (dice(w, 2))
			fake_settle();
		else
			fake_turn(w->rig.loop);
		break;
	case 4: case 5:
		fake_turn(w->rig.writer[dice(w, RIG_WRITERS)]);
		fake_turn(w->rig.loop);
		break;
	case 6: case 7:
		read_some(w, dice(w, 8));
		break;
	case 8:
		move_cursor(w, false);
		break;
	case 9:
		move_cursor(w, true);
		break;
	case 10:
		fake_pass((int64_t)dice(w, 2400) * CLOCK_S);
		break;
	case 11:
		if (dice(w, 3) == 0) {
			fake_settle();
			stop(w);
			(void)begin(w, w->written);
		}
		break;
	}
}

static void
script(struct world *w, unsigned steps)
{
	while (steps-- && w->reader && !disk_ram_dead(w->disk))
		step(w);
}

/* ---- afterwards --------------------------------------------------------------------- */

static bool
delivered(const struct world *w, unsigned number)
{
	struct spool_pos at = w->read_at[number];

	if (!at.segment)
		return false;
	/* What the cursor forgot is no gap: it was delivered. */
	if (w->opts.drop_oldest && spool_pos_cmp(at, w->most) < 0)
		return true;
	return spool_pos_cmp(at, w->state.head) < 0 ||
	    spool_pos_cmp(at, w->claim) < 0;
}

struct search {
	int64_t second;
	bool found;
};

static void
each_gap(const struct ledger_gap *g, void *arg)
{
	struct search *s = arg;

	s->found = s->found || (g->from_s <= s->second &&
	    s->second <= g->to_s && g->samples > 0);
}

static bool
is_gap(const struct world *w, unsigned number)
{
	struct search s = { .second = (int64_t)number + 1 };

	(void)ledger_read(disk_ram_ops(w->disk), RIG_DIR, each_gap, &s);
	return s.found;
}

/* ST_MISSING is for those who drop. */
static enum status
read_next(struct world *w, struct spool_record *r)
{
	enum status st;

	do
		st = spool_read(w->reader, r);
	while (st == ST_MISSING && w->opts.drop_oldest);
	return st;
}

static void
check(struct world *w)
{
	static bool seen[RIG_MAX];
	int64_t last[RIG_WRITERS + 1] = { -1, -1, -1 };
	struct spool_record r;
	enum status st;
	unsigned i;

	memset(seen, 0, sizeof(seen));
	while ((st = read_next(w, &r)) == ST_OK) {
		unsigned number = rig_check(&r);

		if (seen[number])
			die("there twice", number);
		if (number <= last[r.stream])
			die("out of order", number);
		if (!w->orphan[number] && !w->ghosts &&
		    !rig_acked(&w->rig, number))
			die("there, but refused", number);
		last[r.stream] = number;
		seen[number] = true;
	}
	if (st != ST_END)
		die("something cannot be read", 0);
	for (i = 0; i < w->rig.n; i++)
		if (rig_acked(&w->rig, i) && !seen[i] && !delivered(w, i) &&
		    !(w->opts.drop_oldest && is_gap(w, i)))
			die("acknowledged, but not there", i);
	now.checked += w->rig.n;
	seek(w);
}

static void
power_comes_back(struct world *w, enum disk_ram_cut how, uint64_t seed)
{
	disk_ram_die(w->disk, 0);
	stop(w);
	disk_ram_power_cut(w->disk, how, seed);
	if (how == RAM_KEPT)
		w->synced = w->written;
	/* what was read is read again unless the cursor says otherwise */
}

static void
goes_on(struct world *w)
{
	if (!begin(w, w->synced))
		die("does not open", 0);
	check(w);
	fake_pass(60 * CLOCK_S);
	if (spool_room(w->rig.spool) == ST_SPOOL_FULL) {
		read_some(w, RIG_MAX);
		move_cursor(w, true);
		fake_settle();
	}
	if (rig_store(&w->rig, 100) != ST_OK)
		die("takes nothing", 0);
}

static struct world *
world_new(uint64_t seed, bool drops)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		abort();
	w->disk = disk_ram_new();
	rig_init(&w->rig, w->disk);
	w->seed = seed;
	w->opts = rig_opts;
	w->opts.drop_oldest = drops;
	if (drops)
		w->opts.size_bytes = 16 << 10;
	now.runs++;
	return w;
}

static void
world_free(struct world *w)
{
	stop(w);
	rig_fini(&w->rig);
	disk_ram_free(&w->disk);
	free(w);
}

/* ---- sweeps --------------------------------------------------------------------------- */

/* Power goes at the n-th change, and if `again` at the m-th of the start after. */
static void
cut_at(uint64_t seed, bool drops, unsigned n, enum disk_ram_cut how, int again)
{
	struct world *w = world_new(seed, drops);

	(void)snprintf(now.what, sizeof(now.what),
	    "seed %llu%s cut %u how %d again %d", (unsigned long long)seed,
	    drops ? " drops" : "", n, (int)how, again);
	disk_ram_die(w->disk, n);
	if (begin(w, w->synced))
		script(w, STEPS);
	power_comes_back(w, how, seed + n);
	if (again >= 0) {
		disk_ram_die(w->disk, (unsigned)again);
		if (begin(w, w->synced))
			script(w, STEPS / 4);
		power_comes_back(w, how, seed + n + 1);
	}
	goes_on(w);
	script(w, STEPS / 4);
	power_comes_back(w, RAM_LOST, 1);
	goes_on(w);
	world_free(w);
}

/* The disk fails `times` times from its n-th change on, and works again. */
static void
fail_at(uint64_t seed, unsigned n, unsigned times, enum status with,
    enum disk_ram_cut how)
{
	struct world *w = world_new(seed, false);

	(void)snprintf(now.what, sizeof(now.what),
	    "seed %llu fail %u times %u with %s how %d",
	    (unsigned long long)seed, n, times, status_info(with)->word,
	    (int)how);
	w->failures = true;
	w->ghosts = times > 1;
	disk_ram_fail(w->disk, n, times, with);
	if (!begin(w, w->synced)) {
		world_free(w); /* the disk was broken when it was made */
		return;
	}
	script(w, STEPS);
	disk_ram_fail(w->disk, 0, 0, ST_OK);
	w->failures = false;
	if (!w->reader && !begin(w, w->synced))
		die("does not open", 0);
	fake_pass(60 * CLOCK_S);
	script(w, STEPS / 4);
	power_comes_back(w, how, seed + n);
	goes_on(w);
	world_free(w);
}

/* Changes that the script makes when all is well. */
static unsigned
length(uint64_t seed, bool drops)
{
	struct world *w = world_new(seed, drops);
	unsigned n;

	(void)snprintf(now.what, sizeof(now.what), "seed %llu whole",
	    (unsigned long long)seed);
	if (begin(w, w->synced))
		script(w, STEPS);
	n = disk_ram_count(w->disk);
	fake_settle();
	power_comes_back(w, RAM_LOST, 1);
	goes_on(w);
	world_free(w);
	return n;
}

static void
sweep(uint64_t seed, bool full)
{
	unsigned n, all = length(seed, false), again;
	int how;

	for (n = 0; n < all; n += EACH) {
		for (how = 0; how < RAM_CUT__N; how++) {
			cut_at(seed, false, n, (enum disk_ram_cut)how, -1);
			for (again = 0; full && again < 24; again += 5)
				cut_at(seed, false, n,
				    (enum disk_ram_cut)how, (int)again);
		}
		for (how = 0; how < RAM_CUT__N; how++) {
			fail_at(seed, n, 1, ST_DISK, (enum disk_ram_cut)how);
			fail_at(seed, n, 1, ST_NO_SPACE,
			    (enum disk_ram_cut)how);
		}
		for (again = 2; again < (full ? 24 : 5); again++)
			fail_at(seed, n, again, again % 2 ? ST_DISK :
			    ST_NO_SPACE, (enum disk_ram_cut)(again / 2 % 4));
	}
}

static void
sweep_drops(uint64_t seed)
{
	unsigned n, all = length(seed, true);
	int how;

	for (n = 0; n < all; n += EACH)
		for (how = 0; how < RAM_CUT__N; how++)
			cut_at(seed, true, n, (enum disk_ram_cut)how, -1);
}

int
main(int argc, char **argv)
{
	bool full = argc > 1 && strcmp(argv[1], "full") == 0;
	uint64_t seed;

	fake_clock_init();
	log_set_level(getenv("CRASH_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	for (seed = 1; seed <= (full ? 12 : 1); seed++) {
		sweep(seed, full);
		sweep_drops(seed);
	}
	(void)printf("crash: %lu runs, %lu records looked for\n", now.runs,
	    now.checked);
	return 0;
}
