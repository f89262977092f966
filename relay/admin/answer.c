/* answer.c - texts as answers, figures for people.
 * SPDX-License-Identifier: Apache-2.0 */
#include "admin/answer.h"

#include <inttypes.h>
#include <stdio.h>

/* 500 edges and 500 upstreams with all their figures are about 4 MiB. */
#define PAGE_BYTES_MAX (64 * 1024 * 1024)

struct buf *
answer_page(void)
{
	return buf_new(PAGE_BYTES_MAX);
}

enum status
answer_as(struct http_request *r, int status, struct bytes type, struct buf *taken)
{
	const struct http_header headers[] = {
		{ BYTES_LIT("Content-Type"), type },
		{ BYTES_LIT("Cache-Control"), BYTES_LIT("no-store") },
	};
	struct http_response response = {
		.status = status,
		.headers = { headers, sizeof(headers) / sizeof(headers[0]) },
		.body = taken,
	};

	if (buf_failed(taken)) {
		buf_free(&response.body);
		return ST_NO_MEMORY;
	}
	http_respond(r, &response);
	return ST_OK;
}

enum status
answer_plain(struct http_request *r, struct buf *taken)
{
	return answer_as(r, 200, BYTES_LIT("text/plain; charset=utf-8"), taken);
}

enum status
answer_text(struct http_request *r, int status, const char *text)
{
	struct buf *body = answer_page();

	if (!body)
		return ST_NO_MEMORY;
	(void)buf_append_str(body, text);
	return answer_as(r, status, BYTES_LIT("text/plain; charset=utf-8"), body);
}

enum status
answer_ignore_body(struct http_request *r, struct bytes piece)
{
	(void)r;
	(void)piece;
	return ST_OK;
}

void
answer_ignore_end(struct http_request *r)
{
	(void)r;
}

void
answer_ignore_gone(struct http_request *r, enum status why)
{
	(void)r;
	(void)why;
}

/* ---- figures ----------------------------------------------------------------- */

struct figure
figure_bytes(int64_t n)
{
	static const char unit[] = "BKMGTP";
	double v = n > 0 ? (double)n : 0;
	struct figure f;
	size_t i;

	for (i = 0; v >= 1024 && unit[i + 1]; i++)
		v /= 1024;
	(void)snprintf(f.text, sizeof(f.text), i ? "%.1f%c" : "%.0f%c", v,
	    unit[i]);
	return f;
}

struct figure
figure_time(int64_t ms)
{
	int64_t s = ms / 1000;
	struct figure f;

	if (s < 60)
		(void)snprintf(f.text, sizeof(f.text), "%.1fs",
		    (double)ms / 1e3);
	else if (s < 3600)
		(void)snprintf(f.text, sizeof(f.text),
		    "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
	else if (s < 86400)
		(void)snprintf(f.text, sizeof(f.text),
		    "%" PRId64 "h%02" PRId64 "m", s / 3600, s / 60 % 60);
	else
		(void)snprintf(f.text, sizeof(f.text),
		    "%" PRId64 "d%02" PRId64 "h", s / 86400, s / 3600 % 24);
	return f;
}
