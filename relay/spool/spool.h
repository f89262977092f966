/* spool.h - records that survive: submit, read on, forget.
 * SPDX-License-Identifier: Apache-2.0
 *
 * One log in segments; knows bytes only.  Writing happens on the spool's own loop:
 * what was submitted while a sync ran goes into the next write and sync (group
 * commit).  Reading happens on the reader's loop, straight from the files, up to the
 * durable end.
 *
 * Epochs.  A segment restarts every stream in it, so whoever encodes must know in
 * which segment its record will be: spool_epoch(), read as it encodes.  A record goes
 * into the segment of the epoch it was encoded under.  A new segment raises the
 * epoch; the old one is sealed once every writer loop has passed it (a message goes
 * round, behind all that was submitted before).  After a failed write or sync the
 * segment is sealed at its durable end and the epoch raised: what was encoded under
 * the old one and is not durable ends with ST_STALE_EPOCH (or the disk's status) and
 * must not be acknowledged (a later record may not decode without it).
 *
 * Start.  Every segment found is verified, a torn tail is cut, and a new segment
 * begins: nothing is ever appended to a file of an earlier process.         */
#ifndef RW_SPOOL_SPOOL_H
#define RW_SPOOL_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/status.h"
#include "io/loop.h"
#include "spool/disk.h"

struct spool;

enum spool_sync {
	SPOOL_SYNC_ALWAYS,	/* fdatasync before done */
	SPOOL_SYNC_WRITTEN,	/* survives the process, not the machine */
};

/* The name of the edge that a record is of, if it is the first of its stream; else
 * empty.  Borrowed from the record. */
typedef struct bytes spool_edge_fn(struct bytes data);

struct spool_opts {
	const char *directory;
	uint64_t size_bytes;		/* all segments on disk */
	uint64_t segment_bytes;		/* a segment is closed past this size,
					   or a larger one: set_due() */
	int64_t segment_age_ns;		/* or this age */
	enum spool_sync sync;
	bool drop_oldest;		/* when full: drop the oldest segment
					   instead of refusing */
	int64_t max_age_ns;		/* drop segments older than that; 0: none */
	spool_edge_fn *edge_of;		/* for the account of what is dropped */
};

/* ---- life: on the thread that builds the daemon ---------------------------- */

/* Makes the directory if it can, locks it (ST_LOCKED), recovers.  `loop` will run
 * the writing and outlives the spool. */
enum status spool_open(const struct spool_opts *, const struct disk_ops *,
    struct loop *loop, struct spool **out);
/* A loop that submits; all before the first spool_submit. */
enum status spool_add_writer(struct spool *, struct loop *);
/* On the spool's loop (or when it has stopped): commits what was submitted. */
void spool_close(struct spool **);

/* ---- writing ---------------------------------------------------------------- */

/* Any thread.  Never 0. */
uint64_t spool_epoch(const struct spool *);
/* Any thread; asked before encoding: ST_OK, or the reason why nothing is taken now
 * (ST_SPOOL_FULL, ST_DISK, ST_NO_SPACE). */
enum status spool_room(const struct spool *);

/* What a record holds. */
struct spool_points {
	uint64_t n;
	int64_t oldest_ms, newest_ms;	/* their times */
};

struct spool_write;
/* On the spool's loop, after the sync that covers the record (ST_OK), or when it will
 * never be durable (any other status). */
typedef void spool_done_fn(struct spool_write *);

struct spool_write {
	/* set by the caller; all of it borrowed by the spool until done */
	uint64_t epoch;
	uint32_t stream;		/* of the segment; 1, 2, ... by edge */
	struct bytes data;
	int64_t wall_ms;		/* when the request was received */
	struct spool_points points;	/* what is lost with it */
	uint32_t defined;		/* series that it describes */
	spool_done_fn *done;
	/* the spool's */
	enum status status;
	struct loop_msg msg;
	struct spool_write *next;
	struct spool *spool;
};

/* Any thread.  Records of one writer loop are appended in the order of its
 * calls. */
void spool_submit(struct spool *, struct spool_write *);
/* Any thread.  Nothing is written: done, with ST_OK, when it is decided what became of
 * everything that this writer loop has submitted before. */
void spool_follow(struct spool *, struct spool_write *);

/* A stream number, 1, 2, ..., that no other stream of the epoch has.  Any thread. */
uint32_t spool_stream_new(struct spool *, uint64_t epoch);

/* ---- forgetting --------------------------------------------------------------- */

struct spool_forget {
	/* set by the caller; borrowed until done */
	const char *name;		/* of a reader that is no more */
	void (*done)(struct spool_forget *);	/* on the spool's loop */
	/* the spool's */
	enum status status;		/* ST_OK; ST_MISSING: nobody of that name was
					   here; ST_BUSY: it reads; ST_CONFIG, or the
					   disk's: all is as it was */
	struct loop_msg msg;
	struct spool *spool;
};

/* Any thread.  Its cursor goes, and with that its claim, and the segments that nobody else
 * needs. */
void spool_forget(struct spool *, struct spool_forget *);

struct cursor_state;

struct spool_skip {
	/* set by the caller; borrowed until done */
	const char *name;		/* of a reader */
	const struct cursor_state *given_up;	/* what it owes is owed no more */
	void (*done)(struct spool_skip *);	/* on the spool's loop */
	/* the spool's */
	uint64_t samples;		/* and histograms and exemplars */
	uint64_t segment;		/* next to be looked at */
	struct loop_msg msg;
	struct spool *spool;
};

/* Any thread.  Enters it in the ledger, a segment at a time.  Then it is durable there,
 * as far as the disk lets it; nothing is removed before the reader releases it. */
void spool_skip(struct spool *, struct spool_skip *);

/* ---- reading ------------------------------------------------------------------ */

struct spool_pos {
	uint64_t segment;		/* 0: before everything */
	uint64_t offset;		/* in the segment's file */
};

/* < 0, 0, > 0 */
int spool_pos_cmp(struct spool_pos, struct spool_pos);

struct spool_record {
	struct spool_pos pos, next;	/* where it is; what comes after it */
	uint32_t stream;
	int64_t wall_ms;
	uint64_t points;		/* that it holds, by its frame */
	struct bytes data;		/* borrowed until the next spool_read */
};

struct spool_reader;

/* `name` keys the reader's claim on segments: none is removed (but by drop_oldest)
 * before every reader has released it.  `wake` is called on `loop` when there is
 * something new after spool_read said ST_END. */
enum status spool_reader_new(struct spool *, const char *name, struct loop *loop,
    void (*wake)(void *), void *arg, struct spool_reader **out);
void spool_reader_free(struct spool_reader **);

/* Continues at the first record of the segment that holds pos (records of a segment
 * only decode from its start), or at the oldest if that segment is gone
 * (ST_MISSING: something was lost; reading works all the same). */
enum status spool_reader_seek(struct spool_reader *, struct spool_pos);
/* ST_OK; ST_END: nothing more yet; ST_NO_MEMORY: ask again; ST_DAMAGED: a record fails its check: the rest of
 * its segment is passed over by the next call (`out->pos` and `next` say what was
 * lost); ST_MISSING, ST_DISK: the same for a segment that cannot be read. */
enum status spool_read(struct spool_reader *, struct spool_record *out);
/* The number of the segment that it has come to. */
uint64_t spool_reader_segment(const struct spool_reader *);
/* Everything before pos is not needed any more by this reader. */
void spool_reader_release(struct spool_reader *, struct spool_pos);
/* Bytes between pos and the durable end. */
uint64_t spool_backlog(struct spool_reader *, struct spool_pos);
struct spool_pos spool_oldest(struct spool_reader *);
struct spool_pos spool_newest(struct spool_reader *);

#endif
