/* trip.c - identification by key, and both halves of the codec.
 * SPDX-License-Identifier: Apache-2.0 */
#include "trip.h"

#include <assert.h>
#include <stdlib.h>

struct trip_known {
	struct hash128 key;
	uint32_t id;
	enum status refused;
	bool used;
};

void
trip_init(struct trip *t, const char *edge)
{
	const struct encoder_opts encoder = { .edge = bytes_str(edge),
		.max_series = UINT32_MAX, .max_symbol_bytes = SIZE_MAX };
	const struct decoder_opts decoder = { .max_size = SIZE_MAX };

	*t = (struct trip){ 0 };
	assert(encoder_new(&encoder, &t->encoder) == ST_OK);
	assert(decoder_new(&decoder, &t->decoder) == ST_OK);
	t->out = batch_new(SIZE_MAX, (size_t)64 << 20);
	assert(t->out != NULL);
	buf_init(&t->record, SIZE_MAX);
	t->max_known = 1024;
	t->known = calloc(t->max_known, sizeof(*t->known));
	assert(t->known != NULL);
}

void
trip_fini(struct trip *t)
{
	encoder_free(&t->encoder);
	decoder_free(&t->decoder);
	batch_free(&t->out);
	buf_fini(&t->record);
	free(t->known);
}

static struct trip_known *
place_of(struct trip_known *known, uint32_t max, struct hash128 key)
{
	uint32_t i = (uint32_t)(key.lo >> 8) & (max - 1);

	while (known[i].used && !hash128_eq(known[i].key, key))
		i = (i + 1) & (max - 1);
	return &known[i];
}

static void
grow(struct trip *t)
{
	uint32_t i, max = t->max_known * 2;
	struct trip_known *more;

	if (t->n_known < t->max_known / 2)
		return;
	more = calloc(max, sizeof(*more));
	assert(more != NULL);
	for (i = 0; i < t->max_known; i++) {
		if (t->known[i].used)
			*place_of(more, max, t->known[i].key) = t->known[i];
	}
	free(t->known);
	t->known = more;
	t->max_known = max;
}

void
trip_identify(struct trip *t, struct batch *b)
{
	static struct label labels[BATCH_LABELS_MAX];
	struct batch_entry *e;
	struct trip_known *k;
	uint32_t n;

	for (e = b->entries; e < b->entries + b->n_entries; e++) {
		if (e->refused != ST_OK)
			continue;
		grow(t);
		k = place_of(t->known, t->max_known, e->key);
		if (!k->used) {
			*k = (struct trip_known){ .key = e->key, .used = true };
			k->refused = b->labels(b, e, labels, BATCH_LABELS_MAX,
			    &n);
			if (k->refused == ST_OK)
				assert(encoder_define(t->encoder, labels, n,
				    &k->id) == ST_OK);
			t->n_known++;
		}
		e->id = k->id;
		e->refused = k->refused;
	}
}

void
trip_pass(struct trip *t, const struct batch *settled)
{
	buf_reset(&t->record, SIZE_MAX);
	assert(encoder_encode(t->encoder, settled, &t->record) == ST_OK);
	batch_reset(t->out);
	assert(decoder_decode(t->decoder, buf_bytes(&t->record), t->out) ==
	    ST_OK);
}
