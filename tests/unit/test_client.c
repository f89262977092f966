/* test_client.c - a client against an upstream played by the test.
 * SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "http/client.h"

struct fixture {
	struct loop *loop;
	struct http_client *client;
	struct http_client_opts opts;
	int listening;
	unsigned port;
};

static struct fixture fx;

/* One exchange, as its caller sees it. */
struct ask {
	const char *method;
	struct bytes body;
	struct http_exchange *exchange;
	atomic_int called;
	enum status st;
	int status;
	char body_text[4096], header[256];
	size_t body_len;
	struct ask *next;		/* sent from within done */
	bool free_client;		/* likewise */
};

static void send_ask(void *arg);

static void
done(enum status st, const struct http_answer *answer, void *arg)
{
	struct ask *a = arg;
	struct bytes h;

	a->exchange = NULL;
	a->st = st;
	assert_true((st == ST_OK) == (answer != NULL));
	if (answer) {
		a->status = answer->status;
		a->body_len = answer->body.n;
		if (answer->body.n)
			memcpy(a->body_text, answer->body.p,
			    answer->body.n);
		h = http_header(answer->headers, "x-test");
		if (h.p)
			memcpy(a->header, h.p, h.n);
	}
	if (a->free_client)
		http_client_free(&fx.client);
	if (a->next)
		send_ask(a->next);
	atomic_store(&a->called, 1);
}

static void
send_ask(void *arg)
{
	static const struct http_header h = { BYTES_LIT("X-Name"),
		BYTES_LIT("value") };
	struct ask *a = arg;
	struct http_call call = {
		.method = a->method ? a->method : "POST",
		.headers = { &h, 1 },
		.body = a->body,
	};

	assert_int_equal(http_client_send(fx.client, &call, done, a,
	    &a->exchange), ST_OK);
	assert_int_equal(a->called, 0);
}

static void
wait_for(struct ask *a)
{
	int i;

	for (i = 0; i < NET_PATIENCE_MS && !atomic_load(&a->called); i++)
		(void)usleep(1000);
	assert_int_equal(a->called, 1);
}

static void
open_client(void *arg)
{
	(void)arg;
	assert_int_equal(http_client_new(fx.loop, &fx.opts, &fx.client), ST_OK);
}

static void
free_client(void *arg)
{
	(void)arg;
	http_client_free(&fx.client);
}

static int
setup(void **state)
{
	char url[64];

	(void)state;
	memset(&fx, 0, sizeof(fx));
	fx.listening = net_listen(&fx.port);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/write?x=1",
	    fx.port);
	assert_null(http_url_parse(url, &fx.opts.url));
	fx.opts.connect_timeout_ns = 2 * CLOCK_S;
	fx.opts.answer_timeout_ns = 5 * CLOCK_S;
	fx.opts.idle_timeout_ns = 60 * CLOCK_S;
	fx.opts.reconnect_ns = 300 * CLOCK_S;
	fx.opts.max_body_bytes = 1000;
	assert_int_equal(loop_new("test", &fx.loop), ST_OK);
	assert_int_equal(loop_start(fx.loop), ST_OK);
	net_call(fx.loop, open_client, NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	net_call(fx.loop, free_client, NULL);
	loop_stop(fx.loop);
	loop_join(fx.loop);
	loop_free(&fx.loop);
	close(fx.listening);
	return 0;
}

/* With other options than setup's. */
static void
open_again(void)
{
	net_call(fx.loop, free_client, NULL);
	net_call(fx.loop, open_client, NULL);
}

static struct net_message m;

/* ---- tests ------------------------------------------------------------------------ */

static void
test_request_as_written(void **state)
{
	struct ask a = { .body = BYTES_LIT("hello") };
	int fd;

	(void)state;
	net_call(fx.loop, send_ask, &a);
	fd = net_accept(fx.listening);
	net_message(fd, &m);
	assert_ptr_equal(strstr(m.head, "POST /write?x=1 HTTP/1.1\r\n"), m.head);
	assert_non_null(strstr(m.head, "\r\nHost: 127.0.0.1:"));
	assert_non_null(strstr(m.head, "\r\nX-Name: value\r\n"));
	assert_string_equal(m.body, "hello");
	net_say(fd, "HTTP/1.1 200 OK\r\nX-Test: yes\r\nContent-Length: 3\r\n\r\nabc");
	wait_for(&a);
	assert_int_equal(a.st, ST_OK);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.body_text, "abc");
	assert_string_equal(a.header, "yes");
	close(fd);
}

/* Answers of every framing on one connection, each followed by another. */
static void
test_connection_is_kept(void **state)
{
	static const struct {
		const char *text, *body;
		int status;
	} answers[] = {
		{ "HTTP/1.1 204 No Content\r\n\r\n", "", 204 },
		{ "HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno", "no", 500 },
		{ "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n"
		  "2\r\nab\r\n1;x=y\r\nc\r\n0\r\nT: 1\r\n\r\n", "abc", 200 },
		{ "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n"
		  "HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n", "", 429 },
		{ "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"
		  "Content-Length: 1\r\n\r\nx", "x", 200 },
		{ "HTTP/1.1 999 ?\r\nContent-Length: 0\r\n\r\n", "", 999 },
	};
	int fd = -1;
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct ask a = { .body = BYTES_LIT("x") };

		net_call(fx.loop, send_ask, &a);
		if (fd == -1)
			fd = net_accept(fx.listening);
		net_message(fd, &m);
		assert_string_equal(m.body, "x");
		for (j = 0; answers[i].text[j]; j++)
			net_send(fd, answers[i].text + j, 1);
		wait_for(&a);
		assert_int_equal(a.st, ST_OK);
		assert_int_equal(a.status, answers[i].status);
		assert_string_equal(a.body_text, answers[i].body);
	}
	close(fd);
}

static void
test_answer_until_close(void **state)
{
	struct ask a = { 0 }, b = { 0 };
	int fd;

	(void)state;
	net_call(fx.loop, send_ask, &a);
	fd = net_accept(fx.listening);
	net_message(fd, &m);
	net_say(fd, "HTTP/1.1 200 OK\r\n\r\nall of it");
	close(fd);
	wait_for(&a);
	assert_int_equal(a.st, ST_OK);
	assert_string_equal(a.body_text, "all of it");
	/* and the next gets a connection of its own */
	net_call(fx.loop, send_ask, &b);
	fd = net_accept(fx.listening);
	net_message(fd, &m);
	net_say(fd, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
	wait_for(&b);
	assert_int_equal(b.st, ST_OK);
	net_expect_end(fd);
	close(fd);
}

static void
test_large_body_both_ways(void **state)
{
	enum { SIZE = 3 << 20 };
	char *body = malloc(SIZE), *got = malloc(SIZE);
	struct ask a = { .body = { (uint8_t *)body, SIZE } }, b = { 0 };
	size_t i, n;
	ssize_t rc;
	int fd;

	(void)state;
	for (i = 0; i < SIZE; i++)
		body[i] = (char)(i * 7 + i / 251);
	net_call(fx.loop, send_ask, &a);
	fd = net_accept(fx.listening);
	net_until(fd, "\r\n\r\n", m.head, sizeof(m.head));
	for (n = 0; n < SIZE; n += (size_t)rc) {
		rc = recv(fd, got + n, SIZE - n, 0);
		assert_true(rc > 0);
	}
	assert_memory_equal(body, got, SIZE);
	/* more than is kept, less than is drained: the connection goes on */
	net_say(fd, "HTTP/1.1 400 No\r\nContent-Length: 1000000\r\n\r\n");
	net_send(fd, body, 1000000);
	wait_for(&a);
	assert_int_equal(a.status, 400);
	assert_int_equal(a.body_len, 1000);
	assert_memory_equal(a.body_text, body, 1000);
	net_call(fx.loop, send_ask, &b);
	net_message(fd, &m);
	/* too much to drain: answered, and closed */
	net_say(fd, "HTTP/1.1 400 No\r\nContent-Length: 3000000\r\n\r\n");
	(void)send(fd, body, 3000000, MSG_NOSIGNAL);
	wait_for(&b);
	assert_int_equal(b.status, 400);
	assert_int_equal(b.body_len, 1000);
	close(fd);
	free(body);
	free(got);
}

/* An answer that comes before the request is sent whole. */
static void
test_early_answer(void **state)
{
	enum { SIZE = 16 << 20 };
	char *body = calloc(1, SIZE);
	struct ask a = { .body = { (uint8_t *)body, SIZE } };
	int fd;

	(void)state;
	net_call(fx.loop, send_ask, &a);
	fd = net_accept(fx.listening);
	net_until(fd, "\r\n\r\n", m.head, sizeof(m.head));
	net_say(fd, "HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n");
	wait_for(&a);
	assert_int_equal(a.st, ST_OK);
	assert_int_equal(a.status, 413);
	free(body);
	close(fd);
}

static void
test_kept_and_closed_is_replaced(void **state)
{
	struct ask a = { .body = BYTES_LIT("a") }, b = { .body = BYTES_LIT("b") };
	struct linger reset = { .l_onoff = 1 };
	int fd;

	(void)state;
	net_call(fx.loop, send_ask, &a);
	fd = net_accept(fx.listening);
	net_message(fd, &m);
	net_say(fd, "HTTP/1.1 204 No Content\r\n\r\n");
	wait_for(&a);
	/* takes the next request, and goes without a word */
	net_call(fx.loop, send_ask, &b);
	net_message(fd, &m);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	fd = net_accept(fx.listening);
	net_message(fd, &m);
	assert_string_equal(m.body, "b");
	net_say(fd, "HTTP/1.1 204 No Content\r\n\r\n");
	wait_for(&b);
	assert_int_equal(b.st, ST_OK);
	close(fd);
}

/* A fresh connection that is cut is an error, as is one cut in its answer. */
static void
test_cut(void **state)
{
	struct ask a = { 0 }, b = { 0 }, c = { 0 };
	int fd;

	(void)state;
	net_call(fx.loop, send_ask, &a);
	fd = net_accept(fx.listening);
	net_message(fd, &m);
	close(fd);
	wait_for(&a);
	assert_int_equal(a.st, ST_CUT);
	net_call(fx.loop, send_ask, &b);
	fd = net_accept(fx.listening);
	net_message(fd, &m);
	net_say(fd, "HTTP/1.1 204 No Content\r\n\r\n");
	wait_for(&b);
	net_call(fx.loop, send_ask, &c);
	net_message(fd, &m);
	net_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
	close(fd);
	wait_for(&c);
	assert_int_equal(c.st, ST_CUT);
}

static void
test_not_http(void **state)
{
	static const char *const answers[] = {
		"SSH-2.0-OpenSSH_9.2p1 Debian\r\n\r\n",
		"HTTP/2.0 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\n\n",
		"HTTP/1.1 99 Low\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n"),
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
		"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
	};
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct ask a = { 0 };

		net_call(fx.loop, send_ask, &a);
		fd = net_accept(fx.listening);
		net_message(fd, &m);
		net_say(fd, answers[i]);
		wait_for(&a);
		assert_int_equal(a.st, ST_BAD_ANSWER);
		net_expect_end(fd);
		close(fd);
	}
}

static void
test_endless_headers(void **state)
{
	static char junk[40000];
	struct ask a = { 0 };
	int fd;

	(void)state;
	memset(junk, 'j', sizeof(junk));
	net_call(fx.loop, send_ask, &a);
	fd = net_accept(fx.listening);
	net_message(fd, &m);
	net_say(fd, "HTTP/1.1 200 OK\r\nA: ");
	(void)send(fd, junk, sizeof(junk), MSG_NOSIGNAL);
	wait_for(&a);
	assert_int_equal(a.st, ST_BAD_ANSWER);
	close(fd);
}

static void
test_no_answer_in_time(void **state)
{
	struct ask a = { 0 };
	int fd;

	(void)state;
	fx.opts.answer_timeout_ns = 200 * CLOCK_MS;
	open_again();
	net_call(fx.loop, send_ask, &a);
	fd = net_accept(fx.listening);
	net_message(fd, &m);
	net_say(fd, "HTTP/1.1 200 OK\r\n");
	wait_for(&a);
	assert_int_equal(a.st, ST_TIMEOUT);
	net_expect_end(fd);
	close(fd);
}

static void
test_nobody_there(void **state)
{
	struct ask a = { 0 }, b = { 0 };

	(void)state;
	close(fx.listening);
	net_call(fx.loop, send_ask, &a);
	wait_for(&a);
	assert_int_equal(a.st, ST_CONNECT);
	assert_null(http_url_parse("http://no-such-host.invalid/", &fx.opts.url));
	open_again();
	net_call(fx.loop, send_ask, &b);
	wait_for(&b);
	assert_int_equal(b.st, ST_NO_ADDRESS);
	fx.listening = net_listen(&fx.port);
}

/* localhost has two addresses, and the upstream listens on one of them. */
static void
test_tries_each_address(void **state)
{
	struct ask a = { 0 };
	char url[64];
	int fd;

	(void)state;
	(void)snprintf(url, sizeof(url), "http://localhost:%u/", fx.port);
	assert_null(http_url_parse(url, &fx.opts.url));
	open_again();
	net_call(fx.loop, send_ask, &a);
	fd = net_accept(fx.listening);
	net_message(fd, &m);
	net_say(fd, "HTTP/1.1 204 No Content\r\n\r\n");
	wait_for(&a);
	assert_int_equal(a.st, ST_OK);
	close(fd);
}

static void
cancel(void *arg)
{
	struct ask *a = arg;

	http_exchange_cancel(&a->exchange);
}

static void
test_cancel(void **state)
{
	struct ask a = { 0 }, b = { 0 };
	int fd;

	(void)state;
	net_call(fx.loop, send_ask, &a);
	net_call(fx.loop, cancel, &a);
	net_call(fx.loop, send_ask, &b);
	do {
		/* the first may have connected before it was given up */
		fd = net_accept(fx.listening);
		net_message(fd, &m);
	} while (m.head[0] == '\0');
	net_say(fd, "HTTP/1.1 100 Continue\r\n\r\n");
	net_call(fx.loop, cancel, &b);
	net_expect_end(fd);
	assert_int_equal(a.called, 0);
	assert_int_equal(b.called, 0);
	close(fd);
}

static void
test_done_may_send_and_free(void **state)
{
	struct ask a = { 0 }, b = { 0 };
	int fd;

	(void)state;
	a.next = &b;
	b.free_client = true;
	net_call(fx.loop, send_ask, &a);
	fd = net_accept(fx.listening);
	net_message(fd, &m);
	net_say(fd, "HTTP/1.1 204 No Content\r\n\r\n");
	wait_for(&a);
	/* on the same connection, which was free again by then */
	net_message(fd, &m);
	net_say(fd, "HTTP/1.1 204 No Content\r\n\r\n");
	wait_for(&b);
	assert_int_equal(b.st, ST_OK);
	net_expect_end(fd);
	close(fd);
}

static void
test_parallel_exchanges(void **state)
{
	enum { N = 8 };
	struct ask asks[N] = { 0 };
	int fds[N], i;

	(void)state;
	for (i = 0; i < N; i++)
		net_call(fx.loop, send_ask, &asks[i]);
	for (i = 0; i < N; i++) {
		fds[i] = net_accept(fx.listening);
		net_message(fds[i], &m);
	}
	for (i = 0; i < N; i++)
		net_say(fds[i], "HTTP/1.1 204 No Content\r\n\r\n");
	for (i = 0; i < N; i++) {
		wait_for(&asks[i]);
		assert_int_equal(asks[i].st, ST_OK);
	}
	for (i = 0; i < N; i++)
		close(fds[i]);
}

static void
test_idle_and_old_are_closed(void **state)
{
	struct ask a = { 0 }, b = { 0 };
	int fd;

	(void)state;
	fx.opts.idle_timeout_ns = 100 * CLOCK_MS;
	open_again();
	net_call(fx.loop, send_ask, &a);
	fd = net_accept(fx.listening);
	net_message(fd, &m);
	net_say(fd, "HTTP/1.1 204 No Content\r\n\r\n");
	wait_for(&a);
	net_expect_end(fd);
	close(fd);
	fx.opts.idle_timeout_ns = 60 * CLOCK_S;
	fx.opts.reconnect_ns = 1;
	open_again();
	net_call(fx.loop, send_ask, &b);
	fd = net_accept(fx.listening);
	net_message(fd, &m);
	net_say(fd, "HTTP/1.1 204 No Content\r\n\r\n");
	wait_for(&b);
	net_expect_end(fd);
	close(fd);
}

/* The listening one is a proxy from now on. */
static void
use_proxy(const char *url)
{
	char proxy[64];

	(void)snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", fx.port);
	assert_null(http_url_parse(proxy, &fx.opts.proxy));
	assert_null(http_url_parse(url, &fx.opts.url));
	open_again();
}

static void
test_through_a_proxy(void **state)
{
	struct ask a = { .body = BYTES_LIT("a") }, b = { .body = BYTES_LIT("b") };
	int fd;

	(void)state;
	use_proxy("http://[2001:db8::1]/write");
	net_call(fx.loop, send_ask, &a);
	fd = net_accept(fx.listening);
	net_message(fd, &m);
	assert_string_equal(m.head, "CONNECT [2001:db8::1]:80 HTTP/1.1\r\n"
	    "Host: [2001:db8::1]:80\r\n\r\n");
	/* what belongs to no answer of this kind says nothing */
	net_say(fd, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 2");
	net_say(fd, "00 Tunnel\r\nContent-Length: 5\r\n\r\n");
	net_message(fd, &m);
	assert_ptr_equal(strstr(m.head, "POST /write HTTP/1.1\r\n"), m.head);
	assert_non_null(strstr(m.head, "\r\nHost: [2001:db8::1]\r\n"));
	assert_string_equal(m.body, "a");
	net_say(fd, "HTTP/1.1 204 No Content\r\n\r\n");
	wait_for(&a);
	assert_int_equal(a.st, ST_OK);
	/* the tunnel is kept */
	net_call(fx.loop, send_ask, &b);
	net_message(fd, &m);
	assert_string_equal(m.body, "b");
	net_say(fd, "HTTP/1.1 204 No Content\r\n\r\n");
	wait_for(&b);
	assert_int_equal(b.st, ST_OK);
	close(fd);
}

static void
test_proxies_that_do_not_help(void **state)
{
	static const struct {
		const char *answer;
		enum status st;
	} proxies[] = {
		{ "HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\n\r\n",
		  ST_PROXY_AUTH },
		{ "HTTP/1.1 502 Bad\r\n\r\nsorry", ST_PROXY_REFUSED },
		{ "HTTP/1.1 403 No\r\n\r\n", ST_PROXY_REFUSED },
		{ "HTTP/1.1 302 There\r\nLocation: /\r\n\r\n",
		  ST_PROXY_REFUSED },
		{ "HTTP/1.1 101 What\r\n\r\n", ST_PROXY_ANSWER },
		{ "SSH-2.0-OpenSSH_9.2p1 Debian\r\n\r\n", ST_PROXY_ANSWER },
		{ "HTTP/1.1 200 OK\r\n\r\nmore", ST_PROXY_ANSWER },
		{ "HTTP/1.1 200 OK\r\n", ST_PROXY_ANSWER },
		{ "", ST_PROXY_ANSWER },
	};
	struct ask nobody = { 0 };
	size_t i;
	int fd;

	(void)state;
	use_proxy("http://upstream.invalid:81/");
	for (i = 0; i < sizeof(proxies) / sizeof(proxies[0]); i++) {
		struct ask a = { 0 };

		net_call(fx.loop, send_ask, &a);
		fd = net_accept(fx.listening);
		net_message(fd, &m);
		assert_non_null(strstr(m.head, "CONNECT upstream.invalid:81 "));
		net_say(fd, proxies[i].answer);
		shutdown(fd, SHUT_WR);
		wait_for(&a);
		assert_int_equal(a.st, proxies[i].st);
		net_expect_end(fd);
		close(fd);
	}
	assert_null(http_url_parse("http://proxy.invalid:1",
	    &fx.opts.proxy));
	open_again();
	net_call(fx.loop, send_ask, &nobody);
	wait_for(&nobody);
	assert_int_equal(nobody.st, ST_PROXY_CONNECT);
}

/* The time to connect is for all of the way. */
static void
test_proxy_says_nothing(void **state)
{
	struct ask a = { 0 }, b = { 0 };
	int fd;

	(void)state;
	fx.opts.connect_timeout_ns = 200 * CLOCK_MS;
	use_proxy("http://upstream.invalid/");
	net_call(fx.loop, send_ask, &a);
	fd = net_accept(fx.listening);
	net_message(fd, &m);
	wait_for(&a);
	assert_int_equal(a.st, ST_TIMEOUT);
	net_expect_end(fd);
	close(fd);
	close(fx.listening);
	net_call(fx.loop, send_ask, &b);
	wait_for(&b);
	assert_int_equal(b.st, ST_PROXY_CONNECT);
	fx.listening = net_listen(&fx.port);
}

static void
test_urls(void **state)
{
	static const struct {
		const char *url, *host, *port, *path, *authority;
		bool tls;
	} good[] = {
		{ "http://h", "h", "80", "/", "h", false },
		{ "HTTPS://h/a?b", "h", "443", "/a?b", "h", true },
		{ "http://h:9/x", "h", "9", "/x", "h:9", false },
		{ "http://[::1]:8080?q", "::1", "8080", "/?q", "[::1]:8080",
		  false },
	};
	static const char *const bad[] = {
		"", "h", "ftp://h/", "http://", "http:///x", "http://:80/",
		"http://u:p@h/", "http://h:/", "http://h:0/", "http://h:65536/",
		"http://h/a b", "http://h/#f", "http://[::1/", "http://[]/",
		"http://[::1]x/", "http://h h/", "http://h/\r\nX: y",
	};
	struct http_url u;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_null(http_url_parse(good[i].url, &u));
		assert_string_equal(u.host, good[i].host);
		assert_string_equal(u.port, good[i].port);
		assert_string_equal(u.path, good[i].path);
		assert_string_equal(u.authority, good[i].authority);
		assert_int_equal(u.tls, good[i].tls);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_non_null(http_url_parse(bad[i], &u));
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_request_as_written),
		TEST(test_connection_is_kept),
		TEST(test_answer_until_close),
		TEST(test_large_body_both_ways),
		TEST(test_early_answer),
		TEST(test_kept_and_closed_is_replaced),
		TEST(test_cut),
		TEST(test_not_http),
		TEST(test_endless_headers),
		TEST(test_no_answer_in_time),
		TEST(test_nobody_there),
		TEST(test_tries_each_address),
		TEST(test_cancel),
		TEST(test_done_may_send_and_free),
		TEST(test_parallel_exchanges),
		TEST(test_idle_and_old_are_closed),
		TEST(test_through_a_proxy),
		TEST(test_proxies_that_do_not_help),
		TEST(test_proxy_says_nothing),
		cmocka_unit_test(test_urls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
