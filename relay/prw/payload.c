/* payload.c - content types by RFC 9110, bodies by the C interfaces of snappy and zstd.
 * SPDX-License-Identifier: Apache-2.0 */
#include "prw/payload.h"

#include <snappy-c.h>
#include <stdlib.h>
#include <strings.h>
#include <zstd.h>
#include <zstd_errors.h>

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

static const char *const codings[] = {
	[PAYLOAD_SNAPPY] = "snappy",
	[PAYLOAD_ZSTD] = "zstd",
};

enum status
payload_coding_of(struct bytes content_encoding, enum payload_coding *out)
{
	struct reader r = reader_of(content_encoding);
	enum payload_coding coding = PAYLOAD_SNAPPY;
	struct bytes word;

	skip_space(&r);
	if (r.p != r.end) {
		word = take_token(&r);
		skip_space(&r);
		if (is_word(word, codings[PAYLOAD_ZSTD]))
			coding = PAYLOAD_ZSTD;
		else if (!is_word(word, codings[PAYLOAD_SNAPPY]))
			return ST_ENCODING;
		if (r.p != r.end)
			return ST_ENCODING;
	}
	*out = coding;
	return ST_OK;
}

const char *
payload_coding_name(enum payload_coding coding)
{
	return codings[coding];
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

static enum status
snappy_size(struct bytes packed, size_t limit, size_t *out)
{
	size_t n;

	if (packed.n == 0 || snappy_uncompressed_length((const char *)packed.p,
	    packed.n, &n) != SNAPPY_OK)
		return ST_BAD_SNAPPY;
	if (n > limit)
		return ST_TOO_LARGE;
	if (n / SNAPPY_GAIN_MAX > packed.n)
		return ST_BAD_SNAPPY;
	*out = n;
	return ST_OK;
}

static enum status
unpack_snappy(struct bytes packed, size_t n, struct arena *arena,
    struct bytes *out)
{
	char *to = arena_take(arena, n);

	if (!to)
		return ST_NO_MEMORY;
	if (snappy_uncompress((const char *)packed.p, packed.n, to, &n) !=
	    SNAPPY_OK)
		return ST_BAD_SNAPPY;
	*out = bytes_of(to, n);
	return ST_OK;
}

static enum status
pack_snappy(struct bytes raw, uint8_t *to, size_t *n)
{
	/* fails for want of room only */
	(void)snappy_compress((const char *)raw.p, raw.n, (char *)to, n);
	return ST_OK;
}

/* ---- zstd ------------------------------------------------------------------ */

/* What a byte of zstd can stand for at most: a block of 128 KiB takes 4. */
#define ZSTD_GAIN_MAX ((size_t)32 << 10)
#define FIRST_GUESS 8			/* how much more, of a frame that is silent */
#define LEVEL 3			/* of what is sent: fewer bytes than by 1, in about the time */

/* 4 bytes each (RFC 8878 3.1.1, 3.1.2); neither the formats of before zstd 0.8, which
 * the library may know. */
static bool
is_frame(struct bytes b)
{
	uint32_t magic;

	if (b.n < sizeof(magic))
		return false;
	magic = le32_get(b.p);
	return magic == ZSTD_MAGICNUMBER || (magic &
	    ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START;
}

/* The sum over all frames; *out is PAYLOAD_UNTOLD if one does not tell. */
static enum status
zstd_size(struct bytes packed, size_t limit, size_t *out)
{
	size_t sum = 0, frame;
	struct bytes b = packed;
	unsigned long long n;
	bool told = true;

	do {
		frame = is_frame(b) ? ZSTD_findFrameCompressedSize(b.p, b.n) : 0;
		if (frame == 0 || ZSTD_isError(frame))
			return ST_BAD_ZSTD;
		n = ZSTD_getFrameContentSize(b.p, b.n);
		if (n == ZSTD_CONTENTSIZE_ERROR)
			return ST_BAD_ZSTD;
		if (n == ZSTD_CONTENTSIZE_UNKNOWN)
			told = false;
		else if (n > limit - sum)
			return ST_TOO_LARGE;
		else if (n / ZSTD_GAIN_MAX > frame)
			return ST_BAD_ZSTD;
		else
			sum += (size_t)n;
		b = bytes_of(b.p + frame, b.n - frame);
	} while (b.n > 0);
	*out = told ? sum : PAYLOAD_UNTOLD;
	return ST_OK;
}

/* All frames at once, into what is also their window.  One that wants a dictionary
 * fails.  ST_TOO_LARGE: more than n. */
static enum status
decompress(struct payload_tools *t, struct bytes packed, uint8_t *to, size_t *n)
{
	size_t rc;

	if (!t->unpack)
		t->unpack = ZSTD_createDCtx();
	if (!t->unpack)
		return ST_NO_MEMORY;
	rc = ZSTD_decompressDCtx(t->unpack, to, *n, packed.p, packed.n);
	if (!ZSTD_isError(rc)) {
		*n = rc;
		return ST_OK;
	}
	switch (ZSTD_getErrorCode(rc)) {
	case ZSTD_error_dstSize_tooSmall:
		return ST_TOO_LARGE;
	case ZSTD_error_memory_allocation:
		return ST_NO_MEMORY;
	default:
		return ST_BAD_ZSTD;
	}
}

static enum status
unpack_zstd(struct payload_tools *t, struct bytes packed, size_t n,
    struct arena *arena, struct bytes *out)
{
	uint8_t *to = arena_take(arena, n);
	enum status st;

	if (!to)
		return ST_NO_MEMORY;
	st = decompress(t, packed, to, &n);
	/* more than it told */
	if (st == ST_TOO_LARGE)
		return ST_BAD_ZSTD;
	if (st == ST_OK)
		*out = bytes_of(to, n);
	return st;
}

/* How much it comes to is found by trying, with twice as much each time. */
static enum status
unpack_untold(struct payload_tools *t, struct bytes packed, size_t limit,
    struct arena *arena, struct bytes *out)
{
	struct arena_mark mark = arena_mark(arena);
	size_t room = packed.n < limit / FIRST_GUESS ? packed.n * FIRST_GUESS :
	    limit, n;
	enum status st;
	uint8_t *to;

	for (;;) {
		n = room;
		to = arena_take(arena, n);
		if (!to)
			return ST_NO_MEMORY;
		st = decompress(t, packed, to, &n);
		if (st != ST_TOO_LARGE || room == limit)
			break;
		arena_rewind(arena, mark);
		room = room < limit / 2 ? room * 2 : limit;
	}
	if (st == ST_OK)
		*out = bytes_of(to, n);
	return st;
}

static enum status
pack_zstd(struct payload_tools *t, struct bytes raw, uint8_t *to, size_t *n)
{
	if (!t->pack)
		t->pack = ZSTD_createCCtx();
	if (!t->pack)
		return ST_NO_MEMORY;
	*n = ZSTD_compressCCtx(t->pack, to, *n, raw.p, raw.n, LEVEL);
	/* fails for want of memory only */
	return ZSTD_isError(*n) ? ST_NO_MEMORY : ST_OK;
}

/* ---- either ---------------------------------------------------------------- */

enum status
payload_size(enum payload_coding coding, struct bytes packed, size_t limit,
    size_t *out)
{
	return coding == PAYLOAD_SNAPPY ? snappy_size(packed, limit, out) :
	    zstd_size(packed, limit, out);
}

enum status
payload_unpack(struct payload_tools *t, enum payload_coding coding,
    struct bytes packed, size_t limit, struct arena *arena, struct bytes *out)
{
	enum status st;
	size_t n;

	st = payload_size(coding, packed, limit, &n);
	if (st != ST_OK)
		return st;
	if (coding == PAYLOAD_SNAPPY)
		return unpack_snappy(packed, n, arena, out);
	return n == PAYLOAD_UNTOLD ?
	    unpack_untold(t, packed, limit, arena, out) :
	    unpack_zstd(t, packed, n, arena, out);
}

static size_t
worst(enum payload_coding coding, size_t n)
{
	return coding == PAYLOAD_SNAPPY ? snappy_max_compressed_length(n) :
	    ZSTD_compressBound(n);
}

static enum status
pack(struct payload_tools *t, enum payload_coding coding, struct bytes raw,
    uint8_t *to, size_t *n)
{
	return coding == PAYLOAD_SNAPPY ? pack_snappy(raw, to, n) :
	    pack_zstd(t, raw, to, n);
}

/* Where out's limit leaves no room for the worst case: by way of other memory. */
static enum status
pack_aside(struct payload_tools *t, enum payload_coding coding,
    struct bytes raw, size_t n, struct buf *out)
{
	uint8_t *aside = malloc(n);
	enum status st;

	if (!aside)
		return ST_NO_MEMORY;
	st = pack(t, coding, raw, aside, &n);
	if (st == ST_OK && n > out->limit - out->len)
		st = ST_TOO_LARGE;
	else if (st == ST_OK && !buf_append(out, aside, n))
		st = ST_NO_MEMORY;
	free(aside);
	return st;
}

enum status
payload_pack(struct payload_tools *t, enum payload_coding coding,
    struct bytes raw, struct buf *out)
{
	size_t n = worst(coding, raw.n);
	enum status st;
	uint8_t *to;

	if (n > out->limit - out->len)
		return pack_aside(t, coding, raw, n, out);
	to = buf_room(out, n);
	if (!to)
		return ST_NO_MEMORY;
	st = pack(t, coding, raw, to, &n);
	if (st == ST_OK)
		out->len += n;
	return st;
}

void
payload_tools_fini(struct payload_tools *t)
{
	(void)ZSTD_freeCCtx(t->pack);
	(void)ZSTD_freeDCtx(t->unpack);
	t->pack = NULL;
	t->unpack = NULL;
}
