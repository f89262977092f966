/* dump.h - points as text.
 * SPDX-License-Identifier: Apache-2.0
 *
 * JSON: a line for each point, in the order of the log:
 *
 *	{"edge":"site-1","labels":{"__name__":"up","job":"node"},"ms":1795378828655,"value":1}
 *
 * with "start_ms" where it was given, "histogram" or "exemplar" (its labels) for the
 * other kinds, and "metadata".  What is no JSON number is a string: "NaN", "stale",
 * "+Inf", "-Inf"; a NaN has its "bits", too.
 *
 * OpenMetrics: float samples with their times, which is what it has words for; others
 * are counted.                                                              */
#ifndef RW_TOOL_DUMP_H
#define RW_TOOL_DUMP_H

#include <stdint.h>
#include <stdio.h>

#include "base/status.h"
#include "tool/filter.h"
#include "tool/walk.h"

struct dump_opts {
	struct filter filter;
	bool openmetrics;		/* else JSON */
	struct spool_pos only;		/* one record; segment 0: all */
};

struct dump_sums {
	uint64_t points;		/* written */
	uint64_t left_out;		/* no words for them */
	uint64_t damaged;		/* segments that are not whole */
};

/* As walk_spool(); ST_SYSTEM: `to` took no more. */
enum status dump_spool(const char *directory, const struct dump_opts *,
    FILE *to, struct dump_sums *);

/* As a JSON string, quotes and all. */
void dump_json_string(FILE *, struct bytes);

#endif
