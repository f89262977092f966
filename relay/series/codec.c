/* codec.c - streams of records: both ends, and the order of a record's parts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "series/codec_priv.h"

#include <assert.h>
#include <stdlib.h>

#define EDGE_MAX ((size_t)64 << 10)
#define CHECK_BITS 32

/* ---- state: what both ends do --------------------------------------------- */

static void
stream_fini(struct stream *s)
{
	histograms_fini(s);
	exemplar_model_fini(&s->exemplars);
	table_fini(&s->series);
	table_fini(&s->starts);
	table_fini(&s->own);
	table_fini(&s->symbols);
	table_fini(&s->names);
	table_fini(&s->shapes);
	store_fini(&s->store);
}

static void
stream_init(struct stream *s)
{
	*s = (struct stream){ .n_used = 1 };
	gap_means_init(&s->gaps);
	define_model_init(&s->define);
	metadata_model_init(&s->metadata);
	refs_model_init(&s->refs);
	value_model_init(&s->values);
	starts_model_init(&s->start);
	histogram_model_init(&s->histograms);
	exemplar_model_init(&s->exemplars);
}

static size_t
stream_size(const struct stream *s)
{
	return table_size(&s->series, sizeof(struct series)) +
	    table_size(&s->starts, sizeof(int64_t)) +
	    table_size(&s->own, sizeof(uint32_t)) +
	    table_size(&s->symbols, sizeof(struct symbol_use)) +
	    table_size(&s->names, sizeof(struct name_use)) +
	    table_size(&s->shapes, sizeof(struct shape)) +
	    s->store.held + histograms_size(s) +
	    (s->exemplars.traces ? sizeof(*s->exemplars.traces) : 0);
}

static inline uint64_t
mix(uint64_t digest, uint64_t a, uint64_t b, uint64_t c)
{
	return (digest + a + b * UINT64_C(0xa0761d6478bd642f) +
	    c * UINT64_C(0xe7037ed1a0b428db)) * UINT64_C(0x9fb21c651e98df25);
}

/* What both ends have seen: should they ever differ, it shows soon. */
static void
digest(struct stream *s, const struct batch *b)
{
	uint64_t d = s->digest;
	uint32_t i;

	for (i = 0; i < b->n_samples; i++)
		d = mix(d, b->samples[i].bits, (uint64_t)b->samples[i].ms,
		    b->samples[i].series);
	for (i = 0; i < b->n_histograms; i++)
		d = mix(d, b->histograms[i].sum_bits, b->histograms[i].count,
		    (uint64_t)b->histograms[i].ms);
	for (i = 0; i < b->n_exemplars; i++)
		d = mix(d, b->exemplars[i].bits, (uint64_t)b->exemplars[i].ms,
		    b->exemplars[i].series);
	s->digest = d;
	s->n_records++;
}

/* ---- writing -------------------------------------------------------------- */

enum status
encoder_new(const struct encoder_opts *opts, struct encoder **out)
{
	struct encoder *e = calloc(1, sizeof(*e));
	enum status st;
	unsigned i;

	if (!e)
		return ST_NO_MEMORY;
	e->max_series = opts->max_series;
	e->max_symbol_bytes = opts->max_symbol_bytes;
	buf_init(&e->edge, EDGE_MAX);
	buf_init(&e->defined, SIZE_MAX);
	for (i = 0; i <= GAP__N; i++)
		buf_init(&e->room[i], SIZE_MAX);
	stream_init(&e->stream);
	e->n_sent = 1;
	st = symtab_new(&e->symbols);
	if (st == ST_OK &&
	    !buf_append(&e->edge, opts->edge.p, opts->edge.n))
		st = ST_NO_MEMORY;
	if (st != ST_OK) {
		encoder_free(&e);
		return st;
	}
	*out = e;
	return ST_OK;
}

static void
clear(struct encoder *e)
{
	unsigned i;

	stream_fini(&e->stream);
	table_fini(&e->entries);
	free(e->shape_slots);
	free(e->entry_slots);
	free(e->items);
	e->shape_slots = e->entry_slots = NULL;
	e->items = NULL;
	e->n_shape_slots = e->n_entry_slots = 0;
	e->n_entries_sent = e->n_defined = 0;
	buf_fini(&e->defined);
	for (i = 0; i <= GAP__N; i++)
		buf_fini(&e->room[i]);
}

void
encoder_free(struct encoder **at)
{
	struct encoder *e = *at;

	*at = NULL;
	if (!e)
		return;
	clear(e);
	buf_fini(&e->edge);
	symtab_free(&e->symbols);
	free(e);
}

void
encoder_restart(struct encoder *e)
{
	clear(e);
	stream_init(&e->stream);
	symtab_reset(e->symbols);
	e->n_sent = 1;
	e->bits = (struct encoder_bits){ 0 };
}

/* What the record format has no place for. */
static bool
fits(const struct batch *b)
{
	uint32_t i;

	if (b->n_samples > SAMPLES_MAX || b->n_metadata > OTHERS_MAX ||
	    b->n_histograms > OTHERS_MAX || b->n_exemplars > OTHERS_MAX)
		return false;
	for (i = 0; i < b->n_histograms; i++) {
		const struct batch_histogram *h = &b->histograms[i];

		if (h->negative.n_spans > BUCKETS_MAX ||
		    h->negative.n_buckets > BUCKETS_MAX ||
		    h->positive.n_spans > BUCKETS_MAX ||
		    h->positive.n_buckets > BUCKETS_MAX)
			return false;
	}
	return true;
}

static unsigned
parts_of(const struct encoder *e, const struct batch *b)
{
	return (e->stream.n_records ? 0 : PART_HELLO) |
	    (symtab_n(e->symbols) > e->n_sent ? PART_TEXTS : 0) |
	    (e->n_defined ? PART_DEFINITIONS : 0) |
	    (b->n_metadata ? PART_METADATA : 0) |
	    (b->n_samples ? PART_SAMPLES : 0) |
	    (b->n_samples && b->starts ? PART_STARTS : 0) |
	    (b->n_histograms ? PART_HISTOGRAMS : 0) |
	    (b->n_exemplars ? PART_EXEMPLARS : 0);
}

static void
write_hello(const struct encoder *e, struct buf *out)
{
	put_varint(out, CODEC_VERSION);
	put_varint(out, CODEC_FEATURES);
	put_varint(out, e->edge.len);
	buf_append(out, e->edge.data, e->edge.len);
}

void
account(const struct record_writer *w, uint64_t *since, uint64_t *to)
{
	uint64_t now = record_bits(w);

	*to += now - *since;
	*since = now;
}

static bool
put_points(struct encoder *e, struct record_writer *w, unsigned parts,
    const struct batch *b, uint64_t *at)
{
	struct stream *s = &e->stream;
	bool fine = true;

	if (parts & PART_SAMPLES)
		fine = put_samples(s, w, b, &e->bits);
	*at = record_bits(w);
	if (parts & PART_STARTS)
		fine = fine && put_starts(s, w, b);
	account(w, at, &e->bits.starts);
	if (parts & PART_HISTOGRAMS)
		fine = fine && put_histograms(s, w, b);
	account(w, at, &e->bits.histograms);
	if (parts & PART_EXEMPLARS)
		fine = fine && put_exemplars(s, w, b);
	account(w, at, &e->bits.exemplars);
	return fine;
}

static bool
put_streams(struct encoder *e, unsigned parts, const struct batch *b,
    struct buf *out)
{
	struct record_writer w;
	bool fine = record_begin(&w, &e->stream.gaps, e->room);
	uint64_t at = 0;

	if (!fine)
		return false;
	if (parts & PART_DEFINITIONS)
		fine = put_definitions(e, &w);
	account(&w, &at, &e->bits.definitions);
	if (parts & PART_METADATA)
		fine = fine && put_metadata(e, &w, b);
	account(&w, &at, &e->bits.metadata);
	fine = fine && put_points(e, &w, parts, b, &at);
	digest(&e->stream, b);
	if (fine && e->stream.n_records % CHECK_EVERY == 0) {
		fine = record_room(&w, CHECK_BITS / 8);
		if (fine)
			put_bits(&w, e->stream.digest >> CHECK_BITS,
			    CHECK_BITS);
	}
	return fine && record_finish(&w, out);
}

enum status
encoder_encode(struct encoder *e, const struct batch *b, struct buf *out)
{
	enum status st = ST_OK;
	size_t start = out->len, texts;
	unsigned parts;

	if (!fits(b))
		return ST_TOO_LARGE;
	if (!stream_add_symbols(&e->stream, 1))
		return ST_NO_MEMORY;
	if (b->n_metadata)
		st = prepare_metadata(e, b);
	if (st != ST_OK)
		return st;
	parts = parts_of(e, b);
	put_varint(out, parts);
	if (parts & PART_HELLO)
		write_hello(e, out);
	texts = out->len;
	if (parts & PART_TEXTS)
		st = write_texts(e, out);
	e->bits.texts += (out->len - texts) * 8;
	if (st == ST_OK && !put_streams(e, parts, b, out))
		st = ST_NO_MEMORY;
	e->bits.all += (out->len - start) * 8;
	if (buf_failed(out))
		st = out->cap >= out->limit / 2 ? ST_TOO_LARGE : ST_NO_MEMORY;
	return st;
}

const struct encoder_bits *
encoder_bits(const struct encoder *e)
{
	return &e->bits;
}

uint32_t
encoder_n_series(const struct encoder *e)
{
	return e->stream.series.n;
}

uint32_t
encoder_next(const struct encoder *e, uint32_t id)
{
	uint32_t next;

	if (id >= e->stream.series.n)
		return SERIES_NONE;
	next = stream_series(&e->stream, id)->next;
	return next < e->stream.series.n ? next : SERIES_NONE;
}

size_t
encoder_size(const struct encoder *e)
{
	size_t size = sizeof(*e) + e->edge.cap + e->defined.cap +
	    symtab_size(e->symbols) + stream_size(&e->stream) +
	    table_size(&e->entries, sizeof(struct encoder_entry)) +
	    (e->n_shape_slots + e->n_entry_slots) * sizeof(uint32_t);
	unsigned i;

	for (i = 0; i <= GAP__N; i++)
		size += e->room[i].cap;
	return size;
}

/* ---- reading -------------------------------------------------------------- */

enum status
decoder_new(const struct decoder_opts *opts, struct decoder **out)
{
	struct decoder *d = calloc(1, sizeof(*d));
	enum status st;

	if (!d)
		return ST_NO_MEMORY;
	d->max_size = opts->max_size;
	stream_init(&d->stream);
	st = dict_new(&d->dict);
	if (st == ST_OK && !stream_add_symbols(&d->stream, 1))
		st = ST_NO_MEMORY;
	if (st != ST_OK) {
		decoder_free(&d);
		return st;
	}
	*out = d;
	return ST_OK;
}

void
decoder_free(struct decoder **at)
{
	struct decoder *d = *at;

	*at = NULL;
	if (!d)
		return;
	stream_fini(&d->stream);
	dict_unref(&d->dict);
	free(d);
}

size_t
decoder_size(const struct decoder *d)
{
	return sizeof(*d) + dict_size(d->dict) + stream_size(&d->stream);
}

struct bytes
codec_edge(struct bytes record)
{
	struct reader r = reader_of(record);
	struct bytes edge;

	if (!(read_varint(&r) & PART_HELLO))
		return bytes_of(record.p, 0);
	(void)read_varint(&r); /* version, features */
	(void)read_varint(&r);
	edge = read_bytes(&r, read_varint(&r));
	return r.bad ? bytes_of(record.p, 0) : edge;
}

static enum status
read_hello(struct decoder *d, struct reader *r)
{
	uint64_t version = read_varint(r), features = read_varint(r);
	struct bytes edge = read_bytes(r, read_varint(r));

	if (r->bad || version != CODEC_VERSION ||
	    (features & ~(uint64_t)CODEC_FEATURES) || edge.n > EDGE_MAX)
		return ST_BAD_RECORD;
	return dict_set_edge(d->dict, edge);
}

static enum status
get_part(struct decoder *d, enum part part, struct record_reader *r,
    struct batch *b)
{
	switch (part) {
	case PART_DEFINITIONS:
		return get_definitions(d, r);
	case PART_METADATA:
		return get_metadata(d, r, b);
	case PART_SAMPLES:
		return get_samples(&d->stream, r, b);
	case PART_STARTS:
		return get_starts(&d->stream, r, b);
	case PART_HISTOGRAMS:
		return get_histograms(&d->stream, r, b);
	case PART_EXEMPLARS:
		return get_exemplars(&d->stream, r, b);
	case PART_TEXTS:
	case PART_HELLO:
	case PART__END:
		break;
	}
	return ST_BAD_RECORD;
}

static enum status
get_streams(struct decoder *d, unsigned parts, struct reader *in,
    struct batch *b)
{
	static const enum part order[] = { PART_DEFINITIONS, PART_METADATA,
		PART_SAMPLES, PART_STARTS, PART_HISTOGRAMS, PART_EXEMPLARS };
	struct record_reader r;
	enum status st = ST_OK;
	unsigned i;

	if (!record_open(&r, &d->stream.gaps, in))
		return ST_BAD_RECORD;
	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (parts & order[i])
			st = get_part(d, order[i], &r, b);
		if (st == ST_OK && (r.bad || record_overrun(&r)))
			st = ST_BAD_RECORD;
		if (st == ST_OK && decoder_size(d) > d->max_size)
			st = ST_NO_MEMORY;
		if (st != ST_OK)
			return st;
	}
	digest(&d->stream, b);
	if (d->stream.n_records % CHECK_EVERY == 0 &&
	    get_bits(&r, CHECK_BITS) != d->stream.digest >> CHECK_BITS)
		return ST_BAD_RECORD;
	return record_close(&r) ? ST_OK : ST_BAD_RECORD;
}

enum status
decoder_decode(struct decoder *d, struct bytes record, struct batch *out)
{
	struct reader r = reader_of(record);
	uint64_t parts = read_varint(&r);
	bool first = d->stream.n_records == 0;
	enum status st = ST_OK;

	/* a stream begins with its hello, and has one */
	if (r.bad || parts >= PART__END || !(parts & PART_HELLO) == first ||
	    ((parts & PART_STARTS) && !(parts & PART_SAMPLES)))
		return ST_BAD_RECORD;
	if (parts & PART_HELLO)
		st = read_hello(d, &r);
	if (st == ST_OK && parts & PART_TEXTS)
		st = read_texts(d, &r);
	if (st == ST_OK && !stream_add_symbols(&d->stream,
	    dict_n_symbols(d->dict)))
		st = ST_NO_MEMORY;
	if (st == ST_OK)
		st = get_streams(d, (unsigned)parts, &r, out);
	return st;
}

struct dict *
decoder_dict(struct decoder *d)
{
	return d->dict;
}
