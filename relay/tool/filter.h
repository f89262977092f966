/* filter.h - which points are wanted: by edge, series, time.
 * SPDX-License-Identifier: Apache-2.0                                       */
#ifndef RW_TOOL_FILTER_H
#define RW_TOOL_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "series/batch.h"

struct match;

struct filter {
	const char *edge;		/* with * ? [...]; NULL: all */
	struct match *match;		/* NULL: all */
	int64_t from_ms, to_ms;		/* to is not wanted any more */
};

/* Everything. */
#define FILTER_NONE { NULL, NULL, INT64_MIN, INT64_MAX }

/* Seconds since 1970, with a fraction maybe, or 2026-11-23T10:00:00Z.  False: neither. */
bool filter_time(const char *text, int64_t *ms);

bool filter_edge(const struct filter *, struct bytes edge);
bool filter_series(const struct filter *, const struct label *, uint32_t n);

static inline bool
filter_ms(const struct filter *f, int64_t ms)
{
	return ms >= f->from_ms && ms < f->to_ms;
}

#endif
