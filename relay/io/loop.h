/* loop.h - an event loop: timers, watches, name lookup, and the mailbox that is
 * the only way from one thread to another.
 * SPDX-License-Identifier: Apache-2.0
 *
 * libevent stays behind this door and stream.h's.  A turn is one pass over the
 * events that are ready; messages posted to the loop are run in a turn, in the
 * order in which each sender posted them.  Objects belong to the loop on which
 * they were made, and are touched on its thread only, but for loop_post() and
 * loop_stop().                                                              */
#ifndef RW_IO_LOOP_H
#define RW_IO_LOOP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/status.h"

struct loop;

enum status loop_new(const char *name, struct loop **out);	/* name borrowed */
void loop_free(struct loop **);

/* Runs on the calling thread until loop_stop(). */
void loop_run(struct loop *);
/* Runs it on a thread of its own, named after the loop; loop_join waits for its
 * end (after loop_stop). */
enum status loop_start(struct loop *);
void loop_join(struct loop *);
/* Any thread, any number of times: ends after the turn in which it is seen. */
void loop_stop(struct loop *);
const char *loop_name(const struct loop *);

/* Now, as of the beginning of the turn (clock_mono). */
int64_t loop_now(const struct loop *);

/* ---- mailbox ------------------------------------------------------------- */
struct loop_msg;
typedef void loop_msg_fn(struct loop_msg *);
/* Embedded in what is sent: posting cannot fail.  Owned by the mailbox from
 * loop_post until fn is called on the loop's thread. */
struct loop_msg {
	struct loop_msg *next;
	loop_msg_fn *fn;
};
void loop_post(struct loop *, struct loop_msg *, loop_msg_fn *);

#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* ---- end of turn: called once after each turn, before the loop sleeps ----
 * In the order of their adding; one added by a hook runs from the next turn on. */
struct loop_hook {
	struct loop_hook *next;
	void (*fn)(void *arg);
	void *arg;
};
void loop_hook_add(struct loop *, struct loop_hook *);
void loop_hook_remove(struct loop *, struct loop_hook *);

/* ---- timers --------------------------------------------------------------- */
struct loop_timer;
typedef void loop_timer_fn(void *arg);
enum status loop_timer_new(struct loop *, loop_timer_fn *, void *arg,
    struct loop_timer **out);
void loop_timer_free(struct loop_timer **);
/* Once, ns from now; replaces an earlier start. */
void loop_timer_start(struct loop_timer *, int64_t ns);
void loop_timer_stop(struct loop_timer *);
bool loop_timer_pending(const struct loop_timer *);

/* ---- readiness of a descriptor (stream, listener and signalfd use it) ----- */
enum loop_ready { LOOP_READ = 1, LOOP_WRITE = 2 };
struct loop_watch;
typedef void loop_watch_fn(unsigned ready, void *arg);
enum status loop_watch_new(struct loop *, int fd, loop_watch_fn *, void *arg,
    struct loop_watch **out);
void loop_watch_free(struct loop_watch **);
/* Level triggered; 0: nothing. */
void loop_watch_want(struct loop_watch *, unsigned ready);

/* ---- name lookup ------------------------------------------------------------
 * getaddrinfo on a thread of its own; done is called on the loop, never before
 * loop_resolve returns.  Addresses are borrowed for the call. */
#define LOOP_ADDRS_MAX 16
struct loop_addr {
	struct sockaddr_storage ss;
	socklen_t len;
};
struct loop_lookup;
typedef void loop_lookup_fn(enum status, const struct loop_addr *, size_t n,
    void *arg);
enum status loop_resolve(struct loop *, const char *host, const char *port,
    loop_lookup_fn *done, void *arg, struct loop_lookup **out);
/* done will not be called. */
void loop_lookup_cancel(struct loop_lookup **);

#endif
