/* payload.c - content types by RFC 9110, bodies by snappy's C interface.
 * SPDX-License-Identifier: Apache-2.0 */
#include "prw/payload.h"

#include <snappy-c.h>
#include <stdlib.h>
#include <strings.h>

/* ---- headers ------------------------------------------------------------- */

static const char *const messages[] = {
	[PAYLOAD_V1] = "prometheus.WriteRequest",
	[PAYLOAD_V2] = "io.prometheus.write.v2.Request",
};

static bool
is_space(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static bool
is_token(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	    (c >= 'a' && c <= 'z') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static void
skip_space(struct reader *r)
{
	while (r->p < r->end && is_space(*r->p))
		r->p++;
}

static bool
take(struct reader *r, uint8_t c)
{
	if (r->p == r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

/* The token that comes next; empty if none does. */
static struct bytes
take_token(struct reader *r)
{
	const uint8_t *from = r->p;

	while (r->p < r->end && is_token(*r->p))
		r->p++;
	return bytes_of(from, (size_t)(r->p - from));
}

static bool
is_word(struct bytes b, const char *word)
{
	return b.n == strlen(word) &&
	    strncasecmp((const char *)b.p, word, b.n) == 0;
}

/* A quoted string without its quotes; what it escapes stays escaped, since no
 * value that we look for needs it. */
static struct bytes
take_quoted(struct reader *r)
{
	const uint8_t *from;
	struct bytes out;

	if (!take(r, '"')) {
		reader_fail(r);
		return bytes_of(NULL, 0);
	}
	from = r->p;
	while (r->p < r->end && *r->p != '"') {
		if (*r->p == '\\' && reader_left(r) > 1)
			r->p++;
		r->p++;
	}
	out = bytes_of(from, (size_t)(r->p - from));
	if (!take(r, '"'))
		reader_fail(r);
	return out;
}

/* One parameter after its semicolon; an empty one is allowed.  Sets *out if it
 * is the one that names the message. */
static bool
parameter(struct reader *r, enum payload_proto *out)
{
	struct bytes name, value;

	skip_space(r);
	if (r->p == r->end || *r->p == ';')
		return true;
	name = take_token(r);
	if (name.n == 0 || !take(r, '='))
		return false;
	value = take_token(r);
	if (value.n == 0)
		value = take_quoted(r);
	if (r->bad)
		return false;
	if (!is_word(name, "proto"))
		return true;
	if (bytes_eq(value, bytes_str(messages[PAYLOAD_V1])))
		*out = PAYLOAD_V1;
	else if (bytes_eq(value, bytes_str(messages[PAYLOAD_V2])))
		*out = PAYLOAD_V2;
	else
		return false;
	return true;
}

enum status
payload_proto_of(struct bytes content_type, enum payload_proto *out)
{
	struct reader r = reader_of(content_type);
	enum payload_proto proto = PAYLOAD_V1;
	struct bytes type, subtype;

	skip_space(&r);
	if (r.p != r.end) {
		type = take_token(&r);
		if (!take(&r, '/'))
			return ST_MEDIA_TYPE;
		subtype = take_token(&r);
		if (!is_word(type, "application") ||
		    !is_word(subtype, "x-protobuf"))
			return ST_MEDIA_TYPE;
		for (skip_space(&r); take(&r, ';'); skip_space(&r)) {
			if (!parameter(&r, &proto))
				return ST_MEDIA_TYPE;
		}
		if (r.p != r.end)
			return ST_MEDIA_TYPE;
	}
	*out = proto;
	return ST_OK;
}

enum status
payload_encoding_check(struct bytes content_encoding)
{
	struct reader r = reader_of(content_encoding);
	struct bytes coding;

	skip_space(&r);
	if (r.p == r.end)
		return ST_OK;
	coding = take_token(&r);
	skip_space(&r);
	return r.p == r.end && is_word(coding, "snappy") ? ST_OK : ST_ENCODING;
}

const char *
payload_content_type(enum payload_proto proto)
{
	/* bare for 1.0, which knew no parameter; no space: receivers that do
	 * not look for one would take the message for 1.0 */
	return proto == PAYLOAD_V1 ? "application/x-protobuf" :
	    "application/x-protobuf;proto=io.prometheus.write.v2.Request";
}

const char *
payload_version(enum payload_proto proto)
{
	return proto == PAYLOAD_V1 ? "0.1.0" : "2.0.0";
}

/* ---- snappy -------------------------------------------------------------- */

/* What a byte of snappy can stand for at most: a copy of 64 bytes takes 3. */
#define SNAPPY_GAIN_MAX 22

enum status
payload_unpack(struct bytes packed, size_t limit, struct arena *arena,
    struct bytes *out)
{
	const char *from = (const char *)packed.p;
	size_t n;
	char *to;

	if (packed.n == 0 ||
	    snappy_uncompressed_length(from, packed.n, &n) != SNAPPY_OK)
		return ST_BAD_SNAPPY;
	if (n > limit)
		return ST_TOO_LARGE;
	if (n / SNAPPY_GAIN_MAX > packed.n)
		return ST_BAD_SNAPPY;
	to = arena_take(arena, n);
	if (!to)
		return ST_NO_MEMORY;
	if (snappy_uncompress(from, packed.n, to, &n) != SNAPPY_OK)
		return ST_BAD_SNAPPY;
	*out = bytes_of(to, n);
	return ST_OK;
}

/* Where out's limit leaves no room for the worst case: by way of other memory. */
static enum status
pack_aside(struct bytes raw, size_t worst, struct buf *out)
{
	enum status st = ST_OK;
	size_t n = worst;
	char *aside = malloc(worst);

	if (!aside)
		return ST_NO_MEMORY;
	(void)snappy_compress((const char *)raw.p, raw.n, aside, &n); /* room */
	if (n > out->limit - out->len)
		st = ST_TOO_LARGE;
	else if (!buf_append(out, aside, n))
		st = ST_NO_MEMORY;
	free(aside);
	return st;
}

enum status
payload_pack(struct bytes raw, struct buf *out)
{
	size_t n = snappy_max_compressed_length(raw.n);
	uint8_t *to;

	if (n > out->limit - out->len)
		return pack_aside(raw, n, out);
	to = buf_room(out, n);
	if (!to)
		return ST_NO_MEMORY;
	/* fails for want of room only */
	(void)snappy_compress((const char *)raw.p, raw.n, (char *)to, &n);
	out->len += n;
	return ST_OK;
}
