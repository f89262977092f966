/* wire.c - the writing of protobuf messages, for tests.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include <assert.h>

struct buf
wire_message(void)
{
	struct buf b;

	buf_init(&b, SIZE_MAX / 2);
	return b;
}

static void
put(struct buf *b, uint64_t v)
{
	uint8_t *p = buf_room(b, VARINT_MAX);

	assert(p != NULL);
	b->len += (size_t)(varint_put(p, v) - p);
}

void
wire_varint(struct buf *b, unsigned field, uint64_t v)
{
	put(b, field << 3);
	put(b, v);
}

void
wire_64(struct buf *b, unsigned field, uint64_t v)
{
	uint8_t le[8];

	put(b, field << 3 | 1);
	le64_put(le, v);
	assert(buf_append(b, le, sizeof(le)));
}

void
wire_32(struct buf *b, unsigned field, uint32_t v)
{
	uint8_t le[4];

	put(b, field << 3 | 5);
	le32_put(le, v);
	assert(buf_append(b, le, sizeof(le)));
}

void
wire_double(struct buf *b, unsigned field, double d)
{
	uint64_t bits;

	memcpy(&bits, &d, sizeof(bits));
	wire_64(b, field, bits);
}

void
wire_bytes(struct buf *b, unsigned field, struct bytes v)
{
	put(b, field << 3 | 2);
	put(b, v.n);
	assert(buf_append(b, v.p, v.n));
}

void
wire_string(struct buf *b, unsigned field, const char *s)
{
	wire_bytes(b, field, bytes_str(s));
}

void
wire_sub(struct buf *b, unsigned field, struct buf *taken)
{
	wire_bytes(b, field, buf_bytes(taken));
	buf_fini(taken);
}

void
wire_packed(struct buf *b, unsigned field, const uint64_t *v, size_t n)
{
	struct buf run = wire_message();
	size_t i;

	for (i = 0; i < n; i++)
		put(&run, v[i]);
	wire_sub(b, field, &run);
}

void
wire_sample(struct buf *series, unsigned field, double value, int64_t ms)
{
	struct buf m = wire_message();

	wire_double(&m, 1, value);
	wire_varint(&m, 2, (uint64_t)ms);
	wire_sub(series, field, &m);
}

void
wire_label(struct buf *series, const char *name, const char *value)
{
	struct buf m = wire_message();

	wire_string(&m, 1, name);
	wire_string(&m, 2, value);
	wire_sub(series, 1, &m);
}
