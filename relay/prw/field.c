/* field.c - a field of any kind.
 * SPDX-License-Identifier: Apache-2.0 */
#include "prw/field_priv.h"

bool
field_next_any(struct reader *r, struct field *f)
{
	uint64_t tag;

	if (r->p == r->end)
		return false;
	tag = read_varint(r);
	*f = (struct field){ .tag = (uint32_t)tag };
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
