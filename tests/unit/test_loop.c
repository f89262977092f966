/* test_loop.c - turns, messages, hooks, timers, watches, lookups, workers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "io/worker.h"

static struct loop *loop;

static int
setup(void **state)
{
	(void)state;
	return loop_new("test", &loop) != ST_OK;
}

static int
teardown(void **state)
{
	(void)state;
	loop_free(&loop);
	return 0;
}

/* ---- messages ------------------------------------------------------------------- */

struct note {
	struct loop_msg msg;
	int from, number;
};

static int notes_seen[4], notes_total, notes_wanted;

static void
note_arrives(struct loop_msg *m)
{
	struct note *n = container_of(m, struct note, msg);

	/* each sender's own arrive in order */
	assert_int_equal(n->number, notes_seen[n->from]);
	notes_seen[n->from]++;
	if (++notes_total == notes_wanted)
		loop_stop(loop);
}

struct sender {
	pthread_t thread;
	struct note *notes;
	int from, n;
};

static void *
send_notes(void *arg)
{
	struct sender *s = arg;
	int i;

	for (i = 0; i < s->n; i++) {
		s->notes[i].from = s->from;
		s->notes[i].number = i;
		loop_post(loop, &s->notes[i].msg, note_arrives);
		if (i % 1000 == 0)
			(void)usleep(100);	/* let it fall asleep */
	}
	return NULL;
}

static void
test_messages_from_many(void **state)
{
	enum { N = 20000 };
	struct sender s[4];
	int i;

	(void)state;
	memset(notes_seen, 0, sizeof(notes_seen));
	notes_total = 0;
	notes_wanted = 4 * N;
	for (i = 0; i < 4; i++) {
		s[i] = (struct sender){ .from = i, .n = N };
		s[i].notes = calloc(N, sizeof(struct note));
		assert_int_equal(pthread_create(&s[i].thread, NULL, send_notes,
		    &s[i]), 0);
	}
	loop_run(loop);
	assert_int_equal(notes_total, 4 * N);
	for (i = 0; i < 4; i++) {
		pthread_join(s[i].thread, NULL);
		free(s[i].notes);
	}
}

/* A message goes back and forth between two loops. */
struct ball {
	struct loop_msg msg;
	struct loop *ends[2];
	int rounds;
};

static void
bounce(struct loop_msg *m)
{
	struct ball *b = container_of(m, struct ball, msg);

	if (--b->rounds > 0) {
		loop_post(b->ends[b->rounds & 1], m, bounce);
		return;
	}
	loop_stop(b->ends[0]);
	loop_stop(b->ends[1]);
}

static void
test_messages_between_loops(void **state)
{
	struct ball b = { .rounds = 20000 };
	struct loop *other;

	(void)state;
	assert_int_equal(loop_new("other", &other), ST_OK);
	b.ends[0] = loop;
	b.ends[1] = other;
	assert_int_equal(loop_start(other), ST_OK);
	loop_post(loop, &b.msg, bounce);
	loop_run(loop);
	loop_join(other);
	loop_free(&other);
	assert_int_equal(b.rounds, 0);
}

/* What was posted before the stop is delivered; a stop before the run counts. */
static void
test_stop(void **state)
{
	struct note n = { .number = 0 };

	(void)state;
	memset(notes_seen, 0, sizeof(notes_seen));
	notes_total = 0;
	notes_wanted = 1000;
	loop_post(loop, &n.msg, note_arrives);
	loop_stop(loop);
	loop_stop(loop);
	loop_run(loop);
	assert_int_equal(notes_total, 1);
	assert_string_equal(loop_name(loop), "test");
}

/* ---- hooks ------------------------------------------------------------------------ */

static char story[256];

static void
tell(const char *word)
{
	strcat(story, word);
}

static struct loop_hook hooks[3];

static void
hook_a(void *arg)
{
	(void)arg;
	tell("a");
	/* the next one, and itself */
	loop_hook_remove(loop, &hooks[1]);
	loop_hook_remove(loop, &hooks[0]);
}

static void
hook_b(void *arg)
{
	(void)arg;
	tell("b");
}

static void
say_m(struct loop_msg *m)
{
	(void)m;
	tell("m");
}

static void
hook_c(void *arg)
{
	static struct loop_msg again;
	int *turns = arg;

	tell("c");
	if (++*turns > 1) {
		loop_stop(loop);
		return;
	}
	loop_hook_add(loop, &hooks[1]);
	loop_post(loop, &again, say_m);
}

static void
test_hooks(void **state)
{
	struct loop_msg m[2];
	int turns = 0;

	(void)state;
	story[0] = '\0';
	hooks[0] = (struct loop_hook){ .fn = hook_a };
	hooks[1] = (struct loop_hook){ .fn = hook_b };
	hooks[2] = (struct loop_hook){ .fn = hook_c, .arg = &turns };
	loop_hook_add(loop, &hooks[0]);
	loop_hook_add(loop, &hooks[1]);
	loop_hook_add(loop, &hooks[2]);
	loop_post(loop, &m[0], say_m);
	loop_post(loop, &m[1], say_m);
	loop_run(loop);
	/* messages first, then hooks in the order of their coming; what a hook
	 * adds or posts is for the next turn */
	assert_ptr_equal(strstr(story, "mmacmcb"), story);
	loop_hook_remove(loop, &hooks[1]);
	loop_hook_remove(loop, &hooks[2]);
}

/* ---- timers ------------------------------------------------------------------------ */

struct alarm {
	struct loop_timer *timer;
	int64_t due;
	int rings;
	bool last;
};

static void
ring(void *arg)
{
	struct alarm *a = arg;

	assert_true(clock_mono() >= a->due);
	a->rings++;
	assert_false(loop_timer_pending(a->timer));
	if (a->last)
		loop_stop(loop);
}

static void
set_alarm(struct alarm *a, int64_t ns)
{
	a->due = clock_mono() + ns;
	loop_timer_start(a->timer, ns);
}

static void
test_timers(void **state)
{
	struct alarm a = { .rings = 0 }, b = a, c = a, d = { .last = true };
	int64_t before = clock_mono();

	(void)state;
	assert_int_equal(loop_timer_new(loop, ring, &a, &a.timer), ST_OK);
	assert_int_equal(loop_timer_new(loop, ring, &b, &b.timer), ST_OK);
	assert_int_equal(loop_timer_new(loop, ring, &c, &c.timer), ST_OK);
	assert_int_equal(loop_timer_new(loop, ring, &d, &d.timer), ST_OK);
	set_alarm(&a, 0);
	set_alarm(&b, 1 * CLOCK_MS);
	set_alarm(&b, 7 * CLOCK_MS + 1);	/* instead */
	set_alarm(&c, 5 * CLOCK_MS);
	assert_true(loop_timer_pending(c.timer));
	loop_timer_stop(c.timer);
	assert_false(loop_timer_pending(c.timer));
	set_alarm(&d, 30 * CLOCK_MS);
	loop_run(loop);
	assert_int_equal(a.rings, 1);
	assert_int_equal(b.rings, 1);
	assert_int_equal(c.rings, 0);
	assert_int_equal(d.rings, 1);
	assert_true(clock_mono() - before >= 30 * CLOCK_MS);
	loop_timer_start(c.timer, INT64_MAX);
	loop_timer_free(&a.timer);
	loop_timer_free(&b.timer);
	loop_timer_free(&c.timer);
	loop_timer_free(&d.timer);
	loop_timer_free(&d.timer);
}

static void
free_own(void *arg)
{
	struct alarm *a = arg;

	loop_timer_free(&a->timer);
	loop_stop(loop);
}

static void
test_timer_frees_itself(void **state)
{
	struct alarm a = { .rings = 0 };

	(void)state;
	assert_int_equal(loop_timer_new(loop, free_own, &a, &a.timer), ST_OK);
	loop_timer_start(a.timer, CLOCK_MS);
	loop_run(loop);
	assert_null(a.timer);
}

/* ---- watches ------------------------------------------------------------------------ */

struct watched {
	struct loop_watch *watch;
	int fd, reads, writes;
};

static void
on_watch(unsigned ready, void *arg)
{
	struct watched *w = arg;
	char c;

	if (ready & LOOP_WRITE) {
		w->writes++;
		loop_watch_want(w->watch, LOOP_READ);
	}
	if (!(ready & LOOP_READ))
		return;
	/* level triggered: one byte at a time, called for each */
	assert_int_equal(read(w->fd, &c, 1), 1);
	w->reads++;
	if (c == '.') {
		loop_watch_free(&w->watch);
		loop_stop(loop);
	}
}

static void
test_watch(void **state)
{
	struct watched w = { .reads = 0 };
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	w.fd = fds[0];
	assert_int_equal(loop_watch_new(loop, fds[0], on_watch, &w, &w.watch),
	    ST_OK);
	assert_int_equal(write(fds[1], "abc.", 4), 4);
	loop_watch_want(w.watch, LOOP_READ | LOOP_WRITE);
	loop_run(loop);
	assert_int_equal(w.writes, 1);
	assert_int_equal(w.reads, 4);
	close(fds[0]);
	close(fds[1]);
}

/* ---- lookups ------------------------------------------------------------------------- */

struct answer {
	enum status st;
	int called;
	size_t n;
	struct loop_addr first;
};

static void
found(enum status st, const struct loop_addr *addrs, size_t n, void *arg)
{
	struct answer *a = arg;

	a->st = st;
	a->n = n;
	a->called++;
	if (n)
		a->first = addrs[0];
	loop_stop(loop);
}

static void
test_lookup(void **state)
{
	struct answer a = { .called = 0 };
	struct loop_lookup *k;
	struct sockaddr_in v4;

	(void)state;
	assert_int_equal(loop_resolve(loop, "192.0.2.7", "80", found, &a, &k),
	    ST_OK);
	assert_int_equal(a.called, 0);
	loop_run(loop);
	assert_int_equal(a.st, ST_OK);
	assert_int_equal(a.n, 1);
	memcpy(&v4, &a.first.ss, sizeof(v4));
	assert_int_equal(v4.sin_port, htons(80));
	assert_int_equal(v4.sin_addr.s_addr, htonl(0xc0000207));
	assert_int_equal(loop_resolve(loop, "::1", "9", found, &a, &k), ST_OK);
	loop_run(loop);
	assert_int_equal(a.first.ss.ss_family, AF_INET6);
	assert_int_equal(loop_resolve(loop, "localhost", "9", found, &a, &k),
	    ST_OK);
	loop_run(loop);
	assert_int_equal(a.st, ST_OK);
	assert_true(a.n >= 1);
	assert_int_equal(loop_resolve(loop, "no-such-host.invalid", "9", found,
	    &a, &k), ST_OK);
	loop_run(loop);
	assert_int_equal(a.st, ST_NO_ADDRESS);
	assert_int_equal(a.called, 4);
}

static void
test_lookup_cancel(void **state)
{
	struct answer a = { .called = 0 };
	struct loop_lookup *k;
	int i;

	(void)state;
	for (i = 0; i < 20; i++) {
		assert_int_equal(loop_resolve(loop, i & 1 ? "localhost" :
		    "127.0.0.1", "9", found, &a, &k), ST_OK);
		if (i % 3 == 0)
			(void)usleep(2000);	/* it may be there by now */
		loop_lookup_cancel(&k);
		assert_null(k);
	}
	loop_stop(loop);
	loop_run(loop);
	assert_int_equal(a.called, 0);
	/* under way when the loop goes */
	assert_int_equal(loop_resolve(loop, "localhost", "9", found, &a, &k),
	    ST_OK);
	assert_int_equal(loop_resolve(loop, "127.0.0.1", "9", found, &a, &k),
	    ST_OK);
}

/* ---- time and workers ------------------------------------------------------------------ */

struct moment {
	struct loop_msg msg;
	int64_t at;
};

static void
look_twice(struct loop_msg *m)
{
	struct moment *mo = container_of(m, struct moment, msg);

	mo->at = loop_now(loop);
	(void)usleep(3000);
	assert_int_equal(loop_now(loop), mo->at);
	loop_stop(loop);
}

static void
test_now_is_of_the_turn(void **state)
{
	struct moment mo;
	int64_t before = loop_now(loop);

	(void)state;
	(void)usleep(2000);
	loop_post(loop, &mo.msg, look_twice);
	loop_run(loop);
	assert_true(mo.at >= before + 2 * CLOCK_MS);
	assert_true(loop_now(loop) >= mo.at + 3 * CLOCK_MS);
}

static void
count_up(void *arg)
{
	atomic_int *n = arg;

	(*n)++;
}

static void
test_workers(void **state)
{
	struct workers *w;
	atomic_int n = 0;
	size_t i;

	(void)state;
	assert_int_equal(workers_new(3, &w), ST_OK);
	assert_int_equal(workers_count(w), 3);
	assert_int_equal(workers_start(w), ST_OK);
	for (i = 0; i < 3; i++)
		net_call(workers_loop(w, i), count_up, &n);
	assert_int_equal(n, 3);
	assert_string_equal(loop_name(workers_loops(w)[2]), "worker-2");
	workers_stop(w);
	workers_stop(w);
	assert_int_equal(workers_start(w), ST_OK);
	net_call(workers_loop(w, 0), count_up, &n);
	workers_stop(w);
	workers_free(&w);
	assert_int_equal(workers_new(0, &w), ST_OK);
	assert_true(workers_count(w) >= 1);
	workers_free(&w);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_messages_from_many),
		TEST(test_messages_between_loops),
		TEST(test_stop),
		TEST(test_hooks),
		TEST(test_timers),
		TEST(test_timer_frees_itself),
		TEST(test_watch),
		TEST(test_lookup),
		TEST(test_lookup_cancel),
		TEST(test_now_is_of_the_turn),
		cmocka_unit_test(test_workers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
