/* h1.h - HTTP/1.1 messages: heads, bodies, how they are framed (RFC 9112).
 * SPDX-License-Identifier: Apache-2.0
 *
 * Bytes in, parts out; no I/O and no allocation.  Strict: what two readers could
 * take in two ways is refused, so that no request can be smuggled in another.
 * A refusal is a row of status.tbl.                                         */
#ifndef RW_HTTP_H1_H
#define RW_HTTP_H1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/message.h"

#define H1_FIELDS_MAX 128		/* header lines of a message */

/* ---- where a head ends -------------------------------------------------------- */

/* Zeroed for each head. */
struct h1_scan {
	size_t seen;			/* bytes looked at */
	size_t line;			/* where the last line begins */
	unsigned lines;
};

/* `in` begins with the head and has what was there before and maybe more.  ST_OK
 * and its length, final empty line included; ST_WAIT; ST_HEADERS_LARGE past `max`
 * bytes or H1_FIELDS_MAX; ST_BAD_REQUEST when a line ends in a bare LF. */
enum status h1_scan(struct h1_scan *, struct bytes in, size_t max, size_t *len);

/* ---- heads ---------------------------------------------------------------------- */

struct h1_head {
	struct bytes method, path, query;	/* of a request; borrowed from it */
	int status;			/* of an answer */
	unsigned minor;			/* HTTP/1.minor */
	bool keep;			/* another message may follow */
	bool chunked;
	bool expects;			/* Expect: 100-continue */
	bool has_length;
	uint64_t length;		/* Content-Length */
	struct http_headers headers;
};

/* A request's first line alone, as soon as it is there (CRLF included). */
enum status h1_check_request_line(struct bytes line);

/* The head as h1_scan found it.  list has room for all its lines: `lines` of the
 * scan.  The parts point into the text. */
enum status h1_parse_request(struct bytes head, struct http_header *list,
    struct h1_head *out);
/* ST_OK or ST_BAD_ANSWER. */
enum status h1_parse_answer(struct bytes head, struct http_header *list,
    struct h1_head *out);

/* ---- bodies --------------------------------------------------------------------- */

enum h1_framing { H1_NO_BODY, H1_LENGTH, H1_CHUNKED, H1_UNTIL_CLOSE };

struct h1_body {
	enum h1_framing framing;
	unsigned state;			/* in a chunked body */
	unsigned digits;
	uint32_t overhead;		/* extensions and trailers so far */
	uint64_t left;			/* of the body or chunk */
};

void h1_body_of_request(struct h1_body *, const struct h1_head *);
void h1_body_of_answer(struct h1_body *, const struct h1_head *, bool to_head);

/* Takes `used` bytes from the front of `in`, of which `piece` are the body's (maybe
 * none).  ST_OK: call again; ST_WAIT: needs more input; ST_END: was the last of it;
 * ST_BAD_REQUEST; ST_HEADERS_LARGE: more extensions or trailers than anybody
 * needs. */
enum status h1_body_next(struct h1_body *, struct bytes in, struct bytes *piece,
    size_t *used);

/* ---- writing ---------------------------------------------------------------------- */

const char *h1_reason(int status);

/* Headers must be http_token_ok and http_value_ok.  close: Connection: close;
 * keep_alive: say so to a peer of HTTP/1.0. */
void h1_write_answer(struct buf *, const struct http_response *, size_t length,
    const char *date, bool close, bool keep_alive);
void h1_write_request(struct buf *, const char *method, const char *path,
    const char *authority, struct http_headers, size_t length);

#endif
