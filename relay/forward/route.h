/* route.h - which of what comes is for an upstream: by edge, by series.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Decided once for an edge and once for each series of a stream.  One loop.  */
#ifndef RW_FORWARD_ROUTE_H
#define RW_FORWARD_ROUTE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "series/batch.h"
#include "series/dict.h"

struct route;

/* Borrowed; checked before (match_parse). */
struct route_opts {
	const char *const *edges;	/* names with * ? [...]; none: all */
	size_t n_edges;
	const char *const *selectors;	/* series of any of them; none: all */
	size_t n_selectors;
};

/* What is known of a stream; zeroed at its start. */
struct route_stream {
	enum { ROUTE_UNKNOWN, ROUTE_HERE, ROUTE_ELSEWHERE } edge;
	struct buf series;		/* one byte each, likewise */
};

/* *out is NULL where everything is for the upstream.  ST_NO_MEMORY, ST_CONFIG. */
enum status route_new(const struct route_opts *, struct route **out);
void route_free(struct route **);
void route_stream_fini(struct route_stream *);

/* Takes out of a decoded batch what is not for the upstream; *taken counts the
 * points.  ST_NO_MEMORY: the batch is as it was. */
enum status route_batch(struct route *, struct route_stream *,
    const struct dict *, struct batch *, uint64_t *taken);

#endif
