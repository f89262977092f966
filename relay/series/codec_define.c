/* codec_define.c - new series, as what differs from those before.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A count, and for each series
 *	whether it has a metric name (a label "__name__"), and its value
 *	its shape: that of the metric's last series (of the last series at all,
 *	for a new metric), or the number of another, or a new one
 *	the values of the shape's other labels, in order
 * A value is the last one of its label; or the one that came after it the last
 * time; or the next symbol that nothing has referred to yet; or any symbol.
 *
 * A new shape is a count and names; each is the next one in the shape foreseen,
 * or the one after the next, or the next unused symbol, or any symbol.
 *
 * Symbols have their texts before (codec_text.c), in the order in which they are
 * referred to here and by metadata.                                         */
#include "series/codec_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define METRIC_NAME BYTES_LIT("__name__")

/* Bytes in any stream that a value or a name takes at most. */
#define TOKEN_ROOM 48

/* ---- state: what both ends do --------------------------------------------- */

void
define_model_init(struct define_model *m)
{
	memset(m, 0, sizeof(*m));
	guess_init(&m->has_metric, 65000);
	guesses_init(&m->same[0][0], 12);
	guesses_init(m->after, 4);
	guesses_init(m->fresh, 2);
	guesses_init(m->shape, 2);
	guesses_init(&m->shape_new, 1);
	guesses_init(&m->name_next, 1);
	guesses_init(&m->name_skip, 1);
	guesses_init(&m->name_fresh, 1);
}

bool
stream_add_symbols(struct stream *s, uint32_t n)
{
	return table_grow(&s->symbols, sizeof(struct symbol_use), n);
}

static struct symbol_use *
use_of(const struct stream *s, uint32_t symbol)
{
	return table_at(&s->symbols, sizeof(struct symbol_use), symbol);
}

static struct name_use *
name_at(const struct stream *s, uint32_t symbol)
{
	uint32_t name = use_of(s, symbol)->name;

	assert(name);
	return table_at(&s->names, sizeof(struct name_use), name - 1);
}

static struct shape *
shape_at(const struct stream *s, uint32_t shape)
{
	return table_at(&s->shapes, sizeof(struct shape), shape);
}

/* Symbols come into use in the order of their numbers. */
void
stream_use(struct stream *s, uint32_t symbol)
{
	if (symbol == s->n_used)
		s->n_used++;
}

static void
learn_value(struct stream *s, struct name_use *u, uint32_t value)
{
	if (u->last)
		use_of(s, u->last)->after = value;
	u->last = value;
	stream_use(s, value);
}

/* A shape, numbered; names copied. */
static bool
add_shape(struct stream *s, const uint32_t *names, uint32_t n, uint32_t metric)
{
	uint32_t id = s->shapes.n, i, n_names;
	uint32_t *own = store_take(&s->store, n * sizeof(*own), sizeof(*own));
	struct symbol_use *u;

	if (!own || !table_grow(&s->shapes, sizeof(struct shape), id + 1))
		return false;
	if (n)
		memcpy(own, names, n * sizeof(*own));
	*shape_at(s, id) = (struct shape){ own, n, metric };
	for (i = 0; i < n; i++) {
		u = use_of(s, names[i]);
		if (u->name)
			continue;
		n_names = s->names.n;
		if (!table_grow(&s->names, sizeof(struct name_use),
		    n_names + 1))
			return false;
		u->name = n_names + 1;
	}
	return true;
}

/* The series takes after the one of its metric that was defined last. */
static bool
add_series(struct stream *s, uint32_t metric)
{
	uint32_t id = s->series.n, *last;
	struct series *series;

	if (!table_grow(&s->series, sizeof(*series), id + 1))
		return false;
	last = &use_of(s, metric)->series;
	series = stream_series(s, id);
	series->next = id + 1;
	series->other = SERIES_NONE;
	series->mode = MODE_NONE;
	series->m = (int64_t)*last - 1;
	*last = id + 1;
	return true;
}

/* The shape foreseen for a series of the metric, + 1; 0 before the first. */
static uint32_t
shape_foreseen(const struct stream *s, uint32_t metric)
{
	uint32_t shape = use_of(s, metric)->shape;

	return shape ? shape : s->shape;
}

static void
learn_shape(struct stream *s, uint32_t metric, uint32_t shape)
{
	use_of(s, metric)->shape = shape + 1;
	s->shape = shape + 1;
}

/* ---- writing: taking definitions ------------------------------------------ */

enum status
encoder_intern(struct encoder *e, struct bytes text, uint32_t *symbol)
{
	enum status st;

	if (symtab_find(e->symbols, text, symbol))
		return ST_OK;
	if (text.n > e->max_symbol_bytes ||
	    symtab_text_size(e->symbols) > e->max_symbol_bytes - text.n)
		return ST_SERIES_LIMIT;
	st = symtab_intern(e->symbols, text, symbol);
	if (st == ST_OK && !stream_add_symbols(&e->stream, *symbol + 1))
		st = ST_NO_MEMORY;
	return st;
}

/* Which label is the metric's name, n if none is. */
static uint32_t
metric_of(const struct label *labels, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (bytes_eq(labels[i].name, METRIC_NAME))
			break;
	}
	return i;
}

/* Into refs: n, which is the metric, names, values.  New symbols get their
 * numbers in the order in which they will be referred to. */
static enum status
intern_labels(struct encoder *e, const struct label *labels, uint32_t n,
    uint32_t *refs)
{
	uint32_t metric = metric_of(labels, n), i;
	uint32_t *names = refs + 2, *values = names + n;
	enum status st = ST_OK;

	refs[0] = n;
	refs[1] = metric;
	if (metric < n)
		st = encoder_intern(e, labels[metric].value, &values[metric]);
	for (i = 0; i < n && st == ST_OK; i++)
		st = encoder_intern(e, labels[i].name, &names[i]);
	for (i = 0; i < n && st == ST_OK; i++)
		st = encoder_intern(e, labels[i].value, &values[i]);
	return st;
}

enum status
encoder_define(struct encoder *e, const struct label *labels, uint32_t n,
    uint32_t *id)
{
	size_t size = (2 + 2 * (size_t)n) * sizeof(uint32_t);
	uint32_t n_symbols = symtab_n(e->symbols), *refs;
	enum status st;

	if (e->stream.series.n >= e->max_series || n > BATCH_LABELS_MAX)
		return ST_SERIES_LIMIT;
	if (!stream_add_symbols(&e->stream, 1))
		return ST_NO_MEMORY;
	refs = (void *)buf_room(&e->defined, size);
	if (!refs) {
		e->defined.failed = false;
		return ST_NO_MEMORY;
	}
	st = intern_labels(e, labels, n, refs);
	if (st == ST_OK && !add_series(&e->stream,
	    refs[1] < n ? refs[2 + n + refs[1]] : 0))
		st = ST_NO_MEMORY;
	if (st != ST_OK) {
		symtab_cut(e->symbols, n_symbols);
		return st;
	}
	e->defined.len += size;
	e->n_defined++;
	*id = e->stream.series.n - 1;
	return ST_OK;
}

/* ---- writing: a record ----------------------------------------------------- */

/* A symbol among those that are in use. */
void
put_symbol(const struct stream *s, struct record_writer *w, uint32_t symbol)
{
	put_bits(w, symbol, bit_length(s->n_used - 1));
}

static void
put_label_value(struct stream *s, struct record_writer *w, struct name_use *u,
    uint32_t value, unsigned *n_changed)
{
	struct define_model *m = &s->define;
	unsigned sort = u == &s->metric;
	uint32_t after;
	bool hit;

	if (u->last) {
		hit = value == u->last;
		put_guess(w, &m->same[u->changes][*n_changed], hit);
		u->changes = (u->changes << 1 | !hit) & 3;
		if (hit)
			return;
		after = use_of(s, u->last)->after;
		if (after) {
			hit = value == after;
			put_guess(w, &m->after[u->hits], hit);
			u->hits = (u->hits << 1 | hit) & 3;
			if (hit)
				goto done;
		}
	}
	hit = value == s->n_used;
	put_guess(w, &m->fresh[sort], hit);
	if (!hit)
		put_symbol(s, w, value);
done:
	*n_changed += *n_changed < 2;
	learn_value(s, u, value);
}

static void
put_name(struct stream *s, struct record_writer *w, const struct shape *like,
    uint32_t *at, uint32_t name)
{
	struct define_model *m = &s->define;
	bool hit;

	if (like && *at < like->n) {
		hit = like->names[*at] == name;
		put_guess(w, &m->name_next, hit);
		if (hit) {
			++*at;
			return;
		}
	}
	if (like && *at + 1 < like->n) {
		hit = like->names[*at + 1] == name;
		put_guess(w, &m->name_skip, hit);
		if (hit) {
			*at += 2;
			return;
		}
	}
	hit = name == s->n_used;
	put_guess(w, &m->name_fresh, hit);
	if (!hit)
		put_symbol(s, w, name);
	stream_use(s, name);
}

/* Shapes are found by a hash of the names' numbers. */
static uint64_t
hash_names(const struct encoder *e, const uint32_t *names, uint32_t n)
{
	return hash64(symtab_key(e->symbols), names, n * sizeof(*names));
}

static uint32_t *
shape_slot(const struct encoder *e, const uint32_t *names, uint32_t n)
{
	uint32_t mask = e->n_shape_slots - 1, i;
	const struct shape *shape;

	for (i = (uint32_t)hash_names(e, names, n) & mask; e->shape_slots[i];
	    i = (i + 1) & mask) {
		shape = shape_at(&e->stream, e->shape_slots[i] - 1);
		if (shape->n == n &&
		    memcmp(shape->names, names, n * sizeof(*names)) == 0)
			break;
	}
	return &e->shape_slots[i];
}

static bool
make_shape_slots(struct encoder *e)
{
	uint32_t n = e->n_shape_slots ? e->n_shape_slots * 2 : 64, i;
	uint32_t *slots = calloc(n, sizeof(*slots));
	const struct shape *shape;

	if (!slots)
		return false;
	free(e->shape_slots);
	e->shape_slots = slots;
	e->n_shape_slots = n;
	for (i = 0; i < e->stream.shapes.n; i++) {
		shape = shape_at(&e->stream, i);
		*shape_slot(e, shape->names, shape->n) = i + 1;
	}
	return true;
}

static bool
put_new_shape(struct encoder *e, struct record_writer *w, uint32_t like,
    const uint32_t *names, uint32_t n, uint32_t metric)
{
	struct stream *s = &e->stream;
	const struct shape *before = like ? shape_at(s, like - 1) : NULL;
	uint32_t at = 0, i;

	put_number(w, &s->define.n_names, n);
	for (i = 0; i < n; i++) {
		if (!record_room(w, TOKEN_ROOM))
			return false;
		put_name(s, w, before, &at, names[i]);
	}
	return add_shape(s, names, n, metric);
}

static bool
put_shape(struct encoder *e, struct record_writer *w, uint32_t like,
    const uint32_t *names, uint32_t n, uint32_t metric, uint32_t *shape)
{
	struct stream *s = &e->stream;
	uint32_t *slot;

	if (s->shapes.n >= e->n_shape_slots / 2 && !make_shape_slots(e))
		return false;
	slot = shape_slot(e, names, n);
	put_guess(w, &s->define.shape_new, *slot == 0);
	if (*slot == 0) {
		if (!put_new_shape(e, w, like, names, n, metric))
			return false;
		*slot = s->shapes.n;
	} else {
		put_bits(w, *slot - 1, bit_length(s->shapes.n - 1));
	}
	*shape = *slot - 1;
	return true;
}

static bool
shape_is(const struct shape *shape, const uint32_t *names, uint32_t n)
{
	return shape->n == n &&
	    memcmp(shape->names, names, n * sizeof(*names)) == 0;
}

static bool
put_series(struct encoder *e, struct record_writer *w, const uint32_t *refs)
{
	struct stream *s = &e->stream;
	uint32_t n = refs[0], metric = refs[1], symbol = 0, like, shape, i;
	const uint32_t *names = refs + 2, *values = names + n;
	unsigned n_changed = 0;
	bool hit;

	if (!record_room(w, 2 * TOKEN_ROOM))
		return false;
	put_guess(w, &s->define.has_metric, metric < n);
	if (metric < n) {
		symbol = values[metric];
		put_label_value(s, w, &s->metric, symbol, &n_changed);
	}
	like = shape_foreseen(s, symbol);
	hit = like && shape_is(shape_at(s, like - 1), names, n);
	shape = like - 1;
	if (like)
		put_guess(w, &s->define.shape[like == s->shape], hit);
	if (!hit && !put_shape(e, w, like, names, n, metric, &shape))
		return false;
	learn_shape(s, symbol, shape);
	for (i = 0; i < n; i++) {
		if (i == metric)
			continue;
		if (!record_room(w, TOKEN_ROOM))
			return false;
		put_label_value(s, w, name_at(s, names[i]), values[i],
		    &n_changed);
	}
	return true;
}

bool
put_definitions(struct encoder *e, struct record_writer *w)
{
	const uint32_t *refs = (const void *)e->defined.data;
	uint32_t i;

	if (!record_room(w, TOKEN_ROOM))
		return false;
	put_number(w, &e->stream.define.count, e->n_defined);
	for (i = 0; i < e->n_defined; i++) {
		if (!put_series(e, w, refs))
			return false;
		refs += 2 + 2 * refs[0];
	}
	e->n_defined = 0;
	buf_reset(&e->defined, 0);
	return true;
}

/* ---- reading --------------------------------------------------------------- */

uint32_t
get_symbol(const struct stream *s, struct record_reader *r)
{
	uint64_t symbol = get_bits(r, bit_length(s->n_used - 1));

	if (symbol >= s->n_used) {
		r->bad = true;
		return 0;
	}
	return (uint32_t)symbol;
}

uint32_t
get_fresh(const struct stream *s, struct record_reader *r)
{
	if (s->n_used >= s->symbols.n) {
		r->bad = true;
		return 0;
	}
	return s->n_used;
}

static uint32_t
get_label_value(struct stream *s, struct record_reader *r, struct name_use *u,
    unsigned *n_changed)
{
	struct define_model *m = &s->define;
	unsigned sort = u == &s->metric;
	uint32_t value;
	bool hit;

	if (u->last) {
		hit = get_guess(r, &m->same[u->changes][*n_changed]);
		u->changes = (u->changes << 1 | !hit) & 3;
		if (hit)
			return u->last;
		value = use_of(s, u->last)->after;
		if (value) {
			hit = get_guess(r, &m->after[u->hits]);
			u->hits = (u->hits << 1 | hit) & 3;
			if (hit)
				goto done;
		}
	}
	value = get_guess(r, &m->fresh[sort]) ? get_fresh(s, r) :
	    get_symbol(s, r);
	if (value == 0)		/* "", which is no value */
		r->bad = true;
done:
	*n_changed += *n_changed < 2;
	learn_value(s, u, value);
	return value;
}

static uint32_t
get_name(struct stream *s, struct record_reader *r, const struct shape *like,
    uint32_t *at)
{
	struct define_model *m = &s->define;
	uint32_t name;

	if (like && *at < like->n && get_guess(r, &m->name_next))
		return like->names[(*at)++];
	if (like && *at + 1 < like->n && get_guess(r, &m->name_skip)) {
		*at += 2;
		return like->names[*at - 1];
	}
	name = get_guess(r, &m->name_fresh) ? get_fresh(s, r) :
	    get_symbol(s, r);
	stream_use(s, name);
	return name;
}

/* Names are sorted and none is empty: whoever sends them on relies on it. */
static bool
names_fine(struct decoder *d, const uint32_t *names, uint32_t n,
    uint32_t *metric)
{
	struct bytes before = { NULL, 0 }, name;
	uint32_t i;

	*metric = n;
	for (i = 0; i < n; i++) {
		name = dict_symbol(d->dict, names[i]);
		if (bytes_cmp(before, name) >= 0)
			return false;
		if (bytes_eq(name, METRIC_NAME))
			*metric = i;
		before = name;
	}
	return true;
}

static enum status
get_new_shape(struct decoder *d, struct record_reader *r, uint32_t like,
    uint32_t *shape)
{
	struct stream *s = &d->stream;
	const struct shape *before = like ? shape_at(s, like - 1) : NULL;
	uint32_t n = get_number_below(r, &s->define.n_names,
	    BATCH_LABELS_MAX + 1);
	uint32_t *names = malloc((n + 1) * sizeof(*names)), at = 0, metric, i;
	enum status st = ST_OK;

	if (!names)
		return ST_NO_MEMORY;
	for (i = 0; i < n && !r->bad; i++)
		names[i] = get_name(s, r, before, &at);
	if (r->bad || !names_fine(d, names, n, &metric))
		st = ST_BAD_RECORD;
	else if (!add_shape(s, names, n, metric))
		st = ST_NO_MEMORY;
	*shape = s->shapes.n - 1;
	free(names);
	return st;
}

static enum status
get_shape(struct decoder *d, struct record_reader *r, uint32_t like,
    uint32_t *shape)
{
	struct stream *s = &d->stream;

	*shape = like - 1;
	if (like && get_guess(r, &s->define.shape[like == s->shape]))
		return ST_OK;
	if (get_guess(r, &s->define.shape_new))
		return get_new_shape(d, r, like, shape);
	if (s->shapes.n == 0)
		return ST_BAD_RECORD;
	*shape = (uint32_t)get_bits(r, bit_length(s->shapes.n - 1));
	return *shape < s->shapes.n ? ST_OK : ST_BAD_RECORD;
}

static enum status
get_series(struct decoder *d, struct record_reader *r)
{
	struct stream *s = &d->stream;
	uint32_t metric = 0, id, i, *refs;
	const struct shape *shape;
	unsigned n_changed = 0;
	bool has_metric;
	enum status st;

	has_metric = get_guess(r, &s->define.has_metric);
	if (has_metric)
		metric = get_label_value(s, r, &s->metric, &n_changed);
	st = get_shape(d, r, shape_foreseen(s, metric), &id);
	if (st != ST_OK)
		return st;
	shape = shape_at(s, id);
	if (has_metric != (shape->metric < shape->n))
		return ST_BAD_RECORD;
	learn_shape(s, metric, id);
	refs = dict_add_series(d->dict, 2 * shape->n);
	if (!refs || !add_series(s, metric))
		return ST_NO_MEMORY;
	for (i = 0; i < shape->n; i++) {
		refs[2 * i] = shape->names[i];
		refs[2 * i + 1] = i == shape->metric ? metric :
		    get_label_value(s, r, name_at(s, shape->names[i]),
		    &n_changed);
	}
	return r->bad ? ST_BAD_RECORD : ST_OK;
}

enum status
get_definitions(struct decoder *d, struct record_reader *r)
{
	uint64_t n = get_number(r, &d->stream.define.count);
	enum status st;

	for (; n; n--) {
		if (r->bad || d->stream.series.n >= SERIES_NONE - 1)
			return ST_BAD_RECORD;
		if (decoder_size(d) > d->max_size)
			return ST_NO_MEMORY;
		st = get_series(d, r);
		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}
