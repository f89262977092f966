/* stream.c - io/stream.h over a network in memory.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A connection is a pair of streams, made when one end connects; the other is
 * taken over by stream_accept.  What an end writes waits in `out` until the other
 * has room, is on the other's wire for the latency, and then in its `in`.   */
#include "io/stream.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fake/stream.h"
#include "io/loop_priv.h"
#include "io/network.h"

#define WINDOW ((size_t)128 << 10)	/* on the wire and unconsumed */
#define PIECE ((size_t)32 << 10)	/* of one event */
#define INPUT_MAX ((size_t)64 << 10)	/* unconsumed */
#define PORTS_MAX 16
#define WAYS_MAX 16
#define TRIES_MAX 64
#define FD_BASE 1000000			/* no descriptor of the kernel */

enum wire_kind { WIRE_BYTES, WIRE_READY, WIRE_END, WIRE_RESET };

struct wire {
	TAILQ_ENTRY(wire) link;
	int64_t at;
	enum wire_kind kind;
	size_t n;
	uint8_t bytes[];
};
TAILQ_HEAD(wire_list, wire);

struct stream {
	struct pair *pair;
	struct stream *other;
	struct loop *loop;		/* NULL: not accepted yet */
	stream_fn *fn;
	void *arg;
	struct loop_timer *deadline, *arrival;
	struct loop_task soon, flush, reap;
	struct wire_list wire;		/* on its way to this end */
	size_t on_wire;			/* bytes of it */
	struct buf in, out;
	struct loop_addr peer;
	char name[NETWORK_NAME_SIZE];
	enum status why;
	bool ready, ready_told, paused, announce, failed;
	bool draining;			/* DRAINED is due when out is empty */
	bool secured;
	bool closed;			/* by its owner */
	bool ending;			/* END follows what is in out */
	bool reaped;
};

struct pair {
	TAILQ_ENTRY(pair) link;
	struct stream end[2];		/* the connecting, the accepting */
	unsigned port;
	int fd;				/* 0: accepted */
};
TAILQ_HEAD(pair_list, pair);

static struct {
	unsigned number;		/* 0: free */
	listener_fn *fn;
	void *arg;
	bool swallow;
} ports[PORTS_MAX];
static struct {
	char address[INET6_ADDRSTRLEN];
	enum fake_way way;
} ways[WAYS_MAX];
static size_t n_ways;
static struct fake_try tries[TRIES_MAX];
static size_t n_tries;
static char protocol[16];
static struct pair_list pairs = TAILQ_HEAD_INITIALIZER(pairs);
static int64_t latency;
static struct in_addr from;
static int next_fd = FD_BASE;

/* ---- wire ------------------------------------------------------------------------- */

static bool
may_arrive(const struct stream *s, const struct wire *w)
{
	if (w->kind == WIRE_READY || w->kind == WIRE_RESET)
		return true;
	return s->ready_told && !s->paused && s->in.len < INPUT_MAX;
}

static void
await_arrival(struct stream *s)
{
	struct wire *w = TAILQ_FIRST(&s->wire);

	if (w && s->loop && !s->closed && !s->failed && may_arrive(s, w))
		loop_timer_start(s->arrival, w->at - clock_mono());
}

static void
put(struct stream *to, enum wire_kind kind, const void *p, size_t n)
{
	struct wire *w;

	if (to->closed)
		return;
	w = malloc(sizeof(*w) + n);
	assert(w);
	w->at = clock_mono() + latency;
	w->kind = kind;
	w->n = n;
	if (n)
		memcpy(w->bytes, p, n);
	to->on_wire += n;
	TAILQ_INSERT_TAIL(&to->wire, w, link);
	await_arrival(to);
}

static void
take_off_wire(struct stream *s, struct wire *w)
{
	TAILQ_REMOVE(&s->wire, w, link);
	s->on_wire -= w->n;
	free(w);
}

/* As much as the other end has room for. */
static void
transmit(struct stream *s)
{
	struct stream *o = s->other;
	size_t n;

	if (!s->ready)
		return;
	while (s->out.len && (o->closed || o->on_wire + o->in.len < WINDOW)) {
		n = s->out.len < PIECE ? s->out.len : PIECE;
		put(o, WIRE_BYTES, s->out.data, n);
		buf_drop(&s->out, n);
	}
	if (s->out.len)
		return;
	if (s->ending) {
		s->ending = false;
		put(o, WIRE_END, NULL, 0);
	}
	if (s->draining && !s->closed)
		loop_task_add(s->loop, LOOP_SOON, &s->soon);
}

/* ---- events -------------------------------------------------------------------------- */

static void
tell(struct stream *s, enum stream_event event)
{
	if (!s->closed)
		s->fn(s, event, s->arg);
}

static void
fail(struct stream *s, enum status why)
{
	if (s->failed || s->closed)
		return;
	s->failed = true;
	s->why = why;
	buf_reset(&s->out, 0);
	loop_timer_stop(s->arrival);
	loop_task_add(s->loop, LOOP_SOON, &s->soon);
}

static enum fake_way
way_to(const struct stream *s)
{
	size_t i;

	for (i = 0; i < n_ways; i++) {
		if (strcmp(ways[i].address, s->name) == 0)
			return ways[i].way;
	}
	return FAKE_OPEN;
}

static void
connected(struct stream *s)
{
	struct pair *p = s->pair;
	size_t i;

	for (i = 0; i < PORTS_MAX && ports[i].number != p->port; i++)
		;
	if (i == PORTS_MAX || !ports[i].fn || way_to(s) == FAKE_REFUSED) {
		fail(s, ST_CONNECT);
		return;
	}
	s->ready = s->ready_told = true;
	ports[i].fn(p->fd, &s->other->peer, ports[i].arg);
	transmit(s);
	tell(s, STREAM_READY);
}

static void
arrive(struct stream *s, struct wire *w)
{
	enum wire_kind kind = w->kind;
	bool ok = true;

	if (kind == WIRE_BYTES)
		ok = buf_append(&s->in, w->bytes, w->n);
	assert(ok);
	take_off_wire(s, w);
	switch (kind) {
	case WIRE_BYTES:
		s->announce = false;
		tell(s, STREAM_INPUT);
		break;
	case WIRE_READY:
		connected(s);
		break;
	case WIRE_END:
		tell(s, STREAM_CLOSED);
		break;
	case WIRE_RESET:
		fail(s, s->ready ? ST_CUT : ST_CONNECT);
		break;
	}
}

static void
arrival(void *arg)
{
	struct stream *s = arg;
	struct wire *w = TAILQ_FIRST(&s->wire);

	/* one at a time: others have their turn between */
	if (w && may_arrive(s, w) && !s->failed)
		arrive(s, w);
	if (s->closed)
		return;
	await_arrival(s);
	transmit(s->other);
}

static void
soon(struct loop_task *t)
{
	struct stream *s = container_of(t, struct stream, soon);

	if (s->failed) {
		tell(s, STREAM_FAILED);
		return;
	}
	if (s->ready && !s->ready_told) {
		s->ready_told = true;
		await_arrival(s);
		tell(s, STREAM_READY);
	}
	if (s->announce && !s->paused && !s->closed) {
		s->announce = false;
		tell(s, STREAM_INPUT);
	}
	if (s->draining && s->out.len == 0 && !s->closed) {
		s->draining = false;
		tell(s, STREAM_DRAINED);
	}
}

static void
flush(struct loop_task *t)
{
	struct stream *s = container_of(t, struct stream, flush);

	if (!s->failed)
		transmit(s);
}

static void
time_over(void *arg)
{
	tell(arg, STREAM_TIMEOUT);
}

/* ---- life ------------------------------------------------------------------------------ */

static void
fini_end(struct stream *s)
{
	struct wire *w;

	while ((w = TAILQ_FIRST(&s->wire)) != NULL)
		take_off_wire(s, w);
	buf_fini(&s->in);
	buf_fini(&s->out);
}

static void
free_pair(struct pair *p)
{
	fini_end(&p->end[0]);
	fini_end(&p->end[1]);
	TAILQ_REMOVE(&pairs, p, link);
	free(p);
}

static void
reap(struct loop_task *t)
{
	struct stream *s = container_of(t, struct stream, reap);

	s->reaped = true;
	if (s->other->reaped || !s->other->loop)
		free_pair(s->pair);
}

static struct pair *
make_pair(unsigned port)
{
	struct pair *p = calloc(1, sizeof(*p));
	int i;

	if (!p)
		return NULL;
	for (i = 0; i < 2; i++) {
		p->end[i].pair = p;
		p->end[i].other = &p->end[1 - i];
		p->end[i].soon.fn = soon;
		p->end[i].flush.fn = flush;
		p->end[i].reap.fn = reap;
		TAILQ_INIT(&p->end[i].wire);
		buf_init(&p->end[i].in, SIZE_MAX);
		buf_init(&p->end[i].out, SIZE_MAX);
	}
	p->port = port;
	p->fd = ++next_fd;
	TAILQ_INSERT_TAIL(&pairs, p, link);
	return p;
}

static enum status
own(struct stream *s, struct loop *l, const struct loop_addr *peer,
    stream_fn *fn, void *arg)
{
	if (loop_timer_new(l, time_over, s, &s->deadline) != ST_OK)
		return ST_NO_MEMORY;
	if (loop_timer_new(l, arrival, s, &s->arrival) != ST_OK) {
		loop_timer_free(&s->deadline);
		return ST_NO_MEMORY;
	}
	s->loop = l;
	s->fn = fn;
	s->arg = arg;
	s->peer = *peer;
	network_name(peer, s->name);
	return ST_OK;
}

static void
note_try(const struct stream *s)
{
	if (n_tries == TRIES_MAX)
		return;
	memcpy(tries[n_tries].address, s->name, sizeof(s->name));
	tries[n_tries++].at = clock_mono();
}

enum status
stream_connect(struct loop *l, const struct loop_addr *to, stream_fn *fn,
    void *arg, struct stream **out)
{
	struct sockaddr_in v4;
	struct pair *p;
	struct stream *s;
	enum status st;
	size_t i;

	memcpy(&v4, &to->ss, sizeof(v4));
	p = make_pair(ntohs(v4.sin_port));
	if (!p)
		return ST_NO_MEMORY;
	s = &p->end[0];
	st = own(s, l, to, fn, arg);
	if (st != ST_OK) {
		free_pair(p);
		return st;
	}
	note_try(s);
	v4.sin_family = AF_INET;
	v4.sin_addr = from;
	v4.sin_port = htons((uint16_t)(p->fd % 60000 + 1024));
	memcpy(&p->end[1].peer.ss, &v4, sizeof(v4));
	p->end[1].peer.len = sizeof(v4);
	*out = s;
	if (way_to(s) == FAKE_SWALLOWED)
		return ST_OK;
	for (i = 0; i < PORTS_MAX; i++) {
		if (ports[i].number == p->port && ports[i].swallow)
			return ST_OK;
	}
	/* there and back */
	put(s, WIRE_READY, NULL, 0);
	TAILQ_LAST(&s->wire, wire_list)->at += latency;
	await_arrival(s);
	return ST_OK;
}

enum status
stream_accept(struct loop *l, int fd, const struct loop_addr *peer,
    stream_fn *fn, void *arg, struct stream **out)
{
	struct pair *p;
	struct stream *s;
	enum status st;

	TAILQ_FOREACH(p, &pairs, link) {
		if (p->fd == fd)
			break;
	}
	assert(p);
	s = &p->end[1];
	st = own(s, l, peer, fn, arg);
	if (st != ST_OK)
		return st;
	p->fd = 0;
	s->ready = true;
	loop_task_add(l, LOOP_SOON, &s->soon);
	*out = s;
	return ST_OK;
}

void
stream_close(struct stream **at, enum status why)
{
	struct stream *s = *at;

	*at = NULL;
	if (!s)
		return;
	assert(!s->closed);
	s->closed = true;
	loop_timer_free(&s->deadline);
	loop_timer_free(&s->arrival);
	loop_task_remove(s->loop, LOOP_SOON, &s->soon);
	loop_task_remove(s->loop, LOOP_FLUSH, &s->flush);
	buf_reset(&s->in, 0);
	if (why == ST_OK && s->ready && !s->failed) {
		s->ending = true;
		transmit(s);
	} else {
		buf_reset(&s->out, 0);
		if (s->ready && !s->failed)
			put(s->other, WIRE_RESET, NULL, 0);
	}
	loop_task_add(s->loop, LOOP_REAP, &s->reap);
}

/* ---- reading ----------------------------------------------------------------------------- */

struct bytes
stream_input(const struct stream *s)
{
	return buf_bytes(&s->in);
}

void
stream_consume(struct stream *s, size_t n)
{
	buf_drop(&s->in, n);
	await_arrival(s);
	transmit(s->other);
}

void
stream_pause(struct stream *s)
{
	s->paused = true;
}

void
stream_resume(struct stream *s)
{
	s->paused = false;
	s->announce = true;
	loop_task_add(s->loop, LOOP_SOON, &s->soon);
	await_arrival(s);
}

/* ---- writing ----------------------------------------------------------------------------- */

void
stream_write_copy(struct stream *s, struct bytes b)
{
	bool ok;

	if (s->failed || b.n == 0)
		return;
	ok = buf_append(&s->out, b.p, b.n);
	assert(ok);
	s->draining = true;
	loop_task_add(s->loop, LOOP_FLUSH, &s->flush);
}

void
stream_write(struct stream *s, struct buf **taken)
{
	stream_write_copy(s, buf_bytes(*taken));
	buf_free(taken);
}

void
stream_write_borrowed(struct stream *s, struct bytes b)
{
	stream_write_copy(s, b);
}

size_t
stream_queued(const struct stream *s)
{
	return s->out.len;
}

void
stream_deadline(struct stream *s, int64_t at)
{
	if (at == 0)
		loop_timer_stop(s->deadline);
	else
		loop_timer_start(s->deadline, at - clock_mono());
}

void
stream_own(struct stream *s, stream_fn *fn, void *arg)
{
	s->fn = fn;
	s->arg = arg;
}

struct loop *
stream_loop(const struct stream *s)
{
	return s->loop;
}

const struct loop_addr *
stream_peer(const struct stream *s)
{
	return &s->peer;
}

/* There is no TLS here, but what it agrees on. */
enum status
stream_secure(struct stream *s, struct tls *t)
{
	(void)t;
	assert(!s->secured && s->in.len == 0 && s->out.len == 0);
	s->secured = true;
	if (s->ready_told) {
		s->ready_told = false;
		loop_task_add(s->loop, LOOP_SOON, &s->soon);
	}
	return ST_OK;
}

const char *
stream_peer_certified(const struct stream *s)
{
	(void)s;
	return NULL;
}

const char *
stream_peer_claim(const struct stream *s)
{
	(void)s;
	return NULL;
}

struct bytes
stream_protocol(const struct stream *s)
{
	return s->secured ? bytes_str(protocol) : (struct bytes){ NULL, 0 };
}

const char *
stream_peer_name(const struct stream *s)
{
	return s->name;
}

enum status
stream_why(const struct stream *s)
{
	return s->why;
}

/* ---- network ------------------------------------------------------------------------------- */

void
fake_network_clear(void)
{
	struct pair *p;

	/* what was never accepted, or ended when its loop had stopped */
	while ((p = TAILQ_FIRST(&pairs)) != NULL) {
		assert(p->end[0].closed);
		assert(p->end[1].closed || !p->end[1].loop);
		free_pair(p);
	}
	memset(ports, 0, sizeof(ports));
	n_ways = n_tries = 0;
	protocol[0] = '\0';
	latency = 0;
	fake_source("198.51.100.1");
}

static size_t
port_index(unsigned number)
{
	size_t i;

	for (i = 0; i < PORTS_MAX; i++) {
		if (ports[i].number == number)
			return i;
	}
	for (i = 0; i < PORTS_MAX && ports[i].number; i++)
		;
	assert(i < PORTS_MAX);
	ports[i].number = number;
	return i;
}

void
fake_listen(unsigned port, listener_fn *fn, void *arg)
{
	size_t i = port_index(port);

	ports[i].fn = fn;
	ports[i].arg = arg;
}

void
fake_swallow(unsigned port, bool swallow)
{
	ports[port_index(port)].swallow = swallow;
}

void
fake_cut(unsigned port)
{
	struct pair *p;

	TAILQ_FOREACH(p, &pairs, link) {
		if (p->port != port)
			continue;
		put(&p->end[0], WIRE_RESET, NULL, 0);
		put(&p->end[1], WIRE_RESET, NULL, 0);
	}
}

void
fake_way(const char *address, enum fake_way way)
{
	size_t i;

	for (i = 0; i < n_ways && strcmp(ways[i].address, address) != 0; i++)
		;
	assert(i < WAYS_MAX && strlen(address) < sizeof(ways[i].address));
	if (i == n_ways)
		n_ways++;
	memcpy(ways[i].address, address, strlen(address) + 1);
	ways[i].way = way;
}

size_t
fake_tries(const struct fake_try **out)
{
	*out = tries;
	return n_tries;
}

void
fake_protocol(const char *name)
{
	assert(strlen(name) < sizeof(protocol));
	memcpy(protocol, name, strlen(name) + 1);
}

void
fake_latency(int64_t ns)
{
	latency = ns;
}

void
fake_source(const char *address)
{
	int rc = inet_pton(AF_INET, address, &from);

	assert(rc == 1);
}

size_t
fake_streams(void)
{
	struct pair *p;
	size_t n = 0;

	TAILQ_FOREACH(p, &pairs, link)
		n += !p->end[0].closed + (p->end[1].loop && !p->end[1].closed);
	return n;
}
