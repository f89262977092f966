/* h2_field.c - see h2_field.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "http/h2_field.h"

#include <string.h>

void
h2_fields_init(struct h2_fields *f, size_t max)
{
	f->n = 0;
	buf_init(&f->text, max);
}

void
h2_fields_fini(struct h2_fields *f)
{
	buf_fini(&f->text);
}

void
h2_fields_reset(struct h2_fields *f)
{
	f->n = 0;
	buf_reset(&f->text, 0);
}

bool
h2_fields_add(struct h2_fields *f, struct bytes name, struct bytes value)
{
	if (f->n == H1_FIELDS_MAX || !buf_append(&f->text, name.p, name.n) ||
	    !buf_append(&f->text, value.p, value.n))
		return false;
	f->length[f->n].name = name.n;
	f->length[f->n++].value = value.n;
	return true;
}

size_t
h2_fields_size(const struct h2_fields *f)
{
	return f->n * sizeof(struct http_header) + f->text.len;
}

struct http_headers
h2_fields_copy(const struct h2_fields *f, void *memory)
{
	struct http_header *list = memory;
	uint8_t *text = (uint8_t *)(list + f->n);
	size_t i;

	if (f->text.len)
		memcpy(text, f->text.data, f->text.len);
	for (i = 0; i < f->n; i++) {
		list[i].name = bytes_of(text, f->length[i].name);
		text += f->length[i].name;
		list[i].value = bytes_of(text, f->length[i].value);
		text += f->length[i].value;
	}
	return (struct http_headers){ list, f->n };
}

nghttp2_nv
h2_nv(struct bytes name, struct bytes value)
{
	nghttp2_nv nv = { .namelen = name.n, .valuelen = value.n };

	/* its struct has no const */
	memcpy(&nv.name, &name.p, sizeof(name.p));
	memcpy(&nv.value, &value.p, sizeof(value.p));
	return nv;
}
