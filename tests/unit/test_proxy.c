/* test_proxy.c - headers of the PROXY protocol, whole and in pieces.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/network.h"
#include "io/proxy.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xcb\x00\x71\x09\xc0\x00\x02\x01\x12\x34\x23\xf1"
#define V6 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01" \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x12\x34\x23\xf1"

static const struct {
	struct bytes header;
	const char *from;		/* NULL: the connection's own */
} good[] = {
#define CASE(text, from) { BYTES_LIT(text), from }
	CASE("PROXY TCP4 203.0.113.9 192.0.2.1 51234 9201\r\n", "203.0.113.9"),
	CASE("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
	    "255.255.255.255"),
	CASE("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0"),
	CASE("PROXY TCP6 2001:db8::1 2001:DB8::2 1 2\r\n", "2001:db8::1"),
	CASE("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", "192.0.2.1"),
	CASE("PROXY UNKNOWN\r\n", NULL),
	CASE("PROXY UNKNOWN ffff:f... whatever it is\r\n", NULL),
	CASE(SIGNATURE "\x21\x11\x00\x0c" V4, "203.0.113.9"),
	CASE(SIGNATURE "\x21\x21\x00\x24" V6, "2001:db8::1"),
	CASE(SIGNATURE "\x21\x11\x00\x12" V4 "\x04\x00\x03xyz", "203.0.113.9"),
	CASE(SIGNATURE "\x20\x00\x00\x00", NULL),
	CASE(SIGNATURE "\x20\x11\x00\x0c" V4, NULL),
	CASE(SIGNATURE "\x20\x11\x00\x03xyz", NULL),
	CASE(SIGNATURE "\x21\x00\x00\x00", NULL),
	CASE(SIGNATURE "\x21\x00\x00\x03xyz", NULL),
	CASE(SIGNATURE "\x21\x01\x00\x00", NULL),
	CASE(SIGNATURE "\x21\x12\x00\x0c" V4, NULL),	/* UDP */
};

#define N (sizeof(good) / sizeof(good[0]))

static void
headers_say_where_from(void **state)
{
	char name[NETWORK_NAME_SIZE];
	struct proxy_header h;
	size_t i, used;

	(void)state;
	for (i = 0; i < N; i++) {
		if (proxy_parse(good[i].header, &h, &used) != ST_OK)
			fail_msg("%zu: refused", i);
		assert_int_equal(used, good[i].header.n);
		assert_int_equal(h.given, good[i].from != NULL);
		if (!h.given)
			continue;
		network_name(&h.from, name);
		assert_string_equal(name, good[i].from);
	}
}

/* Any beginning waits for more, and what follows is not touched. */
static void
headers_come_in_pieces(void **state)
{
	struct proxy_header h;
	uint8_t more[512], *exact;
	size_t i, n, used;

	(void)state;
	for (i = 0; i < N; i++) {
		for (n = 0; n < good[i].header.n; n++) {
			exact = malloc(n + 1);
			memcpy(exact, good[i].header.p, n);
			used = 1234;
			if (proxy_parse(bytes_of(exact, n), &h, &used) !=
			    ST_WAIT)
				fail_msg("%zu: at %zu", i, n);
			assert_int_equal(used, 1234);
			free(exact);
		}
		memcpy(more, good[i].header.p, good[i].header.n);
		memset(more + good[i].header.n, '\n', 100);
		assert_int_equal(proxy_parse(bytes_of(more,
		    good[i].header.n + 100), &h, &used), ST_OK);
		assert_int_equal(used, good[i].header.n);
	}
}

static void
anything_else_is_none(void **state)
{
	static const struct bytes bad[] = {
		BYTES_LIT("G"), BYTES_LIT("GET / HTTP/1.1\r\n"),
		BYTES_LIT("PROXX"), BYTES_LIT("proxy "), BYTES_LIT("PROXY\r\n"),
		BYTES_LIT("\r\r"), BYTES_LIT("\x16\x03\x01"),
		BYTES_LIT("\r\n\r\n\0\r\nQUIT\r"),
		BYTES_LIT("PROXY \r\n"), BYTES_LIT("PROXY TCP4\r\n"),
		BYTES_LIT("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n"),
		BYTES_LIT("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n"),
		BYTES_LIT("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"),
		BYTES_LIT("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"),
		BYTES_LIT("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n"),
		BYTES_LIT("PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n"),
		BYTES_LIT("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n"),
		BYTES_LIT("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n"),
		BYTES_LIT("PROXY TCP4 1.2.3.4 1.2.3.4 1 -2\r\n"),
		BYTES_LIT("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n"),
		BYTES_LIT("PROXY TCP4 ::1 ::1 1 2\r\n"),
		BYTES_LIT("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"),
		BYTES_LIT("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n"),
		BYTES_LIT("PROXY UNKNOWNS\r\n"),
		BYTES_LIT("PROXY TCP6 0000:0000:0000:0000:0000:0000:0000:0000:"
		    "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0"),
		BYTES_LIT(SIGNATURE "\x11\x11\x00\x0c"),
		BYTES_LIT(SIGNATURE "\x22\x11\x00\x0c"),
		BYTES_LIT(SIGNATURE "\x21\x41\x00\x0c"),
		BYTES_LIT(SIGNATURE "\x21\x13\x00\x0c"),
		BYTES_LIT(SIGNATURE "\x21\x11\x00\x0b"),
		BYTES_LIT(SIGNATURE "\x21\x21\x00\x23"),
		BYTES_LIT(SIGNATURE "\x21\x31\x00\xd7"),
		BYTES_LIT(SIGNATURE "\x21\x11\x10\x0d"),
		BYTES_LIT(SIGNATURE "\x20\x00\x10\x01"),
		BYTES_LIT(SIGNATURE "\x20\x00\xff\xff"),
	};
	struct proxy_header h;
	size_t i, used;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (proxy_parse(bad[i], &h, &used) != ST_BAD_PROXY)
			fail_msg("%zu: taken: %.*s", i, (int)bad[i].n,
			    (const char *)bad[i].p);
}

static void
the_longest(void **state)
{
	static uint8_t text[PROXY_HEADER_MAX];
	struct proxy_header h;
	size_t used;

	(void)state;
	memcpy(text, SIGNATURE "\x21\x31\x10\xd8", 16);
	assert_int_equal(proxy_parse(bytes_of(text, sizeof(text) - 1), &h,
	    &used), ST_WAIT);
	assert_int_equal(proxy_parse(bytes_of(text, sizeof(text)), &h, &used),
	    ST_OK);
	assert_int_equal(used, sizeof(text));
	assert_false(h.given);
	memset(text, 'x', sizeof(text));
	memcpy(text, "PROXY UNKNOWN ", 14);
	memcpy(text + 105, "\r\n", 2);
	assert_int_equal(proxy_parse(bytes_of(text, 200), &h, &used), ST_OK);
	assert_int_equal(used, 107);
	memcpy(text + 105, "x\r\n", 3);
	assert_int_equal(proxy_parse(bytes_of(text, 200), &h, &used),
	    ST_BAD_PROXY);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_say_where_from),
		cmocka_unit_test(headers_come_in_pieces),
		cmocka_unit_test(anything_else_is_none),
		cmocka_unit_test(the_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
