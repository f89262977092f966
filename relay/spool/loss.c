/* loss.c - points by stream, and whose streams they are.
 * SPDX-License-Identifier: Apache-2.0 */
#include "spool/loss.h"

#include <stdlib.h>
#include <string.h>

#include "spool/cursor.h"
#include "spool/scan.h"
#include "spool/spool_priv.h"

#define STREAMS_MAX (UINT32_C(1) << 20)
#define EDGE_MAX 255

struct row {
	char *edge;			/* owned; NULL: not named */
	struct format_points points;
};

struct account {
	const struct loss *loss;
	struct cursor_state *read;	/* owned */
	const struct cursor_state *cursor;	/* that, or the caller's; NULL: all is
					   owed */
	struct row *rows;		/* owned, by stream */
	uint32_t n;
};

/* What streams past all reason hold is put together. */
static struct row *
row_of(struct account *a, uint32_t stream)
{
	struct row *more;
	uint32_t n;

	if (stream >= STREAMS_MAX)
		stream = 0;
	if (stream < a->n)
		return &a->rows[stream];
	n = stream + stream / 2 + 16;
	more = realloc(a->rows, n * sizeof(*more));
	if (!more)
		return NULL;
	memset(more + a->n, 0, (n - a->n) * sizeof(*more));
	a->rows = more;
	a->n = n;
	return &a->rows[stream];
}

static enum status
take(struct account *a, const struct spool_record *r,
    struct format_points points)
{
	struct row *row = row_of(a, r->stream);
	struct bytes edge = { NULL, 0 };

	if (!row)
		return ST_NO_MEMORY;
	if (a->loss->edge_of)
		edge = a->loss->edge_of(r->data);
	if (edge.n && !row->edge) {
		row->edge = strndup((const char *)edge.p,
		    edge.n < EDGE_MAX ? edge.n : EDGE_MAX);
		if (!row->edge)
			return ST_NO_MEMORY;
	}
	if (!a->cursor || cursor_owes(a->cursor, r->pos, r->stream))
		format_points_add(&row->points, points);
	return ST_OK;
}

static enum status
read_segment(struct account *a)
{
	char path[SPOOL_PATH_MAX];
	struct spool_record r;
	struct scan s;
	enum status st;

	spool_path(path, a->loss->directory, SPOOL_SEGMENT, a->loss->number,
	    ".rwl");
	scan_init(&s, a->loss->disk);
	st = scan_open(&s, path, a->loss->number);
	s.end = a->loss->end;
	while (st == ST_OK) {
		st = scan_next(&s, &r);
		if (st == ST_OK)
			st = take(a, &r, s.points);
	}
	scan_fini(&s);
	return st == ST_END ? ST_OK : st;
}

static enum status
enter(struct account *a, const char *upstream, struct ledger *l,
    uint64_t *points, size_t *edges)
{
	enum status st = ST_OK;
	uint32_t i;

	for (i = 0; i < a->n && st == ST_OK; i++) {
		const struct row *row = &a->rows[i];
		struct ledger_gap g = {
			.upstream = upstream,
			.edge = row->edge ? row->edge : "",
			.reason = a->loss->reason,
			.samples = row->points.n,
			.from_s = row->points.oldest_s,
			.to_s = row->points.newest_s,
			.removed_s = a->loss->removed_s,
			.first = a->loss->number,
			.last = a->loss->number,
		};

		if (!row->points.n)
			continue;
		st = ledger_add(l, &g);
		*points += row->points.n;
		++*edges;
	}
	return st;
}

/* A cursor that cannot be read has had nothing, as at a start. */
static enum status
load_cursor(struct account *a, const char *upstream)
{
	enum status st;

	a->cursor = a->loss->owed;
	if (a->cursor || strcmp(upstream, "-") == 0)
		return ST_OK;
	a->read = malloc(sizeof(*a->read));
	if (!a->read)
		return ST_NO_MEMORY;
	st = cursor_read(a->loss->disk, a->loss->directory, upstream,
	    a->read);
	if (st == ST_OK)
		a->cursor = a->read;
	return st == ST_NO_MEMORY ? st : ST_OK;
}

enum status
loss_add(const struct loss *loss, const char *upstream, struct ledger *l,
    uint64_t *points, size_t *edges)
{
	struct account a = { .loss = loss };
	enum status st = load_cursor(&a, upstream), entered;
	uint32_t i;

	if (st == ST_OK)
		st = read_segment(&a);
	entered = enter(&a, upstream, l, points, edges);
	for (i = 0; i < a.n; i++)
		free(a.rows[i].edge);
	free(a.rows);
	free(a.read);
	return st == ST_OK ? entered : st;
}
