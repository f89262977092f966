/* test_crowd.c - who is counted with whom.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "http/crowd.h"

static struct loop_addr
address(const char *text)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct loop_addr a = { .len = sizeof(v6) };

	if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) {
		memcpy(&a.ss, &v6, sizeof(v6));
		return a;
	}
	assert_int_equal(inet_pton(AF_INET, text, &v4.sin_addr), 1);
	memcpy(&a.ss, &v4, sizeof(v4));
	a.len = sizeof(v4);
	return a;
}

static enum status
enter(struct crowd *c, const char *text, struct crowd_place **place)
{
	struct loop_addr a = address(text);

	return crowd_enter(c, &a, place);
}

static void
an_address_has_so_many(void **state)
{
	struct crowd_place *a[3], *b = NULL;
	struct crowd *c;

	(void)state;
	assert_int_equal(crowd_new(2, 100, &c), ST_OK);
	assert_int_equal(enter(c, "192.0.2.1", &a[0]), ST_OK);
	assert_int_equal(enter(c, "192.0.2.1", &a[1]), ST_OK);
	assert_int_equal(enter(c, "192.0.2.1", &a[2]), ST_ADDRESS_LIMIT);
	assert_null(a[2]);
	assert_int_equal(enter(c, "192.0.2.2", &b), ST_OK);
	crowd_leave(c, &a[0]);
	assert_null(a[0]);
	assert_int_equal(enter(c, "192.0.2.1", &a[2]), ST_OK);
	assert_int_equal(enter(c, "192.0.2.1", &a[0]), ST_ADDRESS_LIMIT);
	crowd_leave(c, &a[0]);
	crowd_leave(c, &a[1]);
	crowd_leave(c, &a[2]);
	crowd_leave(c, &b);
	crowd_free(&c);
	assert_null(c);
}

static void
networks_of_ipv6_are_one(void **state)
{
	struct crowd_place *p[4];
	struct crowd *c;
	size_t i;

	(void)state;
	assert_int_equal(crowd_new(1, 100, &c), ST_OK);
	assert_int_equal(enter(c, "2001:db8::1", &p[0]), ST_OK);
	assert_int_equal(enter(c, "2001:db8::2:3:4:5", &p[1]),
	    ST_ADDRESS_LIMIT);
	assert_int_equal(enter(c, "2001:db8:0:1::1", &p[1]), ST_OK);
	/* one address, as a socket for both kinds has it, and as one for IPv4 */
	assert_int_equal(enter(c, "::ffff:192.0.2.1", &p[2]), ST_OK);
	assert_int_equal(enter(c, "192.0.2.1", &p[3]), ST_ADDRESS_LIMIT);
	assert_int_equal(enter(c, "192.0.2.2", &p[3]), ST_OK);
	for (i = 0; i < 4; i++)
		crowd_leave(c, &p[i]);
	crowd_free(&c);
}

static void
unix_sockets_are_not_counted(void **state)
{
	struct loop_addr a = { .len = sizeof(sa_family_t) };
	struct crowd_place *p;
	struct crowd *c;
	int i;

	(void)state;
	a.ss.ss_family = AF_UNIX;
	assert_int_equal(crowd_new(1, 100, &c), ST_OK);
	for (i = 0; i < 3; i++) {
		assert_int_equal(crowd_enter(c, &a, &p), ST_OK);
		assert_null(p);
		crowd_leave(c, &p);
	}
	crowd_free(&c);
}

/* More addresses than buckets. */
static void
many_addresses(void **state)
{
	static struct crowd_place *p[1000];
	struct crowd *c;
	char text[32];
	int i, round;

	(void)state;
	assert_int_equal(crowd_new(1, 10, &c), ST_OK);
	for (round = 0; round < 2; round++) {
		for (i = 0; i < 1000; i++) {
			(void)snprintf(text, sizeof(text), "10.0.%d.%d",
			    i / 250, i % 250);
			assert_int_equal(enter(c, text, &p[i]), ST_OK);
		}
		for (i = 0; i < 1000; i++)
			crowd_leave(c, &p[(i * 7) % 1000]);
	}
	crowd_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_has_so_many),
		cmocka_unit_test(networks_of_ipv6_are_one),
		cmocka_unit_test(unix_sockets_are_not_counted),
		cmocka_unit_test(many_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
