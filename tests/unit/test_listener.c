/* test_listener.c - addresses, binding, accepting, running out of descriptors.
 * SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "io/listener.h"

static struct loop *loop;
static struct loop_timer *patience;
static int taken[64], n_taken, wanted;
static sa_family_t family;

static void
accepted(int fd, const struct loop_addr *peer, void *arg)
{
	(void)arg;
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	family = peer->ss.ss_family;
	taken[n_taken++] = fd;
	if (n_taken == wanted)
		loop_stop(loop);
}

static void
give_up(void *arg)
{
	(void)arg;
	loop_stop(loop);
	fail_msg("nobody came");
}

static void
take(int n)
{
	wanted = n_taken + n;
	loop_timer_start(patience, NET_PATIENCE_MS * CLOCK_MS);
	loop_run(loop);
	loop_timer_stop(patience);
}

static int
setup(void **state)
{
	(void)state;
	n_taken = 0;
	assert_int_equal(loop_new("test", &loop), ST_OK);
	assert_int_equal(loop_timer_new(loop, give_up, NULL, &patience), ST_OK);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	while (n_taken)
		close(taken[--n_taken]);
	loop_timer_free(&patience);
	loop_free(&loop);
	return 0;
}

static struct listener *
open_at(const char *address)
{
	struct listener_opts opts = {
		.name = "test", .address = address, .backlog = 128, .fd = -1,
	};
	struct listener *l = NULL;

	assert_int_equal(listener_open(&opts, &l), ST_OK);
	return l;
}

static enum status
try_open(const char *address)
{
	struct listener_opts opts = {
		.name = "test", .address = address, .backlog = 128, .fd = -1,
	};
	struct listener *l = NULL;
	enum status st = listener_open(&opts, &l);

	assert_true((st == ST_OK) == (l != NULL));
	listener_close(&l);
	return st;
}

static void
test_addresses(void **state)
{
	static const char *const good[] = {
		"127.0.0.1:80", "*:0", "[::]:9201", "[::1]:65535", "localhost:1",
		"unix:/run/x",
	};
	static const char *const bad[] = {
		"", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x",
		"127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:080000",
		"::1:80", "::", "[::1]", "[]:80", "[::1:80", "unix:", "unix:x",
		("unix:/01234567890123456789012345678901234567890123456789"
		"01234567890123456789012345678901234567890123456789012345678"),
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_null(listener_address_check(good[i]));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (!listener_address_check(bad[i]))
			fail_msg("taken: %s", bad[i]);
		assert_int_equal(try_open(bad[i]), ST_CONFIG);
	}
}

static void
test_accepts(void **state)
{
	struct listener *l = open_at("127.0.0.1:0");
	int fds[3], i;

	(void)state;
	assert_int_not_equal(listener_port(l), 0);
	assert_int_equal(listener_start(l, loop, accepted, NULL), ST_OK);
	for (i = 0; i < 3; i++)
		fds[i] = net_connect(listener_port(l));
	take(3);
	assert_int_equal(family, AF_INET);
	listener_close(&l);
	for (i = 0; i < 3; i++)
		close(fds[i]);
}

/* Any address takes IPv4 and IPv6 both, where there is IPv6. */
static void
test_any_address(void **state)
{
	static const char *const any[] = { "*:0", "[::]:0" };
	struct listener *l;
	int fd, i;

	(void)state;
	for (i = 0; i < 2; i++) {
		l = open_at(any[i]);
		assert_int_equal(listener_start(l, loop, accepted, NULL), ST_OK);
		fd = net_connect(listener_port(l));
		take(1);
		close(fd);
		listener_close(&l);
	}
}

/* Each clone has a queue of its own, and all are on one port. */
static void
test_clones(void **state)
{
	struct listener *l = open_at("127.0.0.1:0"), *c;
	int fds[32], i;

	(void)state;
	assert_int_equal(listener_clone(l, &c), ST_OK);
	assert_int_equal(listener_port(c), listener_port(l));
	assert_int_equal(listener_start(l, loop, accepted, NULL), ST_OK);
	assert_int_equal(listener_start(c, loop, accepted, NULL), ST_OK);
	for (i = 0; i < 32; i++)
		fds[i] = net_connect(listener_port(l));
	take(32);
	for (i = 0; i < 32; i++)
		close(fds[i]);
	listener_close(&l);
	listener_close(&c);
}

static void
test_address_in_use(void **state)
{
	unsigned port;
	int fd = net_listen(&port);
	char address[32];

	(void)state;
	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	assert_int_equal(try_open(address), ST_SYSTEM);
	close(fd);
	assert_int_equal(try_open("no-such-host.invalid:1"), ST_NO_ADDRESS);
}

static int
connect_unix(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(un.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}

static void
test_unix(void **state)
{
	char dir[] = "/tmp/listener-XXXXXX", path[64], address[80];
	struct listener *l, *c;
	struct stat st;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/s", dir);
	(void)snprintf(address, sizeof(address), "unix:%s", path);
	l = open_at(address);
	assert_int_equal(listener_clone(l, &c), ST_OK);
	assert_int_equal(listener_port(l), 0);
	assert_int_equal(listener_start(l, loop, accepted, NULL), ST_OK);
	assert_int_equal(listener_start(c, loop, accepted, NULL), ST_OK);
	fd = connect_unix(path);
	take(1);
	assert_int_equal(family, AF_UNIX);
	close(fd);
	/* somebody listens there */
	assert_int_equal(try_open(address), ST_SYSTEM);
	listener_close(&c);
	assert_int_equal(stat(path, &st), 0);
	listener_close(&l);
	assert_int_equal(stat(path, &st), -1);
	/* left over from a run that was killed */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	{
		struct sockaddr_un un = { .sun_family = AF_UNIX };

		strcpy(un.sun_path, path);
		assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)),
		    0);
	}
	close(fd);
	assert_int_equal(try_open(address), ST_OK);
	/* not ours to remove */
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_not_equal(try_open(address), ST_OK);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void
test_passed_in(void **state)
{
	struct listener_opts opts = { .name = "test" };
	struct listener *l, *c;
	unsigned port;
	int fd;

	(void)state;
	opts.fd = net_listen(&port);
	assert_int_equal(listener_open(&opts, &l), ST_OK);
	assert_int_equal(listener_port(l), port);
	assert_int_equal(listener_clone(l, &c), ST_OK);
	assert_int_equal(listener_start(c, loop, accepted, NULL), ST_OK);
	fd = net_connect(port);
	take(1);
	close(fd);
	listener_close(&c);
	listener_close(&l);
	opts.fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_not_equal(listener_open(&opts, &l), ST_OK);
	assert_int_equal(fcntl(opts.fd, F_GETFD), -1);
}

static void
stop_loop(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static int64_t
cpu_ns(void)
{
	struct timespec ts;

	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts), 0);
	return ts.tv_sec * CLOCK_S + ts.tv_nsec;
}

/* Without a descriptor left one peer is sent away, the others wait, and the
 * processor rests. */
static void
test_out_of_descriptors(void **state)
{
	struct listener *l = open_at("127.0.0.1:0");
	struct loop_timer *t;
	struct rlimit old, low;
	int fds[4], i;
	int64_t cpu;

	(void)state;
	assert_int_equal(listener_start(l, loop, accepted, NULL), ST_OK);
	assert_int_equal(loop_timer_new(loop, stop_loop, NULL, &t), ST_OK);
	for (i = 0; i < 4; i++)
		fds[i] = net_connect(listener_port(l));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)fds[3] + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	wanted = 4;
	loop_timer_start(t, 100 * CLOCK_MS);
	cpu = cpu_ns();
	loop_run(loop);
	assert_true(cpu_ns() - cpu < 50 * CLOCK_MS);
	assert_int_equal(n_taken, 0);
	assert_int_equal(net_byte(fds[0]), -1);
	assert_false(net_readable(fds[1], 0));
	/* room again: the others are taken when the pause is over */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	take(3);
	loop_timer_free(&t);
	listener_close(&l);
	for (i = 0; i < 4; i++)
		close(fds[i]);
}

/* Those from the ceiling on are not for connections: one peer is sent away, and the
 * others wait until there is room below it. */
static void
test_ceiling(void **state)
{
	struct listener_opts opts = { .name = "test", .fd = -1,
		.address = "127.0.0.1:0", .backlog = 128 };
	struct listener *l;
	struct loop_timer *t;
	int next[9], fds[4], i;

	(void)state;
	/* the listener has two, then come four of ours, then three to accept */
	for (i = 0; i < 9; i++)
		next[i] = dup(0);
	opts.ceiling = (size_t)next[8] + 1;
	for (i = 0; i < 9; i++)
		close(next[i]);
	assert_int_equal(listener_open(&opts, &l), ST_OK);
	assert_int_equal(listener_start(l, loop, accepted, NULL), ST_OK);
	assert_int_equal(loop_timer_new(loop, stop_loop, NULL, &t), ST_OK);
	for (i = 0; i < 4; i++)
		fds[i] = net_connect(listener_port(l));
	wanted = 5;
	loop_timer_start(t, 100 * CLOCK_MS);
	loop_run(loop);
	assert_int_equal(n_taken, 3);
	assert_int_equal(net_byte(fds[3]), -1);
	close(fds[3]);
	fds[3] = net_connect(listener_port(l));
	close(taken[--n_taken]);
	take(1);
	loop_timer_free(&t);
	listener_close(&l);
	for (i = 0; i < 4; i++)
		close(fds[i]);
}

/* What comes in a second is taken at once, the others one after the other. */
static void
test_rate(void **state)
{
	struct listener_opts opts = { .name = "test", .fd = -1,
		.address = "127.0.0.1:0", .backlog = 128, .rate = 10 };
	int64_t began = clock_mono();
	struct listener *l;
	int fds[15], i;

	(void)state;
	assert_int_equal(listener_open(&opts, &l), ST_OK);
	assert_int_equal(listener_start(l, loop, accepted, NULL), ST_OK);
	for (i = 0; i < 15; i++)
		fds[i] = net_connect(listener_port(l));
	take(15);
	assert_true(clock_mono() - began >= 400 * CLOCK_MS);
	listener_close(&l);
	for (i = 0; i < 15; i++)
		close(fds[i]);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		TEST(test_accepts),
		TEST(test_any_address),
		TEST(test_clones),
		cmocka_unit_test(test_address_in_use),
		TEST(test_unix),
		TEST(test_passed_in),
		TEST(test_out_of_descriptors),
		TEST(test_ceiling),
		TEST(test_rate),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
