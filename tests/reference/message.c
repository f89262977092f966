/* message.c - the writing of protobuf messages, for tests.
 * SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <assert.h>

struct buf
message_empty(void)
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
message_varint(struct buf *b, unsigned field, uint64_t v)
{
	put(b, field << 3);
	put(b, v);
}

void
message_64(struct buf *b, unsigned field, uint64_t v)
{
	uint8_t le[8];

	put(b, field << 3 | 1);
	le64_put(le, v);
	assert(buf_append(b, le, sizeof(le)));
}

void
message_32(struct buf *b, unsigned field, uint32_t v)
{
	uint8_t le[4];

	put(b, field << 3 | 5);
	le32_put(le, v);
	assert(buf_append(b, le, sizeof(le)));
}

void
message_double(struct buf *b, unsigned field, double d)
{
	uint64_t bits;

	memcpy(&bits, &d, sizeof(bits));
	message_64(b, field, bits);
}

void
message_bytes(struct buf *b, unsigned field, struct bytes v)
{
	put(b, field << 3 | 2);
	put(b, v.n);
	assert(buf_append(b, v.p, v.n));
}

void
message_string(struct buf *b, unsigned field, const char *s)
{
	message_bytes(b, field, bytes_str(s));
}

void
message_sub(struct buf *b, unsigned field, struct buf *taken)
{
	message_bytes(b, field, buf_bytes(taken));
	buf_fini(taken);
}

void
message_packed(struct buf *b, unsigned field, const uint64_t *v, size_t n)
{
	struct buf run = message_empty();
	size_t i;

	for (i = 0; i < n; i++)
		put(&run, v[i]);
	message_sub(b, field, &run);
}

void
message_sample(struct buf *series, unsigned field, double value, int64_t ms)
{
	struct buf m = message_empty();

	message_double(&m, 1, value);
	message_varint(&m, 2, (uint64_t)ms);
	message_sub(series, field, &m);
}

void
message_label(struct buf *series, const char *name, const char *value)
{
	struct buf m = message_empty();

	message_string(&m, 1, name);
	message_string(&m, 2, value);
	message_sub(series, 1, &m);
}
