/* stream.c - sockets that do not block.
 * SPDX-License-Identifier: Apache-2.0
 *
 *	                     ┌─ tunnel ─┐
 *	                     ▼          │
 *	CONNECTING ──► SHAKING ──► OPEN ──► LINGER ──► CLOSED
 *	   │  │           │        ▲ │                    ▲
 *	   │  └── plain ──┼────────┘ │                    │
 *	   └──────────────┴──────────┴────────────────────┘
 *
 *	CONNECTING  the owner waits for READY or FAILED
 *	SHAKING     it still does: TLS, a few of a loop's streams in a turn
 *	OPEN        the owner gets events
 *	LINGER      the owner is gone; what is queued goes out, our side ends,
 *	            and what still comes in is thrown away for a while
 *	CLOSED      no descriptor; the memory goes at the end of the turn
 *
 * Input is read into one buffer that all streams of a loop use in turn; what
 * the owner leaves there is kept in memory of the stream's own until it has
 * been consumed.  With TLS what is read is sealed; it is opened at once and whole
 * into a second such buffer, and on the way out the queue is sealed piece by
 * piece as the kernel takes it.                                             */
#include "io/stream.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/loop_priv.h"
#include "io/network.h"
#include "io/tls.h"

#define INPUT_MAX ((size_t)64 << 10)	/* unconsumed; also of one read */
#define OPENED_MAX (INPUT_MAX + TLS_RECORD_MAX)	/* of one read, and unconsumed */
#define SEAL_PIECE ((size_t)16 << 10)	/* a record */
#define SEAL_AHEAD ((size_t)64 << 10)	/* of what the kernel may take */
#define READS_MAX 4			/* of a stream in a turn */
#define SHAKES_MAX 8			/* of a loop in a turn */
#define SHAKE_AGAIN_NS CLOCK_S		/* to look whether it was late by itself */
#define IOV_MAX_USED 32
#define FLUSH_NS (30 * CLOCK_S)		/* lingering: to send what is queued */
#define LINGER_NS (5 * CLOCK_S)		/* ... then for the peer to end */
#define LINGER_BYTES (UINT64_C(32) << 20)	/* thrown away */
#define LINGER_MAX 1024			/* streams of a loop */

enum stream_state { CONNECTING, SHAKING, OPEN, LINGER, CLOSED };

TAILQ_HEAD(stream_list, stream);

/* What the streams of a loop share. */
struct shared {
	struct stream_list lingering;	/* the oldest first */
	size_t n_lingering;
	struct loop *loop;		/* borrowed */
	struct stream_list line[2];	/* to shake hands, the first first: those that
					   have not begun, those that have */
	struct loop_task shake;
	uint8_t *opened;		/* owned: OPENED_MAX; NULL without TLS */
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
	struct tls_conn *tls;		/* owned; NULL: plain */
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
	bool in_line;			/* to shake hands: there is input */
	bool begun;			/* to shake hands */
	struct bytes in;		/* unconsumed: in the room or in kept */
	struct buf kept;
	struct piece *out, **out_end;	/* owned */
	size_t queued;
	uint64_t discarded;
	int64_t deadline, armed;	/* 0: none; armed: of the timer */
	int64_t in_line_since;
	struct loop_task soon, flush, reap;
	TAILQ_ENTRY(stream) link;	/* lingering, or in line */
	struct loop_addr peer;
	char name[NETWORK_NAME_SIZE];
};

static void enter(struct stream *, enum stream_state);
static void fail(struct stream *, enum status why);
static void fail_sealed(struct stream *, enum status why);
static void shake(struct stream *);
static void shake_some(struct loop_task *);

/* ---- what a loop's streams share -------------------------------------------- */

static void
end_lingering(void *arg)
{
	struct shared *sh = arg;
	struct stream *s;

	while ((s = TAILQ_FIRST(&sh->lingering)) != NULL)
		enter(s, CLOSED);
	loop_task_remove(sh->loop, LOOP_SOON, &sh->shake);
	free(sh->opened);
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
	TAILQ_INIT(&sh->line[0]);
	TAILQ_INIT(&sh->line[1]);
	sh->n_lingering = 0;
	sh->loop = l;
	sh->shake = (struct loop_task){ .fn = shake_some };
	sh->opened = NULL;
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
	if (s->tls)
		buf_reset(tls_sealed(s->tls), 0);
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
	tls_conn_free(&s->tls);
	(void)close(s->fd);	/* what failed was told by write */
	s->fd = -1;
	loop_task_add(s->loop, LOOP_REAP, &s->reap);
}

static void
leave_line(struct stream *s)
{
	if (s->in_line)
		TAILQ_REMOVE(&s->shared->line[s->begun], s, link);
	s->in_line = false;
}

static void
enter(struct stream *s, enum stream_state to)
{
	struct shared *sh = s->shared;

	assert(to > s->state);
	leave_line(s);
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

/* Something is there that the kernel could be given. */
static bool
unsent(const struct stream *s)
{
	return (s->out && s->state != SHAKING) ||
	    (s->tls && tls_sealed(s->tls)->len);
}

static bool
may_read(const struct stream *s)
{
	return (s->state == OPEN ? !s->paused : s->state == SHAKING &&
	    !s->in_line) && !s->ended && !s->failed && s->in.n < INPUT_MAX;
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
	if (s->state == LINGER ? !s->ended : may_read(s))
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

/* What has come from it waits for us, not we for it. */
static bool
waits_for_us(const struct stream *s)
{
	char byte;

	return s->state == SHAKING && (s->in_line ||
	    recv(s->fd, &byte, 1, MSG_PEEK) > 0);
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
	if (waits_for_us(s)) {
		s->armed = clock_mono() + SHAKE_AGAIN_NS;
		loop_timer_start(s->timer, SHAKE_AGAIN_NS);
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

/* n bytes have come, into memory of the loop. */
static bool
take_input(struct stream *s, const uint8_t *from, size_t n)
{
	if (s->in.n == 0) {
		s->in = bytes_of(from, n);
		return true;
	}
	buf_drop(&s->kept, s->kept.len - s->in.n);
	if (!buf_append(&s->kept, from, n))
		return false;
	s->in = buf_bytes(&s->kept);
	return true;
}

static void
announce(struct stream *s)
{
	s->announce = false;
	tell(s, STREAM_INPUT);
	if (s->state == OPEN && !keep_input(s))
		fail(s, ST_NO_MEMORY);
}

/* A pause may have begun since it was read: with the hands' last shake comes input. */
static void
announce_read(struct stream *s)
{
	if (!s->paused)
		announce(s);
	else if (!keep_input(s))
		fail(s, ST_NO_MEMORY);
}

static void
peer_ended(struct stream *s)
{
	s->ended = true;
	tell(s, STREAM_CLOSED);
}

/* What was fed to TLS. */
static void
open_sealed(struct stream *s)
{
	uint8_t *to = s->shared->opened;
	size_t n;
	enum status st = tls_open(s->tls, to, OPENED_MAX, &n);

	/* it may have something to say by itself */
	if (tls_sealed(s->tls)->len)
		loop_task_add(s->loop, LOOP_FLUSH, &s->flush);
	if (n && !take_input(s, to, n))
		st = ST_NO_MEMORY;
	else if (n)
		announce_read(s);
	if (s->state != OPEN)
		return;
	if (st == ST_END)
		peer_ended(s);
	else if (st != ST_OK)
		fail_sealed(s, st);
}

static void
take_sealed(struct stream *s, size_t n)
{
	tls_feed(s->tls, bytes_of(s->shared->room, n));
	if (s->state == SHAKING)
		shake(s);
	else
		open_sealed(s);
}

/* Only TLS itself says that all has come.  Clients that ask hardly ever do so, and what
 * they sent has its length; an answer may have none but its end. */
static void
cut_off(struct stream *s)
{
	if (s->state == SHAKING || (s->tls && !tls_is_server(s->tls)))
		fail(s, ST_CUT);
	else
		peer_ended(s);
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
		cut_off(s);
		return false;
	}
	if (s->tls) {
		take_sealed(s, (size_t)n);
		return (size_t)n == room;
	}
	if (!take_input(s, s->shared->room, (size_t)n)) {
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
	if (n == 0 && unsent(s)) {
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

static void write_some(struct stream *);

/* Everything that was queued is gone. */
static void
linger_on(struct stream *s)
{
	if (s->shut)
		return;
	if (s->tls && tls_end(s->tls) && unsent(s)) {
		write_some(s);
		return;
	}
	s->shut = true;
	tls_conn_free(&s->tls);		/* what comes now is thrown away */
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
	else if (s->state == OPEN)
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

/* 0, or errno of what the kernel did not take. */
static int
write_plain(struct stream *s)
{
	size_t want;
	ssize_t n;

	do {
		want = s->queued;
		n = send_queue(s);
		if (n == -1)
			return errno;
		take_off(s, (size_t)n);
	} while (s->out && (size_t)n < want && n > 0);
	return 0;
}

/* What is sealed already; 0, or errno. */
static int
send_sealed(struct stream *s)
{
	struct buf *sealed = tls_sealed(s->tls);
	ssize_t n;

	while (sealed->len) {
		n = send(s->fd, sealed->data, sealed->len, MSG_NOSIGNAL);
		if (n == -1)
			return errno;
		buf_drop(sealed, (size_t)n);
	}
	buf_reset(sealed, 0);
	return 0;
}

/* Some of the queue; false when that failed. */
static bool
seal_some(struct stream *s)
{
	struct buf *sealed = tls_sealed(s->tls);
	struct bytes left;

	while (s->out && sealed->len < SEAL_AHEAD) {
		left = s->out->left;
		if (left.n > SEAL_PIECE)
			left.n = SEAL_PIECE;
		if (tls_seal(s->tls, left) != ST_OK)
			return false;
		take_off(s, left.n);
	}
	return true;
}

static int
write_sealed(struct stream *s)
{
	int err;

	do {
		if (s->state != SHAKING && !seal_some(s))
			return ENOMEM;
		err = send_sealed(s);
	} while (err == 0 && s->out && s->state != SHAKING);
	return err;
}

static void
write_some(struct stream *s)
{
	int err;

	if (s->state == CONNECTING || s->state == CLOSED || !unsent(s))
		return;
	err = s->tls ? write_sealed(s) : write_plain(s);
	s->full = unsent(s);
	if (err && err != EAGAIN && err != EINTR)
		write_failed(s);
	else if (!s->full)
		drained(s);
	set_want(s);
}

static void
flush(struct loop_task *t)
{
	struct stream *s = container_of(t, struct stream, flush);

	if (s->state == LINGER)
		buf_reset(&s->kept, 0);
	if (unsent(s) && !s->full)
		write_some(s);
	else if (!unsent(s) && s->state == LINGER)
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
	return s->queued + (s->tls ? tls_sealed(s->tls)->len : 0);
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

/* The peer is told why, if it listens. */
static void
fail_sealed(struct stream *s, enum status why)
{
	(void)send_sealed(s);	/* the stream is lost in any case */
	fail(s, why);
}

static void
be_ready(struct stream *s)
{
	s->ready = true;
	set_want(s);
	tell(s, STREAM_READY);
}

/* On with what was fed, which may end with the owner's first bytes. */
static void
shake(struct stream *s)
{
	enum status st = tls_shake(s->tls);

	s->begun = true;
	if (st != ST_OK && st != ST_WAIT) {
		fail_sealed(s, st);
		return;
	}
	write_some(s);
	if (st == ST_WAIT || s->failed)
		return;
	enter(s, OPEN);
	be_ready(s);
	if (s->state == OPEN)
		write_some(s);
	if (s->state == OPEN)
		open_sealed(s);
}

/* Who has ended its side before we have said a word will not shake hands. */
static bool
has_left(const struct stream *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLRDHUP };

	return !s->begun && poll(&p, 1, 0) == 1;
}

/* What has been begun comes to its end first: otherwise, when very many come at once, all
 * would get there last, and too late for their patience.  One place of four is for
 * those that have not begun. */
static struct stream *
next_in_line(const struct shared *sh, int place)
{
	bool begun = place % 4 != 3;
	struct stream *s = TAILQ_FIRST(&sh->line[begun]);

	return s ? s : TAILQ_FIRST(&sh->line[!begun]);
}

/* Shaking hands takes long: when many come at once, the others have their turns all the
 * same. */
static void
shake_some(struct loop_task *t)
{
	struct shared *sh = container_of(t, struct shared, shake);
	struct stream *s;
	int i;

	for (i = 0; i < SHAKES_MAX; i++) {
		s = next_in_line(sh, i);
		if (!s)
			return;
		leave_line(s);
		if (s->deadline)	/* that was our time, not the peer's */
			s->deadline += loop_now(s->loop) - s->in_line_since;
		if (has_left(s))
			fail(s, ST_CUT);
		else
			read_some(s);
	}
	if (next_in_line(sh, 0))
		loop_task_add(sh->loop, LOOP_SOON, &sh->shake);
}

static void
stand_in_line(struct stream *s)
{
	if (s->in_line)
		return;
	s->in_line = true;
	s->in_line_since = loop_now(s->loop);
	TAILQ_INSERT_TAIL(&s->shared->line[s->begun], s, link);
	loop_task_add(s->loop, LOOP_SOON, &s->shared->shake);
	set_want(s);
}

static void
soon(struct loop_task *t)
{
	struct stream *s = container_of(t, struct stream, soon);

	if (s->failed) {
		tell(s, STREAM_FAILED);
		return;
	}
	if (s->state == SHAKING && !tls_is_server(s->tls))
		shake(s);
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
	if (s->tls) {
		enter(s, SHAKING);
		shake(s);
		set_want(s);
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
	else if (s->state == SHAKING)
		stand_in_line(s);
	else if (s->state == OPEN)
		read_some(s);
}

/* ---- life ---------------------------------------------------------------------------- */

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
	buf_init(&s->kept, OPENED_MAX);
	network_name(peer, s->name);
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

enum status
stream_secure(struct stream *s, struct tls *t)
{
	struct shared *sh = s->shared;
	enum status st;

	assert(!s->tls && s->state <= OPEN && s->queued == 0 && s->in.n == 0);
	if (!sh->opened)
		sh->opened = malloc(OPENED_MAX);
	if (!sh->opened)
		return ST_NO_MEMORY;
	st = tls_conn_new(t, &s->tls);
	if (st != ST_OK || s->state != OPEN)
		return st;
	/* accepted a moment ago, or a tunnel: then it is for us to begin */
	s->state = SHAKING;
	s->ready = false;
	loop_task_add(s->loop, LOOP_SOON, &s->soon);
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
	if (why != ST_OK || s->failed || s->broken || s->state < OPEN) {
		enter(s, CLOSED);
		return;
	}
	s->in = (struct bytes){ NULL, 0 };
	enter(s, LINGER);
	stream_deadline(s, clock_mono() + FLUSH_NS);
	loop_task_add(s->loop, LOOP_FLUSH, &s->flush);
	set_want(s);
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

const char *
stream_peer_name(const struct stream *s)
{
	return s->name;
}

const char *
stream_peer_certified(const struct stream *s)
{
	return s->tls ? tls_peer_name(s->tls) : NULL;
}

const char *
stream_peer_claim(const struct stream *s)
{
	return s->tls ? tls_peer_claim(s->tls) : NULL;
}

struct bytes
stream_protocol(const struct stream *s)
{
	return s->tls ? tls_protocol(s->tls) : (struct bytes){ NULL, 0 };
}

enum status
stream_why(const struct stream *s)
{
	return s->why;
}
