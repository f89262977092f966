/* metric.h - counters and gauges made from metric.tbl.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A GLOBAL or REASON metric is counted in a block of the calling thread and
 * summed when read: no contention, no lock.  Metrics with a label value live in
 * a group, one per upstream or edge, which any thread may count in.  Values are
 * relaxed atomics; a reader may see a moment's inconsistency, never a torn
 * value.                                                                    */
#ifndef RW_BASE_METRIC_H
#define RW_BASE_METRIC_H

#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"

enum metric {
#define METRIC(id, scope, kind, name, help) METRIC_##id,
#include "base/metric.tbl"
#undef METRIC
	METRIC__N
};

enum metric_scope {
	METRIC_SCOPE_GLOBAL,
	METRIC_SCOPE_REASON,
	METRIC_SCOPE_UPSTREAM,
	METRIC_SCOPE_EDGE,
};

struct metric_group;

/* ---- GLOBAL and REASON ---- */
void metric_add(enum metric, int64_t n);	/* gauges: n may be negative */
void metric_reason_add(enum metric, enum status, int64_t n);
void metric_observe(enum metric, int64_t ns);	/* SECONDS */
int64_t metric_read(enum metric);		/* sum over threads */
int64_t metric_reason_read(enum metric, enum status);

/* ---- UPSTREAM and EDGE ----
 * At most METRIC_GROUPS_MAX groups of a scope are kept; past that a group
 * shared by the rest, with the label value "_other", is returned (for EDGE: so
 * that ten thousand edges do not make a page of megabytes).  Never NULL but when
 * memory is out.  A group is freed by its owner; "_other" is counted. */
#define METRIC_GROUPS_MAX 500
struct metric_group *metric_group_new(enum metric_scope, struct bytes value);
void metric_group_free(struct metric_group **);
void metric_group_add(struct metric_group *, enum metric, int64_t n);
void metric_group_set(struct metric_group *, enum metric, int64_t v);
void metric_group_observe(struct metric_group *, enum metric, int64_t ns);
int64_t metric_group_read(const struct metric_group *, enum metric);

/* Each group of a scope, with its label value as the page has it (escaped; borrowed
 * for the call).  No group comes or goes meanwhile, and fn may call
 * metric_group_read and nothing else of this module. */
typedef void metric_group_fn(const char *value, const struct metric_group *,
    void *arg);
void metric_group_each(enum metric_scope, metric_group_fn *, void *arg);

/* The whole page in Prometheus' text format (0.0.4), appended to out. */
void metric_render(struct buf *out);

#endif
