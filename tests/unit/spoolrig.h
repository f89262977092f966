/* spoolrig.h - a spool on a disk in memory, and someone who counts.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Records carry the number of their submission and bytes made from it, so that
 * whatever comes out can be checked alone.  The record of number n is a point of the
 * edge "edge-<stream>", at second n + 1.                                    */
#ifndef RW_TESTS_SPOOLRIG_H
#define RW_TESTS_SPOOLRIG_H

#include "fake/disk_ram.h"
#include "fake/loop.h"
#include "spool/cursor.h"
#include "spool/spool.h"

#define RIG_DIR "/spool"
#define RIG_MAX 2048
#define RIG_WRITERS 2
#define RIG_READERS 4

struct rig_write {
	struct spool_write write;
	struct rig *rig;
	unsigned number;
	bool done;
	enum status status;
	uint8_t *data;
};

struct rig {
	struct disk_ram *disk;		/* borrowed */
	struct loop *loop, *reader_loop, *writer[RIG_WRITERS];
	struct spool *spool;
	struct rig_write writes[RIG_MAX];
	unsigned n;			/* submitted */
	uint32_t defines;		/* series that each write describes */
	unsigned order[RIG_MAX];	/* of done */
	unsigned n_done;
	unsigned wakes;
	struct spool_reader *readers[RIG_READERS];
};

/* Small segments: 4 KiB each, 64 KiB in all. */
extern const struct spool_opts rig_opts;

void rig_init(struct rig *, struct disk_ram *);
/* Frees the loops and what was submitted. */
void rig_fini(struct rig *);
/* New loops: what was on its way is forgotten, as with a process. */
void rig_forget(struct rig *);
enum status rig_open(struct rig *, const struct spool_opts *);
void rig_close(struct rig *);

/* A record of n bytes from a writer; returns its number. */
unsigned rig_submit(struct rig *, unsigned writer, size_t n);
/* And lets everything run. */
enum status rig_store(struct rig *, size_t n);
bool rig_acked(const struct rig *, unsigned number);

/* A reader that counts its wakes in the rig; rig_close() frees it, if need be. */
struct spool_reader *rig_reader(struct rig *, const char *name);
void rig_reader_free(struct rig *, struct spool_reader **);
/* The number of the record; asserts that its bytes are those submitted. */
unsigned rig_check(const struct spool_record *);

#endif
