/* test_fake.c - server and client over the fake network, in virtual time: the
 * fakes keep the promises of io/, and the timeouts are those that were asked for.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fake/loop.h"
#include "fake/stream.h"
#include "http/client.h"
#include "http/server.h"

#define PORT 9201

static struct loop *ours, *theirs;
static struct http_client *client;
static struct http_server *server;

/* ---- upstream: answers 204, or not at all, or slowly --------------------------- */

static unsigned served;
static size_t served_bytes;
static bool silent;

static enum status
begin(struct http_request *r, void *arg)
{
	(void)r;
	(void)arg;
	return ST_OK;
}

static enum status
body(struct http_request *r, struct bytes piece)
{
	(void)r;
	served_bytes += piece.n;
	return ST_OK;
}

static void
end(struct http_request *r)
{
	served++;
	if (!silent)
		http_respond_status(r, ST_OK, NULL, 0);
}

static void
gone(struct http_request *r, enum status why)
{
	(void)r;
	(void)why;
}

static const struct http_handler handler = { begin, body, end, gone };
static const struct http_route route = { "POST", "/", &handler, NULL };

static void
accepted(int fd, const struct loop_addr *peer, void *arg)
{
	(void)arg;
	http_server_adopt(server, fd, peer);
}

/* ---- our side ---------------------------------------------------------------------- */

static enum status last;
static int answered, status;

static void
done(enum status st, const struct http_answer *answer, void *arg)
{
	(void)arg;
	last = st;
	status = answer ? answer->status : 0;
	answered++;
}

static void
ask(struct bytes text)
{
	struct http_call call = { .method = "POST", .body = text };
	struct http_exchange *x;

	assert_int_equal(http_client_send(client, &call, done, NULL, &x),
	    ST_OK);
}

static bool
is_answered(void *arg)
{
	return answered >= *(int *)arg;
}

static enum status
await(int n)
{
	assert_true(fake_until(is_answered, &n, 3600 * CLOCK_S));
	return last;
}

static int
setup(void **state)
{
	struct http_server_opts so = {
		.routes = &route, .n_routes = 1,
		.max_header_bytes = 16384, .max_body_bytes = 1 << 24,
		.max_connections = 100,
		.header_timeout_ns = 10 * CLOCK_S,
		.body_timeout_ns = 20 * CLOCK_S,
		.idle_timeout_ns = 300 * CLOCK_S,
	};
	struct http_client_opts co = {
		.connect_timeout_ns = 6 * CLOCK_S,
		.answer_timeout_ns = 30 * CLOCK_S,
		.idle_timeout_ns = 200 * CLOCK_S,
		.reconnect_ns = 3600 * CLOCK_S,
		.max_body_bytes = 1000,
	};

	(void)state;
	fake_network_clear();
	fake_host("upstream", 1);
	served = 0;
	served_bytes = 0;
	silent = false;
	answered = 0;
	assert_null(http_url_parse("http://upstream:9201/", &co.url));
	assert_int_equal(loop_new("ours", &ours), ST_OK);
	assert_int_equal(loop_new("theirs", &theirs), ST_OK);
	assert_int_equal(http_server_new(theirs, &so, &server), ST_OK);
	assert_int_equal(http_client_new(ours, &co, &client), ST_OK);
	fake_listen(PORT, accepted, NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	http_client_free(&client);
	http_server_free(&server);
	assert_int_equal(fake_streams(), 0);
	loop_free(&ours);
	loop_free(&theirs);
	return 0;
}

/* ---- tests --------------------------------------------------------------------------- */

static void
test_exchange(void **state)
{
	static char big[5 << 20];
	int64_t at;

	(void)state;
	fake_latency(10 * CLOCK_MS);
	at = clock_mono();
	ask(BYTES_LIT("hello"));
	assert_int_equal(await(1), ST_OK);
	assert_int_equal(status, 204);
	/* lookup, connect, ask */
	assert_int_equal(clock_mono() - at, 41 * CLOCK_MS);
	at = clock_mono();
	ask(bytes_of(big, sizeof(big)));
	assert_int_equal(await(2), ST_OK);
	assert_int_equal(served_bytes, sizeof(big) + 5);
	assert_int_equal(http_server_connections(server), 1);
	assert_true(clock_mono() - at >= 20 * CLOCK_MS);
}

static void
test_kept_until_idle(void **state)
{
	int64_t at;

	(void)state;
	ask(BYTES_LIT("a"));
	await(1);
	at = clock_mono();
	fake_pass(199 * CLOCK_S);
	assert_int_equal(clock_mono() - at, 199 * CLOCK_S);
	assert_int_equal(fake_streams(), 2);
	fake_pass(2 * CLOCK_S);
	assert_int_equal(fake_streams(), 0);
	assert_int_equal(http_server_connections(server), 0);
}

static void
test_answer_timeout(void **state)
{
	int64_t at;

	(void)state;
	silent = true;
	at = clock_mono();
	ask(BYTES_LIT("a"));
	assert_int_equal(await(1), ST_TIMEOUT);
	assert_int_equal(clock_mono() - at, 30 * CLOCK_S);
	assert_int_equal(served, 1);
}

static void
test_connect_timeout_over_addresses(void **state)
{
	int64_t at;

	(void)state;
	fake_host("upstream", 3);
	fake_swallow(PORT, true);
	at = clock_mono();
	ask(BYTES_LIT("a"));
	assert_int_equal(await(1), ST_CONNECT);
	assert_int_equal(clock_mono() - at, 6 * CLOCK_S + CLOCK_MS);
}

static void
test_refused_and_unknown(void **state)
{
	(void)state;
	fake_listen(PORT, NULL, NULL);
	ask(BYTES_LIT("a"));
	assert_int_equal(await(1), ST_CONNECT);
	/* names are asked again after an error; when that fails, the address
	 * of before is tried */
	fake_host("upstream", 0);
	fake_listen(PORT, accepted, NULL);
	ask(BYTES_LIT("a"));
	assert_int_equal(await(2), ST_OK);
}

static void
test_unknown_name(void **state)
{
	(void)state;
	fake_host("upstream", 0);
	ask(BYTES_LIT("a"));
	assert_int_equal(await(1), ST_NO_ADDRESS);
}

static void
test_cut(void **state)
{
	(void)state;
	ask(BYTES_LIT("a"));
	await(1);
	/* while kept: nobody is told */
	fake_cut(PORT);
	fake_pass(CLOCK_MS);
	assert_int_equal(fake_streams(), 0);
	ask(BYTES_LIT("b"));
	assert_int_equal(await(2), ST_OK);
	/* with a request under way on a connection that served before: again
	 * on a fresh one; and then not a third time */
	silent = true;
	ask(BYTES_LIT("c"));
	fake_pass(CLOCK_MS);
	fake_cut(PORT);
	fake_pass(10 * CLOCK_MS);
	assert_int_equal(answered, 2);
	assert_int_equal(served, 4);
	fake_cut(PORT);
	assert_int_equal(await(3), ST_CUT);
	assert_int_equal(served, 4);
}

static void
test_server_drains(void **state)
{
	(void)state;
	ask(BYTES_LIT("a"));
	await(1);
	http_server_drain(server, NULL, NULL);
	fake_pass(CLOCK_MS);
	assert_int_equal(fake_streams(), 0);
	assert_int_equal(http_server_connections(server), 0);
}

/* A request every minute for a day, the same in each run. */
static void
test_a_day(void **state)
{
	int64_t began = clock_mono(), wall = clock_wall();
	int i;

	(void)state;
	fake_latency(50 * CLOCK_MS);
	for (i = 1; i <= 24 * 60; i++) {
		ask(BYTES_LIT("sample"));
		assert_int_equal(await(i), ST_OK);
		fake_pass(began + i * 60 * CLOCK_S - clock_mono());
	}
	assert_int_equal(served, 24 * 60);
	assert_int_equal(clock_mono() - began, 86400 * CLOCK_S);
	assert_int_equal(clock_wall() - wall, 86400 * CLOCK_S);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_exchange),
		TEST(test_kept_until_idle),
		TEST(test_answer_timeout),
		TEST(test_connect_timeout_over_addresses),
		TEST(test_refused_and_unknown),
		TEST(test_unknown_name),
		TEST(test_cut),
		TEST(test_server_drains),
		TEST(test_a_day),
	};

	fake_clock_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
