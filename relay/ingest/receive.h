/* receive.h - remote write requests of edges: from HTTP to durable.
 * SPDX-License-Identifier: Apache-2.0
 *
 * receive.c asks the headers first (415 before a byte of the body is read),
 * collects the body, unpacks and scans it on the worker that has the connection,
 * and hands the batch to commit.c, which takes it through the edge's session and
 * the spool.  The answer leaves when the record is durable.
 * Answers follow remote write 2.0 "Required Written Response Headers" and "Partial
 * Write": 204; 400 for a request of which some part was refused (the rest is kept,
 * the text says how much and why); 503 with Retry-After, nothing kept, for whatever
 * passes by itself.                                                         */
#ifndef RW_INGEST_RECEIVE_H
#define RW_INGEST_RECEIVE_H

#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/status.h"
#include "http/server.h"
#include "policy/edge.h"

struct ingest;
struct spool;

struct ingest_opts {
	size_t max_request_bytes;	/* of a body, as sent and decoded */
	size_t request_memory_bytes;	/* of all requests being worked on */
	size_t max_edges;		/* with state in memory */
	uint32_t max_labels;		/* in a series */
	size_t max_label_bytes;		/* of a name or a value */
	uint32_t max_series;		/* of an edge, in a segment */
	int64_t retry_after_ns;		/* Retry-After is this, +-50 % */
	struct edge_policies policies;
	const char *const *tenant_headers;	/* looked at where an edge has a tenant */
	size_t n_tenant_headers;
};

/* Built by the daemon before the loops run.  loops are the workers'; spool is
 * borrowed, as are the loops. */
enum status ingest_new(const struct ingest_opts *, struct spool *,
    struct loop *const *loops, size_t n_loops, struct ingest **out);
/* When the loops have stopped and the spool is closed.  Requests that were not
 * answered are forgotten. */
void ingest_free(struct ingest **);

/* From now on requests are answered 503 (stopping).  Any thread. */
void ingest_stop(struct ingest *);

/* The handler of a worker's server.  arg is for struct http_route: the worker's
 * door into ingest, by its number. */
extern const struct http_handler receive_handler;
void *ingest_door(struct ingest *, size_t worker);

#endif
