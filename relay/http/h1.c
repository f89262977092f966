/* h1.c - HTTP/1.1, read strictly.
 * SPDX-License-Identifier: Apache-2.0 */
#include "http/h1.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#define OVERHEAD_MAX 16384u		/* of a chunked body */
#define SIZE_DIGITS_MAX 15		/* fits 60 bits */

/* ---- where a head ends -------------------------------------------------------- */

enum status
h1_scan(struct h1_scan *sc, struct bytes in, size_t max, size_t *len)
{
	const uint8_t *lf;
	size_t end;

	while (sc->seen < in.n) {
		lf = memchr(in.p + sc->seen, '\n', in.n - sc->seen);
		if (!lf)
			break;
		end = (size_t)(lf - in.p);
		if (end + 1 > max)
			return ST_HEADERS_LARGE;
		if (end == sc->line || in.p[end - 1] != '\r')
			return ST_BAD_REQUEST;
		if (end == sc->line + 1) {
			*len = end + 1;
			return ST_OK;
		}
		if (++sc->lines > H1_FIELDS_MAX + 1)
			return ST_HEADERS_LARGE;
		sc->line = end + 1;
		sc->seen = end + 1;
	}
	sc->seen = in.n;
	return in.n >= max ? ST_HEADERS_LARGE : ST_WAIT;
}

/* ---- lines and words ------------------------------------------------------------ */

/* The next line, without CRLF.  The scan has seen that each has one. */
static struct bytes
next_line(struct bytes *text)
{
	const uint8_t *lf = memchr(text->p, '\n', text->n);
	struct bytes line;

	assert(lf && lf > text->p && lf[-1] == '\r');
	line = bytes_of(text->p, (size_t)(lf - text->p) - 1);
	text->n -= line.n + 2;
	text->p += line.n + 2;
	return line;
}

/* Up to the first c, which goes too; all of it if there is none. */
static struct bytes
cut_at(struct bytes *text, char c, bool *found)
{
	const uint8_t *at = text->n ? memchr(text->p, c, text->n) : NULL;
	struct bytes word = *text;

	*found = at != NULL;
	if (at)
		word.n = (size_t)(at - text->p);
	text->p += word.n + *found;
	text->n -= word.n + *found;
	return word;
}

static struct bytes
trim(struct bytes b)
{
	while (b.n && (b.p[0] == ' ' || b.p[0] == '\t')) {
		b.p++;
		b.n--;
	}
	while (b.n && (b.p[b.n - 1] == ' ' || b.p[b.n - 1] == '\t'))
		b.n--;
	return b;
}

/* "HTTP/1.1" */
static enum status
parse_version(struct bytes b, unsigned *minor)
{
	if (b.n != 8 || memcmp(b.p, "HTTP/", 5) != 0 || b.p[6] != '.' ||
	    b.p[5] < '0' || b.p[5] > '9' || b.p[7] < '0' || b.p[7] > '9')
		return ST_BAD_REQUEST;
	if (b.p[5] != '1')
		return ST_BAD_VERSION;
	*minor = b.p[7] - '0' > 0;
	return ST_OK;
}

/* ---- request line ---------------------------------------------------------------- */

/* http://host/path?query: what stands before the path is as good as Host. */
static bool
skip_authority(struct bytes *target)
{
	static const char *const schemes[] = { "http://", "https://" };
	struct bytes host;
	size_t i, n;

	for (i = 0; i < 2; i++) {
		n = strlen(schemes[i]);
		if (target->n > n && strncasecmp((const char *)target->p,
		    schemes[i], n) == 0)
			break;
	}
	if (i == 2)
		return false;
	host = bytes_of(target->p + n, target->n - n);
	for (i = 0; i < host.n && host.p[i] != '/' && host.p[i] != '?'; i++)
		;
	target->p = host.p + i;
	target->n = host.n - i;
	host.n = i;
	return host.n > 0 && http_host_ok(host);
}

static enum status
parse_target(struct bytes target, struct h1_head *out)
{
	if (bytes_eq(target, BYTES_LIT("*")) &&
	    bytes_eq(out->method, BYTES_LIT("OPTIONS"))) {
		out->path = target;
		return ST_OK;
	}
	if ((target.n == 0 || target.p[0] != '/') && !skip_authority(&target))
		return ST_BAD_REQUEST;
	if (!http_path_split(target, &out->path, &out->query))
		return ST_BAD_REQUEST;
	if (out->path.n == 0)
		out->path = BYTES_LIT("/");
	return ST_OK;
}

/* Exactly one space between the parts; no other white space can be in them. */
static enum status
parse_request_line(struct bytes line, struct h1_head *out)
{
	struct bytes target;
	bool first, second;
	enum status st;

	out->method = cut_at(&line, ' ', &first);
	target = cut_at(&line, ' ', &second);
	if (!first || !second || !http_token_ok(out->method))
		return ST_BAD_REQUEST;
	st = parse_version(line, &out->minor);
	if (st != ST_OK)
		return st;
	if (bytes_eq(out->method, BYTES_LIT("PRI")))
		return ST_BAD_VERSION;
	return parse_target(target, out);
}

enum status
h1_check_request_line(struct bytes line)
{
	struct h1_head head = { .minor = 0 };

	return parse_request_line(next_line(&line), &head);
}

/* ---- fields ----------------------------------------------------------------------- */

static enum status
parse_field(struct bytes line, struct http_header *out)
{
	bool found;

	/* a line that begins with white space has no name: obsolete folding
	 * is refused by the same rule as white space before the colon */
	out->name = cut_at(&line, ':', &found);
	out->value = trim(line);
	if (!found || !http_token_ok(out->name) || !http_value_ok(line))
		return ST_BAD_REQUEST;
	return ST_OK;
}

static enum status
parse_fields(struct bytes text, struct http_header *list, struct h1_head *out)
{
	enum status st;
	size_t n = 0;

	while (text.n > 2) {
		st = parse_field(next_line(&text), &list[n]);
		if (st != ST_OK)
			return st;
		n++;
	}
	out->headers = (struct http_headers){ list, n };
	return ST_OK;
}

/* How often it is there; the last one's value. */
static size_t
count_fields(const struct h1_head *h, const char *name, struct bytes *value)
{
	size_t i, n = 0;

	for (i = 0; i < h->headers.n; i++) {
		if (!http_same(h->headers.list[i].name, name))
			continue;
		*value = h->headers.list[i].value;
		n++;
	}
	return n;
}

static enum status
read_length(struct h1_head *h)
{
	struct bytes value = { NULL, 0 };
	size_t i, n = count_fields(h, "Content-Length", &value);

	if (n == 0)
		return ST_OK;
	if (n > 1 || value.n == 0)
		return ST_BAD_REQUEST;
	for (i = 0; i < value.n; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return ST_BAD_REQUEST;
	}
	h->has_length = true;
	if (!http_number(value, &h->length) || h->length > INT64_MAX)
		return ST_TOO_LARGE;
	return ST_OK;
}

/* Chunked and nothing else.  RFC 9112 6.3 wants 400 when chunked is not the last
 * coding, 6.1 wants 501 for one that is not known. */
static enum status
read_coding(struct h1_head *h)
{
	struct bytes value = { NULL, 0 };
	size_t n = count_fields(h, "Transfer-Encoding", &value);

	if (n == 0)
		return ST_OK;
	if (n > 1 || h->has_length || h->minor == 0)
		return ST_BAD_REQUEST;
	if (http_same(value, "chunked")) {
		h->chunked = true;
		return ST_OK;
	}
	if (value.n > 7 && http_same(bytes_of(value.p + value.n - 7, 7),
	    "chunked") && strchr(", \t", value.p[value.n - 8]) &&
	    strncasecmp((const char *)value.p, "chunked", 7) != 0)
		return ST_NOT_IMPLEMENTED;
	return ST_BAD_REQUEST;
}

static bool
has_word(struct bytes list, const char *word)
{
	bool more = true;

	while (more) {
		if (http_same(trim(cut_at(&list, ',', &more)), word))
			return true;
	}
	return false;
}

static void
read_connection(struct h1_head *h)
{
	bool keep_alive = false, close = false;
	size_t i;

	for (i = 0; i < h->headers.n; i++) {
		if (!http_same(h->headers.list[i].name, "Connection"))
			continue;
		close |= has_word(h->headers.list[i].value, "close");
		keep_alive |= has_word(h->headers.list[i].value, "keep-alive");
	}
	h->keep = !close && (h->minor > 0 || keep_alive);
}

static enum status
read_host(const struct h1_head *h)
{
	struct bytes host = { NULL, 0 };
	size_t n = count_fields(h, "Host", &host);

	if (n > 1 || (n == 0 && h->minor > 0) || !http_host_ok(host))
		return ST_BAD_REQUEST;
	return ST_OK;
}

static enum status
read_expect(struct h1_head *h)
{
	struct bytes value = { NULL, 0 };
	size_t n = count_fields(h, "Expect", &value);

	if (n == 0 || h->minor == 0)
		return ST_OK;
	if (n > 1 || !http_same(value, "100-continue"))
		return ST_EXPECTATION;
	h->expects = h->chunked || h->length > 0;
	return ST_OK;
}

/* ---- heads ------------------------------------------------------------------------- */

enum status
h1_parse_request(struct bytes head, struct http_header *list,
    struct h1_head *out)
{
	enum status st;

	*out = (struct h1_head){ .minor = 0 };
	st = parse_request_line(next_line(&head), out);
	if (st == ST_OK)
		st = parse_fields(head, list, out);
	if (st == ST_OK)
		st = read_host(out);
	if (st == ST_OK)
		st = read_length(out);
	if (st == ST_OK)
		st = read_coding(out);
	if (st == ST_OK)
		st = read_expect(out);
	if (st == ST_OK)
		read_connection(out);
	return st;
}

/* "HTTP/1.1 200 OK"; the reason may be empty, and its space missing. */
static bool
parse_status_line(struct bytes line, struct h1_head *out)
{
	struct bytes version, code;
	uint64_t status;
	bool found;

	version = cut_at(&line, ' ', &found);
	code = cut_at(&line, ' ', &found);
	if (parse_version(version, &out->minor) != ST_OK || code.n != 3 ||
	    !http_number(code, &status) || status < 100 || !http_value_ok(line))
		return false;
	out->status = (int)status;
	return true;
}

enum status
h1_parse_answer(struct bytes head, struct http_header *list,
    struct h1_head *out)
{
	*out = (struct h1_head){ .minor = 0 };
	if (!parse_status_line(next_line(&head), out) ||
	    parse_fields(head, list, out) != ST_OK ||
	    read_length(out) != ST_OK || read_coding(out) != ST_OK)
		return ST_BAD_ANSWER;
	read_connection(out);
	return ST_OK;
}

/* ---- bodies -------------------------------------------------------------------------- */

enum chunk_state {
	SIZE,			/* hexadecimal digits */
	SPACE,			/* after them: an extension must follow */
	EXTENSION,
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	TRAILER,		/* at the beginning of a line */
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	END_LF,
};

void
h1_body_of_request(struct h1_body *b, const struct h1_head *h)
{
	*b = (struct h1_body){ .framing = H1_NO_BODY };
	if (h->chunked) {
		b->framing = H1_CHUNKED;
	} else if (h->length > 0) {
		b->framing = H1_LENGTH;
		b->left = h->length;
	}
}

void
h1_body_of_answer(struct h1_body *b, const struct h1_head *h, bool to_head)
{
	*b = (struct h1_body){ .framing = H1_NO_BODY };
	if (to_head || h->status < 200 || h->status == 204 || h->status == 304)
		return;
	if (h->chunked || h->has_length)
		h1_body_of_request(b, h);
	else
		b->framing = H1_UNTIL_CLOSE;
}

static int
hex_of(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool
text_char(uint8_t c)
{
	return c == '\t' || (c >= ' ' && c != 0x7f);
}

static enum status
chunk_size(struct h1_body *b, uint8_t c)
{
	int digit = hex_of(c);

	if (digit >= 0) {
		if (++b->digits > SIZE_DIGITS_MAX)
			return ST_BAD_REQUEST;
		b->left = b->left << 4 | (uint64_t)digit;
		return ST_OK;
	}
	if (b->digits == 0)
		return ST_BAD_REQUEST;
	if (c == '\r')
		b->state = SIZE_LF;
	else if (c == ';')
		b->state = EXTENSION;
	else if (c == ' ' || c == '\t')
		b->state = SPACE;
	else
		return ST_BAD_REQUEST;
	return ST_OK;
}

static enum status
trailer(struct h1_body *b, uint8_t c)
{
	switch (b->state) {
	case TRAILER:
		if (c == '\r') {
			b->state = END_LF;
			return ST_OK;
		}
		b->state = TRAILER_NAME;
		return http_token_ok(bytes_of(&c, 1)) ? ST_OK : ST_BAD_REQUEST;
	case TRAILER_NAME:
		if (c == ':') {
			b->state = TRAILER_VALUE;
			return ST_OK;
		}
		return http_token_ok(bytes_of(&c, 1)) ? ST_OK : ST_BAD_REQUEST;
	case TRAILER_VALUE:
		if (c == '\r') {
			b->state = TRAILER_LF;
			return ST_OK;
		}
		return text_char(c) ? ST_OK : ST_BAD_REQUEST;
	default:
		assert(b->state == TRAILER_LF);
		b->state = TRAILER;
		return c == '\n' ? ST_OK : ST_BAD_REQUEST;
	}
}

/* One byte that is not data. */
static enum status
chunk_frame(struct h1_body *b, uint8_t c)
{
	switch (b->state) {
	case SIZE:
		return chunk_size(b, c);
	case SPACE:
		if (c == ';')
			b->state = EXTENSION;
		else if (c != ' ' && c != '\t')
			return ST_BAD_REQUEST;
		return ++b->overhead > OVERHEAD_MAX ? ST_HEADERS_LARGE : ST_OK;
	case EXTENSION:
		if (c == '\r')
			b->state = SIZE_LF;
		else if (!text_char(c))
			return ST_BAD_REQUEST;
		return ++b->overhead > OVERHEAD_MAX ? ST_HEADERS_LARGE : ST_OK;
	case SIZE_LF:
		b->state = b->left ? DATA : TRAILER;
		b->digits = 0;
		return c == '\n' ? ST_OK : ST_BAD_REQUEST;
	case DATA_CR:
		b->state = DATA_LF;
		return c == '\r' ? ST_OK : ST_BAD_REQUEST;
	case DATA_LF:
		b->state = SIZE;
		return c == '\n' ? ST_OK : ST_BAD_REQUEST;
	case END_LF:
		b->framing = H1_NO_BODY;
		return c == '\n' ? ST_END : ST_BAD_REQUEST;
	default:
		if (++b->overhead > OVERHEAD_MAX)
			return ST_HEADERS_LARGE;
		return trailer(b, c);
	}
}

/* Takes data from in, no more than is left. */
static struct bytes
take_data(struct h1_body *b, struct bytes in, size_t *used)
{
	size_t n = in.n - *used;
	struct bytes piece;

	if (b->framing != H1_UNTIL_CLOSE) {
		if (n > b->left)
			n = (size_t)b->left;
		b->left -= n;
	}
	piece = bytes_of(in.p + *used, n);
	*used += n;
	return piece;
}

static enum status
next_chunked(struct h1_body *b, struct bytes in, struct bytes *piece,
    size_t *used)
{
	enum status st;

	while (*used < in.n) {
		if (b->state == DATA) {
			*piece = take_data(b, in, used);
			if (b->left == 0)
				b->state = DATA_CR;
			return ST_OK;
		}
		st = chunk_frame(b, in.p[(*used)++]);
		if (st != ST_OK)
			return st;
	}
	return ST_WAIT;
}

enum status
h1_body_next(struct h1_body *b, struct bytes in, struct bytes *piece,
    size_t *used)
{
	*piece = (struct bytes){ NULL, 0 };
	*used = 0;
	if (b->framing == H1_NO_BODY)
		return ST_END;
	if (b->framing == H1_CHUNKED)
		return next_chunked(b, in, piece, used);
	if (in.n == 0)
		return ST_WAIT;
	*piece = take_data(b, in, used);
	if (b->framing == H1_LENGTH && b->left == 0) {
		b->framing = H1_NO_BODY;
		return ST_END;
	}
	return ST_OK;
}

/* ---- writing --------------------------------------------------------------------------- */

static const struct reason {
	int status;
	const char *phrase;
} reasons[] = {
	{ 100, "Continue" },
	{ 200, "OK" },
	{ 202, "Accepted" },
	{ 204, "No Content" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 408, "Request Timeout" },
	{ 411, "Length Required" },
	{ 413, "Content Too Large" },
	{ 415, "Unsupported Media Type" },
	{ 417, "Expectation Failed" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 503, "Service Unavailable" },
	{ 505, "HTTP Version Not Supported" },
};

const char *
h1_reason(int status)
{
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (reasons[i].status == status)
			return reasons[i].phrase;
	}
	return "";
}

static void
write_fields(struct buf *b, struct http_headers headers)
{
	const struct http_header *h;
	size_t i;

	for (i = 0; i < headers.n; i++) {
		h = &headers.list[i];
		assert(http_token_ok(h->name) && http_value_ok(h->value));
		buf_append(b, h->name.p, h->name.n);
		buf_append(b, ": ", 2);
		buf_append(b, h->value.p, h->value.n);
		buf_append(b, "\r\n", 2);
	}
}

void
h1_write_answer(struct buf *b, const struct http_response *r, size_t length,
    const char *date, bool close, bool keep_alive)
{
	assert(r->status >= 100 && r->status <= 999);
	buf_printf(b, "HTTP/1.1 %d %s\r\nDate: %s\r\n", r->status,
	    h1_reason(r->status), date);
	if (r->status != 204 && r->status != 304)
		buf_printf(b, "Content-Length: %zu\r\n", length);
	if (close)
		buf_append_str(b, "Connection: close\r\n");
	else if (keep_alive)
		buf_append_str(b, "Connection: keep-alive\r\n");
	write_fields(b, r->headers);
	buf_append(b, "\r\n", 2);
}

void
h1_write_request(struct buf *b, const char *method, const char *path,
    const char *authority, struct http_headers headers, size_t length)
{
	buf_printf(b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, authority);
	if (length > 0 || (strcmp(method, "GET") != 0 &&
	    strcmp(method, "HEAD") != 0))
		buf_printf(b, "Content-Length: %zu\r\n", length);
	write_fields(b, headers);
	buf_append(b, "\r\n", 2);
}
