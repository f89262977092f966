/* rwload.c - many edges that push remote write, and a record of what was
 * acknowledged to them.
 *
 * An edge has its own source address and its own connections. It goes round
 * its groups of series (one group a request) and sends a group's next samples
 * only after the request with the ones before was answered, on whichever
 * connection is free: so a series changes connections as those of Prometheus
 * do. What is refused with 429 or 5xx, or gets no answer, is sent again, the
 * same bytes.
 * SPDX-License-Identifier: Apache-2.0                                       */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <snappy-c.h>
#include <zstd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "canon.h"
#include "capture.h"
#include "head.h"
#include "seal.h"
#include "templ.h"

#define MAX_REPLAYS	64
#define MAX_HEADERS	16
#define FIRST_BACKOFF	100000		/* us */
#define TICK_MS		1
#define SWEEP_US	100000		/* how often timeouts are looked for */
#define BUCKETS		(64 * 16)
#define METADATA_EVERY	20u		/* rounds */

/* One request, ready but for what templ_fill() stores. */
struct body {
	struct templ *templ;		/* NULL: `bytes` as they are */
	struct wire_buf bytes;
	enum wire_version version;
	uint32_t first, count;		/* series; count: also its items */
	uint32_t samples, hists, exemplars;
};

enum state {
	IDLE,
	CONNECTING,
	SENDING,
	READING,
	WAITING,			/* until it sends again */
};

struct conn {
	struct edge *edge;
	struct conn *next;		/* among the edge's idle ones */
	struct body *body;
	struct seal *seal;		/* NULL: plain */
	int fd;
	uint32_t served;		/* requests, by this connection */
	enum state state;
	uint32_t group, seq, attempts;
	int64_t due, sent_us, first_us;
	struct wire_buf out;
	size_t off;
	char in[4096];
	size_t in_len;
};

struct edge {
	uint32_t number;
	struct body *bodies;		/* groups, or requests of a capture */
	uint32_t groups, turn, rounds;
	bool replay;			/* bodies are rounds of one group */
	uint32_t *next_seq;
	bool *busy;
	struct conn *conns, *idle, **idle_tail;
	uint32_t in_flight;
};

struct options {
	const char *url, *path, *manifest, *dump, *ca, *cert, *key;
	const char *headers[MAX_HEADERS], *replays[MAX_REPLAYS];
	size_t nheaders, nreplays;
	uint32_t edges, first_edge, connections, series, per_request, rounds;
	uint32_t first_seq, per_connection;
	double rate, duration, timeout, max_backoff, hold, drain;
	enum wire_version version;
	struct gen_run run;
	bool no_retry, no_source, chunked, replay_version, zstd;
};

static const struct options defaults = {
	.edges = 1, .connections = 4, .series = 10000, .per_request = 2000,
	.rounds = UINT32_MAX, .timeout = 30, .max_backoff = 5, .drain = 30,
	.version = WIRE_V1, .run = { .interval_ms = 15000 },
};

struct totals {
	uint64_t requests, acked, hists, exemplars, metadata, refused, open;
	uint64_t retries, conn_errors, timeouts, bytes, wrong_written;
	uint64_t status[6];		/* 1xx to 5xx, by hundreds */
	uint64_t by_429, dispatched;
	uint64_t latency[BUCKETS];
};

struct load {
	struct options o;
	struct totals t;
	struct head_address to;
	struct seal_side *tls;		/* NULL: http */
	char host[300], name[300];	/* name: without the port */
	struct body *bodies;		/* shared by all edges */
	uint32_t nbodies;
	struct body metadata;
	struct edge *edges;
	int ep;
	FILE *manifest;
	int64_t begin_us, end_us, next_sweep;
	uint64_t in_flight, waiting;
	uint32_t next_edge;		/* whose turn it is, at a rate */
	bool draining;
};

static volatile sig_atomic_t stop;

static void
on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

/* --- what was acknowledged --------------------------------------------- */

static void
record(struct load *l, const char *what, const struct conn *c, int status)
{
	if (l->manifest == NULL || c->body->count == 0 || c->edge->replay)
		return;
	fprintf(l->manifest, "%s %ld %u %u %u %u %d %u %ld\n", what,
	    (head_now_us() - l->begin_us) / 1000, c->edge->number,
	    c->body->first, c->body->count, c->seq, status, c->attempts,
	    head_now_us() - c->first_us);
}

static void
note_latency(struct totals *t, int64_t us)
{
	uint64_t v = us > 0 ? (uint64_t)us : 1;
	unsigned top = 63u - (unsigned)__builtin_clzll(v);
	unsigned sub = top >= 4 ? v >> (top - 4) & 15 : v << (4 - top) & 15;

	t->latency[top * 16 + sub]++;
}

static double
percentile_ms(const struct totals *t, double p)
{
	uint64_t all = 0, seen = 0;
	unsigned i, top;

	for (i = 0; i < BUCKETS; i++)
		all += t->latency[i];
	for (i = 0; i < BUCKETS; i++) {
		seen += t->latency[i];
		if (seen != 0 && (double)seen >= p * (double)all)
			break;
	}
	top = i / 16;
	return all == 0 ? 0 : (double)((UINT64_C(16) + i % 16) << top) / 16e3;
}

/* --- connections ------------------------------------------------------- */

static void	pump(struct load *, struct edge *);
static void	advance(struct load *, struct conn *);

static void
cut(struct conn *c)
{
	seal_free(c->seal);
	c->seal = NULL;
	if (c->fd != -1)
		(void)close(c->fd);
	c->fd = -1;
}

static void
hang_up(struct conn *c)
{
	cut(c);
	c->in_len = 0;
}

static void
now_idle(struct conn *c)
{
	struct edge *e = c->edge;

	c->state = IDLE;
	c->next = NULL;
	*e->idle_tail = c;
	e->idle_tail = &c->next;
}

static struct conn *
take_idle(struct edge *e)
{
	struct conn *c = e->idle;

	e->idle = c->next;
	if (e->idle == NULL)
		e->idle_tail = &e->idle;
	return c;
}

static void
bind_source(const struct load *l, int fd, uint32_t edge)
{
	struct sockaddr_in to, from = { .sin_family = AF_INET };
	int on = 1;

	memcpy(&to, &l->to.addr, sizeof(to));
	if (l->o.no_source || to.sin_family != AF_INET ||
	    ntohl(to.sin_addr.s_addr) >> 24 != 127)
		return;
	from.sin_addr.s_addr = htonl(127u << 24 |
	    (1 + edge / 62500) << 16 | (1 + edge / 250 % 250) << 8 |
	    (1 + edge % 250));
	(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on,
	    sizeof(on));
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) == -1) {
		perror("rwload: bind to an edge's address");
		exit(2);
	}
}

static bool
dial(struct load *l, struct conn *c)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP |
	    EPOLLET, .data.ptr = c };
	int on = 1;

	c->fd = socket(l->to.addr.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd == -1) {
		perror("rwload: socket");
		exit(2);
	}
	bind_source(l, c->fd, c->edge->number);
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->in_len = 0;
	c->served = 0;
	if (l->tls != NULL)
		c->seal = seal_new(l->tls, c->fd, l->name);
	if (connect(c->fd, (struct sockaddr *)&l->to.addr, l->to.len) == -1 &&
	    errno != EINPROGRESS) {
		hang_up(c);
		return false;
	}
	if (epoll_ctl(l->ep, EPOLL_CTL_ADD, c->fd, &ev) == -1) {
		perror("rwload: epoll");
		exit(2);
	}
	return true;
}

/* --- requests ---------------------------------------------------------- */

static void
put_text(struct wire_buf *b, const char *s)
{
	wire_put(b, s, strlen(s));
}

static void
put_headers(const struct load *l, const struct conn *c, struct wire_buf *b)
{
	char edge[16];
	const char *h, *at;
	size_t i;

	gen_edge_name(c->edge->number, edge);
	for (i = 0; i < l->o.nheaders; i++) {
		h = l->o.headers[i];
		while ((at = strstr(h, "%e")) != NULL) {
			wire_put(b, h, (size_t)(at - h));
			put_text(b, edge);
			h = at + 2;
		}
		put_text(b, h);
		put_text(b, "\r\n");
	}
}

/* Lays the whole request, head and body, into c->out. */
static void
compose(const struct load *l, struct conn *c)
{
	const struct body *body = c->body;
	struct wire_buf *b = &c->out;
	size_t len = body->templ != NULL ? templ_size(body->templ) :
	    body->bytes.len;
	char text[160];

	b->len = 0;
	put_text(b, "POST ");
	put_text(b, l->o.path);
	put_text(b, " HTTP/1.1\r\nHost: ");
	put_text(b, l->host);
	put_text(b, "\r\nUser-Agent: rwload/1\r\n");
	put_text(b, l->o.zstd ? "Content-Encoding: zstd\r\n"
	    "X-VictoriaMetrics-Remote-Write-Version: 1\r\n" :
	    "Content-Encoding: snappy\r\n");
	put_text(b, body->version == WIRE_V1 ?
	    "Content-Type: application/x-protobuf\r\n"
	    "X-Prometheus-Remote-Write-Version: 0.1.0\r\n" :
	    "Content-Type: application/x-protobuf;"
	    "proto=io.prometheus.write.v2.Request\r\n"
	    "X-Prometheus-Remote-Write-Version: 2.0.0\r\n");
	put_headers(l, c, b);
	if (l->o.chunked)
		snprintf(text, sizeof(text),
		    "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", len);
	else
		snprintf(text, sizeof(text), "Content-Length: %zu\r\n\r\n",
		    len);
	put_text(b, text);
	if (body->templ != NULL) {
		wire_buf_room(b, len);
		templ_fill(body->templ, c->edge->number, c->seq,
		    b->p + b->len);
		b->len += len;
	} else {
		wire_put(b, body->bytes.p, len);
	}
	if (l->o.chunked)
		put_text(b, "\r\n0\r\n\r\n");
}

static void
start(struct load *l, struct conn *c)
{
	c->off = 0;
	c->in_len = 0;
	c->attempts++;
	c->sent_us = head_now_us();
	c->state = SENDING;
	if (c->fd == -1) {
		if (!dial(l, c)) {
			c->state = CONNECTING;	/* advance() sees it */
			advance(l, c);
			return;
		}
		c->state = CONNECTING;
		return;
	}
	advance(l, c);
}

/* The next group of the edge that may be sent; false: none now. */
static bool
next_group(const struct load *l, struct edge *e, uint32_t *group)
{
	uint32_t i, g;

	if (l->draining)
		return false;
	for (i = 0; i < e->groups; i++) {
		g = e->turn + i;
		g = g >= e->groups ? g - e->groups : g;
		if (!e->busy[g] && e->next_seq[g] < e->rounds) {
			e->turn = g + 1 == e->groups ? 0 : g + 1;
			*group = g;
			return true;
		}
	}
	return false;
}

static bool
dispatch(struct load *l, struct edge *e)
{
	struct conn *c;
	uint32_t g;

	if (e->idle == NULL || !next_group(l, e, &g))
		return false;
	c = take_idle(e);
	c->group = g;
	c->seq = e->next_seq[g];
	c->attempts = 0;
	e->busy[g] = true;
	if (e->replay)
		c->body = &e->bodies[c->seq];
	else if (g == l->nbodies)
		c->body = &l->metadata;
	else
		c->body = &e->bodies[g];
	l->in_flight++;
	e->in_flight++;
	l->t.dispatched += c->body->count;
	compose(l, c);
	c->first_us = head_now_us();
	start(l, c);
	return true;
}

/* In a closed loop: all that the edge can have in flight. */
static void
pump(struct load *l, struct edge *e)
{
	while (l->o.rate == 0 && dispatch(l, e))
		;
}

/* The request is over, one way or another. */
static void
finish(struct load *l, struct conn *c)
{
	struct edge *e = c->edge;
	bool metadata = c->body == &l->metadata;

	e->busy[c->group] = false;
	e->next_seq[c->group] += metadata ? METADATA_EVERY : 1;
	e->in_flight--;
	l->in_flight--;
	now_idle(c);
}

static void
again(struct load *l, struct conn *c, int status, long retry_after)
{
	int64_t wait = FIRST_BACKOFF, most = (int64_t)(l->o.max_backoff * 1e6);

	record(l, "retry", c, status);
	if (l->o.no_retry && c->off != 0) {
		l->t.refused += c->body->count;
		record(l, "refused", c, status);
		finish(l, c);
		return;
	}
	l->t.retries++;
	wait <<= c->attempts < 12 ? c->attempts - 1 : 11;
	wait = wait < most ? wait : most;
	if (retry_after >= 0)
		wait = (int64_t)retry_after * 1000000;
	c->due = head_now_us() + wait;
	c->state = WAITING;
	l->waiting++;
}

static void
broken(struct load *l, struct conn *c)
{
	hang_up(c);
	if (c->state == IDLE)
		return;
	l->t.conn_errors++;
	again(l, c, 0, -1);
}

static void
check_written(struct load *l, const struct conn *c, size_t head)
{
	const struct body *b = c->body;
	struct wire_str v;

	if (b->version == WIRE_V1) {
		if (head_find(c->in, head,
		    "X-Prometheus-Remote-Write-Samples-Written", &v))
			l->t.wrong_written++;
		return;
	}
	if (head_number(c->in, head,
	    "X-Prometheus-Remote-Write-Samples-Written", -1) != b->samples ||
	    head_number(c->in, head,
	    "X-Prometheus-Remote-Write-Histograms-Written", -1) != b->hists ||
	    head_number(c->in, head,
	    "X-Prometheus-Remote-Write-Exemplars-Written", -1) != b->exemplars)
		l->t.wrong_written++;
}

static void
answered(struct load *l, struct conn *c, int status, size_t head)
{
	long after = head_number(c->in, head, "Retry-After", -1);

	l->t.status[status / 100]++;
	l->t.by_429 += status == 429;
	if (status / 100 == 5 || status == 429) {
		again(l, c, status, after);
		return;
	}
	if (status / 100 != 2) {
		l->t.refused += c->body->count;
		record(l, "refused", c, status);
		finish(l, c);
		return;
	}
	check_written(l, c, head);
	note_latency(&l->t, head_now_us() - c->sent_us);
	l->t.requests++;
	l->t.acked += c->body->count;
	l->t.hists += c->body->hists;
	l->t.exemplars += c->body->exemplars;
	l->t.metadata += c->body == &l->metadata;
	l->t.bytes += c->out.len;
	record(l, "ack", c, status);
	finish(l, c);
}

/* Looks at what came in; true when the request is over with it. */
static bool
answer(struct load *l, struct conn *c)
{
	size_t head = head_length(c->in, c->in_len);
	bool close_after, early = c->state == SENDING;
	struct wire_str v;
	long body = 0;
	int status;

	if (head == 0 && c->in_len < sizeof(c->in))
		return false;
	status = head_status(c->in, head);
	if (status < 100 || status > 599) {
		broken(l, c);
		return true;
	}
	if (status / 100 == 1) {
		memmove(c->in, c->in + head, c->in_len - head);
		c->in_len -= head;
		return c->in_len != 0 && answer(l, c);
	}
	if (status != 204)
		body = head_number(c->in, head, "Content-Length", -1);
	close_after = early || body < 0 ||
	    (l->o.per_connection && ++c->served >= l->o.per_connection) ||
	    (size_t)body > sizeof(c->in) - head ||
	    (head_find(c->in, head, "Connection", &v) &&
	    wire_str_is(v, "close"));
	if (!close_after && c->in_len < head + (size_t)body)
		return false;
	if (close_after)
		cut(c);
	answered(l, c, status, head);
	return true;
}

static void
receive(struct load *l, struct conn *c)
{
	ssize_t n;

	for (;;) {
		n = c->seal != NULL ? seal_read(c->seal, c->in + c->in_len,
		    sizeof(c->in) - c->in_len) : read(c->fd,
		    c->in + c->in_len, sizeof(c->in) - c->in_len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			return;
		if (n <= 0 || c->state == IDLE) {
			broken(l, c);
			return;
		}
		c->in_len += (size_t)n;
		if (answer(l, c))
			return;
	}
}

static void
advance(struct load *l, struct conn *c)
{
	ssize_t n;

	if (c->fd == -1) {
		broken(l, c);
		return;
	}
	if (c->state == CONNECTING)
		c->state = SENDING;
	while (c->state == SENDING) {
		n = c->seal != NULL ? seal_send(c->seal, c->out.p + c->off,
		    c->out.len - c->off) : send(c->fd, c->out.p + c->off,
		    c->out.len - c->off, MSG_NOSIGNAL);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			return;
		if (n == -1) {
			/* There may be an answer all the same. */
			receive(l, c);
			if (c->state == SENDING)
				broken(l, c);
			return;
		}
		c->off += (size_t)n;
		if (c->off == c->out.len)
			c->state = READING;
	}
}

static void
on_event(struct load *l, struct conn *c, uint32_t events)
{
	struct edge *e = c->edge;
	int err = 0;
	socklen_t len = sizeof(err);

	if (c->fd == -1)
		return;
	if (c->state == WAITING &&
	    (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
		hang_up(c);
	if (c->state == CONNECTING) {
		if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1 ||
		    err != 0)
			broken(l, c);
		else if ((events & EPOLLOUT) != 0)
			advance(l, c);
	} else if (c->state == SENDING && (events & EPOLLOUT) != 0) {
		advance(l, c);
	}
	if (c->fd != -1 && c->state != CONNECTING && c->state != WAITING &&
	    (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
		receive(l, c);
	pump(l, e);
}

/* --- time -------------------------------------------------------------- */

static void
sweep(struct load *l, int64_t now)
{
	int64_t limit = now - (int64_t)(l->o.timeout * 1e6);
	uint32_t i, j;
	struct conn *c;

	for (i = 0; i < l->o.edges; i++) {
		for (j = 0; j < l->o.connections; j++) {
			c = &l->edges[i].conns[j];
			if (c->state == WAITING && c->due <= now) {
				l->waiting--;
				start(l, c);
			} else if (c->state != IDLE && c->state != WAITING &&
			    c->sent_us < limit) {
				l->t.timeouts++;
				broken(l, c);
			}
		}
		pump(l, &l->edges[i]);
	}
}

static void
at_rate(struct load *l, int64_t now)
{
	double due = l->o.rate * (double)(now - l->begin_us) / 1e6;
	uint32_t idle = 0;

	while ((double)l->t.dispatched < due && idle < l->o.edges) {
		if (dispatch(l, &l->edges[l->next_edge]))
			idle = 0;
		else
			idle++;
		l->next_edge = (l->next_edge + 1) % l->o.edges;
	}
}

static bool
all_sent(const struct load *l)
{
	const struct edge *e;
	uint32_t i, g;

	for (i = 0; i < l->o.edges; i++) {
		e = &l->edges[i];
		for (g = 0; g < e->groups; g++)
			if (e->next_seq[g] < e->rounds)
				return false;
	}
	return true;
}

static void
run(struct load *l)
{
	struct epoll_event ev[256];
	int64_t now, give_up = 0;
	int i, n, wait;

	l->begin_us = head_now_us();
	for (i = 0; (uint32_t)i < l->o.edges; i++)
		pump(l, &l->edges[i]);
	for (;;) {
		now = head_now_us();
		if (!l->draining && (stop || (l->o.duration != 0 &&
		    (double)(now - l->begin_us) >= l->o.duration * 1e6))) {
			l->draining = true;
			l->end_us = now;
			give_up = now + (int64_t)(stop ? 2e6 : l->o.drain * 1e6);
		}
		if (l->in_flight == 0 && (l->draining || all_sent(l)))
			break;
		if (l->draining && now > give_up)
			break;
		if (now >= l->next_sweep) {
			sweep(l, now);
			l->next_sweep = now +
			    (l->waiting != 0 ? SWEEP_US / 10 : SWEEP_US);
		}
		if (l->o.rate != 0 && !l->draining)
			at_rate(l, now);
		wait = l->o.rate != 0 ? TICK_MS : l->waiting != 0 ? 10 : 100;
		n = epoll_wait(l->ep, ev, 256, wait);
		for (i = 0; i < n; i++)
			on_event(l, ev[i].data.ptr, ev[i].events);
		if (l->manifest != NULL)
			(void)fflush(l->manifest);
	}
	l->end_us = head_now_us();
}

/* --- setting up -------------------------------------------------------- */

static void
make_bodies(struct load *l)
{
	const struct options *o = &l->o;
	struct body *b;
	uint32_t i;

	l->nbodies = (o->series + o->per_request - 1) / o->per_request;
	l->bodies = wire_alloc(NULL, l->nbodies * sizeof(*l->bodies));
	for (i = 0; i < l->nbodies; i++) {
		b = &l->bodies[i];
		memset(b, 0, sizeof(*b));
		b->version = o->version;
		b->first = i * o->per_request;
		b->count = o->series - b->first < o->per_request ?
		    o->series - b->first : o->per_request;
		b->templ = templ_new(&o->run, o->version, b->first, b->count);
		templ_counts(b->templ, &b->samples, &b->hists, &b->exemplars);
	}
	l->metadata.version = WIRE_V1;
	if (o->version == WIRE_V1 && (o->run.kinds & GEN_METADATA) != 0)
		l->metadata.templ = templ_new(&o->run, WIRE_V1, 0, 0);
}

static bool
count_items(void *arg, struct wire_decoder *d, const struct wire_series *s)
{
	struct body *b = arg;

	(void)d;
	b->samples += s->nsamples;
	b->hists += s->nhists;
	b->exemplars += s->nexemplars;
	return true;
}

static bool
dump_series(void *arg, struct wire_decoder *d, const struct wire_series *s)
{
	canon_series(arg, d, s);
	return true;
}

static bool
dump_metadata(void *arg, const struct wire_metadata *m)
{
	canon_metadata(arg, m);
	return true;
}

static void
dump_body(const struct options *o, FILE *dump, struct wire_decoder *d,
    const struct captured *c)
{
	struct wire_visitor v = { dump_series, dump_metadata, dump };
	const char *wrong = wire_decode(d, c->version, c->body, c->len, &v);

	if (wrong != NULL) {
		fprintf(stderr, "rwload: %s: %s\n", o->replays[0], wrong);
		exit(2);
	}
}

static void
pack(const struct load *l, const uint8_t *raw, size_t len, struct wire_buf *out)
{
	size_t n = l->o.zstd ? ZSTD_compressBound(len) :
	    snappy_max_compressed_length(len);

	wire_buf_room(out, n);
	if (l->o.zstd)
		n = ZSTD_compress(out->p, n, raw, len, 1);
	else if (snappy_compress((const char *)raw, len, (char *)out->p,
	    &n) != SNAPPY_OK)
		exit(2);
	if (l->o.zstd && ZSTD_isError(n))
		exit(2);
	out->len = n;
}

static bool
take_captured(struct load *l, struct wire_decoder *d,
    const struct captured *c, struct body *b)
{
	struct wire_visitor count = { count_items, NULL, b };
	struct wire_buf other = { NULL, 0, 0 };
	const uint8_t *raw = c->body;
	size_t len = c->len;
	const char *wrong;

	memset(b, 0, sizeof(*b));
	b->version = l->o.replay_version ? l->o.version : c->version;
	if (b->version != c->version) {
		wrong = capture_convert(d, c->version, c->body, c->len,
		    b->version, &other);
		if (wrong != NULL) {
			fprintf(stderr, "rwload: convert: %s\n", wrong);
			exit(2);
		}
		raw = other.p;
		len = other.len;
	}
	(void)wire_decode(d, b->version, raw, len, &count);
	b->count = b->samples + b->hists;
	if (b->version == c->version && c->packed != NULL && !l->o.zstd)
		wire_put(&b->bytes, c->packed, c->packed_len);
	else
		pack(l, raw, len, &b->bytes);
	wire_buf_free(&other);
	return b->count + b->exemplars != 0 || b->version == WIRE_V1;
}

/* The requests of one capture, in their order, are what one edge sends. */
static void
load_capture(struct load *l, struct edge *e, const char *path, FILE *dump)
{
	struct wire_decoder *d = wire_decoder_new();
	struct capture *file = capture_open(path);
	uint32_t cap = 0, n = 0;
	struct captured c;
	int more = 1;

	if (file == NULL)
		exit(2);
	while ((more = capture_next(file, &c)) == 1) {
		if (dump != NULL)
			dump_body(&l->o, dump, d, &c);
		if (n == cap) {
			cap = cap != 0 ? cap * 2 : 64;
			e->bodies = wire_alloc(e->bodies,
			    cap * sizeof(*e->bodies));
		}
		/* A request with metadata alone has nothing for 2.0. */
		if (take_captured(l, d, &c, &e->bodies[n]))
			n++;
		else
			wire_buf_free(&e->bodies[n].bytes);
	}
	if (more == -1)
		exit(2);
	e->replay = true;
	e->rounds = n;
	e->groups = 1;
	capture_close(file);
	wire_decoder_free(d);
}

static void
make_edge(struct load *l, uint32_t i, FILE *dump)
{
	struct edge *e = &l->edges[i];
	uint32_t j;

	memset(e, 0, sizeof(*e));
	e->number = l->o.first_edge + i;
	e->idle_tail = &e->idle;
	if (l->o.nreplays != 0) {
		load_capture(l, e, l->o.replays[i], dump);
	} else {
		e->bodies = l->bodies;
		e->groups = l->nbodies + (l->metadata.templ != NULL);
		e->rounds = l->o.rounds;
		if (e->rounds != UINT32_MAX)
			e->rounds += l->o.first_seq;
	}
	e->next_seq = wire_alloc(NULL, e->groups * sizeof(*e->next_seq));
	e->busy = wire_alloc(NULL, e->groups * sizeof(*e->busy));
	for (j = 0; j < e->groups; j++) {
		e->next_seq[j] = e->replay ? 0 : l->o.first_seq;
		e->busy[j] = false;
	}
	e->conns = wire_alloc(NULL, l->o.connections * sizeof(*e->conns));
	memset(e->conns, 0, l->o.connections * sizeof(*e->conns));
	for (j = 0; j < l->o.connections; j++) {
		e->conns[j].edge = e;
		e->conns[j].fd = -1;
		now_idle(&e->conns[j]);
	}
}

static void
set_up(struct load *l)
{
	struct rlimit files;
	FILE *dump = NULL;
	uint32_t i;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);	/* or fewer edges */
	}
	if (l->o.manifest != NULL) {
		l->manifest = fopen(l->o.manifest, "w");
		if (l->manifest == NULL) {
			perror(l->o.manifest);
			exit(2);
		}
		fprintf(l->manifest, "run %ld %ld %x\n", l->o.run.start_ms,
		    l->o.run.interval_ms, l->o.run.kinds);
	}
	if (l->o.dump != NULL && (dump = fopen(l->o.dump, "w")) == NULL) {
		perror(l->o.dump);
		exit(2);
	}
	if (l->o.nreplays != 0)
		l->o.edges = (uint32_t)l->o.nreplays;
	else
		make_bodies(l);
	l->edges = wire_alloc(NULL, l->o.edges * sizeof(*l->edges));
	for (i = 0; i < l->o.edges; i++)
		make_edge(l, i, dump);
	if (dump != NULL && fclose(dump) != 0) {
		perror(l->o.dump);
		exit(2);
	}
	l->ep = epoll_create1(EPOLL_CLOEXEC);
	if (l->o.url != NULL && strncmp(l->o.url, "https://", 8) == 0)
		l->tls = seal_side_new(false, l->o.ca, l->o.cert, l->o.key);
}

/* Requests that never came to an end, so that the manifest knows of them. */
static void
record_open(struct load *l)
{
	uint32_t i, j;
	struct conn *c;

	for (i = 0; i < l->o.edges; i++)
		for (j = 0; j < l->o.connections; j++) {
			c = &l->edges[i].conns[j];
			if (c->state == IDLE)
				continue;
			record(l, "open", c, 0);
			l->t.open += c->body->count;
		}
}

static void
summary(const struct load *l)
{
	const struct totals *t = &l->t;
	double elapsed = (double)(l->end_us - l->begin_us) / 1e6;
	struct rusage use;

	(void)getrusage(RUSAGE_SELF, &use);
	printf("requests=%lu acked=%lu refused=%lu open=%lu retries=%lu "
	    "conn_errors=%lu timeouts=%lu answers_2xx=%lu answers_4xx=%lu "
	    "answers_429=%lu answers_5xx=%lu wrong_written=%lu "
	    "histograms=%lu exemplars=%lu metadata_requests=%lu bytes=%lu "
	    "elapsed=%.3f rate=%.0f p50_ms=%.3f p99_ms=%.3f cpu=%.3f "
	    "start=%ld\n",
	    t->requests, t->acked, t->refused, t->open, t->retries,
	    t->conn_errors, t->timeouts, t->status[2], t->status[4],
	    t->by_429, t->status[5], t->wrong_written, t->hists,
	    t->exemplars, t->metadata, t->bytes, elapsed,
	    elapsed > 0 ? (double)t->acked / elapsed : 0,
	    percentile_ms(t, 0.50), percentile_ms(t, 0.99),
	    (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
	    (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6,
	    l->o.run.start_ms);
	(void)fflush(stdout);
}

static void
tear_down(struct load *l)
{
	uint32_t i, j;
	struct edge *e;

	for (i = 0; i < l->o.edges; i++) {
		e = &l->edges[i];
		for (j = 0; j < l->o.connections; j++) {
			hang_up(&e->conns[j]);
			wire_buf_free(&e->conns[j].out);
		}
		for (j = 0; e->replay && j < e->rounds; j++)
			wire_buf_free(&e->bodies[j].bytes);
		if (e->replay)
			free(e->bodies);
		free(e->conns);
		free(e->next_seq);
		free(e->busy);
	}
	for (i = 0; i < l->nbodies; i++)
		templ_free(l->bodies[i].templ);
	templ_free(l->metadata.templ);
	free(l->bodies);
	free(l->edges);
	if (l->manifest != NULL)
		(void)fclose(l->manifest);	/* flushed in run() */
	seal_side_free(l->tls);
	(void)close(l->ep);
}

/* --- options ----------------------------------------------------------- */

static const char usage[] =
"usage: rwload --url http[s]://HOST:PORT/PATH | --url unix:SOCKET:/PATH\n"
"  --ca FILE            whom to trust (https; everybody)\n"
"  --cert FILE, --key FILE   to be shown when asked for\n"
"  --edges N            edges, each with an address of its own (1)\n"
"  --first-edge N       number of the first one (0)\n"
"  --connections N      of each edge (4)\n"
"  --requests-per-connection N   then it is closed (0: never)\n"
"  --series N           of each edge (10000)\n"
"  --samples-per-request N  (2000)\n"
"  --protocol 1.0|2.0   (1.0)\n"
"  --kinds LIST         float,stale,histogram,exemplar,metadata,start,custom,bulky\n"
"  --start MS           timestamp of sequence number 0 (now)\n"
"  --interval MS        from one sample of a series to the next (15000)\n"
"  --first-seq N        sequence number to begin with (0)\n"
"  --rate N             samples a second; otherwise as fast as answered\n"
"  --duration S, --rounds N   when to stop: samples a series has had\n"
"  --drain S            wait so long for what is in flight at the end (30)\n"
"  --hold S             keep the connections open for so long after that\n"
"  --timeout S          for an answer (30)\n"
"  --max-backoff S      between two tries without Retry-After (5)\n"
"  --no-retry           give up what is not answered with 2xx\n"
"  --no-source          do not bind an address for each edge\n"
"  --chunked            Transfer-Encoding: chunked\n"
"  --header 'NAME: V'   one more header; %e stands for the edge's name\n"
"  --manifest FILE      what was acknowledged\n"
"  --replay CAPTURE     send what was captured, one edge for each capture\n"
"  --replay-to 1.0|2.0  convert it first\n"
"  --zstd               with --replay: compressed so\n"
"  --dump FILE          the samples of the captures as text; without --url\n"
"                       nothing is sent\n";

enum {
	O_URL = 256, O_EDGES, O_FIRST_EDGE, O_CONNECTIONS, O_SERIES,
	O_PER_REQUEST, O_PROTOCOL, O_KINDS, O_START, O_INTERVAL, O_FIRST_SEQ,
	O_RATE, O_DURATION, O_ROUNDS, O_DRAIN, O_HOLD, O_TIMEOUT,
	O_MAX_BACKOFF, O_NO_RETRY, O_NO_SOURCE, O_CHUNKED, O_HEADER,
	O_MANIFEST, O_REPLAY, O_REPLAY_TO, O_DUMP, O_CA, O_CERT, O_KEY,
	O_PER_CONNECTION, O_ZSTD,
};

static const struct option long_options[] = {
	{ "url", required_argument, NULL, O_URL },
	{ "edges", required_argument, NULL, O_EDGES },
	{ "first-edge", required_argument, NULL, O_FIRST_EDGE },
	{ "connections", required_argument, NULL, O_CONNECTIONS },
	{ "series", required_argument, NULL, O_SERIES },
	{ "samples-per-request", required_argument, NULL, O_PER_REQUEST },
	{ "protocol", required_argument, NULL, O_PROTOCOL },
	{ "kinds", required_argument, NULL, O_KINDS },
	{ "start", required_argument, NULL, O_START },
	{ "interval", required_argument, NULL, O_INTERVAL },
	{ "first-seq", required_argument, NULL, O_FIRST_SEQ },
	{ "rate", required_argument, NULL, O_RATE },
	{ "duration", required_argument, NULL, O_DURATION },
	{ "rounds", required_argument, NULL, O_ROUNDS },
	{ "drain", required_argument, NULL, O_DRAIN },
	{ "hold", required_argument, NULL, O_HOLD },
	{ "timeout", required_argument, NULL, O_TIMEOUT },
	{ "max-backoff", required_argument, NULL, O_MAX_BACKOFF },
	{ "no-retry", no_argument, NULL, O_NO_RETRY },
	{ "no-source", no_argument, NULL, O_NO_SOURCE },
	{ "chunked", no_argument, NULL, O_CHUNKED },
	{ "header", required_argument, NULL, O_HEADER },
	{ "manifest", required_argument, NULL, O_MANIFEST },
	{ "replay", required_argument, NULL, O_REPLAY },
	{ "replay-to", required_argument, NULL, O_REPLAY_TO },
	{ "zstd", no_argument, NULL, O_ZSTD },
	{ "dump", required_argument, NULL, O_DUMP },
	{ "ca", required_argument, NULL, O_CA },
	{ "cert", required_argument, NULL, O_CERT },
	{ "key", required_argument, NULL, O_KEY },
	{ "requests-per-connection", required_argument, NULL,
	    O_PER_CONNECTION },
	{ NULL, 0, NULL, 0 },
};

static _Noreturn void
wrong_usage(const char *what)
{
	fprintf(stderr, "rwload: %s\n%s", what, usage);
	exit(2);
}

static uint32_t
number(const char *s)
{
	char *end;
	unsigned long v = strtoul(s, &end, 10);

	if (end == s || *end != '\0' || v > UINT32_MAX - 1)
		wrong_usage(s);
	return (uint32_t)v;
}

static double
seconds(const char *s)
{
	char *end;
	double v = strtod(s, &end);

	if (end == s || *end != '\0' || v < 0)
		wrong_usage(s);
	return v;
}

static enum wire_version
protocol(const char *s)
{
	if (strcmp(s, "1.0") == 0)
		return WIRE_V1;
	if (strcmp(s, "2.0") != 0)
		wrong_usage(s);
	return WIRE_V2;
}

static void
option(struct options *o, int c, const char *arg)
{
	switch (c) {
	case O_URL:
		o->url = arg;
		break;
	case O_EDGES:
		o->edges = number(arg);
		break;
	case O_FIRST_EDGE:
		o->first_edge = number(arg);
		break;
	case O_CA:
		o->ca = arg;
		break;
	case O_CERT:
		o->cert = arg;
		break;
	case O_KEY:
		o->key = arg;
		break;
	case O_PER_CONNECTION:
		o->per_connection = number(arg);
		break;
	case O_CONNECTIONS:
		o->connections = number(arg);
		break;
	case O_SERIES:
		o->series = number(arg);
		break;
	case O_PER_REQUEST:
		o->per_request = number(arg);
		break;
	case O_PROTOCOL:
		o->version = protocol(arg);
		break;
	case O_KINDS:
		if (!gen_parse_kinds(arg, &o->run.kinds))
			wrong_usage(arg);
		break;
	case O_START:
		o->run.start_ms = strtol(arg, NULL, 10);
		break;
	case O_INTERVAL:
		o->run.interval_ms = number(arg);
		break;
	case O_FIRST_SEQ:
		o->first_seq = number(arg);
		break;
	case O_RATE:
		o->rate = seconds(arg);
		break;
	case O_DURATION:
		o->duration = seconds(arg);
		break;
	case O_ROUNDS:
		o->rounds = number(arg);
		break;
	case O_DRAIN:
		o->drain = seconds(arg);
		break;
	case O_HOLD:
		o->hold = seconds(arg);
		break;
	case O_TIMEOUT:
		o->timeout = seconds(arg);
		break;
	case O_MAX_BACKOFF:
		o->max_backoff = seconds(arg);
		break;
	case O_NO_RETRY:
		o->no_retry = true;
		break;
	case O_NO_SOURCE:
		o->no_source = true;
		break;
	case O_CHUNKED:
		o->chunked = true;
		break;
	case O_HEADER:
		if (o->nheaders == MAX_HEADERS)
			wrong_usage("too many headers");
		o->headers[o->nheaders++] = arg;
		break;
	case O_MANIFEST:
		o->manifest = arg;
		break;
	case O_REPLAY:
		if (o->nreplays == MAX_REPLAYS)
			wrong_usage("too many captures");
		o->replays[o->nreplays++] = arg;
		break;
	case O_REPLAY_TO:
		o->version = protocol(arg);
		o->replay_version = true;
		break;
	case O_ZSTD:
		o->zstd = true;
		break;
	case O_DUMP:
		o->dump = arg;
		break;
	default:
		wrong_usage("no such option");
	}
}

static void
parse_url(struct load *l)
{
	const char *at = l->o.url, *path;
	size_t n;

	if (strncmp(at, "unix:", 5) == 0) {
		path = strchr(at + 5, ':');
	} else if (strncmp(at, "http://", 7) == 0 ||
	    strncmp(at, "https://", 8) == 0) {
		at = strchr(at, '/') + 2;
		path = strchr(at, '/');
	} else {
		wrong_usage("--url is neither http:// nor https:// nor unix:");
	}
	n = path == NULL ? strlen(at) : (size_t)(path - at);
	if (n >= sizeof(l->host))
		wrong_usage("--url is too long");
	memcpy(l->host, at, n);
	l->host[n] = '\0';
	n = strcspn(l->host, ":");
	memcpy(l->name, l->host, n);
	l->name[n] = '\0';
	l->o.path = path == NULL ? "/api/v1/write" :
	    *path == ':' ? path + 1 : path;
	if (!head_resolve(l->host, &l->to))
		exit(2);
	if (l->to.addr.ss_family == AF_UNIX)
		snprintf(l->host, sizeof(l->host), "localhost");
}

int
main(int argc, char **argv)
{
	static struct load l;
	struct timespec now;
	int c;

	l.o = defaults;
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		option(&l.o, c, optarg);
	if (optind != argc)
		wrong_usage(argv[optind]);
	if (l.o.url == NULL && (l.o.nreplays == 0 || l.o.dump == NULL))
		wrong_usage("--url is missing");
	if (l.o.edges == 0 || l.o.connections == 0 || l.o.series == 0 ||
	    l.o.per_request == 0 || l.o.run.interval_ms == 0)
		wrong_usage("a number is 0");
	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (l.o.run.start_ms == 0)
		l.o.run.start_ms = (int64_t)now.tv_sec * 1000 +
		    now.tv_nsec / 1000000;
	if (l.o.url != NULL)
		parse_url(&l);
	set_up(&l);
	if (l.o.url != NULL) {
		(void)signal(SIGPIPE, SIG_IGN);
		(void)signal(SIGTERM, on_signal);
		(void)signal(SIGINT, on_signal);
		run(&l);
		record_open(&l);
		summary(&l);
		for (; l.o.hold > 0 && !stop; l.o.hold -= 0.1)
			(void)usleep(100000);
	}
	tear_down(&l);
	return l.t.refused + l.t.open != 0;
}
