/* field_priv.h - the fields of a protobuf message, one after the other.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Takes what protobuf permits but groups, which no message here has had: a
 * field that its switch does not know, or not in this wire type, is passed
 * over.                                                                     */
#ifndef RW_PRW_FIELD_PRIV_H
#define RW_PRW_FIELD_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LEN = 2, WIRE_32 = 5 };

/* The number of a field and the wire type, as they stand before its content. */
#define TAG(number, wire) ((uint32_t)(number) << 3 | (wire))
#define TAG_VARINT(number) TAG(number, WIRE_VARINT)
#define TAG_64(number) TAG(number, WIRE_64)
#define TAG_LEN(number) TAG(number, WIRE_LEN)

struct field {
	uint32_t tag;
	uint64_t v;			/* but for WIRE_LEN */
	struct bytes span;		/* for WIRE_LEN */
};

/* The next field, false at the end of the message or at what is none (then
 * r->bad). */
static inline bool
field_next(struct reader *r, struct field *f)
{
	uint64_t tag;

	if (r->p == r->end)
		return false;
	tag = read_varint(r);
	f->tag = (uint32_t)tag;
	if (tag > UINT32_MAX || tag < TAG(1, 0))
		reader_fail(r);
	switch (tag & 7) {
	case WIRE_LEN:
		f->span = read_bytes(r, read_varint(r));
		break;
	case WIRE_VARINT:
		f->v = read_varint(r);
		break;
	case WIRE_64:
		f->v = read_le64(r);
		break;
	case WIRE_32:
		f->v = read_le32(r);
		break;
	default:
		reader_fail(r);
	}
	return !r->bad;
}

/* sint32 in a varint of any size. */
static inline int32_t
field_sint32(uint64_t v)
{
	return (int32_t)zigzag_get((uint32_t)v);
}

#endif
