/* edge.h - what is laid down for edges, by their names.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The `edge` sections of the config file in their order: the first whose pattern
 * matches an edge's name is meant.  Immutable, for any thread.              */
#ifndef RW_POLICY_EDGE_H
#define RW_POLICY_EDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "policy/relabel.h"
#include "policy/template.h"

#define EDGE_NAME_MAX 255		/* bytes of an edge's name */
#define EDGE_STARS_MAX 9		/* of a pattern that are kept */

/* A label that is set, whatever was sent; empty: that is taken away. */
struct edge_label {
	struct bytes name;
	struct template *value;		/* of what the pattern's * took */
};

/* Everything that it points to is borrowed. */
struct edge_policy {
	const char *pattern;		/* names with * ? [...] */
	uint32_t weight;		/* times the share of others, not 0 */
	uint32_t rate;			/* samples a second; 0: any */
	int64_t burst_ns;		/* what the rate comes to in so long may come at
					   once */
	bool busy_429;			/* over rate or max_series: 429, not 503 */
	/* 0: as it is for all */
	uint32_t max_series;		/* in a segment */
	uint32_t max_labels;		/* in a series */
	uint64_t max_label_bytes;	/* of a name or a value */
	uint64_t max_request_bytes;	/* of a body; not more than all may */
	struct relabel *relabel;	/* NULL: no rules */
	struct edge_label *set;
	size_t n_set;
	struct template *tenant;	/* NULL: none; tenant.h */
};

struct edge_policies {
	const struct edge_policy *item;	/* borrowed */
	size_t n;
};

/* NULL: nothing is laid down. */
const struct edge_policy *edge_policy_of(const struct edge_policies *,
    struct bytes name);

/* What each * of a pattern takes of a name that matches, from the left, as much as it
 * can; star[0] is the name. */
struct edge_stars {
	struct bytes star[EDGE_STARS_MAX + 1];
	unsigned n;			/* the name included */
};

void edge_stars(const char *pattern, struct bytes name, struct edge_stars *);
/* As a template_group_fn, with struct edge_stars. */
struct bytes edge_star(unsigned group, const void *stars);
/* NULL and *out filled, or a sentence (static): the text has a $ for which the pattern
 * has no *.  The text is copied. */
const char *edge_template_new(const char *pattern, const char *text,
    struct template **out);

#endif
