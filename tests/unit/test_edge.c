/* test_edge.c - which policy is an edge's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/edge.h"
#include "policy/tenant.h"

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

static void
check_stars(const char *pattern, const char *name, const char *expected)
{
	struct edge_stars s;
	char got[128] = "";
	unsigned i;

	edge_stars(pattern, bytes_str(name), &s);
	for (i = 1; i < s.n; i++) {
		(void)strcat(got, "<");
		(void)strncat(got, (const char *)s.star[i].p, s.star[i].n);
		(void)strcat(got, ">");
	}
	assert_string_equal(got, expected);
	assert_true(bytes_eq(s.star[0], bytes_str(name)));
	assert_true(bytes_eq(edge_star(0, &s), bytes_str(name)));
	assert_int_equal(edge_star(9, &s).n, s.n > 9 ? s.star[9].n : 0);
}

static void
stars_take_what_they_stand_for(void **state)
{
	(void)state;
	check_stars("site-1", "site-1", "");
	check_stars("site-*", "site-1", "<1>");
	check_stars("site-*", "site-", "<>");
	check_stars("*", "any", "<any>");
	check_stars("*-*", "a-b-c", "<a-b><c>");
	check_stars("**x*", "axxb", "<ax><><b>");
	check_stars("[a*]*[!]*]?*", "*bcd", "<b><>");
	check_stars("\\**\\*", "*-*", "<->");
	check_stars("[[:alpha:]*]*[[:digit:]]-*", "*x1-y", "<x><y>");
	check_stars("[x*", "[xy", "<y>");
	check_stars("*a*b*c*d*e*f*g*h*i*j*", "1a2b3c4d5e6f7g8h9i10j11",
	    "<1><2><3><4><5><6><7><8><9>");
}

static void
templates_have_stars_only(void **state)
{
	static const char *const good[] = { "", "x", "$1", "${2}", "$0", "$$3",
		"$1-$2" };
	static const char *const bad[] = { "$3", "$1x", "${name}", "$10" };
	struct template *t;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_null(edge_template_new("*-*", good[i], &t));
		template_free(&t);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_non_null(edge_template_new("*-*", bad[i], &t));
		assert_null(t);
	}
	assert_non_null(edge_template_new("a[*]\\*", "$1", &t));
}

static void
check_tenant(const struct edge_policies *all, const char *edge,
    const char *expected)
{
	struct buf got;

	buf_init(&got, SIZE_MAX);
	assert_true(tenant_of(edge_policy_of(all, bytes_str(edge)),
	    bytes_str(edge), &got));
	assert_true(bytes_eq(buf_bytes(&got), bytes_str(expected)));
	buf_fini(&got);
}

static void
tenants_are_told_apart(void **state)
{
	struct edge_policy item[] = { { .pattern = "no-*" },
		{ .pattern = "site-*" }, { .pattern = "*" } };
	const struct edge_policies all = { item, 3 };

	(void)state;
	assert_null(edge_template_new("site-*", "s.$1", &item[1].tenant));
	assert_null(edge_template_new("*", "$1", &item[2].tenant));
	check_tenant(&all, "no-1", "");
	check_tenant(&all, "site-1", "s.1");
	check_tenant(&all, "a b", "a%20b");
	check_tenant(&all, "a%20b", "a%2520b");
	check_tenant(&all, "a\r\nB: c", "a%0D%0AB:%20c");
	check_tenant(&all, "\xc3\xbc\x7f", "%C3%BC%7F");
	template_free(&item[1].tenant);
	template_free(&item[2].tenant);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_pattern_counts),
		cmocka_unit_test(stars_take_what_they_stand_for),
		cmocka_unit_test(templates_have_stars_only),
		cmocka_unit_test(tenants_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
