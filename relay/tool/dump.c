/* dump.c - points as text.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tool/dump.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct dump {
	const struct dump_opts *o;
	struct dump_sums *sums;
	FILE *to;
	/* of the record */
	struct bytes edge;
	const struct dict *dict;
	struct label labels[BATCH_LABELS_MAX];
	uint32_t n_labels;
};

/* ---- words ------------------------------------------------------------------ */

void
dump_json_string(FILE *to, struct bytes b)
{
	size_t i;

	(void)putc('"', to);
	for (i = 0; i < b.n; i++) {
		uint8_t c = b.p[i];

		if (c == '"' || c == '\\')
			(void)fprintf(to, "\\%c", c);
		else if (c < 0x20)
			(void)fprintf(to, "\\u%04x", c);
		else
			(void)putc(c, to);
	}
	(void)putc('"', to);
}

static double
number(uint64_t bits)
{
	double d;

	memcpy(&d, &bits, sizeof(d));
	return d;
}

/* The shortest of two forms that are the same number when they are read. */
static void
put_number(FILE *to, double v)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%.15g", v);
	if (strtod(text, NULL) != v)
		(void)snprintf(text, sizeof(text), "%.17g", v);
	(void)fputs(text, to);
}

static void
put_value(FILE *to, uint64_t bits)
{
	double v = number(bits);

	if (bits == STALE_MARKER)
		(void)fputs("\"stale\"", to);
	else if (isnan(v))
		(void)fprintf(to, "\"NaN\",\"bits\":\"%016" PRIx64 "\"", bits);
	else if (isinf(v))
		(void)fputs(v > 0 ? "\"+Inf\"" : "\"-Inf\"", to);
	else
		put_number(to, v);
}

/* ---- JSON -------------------------------------------------------------------- */

static void
put_labels(FILE *to, const struct label *l, uint32_t n)
{
	uint32_t i;

	(void)putc('{', to);
	for (i = 0; i < n; i++) {
		if (i > 0)
			(void)putc(',', to);
		dump_json_string(to, l[i].name);
		(void)putc(':', to);
		dump_json_string(to, l[i].value);
	}
	(void)putc('}', to);
}

static void
begin_point(struct dump *d, int64_t ms)
{
	(void)fputs("{\"edge\":", d->to);
	dump_json_string(d->to, d->edge);
	(void)fputs(",\"labels\":", d->to);
	put_labels(d->to, d->labels, d->n_labels);
	(void)fprintf(d->to, ",\"ms\":%" PRId64, ms);
}

static void
json_sample(struct dump *d, const struct batch_sample *x, int64_t start)
{
	begin_point(d, x->ms);
	if (start)
		(void)fprintf(d->to, ",\"start_ms\":%" PRId64, start);
	(void)fputs(",\"value\":", d->to);
	put_value(d->to, x->bits);
	(void)fputs("}\n", d->to);
}

static void
json_exemplar(struct dump *d, const struct batch_exemplar *x)
{
	begin_point(d, x->ms);
	(void)fputs(",\"exemplar\":", d->to);
	put_labels(d->to, x->labels, x->n_labels);
	(void)fputs(",\"value\":", d->to);
	put_value(d->to, x->bits);
	(void)fputs("}\n", d->to);
}

/* A count: whole, or a double's bits. */
static void
put_count(FILE *to, const struct batch_histogram *h, uint64_t n)
{
	if (h->is_float)
		put_value(to, n);
	else
		(void)fprintf(to, "%" PRIu64, n);
}

static void
put_buckets(FILE *to, const char *name, const struct batch_histogram *h,
    const struct batch_buckets *b)
{
	uint32_t i;

	(void)fprintf(to, ",\"%s_spans\":[", name);
	for (i = 0; i < b->n_spans; i++)
		(void)fprintf(to, "%s[%" PRId32 ",%" PRIu32 "]", i ? "," : "",
		    b->spans[i].offset, b->spans[i].length);
	(void)fprintf(to, "],\"%s_%s\":[", name,
	    h->is_float ? "counts" : "deltas");
	for (i = 0; i < b->n_buckets; i++) {
		if (i > 0)
			(void)putc(',', to);
		if (h->is_float)
			put_value(to, b->buckets[i]);
		else
			(void)fprintf(to, "%" PRId64, (int64_t)b->buckets[i]);
	}
	(void)putc(']', to);
}

static void
json_histogram(struct dump *d, const struct batch_histogram *h)
{
	uint32_t i;

	begin_point(d, h->ms);
	if (h->start_ms)
		(void)fprintf(d->to, ",\"start_ms\":%" PRId64, h->start_ms);
	(void)fprintf(d->to, ",\"histogram\":{\"schema\":%" PRId32
	    ",\"reset_hint\":%u,\"count\":", h->schema, h->reset_hint);
	put_count(d->to, h, h->count);
	(void)fputs(",\"sum\":", d->to);
	put_value(d->to, h->sum_bits);
	(void)fputs(",\"zero_threshold\":", d->to);
	put_value(d->to, h->zero_threshold_bits);
	if (h->has_zero_count) {
		(void)fputs(",\"zero_count\":", d->to);
		put_count(d->to, h, h->zero_count);
	}
	if (h->n_custom) {
		(void)fputs(",\"custom_values\":[", d->to);
		for (i = 0; i < h->n_custom; i++) {
			(void)fputs(i ? "," : "", d->to);
			put_value(d->to, h->custom_bits[i]);
		}
		(void)putc(']', d->to);
	}
	put_buckets(d->to, "negative", h, &h->negative);
	put_buckets(d->to, "positive", h, &h->positive);
	(void)fputs("}}\n", d->to);
}

static void
json_metadata(struct dump *d, const struct batch_metadata *m, bool has_series)
{
	(void)fputs("{\"edge\":", d->to);
	dump_json_string(d->to, d->edge);
	if (has_series) {
		(void)fputs(",\"labels\":", d->to);
		put_labels(d->to, d->labels, d->n_labels);
	}
	(void)fputs(",\"metadata\":{", d->to);
	if (!has_series) {
		(void)fputs("\"family\":", d->to);
		dump_json_string(d->to, m->family);
		(void)putc(',', d->to);
	}
	(void)fprintf(d->to, "\"type\":%" PRIu32 ",\"help\":", m->type);
	dump_json_string(d->to, m->help);
	(void)fputs(",\"unit\":", d->to);
	dump_json_string(d->to, m->unit);
	(void)fputs("}}\n", d->to);
}

/* ---- OpenMetrics --------------------------------------------------------------- */

static void
text_string(FILE *to, struct bytes b)
{
	size_t i;

	(void)putc('"', to);
	for (i = 0; i < b.n; i++) {
		if (b.p[i] == '\n')
			(void)fputs("\\n", to);
		else if (b.p[i] == '"' || b.p[i] == '\\')
			(void)fprintf(to, "\\%c", b.p[i]);
		else
			(void)putc(b.p[i], to);
	}
	(void)putc('"', to);
}

static bool
is_plain(struct bytes name, bool metric)
{
	size_t i;

	for (i = 0; i < name.n; i++) {
		uint8_t c = name.p[i];

		if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '_' &&
		    (c != ':' || !metric) && (i == 0 || c < '0' || c > '9'))
			return false;
	}
	return name.n > 0;
}

/* Names that are none by the old rules stand in quotes. */
static void
text_series(struct dump *d)
{
	struct bytes name = { NULL, 0 };
	const char *before = "{";
	uint32_t i;

	for (i = 0; i < d->n_labels; i++)
		if (bytes_eq(d->labels[i].name, BYTES_LIT("__name__")))
			name = d->labels[i].value;
	if (is_plain(name, true)) {
		(void)fwrite(name.p, 1, name.n, d->to);
	} else if (name.n) {
		(void)fputs(before, d->to);
		text_string(d->to, name);
		before = ",";
	}
	for (i = 0; i < d->n_labels; i++) {
		const struct label *l = &d->labels[i];

		if (bytes_eq(l->name, BYTES_LIT("__name__")))
			continue;
		(void)fputs(before, d->to);
		before = ",";
		if (is_plain(l->name, false))
			(void)fwrite(l->name.p, 1, l->name.n, d->to);
		else
			text_string(d->to, l->name);
		(void)putc('=', d->to);
		text_string(d->to, l->value);
	}
	if (*before == ',')
		(void)putc('}', d->to);
}

static void
text_sample(struct dump *d, const struct batch_sample *x)
{
	double v = number(x->bits);
	int64_t ms = x->ms;

	text_series(d);
	(void)putc(' ', d->to);
	if (isnan(v))
		(void)fputs("NaN", d->to);
	else if (isinf(v))
		(void)fputs(v > 0 ? "+Inf" : "-Inf", d->to);
	else
		put_number(d->to, v);
	(void)fprintf(d->to, " %s%" PRIu64 ".%03u\n", ms < 0 ? "-" : "",
	    (ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms) / 1000,
	    (unsigned)((ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms) % 1000));
}

/* ---- points ------------------------------------------------------------------- */

/* Labels of the series, and whether it is wanted. */
static bool
take_series(struct dump *d, uint32_t series)
{
	const uint32_t *symbols = dict_series(d->dict, series, &d->n_labels);
	uint32_t i;

	d->n_labels /= 2;
	for (i = 0; i < d->n_labels; i++) {
		d->labels[i].name = dict_symbol(d->dict, symbols[2 * i]);
		d->labels[i].value = dict_symbol(d->dict, symbols[2 * i + 1]);
	}
	return filter_series(&d->o->filter, d->labels, d->n_labels);
}

static bool
wanted(struct dump *d, uint32_t series, int64_t ms, bool has_words)
{
	if (!filter_ms(&d->o->filter, ms) || !take_series(d, series))
		return false;
	d->sums->points += has_words;
	d->sums->left_out += !has_words;
	return has_words;
}

static void
put_samples(struct dump *d, const struct batch *b)
{
	uint32_t i;

	for (i = 0; i < b->n_samples; i++) {
		const struct batch_sample *x = &b->samples[i];

		if (!wanted(d, x->series, x->ms, !d->o->openmetrics ||
		    x->bits != STALE_MARKER))
			continue;
		if (d->o->openmetrics)
			text_sample(d, x);
		else
			json_sample(d, x, b->starts ? b->starts[i] : 0);
	}
}

static void
put_others(struct dump *d, const struct batch *b)
{
	bool json = !d->o->openmetrics;
	uint32_t i;

	for (i = 0; i < b->n_histograms; i++)
		if (wanted(d, b->histograms[i].series, b->histograms[i].ms,
		    json))
			json_histogram(d, &b->histograms[i]);
	for (i = 0; i < b->n_exemplars; i++)
		if (wanted(d, b->exemplars[i].series, b->exemplars[i].ms, json))
			json_exemplar(d, &b->exemplars[i]);
	for (i = 0; i < b->n_metadata && json; i++) {
		const struct batch_metadata *m = &b->metadata[i];
		bool of_series = m->series != SERIES_NONE;

		if (of_series ? take_series(d, m->series) :
		    !d->o->filter.match)
			json_metadata(d, m, of_series);
	}
}

static bool
put_record(const struct walk_record *r, void *arg)
{
	struct dump *d = arg;

	if (!r->batch || (d->o->only.segment &&
	    spool_pos_cmp(d->o->only, r->record.pos) != 0))
		return true;
	d->dict = r->dict;
	d->edge = dict_edge(r->dict);
	if (filter_edge(&d->o->filter, d->edge)) {
		put_samples(d, r->batch);
		put_others(d, r->batch);
	}
	return !ferror(d->to);
}

static void
count_damage(const struct walk_segment *s, void *arg)
{
	struct dump *d = arg;

	d->sums->damaged += s->status != ST_OK;
}

enum status
dump_spool(const char *directory, const struct dump_opts *o, FILE *to,
    struct dump_sums *sums)
{
	struct dump *d = calloc(1, sizeof(*d));
	const struct walk_calls calls = { put_record, count_damage, d };
	enum status st;

	*sums = (struct dump_sums){ 0 };
	if (!d)
		return ST_NO_MEMORY;
	d->o = o;
	d->sums = sums;
	d->to = to;
	st = walk_spool(directory, &calls);
	if (o->openmetrics)
		(void)fputs("# EOF\n", to);
	free(d);
	if (st == ST_OK && (fflush(to) == EOF || ferror(to)))
		st = ST_SYSTEM;
	return st;
}
