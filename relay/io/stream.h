/* stream.h - a byte stream over a socket: reads, queues writes, speaks six
 * events.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Protocol code sees these events and nothing of libevent or TLS.
 * Reads go through one buffer of the loop: an idle stream holds no memory for
 * input.  Callbacks may close any stream, themselves included: the memory goes
 * at the end of the turn.  All on the loop's thread.                        */
#ifndef RW_IO_STREAM_H
#define RW_IO_STREAM_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/status.h"
#include "io/loop.h"

struct stream;
struct tls;

enum stream_event {
	STREAM_READY,		/* connected (and hands shaken) */
	STREAM_INPUT,		/* stream_input() has more than before */
	STREAM_DRAINED,		/* everything written has left for the kernel */
	STREAM_CLOSED,		/* the peer ended its side (FIN) */
	STREAM_TIMEOUT,		/* the time set by stream_deadline is over */
	STREAM_FAILED,		/* reset or cannot connect; stream_why() */
};

typedef void stream_fn(struct stream *, enum stream_event, void *arg);

/* Takes the descriptor, which must not block (closed on failure too).
 * STREAM_READY follows from the loop.  peer is copied. */
enum status stream_accept(struct loop *, int fd, const struct loop_addr *peer,
    stream_fn *, void *arg, struct stream **out);
/* Connects; STREAM_READY or STREAM_FAILED follows from the loop. */
enum status stream_connect(struct loop *, const struct loop_addr *to,
    stream_fn *, void *arg, struct stream **out);

/* Right after accept or connect: hands are shaken before STREAM_READY.  Or by who has
 * connected, once there is a tunnel, with nothing queued and nothing unconsumed: the
 * stream becomes READY once more.  tls is borrowed for the stream's life, and that goes on
 * while it lingers.  ST_NO_MEMORY: the stream is as it was. */
enum status stream_secure(struct stream *, struct tls *);

/* Ends it; no further event.  Queued writes are still sent when `why` is
 * ST_OK (lingering a bounded time, reading and throwing away what the peer still sends, so
 * that an early answer is not eaten by a reset), else thrown away. */
void stream_close(struct stream **, enum status why);

/* What has been read and not consumed; borrowed until the next event or
 * consume.  More is read only while reading is on and less than `max` bytes
 * (default 64 KiB) are unconsumed. */
struct bytes stream_input(const struct stream *);
void stream_consume(struct stream *, size_t n);
void stream_pause(struct stream *);
/* STREAM_INPUT follows from the loop, even if there is no more than before. */
void stream_resume(struct stream *);

/* Queues; sent at once as far as the socket takes it.  Errors come as events. */
void stream_write(struct stream *, struct buf **taken);
void stream_write_copy(struct stream *, struct bytes);
/* Not copied: the bytes must stay until STREAM_DRAINED, STREAM_FAILED, or a close
 * with another reason than ST_OK. */
void stream_write_borrowed(struct stream *, struct bytes);
size_t stream_queued(const struct stream *);

/* STREAM_TIMEOUT at this time (clock_mono), 0: none. */
void stream_deadline(struct stream *, int64_t at);

/* Events go to another owner from now on. */
void stream_own(struct stream *, stream_fn *, void *arg);
struct loop *stream_loop(const struct stream *);
const struct loop_addr *stream_peer(const struct stream *);
/* The address alone, as network_name has it.  Borrowed from the stream. */
const char *stream_peer_name(const struct stream *);
/* The name in the certificate of a client that was verified; NULL: there is none, or the
 * certificate's is not asked for.  Borrowed from the stream; once it is READY. */
const char *stream_peer_certified(const struct stream *);
/* Who a client claims to be whose certificate would not do; NULL: it has shown none.
 * Borrowed from the stream; once it has FAILED. */
const char *stream_peer_claim(const struct stream *);
/* What TLS has agreed on with the peer to speak (ALPN); n 0: nothing. */
struct bytes stream_protocol(const struct stream *);
enum status stream_why(const struct stream *);

#endif
