/* test_message.c - headers, numbers, dates.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "http/message.h"

static void
test_header(void **state)
{
	static const struct http_header list[] = {
		{ BYTES_LIT("Content-Type"), BYTES_LIT("a") },
		{ BYTES_LIT("content-type"), BYTES_LIT("b") },
		{ BYTES_LIT("X-Empty"), BYTES_LIT("") },
	};
	struct http_headers h = { list, 3 };

	(void)state;
	assert_true(bytes_eq(http_header(h, "CONTENT-TYPE"), BYTES_LIT("a")));
	assert_non_null(http_header(h, "x-empty").p);
	assert_null(http_header(h, "x-empt").p);
	assert_null(http_header(h, "x-empty-").p);
	assert_null(http_header((struct http_headers){ NULL, 0 }, "a").p);
}

static void
test_number(void **state)
{
	static const char *const bad[] = {
		"", " 1", "1 ", "+1", "-1", "0x1", "1.0", "1e3", "1,1",
		"18446744073709551616", "99999999999999999999999",
	};
	uint64_t v = 7;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(http_number(bytes_str(bad[i]), &v));
		assert_int_equal(v, 7);
	}
	assert_true(http_number(BYTES_LIT("0"), &v));
	assert_int_equal(v, 0);
	assert_true(http_number(BYTES_LIT("007"), &v));
	assert_int_equal(v, 7);
	assert_true(http_number(BYTES_LIT("18446744073709551615"), &v));
	assert_true(v == UINT64_MAX);
}

static void
test_retry_after(void **state)
{
	static const struct {
		const char *text;
		int64_t s;		/* -1: none */
	} cases[] = {
		/* now is Sun, 06 Nov 1994 08:49:37 GMT */
		{ "0", 0 },
		{ "120", 120 },
		{ "", -1 },
		{ "-5", -1 },
		{ "1.5", -1 },
		{ "soon", -1 },
		{ "Sun, 06 Nov 1994 08:49:37 GMT", 0 },
		{ "Sun, 06 Nov 1994 08:50:37 GMT", 60 },
		{ "Sun, 06 Nov 1994 08:49:36 GMT", -1 },
		{ "Mon, 07 Nov 1994 08:49:37 GMT", 86400 },
		{ "Sun Nov  6 08:49:47 1994", 10 },
		{ "Sun, 06 Nov 1994 08:50:37 GMT, x", -1 },
		{ "Sun, 06 Nov 1994 08:50:37 CET", -1 },
		{ "Sun, 06 Foo 1994 08:50:37 GMT", -1 },
		{ "Sun, 06 Nov 1994 25:50:37 GMT", -1 },
		{ "Sun, 00 Nov 1994 08:50:37 GMT", -1 },
		{ "Sun, 06 Nov 1994 08:50", -1 },
	};
	const int64_t now = INT64_C(784111777) * CLOCK_S;
	int64_t ns;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ns = http_retry_after(bytes_str(cases[i].text), now);
		if (ns != (cases[i].s == -1 ? -1 : cases[i].s * CLOCK_S))
			fail_msg("%s: %lld", cases[i].text, (long long)ns);
	}
	assert_int_equal(http_retry_after((struct bytes){ NULL, 0 }, now), -1);
	/* the two-digit year is of this century */
	ns = http_retry_after(BYTES_LIT("Sunday, 06-Nov-44 08:49:37 GMT"),
	    INT64_C(2362034976) * CLOCK_S);
	assert_int_equal(ns, CLOCK_S);
	/* no number is too large to be waited for */
	assert_true(http_retry_after(BYTES_LIT("18446744073709551615"), now) >
	    INT64_C(1000000) * CLOCK_S);
	assert_true(http_retry_after(BYTES_LIT("Sun, 06 Nov 9994 08:49:37 GMT"),
	    now) > INT64_C(1000000) * CLOCK_S);
}

static void
test_date(void **state)
{
	char out[HTTP_DATE_SIZE];

	(void)state;
	http_date(INT64_C(784111777) * CLOCK_S + 999, out);
	assert_string_equal(out, "Sun, 06 Nov 1994 08:49:37 GMT");
	http_date(INT64_C(1795392000) * CLOCK_S, out);
	assert_string_equal(out, "Mon, 23 Nov 2026 00:00:00 GMT");
	http_date(0, out);
	assert_string_equal(out, "Thu, 01 Jan 1970 00:00:00 GMT");
}

static void
test_what_may_be_written(void **state)
{
	(void)state;
	assert_true(http_token_ok(BYTES_LIT("X-Scope-OrgID")));
	assert_false(http_token_ok(BYTES_LIT("")));
	assert_false(http_token_ok(BYTES_LIT("a b")));
	assert_false(http_token_ok(BYTES_LIT("a:")));
	assert_false(http_token_ok(bytes_of("a\0b", 3)));
	assert_false(http_token_ok(BYTES_LIT("\xc3\xa4")));
	assert_true(http_value_ok(BYTES_LIT("")));
	assert_true(http_value_ok(BYTES_LIT("a \t\xc3\xa4~")));
	assert_false(http_value_ok(BYTES_LIT("a\r\nb: c")));
	assert_false(http_value_ok(bytes_of("a\0", 2)));
	assert_false(http_value_ok(BYTES_LIT("\x7f")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_date),
		cmocka_unit_test(test_what_may_be_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
