/* h2_head.h - the header block of a request, field by field as it is decompressed.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A few bytes of a block can stand for many: what it comes to is limited while it
 * comes.                                                                    */
#ifndef RW_HTTP_H2_HEAD_H
#define RW_HTTP_H2_HEAD_H

#include "http/http_priv.h"

struct h2_head;

/* NULL when out of memory.  max: bytes, as RFC 9113 6.5.2 counts them; beside that
 * H1_FIELDS_MAX fields.  Of trailers nothing is kept. */
struct h2_head *h2_head_new(size_t max, bool trailers);
void h2_head_free(struct h2_head **);
/* ST_OK, also past a limit (see below); ST_FLOOD: far past it; ST_NO_MEMORY. */
enum status h2_head_add(struct h2_head *, struct bytes name,
    struct bytes value);
bool h2_head_trailers(const struct h2_head *);

/* What h2_head_read needs for its copy. */
size_t h2_head_size(const struct h2_head *);
/* Fills in the request; the memory, of that size and aligned for a pointer, is
 * borrowed for its life.  Sees to what nghttp2 does not: ST_BAD_REQUEST,
 * ST_EXPECTATION, and ST_HEADERS_LARGE when a limit was passed.  expects: it waits
 * for 100-continue. */
enum status h2_head_read(const struct h2_head *, void *memory,
    struct http_request *, bool *expects);

#endif
