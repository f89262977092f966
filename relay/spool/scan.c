/* scan.c - read ahead, parse, check.
 * SPDX-License-Identifier: Apache-2.0 */
#include "spool/scan.h"

#include <assert.h>

#define AHEAD ((size_t)256 << 10)

void
scan_init(struct scan *s, const struct disk_ops *disk)
{
	*s = (struct scan){ .disk = disk };
	buf_init(&s->ahead, (size_t)FORMAT_LENGTH_MAX + FORMAT_FRAME_MAX +
	    AHEAD);
}

void
scan_close(struct scan *s)
{
	s->disk->close(s->disk->arg, &s->file);
}

void
scan_fini(struct scan *s)
{
	scan_close(s);
	buf_fini(&s->ahead);
}

static enum status
read_header(struct scan *s)
{
	uint8_t raw[FORMAT_HEADER];
	size_t n = sizeof(raw);
	enum status st = s->disk->read(s->disk->arg, s->file, 0, raw, &n);

	if (st != ST_OK)
		return st;
	return n < sizeof(raw) ? ST_DAMAGED :
	    format_header_get(raw, &s->header);
}

enum status
scan_open(struct scan *s, const char *path, uint64_t number)
{
	enum status st;

	scan_close(s);
	st = s->disk->open(s->disk->arg, path, false, false, &s->file);
	if (st != ST_OK)
		return st;
	st = read_header(s);
	if (st == ST_OK && s->header.number != number)
		st = ST_DAMAGED;
	if (st != ST_OK) {
		scan_close(s);
		return st;
	}
	s->seed = format_seed(s->header.id);
	s->offset = s->end = s->base = FORMAT_HEADER;
	s->wall_ms = s->header.created_ms;
	buf_reset(&s->ahead, AHEAD);
	return ST_OK;
}

enum status
scan_peek(struct scan *s, uint64_t offset, size_t n, struct bytes *out)
{
	struct buf *b = &s->ahead;
	size_t want;
	uint64_t have;
	enum status st;
	uint8_t *to;

	if (n > s->end - offset)
		n = (size_t)(s->end - offset);
	if (offset < s->base || offset - s->base > b->len) {
		b->len = 0;
		s->base = offset;
	}
	have = b->len - (offset - s->base);
	if (have < n) {
		buf_drop(b, (size_t)(offset - s->base));
		s->base = offset;
		want = n > AHEAD ? n : AHEAD;
		if (want > s->end - offset)
			want = (size_t)(s->end - offset);
		want -= b->len;
		to = buf_room(b, want);
		if (!to) {
			b->failed = false;
			return ST_NO_MEMORY;
		}
		st = s->disk->read(s->disk->arg, s->file, s->base + b->len, to,
		    &want);
		if (st != ST_OK)
			return st;
		b->len += want;
		have = b->len;
	}
	*out = bytes_of(b->data + (offset - s->base),
	    have < n ? (size_t)have : n);
	return ST_OK;
}

enum status
scan_next(struct scan *s, struct spool_record *out)
{
	struct format_record r;
	struct bytes have;
	size_t n = FORMAT_FRAME_MAX;
	enum status st;

	if (s->offset >= s->end)
		return ST_END;
	for (;;) {
		st = scan_peek(s, s->offset, n, &have);
		if (st != ST_OK)
			return st;
		st = format_parse(have, (struct format_place){ s->seed,
		    s->offset, s->wall_ms }, &r);
		if (st != ST_WAIT)
			break;
		/* What is cut short by the end was never whole. */
		if (r.size > s->end - s->offset || have.n < n)
			return ST_DAMAGED;
		n = (size_t)r.size;
	}
	if (st != ST_OK)
		return st;
	s->wall_ms = r.wall_ms;
	s->synced = r.synced;
	s->points = r.points;
	*out = (struct spool_record){
		.pos = { s->header.number, s->offset },
		.next = { s->header.number, s->offset + r.size },
		.stream = r.stream,
		.wall_ms = s->wall_ms,
		.points = r.points.n,
		.data = r.data,
	};
	s->offset += r.size;
	return ST_OK;
}
