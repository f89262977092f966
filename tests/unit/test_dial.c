/* test_dial.c - which addresses are tried, when, and which of them wins.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "fake/loop.h"
#include "fake/stream.h"
#include "http/dial.h"

#define PORT 9201

static const char *const four[] = { "2001:db8::1", "2001:db8::2", "192.0.2.1",
	"192.0.2.2", NULL };

static struct loop *loop;
static struct dialer *dialer;
static struct dialer_opts opts;

/* ---- the far end, and who dials ------------------------------------------------------ */

static struct stream *far[8];
static size_t n_far;
static struct stream *won[8];
static size_t n_won;
static unsigned ended;
static enum status last;
static int64_t began, ended_at;

static void
no_event(struct stream *s, enum stream_event event, void *arg)
{
	(void)s;
	(void)event;
	(void)arg;
}

static void
accepted(int fd, const struct loop_addr *peer, void *arg)
{
	(void)arg;
	assert_in_range(n_far, 0, 7);
	assert_int_equal(stream_accept(loop, fd, peer, no_event, NULL,
	    &far[n_far++]), ST_OK);
}

static void
dialled(enum status st, struct stream *taken, void *arg)
{
	(void)arg;
	last = st;
	ended++;
	ended_at = clock_mono() - began;
	assert_true((st == ST_OK) == (taken != NULL));
	if (!taken)
		return;
	stream_own(taken, no_event, NULL);
	won[n_won++] = taken;
}

static void
dial(void)
{
	began = clock_mono();
	assert_int_equal(dialer_dial(dialer), ST_OK);
	assert_int_equal(ended, 0);
}

static enum status
dial_and_wait(void)
{
	dial();
	fake_pass(20 * CLOCK_S);
	assert_int_equal(ended, 1);
	assert_int_equal(dialer_dials(dialer), 0);
	ended = 0;
	return last;
}

static void
expect_try(size_t i, const char *address, int64_t at)
{
	const struct fake_try *t;

	assert_true(fake_tries(&t) > i);
	assert_string_equal(t[i].address, address);
	assert_int_equal(t[i].at - began, at);
}

static size_t
n_tries(void)
{
	const struct fake_try *t;

	return fake_tries(&t);
}

static int
setup(void **state)
{
	(void)state;
	n_far = n_won = ended = 0;
	fake_network_clear();
	fake_listen(PORT, accepted, NULL);
	memset(&opts, 0, sizeof(opts));
	opts.timeout_ns = 6 * CLOCK_S;
	opts.look_again_ns = 600 * CLOCK_S;
	assert_null(http_url_parse("http://upstream:9201/", &opts.url));
	assert_int_equal(loop_new("test", &loop), ST_OK);
	return 0;
}

static void
open_dialer(void)
{
	assert_int_equal(dialer_new(loop, &opts, dialled, NULL, &dialer),
	    ST_OK);
}

static int
teardown(void **state)
{
	(void)state;
	dialer_free(&dialer);
	while (n_won)
		stream_close(&won[--n_won], ST_CANCELLED);
	while (n_far)
		stream_close(&far[--n_far], ST_CANCELLED);
	fake_settle();
	assert_int_equal(fake_streams(), 0);
	loop_free(&loop);
	return 0;
}

/* ---- tests --------------------------------------------------------------------------- */

static void
test_families_alternate(void **state)
{
	size_t i;

	(void)state;
	fake_host_at("upstream", four);
	for (i = 0; four[i]; i++)
		fake_way(four[i], FAKE_SWALLOWED);
	open_dialer();
	assert_int_equal(dial_and_wait(), ST_CONNECT);
	assert_int_equal(n_tries(), 4);
	expect_try(0, "2001:db8::1", CLOCK_MS);
	expect_try(1, "192.0.2.1", 251 * CLOCK_MS);
	expect_try(2, "2001:db8::2", 501 * CLOCK_MS);
	expect_try(3, "192.0.2.2", 751 * CLOCK_MS);
	assert_int_equal(ended_at, 6001 * CLOCK_MS);
	assert_int_equal(fake_streams(), 0);
}

static void
test_first_that_answers_wins(void **state)
{
	(void)state;
	fake_host_at("upstream", four);
	fake_way("2001:db8::1", FAKE_SWALLOWED);
	fake_way("192.0.2.1", FAKE_SWALLOWED);
	open_dialer();
	assert_int_equal(dial_and_wait(), ST_OK);
	assert_string_equal(stream_peer_name(won[0]), "2001:db8::2");
	assert_int_equal(ended_at, 501 * CLOCK_MS);
	assert_int_equal(n_tries(), 3);
	/* the others are given up, and it is the first one next time */
	assert_int_equal(fake_streams(), 2);
	assert_int_equal(dial_and_wait(), ST_OK);
	expect_try(3, "2001:db8::2", 0);
	/* also when names are looked up again */
	dialer_doubt(dialer);
	assert_int_equal(dial_and_wait(), ST_OK);
	expect_try(4, "2001:db8::2", CLOCK_MS);
	/* or when it goes, and families alternate from there */
	fake_way("2001:db8::2", FAKE_REFUSED);
	assert_int_equal(dial_and_wait(), ST_OK);
	expect_try(5, "2001:db8::2", 0);
	expect_try(6, "192.0.2.1", 0);
	expect_try(7, "2001:db8::1", 250 * CLOCK_MS);
	expect_try(8, "192.0.2.2", 500 * CLOCK_MS);
	assert_string_equal(stream_peer_name(won[3]), "192.0.2.2");
}

static void
test_slow_is_not_lost(void **state)
{
	(void)state;
	fake_host_at("upstream", four);
	fake_latency(200 * CLOCK_MS);
	open_dialer();
	assert_int_equal(dial_and_wait(), ST_OK);
	assert_string_equal(stream_peer_name(won[0]), "2001:db8::1");
	assert_int_equal(ended_at, 401 * CLOCK_MS);
	assert_int_equal(n_tries(), 2);
}

static void
test_refused_goes_on_at_once(void **state)
{
	size_t i;

	(void)state;
	fake_host_at("upstream", four);
	fake_way("2001:db8::1", FAKE_REFUSED);
	fake_way("192.0.2.1", FAKE_REFUSED);
	open_dialer();
	assert_int_equal(dial_and_wait(), ST_OK);
	assert_int_equal(ended_at, CLOCK_MS);
	for (i = 0; four[i]; i++)
		fake_way(four[i], FAKE_REFUSED);
	assert_int_equal(dial_and_wait(), ST_CONNECT);
	assert_int_equal(ended_at, 0);
	assert_int_equal(n_tries(), 7);
}

/* There is time for each of them. */
static void
test_little_time(void **state)
{
	(void)state;
	fake_host_at("upstream", four);
	fake_way("2001:db8::1", FAKE_SWALLOWED);
	fake_way("192.0.2.1", FAKE_SWALLOWED);
	fake_way("2001:db8::2", FAKE_SWALLOWED);
	opts.timeout_ns = 80 * CLOCK_MS;
	open_dialer();
	assert_int_equal(dial_and_wait(), ST_OK);
	assert_int_equal(ended_at, 61 * CLOCK_MS);
	assert_string_equal(stream_peer_name(won[0]), "192.0.2.2");
}

static void
test_one_lookup_for_many(void **state)
{
	(void)state;
	fake_host("upstream", 1);
	open_dialer();
	dial();
	dial();
	assert_int_equal(dialer_late(dialer), ST_NO_ADDRESS);
	assert_int_equal(dialer_dials(dialer), 2);
	fake_pass(CLOCK_MS);
	assert_int_equal(dialer_late(dialer), ST_TIMEOUT);
	fake_pass(CLOCK_MS);
	assert_int_equal(ended, 2);
	assert_int_equal(n_won, 2);
	ended = 0;
	fake_host("upstream", 0);
	fake_pass(600 * CLOCK_S);
	/* nobody knows the name any more: what was good may be so */
	assert_int_equal(dial_and_wait(), ST_OK);
	dialer_free(&dialer);
	open_dialer();
	assert_int_equal(dial_and_wait(), ST_NO_ADDRESS);
}

/* Each of two ways to the proxy gets as far as its answer. */
static void
test_proxy(void **state)
{
	static const char *const two[] = { "192.0.2.7", "2001:db8::7", NULL };
	int dummy;

	(void)state;
	fake_host_at("proxy", two);
	fake_host("upstream", 0);
	assert_null(http_url_parse("http://proxy:9201", &opts.proxy));
	opts.url.tls = true;
	opts.tls = (struct tls *)(void *)&dummy;	/* never looked at */
	fake_protocol("h2");
	open_dialer();
	dial();
	fake_pass(100 * CLOCK_MS);
	assert_int_equal(n_far, 1);
	stream_write_copy(far[0], BYTES_LIT("HTTP/1.1 502 No\r\n\r\n"));
	fake_pass(100 * CLOCK_MS);
	assert_int_equal(n_far, 2);
	assert_int_equal(stream_input(far[1]).n, strlen(
	    "CONNECT upstream:9201 HTTP/1.1\r\nHost: upstream:9201\r\n\r\n"));
	stream_write_copy(far[1], BYTES_LIT("HTTP/1.1 200 Go\r\n\r\n"));
	fake_pass(CLOCK_MS);
	assert_int_equal(ended, 1);
	assert_int_equal(last, ST_OK);
	assert_true(bytes_eq(stream_protocol(won[0]), BYTES_LIT("h2")));
	assert_string_equal(stream_peer_name(won[0]), "2001:db8::7");
}

static void
test_freed_in_between(void **state)
{
	(void)state;
	fake_host_at("upstream", four);
	fake_way("2001:db8::1", FAKE_SWALLOWED);
	open_dialer();
	dial();
	dial();
	fake_pass(CLOCK_MS);
	dial();
	assert_int_equal(fake_streams(), 2);
	dialer_free(&dialer);
	fake_pass(CLOCK_S);
	assert_int_equal(ended, 0);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_families_alternate),
		TEST(test_first_that_answers_wins),
		TEST(test_slow_is_not_lost),
		TEST(test_refused_goes_on_at_once),
		TEST(test_little_time),
		TEST(test_one_lookup_for_many),
		TEST(test_proxy),
		TEST(test_freed_in_between),
	};

	fake_clock_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
