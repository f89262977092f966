/* message.h - request, response, headers: no I/O, no protocol version.
 * SPDX-License-Identifier: Apache-2.0
 *
 * One request type for HTTP/1.1 and HTTP/2, for serving and for asking.     */
#ifndef RW_HTTP_MESSAGE_H
#define RW_HTTP_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/status.h"

struct http_header {
	struct bytes name, value;	/* names compared without regard to case */
};

struct http_headers {
	const struct http_header *list;	/* borrowed */
	size_t n;
};

/* The value of the first header of that name; p NULL if there is none. */
struct bytes http_header(struct http_headers, const char *name);
/* A decimal number and nothing else; false if it is none or too large. */
bool http_number(struct bytes, uint64_t *out);
/* Equal without regard to case. */
bool http_same(struct bytes, const char *word);
/* What may stand as a header's name (or a method), and as its value. */
bool http_token_ok(struct bytes);
bool http_value_ok(struct bytes);
/* What may stand in Host and :authority (RFC 3986 3.2.2, and no user's name). */
bool http_host_ok(struct bytes);
/* "/path?query"; query.p NULL: there is none.  False if it has other than visible
 * characters, or a fragment. */
bool http_path_split(struct bytes target, struct bytes *path,
    struct bytes *query);
/* Retry-After (RFC 9110 10.2.3), seconds or a date, as ns from now; wall_ns is the time
 * that a date is compared with.  -1 if absent, malformed or in the past. */
int64_t http_retry_after(struct bytes value, int64_t wall_ns);

#define HTTP_DATE_SIZE 30
/* "Sun, 06 Nov 1994 08:49:37 GMT" */
void http_date(int64_t wall_ns, char out[HTTP_DATE_SIZE]);

/* What a handler answers. */
struct http_response {
	int status;
	struct http_headers headers;	/* borrowed for the call */
	struct buf *body;		/* taken; may be NULL */
};

/* What an upstream answered.  Borrowed for the call. */
struct http_answer {
	int status;
	struct http_headers headers;
	struct bytes body;		/* its beginning, at most the limit set */
};

#endif
