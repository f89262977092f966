/* codec_metadata.c - type, help and unit: each once, then by number.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A count, and for each item of the batch
 *	whether it is of a series (2.0) or of a family (1.0)
 *	of a series: whether it is the one that follows the last item's in the
 *	order of samples, else by how much it differs; and whether it has what
 *	it had before
 *	the number of an entry: the one foreseen (of a family: the next number;
 *	of a series: the last item's), or a new one, or none, or any
 * and for a new entry, which takes the next number,
 *	its family: a known symbol without a suffix; its type, help and unit.
 * What has no number, because the stream is full, is written out and forgotten.
 *
 * Senders give families in no order of meaning, so they are sorted by the symbols
 * that they are made from: then each number mostly follows the one before.  */
#include "series/codec_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Entries past what the limit of series implies: families without a series. */
#define ENTRIES_MORE 1000

/* Bytes in any stream that an item takes at most, texts not counted. */
#define ITEM_ROOM 160

#define TYPE_BITS 3
#define TYPE_OTHER 7			/* of the bits: a number follows */

/* What a series' name has after that of its family; the first two that are
 * tried are the commonest. */
static const struct bytes suffixes[] = {
	BYTES_LIT(""), BYTES_LIT("_total"), BYTES_LIT("_bucket"),
	BYTES_LIT("_count"), BYTES_LIT("_sum"), BYTES_LIT("_info"),
	BYTES_LIT("_created"), BYTES_LIT("_gcount"), BYTES_LIT("_gsum"),
};
#define SUFFIX__N (sizeof(suffixes) / sizeof(suffixes[0]))
#define SUFFIX_BITS 4
#define SUFFIX_MAX 16			/* bytes */

/* ---- state: what both ends do --------------------------------------------- */

void
metadata_model_init(struct metadata_model *m)
{
	memset(m, 0, sizeof(*m));
	guesses_init(&m->own, 1);
	guesses_init(m->foreseen, 2);
	guesses_init(&m->is_new[0][0], 4);
	guesses_init(&m->is_whole, 1);
	guesses_init(&m->series_next, 1);
	guesses_init(&m->as_before, 1);
	guesses_init(&m->suffix_none, 1);
	guesses_init(&m->suffix_last, 1);
	guesses_init(&m->type_same, 1);
	guesses_init(&m->help_fresh, 1);
	guesses_init(&m->help_last, 1);
	guesses_init(&m->unit_last, 1);
	guesses_init(&m->unit_fresh, 1);
}

/* Of its own, number + 1. */
static uint32_t *
own_of(const struct stream *s, uint32_t series)
{
	return table_at(&s->own, sizeof(uint32_t), series);
}

/* The series after the last item's. */
static uint32_t
series_foreseen(const struct stream *s)
{
	uint32_t last = s->metadata.last_series;

	return last < s->series.n ? stream_series(s, last)->next : 0;
}

/* The number foreseen: of a family's entry, of a series'. */
static uint32_t
number_foreseen(const struct metadata_model *m, bool own)
{
	return own ? m->last_own : m->next_family;
}

static void
learn_number(struct metadata_model *m, bool own, uint32_t number)
{
	if (own)
		m->last_own = number;
	else
		m->next_family = number + 1;
}

/* ---- writing: entries by number ------------------------------------------- */

static struct encoder_entry *
entry_at(const struct encoder *e, uint32_t number)
{
	return table_at(&e->entries, sizeof(struct encoder_entry), number);
}

static struct bytes
family_of(const struct encoder *e, const struct encoder_entry *entry)
{
	struct bytes text;

	if (!entry->has_family)
		return (struct bytes){ NULL, 0 };
	text = symtab_text(e->symbols, entry->stem);
	text.n -= suffixes[entry->suffix].n;
	return text;
}

static uint32_t
hash_entry(const struct encoder *e, const struct batch_metadata *m,
    uint32_t help, uint32_t unit)
{
	const struct hash_key *key = symtab_key(e->symbols);
	uint64_t parts[4];

	parts[0] = m->series == SERIES_NONE ?
	    hash64(key, m->family.p, m->family.n) : 1;
	parts[1] = m->type;
	parts[2] = help;
	parts[3] = unit;
	return (uint32_t)hash64(key, parts, sizeof(parts));
}

/* The slot of the entry, or the free one where it would go. */
static uint32_t *
entry_slot(const struct encoder *e, const struct batch_metadata *m,
    uint32_t help, uint32_t unit, uint32_t hash)
{
	uint32_t mask = e->n_entry_slots - 1, i;
	const struct encoder_entry *entry;

	for (i = hash & mask; e->entry_slots[i]; i = (i + 1) & mask) {
		entry = entry_at(e, e->entry_slots[i] - 1);
		if (entry->hash == hash && entry->type == m->type &&
		    entry->help == help && entry->unit == unit &&
		    entry->has_family == (m->series == SERIES_NONE) &&
		    (!entry->has_family ||
		    bytes_eq(family_of(e, entry), m->family)))
			break;
	}
	return &e->entry_slots[i];
}

static bool
make_entry_slots(struct encoder *e)
{
	uint32_t n = e->n_entry_slots ? e->n_entry_slots * 2 : 64, i, at;
	uint32_t *slots = calloc(n, sizeof(*slots));

	if (!slots)
		return false;
	for (i = 0; i < e->entries.n; i++) {
		at = entry_at(e, i)->hash & (n - 1);
		while (slots[at])
			at = (at + 1) & (n - 1);
		slots[at] = i + 1;
	}
	free(e->entry_slots);
	e->entry_slots = slots;
	e->n_entry_slots = n;
	return true;
}

/* A symbol that begins with the family's name: that of a series of it. */
static bool
find_stem(const struct encoder *e, struct bytes family, uint32_t *stem,
    uint32_t *suffix)
{
	uint8_t room[512];
	uint32_t i;

	if (family.n > sizeof(room) - SUFFIX_MAX)
		return false;
	if (family.n)
		memcpy(room, family.p, family.n);
	for (i = 0; i < SUFFIX__N; i++) {
		memcpy(room + family.n, suffixes[i].p, suffixes[i].n);
		if (symtab_find(e->symbols, bytes_of(room,
		    family.n + suffixes[i].n), stem)) {
			*suffix = i;
			return true;
		}
	}
	return false;
}

/* Symbols get their numbers in the order in which they will be referred to. */
static enum status
new_entry(struct encoder *e, const struct batch_metadata *m,
    struct encoder_entry *entry)
{
	enum status st = ST_OK;

	*entry = (struct encoder_entry){ .type = m->type,
		.has_family = m->series == SERIES_NONE };
	if (entry->has_family &&
	    !find_stem(e, m->family, &entry->stem, &entry->suffix))
		st = encoder_intern(e, m->family, &entry->stem);
	if (st == ST_OK)
		st = encoder_intern(e, m->help, &entry->help);
	if (st == ST_OK)
		st = encoder_intern(e, m->unit, &entry->unit);
	return st;
}

static uint32_t *
known_slot(struct encoder *e, const struct batch_metadata *m)
{
	uint32_t help, unit, *slot;

	if (e->n_entry_slots == 0 ||
	    !symtab_find(e->symbols, m->help, &help) ||
	    !symtab_find(e->symbols, m->unit, &unit))
		return NULL;
	slot = entry_slot(e, m, help, unit, hash_entry(e, m, help, unit));
	return *slot ? slot : NULL;
}

static bool
same_as(const struct encoder *e, const struct batch_metadata *m,
    uint32_t number)
{
	const struct encoder_entry *entry = entry_at(e, number);

	return entry->type == m->type && !entry->has_family &&
	    bytes_eq(symtab_text(e->symbols, entry->help), m->help) &&
	    bytes_eq(symtab_text(e->symbols, entry->unit), m->unit);
}

/* The number of what the item says, a new one if need be; ENTRY_NONE if the
 * stream is full.  ST_NO_MEMORY. */
static enum status
number_of(struct encoder *e, const struct batch_metadata *m, uint32_t *number)
{
	uint32_t n_symbols = symtab_n(e->symbols), n = e->entries.n, own;
	struct encoder_entry entry;
	enum status st;
	uint32_t *slot;

	if (m->series != SERIES_NONE) {
		own = *own_of(&e->stream, m->series);
		if (own && same_as(e, m, own - 1)) {
			*number = own - 1;
			return ST_OK;
		}
	}
	slot = known_slot(e, m);
	if (slot) {
		*number = *slot - 1;
		return ST_OK;
	}
	*number = ENTRY_NONE;
	st = n < (uint64_t)e->max_series + ENTRIES_MORE ?
	    new_entry(e, m, &entry) : ST_SERIES_LIMIT;
	if (st == ST_OK && ((n >= e->n_entry_slots / 2 &&
	    !make_entry_slots(e)) ||
	    !table_grow(&e->entries, sizeof(entry), n + 1)))
		st = ST_NO_MEMORY;
	if (st != ST_OK) {
		symtab_cut(e->symbols, n_symbols);
		return st == ST_SERIES_LIMIT ? ST_OK : st;
	}
	entry.hash = hash_entry(e, m, entry.help, entry.unit);
	*entry_slot(e, m, entry.help, entry.unit, entry.hash) = n + 1;
	*entry_at(e, n) = entry;
	*number = n;
	return ST_OK;
}

/* ---- writing: what a batch has --------------------------------------------- */

struct item {
	uint32_t stem, suffix;		/* of a family: what it is sorted by */
	uint32_t index;			/* in the batch */
	uint32_t number;
};

/* Series first, as they come; families as their stems came into being. */
static int
compare_items(const void *pa, const void *pb)
{
	const struct item *a = pa, *b = pb;

	if (a->stem != b->stem)
		return a->stem < b->stem ? -1 : 1;
	if (a->suffix != b->suffix)
		return a->suffix < b->suffix ? -1 : 1;
	return a->index < b->index ? -1 : a->index > b->index;
}

/* The batch's metadata in the order in which they will be written, numbered;
 * new symbols are interned.  NULL when out of memory. */
static struct item *
make_items(struct encoder *e, const struct batch *b)
{
	struct item *items = calloc(b->n_metadata, sizeof(*items));
	uint32_t i;

	if (!items)
		return NULL;
	for (i = 0; i < b->n_metadata; i++) {
		items[i].index = i;
		if (b->metadata[i].series == SERIES_NONE &&
		    !find_stem(e, b->metadata[i].family, &items[i].stem,
		    &items[i].suffix))
			items[i].stem = UINT32_MAX;
	}
	qsort(items, b->n_metadata, sizeof(*items), compare_items);
	for (i = 0; i < b->n_metadata; i++) {
		if (number_of(e, &b->metadata[items[i].index],
		    &items[i].number) != ST_OK) {
			free(items);
			return NULL;
		}
	}
	return items;
}

/* Room for what series have of their own.  A sender of 1.0 never asks for it. */
static bool
grow_own(struct stream *s)
{
	return table_grow(&s->own, sizeof(uint32_t), s->series.n);
}

static bool
has_own(const struct batch *b)
{
	uint32_t i;

	for (i = 0; i < b->n_metadata; i++)
		if (b->metadata[i].series != SERIES_NONE)
			return true;
	return false;
}

enum status
prepare_metadata(struct encoder *e, const struct batch *b)
{
	e->n_entries_sent = e->entries.n;
	if (has_own(b) && !grow_own(&e->stream))
		return ST_NO_MEMORY;
	e->items = make_items(e, b);
	return e->items ? ST_OK : ST_NO_MEMORY;
}

static void
put_type(struct metadata_model *m, struct record_writer *w, uint32_t suffix,
    uint32_t type)
{
	bool same = type == m->last_type[suffix];

	put_guess(w, &m->type_same, same);
	if (same)
		return;
	put_bits(w, type < TYPE_OTHER ? type : TYPE_OTHER, TYPE_BITS);
	if (type >= TYPE_OTHER)
		put_bits(w, type, 32);
	m->last_type[suffix] = type;
}

static void
put_family(struct stream *s, struct record_writer *w,
    const struct encoder_entry *entry)
{
	struct metadata_model *m = &s->metadata;

	put_integer(w, &m->stem, (int64_t)entry->stem - m->last_stem);
	m->last_stem = entry->stem;
	stream_use(s, entry->stem);
	put_guess(w, &m->suffix_none, entry->suffix == 0);
	if (entry->suffix == 0)
		return;
	put_guess(w, &m->suffix_last, entry->suffix == m->last_suffix);
	if (entry->suffix != m->last_suffix)
		put_bits(w, entry->suffix, SUFFIX_BITS);
	m->last_suffix = entry->suffix;
}

/* Help or unit. */
static void
put_said(struct stream *s, struct record_writer *w, struct guess *same,
    struct guess *fresh, uint32_t *last, uint32_t symbol)
{
	put_guess(w, same, symbol == *last);
	if (symbol == *last)
		return;
	*last = symbol;
	put_guess(w, fresh, symbol == s->n_used);
	if (symbol != s->n_used)
		put_symbol(s, w, symbol);
	stream_use(s, symbol);
}

static void
put_entry(struct stream *s, struct record_writer *w,
    const struct encoder_entry *entry)
{
	struct metadata_model *m = &s->metadata;

	if (entry->has_family)
		put_family(s, w, entry);
	put_type(m, w, entry->suffix, entry->type);
	put_said(s, w, &m->help_last, &m->help_fresh, &m->last_help,
	    entry->help);
	put_said(s, w, &m->unit_last, &m->unit_fresh, &m->last_unit,
	    entry->unit);
}

static bool
put_whole(struct stream *s, struct record_writer *w,
    const struct batch_metadata *m)
{
	return (m->series != SERIES_NONE ||
	    put_text(w, &s->metadata.text, m->family)) &&
	    put_text(w, &s->metadata.text, m->help) &&
	    put_text(w, &s->metadata.text, m->unit);
}

static void
put_item_number(struct encoder *e, struct record_writer *w, bool own,
    uint32_t number)
{
	struct metadata_model *m = &e->stream.metadata;
	uint32_t foreseen = number_foreseen(m, own);
	bool is_new = number == e->n_entries_sent;
	bool can = foreseen < e->n_entries_sent;

	if (can)
		put_guess(w, &m->foreseen[own], number == foreseen);
	if (!can || number != foreseen) {
		put_guess(w, &m->is_new[own][can], is_new);
		if (!is_new)
			put_guess(w, &m->is_whole, number == ENTRY_NONE);
		if (!is_new && number != ENTRY_NONE)
			put_integer(w, &m->skip, (int64_t)number - foreseen);
	}
	if (number != ENTRY_NONE)
		learn_number(m, own, number);
}

/* False: that was all, the series has what it had. */
static bool
put_item_series(struct encoder *e, struct record_writer *w, uint32_t series,
    uint32_t number)
{
	struct stream *s = &e->stream;
	struct metadata_model *m = &s->metadata;
	uint32_t foreseen = series_foreseen(s), *own = own_of(s, series);
	bool as_before = *own && *own == number + 1;

	put_guess(w, &m->series_next, series == foreseen);
	if (series != foreseen)
		put_integer(w, &m->series, (int64_t)series - foreseen);
	m->last_series = series;
	if (*own)
		put_guess(w, &m->as_before, as_before);
	if (as_before)
		m->last_own = number;
	if (number != ENTRY_NONE)
		*own = number + 1;
	return !as_before;
}

static bool
put_item(struct encoder *e, struct record_writer *w,
    const struct batch_metadata *m, uint32_t number)
{
	struct stream *s = &e->stream;
	bool own = m->series != SERIES_NONE;

	if (!record_room(w, ITEM_ROOM))
		return false;
	put_guess(w, &s->metadata.own, own);
	if (own && !put_item_series(e, w, m->series, number))
		return true;
	put_item_number(e, w, own, number);
	if (number == ENTRY_NONE) {
		put_type(&s->metadata, w, 0, m->type);
		return put_whole(s, w, m);
	}
	if (number == e->n_entries_sent) {
		put_entry(s, w, entry_at(e, number));
		e->n_entries_sent++;
	}
	return true;
}

bool
put_metadata(struct encoder *e, struct record_writer *w, const struct batch *b)
{
	bool fine = record_room(w, ITEM_ROOM);
	uint32_t i;

	if (fine)
		put_number(w, &e->stream.metadata.count, b->n_metadata);
	for (i = 0; i < b->n_metadata && fine; i++)
		fine = put_item(e, w, &b->metadata[e->items[i].index],
		    e->items[i].number);
	free(e->items);
	e->items = NULL;
	return fine;
}

/* ---- reading --------------------------------------------------------------- */

static uint32_t
get_type(struct metadata_model *m, struct record_reader *r, uint32_t suffix)
{
	uint32_t type;

	if (get_guess(r, &m->type_same))
		return m->last_type[suffix];
	type = (uint32_t)get_bits(r, TYPE_BITS);
	if (type == TYPE_OTHER)
		type = (uint32_t)get_bits(r, 32);
	m->last_type[suffix] = type;
	return type;
}

static struct bytes
get_family(struct decoder *d, struct record_reader *r, uint32_t *suffix)
{
	struct stream *s = &d->stream;
	struct metadata_model *m = &s->metadata;
	int64_t stem = wrap_add(m->last_stem, get_integer(r, &m->stem));
	struct bytes text;

	if (stem < 0 || stem >= s->symbols.n) {
		r->bad = true;
		stem = 0;
	}
	m->last_stem = (uint32_t)stem;
	stream_use(s, (uint32_t)stem);
	text = dict_symbol(d->dict, (uint32_t)stem);
	if (get_guess(r, &m->suffix_none)) {
		*suffix = 0;
		return text;
	}
	if (!get_guess(r, &m->suffix_last))
		m->last_suffix = (uint32_t)get_bits(r, SUFFIX_BITS);
	*suffix = m->last_suffix;
	if (*suffix >= SUFFIX__N || suffixes[*suffix].n > text.n)
		r->bad = true;
	else
		text.n -= suffixes[*suffix].n;
	return text;
}

static uint32_t
get_said(struct stream *s, struct record_reader *r, struct guess *same,
    struct guess *fresh, uint32_t *last)
{
	if (get_guess(r, same))
		return *last;
	*last = get_guess(r, fresh) ? get_fresh(s, r) : get_symbol(s, r);
	stream_use(s, *last);
	return *last;
}

static enum status
get_entry(struct decoder *d, struct record_reader *r, bool own)
{
	struct stream *s = &d->stream;
	struct metadata_model *m = &s->metadata;
	struct dict_entry entry = { .has_family = !own };
	uint32_t suffix = 0;

	if (!own)
		entry.family = get_family(d, r, &suffix);
	if (r->bad)
		return ST_BAD_RECORD;
	entry.metadata.type = get_type(m, r, suffix);
	entry.metadata.help = get_said(s, r, &m->help_last, &m->help_fresh,
	    &m->last_help);
	entry.metadata.unit = get_said(s, r, &m->unit_last, &m->unit_fresh,
	    &m->last_unit);
	return r->bad ? ST_BAD_RECORD : dict_add_metadata(d->dict, &entry);
}

/* New ones are read, too. */
static enum status
get_item_number(struct decoder *d, struct record_reader *r, bool own,
    uint32_t *number)
{
	struct metadata_model *m = &d->stream.metadata;
	uint32_t n = dict_n_metadata(d->dict);
	uint32_t foreseen = number_foreseen(m, own);
	bool can = foreseen < n;
	enum status st = ST_OK;
	int64_t v;

	if (can && get_guess(r, &m->foreseen[own])) {
		*number = foreseen;
	} else if (get_guess(r, &m->is_new[own][can])) {
		*number = n;
	} else if (get_guess(r, &m->is_whole)) {
		*number = ENTRY_NONE;
		return ST_OK;
	} else {
		v = wrap_add(foreseen, get_integer(r, &m->skip));
		if (v < 0 || v >= n)
			return ST_BAD_RECORD;
		*number = (uint32_t)v;
	}
	learn_number(m, own, *number);
	if (*number == n)
		st = get_entry(d, r, own);
	return st;
}

/* Texts are borrowed from the dictionary, which outlives the batch. */
static enum status
take_entry(struct decoder *d, uint32_t number, bool own,
    struct batch_metadata *m)
{
	const struct dict_entry *entry = dict_metadata_at(d->dict, number);

	if (entry->has_family == own)
		return ST_BAD_RECORD;
	m->type = entry->metadata.type;
	m->help = dict_symbol(d->dict, entry->metadata.help);
	m->unit = dict_symbol(d->dict, entry->metadata.unit);
	if (own) {
		dict_use_own(d->dict, m->series, number);
		*own_of(&d->stream, m->series) = number + 1;
	} else {
		m->family = entry->family;
		dict_use_family(d->dict, number);
	}
	return ST_OK;
}

/* True: the series has what it had. */
static bool
get_item_series(struct stream *s, struct record_reader *r, uint32_t *series)
{
	struct metadata_model *m = &s->metadata;
	int64_t id = series_foreseen(s);
	uint32_t own;

	if (!get_guess(r, &m->series_next))
		id = wrap_add(id, get_integer(r, &m->series));
	if (id < 0 || id >= s->series.n) {
		r->bad = true;
		return false;
	}
	*series = m->last_series = (uint32_t)id;
	own = *own_of(s, *series);
	if (own == 0 || !get_guess(r, &m->as_before))
		return false;
	m->last_own = own - 1;
	return true;
}

static enum status
get_item(struct decoder *d, struct record_reader *r, struct arena *a,
    struct batch_metadata *m)
{
	struct stream *s = &d->stream;
	bool own = get_guess(r, &s->metadata.own);
	uint32_t number;
	enum status st;

	*m = (struct batch_metadata){ .series = SERIES_NONE };
	if (own && !grow_own(s))
		return ST_NO_MEMORY;
	if (own && get_item_series(s, r, &m->series))
		return take_entry(d, *own_of(s, m->series) - 1, own, m);
	if (r->bad)
		return ST_BAD_RECORD;
	st = get_item_number(d, r, own, &number);
	if (st != ST_OK)
		return st;
	if (number != ENTRY_NONE)
		return take_entry(d, number, own, m);
	m->type = get_type(&s->metadata, r, 0);
	if (!own)
		m->family = get_text(r, &s->metadata.text, a);
	m->help = get_text(r, &s->metadata.text, a);
	m->unit = get_text(r, &s->metadata.text, a);
	return ST_OK;
}

enum status
get_metadata(struct decoder *d, struct record_reader *r, struct batch *b)
{
	struct stream *s = &d->stream;
	uint32_t n = get_number_below(r, &s->metadata.count, OTHERS_MAX + 1);
	uint32_t i;
	enum status st = ST_OK;

	b->metadata = arena_take_array(b->arena, n, sizeof(*b->metadata));
	if (!b->metadata)
		return ST_NO_MEMORY;
	for (i = 0; i < n && st == ST_OK; i++) {
		st = get_item(d, r, b->arena, &b->metadata[i]);
		if (st == ST_OK && r->bad)
			st = ST_BAD_RECORD;
		if (st == ST_OK && i % 64 == 0 &&
		    decoder_size(d) > d->max_size)
			st = ST_NO_MEMORY;
	}
	b->n_metadata = n;
	if (st == ST_OK && arena_failed(b->arena))
		st = ST_NO_MEMORY;
	return st;
}
