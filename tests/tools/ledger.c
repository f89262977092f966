/* ledger.c - see ledger.h.
 * SPDX-License-Identifier: Apache-2.0                                       */
#include "ledger.h"

#include <inttypes.h>
#include <stdlib.h>

#include "canon.h"

#define FOREIGN		UINT32_MAX	/* as a run: not of gen.h's making */
#define OFFENDERS	10		/* how many are told one by one */

struct series {
	uint64_t key;			/* of its labels as they came last */
	uint32_t run, edge, series;
	enum gen_kind kind;
	uint64_t identity;		/* foreign: hash of its labels */
	union {
		struct seen seen;
		struct {
			int64_t last_ts;
			bool any;
		} foreign;
	};
	struct seen *exemplars;
};

/* Open addressing; value 0 is an empty slot, others are index + 1. */
struct table {
	struct slot {
		uint64_t key;
		uint32_t value;
	} *slots;
	size_t n, mask;
};

enum count {
	SAMPLES, HISTOGRAMS, EXEMPLARS, METADATA, FOREIGN_SAMPLES,
	WRONG_VALUE, WRONG_TIME, WRONG_LABELS, EXTRA_LABELS, UNSORTED,
	DUPLICATES, REORDERS, WRONG_HISTOGRAM, WRONG_EXEMPLAR,
	WRONG_METADATA, WRONG_START, NO_START, EXEMPLAR_DUPLICATES,
	FOREIGN_BACKWARDS, FOREIGN_DUPLICATES, EMPTY_SERIES, BAD_SYMBOLS,
	COUNTS,
};

static const char *const count_names[COUNTS] = {
	"samples", "histograms", "exemplars", "metadata", "foreign",
	"wrong_value", "wrong_time", "wrong_labels", "extra_labels", "unsorted",
	"duplicates", "reorders", "wrong_histogram", "wrong_exemplar",
	"wrong_metadata", "wrong_start", "no_start", "exemplar_duplicates",
	"foreign_backwards", "foreign_duplicates", "empty_series",
	"bad_symbols",
};

/* Those that must stay 0 whatever happens on the way. */
static const enum count sins[] = { WRONG_VALUE, WRONG_TIME, WRONG_LABELS,
	UNSORTED, REORDERS, WRONG_HISTOGRAM, WRONG_EXEMPLAR, WRONG_METADATA,
	WRONG_START, FOREIGN_BACKWARDS, BAD_SYMBOLS };

struct ledger {
	FILE *log;
	struct table by_labels;		/* as they came: to series */
	struct table by_name;		/* (run, edge, series), or sorted labels */
	struct series *series;
	uint32_t nseries, cap;
	struct gen_run *runs;
	uint32_t nruns;
	uint64_t counts[COUNTS];
	unsigned told;
	uint32_t guess;			/* which series comes next */
	int64_t edges;			/* highest number, + 1 */
	/* the line of the log that is being made */
	uint32_t run, edge, first, n, seq;
	/* of ledger_meets() */
	long wanted_edge, wanted_series;
	bool met;
	struct ledger_counts *request;
};

static struct slot *
slot_of(struct table *t, uint64_t key)
{
	size_t i = key & t->mask;

	while (t->slots[i].value != 0 && t->slots[i].key != key)
		i = (i + 1) & t->mask;
	return &t->slots[i];
}

static void
table_set(struct table *t, uint64_t key, uint32_t value)
{
	struct slot *old = t->slots, *s;
	size_t i, had = t->slots == NULL ? 0 : t->mask + 1;

	if (t->n * 2 >= had) {
		t->mask = (had != 0 ? had * 2 : 4096) - 1;
		t->slots = wire_alloc(NULL, (t->mask + 1) * sizeof(*s));
		memset(t->slots, 0, (t->mask + 1) * sizeof(*s));
		for (i = 0; i < had; i++)
			if (old[i].value != 0)
				*slot_of(t, old[i].key) = old[i];
		free(old);
	}
	s = slot_of(t, key);
	t->n += s->value == 0;
	*s = (struct slot){ key, value };
}

static uint32_t
table_get(struct table *t, uint64_t key)
{
	return t->slots == NULL ? 0 : slot_of(t, key)->value;
}

struct ledger *
ledger_new(FILE *log)
{
	struct ledger *l = wire_alloc(NULL, sizeof(*l));

	memset(l, 0, sizeof(*l));
	l->log = log;
	return l;
}

void
ledger_free(struct ledger *l)
{
	uint32_t i;

	if (l == NULL)
		return;
	for (i = 0; i < l->nseries; i++) {
		if (l->series[i].run != FOREIGN)
			seen_free(&l->series[i].seen);
		if (l->series[i].exemplars != NULL)
			seen_free(l->series[i].exemplars);
		free(l->series[i].exemplars);
	}
	free(l->series);
	free(l->runs);
	free(l->by_labels.slots);
	free(l->by_name.slots);
	free(l);
}

/* Counts what is wrong; the first few are told. */
static void
blame(struct ledger *l, enum count what, struct wire_decoder *d, int64_t ts,
    uint64_t got, uint64_t expected)
{
	const struct wire_label *labels;
	struct wire_buf name = { NULL, 0, 0 };
	size_t n;

	l->counts[what]++;
	if (l->told++ >= OFFENDERS)
		return;
	labels = wire_labels(d, &n);
	canon_labels(&name, labels, n);
	fprintf(stderr, "%s: %.*s ts=%" PRId64 " got=%016" PRIx64
	    " expected=%016" PRIx64 "\n", count_names[what], (int)name.len,
	    (const char *)name.p, ts, got, expected);
	wire_buf_free(&name);
}

/* --- which series this is ---------------------------------------------- */

static const struct wire_str *
label(const struct wire_label *l, size_t n, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (wire_str_is(l[i].name, name))
			return &l[i].value;
	return NULL;
}

static bool
number(const struct wire_str *s, size_t skip, uint32_t *out)
{
	uint64_t v = 0;
	size_t i;

	if (s == NULL || s->len <= skip || s->len > skip + 9)
		return false;
	for (i = skip; i < s->len; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(s->p[i] - '0');
	}
	*out = (uint32_t)v;
	return true;
}

static uint32_t
run_of(struct ledger *l, const struct gen_run *run)
{
	uint32_t i;

	for (i = 0; i < l->nruns; i++)
		if (memcmp(&l->runs[i].start_ms, &run->start_ms, 8) == 0 &&
		    l->runs[i].interval_ms == run->interval_ms &&
		    l->runs[i].kinds == run->kinds)
			return i;
	l->runs = wire_alloc(l->runs, (l->nruns + 1) * sizeof(*l->runs));
	l->runs[l->nruns] = *run;
	if (l->log != NULL)
		fprintf(l->log, "run %u %" PRId64 " %" PRId64 " %x\n",
		    l->nruns, run->start_ms, run->interval_ms, run->kinds);
	return l->nruns++;
}

static bool
generated(struct ledger *l, const struct wire_label *labels, size_t n,
    struct series *s)
{
	const struct wire_str *run = label(labels, n, "run");
	const struct wire_str *edge = label(labels, n, "edge");
	struct gen_run r;

	if (run == NULL || edge == NULL || edge->len < 5 ||
	    memcmp(edge->p, "edge-", 5) != 0 || !number(edge, 5, &s->edge) ||
	    !number(label(labels, n, "series"), 0, &s->series) ||
	    !gen_parse_run(*run, &r))
		return false;
	s->run = run_of(l, &r);
	s->kind = gen_kind_of(&l->runs[s->run], s->series);
	s->identity = gen_identity(s->edge, s->series);
	return true;
}

/* Are the labels those that were sent? More than those are counted apart,
 * since a relay may be told to add some. */
static void
check_labels(struct ledger *l, struct wire_decoder *d,
    const struct wire_label *labels, size_t n, const struct series *s)
{
	struct wire_label sent[GEN_MAX_LABELS];
	char text[GEN_MAX_TEXT];
	const struct wire_str *v;
	size_t i, k;

	k = gen_labels(&l->runs[s->run], s->edge, s->series, sent, text);
	for (i = 0; i < k; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%.*s", (int)sent[i].name.len,
		    sent[i].name.p);
		v = label(labels, n, name);
		if (v == NULL || v->len != sent[i].value.len ||
		    memcmp(v->p, sent[i].value.p, v->len) != 0) {
			blame(l, WRONG_LABELS, d, 0, i, 0);
			return;
		}
	}
	if (n > k)
		l->counts[EXTRA_LABELS]++;
}

static bool
sorted(const struct wire_label *l, size_t n)
{
	size_t i;
	uint32_t len;
	int c;

	for (i = 1; i < n; i++) {
		len = l[i].name.len < l[i - 1].name.len ? l[i].name.len :
		    l[i - 1].name.len;
		c = memcmp(l[i - 1].name.p, l[i].name.p, len);
		if (c > 0 || (c == 0 && l[i - 1].name.len >= l[i].name.len))
			return false;
	}
	return true;
}

static uint64_t
canonical_hash(const struct wire_label *labels, size_t n)
{
	struct wire_buf b = { NULL, 0, 0 };
	uint64_t h;

	canon_labels(&b, labels, n);
	h = wire_hash(b.p, b.len, 7);
	wire_buf_free(&b);
	return h;
}

/* Labels that have not been seen in this form: find or make the series. */
static uint32_t
introduce(struct ledger *l, struct wire_decoder *d, uint64_t key)
{
	struct series s = { .run = FOREIGN };
	const struct wire_label *labels;
	uint32_t found, id[3];
	uint64_t name;
	size_t n;

	labels = wire_labels(d, &n);
	if (!sorted(labels, n))
		blame(l, UNSORTED, d, 0, 0, 0);
	if (generated(l, labels, n, &s)) {
		check_labels(l, d, labels, n, &s);
		id[0] = s.run;
		id[1] = s.edge;
		id[2] = s.series;
		name = wire_hash(id, sizeof(id), 8);
		if ((int64_t)s.edge >= l->edges)
			l->edges = (int64_t)s.edge + 1;
	} else {
		name = s.identity = canonical_hash(labels, n);
	}
	found = table_get(&l->by_name, name);
	if (found == 0) {
		if (l->nseries == l->cap) {
			l->cap = l->cap != 0 ? l->cap * 2 : 4096;
			l->series = wire_alloc(l->series,
			    l->cap * sizeof(*l->series));
		}
		l->series[l->nseries++] = s;
		found = l->nseries;
		table_set(&l->by_name, name, found);
	}
	table_set(&l->by_labels, key, found);
	return found;
}

static struct series *
find(struct ledger *l, struct wire_decoder *d, uint64_t key)
{
	uint32_t i = l->guess;

	/* Requests nearly always have the series in the order of last time:
	 * no table is asked then. */
	if (i >= l->nseries || l->series[i].key != key) {
		i = table_get(&l->by_labels, key);
		if (i == 0)
			i = introduce(l, d, key);
		l->series[--i].key = key;
	}
	l->guess = i + 1;
	return &l->series[i];
}

/* --- what came --------------------------------------------------------- */

static void
flush_line(struct ledger *l)
{
	if (l->n != 0)
		fprintf(l->log, "in %u %u %u %u %u\n", l->run, l->edge,
		    l->first, l->n, l->seq);
	l->n = 0;
}

static void
log_sample(struct ledger *l, const struct series *s, uint32_t seq)
{
	if (l->log == NULL)
		return;
	if (l->n != 0 && l->seq == seq && l->run == s->run &&
	    l->edge == s->edge && l->first + l->n == s->series) {
		l->n++;
		return;
	}
	flush_line(l);
	l->run = s->run;
	l->edge = s->edge;
	l->first = s->series;
	l->seq = seq;
	l->n = 1;
}

static bool
sequence_of(const struct ledger *l, const struct series *s, int64_t ts,
    uint32_t *seq)
{
	const struct gen_run *run = &l->runs[s->run];
	int64_t d = ts - run->start_ms;

	*seq = s->seen.last + 1;
	if (d == (int64_t)*seq * run->interval_ms)
		return true;
	if (d < 0 || d % run->interval_ms != 0 ||
	    d / run->interval_ms > UINT32_MAX)
		return false;
	*seq = (uint32_t)(d / run->interval_ms);
	return true;
}

static void
note(struct ledger *l, struct wire_decoder *d, struct series *s, uint32_t seq,
    int64_t ts)
{
	switch (seen_note(&s->seen, seq)) {
	case SEEN_AGAIN:
		l->counts[DUPLICATES]++;
		break;
	case SEEN_LATE:
		blame(l, REORDERS, d, ts, seq, s->seen.last);
		break;
	default:
		break;
	}
	log_sample(l, s, seq);
}

static void
check_start(struct ledger *l, struct wire_decoder *d, const struct series *s,
    int64_t ts, int64_t start)
{
	int64_t expected = gen_start(&l->runs[s->run], s->series);

	if (start == expected)
		return;
	if (start == 0)
		l->counts[NO_START]++;
	else
		blame(l, WRONG_START, d, ts, (uint64_t)start,
		    (uint64_t)expected);
}

static void
take_foreign(struct ledger *l, struct wire_decoder *d, struct series *s,
    int64_t ts)
{
	l->counts[FOREIGN_SAMPLES]++;
	if (s->foreign.any && ts == s->foreign.last_ts)
		l->counts[FOREIGN_DUPLICATES]++;
	else if (s->foreign.any && ts < s->foreign.last_ts)
		blame(l, FOREIGN_BACKWARDS, d, ts, 0,
		    (uint64_t)s->foreign.last_ts);
	s->foreign.any = true;
	if (ts > s->foreign.last_ts)
		s->foreign.last_ts = ts;
}

static void
take_sample(struct ledger *l, struct wire_decoder *d, struct series *s,
    const struct wire_sample *p)
{
	uint32_t seq;
	uint64_t expected;

	if (s->run == FOREIGN) {
		take_foreign(l, d, s, p->ts);
		return;
	}
	if (!sequence_of(l, s, p->ts, &seq)) {
		blame(l, WRONG_TIME, d, p->ts, 0, 0);
		return;
	}
	expected = gen_value(&l->runs[s->run], s->kind, s->identity, seq);
	if (p->value != expected || gen_is_hist(s->kind))
		blame(l, WRONG_VALUE, d, p->ts, p->value, expected);
	check_start(l, d, s, p->ts, p->start);
	note(l, d, s, seq, p->ts);
}

static bool
same_hist(const struct wire_hist *a, const struct wire_hist *b)
{
	unsigned i;

	/* Of a stale histogram nothing but the marker means anything. */
	if (a->sum == WIRE_STALE_NAN && b->sum == WIRE_STALE_NAN)
		return true;
	if (a->is_float != b->is_float || a->count != b->count ||
	    a->sum != b->sum || a->zero_threshold != b->zero_threshold ||
	    a->zero_count != b->zero_count || a->schema != b->schema ||
	    a->reset_hint != b->reset_hint || a->ncustom != b->ncustom)
		return false;
	for (i = 0; i < a->ncustom; i++)
		if (a->custom[i] != b->custom[i])
			return false;
	for (i = 0; i < 2; i++) {
		if (a->nspans[i] != b->nspans[i] ||
		    a->ndeltas[i] != b->ndeltas[i] ||
		    a->ncounts[i] != b->ncounts[i])
			return false;
		if ((a->nspans[i] != 0 && memcmp(a->spans[i], b->spans[i],
		    a->nspans[i] * sizeof(*a->spans[i])) != 0) ||
		    (a->ndeltas[i] != 0 && memcmp(a->deltas[i], b->deltas[i],
		    a->ndeltas[i] * sizeof(*a->deltas[i])) != 0) ||
		    (a->ncounts[i] != 0 && memcmp(a->counts[i], b->counts[i],
		    a->ncounts[i] * sizeof(*a->counts[i])) != 0))
			return false;
	}
	return true;
}

static void
take_hist(struct ledger *l, struct wire_decoder *d, struct series *s,
    const struct wire_hist *h)
{
	struct wire_hist expected;
	uint32_t seq;

	if (s->run == FOREIGN) {
		take_foreign(l, d, s, h->ts);
		return;
	}
	if (!sequence_of(l, s, h->ts, &seq)) {
		blame(l, WRONG_TIME, d, h->ts, 0, 0);
		return;
	}
	gen_hist(&l->runs[s->run], s->kind, s->series, s->identity, seq,
	    &expected);
	if (!gen_is_hist(s->kind) || !same_hist(h, &expected))
		blame(l, WRONG_HISTOGRAM, d, h->ts, h->sum, expected.sum);
	check_start(l, d, s, h->ts, h->start);
	note(l, d, s, seq, h->ts);
}

static void
take_exemplar(struct ledger *l, struct wire_decoder *d, struct series *s,
    const struct wire_series *w, const struct wire_exemplar *e)
{
	const struct wire_label *labels = w->exemplar_labels + e->first_label;
	char trace[17];
	uint32_t seq;

	if (s->run == FOREIGN)
		return;
	gen_trace_id(s->series, trace);
	if (!gen_has_exemplar(&l->runs[s->run], s->series) ||
	    !sequence_of(l, s, e->ts, &seq) || e->nlabels != 1 ||
	    !wire_str_is(labels[0].name, "trace_id") ||
	    !wire_str_is(labels[0].value, trace) ||
	    e->value != gen_exemplar_value(s->identity, seq)) {
		blame(l, WRONG_EXEMPLAR, d, e->ts, e->value, 0);
		return;
	}
	if (s->exemplars == NULL) {
		s->exemplars = wire_alloc(NULL, sizeof(*s->exemplars));
		memset(s->exemplars, 0, sizeof(*s->exemplars));
	}
	if (seen_note(s->exemplars, seq) == SEEN_AGAIN)
		l->counts[EXEMPLAR_DUPLICATES]++;
}

static bool
same_text(struct wire_str a, struct wire_str b)
{
	return a.len == b.len && memcmp(a.p, b.p, a.len) == 0;
}

static bool
metadata_right(struct wire_str name, const struct wire_metadata *m)
{
	struct wire_metadata expected;

	return !gen_metadata(name, &expected) || (m->type == expected.type &&
	    same_text(m->help, expected.help) &&
	    same_text(m->unit, expected.unit));
}

static void
take_metadata_v2(struct ledger *l, struct wire_decoder *d,
    const struct wire_metadata *m)
{
	const struct wire_label *labels;
	const struct wire_str *name;
	size_t n;

	if (m->type == 0 && m->help.len == 0 && m->unit.len == 0)
		return;
	l->counts[METADATA]++;
	labels = wire_labels(d, &n);
	name = label(labels, n, "__name__");
	if (name != NULL && !metadata_right(*name, m))
		blame(l, WRONG_METADATA, d, 0, m->type, 0);
}

static bool
take_metadata_v1(void *arg, const struct wire_metadata *m)
{
	struct ledger *l = arg;

	l->counts[METADATA]++;
	l->request->metadata++;
	if (!metadata_right(m->family, m))
		l->counts[WRONG_METADATA]++;
	return true;
}

static bool
take_series(void *arg, struct wire_decoder *d, const struct wire_series *w)
{
	struct ledger *l = arg;
	struct series *s = find(l, d, w->key);
	uint32_t i;

	l->request->samples += w->nsamples;
	l->request->hists += w->nhists;
	l->request->exemplars += w->nexemplars;
	l->counts[SAMPLES] += w->nsamples;
	l->counts[HISTOGRAMS] += w->nhists;
	l->counts[EXEMPLARS] += w->nexemplars;
	for (i = 0; i < w->nsamples; i++)
		take_sample(l, d, s, &w->samples[i]);
	for (i = 0; i < w->nhists; i++)
		take_hist(l, d, s, &w->hists[i]);
	for (i = 0; i < w->nexemplars; i++)
		take_exemplar(l, d, s, w, &w->exemplars[i]);
	if (w->has_metadata)
		take_metadata_v2(l, d, &w->metadata);
	if (w->nsamples + w->nhists + w->nexemplars == 0)
		l->counts[EMPTY_SERIES]++;
	return true;
}

/* The first symbol is "", and none comes twice. */
static void
check_symbols(struct ledger *l, const struct wire_decoder *d)
{
	size_t i, n = wire_symbol_count(d), slots = 64, at;
	struct wire_str s;
	uint32_t *slot;

	while (slots < n * 2)
		slots *= 2;
	slot = wire_alloc(NULL, slots * sizeof(*slot));
	memset(slot, 0, slots * sizeof(*slot));
	if (n != 0 && wire_symbol(d, 0).len != 0)
		l->counts[BAD_SYMBOLS]++;
	for (i = 0; i < n; i++) {
		s = wire_symbol(d, i);
		at = wire_hash(s.p, s.len, 4) & (slots - 1);
		while (slot[at] != 0 &&
		    !same_text(wire_symbol(d, slot[at] - 1), s))
			at = (at + 1) & (slots - 1);
		if (slot[at] != 0)
			l->counts[BAD_SYMBOLS]++;
		slot[at] = (uint32_t)i + 1;
	}
	free(slot);
}

const char *
ledger_take(struct ledger *l, struct wire_decoder *d,
    enum wire_version version, const void *body, size_t len,
    struct ledger_counts *counts)
{
	struct wire_visitor v = { take_series, take_metadata_v1, l };
	const char *wrong;

	*counts = (struct ledger_counts){ 0 };
	l->request = counts;
	wrong = wire_decode(d, version, body, len, &v);
	if (l->log != NULL)
		flush_line(l);
	if (version == WIRE_V2)
		check_symbols(l, d);
	return wrong;
}

static bool
look(void *arg, struct wire_decoder *d, const struct wire_series *w)
{
	struct ledger *l = arg;
	struct series s = { .run = FOREIGN };
	const struct wire_label *labels;
	size_t n;

	l->request->samples += w->nsamples;
	l->request->hists += w->nhists;
	l->request->exemplars += w->nexemplars;
	if (l->wanted_edge == -1 && l->wanted_series == -1)
		return true;
	labels = wire_labels(d, &n);
	if (generated(l, labels, n, &s) &&
	    (l->wanted_edge == -1 || l->wanted_edge == (long)s.edge) &&
	    (l->wanted_series == -1 || l->wanted_series == (long)s.series))
		l->met = true;
	return true;
}

bool
ledger_meets(struct ledger *l, struct wire_decoder *d,
    enum wire_version version, const void *body, size_t len, long edge,
    long series, struct ledger_counts *counts)
{
	struct wire_visitor v = { look, NULL, l };

	*counts = (struct ledger_counts){ 0 };
	l->request = counts;
	l->wanted_edge = edge;
	l->wanted_series = series;
	l->met = edge == -1 && series == -1;
	(void)wire_decode(d, version, body, len, &v);
	return l->met;
}

/* --- the sum ----------------------------------------------------------- */

void
ledger_summary(struct ledger *l, FILE *f)
{
	uint64_t missing = 0, exemplars_missing = 0;
	const struct series *s;
	uint32_t i;

	for (i = 0; i < l->nseries; i++) {
		s = &l->series[i];
		if (s->run != FOREIGN)
			missing += seen_missing(&s->seen);
		if (s->exemplars != NULL)
			exemplars_missing += seen_missing(s->exemplars);
	}
	for (i = 0; i < COUNTS; i++)
		fprintf(f, "%s=%" PRIu64 " ", count_names[i], l->counts[i]);
	fprintf(f, "missing=%" PRIu64 " exemplars_missing=%" PRIu64
	    " series=%u edges=%" PRId64, missing, exemplars_missing,
	    l->nseries, l->edges);
}

bool
ledger_fine(struct ledger *l)
{
	size_t i;

	for (i = 0; i < sizeof(sins) / sizeof(sins[0]); i++)
		if (l->counts[sins[i]] != 0)
			return false;
	return true;
}

uint64_t
ledger_samples(const struct ledger *l)
{
	return l->counts[SAMPLES] + l->counts[HISTOGRAMS];
}
