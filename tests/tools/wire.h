/* wire.h - remote write messages of both versions, for the test tools: a
 * decoder that visits one series after another, and the few writers that a
 * body needs. Written apart from the relay's own codec, so that the two check
 * each other; nothing here is used by the daemon.
 * SPDX-License-Identifier: Apache-2.0                                       */
#ifndef TESTS_TOOLS_WIRE_H
#define TESTS_TOOLS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WIRE_STALE_NAN UINT64_C(0x7ff0000000000002)

enum wire_version {
	WIRE_V1 = 1,
	WIRE_V2 = 2,
};

struct wire_str {
	const char *p;
	uint32_t len;
};

struct wire_label {
	struct wire_str name, value;
};

struct wire_sample {
	uint64_t value;			/* the bits of the double */
	int64_t ts, start;		/* ms; start 0: none */
};

struct wire_span {
	int32_t offset;
	uint32_t len;
};

/* Arrays point into the decoder's scratch and live until the next series. */
struct wire_hist {
	bool is_float, zero_float;
	uint64_t count, sum, zero_threshold, zero_count;  /* ints, or bits */
	int32_t schema;
	uint32_t reset_hint;
	int64_t ts, start;
	const struct wire_span *spans[2];	/* 0 negative, 1 positive */
	const int64_t *deltas[2];
	const uint64_t *counts[2];		/* bits of doubles */
	const uint64_t *custom;			/* bits of doubles */
	uint32_t nspans[2], ndeltas[2], ncounts[2], ncustom;
};

struct wire_exemplar {
	uint64_t value;
	int64_t ts;
	uint32_t first_label, nlabels;	/* in wire_series.exemplar_labels */
};

struct wire_metadata {
	uint32_t type;
	struct wire_str family;		/* 1.0 only */
	struct wire_str help, unit;
};

struct wire_decoder;

struct wire_series {
	uint64_t key;			/* of the labels as they stand */
	const struct wire_sample *samples;
	const struct wire_hist *hists;
	const struct wire_exemplar *exemplars;
	const struct wire_label *exemplar_labels;
	uint32_t nsamples, nhists, nexemplars;
	bool has_metadata;		/* 2.0 only */
	struct wire_metadata metadata;
};

struct wire_visitor {
	/* Both may be NULL. False ends the decoding with "stopped". */
	bool (*series)(void *arg, struct wire_decoder *,
	    const struct wire_series *);
	bool (*metadata)(void *arg, const struct wire_metadata *);
	void *arg;
};

struct wire_decoder *wire_decoder_new(void);
void	wire_decoder_free(struct wire_decoder *);

/* Decodes an uncompressed message. NULL when all went well, else what was
 * wrong with it; what was visited before stays visited. */
const char *wire_decode(struct wire_decoder *, enum wire_version,
	    const void *body, size_t len, const struct wire_visitor *);

/* Inside a visit: the labels of the series being visited, in the order of the
 * message; valid until the visit returns. */
const struct wire_label *wire_labels(struct wire_decoder *, size_t *n);

/* Of the last 2.0 message: its symbols (strict checks). */
size_t	wire_symbol_count(const struct wire_decoder *);
struct wire_str wire_symbol(const struct wire_decoder *, size_t);

uint64_t wire_hash(const void *, size_t, uint64_t seed);

/* A buffer that grows; `fail` never happens, memory that is gone ends the
 * program. */
struct wire_buf {
	uint8_t *p;
	size_t len, cap;
};

void	wire_buf_room(struct wire_buf *, size_t more);
void	wire_buf_free(struct wire_buf *);
void	wire_put(struct wire_buf *, const void *, size_t);
void	wire_put_varint(struct wire_buf *, uint64_t);
void	wire_put_tag(struct wire_buf *, unsigned field, unsigned type);
void	wire_put_bytes(struct wire_buf *, unsigned field, const void *, size_t);
void	wire_put_uint(struct wire_buf *, unsigned field, uint64_t);
void	wire_put_sint(struct wire_buf *, unsigned field, int64_t);
void	wire_put_fixed64(struct wire_buf *, unsigned field, uint64_t);
size_t	wire_varint_size(uint64_t);

void	*wire_alloc(void *old, size_t bytes);	/* realloc, or the end */

#define WIRE_VARINT	0u
#define WIRE_FIXED64	1u
#define WIRE_BYTES	2u
#define WIRE_FIXED32	5u

static inline bool
wire_str_is(struct wire_str s, const char *lit)
{
	return s.len == strlen(lit) && memcmp(s.p, lit, s.len) == 0;
}

#endif
