/* batch.h - one write, in memory: series references and points.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A batch is filled twice in a sample's life, each time in one arena:
 *  - inbound, by v1_scan or v2_scan: `entries` holds each TimeSeries as it came,
 *    points name entries by index; the session then gives each entry a series id
 *    (batch_entry.id) or a reason to refuse it, and batch_settle() turns the
 *    points' indexes into ids, dropping those of refused entries;
 *  - outbound, by decoder_decode: there are no entries, points name series ids
 *    of the decoder's dictionary.
 * Values are 64-bit patterns end to end: a stale marker is a signalling NaN,
 * which arithmetic would destroy.  Times of samples are milliseconds since 1970,
 * as remote write has them.
 *
 * A batch has one owner and moves between loops whole.                      */
#ifndef RW_SERIES_BATCH_H
#define RW_SERIES_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/status.h"

#define SERIES_NONE UINT32_MAX
#define STALE_MARKER UINT64_C(0x7ff0000000000002)

struct label {
	struct bytes name, value;
};

struct batch_sample {
	uint32_t series;
	uint32_t _unused;
	int64_t ms;
	uint64_t bits;			/* of the double */
};

struct batch_exemplar {
	uint32_t series;
	uint32_t n_labels;
	int64_t ms;
	uint64_t bits;
	struct label *labels;		/* in the arena; order as it came */
};

struct batch_span {
	int32_t offset;
	uint32_t length;
};

/* One sign's buckets.  Integer histograms: deltas (two's complement int64).
 * Float histograms: absolute counts (bits of the double). */
struct batch_buckets {
	uint32_t n_spans, n_buckets;
	struct batch_span *spans;	/* in the arena */
	uint64_t *buckets;		/* in the arena */
};

enum batch_reset_hint { RESET_UNKNOWN, RESET_YES, RESET_NO, RESET_GAUGE };

#define BATCH_SCHEMA_CUSTOM (-53)

struct batch_histogram {
	uint32_t series;
	int32_t schema;			/* BATCH_SCHEMA_CUSTOM: custom buckets */
	int64_t ms;
	int64_t start_ms;		/* 0: not given */
	uint64_t sum_bits;		/* STALE_MARKER: the whole is one */
	uint64_t zero_threshold_bits;
	uint64_t count;			/* integer, or bits of the double */
	uint64_t zero_count;		/* likewise */
	bool is_float;
	bool has_zero_count;		/* the oneof was there */
	uint8_t reset_hint;		/* any value that came */
	uint32_t n_custom;
	uint64_t *custom_bits;		/* custom_values, in the arena */
	struct batch_buckets negative, positive;
};

/* type: 0 unknown, 1 counter, 2 gauge, 3 histogram, 4 gauge histogram,
 * 5 summary, 6 info, 7 state set; others pass through. */
struct batch_metadata {
	uint32_t series;		/* 2.0: the series it came with;
					   1.0: SERIES_NONE, `family` names it */
	uint32_t type;
	struct bytes family;		/* 1.0 only */
	struct bytes help, unit;
};

/* A TimeSeries as it came.  The label block is hashed, not parsed: most series
 * are known already. */
struct batch_entry {
	struct hash128 key;
	const void *block;		/* for batch.labels; borrowed, in the
					   arena or in the body */
	uint32_t n_block;		/* 1.0: its bytes; 2.0: how many references
					   (varints) it is */
	uint32_t id;			/* series id, set by the session */
	uint32_t metadata;		/* index + 1 in batch.metadata, or 0 */
	enum status refused;		/* ST_OK, or why its points are dropped */
};

#define BATCH_LABELS_MAX 4096		/* hard limit, of any series */

struct batch {
	struct arena *arena;		/* owned; everything below is in it */
	struct batch_entry *entries;
	struct batch_sample *samples;
	int64_t *starts;		/* NULL, or per sample; 0: not given */
	struct batch_histogram *histograms;
	struct batch_exemplar *exemplars;
	struct batch_metadata *metadata;
	uint32_t n_entries, n_samples, n_histograms, n_exemplars, n_metadata;

	/* points refused before entries were looked at, by reason: histograms
	 * that are inconsistent, exemplars with bad references */
	uint32_t refused[ST__N];

	/* The labels of an entry, parsed: sorted by name, empty values left out,
	 * names and values borrowed from the body.  At most `max` are written.
	 * ST_NO_NAME, ST_EMPTY_NAME, ST_DUPLICATE_LABEL, ST_BAD_UTF8,
	 * ST_BAD_SYMBOL, ST_BAD_PROTOBUF, ST_TOO_MANY_LABELS. */
	enum status (*labels)(const struct batch *, const struct batch_entry *,
	    struct label *out, uint32_t max, uint32_t *n);
	/* for labels(): 2.0 symbols of the request */
	const struct bytes *symbols;
	uint32_t n_symbols;
};

/* A zeroed batch that owns a new arena; or NULL. */
struct batch *batch_new(size_t limit, size_t keep);
/* Empties it for the next request, keeping memory. */
void batch_reset(struct batch *);
void batch_free(struct batch **);

/* What the settled batch holds: float samples, histograms, exemplars. */
struct batch_counts {
	uint64_t samples, histograms, exemplars;
};
struct batch_counts batch_counts(const struct batch *);

/* Times of the oldest and of the newest point; untouched if there is none. */
void batch_times(const struct batch *, int64_t *oldest_ms, int64_t *newest_ms);

/* Every point's entry index becomes its series id; points (and metadata) of
 * refused entries go, counted in batch->refused by reason. */
void batch_settle(struct batch *);

/* Before it is settled: what the entries have that are refused for this reason. */
struct batch_counts batch_refused_counts(const struct batch *, enum status);

/* The check of a native histogram (remote write 2.0 "Native Histograms"; the
 * rules that Prometheus' receiver applies): ST_OK or ST_BAD_HISTOGRAM. */
enum status batch_histogram_check(const struct batch_histogram *);

#endif
