/* gen.h - the load that the test tools send and recognise: every label, value
 * and timestamp is a function of (run, edge, series, sequence), so that a
 * receiver can tell a wrong bit, a loss, a repeat and a swap without having
 * been told what was sent.
 *
 * A series names its run in a label, run="START-INTERVAL-KINDS": its sample
 * number s has the timestamp START + s * INTERVAL (ms). Series come in targets
 * of fifty, as an exporter behind a web service would give them.
 * SPDX-License-Identifier: Apache-2.0                                       */
#ifndef TESTS_TOOLS_GEN_H
#define TESTS_TOOLS_GEN_H

#include "wire.h"

#define GEN_MAX_LABELS	11
#define GEN_BULK	3000u		/* bytes of text in a bulky series' label */
#define GEN_MAX_TEXT	(512 + GEN_BULK)
#define GEN_EDGE_DIGITS	6
#define GEN_TARGET	50u		/* series of one target */

/* What a run has beside plain counters and gauges (bits of gen_run.kinds). */
enum gen_feature {
	GEN_STALE = 1,		/* stale markers, NaNs, infinities, -0 */
	GEN_HISTOGRAM = 2,	/* native histograms, integer and float */
	GEN_EXEMPLAR = 4,
	GEN_METADATA = 8,
	GEN_START = 16,		/* start timestamps (2.0) */
	GEN_CUSTOM = 32,	/* histograms with custom buckets (2.0) */
	GEN_BULKY = 64,		/* a long label that hardly compresses: fills disks */
};

enum gen_kind {
	GEN_COUNTER,
	GEN_CONSTANT,
	GEN_GAUGE,
	GEN_SUM,
	GEN_ONE,
	GEN_HIST_INT,		/* from here on: native histograms */
	GEN_HIST_FLOAT,
	GEN_HIST_CUSTOM,
};

struct gen_run {
	int64_t start_ms, interval_ms;
	unsigned kinds;
};

/* Reads "stale,histogram,..." ("float" is always there); false on a word that
 * is not known. */
bool	gen_parse_kinds(const char *list, unsigned *kinds);
bool	gen_parse_run(struct wire_str, struct gen_run *);
int64_t	gen_time(const struct gen_run *, uint32_t seq);

enum gen_kind gen_kind_of(const struct gen_run *, uint32_t series);
static inline bool
gen_is_hist(enum gen_kind kind)
{
	return kind >= GEN_HIST_INT;
}

/* Fills the labels of a series, sorted by name, their text in `text`. */
size_t	gen_labels(const struct gen_run *, uint32_t edge, uint32_t series,
	    struct wire_label out[GEN_MAX_LABELS], char text[GEN_MAX_TEXT]);
void	gen_edge_name(uint32_t edge, char out[16]);

/* A series' own random number, first step of all its values. */
uint64_t gen_identity(uint32_t edge, uint32_t series);
uint64_t gen_value(const struct gen_run *, enum gen_kind, uint64_t identity,
	    uint32_t seq);
/* Arrays in static storage that depends on the kind alone. */
void	gen_hist(const struct gen_run *, enum gen_kind, uint32_t series,
	    uint64_t identity, uint32_t seq, struct wire_hist *);
/* 0: this series has none. */
int64_t	gen_start(const struct gen_run *, uint32_t series);

bool	gen_has_exemplar(const struct gen_run *, uint32_t series);
uint64_t gen_exemplar_value(uint64_t identity, uint32_t seq);
void	gen_trace_id(uint32_t series, char out[17]);

/* Metadata of the metric `name` (a name without _bucket, _sum, _count works
 * too); false when no such metric is generated. */
bool	gen_metadata(struct wire_str name, struct wire_metadata *);
size_t	gen_family_count(void);
void	gen_family(size_t, struct wire_metadata *);

#endif
