/* test_base.c - bytes, arena, buf, descriptors, pace, trend, log, status.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "base/pace.h"
#include "base/status.h"
#include "base/trend.h"

/* ---- bytes ---- */

static void
varints_round_trip(void **state)
{
	static const uint64_t v[] = { 0, 1, 127, 128, 300, UINT32_MAX,
		INT64_MAX, UINT64_MAX };
	uint8_t room[VARINT_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		size_t n = (size_t)(varint_put(room, v[i]) - room);
		struct reader r = reader_of(bytes_of(room, n));

		assert_int_equal(n, varint_size(v[i]));
		assert_int_equal(read_varint(&r), v[i]);
		assert_false(r.bad);
		assert_int_equal(reader_left(&r), 0);
		r = reader_of(bytes_of(room, n - 1));
		assert_int_equal(read_varint(&r), 0);
		assert_true(r.bad);
	}
}

static void
varints_too_long_are_bad(void **state)
{
	static const uint8_t eleven[] = { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
		0x80, 0x80, 0x80, 0x80, 0x01 };
	static const uint8_t over[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0x02 };
	struct reader r = reader_of(bytes_of(eleven, sizeof(eleven)));

	(void)state;
	(void)read_varint(&r);
	assert_true(r.bad);
	r = reader_of(bytes_of(over, sizeof(over)));
	(void)read_varint(&r);
	assert_true(r.bad);
}

static void
zigzag_round_trips(void **state)
{
	static const int64_t v[] = { 0, -1, 1, INT64_MAX, INT64_MIN };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		assert_int_equal(zigzag_get(zigzag_put(v[i])), v[i]);
	assert_int_equal(zigzag_put(-1), 1);
}

static void
a_reader_stays_bad(void **state)
{
	struct reader r = reader_of(BYTES_LIT("abc"));

	(void)state;
	assert_int_equal(read_le32(&r), 0);
	assert_true(r.bad);
	assert_int_equal(read_u8(&r), 0);
	assert_int_equal(reader_left(&r), 0);
}

static void
names_sort_by_bytes(void **state)
{
	(void)state;
	assert_true(bytes_cmp(BYTES_LIT("Foo"), BYTES_LIT("__name__")) < 0);
	assert_true(bytes_cmp(BYTES_LIT("__name__"), BYTES_LIT("foo")) < 0);
	assert_true(bytes_cmp(BYTES_LIT("a"), BYTES_LIT("ab")) < 0);
	assert_true(bytes_cmp(BYTES_LIT("\xff"), BYTES_LIT("a")) > 0);
	assert_int_equal(bytes_cmp(bytes_of(NULL, 0), BYTES_LIT("")), 0);
}

/* ---- arena ---- */

static void
an_arena_keeps_to_its_limit(void **state)
{
	struct arena *a = arena_new(1000, 0);

	(void)state;
	assert_non_null(arena_take(a, 900));
	assert_null(arena_take(a, 200));
	assert_true(arena_failed(a));
	assert_null(arena_take(a, 1));	/* sticky */
	arena_reset(a);
	assert_non_null(arena_take(a, 200));
	assert_null(arena_take_array(a, SIZE_MAX / 2, 16));
	arena_free(&a);
	assert_null(a);
}

static void
an_arena_rewinds(void **state)
{
	struct arena *a = arena_new(1 << 20, 1 << 16);
	struct arena_mark m;
	char *p, *q;

	(void)state;
	p = arena_copy(a, "kept", 5);
	m = arena_mark(a);
	(void)arena_take(a, 100000);
	arena_rewind(a, m);
	q = arena_take(a, 16);
	assert_ptr_equal(q, p + 16);
	assert_string_equal(p, "kept");
	arena_free(&a);
}

static void
a_reset_arena_keeps_what_it_may(void **state)
{
	struct arena *a = arena_new(1 << 20, 1 << 16);
	size_t held;

	(void)state;
	(void)arena_take(a, 20000);
	held = arena_size(a);
	arena_reset(a);
	assert_int_equal(arena_size(a), held);
	(void)arena_take(a, 500000);
	arena_reset(a);
	assert_true(arena_size(a) <= 1 << 16);
	arena_free(&a);
}

/* ---- buf ---- */

static void
a_buf_keeps_to_its_limit(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	assert_true(buf_append_str(&b, "12345678"));
	assert_false(buf_append_str(&b, "901"));
	assert_true(buf_failed(&b));
	assert_int_equal(b.len, 8);
	buf_reset(&b, 1024);
	assert_false(buf_failed(&b));
	assert_int_equal(b.len, 0);
	buf_fini(&b);
}

static void
a_buf_prints_and_drops(void **state)
{
	struct buf *b = buf_new(1000);

	(void)state;
	assert_true(buf_printf(b, "%s=%d", "answer", 42));
	buf_drop(b, 7);
	assert_true(bytes_eq(buf_bytes(b), BYTES_LIT("42")));
	buf_free(&b);
	assert_null(b);
}

/* ---- pace ---- */

static void
backoff_doubles_with_jitter(void **state)
{
	struct backoff b = { .first_ns = 100 * CLOCK_MS,
		.max_ns = 30 * CLOCK_S, .seed = 7 };
	int64_t last = 0, d, want = 100 * CLOCK_MS;
	int i;

	(void)state;
	for (i = 0; i < 20; i++) {
		d = backoff_next(&b);
		assert_true(d >= want * 9 / 10 && d <= want * 11 / 10);
		assert_true(d * 10 >= last * 8);
		last = d;
		want = want * 2 > b.max_ns ? b.max_ns : want * 2;
	}
	backoff_reset(&b);
	assert_true(backoff_next(&b) <= 110 * CLOCK_MS);
}

/* ---- log, status ---- */

static void
foreign_text_is_quoted(void **state)
{
	char out[32];

	(void)state;
	assert_string_equal(log_quote(BYTES_LIT("a\"b\\\n"), out, sizeof(out)),
	    "\"a\\\"b\\\\\\x0a\"");
	assert_string_equal(log_quote(BYTES_LIT("abcdefgh"), out, 8), "\"a\"");
}

static void
log_lines_are_limited(void **state)
{
	int to[2], saved = dup(STDERR_FILENO), i, lines = 0;
	char text[65536];
	ssize_t n, j;

	(void)state;
	assert_int_equal(pipe(to), 0);
	assert_true(dup2(to[1], STDERR_FILENO) != -1);
	errno = 5;
	for (i = 0; i < 100; i++)
		log_warn("flood", "i=%d", i);
	assert_int_equal(errno, 5);
	log_info("other", "x=1");
	assert_true(dup2(saved, STDERR_FILENO) != -1);
	(void)close(to[1]);
	n = read(to[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	for (j = 0; j < n; j++)
		lines += text[j] == '\n';
	assert_in_range(lines, 21, 22);
	assert_non_null(strstr(text, "level=warn event=flood i=0\n"));
	assert_non_null(strstr(text, "event=other x=1\n"));
	(void)close(to[0]);
	(void)close(saved);
}

static void
every_status_has_its_words(void **state)
{
	enum status st;

	(void)state;
	for (st = ST_OK; st < ST__N; st++) {
		assert_non_null(status_info(st)->word);
		assert_true(strlen(status_info(st)->sentence) > 0);
		/* a passing condition must not make a sender drop data */
		if (status_info(st)->class == STATUS_BUSY)
			assert_int_equal(status_info(st)->http, 503);
	}
	assert_int_equal(status_from_errno(ENOSPC, ST_DISK), ST_NO_SPACE);
	assert_int_equal(status_from_errno(EIO, ST_DISK), ST_DISK);
}

/* ---- trend ---- */

/* Values a step apart, from the start on. */
static double
rate_of(const int64_t *value, unsigned n)
{
	struct trend t = { .n = 0 };
	unsigned i;

	for (i = 0; i < n; i++) {
		trend_put(&t, value[i], i * TREND_STEP_NS + 5);
		trend_put(&t, -1, i * TREND_STEP_NS + 6);	/* too soon */
	}
	return trend_rate(&t);
}

static void
a_trend_is_what_goes_on(void **state)
{
	int64_t v[3 * TREND_SLOTS];
	unsigned i, n = 3 * TREND_SLOTS;

	(void)state;
	for (i = 0; i < n; i++)
		v[i] = 1000 + 40 * (int64_t)i;
	assert_true(rate_of(v, 2) == 0);	/* too little is known */
	assert_true(rate_of(v, 3) == 10);
	assert_true(rate_of(v, n) == 10);
	for (i = 0; i < n; i++)
		v[i] = -40 * (int64_t)i;
	assert_true(rate_of(v, n) == -10);
	for (i = 0; i < n; i++)
		v[i] = i % 2;			/* to and fro */
	assert_true(rate_of(v, n) == 0);
	for (i = 0; i < n; i++)			/* up, and down again */
		v[i] = i < n - 8 ? i : 2 * (n - 8) - i;
	assert_true(rate_of(v, n) == 0);
	for (i = 0; i < n; i++)			/* anything */
		v[i] = 3 * i + (i % 3 == 0 ? 50 : 0);
	assert_true(rate_of(v, n) == 0);
	for (i = 0; i < n; i++)			/* now and then */
		v[i] = 400 * (i / 8);
	assert_true(rate_of(v, n) == 12.5);
	/* the past does not count */
	for (i = 0; i < n; i++)
		v[i] = i < n - TREND_SLOTS ? 100 * i : 0;
	assert_true(rate_of(v, n) == 0);
}

static void
a_trend_says_how_long(void **state)
{
	(void)state;
	assert_int_equal(trend_ms(1000, 10), 100000);
	assert_int_equal(trend_ms(0, 10), 0);
	assert_int_equal(trend_ms(-5, 0), 0);
	assert_int_equal(trend_ms(1, 0), -1);
	assert_int_equal(trend_ms(1, -10), -1);
	assert_int_equal(trend_ms(INT64_MAX, 1e-9), -1);
}

/* ---- descriptors ---- */

static void
descriptors_are_divided(void **state)
{
	struct descriptors d;
	size_t limit;

	(void)state;
	for (limit = 2; limit < 2000000; limit = limit * 3 / 2 + 1) {
		d = descriptors_divide(limit, 200);
		assert_true(d.connections >= 1);
		assert_true(d.ceiling >= 1 && d.connections <= d.ceiling);
		if (limit > 400)
			assert_int_equal(limit - d.ceiling, 200);
	}
}

static void
the_limit_of_descriptors_is_raised(void **state)
{
	struct rlimit old, low;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_true(descriptors_raise() > 64);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &low), 0);
	assert_true(low.rlim_cur == old.rlim_max);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(varints_round_trip),
		cmocka_unit_test(varints_too_long_are_bad),
		cmocka_unit_test(zigzag_round_trips),
		cmocka_unit_test(a_reader_stays_bad),
		cmocka_unit_test(names_sort_by_bytes),
		cmocka_unit_test(an_arena_keeps_to_its_limit),
		cmocka_unit_test(an_arena_rewinds),
		cmocka_unit_test(a_reset_arena_keeps_what_it_may),
		cmocka_unit_test(a_buf_keeps_to_its_limit),
		cmocka_unit_test(a_buf_prints_and_drops),
		cmocka_unit_test(descriptors_are_divided),
		cmocka_unit_test(the_limit_of_descriptors_is_raised),
		cmocka_unit_test(backoff_doubles_with_jitter),
		cmocka_unit_test(a_trend_is_what_goes_on),
		cmocka_unit_test(a_trend_says_how_long),
		cmocka_unit_test(foreign_text_is_quoted),
		cmocka_unit_test(log_lines_are_limited),
		cmocka_unit_test(every_status_has_its_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
