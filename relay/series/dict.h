/* dict.h - what a stream of records has defined: symbols, series, metadata.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The reading side's tables.  Append-only: ids and the memory behind them stay
 * valid as long as the dictionary lives, whatever is decoded later, so a batch
 * that waits to be sent needs nothing but a reference to its dictionary.
 * One loop owns a dictionary and all its references.                        */
#ifndef RW_SERIES_DICT_H
#define RW_SERIES_DICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

struct dict;

struct dict *dict_ref(struct dict *);
void dict_unref(struct dict **);

/* The edge whose records these are, as named when the stream began. */
struct bytes dict_edge(const struct dict *);

/* Symbols are numbered from 0; symbol 0 is "". */
uint32_t dict_n_symbols(const struct dict *);
struct bytes dict_symbol(const struct dict *, uint32_t symbol);

/* Series are numbered from 0.  Returns name, value, name, value... as symbols,
 * n of them (even), sorted by name. */
uint32_t dict_n_series(const struct dict *);
const uint32_t *dict_series(const struct dict *, uint32_t series, uint32_t *n);

/* Metadata of a series as last set: from its own (2.0), else from the family
 * of its metric name (1.0: exact name, then without _bucket, _count, _sum,
 * _gcount, _gsum, _total, _info, _created as its type allows).  False if
 * unknown. */
struct dict_metadata {
	uint32_t type;
	uint32_t help, unit;		/* symbols */
};
bool dict_metadata(const struct dict *, uint32_t series,
    struct dict_metadata *out);

/* A slot per series for what a builder wants to keep with it (v1.c: the label
 * block as bytes).  Grows on demand; dict frees neither content nor cares. */
enum dict_cache { DICT_CACHE_V1, DICT_CACHE__N };
struct bytes dict_cached(const struct dict *, enum dict_cache, uint32_t series);
/* Room of n bytes that belongs to the dictionary and is freed with it, entered
 * as the cached span; NULL when out of memory. */
uint8_t *dict_cache_room(struct dict *, enum dict_cache, uint32_t series,
    size_t n);

/* Bytes of memory held. */
size_t dict_size(const struct dict *);

#endif
