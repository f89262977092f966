/* codec_define.c - new series, as what differs from the one defined before.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A label set is the number of its labels, then for each position the name and
 * the value, each one of
 *	0	the same as the series before has at that position
 *	1	a new symbol: its text follows; symbols are numbered as they come
 *	n + 2	symbol n                                                     */
#include "series/codec_priv.h"

#include <stdlib.h>

enum { REF_SAME, REF_NEW, REF_SYMBOL };

#define NOTHING UINT32_MAX		/* no symbol */

static bool
refs_room(struct label_refs *l, uint32_t n)
{
	uint32_t max = n < 32 ? 32 : n * 2, *before, *now;

	if (n <= l->max)
		return true;
	before = realloc(l->before, max * sizeof(*before));
	if (!before)
		return false;
	l->before = before;
	now = realloc(l->now, max * sizeof(*now));
	if (!now)
		return false;
	l->now = now;
	l->max = max;
	return true;
}

static uint32_t
ref_before(const struct label_refs *l, uint32_t place)
{
	return place < l->n_before ? l->before[place] : NOTHING;
}

static void
refs_done(struct label_refs *l, uint32_t n)
{
	uint32_t *swap = l->before;

	l->before = l->now;
	l->n_before = n;
	l->now = swap;
}

static bool
add_series(struct stream *s)
{
	uint32_t id = s->series.n;

	if (!table_grow(&s->series, sizeof(struct series), id + 1))
		return false;
	series_at(s, id)->next = id + 1;
	return true;
}

/* ---- writing -------------------------------------------------------------- */

static enum status
put_ref(struct encoder *e, uint32_t place, struct bytes text)
{
	uint32_t n = symtab_n(e->symbols), symbol;
	enum status st;

	st = encoder_intern(e, text, &symbol);
	if (st != ST_OK)
		return st;
	if (symbol == ref_before(&e->labels, place)) {
		put_varint(&e->defined, REF_SAME);
	} else if (symbol == n) {
		put_varint(&e->defined, REF_NEW);
		put_text(&e->defined, text);
	} else {
		put_varint(&e->defined, (uint64_t)symbol + REF_SYMBOL);
	}
	e->labels.now[place] = symbol;
	return ST_OK;
}

static enum status
put_labels(struct encoder *e, const struct label *labels, uint32_t n)
{
	enum status st;
	uint32_t i;

	put_varint(&e->defined, n);
	for (i = 0; i < n; i++) {
		st = put_ref(e, 2 * i, labels[i].name);
		if (st == ST_OK)
			st = put_ref(e, 2 * i + 1, labels[i].value);
		if (st != ST_OK)
			return st;
	}
	return buf_failed(&e->defined) ? ST_NO_MEMORY : ST_OK;
}

enum status
encoder_intern(struct encoder *e, struct bytes text, uint32_t *symbol)
{
	if (symtab_find(e->symbols, text, symbol))
		return ST_OK;
	if (text.n > e->max_symbol_bytes ||
	    symtab_text_size(e->symbols) > e->max_symbol_bytes - text.n)
		return ST_SERIES_LIMIT;
	return symtab_intern(e->symbols, text, symbol);
}

enum status
encoder_define(struct encoder *e, const struct label *labels, uint32_t n,
    uint32_t *id)
{
	size_t mark = e->defined.len;
	uint32_t n_symbols = symtab_n(e->symbols);
	enum status st;

	if (e->stream.series.n >= e->max_series || n > BATCH_LABELS_MAX)
		return ST_SERIES_LIMIT;
	if (!refs_room(&e->labels, 2 * n))
		return ST_NO_MEMORY;
	st = put_labels(e, labels, n);
	if (st == ST_OK && !add_series(&e->stream))
		st = ST_NO_MEMORY;
	if (st != ST_OK) {
		e->defined.len = mark;
		e->defined.failed = false;
		symtab_cut(e->symbols, n_symbols);
		return st;
	}
	refs_done(&e->labels, 2 * n);
	e->n_defined++;
	*id = e->stream.series.n - 1;
	return ST_OK;
}

void
write_definitions(struct encoder *e, struct buf *out)
{
	put_varint(out, e->n_defined);
	buf_append(out, e->defined.data, e->defined.len);
	e->n_defined = 0;
	buf_reset(&e->defined, 0);
}

/* ---- reading -------------------------------------------------------------- */

/* Names are sorted, and neither they nor values are empty: whoever sends the
 * labels on relies on it. */
static bool
in_order(const struct decoder *d, uint32_t place)
{
	const uint32_t *now = d->labels.now;

	if (now[place] == 0 || now[place + 1] == 0)
		return false;
	return place == 0 || bytes_cmp(dict_symbol(d->dict, now[place - 2]),
	    dict_symbol(d->dict, now[place])) < 0;
}

static enum status
read_ref(struct decoder *d, struct reader *r, uint32_t place)
{
	uint32_t n = dict_n_symbols(d->dict), *ref = &d->labels.now[place];
	uint64_t v = read_varint(r);
	struct bytes text;

	if (v == REF_SAME) {
		*ref = ref_before(&d->labels, place);
		return *ref == NOTHING ? ST_BAD_RECORD : ST_OK;
	}
	if (v == REF_NEW) {
		text = read_text(r);
		*ref = n;
		return r->bad || text.n == 0 ? ST_BAD_RECORD :
		    dict_add_symbol(d->dict, text);
	}
	if (v - REF_SYMBOL >= n)
		return ST_BAD_RECORD;
	*ref = (uint32_t)(v - REF_SYMBOL);
	return ST_OK;
}

static enum status
read_labels(struct decoder *d, struct reader *r, uint32_t n)
{
	enum status st;
	uint32_t i;

	for (i = 0; i < 2 * n; i += 2) {
		st = read_ref(d, r, i);
		if (st == ST_OK)
			st = read_ref(d, r, i + 1);
		if (st == ST_OK && !in_order(d, i))
			st = ST_BAD_RECORD;
		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

enum status
read_definitions(struct decoder *d, struct reader *r)
{
	uint32_t n = read_count(r), n_labels;
	enum status st;

	for (; n; n--) {
		n_labels = read_below(r, BATCH_LABELS_MAX + 1);
		if (r->bad)
			return ST_BAD_RECORD;
		if (!refs_room(&d->labels, 2 * n_labels))
			return ST_NO_MEMORY;
		st = read_labels(d, r, n_labels);
		if (st == ST_OK && !add_series(&d->stream))
			st = ST_NO_MEMORY;
		if (st == ST_OK)
			st = dict_add_series(d->dict, d->labels.now,
			    2 * n_labels);
		if (st != ST_OK)
			return st;
		refs_done(&d->labels, 2 * n_labels);
	}
	return ST_OK;
}
