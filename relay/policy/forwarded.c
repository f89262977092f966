/* forwarded.c - for whom a proxy asks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "policy/forwarded.h"

static struct bytes
trim(struct bytes b)
{
	while (b.n && (b.p[0] == ' ' || b.p[0] == '\t'))
		b = bytes_of(b.p + 1, b.n - 1);
	while (b.n && (b.p[b.n - 1] == ' ' || b.p[b.n - 1] == '\t'))
		b.n--;
	return b;
}

/* The last element, which is cut off. */
static struct bytes
last_of(struct bytes *list)
{
	size_t at = list->n;
	struct bytes last;

	while (at && list->p[at - 1] != ',')
		at--;
	last = bytes_of(list->p + at, list->n - at);
	list->n = at ? at - 1 : 0;
	if (!at)
		list->p = NULL;
	return trim(last);
}

bool
forwarded_for(struct http_headers h, const struct network *trusted,
    size_t n_trusted, struct loop_addr *out)
{
	bool any = false;
	struct bytes list;
	size_t i;

	/* several headers are one, in their order (RFC 9110 5.3) */
	for (i = h.n; i > 0; i--) {
		if (!http_same(h.list[i - 1].name, "x-forwarded-for"))
			continue;
		for (list = h.list[i - 1].value; list.p;) {
			if (!network_address(last_of(&list), out))
				return false;
			any = true;
			if (!network_has(trusted, n_trusted, out))
				return true;
		}
	}
	return any;
}
