/* test_forwarded.c - whom X-Forwarded-For names.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/forwarded.h"

#define H(text) { BYTES_LIT("X-Forwarded-For"), BYTES_LIT(text) }
#define OTHER { BYTES_LIT("Host"), BYTES_LIT("203.0.113.1") }

static const struct {
	struct http_header h[3];
	size_t n;
	const char *name;		/* NULL: nobody */
} cases[] = {
	{ { H("203.0.113.9") }, 1, "203.0.113.9" },
	{ { H("192.0.2.1, 203.0.113.9") }, 1, "203.0.113.9" },
	{ { H("192.0.2.1,203.0.113.9, 10.0.0.1 ,10.0.0.2") }, 1, "203.0.113.9" },
	{ { H("\t2001:db8::1\t") }, 1, "2001:db8::1" },
	{ { H("203.0.113.9:1234, [2001:db8::1]:80") }, 1, "2001:db8::1" },
	{ { H("10.0.0.3, 10.0.0.2") }, 1, "10.0.0.3" },
	{ { H("203.0.113.9"), OTHER, H("10.0.0.1, 10.0.0.2") }, 3,
	    "203.0.113.9" },
	{ { H("203.0.113.9"), OTHER, H("203.0.113.8") }, 3, "203.0.113.8" },
	/* what an edge says itself does not matter */
	{ { H("nonsense, 203.0.113.9") }, 1, "203.0.113.9" },
	{ { H("nonsense"), H("203.0.113.9") }, 2, "203.0.113.9" },
	{ { OTHER }, 1, NULL },
	{ { OTHER }, 0, NULL },
	{ { H("") }, 1, NULL },
	{ { H(",") }, 1, NULL },
	{ { H("203.0.113.9,") }, 1, NULL },
	{ { H("203.0.113.9, unknown") }, 1, NULL },
	{ { H("203.0.113.9, nonsense, 10.0.0.1") }, 1, NULL },
	{ { H("203.0.113.9"), H("") }, 2, NULL },
	{ { H("203.0.113.9 203.0.113.8") }, 1, NULL },
};

static void
the_rightmost_that_is_not_trusted(void **state)
{
	char name[NETWORK_NAME_SIZE];
	struct network trusted;
	struct loop_addr a;
	size_t i;

	(void)state;
	assert_null(network_parse("10.0.0.0/8", &trusted));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (forwarded_for((struct http_headers){ cases[i].h,
		    cases[i].n }, &trusted, 1, &a) != (cases[i].name != NULL))
			fail_msg("%zu", i);
		if (!cases[i].name)
			continue;
		network_name(&a, name);
		assert_string_equal(name, cases[i].name);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rightmost_that_is_not_trusted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
