/* v2.h - io.prometheus.write.v2.Request (remote write 2.0) to batch and back.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Scanned by hand, like v1.h.  Symbols may come after the series that use them;
 * every reference is checked before use.  Reads start timestamps where 2.0-rc.4
 * has them and, where an item has none of its own, the older
 * TimeSeries.created_timestamp (field 6).
 * Pure functions and objects of one loop.                                   */
#ifndef RW_PRW_V2_H
#define RW_PRW_V2_H

#include "base/buf.h"
#include "prw/prw.h"
#include "series/batch.h"
#include "series/dict.h"

/* As v1_scan.  Entries whose labels_refs are odd in number or out of range get
 * their `refused` at once.  A series' metadata (when type, help or unit is
 * given) is entered in batch->metadata with the entry's index as its series,
 * and in the entry; a series of nothing but metadata is entered too. */
enum status v2_scan(struct bytes body, const struct hash_key *, struct batch *);

/* ---- building: as in v1.h ------------------------------------------------
 * Symbols are unique, symbols[0] is "".  Samples and histograms of one series
 * go into separate TimeSeries; an exemplar goes with a sample or histogram of
 * its series in the same batch if there is one, else alone.  Metadata is
 * dict_metadata() of each series; without a series there is no request. */
struct v2_builder;

struct v2_builder *v2_builder_new(void);
void v2_builder_free(struct v2_builder **);

void v2_begin(struct v2_builder *, struct dict *);
enum status v2_add(struct v2_builder *, const struct batch *, size_t limit);
size_t v2_size(const struct v2_builder *);
struct bytes v2_finish(struct v2_builder *, struct prw_counts *,
    struct prw_loss *);

#endif
