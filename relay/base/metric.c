/* metric.c - blocks of counters per thread, groups per label value, the page.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The lists of blocks and groups are guarded by one lock, taken when a thread
 * or a group comes or goes and when the page is made; never on counting.    */
#include "base/metric.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Upper bounds of SECONDS, nanoseconds. */
static const int64_t bound[] = {
	100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 25000000,
	50000000, 100000000, 250000000, 500000000, 1000000000, 2500000000,
	5000000000, 10000000000, 30000000000,
};
#define BOUNDS (sizeof(bound) / sizeof(bound[0]))

enum kind {
	KIND_COUNTER,
	KIND_GAUGE,
	KIND_MILLIS,
	KIND_SECONDS,
};

static const struct row {
	const char *name, *help;
	enum metric_scope scope;
	enum kind kind;
} row[METRIC__N] = {
#define METRIC(id, scope_, kind_, name_, help_)    \
	[METRIC_##id] = {                          \
		.name = name_,                     \
		.help = help_,                     \
		.scope = METRIC_SCOPE_##scope_,    \
		.kind = KIND_##kind_,              \
	},
#include "base/metric.tbl"
#undef METRIC
};

typedef _Atomic int64_t cell;

struct spread {
	cell count[BOUNDS + 1];
	cell sum_ns;
};

struct block {
	struct block *next;		/* for ever: threads are few */
	cell value[METRIC__N];
	cell reason[METRIC__N][ST__N];
	struct spread seconds[METRIC__N];
};

struct metric_group {
	struct metric_group *next;
	enum metric_scope scope;
	char *value;			/* owned, escaped for the page */
	unsigned users;			/* > 1 for "_other" only */
	cell cell[METRIC__N];
	struct spread *seconds;		/* owned: METRIC__N, UPSTREAM only */
};

static pthread_mutex_t lists = PTHREAD_MUTEX_INITIALIZER;
static struct block *blocks;
static struct metric_group *groups[METRIC_SCOPE_EDGE + 1];
static unsigned n_groups[METRIC_SCOPE_EDGE + 1];
static struct metric_group *other[METRIC_SCOPE_EDGE + 1];
static _Thread_local struct block *mine;

static struct block *
my_block(void)
{
	struct block *b = mine;

	if (b)
		return b;
	b = calloc(1, sizeof(*b));
	if (!b)
		abort();	/* once per thread, at its start */
	(void)pthread_mutex_lock(&lists);
	b->next = blocks;
	blocks = b;
	(void)pthread_mutex_unlock(&lists);
	mine = b;
	return b;
}

/* Cells of a block have one writer: no read-modify-write needed. */
static void
bump(cell *c, int64_t n)
{
	atomic_store_explicit(c,
	    atomic_load_explicit(c, memory_order_relaxed) + n,
	    memory_order_relaxed);
}

static int64_t
get(const cell *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

void
metric_add(enum metric m, int64_t n)
{
	bump(&my_block()->value[m], n);
}

void
metric_reason_add(enum metric m, enum status st, int64_t n)
{
	assert((unsigned)st < ST__N);
	bump(&my_block()->reason[m][st], n);
}

static size_t
bucket_of(int64_t ns)
{
	size_t i = 0;

	while (i < BOUNDS && ns > bound[i])
		i++;
	return i;
}

void
metric_observe(enum metric m, int64_t ns)
{
	struct spread *s = &my_block()->seconds[m];

	bump(&s->count[bucket_of(ns)], 1);
	bump(&s->sum_ns, ns);
}

int64_t
metric_read(enum metric m)
{
	struct block *b;
	int64_t sum = 0;

	(void)pthread_mutex_lock(&lists);
	for (b = blocks; b; b = b->next)
		sum += get(&b->value[m]);
	(void)pthread_mutex_unlock(&lists);
	return sum;
}

static int64_t
reason_sum(enum metric m, enum status st)
{
	struct block *b;
	int64_t sum = 0;

	for (b = blocks; b; b = b->next)
		sum += get(&b->reason[m][st]);
	return sum;
}

int64_t
metric_reason_read(enum metric m, enum status st)
{
	int64_t sum;

	(void)pthread_mutex_lock(&lists);
	sum = reason_sum(m, st);
	(void)pthread_mutex_unlock(&lists);
	return sum;
}

/* ---- groups ------------------------------------------------------------- */

/* A label value as the text format wants it, bounded in length. */
static char *
escaped(struct bytes v)
{
	size_t i, at = 0, n = v.n < 128 ? v.n : 128;
	char *out = malloc(2 * n + 1);

	if (!out)
		return NULL;
	for (i = 0; i < n; i++) {
		if (v.p[i] == '\n') {
			out[at++] = '\\';
			out[at++] = 'n';
			continue;
		}
		if (v.p[i] == '"' || v.p[i] == '\\')
			out[at++] = '\\';
		out[at++] = (char)v.p[i];
	}
	out[at] = '\0';
	return out;
}

static struct metric_group *
make_group(enum metric_scope scope, struct bytes value)
{
	struct metric_group *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->scope = scope;
	g->users = 1;
	g->value = escaped(value);
	if (scope == METRIC_SCOPE_UPSTREAM)
		g->seconds = calloc(METRIC__N, sizeof(*g->seconds));
	if (!g->value || (scope == METRIC_SCOPE_UPSTREAM && !g->seconds)) {
		free(g->seconds);
		free(g->value);
		free(g);
		return NULL;
	}
	g->next = groups[scope];
	groups[scope] = g;
	n_groups[scope]++;
	return g;
}

struct metric_group *
metric_group_new(enum metric_scope scope, struct bytes value)
{
	struct metric_group *g;

	assert(scope == METRIC_SCOPE_UPSTREAM || scope == METRIC_SCOPE_EDGE);
	(void)pthread_mutex_lock(&lists);
	if (n_groups[scope] < METRIC_GROUPS_MAX) {
		g = make_group(scope, value);
	} else if (other[scope]) {
		g = other[scope];
		g->users++;
	} else {
		g = make_group(scope, BYTES_LIT("_other"));
		other[scope] = g;
	}
	(void)pthread_mutex_unlock(&lists);
	return g;
}

void
metric_group_free(struct metric_group **taken)
{
	struct metric_group *g = *taken, **at;

	*taken = NULL;
	if (!g)
		return;
	(void)pthread_mutex_lock(&lists);
	if (--g->users > 0) {
		(void)pthread_mutex_unlock(&lists);
		return;
	}
	for (at = &groups[g->scope]; *at != g; at = &(*at)->next)
		;
	*at = g->next;
	n_groups[g->scope]--;
	if (other[g->scope] == g)
		other[g->scope] = NULL;
	(void)pthread_mutex_unlock(&lists);
	free(g->seconds);
	free(g->value);
	free(g);
}

void
metric_group_add(struct metric_group *g, enum metric m, int64_t n)
{
	assert(row[m].scope == g->scope);
	(void)atomic_fetch_add_explicit(&g->cell[m], n, memory_order_relaxed);
}

void
metric_group_set(struct metric_group *g, enum metric m, int64_t v)
{
	assert(row[m].scope == g->scope);
	atomic_store_explicit(&g->cell[m], v, memory_order_relaxed);
}

void
metric_group_observe(struct metric_group *g, enum metric m, int64_t ns)
{
	struct spread *s = &g->seconds[m];

	(void)atomic_fetch_add_explicit(&s->count[bucket_of(ns)], 1,
	    memory_order_relaxed);
	(void)atomic_fetch_add_explicit(&s->sum_ns, ns, memory_order_relaxed);
}

int64_t
metric_group_read(const struct metric_group *g, enum metric m)
{
	return get(&g->cell[m]);
}

void
metric_group_each(enum metric_scope scope, metric_group_fn *fn, void *arg)
{
	const struct metric_group *g;

	(void)pthread_mutex_lock(&lists);
	for (g = groups[scope]; g; g = g->next)
		fn(g->value, g, arg);
	(void)pthread_mutex_unlock(&lists);
}

/* ---- the page ------------------------------------------------------------ */

static const char *const kind_name[] = { "counter", "gauge", "gauge",
	"histogram" };
static const char *const label_name[] = { "", "reason", "upstream", "edge" };

static void
render_spread(struct buf *out, const char *name, const char *label,
    const int64_t *count, int64_t sum_ns)
{
	const char *comma = *label ? "," : "";
	int64_t n = 0;
	size_t i;

	for (i = 0; i < BOUNDS; i++) {
		n += count[i];
		(void)buf_printf(out, "%s_bucket{%s%sle=\"%g\"} %lld\n", name,
		    label, comma, (double)bound[i] / 1e9, (long long)n);
	}
	n += count[BOUNDS];
	(void)buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %lld\n", name, label,
	    comma, (long long)n);
	(void)buf_printf(out, *label ? "%s_sum{%s} %.9g\n" : "%s_sum%s %.9g\n",
	    name, label, (double)sum_ns / 1e9);
	(void)buf_printf(out, *label ? "%s_count{%s} %lld\n" :
	    "%s_count%s %lld\n", name, label, (long long)n);
}

static void
render_value(struct buf *out, enum metric m, int64_t v)
{
	if (row[m].kind == KIND_MILLIS && v < 0)
		(void)buf_append_str(out, " NaN\n");
	else if (row[m].kind == KIND_MILLIS)
		(void)buf_printf(out, " %.3f\n", (double)v / 1e3);
	else
		(void)buf_printf(out, " %lld\n", (long long)v);
}

static void
render_global(struct buf *out, enum metric m)
{
	int64_t count[BOUNDS + 1] = { 0 }, sum = 0;
	struct block *b;
	size_t i;

	if (row[m].kind != KIND_SECONDS) {
		for (b = blocks; b; b = b->next)
			sum += get(&b->value[m]);
		(void)buf_append_str(out, row[m].name);
		render_value(out, m, sum);
		return;
	}
	for (b = blocks; b; b = b->next) {
		for (i = 0; i <= BOUNDS; i++)
			count[i] += get(&b->seconds[m].count[i]);
		sum += get(&b->seconds[m].sum_ns);
	}
	render_spread(out, row[m].name, "", count, sum);
}

static void
render_reasons(struct buf *out, enum metric m)
{
	enum status st;

	for (st = ST_OK; st < ST__N; st++) {
		int64_t v = reason_sum(m, st);

		if (v)
			(void)buf_printf(out, "%s{reason=\"%s\"} %lld\n",
			    row[m].name, status_info(st)->word, (long long)v);
	}
}

static void
render_group(struct buf *out, enum metric m, const struct metric_group *g)
{
	int64_t count[BOUNDS + 1];
	char label[300];
	size_t i;

	(void)snprintf(label, sizeof(label), "%s=\"%s\"",
	    label_name[g->scope], g->value);
	if (row[m].kind != KIND_SECONDS) {
		(void)buf_printf(out, "%s{%s}", row[m].name, label);
		render_value(out, m, get(&g->cell[m]));
		return;
	}
	for (i = 0; i <= BOUNDS; i++)
		count[i] = get(&g->seconds[m].count[i]);
	render_spread(out, row[m].name, label, count,
	    get(&g->seconds[m].sum_ns));
}

void
metric_render(struct buf *out)
{
	const struct metric_group *g;
	enum metric m;

	(void)pthread_mutex_lock(&lists);
	for (m = 0; m < METRIC__N; m++) {
		(void)buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n",
		    row[m].name, row[m].help, row[m].name,
		    kind_name[row[m].kind]);
		switch (row[m].scope) {
		case METRIC_SCOPE_GLOBAL:
			render_global(out, m);
			break;
		case METRIC_SCOPE_REASON:
			render_reasons(out, m);
			break;
		case METRIC_SCOPE_UPSTREAM:
		case METRIC_SCOPE_EDGE:
			for (g = groups[row[m].scope]; g; g = g->next)
				render_group(out, m, g);
			break;
		}
	}
	(void)pthread_mutex_unlock(&lists);
}
