/* format.h - what stands in a segment's file, and what is always true of it.
 * SPDX-License-Identifier: Apache-2.0
 *
 * DIRECTORY/lock                      held while a relay uses the spool
 * DIRECTORY/segment/<16 hex>.rwl      a segment; the digits are its number
 * DIRECTORY/segment/<16 hex>.tmp      one in the making, worth nothing
 * DIRECTORY/segment/<16 hex>.gone     empty: the newest segment that retention
 *                                     took from a reader, and all before it
 * DIRECTORY/cursor/<name>             cursor.c
 * DIRECTORY/gaps                      ledger.h
 * DIRECTORY/<folder>/<name>/segment/  aside.h: a spool without cursors
 *
 * A segment is a header, records, and once sealed a footer.  Before that the
 * file is longer than what was written (its blocks are reserved ahead, so that
 * a sync need not write the inode) and ends in zeros.  All numbers are little
 * endian.
 *
 *   header, 64 bytes                    footer, 96 bytes
 *    0  magic                     8      0  01 "RWLEND" 0a              8
 *    8  version                   2      8  flags                       4
 *   10  bytes of the header       2     12  edges                       4
 *   12  incompatible flags        4     16  offset of the footer        8
 *   16  compatible flags          4     24  records                     8
 *   20  0                         4     32  least wall_ms of a record   8
 *   24  number                    8     40  greatest                    8
 *   32  created, wall clock, ms   8     48  points                      8
 *   40  random id                16     56  time of the oldest, s       8
 *   56  0                         4     64  of the newest               8
 *   60  crc32c of the 60 before   4     72  0                          20
 *                                       92  crc32c, from the id's sum   4
 *
 *   record
 *    varint  length * 2 + synced: length counts from stream to the end
 *    2       mark of the place, only if synced
 *    4       crc32c of all the rest, from a sum of the id and the place
 *    varint  stream
 *    varint  wall_ms minus that of the record before (or created), zigzag
 *    varint  points
 *    varint  wall_ms in seconds minus the time of the newest, zigzag, and
 *    varint  that minus the time of the oldest, seconds; if there are points
 *    ...     data
 *
 * What a record holds stands in its frame, so that what is lost with it can be
 * told by whoever cannot decode it.
 * The length is 3 or more, so the first byte of a record is neither 0 (the
 * zeros ahead) nor 1 (the footer).  `synced` says: all bytes before this record
 * had been synced before it was written; it stands on the first record of a
 * commit, and costs two bytes a commit.  So if a record fails its check and a
 * synced one follows, the disk has damaged what was acknowledged; if none
 * follows, it is the torn tail of the last commit, which nobody was promised.
 * The mark makes looking for it quick; being keyed by the id it cannot be put
 * into data by a stranger.
 *
 * S1  Nothing is acknowledged before the sync that covers it.
 * S2  Bytes below a segment's durable end never change.
 * S3  A file is written by the process that made it only; start-up cuts a torn
 *     tail and seals, nothing else.
 * S4  A .rwl file has a whole header: it is synced under another name first,
 *     renamed, and the directory is synced before its first record (without
 *     that the name, and with it all that was acknowledged, could be lost).
 * S5  A reader sees only what is below the durable end, in order, and goes to
 *     the next segment only when this one is sealed.
 * S6  A segment goes when every claim is past it; or by retention, and then
 *     the ledger has what was lost before it goes (or as soon as it can be
 *     written), and a .gone tells the readers.
 * S7  After a failed write or sync nothing is written to the segment but its
 *     end: pages that failed are cut off, never synced again.
 * S8  Numbers rise by one and are not used twice while anything names them.
 * S9  What a record needs to be decoded stands before it in its segment: once
 *     one record of an epoch is refused, so are all later ones of it.       */
#ifndef RW_SPOOL_FORMAT_H
#define RW_SPOOL_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

#define FORMAT_VERSION 2
#define FORMAT_HEADER 64
#define FORMAT_FOOTER 96
#define FORMAT_ID 16
#define FORMAT_FRAME_MAX (5 + 2 + 4 + 5 + 4 * 10)	/* a record without its data */
#define FORMAT_LENGTH_MAX (UINT32_C(1) << 30)

struct format_header {
	uint64_t number;
	int64_t created_ms;
	uint8_t id[FORMAT_ID];
};

enum format_flag {
	FORMAT_CUT = 1,		/* a torn tail was cut off */
	FORMAT_DAMAGED = 2,	/* has records that fail their check */
	FORMAT_FAILED = 4,	/* ended by a disk error */
};

/* Points of a record, or of many. */
struct format_points {
	uint64_t n;
	int64_t oldest_s, newest_s;	/* their times, rounded down and up; 0 if
					   there is none */
};

struct format_footer {
	uint32_t flags;			/* enum format_flag */
	uint32_t edges;			/* that the records name */
	uint64_t end;			/* of the records; its own offset */
	uint64_t records;
	int64_t first_ms, last_ms;	/* 0 if there is no record */
	struct format_points points;
};

struct format_record {
	uint64_t size;			/* in the file; what is needed, if ST_WAIT */
	bool synced;
	uint32_t stream;
	int64_t wall_ms;
	struct format_points points;
	struct bytes data;		/* borrowed from what was parsed */
};

/* What sums of this segment start from. */
uint32_t format_seed(const uint8_t id[FORMAT_ID]);

void format_header_put(uint8_t to[FORMAT_HEADER], const struct format_header *);
/* ST_BAD_FORMAT: of a later version, or with flags that mean another reading;
 * ST_DAMAGED: not a header, or it fails its check. */
enum status format_header_get(const uint8_t from[FORMAT_HEADER],
    struct format_header *out);

void format_footer_put(uint8_t to[FORMAT_FOOTER], uint32_t seed,
    const struct format_footer *);
/* False unless it is the whole footer of this segment at this offset. */
bool format_footer_get(const uint8_t from[FORMAT_FOOTER], uint32_t seed,
    uint64_t offset, struct format_footer *out);

/* More points; and a record more in the totals of its segment. */
void format_points_add(struct format_points *, struct format_points more);
void format_count(struct format_footer *, int64_t wall_ms,
    struct format_points, bool names_edge);

/* Where a record stands. */
struct format_place {
	uint32_t seed;
	uint64_t offset;
	int64_t wall_ms;		/* of the record before */
};

/* The part of the record before its data; returns its size. */
size_t format_frame(uint8_t to[FORMAT_FRAME_MAX], struct format_place,
    const struct format_record *);

/* The record at a place, of which `have` was read.  ST_END: zeros or a footer
 * stand there; ST_WAIT: more of it is needed, out->size bytes; ST_DAMAGED. */
enum status format_parse(struct bytes have, struct format_place,
    struct format_record *out);
/* Might a synced record stand here?  Cheap, and seldom wrong. */
bool format_marked(struct bytes have, uint32_t seed, uint64_t offset);

#endif
