/* test_http_oom.c - an exchange between client and server in which the n-th
 * allocation fails, for every n: it ends in one way or another, nothing is lost
 * or used after its end, and the next exchange works.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "certs.h"
#include "fake/oom.h"
#include "http/client.h"
#include "http/server.h"
#include "io/listener.h"
#include "io/tls.h"

/* ---- the exchange ------------------------------------------------------------------ */

static struct loop *loop;
static struct http_server *server;
static struct http_client *client;
static struct loop_timer *patience;
static unsigned open_requests, called;
static int status;
static enum status result;
static uint64_t allowed;		/* allocations, one less */
static bool failed;			/* one has */

static enum status
begin(struct http_request *r, void *arg)
{
	(void)r;
	(void)arg;
	open_requests++;
	return ST_OK;
}

static enum status
body(struct http_request *r, struct bytes piece)
{
	(void)r;
	(void)piece;
	return ST_OK;
}

static void
end(struct http_request *r)
{
	open_requests--;
	http_respond_status(r, ST_BUSY, NULL, 5);
}

static void
gone(struct http_request *r, enum status why)
{
	(void)r;
	(void)why;
	open_requests--;
}

static const struct http_handler handler = { begin, body, end, gone };
static const struct http_route route = { "POST", "/", &handler, NULL };

static void
accepted(int fd, const struct loop_addr *peer, void *arg)
{
	(void)arg;
	http_server_adopt(server, fd, peer);
}

static void
done(enum status st, const struct http_answer *answer, void *arg)
{
	(void)arg;
	called++;
	result = st;
	status = answer ? answer->status : 0;
	loop_stop(loop);
}

static void
stop(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

/* The status of http_client_send, or what done was told. */
static enum status
exchange(void)
{
	static const char text[3000];
	struct http_call call = { .method = "POST",
		.body = { (const uint8_t *)text, sizeof(text) } };
	struct http_exchange *x;
	enum status st;

	called = 0;
	status = 0;
	st = http_client_send(client, &call, done, NULL, &x);
	if (st != ST_OK)
		return st;
	loop_timer_start(patience, 10 * CLOCK_S);
	loop_run(loop);
	loop_timer_stop(patience);
	assert_int_equal(called, 1);
	return result;
}

static void
each_allocation(struct tls *client_tls, struct tls *server_tls)
{
	struct http_server_opts so = {
		.routes = &route, .n_routes = 1,
		.max_header_bytes = 8192, .max_body_bytes = 1 << 20,
		.max_connections = 100,
		.header_timeout_ns = CLOCK_S, .body_timeout_ns = CLOCK_S,
		.idle_timeout_ns = 60 * CLOCK_S,
		.tls = server_tls,
	};
	struct http_client_opts co = {
		.connect_timeout_ns = CLOCK_S, .answer_timeout_ns = 2 * CLOCK_S,
		.idle_timeout_ns = 60 * CLOCK_S, .reconnect_ns = 60 * CLOCK_S,
		.max_body_bytes = 1000,
		.tls = client_tls,
	};
	struct listener_opts lo = { .name = "oom", .address = "127.0.0.1:0",
		.backlog = 16, .fd = -1 };
	struct listener *l;
	char url[64];
	long n, lost = 0;
	enum status st;

	assert_int_equal(loop_new("oom", &loop), ST_OK);
	assert_int_equal(loop_timer_new(loop, stop, NULL, &patience), ST_OK);
	assert_int_equal(http_server_new(loop, &so, &server), ST_OK);
	assert_int_equal(listener_open(&lo, &l), ST_OK);
	assert_int_equal(listener_start(l, loop, accepted, NULL), ST_OK);
	(void)snprintf(url, sizeof(url), "http%s://127.0.0.1:%u/",
	    client_tls ? "s" : "", listener_port(l));
	assert_null(http_url_parse(url, &co.url));
	for (n = 1;; n++) {
		/* a fresh connection, then a kept one */
		assert_int_equal(http_client_new(loop, &co, &client), ST_OK);
		oom_on((uint64_t)n);
		st = exchange();
		if (st == ST_OK)
			(void)exchange();
		if (!oom_off())
			break;
		lost += st != ST_OK;
		assert_int_equal(exchange(), ST_OK);
		assert_int_equal(status, 503);
		http_client_free(&client);
		loop_stop(loop);
		loop_run(loop);
	}
	/* there were some, and the most of them ended the exchange */
	assert_true(n > 15);
	assert_true(lost > n / 3);
	http_client_free(&client);
	http_server_free(&server);
	assert_int_equal(open_requests, 0);
	listener_close(&l);
	loop_timer_free(&patience);
	loop_free(&loop);
}

static void
test_each_allocation(void **state)
{
	(void)state;
	each_allocation(NULL, NULL);
}

/* Those of ours: OpenSSL has its own. */
static void
each_allocation_over(const char *alpn)
{
	char path[] = "/tmp/test_http_oom.XXXXXX";
	const char *const file[] = { path };
	struct tls_server_opts so = {
		.common = { .name = "a", .certificate = file,
			.n_certificates = 1, .ca = "", .alpn = alpn },
		.crl = "",
	};
	struct tls_client_opts co = {
		.common = { .name = "b", .ca = path, .alpn = alpn },
		.server_name = "127.0.0.1",
	};
	struct cert *c = cert_new(NULL, &(struct cert_opts){ .cn = "c",
		.san = "IP:127.0.0.1", .ca = true });
	struct tls *client_tls = NULL, *server_tls = NULL;
	struct tls_fault why;
	int fd = mkstemp(path);
	long n;

	assert_int_not_equal(fd, -1);
	(void)close(fd);
	cert_write(c, path);
	cert_write_key(c, path, "a", NULL);
	for (n = 1;; n++) {
		oom_on((uint64_t)n);
		if (tls_server_new(&so, &server_tls, &why) == ST_OK &&
		    tls_client_new(&co, &client_tls, &why) == ST_OK &&
		    !oom_off())
			break;
		(void)oom_off();
		tls_free(&server_tls);
		tls_free(&client_tls);
	}
	assert_true(n > 6);
	each_allocation(client_tls, server_tls);
	tls_free(&client_tls);
	tls_free(&server_tls);
	cert_free(&c);
	(void)unlink(path);
}

static void
test_each_allocation_of_tls(void **state)
{
	(void)state;
	each_allocation_over("http/1.1");
}

static void
test_each_allocation_of_tls_with_http2(void **state)
{
	(void)state;
	each_allocation_over("h2");
}

/* ---- HTTP/2 ------------------------------------------------------------------------- */

/* Two requests: one with a body, one that is refused; and their sender's end. */
static const char requests[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    "\0\0\0\4\0\0\0\0\0"
    "\0\0\x0a\1\4\0\0\0\1" "\x83\x86\x84\x01\5relay"
    "\0\0\4\0\1\0\0\0\1" "body"
    "\0\0\x0c\1\5\0\0\0\3" "\x82\x86\x04\2/x\x01\4here";

static struct loop_timer *look;

static void
until_served(void *arg)
{
	(void)arg;
	if (http_server_connections(server))
		loop_timer_start(look, CLOCK_MS);
	else
		loop_stop(loop);
}

/* Bytes of the answers. */
static size_t
serve(void)
{
	struct http_server_opts so = {
		.routes = &route, .n_routes = 1,
		.max_header_bytes = 8192, .max_body_bytes = 1 << 20,
		.max_connections = 1, .header_timeout_ns = CLOCK_S,
		.body_timeout_ns = CLOCK_S, .idle_timeout_ns = CLOCK_S,
		.http2 = true,
	};
	struct loop_addr peer = { .ss.ss_family = AF_UNIX };
	char answers[4096];
	ssize_t n;
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    fd), 0);
	assert_int_equal(http_server_new(loop, &so, &server), ST_OK);
	assert_int_equal(loop_timer_new(loop, until_served, NULL, &look),
	    ST_OK);
	assert_int_equal(write(fd[1], requests, sizeof(requests) - 1),
	    sizeof(requests) - 1);
	assert_int_equal(shutdown(fd[1], SHUT_WR), 0);
	oom_on(allowed);
	http_server_adopt(server, fd[0], &peer);
	loop_timer_start(look, CLOCK_MS);
	loop_run(loop);
	failed = oom_off();
	http_server_free(&server);
	loop_timer_free(&look);
	n = read(fd[1], answers, sizeof(answers));
	(void)close(fd[1]);
	return n > 0 ? (size_t)n : 0;
}

static void
test_each_allocation_of_http2(void **state)
{
	size_t whole, n;

	(void)state;
	assert_int_equal(loop_new("oom", &loop), ST_OK);
	allowed = UINT64_MAX;
	whole = serve();
	assert_true(whole > 100);
	failed = true;
	for (allowed = 1; failed; allowed++) {
		n = serve();
		assert_true(n <= whole);
		assert_int_equal(open_requests, 0);
	}
	assert_int_equal(n, whole);
	assert_true(allowed > 10);
	loop_free(&loop);
}

/* What is made at start-up is made whole or not at all. */
static void
test_making(void **state)
{
	struct http_server_opts so = { .routes = &route, .n_routes = 1 };
	struct http_client_opts co = { .max_body_bytes = 1 };
	struct listener_opts lo = { .name = "oom", .address = "127.0.0.1:0",
		.backlog = 16, .fd = -1 };
	struct listener *l, *clone;
	bool whole = false;
	long n;

	(void)state;
	for (n = 1; !whole; n++) {
		oom_on((uint64_t)n);
		loop = NULL;
		server = NULL;
		client = NULL;
		l = clone = NULL;
		if (loop_new("oom", &loop) == ST_OK &&
		    http_server_new(loop, &so, &server) == ST_OK &&
		    http_client_new(loop, &co, &client) == ST_OK &&
		    listener_open(&lo, &l) == ST_OK &&
		    listener_clone(l, &clone) == ST_OK &&
		    listener_start(clone, loop, accepted, NULL) == ST_OK)
			whole = true;
		whole = !oom_off() && whole;
		listener_close(&clone);
		listener_close(&l);
		http_client_free(&client);
		http_server_free(&server);
		loop_free(&loop);
	}
	assert_true(n > 6);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_allocation),
		cmocka_unit_test(test_each_allocation_of_tls),
		cmocka_unit_test(test_each_allocation_of_tls_with_http2),
		cmocka_unit_test(test_each_allocation_of_http2),
		cmocka_unit_test(test_making),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
