/* codec_priv.h - what the codec's files share: a stream's state, which both
 * ends keep alike, and the parts of a record.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Each part has its writing and its reading side in one file.  What is written
 * goes into a buf whose failure is asked for once, at the end of the record;
 * what is read comes through a reader that cannot run past the end.         */
#ifndef RW_SERIES_CODEC_PRIV_H
#define RW_SERIES_CODEC_PRIV_H

#include "series/codec.h"
#include "series/dict_priv.h"
#include "series/store.h"
#include "series/symtab.h"

#define CODEC_VERSION 1
#define CODEC_FEATURES 0		/* bits; unknown ones are refused */

/* Samples of one record: runs of unchanged values take next to no bytes, so
 * the length of a record does not bound them. */
#define SAMPLES_MAX (UINT32_C(1) << 22)

/* The first byte of a record: which parts it has, in this order. */
enum part {
	PART_HELLO = 1,			/* begins a stream */
	PART_DEFINE = 2,
	PART_METADATA = 4,
	PART_SAMPLES = 8,
	PART_STARTS = 16,		/* of the samples */
	PART_HISTOGRAMS = 32,
	PART_EXEMPLARS = 64,
};

/* ---- state that both ends keep alike -------------------------------------- */

struct series {
	uint64_t bits;			/* last value */
	int64_t ms;			/* its time */
	int64_t step;			/* from the time before */
	int64_t start_ms;		/* last start timestamp */
	uint32_t next;			/* series that came after it */
	uint32_t metadata;		/* its own, number + 1; 0: none */
};

struct stream {
	struct table series;		/* struct series */
	uint32_t last;			/* series of the last sample */
	uint32_t last_metadata;		/* number of the last family's */
	int64_t last_ms;		/* of a histogram or exemplar */
};

static inline struct series *
series_at(const struct stream *s, uint32_t id)
{
	return table_at(&s->series, sizeof(struct series), id);
}

/* The labels of the series defined last, and of the one in hand: symbols of
 * name, value, name, value... */
struct label_refs {
	uint32_t *before, *now;		/* owned */
	uint32_t n_before;		/* refs, two a label */
	uint32_t max;
};

/* ---- the two ends --------------------------------------------------------- */

struct encoder {
	struct stream stream;
	struct buf edge;
	uint32_t max_series;
	size_t max_symbol_bytes;
	struct symtab *symbols;		/* owned */
	bool begun;			/* the stream has a record */
	/* definitions that wait for the next record */
	struct buf defined;
	uint32_t n_defined;
	struct label_refs labels;
	/* metadata by number, and an index of it */
	struct table metadata;		/* struct dict_entry */
	uint32_t *metadata_slots;	/* owned; number + 1, 0: free */
	uint32_t n_metadata_slots;	/* power of two */
};

struct decoder {
	struct stream stream;
	struct dict *dict;		/* owned reference */
	size_t max_size;
	bool begun;
	struct label_refs labels;
};

/* ---- writing and reading -------------------------------------------------- */

static inline void
put_varint(struct buf *b, uint64_t v)
{
	uint8_t *p = buf_room(b, VARINT_MAX);

	if (p)
		b->len = (size_t)(varint_put(p, v) - b->data);
}

static inline void
put_signed(struct buf *b, int64_t v)
{
	put_varint(b, zigzag_put(v));
}

static inline void
put_le64(struct buf *b, uint64_t v)
{
	uint8_t *p = buf_room(b, 8);

	if (p) {
		le64_put(p, v);
		b->len += 8;
	}
}

static inline void
put_text(struct buf *b, struct bytes text)
{
	put_varint(b, text.n);
	buf_append(b, text.p, text.n);
}

static inline int64_t
read_signed(struct reader *r)
{
	return zigzag_get(read_varint(r));
}

static inline struct bytes
read_text(struct reader *r)
{
	return read_bytes(r, read_varint(r));
}

/* A number of things that take a byte each at least. */
static inline uint32_t
read_count(struct reader *r)
{
	uint64_t n = read_varint(r);

	if (n > reader_left(r) || n > UINT32_MAX) {
		reader_fail(r);
		return 0;
	}
	return (uint32_t)n;
}

/* A number below n. */
static inline uint32_t
read_below(struct reader *r, uint32_t n)
{
	uint64_t v = read_varint(r);

	if (v >= n) {
		reader_fail(r);
		return 0;
	}
	return (uint32_t)v;
}

/* Wraps, as both ends do alike. */
static inline int64_t
add_wrapped(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

static inline int64_t
sub_wrapped(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}

/* ---- parts ---------------------------------------------------------------- 
 * Reading: ST_BAD_RECORD, ST_NO_MEMORY.                                     */

/* The number of a string that the stream has or can take; ST_SERIES_LIMIT. */
enum status encoder_intern(struct encoder *, struct bytes, uint32_t *symbol);

void write_definitions(struct encoder *, struct buf *);
enum status read_definitions(struct decoder *, struct reader *);

enum status write_metadata(struct encoder *, const struct batch *,
    struct buf *);
enum status read_metadata(struct decoder *, struct reader *, struct batch *);

void write_samples(struct stream *, const struct batch *, struct buf *);
enum status read_samples(struct stream *, struct reader *, struct batch *);

void write_starts(struct stream *, const struct batch *, struct buf *);
enum status read_starts(struct stream *, struct reader *, struct batch *);

void write_histograms(struct stream *, const struct batch *, struct buf *);
enum status read_histograms(struct stream *, struct reader *, struct batch *);

void write_exemplars(struct stream *, const struct batch *, struct buf *);
enum status read_exemplars(struct stream *, struct reader *, struct batch *);

#endif
