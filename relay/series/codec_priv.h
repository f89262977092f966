/* codec_priv.h - what the codec's files share: a stream's state, which both
 * ends keep alike, and the parts of a record.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A record is
 *	varint	its parts, as flags
 *	hello	of the first record: version, features, name of the edge
 *	texts	of the symbols that are new
 *	bits	everything else, in three streams (codec_bits.h): definitions,
 *		metadata, samples (series, times, values), start timestamps,
 *		histograms, exemplars, and now and then a check
 * and each of these has its writing and its reading side in one file.  Writing
 * fails for lack of memory only.  Reading marks its reader as bad and goes on
 * with zeros, within what it has allowed itself before.                     */
#ifndef RW_SERIES_CODEC_PRIV_H
#define RW_SERIES_CODEC_PRIV_H

#include "series/codec.h"
#include "series/codec_bits.h"
#include "series/codec_value.h"
#include "series/dict_priv.h"
#include "series/store.h"
#include "series/symtab.h"

#define CODEC_VERSION 1
#define CODEC_FEATURES 0		/* bits; unknown ones are refused */

/* Things of one record, since a few bytes can stand for very many. */
#define SAMPLES_MAX (UINT32_C(1) << 22)
#define OTHERS_MAX (UINT32_C(1) << 20)	/* of each other kind */
#define BUCKETS_MAX (UINT32_C(1) << 20)	/* of one sign; spans, too */

/* Every so many records the last one ends with a check. */
#define CHECK_EVERY 16

enum part {
	PART_SAMPLES = 1,
	PART_HISTOGRAMS = 2,
	PART_EXEMPLARS = 4,
	PART_METADATA = 8,
	PART_STARTS = 16,		/* of the samples */
	PART_DEFINITIONS = 32,
	PART_TEXTS = 64,
	PART_HELLO = 128,		/* begins a stream */
	PART__END = 256,
};

/* ---- state that both ends keep alike -------------------------------------- */

/* What a symbol has been used for. */
struct symbol_use {
	uint32_t after;			/* value that came after it in its
					   label, 0: none */
	uint32_t shape;			/* of the series of that metric, + 1 */
	uint32_t series;		/* last of that metric, + 1 */
	uint32_t name;			/* its number as a label name, + 1 */
};

/* A label name, and what values it had. */
struct name_use {
	uint32_t last;			/* value, 0: none yet */
	uint8_t changes;		/* of the last two, bits */
	uint8_t hits;			/* of the last two foreseen ones, bits */
};

/* The label names of a series. */
struct shape {
	const uint32_t *names;		/* symbols; in the store */
	uint32_t n;
	uint32_t metric;		/* which is "__name__"; n: none */
};

struct define_model {
	struct number count, n_names;
	struct guess has_metric, same[4][3], after[4], fresh[2], shape[2],
	    shape_new, name_next, name_skip, name_fresh;
};

struct metadata_model {
	struct number count, skip, stem, series, text;
	struct guess own, foreseen[2], is_new[2][2], is_whole, series_next,
	    as_before, suffix_none, suffix_last, type_same, help_last,
	    help_fresh, unit_last, unit_fresh;
	uint32_t next_family;		/* number of an entry */
	uint32_t last_own;		/* likewise */
	uint32_t last_series;
	uint32_t last_stem, last_suffix, last_help, last_unit;
	uint32_t last_type[16];		/* by suffix */
};

#define ENDS_MAX 8

/* Where series go on when not along the link. */
enum { TURN_OTHER, TURN_SKIP, TURN_BACK, TURN__N };

struct refs_model {
	struct number count, start, length, off, changed;
	struct guess count_same, end[ENDS_MAX], straight, taken, turn[TURN__N],
	    foreseen, holds;
	uint32_t last_count;
	uint32_t left;			/* link that was not taken last */
};

struct starts_model {
	struct number since;
	struct guess same[2], neighbour;
};

struct histogram_model {
	struct number count, series, off, since, n_custom, n_spans,
	    span_offset, span_length, n_buckets, bucket[2], tally,
	    whole_count;
	struct guess series_next, time_foreseen, start_same, head_same,
	    spans_same, buckets_foreseen, bucket_same[4], bucket_up,
	    zeros_same, count_foreseen, whole;
	struct value_model sums;
	uint32_t last_series;
	uint32_t n_kept;		/* last histograms */
	uint64_t numbers;		/* in their arrays */
};

/* The last trace ids: texts of 32 hexadecimal digits. */
#define TRACES_BITS 9
#define TRACES_MAX (UINT32_C(1) << TRACES_BITS)

struct traces {
	uint64_t first[TRACES_MAX], second[TRACES_MAX];
	uint32_t n;			/* so far; the oldest give way */
};

/* Label names of the last exemplar, if there is room for them. */
#define NAMES_MAX 4
#define NAMES_TEXT 100
#define NAMES_NONE UINT32_MAX

struct exemplar_names {
	uint32_t n;			/* NAMES_NONE: there was none */
	uint8_t length[NAMES_MAX];
	uint8_t text[NAMES_TEXT];
};

struct exemplar_model {
	struct exemplar_names names;
	struct number count, series, n_labels, text, n_hex, back, age, whole;
	struct guess repeated, back_same, time_same, value_same[2],
	    digits_same, names_same, hex, trace_known;
	struct traces *traces;		/* owned; NULL until there is one */
	uint32_t last_series, last_back;
	uint64_t last_bits[2];		/* values, of new and repeated ones */
	uint8_t digits;
};

struct stream {
	struct table series;		/* struct series */
	struct table starts;		/* int64_t, last start timestamp */
	struct table own;		/* uint32_t, number of metadata + 1 */
	struct table last;		/* struct last_histogram *, owned */
	struct table symbols;		/* struct symbol_use */
	struct table names;		/* struct name_use */
	struct table shapes;		/* struct shape */
	struct store store;
	struct name_use metric;
	uint32_t shape;			/* of the series defined last, + 1 */
	uint32_t n_used;		/* symbols that something refers to */
	uint32_t ends[ENDS_MAX];	/* last series of the last records */
	uint32_t n_ends;
	int64_t last_ms;		/* of the last sample */
	int32_t last_step;		/* from its series' sample before */
	uint32_t n_records;
	uint64_t digest;		/* of all values so far */
	struct gap_means gaps;
	struct define_model define;
	struct metadata_model metadata;
	struct refs_model refs;
	struct value_model values;
	struct starts_model start;
	struct histogram_model histograms;
	struct exemplar_model exemplars;
};

static inline struct series *
stream_series(const struct stream *s, uint32_t id)
{
	return table_at(&s->series, sizeof(struct series), id);
}

/* So many symbols there are now.  False: out of memory. */
bool stream_add_symbols(struct stream *, uint32_t n);
/* Something refers to the symbol. */
void stream_use(struct stream *, uint32_t symbol);

void define_model_init(struct define_model *);
void metadata_model_init(struct metadata_model *);
void refs_model_init(struct refs_model *);
void starts_model_init(struct starts_model *);
void histogram_model_init(struct histogram_model *);
void exemplar_model_init(struct exemplar_model *);
void exemplar_model_fini(struct exemplar_model *);

void histograms_fini(struct stream *);
size_t histograms_size(const struct stream *);

/* ---- the two ends --------------------------------------------------------- */

#define ENTRY_NONE UINT32_MAX

/* Metadata by number. */
struct encoder_entry {
	uint32_t stem, suffix;		/* of the family's name */
	uint32_t type, help, unit;
	uint32_t hash;
	bool has_family;
};

/* What went into the records since the restart, in bits. */
struct encoder_bits {
	uint64_t all, texts, definitions, metadata, refs, values, starts,
	    histograms, exemplars;
};

struct encoder {
	struct stream stream;
	struct buf edge;
	uint32_t max_series;
	size_t max_symbol_bytes;
	struct symtab *symbols;		/* owned */
	uint32_t n_sent;		/* symbols that the stream has */
	/* definitions that wait for the next record: numbers n and metric,
	 * then n names, then n values */
	struct buf defined;
	uint32_t n_defined;
	/* indexes of what the stream has, number + 1, 0: free */
	uint32_t *shape_slots, *entry_slots;	/* owned */
	uint32_t n_shape_slots, n_entry_slots;	/* powers of two */
	struct table entries;		/* struct encoder_entry */
	uint32_t n_entries_sent;
	struct item *items;		/* owned; while a record is written */
	struct buf room[GAP__N + 1];	/* of the record's streams */
	struct encoder_bits bits;
};

struct decoder {
	struct stream stream;
	struct dict *dict;		/* owned reference */
	size_t max_size;
};

/* What has been written since then goes to that account. */
void account(const struct record_writer *, uint64_t *since, uint64_t *to);
const struct encoder_bits *encoder_bits(const struct encoder *);
size_t decoder_size(const struct decoder *);

/* The number of a string that the stream has or can take.  ST_SERIES_LIMIT,
 * ST_NO_MEMORY; then symtab_cut() to where it was. */
enum status encoder_intern(struct encoder *, struct bytes, uint32_t *symbol);

/* ---- writing and reading -------------------------------------------------- */

static inline void
put_varint(struct buf *b, uint64_t v)
{
	uint8_t *p = buf_room(b, VARINT_MAX);

	if (p)
		b->len = (size_t)(varint_put(p, v) - b->data);
}

/* A symbol that is in use. */
void put_symbol(const struct stream *, struct record_writer *, uint32_t symbol);
uint32_t get_symbol(const struct stream *, struct record_reader *);
/* The next one that is not. */
uint32_t get_fresh(const struct stream *, struct record_reader *);

/* ---- parts, in their order ------------------------------------------------- */

enum status write_texts(struct encoder *, struct buf *);
enum status read_texts(struct decoder *, struct reader *);

bool put_definitions(struct encoder *, struct record_writer *);
enum status get_definitions(struct decoder *, struct record_reader *);

/* Numbers the batch's metadata: before the texts, since they may be new. */
enum status prepare_metadata(struct encoder *, const struct batch *);
bool put_metadata(struct encoder *, struct record_writer *,
    const struct batch *);
enum status get_metadata(struct decoder *, struct record_reader *,
    struct batch *);

bool put_samples(struct stream *, struct record_writer *, const struct batch *,
    struct encoder_bits *);
enum status get_samples(struct stream *, struct record_reader *,
    struct batch *);

bool put_starts(struct stream *, struct record_writer *,
    const struct batch *);
enum status get_starts(struct stream *, struct record_reader *, struct batch *);

bool put_histograms(struct stream *, struct record_writer *,
    const struct batch *);
enum status get_histograms(struct stream *, struct record_reader *,
    struct batch *);

bool put_exemplars(struct stream *, struct record_writer *,
    const struct batch *);
enum status get_exemplars(struct stream *, struct record_reader *,
    struct batch *);

#endif
