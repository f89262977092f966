/* rules.h - what the labels of an edge's series go through.
 * SPDX-License-Identifier: Apache-2.0
 *
 * First the rules of `relabel`, then `set-labels`, which whatever the edge has sent does
 * not get past.  Immutable.                                                 */
#ifndef RW_POLICY_RULES_H
#define RW_POLICY_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "policy/edge.h"
#include "policy/relabel.h"
#include "series/batch.h"

struct rules;

/* The policy is borrowed for life, and may be NULL.  *out is NULL where nothing is laid
 * down for labels.  ST_NO_MEMORY. */
enum status rules_new(const struct edge_policy *, struct bytes edge,
    struct rules **out);
void rules_free(struct rules **);

/* What was done to labels. */
struct rules_deed {
	bool forged;			/* one that is set had come with another value */
	uint64_t added;			/* a hash of the names of those that were added;
					   0: others were changed or taken away, too */
};

/* label: as for relabel_series(); texts may be the rules' too.  Beside its statuses
 * ST_NO_NAME, ST_EMPTY_NAME, ST_BAD_UTF8: it is no series any more.  Two series that
 * had labels of the same names added to them are one if they were one before. */
enum status rules_apply(const struct rules *, struct relabel_room *,
    struct label *label, uint32_t *n, struct rules_deed *);

#endif
