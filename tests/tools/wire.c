/* wire.c - see wire.h.
 * SPDX-License-Identifier: Apache-2.0                                       */
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>

struct cursor {
	const uint8_t *p, *end;
};

struct symbol {
	struct wire_str text;
	uint64_t hash;
};

/* A vector of the decoder: grows, never shrinks. */
struct vec {
	void *p;
	size_t n, cap;
};

struct wire_decoder {
	enum wire_version version;
	struct vec symbols;		/* struct symbol */
	struct vec labels;		/* struct wire_label, on demand */
	struct vec refs;		/* uint32_t: of the series, 2.0 */
	struct vec samples, hists, exemplars, exemplar_labels;
	struct vec spans, ints, doubles;	/* of the histograms */
	struct vec hist_at;		/* struct hist_at, beside hists */
	struct wire_buf gathered;	/* labels that did not lie together */
	struct cursor label_block;	/* 1.0 */
	bool labels_ready;
};

/* Where the arrays of a histogram begin: pointers are set once all are in. */
struct hist_at {
	uint32_t spans[2], deltas[2], counts[2], custom;
};

void *
wire_alloc(void *old, size_t bytes)
{
	void *p = realloc(old, bytes != 0 ? bytes : 1);

	if (p == NULL) {
		fputs("out of memory\n", stderr);
		exit(2);
	}
	return p;
}

static void *
vec_add(struct vec *v, size_t item)
{
	if (v->n == v->cap) {
		v->cap = v->cap != 0 ? v->cap * 2 : 16;
		v->p = wire_alloc(v->p, v->cap * item);
	}
	return (char *)v->p + v->n++ * item;
}

struct wire_decoder *
wire_decoder_new(void)
{
	struct wire_decoder *d = wire_alloc(NULL, sizeof(*d));

	memset(d, 0, sizeof(*d));
	return d;
}

void
wire_decoder_free(struct wire_decoder *d)
{
	if (d == NULL)
		return;
	free(d->symbols.p);
	free(d->labels.p);
	free(d->refs.p);
	free(d->samples.p);
	free(d->hists.p);
	free(d->exemplars.p);
	free(d->exemplar_labels.p);
	free(d->spans.p);
	free(d->ints.p);
	free(d->doubles.p);
	free(d->hist_at.p);
	free(d->gathered.p);
	free(d);
}

/* --- hashing ----------------------------------------------------------- */

static uint64_t
fold(uint64_t a, uint64_t b)
{
	unsigned __int128 m = (unsigned __int128)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static uint64_t
load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

uint64_t
wire_hash(const void *data, size_t len, uint64_t seed)
{
	const uint64_t k1 = UINT64_C(0xa0761d6478bd642f);
	const uint64_t k2 = UINT64_C(0xe7037ed1a0b428db);
	const uint8_t *p = data;
	/* Not k1 and k2 once more: the product would not mind if two words of
	 * the text changed places. */
	uint64_t a = (seed + 1) * UINT64_C(0x8ebc6af09c88c6e3);
	uint64_t b = (seed + 1) * UINT64_C(0x589965cc75374cc3);
	uint8_t tail[16] = { 0 };
	size_t n = len;

	for (; n > 32; p += 32, n -= 32) {
		a = fold(load64(p) ^ k1, load64(p + 8) ^ a);
		b = fold(load64(p + 16) ^ k2, load64(p + 24) ^ b);
	}
	for (; n > 16; p += 16, n -= 16)
		a = fold(load64(p) ^ k1, load64(p + 8) ^ a);
	if (n != 0)
		memcpy(tail, p, n);
	b = fold(load64(tail) ^ k2, load64(tail + 8) ^ b);
	return fold(a ^ len, b ^ k1);
}

/* --- reading ----------------------------------------------------------- */

static bool
varint(struct cursor *c, uint64_t *out)
{
	uint64_t v = 0;
	unsigned shift;

	if (c->p < c->end && *c->p < 0x80) {
		*out = *c->p++;
		return true;
	}
	for (shift = 0; shift < 70 && c->p < c->end; shift += 7) {
		uint8_t byte = *c->p++;

		v |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
		if (byte < 0x80) {
			*out = v;
			return true;
		}
	}
	return false;
}

static bool
fixed64(struct cursor *c, uint64_t *out)
{
	if (c->end - c->p < 8)
		return false;
	*out = load64(c->p);
	c->p += 8;
	return true;
}

static bool
submessage(struct cursor *c, struct cursor *out)
{
	uint64_t len;

	if (!varint(c, &len) || len > (uint64_t)(c->end - c->p))
		return false;
	out->p = c->p;
	out->end = c->p + len;
	c->p += len;
	return true;
}

static bool
text(struct cursor *c, struct wire_str *out)
{
	struct cursor s;

	if (!submessage(c, &s))
		return false;
	out->p = (const char *)s.p;
	out->len = (uint32_t)(s.end - s.p);
	return true;
}

static bool
skip(struct cursor *c, unsigned type)
{
	struct cursor gone;
	uint64_t v;

	switch (type) {
	case WIRE_VARINT:
		return varint(c, &v);
	case WIRE_FIXED64:
		return fixed64(c, &v);
	case WIRE_BYTES:
		return submessage(c, &gone);
	case WIRE_FIXED32:
		if (c->end - c->p < 4)
			return false;
		c->p += 4;
		return true;
	default:
		return false;
	}
}

/* The next field's key, field << 3 | type; false at the end or on damage,
 * which leave c->p at the end or before it. */
static bool
key(struct cursor *c, unsigned *out)
{
	uint64_t v;

	if (c->p == c->end || !varint(c, &v) || v >> 3 == 0 || v > UINT32_MAX) {
		return false;
	}
	*out = (unsigned)v;
	return true;
}

#define KEY(field, type) ((field) << 3 | (type))

static int64_t
zigzag(uint64_t v)
{
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static bool
sample(struct cursor c, struct wire_sample *s)
{
	unsigned k;
	uint64_t v;

	*s = (struct wire_sample){ 0 };
	while (c.p < c.end) {
		if (!key(&c, &k))
			return false;
		switch (k) {
		case KEY(1u, WIRE_FIXED64):
			if (!fixed64(&c, &s->value))
				return false;
			break;
		case KEY(2u, WIRE_VARINT):
			if (!varint(&c, &v))
				return false;
			s->ts = (int64_t)v;
			break;
		case KEY(3u, WIRE_VARINT):
			if (!varint(&c, &v))
				return false;
			s->start = (int64_t)v;
			break;
		default:
			if (!skip(&c, k & 7))
				return false;
		}
	}
	return true;
}

static bool
label(struct cursor c, struct wire_label *l)
{
	unsigned k;

	*l = (struct wire_label){ { "", 0 }, { "", 0 } };
	while (c.p < c.end) {
		if (!key(&c, &k))
			return false;
		if (k == KEY(1u, WIRE_BYTES)) {
			if (!text(&c, &l->name))
				return false;
		} else if (k == KEY(2u, WIRE_BYTES)) {
			if (!text(&c, &l->value))
				return false;
		} else if (!skip(&c, k & 7)) {
			return false;
		}
	}
	return true;
}

static bool
span(struct cursor c, struct wire_span *s)
{
	unsigned k;
	uint64_t v;

	*s = (struct wire_span){ 0, 0 };
	while (c.p < c.end) {
		if (!key(&c, &k))
			return false;
		if ((k & 7) != WIRE_VARINT) {
			if (!skip(&c, k & 7))
				return false;
			continue;
		}
		if (!varint(&c, &v))
			return false;
		if (k >> 3 == 1)
			s->offset = (int32_t)zigzag(v);
		else if (k >> 3 == 2)
			s->len = (uint32_t)v;
	}
	return true;
}

/* Repeated sint64 or double, packed or not. */
static bool
numbers(struct cursor *c, unsigned type, bool is_double, struct vec *out)
{
	struct cursor run = *c;
	bool packed = type == WIRE_BYTES;
	uint64_t v;

	if (packed && !submessage(c, &run))
		return false;
	do {
		if (packed && run.p == run.end)
			break;
		if (is_double ? !fixed64(&run, &v) : !varint(&run, &v))
			return false;
		if (is_double)
			*(uint64_t *)vec_add(out, sizeof(v)) = v;
		else
			*(int64_t *)vec_add(out, sizeof(int64_t)) = zigzag(v);
	} while (packed);
	if (!packed)
		*c = run;
	return true;
}

static bool
hist_scalar(struct cursor *c, unsigned k, struct wire_hist *h)
{
	uint64_t v;

	if ((k & 7) == WIRE_FIXED64) {
		if (!fixed64(c, &v))
			return false;
		switch (k >> 3) {
		case 2:
			h->count = v;
			h->is_float = true;
			break;
		case 3:
			h->sum = v;
			break;
		case 5:
			h->zero_threshold = v;
			break;
		case 7:
			h->zero_count = v;
			h->zero_float = true;
			break;
		}
		return true;
	}
	if ((k & 7) != WIRE_VARINT)
		return skip(c, k & 7);
	if (!varint(c, &v))
		return false;
	switch (k >> 3) {
	case 1:
		h->count = v;
		h->is_float = false;
		break;
	case 4:
		h->schema = (int32_t)zigzag(v);
		break;
	case 6:
		h->zero_count = v;
		h->zero_float = false;
		break;
	case 14:
		h->reset_hint = (uint32_t)v;
		break;
	case 15:
		h->ts = (int64_t)v;
		break;
	case 17:
		h->start = (int64_t)v;
		break;
	}
	return true;
}

/* The fields of a histogram lie in the order of their numbers in all that is
 * sent; one that scattered a repeated field would be refused here. */
static bool
histogram(struct wire_decoder *d, struct cursor c)
{
	struct wire_hist h = { 0 };
	struct hist_at at = { { 0 }, { 0 }, { 0 }, 0 };
	struct cursor sub;
	unsigned k, field, side;

	while (c.p < c.end) {
		if (!key(&c, &k))
			return false;
		field = k >> 3;
		side = field >= 11 ? 1 : 0;
		switch (field) {
		case 8:
		case 11:
			if (h.nspans[side]++ == 0)
				at.spans[side] = (uint32_t)d->spans.n;
			if ((k & 7) != WIRE_BYTES || !submessage(&c, &sub) ||
			    !span(sub, vec_add(&d->spans,
			    sizeof(struct wire_span))))
				return false;
			break;
		case 9:
		case 12:
			if (h.ndeltas[side] == 0)
				at.deltas[side] = (uint32_t)d->ints.n;
			if (!numbers(&c, k & 7, false, &d->ints))
				return false;
			h.ndeltas[side] = (uint32_t)d->ints.n - at.deltas[side];
			break;
		case 10:
		case 13:
			if (h.ncounts[side] == 0)
				at.counts[side] = (uint32_t)d->doubles.n;
			if (!numbers(&c, k & 7, true, &d->doubles))
				return false;
			h.ncounts[side] =
			    (uint32_t)d->doubles.n - at.counts[side];
			break;
		case 16:
			if (h.ncustom == 0)
				at.custom = (uint32_t)d->doubles.n;
			if (!numbers(&c, k & 7, true, &d->doubles))
				return false;
			h.ncustom = (uint32_t)d->doubles.n - at.custom;
			break;
		default:
			if (!hist_scalar(&c, k, &h))
				return false;
		}
	}
	*(struct wire_hist *)vec_add(&d->hists, sizeof(h)) = h;
	*(struct hist_at *)vec_add(&d->hist_at, sizeof(at)) = at;
	return true;
}

static void
settle_hists(struct wire_decoder *d)
{
	struct wire_hist *h = d->hists.p;
	const struct hist_at *at = d->hist_at.p;
	size_t i, side;

	for (i = 0; i < d->hists.n; i++) {
		for (side = 0; side < 2; side++) {
			h[i].spans[side] = (struct wire_span *)d->spans.p +
			    at[i].spans[side];
			h[i].deltas[side] = (int64_t *)d->ints.p +
			    at[i].deltas[side];
			h[i].counts[side] = (uint64_t *)d->doubles.p +
			    at[i].counts[side];
		}
		h[i].custom = (uint64_t *)d->doubles.p + at[i].custom;
	}
}

/* labels_refs, packed or not. */
static bool
refs(struct wire_decoder *d, struct cursor *c, unsigned type, struct vec *out)
{
	struct cursor run = *c;
	bool packed = type == WIRE_BYTES;
	uint64_t v;

	if (packed && !submessage(c, &run))
		return false;
	do {
		if (packed && run.p == run.end)
			break;
		if (!varint(&run, &v) || v >= d->symbols.n)
			return false;
		*(uint32_t *)vec_add(out, sizeof(uint32_t)) = (uint32_t)v;
	} while (packed);
	if (!packed)
		*c = run;
	return true;
}

static const struct symbol *
symbol(const struct wire_decoder *d, uint32_t ref)
{
	return (const struct symbol *)d->symbols.p + ref;
}

static bool
exemplar(struct wire_decoder *d, struct cursor c)
{
	struct wire_exemplar *e =
	    vec_add(&d->exemplars, sizeof(struct wire_exemplar));
	struct vec names = { NULL, 0, 0 };
	struct wire_label *l;
	struct cursor sub;
	const uint32_t *r;
	bool fine = true;
	unsigned k;
	uint64_t v;
	size_t i;

	*e = (struct wire_exemplar){ 0 };
	e->first_label = (uint32_t)d->exemplar_labels.n;
	while (fine && c.p < c.end) {
		if (!key(&c, &k)) {
			fine = false;
		} else if (k >> 3 == 1 && d->version == WIRE_V2) {
			fine = refs(d, &c, k & 7, &names);
		} else if (k == KEY(1u, WIRE_BYTES)) {
			fine = submessage(&c, &sub) &&
			    label(sub, vec_add(&d->exemplar_labels, sizeof(*l)));
		} else if (k == KEY(2u, WIRE_FIXED64)) {
			fine = fixed64(&c, &e->value);
		} else if (k == KEY(3u, WIRE_VARINT)) {
			fine = varint(&c, &v);
			e->ts = fine ? (int64_t)v : 0;
		} else {
			fine = skip(&c, k & 7);
		}
	}
	if (names.n % 2 != 0)
		fine = false;
	r = names.p;
	for (i = 0; fine && i < names.n; i += 2) {
		l = vec_add(&d->exemplar_labels, sizeof(*l));
		l->name = symbol(d, r[i])->text;
		l->value = symbol(d, r[i + 1])->text;
	}
	free(names.p);
	e->nlabels = (uint32_t)d->exemplar_labels.n - e->first_label;
	return fine;
}

static bool
metadata_v2(struct wire_decoder *d, struct cursor c, struct wire_metadata *m)
{
	unsigned k;
	uint64_t v;

	*m = (struct wire_metadata){ 0, { "", 0 }, { "", 0 }, { "", 0 } };
	while (c.p < c.end) {
		if (!key(&c, &k))
			return false;
		if ((k & 7) != WIRE_VARINT) {
			if (!skip(&c, k & 7))
				return false;
			continue;
		}
		if (!varint(&c, &v))
			return false;
		if (k >> 3 == 1) {
			m->type = (uint32_t)v;
		} else if (k >> 3 == 3 || k >> 3 == 4) {
			if (v >= d->symbols.n)
				return false;
			*(k >> 3 == 3 ? &m->help : &m->unit) =
			    symbol(d, (uint32_t)v)->text;
		}
	}
	return true;
}

static bool
metadata_v1(struct cursor c, struct wire_metadata *m)
{
	unsigned k;
	uint64_t v;
	bool fine;

	*m = (struct wire_metadata){ 0, { "", 0 }, { "", 0 }, { "", 0 } };
	while (c.p < c.end) {
		if (!key(&c, &k))
			return false;
		switch (k) {
		case KEY(1u, WIRE_VARINT):
			fine = varint(&c, &v);
			m->type = fine ? (uint32_t)v : 0;
			break;
		case KEY(2u, WIRE_BYTES):
			fine = text(&c, &m->family);
			break;
		case KEY(4u, WIRE_BYTES):
			fine = text(&c, &m->help);
			break;
		case KEY(5u, WIRE_BYTES):
			fine = text(&c, &m->unit);
			break;
		default:
			fine = skip(&c, k & 7);
		}
		if (!fine)
			return false;
	}
	return true;
}

static void
clear_series(struct wire_decoder *d, struct wire_series *s)
{
	memset(s, 0, sizeof(*s));
	d->samples.n = d->hists.n = d->exemplars.n = 0;
	d->exemplar_labels.n = d->spans.n = d->ints.n = d->doubles.n = 0;
	d->hist_at.n = d->refs.n = 0;
	d->labels_ready = false;
	d->label_block = (struct cursor){ NULL, NULL };
}

static void
finish_series(struct wire_decoder *d, struct wire_series *s)
{
	if (d->hists.n != 0)
		settle_hists(d);
	s->samples = d->samples.p;
	s->nsamples = (uint32_t)d->samples.n;
	s->hists = d->hists.p;
	s->nhists = (uint32_t)d->hists.n;
	s->exemplars = d->exemplars.p;
	s->nexemplars = (uint32_t)d->exemplars.n;
	s->exemplar_labels = d->exemplar_labels.p;
}

/* Labels nearly always lie together at the head of the series: then their
 * block is hashed in place. Others are copied together first. */
static bool
label_block(struct wire_decoder *d, struct cursor *c, const uint8_t *from)
{
	struct cursor sub;

	if (!submessage(c, &sub))
		return false;
	if (d->label_block.p == NULL) {
		d->label_block.p = from;
	} else if (d->label_block.end != from) {
		if (d->label_block.p != d->gathered.p) {
			d->gathered.len = 0;
			wire_put(&d->gathered, d->label_block.p,
			    (size_t)(d->label_block.end - d->label_block.p));
		}
		wire_put(&d->gathered, from, (size_t)(c->p - from));
		d->label_block.p = d->gathered.p;
		d->label_block.end = d->gathered.p + d->gathered.len;
		return true;
	}
	d->label_block.end = c->p;
	return true;
}

static bool
series_v1(struct wire_decoder *d, struct cursor c, struct wire_series *s)
{
	struct cursor sub;
	const uint8_t *from;
	unsigned k;
	bool fine;

	clear_series(d, s);
	while (c.p < c.end) {
		from = c.p;
		if (!key(&c, &k))
			return false;
		switch (k) {
		case KEY(1u, WIRE_BYTES):
			fine = label_block(d, &c, from);
			break;
		case KEY(2u, WIRE_BYTES):
			fine = submessage(&c, &sub) && sample(sub,
			    vec_add(&d->samples, sizeof(struct wire_sample)));
			break;
		case KEY(3u, WIRE_BYTES):
			fine = submessage(&c, &sub) && exemplar(d, sub);
			break;
		case KEY(4u, WIRE_BYTES):
			fine = submessage(&c, &sub) && histogram(d, sub);
			break;
		default:
			fine = skip(&c, k & 7);
		}
		if (!fine)
			return false;
	}
	s->key = wire_hash(d->label_block.p,
	    (size_t)(d->label_block.end - d->label_block.p), 1);
	finish_series(d, s);
	return true;
}

static bool
series_v2(struct wire_decoder *d, struct cursor c, struct wire_series *s)
{
	struct cursor sub;
	const uint32_t *r;
	unsigned k;
	bool fine;
	size_t i;

	clear_series(d, s);
	while (c.p < c.end) {
		if (!key(&c, &k))
			return false;
		switch (k) {
		case KEY(1u, WIRE_BYTES):
		case KEY(1u, WIRE_VARINT):
			fine = refs(d, &c, k & 7, &d->refs);
			break;
		case KEY(2u, WIRE_BYTES):
			fine = submessage(&c, &sub) && sample(sub,
			    vec_add(&d->samples, sizeof(struct wire_sample)));
			break;
		case KEY(3u, WIRE_BYTES):
			fine = submessage(&c, &sub) && histogram(d, sub);
			break;
		case KEY(4u, WIRE_BYTES):
			fine = submessage(&c, &sub) && exemplar(d, sub);
			break;
		case KEY(5u, WIRE_BYTES):
			s->has_metadata = true;
			fine = submessage(&c, &sub) &&
			    metadata_v2(d, sub, &s->metadata);
			break;
		default:
			fine = skip(&c, k & 7);
		}
		if (!fine)
			return false;
	}
	if (d->refs.n % 2 != 0)
		return false;
	r = d->refs.p;
	s->key = 2;
	for (i = 0; i < d->refs.n; i++)
		s->key = fold(s->key ^ UINT64_C(0x9e3779b97f4a7c15),
		    symbol(d, r[i])->hash ^ (i + 1));
	finish_series(d, s);
	return true;
}

static bool
collect_symbols(struct wire_decoder *d, struct cursor c)
{
	struct symbol *sym;
	unsigned k;

	d->symbols.n = 0;
	while (c.p < c.end) {
		if (!key(&c, &k))
			return false;
		if (k == KEY(4u, WIRE_BYTES)) {
			sym = vec_add(&d->symbols, sizeof(*sym));
			if (!text(&c, &sym->text))
				return false;
			sym->hash = wire_hash(sym->text.p, sym->text.len, 3);
		} else if (!skip(&c, k & 7)) {
			return false;
		}
	}
	return true;
}

const char *
wire_decode(struct wire_decoder *d, enum wire_version version,
    const void *body, size_t len, const struct wire_visitor *v)
{
	struct cursor c = { body, (const uint8_t *)body + len }, sub;
	struct wire_metadata m;
	struct wire_series s;
	unsigned k, series_field = version == WIRE_V1 ? 1 : 5;

	d->version = version;
	if (version == WIRE_V2 && !collect_symbols(d, c))
		return "damaged symbols";
	while (c.p < c.end) {
		if (!key(&c, &k))
			return "damaged field";
		if (k == KEY(series_field, WIRE_BYTES)) {
			if (!submessage(&c, &sub) ||
			    (version == WIRE_V1 ? !series_v1(d, sub, &s) :
			    !series_v2(d, sub, &s)))
				return "damaged series";
			if (v->series != NULL && !v->series(v->arg, d, &s))
				return "stopped";
		} else if (k == KEY(3u, WIRE_BYTES) && version == WIRE_V1) {
			if (!submessage(&c, &sub) || !metadata_v1(sub, &m))
				return "damaged metadata";
			if (v->metadata != NULL && !v->metadata(v->arg, &m))
				return "stopped";
		} else if (!skip(&c, k & 7)) {
			return "damaged field";
		}
	}
	return NULL;
}

const struct wire_label *
wire_labels(struct wire_decoder *d, size_t *n)
{
	struct cursor c = d->label_block, sub;
	struct wire_label *l;
	const uint32_t *r = d->refs.p;
	unsigned k;
	size_t i;

	if (!d->labels_ready) {
		d->labels.n = 0;
		d->labels_ready = true;
		if (d->version == WIRE_V1) {
			while (c.p < c.end && key(&c, &k) &&
			    submessage(&c, &sub)) {
				l = vec_add(&d->labels, sizeof(*l));
				if (!label(sub, l))
					d->labels.n--;
			}
		} else {
			for (i = 0; i + 1 < d->refs.n; i += 2) {
				l = vec_add(&d->labels, sizeof(*l));
				l->name = symbol(d, r[i])->text;
				l->value = symbol(d, r[i + 1])->text;
			}
		}
	}
	*n = d->labels.n;
	return d->labels.p;
}

size_t
wire_symbol_count(const struct wire_decoder *d)
{
	return d->symbols.n;
}

struct wire_str
wire_symbol(const struct wire_decoder *d, size_t i)
{
	return symbol(d, (uint32_t)i)->text;
}

/* --- writing ----------------------------------------------------------- */

void
wire_buf_room(struct wire_buf *b, size_t more)
{
	size_t cap = b->cap != 0 ? b->cap : 256;

	if (b->cap - b->len >= more)
		return;
	while (cap - b->len < more)
		cap *= 2;
	b->p = wire_alloc(b->p, cap);
	b->cap = cap;
}

void
wire_buf_free(struct wire_buf *b)
{
	free(b->p);
	*b = (struct wire_buf){ NULL, 0, 0 };
}

void
wire_put(struct wire_buf *b, const void *data, size_t len)
{
	if (len == 0)
		return;
	wire_buf_room(b, len);
	memcpy(b->p + b->len, data, len);
	b->len += len;
}

void
wire_put_varint(struct wire_buf *b, uint64_t v)
{
	wire_buf_room(b, 10);
	for (; v >= 0x80; v >>= 7)
		b->p[b->len++] = (uint8_t)(v | 0x80);
	b->p[b->len++] = (uint8_t)v;
}

void
wire_put_tag(struct wire_buf *b, unsigned field, unsigned type)
{
	wire_put_varint(b, field << 3 | type);
}

void
wire_put_bytes(struct wire_buf *b, unsigned field, const void *p, size_t len)
{
	wire_put_tag(b, field, WIRE_BYTES);
	wire_put_varint(b, len);
	wire_put(b, p, len);
}

void
wire_put_uint(struct wire_buf *b, unsigned field, uint64_t v)
{
	wire_put_tag(b, field, WIRE_VARINT);
	wire_put_varint(b, v);
}

void
wire_put_sint(struct wire_buf *b, unsigned field, int64_t v)
{
	wire_put_uint(b, field, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

void
wire_put_fixed64(struct wire_buf *b, unsigned field, uint64_t v)
{
	wire_put_tag(b, field, WIRE_FIXED64);
	wire_put(b, &v, sizeof(v));
}

size_t
wire_varint_size(uint64_t v)
{
	size_t n = 1;

	for (; v >= 0x80; v >>= 7)
		n++;
	return n;
}
