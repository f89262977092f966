/* fuzz_record.c - the decoder of records on any bytes: a few records, one after
 * the other, each with two bytes of length before it.
 *
 * Whatever is decoded must be sound: what names a series names one that the
 * dictionary has.
 * SPDX-License-Identifier: Apache-2.0 */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "series/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long seen;	/* so that reading is not optimised away */

static void
read_bytes_of(struct bytes b)
{
	size_t i;

	for (i = 0; i < b.n; i++)
		seen += b.p[i];
}

static void
read_dictionary(const struct dict *d)
{
	struct dict_metadata m;
	const uint32_t *refs;
	uint32_t i, j, n;

	for (i = 0; i < dict_n_series(d) && i < 1000; i++) {
		refs = dict_series(d, i, &n);
		assert(n % 2 == 0);
		for (j = 0; j < n; j++)
			read_bytes_of(dict_symbol(d, refs[j]));
		if (dict_metadata(d, i, &m)) {
			read_bytes_of(dict_symbol(d, m.help));
			read_bytes_of(dict_symbol(d, m.unit));
		}
	}
}

static void
read_buckets(const struct batch_buckets *b)
{
	uint32_t i;

	for (i = 0; i < b->n_spans; i++)
		seen += b->spans[i].length;
	for (i = 0; i < b->n_buckets; i++)
		seen += b->buckets[i];
}

static void
read_batch(const struct batch *b, uint32_t n)
{
	uint32_t i, j;

	for (i = 0; i < b->n_samples; i++) {
		assert(b->samples[i].series < n);
		seen += b->samples[i].bits;
		if (b->starts)
			seen += (unsigned long)b->starts[i];
	}
	for (i = 0; i < b->n_histograms; i++) {
		assert(b->histograms[i].series < n);
		for (j = 0; j < b->histograms[i].n_custom; j++)
			seen += b->histograms[i].custom_bits[j];
		read_buckets(&b->histograms[i].negative);
		read_buckets(&b->histograms[i].positive);
	}
	for (i = 0; i < b->n_exemplars; i++) {
		assert(b->exemplars[i].series < n);
		for (j = 0; j < b->exemplars[i].n_labels; j++) {
			read_bytes_of(b->exemplars[i].labels[j].name);
			read_bytes_of(b->exemplars[i].labels[j].value);
		}
	}
	for (i = 0; i < b->n_metadata; i++) {
		assert(b->metadata[i].series < n ||
		    b->metadata[i].series == SERIES_NONE);
		read_bytes_of(b->metadata[i].family);
		read_bytes_of(b->metadata[i].help);
		read_bytes_of(b->metadata[i].unit);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct decoder_opts opts = { (size_t)8 << 20 };
	struct reader r = reader_of(bytes_of(data, size));
	struct batch *b = batch_new((size_t)16 << 20, 0);
	enum status st = ST_OK;
	struct decoder *d;
	struct bytes record;
	uint64_t n;

	assert(b && decoder_new(&opts, &d) == ST_OK);
	while (st == ST_OK && reader_left(&r) > 2) {
		n = read_u8(&r);
		n |= (uint64_t)read_u8(&r) << 8;
		if (n > reader_left(&r))
			n = reader_left(&r);
		record = read_bytes(&r, n);
		st = decoder_decode(d, record, b);
		assert(st == ST_OK || st == ST_BAD_RECORD ||
		    st == ST_NO_MEMORY);
		if (st == ST_OK)
			read_batch(b, dict_n_series(decoder_dict(d)));
		batch_reset(b);
	}
	read_dictionary(decoder_dict(d));
	decoder_free(&d);
	batch_free(&b);
	return 0;
}
