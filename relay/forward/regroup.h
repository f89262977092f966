/* regroup.h - several records of an edge as one batch, its points in the order of their
 * series, and of the records within a series.
 * SPDX-License-Identifier: Apache-2.0
 *
 * So a request says a series' labels once for all its samples.  For backlog that need not
 * keep to the scrapes that it came in.                                      */
#ifndef RW_FORWARD_REGROUP_H
#define RW_FORWARD_REGROUP_H

#include "base/status.h"
#include "forward/flow.h"
#include "series/batch.h"

struct regroup;

struct regroup *regroup_new(void);		/* NULL: out of memory */
void regroup_free(struct regroup **);

/* Of units of one dictionary.  *out is borrowed until the next call, and borrows from the
 * units.  ST_NO_MEMORY. */
enum status regroup(struct regroup *, const struct unit_list *,
    struct batch *out);

#endif
