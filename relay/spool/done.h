/* done.h - which records of a segment are over with, in a file beside it.
 * SPDX-License-Identifier: Apache-2.0
 *
 * DIRECTORY/segment/<16 hex>.done, for a log whose entries are dealt with one by one while
 * its segments go as a whole (aside.h).  Marks of 16 bytes, each of a record:
 *    0  its offset in the segment   8
 *    8  crc32c                      4   of the segment's number (8) and that offset
 *   12  0                           4
 * The first that fails its check, and all behind it, do not count: so a torn write is
 * written over by the next.  The file goes with its segment.                */
#ifndef RW_SPOOL_DONE_H
#define RW_SPOOL_DONE_H

#include <stdbool.h>
#include <stdint.h>

#include "spool/disk.h"

#define DONE_SUFFIX ".done"

/* Zeroed: none. */
struct done {
	uint64_t *offsets;		/* owned; in order, each once */
	uint32_t n, cap;		/* the file has as many */
};

void done_fini(struct done *);

/* Into a zeroed one.  ST_OK, also if there is no file; ST_NO_MEMORY, or the disk's. */
enum status done_read(const struct disk_ops *, const char *directory,
    uint64_t number, struct done *out);
bool done_has(const struct done *, uint64_t offset);
/* One write, one sync.  Durable if it returns ST_OK; else nothing was added. */
enum status done_add(struct done *, const struct disk_ops *,
    const char *directory, uint64_t number, const uint64_t *offsets,
    uint32_t n);

#endif
