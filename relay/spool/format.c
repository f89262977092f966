/* format.c - headers, footers and frames to bytes and back.
 * SPDX-License-Identifier: Apache-2.0 */
#include "spool/format.h"

#include <assert.h>
#include <string.h>

#include "spool/crc32c.h"

static const uint8_t magic[8] = { 0x89, 'R', 'W', 'L', '\r', '\n', 0x1a, '\n' };
static const uint8_t end_magic[8] = { 1, 'R', 'W', 'L', 'E', 'N', 'D', '\n' };

static_assert(FORMAT_LENGTH_MAX <= UINT32_MAX / 2, "five bytes hold a length");

uint32_t
format_seed(const uint8_t id[FORMAT_ID])
{
	return crc32c(0, id, FORMAT_ID);
}

void
format_header_put(uint8_t to[FORMAT_HEADER], const struct format_header *h)
{
	memset(to, 0, FORMAT_HEADER);
	memcpy(to, magic, sizeof(magic));
	le16_put(to + 8, FORMAT_VERSION);
	le16_put(to + 10, FORMAT_HEADER);
	le64_put(to + 24, h->number);
	le64_put(to + 32, (uint64_t)h->created_ms);
	memcpy(to + 40, h->id, FORMAT_ID);
	le32_put(to + 60, crc32c(0, to, 60));
}

enum status
format_header_get(const uint8_t from[FORMAT_HEADER], struct format_header *out)
{
	if (memcmp(from, magic, sizeof(magic)) != 0 ||
	    le32_get(from + 60) != crc32c(0, from, 60))
		return ST_DAMAGED;
	if (le16_get(from + 8) != FORMAT_VERSION ||
	    le16_get(from + 10) != FORMAT_HEADER || le32_get(from + 12) != 0)
		return ST_BAD_FORMAT;
	out->number = le64_get(from + 24);
	out->created_ms = (int64_t)le64_get(from + 32);
	memcpy(out->id, from + 40, FORMAT_ID);
	return ST_OK;
}

void
format_footer_put(uint8_t to[FORMAT_FOOTER], uint32_t seed,
    const struct format_footer *f)
{
	memset(to, 0, FORMAT_FOOTER);
	memcpy(to, end_magic, sizeof(end_magic));
	le32_put(to + 8, f->flags);
	le64_put(to + 16, f->end);
	le64_put(to + 24, f->records);
	le64_put(to + 32, (uint64_t)f->first_ms);
	le64_put(to + 40, (uint64_t)f->last_ms);
	le32_put(to + 60, crc32c(seed, to, 60));
}

bool
format_footer_get(const uint8_t from[FORMAT_FOOTER], uint32_t seed,
    uint64_t offset, struct format_footer *out)
{
	if (memcmp(from, end_magic, sizeof(end_magic)) != 0 ||
	    le64_get(from + 16) != offset ||
	    le32_get(from + 60) != crc32c(seed, from, 60))
		return false;
	out->flags = le32_get(from + 8);
	out->end = offset;
	out->records = le64_get(from + 24);
	out->first_ms = (int64_t)le64_get(from + 32);
	out->last_ms = (int64_t)le64_get(from + 40);
	return true;
}

/* A record is whole in its place only: the sum starts from where it stands. */
static uint32_t
sum_start(uint32_t seed, uint64_t offset)
{
	return seed ^ (uint32_t)offset ^ (uint32_t)(offset >> 32);
}

static uint16_t
mark(uint32_t seed, uint64_t offset)
{
	uint8_t place[8];

	le64_put(place, offset);
	return (uint16_t)crc32c(seed, place, sizeof(place));
}

size_t
format_frame(uint8_t to[FORMAT_FRAME_MAX], uint32_t seed, uint64_t offset,
    const struct format_record *r)
{
	uint64_t wall = zigzag_put(r->delta_ms);
	uint64_t length = varint_size(r->stream) + varint_size(wall) +
	    r->data.n;
	uint8_t *p, *sum;
	uint32_t crc;

	assert(length <= FORMAT_LENGTH_MAX);
	p = varint_put(to, length << 1 | r->synced);
	if (r->synced) {
		le16_put(p, mark(seed, offset));
		p += 2;
	}
	sum = p;
	p = varint_put(sum + 4, r->stream);
	p = varint_put(p, wall);
	crc = crc32c(sum_start(seed, offset), to, (size_t)(sum - to));
	crc = crc32c(crc, sum + 4, (size_t)(p - sum) - 4);
	crc = crc32c(crc, r->data.p, r->data.n);
	le32_put(sum, crc);
	return (size_t)(p - to);
}

enum status
format_parse(struct bytes have, uint32_t seed, uint64_t offset,
    struct format_record *out)
{
	struct reader r = reader_of(have);
	const uint8_t *sum;
	uint64_t lead, stream;
	uint32_t crc;
	size_t head;

	if (have.n == 0 || have.p[0] <= 1)
		return ST_END;
	lead = read_varint(&r);
	if (r.bad) {
		out->size = FORMAT_FRAME_MAX;
		return have.n < VARINT_MAX ? ST_WAIT : ST_DAMAGED;
	}
	if (lead >> 1 < 2 || lead >> 1 > FORMAT_LENGTH_MAX)
		return ST_DAMAGED;
	out->synced = lead & 1;
	head = (size_t)(r.p - have.p) + (out->synced ? 2 : 0);
	out->size = head + 4 + (lead >> 1);
	if (have.n < out->size)
		return ST_WAIT;
	if (out->synced && le16_get(r.p) != mark(seed, offset))
		return ST_DAMAGED;
	sum = have.p + head;
	crc = crc32c(sum_start(seed, offset), have.p, head);
	if (crc32c(crc, sum + 4, (size_t)(lead >> 1)) != le32_get(sum))
		return ST_DAMAGED;
	r = reader_of(bytes_of(sum + 4, (size_t)(lead >> 1)));
	stream = read_varint(&r);
	out->delta_ms = zigzag_get(read_varint(&r));
	if (r.bad || stream > UINT32_MAX)
		return ST_DAMAGED;
	out->stream = (uint32_t)stream;
	out->data = bytes_of(r.p, reader_left(&r));
	return ST_OK;
}

bool
format_marked(struct bytes have, uint32_t seed, uint64_t offset)
{
	struct reader r = reader_of(have);
	uint64_t lead = read_varint(&r);

	return !r.bad && (lead & 1) && lead >> 1 >= 2 &&
	    lead >> 1 <= FORMAT_LENGTH_MAX && reader_left(&r) >= 2 &&
	    le16_get(r.p) == mark(seed, offset);
}
