/* codec.h - batch to record bytes and back.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A stream is the sequence of records of one edge in one segment.  An encoder
 * starts empty, so each segment reads alone; its records must be decoded in the
 * order in which they were encoded, none left out.  What a record defines (symbols,
 * series, metadata) is known to all later ones of the stream.
 *
 * Lossless: every bit of every value, every time, label order as sorted.  Only
 * the order of families' metadata in a batch, which has no meaning, may change.
 * Encoders and decoders are deterministic: the same calls give the same bytes on
 * every platform (integer arithmetic, one IEEE operation at a time).
 * A decoder is total: any bytes give a batch or ST_BAD_RECORD, in bounded
 * memory and time; after an error the decoder is to be freed.
 *
 * Not thread-safe: an object belongs to one loop.                           */
#ifndef RW_SERIES_CODEC_H
#define RW_SERIES_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "series/batch.h"
#include "series/dict.h"

/* ---- writing ------------------------------------------------------------- */

struct encoder;

struct encoder_opts {
	struct bytes edge;		/* name, copied; in the first record */
	uint32_t max_series;		/* ST_SERIES_LIMIT past it */
	size_t max_symbol_bytes;	/* ST_SERIES_LIMIT past it */
};

enum status encoder_new(const struct encoder_opts *, struct encoder **out);
void encoder_free(struct encoder **);

/* Back to empty: the next record begins a stream. */
void encoder_restart(struct encoder *);

/* A new series; labels sorted, unique, none empty (copied).  Ids are 0, 1, ...
 * since the restart.  The definition travels in the next record encoded.
 * ST_SERIES_LIMIT, ST_NO_MEMORY: nothing changed. */
enum status encoder_define(struct encoder *, const struct label *labels,
    uint32_t n, uint32_t *id);

/* Appends the record of a settled batch to out.  Metadata that the stream
 * already has for its series or family costs next to nothing.
 * ST_NO_MEMORY, ST_TOO_LARGE (out's limit): the encoder must be restarted. */
enum status encoder_encode(struct encoder *, const struct batch *,
    struct buf *out);

uint32_t encoder_n_series(const struct encoder *);
/* The series that followed this one the last time, SERIES_NONE if unknown:
 * whoever looks for series in order looks there first. */
uint32_t encoder_next(const struct encoder *, uint32_t id);
/* Bytes of memory held, all in. */
size_t encoder_size(const struct encoder *);

/* The name of the edge, if this is the first record of a stream; else empty.
 * Borrowed from the record. */
struct bytes codec_edge(struct bytes record);

/* ---- reading ------------------------------------------------------------- */

struct decoder;

struct decoder_opts {
	size_t max_size;		/* bytes of memory held, all in */
};

enum status decoder_new(const struct decoder_opts *, struct decoder **out);
void decoder_free(struct decoder **);

/* Into an empty batch: entries stay empty, everything else is filled, in its
 * arena; texts of metadata may be borrowed from the dictionary.  ST_BAD_RECORD; ST_NO_MEMORY (limits or malloc). */
enum status decoder_decode(struct decoder *, struct bytes record,
    struct batch *out);

/* Borrowed; dict_ref() to keep it past the decoder. */
struct dict *decoder_dict(struct decoder *);

#endif
