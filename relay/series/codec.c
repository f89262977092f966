/* codec.c - streams of records: both ends, and the order of a record's parts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "series/codec_priv.h"

#include <assert.h>
#include <stdlib.h>

#define EDGE_MAX ((size_t)64 << 10)

/* ---- writing -------------------------------------------------------------- */

enum status
encoder_new(const struct encoder_opts *opts, struct encoder **out)
{
	struct encoder *e = calloc(1, sizeof(*e));
	enum status st;

	if (!e)
		return ST_NO_MEMORY;
	e->max_series = opts->max_series;
	e->max_symbol_bytes = opts->max_symbol_bytes;
	buf_init(&e->edge, EDGE_MAX);
	buf_init(&e->defined, SIZE_MAX);
	st = symtab_new(&e->symbols);
	if (st == ST_OK &&
	    !buf_append(&e->edge, opts->edge.p, opts->edge.n))
		st = ST_NO_MEMORY;
	if (st != ST_OK) {
		encoder_free(&e);
		return st;
	}
	encoder_restart(e);
	*out = e;
	return ST_OK;
}

void
encoder_free(struct encoder **at)
{
	struct encoder *e = *at;

	*at = NULL;
	if (!e)
		return;
	table_fini(&e->stream.series);
	table_fini(&e->metadata);
	free(e->metadata_slots);
	free(e->labels.before);
	free(e->labels.now);
	buf_fini(&e->defined);
	buf_fini(&e->edge);
	symtab_free(&e->symbols);
	free(e);
}

static void
stream_reset(struct stream *s)
{
	table_fini(&s->series);
	*s = (struct stream){ .last = SERIES_NONE, .last_metadata = UINT32_MAX };
}

void
encoder_restart(struct encoder *e)
{
	stream_reset(&e->stream);
	symtab_reset(e->symbols);
	table_fini(&e->metadata);
	free(e->metadata_slots);
	e->metadata_slots = NULL;
	e->n_metadata_slots = 0;
	buf_fini(&e->defined);
	e->n_defined = 0;
	e->labels.n_before = 0;
	e->begun = false;
}

static unsigned
parts_of(const struct encoder *e, const struct batch *b)
{
	return (e->begun ? 0 : PART_HELLO) |
	    (e->n_defined ? PART_DEFINE : 0) |
	    (b->n_metadata ? PART_METADATA : 0) |
	    (b->n_samples ? PART_SAMPLES : 0) |
	    (b->n_samples && b->starts ? PART_STARTS : 0) |
	    (b->n_histograms ? PART_HISTOGRAMS : 0) |
	    (b->n_exemplars ? PART_EXEMPLARS : 0);
}

enum status
encoder_encode(struct encoder *e, const struct batch *b, struct buf *out)
{
	unsigned parts = parts_of(e, b);
	enum status st = ST_OK;

	if (b->n_samples > SAMPLES_MAX)
		return ST_TOO_LARGE;
	put_varint(out, parts);
	if (parts & PART_HELLO) {
		put_varint(out, CODEC_VERSION);
		put_varint(out, CODEC_FEATURES);
		put_text(out, buf_bytes(&e->edge));
		e->begun = true;
	}
	if (parts & PART_DEFINE)
		write_definitions(e, out);
	if (parts & PART_METADATA)
		st = write_metadata(e, b, out);
	if (parts & PART_SAMPLES)
		write_samples(&e->stream, b, out);
	if (parts & PART_STARTS)
		write_starts(&e->stream, b, out);
	if (parts & PART_HISTOGRAMS)
		write_histograms(&e->stream, b, out);
	if (parts & PART_EXEMPLARS)
		write_exemplars(&e->stream, b, out);
	if (st == ST_OK && buf_failed(out))
		st = out->cap >= out->limit / 2 ? ST_TOO_LARGE : ST_NO_MEMORY;
	return st;
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
	next = series_at(&e->stream, id)->next;
	return next < e->stream.series.n ? next : SERIES_NONE;
}

size_t
encoder_size(const struct encoder *e)
{
	return sizeof(*e) + e->edge.cap + e->defined.cap +
	    symtab_size(e->symbols) +
	    table_size(&e->stream.series, sizeof(struct series)) +
	    table_size(&e->metadata, sizeof(struct dict_entry)) +
	    e->n_metadata_slots * sizeof(*e->metadata_slots) +
	    e->labels.max * 2 * sizeof(uint32_t);
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
	st = dict_new(&d->dict);
	if (st != ST_OK) {
		decoder_free(&d);
		return st;
	}
	stream_reset(&d->stream);
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
	table_fini(&d->stream.series);
	free(d->labels.before);
	free(d->labels.now);
	dict_unref(&d->dict);
	free(d);
}

static size_t
decoder_size(const struct decoder *d)
{
	return sizeof(*d) + dict_size(d->dict) +
	    table_size(&d->stream.series, sizeof(struct series)) +
	    d->labels.max * 2 * sizeof(uint32_t);
}

static enum status
read_hello(struct decoder *d, struct reader *r)
{
	uint64_t version = read_varint(r), features = read_varint(r);
	struct bytes edge = read_text(r);

	if (r->bad || version != CODEC_VERSION ||
	    (features & ~(uint64_t)CODEC_FEATURES) || edge.n > EDGE_MAX)
		return ST_BAD_RECORD;
	d->begun = true;
	return dict_set_edge(d->dict, edge);
}

static enum status
read_part(struct decoder *d, enum part part, struct reader *r, struct batch *b)
{
	switch (part) {
	case PART_HELLO:
		return read_hello(d, r);
	case PART_DEFINE:
		return read_definitions(d, r);
	case PART_METADATA:
		return read_metadata(d, r, b);
	case PART_SAMPLES:
		return read_samples(&d->stream, r, b);
	case PART_STARTS:
		return read_starts(&d->stream, r, b);
	case PART_HISTOGRAMS:
		return read_histograms(&d->stream, r, b);
	case PART_EXEMPLARS:
		return read_exemplars(&d->stream, r, b);
	}
	return ST_BAD_RECORD;
}

enum status
decoder_decode(struct decoder *d, struct bytes record, struct batch *out)
{
	struct reader r = reader_of(record);
	uint64_t parts = read_varint(&r);
	unsigned part;
	enum status st;

	/* a stream begins with its hello, and has one */
	if (r.bad || parts >= PART_EXEMPLARS * 2 ||
	    !(parts & PART_HELLO) != d->begun)
		return ST_BAD_RECORD;
	for (part = PART_HELLO; part <= PART_EXEMPLARS; part <<= 1) {
		if (!(parts & part))
			continue;
		st = read_part(d, (enum part)part, &r, out);
		if (st == ST_OK && r.bad)
			st = ST_BAD_RECORD;
		if (st == ST_OK && decoder_size(d) > d->max_size)
			st = ST_NO_MEMORY;
		if (st != ST_OK)
			return st;
	}
	return reader_left(&r) == 0 ? ST_OK : ST_BAD_RECORD;
}

struct dict *
decoder_dict(struct decoder *d)
{
	return d->dict;
}
