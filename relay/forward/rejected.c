/* rejected.c - a refused batch, encoded so that it needs nothing else.
 * SPDX-License-Identifier: Apache-2.0 */
#include "forward/rejected.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "series/codec.h"
#include "spool/aside.h"

#define BYTES_MAX ((size_t)1 << 30)	/* of memory, and of a record */
#define KEEP ((size_t)256 << 10)
#define WHY_MAX 512

struct rejected {
	struct rejected_opts o;
	struct metric_group *metrics;	/* borrowed */
	struct aside *aside;		/* owned */
	bool failing;			/* the last one could not be kept */
};

/* One batch on its way. */
struct copy {
	const struct dict *dict;
	struct encoder *encoder;
	struct batch *batch;		/* with the encoder's numbers of series */
	uint32_t *ids;			/* by the dictionary's */
	struct label labels[BATCH_LABELS_MAX];
};

enum status
rejected_new(const struct rejected_opts *o, struct metric_group *metrics,
    struct rejected **out)
{
	struct aside_opts ao = { o->disk, o->directory, REJECTED_FOLDER,
		o->upstream, o->most_bytes };
	struct rejected *r = calloc(1, sizeof(*r));
	enum status st;

	if (!r)
		return ST_NO_MEMORY;
	r->o = *o;
	r->metrics = metrics;
	st = o->most_bytes ? aside_open(&ao, &r->aside) : ST_OK;
	if (st != ST_OK) {
		rejected_free(&r);
		return st;
	}
	if (r->aside)
		metric_group_set(metrics, METRIC_UP_REJECTED_BYTES,
		    (int64_t)aside_bytes(r->aside));
	*out = r;
	return ST_OK;
}

void
rejected_free(struct rejected **taken)
{
	struct rejected *r = *taken;

	*taken = NULL;
	if (!r)
		return;
	if (r->aside)
		aside_close(&r->aside);
	free(r);
}

/* ---- encoding ----------------------------------------------------------------- */

/* The series, defined the first time that it is met. */
static enum status
carry_over(struct copy *c, uint32_t *series)
{
	uint32_t *id = &c->ids[*series], i, n;
	const uint32_t *symbols;
	enum status st;

	if (*id == SERIES_NONE) {
		symbols = dict_series(c->dict, *series, &n);
		for (i = 0; i < n / 2; i++) {
			c->labels[i].name = dict_symbol(c->dict, symbols[2 * i]);
			c->labels[i].value = dict_symbol(c->dict,
			    symbols[2 * i + 1]);
		}
		st = encoder_define(c->encoder, c->labels, n / 2, id);
		if (st != ST_OK)
			return st;
	}
	*series = *id;
	return ST_OK;
}

/* Points as they are, but for the numbers of their series. */
static enum status
carry_points(struct copy *c)
{
	struct batch *b = c->batch;
	enum status st = ST_OK;
	uint32_t i;

	for (i = 0; i < b->n_samples && st == ST_OK; i++)
		st = carry_over(c, &b->samples[i].series);
	for (i = 0; i < b->n_histograms && st == ST_OK; i++)
		st = carry_over(c, &b->histograms[i].series);
	for (i = 0; i < b->n_exemplars && st == ST_OK; i++)
		st = carry_over(c, &b->exemplars[i].series);
	for (i = 0; i < b->n_metadata && st == ST_OK; i++)
		if (b->metadata[i].series != SERIES_NONE)
			st = carry_over(c, &b->metadata[i].series);
	return st;
}

static void *
twin(struct arena *a, const void *of, uint32_t n, size_t size)
{
	void *p = arena_take_array(a, n, size);

	if (p && n)
		memcpy(p, of, n * size);
	return p;
}

/* What the points point to stays where it is. */
static bool
copy_points(struct batch *to, const struct batch *from)
{
	to->n_samples = from->n_samples;
	to->n_histograms = from->n_histograms;
	to->n_exemplars = from->n_exemplars;
	to->n_metadata = from->n_metadata;
	to->samples = twin(to->arena, from->samples, from->n_samples,
	    sizeof(*from->samples));
	to->starts = from->starts ? twin(to->arena, from->starts,
	    from->n_samples, sizeof(*from->starts)) : NULL;
	to->histograms = twin(to->arena, from->histograms, from->n_histograms,
	    sizeof(*from->histograms));
	to->exemplars = twin(to->arena, from->exemplars, from->n_exemplars,
	    sizeof(*from->exemplars));
	to->metadata = twin(to->arena, from->metadata, from->n_metadata,
	    sizeof(*from->metadata));
	return !arena_failed(to->arena);
}

static enum status
encode_with(struct copy *c, const struct batch *b, struct buf *out)
{
	struct encoder_opts eo = { dict_edge(c->dict), UINT32_MAX - 1,
		BYTES_MAX };
	uint32_t i, n = dict_n_series(c->dict);
	enum status st = encoder_new(&eo, &c->encoder);

	if (st != ST_OK)
		return st;
	c->batch = batch_new(BYTES_MAX, 0);
	c->ids = calloc(n ? n : 1, sizeof(*c->ids));
	if (!c->batch || !c->ids || !copy_points(c->batch, b))
		return ST_NO_MEMORY;
	for (i = 0; i < n; i++)
		c->ids[i] = SERIES_NONE;
	st = carry_points(c);
	return st == ST_OK ? encoder_encode(c->encoder, c->batch, out) : st;
}

static enum status
encode(const struct dict *d, const struct batch *b, struct buf *out)
{
	struct copy *c = calloc(1, sizeof(*c));
	enum status st;

	if (!c)
		return ST_NO_MEMORY;
	c->dict = d;
	st = encode_with(c, b, out);
	batch_free(&c->batch);
	encoder_free(&c->encoder);
	free(c->ids);
	free(c);
	return st;
}

/* ---- keeping ------------------------------------------------------------------ */

static enum status
keep(struct rejected *r, const struct dict *d, const struct batch *b,
    int64_t wall_ms, struct bytes why, uint64_t *removed)
{
	struct aside_entry e = {
		.why = why,
		.since_ms = clock_wall() / CLOCK_MS,
		.wall_ms = wall_ms,
	};
	struct buf record;
	enum status st;

	buf_init(&record, BYTES_MAX);
	st = encode(d, b, &record);
	e.data = buf_bytes(&record);
	if (st == ST_OK)
		st = aside_put(r->aside, &e, removed);
	buf_fini(&record);
	return st;
}

enum status
rejected_keep(struct rejected *r, const struct dict *d, const struct batch *b,
    int64_t wall_ms, const struct rejected_reason *reason)
{
	char text[WHY_MAX / 2];
	uint64_t removed = 0;
	struct buf why;
	enum status st;

	if (!r->aside)
		return ST_OK;
	buf_init(&why, WHY_MAX);
	(void)buf_printf(&why, "status=%d samples=%llu text=%s", reason->http,
	    (unsigned long long)reason->samples,
	    log_quote(reason->text, text, sizeof(text)));
	st = keep(r, d, b, wall_ms, buf_bytes(&why), &removed);
	buf_fini(&why);
	metric_group_set(r->metrics, METRIC_UP_REJECTED_BYTES,
	    (int64_t)aside_bytes(r->aside));
	metric_group_add(r->metrics, METRIC_UP_REJECTED_REMOVED,
	    (int64_t)removed);
	if (st != ST_OK)
		metric_group_add(r->metrics, METRIC_UP_REJECTED_LOST,
		    (int64_t)reason->samples);
	if (st != ST_OK && !r->failing)
		log_error("rejected-lost", "upstream=%s reason=%s directory=%s/"
		    REJECTED_FOLDER " hint=\"what this upstream refuses is not "
		    "kept until the disk takes it again\"", r->o.upstream,
		    status_info(st)->word, r->o.directory);
	r->failing = st != ST_OK;
	return st;
}

/* ---- what is kept -------------------------------------------------------------- */

/* "status=400 samples=500 text=..." */
static uint64_t
samples_of(struct bytes why)
{
	char text[64];
	size_t n = why.n < sizeof(text) - 1 ? why.n : sizeof(text) - 1;
	unsigned long long samples = 0;

	memcpy(text, why.p, n);
	text[n] = '\0';
	(void)sscanf(text, "status=%*d samples=%llu", &samples);
	return samples;
}

enum status
rejected_next(struct rejected *r, struct spool_pos after, struct spool_pos *at,
    struct rejected_entry *out)
{
	struct aside_entry e;
	enum status st = r->aside ? aside_next(r->aside, after, at, &e) :
	    ST_END;

	if (st == ST_OK)
		*out = (struct rejected_entry){ samples_of(e.why), e.wall_ms,
			e.data };
	return st;
}

enum status
rejected_over(struct rejected *r, uint64_t segment, const uint64_t *offsets,
    uint32_t n)
{
	enum status st = r->aside ? aside_over(r->aside, segment, offsets, n) :
	    ST_OK;

	if (r->aside)
		metric_group_set(r->metrics, METRIC_UP_REJECTED_BYTES,
		    (int64_t)aside_bytes(r->aside));
	return st;
}

struct spool_pos
rejected_end(const struct rejected *r)
{
	return r->aside ? aside_end(r->aside) : (struct spool_pos){ 0, 0 };
}
