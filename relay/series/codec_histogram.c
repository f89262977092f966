/* codec_histogram.c - native histograms, as changes from the last one of their
 * series.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A count, and for each histogram
 *	its series: the one that followed the last histogram's, or a difference
 *	its time: that of the histogram before, or of that series' own interval,
 *	if they had one time before; or a difference
 *	its start timestamp: the last one, or how long ago
 *	its head: as before, or schema, flags, hint, threshold, custom values
 *	its spans: as before, or counts, offsets, lengths
 *	the count of zeros; the buckets; the count of all; the sum
 * Buckets of integer histograms are made absolute first.  A count is a change
 * from that of the same bucket, wherever that was among the last spans; of a
 * float histogram it is the same bits, or a whole number, or any bits.  The sum
 * is written as the value of a sample (codec_value.c).
 *
 * Both ends forget what would take too much memory: a histogram of more numbers
 * than NUMBERS_MAX, or beyond the TOTAL_MAX of all series.                  */
#include "series/codec_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NUMBERS_MAX 4096
#define TOTAL_MAX (UINT64_C(1) << 20)

/* Bytes in any stream that a number of a histogram takes at most. */
#define NUMBER_ROOM 64

enum { FLAG_FLOAT = 1, FLAG_ZERO_COUNT = 2 };
enum { FLAG_BITS = 2, HINT_BITS = 8, SCHEMA_BITS = 32 };
enum { NEGATIVE, POSITIVE, SIGN__N };

/* A series' last histogram. */
struct last_histogram {
	struct batch_histogram h;	/* arrays owned, in one piece with this;
					   buckets absolute */
	int64_t step;			/* between the last two */
	uint32_t next;			/* series that came after it */
	uint64_t numbers;		/* in the arrays */
	struct series sum;
};

/* ---- state: what both ends do --------------------------------------------- */

void
histogram_model_init(struct histogram_model *m)
{
	memset(m, 0, sizeof(*m));
	guesses_init(&m->series_next, 1);
	guesses_init(&m->time_foreseen, 1);
	guesses_init(&m->start_same, 1);
	guesses_init(&m->head_same, 1);
	guesses_init(&m->spans_same, 1);
	guesses_init(&m->buckets_foreseen, 1);
	guesses_init(m->bucket_same, 4);
	guesses_init(&m->bucket_up, 1);
	guesses_init(&m->zeros_same, 1);
	guesses_init(&m->count_foreseen, 1);
	guesses_init(&m->whole, 1);
	value_model_init(&m->sums);
	m->last_series = SERIES_NONE;
}

static struct last_histogram **
last_of(const struct stream *s, uint32_t series)
{
	return table_at(&s->last, sizeof(struct last_histogram *), series);
}

void
histograms_fini(struct stream *s)
{
	uint32_t i;

	for (i = 0; i < s->last.n; i++)
		free(*last_of(s, i));
	table_fini(&s->last);
}

static uint64_t
numbers_of(const struct batch_histogram *h)
{
	return (uint64_t)h->n_custom + h->negative.n_spans +
	    h->negative.n_buckets + h->positive.n_spans +
	    h->positive.n_buckets;
}

static struct batch_buckets *
side(struct batch_histogram *h, unsigned sign)
{
	return sign == NEGATIVE ? &h->negative : &h->positive;
}

static const struct batch_buckets *
side_of(const struct batch_histogram *h, unsigned sign)
{
	return sign == NEGATIVE ? &h->negative : &h->positive;
}

static bool
same_spans(const struct batch_buckets *a, const struct batch_buckets *b)
{
	return a->n_spans == b->n_spans && a->n_buckets == b->n_buckets &&
	    (a->n_spans == 0 ||
	    memcmp(a->spans, b->spans, a->n_spans * sizeof(*a->spans)) == 0);
}

static uint64_t
spans_sum(const struct batch_buckets *b)
{
	uint64_t n = 0;
	uint32_t i;

	for (i = 0; i < b->n_spans; i++)
		n += b->spans[i].length;
	return n;
}

/* Goes through buckets by their index on the axis. */
struct walk {
	const struct batch_buckets *b;
	uint32_t span, in_span, at;
	int64_t index;
};

static void
walk_on(struct walk *w)
{
	while (w->span < w->b->n_spans &&
	    w->in_span == w->b->spans[w->span].length) {
		w->in_span = 0;
		w->span++;
		if (w->span < w->b->n_spans)
			w->index += w->b->spans[w->span].offset;
	}
}

static struct walk
walk_from(const struct batch_buckets *b)
{
	struct walk w = { .b = b };

	if (b->n_spans)
		w.index = b->spans[0].offset;
	walk_on(&w);
	return w;
}

static void
walk_next(struct walk *w)
{
	w->at++;
	w->in_span++;
	w->index++;
	walk_on(w);
}

/* What the buckets had before, wherever they were; 0 for new ones.  Spans that
 * do not cover the buckets, or go backwards, have no such order: then all 0. */
static void
counts_before(const struct batch_buckets *last, const struct batch_buckets *now,
    uint64_t *to)
{
	struct walk old = walk_from(last), w = walk_from(now);

	memset(to, 0, now->n_buckets * sizeof(*to));
	if (spans_sum(last) != last->n_buckets ||
	    spans_sum(now) != now->n_buckets)
		return;
	for (; w.at < now->n_buckets; walk_next(&w)) {
		while (old.at < last->n_buckets && old.index < w.index)
			walk_next(&old);
		if (old.at < last->n_buckets && old.index == w.index)
			to[w.at] = last->buckets[old.at];
	}
}

/* For a histogram that has its spans: the counts to compare its own with.
 * NULL when out of memory. */
static uint64_t *
make_before(const struct last_histogram *last, const struct batch_histogram *h)
{
	uint64_t *before = calloc((size_t)h->negative.n_buckets +
	    h->positive.n_buckets + 1, sizeof(*before));

	if (!before || !last || last->h.is_float != h->is_float)
		return before;
	counts_before(&last->h.negative, &h->negative, before);
	counts_before(&last->h.positive, &h->positive,
	    before + h->negative.n_buckets);
	return before;
}

static void *
place(uint64_t **room, const void *from, uint64_t n, size_t size)
{
	void *to = *room;

	if (n)
		memcpy(to, from, n * size);
	*room += n;
	return to;
}

static void
make_absolute(struct batch_buckets *b)
{
	uint32_t i;

	for (i = 1; i < b->n_buckets; i++)
		b->buckets[i] += b->buckets[i - 1];
}

_Static_assert(sizeof(struct batch_span) == sizeof(uint64_t),
    "spans are numbers of the arrays, too");

static void
forget(struct stream *s, struct last_histogram **at)
{
	if (!*at)
		return;
	s->histograms.n_kept--;
	s->histograms.numbers -= (*at)->numbers;
	free(*at);
	*at = NULL;
}

/* The histogram is its series' last one.  False: out of memory. */
static bool
remember(struct stream *s, const struct batch_histogram *h,
    const struct series *sum, int64_t step)
{
	struct histogram_model *m = &s->histograms;
	struct last_histogram **at = last_of(s, h->series), *last;
	uint64_t n = numbers_of(h), *room;
	uint64_t others = m->numbers - (*at ? (*at)->numbers : 0);
	uint32_t next = *at ? (*at)->next : SERIES_NONE;

	if (n > NUMBERS_MAX || others + n > TOTAL_MAX) {
		forget(s, at);
		return true;
	}
	last = *at;
	if (!last || last->numbers != n) {
		last = malloc(sizeof(*last) + n * sizeof(*room));
		if (!last)
			return false;
		forget(s, at);
		*at = last;
		m->n_kept++;
		m->numbers += n;
	}
	*last = (struct last_histogram){ .h = *h, .step = step, .next = next,
		.numbers = n, .sum = *sum };
	room = (uint64_t *)(last + 1);
	last->h.custom_bits = place(&room, h->custom_bits, h->n_custom, 8);
	last->h.negative.spans = place(&room, h->negative.spans,
	    h->negative.n_spans, 8);
	last->h.negative.buckets = place(&room, h->negative.buckets,
	    h->negative.n_buckets, 8);
	last->h.positive.spans = place(&room, h->positive.spans,
	    h->positive.n_spans, 8);
	last->h.positive.buckets = place(&room, h->positive.buckets,
	    h->positive.n_buckets, 8);
	if (!h->is_float) {
		make_absolute(&last->h.negative);
		make_absolute(&last->h.positive);
	}
	return true;
}

size_t
histograms_size(const struct stream *s)
{
	return table_size(&s->last, sizeof(struct last_histogram *)) +
	    s->histograms.n_kept * sizeof(struct last_histogram) +
	    s->histograms.numbers * sizeof(uint64_t);
}

static uint32_t
series_foreseen(const struct stream *s)
{
	uint32_t series = s->histograms.last_series;

	if (series >= s->last.n || !*last_of(s, series) ||
	    (*last_of(s, series))->next == SERIES_NONE)
		return series + 1;	/* 0 after SERIES_NONE */
	return (*last_of(s, series))->next;
}

static void
learn_series(struct stream *s, uint32_t series)
{
	uint32_t from = s->histograms.last_series;

	if (from < s->last.n && *last_of(s, from))
		(*last_of(s, from))->next = series;
	s->histograms.last_series = series;
}

/* What is foreseen of the next histogram, from its series and from the one
 * before it in the record. */
struct histogram_seam {
	int64_t ms;			/* of the one before */
	int64_t before;			/* that its series had before */
	bool first;
};

static int64_t
time_foreseen(const struct histogram_seam *x, const struct last_histogram *last)
{
	if (!last || (!x->first && last->h.ms == x->before))
		return x->ms;
	return wrap_add(last->h.ms, last->step);
}

static void
learn_time(struct histogram_seam *x, const struct last_histogram *last,
    int64_t ms, int64_t *step)
{
	*step = last ? wrap_sub(ms, last->h.ms) : 0;
	x->before = last ? last->h.ms : 0;
	x->ms = ms;
	x->first = false;
}

static struct series
sum_of(const struct last_histogram *last)
{
	return last ? last->sum : (struct series){ .mode = MODE_NONE, .m = -1 };
}

/* ---- writing --------------------------------------------------------------- */

static bool
same_head(const struct batch_histogram *a, const struct batch_histogram *b)
{
	return a->schema == b->schema && a->is_float == b->is_float &&
	    a->has_zero_count == b->has_zero_count &&
	    a->reset_hint == b->reset_hint &&
	    a->zero_threshold_bits == b->zero_threshold_bits &&
	    a->n_custom == b->n_custom && (a->n_custom == 0 ||
	    memcmp(a->custom_bits, b->custom_bits, a->n_custom * 8) == 0);
}

static bool
put_head(struct histogram_model *m, struct record_writer *w,
    const struct batch_histogram *h, const struct last_histogram *last)
{
	bool same = last && same_head(h, &last->h);
	uint32_t i;

	if (last)
		put_guess(w, &m->head_same, same);
	if (same)
		return true;
	put_bits(w, (h->is_float ? FLAG_FLOAT : 0) |
	    (h->has_zero_count ? FLAG_ZERO_COUNT : 0), FLAG_BITS);
	put_bits(w, h->reset_hint, HINT_BITS);
	put_bits(w, (uint32_t)h->schema, SCHEMA_BITS);
	put_bits(w, h->zero_threshold_bits, 64);
	put_number(w, &m->n_custom, h->n_custom);
	for (i = 0; i < h->n_custom; i++) {
		if (!record_room(w, NUMBER_ROOM))
			return false;
		put_bits(w, h->custom_bits[i], 64);
	}
	return true;
}

static bool
put_spans(struct histogram_model *m, struct record_writer *w,
    const struct batch_buckets *b)
{
	uint32_t i;

	if (!record_room(w, NUMBER_ROOM))
		return false;
	put_number(w, &m->n_spans, b->n_spans);
	for (i = 0; i < b->n_spans; i++) {
		if (!record_room(w, NUMBER_ROOM))
			return false;
		put_integer(w, &m->span_offset, b->spans[i].offset);
		put_number(w, &m->span_length, b->spans[i].length);
	}
	put_guess(w, &m->buckets_foreseen, b->n_buckets == spans_sum(b));
	if (b->n_buckets != spans_sum(b))
		put_number(w, &m->n_buckets, b->n_buckets);
	return true;
}

static bool
put_layout(struct histogram_model *m, struct record_writer *w,
    const struct batch_histogram *h, const struct last_histogram *last)
{
	bool same = last && same_spans(&h->negative, &last->h.negative) &&
	    same_spans(&h->positive, &last->h.positive);

	if (last)
		put_guess(w, &m->spans_same, same);
	return same || (put_spans(m, w, &h->negative) &&
	    put_spans(m, w, &h->positive));
}

/* The bits of a float count that is not what it was. */
static void
put_float(struct histogram_model *m, struct record_writer *w, uint64_t bits)
{
	double v = double_of(bits);
	bool whole = v >= 0 && v < (double)WHOLE_MAX &&
	    bits_of((double)(uint64_t)v) == bits;

	put_guess(w, &m->whole, whole);
	if (whole)
		put_number(w, &m->whole_count, (uint64_t)v);
	else
		put_bits(w, bits, 64);
}

/* A bucket, of which what it had before is known. */
static void
put_bucket(struct histogram_model *m, struct record_writer *w, bool is_float,
    uint64_t count, uint64_t before, unsigned *recent)
{
	bool same = count == before, up;
	int64_t change = (int64_t)(count - before);

	put_guess(w, &m->bucket_same[*recent], same);
	*recent = (*recent << 1 | !same) & 3;
	if (same)
		return;
	if (is_float) {
		put_float(m, w, count);
		return;
	}
	up = change > 0;
	put_guess(w, &m->bucket_up, up);
	put_number(w, &m->bucket[up], magnitude(change) - 1);
}

static bool
put_buckets(struct histogram_model *m, struct record_writer *w, bool is_float,
    const struct batch_buckets *b, const uint64_t *before, uint64_t *more)
{
	unsigned recent = 0;
	uint64_t count = 0;
	uint32_t i;

	for (i = 0; i < b->n_buckets; i++) {
		if (!record_room(w, NUMBER_ROOM))
			return false;
		count = is_float ? b->buckets[i] : count + b->buckets[i];
		put_bucket(m, w, is_float, count, before[i], &recent);
		*more += count - before[i];
	}
	return true;
}

/* A count that is foreseen as well as can be. */
static void
put_tally(struct histogram_model *m, struct record_writer *w, bool is_float,
    struct guess *same, uint64_t count, uint64_t foreseen)
{
	put_guess(w, same, count == foreseen);
	if (count == foreseen)
		return;
	if (is_float)
		put_float(m, w, count);
	else
		put_integer(w, &m->tally, (int64_t)(count - foreseen));
}

static bool
put_counts(struct histogram_model *m, struct record_writer *w,
    const struct batch_histogram *h, const struct last_histogram *last)
{
	uint64_t count = last && last->h.is_float == h->is_float ?
	    last->h.count : 0;
	uint64_t zeros = last && last->h.is_float == h->is_float ?
	    last->h.zero_count : 0;
	uint64_t more = h->zero_count - zeros, *before = make_before(last, h);
	bool fine = before && record_room(w, NUMBER_ROOM);

	if (fine) {
		put_tally(m, w, h->is_float, &m->zeros_same, h->zero_count,
		    zeros);
		fine = put_buckets(m, w, h->is_float, &h->negative, before,
		    &more) && put_buckets(m, w, h->is_float, &h->positive,
		    before + h->negative.n_buckets, &more) &&
		    record_room(w, NUMBER_ROOM);
	}
	if (fine)
		put_tally(m, w, h->is_float, &m->count_foreseen, h->count,
		    h->is_float ? count : count + more);
	free(before);
	return fine;
}

static bool
put_histogram(struct stream *s, struct record_writer *w,
    const struct batch_histogram *h, struct histogram_seam *x)
{
	struct histogram_model *m = &s->histograms;
	const struct last_histogram *last = *last_of(s, h->series);
	uint32_t series = series_foreseen(s);
	struct series sum = sum_of(last);
	int64_t ms = time_foreseen(x, last), step;

	if (!record_room(w, 2 * NUMBER_ROOM))
		return false;
	put_guess(w, &m->series_next, h->series == series);
	if (h->series != series)
		put_integer(w, &m->series, (int64_t)h->series - series);
	put_guess(w, &m->time_foreseen, h->ms == ms);
	if (h->ms != ms)
		put_integer(w, &m->off, wrap_sub(h->ms, ms));
	put_guess(w, &m->start_same,
	    h->start_ms == (last ? last->h.start_ms : 0));
	if (h->start_ms != (last ? last->h.start_ms : 0))
		put_integer(w, &m->since, wrap_sub(h->ms, h->start_ms));
	if (!put_head(m, w, h, last) || !put_layout(m, w, h, last) ||
	    !put_counts(m, w, h, last) ||
	    !put_value(&m->sums, w, &s->series, &sum, h->sum_bits))
		return false;
	learn_time(x, last, h->ms, &step);
	learn_series(s, h->series);
	return remember(s, h, &sum, step);
}

bool
put_histograms(struct stream *s, struct record_writer *w,
    const struct batch *b)
{
	struct histogram_seam x = { .ms = s->last_ms, .first = true };
	uint32_t i;

	if (!record_room(w, NUMBER_ROOM) || !table_grow(&s->last,
	    sizeof(struct last_histogram *), s->series.n))
		return false;
	put_number(w, &s->histograms.count, b->n_histograms);
	value_model_begin(&s->histograms.sums);
	for (i = 0; i < b->n_histograms; i++) {
		if (!put_histogram(s, w, &b->histograms[i], &x))
			return false;
	}
	return true;
}

/* ---- reading --------------------------------------------------------------- */

static void
get_head(struct histogram_model *m, struct record_reader *r, struct arena *a,
    struct batch_histogram *h, const struct last_histogram *last)
{
	unsigned flags;
	uint32_t i;

	if (last && get_guess(r, &m->head_same)) {
		h->schema = last->h.schema;
		h->is_float = last->h.is_float;
		h->has_zero_count = last->h.has_zero_count;
		h->reset_hint = last->h.reset_hint;
		h->zero_threshold_bits = last->h.zero_threshold_bits;
		h->n_custom = last->h.n_custom;
		h->custom_bits = arena_copy(a, last->h.custom_bits,
		    h->n_custom * sizeof(uint64_t));
		return;
	}
	flags = (unsigned)get_bits(r, FLAG_BITS);
	h->is_float = flags & FLAG_FLOAT;
	h->has_zero_count = flags & FLAG_ZERO_COUNT;
	h->reset_hint = (uint8_t)get_bits(r, HINT_BITS);
	h->schema = (int32_t)(uint32_t)get_bits(r, SCHEMA_BITS);
	h->zero_threshold_bits = get_bits(r, 64);
	/* eight bytes each */
	h->n_custom = get_number_below(r, &m->n_custom,
	    record_left(r) / 8 + 1);
	h->custom_bits = arena_take_array(a, h->n_custom, sizeof(uint64_t));
	for (i = 0; i < h->n_custom && h->custom_bits; i++)
		h->custom_bits[i] = get_bits(r, 64);
}

static void
get_spans(struct histogram_model *m, struct record_reader *r, struct arena *a,
    struct batch_buckets *b)
{
	uint64_t sum, length;
	int64_t offset;
	uint32_t i;

	b->n_spans = get_number_below(r, &m->n_spans, BUCKETS_MAX + 1);
	b->spans = arena_take_array(a, b->n_spans, sizeof(*b->spans));
	for (i = 0; i < b->n_spans && b->spans; i++) {
		offset = get_integer(r, &m->span_offset);
		length = get_number(r, &m->span_length);
		if (offset != (int32_t)offset || length > UINT32_MAX)
			r->bad = true;
		b->spans[i] = (struct batch_span){ (int32_t)offset,
			(uint32_t)length };
	}
	if (!b->spans)
		return;
	sum = spans_sum(b);
	if (!get_guess(r, &m->buckets_foreseen))
		sum = get_number(r, &m->n_buckets);
	if (sum > BUCKETS_MAX) {
		r->bad = true;
		sum = 0;
	}
	b->n_buckets = (uint32_t)sum;
}

static void
get_layout(struct histogram_model *m, struct record_reader *r, struct arena *a,
    struct batch_histogram *h, const struct last_histogram *last)
{
	const struct batch_buckets *like;
	struct batch_buckets *b;
	unsigned sign;

	if (!last || !get_guess(r, &m->spans_same)) {
		get_spans(m, r, a, &h->negative);
		get_spans(m, r, a, &h->positive);
		return;
	}
	for (sign = 0; sign < SIGN__N; sign++) {
		b = side(h, sign);
		like = side_of(&last->h, sign);
		b->n_spans = like->n_spans;
		b->n_buckets = like->n_buckets;
		b->spans = arena_copy(a, like->spans,
		    like->n_spans * sizeof(*b->spans));
	}
}

static uint64_t
get_float(struct histogram_model *m, struct record_reader *r)
{
	if (get_guess(r, &m->whole))
		return bits_of((double)get_number(r, &m->whole_count));
	return get_bits(r, 64);
}

static uint64_t
get_bucket(struct histogram_model *m, struct record_reader *r, bool is_float,
    uint64_t before, unsigned *recent)
{
	bool same = get_guess(r, &m->bucket_same[*recent]), up;
	uint64_t change;

	*recent = (*recent << 1 | !same) & 3;
	if (same)
		return before;
	if (is_float)
		return get_float(m, r);
	up = get_guess(r, &m->bucket_up);
	change = get_number(r, &m->bucket[up]) + 1;
	return up ? before + change : before - change;
}

static bool
get_buckets(struct histogram_model *m, struct record_reader *r, struct arena *a,
    bool is_float, struct batch_buckets *b, const uint64_t *before,
    uint64_t *more)
{
	uint64_t count, last = 0;
	unsigned recent = 0;
	uint32_t i;

	b->buckets = arena_take_array(a, b->n_buckets, sizeof(*b->buckets));
	if (!b->buckets)
		return false;
	for (i = 0; i < b->n_buckets; i++) {
		count = get_bucket(m, r, is_float, before[i], &recent);
		*more += count - before[i];
		b->buckets[i] = is_float ? count : count - last;
		last = count;
	}
	return true;
}

static uint64_t
get_tally(struct histogram_model *m, struct record_reader *r, bool is_float,
    struct guess *same, uint64_t foreseen)
{
	if (get_guess(r, same))
		return foreseen;
	return is_float ? get_float(m, r) :
	    foreseen + (uint64_t)get_integer(r, &m->tally);
}

static bool
get_counts(struct histogram_model *m, struct record_reader *r, struct arena *a,
    struct batch_histogram *h, const struct last_histogram *last)
{
	uint64_t count = last && last->h.is_float == h->is_float ?
	    last->h.count : 0;
	uint64_t zeros = last && last->h.is_float == h->is_float ?
	    last->h.zero_count : 0;
	uint64_t *before = make_before(last, h), more;
	bool fine;

	if (!before)
		return false;
	h->zero_count = get_tally(m, r, h->is_float, &m->zeros_same, zeros);
	more = h->zero_count - zeros;
	fine = get_buckets(m, r, a, h->is_float, &h->negative, before,
	    &more) && get_buckets(m, r, a, h->is_float, &h->positive,
	    before + h->negative.n_buckets, &more);
	h->count = get_tally(m, r, h->is_float, &m->count_foreseen,
	    h->is_float ? count : count + more);
	free(before);
	return fine;
}

static enum status
get_histogram(struct stream *s, struct record_reader *r, struct arena *a,
    struct batch_histogram *h, struct histogram_seam *x)
{
	struct histogram_model *m = &s->histograms;
	int64_t series = series_foreseen(s), step;
	const struct last_histogram *last;
	struct series sum;

	*h = (struct batch_histogram){ 0 };
	if (!get_guess(r, &m->series_next))
		series = wrap_add(series, get_integer(r, &m->series));
	if (series < 0 || series >= s->series.n)
		return ST_BAD_RECORD;
	h->series = (uint32_t)series;
	last = *last_of(s, h->series);
	sum = sum_of(last);
	h->ms = time_foreseen(x, last);
	if (!get_guess(r, &m->time_foreseen))
		h->ms = wrap_add(h->ms, get_integer(r, &m->off));
	h->start_ms = last ? last->h.start_ms : 0;
	if (!get_guess(r, &m->start_same))
		h->start_ms = wrap_sub(h->ms, get_integer(r, &m->since));
	get_head(m, r, a, h, last);
	if (!r->bad)
		get_layout(m, r, a, h, last);
	if (r->bad)
		return ST_BAD_RECORD;
	if (arena_failed(a) || !get_counts(m, r, a, h, last))
		return ST_NO_MEMORY;
	h->sum_bits = get_value(&m->sums, r, &s->series, &sum);
	if (r->bad)
		return ST_BAD_RECORD;
	learn_time(x, last, h->ms, &step);
	learn_series(s, h->series);
	return remember(s, h, &sum, step) ? ST_OK : ST_NO_MEMORY;
}

enum status
get_histograms(struct stream *s, struct record_reader *r, struct batch *b)
{
	struct histogram_seam x = { .ms = s->last_ms, .first = true };
	uint32_t n = get_number_below(r, &s->histograms.count,
	    OTHERS_MAX + 1), i;
	enum status st = ST_OK;

	b->histograms = arena_take_array(b->arena, n, sizeof(*b->histograms));
	if (!b->histograms || !table_grow(&s->last,
	    sizeof(struct last_histogram *), s->series.n))
		return ST_NO_MEMORY;
	value_model_begin(&s->histograms.sums);
	for (i = 0; i < n && st == ST_OK; i++)
		st = get_histogram(s, r, b->arena, &b->histograms[i], &x);
	b->n_histograms = n;
	return st;
}
