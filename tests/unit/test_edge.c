/* test_edge.c - which policy is an edge's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/edge.h"

static void
the_first_pattern_counts(void **state)
{
	static const struct edge_policy item[] = {
		{ .pattern = "site-1" },
		{ .pattern = "site-[0-9]" },
		{ .pattern = "site-*" },
		{ .pattern = "site-1*" },
	};
	static const struct edge_policies all = { item, 4 }, none;
	char longest[EDGE_NAME_MAX + 2];

	(void)state;
	assert_ptr_equal(edge_policy_of(&all, BYTES_LIT("site-1")), &item[0]);
	assert_ptr_equal(edge_policy_of(&all, BYTES_LIT("site-2")), &item[1]);
	assert_ptr_equal(edge_policy_of(&all, BYTES_LIT("site-11")), &item[2]);
	assert_ptr_equal(edge_policy_of(&all, BYTES_LIT("site-")), &item[2]);
	assert_null(edge_policy_of(&all, BYTES_LIT("SITE-1")));
	assert_null(edge_policy_of(&all, BYTES_LIT("")));
	assert_null(edge_policy_of(&none, BYTES_LIT("site-1")));
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "site-", 5);
	assert_ptr_equal(edge_policy_of(&all, bytes_of(longest,
	    EDGE_NAME_MAX)), &item[2]);
	assert_null(edge_policy_of(&all, bytes_of(longest,
	    EDGE_NAME_MAX + 1)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_pattern_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
