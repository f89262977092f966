/* scan.c - points into a batch's arrays; the rules for labels.
 * SPDX-License-Identifier: Apache-2.0 */
#include "prw/scan_priv.h"

#include <stdlib.h>

#include "base/utf8.h"

/* ---- room ---------------------------------------------------------------- */

/* Bytes of a body that an element takes at least; what a sender has reason to
 * send takes more.  A series: its name and a point; a histogram or exemplar:
 * its time; metadata: the name of a family. */
#define ENTRY_LEAST 8
#define SAMPLE_LEAST 2
#define HISTOGRAM_LEAST 8
#define EXEMPLAR_LEAST 4
#define METADATA_LEAST 5

#define ROOM_MIN 16

/* Doubles an array of n elements of `size` bytes, all in use. */
static enum status
grow(struct scan *s, void **array, uint32_t n, uint32_t *room, size_t size,
    uint32_t least)
{
	uint64_t most = s->body.n / least + 1;
	uint64_t want = (uint64_t)n * 2 < ROOM_MIN ? ROOM_MIN : (uint64_t)n * 2;
	void *p;

	if (n >= most)
		return ST_TOO_LARGE;
	if (want > most)
		want = most;
	p = arena_take_array(s->batch->arena, want, size);
	if (!p)
		return ST_NO_MEMORY;
	if (n)
		memcpy(p, *array, (size_t)n * size);
	*array = p;
	*room = (uint32_t)want;
	return ST_OK;
}

enum status
scan_begin(struct scan *s, struct bytes body, const struct hash_key *key,
    struct batch *b, uint32_t per_series)
{
	uint32_t guess;

	if (body.n >= UINT32_MAX)
		return ST_TOO_LARGE;
	*s = (struct scan){ .batch = b, .key = key, .body = body };
	guess = (uint32_t)body.n / per_series + ROOM_MIN;
	b->entries = arena_take_array(b->arena, guess, sizeof(*b->entries));
	b->samples = arena_take_array(b->arena, guess, sizeof(*b->samples));
	if (arena_failed(b->arena))
		return ST_NO_MEMORY;
	s->room.entries = guess;
	s->room.samples = guess;
	return ST_OK;
}

enum status
scan_grow_entries(struct scan *s)
{
	struct batch *b = s->batch;
	void *array = b->entries;
	enum status st = grow(s, &array, b->n_entries, &s->room.entries,
	    sizeof(*b->entries), ENTRY_LEAST);

	b->entries = array;
	return st;
}

/* Starts, where there are any, keep step. */
enum status
scan_grow_samples(struct scan *s)
{
	struct batch *b = s->batch;
	void *array = b->samples;
	enum status st = grow(s, &array, b->n_samples, &s->room.samples,
	    sizeof(*b->samples), SAMPLE_LEAST);

	b->samples = array;
	if (st != ST_OK || !b->starts)
		return st;
	array = b->starts;
	b->starts = arena_take_array(b->arena, s->room.samples,
	    sizeof(*b->starts));
	if (!b->starts)
		return ST_NO_MEMORY;
	memcpy(b->starts, array, b->n_samples * sizeof(*b->starts));
	return ST_OK;
}

static struct batch_histogram *
new_histogram(struct scan *s, enum status *st)
{
	struct batch *b = s->batch;
	struct batch_histogram *h;
	void *array = b->histograms;

	if (b->n_histograms == s->room.histograms) {
		*st = grow(s, &array, b->n_histograms, &s->room.histograms,
		    sizeof(*b->histograms), HISTOGRAM_LEAST);
		if (*st != ST_OK)
			return NULL;
		b->histograms = array;
	}
	h = &b->histograms[b->n_histograms];
	*h = (struct batch_histogram){ .series = b->n_entries };
	return h;
}

struct batch_exemplar *
scan_new_exemplar(struct scan *s, enum status *st)
{
	struct batch *b = s->batch;
	struct batch_exemplar *e;
	void *array = b->exemplars;

	if (b->n_exemplars == s->room.exemplars) {
		*st = grow(s, &array, b->n_exemplars, &s->room.exemplars,
		    sizeof(*b->exemplars), EXEMPLAR_LEAST);
		if (*st != ST_OK)
			return NULL;
		b->exemplars = array;
	}
	e = &b->exemplars[b->n_exemplars];
	*e = (struct batch_exemplar){ .series = b->n_entries };
	return e;
}

struct batch_metadata *
scan_new_metadata(struct scan *s, enum status *st)
{
	struct batch *b = s->batch;
	struct batch_metadata *m;
	void *array = b->metadata;

	if (b->n_metadata == s->room.metadata) {
		*st = grow(s, &array, b->n_metadata, &s->room.metadata,
		    sizeof(*b->metadata), METADATA_LEAST);
		if (*st != ST_OK)
			return NULL;
		b->metadata = array;
	}
	m = &b->metadata[b->n_metadata];
	*m = (struct batch_metadata){ .series = SERIES_NONE };
	return m;
}

void
scan_refuse_since(struct scan *s, struct scan_mark m, enum status reason)
{
	struct batch *b = s->batch;

	b->refused[reason] += scan_since(s, m);
	b->n_samples = m.samples;
	b->n_histograms = m.histograms;
	b->n_exemplars = m.exemplars;
}

/* ---- samples ------------------------------------------------------------- */

bool
scan_sample_fields(struct bytes msg, struct batch_sample *sample,
    int64_t *start_ms)
{
	struct reader r = reader_of(msg);
	struct field f;

	sample->bits = 0;
	sample->ms = 0;
	while (field_next(&r, &f)) {
		switch (f.tag) {
		case TAG_64(1):
			sample->bits = f.v;
			break;
		case TAG_VARINT(2):
			sample->ms = (int64_t)f.v;
			break;
		case TAG_VARINT(3):
			*start_ms = (int64_t)f.v;
			break;
		}
	}
	return !r.bad;
}

enum status
scan_set_start(struct scan *s, int64_t start_ms)
{
	struct batch *b = s->batch;

	if (!b->starts) {
		b->starts = arena_take_array(b->arena, s->room.samples,
		    sizeof(*b->starts));
		if (!b->starts)
			return ST_NO_MEMORY;
		memset(b->starts, 0, b->n_samples * sizeof(*b->starts));
	}
	b->starts[b->n_samples] = start_ms;
	return ST_OK;
}

/* ---- histograms ---------------------------------------------------------- */

/* The arrays of a Histogram, of both kinds: which apply is known at its end. */
struct lists {
	uint32_t n_negative_spans, n_negative_deltas, n_negative_counts;
	uint32_t n_positive_spans, n_positive_deltas, n_positive_counts;
	uint32_t n_custom;
};

/* Varints of a packed run: the bytes that end one.  False: the last does not
 * end. */
static bool
count_packed_varints(struct bytes run, uint32_t *n)
{
	size_t i;

	for (i = 0; i < run.n; i++)
		*n += run.p[i] < 0x80;
	return run.n == 0 || run.p[run.n - 1] < 0x80;
}

static bool
count_packed_doubles(struct bytes run, uint32_t *n)
{
	*n += (uint32_t)(run.n / 8);
	return run.n % 8 == 0;
}

/* A field that is, or adds to, an array; others are passed over. */
static bool
count_list(const struct field *f, struct lists *l)
{
	switch (f->tag) {
	case TAG_LEN(8):
		l->n_negative_spans++;
		return true;
	case TAG_LEN(9):
		return count_packed_varints(f->span, &l->n_negative_deltas);
	case TAG_VARINT(9):
		l->n_negative_deltas++;
		return true;
	case TAG_LEN(10):
		return count_packed_doubles(f->span, &l->n_negative_counts);
	case TAG_64(10):
		l->n_negative_counts++;
		return true;
	case TAG_LEN(11):
		l->n_positive_spans++;
		return true;
	case TAG_LEN(12):
		return count_packed_varints(f->span, &l->n_positive_deltas);
	case TAG_VARINT(12):
		l->n_positive_deltas++;
		return true;
	case TAG_LEN(13):
		return count_packed_doubles(f->span, &l->n_positive_counts);
	case TAG_64(13):
		l->n_positive_counts++;
		return true;
	case TAG_LEN(16):
		return count_packed_doubles(f->span, &l->n_custom);
	case TAG_64(16):
		l->n_custom++;
		return true;
	}
	return true;
}

/* First pass: single fields, and how long the arrays are. */
static bool
histogram_fields(struct bytes msg, struct batch_histogram *h, struct lists *l)
{
	struct reader r = reader_of(msg);
	bool zero_is_float = false, fine = true;
	struct field f;

	while (fine && field_next(&r, &f)) {
		switch (f.tag) {
		case TAG_VARINT(1):
		case TAG_64(2):
			h->is_float = f.tag == TAG_64(2);
			h->count = f.v;
			break;
		case TAG_64(3):
			h->sum_bits = f.v;
			break;
		case TAG_VARINT(4):
			h->schema = field_sint32(f.v);
			break;
		case TAG_64(5):
			h->zero_threshold_bits = f.v;
			break;
		case TAG_VARINT(6):
		case TAG_64(7):
			zero_is_float = f.tag == TAG_64(7);
			h->zero_count = f.v;
			h->has_zero_count = true;
			break;
		case TAG_VARINT(14):
			/* what no version has named means nothing to anybody */
			h->reset_hint = (uint32_t)f.v <= UINT8_MAX ?
			    (uint8_t)f.v : RESET_UNKNOWN;
			break;
		case TAG_VARINT(15):
			h->ms = (int64_t)f.v;
			break;
		case TAG_VARINT(17):
			h->start_ms = (int64_t)f.v;
			break;
		default:
			fine = count_list(&f, l);
		}
	}
	/* a zero count of the other kind is none */
	if (zero_is_float != h->is_float) {
		h->has_zero_count = false;
		h->zero_count = 0;
	}
	return fine && !r.bad;
}

static bool
take_lists(struct arena *a, struct batch_histogram *h, const struct lists *l)
{
	struct batch_buckets *neg = &h->negative, *pos = &h->positive;

	neg->n_spans = l->n_negative_spans;
	pos->n_spans = l->n_positive_spans;
	neg->n_buckets = h->is_float ? l->n_negative_counts :
	    l->n_negative_deltas;
	pos->n_buckets = h->is_float ? l->n_positive_counts :
	    l->n_positive_deltas;
	h->n_custom = l->n_custom;
	neg->spans = arena_take_array(a, neg->n_spans, sizeof(*neg->spans));
	neg->buckets = arena_take_array(a, neg->n_buckets,
	    sizeof(*neg->buckets));
	pos->spans = arena_take_array(a, pos->n_spans, sizeof(*pos->spans));
	pos->buckets = arena_take_array(a, pos->n_buckets,
	    sizeof(*pos->buckets));
	h->custom_bits = arena_take_array(a, h->n_custom,
	    sizeof(*h->custom_bits));
	return !arena_failed(a);
}

static bool
read_span(struct bytes msg, struct batch_span *span)
{
	struct reader r = reader_of(msg);
	struct field f;

	*span = (struct batch_span){ 0, 0 };
	while (field_next(&r, &f)) {
		switch (f.tag) {
		case TAG_VARINT(1):
			span->offset = field_sint32(f.v);
			break;
		case TAG_VARINT(2):
			span->length = (uint32_t)f.v;
			break;
		}
	}
	return !r.bad;
}

/* Both return the place after the last; the first pass has counted. */
static uint64_t *
read_deltas(struct bytes run, uint64_t *to, bool *fine)
{
	struct reader r = reader_of(run);

	while (r.p < r.end)
		*to++ = (uint64_t)zigzag_get(read_varint(&r));
	*fine = *fine && !r.bad;
	return to;
}

static uint64_t *
read_doubles(struct bytes run, uint64_t *to)
{
	size_t i;

	for (i = 0; i < run.n; i += 8)
		*to++ = le64_get(run.p + i);
	return to;
}

/* Second pass: the arrays that apply. */
static bool
histogram_lists(struct bytes msg, struct batch_histogram *h)
{
	struct reader r = reader_of(msg);
	struct batch_span *neg_span = h->negative.spans;
	struct batch_span *pos_span = h->positive.spans;
	uint64_t *neg = h->negative.buckets, *pos = h->positive.buckets;
	uint64_t *custom = h->custom_bits;
	bool fine = true;
	struct field f;

	while (fine && field_next(&r, &f)) {
		switch (f.tag) {
		case TAG_LEN(8):
			fine = read_span(f.span, neg_span++);
			break;
		case TAG_LEN(11):
			fine = read_span(f.span, pos_span++);
			break;
		case TAG_LEN(16):
			custom = read_doubles(f.span, custom);
			break;
		case TAG_64(16):
			*custom++ = f.v;
			break;
		case TAG_LEN(9):
			if (!h->is_float)
				neg = read_deltas(f.span, neg, &fine);
			break;
		case TAG_VARINT(9):
			if (!h->is_float)
				*neg++ = (uint64_t)zigzag_get(f.v);
			break;
		case TAG_LEN(12):
			if (!h->is_float)
				pos = read_deltas(f.span, pos, &fine);
			break;
		case TAG_VARINT(12):
			if (!h->is_float)
				*pos++ = (uint64_t)zigzag_get(f.v);
			break;
		case TAG_LEN(10):
			if (h->is_float)
				neg = read_doubles(f.span, neg);
			break;
		case TAG_64(10):
			if (h->is_float)
				*neg++ = f.v;
			break;
		case TAG_LEN(13):
			if (h->is_float)
				pos = read_doubles(f.span, pos);
			break;
		case TAG_64(13):
			if (h->is_float)
				*pos++ = f.v;
			break;
		}
	}
	return fine;
}

enum status
scan_histogram(struct scan *s, struct bytes msg)
{
	struct batch *b = s->batch;
	struct lists lists = { 0 };
	struct batch_histogram *h;
	enum status st = ST_OK;

	h = new_histogram(s, &st);
	if (!h)
		return st;
	if (!histogram_fields(msg, h, &lists))
		return ST_BAD_PROTOBUF;
	if (!s->starts)
		h->start_ms = 0;
	if (!take_lists(b->arena, h, &lists))
		return ST_NO_MEMORY;
	if (!histogram_lists(msg, h))
		return ST_BAD_PROTOBUF;
	st = batch_histogram_check(h);
	if (st == ST_OK)
		b->n_histograms++;
	else
		b->refused[st]++;
	return ST_OK;
}

/* ---- labels -------------------------------------------------------------- */

static int
by_name(const void *a, const void *b)
{
	const struct label *x = a, *y = b;

	return bytes_cmp(x->name, y->name);
}

static bool
is_sorted(const struct label *l, uint32_t n)
{
	uint32_t i;

	for (i = 1; i < n; i++) {
		if (bytes_cmp(l[i - 1].name, l[i].name) > 0)
			return false;
	}
	return true;
}

enum status
scan_check_label(const struct label *l)
{
	if (l->name.n == 0)
		return ST_EMPTY_NAME;
	if (!utf8_valid(l->name) || !utf8_valid(l->value))
		return ST_BAD_UTF8;
	return ST_OK;
}

enum status
scan_finish_labels(struct label *l, uint32_t *n)
{
	const struct bytes metric_name = BYTES_LIT("__name__");
	bool named = false;
	uint32_t i, kept = 0;
	enum status st;

	for (i = 0; i < *n; i++) {
		st = scan_check_label(&l[i]);
		if (st != ST_OK)
			return st;
	}
	if (!is_sorted(l, *n))
		qsort(l, *n, sizeof(*l), by_name);
	for (i = 1; i < *n; i++) {
		if (bytes_eq(l[i - 1].name, l[i].name))
			return ST_DUPLICATE_LABEL;
	}
	for (i = 0; i < *n; i++) {
		if (l[i].value.n == 0)
			continue;
		named = named || bytes_eq(l[i].name, metric_name);
		l[kept++] = l[i];
	}
	if (!named)
		return ST_NO_NAME;
	*n = kept;
	return ST_OK;
}
