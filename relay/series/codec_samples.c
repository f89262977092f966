/* codec_samples.c - series and times of samples, and their start timestamps.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Every series remembers which one followed it, and a record's series are runs
 * along these links.
 *	how many samples: whether as many as in the last record, else a number
 *	where the first run starts: after the end of the last record; or after
 *	which of the last few; or the difference from the first of these
 *	where any other run starts: the difference from where the link led
 *	how long a run is: whether it is the rest, else a number
 * A sender with several connections has each of them go through series of its
 * own; hence the list of ends, the latest first.
 *
 * Times have a seam where two neighbours had different times the last time, and
 * at the beginning: there, how much it differs from what the interval of the
 * series lets expect.  Up to the next seam all samples have one time; if they do
 * not, where the next one begins is told with the seam, and a seam is made there.
 * So a record without surprises is one run, with a seam for each scrape in it. */
#include "series/codec_priv.h"

#include <assert.h>
#include <string.h>

/* Bytes in any stream that a run, a seam, a start timestamp takes at most. */
#define RUN_ROOM 80

/* ---- state: what both ends do --------------------------------------------- */

void
refs_model_init(struct refs_model *m)
{
	memset(m, 0, sizeof(*m));
	guesses_init(&m->count_same, 1);
	guesses_init(m->end, ENDS_MAX);
	guesses_init(&m->rest, 1);
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

/* The series is followed by that one. */
static void
learn_link(struct stream *s, uint32_t from, uint32_t to)
{
	if (from < s->series.n)
		stream_series(s, from)->next = to;
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

static int64_t
time_foreseen(const struct stream *s, const struct series *series)
{
	return series->mode == MODE_NONE ? s->last_ms :
	    wrap_add(series->ms, series->step);
}

static inline void
learn_time(struct series *series, int64_t ms)
{
	series->step = (int32_t)(uint32_t)wrap_sub(ms, series->ms);
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

/* Of n samples, how many the run takes that begins with the first one. */
static uint32_t
run_length(const struct stream *s, const struct batch_sample *sample,
    uint32_t n)
{
	uint32_t i = 1;

	while (i < n && stream_series(s, sample[i - 1].series)->next ==
	    sample[i].series)
		i++;
	return i;
}

static uint32_t
put_run(struct stream *s, struct record_writer *w,
    const struct batch_sample *sample, uint32_t n)
{
	uint32_t length = run_length(s, sample, n);

	put_guess(w, &s->refs.rest, length == n);
	if (length != n)
		put_number(w, &s->refs.length, length);
	return length;
}

static bool
put_series(struct stream *s, struct record_writer *w,
    const struct batch_sample *sample, uint32_t n)
{
	uint32_t which, i, link;

	if (!record_room(w, RUN_ROOM))
		return false;
	put_guess(w, &s->refs.count_same, n == s->refs.last_count);
	if (n != s->refs.last_count)
		put_number(w, &s->refs.count, n);
	s->refs.last_count = n;
	which = put_first(s, w, sample->series);
	for (i = put_run(s, w, sample, n); i < n;
	    i += put_run(s, w, sample + i, n - i)) {
		if (!record_room(w, RUN_ROOM))
			return false;
		link = stream_series(s, sample[i - 1].series)->next;
		put_integer(w, &s->refs.start,
		    (int64_t)sample[i].series - link);
		learn_link(s, sample[i - 1].series, sample[i].series);
	}
	learn_end(s, which, sample[n - 1].series);
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
		put_number(w, &m->length, x->length);
	return true;
}

/* What is told at a seam is known at the next one only, when the series on the
 * way have their new times: it waits until then. */
static bool
put_times(struct stream *s, struct record_writer *w,
    const struct batch_sample *sample, uint32_t n)
{
	struct stretch now = { 0, 0, true };
	struct series *series;
	int64_t before = 0;
	bool seam, change;
	uint32_t i;

	for (i = 0; i < n; i++) {
		series = stream_series(s, sample[i].series);
		seam = i == 0 || series->ms != before;
		change = i && sample[i].ms != sample[i - 1].ms;
		if (seam || change) {
			now.holds = seam;
			if (i && !put_stretch(&s->refs, w, &now))
				return false;
			now.off = wrap_sub(sample[i].ms,
			    time_foreseen(s, series));
			now.length = 0;
		}
		now.length++;
		before = series->ms;
		s->last_ms = sample[i].ms;
		learn_time(series, sample[i].ms);
	}
	now.holds = true;
	return put_stretch(&s->refs, w, &now);
}

bool
put_refs(struct stream *s, struct record_writer *w, const struct batch *b)
{
	return put_series(s, w, b->samples, b->n_samples) &&
	    put_times(s, w, b->samples, b->n_samples);
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

static uint32_t
get_run(struct stream *s, struct record_reader *r,
    struct batch_sample *sample, uint32_t id, uint32_t n)
{
	uint32_t length = n, i;

	if (!get_guess(r, &s->refs.rest))
		length = get_number_below(r, &s->refs.length, n);
	if (length == 0)
		r->bad = true;
	for (i = 0; i < length; i++) {
		if (id >= s->series.n) {
			r->bad = true;
			return length;
		}
		sample[i] = (struct batch_sample){ .series = id };
		id = stream_series(s, id)->next;
	}
	return length;
}

static void
get_series(struct stream *s, struct record_reader *r,
    struct batch_sample *sample, uint32_t n)
{
	uint32_t start = 0, which, i;
	int64_t id;

	which = get_first(s, r, &start);
	for (i = get_run(s, r, sample, start, n); i < n && !r->bad;
	    i += get_run(s, r, sample + i, start, n - i)) {
		id = stream_series(s, sample[i - 1].series)->next;
		id = wrap_add(id, get_integer(r, &s->refs.start));
		if (id < 0 || id >= s->series.n) {
			r->bad = true;
			return;
		}
		start = (uint32_t)id;
		learn_link(s, sample[i - 1].series, start);
	}
	if (!r->bad)
		learn_end(s, which, sample[n - 1].series);
}

static void
get_times(struct stream *s, struct record_reader *r,
    struct batch_sample *sample, uint32_t n)
{
	uint32_t i, left = 0;
	struct series *series;
	int64_t before = 0, ms = 0;

	for (i = 0; i < n; i++, left--) {
		series = stream_series(s, sample[i].series);
		if (left == 0 || series->ms != before) {
			ms = time_foreseen(s, series);
			if (!get_guess(r, &s->refs.foreseen))
				ms = wrap_add(ms,
				    get_integer(r, &s->refs.off));
			left = UINT32_MAX;
			if (!get_guess(r, &s->refs.holds))
				left = get_number_below(r, &s->refs.length,
				    SAMPLES_MAX);
			if (left == 0) {
				r->bad = true;
				return;
			}
		}
		before = series->ms;
		s->last_ms = sample[i].ms = ms;
		learn_time(series, ms);
	}
}

enum status
get_refs(struct stream *s, struct record_reader *r, struct batch *b)
{
	uint32_t n = s->refs.last_count;

	if (!get_guess(r, &s->refs.count_same))
		n = get_number_below(r, &s->refs.count, SAMPLES_MAX + 1);
	if (r->bad || n == 0)
		return ST_BAD_RECORD;
	s->refs.last_count = n;
	b->samples = arena_take_array(b->arena, n, sizeof(*b->samples));
	if (!b->samples)
		return ST_NO_MEMORY;
	get_series(s, r, b->samples, n);
	if (r->bad)
		return ST_BAD_RECORD;
	get_times(s, r, b->samples, n);
	b->n_samples = n;
	return r->bad ? ST_BAD_RECORD : ST_OK;
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
