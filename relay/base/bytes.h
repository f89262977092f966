/* bytes.h - a borrowed span of memory, and readers and writers that cannot
 * run past its end.
 * SPDX-License-Identifier: Apache-2.0
 *
 * All parsing of foreign bytes goes through struct reader.  A reader that is
 * asked for more than there is becomes `bad`, stays so, and returns zeros: ask
 * once, at the end of a group of reads.                                     */
#ifndef RW_BASE_BYTES_H
#define RW_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	const uint8_t *p;		/* borrowed; may be NULL when n is 0 */
	size_t n;
};

#define BYTES_LIT(s) ((struct bytes){ (const uint8_t *)(s), sizeof(s) - 1 })

static inline struct bytes
bytes_of(const void *p, size_t n)
{
	return (struct bytes){ p, n };
}

static inline struct bytes
bytes_str(const char *s)
{
	return (struct bytes){ (const uint8_t *)s, strlen(s) };
}

static inline bool
bytes_eq(struct bytes a, struct bytes b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Byte-wise order, the order of label names in remote write. */
static inline int
bytes_cmp(struct bytes a, struct bytes b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;

	return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* ---- little endian, at any alignment --------------------------------- */

static inline uint16_t
le16_get(const void *p)
{
	const uint8_t *b = p;

	return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t
le32_get(const void *p)
{
	const uint8_t *b = p;

	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
	    (uint32_t)b[3] << 24;
}

static inline uint64_t
le64_get(const void *p)
{
	const uint8_t *b = p;

	return (uint64_t)le32_get(b) | (uint64_t)le32_get(b + 4) << 32;
}

static inline void
le16_put(void *p, uint16_t v)
{
	uint8_t *b = p;

	b[0] = (uint8_t)v;
	b[1] = (uint8_t)(v >> 8);
}

static inline void
le32_put(void *p, uint32_t v)
{
	uint8_t *b = p;

	b[0] = (uint8_t)v;
	b[1] = (uint8_t)(v >> 8);
	b[2] = (uint8_t)(v >> 16);
	b[3] = (uint8_t)(v >> 24);
}

static inline void
le64_put(void *p, uint64_t v)
{
	le32_put(p, (uint32_t)v);
	le32_put((uint8_t *)p + 4, (uint32_t)(v >> 32));
}

/* ---- varints, as protobuf has them ------------------------------------ */

#define VARINT_MAX 10			/* bytes of the longest */

static inline uint64_t
zigzag_put(int64_t v)
{
	return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static inline int64_t
zigzag_get(uint64_t v)
{
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static inline size_t
varint_size(uint64_t v)
{
	/* 7 bits a byte; a zero still takes one */
	return (size_t)(63 - __builtin_clzll(v | 1)) / 7 + 1;
}

/* Room for VARINT_MAX must be there; returns the end. */
static inline uint8_t *
varint_put(uint8_t *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	return p;
}

/* ---- reader ------------------------------------------------------------ */

struct reader {
	const uint8_t *p, *end;		/* borrowed */
	bool bad;
};

static inline struct reader
reader_of(struct bytes b)
{
	return (struct reader){ b.p, b.p ? b.p + b.n : b.p, false };
}

static inline size_t
reader_left(const struct reader *r)
{
	return (size_t)(r->end - r->p);
}

static inline void
reader_fail(struct reader *r)
{
	r->bad = true;
	r->p = r->end;
}

static inline uint64_t
read_varint_slow(struct reader *r)
{
	const uint8_t *p = r->p;
	uint64_t v = 0;
	unsigned shift;

	for (shift = 0; shift < 64 && p < r->end; shift += 7) {
		uint8_t b = *p++;

		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			if (shift == 63 && b > 1)
				break;
			r->p = p;
			return v;
		}
	}
	reader_fail(r);
	return 0;
}

/* One or two bytes in line: lengths and references are hardly ever longer. */
static inline uint64_t
read_varint(struct reader *r)
{
	const uint8_t *p = r->p;

	if (p < r->end && p[0] < 0x80) {
		r->p = p + 1;
		return p[0];
	}
	if (r->end - p > 1 && p[1] < 0x80) {
		r->p = p + 2;
		return (uint64_t)p[1] << 7 | (p[0] & 0x7f);
	}
	return read_varint_slow(r);
}

static inline struct bytes
read_bytes(struct reader *r, uint64_t n)
{
	struct bytes out = { NULL, 0 };

	if (n > reader_left(r)) {
		reader_fail(r);
		return out;
	}
	out.p = r->p;
	out.n = (size_t)n;
	r->p += n;
	return out;
}

static inline uint8_t
read_u8(struct reader *r)
{
	if (r->p == r->end) {
		r->bad = true;
		return 0;
	}
	return *r->p++;
}

static inline uint32_t
read_le32(struct reader *r)
{
	struct bytes b = read_bytes(r, 4);

	return b.n == 4 ? le32_get(b.p) : 0;
}

static inline uint64_t
read_le64(struct reader *r)
{
	struct bytes b = read_bytes(r, 8);

	return b.n == 8 ? le64_get(b.p) : 0;
}

#endif
