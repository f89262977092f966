/* session.h - the state of one edge: which series it has, and the encoder of its
 * records.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A series is found by the keyed hash of its label block, first by looking at the
 * series that followed the one before the last time, then in a table.  Labels are
 * parsed, rewritten and judged when a series is first seen, at no cost per sample later.
 * Series whose labels come to be the same by the edge's rules are one.  State
 * begins anew with each epoch of the spool, as records do; only what each series was
 * given last is remembered, so that a repeat is known again (repeat.h).
 * A session belongs to the loop of its home worker.                         */
#ifndef RW_INGEST_SESSION_H
#define RW_INGEST_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/hash.h"
#include "policy/edge.h"
#include "policy/relabel.h"
#include "series/batch.h"

struct session;
struct spool;

struct session_opts {
	uint32_t max_labels;		/* in a series */
	size_t max_label_bytes;		/* of a name or a value */
	uint32_t max_series;		/* in a segment */
	const struct edge_policy *policy;	/* NULL: none */
	struct relabel_room *room;	/* shared by the sessions of a loop; may be
					   NULL where the policy has no rules */
};

/* opts, with what it points to, and spool are borrowed for life, name is copied. */
enum status session_new(struct bytes name, const struct session_opts *,
    struct spool *, struct session **out);
void session_free(struct session **);

struct session_record {
	uint64_t epoch;			/* where it belongs (struct spool_write) */
	uint32_t stream;
	uint32_t defined;		/* series met for the first time in it */
	uint32_t forged;		/* of the series met: rules_apply() */
	struct batch_counts repeated;	/* points that were left out: repeat.h */
	struct batch_counts filtered;	/* that relabel rules drop */
};

/* Settles the batch and appends its record to out.  `body` is the hash of the request
 * as it came.  A series whose labels will not do is refused alone (batch->refused).
 * What is stored already, or on its way, is left out.  ST_END: nothing is left to
 * store (r->repeated is set).  ST_SERIES_LIMIT, ST_NO_MEMORY, ST_TOO_LARGE: nothing
 * was done. */
enum status session_encode(struct session *, struct batch *,
    struct hash128 body, struct buf *out, struct session_record *r);
/* Something that was encoded has not become durable: what comes again is stored
 * again. */
void session_forget(struct session *);

struct bytes session_name(const struct session *);
uint32_t session_n_series(const struct session *);
/* Bytes of memory held, all in. */
size_t session_size(const struct session *);

#endif
