/* fuzz_codec.c - batches of all kinds, made of the fuzzer's bytes, through the
 * encoder and the decoder; and the records with bytes changed, which may be
 * refused or read as something else, but do no harm.
 * SPDX-License-Identifier: Apache-2.0 */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "series/codec.h"
#include "unit/batches.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORDS_MAX 24

static struct decoder *
new_decoder(void)
{
	static const struct decoder_opts opts = { (size_t)64 << 20 };
	struct decoder *d;

	assert(decoder_new(&opts, &d) == ST_OK);
	return d;
}

/* A second decoder gets the same records until one is damaged. */
static void
damage(struct batches *g, struct decoder **d, struct buf *record,
    struct batch *out)
{
	uint64_t n = batches_pick(g, 8);

	if (!*d)
		return;
	for (n = n == 7 ? 3 : 0; n && record->len; n--)
		record->data[batches_pick(g, record->len)] ^=
		    (uint8_t)batches_pick(g, 256);
	if (decoder_decode(*d, buf_bytes(record), out) != ST_OK)
		decoder_free(d);
	batch_reset(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct encoder_opts opts = {
		.edge = BYTES_LIT("edge"),
		.max_series = 300,
		.max_symbol_bytes = 5000,
	};
	struct batch *in = batch_new((size_t)64 << 20, (size_t)64 << 20);
	struct batch *out = batch_new((size_t)64 << 20, (size_t)64 << 20);
	struct decoder *d = new_decoder(), *other = new_decoder();
	struct batches g;
	struct encoder *e;
	struct buf record;
	const char *what;
	int i;

	assert(in && out && encoder_new(&opts, &e) == ST_OK);
	buf_init(&record, (size_t)64 << 20);
	batches_init(&g, 1, 300);
	g.p = data;
	g.end = data + size;
	for (i = 0; i < RECORDS_MAX && g.p < g.end; i++) {
		if (batches_next(&g, e, in) != ST_OK)
			break;
		buf_reset(&record, SIZE_MAX);
		assert(encoder_encode(e, in, &record) == ST_OK);
		assert(decoder_decode(d, buf_bytes(&record), out) == ST_OK);
		what = batches_differ(in, out);
		if (what) {
			fprintf(stderr, "record %d: %s differs\n", i, what);
			abort();
		}
		batch_reset(in);
		batch_reset(out);
		damage(&g, &other, &record, out);
	}
	batches_fini(&g);
	buf_fini(&record);
	encoder_free(&e);
	decoder_free(&d);
	decoder_free(&other);
	batch_free(&in);
	batch_free(&out);
	return 0;
}
