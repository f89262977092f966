/* format.c - headers, footers and frames to bytes and back.
 * SPDX-License-Identifier: Apache-2.0 */
#include "spool/format.h"

#include <assert.h>
#include <string.h>

#include "spool/crc32c.h"

static const uint8_t magic[8] = { 0x89, 'R', 'W', 'L', '\r', '\n', 0x1a, '\n' };
static const uint8_t end_magic[8] = { 1, 'R', 'W', 'L', 'E', 'N', 'D', '\n' };

#define FOOTER_SUM (FORMAT_FOOTER - 4)
#define LENGTH_MIN 3			/* stream, wall_ms, points */

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
	le32_put(to + 12, f->edges);
	le64_put(to + 16, f->end);
	le64_put(to + 24, f->records);
	le64_put(to + 32, (uint64_t)f->first_ms);
	le64_put(to + 40, (uint64_t)f->last_ms);
	le64_put(to + 48, f->points.n);
	le64_put(to + 56, (uint64_t)f->points.oldest_s);
	le64_put(to + 64, (uint64_t)f->points.newest_s);
	le32_put(to + FOOTER_SUM, crc32c(seed, to, FOOTER_SUM));
}

bool
format_footer_get(const uint8_t from[FORMAT_FOOTER], uint32_t seed,
    uint64_t offset, struct format_footer *out)
{
	if (memcmp(from, end_magic, sizeof(end_magic)) != 0 ||
	    le64_get(from + 16) != offset ||
	    le32_get(from + FOOTER_SUM) != crc32c(seed, from, FOOTER_SUM))
		return false;
	out->flags = le32_get(from + 8);
	out->edges = le32_get(from + 12);
	out->end = offset;
	out->records = le64_get(from + 24);
	out->first_ms = (int64_t)le64_get(from + 32);
	out->last_ms = (int64_t)le64_get(from + 40);
	out->points.n = le64_get(from + 48);
	out->points.oldest_s = (int64_t)le64_get(from + 56);
	out->points.newest_s = (int64_t)le64_get(from + 64);
	return true;
}

void
format_points_add(struct format_points *p, struct format_points more)
{
	if (!more.n)
		return;
	if (!p->n || more.oldest_s < p->oldest_s)
		p->oldest_s = more.oldest_s;
	if (!p->n || more.newest_s > p->newest_s)
		p->newest_s = more.newest_s;
	p->n += more.n;
}

void
format_count(struct format_footer *t, int64_t wall_ms,
    struct format_points points, bool names_edge)
{
	if (t->records == 0 || wall_ms < t->first_ms)
		t->first_ms = wall_ms;
	if (t->records == 0 || wall_ms > t->last_ms)
		t->last_ms = wall_ms;
	t->records++;
	t->edges += names_edge;
	format_points_add(&t->points, points);
}

/* A record is whole in its place only: the sum starts from where it stands. */
static uint32_t
sum_start(struct format_place at)
{
	return at.seed ^ (uint32_t)at.offset ^ (uint32_t)(at.offset >> 32);
}

static uint16_t
mark(uint32_t seed, uint64_t offset)
{
	uint8_t place[8];

	le64_put(place, offset);
	return (uint16_t)crc32c(seed, place, sizeof(place));
}

/* Differences wrap, as sums do when they are read. */
static uint64_t
minus(int64_t a, int64_t b)
{
	return (uint64_t)a - (uint64_t)b;
}

static int64_t
plus(int64_t a, uint64_t b)
{
	return (int64_t)((uint64_t)a + b);
}

/* What is before the data, from stream on. */
static uint8_t *
put_head(uint8_t *p, struct format_place at, const struct format_record *r)
{
	p = varint_put(p, r->stream);
	p = varint_put(p, zigzag_put((int64_t)minus(r->wall_ms, at.wall_ms)));
	p = varint_put(p, r->points.n);
	if (!r->points.n)
		return p;
	p = varint_put(p, zigzag_put((int64_t)minus(r->wall_ms / 1000,
	    r->points.newest_s)));
	return varint_put(p, minus(r->points.newest_s, r->points.oldest_s));
}

static bool
get_head(struct reader *in, struct format_place at, struct format_record *r)
{
	uint64_t stream = read_varint(in);

	r->stream = (uint32_t)stream;
	r->wall_ms = plus(at.wall_ms, (uint64_t)zigzag_get(read_varint(in)));
	r->points = (struct format_points){ .n = read_varint(in) };
	if (r->points.n) {
		r->points.newest_s = (int64_t)minus(r->wall_ms / 1000,
		    zigzag_get(read_varint(in)));
		r->points.oldest_s = (int64_t)minus(r->points.newest_s,
		    (int64_t)read_varint(in));
	}
	return !in->bad && stream <= UINT32_MAX;
}

size_t
format_frame(uint8_t to[FORMAT_FRAME_MAX], struct format_place at,
    const struct format_record *r)
{
	uint8_t head[FORMAT_FRAME_MAX], *p, *sum;
	size_t n = (size_t)(put_head(head, at, r) - head);
	uint32_t crc;

	assert(n + r->data.n <= FORMAT_LENGTH_MAX);
	p = varint_put(to, (n + r->data.n) << 1 | r->synced);
	if (r->synced) {
		le16_put(p, mark(at.seed, at.offset));
		p += 2;
	}
	sum = p;
	memcpy(sum + 4, head, n);
	crc = crc32c(sum_start(at), to, (size_t)(sum - to));
	crc = crc32c(crc, head, n);
	crc = crc32c(crc, r->data.p, r->data.n);
	le32_put(sum, crc);
	return (size_t)(sum + 4 + n - to);
}

enum status
format_parse(struct bytes have, struct format_place at,
    struct format_record *out)
{
	struct reader r = reader_of(have);
	const uint8_t *sum;
	uint64_t lead;
	uint32_t crc;
	size_t head;

	if (have.n == 0 || have.p[0] <= 1)
		return ST_END;
	lead = read_varint(&r);
	if (r.bad) {
		out->size = FORMAT_FRAME_MAX;
		return have.n < VARINT_MAX ? ST_WAIT : ST_DAMAGED;
	}
	if (lead >> 1 < LENGTH_MIN || lead >> 1 > FORMAT_LENGTH_MAX)
		return ST_DAMAGED;
	out->synced = lead & 1;
	head = (size_t)(r.p - have.p) + (out->synced ? 2 : 0);
	out->size = head + 4 + (lead >> 1);
	if (have.n < out->size)
		return ST_WAIT;
	if (out->synced && le16_get(r.p) != mark(at.seed, at.offset))
		return ST_DAMAGED;
	sum = have.p + head;
	crc = crc32c(sum_start(at), have.p, head);
	if (crc32c(crc, sum + 4, (size_t)(lead >> 1)) != le32_get(sum))
		return ST_DAMAGED;
	r = reader_of(bytes_of(sum + 4, (size_t)(lead >> 1)));
	if (!get_head(&r, at, out))
		return ST_DAMAGED;
	out->data = bytes_of(r.p, reader_left(&r));
	return ST_OK;
}

bool
format_marked(struct bytes have, uint32_t seed, uint64_t offset)
{
	struct reader r = reader_of(have);
	uint64_t lead = read_varint(&r);

	return !r.bad && (lead & 1) && lead >> 1 >= LENGTH_MIN &&
	    lead >> 1 <= FORMAT_LENGTH_MAX && reader_left(&r) >= 2 &&
	    le16_get(r.p) == mark(seed, offset);
}
