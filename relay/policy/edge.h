/* edge.h - what is laid down for edges, by their names.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The `edge` sections of the config file in their order: the first whose pattern
 * matches an edge's name is meant.  Immutable, for any thread.              */
#ifndef RW_POLICY_EDGE_H
#define RW_POLICY_EDGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define EDGE_NAME_MAX 255		/* bytes of an edge's name */

/* Everything that it points to is borrowed. */
struct edge_policy {
	const char *pattern;		/* names with * ? [...] */
	uint32_t weight;		/* times the share of others, not 0 */
};

struct edge_policies {
	const struct edge_policy *item;	/* borrowed */
	size_t n;
};

/* NULL: nothing is laid down. */
const struct edge_policy *edge_policy_of(const struct edge_policies *,
    struct bytes name);

#endif
