/* test_utf8.c - what RFC 3629 allows and what it does not.
 * SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/utf8.h"

static bool
valid(const char *s)
{
	return utf8_valid(bytes_str(s));
}

static void
text_is_valid(void **state)
{
	(void)state;
	assert_true(utf8_valid(bytes_of(NULL, 0)));
	assert_true(utf8_valid(BYTES_LIT("a\0b")));
	assert_true(valid("plain text of more than eight bytes"));
	assert_true(valid("\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xef\xbf\xbf"));
	assert_true(valid("\xed\x9f\xbf \xee\x80\x80"));
	assert_true(valid("\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf"));
	assert_true(valid("eight...\xe6\xb8\xa9\xe5\xba\xa6 and then on"));
}

static void
other_bytes_are_not(void **state)
{
	static const char *const bad[] = {
		"\x80", "\xbf", "\xfe", "\xff", "a\xc3", "\xc3(",
		"\xc0\x80", "\xc1\xbf",		/* long forms */
		"\xe0\x80\x80", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf",
		"\xed\xa0\x80", "\xed\xbf\xbf",	/* surrogates */
		"\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
		"\xe2\x82", "\xe2\x82(", "\xf0\x9f\x98", "\xf0\x9f\x98(",
		"eight...\xff", "sevenxx\xc3",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(valid(bad[i]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_valid),
		cmocka_unit_test(other_bytes_are_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
