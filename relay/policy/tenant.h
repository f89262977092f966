/* tenant.h - as whom an upstream is to take an edge's data.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RW_POLICY_TENANT_H
#define RW_POLICY_TENANT_H

#include <stdbool.h>

#include "base/buf.h"
#include "policy/edge.h"

/* By the policy of the edge, which may be NULL.  Appended to out, and nothing if the edge
 * has none.  Bytes of its name that have no place in a header are written as %XX, and so
 * is %: two edges never come to one tenant by that.  False: out of memory. */
bool tenant_of(const struct edge_policy *, struct bytes edge, struct buf *out);

#endif
