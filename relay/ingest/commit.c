/* commit.c - sessions at their homes, records to the spool.
 * SPDX-License-Identifier: Apache-2.0
 *
 *	origin --at_home--> home --spool_submit--> spool --at_origin--> origin
 *	                      `---------- refused ----------------------'      */
#include "ingest/commit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/pace.h"

#define RECORD_MAX ((size_t)64 << 20)	/* a record's limit, far over a request's */
#define RECORD_KEEP ((size_t)256 << 10)	/* of memory, from request to request */
#define SWEEP_NS (30 * CLOCK_S)
#define IDLE_NS (15 * 60 * CLOCK_S)	/* an edge unheard of for so long is let go */
#define TELL_NS (60 * CLOCK_S)		/* of an edge that is over its rate */
#define BUCKETS 1024
#define BATCHES_MAX 4			/* kept by a loop */
#define BATCH_KEEP ((size_t)4 << 20)	/* of memory, by each */

struct edge {
	struct edge *next;		/* in the bucket */
	const struct edge_policy *policy;	/* borrowed; NULL: none */
	struct session_opts opts;	/* the session's */
	struct bucket bucket;		/* points; if the policy has a rate */
	int64_t told;			/* that it is over its rate; 0: never */
	struct session *session;	/* owned */
	struct metric_group *metrics;	/* owned */
	uint32_t n_series;		/* as last told to the metrics */
	int64_t heard;			/* clock_mono */
	_Atomic unsigned in_flight;	/* commits between home and origin */
	_Atomic unsigned losses;	/* commits that did not become durable */
	unsigned forgot;		/* losses that the session was told of */
};

struct home {
	struct commit_homes *homes;
	struct loop *loop;		/* borrowed */
	struct loop_timer *sweep;	/* owned */
	struct edge *bucket[BUCKETS];	/* owned */
	struct relabel_room *room;	/* owned; NULL: no edge has rules */
	struct batch *batch[BATCHES_MAX];	/* owned, empty */
	size_t n_batches;
};

struct commit_homes {
	struct commit_opts opts;
	struct spool *spool;		/* borrowed */
	_Atomic size_t n_edges;
	struct hash_key key;
	size_t n;
	struct home home[];
};

void
commit_init(struct commit *c)
{
	memset(c, 0, sizeof(*c));
	buf_init(&c->record, RECORD_MAX);
}

void
commit_fini(struct commit *c)
{
	buf_fini(&c->record);
}

/* ---- edges --------------------------------------------------------------------- */

static void
tell_series(struct edge *e, uint32_t n)
{
	metric_add(METRIC_SERIES, (int64_t)n - e->n_series);
	metric_group_add(e->metrics, METRIC_EDGE_SERIES,
	    (int64_t)n - e->n_series);
	e->n_series = n;
}

static void
edge_free(struct commit_homes *homes, struct edge *e)
{
	(void)atomic_fetch_sub(&homes->n_edges, 1);
	metric_add(METRIC_EDGES, -1);
	tell_series(e, 0);
	session_free(&e->session);
	metric_group_free(&e->metrics);
	free(e);
}

static void
sweep(struct home *h, int64_t idle_ns)
{
	int64_t now = loop_now(h->loop);
	struct edge **at, *e;
	size_t i;

	for (i = 0; i < BUCKETS; i++) {
		for (at = &h->bucket[i]; (e = *at) != NULL;) {
			if (now - e->heard < idle_ns ||
			    atomic_load(&e->in_flight)) {
				at = &e->next;
				continue;
			}
			*at = e->next;
			edge_free(h->homes, e);
		}
	}
}

static void
sweep_due(void *arg)
{
	struct home *h = arg;

	sweep(h, IDLE_NS);
	loop_timer_start(h->sweep, SWEEP_NS);
}

/* What the edge may. */
static void
lay_down(const struct home *h, struct bytes name, struct edge *e)
{
	const struct edge_policy *p = edge_policy_of(&h->homes->opts.policies,
	    name);

	e->policy = p;
	e->opts = h->homes->opts.session;
	e->opts.policy = p;
	e->opts.room = h->room;
	if (p && p->rate)
		bucket_set_most(&e->bucket, p->rate, (double)p->rate *
		    (double)p->burst_ns / (double)CLOCK_S, loop_now(h->loop));
	if (p && p->max_series)
		e->opts.max_series = p->max_series;
	if (p && p->max_labels)
		e->opts.max_labels = p->max_labels;
	if (p && p->max_label_bytes)
		e->opts.max_label_bytes = p->max_label_bytes;
}

static enum status
edge_new(struct home *h, struct bytes name, struct edge **at)
{
	struct commit_homes *homes = h->homes;
	struct edge *e;
	enum status st;

	if (atomic_fetch_add(&homes->n_edges, 1) >= homes->opts.max_edges) {
		(void)atomic_fetch_sub(&homes->n_edges, 1);
		log_warn("edges-limit", "max-edges=%zu hint=\"raise max-edges, "
		    "or find out who sends\"", homes->opts.max_edges);
		return ST_BUSY;
	}
	e = calloc(1, sizeof(*e));
	st = e ? ST_OK : ST_NO_MEMORY;
	if (st == ST_OK) {
		lay_down(h, name, e);
		st = session_new(name, &e->opts, homes->spool, &e->session);
	}
	if (st == ST_OK) {
		e->metrics = metric_group_new(METRIC_SCOPE_EDGE, name);
		if (!e->metrics)
			st = ST_NO_MEMORY;
	}
	if (st != ST_OK) {
		(void)atomic_fetch_sub(&homes->n_edges, 1);
		if (e)
			session_free(&e->session);
		free(e);
		return st;
	}
	metric_add(METRIC_EDGES, 1);
	*at = e;
	return ST_OK;
}

static enum status
edge_of(struct home *h, struct bytes name, struct edge **out)
{
	uint64_t hash = hash64(&h->homes->key, name.p, name.n);
	struct edge **at = &h->bucket[hash / h->homes->n % BUCKETS];
	enum status st;

	for (; *at; at = &(*at)->next) {
		if (bytes_eq(session_name((*at)->session), name)) {
			*out = *at;
			return ST_OK;
		}
	}
	st = edge_new(h, name, at);
	if (st == ST_OK)
		*out = *at;
	return st;
}

/* ---- batches -------------------------------------------------------------------- */

struct batch *
commit_batch_take(struct commit_homes *homes, size_t loop)
{
	struct home *h = &homes->home[loop];

	if (h->n_batches > 0)
		return h->batch[--h->n_batches];
	return batch_new(homes->opts.batch_bytes, BATCH_KEEP);
}

void
commit_batch_give(struct commit_homes *homes, size_t loop, struct batch **taken)
{
	struct home *h = &homes->home[loop];

	if (h->n_batches == BATCHES_MAX) {
		batch_free(taken);
		return;
	}
	batch_reset(*taken);
	h->batch[h->n_batches++] = *taken;
	*taken = NULL;
}

/* ---- the way of a commit ---------------------------------------------------------- */

static void
count(const struct commit *c)
{
	const struct batch_counts *all = &c->stored, *old = &c->repeated;
	const struct batch_counts *out = &c->filtered;
	int64_t samples = (int64_t)(all->samples - old->samples - out->samples);
	int64_t histograms = (int64_t)(all->histograms - old->histograms -
	    out->histograms);
	int64_t exemplars = (int64_t)(all->exemplars - old->exemplars -
	    out->exemplars);
	int64_t filtered = (int64_t)(out->samples + out->histograms +
	    out->exemplars);

	metric_add(METRIC_SAMPLES, samples);
	metric_add(METRIC_HISTOGRAMS, histograms);
	metric_add(METRIC_EXEMPLARS, exemplars);
	metric_add(METRIC_METADATA, c->n_metadata);
	metric_add(METRIC_REPEATED,
	    (int64_t)(old->samples + old->histograms + old->exemplars));
	metric_group_add(c->from->metrics, METRIC_EDGE_SAMPLES,
	    samples + histograms + exemplars);
	if (filtered) {
		metric_add(METRIC_FILTERED, filtered);
		metric_group_add(c->from->metrics, METRIC_EDGE_FILTERED,
		    filtered);
	}
}

static void
at_origin(struct loop_msg *msg)
{
	struct commit *c = container_of(msg, struct commit, msg);

	if (c->status == ST_OK || c->status == ST_END)
		count(c);
	else
		c->stored = (struct batch_counts){ 0 };
	if (c->from)
		(void)atomic_fetch_sub(&c->from->in_flight, 1);
	c->from = NULL;
	buf_reset(&c->record, RECORD_KEEP);
	c->done(c);
}

static void
go_back(struct commit *c, enum status st)
{
	c->status = st;
	loop_post(c->origin, &c->msg, at_origin);
}

static bool
has_repeats(const struct commit *c)
{
	return c->repeated.samples || c->repeated.histograms ||
	    c->repeated.exemplars;
}

/* On the spool's loop, in the order in which the edge's commits were encoded. */
static void
durable(struct spool_write *w)
{
	struct commit *c = container_of(w, struct commit, write);
	enum status st = w->status;

	if (st != ST_OK)
		(void)atomic_fetch_add(&c->from->losses, 1);
	else if (has_repeats(c) && atomic_load(&c->from->losses) != c->losses)
		st = ST_STALE_EPOCH; /* what it repeats may be among them */
	go_back(c, st);
}

/* What is to be known of the batch when it is gone. */
static void
take_figures(struct commit *c)
{
	int64_t all = 0;
	enum status st;

	c->stored = batch_counts(c->batch);
	c->write.points = (struct spool_points){ .n = c->stored.samples +
		c->stored.histograms + c->stored.exemplars };
	c->stored.samples += c->repeated.samples + c->filtered.samples;
	c->stored.histograms += c->repeated.histograms +
	    c->filtered.histograms;
	c->stored.exemplars += c->repeated.exemplars + c->filtered.exemplars;
	c->n_metadata = c->batch->n_metadata;
	batch_times(c->batch, &c->write.points.oldest_ms,
	    &c->write.points.newest_ms);
	memcpy(c->refused, c->batch->refused, sizeof(c->refused));
	c->refused[ST_FILTERED] = 0;
	for (st = ST_OK; st < ST__N; st++) {
		if (!c->refused[st])
			continue;
		all += c->refused[st];
		metric_reason_add(METRIC_REJECTED, st, c->refused[st]);
	}
	if (all)
		metric_group_add(c->from->metrics, METRIC_EDGE_REJECTED, all);
}

/* What has been lost on its way to the disk is new when it comes again. */
static void
note_losses(struct edge *e, struct commit *c)
{
	c->losses = atomic_load(&e->losses);
	if (c->losses == e->forgot)
		return;
	e->forgot = c->losses;
	session_forget(e->session);
}

static void
tell_of_rate(struct edge *e, int64_t now)
{
	char name[EDGE_NAME_MAX + 8];

	if (e->told && now - e->told < TELL_NS)
		return;
	e->told = now;
	log_warn("rate-limit", "edge=%s rate=%u hint=\"raise rate or burst, or "
	    "have the edge send less\"", log_quote(session_name(e->session),
	    name, sizeof(name)), (unsigned)e->policy->rate);
}

static void
tell_of_series(const struct edge *e)
{
	char name[EDGE_NAME_MAX + 8];

	log_warn("series-limit", "edge=%s max-series=%u hint=\"raise "
	    "max-series, or have the edge send fewer series\"",
	    log_quote(session_name(e->session), name, sizeof(name)),
	    (unsigned)e->opts.max_series);
}

/* An edge that sends more than it may, and gets all the same what it may. */
static enum status
may_send(struct edge *e, struct commit *c, int64_t now)
{
	if (!e->policy || e->policy->rate == 0)
		return ST_OK;
	c->wait_ns = bucket_wait(&e->bucket, 0, now);
	if (c->wait_ns == 0)
		return ST_OK;
	tell_of_rate(e, now);
	return ST_RATE_LIMIT;
}

static void
spend(struct edge *e, const struct commit *c, int64_t now)
{
	if (e->policy && e->policy->rate)
		bucket_spend(&e->bucket, (double)(c->stored.samples +
		    c->stored.histograms + c->stored.exemplars), now);
}

static void
count_refused(struct edge *e, const struct commit *c, enum status st)
{
	uint32_t n = c->shut_out +
	    (st == ST_RATE_LIMIT || st == ST_SERIES_LIMIT);

	if (n)
		metric_group_add(e->metrics, METRIC_EDGE_REFUSED, n);
}

static void
count_forged(struct edge *e, const struct commit *c,
    const struct session_record *r)
{
	if (c->forged_tenant)
		metric_group_add(e->metrics, METRIC_EDGE_FORGED_TENANT, 1);
	if (r->forged)
		metric_group_add(e->metrics, METRIC_EDGE_FORGED, r->forged);
}

static enum status
encode_for(struct edge *e, struct commit *c, int64_t now)
{
	struct session_record r = { .epoch = 0 };
	enum status st = may_send(e, c, now);

	if (st != ST_OK)
		return st;
	note_losses(e, c);
	st = session_encode(e->session, c->batch, c->body, &c->record, &r);
	count_forged(e, c, &r);
	metric_add(METRIC_SERIES_DEFINED, r.defined);
	tell_series(e, session_n_series(e->session));
	if (st == ST_SERIES_LIMIT)
		tell_of_series(e);
	if (st != ST_OK && st != ST_END)
		return st;
	c->repeated = r.repeated;
	c->filtered = r.filtered;
	take_figures(c);
	spend(e, c, now);
	c->write.epoch = r.epoch;
	c->write.stream = r.stream;
	c->write.defined = r.defined;
	return st;
}

static enum status
encode(struct home *h, struct commit *c)
{
	enum status st;

	if (atomic_load(&c->gone))
		return ST_GONE;
	st = spool_room(h->homes->spool);
	if (st != ST_OK)
		return st;
	st = edge_of(h, bytes_str(c->edge), &c->from);
	if (st != ST_OK)
		return st;
	c->from->heard = loop_now(h->loop);
	(void)atomic_fetch_add(&c->from->in_flight, 1);
	st = encode_for(c->from, c, c->from->heard);
	count_refused(c->from, c, st);
	return st;
}

static void
at_home(struct loop_msg *msg)
{
	struct commit *c = container_of(msg, struct commit, msg);
	struct commit_homes *homes = c->homes;
	size_t i = hash64(&homes->key, c->edge, strlen(c->edge)) % homes->n;
	enum status st = encode(&homes->home[i], c);

	commit_batch_give(homes, i, &c->batch);
	c->encoded(c);
	c->write.done = durable;
	if (st == ST_OK) {
		c->write.data = buf_bytes(&c->record);
		c->write.wall_ms = c->received_wall_ms;
		spool_submit(homes->spool, &c->write);
	} else if (st == ST_END && has_repeats(c)) {
		/* answered when what it repeats is durable */
		spool_follow(homes->spool, &c->write);
	} else {
		go_back(c, st);
	}
}

void
commit_start(struct commit_homes *homes, struct commit *c)
{
	size_t i = hash64(&homes->key, c->edge, strlen(c->edge)) % homes->n;

	c->homes = homes;
	c->from = NULL;
	c->stored = c->repeated = c->filtered = (struct batch_counts){ 0 };
	c->n_metadata = 0;
	c->wait_ns = 0;
	memset(c->refused, 0, sizeof(c->refused));
	/* also when home is here: a turn's order stays that of arrival */
	loop_post(homes->home[i].loop, &c->msg, at_home);
}

/* ---- homes --------------------------------------------------------------------------- */

enum status
commit_homes_new(const struct commit_opts *opts, struct spool *spool,
    struct loop *const *loops, size_t n, struct commit_homes **out)
{
	struct commit_homes *homes;
	enum status st;
	size_t i;

	homes = calloc(1, sizeof(*homes) + n * sizeof(homes->home[0]));
	if (!homes)
		return ST_NO_MEMORY;
	homes->opts = *opts;
	homes->spool = spool;
	homes->n = n;
	st = hash_key_init(&homes->key);
	for (i = 0; i < n && st == ST_OK; i++) {
		struct home *h = &homes->home[i];

		h->homes = homes;
		h->loop = loops[i];
		if (opts->policies.n > 0) {
			h->room = relabel_room_new();
			st = h->room ? ST_OK : ST_NO_MEMORY;
		}
		if (st == ST_OK)
			st = spool_add_writer(spool, loops[i]);
		if (st == ST_OK)
			st = loop_timer_new(loops[i], sweep_due, h, &h->sweep);
		if (st == ST_OK)
			loop_timer_start(h->sweep, SWEEP_NS);
	}
	if (st != ST_OK) {
		commit_homes_free(&homes);
		return st;
	}
	*out = homes;
	return ST_OK;
}

void
commit_homes_free(struct commit_homes **taken)
{
	struct commit_homes *homes = *taken;
	struct edge *e, *next;
	size_t i, j;

	*taken = NULL;
	if (!homes)
		return;
	for (i = 0; i < homes->n; i++) {
		for (j = 0; j < BUCKETS; j++) {
			for (e = homes->home[i].bucket[j]; e; e = next) {
				next = e->next;
				edge_free(homes, e);
			}
		}
		while (homes->home[i].n_batches > 0)
			batch_free(&homes->home[i].batch[
			    --homes->home[i].n_batches]);
		relabel_room_free(&homes->home[i].room);
		loop_timer_free(&homes->home[i].sweep);
	}
	free(homes);
}
