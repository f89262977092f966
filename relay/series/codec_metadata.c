/* codec_metadata.c - type, help and unit: each once, then by number.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The part has a count and then, for each metadata of the batch, one of
 *	0	a new entry, numbered as they come: what it has follows
 *	1	what it has follows, and is forgotten (the stream is full)
 *	n + 2	entry n
 * and, if the entry is of no family, its series.  What an entry has is the
 * family, the type, help and unit; a text is one of
 *	0	none (of the family)
 *	1	a new symbol, its text follows (forgotten with what is forgotten)
 *	n + 2	symbol n                                                     */
#include "series/codec_priv.h"

#include <stdlib.h>

enum { ENTRY_NEW, ENTRY_WHOLE, ENTRY_NUMBER };
enum { TEXT_NONE, TEXT_NEW, TEXT_SYMBOL };

/* Past what the limit of series implies, for families without a series. */
#define ENTRIES_MORE 1000

/* ---- writing -------------------------------------------------------------- */

static struct dict_entry *
entry_at(const struct encoder *e, uint32_t number)
{
	return table_at(&e->metadata, sizeof(struct dict_entry), number);
}

static bool
entry_eq(const struct dict_entry *a, const struct dict_entry *b)
{
	return a->family == b->family &&
	    a->metadata.type == b->metadata.type &&
	    a->metadata.help == b->metadata.help &&
	    a->metadata.unit == b->metadata.unit;
}

/* The parts are numbers that nobody outside can choose, but for the type. */
static uint32_t
entry_hash(const struct dict_entry *entry)
{
	uint64_t h = entry->family;

	h = h * UINT64_C(0x9e3779b97f4a7c15) + entry->metadata.help;
	h = h * UINT64_C(0x9e3779b97f4a7c15) + entry->metadata.unit;
	h = h * UINT64_C(0x9e3779b97f4a7c15) + entry->metadata.type;
	return (uint32_t)(h * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

static uint32_t *
slot_of(const struct encoder *e, const struct dict_entry *entry)
{
	uint32_t mask = e->n_metadata_slots - 1, i = entry_hash(entry) & mask;

	while (e->metadata_slots[i] &&
	    !entry_eq(entry_at(e, e->metadata_slots[i] - 1), entry))
		i = (i + 1) & mask;
	return &e->metadata_slots[i];
}

static bool
make_slots(struct encoder *e)
{
	uint32_t n = e->n_metadata_slots ? e->n_metadata_slots * 2 : 64, i;
	uint32_t *slots = calloc(n, sizeof(*slots));

	if (!slots)
		return false;
	free(e->metadata_slots);
	e->metadata_slots = slots;
	e->n_metadata_slots = n;
	for (i = 0; i < e->metadata.n; i++)
		*slot_of(e, entry_at(e, i)) = i + 1;
	return true;
}

static enum status
intern(struct encoder *e, const struct batch_metadata *m,
    struct dict_entry *out)
{
	enum status st = ST_OK;

	out->family = DICT_NO_FAMILY;
	out->metadata.type = m->type;
	if (m->series == SERIES_NONE)
		st = encoder_intern(e, m->family, &out->family);
	if (st == ST_OK)
		st = encoder_intern(e, m->help, &out->metadata.help);
	if (st == ST_OK)
		st = encoder_intern(e, m->unit, &out->metadata.unit);
	return st;
}

/* Texts below n_known need no more than their number. */
static void
put_symbol(struct encoder *e, uint32_t symbol, uint32_t *n_known,
    struct buf *out)
{
	if (symbol < *n_known) {
		put_varint(out, (uint64_t)symbol + TEXT_SYMBOL);
		return;
	}
	put_varint(out, TEXT_NEW);
	put_text(out, symtab_text(e->symbols, symbol));
	(*n_known)++;
}

static void
put_new(struct encoder *e, const struct dict_entry *entry, uint32_t n_known,
    struct buf *out)
{
	put_varint(out, ENTRY_NEW);
	if (entry->family == DICT_NO_FAMILY)
		put_varint(out, TEXT_NONE);
	else
		put_symbol(e, entry->family, &n_known, out);
	put_varint(out, entry->metadata.type);
	put_symbol(e, entry->metadata.help, &n_known, out);
	put_symbol(e, entry->metadata.unit, &n_known, out);
}

static void
put_whole(const struct batch_metadata *m, struct buf *out)
{
	put_varint(out, ENTRY_WHOLE);
	if (m->series != SERIES_NONE) {
		put_varint(out, TEXT_NONE);
	} else {
		put_varint(out, TEXT_NEW);
		put_text(out, m->family);
	}
	put_varint(out, m->type);
	put_varint(out, TEXT_NEW);
	put_text(out, m->help);
	put_varint(out, TEXT_NEW);
	put_text(out, m->unit);
}

static enum status
put_item(struct encoder *e, const struct batch_metadata *m, struct buf *out)
{
	uint32_t n_symbols = symtab_n(e->symbols), n = e->metadata.n, *slot;
	struct dict_entry entry;
	enum status st = intern(e, m, &entry);

	if (st == ST_NO_MEMORY)
		return st;
	if (e->metadata.n >= e->n_metadata_slots / 2 && !make_slots(e))
		return ST_NO_MEMORY;
	slot = st == ST_OK ? slot_of(e, &entry) : NULL;
	if (slot && *slot) {
		put_varint(out, (uint64_t)*slot - 1 + ENTRY_NUMBER);
	} else if (slot && n < (uint64_t)e->max_series + ENTRIES_MORE) {
		if (!table_grow(&e->metadata, sizeof(entry), n + 1))
			return ST_NO_MEMORY;
		*entry_at(e, n) = entry;
		*slot = n + 1;
		put_new(e, &entry, n_symbols, out);
	} else {
		symtab_cut(e->symbols, n_symbols);
		put_whole(m, out);
	}
	if (m->series != SERIES_NONE)
		put_varint(out, m->series);
	return ST_OK;
}

enum status
write_metadata(struct encoder *e, const struct batch *b, struct buf *out)
{
	enum status st;
	uint32_t i;

	put_varint(out, b->n_metadata);
	for (i = 0; i < b->n_metadata; i++) {
		st = put_item(e, &b->metadata[i], out);
		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

/* ---- reading -------------------------------------------------------------- */

static enum status
read_symbol(struct decoder *d, struct reader *r, uint32_t *symbol)
{
	uint32_t n = dict_n_symbols(d->dict);
	uint64_t v = read_varint(r);
	struct bytes text;

	if (v == TEXT_NEW) {
		text = read_text(r);
		*symbol = n;
		return r->bad ? ST_BAD_RECORD : dict_add_symbol(d->dict, text);
	}
	if (v - TEXT_SYMBOL >= n)
		return ST_BAD_RECORD;
	*symbol = (uint32_t)(v - TEXT_SYMBOL);
	return ST_OK;
}

static uint32_t
read_type(struct reader *r)
{
	uint64_t type = read_varint(r);

	if (type > UINT32_MAX)
		reader_fail(r);
	return (uint32_t)type;
}

static enum status
read_new(struct decoder *d, struct reader *r)
{
	struct dict_entry entry;
	enum status st = ST_OK;

	if (r->p < r->end && *r->p == TEXT_NONE) {
		r->p++;
		entry.family = DICT_NO_FAMILY;
	} else {
		st = read_symbol(d, r, &entry.family);
	}
	entry.metadata.type = read_type(r);
	if (st == ST_OK)
		st = read_symbol(d, r, &entry.metadata.help);
	if (st == ST_OK)
		st = read_symbol(d, r, &entry.metadata.unit);
	if (st == ST_OK)
		st = r->bad ? ST_BAD_RECORD :
		    dict_add_metadata(d->dict, &entry);
	return st;
}

static struct bytes
take_text(struct reader *r, struct arena *a)
{
	struct bytes text;

	if (read_varint(r) != TEXT_NEW)
		reader_fail(r);
	text = read_text(r);
	return bytes_of(arena_copy(a, text.p, text.n), text.n);
}

static void
read_whole(struct reader *r, struct arena *a, struct batch_metadata *m)
{
	m->series = 0;
	if (r->p < r->end && *r->p == TEXT_NONE) {
		r->p++;
	} else {
		m->series = SERIES_NONE;
		m->family = take_text(r, a);
	}
	m->type = read_type(r);
	m->help = take_text(r, a);
	m->unit = take_text(r, a);
}

/* Texts are borrowed from the dictionary, which outlives the batch. */
static void
from_entry(struct decoder *d, uint32_t number, struct batch_metadata *m)
{
	const struct dict_entry *entry = dict_metadata_at(d->dict, number);

	m->series = 0;
	if (entry->family != DICT_NO_FAMILY) {
		m->series = SERIES_NONE;
		m->family = dict_symbol(d->dict, entry->family);
		dict_use_family(d->dict, number);
	}
	m->type = entry->metadata.type;
	m->help = dict_symbol(d->dict, entry->metadata.help);
	m->unit = dict_symbol(d->dict, entry->metadata.unit);
}

static enum status
read_item(struct decoder *d, struct reader *r, struct arena *a,
    struct batch_metadata *m)
{
	uint64_t v = read_varint(r), number = v - ENTRY_NUMBER;
	enum status st;

	*m = (struct batch_metadata){ 0 };
	if (v == ENTRY_NEW) {
		number = dict_n_metadata(d->dict);
		st = read_new(d, r);
		if (st != ST_OK)
			return st;
	}
	if (v == ENTRY_WHOLE) {
		read_whole(r, a, m);
	} else {
		if (number >= dict_n_metadata(d->dict))
			return ST_BAD_RECORD;
		from_entry(d, (uint32_t)number, m);
	}
	if (m->series == SERIES_NONE)
		return ST_OK;
	m->series = read_below(r, d->stream.series.n);
	if (r->bad)
		return ST_BAD_RECORD;
	if (v != ENTRY_WHOLE)
		dict_use_own(d->dict, m->series, (uint32_t)number);
	return ST_OK;
}

enum status
read_metadata(struct decoder *d, struct reader *r, struct batch *b)
{
	uint32_t n = read_count(r), i;
	enum status st;

	b->metadata = arena_take_array(b->arena, n, sizeof(*b->metadata));
	if (!b->metadata)
		return ST_NO_MEMORY;
	for (i = 0; i < n; i++) {
		st = read_item(d, r, b->arena, &b->metadata[i]);
		if (st != ST_OK)
			return st;
	}
	b->n_metadata = n;
	return arena_failed(b->arena) ? ST_NO_MEMORY : ST_OK;
}
