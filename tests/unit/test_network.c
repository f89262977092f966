/* test_network.c - addresses as texts, and networks of them.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/network.h"

static struct loop_addr
address(const char *text)
{
	struct loop_addr a = { .ss.ss_family = AF_UNIX, .len = 2 };

	if (strcmp(text, "unix") != 0 && !network_address(bytes_str(text), &a))
		fail_msg("no address: %s", text);
	return a;
}

static void
networks_have_their_addresses(void **state)
{
	static const struct {
		const char *network, *in, *out;
	} cases[] = {
		{ "10.0.0.0/8", "10.255.0.1", "11.0.0.0" },
		{ "10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3" },
		{ "192.0.2.1", "192.0.2.1", "192.0.2.2" },
		{ "192.0.2.128/25", "192.0.2.255", "192.0.2.127" },
		{ "192.0.2.254/31", "192.0.2.255", "192.0.2.253" },
		{ "0.0.0.0/0", "203.0.113.9", "2001:db8::1" },
		{ "::/0", "203.0.113.9", "unix" },
		{ "2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1" },
		{ "2001:db8::1", "2001:db8::1", "2001:db8::2" },
		{ "::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.0" },
		{ "unix", "unix", "0.0.0.0" },
	};
	struct loop_addr in, out;
	struct network w;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_null(network_parse(cases[i].network, &w));
		in = address(cases[i].in);
		out = address(cases[i].out);
		if (!network_has(&w, 1, &in) || network_has(&w, 1, &out))
			fail_msg("%s", cases[i].network);
		assert_false(network_has(&w, 0, &in));
	}
}

static void
what_is_no_network(void **state)
{
	static const char *const bad[] = {
		"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.1/8", "10/8",
		"10.0.0.0/8 ", "10.0.0.0/-1", "10.0.0.0/0x8", "::1/129",
		"2001:db8::1/64", "localhost", "unix:", "Unix", "10.0.0.0/8/8",
		"[::1]", "1.2.3.4.5", "10.0.0.0/0008",
		"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
	};
	struct network w;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!network_parse(bad[i], &w))
			fail_msg("taken: %s", bad[i]);
}

static void
addresses_have_names(void **state)
{
	static const char *const cases[][2] = {
		{ "192.0.2.1", "192.0.2.1" }, { "192.0.2.1:80", "192.0.2.1" },
		{ "::ffff:192.0.2.1", "192.0.2.1" },
		{ "2001:DB8:0::1", "2001:db8::1" },
		{ "[2001:db8::1]", "2001:db8::1" },
		{ "[2001:db8::1]:65535", "2001:db8::1" }, { "::", "::" },
		{ "unix", "unix" },
	};
	char name[NETWORK_NAME_SIZE];
	struct loop_addr a;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		a = address(cases[i][0]);
		network_name(&a, name);
		assert_string_equal(name, cases[i][1]);
	}
}

static void
what_is_no_address(void **state)
{
	static const char *const bad[] = {
		"", ":", "[", "]", "[]", "[]:1", "[::1", "[::1]x", "[::1]:",
		"[::1]:x", "[::1]:123456", "1.2.3.4:", "1.2.3.4:x", "1.2.3",
		"1.2.3.4 ", "unknown", "_hidden", "256.0.0.1", ":::1", "::1::",
		"[1.2.3.4", "\"[::1]\"",
		"0000000000000000000000000000000000000000000000000000001.2.3.4",
	};
	struct loop_addr a;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (network_address(bytes_str(bad[i]), &a))
			fail_msg("taken: %s", bad[i]);
	assert_false(network_address(BYTES_LIT("1.2.3.4\0"), &a));
}

static void
neighbours_share_a_site(void **state)
{
	uint8_t one[NETWORK_SITE_SIZE], other[NETWORK_SITE_SIZE];
	struct loop_addr a = address("2001:db8::1");

	(void)state;
	network_site(&a, one);
	a = address("2001:db8::ffff:0:0:2");
	network_site(&a, other);
	assert_memory_equal(one, other, sizeof(one));
	a = address("2001:db8:0:1::1");
	network_site(&a, other);
	assert_memory_not_equal(one, other, sizeof(one));
	a = address("192.0.2.1");
	network_site(&a, one);
	a = address("192.0.2.2");
	network_site(&a, other);
	assert_memory_not_equal(one, other, sizeof(one));
	a = address("::ffff:192.0.2.1");
	network_site(&a, other);
	assert_memory_equal(one, other, sizeof(one));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(networks_have_their_addresses),
		cmocka_unit_test(what_is_no_network),
		cmocka_unit_test(addresses_have_names),
		cmocka_unit_test(what_is_no_address),
		cmocka_unit_test(neighbours_share_a_site),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
