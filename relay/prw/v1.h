/* v1.h - prometheus.WriteRequest (remote write 1.0) to batch and back.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Scanned by hand: generated code takes 13 to 60 times as long.  Anything that
 * protobuf allows is taken: fields in any order, packed or not, unknown fields.
 * Exemplars (field 3) and histograms (field 4) of a TimeSeries, and metadata,
 * are read and written though the 1.0 text reserves them, as everybody does.
 * Pure functions and objects of one loop.                                   */
#ifndef RW_PRW_V1_H
#define RW_PRW_V1_H

#include "base/buf.h"
#include "prw/prw.h"
#include "series/batch.h"
#include "series/dict.h"

/* Fills an empty batch; body is borrowed and must live as long as the batch.
 * ST_BAD_PROTOBUF; ST_NO_MEMORY (arena); ST_TOO_LARGE: more elements than a
 * body of this size has reason to hold.  Defects of labels are not looked for
 * here (batch.labels finds them); points that are defective themselves
 * (inconsistent histograms, exemplars with labels that are no text), that have
 * no label at all, and metadata that is no text, are dropped and counted in
 * batch->refused. */
enum status v1_scan(struct bytes body, const struct hash_key *, struct batch *);

/* ---- building -------------------------------------------------------------
 * One request out of any number of batches of one dictionary:
 *	v1_begin, v1_add ..., v1_finish
 * Points keep their order.  Each sample becomes a TimeSeries of its own unless
 * the one before has the same labels.  Metadata is sent as given by the batches
 * (1.0 families), or made of the series' own (2.0): type suffixes stripped from
 * the name: each entry once per request, and again only after 64 requests of
 * its edge, unless what it says has changed. */
struct v1_builder;

struct v1_builder *v1_builder_new(void);	/* NULL: out of memory */
void v1_builder_free(struct v1_builder **);

void v1_begin(struct v1_builder *, struct dict *);
/* dict is the same for all batches of a request.  ST_NO_MEMORY; ST_TOO_LARGE:
 * would pass `limit` bytes decoded: nothing was added. */
enum status v1_add(struct v1_builder *, const struct batch *, size_t limit);
size_t v1_size(const struct v1_builder *);	/* decoded bytes so far */
/* The decoded message, borrowed until the next v1_begin; empty if there is nothing
 * to send. */
struct bytes v1_finish(struct v1_builder *, struct prw_counts *,
    struct prw_loss *);
/* A request was not taken: its metadata, and all other, counts as not sent. */
void v1_forget_sent(struct v1_builder *);

#endif
