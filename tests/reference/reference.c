/* reference.c - both messages in one plain form, and a batch held against it.
 *
 * Written to be obviously right, not fast, and apart from the scanners: nothing
 * of theirs is used but the check of histograms.
 * SPDX-License-Identifier: Apache-2.0 */
#include "reference.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "tests/reference/bytes_v1.pb-c.h"
#include "tests/reference/bytes_v2.pb-c.h"

#define CHECK(what) ((what) ? (void)0 : differ(#what, __LINE__))

static void
differ(const char *what, int line)
{
	fprintf(stderr, "reference.c:%d: not so: %s\n", line, what);
	abort();
}

/* ---- the plain form ------------------------------------------------------ */

struct plain_exemplar {
	struct batch_exemplar e;
	bool fine;
};

struct plain_series {
	struct label *labels;
	struct batch_sample *samples;
	int64_t *starts;
	struct batch_histogram *histograms;
	struct plain_exemplar *exemplars;
	size_t n_labels, n_samples, n_histograms, n_exemplars;
	struct batch_metadata metadata;
	bool has_metadata, metadata_is_text;
	bool bad_symbol;
	bool odd_label;			/* 1.0: with fields that nobody knows */
	bool bare;			/* 2.0: no reference */
};

struct plain {
	struct arena *arena;
	struct plain_series *series;
	size_t n_series;
	struct batch_metadata *metadata;
	size_t n_metadata;
};

static void *
take(struct plain *p, size_t n, size_t size)
{
	void *a = arena_take_array(p->arena, n, size);

	CHECK(a != NULL);
	memset(a, 0, n * size);
	return a;
}

static struct bytes
text(ProtobufCBinaryData d)
{
	return bytes_of(d.data, d.len);
}

static uint64_t
bits_of(double d)
{
	uint64_t bits;

	memcpy(&bits, &d, sizeof(bits));
	return bits;
}

static bool
is_exemplar_label(const struct label *l)
{
	return l->name.n > 0 && utf8_valid(l->name) && utf8_valid(l->value);
}

/* The structures of both messages have the same names within. */
#define PLAIN_SPANS(p, n_from, from, side) do {				\
	(side)->n_spans = (uint32_t)(n_from);				\
	(side)->spans = take(p, n_from, sizeof(*(side)->spans));	\
	for (size_t k = 0; k < (n_from); k++) {				\
		(side)->spans[k].offset = (from)[k]->offset;		\
		(side)->spans[k].length = (from)[k]->length;		\
	}								\
} while (0)

#define PLAIN_BUCKETS(p, h, n_counts, counts, n_deltas, deltas, side) do { \
	size_t n = (h)->is_float ? (n_counts) : (n_deltas);		\
	(side)->n_buckets = (uint32_t)n;				\
	(side)->buckets = take(p, n, sizeof(uint64_t));			\
	for (size_t k = 0; k < n; k++)					\
		(side)->buckets[k] = (h)->is_float ?			\
		    bits_of((counts)[k]) : (uint64_t)(deltas)[k];	\
} while (0)

#define PLAIN_HISTOGRAM(p, m, h, COUNT_FLOAT, ZERO_INT, ZERO_FLOAT) do { \
	(h)->is_float = (m)->count_case == COUNT_FLOAT;			\
	(h)->count = (h)->is_float ? bits_of((m)->count_float) :	\
	    (m)->count_case ? (m)->count_int : 0;			\
	(h)->has_zero_count = (m)->zero_count_case ==			\
	    ((h)->is_float ? ZERO_FLOAT : ZERO_INT);			\
	if ((h)->has_zero_count)					\
		(h)->zero_count = (h)->is_float ?			\
		    bits_of((m)->zero_count_float) :			\
		    (m)->zero_count_int;				\
	(h)->sum_bits = bits_of((m)->sum);				\
	(h)->schema = (m)->schema;					\
	(h)->zero_threshold_bits = bits_of((m)->zero_threshold);	\
	(h)->ms = (m)->timestamp;					\
	(h)->reset_hint = (uint64_t)(int64_t)(m)->reset_hint <= 255 ?	\
	    (uint8_t)(m)->reset_hint : 0;				\
	PLAIN_SPANS(p, (m)->n_negative_spans, (m)->negative_spans,	\
	    &(h)->negative);						\
	PLAIN_SPANS(p, (m)->n_positive_spans, (m)->positive_spans,	\
	    &(h)->positive);						\
	PLAIN_BUCKETS(p, h, (m)->n_negative_counts,			\
	    (m)->negative_counts, (m)->n_negative_deltas,		\
	    (m)->negative_deltas, &(h)->negative);			\
	PLAIN_BUCKETS(p, h, (m)->n_positive_counts,			\
	    (m)->positive_counts, (m)->n_positive_deltas,		\
	    (m)->positive_deltas, &(h)->positive);			\
	(h)->n_custom = (uint32_t)(m)->n_custom_values;			\
	(h)->custom_bits = take(p, (m)->n_custom_values, sizeof(uint64_t)); \
	for (size_t k = 0; k < (m)->n_custom_values; k++)		\
		(h)->custom_bits[k] = bits_of((m)->custom_values[k]);	\
} while (0)

static void
plain_v1_series(struct plain *p, const Prometheus__TimeSeries *m,
    struct plain_series *x)
{
	const Prometheus__Exemplar *from;
	struct plain_exemplar *to;
	size_t i, k;

	x->n_labels = m->n_labels;
	x->labels = take(p, m->n_labels, sizeof(*x->labels));
	for (i = 0; i < m->n_labels; i++) {
		x->labels[i] = (struct label){ text(m->labels[i]->name),
			text(m->labels[i]->value) };
		if (m->labels[i]->base.n_unknown_fields)
			x->odd_label = true;
	}
	x->n_samples = m->n_samples;
	x->samples = take(p, m->n_samples, sizeof(*x->samples));
	x->starts = take(p, m->n_samples, sizeof(*x->starts));
	for (i = 0; i < m->n_samples; i++) {
		x->samples[i].ms = m->samples[i]->timestamp;
		x->samples[i].bits = bits_of(m->samples[i]->value);
	}
	x->n_histograms = m->n_histograms;
	x->histograms = take(p, m->n_histograms, sizeof(*x->histograms));
	for (i = 0; i < m->n_histograms; i++)
		PLAIN_HISTOGRAM(p, m->histograms[i], &x->histograms[i],
		    PROMETHEUS__HISTOGRAM__COUNT_COUNT_FLOAT,
		    PROMETHEUS__HISTOGRAM__ZERO_COUNT_ZERO_COUNT_INT,
		    PROMETHEUS__HISTOGRAM__ZERO_COUNT_ZERO_COUNT_FLOAT);
	x->n_exemplars = m->n_exemplars;
	x->exemplars = take(p, m->n_exemplars, sizeof(*x->exemplars));
	for (i = 0; i < m->n_exemplars; i++) {
		from = m->exemplars[i];
		to = &x->exemplars[i];
		to->e.bits = bits_of(from->value);
		to->e.ms = from->timestamp;
		to->e.n_labels = (uint32_t)from->n_labels;
		to->e.labels = take(p, from->n_labels, sizeof(struct label));
		to->fine = from->n_labels <= BATCH_LABELS_MAX;
		for (k = 0; k < from->n_labels; k++) {
			to->e.labels[k] = (struct label){
				text(from->labels[k]->name),
				text(from->labels[k]->value) };
			to->fine = to->fine &&
			    is_exemplar_label(&to->e.labels[k]);
		}
	}
}

static bool
plain_v1(struct plain *p, struct bytes body, Prometheus__WriteRequest **req)
{
	const Prometheus__MetricMetadata *m;
	size_t i;

	*req = prometheus__write_request__unpack(NULL, body.n, body.p);
	if (!*req)
		return false;
	p->n_series = (*req)->n_timeseries;
	p->series = take(p, p->n_series, sizeof(*p->series));
	for (i = 0; i < p->n_series; i++)
		plain_v1_series(p, (*req)->timeseries[i], &p->series[i]);
	p->n_metadata = (*req)->n_metadata;
	p->metadata = take(p, p->n_metadata, sizeof(*p->metadata));
	for (i = 0; i < p->n_metadata; i++) {
		m = (*req)->metadata[i];
		p->metadata[i] = (struct batch_metadata){
			.series = SERIES_NONE, .type = (uint32_t)m->type,
			.family = text(m->metric_family_name),
			.help = text(m->help), .unit = text(m->unit) };
	}
	return true;
}

typedef Io__Prometheus__Write__V2__Request v2_request;
typedef Io__Prometheus__Write__V2__TimeSeries v2_series;

static bool
symbol(const v2_request *req, uint32_t ref, struct bytes *out)
{
	if (ref >= req->n_symbols)
		return false;
	*out = text(req->symbols[ref]);
	return true;
}

static bool
symbol_labels(struct plain *p, const v2_request *req, const uint32_t *refs,
    size_t n, struct label **out)
{
	bool fine = n % 2 == 0;
	size_t i;

	*out = take(p, n / 2, sizeof(**out));
	for (i = 0; i < n / 2; i++) {
		fine = symbol(req, refs[2 * i], &(*out)[i].name) && fine;
		fine = symbol(req, refs[2 * i + 1], &(*out)[i].value) && fine;
	}
	if (n % 2 != 0 && refs[n - 1] >= req->n_symbols)
		fine = false;
	return fine;
}

/* A message that comes twice is the one that its parts make together. */
static bool
plain_v2_metadata(struct plain *p, const v2_request *req, const v2_series *m,
    struct plain_series *x)
{
	struct bytes *help = &x->metadata.help, *unit = &x->metadata.unit;
	Io__Prometheus__Write__V2__Metadata *d;
	size_t i, n = 0;
	uint8_t *all;

	for (i = 0; i < m->n_metadata; i++)
		n += m->metadata[i].len;
	all = take(p, n, 1);
	for (i = 0, n = 0; i < m->n_metadata; n += m->metadata[i++].len) {
		if (m->metadata[i].len)
			memcpy(all + n, m->metadata[i].data,
			    m->metadata[i].len);
	}
	if (n == 0)
		return true;
	d = io__prometheus__write__v2__metadata__unpack(NULL, n, all);
	if (!d)
		return false;
	x->metadata.type = (uint32_t)d->type;
	if (req->n_symbols || d->help_ref || d->unit_ref) {
		if (!symbol(req, d->help_ref, help) ||
		    !symbol(req, d->unit_ref, unit))
			x->bad_symbol = true;
	}
	io__prometheus__write__v2__metadata__free_unpacked(d, NULL);
	/* so far, bad_symbol is of these references alone */
	x->metadata_is_text = x->bad_symbol ||
	    (utf8_valid(*help) && utf8_valid(*unit));
	x->has_metadata = x->bad_symbol || x->metadata.type || help->n ||
	    unit->n;
	return true;
}

/* TimeSeries.created_timestamp, which the message knows no more: for points
 * that have no start of their own. */
static void
plain_v2_created(const v2_series *m, struct plain_series *x)
{
	const ProtobufCMessageUnknownField *u;
	int64_t created = 0;
	struct reader r;
	unsigned k;
	size_t i;

	for (k = 0; k < m->base.n_unknown_fields; k++) {
		u = &m->base.unknown_fields[k];
		r = reader_of(bytes_of(u->data, u->len));
		if (u->tag == 6 && u->wire_type == 0)
			created = (int64_t)read_varint(&r);
	}
	for (i = 0; i < x->n_samples; i++) {
		if (!x->starts[i])
			x->starts[i] = created;
	}
	for (i = 0; i < x->n_histograms; i++) {
		if (!x->histograms[i].start_ms)
			x->histograms[i].start_ms = created;
	}
}

static bool
plain_v2_series(struct plain *p, const v2_request *req, const v2_series *m,
    struct plain_series *x)
{
	const Io__Prometheus__Write__V2__Exemplar *from;
	struct plain_exemplar *to;
	size_t i, k;

	if (!plain_v2_metadata(p, req, m, x))
		return false;
	x->n_labels = m->n_labels_refs / 2;
	x->bare = m->n_labels_refs == 0;
	if (!symbol_labels(p, req, m->labels_refs, m->n_labels_refs, &x->labels))
		x->bad_symbol = true;
	x->n_samples = m->n_samples;
	x->samples = take(p, m->n_samples, sizeof(*x->samples));
	x->starts = take(p, m->n_samples, sizeof(*x->starts));
	for (i = 0; i < m->n_samples; i++) {
		x->samples[i].ms = m->samples[i]->timestamp;
		x->samples[i].bits = bits_of(m->samples[i]->value);
		x->starts[i] = m->samples[i]->start_timestamp;
	}
	x->n_histograms = m->n_histograms;
	x->histograms = take(p, m->n_histograms, sizeof(*x->histograms));
	for (i = 0; i < m->n_histograms; i++) {
		PLAIN_HISTOGRAM(p, m->histograms[i], &x->histograms[i],
		    IO__PROMETHEUS__WRITE__V2__HISTOGRAM__COUNT_COUNT_FLOAT,
		    IO__PROMETHEUS__WRITE__V2__HISTOGRAM__ZERO_COUNT_ZERO_COUNT_INT,
		    IO__PROMETHEUS__WRITE__V2__HISTOGRAM__ZERO_COUNT_ZERO_COUNT_FLOAT);
		x->histograms[i].start_ms = m->histograms[i]->start_timestamp;
	}
	x->n_exemplars = m->n_exemplars;
	x->exemplars = take(p, m->n_exemplars, sizeof(*x->exemplars));
	for (i = 0; i < m->n_exemplars; i++) {
		from = m->exemplars[i];
		to = &x->exemplars[i];
		to->e.bits = bits_of(from->value);
		to->e.ms = from->timestamp;
		to->e.n_labels = (uint32_t)(from->n_labels_refs / 2);
		to->fine = symbol_labels(p, req, from->labels_refs,
		    from->n_labels_refs, &to->e.labels) &&
		    to->e.n_labels <= BATCH_LABELS_MAX;
		for (k = 0; k < to->e.n_labels; k++)
			to->fine = to->fine &&
			    is_exemplar_label(&to->e.labels[k]);
	}
	plain_v2_created(m, x);
	return true;
}

static bool
plain_v2(struct plain *p, struct bytes body, v2_request **req)
{
	size_t i;

	*req = io__prometheus__write__v2__request__unpack(NULL, body.n, body.p);
	if (!*req)
		return false;
	p->n_series = (*req)->n_timeseries;
	p->series = take(p, p->n_series, sizeof(*p->series));
	for (i = 0; i < p->n_series; i++) {
		if (!plain_v2_series(p, *req, (*req)->timeseries[i],
		    &p->series[i]))
			return false;
	}
	return true;
}

/* ---- labels -------------------------------------------------------------- */

static int
by_name(const void *a, const void *b)
{
	const struct label *x = a, *y = b;

	return bytes_cmp(x->name, y->name);
}

/* Puts the labels in order; false if they make no series. */
static bool
fine_labels(struct plain_series *x)
{
	bool named = false;
	size_t i, kept = 0;

	if (x->n_labels > BATCH_LABELS_MAX)
		return false;
	qsort(x->labels, x->n_labels, sizeof(*x->labels), by_name);
	for (i = 0; i < x->n_labels; i++) {
		if (!is_exemplar_label(&x->labels[i]))
			return false;
		if (i > 0 && by_name(&x->labels[i - 1], &x->labels[i]) == 0)
			return false;
	}
	for (i = 0; i < x->n_labels; i++) {
		if (x->labels[i].value.n == 0)
			continue;
		if (bytes_eq(x->labels[i].name, BYTES_LIT("__name__")))
			named = true;
		x->labels[kept++] = x->labels[i];
	}
	x->n_labels = kept;
	return named;
}

/* ---- comparing ----------------------------------------------------------- */

struct place {
	uint32_t entries, samples, histograms, exemplars, metadata;
};

static bool
same_buckets(const struct batch_buckets *a, const struct batch_buckets *b)
{
	return a->n_spans == b->n_spans && a->n_buckets == b->n_buckets &&
	    memcmp(a->spans, b->spans, a->n_spans * sizeof(*a->spans)) == 0 &&
	    memcmp(a->buckets, b->buckets, a->n_buckets * 8) == 0;
}

static bool
same_histogram(const struct batch_histogram *a, const struct batch_histogram *b)
{
	return a->schema == b->schema && a->ms == b->ms &&
	    a->start_ms == b->start_ms && a->sum_bits == b->sum_bits &&
	    a->zero_threshold_bits == b->zero_threshold_bits &&
	    a->count == b->count && a->zero_count == b->zero_count &&
	    a->is_float == b->is_float &&
	    a->has_zero_count == b->has_zero_count &&
	    a->reset_hint == b->reset_hint && a->n_custom == b->n_custom &&
	    memcmp(a->custom_bits, b->custom_bits, a->n_custom * 8) == 0 &&
	    same_buckets(&a->negative, &b->negative) &&
	    same_buckets(&a->positive, &b->positive);
}

static bool
same_exemplar(const struct batch_exemplar *a, const struct batch_exemplar *b)
{
	uint32_t i;

	if (a->bits != b->bits || a->ms != b->ms || a->n_labels != b->n_labels)
		return false;
	for (i = 0; i < a->n_labels; i++) {
		if (!bytes_eq(a->labels[i].name, b->labels[i].name) ||
		    !bytes_eq(a->labels[i].value, b->labels[i].value))
			return false;
	}
	return true;
}

static bool
same_metadata(const struct batch_metadata *a, const struct batch_metadata *b)
{
	return a->type == b->type && bytes_eq(a->family, b->family) &&
	    bytes_eq(a->help, b->help) && bytes_eq(a->unit, b->unit);
}

/* Is the next entry this series?  Its points must not be. */
static bool
same_labels(const struct batch *b, const struct batch_entry *e,
    const struct plain_series *x, bool fine)
{
	static struct label got[BATCH_LABELS_MAX];
	uint32_t n, i;

	if ((e->refused == ST_BAD_SYMBOL) != x->bad_symbol)
		return false;
	if (x->bad_symbol)
		return true;
	CHECK(e->refused == ST_OK);
	if ((b->labels(b, e, got, BATCH_LABELS_MAX, &n) == ST_OK) != fine)
		return false;
	if (!fine)
		return true;
	for (i = 0; n == x->n_labels && i < n; i++) {
		if (!bytes_eq(got[i].name, x->labels[i].name) ||
		    !bytes_eq(got[i].value, x->labels[i].value))
			return false;
	}
	return n == x->n_labels;
}

/* protobuf-c takes fields of number 0, and of numbers past 2^29 as others.  Within a
 * label that shows no earlier than here. */
static bool
is_no_message(const struct batch *b, const struct batch_entry *e)
{
	static struct label got[BATCH_LABELS_MAX];
	uint32_t n;

	return b->labels(b, e, got, BATCH_LABELS_MAX, &n) == ST_BAD_PROTOBUF;
}

/* Moves past the series' points if the batch has them next. */
static bool
same_points(const struct batch *b, struct place *at,
    const struct plain_series *x)
{
	const struct batch_sample *s;
	struct place p = *at;
	size_t i;

	for (i = 0; i < x->n_samples; i++, p.samples++) {
		s = &b->samples[p.samples];
		if (p.samples >= b->n_samples || s->series != at->entries ||
		    s->ms != x->samples[i].ms ||
		    s->bits != x->samples[i].bits ||
		    (b->starts ? b->starts[p.samples] : 0) != x->starts[i])
			return false;
	}
	for (i = 0; i < x->n_histograms; i++) {
		if (batch_histogram_check(&x->histograms[i]) != ST_OK)
			continue;
		if (p.histograms >= b->n_histograms ||
		    b->histograms[p.histograms].series != at->entries ||
		    !same_histogram(&b->histograms[p.histograms],
		    &x->histograms[i]))
			return false;
		p.histograms++;
	}
	for (i = 0; i < x->n_exemplars; i++) {
		if (!x->exemplars[i].fine)
			continue;
		if (p.exemplars >= b->n_exemplars ||
		    b->exemplars[p.exemplars].series != at->entries ||
		    !same_exemplar(&b->exemplars[p.exemplars],
		    &x->exemplars[i].e))
			return false;
		p.exemplars++;
	}
	*at = p;
	return true;
}

/* How many of its points are sound, and how many not. */
static size_t
sound_points(const struct plain_series *x, uint64_t *refused)
{
	size_t i, n = x->n_samples;

	for (i = 0; i < x->n_histograms; i++) {
		if (batch_histogram_check(&x->histograms[i]) == ST_OK)
			n++;
		else
			(*refused)++;
	}
	for (i = 0; i < x->n_exemplars; i++) {
		if (x->exemplars[i].fine)
			n++;
		else
			(*refused)++;
	}
	return n;
}

static void
check_series(const struct batch *b, struct place *at, struct plain_series *x,
    uint64_t *refused)
{
	size_t points = sound_points(x, refused);
	const struct batch_entry *e;
	struct place from = *at;
	bool fine, metadata = x->has_metadata;

	if (metadata && !x->metadata_is_text) {
		metadata = false;
		(*refused)++;
	}
	if (points == 0 && !metadata)
		return;
	if (x->bare && !metadata) {
		*refused += points;
		return;
	}
	fine = fine_labels(x) && !x->bad_symbol;
	e = &b->entries[at->entries];
	if (x->odd_label && at->entries < b->n_entries && is_no_message(b, e))
		fine = false;
	if (at->entries == b->n_entries || !same_labels(b, e, x, fine) ||
	    !same_points(b, at, x)) {
		/* not entered at all: only what has no name */
		CHECK(!fine);
		*refused += points;
		*at = from;
		return;
	}
	if (e->metadata) {
		CHECK(e->metadata == ++at->metadata);
		CHECK(b->metadata[e->metadata - 1].series == at->entries);
		CHECK(x->bad_symbol || same_metadata(
		    &b->metadata[e->metadata - 1], &x->metadata));
	} else {
		CHECK(!metadata || x->bad_symbol);
	}
	at->entries++;
}

static void
check(const struct batch *b, struct plain *p)
{
	uint64_t refused = 0, counted = 0;
	struct place at = { 0 };
	struct batch_metadata *m;
	size_t i;

	for (i = 0; i < p->n_series; i++)
		check_series(b, &at, &p->series[i], &refused);
	for (i = 0; i < p->n_metadata; i++) {
		m = &p->metadata[i];
		if (!utf8_valid(m->family) || !utf8_valid(m->help) ||
		    !utf8_valid(m->unit)) {
			refused++;
		} else if (m->family.n > 0) {
			CHECK(at.metadata < b->n_metadata);
			CHECK(b->metadata[at.metadata].series == SERIES_NONE);
			CHECK(same_metadata(&b->metadata[at.metadata], m));
			at.metadata++;
		}
	}
	CHECK(at.entries == b->n_entries);
	CHECK(at.samples == b->n_samples);
	CHECK(at.histograms == b->n_histograms);
	CHECK(at.exemplars == b->n_exemplars);
	CHECK(at.metadata == b->n_metadata);
	for (i = 0; i < ST__N; i++)
		counted += b->refused[i];
	CHECK(counted == refused);
}

bool
reference_check(enum payload_proto proto, struct bytes body,
    const struct batch *scanned)
{
	struct plain p = { .arena = arena_new(SIZE_MAX, 0) };
	Prometheus__WriteRequest *v1 = NULL;
	v2_request *v2 = NULL;
	bool known;

	CHECK(p.arena != NULL);
	known = proto == PAYLOAD_V1 ? plain_v1(&p, body, &v1) :
	    plain_v2(&p, body, &v2);
	if (known)
		check(scanned, &p);
	prometheus__write_request__free_unpacked(v1, NULL);
	io__prometheus__write__v2__request__free_unpacked(v2, NULL);
	arena_free(&p.arena);
	return known;
}
