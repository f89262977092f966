/* flip.c - flip each bit of a spool's files, one at a time.
 * SPDX-License-Identifier: Apache-2.0
 *
 *	flip [full]
 *
 * Whatever bit is wrong: no record comes out changed, out of order or twice; in
 * the file that was hit all before the damage is there, in the others all is;
 * and if something acknowledged is missing, the reader was told.  Only in the last
 * commit of a file that was not sealed may damage pass for a torn write.    */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "fake/loop.h"
#include "unit/spoolrig.h"

#define RECORDS 36
#define COMMIT 3			/* records at a time */

static struct {
	char what[128];
	unsigned long runs, told, quiet;
} now;

/* Where the records of the spool are, undamaged. */
static struct spool_pos place[RECORDS], after[RECORDS];

static void
die(const char *why, unsigned number)
{
	(void)fprintf(stderr, "flip: %s: %s (record %u)\n", now.what, why,
	    number);
	abort();
}

/* A spool of some segments; the last one is sealed, or not. */
static struct disk_ram *
make(bool sealed)
{
	struct rig *rig = malloc(sizeof(*rig));
	struct disk_ram *disk = disk_ram_new(), *copy;
	struct spool_opts o = rig_opts;
	struct spool_record r;
	struct spool_reader *reader;
	unsigned i;

	if (!rig)
		abort();
	o.segment_bytes = 700;
	rig_init(rig, disk);
	if (rig_open(rig, &o) != ST_OK)
		die("does not open", 0);
	for (i = 0; i < RECORDS; i++) {
		rig_submit(rig, i % RIG_WRITERS, 20 + i * 3 % 40);
		if (i % COMMIT == COMMIT - 1)
			fake_settle();
	}
	reader = rig_reader(rig, "a");
	for (i = 0; i < RECORDS; i++) {
		if (spool_read(reader, &r) != ST_OK || rig_check(&r) != i)
			die("cannot be read whole", i);
		place[i] = r.pos;
		after[i] = r.next;
	}
	if (sealed)
		rig_close(rig);
	copy = disk_ram_copy(disk);
	rig_close(rig);
	rig_fini(rig);
	free(rig);
	disk_ram_free(&disk);
	return copy;
}

/* Was the record in the last commit of an open file? */
static bool
may_be_torn(unsigned number, bool sealed)
{
	return !sealed && number >= RECORDS - COMMIT;
}

static void
read_all(struct spool_reader *reader, bool seen[RECORDS], bool *told)
{
	struct spool_record r;
	unsigned number, last = 0;
	enum status st;

	while ((st = spool_read(reader, &r)) != ST_END) {
		if (st != ST_OK) {
			*told = true;
			continue;
		}
		number = rig_check(&r);
		if (number >= RECORDS || seen[number] ||
		    (number < last))
			die("out of order", number);
		seen[number] = true;
		last = number;
	}
}

static void
look(const struct disk_ram *whole, bool sealed, uint64_t segment,
    uint64_t offset)
{
	static struct rig rig;
	struct disk_ram *disk = disk_ram_copy(whole);
	bool seen[RECORDS] = { false }, told = false;
	unsigned i;
	char path[64];
	uint8_t *bytes;
	size_t n;

	(void)snprintf(path, sizeof(path), RIG_DIR "/segment/%016" PRIx64
	    ".rwl", segment);
	bytes = disk_ram_bytes(disk, path, &n);
	bytes[offset / 8] ^= (uint8_t)(1 << offset % 8);
	rig_init(&rig, disk);
	if (rig_open(&rig, &rig_opts) != ST_OK)
		die("does not open", 0);
	read_all(rig_reader(&rig, "a"), seen, &told);
	for (i = 0; i < RECORDS; i++) {
		if (seen[i])
			continue;
		if (place[i].segment != segment)
			die("lost from another segment", i);
		if (offset / 8 >= after[i].offset)
			die("lost before the damage", i);
		if (!told && !may_be_torn(i, sealed))
			die("lost, and not told", i);
		now.quiet += !told;
	}
	now.runs++;
	now.told += told;
	if (rig_store(&rig, 10) != ST_OK)
		die("takes nothing", 0);
	rig_close(&rig);
	fake_settle();
	rig_fini(&rig);
	disk_ram_free(&disk);
}

static void
sweep(bool sealed, bool full)
{
	struct disk_ram *disk = make(sealed);
	uint64_t segment, bit;
	char path[64];
	size_t n;

	for (segment = 1; ; segment++) {
		(void)snprintf(path, sizeof(path), RIG_DIR "/segment/%016"
		    PRIx64 ".rwl", segment);
		if (!disk_ram_bytes(disk, path, &n))
			break;
		/* Past the records there are zeros in plenty. */
		if (n > 1500)
			n = 1500;
		for (bit = segment % 5; bit < n * 8; bit += full ? 1 : 5) {
			(void)snprintf(now.what, sizeof(now.what),
			    "segment %" PRIu64 " bit %" PRIu64 "%s", segment,
			    bit, sealed ? "" : " (open)");
			look(disk, sealed, segment, bit);
		}
	}
	if (segment < 3)
		die("too few segments", 0);
	disk_ram_free(&disk);
}

int
main(int argc, char **argv)
{
	bool full = argc > 1 && strcmp(argv[1], "full") == 0;

	fake_clock_init();
	/* Thousands of complaints are what it is about. */
	log_set_level(LOG_LEVEL_ERROR);
	sweep(true, full);
	sweep(false, full);
	(void)printf("flip: %lu bits, damage told %lu times, %lu records taken "
	    "for a torn tail\n", now.runs, now.told, now.quiet);
	return 0;
}
