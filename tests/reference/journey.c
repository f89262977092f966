/* journey.c - there and back, by way of both versions.
 * SPDX-License-Identifier: Apache-2.0 */
#include "journey.h"

#include <assert.h>

#include "prw/v1.h"
#include "prw/v2.h"
#include "reference.h"
#include "trip.h"

#define BODY_MAX ((size_t)1 << 20)
#define ARENA_MAX ((size_t)64 << 20)

static struct hash_key key;
static struct batch *in, *back;
static struct arena *room;
static struct v1_builder *v1;
static struct v2_builder *v2;

static void
begin(void)
{
	if (in)
		return;
	assert(hash_key_init(&key) == ST_OK);
	in = batch_new(ARENA_MAX, ARENA_MAX);
	back = batch_new(ARENA_MAX, ARENA_MAX);
	room = arena_new(ARENA_MAX, ARENA_MAX);
	v1 = v1_builder_new();
	v2 = v2_builder_new();
	assert(in && back && room && v1 && v2);
}

static enum status
scan(enum payload_proto proto, struct bytes body, struct batch *b)
{
	batch_reset(b);
	return proto == PAYLOAD_V1 ? v1_scan(body, &key, b) :
	    v2_scan(body, &key, b);
}

/* ---- what comes back ----------------------------------------------------- */

static void
nothing_is_refused(void)
{
	static struct label labels[BATCH_LABELS_MAX];
	uint32_t i, n;

	for (i = 0; i < ST__N; i++)
		assert(back->refused[i] == 0);
	for (i = 0; i < back->n_entries; i++) {
		assert(back->entries[i].refused == ST_OK);
		assert(back->labels(back, &back->entries[i], labels,
		    BATCH_LABELS_MAX, &n) == ST_OK);
	}
}

static bool
is_series(struct dict *d, uint32_t series, uint32_t entry)
{
	static struct label labels[BATCH_LABELS_MAX];
	const uint32_t *refs;
	uint32_t i, n, n_refs;

	assert(back->labels(back, &back->entries[entry], labels,
	    BATCH_LABELS_MAX, &n) == ST_OK);
	refs = dict_series(d, series, &n_refs);
	for (i = 0; n * 2 == n_refs && i < n; i++) {
		if (!bytes_eq(labels[i].name, dict_symbol(d, refs[2 * i])) ||
		    !bytes_eq(labels[i].value,
		    dict_symbol(d, refs[2 * i + 1])))
			return false;
	}
	return n * 2 == n_refs;
}

/* The samples, one by one, and the other points by number. */
static void
is_all_there(enum payload_proto proto, const struct batch *b, struct dict *d,
    const struct prw_counts *counts, const struct prw_loss *loss)
{
	uint32_t i;

	assert(back->n_samples == b->n_samples);
	assert(back->n_exemplars == b->n_exemplars);
	assert(back->n_histograms + loss->histograms == b->n_histograms);
	assert(counts->samples == b->n_samples);
	assert(counts->histograms == back->n_histograms);
	assert(counts->exemplars == b->n_exemplars);
	for (i = 0; i < b->n_samples; i++) {
		assert(back->samples[i].ms == b->samples[i].ms);
		assert(back->samples[i].bits == b->samples[i].bits);
		if (proto == PAYLOAD_V2)
			assert((back->starts ? back->starts[i] : 0) ==
			    (b->starts ? b->starts[i] : 0));
		assert(is_series(d, b->samples[i].series,
		    back->samples[i].series));
	}
}

static void
return_as(enum payload_proto proto, const struct batch *b, struct dict *d)
{
	struct prw_counts counts;
	struct prw_loss loss;
	struct bytes body;
	enum status st;

	if (proto == PAYLOAD_V1) {
		v1_begin(v1, d);
		assert(v1_add(v1, b, SIZE_MAX) == ST_OK);
		body = v1_finish(v1, &counts, &loss);
	} else {
		v2_begin(v2, d);
		assert(v2_add(v2, b, SIZE_MAX) == ST_OK);
		body = v2_finish(v2, &counts, &loss);
	}
	st = scan(proto, body, back);
	/* of points that say nothing, more fit than are taken */
	if (st == ST_TOO_LARGE && b->n_histograms + b->n_exemplars > 0)
		return;
	assert(st == ST_OK);
	assert(reference_check(proto, body, back));
	nothing_is_refused();
	is_all_there(proto, b, d, &counts, &loss);
}

/* ---- there --------------------------------------------------------------- */

static void
travel(enum payload_proto proto, struct bytes body)
{
	struct trip trip;

	if (scan(proto, body, in) != ST_OK)
		return;
	(void)reference_check(proto, body, in);	/* it takes less than we do */
	trip_init(&trip, "edge");
	trip_identify(&trip, in);
	batch_settle(in);
	trip_pass(&trip, in);
	return_as(PAYLOAD_V1, trip.out, decoder_dict(trip.decoder));
	return_as(PAYLOAD_V2, trip.out, decoder_dict(trip.decoder));
	trip_fini(&trip);
}

void
journey(enum payload_proto proto, struct bytes bytes)
{
	struct bytes body;

	begin();
	travel(proto, bytes);
	arena_reset(room);
	if (payload_unpack(NULL, PAYLOAD_SNAPPY, bytes, BODY_MAX, room, &body) == ST_OK)
		travel(proto, body);
}
