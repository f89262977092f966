/* scan.h - the records of one segment's file, one after the other.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a reader and recovery have in common: a descriptor of its own, a buffer
 * read ahead, every record checked.  Embedded in its owner.                 */
#ifndef RW_SPOOL_SCAN_H
#define RW_SPOOL_SCAN_H

#include "base/buf.h"
#include "spool/format.h"
#include "spool/spool.h"

struct scan {
	const struct disk_ops *disk;	/* borrowed */
	struct disk_file *file;		/* owned; NULL: closed */
	struct format_header header;
	uint32_t seed;
	uint64_t offset;		/* of the next record */
	uint64_t end;			/* set by the owner: nothing past it is read */
	int64_t wall_ms;		/* of the record before */
	bool synced;			/* of the record given last */
	struct format_points points;	/* likewise */
	struct buf ahead;		/* file's bytes from `base` on */
	uint64_t base;
};

/* Keeps the buffer of an earlier file.  end is FORMAT_HEADER.  ST_MISSING, ST_DISK,
 * ST_NO_MEMORY; ST_DAMAGED, ST_BAD_FORMAT: as format_header_get(), or not the
 * number asked for.  Left closed unless ST_OK. */
void scan_init(struct scan *, const struct disk_ops *);
enum status scan_open(struct scan *, const char *path, uint64_t number);
void scan_close(struct scan *);
void scan_fini(struct scan *);

/* ST_OK: out is filled, data borrowed until the next call.  ST_END: offset is at the
 * end, at zeros or at a footer.  ST_DAMAGED, ST_DISK, ST_NO_MEMORY: offset stays. */
enum status scan_next(struct scan *, struct spool_record *out);

/* n bytes at the offset, if the file has them before `end` (else out->n is less);
 * borrowed until the next call. */
enum status scan_peek(struct scan *, uint64_t offset, size_t n,
    struct bytes *out);

#endif
