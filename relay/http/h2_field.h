/* h2_field.h - fields of HTTP/2 header blocks, in either direction.
 * SPDX-License-Identifier: Apache-2.0
 *
 * They come one by one, and are kept as one text until the block is complete. */
#ifndef RW_HTTP_H2_FIELD_H
#define RW_HTTP_H2_FIELD_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "http/h1.h"
#include "http/message.h"

struct h2_fields {
	size_t n;
	struct buf text;		/* owned: of the fields, one after the other */
	struct {
		size_t name, value;
	} length[H1_FIELDS_MAX];
};

/* At most so many bytes of text. */
void h2_fields_init(struct h2_fields *, size_t max);
void h2_fields_fini(struct h2_fields *);
void h2_fields_reset(struct h2_fields *);
/* False: more than H1_FIELDS_MAX, too long, or out of memory; a part may be there. */
bool h2_fields_add(struct h2_fields *, struct bytes name, struct bytes value);
/* Bytes of memory that a copy takes. */
size_t h2_fields_size(const struct h2_fields *);
/* A list, and the text that it points into, in `memory` (aligned for a pointer). */
struct http_headers h2_fields_copy(const struct h2_fields *, void *memory);

/* For a call of nghttp2, which copies both. */
nghttp2_nv h2_nv(struct bytes name, struct bytes value);

#endif
