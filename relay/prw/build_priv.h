/* build_priv.h - what building 1.0 and building 2.0 have in common: fields,
 * samples, histograms.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RW_PRW_BUILD_PRIV_H
#define RW_PRW_BUILD_PRIV_H

#include "base/buf.h"
#include "prw/field_priv.h"
#include "series/batch.h"

/* Memory that an empty builder keeps between requests, of each of its buffers. */
#define BUILD_KEEP ((size_t)4 << 20)

/* Tag (fields up to 15: one byte) and number. */
#define BUILD_VARINT_MAX (1 + VARINT_MAX)

static inline uint8_t *
build_room(struct buf *b, size_t n)
{
	if (b->cap - b->len >= n)
		return b->data + b->len;
	return buf_room(b, n);
}

static inline uint8_t *
build_varint(uint8_t *p, uint32_t tag, uint64_t v)
{
	*p++ = (uint8_t)tag;
	return varint_put(p, v);
}

/* A field of n bytes, its content to follow. */
static inline uint8_t *
build_head(uint8_t *p, uint32_t tag, size_t n)
{
	return build_varint(p, tag, n);
}

static inline size_t
build_head_size(size_t n)
{
	return 1 + varint_size(n);
}

/* A field of bytes; false: out of memory. */
static inline bool
build_bytes(struct buf *b, uint32_t tag, struct bytes v)
{
	uint8_t *p = build_room(b, BUILD_VARINT_MAX + v.n);

	if (!p)
		return false;
	p = build_head(p, tag, v.n);
	if (v.n)
		memcpy(p, v.p, v.n);
	b->len = (size_t)(p + v.n - b->data);
	return true;
}

/* ---- samples ------------------------------------------------------------- */

/* A timestamp as the field of a Sample.  Samples of one scrape share theirs, so
 * the last is kept.  Zeroed: the time 0, which is no field at all. */
struct build_time {
	int64_t ms;
	unsigned n;
	uint8_t field[16];
};

void build_time_set(struct build_time *, int64_t ms);

/* What a Sample takes at most, and what must be there to write one. */
#define BUILD_SAMPLE_MAX (1 + 8 + 2 * BUILD_VARINT_MAX)
#define BUILD_SAMPLE_ROOM (1 + 8 + 16 + BUILD_VARINT_MAX)

static inline size_t
build_sample_size(uint64_t bits, const struct build_time *t)
{
	return (bits ? 9 : 0) + t->n;
}

/* A Sample's value and time; returns the end. */
static inline uint8_t *
build_sample(uint8_t *p, uint64_t bits, const struct build_time *t)
{
	/* written in any case, and left behind where it is zero */
	*p = TAG_64(1);
	le64_put(p + 1, bits);
	p += bits ? 9 : 0;
	memcpy(p, t->field, sizeof(t->field));
	return p + t->n;
}

/* ---- histograms ---------------------------------------------------------- */

/* Appends the message; false: out of memory. */
bool build_histogram(struct buf *, const struct batch_histogram *,
    bool with_start);

#endif
