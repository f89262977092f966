/* canon.c - see canon.h.
 * SPDX-License-Identifier: Apache-2.0                                       */
#include "canon.h"

#include <inttypes.h>
#include <stdlib.h>

static int
by_name(const void *a, const void *b)
{
	const struct wire_label *x = a, *y = b;
	uint32_t n = x->name.len < y->name.len ? x->name.len : y->name.len;
	int c = memcmp(x->name.p, y->name.p, n);

	return c != 0 ? c : (x->name.len > y->name.len) -
	    (x->name.len < y->name.len);
}

static void
quoted(struct wire_buf *out, struct wire_str s)
{
	char hex[8];
	uint32_t i;

	wire_put(out, "\"", 1);
	for (i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\') {
			wire_put(out, "\\", 1);
			wire_put(out, &c, 1);
		} else if (c < 0x20 || c == 0x7f) {
			snprintf(hex, sizeof(hex), "\\x%02x", c);
			wire_put(out, hex, 4);
		} else {
			wire_put(out, &c, 1);
		}
	}
	wire_put(out, "\"", 1);
}

void
canon_labels(struct wire_buf *out, const struct wire_label *labels, size_t n)
{
	struct wire_label *sorted = wire_alloc(NULL, n * sizeof(*sorted));
	size_t i;

	if (n != 0)
		memcpy(sorted, labels, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), by_name);
	wire_put(out, "{", 1);
	for (i = 0; i < n; i++) {
		if (i != 0)
			wire_put(out, ",", 1);
		wire_put(out, sorted[i].name.p, sorted[i].name.len);
		wire_put(out, "=", 1);
		quoted(out, sorted[i].value);
	}
	wire_put(out, "}", 1);
	free(sorted);
}

static void
write_buf(FILE *f, const struct wire_buf *b)
{
	(void)fwrite(b->p, 1, b->len, f);
}

static void
bits_list(FILE *f, const char *name, const uint64_t *v, uint32_t n)
{
	uint32_t i;

	if (n == 0)
		return;
	fprintf(f, " %s=", name);
	for (i = 0; i < n; i++)
		fprintf(f, "%s%016" PRIx64, i != 0 ? "," : "", v[i]);
}

static void
hist_side(FILE *f, const struct wire_hist *h, unsigned side, const char *name)
{
	char word[16];
	uint32_t i;

	if (h->nspans[side] != 0)
		fprintf(f, " %s-spans=", name);
	for (i = 0; i < h->nspans[side]; i++)
		fprintf(f, "%s%d:%u", i != 0 ? "," : "",
		    h->spans[side][i].offset, h->spans[side][i].len);
	if (h->ndeltas[side] != 0)
		fprintf(f, " %s-deltas=", name);
	for (i = 0; i < h->ndeltas[side]; i++)
		fprintf(f, "%s%" PRId64, i != 0 ? "," : "",
		    h->deltas[side][i]);
	snprintf(word, sizeof(word), "%s-counts", name);
	bits_list(f, word, h->counts[side], h->ncounts[side]);
}

static void
histogram(FILE *f, const struct wire_hist *h)
{
	fprintf(f, " histogram %" PRId64, h->ts);
	if (h->is_float)
		fprintf(f, " count=f%016" PRIx64, h->count);
	else
		fprintf(f, " count=%" PRIu64, h->count);
	fprintf(f, " sum=%016" PRIx64 " schema=%d zero-threshold=%016" PRIx64,
	    h->sum, h->schema, h->zero_threshold);
	/* Absent and zero are one: of a float histogram as well. */
	if (h->zero_float)
		fprintf(f, " zero=f%016" PRIx64, h->zero_count);
	else if (h->zero_count == 0 && h->is_float)
		fputs(" zero=f0000000000000000", f);
	else
		fprintf(f, " zero=%" PRIu64, h->zero_count);
	hist_side(f, h, 0, "negative");
	hist_side(f, h, 1, "positive");
	if (h->reset_hint != 0)
		fprintf(f, " reset=%u", h->reset_hint);
	bits_list(f, "custom", h->custom, h->ncustom);
	if (h->start != 0)
		fprintf(f, " start=%" PRId64, h->start);
	putc('\n', f);
}

static void
metadata(FILE *f, const struct wire_metadata *m)
{
	struct wire_buf b = { NULL, 0, 0 };

	fprintf(f, " %u ", m->type);
	quoted(&b, m->help);
	wire_put(&b, " ", 1);
	quoted(&b, m->unit);
	wire_put(&b, "\n", 1);
	write_buf(f, &b);
	wire_buf_free(&b);
}

void
canon_series(FILE *f, struct wire_decoder *d, const struct wire_series *s)
{
	struct wire_buf name = { NULL, 0, 0 }, ex = { NULL, 0, 0 };
	const struct wire_label *labels;
	const struct wire_exemplar *e;
	uint32_t i;
	size_t n;

	labels = wire_labels(d, &n);
	canon_labels(&name, labels, n);
	for (i = 0; i < s->nsamples; i++) {
		write_buf(f, &name);
		fprintf(f, " sample %" PRId64 " %016" PRIx64, s->samples[i].ts,
		    s->samples[i].value);
		if (s->samples[i].start != 0)
			fprintf(f, " start=%" PRId64, s->samples[i].start);
		putc('\n', f);
	}
	for (i = 0; i < s->nhists; i++) {
		write_buf(f, &name);
		histogram(f, &s->hists[i]);
	}
	for (i = 0; i < s->nexemplars; i++) {
		e = &s->exemplars[i];
		ex.len = 0;
		canon_labels(&ex, s->exemplar_labels + e->first_label,
		    e->nlabels);
		write_buf(f, &name);
		fprintf(f, " exemplar %" PRId64 " %016" PRIx64 " ", e->ts,
		    e->value);
		write_buf(f, &ex);
		putc('\n', f);
	}
	if (s->has_metadata && (s->metadata.type != 0 ||
	    s->metadata.help.len != 0 || s->metadata.unit.len != 0)) {
		write_buf(f, &name);
		fputs(" metadata", f);
		metadata(f, &s->metadata);
	}
	wire_buf_free(&name);
	wire_buf_free(&ex);
}

void
canon_metadata(FILE *f, const struct wire_metadata *m)
{
	fprintf(f, "metadata %.*s", (int)m->family.len, m->family.p);
	metadata(f, m);
}
