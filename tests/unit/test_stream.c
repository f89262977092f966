/* test_stream.c - streams on real sockets.
 * SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/clock.h"
#include "io/stream.h"

static struct loop *loop;
static struct loop_timer *patience;
static const struct loop_addr nobody = { .len = 0 };

/* What one stream's owner has seen and does. */
struct owner {
	struct stream *stream;
	struct buf got;
	unsigned events[8];
	size_t take;			/* of the input at each event */
	bool stop_at[8];		/* the loop, at this event */
	bool close_at[8];
	size_t until;			/* ... and when so much was got */
};

static struct owner o;
static int peer = -1;			/* the socket's other end */

static void
on_event(struct stream *s, enum stream_event event, void *arg)
{
	struct owner *w = arg;
	struct bytes in = stream_input(s);
	size_t n = in.n < w->take ? in.n : w->take;

	assert_ptr_equal(s, w->stream);
	w->events[event]++;
	if (event == STREAM_INPUT) {
		buf_append(&w->got, in.p, n);
		stream_consume(s, n);
	}
	if (w->close_at[event])
		stream_close(&w->stream, ST_OK);
	if (w->stop_at[event] || (w->until && w->got.len >= w->until))
		loop_stop(loop);
}

static void
give_up(void *arg)
{
	(void)arg;
	loop_stop(loop);
	fail_msg("nothing happened");
}

static void
stop_loop(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

/* Runs for a while, for what should not happen. */
static void
run_ms(int ms)
{
	struct loop_timer *t;

	assert_int_equal(loop_timer_new(loop, stop_loop, NULL, &t), ST_OK);
	loop_timer_start(t, ms * CLOCK_MS);
	loop_run(loop);
	loop_timer_free(&t);
}

static void
run(void)
{
	loop_timer_start(patience, NET_PATIENCE_MS * CLOCK_MS);
	loop_run(loop);
	loop_timer_stop(patience);
}

static int
setup(void **state)
{
	int fds[2];

	(void)state;
	memset(&o, 0, sizeof(o));
	buf_init(&o.got, 64 << 20);
	o.take = SIZE_MAX;
	assert_int_equal(loop_new("test", &loop), ST_OK);
	assert_int_equal(loop_timer_new(loop, give_up, NULL, &patience), ST_OK);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds),
	    0);
	assert_int_equal(stream_accept(loop, fds[0], &nobody, on_event, &o,
	    &o.stream), ST_OK);
	peer = fds[1];
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	stream_close(&o.stream, ST_CANCELLED);
	loop_timer_free(&patience);
	loop_free(&loop);
	buf_fini(&o.got);
	if (peer != -1)
		close(peer);
	return 0;
}

static void
test_reads_in_order(void **state)
{
	(void)state;
	net_say(peer, "hello ");
	o.stop_at[STREAM_INPUT] = true;
	run();
	assert_int_equal(o.events[STREAM_READY], 1);
	net_say(peer, "world");
	o.until = 11;
	run();
	assert_memory_equal(o.got.data, "hello world", 11);
	assert_string_equal(stream_peer_name(o.stream), "unix");
	assert_ptr_equal(stream_loop(o.stream), loop);
}

/* What is not consumed stays, and what comes is put behind it. */
static void
test_keeps_unconsumed(void **state)
{
	struct bytes in;

	(void)state;
	o.take = 2;
	o.stop_at[STREAM_INPUT] = true;
	net_say(peer, "abcde");
	run();
	in = stream_input(o.stream);
	assert_int_equal(in.n, 3);
	assert_memory_equal(in.p, "cde", 3);
	net_say(peer, "fgh");
	run();
	in = stream_input(o.stream);
	assert_int_equal(in.n, 4);
	assert_memory_equal(in.p, "efgh", 4);
	stream_consume(o.stream, 4);
	assert_int_equal(stream_input(o.stream).n, 0);
	net_say(peer, "i");
	run();
	assert_memory_equal(o.got.data, "abcdi", 5);
}

/* Input that nobody takes is bounded, and goes on when it is taken. */
static void
test_input_is_bounded(void **state)
{
	static char data[300000], back[300000];
	size_t sent = 0, n, i;
	ssize_t rc;

	(void)state;
	for (i = 0; i < sizeof(data); i++)
		data[i] = (char)(i ^ i >> 8);
	o.take = 0;
	while (sent < sizeof(data) && (rc = send(peer, data + sent,
	    sizeof(data) - sent < 9000 ? sizeof(data) - sent : 9000,
	    MSG_DONTWAIT | MSG_NOSIGNAL)) > 0) {
		sent += (size_t)rc;
		run_ms(1);
	}
	run_ms(20);
	assert_int_equal(stream_input(o.stream).n, 64 << 10);
	o.take = SIZE_MAX;
	stream_resume(o.stream);
	o.until = sent;
	run();
	assert_int_equal(o.got.len, sent);
	n = sent;
	memcpy(back, o.got.data, n);
	assert_memory_equal(back, data, n);
}

static void
test_pause_and_resume(void **state)
{
	(void)state;
	stream_pause(o.stream);
	net_say(peer, "abc");
	run_ms(20);
	assert_int_equal(o.events[STREAM_INPUT], 0);
	stream_resume(o.stream);
	o.until = 3;
	run();
	/* resume tells of what is there already, even if that is nothing */
	o.until = 0;
	o.take = 0;
	o.stop_at[STREAM_INPUT] = true;
	net_say(peer, "d");
	run();
	stream_pause(o.stream);
	run_ms(5);
	o.take = 1;
	stream_resume(o.stream);
	assert_int_equal(o.got.len, 3);
	run();
	assert_int_equal(o.got.len, 4);
	stream_resume(o.stream);
	run();
	assert_int_equal(o.got.len, 4);
}

static void
write_bytes(struct stream *s, const void *p, size_t n)
{
	struct buf *b = buf_new(n);

	assert_true(buf_append(b, p, n));
	stream_write(s, &b);
	assert_null(b);
}

static void
test_writes_in_order(void **state)
{
	static char big[3000000], got[3000100];
	size_t n = 0, i;
	ssize_t rc;

	(void)state;
	for (i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 31 ^ i >> 10);
	stream_write_copy(o.stream, BYTES_LIT("head "));
	write_bytes(o.stream, "", 0);
	write_bytes(o.stream, big, sizeof(big));
	stream_write_borrowed(o.stream, BYTES_LIT(" tail"));
	assert_int_equal(stream_queued(o.stream), sizeof(big) + 10);
	while (n < sizeof(big) + 10) {
		run_ms(1);
		while ((rc = recv(peer, got + n, sizeof(got) - n,
		    MSG_DONTWAIT)) > 0)
			n += (size_t)rc;
	}
	assert_int_equal(n, sizeof(big) + 10);
	assert_memory_equal(got, "head ", 5);
	assert_memory_equal(got + 5, big, sizeof(big));
	assert_memory_equal(got + 5 + sizeof(big), " tail", 5);
	run_ms(2);
	assert_int_equal(stream_queued(o.stream), 0);
	assert_int_equal(o.events[STREAM_DRAINED], 1);
	for (i = 0; i < 100; i++)
		stream_write_copy(o.stream, bytes_of("0123456789", 10));
	run_ms(5);
	assert_int_equal(recv(peer, got, sizeof(got), MSG_DONTWAIT), 1000);
}

static void
test_peer_ends(void **state)
{
	(void)state;
	net_say(peer, "last");
	shutdown(peer, SHUT_WR);
	o.stop_at[STREAM_CLOSED] = true;
	run();
	assert_int_equal(o.got.len, 4);
	/* its other side still listens */
	stream_write_copy(o.stream, BYTES_LIT("answer"));
	run_ms(5);
	assert_true(net_readable(peer, 100));
	assert_int_equal(o.events[STREAM_CLOSED], 1);
	assert_int_equal(o.events[STREAM_FAILED], 0);
}

static void
test_close_sends_what_is_queued(void **state)
{
	static char big[1000000];
	size_t n = 0;
	ssize_t rc = 1;
	char got[65536];

	(void)state;
	run_ms(1);
	write_bytes(o.stream, big, sizeof(big));
	stream_close(&o.stream, ST_OK);
	assert_null(o.stream);
	while (rc != 0) {
		run_ms(1);
		net_say(peer, "x");	/* it reads, and throws away */
		while ((rc = recv(peer, got, sizeof(got), MSG_DONTWAIT)) > 0)
			n += (size_t)rc;
		assert_true(rc == 0 || errno == EAGAIN);
	}
	assert_int_equal(n, sizeof(big));
	assert_int_equal(o.events[STREAM_INPUT], 0);
	/* our side ended; when the peer ends too there is nothing left */
	close(peer);
	peer = -1;
	run_ms(5);
}

static void
test_close_with_reason_drops(void **state)
{
	char got[16];

	(void)state;
	run_ms(1);
	stream_write_copy(o.stream, BYTES_LIT("never"));
	stream_close(&o.stream, ST_SLOW);
	run_ms(5);
	assert_int_equal(recv(peer, got, sizeof(got), 0), 0);
}

static void
test_closes_itself_in_callback(void **state)
{
	(void)state;
	net_say(peer, "abc");
	o.close_at[STREAM_INPUT] = true;
	o.stop_at[STREAM_INPUT] = true;
	run();
	assert_null(o.stream);
	run_ms(5);
	assert_int_equal(o.events[STREAM_INPUT], 1);
}

/* A loop that goes takes its lingering streams with it. */
static void
test_lingers_until_loop_ends(void **state)
{
	(void)state;
	run_ms(1);
	stream_write_copy(o.stream, BYTES_LIT("bye"));
	stream_close(&o.stream, ST_OK);
	run_ms(1);
}

static void
test_deadline(void **state)
{
	int64_t at = clock_mono() + 20 * CLOCK_MS;

	(void)state;
	o.stop_at[STREAM_TIMEOUT] = true;
	stream_deadline(o.stream, at);
	run();
	assert_true(clock_mono() >= at);
	assert_int_equal(o.events[STREAM_TIMEOUT], 1);
	/* once; put off; taken away */
	run_ms(30);
	stream_deadline(o.stream, clock_mono() + 5 * CLOCK_MS);
	stream_deadline(o.stream, at = clock_mono() + 30 * CLOCK_MS);
	run();
	assert_true(clock_mono() >= at);
	stream_deadline(o.stream, clock_mono() + 500 * CLOCK_S);
	stream_deadline(o.stream, clock_mono() + 5 * CLOCK_MS);
	run();
	stream_deadline(o.stream, clock_mono() + 5 * CLOCK_MS);
	stream_deadline(o.stream, 0);
	run_ms(20);
	assert_int_equal(o.events[STREAM_TIMEOUT], 3);
}

/* ---- TCP ------------------------------------------------------------------------------ */

static void
connect_to(unsigned port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct loop_addr addr = { .len = sizeof(to) };

	memcpy(&addr.ss, &to, sizeof(to));
	stream_close(&o.stream, ST_CANCELLED);
	memset(o.events, 0, sizeof(o.events));
	assert_int_equal(stream_connect(loop, &addr, on_event, &o, &o.stream),
	    ST_OK);
}

static void
test_connect(void **state)
{
	unsigned port;
	int listening = net_listen(&port), fd;
	char got[8] = "";

	(void)state;
	connect_to(port);
	/* may be written before it is there */
	stream_write_copy(o.stream, BYTES_LIT("early"));
	assert_int_equal(o.events[STREAM_READY], 0);
	o.stop_at[STREAM_READY] = true;
	run();
	fd = net_accept(listening);
	run_ms(2);
	assert_int_equal(recv(fd, got, sizeof(got), 0), 5);
	assert_string_equal(got, "early");
	assert_string_equal(stream_peer_name(o.stream), "127.0.0.1");
	close(fd);
	close(listening);
}

static void
test_connect_refused(void **state)
{
	unsigned port;
	int listening = net_listen(&port);

	(void)state;
	close(listening);
	connect_to(port);
	o.stop_at[STREAM_FAILED] = true;
	run();
	assert_int_equal(stream_why(o.stream), ST_CONNECT);
	assert_int_equal(o.events[STREAM_READY], 0);
}

static void
test_reset(void **state)
{
	struct linger reset = { .l_onoff = 1 };
	unsigned port;
	int listening = net_listen(&port), fd;

	(void)state;
	connect_to(port);
	o.stop_at[STREAM_READY] = true;
	run();
	fd = net_accept(listening);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	o.stop_at[STREAM_FAILED] = true;
	run();
	assert_int_equal(stream_why(o.stream), ST_CUT);
	assert_int_equal(o.events[STREAM_FAILED], 1);
	stream_write_copy(o.stream, BYTES_LIT("into the void"));
	run_ms(5);
	assert_int_equal(o.events[STREAM_FAILED], 1);
	close(listening);
}

struct last_words {
	struct loop_msg msg;
	int fd;
};

/* After the turn's events, so that writing comes before reading. */
static void
leave_and_write(struct loop_msg *m)
{
	struct last_words *l = container_of(m, struct last_words, msg);

	net_say(l->fd, "too large");
	close(l->fd);		/* with input unread: a reset */
	stream_write_copy(o.stream, BYTES_LIT("more of it"));
}

/* What the peer said before it went away is heard, though writing fails. */
static void
test_last_words(void **state)
{
	struct last_words l;
	unsigned port;
	int listening = net_listen(&port);

	(void)state;
	connect_to(port);
	o.stop_at[STREAM_READY] = true;
	run();
	o.stop_at[STREAM_READY] = false;
	l.fd = net_accept(listening);
	stream_write_copy(o.stream, BYTES_LIT("request"));
	run_ms(5);
	loop_post(loop, &l.msg, leave_and_write);
	run_ms(10);
	assert_int_equal(o.got.len, 9);
	assert_int_equal(o.events[STREAM_CLOSED] + o.events[STREAM_FAILED], 1);
	assert_int_equal(stream_queued(o.stream), 0);
	close(listening);
}

static void
test_peer_names(void **state)
{
	static const struct {
		const char *address, *name;
	} cases[] = {
		{ "2001:db8::1", "2001:db8::1" },
		{ "::ffff:192.0.2.1", "192.0.2.1" },
	};
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct loop_addr addr = { .len = sizeof(v6) };
	struct stream *s;
	int fds[2];
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_int_equal(inet_pton(AF_INET6, cases[i].address,
		    &v6.sin6_addr), 1);
		memcpy(&addr.ss, &v6, sizeof(v6));
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		assert_int_equal(stream_accept(loop, fds[0], &addr, on_event,
		    &o, &s), ST_OK);
		assert_string_equal(stream_peer_name(s), cases[i].name);
		assert_int_equal(stream_peer(s)->ss.ss_family, AF_INET6);
		stream_close(&s, ST_GONE);
		close(fds[1]);
	}
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_reads_in_order),
		TEST(test_keeps_unconsumed),
		TEST(test_input_is_bounded),
		TEST(test_pause_and_resume),
		TEST(test_writes_in_order),
		TEST(test_peer_ends),
		TEST(test_close_sends_what_is_queued),
		TEST(test_close_with_reason_drops),
		TEST(test_closes_itself_in_callback),
		TEST(test_lingers_until_loop_ends),
		TEST(test_deadline),
		TEST(test_connect),
		TEST(test_connect_refused),
		TEST(test_reset),
		TEST(test_last_words),
		TEST(test_peer_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
