/* aside.h - a small log beside the log, of what did not go the usual way.
 * SPDX-License-Identifier: Apache-2.0
 *
 * DIRECTORY/FOLDER/NAME is a spool in all that is on disk (format.h), so what
 * reads a spool reads it.  Each entry is two records of one commit: why it is
 * here, text of stream 0; then what it is, in a stream of its own that no other
 * entry is part of.  Both are on disk when aside_put() returns.
 *
 * An entry is named by the place of its second record.  When it is over with it is marked
 * so (done.h), and is seen no more; its segment goes when that is so of all in it.
 *
 * One owner on one thread.  Nothing is made before the first entry.          */
#ifndef RW_SPOOL_ASIDE_H
#define RW_SPOOL_ASIDE_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "spool/disk.h"
#include "spool/spool.h"

struct aside;

struct aside_opts {
	const struct disk_ops *disk;	/* borrowed */
	const char *directory;		/* the spool's; borrowed */
	const char *folder, *name;	/* borrowed; as cursor names */
	uint64_t most_bytes;		/* on disk, but for half a MiB in any
					   case; the oldest segments go */
};

struct aside_entry {
	struct bytes why;		/* stream 0 */
	int64_t since_ms;		/* wall clock, when it was put aside */
	struct bytes data;
	int64_t wall_ms;		/* when it was received */
};

/* Looks what is there.  ST_NO_MEMORY, or the disk's status. */
enum status aside_open(const struct aside_opts *, struct aside **out);
void aside_close(struct aside **);

/* ST_OK: durable.  Else nothing of it is there, and it may be tried again.
 * *removed counts the entries that had to go for it, of earlier processes
 * too. */
enum status aside_put(struct aside *, const struct aside_entry *,
    uint64_t *removed);

/* The first entry behind that place (0, 0: the first) that is not over with; borrowed until
 * the next call of any of these.  ST_END; ST_NO_MEMORY, ST_DISK: it may be tried again.  What
 * is damaged is passed over. */
enum status aside_next(struct aside *, struct spool_pos after,
    struct spool_pos *at, struct aside_entry *out);
/* Entries of one segment are over with.  ST_OK: durable; else none of them is. */
enum status aside_over(struct aside *, uint64_t segment,
    const uint64_t *offsets, uint32_t n);
/* Where the next one will be, or before. */
struct spool_pos aside_end(const struct aside *);

/* All that is in it, whoever put it there; nobody has it open.  ST_MISSING: there is
 * none. */
enum status aside_remove(const struct aside_opts *);

/* On disk, what is reserved included. */
uint64_t aside_bytes(const struct aside *);

#endif
