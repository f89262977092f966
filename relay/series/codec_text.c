/* codec_text.c - the texts of new symbols.
 * SPDX-License-Identifier: Apache-2.0
 *
 *	varint	how many
 *	varint	bytes of the texts when unpacked, x2, + 1 if they are packed
 *	varint	if they are packed: bytes that follow
 * Unpacked they are, one byte each, how many bytes every text has in common
 * with the one before it (the last known one, for the first), and then the rest
 * of every text, ended by a 0; 0 and 1 in a text stand as 1 1 and 1 2.
 *
 * Packed they are a zstd frame without its magic number, whose prefix is the
 * texts that are known already, each ended by a 0: the last 32 KiB of them.  A
 * context is made for each record that needs one and freed at once: new series
 * come in bursts, and there may be a thousand streams.                      */
#include "series/codec_priv.h"

#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#define LEVEL 6
#define PREFIX_MAX ((size_t)32 << 10)
#define PACK_MIN 100			/* bytes; below it packing gains nothing */
#define COMMON_MAX 255

static const uint8_t magic[4] = { 0x28, 0xb5, 0x2f, 0xfd };

/* How either end finds a text. */
typedef struct bytes text_fn(const void *from, uint32_t symbol);

static struct bytes
encoder_text(const void *from, uint32_t symbol)
{
	const struct encoder *e = from;

	return symtab_text(e->symbols, symbol);
}

static struct bytes
decoder_text(const void *from, uint32_t symbol)
{
	const struct decoder *d = from;

	return dict_symbol(d->dict, symbol);
}

/* The last texts below symbol n, oldest first.  False: out of memory. */
static bool
make_prefix(text_fn *text_of, const void *from, uint32_t n, struct buf *out)
{
	uint32_t first = n;
	size_t size = 0;
	struct bytes text;

	while (first > 1) {
		text = text_of(from, first - 1);
		if (text.n + 1 > PREFIX_MAX - size)
			break;
		size += text.n + 1;
		first--;
	}
	for (; first < n; first++) {
		text = text_of(from, first);
		buf_append(out, text.p, text.n);
		buf_append(out, "", 1);
	}
	return !buf_failed(out);
}

/* ---- writing --------------------------------------------------------------- */

static size_t
in_common(struct bytes a, struct bytes b)
{
	size_t n = a.n < b.n ? a.n : b.n, i;

	if (n > COMMON_MAX)
		n = COMMON_MAX;
	for (i = 0; i < n && a.p[i] == b.p[i]; i++)
		;
	return i;
}

static void
put_rest(struct buf *b, const uint8_t *p, size_t n)
{
	uint8_t *to = buf_room(b, 2 * n + 1);
	size_t i;

	if (!to)
		return;
	for (i = 0; i < n; i++) {
		if (p[i] <= 1) {
			*to++ = 1;
			*to++ = (uint8_t)(p[i] + 1);
		} else {
			*to++ = p[i];
		}
	}
	*to++ = 0;
	b->len = (size_t)(to - b->data);
}

static void
put_texts(const struct symtab *t, uint32_t first, struct buf *b)
{
	uint32_t n = symtab_n(t) - first, i;
	size_t column = b->len, common;
	struct bytes before = symtab_text(t, first - 1), text;

	if (!buf_room(b, n))
		return;
	b->len += n;
	for (i = 0; i < n; i++) {
		text = symtab_text(t, first + i);
		common = in_common(before, text);
		b->data[column + i] = (uint8_t)common;
		put_rest(b, text.p + common, text.n - common);
		if (buf_failed(b))
			return;
		before = text;
	}
}

/* The frame without its magic number; empty if it would not be shorter. */
static enum status
pack(struct bytes plain, struct bytes prefix, struct buf *out)
{
	size_t room = ZSTD_compressBound(plain.n), n;
	ZSTD_CCtx *z;
	enum status st = ST_NO_MEMORY;

	if (!buf_room(out, room))
		return ST_NO_MEMORY;
	z = ZSTD_createCCtx();
	if (!z)
		return ST_NO_MEMORY;
	(void)ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, LEVEL);
	(void)ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, 0);
	(void)ZSTD_CCtx_refPrefix(z, prefix.p, prefix.n);
	n = ZSTD_compress2(z, out->data, room, plain.p, plain.n);
	if (!ZSTD_isError(n)) {
		st = ST_OK;
		out->len = n < plain.n ? n : 0;
	}
	(void)ZSTD_freeCCtx(z);
	return st;
}

static enum status
write_packed(struct encoder *e, struct bytes plain, struct buf *out)
{
	struct buf prefix, packed;
	enum status st = ST_NO_MEMORY;

	buf_init(&prefix, SIZE_MAX);
	buf_init(&packed, SIZE_MAX);
	if (make_prefix(encoder_text, e, e->n_sent, &prefix))
		st = pack(plain, buf_bytes(&prefix), &packed);
	if (st == ST_OK && packed.len > sizeof(magic)) {
		put_varint(out, (uint64_t)plain.n * 2 + 1);
		put_varint(out, packed.len - sizeof(magic));
		buf_append(out, packed.data + sizeof(magic),
		    packed.len - sizeof(magic));
	} else if (st == ST_OK) {
		put_varint(out, (uint64_t)plain.n * 2);
		buf_append(out, plain.p, plain.n);
	}
	buf_fini(&prefix);
	buf_fini(&packed);
	return st;
}

enum status
write_texts(struct encoder *e, struct buf *out)
{
	struct buf plain;
	enum status st = ST_OK;

	buf_init(&plain, SIZE_MAX);
	put_texts(e->symbols, e->n_sent, &plain);
	put_varint(out, symtab_n(e->symbols) - e->n_sent);
	if (buf_failed(&plain)) {
		st = ST_NO_MEMORY;
	} else if (plain.len < PACK_MIN) {
		put_varint(out, (uint64_t)plain.len * 2);
		buf_append(out, plain.data, plain.len);
	} else {
		st = write_packed(e, buf_bytes(&plain), out);
	}
	buf_fini(&plain);
	e->n_sent = symtab_n(e->symbols);
	return st;
}

/* ---- reading --------------------------------------------------------------- */

/* One text: what it has in common with the one before, and the rest. */
static enum status
take_text(struct decoder *d, size_t common, struct reader *r, struct buf *text)
{
	uint8_t c;

	if (common > text->len)
		return ST_BAD_RECORD;
	text->len = common;
	while ((c = read_u8(r)) != 0) {
		if (c == 1) {
			c = (uint8_t)(read_u8(r) - 1);
			if (c > 1)
				return ST_BAD_RECORD;
		}
		if (!buf_append(text, &c, 1))
			return ST_NO_MEMORY;
	}
	if (r->bad || text->len == 0)
		return ST_BAD_RECORD;
	return dict_add_symbol(d->dict, buf_bytes(text));
}

static enum status
take_texts(struct decoder *d, uint32_t n, struct reader r)
{
	struct bytes commons = read_bytes(&r, n);
	struct bytes last = dict_symbol(d->dict, dict_n_symbols(d->dict) - 1);
	struct buf text;
	enum status st = r.bad ? ST_BAD_RECORD : ST_OK;
	uint32_t i;

	buf_init(&text, d->max_size);
	if (!buf_append(&text, last.p, last.n))
		st = ST_NO_MEMORY;
	for (i = 0; i < n && st == ST_OK; i++) {
		st = take_text(d, commons.p[i], &r, &text);
		if (st == ST_OK && decoder_size(d) > d->max_size)
			st = ST_NO_MEMORY;
	}
	buf_fini(&text);
	if (st == ST_OK && reader_left(&r) != 0)
		st = ST_BAD_RECORD;
	return st;
}

static enum status
unpack(struct bytes packed, struct bytes prefix, uint8_t *to, size_t n)
{
	struct buf frame;
	ZSTD_DCtx *z = NULL;
	enum status st = ST_NO_MEMORY;
	size_t got;

	buf_init(&frame, SIZE_MAX);
	if (!buf_append(&frame, magic, sizeof(magic)) ||
	    !buf_append(&frame, packed.p, packed.n))
		goto out;
	z = ZSTD_createDCtx();
	if (!z)
		goto out;
	(void)ZSTD_DCtx_refPrefix(z, prefix.p, prefix.n);
	got = ZSTD_decompressDCtx(z, to, n, frame.data, frame.len);
	st = ZSTD_isError(got) || got != n ? ST_BAD_RECORD : ST_OK;
out:
	(void)ZSTD_freeDCtx(z);
	buf_fini(&frame);
	return st;
}

static enum status
read_packed(struct decoder *d, uint32_t n, size_t n_plain, struct bytes packed)
{
	struct buf prefix;
	uint8_t *plain;
	enum status st;

	plain = malloc(n_plain + 1);
	if (!plain)
		return ST_NO_MEMORY;
	buf_init(&prefix, SIZE_MAX);
	st = make_prefix(decoder_text, d, dict_n_symbols(d->dict), &prefix) ?
	    unpack(packed, buf_bytes(&prefix), plain, n_plain) :
	    ST_NO_MEMORY;
	if (st == ST_OK)
		st = take_texts(d, n, reader_of(bytes_of(plain, n_plain)));
	buf_fini(&prefix);
	free(plain);
	return st;
}

enum status
read_texts(struct decoder *d, struct reader *r)
{
	uint64_t n = read_varint(r), size = read_varint(r);
	bool packed = size & 1;
	struct bytes b;

	size /= 2;
	b = read_bytes(r, packed ? read_varint(r) : size);
	/* a byte in common and an end for each */
	if (r->bad || n == 0 || n > size / 2)
		return ST_BAD_RECORD;
	if (size > d->max_size || n > UINT32_MAX)
		return ST_NO_MEMORY;
	return packed ? read_packed(d, (uint32_t)n, (size_t)size, b) :
	    take_texts(d, (uint32_t)n, reader_of(b));
}
