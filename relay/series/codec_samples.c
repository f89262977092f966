/* codec_samples.c - series, times and values of samples.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Runs: stretches of samples of one time whose series follow each other as they
 * did the last time.  Every series remembers which one followed it.         */
#include "series/codec_priv.h"

enum { RUN_TIME = 1, RUN_START = 2, RUN_SHIFT = 2 };

/* Where the next run starts unless it says otherwise. */
static uint32_t
expected_start(const struct stream *s)
{
	return s->last == SERIES_NONE ? 0 : series_at(s, s->last)->next;
}

static int64_t
expected_time(const struct series *first)
{
	return add_wrapped(first->ms, first->step);
}

/* The series comes after the last one.  Done before the run that starts with it
 * is looked at: the last one may be in that run. */
static void
follow(struct stream *s, uint32_t id)
{
	if (s->last != SERIES_NONE)
		series_at(s, s->last)->next = id;
	s->last = id;
}

static void
set_time(struct series *series, int64_t ms)
{
	series->step = sub_wrapped(ms, series->ms);
	series->ms = ms;
}

/* ---- writing -------------------------------------------------------------- */

/* Of n samples, how many the run at the first one takes. */
static uint32_t
run_length(const struct stream *s, const struct batch_sample *sample,
    uint32_t n)
{
	uint32_t i;

	for (i = 1; i < n; i++) {
		if (sample[i].ms != sample->ms ||
		    series_at(s, sample[i - 1].series)->next !=
		    sample[i].series)
			break;
	}
	return i;
}

static uint32_t
put_run(struct stream *s, const struct batch_sample *sample, uint32_t n,
    struct buf *out)
{
	uint32_t start = expected_start(s), length, i;
	int64_t ms = expected_time(series_at(s, sample->series));
	unsigned flags = 0;

	if (sample->series != start)
		flags |= RUN_START;
	if (sample->ms != ms)
		flags |= RUN_TIME;
	follow(s, sample->series);
	length = run_length(s, sample, n);
	put_varint(out, (uint64_t)length << RUN_SHIFT | flags);
	if (flags & RUN_START)
		put_signed(out, (int64_t)sample->series - (int64_t)start);
	if (flags & RUN_TIME)
		put_signed(out, sub_wrapped(sample->ms, ms));
	for (i = 0; i < length; i++)
		set_time(series_at(s, sample[i].series), sample[i].ms);
	s->last = sample[length - 1].series;
	return length;
}

void
write_samples(struct stream *s, const struct batch *b, struct buf *out)
{
	struct series *series;
	uint32_t i;

	put_varint(out, b->n_samples);
	for (i = 0; i < b->n_samples; )
		i += put_run(s, &b->samples[i], b->n_samples - i, out);
	for (i = 0; i < b->n_samples; i++) {
		series = series_at(s, b->samples[i].series);
		put_signed(out, (int64_t)(b->samples[i].bits - series->bits));
		series->bits = b->samples[i].bits;
	}
}

/* The start timestamps of a batch that has some. */
void
write_starts(struct stream *s, const struct batch *b, struct buf *out)
{
	struct series *series;
	uint32_t i;

	for (i = 0; i < b->n_samples; i++) {
		series = series_at(s, b->samples[i].series);
		put_signed(out, sub_wrapped(b->starts[i], series->start_ms));
		series->start_ms = b->starts[i];
	}
}

/* ---- reading -------------------------------------------------------------- */

static bool
read_run(struct stream *s, struct reader *r, struct batch_sample *sample,
    uint32_t room, uint32_t *length)
{
	uint64_t head = read_varint(r);
	int64_t start = expected_start(s), ms;
	uint32_t n, i, id;

	if (head >> RUN_SHIFT == 0 || head >> RUN_SHIFT > room)
		return false;
	n = (uint32_t)(head >> RUN_SHIFT);
	if (head & RUN_START)
		start = add_wrapped(start, read_signed(r));
	if (start < 0 || start >= s->series.n)
		return false;
	id = (uint32_t)start;
	ms = expected_time(series_at(s, id));
	if (head & RUN_TIME)
		ms = add_wrapped(ms, read_signed(r));
	follow(s, id);
	for (i = 0; i < n; i++) {
		if (id >= s->series.n)
			return false;
		sample[i] = (struct batch_sample){ .series = id, .ms = ms };
		set_time(series_at(s, id), ms);
		s->last = id;
		id = series_at(s, id)->next;
	}
	*length = n;
	return true;
}

enum status
read_samples(struct stream *s, struct reader *r, struct batch *b)
{
	uint32_t n = read_below(r, SAMPLES_MAX + 1), i, length;
	struct series *series;

	if (r->bad)
		return ST_BAD_RECORD;
	b->samples = arena_take_array(b->arena, n, sizeof(*b->samples));
	if (!b->samples)
		return ST_NO_MEMORY;
	for (i = 0; i < n; i += length) {
		if (!read_run(s, r, &b->samples[i], n - i, &length))
			return ST_BAD_RECORD;
	}
	for (i = 0; i < n; i++) {
		series = series_at(s, b->samples[i].series);
		series->bits += (uint64_t)read_signed(r);
		b->samples[i].bits = series->bits;
	}
	b->n_samples = n;
	return ST_OK;
}

enum status
read_starts(struct stream *s, struct reader *r, struct batch *b)
{
	struct series *series;
	uint32_t i;

	b->starts = arena_take_array(b->arena, b->n_samples,
	    sizeof(*b->starts));
	if (!b->starts)
		return ST_NO_MEMORY;
	for (i = 0; i < b->n_samples; i++) {
		series = series_at(s, b->samples[i].series);
		series->start_ms = add_wrapped(series->start_ms,
		    read_signed(r));
		b->starts[i] = series->start_ms;
	}
	return ST_OK;
}
