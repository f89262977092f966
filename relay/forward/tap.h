/* tap.h - the log read on from one place: records, and what it takes to decode them.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Records of a stream decode in their order only, from the segment's start.  One that is
 * passed over without decoding makes the rest of its stream unreadable for this tap, until
 * it is moved back, or is given the decoder of another tap that came to the same record.
 * Belongs to the forwarder's loop.                                          */
#ifndef RW_FORWARD_TAP_H
#define RW_FORWARD_TAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/metric.h"
#include "base/status.h"
#include "forward/route.h"
#include "io/loop.h"
#include "series/batch.h"
#include "series/dict.h"
#include "spool/spool.h"

struct decoder;

/* One edge's stream of a segment. */
struct tap_stream {
	struct decoder *decoder;	/* owned; NULL: not yet, or not any more */
	struct route_stream route;	/* owned */
	uint64_t edge;			/* hash_lasting() of its name; 0: not known */
	uint32_t read;			/* records of it, of those that were read */
	struct spool_pos after;		/* the end of the last but one of those */
	struct spool_pos last;		/* and of the last */
	uint32_t decoded;		/* and that the decoder has had */
	uint32_t left;			/* the one that was left for later last; 0: none */
};

void tap_stream_fini(struct tap_stream *);
/* Memory that it takes, about. */
size_t tap_stream_size(const struct tap_stream *);

struct tap {
	struct spool_reader *reader;	/* owned */
	struct route *route;		/* borrowed; NULL: everything is for us */
	struct metric_group *metrics;	/* borrowed */
	const char *name;		/* borrowed; of the upstream */
	uint64_t segment;		/* of the streams */
	struct tap_stream *streams;	/* owned */
	uint32_t n_streams;
	struct spool_record record;	/* the last that was read */
	bool again;			/* it is to be read once more */
	bool counted;			/* in its stream */
};

/* wake: as spool_reader_new. */
enum status tap_open(struct tap *, struct spool *, const char *name,
    struct loop *, void (*wake)(void *), void *arg);
void tap_close(struct tap *);

/* To the start of the segment that has pos, as spool_reader_seek. */
enum status tap_seek(struct tap *, struct spool_pos);

/* tap->record is the next one, and *out its stream.  ST_END: nothing more yet;
 * ST_NO_MEMORY: likewise.  ST_DAMAGED and others: what stands between record.pos and
 * record.next is lost, and it was said; *out is NULL. */
enum status tap_read(struct tap *, struct tap_stream **out);
/* The next tap_read() gives the same record. */
void tap_unread(struct tap *);

/* Whether the record that was read can be decoded. */
bool tap_can_decode(const struct tap_stream *);
/* The record that was read, with what is not for this upstream taken out: so many points.
 * A failure but for ST_NO_MEMORY was said; the stream is lost. */
enum status tap_decode(struct tap *, struct tap_stream *, struct batch *,
    uint64_t *elsewhere);
/* Likewise, for its definitions alone. */
enum status tap_learn(struct tap *, struct tap_stream *, struct batch *scratch);

/* Says that the record that was read is lost, and counts it. */
void tap_lost(struct tap *, enum status);

#endif
