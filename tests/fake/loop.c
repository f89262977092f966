/* loop.c - a list of loops, and one clock for all.
 * SPDX-License-Identifier: Apache-2.0 */
#include "fake/loop.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "io/loop_priv.h"

#define EPOCH (INT64_C(1700000000) * CLOCK_S)
#define HOSTS_MAX 16
#define LOOKUP_NS CLOCK_MS

TAILQ_HEAD(task_list, loop_task);
TAILQ_HEAD(timer_list, loop_timer);
TAILQ_HEAD(loop_list, loop);

struct loop_timer {
	TAILQ_ENTRY(loop_timer) link;
	struct loop *loop;
	loop_timer_fn *fn;
	void *arg;
	int64_t due;
	bool pending;
};

struct loop {
	TAILQ_ENTRY(loop) link;
	const char *name;
	struct loop_msg *first, **last;
	struct loop_hook *hooks, *next_hook;
	struct task_list tasks[LOOP_STAGE__N];
	struct timer_list timers;	/* the next first */
	void *shared;
	void (*shared_fini)(void *);
	bool stopped;
};

static struct loop_list loops = TAILQ_HEAD_INITIALIZER(loops);
static int64_t now = CLOCK_S;

static struct {
	char name[256];
	size_t n_addrs;
	struct loop_addr addrs[LOOP_ADDRS_MAX];
} hosts[HOSTS_MAX];
static size_t n_hosts;

/* ---- time ---------------------------------------------------------------------- */

static int64_t
mono(void)
{
	return now;
}

static int64_t
wall(void)
{
	return EPOCH + now;
}

void
fake_clock_init(void)
{
	static const struct clock_source source = { mono, wall };

	clock_set(&source);
}

/* ---- loops ----------------------------------------------------------------------- */

enum status
loop_new(const char *name, struct loop **out)
{
	struct loop *l = calloc(1, sizeof(*l));
	int i;

	if (!l)
		return ST_NO_MEMORY;
	l->name = name;
	l->last = &l->first;
	for (i = 0; i < LOOP_STAGE__N; i++)
		TAILQ_INIT(&l->tasks[i]);
	TAILQ_INIT(&l->timers);
	TAILQ_INSERT_TAIL(&loops, l, link);
	*out = l;
	return ST_OK;
}

const char *
loop_name(const struct loop *l)
{
	return l->name;
}

int64_t
loop_now(const struct loop *l)
{
	(void)l;
	return now;
}

void
loop_post(struct loop *l, struct loop_msg *m, loop_msg_fn *fn)
{
	m->fn = fn;
	m->next = NULL;
	*l->last = m;
	l->last = &m->next;
}

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
run_timers(struct loop *l)
{
	struct loop_timer *t;

	while ((t = TAILQ_FIRST(&l->timers)) != NULL && t->due <= now) {
		loop_timer_stop(t);
		t->fn(t->arg);
	}
}

static void
deliver(struct loop *l)
{
	struct loop_msg *m = l->first, *next;

	l->first = NULL;
	l->last = &l->first;
	for (; m; m = next) {
		next = m->next;
		m->fn(m);
	}
}

static void
run_tasks(struct loop *l, enum loop_stage stage)
{
	struct loop_task mark = { .queued = true }, *t;

	TAILQ_INSERT_TAIL(&l->tasks[stage], &mark, link);
	while ((t = TAILQ_FIRST(&l->tasks[stage])) != &mark) {
		loop_task_remove(l, stage, t);
		t->fn(t);
	}
	TAILQ_REMOVE(&l->tasks[stage], &mark, link);
}

/* ---- turning ----------------------------------------------------------------------- */

static bool
ready(const struct loop *l)
{
	const struct loop_timer *t = TAILQ_FIRST(&l->timers);
	int i;

	for (i = 0; i < LOOP_STAGE__N; i++) {
		if (!TAILQ_EMPTY(&l->tasks[i]))
			return true;
	}
	return l->first || (t && t->due <= now);
}

void
fake_turn(struct loop *l)
{
	struct loop_hook *h;

	run_timers(l);
	deliver(l);
	run_tasks(l, LOOP_SOON);
	for (h = l->hooks; h; h = l->next_hook) {
		l->next_hook = h->next;
		h->fn(h->arg);
	}
	run_tasks(l, LOOP_FLUSH);
	run_tasks(l, LOOP_REAP);
}

/* A turn of each loop that has something to do; false if none has. */
static bool
turn_all(void)
{
	struct loop *l, *next;
	bool any = false;

	for (l = TAILQ_FIRST(&loops); l; l = next) {
		next = TAILQ_NEXT(l, link);
		if (!ready(l))
			continue;
		fake_turn(l);
		any = true;
	}
	return any;
}

void
fake_settle(void)
{
	while (turn_all())
		;
}

/* To the next timer, no further than `until`; false if there is none. */
static bool
jump(int64_t until)
{
	struct loop_timer *t;
	int64_t next = INT64_MAX;
	struct loop *l;

	TAILQ_FOREACH(l, &loops, link) {
		t = TAILQ_FIRST(&l->timers);
		if (t && t->due < next)
			next = t->due;
	}
	if (next > until)
		return false;
	if (next > now)
		now = next;
	return true;
}

bool
fake_until(bool (*question)(void *), void *arg, int64_t at_most_ns)
{
	int64_t until = now + at_most_ns;

	for (;;) {
		if (question(arg))
			return true;
		if (!turn_all() && !jump(until))
			break;
	}
	now = until;
	return false;
}

static bool
never(void *arg)
{
	(void)arg;
	return false;
}

void
fake_pass(int64_t ns)
{
	(void)fake_until(never, NULL, ns);
}

static bool
is_stopped(void *arg)
{
	return fake_stopped(arg);
}

void
loop_run(struct loop *l)
{
	l->stopped = false;
	loop_join(l);
}

enum status
loop_start(struct loop *l)
{
	l->stopped = false;
	return ST_OK;
}

void
loop_join(struct loop *l)
{
	bool ended = fake_until(is_stopped, l, INT64_MAX / 2);

	assert(ended);	/* else nothing will ever happen again */
}

void
loop_stop(struct loop *l)
{
	l->stopped = true;
}

bool
fake_stopped(const struct loop *l)
{
	return l->stopped;
}

void
loop_free(struct loop **at)
{
	struct loop *l = *at;

	if (!l)
		return;
	*at = NULL;
	if (l->shared_fini)
		l->shared_fini(l->shared);
	run_tasks(l, LOOP_REAP);
	TAILQ_REMOVE(&loops, l, link);
	free(l);
}

/* ---- timers ------------------------------------------------------------------------ */

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
	struct loop_timer *after;

	loop_timer_stop(t);
	if (ns < 0)
		ns = 0;
	t->due = ns > INT64_MAX - now ? INT64_MAX : now + ns;
	t->pending = true;
	TAILQ_FOREACH_REVERSE(after, &t->loop->timers, timer_list, link) {
		if (after->due <= t->due) {
			TAILQ_INSERT_AFTER(&t->loop->timers, after, t, link);
			return;
		}
	}
	TAILQ_INSERT_HEAD(&t->loop->timers, t, link);
}

void
loop_timer_stop(struct loop_timer *t)
{
	if (!t->pending)
		return;
	t->pending = false;
	TAILQ_REMOVE(&t->loop->timers, t, link);
}

bool
loop_timer_pending(const struct loop_timer *t)
{
	return t->pending;
}

/* ---- watches: there is no kernel, and nothing is ever ready --------------------------- */

struct loop_watch {
	unsigned want;
};

enum status
loop_watch_new(struct loop *l, int fd, loop_watch_fn *fn, void *arg,
    struct loop_watch **out)
{
	(void)l;
	(void)fd;
	(void)fn;
	(void)arg;
	*out = calloc(1, sizeof(**out));
	return *out ? ST_OK : ST_NO_MEMORY;
}

void
loop_watch_free(struct loop_watch **w)
{
	free(*w);
	*w = NULL;
}

void
loop_watch_want(struct loop_watch *w, unsigned want)
{
	w->want = want;
}

/* ---- names ------------------------------------------------------------------------------ */

struct loop_lookup {
	struct loop_timer *timer;
	loop_lookup_fn *done;
	void *arg;
	size_t n;
	struct loop_addr addrs[LOOP_ADDRS_MAX];
};

static void
set_address(struct loop_addr *a, const char *text)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in v4 = { .sin_family = AF_INET };

	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) {
		memcpy(&a->ss, &v6, sizeof(v6));
		a->len = sizeof(v6);
	} else {
		assert(inet_pton(AF_INET, text, &v4.sin_addr) == 1);
		memcpy(&a->ss, &v4, sizeof(v4));
		a->len = sizeof(v4);
	}
}

static void
set_port(struct loop_addr *a, uint16_t port)
{
	port = htons(port);
	/* in the same place for both families */
	memcpy((char *)&a->ss + offsetof(struct sockaddr_in, sin_port), &port,
	    sizeof(port));
}

void
fake_host_at(const char *name, const char *const *addresses)
{
	size_t i, n = 0;

	while (addresses[n])
		n++;
	fake_host(name, n);
	for (i = 0; strcmp(hosts[i].name, name) != 0; i++)
		;
	while (n--)
		set_address(&hosts[i].addrs[n], addresses[n]);
}

void
fake_host(const char *name, size_t n_addrs)
{
	char text[40];
	size_t i, k;

	for (i = 0; i < n_hosts && strcmp(hosts[i].name, name) != 0; i++)
		;
	assert(i < HOSTS_MAX && n_addrs <= LOOP_ADDRS_MAX);
	if (i == n_hosts)
		n_hosts++;
	(void)snprintf(hosts[i].name, sizeof(hosts[i].name), "%s", name);
	hosts[i].n_addrs = n_addrs;
	for (k = 0; k < n_addrs; k++) {
		(void)snprintf(text, sizeof(text), "192.0.2.%zu", k + 1);
		set_address(&hosts[i].addrs[k], text);
	}
}

static void
found(void *arg)
{
	struct loop_lookup *k = arg;
	struct loop_addr addrs[LOOP_ADDRS_MAX];
	loop_lookup_fn *done = k->done;
	size_t n = k->n;

	memcpy(addrs, k->addrs, sizeof(addrs));
	arg = k->arg;
	loop_timer_free(&k->timer);
	free(k);
	done(n ? ST_OK : ST_NO_ADDRESS, addrs, n, arg);
}

enum status
loop_resolve(struct loop *l, const char *host, const char *port,
    loop_lookup_fn *done, void *arg, struct loop_lookup **out)
{
	struct loop_lookup *k = calloc(1, sizeof(*k));
	size_t i;

	if (!k)
		return ST_NO_MEMORY;
	k->done = done;
	k->arg = arg;
	k->n = 1;
	set_address(&k->addrs[0], "192.0.2.1");
	for (i = 0; i < n_hosts; i++) {
		if (strcmp(hosts[i].name, host) != 0)
			continue;
		k->n = hosts[i].n_addrs;
		memcpy(k->addrs, hosts[i].addrs, sizeof(k->addrs));
	}
	for (i = 0; i < k->n; i++)
		set_port(&k->addrs[i], (uint16_t)atoi(port));
	if (loop_timer_new(l, found, k, &k->timer) != ST_OK) {
		free(k);
		return ST_NO_MEMORY;
	}
	loop_timer_start(k->timer, LOOKUP_NS);
	*out = k;
	return ST_OK;
}

void
loop_lookup_cancel(struct loop_lookup **k)
{
	if (!*k)
		return;
	loop_timer_free(&(*k)->timer);
	free(*k);
	*k = NULL;
}
