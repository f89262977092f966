/* codec_samples.c - series and times of samples, and their start timestamps.
 * SPDX-License-Identifier: Apache-2.0
 *
 * After their number, samples come in blocks of BLOCK_MAX, each with its series,
 * times and values in turn (in this order the states of its series are still near
 * when they are looked at again).
 *
 * Every series remembers which one followed it, and which one did before that
 * changed.  A record's series go along these links.
 *	how many samples: whether as many as in the last record, else a number
 *	where they start: after the end of the last record; or after which of the
 *	last few; or the difference from the first of these
 *	whether they go straight on to the next series whose link has changed
 *	once, or to the end of the block; else how far they do
 *	at such a series: whether they go on to the next one
 *	where not: on to the one before the change; past one series; back to where
 *	they did not go on the last time; or the difference from the link
 * A sender with several connections has each of them go through series of its
 * own; hence the list of ends, the latest first.
 *
 * Times have a seam where two neighbours had different times the last time: there,
 * how much it differs from what the interval of the series lets expect.  The first
 * sample of a block is at a seam, too (but expected to have the time of the one
 * before, if those two had one time before).  Up to the next seam all samples have
 * one time; if they do not, how many do is told with the seam, and a seam is made
 * there.  So a record without surprises tells one time for each scrape in it. */
#include "series/codec_priv.h"

#include <assert.h>
#include <string.h>

/* Bytes in any stream that a run, a seam, a start timestamp takes at most. */
#define RUN_ROOM 80

#define BLOCK_MAX 256			/* samples */

/* ---- state: what both ends do --------------------------------------------- */

void
refs_model_init(struct refs_model *m)
{
	memset(m, 0, sizeof(*m));
	guesses_init(&m->count_same, 1);
	guesses_init(m->end, ENDS_MAX);
	guesses_init(&m->straight, 1);
	guesses_init(&m->taken, 1);
	guesses_init(m->turn, TURN__N);
	m->left = SERIES_NONE;
	guesses_init(&m->foreseen, 1);
	guesses_init(&m->holds, 1);
}

void
starts_model_init(struct starts_model *m)
{
	memset(m, 0, sizeof(*m));
	guesses_init(m->same, 2);
	guesses_init(&m->neighbour, 1);
}

/* The series is followed by that one from now on. */
static void
learn_link(struct stream *s, uint32_t from, uint32_t to)
{
	struct series *series = stream_series(s, from);

	if (series->next == to)
		return;
	series->other = series->next;
	series->next = to;
}

/* Where series may go on from one instead of along its link; SERIES_NONE: this
 * is no such place. */
static uint32_t
turn_to(const struct stream *s, uint32_t from, unsigned turn)
{
	const struct series *series = stream_series(s, from);
	uint32_t to = SERIES_NONE;

	if (turn == TURN_OTHER)
		to = series->other;
	else if (turn == TURN_BACK)
		to = s->refs.left;
	else if (series->next < s->series.n)
		to = stream_series(s, series->next)->next;
	return to < s->series.n && to != series->next ? to : SERIES_NONE;
}

static void
learn_turn(struct stream *s, uint32_t from, uint32_t to)
{
	s->refs.left = stream_series(s, from)->next;
	learn_link(s, from, to);
}

/* The end of a record goes to the front of the list, in place of the one that
 * the record went on from, or of the oldest. */
static void
learn_end(struct stream *s, uint32_t which, uint32_t end)
{
	if (which >= s->n_ends) {
		if (s->n_ends < ENDS_MAX)
			s->n_ends++;
		which = s->n_ends - 1;
	}
	memmove(s->ends + 1, s->ends, which * sizeof(*s->ends));
	s->ends[0] = end;
}

/* Where a record starts that goes on from that end; 0 before the first. */
static uint32_t
after_end(const struct stream *s, uint32_t which)
{
	return which < s->n_ends ?
	    stream_series(s, s->ends[which])->next : 0;
}

/* The sample before. */
struct seam {
	int64_t ms;			/* its time */
	int64_t before;			/* the time that its series had before */
	bool first;			/* there is none */
};

/* Not yet, if both are 0. */
static inline bool
has_time(const struct series *series)
{
	return series->ms != 0 || series->step != 0;
}

static inline int64_t
time_foreseen(const struct stream *s, const struct seam *x,
    const struct series *series)
{
	if (!x->first && series->ms == x->before)
		return x->ms;
	if (!has_time(series))
		return s->last_ms;
	return wrap_add(series->ms, series->step ? series->step : s->last_step);
}

/* A series' first interval is not known: that of any other stands in. */
static inline void
learn_time(struct stream *s, struct seam *x, struct series *series, int64_t ms)
{
	x->ms = s->last_ms = ms;
	x->before = series->ms;
	x->first = false;
	if (has_time(series)) {
		series->step = (int32_t)(uint32_t)wrap_sub(ms, series->ms);
		s->last_step = series->step;
	}
	series->ms = ms;
}

/* ---- writing: series ------------------------------------------------------- */

/* Which end the record goes on from; ENDS_MAX: from none, which makes it follow
 * the first one from now on. */
static uint32_t
put_first(struct stream *s, struct record_writer *w, uint32_t start)
{
	uint32_t i;

	for (i = 0; i < s->n_ends; i++) {
		put_guess(w, &s->refs.end[i], after_end(s, i) == start);
		if (after_end(s, i) == start)
			return i;
	}
	put_integer(w, &s->refs.start, (int64_t)start - after_end(s, 0));
	if (s->n_ends)
		learn_link(s, s->ends[0], start);
	return ENDS_MAX;
}

/* Of n samples, how many follow the first one along links up to a series whose
 * link has changed once. */
static uint32_t
straight_on(const struct stream *s, const struct batch_sample *sample,
    uint32_t n)
{
	const struct series *series = stream_series(s, sample->series);
	uint32_t i = 0;

	while (i + 1 < n && series->other == SERIES_NONE &&
	    series->next == sample[i + 1].series) {
		i++;
		series = stream_series(s, sample[i].series);
	}
	return i;
}

static void
put_turn(struct stream *s, struct record_writer *w, uint32_t from, uint32_t to)
{
	uint32_t turn, there;

	for (turn = 0; turn < TURN__N; turn++) {
		there = turn_to(s, from, turn);
		if (there == SERIES_NONE)
			continue;
		put_guess(w, &s->refs.turn[turn], there == to);
		if (there == to)
			break;
	}
	if (turn == TURN__N)
		put_integer(w, &s->refs.start,
		    (int64_t)to - stream_series(s, from)->next);
	learn_turn(s, from, to);
}

/* From one sample on, along links; returns how many more are done. */
static uint32_t
put_way(struct stream *s, struct record_writer *w,
    const struct batch_sample *sample, uint32_t n)
{
	const struct series *series = stream_series(s, sample->series);
	uint32_t length;
	bool fine;

	if (series->other == SERIES_NONE) {
		length = straight_on(s, sample, n);
		series = stream_series(s, sample[length].series);
		fine = length + 1 == n || series->other != SERIES_NONE;
		put_guess(w, &s->refs.straight, fine);
		if (fine)
			return length;
		put_number(w, &s->refs.length, length);
	} else {
		length = 0;
		fine = series->next == sample[1].series;
		put_guess(w, &s->refs.taken, fine);
		if (fine)
			return 1;
	}
	put_turn(s, w, sample[length].series, sample[length + 1].series);
	return length + 1;
}

/* The series of a block, along from the sample before it. */
static bool
put_series(struct stream *s, struct record_writer *w,
    const struct batch_sample *sample, uint32_t n)
{
	uint32_t i;

	for (i = 0; i + 1 < n; i += put_way(s, w, sample + i, n - i)) {
		if (!record_room(w, RUN_ROOM))
			return false;
	}
	return true;
}

/* ---- writing: times -------------------------------------------------------- */

/* Samples of one time: from a seam to the next one, or to where the time
 * changes all the same. */
struct stretch {
	int64_t off;			/* from the time foreseen */
	uint32_t length;
	bool holds;			/* up to the next seam */
};

static bool
put_stretch(struct refs_model *m, struct record_writer *w,
    const struct stretch *x)
{
	if (!record_room(w, RUN_ROOM))
		return false;
	put_guess(w, &m->foreseen, x->off == 0);
	if (x->off)
		put_integer(w, &m->off, x->off);
	put_guess(w, &m->holds, x->holds);
	if (!x->holds)
		put_number(w, &m->changed, x->length);
	return true;
}

/* What is told at a seam is known at the next one only, when the series on the
 * way have their new times: it waits until then. */
static bool
put_times(struct stream *s, struct record_writer *w,
    const struct batch_sample *sample, uint32_t n, struct seam *x)
{
	struct stretch now = { 0, 0, true };
	struct series *series;
	bool seam, change;
	uint32_t i;

	for (i = 0; i < n; i++) {
		series = stream_series(s, sample[i].series);
		seam = i == 0 || series->ms != x->before;
		change = sample[i].ms != x->ms;
		if (seam || change) {
			now.holds = seam;
			if (i && !put_stretch(&s->refs, w, &now))
				return false;
			now.off = wrap_sub(sample[i].ms,
			    time_foreseen(s, x, series));
			now.length = 0;
		}
		now.length++;
		learn_time(s, x, series, sample[i].ms);
	}
	now.holds = true;
	return put_stretch(&s->refs, w, &now);
}

/* ---- writing: samples ------------------------------------------------------ */

static bool
put_count(struct refs_model *m, struct record_writer *w, uint32_t n)
{
	if (!record_room(w, RUN_ROOM))
		return false;
	put_guess(w, &m->count_same, n == m->last_count);
	if (n != m->last_count)
		put_number(w, &m->count, n);
	m->last_count = n;
	return true;
}

bool
put_samples(struct stream *s, struct record_writer *w, const struct batch *b,
    struct encoder_bits *bits)
{
	const struct batch_sample *sample = b->samples;
	struct seam x = { .first = true };
	uint64_t at = record_bits(w);
	uint32_t which, i, n;

	if (!put_count(&s->refs, w, b->n_samples))
		return false;
	which = put_first(s, w, sample[0].series);
	value_model_begin(&s->values);
	for (i = 0; i < b->n_samples; i += n) {
		n = b->n_samples - i;
		n = n < BLOCK_MAX ? n : BLOCK_MAX;
		if (!put_series(s, w, sample + i - (i > 0), n + (i > 0)) ||
		    !put_times(s, w, sample + i, n, &x))
			return false;
		account(w, &at, &bits->refs);
		if (!put_values(&s->values, w, &s->series, sample + i, n))
			return false;
		account(w, &at, &bits->values);
	}
	learn_end(s, which, sample[b->n_samples - 1].series);
	return true;
}

/* ---- reading --------------------------------------------------------------- */

static uint32_t
get_first(struct stream *s, struct record_reader *r, uint32_t *start)
{
	uint32_t i;
	int64_t id;

	for (i = 0; i < s->n_ends; i++) {
		*start = after_end(s, i);
		if (get_guess(r, &s->refs.end[i]))
			return i;
	}
	id = wrap_add(after_end(s, 0), get_integer(r, &s->refs.start));
	if (id < 0 || id >= s->series.n) {
		r->bad = true;
		return ENDS_MAX;
	}
	*start = (uint32_t)id;
	if (s->n_ends)
		learn_link(s, s->ends[0], *start);
	return ENDS_MAX;
}

/* Along the link: false if it leads nowhere. */
static bool
get_link(struct stream *s, struct batch_sample *sample)
{
	uint32_t id = stream_series(s, sample[0].series)->next;

	if (id >= s->series.n)
		return false;
	sample[1] = (struct batch_sample){ .series = id };
	return true;
}

static bool
get_turn(struct stream *s, struct record_reader *r, struct batch_sample *sample)
{
	uint32_t from = sample[0].series, turn;
	int64_t to = SERIES_NONE;

	for (turn = 0; turn < TURN__N; turn++) {
		to = turn_to(s, from, turn);
		if (to != SERIES_NONE && get_guess(r, &s->refs.turn[turn]))
			break;
	}
	if (turn == TURN__N)
		to = wrap_add(stream_series(s, from)->next,
		    get_integer(r, &s->refs.start));
	if (to < 0 || to >= s->series.n)
		return false;
	learn_turn(s, from, (uint32_t)to);
	sample[1] = (struct batch_sample){ .series = (uint32_t)to };
	return true;
}

/* Returns how many more samples have their series; 0: bad. */
static uint32_t
get_way(struct stream *s, struct record_reader *r, struct batch_sample *sample,
    uint32_t n)
{
	uint32_t length = n - 1, i;
	bool fine;

	if (stream_series(s, sample->series)->other != SERIES_NONE) {
		if (get_guess(r, &s->refs.taken))
			return get_link(s, sample);
		return get_turn(s, r, sample);
	}
	fine = get_guess(r, &s->refs.straight);
	if (!fine)
		length = get_number_below(r, &s->refs.length, n - 1);
	for (i = 0; i < length; i++) {
		if (stream_series(s, sample[i].series)->other != SERIES_NONE)
			return i;
		if (!get_link(s, sample + i))
			return 0;
	}
	if (fine)
		return length;
	return get_turn(s, r, sample + length) ? length + 1 : 0;
}

static void
get_series(struct stream *s, struct record_reader *r,
    struct batch_sample *sample, uint32_t n)
{
	uint32_t i, more;

	for (i = 0; i + 1 < n; i += more) {
		more = get_way(s, r, sample + i, n - i);
		if (more == 0 || r->bad) {
			r->bad = true;
			return;
		}
	}
}

static void
get_times(struct stream *s, struct record_reader *r,
    struct batch_sample *sample, uint32_t n, struct seam *x)
{
	uint32_t i, left = 0;
	struct series *series;
	int64_t ms = 0;

	for (i = 0; i < n; i++, left--) {
		series = stream_series(s, sample[i].series);
		if (left == 0 || series->ms != x->before) {
			ms = time_foreseen(s, x, series);
			if (!get_guess(r, &s->refs.foreseen))
				ms = wrap_add(ms,
				    get_integer(r, &s->refs.off));
			left = UINT32_MAX;
			if (!get_guess(r, &s->refs.holds))
				left = get_number_below(r, &s->refs.changed,
				    BLOCK_MAX);
			if (left == 0) {
				r->bad = true;
				return;
			}
		}
		sample[i].ms = ms;
		learn_time(s, x, series, ms);
	}
}

static void
get_block(struct stream *s, struct record_reader *r,
    struct batch_sample *sample, uint32_t n, bool first, struct seam *x)
{
	if (first)
		get_series(s, r, sample, n);
	else
		get_series(s, r, sample - 1, n + 1);
	if (!r->bad)
		get_times(s, r, sample, n, x);
	if (!r->bad)
		get_values(&s->values, r, &s->series, sample, n);
	r->bad = r->bad || record_overrun(r);
}

enum status
get_samples(struct stream *s, struct record_reader *r, struct batch *b)
{
	uint32_t n = s->refs.last_count, start = 0, which, i, part;
	struct seam x = { .first = true };
	struct batch_sample *sample;

	if (!get_guess(r, &s->refs.count_same))
		n = get_number_below(r, &s->refs.count, SAMPLES_MAX + 1);
	which = get_first(s, r, &start);
	if (r->bad || n == 0 || start >= s->series.n)
		return ST_BAD_RECORD;
	s->refs.last_count = n;
	sample = arena_take_array(b->arena, n, sizeof(*sample));
	if (!sample)
		return ST_NO_MEMORY;
	sample[0] = (struct batch_sample){ .series = start };
	value_model_begin(&s->values);
	for (i = 0; i < n && !r->bad; i += part) {
		part = n - i < BLOCK_MAX ? n - i : BLOCK_MAX;
		get_block(s, r, sample + i, part, i == 0, &x);
	}
	if (r->bad)
		return ST_BAD_RECORD;
	learn_end(s, which, sample[n - 1].series);
	b->samples = sample;
	b->n_samples = n;
	return ST_OK;
}

/* ---- start timestamps ------------------------------------------------------- */

/* Whether it is the series' last one; else whether it is that of the sample
 * before; else how long before the sample. */

static int64_t *
start_of(const struct stream *s, uint32_t series)
{
	return table_at(&s->starts, sizeof(int64_t), series);
}

bool
put_starts(struct stream *s, struct record_writer *w, const struct batch *b)
{
	struct starts_model *m = &s->start;
	int64_t *start, neighbour = 0;
	bool same = true;
	uint32_t i;

	if (!table_grow(&s->starts, sizeof(*start), s->series.n))
		return false;
	for (i = 0; i < b->n_samples; i++) {
		if (!record_room(w, RUN_ROOM))
			return false;
		start = start_of(s, b->samples[i].series);
		put_guess(w, &m->same[same], b->starts[i] == *start);
		same = b->starts[i] == *start;
		if (!same) {
			put_guess(w, &m->neighbour, b->starts[i] == neighbour);
			if (b->starts[i] != neighbour)
				put_integer(w, &m->since, wrap_sub(
				    b->samples[i].ms, b->starts[i]));
		}
		neighbour = *start = b->starts[i];
	}
	return true;
}

enum status
get_starts(struct stream *s, struct record_reader *r, struct batch *b)
{
	struct starts_model *m = &s->start;
	int64_t *start, neighbour = 0;
	bool same = true;
	uint32_t i;

	b->starts = arena_take_array(b->arena, b->n_samples,
	    sizeof(*b->starts));
	if (!b->starts ||
	    !table_grow(&s->starts, sizeof(*start), s->series.n))
		return ST_NO_MEMORY;
	for (i = 0; i < b->n_samples; i++) {
		start = start_of(s, b->samples[i].series);
		same = get_guess(r, &m->same[same]);
		if (!same)
			*start = get_guess(r, &m->neighbour) ? neighbour :
			    wrap_sub(b->samples[i].ms,
			    get_integer(r, &m->since));
		neighbour = b->starts[i] = *start;
	}
	return ST_OK;
}
