/* batches.h - made-up streams of batches, and whether two batches are alike.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Choices come from a seed, or from the bytes of a fuzzer as long as they last.
 * Values are of the kinds that exporters have, and of every odd kind.       */
#ifndef RW_UNIT_BATCHES_H
#define RW_UNIT_BATCHES_H

#include "series/batch.h"
#include "series/codec.h"

struct batches {
	uint64_t seed;			/* not 0 */
	const uint8_t *p, *end;		/* a fuzzer's bytes, or NULL */
	struct made_series *series;	/* owned */
	uint32_t n_series, max_series;
	int64_t ms;
};

void batches_init(struct batches *, uint64_t seed, uint32_t max_series);
void batches_fini(struct batches *);
/* A number in [0, n). */
uint64_t batches_pick(struct batches *, uint64_t n);

/* Defines some series now and then and fills the empty batch.  The arena must
 * not fail. */
enum status batches_next(struct batches *, struct encoder *, struct batch *);
/* Forgets the series, as the encoder does by a restart. */
void batches_restart(struct batches *);

/* The labels of a made-up series, n of them. */
const struct label *batches_labels(const struct batches *, uint32_t id,
    uint32_t *n);
/* The labels of a made-up series are what the dictionary has. */
bool batches_series_is(const struct batches *, const struct dict *,
    uint32_t id);

/* NULL if both have the same points and metadata, bit for bit, metadata of
 * families in any order; else what differs. */
const char *batches_differ(const struct batch *, const struct batch *);

#endif
