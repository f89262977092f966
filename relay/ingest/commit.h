/* commit.h - from a scanned batch to durable: through the edge's session on its home
 * worker, then the spool, then back.
 * SPDX-License-Identifier: Apache-2.0
 *
 * An edge has one session, whichever connections and workers its requests come
 * through; its home is a worker chosen by its name.  A commit visits three loops, one
 * after the other, by loop_post: home, spool, origin.  It is never on two.   */
#ifndef RW_INGEST_COMMIT_H
#define RW_INGEST_COMMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "ingest/session.h"
#include "io/loop.h"
#include "policy/edge.h"
#include "series/batch.h"
#include "spool/spool.h"

struct commit_homes;
struct edge;

struct commit {
	/* set by the caller */
	struct loop *origin;		/* borrowed */
	char edge[EDGE_NAME_MAX + 1];
	struct batch *batch;		/* given: not there any more when done */
	struct hash128 body;		/* of the request, as it came */
	uint32_t shut_out;		/* requests of the edge refused before it */
	int64_t received_wall_ms;
	bool forged_tenant;		/* it says that it is another's */
	void (*encoded)(struct commit *);	/* the batch is gone; on the home's loop,
					   while nobody else has the commit */
	void (*done)(struct commit *);	/* on the origin's loop */
	/* nobody waits for the answer any more: not stored if it is not yet */
	_Atomic bool gone;

	/* the result */
	enum status status;		/* ST_OK: durable; ST_END: nothing was there
					   to store; else nothing is kept */
	struct batch_counts stored;	/* these included: */
	struct batch_counts repeated;	/* that were there already */
	struct batch_counts filtered;	/* that relabel rules leave out, as is wanted */
	uint32_t n_metadata;		/* stored beside them */
	uint32_t refused[ST__N];	/* points, by reason */
	int64_t wait_ns;		/* ST_RATE_LIMIT: until the edge may send again */

	/* commit.c's */
	struct commit_homes *homes;
	struct edge *from;
	unsigned losses;		/* of the edge, when it was encoded */
	struct buf record;		/* owned; buf_init by commit_init */
	struct spool_write write;
	struct loop_msg msg;
};

void commit_init(struct commit *);
void commit_fini(struct commit *);

struct commit_opts {
	struct session_opts session;	/* where an edge's policy says nothing */
	struct edge_policies policies;
	size_t max_edges;		/* in all */
	size_t batch_bytes;		/* at most, of a batch */
};

/* Sessions at home on these loops. */
enum status commit_homes_new(const struct commit_opts *, struct spool *,
    struct loop *const *loops, size_t n_loops, struct commit_homes **out);
/* When the loops have stopped and no commit is under way. */
void commit_homes_free(struct commit_homes **);

/* An empty batch for a commit, on the loop of this number; NULL: out of memory.  A few are
 * kept with their memory where the last ones were encoded, so while a request waits for
 * the disk it holds its record and no more. */
struct batch *commit_batch_take(struct commit_homes *, size_t loop);
void commit_batch_give(struct commit_homes *, size_t loop, struct batch **taken);

/* On the origin's loop.  done follows, not before the next turn. */
void commit_start(struct commit_homes *, struct commit *);

#endif
