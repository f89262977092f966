/* capture.c - see capture.h.
 * SPDX-License-Identifier: Apache-2.0                                       */
#include "capture.h"

#include <errno.h>
#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#include "symbols.h"

#define BIGGEST	(64u << 20)		/* a body, uncompressed */

struct capture {
	const char *path;
	struct wire_buf file, body;
	size_t at;
};

static bool
read_file(const char *path, struct wire_buf *out)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	if (f == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return false;
	}
	do {
		wire_buf_room(out, 1 << 20);
		n = fread(out->p + out->len, 1, out->cap - out->len, f);
		out->len += n;
	} while (n != 0);
	(void)fclose(f);		/* read only */
	return true;
}

static bool
unzstd(struct wire_buf *file)
{
	ZSTD_DStream *z = ZSTD_createDStream();
	ZSTD_inBuffer in = { file->p, file->len, 0 };
	struct wire_buf plain = { NULL, 0, 0 };
	ZSTD_outBuffer out;
	size_t left;

	do {
		wire_buf_room(&plain, 1 << 20);
		out = (ZSTD_outBuffer){ plain.p, plain.cap, plain.len };
		left = ZSTD_decompressStream(z, &out, &in);
		plain.len = out.pos;
	} while (!ZSTD_isError(left) &&
	    (in.pos < in.size || out.pos == out.size));
	(void)ZSTD_freeDStream(z);
	wire_buf_free(file);
	*file = plain;
	return left == 0;
}

struct capture *
capture_open(const char *path)
{
	struct capture *c = wire_alloc(NULL, sizeof(*c));
	size_t n = strlen(path);

	*c = (struct capture){ .path = path };
	if (!read_file(path, &c->file)) {
		capture_close(c);
		return NULL;
	}
	if (n > 4 && strcmp(path + n - 4, ".zst") == 0 && !unzstd(&c->file)) {
		fprintf(stderr, "%s: not zstd, or cut off\n", path);
		capture_close(c);
		return NULL;
	}
	return c;
}

void
capture_close(struct capture *c)
{
	if (c == NULL)
		return;
	wire_buf_free(&c->file);
	wire_buf_free(&c->body);
	free(c);
}

static bool
part(struct capture *c, const uint8_t **p, size_t *len)
{
	const uint8_t *at = c->file.p + c->at;

	if (c->file.len - c->at < 4)
		return false;
	*len = at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16 |
	    (size_t)at[3] << 24;
	if (*len > c->file.len - c->at - 4)
		return false;
	*p = at + 4;
	c->at += 4 + *len;
	return true;
}

static bool
contains(const uint8_t *p, size_t len, const char *what)
{
	return memmem(p, len, what, strlen(what)) != NULL;
}

int
capture_next(struct capture *c, struct captured *out)
{
	const uint8_t *head, *body;
	size_t head_len, len, raw_len;

	if (c->at == c->file.len)
		return 0;
	if (!part(c, &head, &head_len) || !part(c, &body, &len)) {
		fprintf(stderr, "%s: damaged at %zu\n", c->path, c->at);
		return -1;
	}
	*out = (struct captured){ WIRE_V1, body, len, NULL, 0 };
	if (contains(head, head_len, "io.prometheus.write.v2"))
		out->version = WIRE_V2;
	if (contains(head, head_len, "\"raw\": 1"))
		return 1;
	out->packed = body;
	out->packed_len = len;
	c->body.len = 0;
	if (snappy_uncompressed_length((const char *)body, len, &raw_len) !=
	    SNAPPY_OK || raw_len > BIGGEST)
		goto damaged;
	wire_buf_room(&c->body, raw_len);
	if (snappy_uncompress((const char *)body, len, (char *)c->body.p,
	    &raw_len) != SNAPPY_OK)
		goto damaged;
	out->body = c->body.p;
	out->len = raw_len;
	return 1;
damaged:
	fprintf(stderr, "%s: body not snappy before %zu\n", c->path, c->at);
	return -1;
}

/* --- conversion -------------------------------------------------------- */

struct conversion {
	enum wire_version to;
	struct wire_buf *out, series;	/* series: of 2.0, behind the symbols */
	struct symbols symbols;
};

static void
put_labels(struct conversion *v, struct wire_buf *out,
    const struct wire_label *l, size_t n)
{
	struct wire_buf one = { NULL, 0, 0 };
	size_t i;

	for (i = 0; i < n; i++) {
		if (v->to == WIRE_V2) {
			wire_put_varint(&one, symbols_intern(&v->symbols, l[i].name));
			wire_put_varint(&one, symbols_intern(&v->symbols, l[i].value));
			continue;
		}
		one.len = 0;
		wire_put_bytes(&one, 1, l[i].name.p, l[i].name.len);
		wire_put_bytes(&one, 2, l[i].value.p, l[i].value.len);
		wire_put_bytes(out, 1, one.p, one.len);
	}
	if (v->to == WIRE_V2 && n != 0)
		wire_put_bytes(out, 1, one.p, one.len);
	wire_buf_free(&one);
}

static void
put_sample(struct conversion *v, struct wire_buf *out,
    const struct wire_sample *s)
{
	struct wire_buf one = { NULL, 0, 0 };

	if (s->value != 0)
		wire_put_fixed64(&one, 1, s->value);
	if (s->ts != 0)
		wire_put_uint(&one, 2, (uint64_t)s->ts);
	if (s->start != 0 && v->to == WIRE_V2)
		wire_put_uint(&one, 3, (uint64_t)s->start);
	wire_put_bytes(out, 2, one.p, one.len);
	wire_buf_free(&one);
}

static void
put_hist_side(struct wire_buf *out, const struct wire_hist *h, unsigned side)
{
	struct wire_buf one = { NULL, 0, 0 };
	unsigned field = side == 0 ? 8 : 11;
	uint32_t i;

	for (i = 0; i < h->nspans[side]; i++) {
		one.len = 0;
		wire_put_sint(&one, 1, h->spans[side][i].offset);
		wire_put_uint(&one, 2, h->spans[side][i].len);
		wire_put_bytes(out, field, one.p, one.len);
	}
	one.len = 0;
	for (i = 0; i < h->ndeltas[side]; i++)
		wire_put_varint(&one, (uint64_t)h->deltas[side][i] << 1 ^
		    (uint64_t)(h->deltas[side][i] >> 63));
	if (one.len != 0)
		wire_put_bytes(out, field + 1, one.p, one.len);
	if (h->ncounts[side] != 0)
		wire_put_bytes(out, field + 2, h->counts[side],
		    h->ncounts[side] * 8u);
	wire_buf_free(&one);
}

static void
put_hist(struct conversion *v, struct wire_buf *out, const struct wire_hist *h)
{
	struct wire_buf b = { NULL, 0, 0 };

	if (h->is_float)
		wire_put_fixed64(&b, 2, h->count);
	else
		wire_put_uint(&b, 1, h->count);
	wire_put_fixed64(&b, 3, h->sum);
	wire_put_sint(&b, 4, h->schema);
	wire_put_fixed64(&b, 5, h->zero_threshold);
	if (h->zero_float)
		wire_put_fixed64(&b, 7, h->zero_count);
	else
		wire_put_uint(&b, 6, h->zero_count);
	put_hist_side(&b, h, 0);
	put_hist_side(&b, h, 1);
	wire_put_uint(&b, 14, h->reset_hint);
	wire_put_uint(&b, 15, (uint64_t)h->ts);
	if (h->ncustom != 0)
		wire_put_bytes(&b, 16, h->custom, h->ncustom * 8u);
	if (h->start != 0 && v->to == WIRE_V2)
		wire_put_uint(&b, 17, (uint64_t)h->start);
	wire_put_bytes(out, v->to == WIRE_V1 ? 4 : 3, b.p, b.len);
	wire_buf_free(&b);
}

static bool
convert_series(void *arg, struct wire_decoder *d, const struct wire_series *s)
{
	struct wire_buf one = { NULL, 0, 0 }, ex = { NULL, 0, 0 };
	struct conversion *v = arg;
	const struct wire_label *l;
	uint32_t i;
	size_t n;

	l = wire_labels(d, &n);
	put_labels(v, &one, l, n);
	for (i = 0; i < s->nsamples; i++)
		put_sample(v, &one, &s->samples[i]);
	for (i = 0; i < s->nhists; i++)
		put_hist(v, &one, &s->hists[i]);
	for (i = 0; i < s->nexemplars; i++) {
		ex.len = 0;
		put_labels(v, &ex, s->exemplar_labels +
		    s->exemplars[i].first_label, s->exemplars[i].nlabels);
		if (s->exemplars[i].value != 0)
			wire_put_fixed64(&ex, 2, s->exemplars[i].value);
		wire_put_uint(&ex, 3, (uint64_t)s->exemplars[i].ts);
		wire_put_bytes(&one, v->to == WIRE_V1 ? 3 : 4, ex.p, ex.len);
	}
	if (v->to == WIRE_V1)
		wire_put_bytes(v->out, 1, one.p, one.len);
	else
		wire_put_bytes(&v->series, 5, one.p, one.len);
	wire_buf_free(&one);
	wire_buf_free(&ex);
	return true;
}

const char *
capture_convert(struct wire_decoder *d, enum wire_version from,
    const void *body, size_t len, enum wire_version to, struct wire_buf *out)
{
	struct conversion v = { .to = to, .out = out };
	struct wire_visitor visitor = { convert_series, NULL, &v };
	const char *wrong;
	struct wire_str s;
	uint32_t i;

	out->len = 0;
	symbols_init(&v.symbols);
	wrong = wire_decode(d, from, body, len, &visitor);
	if (to == WIRE_V2) {
		for (i = 0; i < v.symbols.n; i++) {
			s = symbols_text(&v.symbols, i);
			wire_put_bytes(out, 4, s.p, s.len);
		}
		wire_put(out, v.series.p, v.series.len);
	}
	wire_buf_free(&v.series);
	symbols_fini(&v.symbols);
	return wrong;
}
