/* test_authorization.c - what an Authorization header says.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/authorization.h"

static struct authorization c;

static enum credential_kind
kind_of(const char *text)
{
	authorization_parse(bytes_str(text), &c);
	return c.kind;
}

static void
basic(void **state)
{
	static const struct {
		const char *text, *user, *password;
	} good[] = {
		{ "Basic YTpi", "a", "b" },
		{ "basic YTpi", "a", "b" },
		{ "BASIC   YTpi", "a", "b" },
		{ "Basic YTo=", "a", "" },
		{ "Basic YTpiOmM6", "a", "b:c:" },
		{ "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin",
		    "open sesame" },
		{ "Basic dGVzdDoxMjPCow==", "test", "123\xc2\xa3" },
		{ "Basic YTr//v8=", "a", "\xff\xfe\xff" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(kind_of(good[i].text), CREDENTIAL_BASIC);
		assert_true(bytes_eq(c.user, bytes_str(good[i].user)));
		assert_string_equal(c.password, good[i].password);
	}
	authorization_wipe(&c);
	assert_int_equal(c.text[0], 0);
}

static void
bearer(void **state)
{
	(void)state;
	assert_int_equal(kind_of("Bearer token-a"), CREDENTIAL_BEARER);
	assert_true(bytes_eq(c.token, BYTES_LIT("token-a")));
	assert_int_equal(kind_of("bearer  x"), CREDENTIAL_BEARER);
	assert_true(bytes_eq(c.token, BYTES_LIT("x")));
}

static void
neither(void **state)
{
	static const char *const bad[] = {
		"", "Basic", "Basic ", "Basic  ", "BasicYTpi", "Basic YTpi ",
		"Basic\tYTpi", "Basic YTp", "Basic YTpi=", "Basic ====",
		"Basic =", "Basic Y", "Basic YQ==", "Basic OmI=", "Basic YT-_",
		"Basic YTpiAA==", "Basic AGE6Yg==", "Basic YTpi YTpi",
		"Digest username=\"a\"", "Bearer", "Bearer ", "Bearer a b",
		"Bearer \x7f", "Bearer \xc3\xa4", "token-a", " Bearer a",
	};
	size_t i;

	(void)state;
	authorization_parse((struct bytes){ NULL, 0 }, &c);
	assert_int_equal(c.kind, CREDENTIAL_NONE);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (kind_of(bad[i]) != CREDENTIAL_OTHER)
			fail_msg("taken: %s", bad[i]);
}

/* 255 bytes of name and 511 of password are taken; "AAAA" is three zeros, "YWFh" is
 * "aaa", "Ojph" is "::a". */
static void
there_are_limits(void **state)
{
	static char text[2000];
	size_t i, n;

	(void)state;
	strcpy(text, "Basic ");
	for (n = 6, i = 0; i < 85; i++, n += 4)
		memcpy(text + n, "YWFh", 5);
	memcpy(text + n, "OmFh", 5);		/* ":aa" */
	n += 4;
	for (i = 0; i < 169; i++, n += 4)
		memcpy(text + n, "YWFh", 5);
	memcpy(text + n, "YWE=", 5);		/* 2 + 507 + 2 */
	assert_int_equal(kind_of(text), CREDENTIAL_BASIC);
	assert_int_equal(c.user.n, 255);
	assert_int_equal(strlen(c.password), 511);
	memcpy(text + n, "YWFh", 5);
	assert_int_equal(kind_of(text), CREDENTIAL_OTHER);
	strcpy(text, "Basic ");
	for (n = 6, i = 0; i < 85; i++, n += 4)
		memcpy(text + n, "YWFh", 5);
	memcpy(text + n, "YTph", 5);		/* "a:a" */
	assert_int_equal(kind_of(text), CREDENTIAL_OTHER);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(basic),
		cmocka_unit_test(bearer),
		cmocka_unit_test(neither),
		cmocka_unit_test(there_are_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
