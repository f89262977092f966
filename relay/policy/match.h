/* match.h - which series: PromQL's selectors.
 * SPDX-License-Identifier: Apache-2.0
 *
 *	up   {job="api", instance!~"test-.*"}   node_cpu{mode='idle'}
 * A label that a series has not is "" to a matcher, as in PromQL.  Expressions
 * are those of PCRE2, anchored at both ends, and are given up (no match) past a
 * bounded effort.  Names and values are UTF-8; a name that is none by the old
 * rules stands in quotes: {"http.status"="500"}.
 * Immutable after parsing; matching is for one thread at a time.             */
#ifndef RW_POLICY_MATCH_H
#define RW_POLICY_MATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "series/batch.h"

struct match;

/* NULL and *out filled, or a sentence (static) on what is wrong; *out is NULL
 * then.  Out of memory is such a sentence too. */
const char *match_parse(const char *text, struct match **out);
void match_free(struct match **);

/* Labels sorted by name or not. */
bool match_labels(const struct match *, const struct label *labels,
    uint32_t n);

#endif
