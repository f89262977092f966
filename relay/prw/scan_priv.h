/* scan_priv.h - what reading 1.0 and reading 2.0 have in common: points into
 * the batch's arrays, and the rules for a series' labels.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The arrays double as they fill.  Few bytes of a body can stand for many of the
 * batch, so each kind of element has a least size in the body: a body that
 * holds more of them is not taken (ST_TOO_LARGE).                            */
#ifndef RW_PRW_SCAN_PRIV_H
#define RW_PRW_SCAN_PRIV_H

#include "base/bytes.h"
#include "prw/field_priv.h"
#include "series/batch.h"

struct scan {
	struct batch *batch;		/* borrowed */
	const struct hash_key *key;	/* borrowed */
	struct bytes body;
	bool starts;			/* start timestamps are read: 2.0 */
	struct {			/* elements that fit, of each array */
		uint32_t entries, samples, histograms, exemplars, metadata;
	} room;
};

/* Sets up for an empty batch.  per_series: bytes of the body that a series
 * takes at a guess.  ST_TOO_LARGE, ST_NO_MEMORY. */
enum status scan_begin(struct scan *, struct bytes body,
    const struct hash_key *, struct batch *, uint32_t per_series);

/* Room for one more element in an array that is full.  ST_NO_MEMORY,
 * ST_TOO_LARGE. */
enum status scan_grow_entries(struct scan *);
enum status scan_grow_samples(struct scan *);

/* One more element, zeroed, for the caller to count; NULL: *st says why. */
struct batch_exemplar *scan_new_exemplar(struct scan *, enum status *st);
struct batch_metadata *scan_new_metadata(struct scan *, enum status *st);

/* ---- points -------------------------------------------------------------- */

/* A Sample whose fields do not stand as usual: any order, any of them left out
 * or repeated.  False: not a message. */
bool scan_sample_fields(struct bytes msg, struct batch_sample *,
    int64_t *start_ms);
/* Notes the start of the sample about to be counted. */
enum status scan_set_start(struct scan *, int64_t start_ms);

/* A Histogram, for the entry about to be counted.  One that is inconsistent is
 * dropped and counted.  ST_BAD_PROTOBUF and as above. */
enum status scan_histogram(struct scan *, struct bytes msg);

/* A varint of at most eight bytes, in one load, which must be all there.
 * Returns its length, 0 if it is longer. */
static inline unsigned
scan_varint8(const uint8_t *p, uint64_t *v)
{
	const uint64_t tops = UINT64_C(0x8080808080808080);
	uint64_t x = le64_get(p), stop = ~x & tops;

	if (!stop)
		return 0;
	/* up to the first byte without its top bit; then close the gaps, by
	 * pairs of 1, 2 and 4 bytes */
	x &= (stop ^ (stop - 1)) & ~tops;
	x = (x & UINT64_C(0x007f007f007f007f)) |
	    (x & UINT64_C(0x7f007f007f007f00)) >> 1;
	x = (x & UINT64_C(0x00003fff00003fff)) |
	    (x & UINT64_C(0x3fff00003fff0000)) >> 2;
	*v = (x & UINT64_C(0x000000000fffffff)) |
	    (x & UINT64_C(0x0fffffff00000000)) >> 4;
	return (unsigned)(__builtin_ctzll(stop) >> 3) + 1;
}

/* A Sample, for the entry about to be counted. */
static inline __attribute__((always_inline)) enum status
scan_sample(struct scan *s, struct bytes msg)
{
	const uint8_t *body_end = s->body.p + s->body.n;
	struct batch *b = s->batch;
	struct batch_sample *sample;
	int64_t start_ms = 0;
	enum status st;
	uint64_t ms;

	if (b->n_samples == s->room.samples) {
		st = scan_grow_samples(s);
		if (st != ST_OK)
			return st;
	}
	sample = &b->samples[b->n_samples];
	sample->series = b->n_entries;
	/* value, timestamp, nothing else: nearly all are so */
	if (msg.n > 10 && msg.p[0] == TAG_64(1) && msg.p[9] == TAG_VARINT(2) &&
	    body_end - msg.p >= 18 &&
	    scan_varint8(msg.p + 10, &ms) == msg.n - 10) {
		sample->bits = le64_get(msg.p + 1);
		sample->ms = (int64_t)ms;
	} else if (!scan_sample_fields(msg, sample, &start_ms)) {
		return ST_BAD_PROTOBUF;
	}
	if (s->starts && (start_ms || b->starts)) {
		st = scan_set_start(s, start_ms);
		if (st != ST_OK)
			return st;
	}
	b->n_samples++;
	return ST_OK;
}

/* ---- series -------------------------------------------------------------- */

/* How many points of each kind there were, to tell what a series added. */
struct scan_mark {
	uint32_t samples, histograms, exemplars;
};

static inline struct scan_mark
scan_mark(const struct scan *s)
{
	const struct batch *b = s->batch;

	return (struct scan_mark){ b->n_samples, b->n_histograms,
		b->n_exemplars };
}

static inline uint32_t
scan_since(const struct scan *s, struct scan_mark m)
{
	const struct batch *b = s->batch;

	return b->n_samples - m.samples + (b->n_histograms - m.histograms) +
	    (b->n_exemplars - m.exemplars);
}

/* Drops what was added since the mark, counted as refused. */
void scan_refuse_since(struct scan *, struct scan_mark, enum status reason);

/* The entry of the series whose points were just added. */
static inline enum status
scan_enter(struct scan *s, struct hash128 key, const void *block,
    uint32_t n_block, uint32_t metadata, enum status refused)
{
	struct batch *b = s->batch;
	struct batch_entry *e;
	enum status st;

	if (b->n_entries == s->room.entries) {
		st = scan_grow_entries(s);
		if (st != ST_OK)
			return st;
	}
	e = &b->entries[b->n_entries++];
	e->key = key;
	e->block = block;
	e->n_block = n_block;
	e->id = SERIES_NONE;
	e->metadata = metadata;
	e->refused = refused;
	return ST_OK;
}

/* ---- labels -------------------------------------------------------------- */

/* The rules for the labels of a series: sorts by name, leaves out those of empty
 * value.  The statuses of batch.labels. */
enum status scan_finish_labels(struct label *, uint32_t *n);

/* A label of an exemplar: ST_OK, ST_EMPTY_NAME, ST_BAD_UTF8. */
enum status scan_check_label(const struct label *);

#endif
