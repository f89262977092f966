/* streams.c - made-up streams of records, and beside each record what is in it,
 * for another decoder to be tried on.
 *
 *	streams SEED RECORDS
 *
 * Lines: "r" and a record in hexadecimal digits, then a line for each thing in
 * it, in the form of streams.py.
 * SPDX-License-Identifier: Apache-2.0 */

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "series/codec.h"
#include "unit/batches.h"

static void
print_hex(struct bytes b)
{
	size_t i;

	for (i = 0; i < b.n; i++)
		printf("%02x", b.p[i]);
}

static void
print_text(struct bytes b)
{
	putchar(' ');
	if (b.n == 0)
		putchar('-');
	print_hex(b);
}

static void
print_side(const struct batch_buckets *b)
{
	uint32_t i;

	printf(" %u", b->n_spans);
	for (i = 0; i < b->n_spans; i++)
		printf(" %d:%u", b->spans[i].offset, b->spans[i].length);
	printf(" %u", b->n_buckets);
	for (i = 0; i < b->n_buckets; i++)
		printf(" %" PRIu64, b->buckets[i]);
}

static void
print_histogram(const struct batch_histogram *h)
{
	uint32_t i;

	printf("h %u %" PRId64 " %" PRId64 " %d %d %u %d %" PRIx64 " %" PRIx64
	    " %" PRIu64 " %" PRIu64 " %u", h->series, h->ms, h->start_ms,
	    h->is_float, h->has_zero_count, h->reset_hint, h->schema,
	    h->sum_bits, h->zero_threshold_bits, h->count, h->zero_count,
	    h->n_custom);
	for (i = 0; i < h->n_custom; i++)
		printf(" %" PRIx64, h->custom_bits[i]);
	print_side(&h->negative);
	print_side(&h->positive);
	putchar('\n');
}

static void
print_exemplar(const struct batch_exemplar *x)
{
	uint32_t i;

	printf("x %u %" PRId64 " %" PRIx64, x->series, x->ms, x->bits);
	for (i = 0; i < x->n_labels; i++) {
		print_text(x->labels[i].name);
		print_text(x->labels[i].value);
	}
	putchar('\n');
}

static void
print_metadata(const struct batch_metadata *m)
{
	printf("m %" PRId64 " %u", m->series == SERIES_NONE ? -1 :
	    (int64_t)m->series, m->type);
	print_text(m->family);
	print_text(m->help);
	print_text(m->unit);
	putchar('\n');
}

static void
print_batch(const struct batch *b)
{
	uint32_t i;

	for (i = 0; i < b->n_samples; i++)
		printf("s %u %" PRId64 " %" PRIx64 " %" PRId64 "\n",
		    b->samples[i].series, b->samples[i].ms,
		    b->samples[i].bits, b->starts ? b->starts[i] : 0);
	for (i = 0; i < b->n_histograms; i++)
		print_histogram(&b->histograms[i]);
	for (i = 0; i < b->n_exemplars; i++)
		print_exemplar(&b->exemplars[i]);
	for (i = 0; i < b->n_metadata; i++)
		print_metadata(&b->metadata[i]);
}

/* The series that are new, before the record that defines them. */
static void
print_series(const struct batches *g, uint32_t first)
{
	const struct label *labels;
	uint32_t i, j, n;

	for (i = first; i < g->n_series; i++) {
		labels = batches_labels(g, i, &n);
		putchar('d');
		for (j = 0; j < n; j++) {
			print_text(labels[j].name);
			print_text(labels[j].value);
		}
		putchar('\n');
	}
}

/* Some series have whole numbers that share more low zeros than a mean has bits. */
static void
make_some_huge(struct batch *b, int record)
{
	uint32_t i;
	double v;

	for (i = 0; i < b->n_samples; i++) {
		if (b->samples[i].series % 16 != 5)
			continue;
		v = (record * 31 + (double)b->samples[i].series) * 0x1p40;
		memcpy(&b->samples[i].bits, &v, sizeof(v));
	}
}

int
main(int argc, char **argv)
{
	static const struct encoder_opts opts = {
		.edge = BYTES_LIT("edge"),
		.max_series = 500,
		.max_symbol_bytes = 20000,	/* so that metadata pass it */
	};
	struct batch *b = batch_new((size_t)256 << 20, 0);
	struct batches g;
	struct encoder *e;
	struct buf record;
	uint32_t n;
	int i;

	if (argc != 3)
		errx(2, "usage: streams SEED RECORDS");
	batches_init(&g, strtoull(argv[1], NULL, 0), 500);
	buf_init(&record, (size_t)256 << 20);
	if (!b || encoder_new(&opts, &e) != ST_OK)
		errx(2, "out of memory");
	for (i = 0; i < atoi(argv[2]); i++) {
		n = g.n_series;
		buf_reset(&record, SIZE_MAX);
		if (batches_next(&g, e, b) != ST_OK)
			errx(1, "record %d cannot be made", i);
		make_some_huge(b, i);
		if (encoder_encode(e, b, &record) != ST_OK)
			errx(1, "record %d cannot be written", i);
		printf("r ");
		print_hex(buf_bytes(&record));
		putchar('\n');
		print_series(&g, n);
		print_batch(b);
		batch_reset(b);
	}
	batches_fini(&g);
	buf_fini(&record);
	encoder_free(&e);
	batch_free(&b);
	return 0;
}
