/* test_h1.c - RFC 9112, case by case: what is taken, and what is refused how.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "http/h1.h"

#define MAX 2000			/* of a head */
#define GET "GET / HTTP/1.1\r\nHost: h\r\n"
#define POST "POST /w HTTP/1.1\r\nHost: h\r\n"
#define END "\r\n"

static struct http_header list[H1_FIELDS_MAX + 1];

/* Scans and parses; the head in `out` points into memory that the sanitizers
 * watch, and that the next call frees. */
static enum status
parse(struct bytes text, bool answer, struct h1_head *out)
{
	static uint8_t *copy;
	struct h1_scan scan = { .seen = 0 };
	enum status st;
	size_t len;

	free(copy);
	copy = malloc(text.n + 1);
	memcpy(copy, text.p, text.n);
	copy[text.n] = 0;
	st = h1_scan(&scan, bytes_of(copy, text.n), MAX, &len);
	if (st != ST_OK)
		return st;
	return answer ? h1_parse_answer(bytes_of(copy, len), list, out) :
	    h1_parse_request(bytes_of(copy, len), list, out);
}

struct request_case {
	const char *text;
	enum status st;
};

static const struct request_case requests[] = {
	/* request line (3) */
	{ GET END, ST_OK },
	{ "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "GET /  HTTP/1.1\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ " GET / HTTP/1.1\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "GET /\tHTTP/1.1\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "GET /\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "GET\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "\r\n", ST_BAD_REQUEST },
	{ "/ HTTP/1.1\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "G(T / HTTP/1.1\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "G\x80T / HTTP/1.1\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "M-SEARCH / HTTP/1.1\r\nHost: h\r\n\r\n", ST_OK },
	{ "get / HTTP/1.1\r\nHost: h\r\n\r\n", ST_OK },

	/* version (2.3) */
	{ "GET / HTTP/1.0\r\n\r\n", ST_OK },
	{ "GET / HTTP/1.2\r\nHost: h\r\n\r\n", ST_OK },
	{ "GET / HTTP/1.9\r\nHost: h\r\n\r\n", ST_OK },
	{ "GET / HTTP/2.0\r\nHost: h\r\n\r\n", ST_BAD_VERSION },
	{ "GET / HTTP/3.0\r\nHost: h\r\n\r\n", ST_BAD_VERSION },
	{ "GET / HTTP/0.9\r\nHost: h\r\n\r\n", ST_BAD_VERSION },
	{ "PRI * HTTP/2.0\r\n\r\n", ST_BAD_VERSION },
	{ "GET / HTTP/1.10\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "GET / HTTP/1\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "GET / HTTP/11\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "GET / HTTP/1.x\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "GET / http/1.1\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "GET / ICY/1.1\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },

	/* target (3.2) */
	{ "GET /a/b?c=d&e=%20 HTTP/1.1\r\nHost: h\r\n\r\n", ST_OK },
	{ "GET http://h/a HTTP/1.1\r\nHost: h\r\n\r\n", ST_OK },
	{ "GET HTTPS://h:8/a HTTP/1.1\r\nHost: other\r\n\r\n", ST_OK },
	{ "GET http://h HTTP/1.1\r\nHost: h\r\n\r\n", ST_OK },
	{ "GET http:///a HTTP/1.1\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "GET http://u@h/a HTTP/1.1\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "GET ftp://h/a HTTP/1.1\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "GET a HTTP/1.1\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", ST_OK },
	{ "GET * HTTP/1.1\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "GET /#f HTTP/1.1\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "GET /\x7f HTTP/1.1\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ "GET /\xc3\xa4 HTTP/1.1\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },

	/* line ends (2.2) */
	{ "GET / HTTP/1.1\nHost: h\n\n", ST_BAD_REQUEST },
	{ "GET / HTTP/1.1\r\nHost: h\n\r\n", ST_BAD_REQUEST },
	{ "GET / HTTP/1.1\r\nHost: h\r\n\n", ST_BAD_REQUEST },
	{ "GET / HTTP/1.1\r\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ GET "A: b\rc\r\n" END, ST_BAD_REQUEST },
	{ GET "A: b\r\r\n" END, ST_BAD_REQUEST },
	{ GET "A\r: b\r\n" END, ST_BAD_REQUEST },

	/* fields (5) */
	{ GET "A:b\r\n" END, ST_OK },
	{ GET "A: \t b \t\r\n" END, ST_OK },
	{ GET "A:\r\n" END, ST_OK },
	{ GET "A: \x80\xff\r\n" END, ST_OK },
	{ GET "A : b\r\n" END, ST_BAD_REQUEST },
	{ GET "A\t: b\r\n" END, ST_BAD_REQUEST },
	{ GET " A: b\r\n" END, ST_BAD_REQUEST },
	{ GET "A: b\r\n c\r\n" END, ST_BAD_REQUEST },
	{ GET "A: b\r\n\tc: d\r\n" END, ST_BAD_REQUEST },
	{ "GET / HTTP/1.1\r\n Host: h\r\nHost: h\r\n\r\n", ST_BAD_REQUEST },
	{ GET ": b\r\n" END, ST_BAD_REQUEST },
	{ GET "A\r\n" END, ST_BAD_REQUEST },
	{ GET "A(: b\r\n" END, ST_BAD_REQUEST },
	{ GET "\x80: b\r\n" END, ST_BAD_REQUEST },
	{ GET "A: b\x01\r\n" END, ST_BAD_REQUEST },
	{ GET "A: b\x7f\r\n" END, ST_BAD_REQUEST },
	{ GET "A: b\x0b\r\n" END, ST_BAD_REQUEST },

	/* Host (3.2) */
	{ "GET / HTTP/1.1\r\n\r\n", ST_BAD_REQUEST },
	{ "GET / HTTP/1.1\r\nHost:\r\n\r\n", ST_OK },
	{ "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", ST_OK },
	{ "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", ST_BAD_REQUEST },
	{ "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", ST_BAD_REQUEST },
	{ "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", ST_BAD_REQUEST },
	{ "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", ST_BAD_REQUEST },
	{ "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", ST_BAD_REQUEST },
	{ "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", ST_BAD_REQUEST },

	/* Content-Length (6.2) */
	{ POST "Content-Length: 0\r\n" END, ST_OK },
	{ POST "content-length: 10\r\n" END, ST_OK },
	{ POST "Content-Length: 010\r\n" END, ST_OK },
	{ POST "Content-Length:\r\n" END, ST_BAD_REQUEST },
	{ POST "Content-Length: 5\r\nContent-Length: 5\r\n" END, ST_BAD_REQUEST },
	{ POST "Content-Length: 5\r\nContent-Length: 6\r\n" END, ST_BAD_REQUEST },
	{ POST "Content-Length: 5, 5\r\n" END, ST_BAD_REQUEST },
	{ POST "Content-Length: 5 5\r\n" END, ST_BAD_REQUEST },
	{ POST "Content-Length: +5\r\n" END, ST_BAD_REQUEST },
	{ POST "Content-Length: -5\r\n" END, ST_BAD_REQUEST },
	{ POST "Content-Length: 0x5\r\n" END, ST_BAD_REQUEST },
	{ POST "Content-Length: 5.0\r\n" END, ST_BAD_REQUEST },
	{ POST "Content-Length: \"5\"\r\n" END, ST_BAD_REQUEST },
	{ POST "Content-Length: 9223372036854775807\r\n" END, ST_OK },
	{ POST "Content-Length: 9223372036854775808\r\n" END, ST_TOO_LARGE },
	{ POST "Content-Length: 18446744073709551617\r\n" END, ST_TOO_LARGE },
	{ POST "Content-Length : 5\r\n" END, ST_BAD_REQUEST },

	/* Transfer-Encoding (6.1, 6.3) */
	{ POST "Transfer-Encoding: chunked\r\n" END, ST_OK },
	{ POST "transfer-encoding: ChUnKeD\r\n" END, ST_OK },
	{ POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n" END,
	  ST_BAD_REQUEST },
	{ POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" END,
	  ST_BAD_REQUEST },
	{ POST "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n" END,
	  ST_BAD_REQUEST },
	{ POST "Transfer-Encoding: gzip, chunked\r\n" END, ST_NOT_IMPLEMENTED },
	{ POST "Transfer-Encoding: foo,chunked\r\n" END, ST_NOT_IMPLEMENTED },
	{ POST "Transfer-Encoding: chunked, chunked\r\n" END, ST_BAD_REQUEST },
	{ POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" END,
	  ST_BAD_REQUEST },
	{ POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"
	  END, ST_BAD_REQUEST },
	{ POST "Transfer-Encoding: chunked, identity\r\n" END, ST_BAD_REQUEST },
	{ POST "Transfer-Encoding: identity\r\n" END, ST_BAD_REQUEST },
	{ POST "Transfer-Encoding: gzip\r\n" END, ST_BAD_REQUEST },
	{ POST "Transfer-Encoding: xchunked\r\n" END, ST_BAD_REQUEST },
	{ POST "Transfer-Encoding: chunked;a=b\r\n" END, ST_BAD_REQUEST },
	{ POST "Transfer-Encoding: \"chunked\"\r\n" END, ST_BAD_REQUEST },
	{ POST "Transfer-Encoding: chunked,\r\n" END, ST_BAD_REQUEST },
	{ POST "Transfer-Encoding:\r\n" END, ST_BAD_REQUEST },
	{ POST "Transfer-Encoding: \x0b" "chunked\r\n" END, ST_BAD_REQUEST },
	{ "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
	  ST_BAD_REQUEST },

	/* Expect (RFC 9110 10.1.1) */
	{ POST "Content-Length: 1\r\nExpect: 100-Continue\r\n" END, ST_OK },
	{ POST "Expect: tea\r\n" END, ST_EXPECTATION },
	{ POST "Expect: 100-continue, tea\r\n" END, ST_EXPECTATION },
	{ "POST / HTTP/1.0\r\nExpect: tea\r\n\r\n", ST_OK },
};

static void
test_requests(void **state)
{
	struct h1_head h;
	enum status st;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		st = parse(bytes_str(requests[i].text), false, &h);
		if (st != requests[i].st)
			fail_msg("%s: %s, not %s", requests[i].text,
			    status_info(st)->word,
			    status_info(requests[i].st)->word);
	}
}

static void
test_nul_is_refused(void **state)
{
	static const char *const texts[] = {
		"GET /? HTTP/1.1\r\nHost: h\r\n\r\n",
		"G?T / HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h?\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nA: ?\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nA?: b\r\n\r\n",
		"GET / HTTP/1.1?\r\nHost: h\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked?\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1?\r\n\r\n",
	};
	struct h1_head h;
	char text[128];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		strcpy(text, texts[i]);
		*strchr(text, '?') = '\0';
		assert_int_equal(parse(bytes_of(text, strlen(texts[i])), false,
		    &h), ST_BAD_REQUEST);
	}
}

static void
assert_text(struct bytes b, const char *text)
{
	if (!bytes_eq(b, bytes_str(text)))
		fail_msg("%.*s, not %s", (int)b.n, (const char *)b.p, text);
}

static void
test_parts(void **state)
{
	struct h1_head h;

	(void)state;
	assert_int_equal(parse(BYTES_LIT("POST /a/b?c=d?e HTTP/1.1\r\nHost: h\r\n"
	    "Content-Length: 12\r\nX-Y: \t some thing \t\r\n"
	    "Expect: 100-continue\r\n\r\nrest"), false, &h), ST_OK);
	assert_text(h.method, "POST");
	assert_text(h.path, "/a/b");
	assert_text(h.query, "c=d?e");
	assert_int_equal(h.length, 12);
	assert_int_equal(h.minor, 1);
	assert_true(h.keep && h.has_length && h.expects && !h.chunked);
	assert_int_equal(h.headers.n, 4);
	assert_text(http_header(h.headers, "x-y"), "some thing");
	assert_int_equal(parse(BYTES_LIT("GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
	    false, &h), ST_OK);
	assert_null(h.query.p);
	assert_int_equal(parse(BYTES_LIT("GET /? HTTP/1.1\r\nHost: h\r\n\r\n"),
	    false, &h), ST_OK);
	assert_text(h.path, "/");
	assert_non_null(h.query.p);
	assert_int_equal(h.query.n, 0);
	assert_int_equal(parse(BYTES_LIT("GET http://h?q HTTP/1.1\r\n"
	    "Host: h\r\n\r\n"), false, &h), ST_OK);
	assert_text(h.path, "/");
	assert_text(h.query, "q");
}

static void
test_keeping(void **state)
{
	static const struct {
		const char *text;
		bool keep;
	} cases[] = {
		{ GET END, true },
		{ GET "Connection: close\r\n" END, false },
		{ GET "Connection: foo, CLOSE ,bar\r\n" END, false },
		{ GET "Connection: keep-alive\r\nconnection: close\r\n" END, false },
		{ GET "Connection: closed\r\n" END, true },
		{ GET "Connection: ,,\r\n" END, true },
		{ "GET / HTTP/1.0\r\n\r\n", false },
		{ "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true },
		{ "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false },
	};
	struct h1_head h;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(bytes_str(cases[i].text), false, &h),
		    ST_OK);
		assert_int_equal(h.keep, cases[i].keep);
	}
}

static void
test_limits(void **state)
{
	char text[4096] = "GET / HTTP/1.1\r\nHost: h\r\nA: ";
	size_t n = strlen(text), i;
	struct h1_head h;
	struct h1_scan scan = { .seen = 0 };

	(void)state;
	memset(text + n, 'a', sizeof(text) - n);
	/* a line without an end, whole and byte by byte */
	assert_int_equal(parse(bytes_of(text, MAX - 1), false, &h), ST_WAIT);
	assert_int_equal(parse(bytes_of(text, MAX), false, &h),
	    ST_HEADERS_LARGE);
	for (i = 1; i < MAX; i++)
		assert_int_equal(h1_scan(&scan, bytes_of(text, i), MAX, &n),
		    ST_WAIT);
	assert_int_equal(h1_scan(&scan, bytes_of(text, MAX), MAX, &n),
	    ST_HEADERS_LARGE);
	/* the last that fits, and one more */
	memcpy(text + MAX - 4, "\r\n\r\n", 4);
	assert_int_equal(parse(bytes_of(text, MAX), false, &h), ST_OK);
	memcpy(text + MAX - 4, "a\r\n\r\n", 5);
	assert_int_equal(parse(bytes_of(text, MAX + 1), false, &h),
	    ST_HEADERS_LARGE);
	/* many lines */
	strcpy(text, "GET / HTTP/1.1\r\nHost: h\r\n");
	for (i = 0; i < H1_FIELDS_MAX - 1; i++)
		strcat(text, "a:\r\n");
	strcat(text, "\r\n");
	assert_int_equal(parse(bytes_str(text), false, &h), ST_OK);
	assert_int_equal(h.headers.n, H1_FIELDS_MAX);
	text[strlen(text) - 2] = '\0';
	strcat(text, "a:\r\n\r\n");
	assert_int_equal(parse(bytes_str(text), false, &h), ST_HEADERS_LARGE);
}

static void
test_answers(void **state)
{
	static const struct {
		const char *text;
		enum h1_framing framing;	/* when it is taken */
		int status;			/* 0: refused */
		bool keep;
	} cases[] = {
		{ "HTTP/1.1 200 OK\r\n\r\n", H1_UNTIL_CLOSE, 200, true },
		{ "HTTP/1.1 200 \r\n\r\n", H1_UNTIL_CLOSE, 200, true },
		{ "HTTP/1.1 200\r\n\r\n", H1_UNTIL_CLOSE, 200, true },
		{ "HTTP/1.1 404 Nicht \xc3\xa4hnlich\r\n\r\n", H1_UNTIL_CLOSE, 404,
		  true },
		{ "HTTP/1.1 204 No\r\n\r\n", H1_NO_BODY, 204, true },
		{ "HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n", H1_NO_BODY,
		  304, true },
		{ "HTTP/1.1 100 Go\r\n\r\n", H1_NO_BODY, 100, true },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", H1_LENGTH, 200,
		  true },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", H1_NO_BODY, 200,
		  true },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		  H1_CHUNKED, 200, true },
		{ "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", H1_UNTIL_CLOSE,
		  200, false },
		{ "HTTP/1.0 200 OK\r\n\r\n", H1_UNTIL_CLOSE, 200, false },
		{ "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"
		  "Content-Length: 1\r\n\r\n", H1_LENGTH, 200, true },
		{ "HTTP/2.0 200 OK\r\n\r\n", 0, 0, 0 },
		{ "HTTP/1.1  200 OK\r\n\r\n", 0, 0, 0 },
		{ "HTTP/1.1 2000 OK\r\n\r\n", 0, 0, 0 },
		{ "HTTP/1.1 20 OK\r\n\r\n", 0, 0, 0 },
		{ "HTTP/1.1 099 OK\r\n\r\n", 0, 0, 0 },
		{ "HTTP/1.1 +20 OK\r\n\r\n", 0, 0, 0 },
		{ "HTTP/1.1\r\n\r\n", 0, 0, 0 },
		{ "HTTP/1.1 200 O\rK\r\n\r\n", 0, 0, 0 },
		{ "200 OK\r\n\r\n", 0, 0, 0 },
		{ "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", 0, 0, 0 },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n", 0, 0, 0 },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		  0, 0, 0 },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
		  "Content-Length: 1\r\n\r\n", 0, 0, 0 },
	};
	struct h1_head h;
	struct h1_body b;
	enum status st;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		st = parse(bytes_str(cases[i].text), true, &h);
		if (st != (cases[i].status ? ST_OK : ST_BAD_ANSWER))
			fail_msg("%s: %s", cases[i].text, status_info(st)->word);
		if (!cases[i].status)
			continue;
		h1_body_of_answer(&b, &h, false);
		assert_int_equal(h.status, cases[i].status);
		assert_int_equal(h.keep, cases[i].keep);
		if (b.framing != cases[i].framing)
			fail_msg("%s: framing %d", cases[i].text, b.framing);
		h1_body_of_answer(&b, &h, true);
		assert_int_equal(b.framing, H1_NO_BODY);
	}
}

/* ---- bodies ---------------------------------------------------------------------- */

/* Reads `text` in steps of `step` bytes; what it means into out, what was left
 * over into `rest`. */
static enum status
read_body(struct h1_body b, struct bytes text, size_t step, char *out,
    size_t *rest)
{
	size_t at = 0, end = 0, used, n = 0;
	struct bytes piece;
	enum status st = ST_WAIT;

	while (st == ST_OK || (st == ST_WAIT && end < text.n)) {
		if (st == ST_WAIT)
			end = end + step < text.n ? end + step : text.n;
		st = h1_body_next(&b, bytes_of(text.p + at, end - at), &piece,
		    &used);
		assert_true(used <= end - at);
		assert_true(piece.n <= used);
		if (piece.n)
			memcpy(out + n, piece.p, piece.n);
		n += piece.n;
		at += used;
	}
	out[n] = '\0';
	*rest = text.n - at;
	return st;
}

static void
test_chunked(void **state)
{
	static const struct {
		const char *text;
		enum status st;
		const char *body;	/* when it is taken */
		size_t rest;
	} cases[] = {
		{ "0\r\n\r\n", ST_END, "", 0 },
		{ "3\r\nabc\r\n0\r\n\r\nGET", ST_END, "abc", 3 },
		{ "3\r\nabc\r\n00a\r\n0123456789\r\n000\r\n\r\n", ST_END,
		  "abc0123456789", 0 },
		{ "A\r\n0123456789\r\n0\r\n\r\n", ST_END, "0123456789", 0 },
		{ "3;a\r\nabc\r\n0;b=\"c d\"\r\n\r\n", ST_END, "abc", 0 },
		{ "3 ;a = b\r\nabc\r\n0\r\n\r\n", ST_END, "abc", 0 },
		{ "1\r\na\r\n0\r\nA: b\r\nC:\r\n\r\nx", ST_END, "a", 1 },
		{ "3\r\nab", ST_WAIT, "ab", 0 },
		{ "3\r\nabc\r\n0\r\n", ST_WAIT, "abc", 0 },
		{ "\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ "x\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ "0x3\r\nabc\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ "+3\r\nabc\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ "-3\r\nabc\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ " 3\r\nabc\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ "3 \r\nabc\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ "3 4\r\nabc\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ "3,\r\nabc\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ ";a\r\nabc\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ "3\nabc\r\n0\r\n\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ "3\rabc\r\n0\r\n\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ "3;a\nabc\r\n0\r\n\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ "3;a\r\r\nabc\r\n0\r\n\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ "3;a\x01\r\nabc\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ "3\r\nabcd\r\n0\r\n\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ "3\r\nabc0\r\n\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ "3\r\nabc\n0\r\n\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ "3\r\nabc\r0\r\n\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ "0\r\nA: b\n\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ "0\r\nA: b\r\n c\r\n\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ "0\r\nA b\r\n\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ "0\r\n\r\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ "0\r\n\n", ST_BAD_REQUEST, NULL, 0 },
		{ "1000000000000000\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ "FFFFFFFFFFFFFFFFFFFF\r\n", ST_BAD_REQUEST, NULL, 0 },
		{ "00000000000000000003\r\nabc", ST_BAD_REQUEST, NULL, 0 },
	};
	struct h1_body b = { .framing = H1_CHUNKED };
	char out[256];
	enum status st;
	size_t i, step, rest;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (step = 1; step < 40; step += 1 + step / 4) {
			st = read_body(b, bytes_str(cases[i].text), step, out,
			    &rest);
			if (st != cases[i].st)
				fail_msg("%s by %zu: %s", cases[i].text, step,
				    status_info(st)->word);
			if (cases[i].body)
				assert_string_equal(out, cases[i].body);
			if (st == ST_END && step >= 30)
				assert_int_equal(rest, cases[i].rest);
		}
	}
}

/* Extensions and trailers are read by nobody: there is an end to them. */
static void
test_chunked_overhead(void **state)
{
	static char text[40000], out[40000];
	struct h1_body b = { .framing = H1_CHUNKED };
	size_t rest, n;

	(void)state;
	strcpy(text, "1;");
	memset(text + 2, 'a', sizeof(text) - 3);
	assert_int_equal(read_body(b, bytes_str(text), 1000, out, &rest),
	    ST_HEADERS_LARGE);
	strcpy(text, "0\r\nA: ");
	memset(text + 6, 'a', sizeof(text) - 7);
	assert_int_equal(read_body(b, bytes_str(text), 1000, out, &rest),
	    ST_HEADERS_LARGE);
	for (n = 0; n + 20 < sizeof(text); n += 14)
		memcpy(text + n, "1;abcdefg\r\nx\r\n", 15);
	text[n] = '\0';
	assert_int_equal(read_body(b, bytes_str(text), 1000, out, &rest),
	    ST_HEADERS_LARGE);
}

static void
test_length(void **state)
{
	struct h1_body b = { .framing = H1_LENGTH, .left = 5 };
	char out[64];
	size_t rest, step;

	(void)state;
	for (step = 1; step < 10; step++) {
		assert_int_equal(read_body(b, BYTES_LIT("helloGET"), step, out,
		    &rest), ST_END);
		assert_string_equal(out, "hello");
	}
	assert_int_equal(rest, 3);
	assert_int_equal(read_body(b, BYTES_LIT("hell"), 3, out, &rest),
	    ST_WAIT);
	b.framing = H1_UNTIL_CLOSE;
	assert_int_equal(read_body(b, BYTES_LIT("whatever"), 3, out, &rest),
	    ST_WAIT);
	assert_string_equal(out, "whatever");
}

static void
test_writing(void **state)
{
	static const struct http_header header = { BYTES_LIT("A"),
		BYTES_LIT("b") };
	struct http_response r = { .status = 204, .headers = { &header, 1 } };
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	h1_write_answer(&b, &r, 0, "D", false, false);
	buf_append(&b, "", 1);
	assert_string_equal((char *)b.data,
	    "HTTP/1.1 204 No Content\r\nDate: D\r\nA: b\r\n\r\n");
	buf_reset(&b, 1000);
	r.status = 503;
	h1_write_answer(&b, &r, 12, "D", true, false);
	buf_append(&b, "", 1);
	assert_string_equal((char *)b.data,
	    "HTTP/1.1 503 Service Unavailable\r\nDate: D\r\n"
	    "Content-Length: 12\r\nConnection: close\r\nA: b\r\n\r\n");
	buf_reset(&b, 1000);
	h1_write_request(&b, "POST", "/w", "h:1", r.headers, 0);
	buf_append(&b, "", 1);
	assert_string_equal((char *)b.data,
	    "POST /w HTTP/1.1\r\nHost: h:1\r\nContent-Length: 0\r\nA: b\r\n\r\n");
	buf_reset(&b, 1000);
	h1_write_request(&b, "GET", "/w", "h", (struct http_headers){ NULL, 0 },
	    0);
	buf_append(&b, "", 1);
	assert_string_equal((char *)b.data, "GET /w HTTP/1.1\r\nHost: h\r\n\r\n");
	buf_fini(&b);
}

/* Each status that an edge can be answered has its phrase. */
static void
test_reasons(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < ST__N; i++) {
		if (status_info((enum status)i)->http)
			assert_true(strlen(h1_reason(
			    status_info((enum status)i)->http)) > 1);
	}
	assert_string_equal(h1_reason(799), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_nul_is_refused),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_keeping),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_chunked),
		cmocka_unit_test(test_chunked_overhead),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_writing),
		cmocka_unit_test(test_reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
