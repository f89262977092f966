/* v2_scan.c - io.prometheus.write.v2.Request, read.
 *
 * Reading goes over the message twice: symbols may stand behind the series that
 * refer to them.  Each symbol is hashed once, and a series' key is made of the
 * hashes that its references lead to.
 * SPDX-License-Identifier: Apache-2.0 */
#include "prw/v2.h"

#include "base/utf8.h"
#include "prw/scan_priv.h"

/* ---- references ---------------------------------------------------------- */

/* What a series takes of a body, about: references and a sample. */
#define SERIES_BYTES 48

/* Symbols are unique, so all but so many take two bytes of text at least, with
 * tag and length. */
#define SHORT_SYMBOLS 260
#define SYMBOL_BYTES 4

struct reading {
	struct scan scan;
	struct hash_join_key join;
	struct bytes *symbols;		/* in the arena, as those below */
	struct hash128 *hashes;		/* of the symbols */
	uint32_t n_symbols;
	uint32_t known_text[2];		/* references whose text is UTF-8 */
};

static inline uint32_t
read_ref(struct reader *r)
{
	return (uint32_t)read_varint(r);
}

/* A reference of a run that was read before, and found whole and in range. */
static uint32_t
known_ref(const uint8_t **at)
{
	const uint8_t *p = *at;
	uint64_t v = *p & 0x7f;
	unsigned shift;

	for (shift = 7; *p++ >= 0x80; shift += 7)
		v |= (uint64_t)(*p & 0x7f) << shift;
	*at = p;
	return (uint32_t)v;
}

/* batch.labels of a 2.0 batch. */
static enum status
labels(const struct batch *b, const struct batch_entry *e, struct label *out,
    uint32_t max, uint32_t *n)
{
	const uint8_t *p = e->block;
	uint32_t got, want = e->n_block / 2;
	enum status st;

	if (e->n_block % 2 != 0)
		return ST_BAD_SYMBOL;
	if (want > max)
		return ST_TOO_MANY_LABELS;
	for (got = 0; got < want; got++) {
		out[got].name = b->symbols[known_ref(&p)];
		out[got].value = b->symbols[known_ref(&p)];
	}
	st = scan_finish_labels(out, &got);
	if (st == ST_OK)
		*n = got;
	return st;
}

/* The entry of a series by its references; `refused` may already say why not. */
static inline enum status
enter(struct reading *v, struct bytes run, uint32_t metadata,
    enum status refused)
{
	struct hash_join j = hash_join_begin(&v->join);
	struct reader r = reader_of(run);
	struct hash128 key;
	uint32_t ref, n = 0;

	for (; r.p < r.end; n++) {
		ref = read_ref(&r);
		if (ref < v->n_symbols)
			hash_join_add(&j, &v->join, v->hashes[ref]);
		else
			refused = ST_BAD_SYMBOL;
	}
	if (r.bad)
		return ST_BAD_PROTOBUF;
	if (n % 2 != 0)
		refused = ST_BAD_SYMBOL;
	key = hash_join_end(&j, &v->join, n);
	key.lo |= 1;		/* see v1_scan.c */
	return scan_enter(&v->scan, key, run.p, n, metadata, refused);
}

/* References (field 1 of msg) that do not come in one packed run: as one. */
static enum status
gather_refs(struct scan *s, struct bytes msg, struct bytes *run)
{
	struct reader r = reader_of(msg);
	uint8_t *to, *end;
	struct field f;

	/* a varint is not longer in the run than in a field of its own, but
	 * that a long form is made short */
	to = end = arena_take(s->batch->arena, msg.n);
	if (!to)
		return ST_NO_MEMORY;
	while (field_next(&r, &f)) {
		switch (f.tag) {
		case TAG_LEN(1):
			if (f.span.n)
				memcpy(end, f.span.p, f.span.n);
			end += f.span.n;
			break;
		case TAG_VARINT(1):
			end = varint_put(end, f.v);
			break;
		}
	}
	*run = bytes_of(to, (size_t)(end - to));
	return ST_OK;
}

/* A symbol that goes out as text of its own.  False: not UTF-8. */
static bool
text_of(struct reading *v, uint32_t ref, unsigned use, struct bytes *out)
{
	if (ref != v->known_text[use]) {
		if (!utf8_valid(v->symbols[ref]))
			return false;
		v->known_text[use] = ref;
	}
	*out = v->symbols[ref];
	return true;
}

static enum status
exemplar_labels(struct reading *v, struct bytes run, struct batch_exemplar *e)
{
	struct reader r = reader_of(run);
	uint32_t i, name, value;
	enum status st;

	for (i = 0; i < e->n_labels; i++) {
		name = read_ref(&r);
		value = read_ref(&r);
		if (name >= v->n_symbols || value >= v->n_symbols)
			return ST_BAD_SYMBOL;
		e->labels[i] = (struct label){ v->symbols[name],
			v->symbols[value] };
		st = scan_check_label(&e->labels[i]);
		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

/* Varints of a run; false: the last does not end. */
static bool
count_refs(struct bytes run, uint32_t *n)
{
	struct reader r = reader_of(run);

	for (*n = 0; r.p < r.end; (*n)++)
		(void)read_ref(&r);	/* or bad */
	return !r.bad;
}

/* Value, time, and the run of references. */
static enum status
exemplar_fields(struct scan *s, struct bytes msg, struct batch_exemplar *e,
    struct bytes *run)
{
	struct reader r = reader_of(msg);
	unsigned runs = 0;
	struct field f;

	while (field_next(&r, &f)) {
		switch (f.tag) {
		case TAG_LEN(1):
			*run = f.span;
			runs++;
			break;
		case TAG_VARINT(1):
			runs += 2;
			break;
		case TAG_64(2):
			e->bits = f.v;
			break;
		case TAG_VARINT(3):
			e->ms = (int64_t)f.v;
			break;
		}
	}
	if (r.bad)
		return ST_BAD_PROTOBUF;
	return runs > 1 ? gather_refs(s, msg, run) : ST_OK;
}

static enum status
exemplar(struct reading *v, struct bytes msg)
{
	struct scan *s = &v->scan;
	struct batch *b = s->batch;
	struct bytes run = { NULL, 0 };
	struct batch_exemplar *e;
	enum status st = ST_OK;
	uint32_t n;

	e = scan_new_exemplar(s, &st);
	if (!e)
		return st;
	st = exemplar_fields(s, msg, e, &run);
	if (st != ST_OK)
		return st;
	if (!count_refs(run, &n))
		return ST_BAD_PROTOBUF;
	e->n_labels = n / 2;
	if (n % 2 != 0) {
		st = ST_BAD_SYMBOL;
	} else if (e->n_labels > BATCH_LABELS_MAX) {
		st = ST_TOO_MANY_LABELS;
	} else {
		e->labels = arena_take_array(b->arena, e->n_labels,
		    sizeof(*e->labels));
		if (!e->labels)
			return ST_NO_MEMORY;
		st = exemplar_labels(v, run, e);
	}
	if (st == ST_OK)
		b->n_exemplars++;
	else
		b->refused[st]++;
	return ST_OK;
}

/* What a TimeSeries holds beside its points. */
struct series {
	struct bytes run;		/* of references */
	unsigned runs;			/* pieces that they came in; 2: many */
	bool has_metadata;
	uint32_t type, help, unit;	/* help, unit: references */
	int64_t created_ms;		/* of before 2.0-rc.4 */
	uint32_t metadata;		/* as in batch_entry */
	enum status refused;
};

/* Into what came before: a message that comes twice is merged. */
static bool
metadata_fields(struct bytes msg, struct series *x)
{
	struct reader r = reader_of(msg);
	struct field f;

	while (field_next(&r, &f)) {
		switch (f.tag) {
		case TAG_VARINT(1):
			x->type = (uint32_t)f.v;
			break;
		case TAG_VARINT(3):
			x->help = (uint32_t)f.v;
			break;
		case TAG_VARINT(4):
			x->unit = (uint32_t)f.v;
			break;
		}
	}
	x->has_metadata = true;
	return !r.bad;
}

static enum status
series_fields(struct reading *v, struct bytes msg, struct series *x)
{
	struct reader r = reader_of(msg);
	enum status st = ST_OK;
	struct field f;

	while (st == ST_OK && field_next(&r, &f)) {
		switch (f.tag) {
		case TAG_LEN(1):
			x->run = f.span;
			x->runs++;
			break;
		case TAG_VARINT(1):
			x->runs += 2;
			break;
		case TAG_LEN(2):
			st = scan_sample(&v->scan, f.span);
			break;
		case TAG_LEN(3):
			st = scan_histogram(&v->scan, f.span);
			break;
		case TAG_LEN(4):
			st = exemplar(v, f.span);
			break;
		case TAG_LEN(5):
			if (f.span.n > 0 && !metadata_fields(f.span, x))
				st = ST_BAD_PROTOBUF;
			break;
		case TAG_VARINT(6):
			x->created_ms = (int64_t)f.v;
			break;
		}
	}
	return st == ST_OK && r.bad ? ST_BAD_PROTOBUF : st;
}

/* The metadata of the series about to be entered, if it says anything.  With a
 * bad reference it is entered too, for it goes when the entry is refused. */
static enum status
metadata(struct reading *v, struct series *x)
{
	struct batch *b = v->scan.batch;
	struct bytes help = { NULL, 0 }, unit = { NULL, 0 };
	struct batch_metadata *m;
	enum status st = ST_OK;

	/* without symbols, none is meant by 0 */
	if ((x->help || x->unit || v->n_symbols) &&
	    (x->help >= v->n_symbols || x->unit >= v->n_symbols)) {
		x->refused = ST_BAD_SYMBOL;
	} else if (v->n_symbols > 0 && (!text_of(v, x->help, 0, &help) ||
	    !text_of(v, x->unit, 1, &unit))) {
		b->refused[ST_BAD_UTF8]++;
		return ST_OK;
	}
	if (x->refused == ST_OK && !x->type && !help.n && !unit.n)
		return ST_OK;
	m = scan_new_metadata(&v->scan, &st);
	if (!m)
		return st;
	*m = (struct batch_metadata){ .series = b->n_entries, .type = x->type,
		.help = help, .unit = unit };
	x->metadata = ++b->n_metadata;
	return ST_OK;
}

/* A start that the series gives, for those of its points that have none. */
static enum status
spread_start(struct scan *s, struct scan_mark since, int64_t start_ms)
{
	struct batch *b = s->batch;
	enum status st = ST_OK;
	uint32_t i;

	for (i = since.histograms; i < b->n_histograms; i++) {
		if (!b->histograms[i].start_ms)
			b->histograms[i].start_ms = start_ms;
	}
	if (since.samples < b->n_samples && !b->starts) {
		b->n_samples--;
		st = scan_set_start(s, 0);
		b->n_samples++;
	}
	if (st != ST_OK)
		return st;
	for (i = since.samples; i < b->n_samples; i++) {
		if (!b->starts[i])
			b->starts[i] = start_ms;
	}
	return ST_OK;
}

/* References in one run, and one sample; Prometheus then has empty metadata.
 * False: something else. */
static inline bool
is_plain(struct bytes msg, struct bytes *run, struct bytes *sample)
{
	const uint8_t *p = msg.p, *q;
	size_t n;

	if (msg.n < 4 || p[0] != TAG_LEN(1) || p[1] == 0 || p[1] >= 0x80 ||
	    msg.n - 4 < p[1])
		return false;
	q = p + 2 + p[1];
	n = msg.n - 4 - p[1];
	if (q[0] != TAG_LEN(2) || q[1] >= 0x80 || q[1] > n)
		return false;
	*run = bytes_of(p + 2, p[1]);
	*sample = bytes_of(q + 2, q[1]);
	n -= q[1];
	q += 2 + q[1];
	return n == 0 || (n == 2 && q[0] == TAG_LEN(5) && q[1] == 0);
}

static enum status
rich_series(struct reading *v, struct bytes msg)
{
	struct scan *s = &v->scan;
	struct scan_mark before = scan_mark(s);
	struct series x = { 0 };
	enum status st;
	uint32_t n;

	st = series_fields(v, msg, &x);
	if (st == ST_OK && x.runs > 1)
		st = gather_refs(s, msg, &x.run);
	if (st == ST_OK && x.has_metadata)
		st = metadata(v, &x);
	if (st != ST_OK)
		return st;
	if (scan_since(s, before) == 0 && !x.metadata)
		return count_refs(x.run, &n) ? ST_OK : ST_BAD_PROTOBUF;
	if (x.run.n == 0 && !x.metadata) {
		scan_refuse_since(s, before, ST_NO_NAME);
		return ST_OK;
	}
	if (x.created_ms)
		st = spread_start(s, before, x.created_ms);
	return st == ST_OK ? enter(v, x.run, x.metadata, x.refused) : st;
}

static inline enum status
series(struct reading *v, struct bytes msg)
{
	struct bytes run, sample;
	enum status st;

	if (!is_plain(msg, &run, &sample))
		return rich_series(v, msg);
	st = scan_sample(&v->scan, sample);
	return st == ST_OK ? enter(v, run, 0, ST_OK) : st;
}

/* How many symbols there are; ST_BAD_PROTOBUF, ST_TOO_LARGE. */
static enum status
count_symbols(struct bytes body, uint32_t *n)
{
	struct reader r = reader_of(body);
	struct field f;

	for (*n = 0; field_next(&r, &f);)
		*n += f.tag == TAG_LEN(4);
	if (r.bad)
		return ST_BAD_PROTOBUF;
	return *n <= body.n / SYMBOL_BYTES + SHORT_SYMBOLS ? ST_OK :
	    ST_TOO_LARGE;
}

/* Room for n symbols, to be filled. */
static enum status
take_symbols(struct reading *v, uint32_t n)
{
	struct arena *arena = v->scan.batch->arena;

	v->symbols = arena_take_array(arena, n, sizeof(*v->symbols));
	v->hashes = arena_take_array(arena, n, sizeof(*v->hashes));
	return arena_failed(arena) ? ST_NO_MEMORY : ST_OK;
}

static void
add_symbol(struct reading *v, struct bytes symbol)
{
	v->hashes[v->n_symbols] = hash128(v->scan.key, symbol.p, symbol.n);
	v->symbols[v->n_symbols++] = symbol;
}

/* All series of the body, which is known to be a message. */
static enum status
all_series(struct reading *v, struct bytes body)
{
	struct reader r = reader_of(body);
	enum status st = ST_OK;
	struct field f;

	while (st == ST_OK && field_next(&r, &f)) {
		if (f.tag == TAG_LEN(5))
			st = series(v, f.span);
	}
	return st;
}

enum status
v2_scan(struct bytes body, const struct hash_key *key, struct batch *b)
{
	struct reading v = { .known_text = { UINT32_MAX, UINT32_MAX } };
	struct reader r = reader_of(body);
	enum status st;
	struct field f;
	uint32_t n;

	st = scan_begin(&v.scan, body, key, b, SERIES_BYTES);
	if (st == ST_OK)
		st = count_symbols(body, &n);
	if (st == ST_OK)
		st = take_symbols(&v, n);
	if (st != ST_OK)
		return st;
	v.scan.starts = true;
	hash_join_key_init(&v.join, key);
	while (v.n_symbols < n && field_next(&r, &f)) {
		if (f.tag == TAG_LEN(4))
			add_symbol(&v, f.span);
	}
	b->labels = labels;
	b->symbols = v.symbols;
	b->n_symbols = v.n_symbols;
	return all_series(&v, body);
}
