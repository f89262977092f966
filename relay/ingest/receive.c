/* receive.c - the POST handler.
 * SPDX-License-Identifier: Apache-2.0
 *
 * An intake is what one request needs from its headers to its answer: the body as sent,
 * the commit.  The batch, with the decoded body in its arena, is there from the scan until
 * it is encoded.  Each worker keeps some of both that are free, with their memory.
 *
 *	begin      headers are asked; the intake is taken
 *	body       pieces are collected, within the memory that all requests share
 *	end        unpacked, scanned, given to commit.c
 *	committed  answered, if the peer is still there; the intake is given back
 *
 * A request of an edge that does not wait as it was told is refused, but not at once:
 * nothing of its connection is read meanwhile, so that it cannot ask without end.  */
#include "ingest/receive.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/pace.h"
#include "ingest/commit.h"
#include "ingest/shut.h"
#include "policy/tenant.h"
#include "prw/payload.h"
#include "prw/v1.h"
#include "prw/v2.h"

/* What a worker keeps for the next requests. */
#define FREE_MAX 64
#define KEEP_BODY ((size_t)64 << 10)	/* of each */
#define HOLD_NS CLOCK_S			/* before who does not wait is answered */
#define SMALL ((size_t)4 << 20)		/* a batch as bodies usually make it */

/* A decoded body comes to at most so many times its size as a batch: the shortest
 * TimeSeries is 2 bytes, an entry is some 48; but the scanners refuse what is all
 * empty entries, so this is for bodies as senders make them. */
#define BATCH_FACTOR 8

/* How a request is answered. */
struct terms {
	enum payload_proto proto;
	bool busy_429;			/* what the edge itself is over */
	int64_t wait_ns;		/* until it may send again; 0: as usual */
};

struct intake {
	struct intake *next;		/* in the free list */
	TAILQ_ENTRY(intake) held;	/* in the list of those */
	int64_t held_until;		/* clock_mono; 0: it is not held */
	struct intake *older, *newer;	/* in the list of all */
	struct door *door;		/* borrowed */
	struct http_request *request;	/* NULL: the peer has gone */
	struct terms terms;
	enum payload_coding coding;
	uint64_t name;			/* the edge's, hashed */
	size_t max_bytes;		/* of the body, as sent and decoded */
	struct buf packed;		/* owned */
	uint64_t reserved;		/* of the shared request memory */
	int64_t complete;		/* when the last byte came, clock_mono */
	struct commit commit;
};

TAILQ_HEAD(intake_list, intake);

struct door {
	struct ingest *ingest;		/* borrowed */
	size_t worker;			/* its number */
	struct loop *loop;		/* borrowed */
	struct intake *newest;		/* owned: all, free or in use */
	struct intake *free;
	size_t n_free;
	struct payload_tools tools;	/* owned */
	struct shut shut;
	struct intake_list held;	/* to be refused, the first first */
	struct loop_timer *hold;	/* owned */
	uint64_t seed;			/* of Retry-After's jitter */
};

struct ingest {
	struct ingest_opts opts;
	struct hash_key key;
	struct spool *spool;		/* borrowed */
	struct commit_homes *homes;	/* owned */
	_Atomic uint64_t reserved;
	_Atomic bool stopping;
	size_t n;
	struct door door[];
};

/* ---- memory --------------------------------------------------------------------- */

static bool
reserve(struct intake *in, uint64_t n)
{
	struct ingest *g = in->door->ingest;
	uint64_t before = atomic_fetch_add(&g->reserved, n);

	if (before + n > g->opts.request_memory_bytes) {
		(void)atomic_fetch_sub(&g->reserved, n);
		return false;
	}
	in->reserved += n;
	return true;
}

static void
intake_free(struct intake *in)
{
	if (in->newer)
		in->newer->older = in->older;
	else if (in->door->newest == in)
		in->door->newest = in->older;
	if (in->older)
		in->older->newer = in->newer;
	batch_free(&in->commit.batch);
	commit_fini(&in->commit);
	buf_fini(&in->packed);
	free(in);
}

static struct intake *
intake_take(struct door *d)
{
	struct intake *in = d->free;

	if (in) {
		d->free = in->next;
		d->n_free--;
		return in;
	}
	in = calloc(1, sizeof(*in));
	if (!in)
		return NULL;
	in->door = d;
	buf_init(&in->packed, 0);	/* the limit is the edge's */
	commit_init(&in->commit);
	in->commit.origin = d->loop;
	in->older = d->newest;
	if (d->newest)
		d->newest->newer = in;
	d->newest = in;
	return in;
}

/* What it has, whatever the limit says. */
static void
reserve_just(struct intake *in, uint64_t n)
{
	/* wraps where it grows, as it should */
	(void)atomic_fetch_sub(&in->door->ingest->reserved, in->reserved - n);
	in->reserved = n;
}

static void
intake_give(struct intake *in)
{
	struct door *d = in->door;

	if (in->held_until)
		TAILQ_REMOVE(&d->held, in, held);
	in->held_until = 0;
	reserve_just(in, 0);
	in->request = NULL;
	if (d->n_free >= FREE_MAX) {
		intake_free(in);
		return;
	}
	buf_reset(&in->packed, KEEP_BODY);
	in->next = d->free;
	d->free = in;
	d->n_free++;
}

/* ---- answers ----------------------------------------------------------------------- */

static unsigned
retry_after(struct door *d, int64_t wait_ns)
{
	int64_t base = d->ingest->opts.retry_after_ns;
	int64_t ns = base / 2 +
	    (int64_t)pace_random(&d->seed, (uint64_t)base + 1);

	if (wait_ns)
		ns = wait_ns;
	return (unsigned)((ns + CLOCK_S - 1) / CLOCK_S);
}

/* "rejected 3 of 2000: 2 no-name (series without a metric name), ..." */
static void
explain(struct buf *out, const struct commit *c)
{
	uint64_t bad = 0, good = c->stored.samples + c->stored.histograms +
	    c->stored.exemplars;
	const char *comma = "";
	enum status st;

	for (st = ST_OK; st < ST__N; st++)
		bad += c->refused[st];
	(void)buf_printf(out, "rejected %llu of %llu samples, histograms and "
	    "exemplars, the rest is stored: ", (unsigned long long)bad,
	    (unsigned long long)(bad + good));
	for (st = ST_OK; st < ST__N; st++) {
		if (!c->refused[st])
			continue;
		(void)buf_printf(out, "%s%u %s (%s)", comma,
		    (unsigned)c->refused[st], status_info(st)->word,
		    status_info(st)->sentence);
		comma = ", ";
	}
	(void)buf_append_str(out, "\n");
}

static bool
any_refused(const struct commit *c)
{
	enum status st;

	for (st = ST_OK; st < ST__N; st++)
		if (c->refused[st])
			return true;
	return false;
}

#define WRITTEN "X-Prometheus-Remote-Write-"

struct written {
	char text[3][24];
	struct http_header header[6];
	size_t n;
};

/* 2.0 "Required Written Response Headers": all three, zeros too.  Never to a 1.0
 * request: a sender that sees one trusts all. */
static void
add_written(struct written *w, enum payload_proto proto,
    const struct batch_counts *n)
{
	static const char *const name[3] = {
		WRITTEN "Samples-Written",
		WRITTEN "Histograms-Written",
		WRITTEN "Exemplars-Written",
	};
	const uint64_t value[3] = { n->samples, n->histograms, n->exemplars };
	size_t i;

	if (proto != PAYLOAD_V2)
		return;
	for (i = 0; i < 3; i++) {
		(void)snprintf(w->text[i], sizeof(w->text[i]), "%llu",
		    (unsigned long long)value[i]);
		w->header[w->n++] = (struct http_header){
			bytes_str(name[i]), bytes_str(w->text[i])
		};
	}
}

static int
code_of(const struct terms *t, enum status st, const struct commit *c)
{
	if (st == ST_OK && any_refused(c))
		return 400;
	if (t->busy_429 && (st == ST_RATE_LIMIT || st == ST_SERIES_LIMIT))
		return 429;
	return status_info(st)->http;
}

/* c: what became of it; NULL: it has not come so far. */
static void
respond(struct http_request *rq, struct door *d, const struct terms *t,
    enum status st, const struct commit *c)
{
	static const struct batch_counts nothing;
	struct http_response r = { .status = code_of(t, st, c) };
	struct written w = { .n = 0 };
	char seconds[16];

	/* to what was not understood as 2.0 no such header */
	if (r.status != 415)
		add_written(&w, t->proto, c ? &c->stored : &nothing);
	if (r.status == 503 || r.status == 429) {
		(void)snprintf(seconds, sizeof(seconds), "%u",
		    retry_after(d, t->wait_ns));
		w.header[w.n++] = (struct http_header){
			BYTES_LIT("Retry-After"), bytes_str(seconds)
		};
	}
	if (r.status != 204) {
		w.header[w.n++] = (struct http_header){
			BYTES_LIT("Content-Type"),
			BYTES_LIT("text/plain; charset=utf-8")
		};
		r.body = buf_new(16384);
		if (r.body && st == ST_OK)
			explain(r.body, c);
		else if (r.body)
			(void)buf_printf(r.body, "%s\n",
			    status_info(st)->sentence);
	}
	r.headers = (struct http_headers){ w.header, w.n };
	http_respond(rq, &r);
}

static void
answer(struct intake *in, enum status st)
{
	if (st == ST_END)
		st = ST_OK;
	metric_reason_add(METRIC_REQUESTS, st, 1);
	if (in->complete)
		metric_observe(METRIC_ANSWER_SECONDS,
		    clock_mono() - in->complete);
	if (!in->request)
		return;
	http_request_set_user(in->request, NULL);
	respond(in->request, in->door, &in->terms, st, &in->commit);
}

/* ---- an exchange ---------------------------------------------------------------------- */

/* Of a body of this edge. */
static size_t
max_bytes_of(const struct ingest_opts *o, const struct edge_policy *p)
{
	return p && p->max_request_bytes &&
	    p->max_request_bytes < o->max_request_bytes ?
	    p->max_request_bytes : o->max_request_bytes;
}

static enum status
may_begin(const struct door *d, const struct http_request *rq,
    size_t max_bytes, enum payload_proto *proto, enum payload_coding *coding)
{
	struct http_headers h = http_request_headers(rq);
	int64_t length = http_request_length(rq);
	enum status st;

	st = payload_proto_of(http_header(h, "content-type"), proto);
	if (st == ST_OK)
		st = payload_coding_of(http_header(h, "content-encoding"),
		    coding);
	if (st == ST_OK && length > 0 && (uint64_t)length > max_bytes)
		st = ST_TOO_LARGE;
	if (st == ST_OK && atomic_load(&d->ingest->stopping))
		st = ST_STOPPING;
	if (st == ST_OK)
		st = spool_room(d->ingest->spool);
	return st;
}

/* Whether the edge says that it is another tenant than it is. */
static bool
forges_tenant(const struct ingest_opts *o, const struct edge_policy *p,
    const struct http_request *rq)
{
	struct http_headers h = http_request_headers(rq);
	struct bytes said;
	struct buf is;
	bool forged = false;
	size_t i;

	for (i = 0; i < o->n_tenant_headers && p && !forged; i++) {
		said = http_header(h, o->tenant_headers[i]);
		if (!said.p)
			continue;
		buf_init(&is, SIZE_MAX);
		forged = tenant_of(p, bytes_str(http_request_edge(rq)), &is) &&
		    is.len > 0 && !bytes_eq(said, buf_bytes(&is));
		buf_fini(&is);
	}
	return forged;
}

/* An answer before the commit. */
static void
end_early(struct intake *in, enum status st)
{
	answer(in, st);
	intake_give(in);
}

/* Those whose time has come. */
static void
refuse_held(void *arg)
{
	struct door *d = arg;
	int64_t now = loop_now(d->loop);
	struct intake *in;

	while ((in = TAILQ_FIRST(&d->held)) != NULL && in->held_until <= now) {
		in->terms.wait_ns -= HOLD_NS;
		if (in->terms.wait_ns < 1)
			in->terms.wait_ns = 1;
		end_early(in, ST_RATE_LIMIT);
	}
	if (in)
		loop_timer_start(d->hold, in->held_until - now);
}

/* A request of an edge that was told to wait, and does not. */
static void
hold_if_shut(struct intake *in)
{
	struct door *d = in->door;
	int64_t now = loop_now(d->loop);

	in->terms.wait_ns = shut_ask(&d->shut, in->name, now);
	if (in->terms.wait_ns == 0)
		return;
	if (TAILQ_EMPTY(&d->held))
		loop_timer_start(d->hold, HOLD_NS);
	in->held_until = now + HOLD_NS;
	TAILQ_INSERT_TAIL(&d->held, in, held);
}

static enum status
begin(struct http_request *rq, void *arg)
{
	struct door *d = arg;
	const struct ingest_opts *o = &d->ingest->opts;
	struct bytes edge = bytes_str(http_request_edge(rq));
	const struct edge_policy *policy = edge_policy_of(&o->policies, edge);
	uint64_t name = hash64(&d->ingest->key, edge.p, edge.n);
	size_t max_bytes = max_bytes_of(o, policy);
	enum payload_coding coding = PAYLOAD_SNAPPY;
	struct terms t = { .busy_429 = policy && policy->busy_429 };
	struct intake *in = NULL;
	enum status st = may_begin(d, rq, max_bytes, &t.proto, &coding);

	if (st == ST_OK) {
		in = intake_take(d);
		st = in ? ST_OK : ST_NO_MEMORY;
	}
	if (st != ST_OK) {
		metric_reason_add(METRIC_REQUESTS, st, 1);
		respond(rq, d, &t, st, NULL);
		return ST_OK;
	}
	in->request = rq;
	in->terms = t;
	in->coding = coding;
	in->name = name;
	in->max_bytes = max_bytes;
	in->packed.limit = max_bytes;
	in->complete = 0;
	in->commit.status = ST_OK;
	in->commit.stored = (struct batch_counts){ 0 };
	memset(in->commit.refused, 0, sizeof(in->commit.refused));
	in->commit.forged_tenant = forges_tenant(o, policy, rq);
	atomic_store(&in->commit.gone, false);
	(void)snprintf(in->commit.edge, sizeof(in->commit.edge), "%s",
	    http_request_edge(rq));
	http_request_set_user(rq, in);
	if (policy && policy->rate)
		hold_if_shut(in);
	return ST_OK;
}

static enum status
body(struct http_request *rq, struct bytes piece)
{
	struct intake *in = http_request_user(rq);
	enum status st = ST_OK;

	if (in->held_until)
		return ST_WAIT;
	/* as it comes: who only declares a large one takes nothing from others */
	if (!reserve(in, piece.n))
		st = ST_BUSY;
	else if (!buf_append(&in->packed, piece.p, piece.n))
		st = in->packed.len + piece.n > in->packed.limit ?
		    ST_TOO_LARGE : ST_NO_MEMORY;
	if (st != ST_OK)
		end_early(in, st);
	return ST_OK;
}

/* The memory that it says it takes is reserved before, or else what it took, after. */
static enum status
unpack(struct intake *in, struct arena *arena, struct bytes *raw)
{
	size_t limit = in->max_bytes, told;
	struct bytes packed = buf_bytes(&in->packed);
	enum status st = payload_size(in->coding, packed, limit, &told);

	if (st != ST_OK)
		return st;
	if (told != PAYLOAD_UNTOLD && !reserve(in, told * 2))
		return ST_BUSY;
	st = payload_unpack(&in->door->tools, in->coding, packed, limit, arena,
	    raw);
	if (st == ST_OK && told == PAYLOAD_UNTOLD && !reserve(in, raw->n * 2))
		return ST_BUSY;
	return st;
}

static enum status
scan(struct intake *in, struct batch *b)
{
	struct ingest *g = in->door->ingest;
	struct bytes raw;
	size_t held;
	enum status st = unpack(in, b->arena, &raw);

	if (st != ST_OK)
		return st;
	metric_add(METRIC_DECODED_BYTES, (int64_t)raw.n);
	st = in->terms.proto == PAYLOAD_V1 ? v1_scan(raw, &g->key, b) :
	    v2_scan(raw, &g->key, b);
	/* what it came to, where that is more than bodies usually do */
	held = arena_size(b->arena);
	if (st == ST_OK && held > SMALL && held > in->reserved &&
	    !reserve(in, held - in->reserved))
		return ST_BUSY;
	return st;
}

/* On the home's loop: what is left is the record, until the disk has it. */
static void
encoded(struct commit *c)
{
	reserve_just(container_of(c, struct intake, commit), c->record.cap);
}

static void
committed(struct commit *c)
{
	struct intake *in = container_of(c, struct intake, commit);
	struct door *d = in->door;

	in->terms.wait_ns = c->wait_ns;
	if (c->status == ST_RATE_LIMIT)
		shut_note(&d->shut, in->name, loop_now(d->loop) + c->wait_ns);
	answer(in, c->status);
	intake_give(in);
}

static void
end(struct http_request *rq)
{
	struct intake *in = http_request_user(rq);
	struct door *d = in->door;
	struct batch *b;
	enum status st;

	if (in->held_until)
		return;
	b = commit_batch_take(d->ingest->homes, d->worker);
	in->complete = clock_mono();
	metric_add(METRIC_REQUEST_BYTES, (int64_t)in->packed.len);
	metric_add(METRIC_ZSTD_REQUESTS, in->coding == PAYLOAD_ZSTD);
	st = b ? scan(in, b) : ST_NO_MEMORY;
	if (st != ST_OK) {
		if (b)
			commit_batch_give(d->ingest->homes, d->worker, &b);
		end_early(in, st);
		return;
	}
	in->commit.body = hash128(&d->ingest->key, in->packed.data,
	    in->packed.len);
	in->commit.body.lo += in->terms.proto;
	/* nothing of the batch is in it */
	buf_reset(&in->packed, KEEP_BODY);
	in->commit.batch = b;
	in->commit.shut_out = shut_take(&in->door->shut, in->name);
	in->commit.received_wall_ms = clock_wall() / CLOCK_MS;
	in->commit.encoded = encoded;
	in->commit.done = committed;
	commit_start(in->door->ingest->homes, &in->commit);
}

static void
gone(struct http_request *rq, enum status why)
{
	struct intake *in = http_request_user(rq);

	(void)why;		/* the server counts it */
	if (!in)
		return;
	in->request = NULL;
	if (!in->complete) {
		intake_give(in);
		return;
	}
	/* on its way: committed() gives it back */
	atomic_store(&in->commit.gone, true);
}

const struct http_handler receive_handler = { begin, body, end, gone };

/* ---- life ------------------------------------------------------------------------------ */

static enum status
open_door(struct ingest *g, size_t i, struct loop *l)
{
	struct door *d = &g->door[i];

	d->ingest = g;
	d->worker = i;
	d->loop = l;
	d->seed = (le64_get(g->key.secret) + i) | 1;
	TAILQ_INIT(&d->held);
	return loop_timer_new(l, refuse_held, d, &d->hold);
}

enum status
ingest_new(const struct ingest_opts *opts, struct spool *spool,
    struct loop *const *loops, size_t n, struct ingest **out)
{
	struct commit_opts co = {
		.session.max_labels = opts->max_labels,
		.session.max_label_bytes = opts->max_label_bytes,
		.session.max_series = opts->max_series,
		.policies = opts->policies,
		.max_edges = opts->max_edges,
		.batch_bytes = opts->max_request_bytes * BATCH_FACTOR,
	};
	struct ingest *g;
	enum status st;
	size_t i;

	assert(opts->max_labels <= BATCH_LABELS_MAX);
	g = calloc(1, sizeof(*g) + n * sizeof(g->door[0]));
	if (!g)
		return ST_NO_MEMORY;
	g->opts = *opts;
	g->spool = spool;
	g->n = n;
	st = hash_key_init(&g->key);
	if (st == ST_OK)
		st = commit_homes_new(&co, spool, loops, n, &g->homes);
	for (i = 0; i < n && st == ST_OK; i++)
		st = open_door(g, i, loops[i]);
	if (st != ST_OK)
		ingest_free(&g);
	else
		*out = g;
	return st;
}

void
ingest_free(struct ingest **taken)
{
	struct ingest *g = *taken;
	struct intake *in;
	size_t i;

	*taken = NULL;
	if (!g)
		return;
	for (i = 0; i < g->n; i++) {
		while ((in = g->door[i].newest) != NULL)
			intake_free(in);
		payload_tools_fini(&g->door[i].tools);
		loop_timer_free(&g->door[i].hold);
	}
	commit_homes_free(&g->homes);
	free(g);
}

void
ingest_stop(struct ingest *g)
{
	atomic_store(&g->stopping, true);
}

void *
ingest_door(struct ingest *g, size_t worker)
{
	assert(worker < g->n);
	return &g->door[worker];
}
