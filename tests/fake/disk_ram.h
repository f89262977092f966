/* disk_ram.h - a disk in memory that forgets what was not synced.
 * SPDX-License-Identifier: Apache-2.0
 *
 * For each file it keeps what a reader sees, what the medium has, and the
 * operations between the two; for the names likewise.  A failed sync leaves the
 * medium with any part of what it should have got, and the pages clean: a later
 * sync does not write them (as Linux does it).  One thread.                 */
#ifndef RW_TESTS_FAKE_DISK_RAM_H
#define RW_TESTS_FAKE_DISK_RAM_H

#include "spool/disk.h"

struct disk_ram;

enum disk_ram_cut {
	RAM_LOST,		/* nothing that was not synced */
	RAM_KEPT,		/* all: as when only the process dies */
	RAM_TORN,		/* any sectors of any write */
	RAM_REORDERED,		/* any writes, each whole */
	RAM_CUT__N
};

struct disk_ram *disk_ram_new(void);
void disk_ram_free(struct disk_ram **);
const struct disk_ops *disk_ram_ops(struct disk_ram *);

/* Changes (writes, syncs, names, ...) asked for so far. */
unsigned disk_ram_count(const struct disk_ram *);
/* From the n-th change from now on (0: the next), `times` changes end with st; a write
 * has then written a part.  times 0: none. */
void disk_ram_fail(struct disk_ram *, unsigned n, unsigned times,
    enum status st);
/* Only this kind of change counts and fails: 'w'rite, 's'ync, 'a'llocate,
 * 't'runcate, 'd'irectory, 0: all. */
void disk_ram_fail_kind(struct disk_ram *, char kind);
/* From the n-th change from now on all ends with ST_DISK, reading too. */
void disk_ram_die(struct disk_ram *, unsigned n);
bool disk_ram_dead(const struct disk_ram *);
/* Power comes back.  No file may be open.  The seed picks what is torn. */
void disk_ram_power_cut(struct disk_ram *, enum disk_ram_cut, uint64_t seed);

/* ST_NO_SPACE past this many bytes of files; 0: no limit. */
void disk_ram_limit(struct disk_ram *, uint64_t bytes);
uint64_t disk_ram_used(const struct disk_ram *);

/* A copy of the whole disk as a reader sees it. */
struct disk_ram *disk_ram_copy(const struct disk_ram *);
/* The bytes of a file, to look at or to damage; NULL if there is none. */
uint8_t *disk_ram_bytes(struct disk_ram *, const char *path, size_t *n);
/* Sets a file, or removes it (bytes NULL). */
void disk_ram_put(struct disk_ram *, const char *path, const void *bytes,
    size_t n);

#endif
