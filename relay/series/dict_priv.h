/* dict_priv.h - how a decoder fills a dictionary, and what it keeps there.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RW_SERIES_DICT_PRIV_H
#define RW_SERIES_DICT_PRIV_H

#include "series/dict.h"

/* Metadata as a stream numbers it: of a family (1.0), or without one, to be
 * used by any series (2.0). */
struct dict_entry {
	bool has_family;
	struct bytes family;		/* text of a symbol, or how it begins */
	struct dict_metadata metadata;
};

/* With one reference.  ST_NO_MEMORY, ST_SYSTEM. */
enum status dict_new(struct dict **out);

/* What these refer to by number must be there.  ST_NO_MEMORY. */
enum status dict_set_edge(struct dict *, struct bytes);
enum status dict_add_symbol(struct dict *, struct bytes);
/* n references, for the caller to fill in; NULL when out of memory. */
uint32_t *dict_add_series(struct dict *, uint32_t n);
enum status dict_add_metadata(struct dict *, const struct dict_entry *);

uint32_t dict_n_metadata(const struct dict *);
const struct dict_entry *dict_metadata_at(const struct dict *, uint32_t number);
/* From now on this is what its family has, or what the series has. */
void dict_use_family(struct dict *, uint32_t number);
void dict_use_own(struct dict *, uint32_t series, uint32_t number);

#endif
