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

/* As field_next, of any kind. */
bool field_next_any(struct reader *, struct field *);

/* The next field, false at the end of the message or at what is none (then
 * r->bad).  In line: a short span of a low number. */
static inline bool
field_next(struct reader *r, struct field *f)
{
	const uint8_t *p = r->p;

	if (r->end - p > 1 && p[0] >= TAG_LEN(1) && p[0] < 0x80 &&
	    (p[0] & 7) == WIRE_LEN && p[1] < 0x80 && r->end - p - 2 >= p[1]) {
		f->tag = p[0];
		f->span = bytes_of(p + 2, p[1]);
		r->p = p + 2 + p[1];
		return true;
	}
	return field_next_any(r, f);
}

/* sint32 in a varint of any size. */
static inline int32_t
field_sint32(uint64_t v)
{
	return (int32_t)zigzag_get((uint32_t)v);
}

#endif
