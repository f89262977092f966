/* v2_build.c - io.prometheus.write.v2.Request, written.
 *
 * A request has symbols of its own.  The dictionary's are entered as series use
 * them, by a map from symbol to reference; other strings (of exemplars) by their
 * text.  Symbols go before series, so both grow apart and are joined at the end.
 * SPDX-License-Identifier: Apache-2.0 */
#include "prw/v2.h"

#include <assert.h>
#include <stdlib.h>

#include "prw/build_priv.h"

/* A reference in a packed run, at most. */
#define REF_MAX 5

#define SLOTS_MIN 64

/* The exemplars of a batch, by series. */
struct waiting {
	uint32_t series;		/* SERIES_NONE: free */
	uint32_t first;			/* index + 1 in the batch; 0: gone */
};

/* Where a symbol's text is, in `symbols`. */
struct text {
	uint32_t at, n;
};

struct v2_builder {
	struct dict *dict;		/* borrowed, from begin to finish */
	struct buf symbols;		/* field 4, repeated; then the whole */
	struct buf series;		/* field 5, repeated */
	struct buf one;			/* a TimeSeries, or a run of references */
	struct buf part;		/* of it */
	struct build_time time;
	struct prw_counts counts;
	struct prw_loss loss;

	/* from symbol to reference, 0: none yet; and the symbols that have one */
	uint32_t *ref_of, *mapped;	/* owned */
	uint32_t n_mapped, max_symbols;

	/* by reference; [0] is "" */
	struct text *texts;		/* owned */
	uint32_t n_texts, max_texts;

	/* references by text, made when an exemplar asks for it: 0 is free */
	struct hash_key key;
	uint32_t *slots;		/* owned; a power of two */
	uint32_t max_slots;
	bool by_text;

	struct waiting *waiting;	/* owned; a power of two */
	uint32_t *next;			/* owned: index + 1, by index */
	uint32_t max_waiting, max_next;
	bool any_waiting;
};

struct v2_builder *
v2_builder_new(void)
{
	struct v2_builder *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	if (hash_key_init(&b->key) != ST_OK) {
		free(b);
		return NULL;
	}
	buf_init(&b->symbols, UINT32_MAX);
	buf_init(&b->series, UINT32_MAX);
	buf_init(&b->one, UINT32_MAX);
	buf_init(&b->part, UINT32_MAX);
	return b;
}

void
v2_builder_free(struct v2_builder **at)
{
	struct v2_builder *b = *at;

	if (!b)
		return;
	buf_fini(&b->symbols);
	buf_fini(&b->series);
	buf_fini(&b->one);
	buf_fini(&b->part);
	free(b->ref_of);
	free(b->mapped);
	free(b->texts);
	free(b->slots);
	free(b->waiting);
	free(b->next);
	free(b);
	*at = NULL;
}

/* ---- symbols ------------------------------------------------------------- */

/* A reference, or that there is no memory for one. */
#define REF_FAILED UINT32_MAX

static struct bytes
text_of(const struct v2_builder *b, uint32_t ref)
{
	return bytes_of(b->symbols.data + b->texts[ref].at, b->texts[ref].n);
}

/* Where a text's reference is, or would be; there is a free place. */
static uint32_t *
slot_of(const struct v2_builder *b, struct bytes text)
{
	uint32_t mask = b->max_slots - 1;
	uint32_t i = (uint32_t)hash64(&b->key, text.p, text.n) & mask;

	while (b->slots[i] && !bytes_eq(text_of(b, b->slots[i]), text))
		i = (i + 1) & mask;
	return &b->slots[i];
}

/* Room to find as many texts as there are, and one more. */
static bool
index_texts(struct v2_builder *b)
{
	uint32_t max = b->max_slots ? b->max_slots : SLOTS_MIN, i;
	uint32_t *slots;

	if (b->by_text && b->n_texts < b->max_slots / 2)
		return true;
	while (b->n_texts >= max / 2)
		max *= 2;
	slots = calloc(max, sizeof(*slots));
	if (!slots)
		return false;
	free(b->slots);
	b->slots = slots;
	b->max_slots = max;
	for (i = 1; i < b->n_texts; i++)
		*slot_of(b, text_of(b, i)) = i;
	b->by_text = true;
	return true;
}

static uint32_t
new_ref(struct v2_builder *b, struct bytes text)
{
	uint32_t max = b->max_texts ? b->max_texts * 2 : 1024;
	struct text *texts;

	if (b->n_texts == b->max_texts) {
		texts = realloc(b->texts, max * sizeof(*texts));
		if (!texts)
			return REF_FAILED;
		b->texts = texts;
		b->max_texts = max;
	}
	if (!build_bytes(&b->symbols, TAG_LEN(4), text))
		return REF_FAILED;
	b->texts[b->n_texts] = (struct text){
		(uint32_t)(b->symbols.len - text.n), (uint32_t)text.n };
	return b->n_texts++;
}

/* The reference of a text, whether or not it is a symbol of the dictionary. */
static uint32_t
ref_of_text(struct v2_builder *b, struct bytes text)
{
	uint32_t *slot, ref;

	if (text.n == 0)
		return 0;
	if (!index_texts(b))
		return REF_FAILED;
	slot = slot_of(b, text);
	if (*slot)
		return *slot;
	ref = new_ref(b, text);
	if (ref != REF_FAILED)
		*slot = ref;
	return ref;
}

/* The reference of a symbol that has none in this request. */
static __attribute__((noinline)) uint32_t
map_symbol(struct v2_builder *b, uint32_t symbol)
{
	struct bytes text = dict_symbol(b->dict, symbol);
	uint32_t ref;

	if (text.n == 0)
		return 0;
	ref = b->by_text ? ref_of_text(b, text) : new_ref(b, text);
	if (ref != REF_FAILED) {
		b->ref_of[symbol] = ref;
		b->mapped[b->n_mapped++] = symbol;
	}
	return ref;
}

static inline uint32_t
ref_of(struct v2_builder *b, uint32_t symbol)
{
	uint32_t ref = b->ref_of[symbol];

	return ref ? ref : map_symbol(b, symbol);
}

/* Room in the map for all symbols that the dictionary has by now. */
static bool
map_grow(struct v2_builder *b)
{
	uint32_t n = dict_n_symbols(b->dict), max = b->max_symbols;
	uint32_t *p;

	if (n <= max)
		return true;
	max = max > n / 2 ? max * 2 : n;
	p = realloc(b->ref_of, max * sizeof(*p));
	if (!p)
		return false;
	memset(p + b->max_symbols, 0, (max - b->max_symbols) * sizeof(*p));
	b->ref_of = p;
	p = realloc(b->mapped, max * sizeof(*p));
	if (!p)
		return false;
	b->mapped = p;
	b->max_symbols = max;
	return true;
}

/* Takes back what was entered past these numbers. */
static void
unmap(struct v2_builder *b, uint32_t n_mapped, uint32_t n_texts)
{
	while (b->n_mapped > n_mapped)
		b->ref_of[b->mapped[--b->n_mapped]] = 0;
	if (b->n_texts > n_texts)
		b->by_text = false;
	b->n_texts = n_texts;
}

/* ---- series -------------------------------------------------------------- */

static inline uint8_t *
put_ref(uint8_t *p, uint32_t ref)
{
	if (ref >= 1U << 14)
		return varint_put(p, ref);
	le16_put(p, (uint16_t)(ref < 0x80 ? ref :
	    (ref & 0x7f) | 0x80 | ref >> 7 << 8));
	return p + 1 + (ref >= 0x80);
}

/* The references of n symbols; NULL: out of memory. */
static inline uint8_t *
put_refs(struct v2_builder *b, uint8_t *p, const uint32_t *symbols, uint32_t n)
{
	const uint32_t *map = b->ref_of;	/* which stays where it is */
	const uint32_t *end = symbols + n;
	uint32_t ref;

	for (; symbols < end; symbols++) {
		ref = map[*symbols];
		if (!ref)
			ref = map_symbol(b, *symbols);
		if (ref == REF_FAILED)
			return NULL;
		p = put_ref(p, ref);
	}
	return p;
}

/* Begins a TimeSeries in `one`: its references. */
static bool
begin_series(struct v2_builder *b, uint32_t series)
{
	const uint32_t *symbols;
	uint8_t *start, *p;
	size_t size;
	uint32_t n;

	symbols = dict_series(b->dict, series, &n);
	b->one.len = 0;
	start = build_room(&b->one, BUILD_VARINT_MAX + (size_t)n * REF_MAX);
	if (!start)
		return false;
	/* behind a head of two bytes; moved if it takes more */
	p = put_refs(b, start + 2, symbols, n);
	if (!p)
		return false;
	size = (size_t)(p - start) - 2;
	if (size >= 0x80) {
		memmove(start + build_head_size(size), start + 2, size);
		p = start + build_head_size(size) + size;
	}
	(void)build_head(start, TAG_LEN(1), size);
	b->one.len = (size_t)(p - start);
	return true;
}

/* Metadata last, as Prometheus has it; then the TimeSeries is whole. */
static bool
end_series(struct v2_builder *b, uint32_t series)
{
	uint32_t help = 0, unit = 0;
	struct dict_metadata m;
	uint8_t *p, *head;

	if (dict_metadata(b->dict, series, &m)) {
		help = ref_of(b, m.help);
		unit = ref_of(b, m.unit);
		if (help == REF_FAILED || unit == REF_FAILED)
			return false;
		head = build_room(&b->one, 2 + 3 * BUILD_VARINT_MAX);
		if (!head)
			return false;
		p = head + 2;
		if (m.type)
			p = build_varint(p, TAG_VARINT(1), m.type);
		if (help)
			p = build_varint(p, TAG_VARINT(3), help);
		if (unit)
			p = build_varint(p, TAG_VARINT(4), unit);
		(void)build_head(head, TAG_LEN(5), (size_t)(p - head) - 2);
		b->one.len = (size_t)(p - b->one.data);
	}
	return build_bytes(&b->series, TAG_LEN(5), buf_bytes(&b->one));
}

/* ---- points -------------------------------------------------------------- */

static bool
put_sample(struct v2_builder *b, const struct batch_sample *s, int64_t start_ms)
{
	uint8_t *p = build_room(&b->one, 2 + BUILD_SAMPLE_ROOM);
	uint8_t *from = p + 2;

	if (!p)
		return false;
	if (s->ms != b->time.ms)
		build_time_set(&b->time, s->ms);
	*p++ = TAG_LEN(2);
	p = build_sample(from, s->bits, &b->time);
	if (start_ms)
		p = build_varint(p, TAG_VARINT(3), (uint64_t)start_ms);
	from[-1] = (uint8_t)(p - from);
	b->one.len = (size_t)(p - b->one.data);
	return true;
}

static bool
put_histogram(struct v2_builder *b, const struct batch_histogram *h)
{
	b->part.len = 0;
	return build_histogram(&b->part, h, true) &&
	    build_bytes(&b->one, TAG_LEN(3), buf_bytes(&b->part));
}

/* with_ms: the time of what it goes with, for an exemplar must have one. */
static bool
put_exemplar(struct v2_builder *b, const struct batch_exemplar *e,
    int64_t with_ms)
{
	int64_t ms = e->ms ? e->ms : with_ms;
	size_t n = (size_t)e->n_labels * 2 * REF_MAX;
	uint8_t *start, *p;
	uint32_t i, name, value;
	size_t size;

	b->part.len = 0;
	start = build_room(&b->part, n + 3 * BUILD_VARINT_MAX);
	if (!start)
		return false;
	/* the references behind the longest head, moved up to the real one */
	p = start + BUILD_VARINT_MAX;
	for (i = 0; i < e->n_labels; i++) {
		name = ref_of_text(b, e->labels[i].name);
		value = ref_of_text(b, e->labels[i].value);
		if (name == REF_FAILED || value == REF_FAILED)
			return false;
		p = put_ref(put_ref(p, name), value);
	}
	size = (size_t)(p - start) - BUILD_VARINT_MAX;
	p = start;
	if (size) {
		p = build_head(p, TAG_LEN(1), size);
		memmove(p, start + BUILD_VARINT_MAX, size);
		p += size;
	}
	if (e->bits) {
		*p++ = TAG_64(2);
		le64_put(p, e->bits);
		p += 8;
	}
	if (ms)
		p = build_varint(p, TAG_VARINT(3), (uint64_t)ms);
	b->part.len = (size_t)(p - start);
	return build_bytes(&b->one, TAG_LEN(4), buf_bytes(&b->part));
}

/* ---- exemplars that wait for a point of their series ---------------------- */

static struct waiting *
waiting_of(const struct v2_builder *b, uint32_t series)
{
	uint32_t mask = b->max_waiting - 1;
	uint32_t i = (series * UINT32_C(0x9e3779b1)) & mask;

	while (b->waiting[i].series != series &&
	    b->waiting[i].series != SERIES_NONE)
		i = (i + 1) & mask;
	return &b->waiting[i];
}

static bool
waiting_room(struct v2_builder *b, uint32_t n)
{
	uint32_t max = SLOTS_MIN;
	void *p;

	if (n > UINT32_MAX / 4)
		return false;
	while (max < n * 2)
		max *= 2;
	if (max > b->max_waiting) {
		p = realloc(b->waiting, max * sizeof(*b->waiting));
		if (!p)
			return false;
		b->waiting = p;
		b->max_waiting = max;
	}
	if (n > b->max_next) {
		p = realloc(b->next, n * sizeof(*b->next));
		if (!p)
			return false;
		b->next = p;
		b->max_next = n;
	}
	return true;
}

/* Chains the exemplars of each series, in their order. */
static bool
let_wait(struct v2_builder *b, const struct batch *batch)
{
	struct waiting *w;
	uint32_t i;

	b->any_waiting = batch->n_exemplars > 0;
	if (!b->any_waiting)
		return true;
	if (!waiting_room(b, batch->n_exemplars))
		return false;
	for (i = 0; i < b->max_waiting; i++)
		b->waiting[i] = (struct waiting){ SERIES_NONE, 0 };
	for (i = batch->n_exemplars; i-- > 0;) {
		w = waiting_of(b, batch->exemplars[i].series);
		b->next[i] = w->first;
		*w = (struct waiting){ batch->exemplars[i].series, i + 1 };
	}
	return true;
}

/* All that wait for this series, into the TimeSeries begun. */
static bool
put_waiting(struct v2_builder *b, const struct batch *batch, uint32_t series,
    int64_t with_ms)
{
	struct waiting *w = waiting_of(b, series);
	uint32_t at;

	for (at = w->first; at; at = b->next[at - 1]) {
		if (!put_exemplar(b, &batch->exemplars[at - 1], with_ms))
			return false;
	}
	w->first = 0;
	return true;
}

/* ---- batches ------------------------------------------------------------- */

static enum status
close_series(struct v2_builder *b, const struct batch *batch, uint32_t series,
    int64_t ms, size_t limit)
{
	if (b->any_waiting && !put_waiting(b, batch, series, ms))
		return ST_NO_MEMORY;
	if (!end_series(b, series))
		return ST_NO_MEMORY;
	return v2_size(b) > limit ? ST_TOO_LARGE : ST_OK;
}

static enum status
add_samples(struct v2_builder *b, const struct batch *batch, size_t limit)
{
	const struct batch_sample *s = batch->samples;
	enum status st = ST_OK;
	uint32_t i = 0, series;
	bool ok;

	while (st == ST_OK && i < batch->n_samples) {
		series = s[i].series;
		ok = begin_series(b, series);
		do {
			ok = ok && put_sample(b, &s[i],
			    batch->starts ? batch->starts[i] : 0);
			i++;
		} while (i < batch->n_samples && s[i].series == series);
		st = ok ? close_series(b, batch, series, s[i - 1].ms, limit) :
		    ST_NO_MEMORY;
	}
	return st;
}

static enum status
add_histograms(struct v2_builder *b, const struct batch *batch, size_t limit)
{
	const struct batch_histogram *h = batch->histograms;
	enum status st = ST_OK;
	uint32_t i = 0, series;
	bool ok;

	while (st == ST_OK && i < batch->n_histograms) {
		series = h[i].series;
		ok = begin_series(b, series);
		do {
			ok = ok && put_histogram(b, &h[i]);
			i++;
		} while (i < batch->n_histograms && h[i].series == series);
		st = ok ? close_series(b, batch, series, h[i - 1].ms, limit) :
		    ST_NO_MEMORY;
	}
	return st;
}

/* Those of series that have no other point here. */
static enum status
add_exemplars(struct v2_builder *b, const struct batch *batch, size_t limit)
{
	enum status st = ST_OK;
	uint32_t i, series;

	for (i = 0; st == ST_OK && i < batch->n_exemplars; i++) {
		series = batch->exemplars[i].series;
		if (!waiting_of(b, series)->first)
			continue;
		st = begin_series(b, series) ?
		    close_series(b, batch, series, 0, limit) : ST_NO_MEMORY;
	}
	return st;
}

/* Families ride on their series; where the stream has none, they are lost. */
static void
count_metadata(struct v2_builder *b, const struct batch *batch)
{
	uint32_t i;

	for (i = 0; dict_n_series(b->dict) == 0 && i < batch->n_metadata; i++)
		b->loss.metadata += batch->metadata[i].series == SERIES_NONE;
}

enum status
v2_add(struct v2_builder *b, const struct batch *batch, size_t limit)
{
	uint32_t n_mapped = b->n_mapped, n_texts = b->n_texts;
	size_t symbols = b->symbols.len, series = b->series.len;
	enum status st = ST_NO_MEMORY;

	if (n_texts == 0 && new_ref(b, bytes_of(NULL, 0)) == REF_FAILED)
		return ST_NO_MEMORY;
	if (map_grow(b) && let_wait(b, batch))
		st = add_samples(b, batch, limit);
	if (st == ST_OK)
		st = add_histograms(b, batch, limit);
	if (st == ST_OK)
		st = add_exemplars(b, batch, limit);
	/* so that finish cannot fail */
	if (st == ST_OK && !build_room(&b->symbols, b->series.len))
		st = ST_NO_MEMORY;
	if (st != ST_OK) {
		unmap(b, n_mapped, n_texts);
		b->symbols.len = symbols;
		b->series.len = series;
		return st;
	}
	b->counts.samples += batch->n_samples;
	b->counts.histograms += batch->n_histograms;
	b->counts.exemplars += batch->n_exemplars;
	count_metadata(b, batch);
	return ST_OK;
}

/* ---- requests ------------------------------------------------------------ */

void
v2_begin(struct v2_builder *b, struct dict *d)
{
	unmap(b, 0, 0);
	b->by_text = false;
	b->dict = d;
	buf_reset(&b->symbols, BUILD_KEEP);
	buf_reset(&b->series, BUILD_KEEP);
	buf_reset(&b->one, BUILD_KEEP);
	buf_reset(&b->part, BUILD_KEEP);
	b->counts = (struct prw_counts){ 0 };
	b->loss = (struct prw_loss){ 0 };
}

size_t
v2_size(const struct v2_builder *b)
{
	return b->series.len ? b->symbols.len + b->series.len : 0;
}

/* Symbols alone say nothing: then there is no request. */
struct bytes
v2_finish(struct v2_builder *b, struct prw_counts *counts,
    struct prw_loss *loss)
{
	*counts = b->counts;
	*loss = b->loss;
	b->dict = NULL;
	if (b->series.len == 0)
		return bytes_of(NULL, 0);
	(void)buf_append(&b->symbols, b->series.data, b->series.len); /* room */
	return buf_bytes(&b->symbols);
}
