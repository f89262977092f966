/* test_stream_tls.c - two streams that speak TLS with each other.
 * SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/clock.h"
#include "certs.h"
#include "io/stream.h"
#include "io/tls.h"

static char directory[] = "/tmp/test_stream_tls.XXXXXX";
static const char *const file[] = { "relay.pem" };
static struct loop *loop;
static struct loop_timer *patience;
static struct tls *client_tls, *server_tls;

/* One end, and what its owner has seen. */
struct owner {
	struct stream *stream;
	struct buf got;
	unsigned events[8];
	size_t take;			/* of the input at each event */
	bool close_at[8];
};

static struct owner client, server;
static int listening;
static unsigned port;

static void
on_event(struct stream *s, enum stream_event event, void *arg)
{
	struct owner *w = arg;
	struct bytes in = stream_input(s);
	size_t n = in.n < w->take ? in.n : w->take;

	w->events[event]++;
	if (event == STREAM_INPUT) {
		assert_true(buf_append(&w->got, in.p, n));
		stream_consume(s, n);
	}
	if (w->close_at[event])
		stream_close(&w->stream, ST_OK);
}

static void
give_up(void *arg)
{
	(void)arg;
	fail_msg("nothing happened");
}

static void
stop_loop(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static void
run_ms(int ms)
{
	struct loop_timer *t;

	assert_int_equal(loop_timer_new(loop, stop_loop, NULL, &t), ST_OK);
	loop_timer_start(t, ms * CLOCK_MS);
	loop_run(loop);
	loop_timer_free(&t);
}

/* Until the owner has seen the event. */
static void
run_until(const struct owner *w, enum stream_event event)
{
	loop_timer_start(patience, NET_PATIENCE_MS * CLOCK_MS);
	while (w->events[event] == 0)
		run_ms(1);
	loop_timer_stop(patience);
}

static void
run_until_got(const struct owner *w, size_t n)
{
	loop_timer_start(patience, NET_PATIENCE_MS * CLOCK_MS);
	while (w->got.len < n)
		run_ms(1);
	loop_timer_stop(patience);
}

static int
make_files(void **state)
{
	struct cert *c;

	(void)state;
	if (!mkdtemp(directory) || chdir(directory) != 0)
		return -1;
	c = cert_new(NULL, &(struct cert_opts){ .cn = "relay",
		.san = "DNS:relay.example", .ca = true });
	cert_write(c, "relay.pem");
	cert_write_key(c, "relay.pem", "a", NULL);
	cert_free(&c);
	return 0;
}

static int
remove_files(void **state)
{
	(void)state;
	(void)unlink("relay.pem");
	return chdir("/") == 0 ? rmdir(directory) : -1;
}

static int
setup(void **state)
{
	const struct tls_server_opts so = {
		.common = { .name = "edge", .certificate = file,
			.n_certificates = 1, .ca = "", .alpn = "http/1.1" },
		.crl = "",
	};
	const struct tls_client_opts co = {
		.common = { .name = "central", .ca = "relay.pem",
			.alpn = "http/1.1" },
		.server_name = "relay.example",
	};
	struct tls_fault why;

	(void)state;
	memset(&client, 0, sizeof(client));
	memset(&server, 0, sizeof(server));
	buf_init(&client.got, 64 << 20);
	buf_init(&server.got, 64 << 20);
	client.take = server.take = SIZE_MAX;
	assert_int_equal(loop_new("test", &loop), ST_OK);
	assert_int_equal(loop_timer_new(loop, give_up, NULL, &patience), ST_OK);
	assert_int_equal(tls_server_new(&so, &server_tls, &why), ST_OK);
	assert_int_equal(tls_client_new(&co, &client_tls, &why), ST_OK);
	listening = net_listen(&port);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	stream_close(&client.stream, ST_CANCELLED);
	stream_close(&server.stream, ST_CANCELLED);
	loop_timer_free(&patience);
	loop_free(&loop);
	tls_free(&client_tls);
	tls_free(&server_tls);
	buf_fini(&client.got);
	buf_fini(&server.got);
	close(listening);
	return 0;
}

static void
open_client(struct tls *t, struct owner *o)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct loop_addr addr = { .len = sizeof(to) };

	memcpy(&addr.ss, &to, sizeof(to));
	memset(o->events, 0, sizeof(o->events));
	assert_int_equal(stream_connect(loop, &addr, on_event, o, &o->stream),
	    ST_OK);
	if (t)
		assert_int_equal(stream_secure(o->stream, t), ST_OK);
}

static void
open_server(struct tls *t, struct owner *o)
{
	const struct loop_addr nobody = { .len = 0 };
	int fd = net_accept(listening);

	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	memset(o->events, 0, sizeof(o->events));
	assert_int_equal(stream_accept(loop, fd, &nobody, on_event, o,
	    &o->stream), ST_OK);
	if (t)
		assert_int_equal(stream_secure(o->stream, t), ST_OK);
}

static void
open_both(void)
{
	open_client(client_tls, &client);
	open_server(server_tls, &server);
	run_until(&client, STREAM_READY);
	run_until(&server, STREAM_READY);
}

/* ---- what goes well ---------------------------------------------------------------- */

static void
test_hands_before_ready(void **state)
{
	(void)state;
	open_client(client_tls, &client);
	/* may be written before it is there */
	stream_write_copy(client.stream, BYTES_LIT("early"));
	run_ms(20);
	assert_int_equal(client.events[STREAM_READY], 0);
	open_server(server_tls, &server);
	run_until_got(&server, 5);
	assert_memory_equal(server.got.data, "early", 5);
	assert_int_equal(client.events[STREAM_READY], 1);
	assert_int_equal(server.events[STREAM_READY], 1);
	assert_true(bytes_eq(stream_protocol(client.stream),
	    BYTES_LIT("http/1.1")));
	assert_true(bytes_eq(stream_protocol(server.stream),
	    BYTES_LIT("http/1.1")));
	assert_null(stream_peer_certified(server.stream));
	run_ms(5);
	assert_int_equal(stream_queued(client.stream), 0);
}

/* Some bytes without TLS, then hands are shaken on the same streams. */
static void
test_tunnel(void **state)
{
	(void)state;
	open_client(NULL, &client);
	open_server(NULL, &server);
	stream_write_copy(client.stream, BYTES_LIT("ask"));
	run_until_got(&server, 3);
	stream_write_copy(server.stream, BYTES_LIT("yes"));
	run_until_got(&client, 3);
	memset(client.events, 0, sizeof(client.events));
	memset(server.events, 0, sizeof(server.events));
	assert_int_equal(stream_secure(server.stream, server_tls), ST_OK);
	run_ms(5);
	assert_int_equal(stream_secure(client.stream, client_tls), ST_OK);
	run_until(&client, STREAM_READY);
	run_until(&server, STREAM_READY);
	stream_write_copy(client.stream, BYTES_LIT(" sealed"));
	run_until_got(&server, 10);
	assert_memory_equal(server.got.data, "ask sealed", 10);
	assert_int_equal(client.events[STREAM_READY], 1);
	assert_true(bytes_eq(stream_protocol(client.stream),
	    BYTES_LIT("http/1.1")));
}

static void
test_much_both_ways(void **state)
{
	static char there[3000000], back[2000000];
	struct buf *b;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(there); i++)
		there[i] = (char)(i * 31 ^ i >> 10);
	for (i = 0; i < sizeof(back); i++)
		back[i] = (char)(i * 7 ^ i >> 9);
	open_both();
	memset(client.events, 0, sizeof(client.events));
	stream_write_copy(client.stream, BYTES_LIT("head "));
	stream_write_borrowed(client.stream, bytes_of(there, sizeof(there)));
	assert_int_equal(stream_queued(client.stream), 5 + sizeof(there));
	b = buf_new(sizeof(back));
	assert_true(buf_append(b, back, sizeof(back)));
	stream_write(server.stream, &b);
	run_until_got(&server, 5 + sizeof(there));
	run_until_got(&client, sizeof(back));
	assert_memory_equal(server.got.data, "head ", 5);
	assert_memory_equal(server.got.data + 5, there, sizeof(there));
	assert_memory_equal(client.got.data, back, sizeof(back));
	assert_int_equal(client.events[STREAM_DRAINED], 1);
	assert_int_equal(stream_queued(client.stream), 0);
}

/* Input that nobody takes is bounded, and goes on when it is taken. */
static void
test_input_is_bounded(void **state)
{
	static char data[3000000];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(data); i++)
		data[i] = (char)(i ^ i >> 8);
	open_both();
	server.take = 0;
	stream_write_borrowed(client.stream, bytes_of(data, sizeof(data)));
	run_ms(50);
	assert_in_range(stream_input(server.stream).n, 64 << 10, 82 << 10);
	server.take = 1000;
	stream_resume(server.stream);
	run_ms(10);
	stream_pause(server.stream);
	run_ms(5);
	i = server.got.len;
	run_ms(20);
	assert_int_equal(server.got.len, i);
	server.take = SIZE_MAX;
	stream_resume(server.stream);
	run_until_got(&server, sizeof(data));
	assert_memory_equal(server.got.data, data, sizeof(data));
}

static void
test_ends_in_order(void **state)
{
	static char big[1000000];

	(void)state;
	open_both();
	stream_write_borrowed(server.stream, bytes_of(big, sizeof(big)));
	stream_close(&server.stream, ST_OK);
	client.close_at[STREAM_CLOSED] = true;
	run_until(&client, STREAM_CLOSED);
	assert_int_equal(client.got.len, sizeof(big));
	assert_int_equal(client.events[STREAM_FAILED], 0);
	run_ms(5);
}

/* The end of the socket is not the end of what was said. */
static void
test_cut_off(void **state)
{
	(void)state;
	open_both();
	stream_close(&server.stream, ST_GONE);
	run_until(&client, STREAM_FAILED);
	assert_int_equal(stream_why(client.stream), ST_CUT);
	assert_int_equal(client.events[STREAM_CLOSED], 0);
	stream_close(&client.stream, ST_GONE);

	/* from clients it is taken as one */
	open_both();
	run_ms(20);	/* the ticket has come: unread, it would make a reset */
	stream_close(&client.stream, ST_GONE);
	run_until(&server, STREAM_CLOSED);
	assert_int_equal(server.events[STREAM_FAILED], 0);
}

/* ---- what does not ------------------------------------------------------------------ */

static void
test_each_is_told(void **state)
{
	const struct tls_client_opts co = {
		.common = { .name = "central", .ca = "relay.pem",
			.alpn = "http/1.1" },
		.server_name = "other.example",
	};
	struct tls_fault why;
	struct tls *other;

	(void)state;
	assert_int_equal(tls_client_new(&co, &other, &why), ST_OK);
	open_client(other, &client);
	open_server(server_tls, &server);
	run_until(&client, STREAM_FAILED);
	run_until(&server, STREAM_FAILED);
	assert_int_equal(stream_why(client.stream), ST_CERT_NAME);
	assert_int_equal(stream_why(server.stream), ST_TLS_REFUSED);
	assert_int_equal(client.events[STREAM_READY], 0);
	assert_int_equal(server.events[STREAM_READY], 0);
	stream_close(&client.stream, ST_GONE);
	run_ms(1);
	tls_free(&other);
}

static void
test_no_tls_there(void **state)
{
	(void)state;
	open_client(client_tls, &client);
	open_server(NULL, &server);
	stream_write_copy(server.stream,
	    BYTES_LIT("HTTP/1.1 400 Bad Request\r\n\r\n"));
	run_until(&client, STREAM_FAILED);
	assert_int_equal(stream_why(client.stream), ST_NOT_TLS);
	stream_close(&client.stream, ST_GONE);
	stream_close(&server.stream, ST_GONE);

	open_client(NULL, &client);
	open_server(server_tls, &server);
	stream_write_copy(client.stream, BYTES_LIT("GET / HTTP/1.1\r\n\r\n"));
	run_until(&server, STREAM_FAILED);
	assert_int_equal(stream_why(server.stream), ST_NOT_TLS);
}

static void
test_slow_hands(void **state)
{
	int fd;

	(void)state;
	fd = net_connect(port);
	open_server(server_tls, &server);
	stream_deadline(server.stream, clock_mono() + 20 * CLOCK_MS);
	net_say(fd, "\x16\x03\x01\x02");
	run_until(&server, STREAM_TIMEOUT);
	assert_int_equal(server.events[STREAM_READY], 0);
	stream_close(&server.stream, ST_SLOW);
	run_ms(1);
	close(fd);
	/* gone in the middle */
	fd = net_connect(port);
	open_server(server_tls, &server);
	net_say(fd, "\x16\x03\x01\x02");
	close(fd);
	run_until(&server, STREAM_FAILED);
	assert_int_equal(stream_why(server.stream), ST_CUT);
	stream_close(&server.stream, ST_GONE);
	/* given up by us */
	fd = net_connect(port);
	open_server(server_tls, &server);
	run_ms(2);
	stream_write_copy(server.stream, BYTES_LIT("never"));
	stream_close(&server.stream, ST_OK);
	run_ms(2);
	net_expect_end(fd);
	close(fd);
}

/* The time is over, and what came in time has not been looked at. */
static void
test_late_because_of_us(void **state)
{
	(void)state;
	open_client(client_tls, &client);
	run_ms(5);
	open_server(server_tls, &server);
	stream_deadline(server.stream, 1);
	run_until(&server, STREAM_READY);
	assert_int_equal(server.events[STREAM_TIMEOUT], 0);
}

#define MANY 50

static struct owner many[2 * MANY];
static unsigned ready, most_in_a_turn, turns_before_the_first;

static void
count_ready(void *arg)
{
	unsigned n = 0, i;

	(void)arg;
	for (i = 0; i < 2 * MANY; i++)
		n += many[i].events[STREAM_READY];
	if (n - ready > most_in_a_turn)
		most_in_a_turn = n - ready;
	turns_before_the_first += n == 0;
	ready = n;
}

/* Others have their turns between, and those that were first are not last. */
static void
test_many_hands(void **state)
{
	struct loop_hook hook = { .fn = count_ready };
	unsigned i;

	(void)state;
	memset(many, 0, sizeof(many));
	ready = most_in_a_turn = turns_before_the_first = 0;
	for (i = 0; i < MANY; i++) {
		open_client(client_tls, &many[i]);
		open_server(server_tls, &many[MANY + i]);
	}
	loop_hook_add(loop, &hook);
	loop_timer_start(patience, NET_PATIENCE_MS * CLOCK_MS);
	while (ready < 2 * MANY)
		run_ms(1);
	loop_timer_stop(patience);
	assert_in_range(most_in_a_turn, 1, 8);
	assert_in_range(turns_before_the_first, 1, MANY / 8 - 1);
	loop_hook_remove(loop, &hook);
	for (i = 0; i < 2 * MANY; i++)
		stream_close(&many[i].stream, ST_GONE);
}

static void
test_closes_itself_when_ready(void **state)
{
	(void)state;
	client.close_at[STREAM_READY] = true;
	server.close_at[STREAM_INPUT] = true;
	open_client(client_tls, &client);
	stream_write_copy(client.stream, BYTES_LIT("first and last"));
	open_server(server_tls, &server);
	run_until(&server, STREAM_INPUT);
	assert_null(client.stream);
	assert_null(server.stream);
	run_ms(10);
}

static void
test_damaged_record(void **state)
{
	int fd, pair = -1;
	char byte[4096];
	ssize_t n;

	/* through a middle man, who changes a byte */
	(void)state;
	open_client(client_tls, &client);
	fd = net_accept(listening);
	pair = net_connect(port);
	open_server(server_tls, &server);
	loop_timer_start(patience, NET_PATIENCE_MS * CLOCK_MS);
	while (server.events[STREAM_READY] == 0 ||
	    client.events[STREAM_READY] == 0) {
		run_ms(1);
		while ((n = recv(fd, byte, sizeof(byte), MSG_DONTWAIT)) > 0)
			net_send(pair, byte, (size_t)n);
		while ((n = recv(pair, byte, sizeof(byte), MSG_DONTWAIT)) > 0)
			net_send(fd, byte, (size_t)n);
	}
	loop_timer_stop(patience);
	stream_write_copy(client.stream, BYTES_LIT("hello"));
	run_ms(5);
	n = recv(fd, byte, sizeof(byte), MSG_DONTWAIT);
	assert_true(n > 10);
	byte[n - 1] ^= 1;
	net_send(pair, byte, (size_t)n);
	run_until(&server, STREAM_FAILED);
	assert_int_equal(stream_why(server.stream), ST_TLS_FAILED);
	assert_int_equal(server.got.len, 0);
	close(fd);
	close(pair);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_hands_before_ready),
		TEST(test_tunnel),
		TEST(test_much_both_ways),
		TEST(test_input_is_bounded),
		TEST(test_ends_in_order),
		TEST(test_cut_off),
		TEST(test_each_is_told),
		TEST(test_no_tls_there),
		TEST(test_slow_hands),
		TEST(test_late_because_of_us),
		TEST(test_many_hands),
		TEST(test_closes_itself_when_ready),
		TEST(test_damaged_record),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
