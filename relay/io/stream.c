/* stream.c - sockets that do not block.
 * SPDX-License-Identifier: Apache-2.0
 *
 *	CONNECTING ──► OPEN ──► LINGER ──► CLOSED
 *	     │           │                    ▲
 *	     └───────────┴────────────────────┘
 *
 *	CONNECTING  the owner waits for READY or FAILED
 *	OPEN        the owner gets events
 *	LINGER      the owner is gone; what is queued goes out, our side ends,
 *	            and what still comes in is thrown away for a while
 *	CLOSED      no descriptor; the memory goes at the end of the turn
 *
 * Input is read into one buffer that all streams of a loop use in turn; what
 * the owner leaves there is kept in memory of the stream's own until it has
 * been consumed.                                                            */
#include "io/stream.h"

#include <assert.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/loop_priv.h"

#define INPUT_MAX ((size_t)64 << 10)	/* unconsumed; also of one read */
#define READS_MAX 4			/* of a stream in a turn */
#define IOV_MAX_USED 32
#define FLUSH_NS (30 * CLOCK_S)		/* lingering: to send what is queued */
#define LINGER_NS (5 * CLOCK_S)		/* ... then for the peer to end */
#define LINGER_BYTES (UINT64_C(32) << 20)	/* thrown away */
#define LINGER_MAX 1024			/* streams of a loop */

enum stream_state { CONNECTING, OPEN, LINGER, CLOSED };

TAILQ_HEAD(linger_list, stream);

/* What the streams of a loop share. */
struct shared {
	struct linger_list lingering;	/* the oldest first */
	size_t n_lingering;
	uint8_t room[INPUT_MAX];
};

/* One piece to be written. */
struct piece {
	struct piece *next;
	struct buf *owned;		/* NULL: borrowed bytes */
	struct bytes left;
};

struct stream {
	struct loop *loop;		/* borrowed */
	struct shared *shared;		/* borrowed */
	stream_fn *fn;
	void *arg;			/* borrowed */
	struct loop_watch *watch;	/* owned */
	struct loop_timer *timer;	/* owned */
	int fd;				/* owned */
	enum stream_state state;
	enum status why;
	bool paused;
	bool ended;			/* the peer's side */
	bool broken;			/* our side: writing failed */
	bool full;			/* the kernel takes no more for now */
	bool failed;			/* FAILED is due or was told */
	bool ready;			/* READY was told */
	bool announce;			/* INPUT is due though nothing was read */
	bool shut;			/* our side ended, lingering */
	struct bytes in;		/* unconsumed: in the room or in kept */
	struct buf kept;
	struct piece *out, **out_end;	/* owned */
	size_t queued;
	uint64_t discarded;
	int64_t deadline, armed;	/* 0: none; armed: of the timer */
	struct loop_task soon, flush, reap;
	TAILQ_ENTRY(stream) link;	/* lingering */
	struct loop_addr peer;
	char name[INET6_ADDRSTRLEN];
};

static void enter(struct stream *, enum stream_state);
static void fail(struct stream *, enum status why);

/* ---- what a loop's streams share -------------------------------------------- */

static void
end_lingering(void *arg)
{
	struct shared *sh = arg;
	struct stream *s;

	while ((s = TAILQ_FIRST(&sh->lingering)) != NULL)
		enter(s, CLOSED);
	free(sh);
}

static struct shared *
shared_of(struct loop *l)
{
	struct shared *sh = loop_shared(l);

	if (sh)
		return sh;
	sh = malloc(sizeof(*sh));
	if (!sh)
		return NULL;
	TAILQ_INIT(&sh->lingering);
	sh->n_lingering = 0;
	loop_set_shared(l, sh, end_lingering);
	return sh;
}

/* ---- states ------------------------------------------------------------------ */

static void
drop_queue(struct stream *s)
{
	struct piece *p, *next;

	for (p = s->out; p; p = next) {
		next = p->next;
		buf_free(&p->owned);
		free(p);
	}
	s->out = NULL;
	s->out_end = &s->out;
	s->queued = 0;
}

static void
reap(struct loop_task *t)
{
	struct stream *s = container_of(t, struct stream, reap);

	buf_fini(&s->kept);
	free(s);
}

static void
shut_down(struct stream *s)
{
	loop_watch_free(&s->watch);
	loop_timer_free(&s->timer);
	loop_task_remove(s->loop, LOOP_SOON, &s->soon);
	loop_task_remove(s->loop, LOOP_FLUSH, &s->flush);
	drop_queue(s);
	(void)close(s->fd);	/* what failed was told by write */
	s->fd = -1;
	loop_task_add(s->loop, LOOP_REAP, &s->reap);
}

static void
enter(struct stream *s, enum stream_state to)
{
	struct shared *sh = s->shared;

	assert(to > s->state);
	if (s->state == LINGER) {
		TAILQ_REMOVE(&sh->lingering, s, link);
		sh->n_lingering--;
	}
	s->state = to;
	if (to == LINGER) {
		TAILQ_INSERT_TAIL(&sh->lingering, s, link);
		if (++sh->n_lingering > LINGER_MAX)
			enter(TAILQ_FIRST(&sh->lingering), CLOSED);
	} else if (to == CLOSED) {
		shut_down(s);
	}
}

/* The owner may close the stream in it: look at the state afterwards. */
static void
tell(struct stream *s, enum stream_event event)
{
	if (s->state < LINGER)
		s->fn(s, event, s->arg);
}

static void
set_want(struct stream *s)
{
	unsigned want = 0;

	if (s->state == CLOSED)
		return;
	/* what was queued since is tried first: mostly there is room */
	if (s->state == CONNECTING || (s->full && !s->broken))
		want |= LOOP_WRITE;
	if (s->state == LINGER ? !s->ended : s->state == OPEN && !s->ended &&
	    !s->paused && !s->failed && s->in.n < INPUT_MAX)
		want |= LOOP_READ;
	loop_watch_want(s->watch, want);
}

/* ---- time ---------------------------------------------------------------------- */

static void
arm(struct stream *s)
{
	if (s->deadline == 0 || (s->armed && s->armed <= s->deadline))
		return;
	s->armed = s->deadline;
	loop_timer_start(s->timer, s->deadline - clock_mono());
}

/* Deadlines mostly move away: the timer is left as it is and asks again. */
static void
time_over(void *arg)
{
	struct stream *s = arg;

	s->armed = 0;
	if (s->deadline == 0)
		return;
	if (s->deadline > clock_mono()) {
		arm(s);
		return;
	}
	s->deadline = 0;
	if (s->state == LINGER)
		enter(s, CLOSED);
	else
		tell(s, STREAM_TIMEOUT);
}

void
stream_deadline(struct stream *s, int64_t at)
{
	s->deadline = at;
	arm(s);
}

/* ---- reading -------------------------------------------------------------------- */

/* What was left in the loop's room becomes the stream's own. */
static bool
keep_input(struct stream *s)
{
	if (s->in.n == 0 || s->kept.len)
		return true;
	if (!buf_append(&s->kept, s->in.p, s->in.n))
		return false;
	s->in = buf_bytes(&s->kept);
	return true;
}

/* n bytes have been read into the loop's room. */
static bool
take_input(struct stream *s, size_t n)
{
	if (s->in.n == 0) {
		s->in = bytes_of(s->shared->room, n);
		return true;
	}
	buf_drop(&s->kept, s->kept.len - s->in.n);
	if (!buf_append(&s->kept, s->shared->room, n))
		return false;
	s->in = buf_bytes(&s->kept);
	return true;
}

static bool
may_read(const struct stream *s)
{
	return s->state == OPEN && !s->paused && !s->ended && !s->failed &&
	    s->in.n < INPUT_MAX;
}

static void
announce(struct stream *s)
{
	s->announce = false;
	tell(s, STREAM_INPUT);
	if (s->state == OPEN && !keep_input(s))
		fail(s, ST_NO_MEMORY);
}

static void
read_failed(struct stream *s, int err)
{
	if (err == EINTR)
		return;
	if (err == EAGAIN && !s->broken)
		return;
	fail(s, ST_CUT);
}

/* True if there may be more. */
static bool
read_once(struct stream *s)
{
	size_t room = INPUT_MAX - s->in.n;
	ssize_t n = recv(s->fd, s->shared->room, room, 0);

	if (n == -1) {
		read_failed(s, errno);
		return false;
	}
	if (n == 0) {
		s->ended = true;
		tell(s, STREAM_CLOSED);
		return false;
	}
	if (!take_input(s, (size_t)n)) {
		fail(s, ST_NO_MEMORY);
		return false;
	}
	announce(s);
	return (size_t)n == room;
}

static void
read_some(struct stream *s)
{
	int i;

	for (i = 0; i < READS_MAX && may_read(s); i++) {
		if (!read_once(s))
			break;
	}
	set_want(s);
}

static void
discard_some(struct stream *s)
{
	ssize_t n = recv(s->fd, s->shared->room, INPUT_MAX, 0);

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		s->discarded += (uint64_t)n;
		if (s->discarded <= LINGER_BYTES)
			return;
	}
	if (n == 0 && s->out) {
		s->ended = true;
		set_want(s);
		return;
	}
	enter(s, CLOSED);
}

struct bytes
stream_input(const struct stream *s)
{
	return s->in;
}

void
stream_consume(struct stream *s, size_t n)
{
	assert(n <= s->in.n);
	if (n == 0)
		return;
	s->in.p += n;
	s->in.n -= n;
	if (s->in.n)
		return;
	s->in.p = NULL;
	buf_reset(&s->kept, 0);
	if (s->state == OPEN)
		set_want(s);
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
	if (s->state != OPEN)
		return;
	s->announce = true;
	loop_task_add(s->loop, LOOP_SOON, &s->soon);
	set_want(s);
}

/* ---- writing -------------------------------------------------------------------- */

static void
linger_on(struct stream *s)
{
	if (s->shut)
		return;
	s->shut = true;
	if (s->ended || shutdown(s->fd, SHUT_WR) == -1) {
		enter(s, CLOSED);
		return;
	}
	stream_deadline(s, clock_mono() + LINGER_NS);
}

static void
drained(struct stream *s)
{
	if (s->state == LINGER)
		linger_on(s);
	else
		tell(s, STREAM_DRAINED);
}

/* The peer takes no more.  It may have said why before it left: read on. */
static void
write_failed(struct stream *s)
{
	drop_queue(s);
	if (s->state == LINGER) {
		enter(s, CLOSED);
		return;
	}
	s->broken = true;
	if (may_read(s))
		loop_task_add(s->loop, LOOP_SOON, &s->soon);
	else
		fail(s, ST_CUT);
}

static void
take_off(struct stream *s, size_t n)
{
	struct piece *p;

	s->queued -= n;
	while ((p = s->out) != NULL && p->left.n <= n) {
		n -= p->left.n;
		s->out = p->next;
		buf_free(&p->owned);
		free(p);
	}
	if (!s->out) {
		s->out_end = &s->out;
		return;
	}
	s->out->left.p += n;
	s->out->left.n -= n;
}

static ssize_t
send_queue(struct stream *s)
{
	struct iovec iov[IOV_MAX_USED];
	struct msghdr msg = { .msg_iov = iov };
	struct piece *p;

	for (p = s->out; p && msg.msg_iovlen < IOV_MAX_USED; p = p->next) {
		/* sendmsg does not write to it, but iovec has no const */
		memcpy(&iov[msg.msg_iovlen].iov_base, &p->left.p,
		    sizeof(p->left.p));
		iov[msg.msg_iovlen++].iov_len = p->left.n;
	}
	return sendmsg(s->fd, &msg, MSG_NOSIGNAL);
}

static void
write_some(struct stream *s)
{
	size_t want;
	ssize_t n = 0;

	if (s->state == CONNECTING || s->state == CLOSED || !s->out)
		return;
	do {
		want = s->queued;
		n = send_queue(s);
		if (n == -1)
			break;
		take_off(s, (size_t)n);
	} while (s->out && (size_t)n < want && n > 0);
	s->full = s->out != NULL;
	if (n == -1 && errno != EAGAIN && errno != EINTR)
		write_failed(s);
	else if (!s->out)
		drained(s);
	set_want(s);
}

static void
flush(struct loop_task *t)
{
	struct stream *s = container_of(t, struct stream, flush);

	if (s->state == LINGER)
		buf_reset(&s->kept, 0);
	if (s->out && !s->full)
		write_some(s);
	else if (!s->out && s->state == LINGER)
		linger_on(s);
}

static void
queue(struct stream *s, struct buf *owned, struct bytes left)
{
	struct piece *p;

	if (left.n == 0 || s->failed || s->broken || s->state > OPEN) {
		buf_free(&owned);
		return;
	}
	p = malloc(sizeof(*p));
	if (!p) {
		buf_free(&owned);
		fail(s, ST_NO_MEMORY);
		return;
	}
	*p = (struct piece){ .owned = owned, .left = left };
	*s->out_end = p;
	s->out_end = &p->next;
	s->queued += left.n;
	loop_task_add(s->loop, LOOP_FLUSH, &s->flush);
}

void
stream_write(struct stream *s, struct buf **taken)
{
	struct buf *b = *taken;

	*taken = NULL;
	queue(s, b, buf_bytes(b));
}

void
stream_write_copy(struct stream *s, struct bytes from)
{
	struct buf *b = buf_new(from.n);

	if (!b || !buf_append(b, from.p, from.n)) {
		buf_free(&b);
		fail(s, ST_NO_MEMORY);
		return;
	}
	queue(s, b, buf_bytes(b));
}

void
stream_write_borrowed(struct stream *s, struct bytes from)
{
	queue(s, NULL, from);
}

size_t
stream_queued(const struct stream *s)
{
	return s->queued;
}

/* ---- events ----------------------------------------------------------------------- */

/* Told from the loop, not from inside the owner's call. */
static void
fail(struct stream *s, enum status why)
{
	if (s->state == LINGER)
		enter(s, CLOSED);
	if (s->state == CLOSED || s->failed)
		return;
	s->failed = true;
	s->why = why;
	drop_queue(s);
	loop_task_add(s->loop, LOOP_SOON, &s->soon);
	set_want(s);
}

static void
be_ready(struct stream *s)
{
	s->ready = true;
	set_want(s);
	tell(s, STREAM_READY);
}

static void
soon(struct loop_task *t)
{
	struct stream *s = container_of(t, struct stream, soon);

	if (s->failed) {
		tell(s, STREAM_FAILED);
		return;
	}
	if (s->state == OPEN && !s->ready)
		be_ready(s);
	if (s->state == OPEN && s->announce && !s->paused)
		announce(s);
	if (s->broken)
		read_some(s);
	else
		set_want(s);
}

static void
connected(struct stream *s)
{
	socklen_t len = sizeof(int);
	int err = 0;

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1 || err) {
		s->failed = true;
		s->why = ST_CONNECT;
		set_want(s);
		tell(s, STREAM_FAILED);
		return;
	}
	enter(s, OPEN);
	be_ready(s);
	write_some(s);
}

static void
on_ready(unsigned what, void *arg)
{
	struct stream *s = arg;

	if (s->failed)
		return;
	if (s->state == CONNECTING) {
		connected(s);
		return;
	}
	if (what & LOOP_WRITE)
		write_some(s);
	if (!(what & LOOP_READ))
		return;
	if (s->state == LINGER)
		discard_some(s);
	else if (s->state == OPEN)
		read_some(s);
}

/* ---- life ---------------------------------------------------------------------------- */

static void
name_peer(struct stream *s)
{
	const struct sockaddr_storage *ss = &s->peer.ss;
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;
	const char *name = NULL;

	if (ss->ss_family == AF_INET) {
		memcpy(&v4, ss, sizeof(v4));
		name = inet_ntop(AF_INET, &v4.sin_addr, s->name,
		    sizeof(s->name));
	} else if (ss->ss_family == AF_INET6) {
		memcpy(&v6, ss, sizeof(v6));
		if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
			name = inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12],
			    s->name, sizeof(s->name));
		else
			name = inet_ntop(AF_INET6, &v6.sin6_addr, s->name,
			    sizeof(s->name));
	}
	if (!name)
		memcpy(s->name, "unix", sizeof("unix"));
}

static enum status
make(struct loop *l, int fd, const struct loop_addr *peer, stream_fn *fn,
    void *arg, struct stream **out)
{
	struct shared *sh = shared_of(l);
	struct stream *s = calloc(1, sizeof(*s));
	enum status st = ST_NO_MEMORY;

	if (!s || !sh)
		goto fail;
	s->loop = l;
	s->shared = sh;
	s->fd = fd;
	s->fn = fn;
	s->arg = arg;
	s->peer = *peer;
	s->out_end = &s->out;
	s->soon.fn = soon;
	s->flush.fn = flush;
	s->reap.fn = reap;
	buf_init(&s->kept, INPUT_MAX);
	name_peer(s);
	st = loop_watch_new(l, fd, on_ready, s, &s->watch);
	if (st != ST_OK)
		goto fail;
	st = loop_timer_new(l, time_over, s, &s->timer);
	if (st != ST_OK)
		goto fail;
	*out = s;
	return ST_OK;
fail:
	if (s)
		loop_watch_free(&s->watch);
	free(s);
	(void)close(fd);	/* nothing was written */
	return st;
}

static void
set_options(int fd, int family)
{
	int one = 1;

	/* Answers and requests leave whole: there is nothing to wait for.  A
	 * socket that refuses works all the same. */
	if (family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
		    sizeof(one));
}

enum status
stream_accept(struct loop *l, int fd, const struct loop_addr *peer,
    stream_fn *fn, void *arg, struct stream **out)
{
	struct stream *s;
	enum status st = make(l, fd, peer, fn, arg, &s);

	if (st != ST_OK)
		return st;
	set_options(fd, peer->ss.ss_family);
	s->state = OPEN;
	loop_task_add(l, LOOP_SOON, &s->soon);
	*out = s;
	return ST_OK;
}

enum status
stream_connect(struct loop *l, const struct loop_addr *to, stream_fn *fn,
    void *arg, struct stream **out)
{
	struct stream *s;
	enum status st;
	int fd;

	fd = socket(to->ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);
	if (fd == -1)
		return ST_SYSTEM;
	st = make(l, fd, to, fn, arg, &s);
	if (st != ST_OK)
		return st;
	set_options(fd, to->ss.ss_family);
	s->state = CONNECTING;
	if (connect(fd, (const struct sockaddr *)&to->ss, to->len) == -1 &&
	    errno != EINPROGRESS)
		fail(s, ST_CONNECT);
	else
		set_want(s);
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
	assert(s->state < LINGER);
	s->fn = NULL;
	s->deadline = 0;
	if (why != ST_OK || s->failed || s->broken || s->state == CONNECTING) {
		enter(s, CLOSED);
		return;
	}
	s->in = (struct bytes){ NULL, 0 };
	enter(s, LINGER);
	stream_deadline(s, clock_mono() + FLUSH_NS);
	loop_task_add(s->loop, LOOP_FLUSH, &s->flush);
	set_want(s);
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
