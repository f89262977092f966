/* h2_head.c - header blocks, and the requests that they are.
 * SPDX-License-Identifier: Apache-2.0 */
#include "http/h2_head.h"

#include <stdlib.h>
#include <strings.h>

#include "http/h2_field.h"

#define FAR_OVER 4			/* times a limit: not by mistake */
#define FIELD_BYTES 32			/* besides its text, RFC 9113 6.5.2 */

struct h2_head {
	bool trailers;
	size_t max, size;		/* bytes allowed, bytes so far */
	size_t seen;			/* fields so far */
	struct h2_fields fields;	/* those kept: all while it is not large */
};

struct h2_head *
h2_head_new(size_t max, bool trailers)
{
	struct h2_head *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->trailers = trailers;
	h->max = max;
	h2_fields_init(&h->fields, max);
	return h;
}

void
h2_head_free(struct h2_head **at)
{
	if (*at)
		h2_fields_fini(&(*at)->fields);
	free(*at);
	*at = NULL;
}

static bool
is_large(const struct h2_head *h)
{
	return h->size > h->max || h->seen > H1_FIELDS_MAX;
}

enum status
h2_head_add(struct h2_head *h, struct bytes name, struct bytes value)
{
	h->size += name.n + value.n + FIELD_BYTES;
	h->seen++;
	if (h->size > h->max * FAR_OVER || h->seen > H1_FIELDS_MAX * FAR_OVER)
		return ST_FLOOD;
	if (h->trailers || is_large(h))
		return ST_OK;
	return h2_fields_add(&h->fields, name, value) ? ST_OK : ST_NO_MEMORY;
}

bool
h2_head_trailers(const struct h2_head *h)
{
	return h->trailers;
}

size_t
h2_head_size(const struct h2_head *h)
{
	return h2_fields_size(&h->fields);
}

/* They stand first, each at most once, and nothing else begins so. */
static void
take_pseudo(struct http_request *r, struct bytes *target,
    struct bytes *authority)
{
	struct http_headers *h = &r->headers;

	for (; h->n && h->list->name.n && h->list->name.p[0] == ':';
	    h->list++, h->n--) {
		if (http_same(h->list->name, ":method"))
			r->method = h->list->value;
		else if (http_same(h->list->name, ":path"))
			*target = h->list->value;
		else if (http_same(h->list->name, ":authority"))
			*authority = h->list->value;
	}
}

static bool
target_ok(struct http_request *r, struct bytes target)
{
	if (!http_path_split(target, &r->path, &r->query))
		return false;
	if (bytes_eq(target, BYTES_LIT("*")))
		return bytes_eq(r->method, BYTES_LIT("OPTIONS"));
	return r->path.n > 0 && r->path.p[0] == '/';
}

/* Host, if it is there too, is the same (RFC 9113 8.3.1). */
static bool
host_ok(const struct http_request *r, struct bytes authority)
{
	struct bytes host = http_header(r->headers, "host");

	if (!http_host_ok(authority) || !http_host_ok(host))
		return false;
	return !host.p || !authority.p || (host.n == authority.n &&
	    strncasecmp((const char *)host.p, (const char *)authority.p,
	    host.n) == 0);
}

enum status
h2_head_read(const struct h2_head *h, void *memory, struct http_request *r,
    bool *expects)
{
	struct bytes target = { NULL, 0 }, authority = { NULL, 0 }, expect;
	uint64_t length;

	r->headers = h2_fields_copy(&h->fields, memory);
	r->length = -1;
	take_pseudo(r, &target, &authority);
	if (is_large(h))
		return ST_HEADERS_LARGE;
	if (!http_token_ok(r->method) || !target_ok(r, target) ||
	    !host_ok(r, authority))
		return ST_BAD_REQUEST;
	if (http_number(http_header(r->headers, "content-length"), &length))
		r->length = (int64_t)length;
	expect = http_header(r->headers, "expect");
	*expects = expect.p != NULL;
	return expect.p && !http_same(expect, "100-continue") ?
	    ST_EXPECTATION : ST_OK;
}
