/* proxied.c - connections that trusted proxies introduce.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What belongs to the header alone is taken out of the socket: it is looked at before it
 * is read.  What was looked at and is all header so far is read, so that the socket does
 * not say again that there is something.                                    */
#include "io/proxied.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/metric.h"
#include "io/proxy.h"

#define LOOKS_MAX 8			/* at a connection in a turn */

struct guest {
	TAILQ_ENTRY(guest) link;
	struct proxied *proxied;	/* borrowed */
	struct loop_watch *watch;	/* owned */
	struct loop_timer *timer;	/* owned */
	int fd;				/* owned; -1: passed on */
	struct loop_addr peer;
	struct buf head;		/* of the header, read so far */
};

struct proxied {
	struct loop *loop;		/* borrowed */
	struct proxied_opts opts;
	TAILQ_HEAD(, guest) guests;	/* owned */
	size_t n;
};

/* ---- endings ---------------------------------------------------------------------- */

static void
guest_free(struct guest *g)
{
	TAILQ_REMOVE(&g->proxied->guests, g, link);
	g->proxied->n--;
	loop_watch_free(&g->watch);
	loop_timer_free(&g->timer);
	if (g->fd != -1)
		(void)close(g->fd);	/* nothing was written */
	buf_fini(&g->head);
	free(g);
}

/* Counted as a server does those that come to it. */
static void
count_refused(enum status why)
{
	metric_add(METRIC_ACCEPTED, 1);
	metric_reason_add(METRIC_CLOSED, why, 1);
}

static void
refuse(struct guest *g, enum status why)
{
	char name[NETWORK_NAME_SIZE];

	count_refused(why);
	if (why == ST_BAD_PROXY || why == ST_SLOW) {
		network_name(&g->peer, name);
		log_warn("proxy-refused", "peer=%s reason=%s why=\"%s\"", name,
		    status_info(why)->word, status_info(why)->sentence);
	}
	guest_free(g);
}

static void
pass(struct guest *g, const struct proxy_header *h)
{
	const struct proxied_opts *o = &g->proxied->opts;
	struct loop_addr from = h->given ? h->from : g->peer;
	int fd = g->fd;

	g->fd = -1;
	guest_free(g);
	o->fn(fd, &from, o->arg);
}

/* ---- the header ---------------------------------------------------------------------- */

/* Takes n bytes that were looked at; they are there. */
static enum status
take(struct guest *g, uint8_t *room, size_t n, bool keep)
{
	if (recv(g->fd, room, n, 0) != (ssize_t)n)
		return ST_GONE;
	return !keep || buf_append(&g->head, room, n) ? ST_OK : ST_NO_MEMORY;
}

/* ST_WAIT: for more; ST_END: there may be more by now. */
static enum status
look_once(struct guest *g, struct proxy_header *h)
{
	uint8_t room[PROXY_HEADER_MAX];
	size_t had = g->head.len, used;
	enum status st;
	ssize_t n;

	if (had)
		memcpy(room, g->head.data, had);
	n = recv(g->fd, room + had, sizeof(room) - had, MSG_PEEK);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return ST_WAIT;
	if (n <= 0)
		return ST_GONE;
	st = proxy_parse(bytes_of(room, had + (size_t)n), h, &used);
	if (st == ST_OK)
		return take(g, room + had, used - had, false);
	if (st != ST_WAIT)
		return st;
	st = take(g, room + had, (size_t)n, true);
	return st == ST_OK ? ST_END : st;
}

static void
look(struct guest *g)
{
	struct proxy_header h = { .given = false };
	enum status st = ST_END;
	int i;

	for (i = 0; i < LOOKS_MAX && st == ST_END; i++)
		st = look_once(g, &h);
	if (st == ST_OK)
		pass(g, &h);
	else if (st != ST_WAIT && st != ST_END)
		refuse(g, st);
}

static void
on_ready(unsigned ready, void *arg)
{
	(void)ready;
	look(arg);
}

static void
time_over(void *arg)
{
	refuse(arg, ST_SLOW);
}

/* ---- life ------------------------------------------------------------------------------- */

/* False: out of memory, and the descriptor is closed. */
static bool
let_wait(struct proxied *p, int fd, const struct loop_addr *peer)
{
	struct guest *g = calloc(1, sizeof(*g));

	if (!g) {
		(void)close(fd);	/* nothing was written */
		return false;
	}
	g->proxied = p;
	g->fd = fd;
	g->peer = *peer;
	buf_init(&g->head, PROXY_HEADER_MAX);
	TAILQ_INSERT_TAIL(&p->guests, g, link);
	p->n++;
	if (loop_watch_new(p->loop, fd, on_ready, g, &g->watch) != ST_OK ||
	    loop_timer_new(p->loop, time_over, g, &g->timer) != ST_OK) {
		guest_free(g);
		return false;
	}
	loop_watch_want(g->watch, LOOP_READ);
	loop_timer_start(g->timer, p->opts.timeout_ns);
	look(g);		/* mostly it is there already */
	return true;
}

void
proxied_accept(int fd, const struct loop_addr *peer, void *arg)
{
	struct proxied *p = arg;

	if (!network_has(p->opts.trusted, p->opts.n_trusted, peer)) {
		p->opts.fn(fd, peer, p->opts.arg);
	} else if (p->n >= p->opts.max) {
		(void)close(fd);	/* nothing was written */
		count_refused(ST_BUSY);
	} else if (!let_wait(p, fd, peer)) {
		count_refused(ST_NO_MEMORY);
	}
}

enum status
proxied_new(struct loop *l, const struct proxied_opts *opts,
    struct proxied **out)
{
	struct proxied *p = calloc(1, sizeof(*p));

	if (!p)
		return ST_NO_MEMORY;
	p->loop = l;
	p->opts = *opts;
	TAILQ_INIT(&p->guests);
	*out = p;
	return ST_OK;
}

void
proxied_free(struct proxied **at)
{
	struct proxied *p = *at;
	struct guest *g;

	if (!p)
		return;
	*at = NULL;
	while ((g = TAILQ_FIRST(&p->guests)) != NULL)
		guest_free(g);
	free(p);
}
