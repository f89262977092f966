/* templ.c - see templ.h.
 *
 * Each byte of the uncompressed body has a class: CONST, HOLE (differs for
 * each sample), a byte of the timestamp (all samples of a body share it), or a
 * digit of the edge. The compressor is snappy's own greedy one with one rule
 * more: two bytes match only if their class is the same and is not HOLE.
 * SPDX-License-Identifier: Apache-2.0                                       */
#include "templ.h"

#include <assert.h>
#include <stdlib.h>

#include "symbols.h"

#define FRAGMENT	65536u
#define HASH_BITS	14
#define TS_BYTES	6		/* 2^35 <= ms < 2^42: 1971 to 2109 */

enum {
	CONST,
	HOLE,
	TS,				/* and TS_BYTES - 1 more */
	EDGE = TS + TS_BYTES,		/* and GEN_EDGE_DIGITS - 1 more */
};

enum what {
	IN_VALUE,			/* a float sample: 8 bytes */
	IN_SUM,				/* of a histogram: 8 bytes */
	IN_COUNT,			/* 8 or 3 bytes, by its kind */
	IN_ZERO,
	IN_DELTA,			/* 3 bytes, zigzag */
	IN_EXEMPLAR,			/* 8 bytes */
};

struct hole {
	uint32_t at;			/* offset, at last the compressed one */
	uint32_t series;
	uint8_t what, kind;
};

struct spot {				/* one byte of a shared class */
	uint32_t at;
	uint8_t class;
};

struct templ {
	struct gen_run run;
	struct wire_buf body;		/* compressed */
	struct hole *holes;
	struct spot *spots;
	size_t nholes, nspots, raw_size;
	uint32_t samples, hists, exemplars;
};

/* While a template is built. */
struct build {
	struct wire_buf raw, class;	/* side by side */
	struct templ *t;
	size_t holes_cap, spots_cap;
	uint32_t series;
	enum gen_kind kind;
};

/* --- the body, uncompressed -------------------------------------------- */

/* Gives the bytes written since the last call their class. */
static void
classify(struct build *b, unsigned class)
{
	size_t n = b->raw.len - b->class.len;

	wire_buf_room(&b->class, n);
	memset(b->class.p + b->class.len, (int)class, n);
	b->class.len += n;
}

static void
hole(struct build *b, enum what what, size_t bytes)
{
	static const uint8_t zeros[8];
	struct templ *t = b->t;

	classify(b, CONST);
	if (t->nholes == b->holes_cap) {
		b->holes_cap = b->holes_cap != 0 ? b->holes_cap * 2 : 256;
		t->holes = wire_alloc(t->holes,
		    b->holes_cap * sizeof(*t->holes));
	}
	t->holes[t->nholes++] = (struct hole){ (uint32_t)b->raw.len, b->series,
	    (uint8_t)what, (uint8_t)b->kind };
	wire_put(&b->raw, zeros, bytes);
	classify(b, HOLE);
}

static void
timestamp(struct build *b, unsigned field)
{
	unsigned i;
	uint8_t byte;

	wire_put_tag(&b->raw, field, WIRE_VARINT);
	classify(b, CONST);
	for (i = 0; i < TS_BYTES; i++) {
		byte = (uint8_t)(0xf0 | i);
		wire_put(&b->raw, &byte, 1);
		classify(b, TS + i);
	}
}

/* The text of a label's value, of which an edge's name ends in digits. */
static void
value_text(struct build *b, const struct wire_label *l)
{
	unsigned i;

	if (!wire_str_is(l->name, "edge")) {
		wire_put(&b->raw, l->value.p, l->value.len);
		return;
	}
	wire_put(&b->raw, l->value.p, l->value.len - GEN_EDGE_DIGITS);
	classify(b, CONST);
	for (i = 0; i < GEN_EDGE_DIGITS; i++) {
		wire_put(&b->raw, "0", 1);
		classify(b, EDGE + i);
	}
}

static void
sample(struct build *b)
{
	int64_t start = gen_start(&b->t->run, b->series);
	size_t len = 1 + 8 + 1 + TS_BYTES;

	if (start != 0)
		len += 1 + wire_varint_size((uint64_t)start);
	wire_put_tag(&b->raw, 2, WIRE_BYTES);
	wire_put_varint(&b->raw, len);
	wire_put_tag(&b->raw, 1, WIRE_FIXED64);
	hole(b, IN_VALUE, 8);
	timestamp(b, 2);
	if (start != 0)
		wire_put_uint(&b->raw, 3, (uint64_t)start);
	b->t->samples++;
}

static void
put_spans(struct wire_buf *out, unsigned field, const struct wire_hist *h,
    unsigned side)
{
	struct wire_buf one = { NULL, 0, 0 };
	uint32_t i;

	for (i = 0; i < h->nspans[side]; i++) {
		one.len = 0;
		if (h->spans[side][i].offset != 0)
			wire_put_sint(&one, 1, h->spans[side][i].offset);
		wire_put_uint(&one, 2, h->spans[side][i].len);
		wire_put_bytes(out, field, one.p, one.len);
	}
	wire_buf_free(&one);
}

static void
put_deltas(struct wire_buf *out, unsigned field, const int64_t *v, uint32_t n)
{
	struct wire_buf run = { NULL, 0, 0 };
	uint32_t i;

	for (i = 0; i < n; i++)
		wire_put_varint(&run, (uint64_t)v[i] << 1 ^
		    (uint64_t)(v[i] >> 63));
	if (n != 0)
		wire_put_bytes(out, field, run.p, run.len);
	wire_buf_free(&run);
}

/* Field 12 or 13 of a histogram with all that follows; these bytes are the
 * same in each sample but for the delta of the custom buckets. */
static void
hist_fields(struct build *b, const struct wire_hist *h)
{
	bool custom = b->kind == GEN_HIST_CUSTOM;
	struct wire_buf *out = &b->raw;

	if (h->is_float) {
		wire_put_tag(out, 2, WIRE_FIXED64);
		hole(b, IN_COUNT, 8);
	} else {
		wire_put_tag(out, 1, WIRE_VARINT);
		hole(b, IN_COUNT, 3);
	}
	wire_put_tag(out, 3, WIRE_FIXED64);
	hole(b, IN_SUM, 8);
	wire_put_sint(out, 4, h->schema);
	if (!custom) {
		wire_put_fixed64(out, 5, h->zero_threshold);
		wire_put_tag(out, h->is_float ? 7 : 6,
		    h->is_float ? WIRE_FIXED64 : WIRE_VARINT);
		hole(b, IN_ZERO, h->is_float ? 8 : 3);
	}
	put_spans(out, 8, h, 0);
	put_deltas(out, 9, h->deltas[0], h->ndeltas[0]);
	put_spans(out, 11, h, 1);
	if (custom) {
		wire_put_tag(out, 12, WIRE_BYTES);
		wire_put_varint(out, 3);
		hole(b, IN_DELTA, 3);
	} else {
		put_deltas(out, 12, h->deltas[1], h->ndeltas[1]);
	}
	if (h->ncounts[1] != 0)
		wire_put_bytes(out, 13, h->counts[1], h->ncounts[1] * 8u);
	if (h->reset_hint != 0)
		wire_put_uint(out, 14, h->reset_hint);
	timestamp(b, 15);
	if (h->ncustom != 0)
		wire_put_bytes(out, 16, h->custom, h->ncustom * 8u);
	if (h->start != 0)
		wire_put_uint(out, 17, (uint64_t)h->start);
}

/* The length goes before the fields: they are laid down twice, once for it. */
static void
histogram(struct build *b, enum wire_version version)
{
	struct templ count_only = { .run = b->t->run };
	struct build dry = { .t = &count_only, .series = b->series,
	    .kind = b->kind };
	struct wire_hist h;

	gen_hist(&b->t->run, b->kind, b->series, 0, 0, &h);
	hist_fields(&dry, &h);
	wire_put_tag(&b->raw, version == WIRE_V1 ? 4 : 3, WIRE_BYTES);
	wire_put_varint(&b->raw, dry.raw.len);
	hist_fields(b, &h);
	b->t->hists++;
	wire_buf_free(&dry.raw);
	wire_buf_free(&dry.class);
	free(count_only.holes);
}

/* `labels` is field 1 of the exemplar, ready made. */
static void
exemplar(struct build *b, unsigned field, const struct wire_buf *labels)
{
	wire_put_tag(&b->raw, field, WIRE_BYTES);
	wire_put_varint(&b->raw, labels->len + 1 + 8 + 1 + TS_BYTES);
	wire_put(&b->raw, labels->p, labels->len);
	wire_put_tag(&b->raw, 2, WIRE_FIXED64);
	hole(b, IN_EXEMPLAR, 8);
	timestamp(b, 3);
	b->t->exemplars++;
}

/* Moves `part` behind what is in `b`, its holes with it. */
static void
append(struct build *b, struct build *part)
{
	classify(part, CONST);
	classify(b, CONST);
	wire_put(&b->raw, part->raw.p, part->raw.len);
	wire_put(&b->class, part->class.p, part->class.len);
	part->raw.len = part->class.len = 0;
}

static void
series_v1(struct build *b, struct build *part, uint32_t series)
{
	struct wire_label labels[GEN_MAX_LABELS];
	struct wire_buf ex = { NULL, 0, 0 }, one = { NULL, 0, 0 };
	char text[GEN_MAX_TEXT], trace[17];
	size_t i, n, len, first = b->t->nholes, shift;

	part->series = series;
	part->kind = gen_kind_of(&b->t->run, series);
	n = gen_labels(&b->t->run, 0, series, labels, text);
	for (i = 0; i < n; i++) {
		len = 2 + wire_varint_size(labels[i].name.len) +
		    wire_varint_size(labels[i].value.len) +
		    labels[i].name.len + labels[i].value.len;
		wire_put_tag(&part->raw, 1, WIRE_BYTES);
		wire_put_varint(&part->raw, len);
		wire_put_bytes(&part->raw, 1, labels[i].name.p,
		    labels[i].name.len);
		wire_put_tag(&part->raw, 2, WIRE_BYTES);
		wire_put_varint(&part->raw, labels[i].value.len);
		value_text(part, &labels[i]);
	}
	if (gen_is_hist(part->kind))
		histogram(part, WIRE_V1);
	else
		sample(part);
	if (gen_has_exemplar(&b->t->run, series)) {
		gen_trace_id(series, trace);
		wire_put_bytes(&one, 1, "trace_id", 8);
		wire_put_bytes(&one, 2, trace, 16);
		wire_put_bytes(&ex, 1, one.p, one.len);
		exemplar(part, 3, &ex);
		wire_buf_free(&one);
		wire_buf_free(&ex);
	}
	wire_put_tag(&b->raw, 1, WIRE_BYTES);
	wire_put_varint(&b->raw, part->raw.len);
	shift = b->raw.len;
	append(b, part);
	for (; first < b->t->nholes; first++)
		b->t->holes[first].at += (uint32_t)shift;
}

/* --- symbols of 2.0 ---------------------------------------------------- */

static struct wire_str
lit(const char *s)
{
	return (struct wire_str){ s, (uint32_t)strlen(s) };
}

static void
metadata_v2(struct build *b, struct symbols *syms, struct wire_str name)
{
	struct wire_buf one = { NULL, 0, 0 };
	struct wire_metadata m;

	if (!gen_metadata(name, &m))
		return;
	wire_put_uint(&one, 1, m.type);
	if (m.help.len != 0)
		wire_put_uint(&one, 3, symbols_intern(syms, m.help));
	if (m.unit.len != 0)
		wire_put_uint(&one, 4, symbols_intern(syms, m.unit));
	wire_put_bytes(&b->raw, 5, one.p, one.len);
	wire_buf_free(&one);
}

/* Tells in `edge` which symbol is the edge's name. */
static void
series_v2(struct build *b, struct build *part, struct symbols *syms,
    uint32_t series, uint32_t *edge)
{
	struct wire_label labels[GEN_MAX_LABELS];
	struct wire_buf refs = { NULL, 0, 0 }, ex = { NULL, 0, 0 };
	char text[GEN_MAX_TEXT], trace[17];
	size_t i, n, first = b->t->nholes, shift;
	uint32_t ref;

	part->series = series;
	part->kind = gen_kind_of(&b->t->run, series);
	n = gen_labels(&b->t->run, 0, series, labels, text);
	for (i = 0; i < n; i++) {
		wire_put_varint(&refs, symbols_intern(syms, labels[i].name));
		ref = symbols_intern(syms, labels[i].value);
		if (wire_str_is(labels[i].name, "edge"))
			*edge = ref;
		wire_put_varint(&refs, ref);
	}
	wire_put_bytes(&part->raw, 1, refs.p, refs.len);
	if (gen_is_hist(part->kind))
		histogram(part, WIRE_V2);
	else
		sample(part);
	if (gen_has_exemplar(&b->t->run, series)) {
		gen_trace_id(series, trace);
		refs.len = 0;
		wire_put_varint(&refs, symbols_intern(syms, lit("trace_id")));
		wire_put_varint(&refs, symbols_intern(syms, lit(trace)));
		wire_put_bytes(&ex, 1, refs.p, refs.len);
		exemplar(part, 4, &ex);
		wire_buf_free(&ex);
	}
	if ((b->t->run.kinds & GEN_METADATA) != 0)
		metadata_v2(part, syms, labels[0].value);
	wire_buf_free(&refs);
	wire_put_tag(&b->raw, 5, WIRE_BYTES);
	wire_put_varint(&b->raw, part->raw.len);
	shift = b->raw.len;
	append(b, part);
	for (; first < b->t->nholes; first++)
		b->t->holes[first].at += (uint32_t)shift;
}

/* --- the whole --------------------------------------------------------- */

static void
metadata_v1(struct build *b)
{
	struct wire_buf one = { NULL, 0, 0 };
	struct wire_metadata m;
	size_t i;

	for (i = 0; i < gen_family_count(); i++) {
		gen_family(i, &m);
		one.len = 0;
		wire_put_uint(&one, 1, m.type);
		wire_put_bytes(&one, 2, m.family.p, m.family.len);
		if (m.help.len != 0)
			wire_put_bytes(&one, 4, m.help.p, m.help.len);
		if (m.unit.len != 0)
			wire_put_bytes(&one, 5, m.unit.p, m.unit.len);
		wire_put_bytes(&b->raw, 3, one.p, one.len);
	}
	wire_buf_free(&one);
}

/* Series first, since they make the symbols, which stand before them. */
static void
body_v2(struct build *b, struct build *part, uint32_t first, uint32_t n)
{
	struct build series = { .t = b->t };
	struct wire_label l = { .name = lit("edge") };
	struct symbols syms;
	uint32_t i, edge = 0;
	size_t k;

	symbols_init(&syms);
	for (i = 0; i < n; i++)
		series_v2(&series, part, &syms, first + i, &edge);
	for (i = 0; i < syms.n; i++) {
		l.value = symbols_text(&syms, i);
		wire_put_tag(&b->raw, 4, WIRE_BYTES);
		wire_put_varint(&b->raw, l.value.len);
		if (i != 0 && i == edge)
			value_text(b, &l);
		else
			wire_put(&b->raw, l.value.p, l.value.len);
	}
	for (k = 0; k < b->t->nholes; k++)
		b->t->holes[k].at += (uint32_t)b->raw.len;
	append(b, &series);
	wire_buf_free(&series.raw);
	wire_buf_free(&series.class);
	symbols_fini(&syms);
}

/* --- compression ------------------------------------------------------- */

struct packer {
	const uint8_t *raw, *class;
	struct wire_buf *out;
	uint32_t *moved;		/* offsets of literals in the output */
};

static void
literal(struct packer *p, size_t at, size_t n)
{
	struct wire_buf *out = p->out;
	uint8_t tag;
	size_t i;

	if (n == 0)
		return;
	wire_buf_room(out, n + 3);
	tag = (uint8_t)((n <= 60 ? n - 1 : n <= 256 ? 60 : 61) << 2);
	out->p[out->len++] = tag;
	if (n > 60)
		out->p[out->len++] = (uint8_t)(n - 1);
	if (n > 256)
		out->p[out->len++] = (uint8_t)((n - 1) >> 8);
	for (i = 0; i < n; i++)
		p->moved[at + i] = (uint32_t)(out->len + i);
	wire_put(out, p->raw + at, n);
}

static void
copy(struct packer *p, size_t offset, size_t n)
{
	struct wire_buf *out = p->out;
	size_t part;

	wire_buf_room(out, 3 * (n / 60 + 2));
	while (n > 0) {
		/* Never leave fewer than four for the last one. */
		part = n > 64 ? n < 68 ? 60 : 64 : n;
		if (part >= 4 && part < 12 && offset < 2048) {
			out->p[out->len++] = (uint8_t)(1 | (part - 4) << 2 |
			    offset >> 8 << 5);
			out->p[out->len++] = (uint8_t)offset;
		} else {
			out->p[out->len++] = (uint8_t)(2 | (part - 1) << 2);
			out->p[out->len++] = (uint8_t)offset;
			out->p[out->len++] = (uint8_t)(offset >> 8);
		}
		n -= part;
	}
}

static bool
alike(const struct packer *p, size_t a, size_t b)
{
	return p->class[a] == p->class[b] && p->class[b] != HOLE &&
	    p->raw[a] == p->raw[b];
}

static void
fragment(struct packer *p, size_t begin, size_t end)
{
	static uint16_t table[1u << HASH_BITS];
	size_t at = begin, kept = begin, n, before;
	uint32_t four, slot;

	memset(table, 0, sizeof(table));
	while (at + 4 <= end) {
		memcpy(&four, p->raw + at, 4);
		slot = four * 0x1e35a7bdu >> (32 - HASH_BITS);
		before = begin + table[slot];
		table[slot] = (uint16_t)(at - begin);
		for (n = 0; before < at && at + n < end &&
		    alike(p, before + n, at + n); n++)
			;
		if (n < 4) {
			at++;
			continue;
		}
		literal(p, kept, at - kept);
		copy(p, at - before, n);
		at += n;
		kept = at;
	}
	literal(p, kept, end - kept);
}

static void
compress(struct build *b, uint32_t *moved)
{
	struct packer p = { b->raw.p, b->class.p, &b->t->body, moved };
	size_t at = 0, end;

	wire_put_varint(&b->t->body, b->raw.len);
	while (at < b->raw.len) {
		end = b->raw.len - at > FRAGMENT ? at + FRAGMENT : b->raw.len;
		while (end < b->raw.len && b->class.p[end] == HOLE)
			end--;
		fragment(&p, at, end);
		at = end;
	}
}

static void
find_spots(struct build *b, const uint32_t *moved)
{
	struct templ *t = b->t;
	size_t i;

	for (i = 0; i < b->raw.len; i++) {
		if (b->class.p[i] < TS || moved[i] == UINT32_MAX)
			continue;
		if (t->nspots == b->spots_cap) {
			b->spots_cap = b->spots_cap != 0 ? b->spots_cap * 2 : 64;
			t->spots = wire_alloc(t->spots,
			    b->spots_cap * sizeof(*t->spots));
		}
		t->spots[t->nspots++] =
		    (struct spot){ moved[i], b->class.p[i] };
	}
}

struct templ *
templ_new(const struct gen_run *run, enum wire_version version, uint32_t first,
    uint32_t n)
{
	struct templ *t = wire_alloc(NULL, sizeof(*t));
	struct build b = { .t = t }, part = { .t = t };
	uint32_t i, *moved;
	size_t k;

	assert(run->start_ms >> 35 != 0 && run->start_ms >> 42 == 0);
	memset(t, 0, sizeof(*t));
	t->run = *run;
	if (n == 0)
		metadata_v1(&b);
	else if (version == WIRE_V2)
		body_v2(&b, &part, first, n);
	for (i = 0; version == WIRE_V1 && i < n; i++)
		series_v1(&b, &part, first + i);
	classify(&b, CONST);
	t->raw_size = b.raw.len;
	moved = wire_alloc(NULL, b.raw.len * sizeof(*moved));
	memset(moved, 0xff, b.raw.len * sizeof(*moved));
	compress(&b, moved);
	for (k = 0; k < t->nholes; k++)
		t->holes[k].at = moved[t->holes[k].at];
	find_spots(&b, moved);
	free(moved);
	wire_buf_free(&b.raw);
	wire_buf_free(&b.class);
	wire_buf_free(&part.raw);
	wire_buf_free(&part.class);
	return t;
}

void
templ_free(struct templ *t)
{
	if (t == NULL)
		return;
	wire_buf_free(&t->body);
	free(t->holes);
	free(t->spots);
	free(t);
}

size_t
templ_size(const struct templ *t)
{
	return t->body.len;
}

size_t
templ_raw_size(const struct templ *t)
{
	return t->raw_size;
}

void
templ_counts(const struct templ *t, uint32_t *samples, uint32_t *hists,
    uint32_t *exemplars)
{
	*samples = t->samples;
	*hists = t->hists;
	*exemplars = t->exemplars;
}

static void
varint3(uint8_t *out, uint64_t v)
{
	out[0] = (uint8_t)(v | 0x80);
	out[1] = (uint8_t)(v >> 7 | 0x80);
	out[2] = (uint8_t)(v >> 14);
}

static void
fill_hist(const struct templ *t, const struct hole *h, uint64_t identity,
    uint32_t seq, uint8_t *out)
{
	struct wire_hist hist;
	uint64_t v;

	gen_hist(&t->run, h->kind, h->series, identity, seq, &hist);
	switch (h->what) {
	case IN_SUM:
		memcpy(out, &hist.sum, 8);
		return;
	case IN_DELTA:
		varint3(out, (uint64_t)hist.deltas[1][0] << 1);
		return;
	default:
		v = h->what == IN_COUNT ? hist.count : hist.zero_count;
		if (hist.is_float)
			memcpy(out, &v, 8);
		else
			varint3(out, v);
	}
}

void
templ_fill(const struct templ *t, uint32_t edge, uint32_t seq, uint8_t *out)
{
	uint64_t ts = (uint64_t)gen_time(&t->run, seq), identity, v;
	const struct hole *h = t->holes, *end = h + t->nholes;
	uint8_t shared[EDGE + GEN_EDGE_DIGITS] = { 0 };
	const struct spot *s;
	unsigned i;

	memcpy(out, t->body.p, t->body.len);
	for (i = 0; i < TS_BYTES; i++)
		shared[TS + i] = (uint8_t)((ts >> 7 * i & 0x7f) |
		    (i + 1 < TS_BYTES ? 0x80 : 0));
	for (v = edge, i = GEN_EDGE_DIGITS; i-- > 0; v /= 10)
		shared[EDGE + i] = (uint8_t)('0' + v % 10);
	for (s = t->spots; s < t->spots + t->nspots; s++)
		out[s->at] = shared[s->class];
	for (; h < end; h++) {
		identity = gen_identity(edge, h->series);
		if (h->what == IN_VALUE) {
			v = gen_value(&t->run, h->kind, identity, seq);
		} else if (h->what == IN_EXEMPLAR) {
			v = gen_exemplar_value(identity, seq);
		} else {
			fill_hist(t, h, identity, seq, out + h->at);
			continue;
		}
		memcpy(out + h->at, &v, 8);
	}
}
