/* edge.c - the first pattern that matches.
 * SPDX-License-Identifier: Apache-2.0 */
#include "policy/edge.h"

#include <fnmatch.h>
#include <string.h>

const struct edge_policy *
edge_policy_of(const struct edge_policies *all, struct bytes name)
{
	char text[EDGE_NAME_MAX + 1];
	size_t i;

	if (name.n > EDGE_NAME_MAX)
		return NULL;
	if (name.n)
		memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	for (i = 0; i < all->n; i++)
		if (fnmatch(all->item[i].pattern, text, 0) == 0)
			return &all->item[i];
	return NULL;
}
