/* v1_build.c - prometheus.WriteRequest, written.
 *
 * A series' label block is the same in every request, so it is kept as bytes
 * with its dictionary: a sample costs a copy of those and a few stores.
 * SPDX-License-Identifier: Apache-2.0 */
#include "prw/v1.h"

#include <stdlib.h>

#include "prw/build_priv.h"

/* Metadata that was sent goes again after so many requests of its edge: receivers
 * forget what they have not heard for minutes. */
#define METADATA_EVERY 64

#define BLOCK_MAX 2048			/* of labels, kept with a series */

/* What was sent, by a hash of edge, family and all that is said of it: a few
 * thousand of each edge; and, by a hash of the edge alone, its requests.  When
 * it is full, everything is sent again. */
#define SENT_MIN 256
#define SENT_MAX (1U << 16)

struct sent {
	uint64_t key;			/* 0: free */
	uint32_t request;		/* the last; numbers of an edge */
};

struct v1_builder {
	struct dict *dict;		/* borrowed, from begin to finish */
	struct buf out;			/* the request */
	struct buf points;		/* fields of a TimeSeries, but labels */
	struct buf point;		/* one of them */
	struct buf block;		/* of labels, too large to be kept */
	struct build_time time;
	struct prw_counts counts;
	struct prw_loss loss;

	struct hash_key key;
	uint64_t edge;			/* hash of its name */
	struct sent *sent;		/* owned; a power of two, or NULL */
	uint32_t n_sent, max_sent;
	uint32_t request;		/* number of this one, of its edge */
};

struct v1_builder *
v1_builder_new(void)
{
	struct v1_builder *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	if (hash_key_init(&b->key) != ST_OK) {
		free(b);
		return NULL;
	}
	buf_init(&b->out, SIZE_MAX);
	buf_init(&b->points, SIZE_MAX);
	buf_init(&b->point, SIZE_MAX);
	buf_init(&b->block, SIZE_MAX);
	return b;
}

void
v1_builder_free(struct v1_builder **at)
{
	struct v1_builder *b = *at;

	if (!b)
		return;
	buf_fini(&b->out);
	buf_fini(&b->points);
	buf_fini(&b->point);
	buf_fini(&b->block);
	free(b->sent);
	free(b);
	*at = NULL;
}

/* ---- labels -------------------------------------------------------------- */

static size_t
label_size(struct bytes name, struct bytes value)
{
	return build_head_size(name.n) + name.n + build_head_size(value.n) +
	    value.n;
}

static uint8_t *
put_text(uint8_t *p, uint32_t tag, struct bytes text)
{
	p = build_head(p, tag, text.n);
	if (text.n)
		memcpy(p, text.p, text.n);
	return p + text.n;
}

/* The label as field 1 of a TimeSeries or Exemplar. */
static uint8_t *
put_label(uint8_t *p, struct bytes name, struct bytes value)
{
	p = build_head(p, TAG_LEN(1), label_size(name, value));
	p = put_text(p, TAG_LEN(1), name);
	return put_text(p, TAG_LEN(2), value);
}

/* Makes the label block of a series that has none yet; p NULL: out of memory.  A large
 * one is good until the next: many series may share a symbol, and what they come to
 * in 1.0 has no bound. */
static __attribute__((noinline)) struct bytes
make_block(struct v1_builder *b, uint32_t series)
{
	struct dict *d = b->dict;
	const uint32_t *refs;
	size_t size = 0, one;
	uint8_t *room, *p;
	uint32_t i, n;

	refs = dict_series(d, series, &n);
	for (i = 0; i < n; i += 2) {
		one = label_size(dict_symbol(d, refs[i]),
		    dict_symbol(d, refs[i + 1]));
		size += build_head_size(one) + one;
	}
	b->block.len = 0;
	room = size > BLOCK_MAX ? build_room(&b->block, size) :
	    dict_cache_room(d, DICT_CACHE_V1, series, size);
	p = room;
	if (!room)
		return bytes_of(NULL, 0);
	for (i = 0; i < n; i += 2)
		p = put_label(p, dict_symbol(d, refs[i]),
		    dict_symbol(d, refs[i + 1]));
	return bytes_of(room, size);
}

static inline struct bytes
block_of(struct v1_builder *b, uint32_t series)
{
	struct bytes block = dict_cached(b->dict, DICT_CACHE_V1, series);

	return block.p ? block : make_block(b, series);
}

/* ---- points -------------------------------------------------------------- */

/* A TimeSeries of one sample, which nearly all are. */
static bool
put_sample(struct v1_builder *b, struct bytes block,
    const struct batch_sample *s)
{
	size_t n = build_sample_size(s->bits, &b->time);
	uint8_t *p = build_room(&b->out, 2 * BUILD_VARINT_MAX + block.n +
	    BUILD_SAMPLE_ROOM);

	if (!p)
		return false;
	p = build_head(p, TAG_LEN(1), block.n + 2 + n);
	memcpy(p, block.p, block.n);
	p += block.n;
	*p++ = TAG_LEN(2);
	*p++ = (uint8_t)n;
	p = build_sample(p, s->bits, &b->time);
	b->out.len = (size_t)(p - b->out.data);
	return true;
}

/* A TimeSeries of the points gathered. */
static bool
put_series(struct v1_builder *b, struct bytes block)
{
	size_t n = block.n + b->points.len;
	uint8_t *p = build_room(&b->out, BUILD_VARINT_MAX + n);

	if (!p)
		return false;
	p = build_head(p, TAG_LEN(1), n);
	memcpy(p, block.p, block.n);
	memcpy(p + block.n, b->points.data, b->points.len);
	b->out.len = (size_t)(p + n - b->out.data);
	b->points.len = 0;
	return true;
}

static bool
gather_sample(struct v1_builder *b, const struct batch_sample *s)
{
	uint8_t *p = build_room(&b->points, 2 + BUILD_SAMPLE_ROOM);

	if (!p)
		return false;
	if (s->ms != b->time.ms)
		build_time_set(&b->time, s->ms);
	*p++ = TAG_LEN(2);
	*p++ = (uint8_t)build_sample_size(s->bits, &b->time);
	p = build_sample(p, s->bits, &b->time);
	b->points.len = (size_t)(p - b->points.data);
	return true;
}

static enum status
add_samples(struct v1_builder *b, const struct batch *batch, size_t limit)
{
	const struct batch_sample *s = batch->samples;
	uint32_t i = 0, n = batch->n_samples, series;
	struct bytes block;
	bool ok;

	while (i < n) {
		series = s[i].series;
		block = block_of(b, series);
		if (!block.p)
			return ST_NO_MEMORY;
		if (n - i == 1 || s[i + 1].series != series) {
			if (s[i].ms != b->time.ms)
				build_time_set(&b->time, s[i].ms);
			ok = put_sample(b, block, &s[i++]);
		} else {
			ok = true;
			for (; ok && i < n && s[i].series == series; i++)
				ok = gather_sample(b, &s[i]);
			ok = ok && put_series(b, block);
		}
		if (!ok)
			return ST_NO_MEMORY;
		if (b->out.len > limit)
			return ST_TOO_LARGE;
	}
	b->counts.samples += n;
	return ST_OK;
}

static enum status
add_histograms(struct v1_builder *b, const struct batch *batch, size_t limit)
{
	const struct batch_histogram *h;
	uint32_t i, n = batch->n_histograms;
	struct bytes block;

	for (i = 0; i < n; i++) {
		h = &batch->histograms[i];
		if (h->schema == BATCH_SCHEMA_CUSTOM) {
			b->loss.histograms++;
			continue;
		}
		b->point.len = 0;
		if (!build_histogram(&b->point, h, false) ||
		    !build_bytes(&b->points, TAG_LEN(4), buf_bytes(&b->point)))
			return ST_NO_MEMORY;
		b->counts.histograms++;
		b->loss.starts += h->start_ms != 0;
		if (n - i > 1 && h[1].series == h->series &&
		    h[1].schema != BATCH_SCHEMA_CUSTOM)
			continue;
		block = block_of(b, h->series);
		if (!block.p || !put_series(b, block))
			return ST_NO_MEMORY;
		if (b->out.len > limit)
			return ST_TOO_LARGE;
	}
	return ST_OK;
}

static bool
gather_exemplar(struct v1_builder *b, const struct batch_exemplar *e)
{
	const size_t fixed = 1 + 8 + BUILD_VARINT_MAX;
	size_t n = fixed, one;
	uint32_t i;
	uint8_t *p;

	for (i = 0; i < e->n_labels; i++) {
		one = label_size(e->labels[i].name, e->labels[i].value);
		n += build_head_size(one) + one;
	}
	b->point.len = 0;
	p = build_room(&b->point, n);
	if (!p)
		return false;
	for (i = 0; i < e->n_labels; i++)
		p = put_label(p, e->labels[i].name, e->labels[i].value);
	if (e->bits) {
		*p++ = TAG_64(2);
		le64_put(p, e->bits);
		p += 8;
	}
	if (e->ms)
		p = build_varint(p, TAG_VARINT(3), (uint64_t)e->ms);
	b->point.len = (size_t)(p - b->point.data);
	return build_bytes(&b->points, TAG_LEN(3), buf_bytes(&b->point));
}

static enum status
add_exemplars(struct v1_builder *b, const struct batch *batch, size_t limit)
{
	const struct batch_exemplar *e;
	uint32_t i, n = batch->n_exemplars;
	struct bytes block;

	for (i = 0; i < n; i++) {
		e = &batch->exemplars[i];
		if (!gather_exemplar(b, e))
			return ST_NO_MEMORY;
		if (n - i > 1 && e[1].series == e->series)
			continue;
		block = block_of(b, e->series);
		if (!block.p || !put_series(b, block))
			return ST_NO_MEMORY;
		if (b->out.len > limit)
			return ST_TOO_LARGE;
	}
	b->counts.exemplars += n;
	return ST_OK;
}

/* ---- metadata ------------------------------------------------------------ */

enum type {
	TYPE_HISTOGRAM = 3,
	TYPE_GAUGE_HISTOGRAM = 4,
	TYPE_SUMMARY = 5,
};

#define T(type) (1U << TYPE_##type)

/* The family of a series by its name and type: what such families add to it goes.
 * A counter's _total stays, for the text format has it in the family's name. */
static struct bytes
family_of(struct bytes name, uint32_t type)
{
	static const struct {
		struct bytes text;
		unsigned types;
	} suffixes[] = {
		{ BYTES_LIT("_bucket"), T(HISTOGRAM) | T(GAUGE_HISTOGRAM) },
		{ BYTES_LIT("_gcount"), T(GAUGE_HISTOGRAM) },
		{ BYTES_LIT("_gsum"), T(GAUGE_HISTOGRAM) },
		{ BYTES_LIT("_count"), T(HISTOGRAM) | T(GAUGE_HISTOGRAM) |
		    T(SUMMARY) },
		{ BYTES_LIT("_sum"), T(HISTOGRAM) | T(GAUGE_HISTOGRAM) |
		    T(SUMMARY) },
	};
	const struct bytes *text;
	size_t i;

	for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		text = &suffixes[i].text;
		if (type > TYPE_SUMMARY || !(suffixes[i].types >> type & 1) ||
		    name.n <= text->n)
			continue;
		if (memcmp(name.p + name.n - text->n, text->p, text->n) == 0)
			return bytes_of(name.p, name.n - text->n);
	}
	return name;
}

#undef T

static struct bytes
metric_name(const struct dict *d, uint32_t series)
{
	const uint32_t *refs;
	uint32_t i, n;

	refs = dict_series(d, series, &n);
	for (i = 0; i < n; i += 2) {
		if (bytes_eq(dict_symbol(d, refs[i]), BYTES_LIT("__name__")))
			return dict_symbol(d, refs[i + 1]);
	}
	return bytes_of(NULL, 0);
}

/* The entry as 1.0 sends it: with a family. */
static struct batch_metadata
as_family(const struct v1_builder *b, const struct batch_metadata *m)
{
	struct batch_metadata out = *m;

	if (m->series != SERIES_NONE)
		out.family = family_of(metric_name(b->dict, m->series), m->type);
	return out;
}

static uint64_t
sent_key(const struct v1_builder *b, const struct batch_metadata *m)
{
	const uint64_t parts[] = {
		b->edge, m->type,
		hash64(&b->key, m->family.p, m->family.n),
		hash64(&b->key, m->help.p, m->help.n),
		hash64(&b->key, m->unit.p, m->unit.n),
	};
	uint64_t key = hash64(&b->key, parts, sizeof(parts));

	return key ? key : 1;
}

/* Where a key is, or would be; there is a free place. */
static struct sent *
sent_place(struct sent *sent, uint32_t max, uint64_t key)
{
	uint32_t i = (uint32_t)key & (max - 1);

	while (sent[i].key && sent[i].key != key)
		i = (i + 1) & (max - 1);
	return &sent[i];
}

/* Makes room for one more.  False: out of memory. */
static bool
sent_grow(struct v1_builder *b)
{
	uint32_t i, max = b->max_sent ? b->max_sent * 2 : SENT_MIN;
	struct sent *more;

	if (b->max_sent > 0 && b->n_sent < b->max_sent / 4 * 3)
		return true;
	if (max > SENT_MAX) {
		memset(b->sent, 0, b->max_sent * sizeof(*b->sent));
		b->n_sent = 0;
		return true;
	}
	more = calloc(max, sizeof(*more));
	if (!more)
		return false;
	for (i = 0; i < b->max_sent; i++) {
		if (b->sent[i].key)
			*sent_place(more, max, b->sent[i].key) = b->sent[i];
	}
	free(b->sent);
	b->sent = more;
	b->max_sent = max;
	return true;
}

/* A request of the edge begins. */
static void
count_request(struct v1_builder *b)
{
	struct sent *s;

	b->request = METADATA_EVERY;
	if (!sent_grow(b))
		return;
	s = sent_place(b->sent, b->max_sent, b->edge);
	if (!s->key) {
		*s = (struct sent){ b->edge, b->request };
		b->n_sent++;
	}
	b->request = ++s->request;
}

/* Is it time to send this?  Then it is noted as sent. */
static bool
is_due(struct v1_builder *b, uint64_t key)
{
	struct sent *s;

	if (!sent_grow(b))
		return true;
	s = sent_place(b->sent, b->max_sent, key);
	if (s->key && b->request - s->request < METADATA_EVERY)
		return false;
	b->n_sent += !s->key;
	*s = (struct sent){ key, b->request };
	return true;
}

/* What was noted in this request for a batch that then did not fit. */
static void
forget_metadata(struct v1_builder *b, const struct batch *batch)
{
	struct batch_metadata m;
	struct sent *s;
	uint32_t i;

	for (i = 0; i < batch->n_metadata && b->sent; i++) {
		m = as_family(b, &batch->metadata[i]);
		s = sent_place(b->sent, b->max_sent, sent_key(b, &m));
		if (s->key && s->request == b->request)
			s->request -= METADATA_EVERY;
	}
}

static bool
put_metadata(struct v1_builder *b, const struct batch_metadata *m)
{
	uint8_t *p;

	b->point.len = 0;
	p = build_room(&b->point, 4 * BUILD_VARINT_MAX + m->family.n +
	    m->help.n + m->unit.n);
	if (!p)
		return false;
	if (m->type)
		p = build_varint(p, TAG_VARINT(1), m->type);
	p = put_text(p, TAG_LEN(2), m->family);
	if (m->help.n)
		p = put_text(p, TAG_LEN(4), m->help);
	if (m->unit.n)
		p = put_text(p, TAG_LEN(5), m->unit);
	b->point.len = (size_t)(p - b->point.data);
	return build_bytes(&b->out, TAG_LEN(3), buf_bytes(&b->point));
}

static enum status
add_metadata(struct v1_builder *b, const struct batch *batch, size_t limit)
{
	struct batch_metadata m;
	uint32_t i;

	for (i = 0; i < batch->n_metadata; i++) {
		m = as_family(b, &batch->metadata[i]);
		if (m.family.n == 0 || !is_due(b, sent_key(b, &m)))
			continue;
		if (!put_metadata(b, &m))
			return ST_NO_MEMORY;
		if (b->out.len > limit)
			return ST_TOO_LARGE;
	}
	return ST_OK;
}

/* ---- requests ------------------------------------------------------------ */

void
v1_begin(struct v1_builder *b, struct dict *d)
{
	struct bytes edge = dict_edge(d);

	b->dict = d;
	b->edge = hash64(&b->key, edge.p, edge.n) | 1;
	count_request(b);
	buf_reset(&b->out, BUILD_KEEP);
	buf_reset(&b->points, BUILD_KEEP);
	buf_reset(&b->point, BUILD_KEEP);
	buf_reset(&b->block, BUILD_KEEP);
	b->counts = (struct prw_counts){ 0 };
	b->loss = (struct prw_loss){ 0 };
}

enum status
v1_add(struct v1_builder *b, const struct batch *batch, size_t limit)
{
	struct prw_counts counts = b->counts;
	struct prw_loss loss = b->loss;
	size_t before = b->out.len;
	enum status st;
	uint32_t i;

	st = add_samples(b, batch, limit);
	if (st == ST_OK)
		st = add_histograms(b, batch, limit);
	if (st == ST_OK)
		st = add_exemplars(b, batch, limit);
	if (st == ST_OK)
		st = add_metadata(b, batch, limit);
	if (st != ST_OK) {
		forget_metadata(b, batch);
		b->out.len = before;
		b->points.len = 0;
		b->counts = counts;
		b->loss = loss;
		return st;
	}
	for (i = 0; batch->starts && i < batch->n_samples; i++)
		b->loss.starts += batch->starts[i] != 0;
	return ST_OK;
}

size_t
v1_size(const struct v1_builder *b)
{
	return b->out.len;
}

struct bytes
v1_finish(struct v1_builder *b, struct prw_counts *counts,
    struct prw_loss *loss)
{
	*counts = b->counts;
	*loss = b->loss;
	b->dict = NULL;
	return buf_bytes(&b->out);
}

void
v1_forget_sent(struct v1_builder *b)
{
	if (b->n_sent)
		memset(b->sent, 0, b->max_sent * sizeof(*b->sent));
	b->n_sent = 0;
}
