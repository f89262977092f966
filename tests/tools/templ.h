/* templ.h - request bodies that are compressed once and patched for ever.
 *
 * A template is the snappy block of one group of series, built so that the
 * bytes that change from request to request (values, timestamps, the edge's
 * number) stand in it as literals that no copy reads, or as literals that
 * every copy of them means to repeat. Filling one in is a memcpy and a few
 * stores for each sample: no protobuf, no compression.
 * SPDX-License-Identifier: Apache-2.0                                       */
#ifndef TESTS_TOOLS_TEMPL_H
#define TESTS_TOOLS_TEMPL_H

#include "gen.h"

struct templ;

/* The body for series [first, first + n) of any edge; n 0: one that has the
 * metadata of all families instead (1.0). */
struct templ *templ_new(const struct gen_run *, enum wire_version,
	    uint32_t first, uint32_t n);
void	templ_free(struct templ *);

size_t	templ_size(const struct templ *);
size_t	templ_raw_size(const struct templ *);
/* Items in it, as the Written headers count them. */
void	templ_counts(const struct templ *, uint32_t *samples, uint32_t *hists,
	    uint32_t *exemplars);
/* Writes templ_size() bytes. */
void	templ_fill(const struct templ *, uint32_t edge, uint32_t seq,
	    uint8_t *out);

#endif
