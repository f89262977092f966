/* tenant.c - the template, filled in and made fit for a header.
 * SPDX-License-Identifier: Apache-2.0 */
#include "policy/tenant.h"

#define BYTES_MAX 65536

bool
tenant_of(const struct edge_policy *p, struct bytes edge, struct buf *out)
{
	struct edge_stars stars;
	struct buf plain;
	bool done;
	size_t i;

	if (!p || !p->tenant)
		return true;
	edge_stars(p->pattern, edge, &stars);
	buf_init(&plain, BYTES_MAX);
	done = buf_room(&plain, template_size(p->tenant, edge_star, &stars) +
	    1) != NULL;
	if (done)
		plain.len = (size_t)(template_write(p->tenant, edge_star,
		    &stars, plain.data) - plain.data);
	for (i = 0; i < plain.len && done; i++) {
		uint8_t c = plain.data[i];

		done = c > ' ' && c < 127 && c != '%' ?
		    buf_append(out, &c, 1) : buf_printf(out, "%%%02X", c);
	}
	buf_fini(&plain);
	return done;
}
