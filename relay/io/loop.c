/* loop.c - turns of a libevent base, and the mailbox.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The mailbox is a stack that any thread pushes to and that the loop takes
 * whole and turns round, so order holds and no node is looked at by two.  The
 * loop is woken only if it sleeps: it says `asleep` and then looks at the
 * mailbox, a sender pushes and then looks at `asleep`, all in one order
 * (seq_cst), so one of the two sees the other.                              */
#include "io/loop.h"

#include <assert.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/clock.h"
#include "base/log.h"
#include "io/loop_priv.h"

TAILQ_HEAD(task_list, loop_task);
LIST_HEAD(lookup_list, loop_lookup);

struct loop {
	const char *name;		/* borrowed */
	struct event_base *base;	/* owned */
	/* mailbox, any thread */
	_Atomic(struct loop_msg *) inbox;
	atomic_bool asleep;
	atomic_bool stop;
	int wake_fd;			/* owned */
	struct event wake;
	/* of the loop's thread */
	int64_t now;
	bool in_turn;			/* now is of this turn */
	struct loop_hook *hooks;	/* borrowed */
	struct loop_hook *next_hook;	/* while they run */
	struct task_list tasks[LOOP_STAGE__N];
	struct lookup_list lookups;
	void *shared;			/* stream.c's */
	void (*shared_fini)(void *);
	pthread_t thread;
};

static void
begin_turn(struct loop *l)
{
	if (l->in_turn)
		return;
	atomic_store(&l->asleep, false);
	l->now = clock_mono();
	l->in_turn = true;
}

static void
wake(struct loop *l)
{
	uint64_t one = 1;

	/* full (EAGAIN) is as good as written */
	if (write(l->wake_fd, &one, sizeof(one)) == -1)
		return;
}

static void
wake_if_asleep(struct loop *l)
{
	if (atomic_load(&l->asleep) && atomic_exchange(&l->asleep, false))
		wake(l);
}

static void
woken(evutil_socket_t fd, short what, void *arg)
{
	uint64_t n;

	(void)what;
	begin_turn(arg);
	/* empty (EAGAIN) does no harm: the mailbox is looked at anyway */
	if (read(fd, &n, sizeof(n)) == -1)
		return;
}

static enum status
open_base(struct loop *l)
{
	struct event_config *config = event_config_new();

	if (!config)
		return ST_NO_MEMORY;
	if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0)
		l->base = event_base_new_with_config(config);
	event_config_free(config);
	return l->base ? ST_OK : ST_SYSTEM;
}

enum status
loop_new(const char *name, struct loop **out)
{
	struct loop *l = calloc(1, sizeof(*l));
	enum status st;
	int i;

	if (!l)
		return ST_NO_MEMORY;
	l->name = name;
	l->wake_fd = -1;
	atomic_init(&l->inbox, NULL);
	atomic_init(&l->asleep, false);
	atomic_init(&l->stop, false);
	for (i = 0; i < LOOP_STAGE__N; i++)
		TAILQ_INIT(&l->tasks[i]);
	LIST_INIT(&l->lookups);
	st = open_base(l);
	if (st != ST_OK)
		goto fail;
	st = ST_SYSTEM;
	l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (l->wake_fd == -1)
		goto fail;
	if (event_assign(&l->wake, l->base, l->wake_fd, EV_READ | EV_PERSIST,
	    woken, l) == -1 || event_add(&l->wake, NULL) == -1)
		goto fail;
	*out = l;
	return ST_OK;
fail:
	if (l->wake_fd != -1)
		(void)close(l->wake_fd);	/* nothing was written */
	if (l->base)
		event_base_free(l->base);
	free(l);
	return st;
}

const char *
loop_name(const struct loop *l)
{
	return l->name;
}

int64_t
loop_now(const struct loop *l)
{
	return l->in_turn ? l->now : clock_mono();
}

/* ---- mailbox ------------------------------------------------------------- */

void
loop_post(struct loop *l, struct loop_msg *m, loop_msg_fn *fn)
{
	struct loop_msg *head = atomic_load_explicit(&l->inbox,
	    memory_order_relaxed);

	m->fn = fn;
	do {
		m->next = head;
	} while (!atomic_compare_exchange_weak(&l->inbox, &head, m));
	wake_if_asleep(l);
}

static void
deliver(struct loop *l)
{
	struct loop_msg *m, *next, *first = NULL;

	if (!atomic_load(&l->inbox))
		return;
	for (m = atomic_exchange(&l->inbox, NULL); m; m = next) {
		next = m->next;
		m->next = first;
		first = m;
	}
	for (m = first; m; m = next) {
		next = m->next;
		m->fn(m);
	}
}

/* ---- tasks and hooks ------------------------------------------------------ */

void
loop_task_add(struct loop *l, enum loop_stage stage, struct loop_task *t)
{
	if (t->queued)
		return;
	t->queued = true;
	TAILQ_INSERT_TAIL(&l->tasks[stage], t, link);
}

void
loop_task_remove(struct loop *l, enum loop_stage stage, struct loop_task *t)
{
	if (!t->queued)
		return;
	t->queued = false;
	TAILQ_REMOVE(&l->tasks[stage], t, link);
}

/* What is added meanwhile waits for the next turn. */
static void
run_tasks(struct loop *l, enum loop_stage stage)
{
	struct loop_task *t, *last = TAILQ_LAST(&l->tasks[stage], task_list);
	struct loop_task mark = { .queued = true };

	if (!last)
		return;
	TAILQ_INSERT_TAIL(&l->tasks[stage], &mark, link);
	while ((t = TAILQ_FIRST(&l->tasks[stage])) != &mark) {
		loop_task_remove(l, stage, t);
		t->fn(t);
	}
	TAILQ_REMOVE(&l->tasks[stage], &mark, link);
}

void
loop_hook_add(struct loop *l, struct loop_hook *h)
{
	struct loop_hook **at = &l->hooks;

	while (*at)
		at = &(*at)->next;
	h->next = NULL;
	*at = h;
}

void
loop_hook_remove(struct loop *l, struct loop_hook *h)
{
	struct loop_hook **at;

	for (at = &l->hooks; *at; at = &(*at)->next) {
		if (*at != h)
			continue;
		if (l->next_hook == h)
			l->next_hook = h->next;
		*at = h->next;
		return;
	}
}

static void
run_hooks(struct loop *l)
{
	struct loop_hook *h;

	for (h = l->hooks; h; h = l->next_hook) {
		l->next_hook = h->next;
		h->fn(h->arg);
	}
}

void
loop_set_shared(struct loop *l, void *shared, void (*fini)(void *))
{
	l->shared = shared;
	l->shared_fini = fini;
}

void *
loop_shared(const struct loop *l)
{
	return l->shared;
}

/* ---- running --------------------------------------------------------------- */

static bool
work_waits(struct loop *l)
{
	int i;

	for (i = 0; i < LOOP_STAGE__N; i++) {
		if (!TAILQ_EMPTY(&l->tasks[i]))
			return true;
	}
	return atomic_load(&l->inbox) || atomic_load(&l->stop);
}

/* True if it was the last. */
static bool
turn(struct loop *l)
{
	int flags = EVLOOP_ONCE, rc;
	bool last;

	atomic_store(&l->asleep, true);
	if (work_waits(l))
		flags |= EVLOOP_NONBLOCK;
	rc = event_base_loop(l->base, flags);
	assert(rc != -1);
	begin_turn(l);
	/* asked before the mailbox is taken: what was posted before the stop
	 * is still delivered */
	last = atomic_exchange(&l->stop, false);
	deliver(l);
	run_tasks(l, LOOP_SOON);
	run_hooks(l);
	run_tasks(l, LOOP_FLUSH);
	run_tasks(l, LOOP_REAP);
	l->in_turn = false;
	return last;
}

void
loop_run(struct loop *l)
{
	while (!turn(l))
		;
}

static void *
thread_main(void *arg)
{
	struct loop *l = arg;
	char name[16];

	(void)snprintf(name, sizeof(name), "%s", l->name);	/* cut */
	(void)pthread_setname_np(pthread_self(), name);	/* for people only */
	loop_run(l);
	return NULL;
}

/* Signals are the main thread's. */
static int
create_thread(pthread_t *thread, const pthread_attr_t *attr,
    void *(*fn)(void *), void *arg)
{
	sigset_t all, before;
	int rc;

	(void)sigfillset(&all);		/* cannot fail */
	rc = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (rc != 0)
		return rc;
	rc = pthread_create(thread, attr, fn, arg);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);	/* as it was */
	return rc;
}

enum status
loop_start(struct loop *l)
{
	return create_thread(&l->thread, NULL, thread_main, l) == 0 ?
	    ST_OK : ST_SYSTEM;
}

void
loop_join(struct loop *l)
{
	int rc = pthread_join(l->thread, NULL);

	assert(rc == 0);
}

void
loop_stop(struct loop *l)
{
	atomic_store(&l->stop, true);
	wake_if_asleep(l);
}

/* ---- timers --------------------------------------------------------------- */

struct loop_timer {
	struct event event;
	struct loop *loop;		/* borrowed */
	loop_timer_fn *fn;
	void *arg;			/* borrowed */
	int64_t due;			/* clock_mono */
};

static void
arm(struct loop_timer *t, int64_t ns)
{
	struct timeval tv;

	if (ns < 0)
		ns = 0;
	tv.tv_sec = ns / CLOCK_S;
	tv.tv_usec = (ns % CLOCK_S + CLOCK_US - 1) / CLOCK_US;
	if (tv.tv_usec == 1000000) {
		tv.tv_sec++;
		tv.tv_usec = 0;
	}
	/* the heap has one more place to grow by */
	if (event_add(&t->event, &tv) == -1)
		log_error("timer", "loop=%s", t->loop->name);
}

static void
timer_due(evutil_socket_t fd, short what, void *arg)
{
	struct loop_timer *t = arg;
	int64_t left;

	(void)fd;
	(void)what;
	begin_turn(t->loop);
	/* libevent goes by a coarser clock, which may be early */
	left = t->due - clock_mono();
	if (left > 0)
		arm(t, left);
	else
		t->fn(t->arg);
}

enum status
loop_timer_new(struct loop *l, loop_timer_fn *fn, void *arg,
    struct loop_timer **out)
{
	struct loop_timer *t = calloc(1, sizeof(*t));

	if (!t)
		return ST_NO_MEMORY;
	t->loop = l;
	t->fn = fn;
	t->arg = arg;
	if (event_assign(&t->event, l->base, -1, 0, timer_due, t) == -1) {
		free(t);
		return ST_SYSTEM;
	}
	*out = t;
	return ST_OK;
}

void
loop_timer_free(struct loop_timer **t)
{
	if (!*t)
		return;
	loop_timer_stop(*t);
	free(*t);
	*t = NULL;
}

void
loop_timer_start(struct loop_timer *t, int64_t ns)
{
	int64_t now = clock_mono();

	if (ns < 0)
		ns = 0;
	t->due = ns > INT64_MAX - now ? INT64_MAX : now + ns;
	arm(t, ns);
}

void
loop_timer_stop(struct loop_timer *t)
{
	(void)event_del(&t->event);	/* an assigned event: cannot fail */
}

bool
loop_timer_pending(const struct loop_timer *t)
{
	return event_pending(&t->event, EV_TIMEOUT, NULL) != 0;
}

/* ---- readiness ------------------------------------------------------------- */

struct loop_watch {
	struct event in, out;
	struct loop *loop;		/* borrowed */
	loop_watch_fn *fn;
	void *arg;			/* borrowed */
	unsigned wanted;
};

static void
watch_ready(evutil_socket_t fd, short what, void *arg)
{
	struct loop_watch *w = arg;

	(void)fd;
	begin_turn(w->loop);
	w->fn(((what & EV_READ) ? LOOP_READ : 0) |
	    ((what & EV_WRITE) ? LOOP_WRITE : 0), w->arg);
}

enum status
loop_watch_new(struct loop *l, int fd, loop_watch_fn *fn, void *arg,
    struct loop_watch **out)
{
	struct loop_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return ST_NO_MEMORY;
	w->loop = l;
	w->fn = fn;
	w->arg = arg;
	if (event_assign(&w->in, l->base, fd, EV_READ | EV_PERSIST,
	    watch_ready, w) == -1 ||
	    event_assign(&w->out, l->base, fd, EV_WRITE | EV_PERSIST,
	    watch_ready, w) == -1) {
		free(w);
		return ST_SYSTEM;
	}
	*out = w;
	return ST_OK;
}

void
loop_watch_free(struct loop_watch **w)
{
	if (!*w)
		return;
	loop_watch_want(*w, 0);
	free(*w);
	*w = NULL;
}

static void
set_event(struct loop_watch *w, struct event *e, bool on)
{
	int rc = on ? event_add(e, NULL) : event_del(e);

	/* The kernel has no room for one more: its owner's deadline ends it. */
	if (rc == -1)
		log_error("watch", "loop=%s on=%d", w->loop->name, on);
}

void
loop_watch_want(struct loop_watch *w, unsigned ready)
{
	unsigned change = w->wanted ^ ready;

	w->wanted = ready;
	if (change & LOOP_READ)
		set_event(w, &w->in, ready & LOOP_READ);
	if (change & LOOP_WRITE)
		set_event(w, &w->out, ready & LOOP_WRITE);
}

/* ---- name lookup ------------------------------------------------------------ */

/* Shared by the loop and the thread that asks: under the lock until it is
 * posted, then the loop's.  Whoever finds the other gone frees it. */
struct loop_lookup {
	struct loop_msg msg;
	LIST_ENTRY(loop_lookup) link;
	pthread_mutex_t lock;
	struct loop *loop;		/* borrowed; NULL: nobody waits */
	bool posted;
	loop_lookup_fn *done;		/* NULL: cancelled */
	void *arg;			/* borrowed */
	enum status result;
	size_t n;
	struct loop_addr addrs[LOOP_ADDRS_MAX];
	char host[256], port[32];
};

static void
free_lookup(struct loop_lookup *k)
{
	(void)pthread_mutex_destroy(&k->lock);	/* nobody holds it */
	free(k);
}

static void
lookup_done(struct loop_msg *m)
{
	struct loop_lookup *k = container_of(m, struct loop_lookup, msg);

	/* the thread posts under the lock: wait until it has let go */
	(void)pthread_mutex_lock(&k->lock);	/* default kind: cannot fail */
	(void)pthread_mutex_unlock(&k->lock);
	LIST_REMOVE(k, link);
	if (k->done)
		k->done(k->result, k->addrs, k->n, k->arg);
	free_lookup(k);
}

static void
ask(struct loop_lookup *k, int flags)
{
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = flags | AI_NUMERICSERV,
	};
	struct addrinfo *list, *a;

	k->result = ST_NO_ADDRESS;
	if (getaddrinfo(k->host, k->port, &hints, &list) != 0)
		return;
	for (a = list; a && k->n < LOOP_ADDRS_MAX; a = a->ai_next) {
		if (a->ai_addrlen > sizeof(k->addrs[0].ss))
			continue;
		memcpy(&k->addrs[k->n].ss, a->ai_addr, a->ai_addrlen);
		k->addrs[k->n++].len = a->ai_addrlen;
	}
	freeaddrinfo(list);
	if (k->n)
		k->result = ST_OK;
}

static void *
lookup_main(void *arg)
{
	struct loop_lookup *k = arg;
	bool wanted;

	ask(k, 0);
	(void)pthread_mutex_lock(&k->lock);	/* default kind: cannot fail */
	wanted = k->loop != NULL;
	if (wanted) {
		k->posted = true;
		/* under the lock, so that the loop is still there */
		loop_post(k->loop, &k->msg, lookup_done);
	}
	(void)pthread_mutex_unlock(&k->lock);
	if (!wanted)
		free_lookup(k);
	return NULL;
}

static enum status
ask_in_thread(struct loop_lookup *k)
{
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	if (pthread_attr_init(&attr) != 0)
		return ST_NO_MEMORY;
	rc = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (rc == 0)
		rc = create_thread(&thread, &attr, lookup_main, k);
	(void)pthread_attr_destroy(&attr);	/* holds nothing */
	return rc == 0 ? ST_OK : ST_SYSTEM;
}

enum status
loop_resolve(struct loop *l, const char *host, const char *port,
    loop_lookup_fn *done, void *arg, struct loop_lookup **out)
{
	struct loop_lookup *k = calloc(1, sizeof(*k));
	enum status st;

	if (!k)
		return ST_NO_MEMORY;
	if (strlen(host) >= sizeof(k->host) || strlen(port) >= sizeof(k->port) ||
	    pthread_mutex_init(&k->lock, NULL) != 0) {
		free(k);
		return ST_NO_ADDRESS;
	}
	(void)snprintf(k->host, sizeof(k->host), "%s", host);	/* fits */
	(void)snprintf(k->port, sizeof(k->port), "%s", port);	/* fits */
	k->loop = l;
	k->done = done;
	k->arg = arg;
	LIST_INSERT_HEAD(&l->lookups, k, link);
	*out = k;
	ask(k, AI_NUMERICHOST);
	if (k->result == ST_OK) {
		k->posted = true;
		loop_post(l, &k->msg, lookup_done);
		return ST_OK;
	}
	st = ask_in_thread(k);
	if (st != ST_OK) {
		*out = NULL;
		LIST_REMOVE(k, link);
		free_lookup(k);
	}
	return st;
}

/* True if the thread still works on it and will free it. */
static bool
leave_to_thread(struct loop_lookup *k)
{
	bool posted;

	(void)pthread_mutex_lock(&k->lock);	/* default kind: cannot fail */
	posted = k->posted;
	if (!posted) {
		LIST_REMOVE(k, link);
		k->loop = NULL;
	}
	(void)pthread_mutex_unlock(&k->lock);
	return !posted;
}

void
loop_lookup_cancel(struct loop_lookup **k)
{
	if (!*k)
		return;
	if (!leave_to_thread(*k))
		(*k)->done = NULL;
	*k = NULL;
}

void
loop_free(struct loop **at)
{
	struct loop_lookup *k, *next;
	struct loop *l = *at;

	if (!l)
		return;
	*at = NULL;
	if (l->shared_fini)
		l->shared_fini(l->shared);
	run_tasks(l, LOOP_REAP);
	for (k = LIST_FIRST(&l->lookups); k; k = next) {
		next = LIST_NEXT(k, link);
		if (leave_to_thread(k))
			continue;
		LIST_REMOVE(k, link);
		free_lookup(k);
	}
	(void)event_del(&l->wake);	/* an assigned event: cannot fail */
	(void)close(l->wake_fd);	/* nothing is written to it any more */
	event_base_free(l->base);
	free(l);
}
