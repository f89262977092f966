/* test_relabel.c - relabel rules do what Prometheus' do.
 * SPDX-License-Identifier: Apache-2.0
 *
 * relabel.tbl has what a Prometheus did with each case (tests/interop/relabel). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "policy/relabel.h"
#include "policy/rules.h"

struct texts {
	const char *const *text;
	size_t n;
};

struct one {
	const char *name;
	const struct relabel_rule *rules;
	size_t n;
	struct texts came, goes;
	bool dropped;
};

#define COUNT(type, ...) (sizeof((type[]){ __VA_ARGS__ }) / sizeof(type))
#define LIST(...) (const char *const[]){ "", __VA_ARGS__ }
#define SOURCE(...) LIST(__VA_ARGS__) + 1, \
	COUNT(const char *const, "", __VA_ARGS__) - 1
#define RULE(action_, ...) { RELABEL_##action_, __VA_ARGS__ }
#define RULES(...) (const struct relabel_rule[]){ __VA_ARGS__ }, \
	COUNT(const struct relabel_rule, __VA_ARGS__)
#define CAME(...) { SOURCE(__VA_ARGS__) }
#define GOES(...) { SOURCE(__VA_ARGS__) }, false
#define DROPPED { NULL, 0 }, true
#define CASE(name_, ...) { name_, __VA_ARGS__ },

static const struct one cases[] = {
#include "unit/relabel.tbl"
};

static int
by_name(const void *a, const void *b)
{
	const struct label *x = a, *y = b;

	return bytes_cmp(x->name, y->name);
}

static uint32_t
take_labels(const struct texts *t, struct label *out)
{
	uint32_t n = (uint32_t)(t->n / 2), i;

	for (i = 0; i < n; i++)
		out[i] = (struct label){ bytes_str(t->text[2 * i]),
			bytes_str(t->text[2 * i + 1]) };
	qsort(out, n, sizeof(*out), by_name);
	return n;
}

static void
show(struct buf *out, const struct label *label, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		(void)buf_printf(out, "%.*s=%.*s\n", (int)label[i].name.n,
		    (const char *)label[i].name.p, (int)label[i].value.n,
		    (const char *)label[i].value.p);
	(void)buf_append(out, "", 1);
}

static struct label label[BATCH_LABELS_MAX];
static struct relabel_room *room;

static void
check(const struct one *c)
{
	struct label expected[32];
	struct buf got, want;
	struct relabel *rules;
	enum status st;
	size_t which;
	uint32_t n = take_labels(&c->came, label);
	const char *wrong = relabel_new(c->rules, c->n, &rules, &which);

	if (wrong)
		fail_msg("%s: %s", c->name, wrong);
	st = relabel_series(rules, room, label, &n);
	if (st != (c->dropped ? ST_FILTERED : ST_OK))
		fail_msg("%s: %s", c->name, status_info(st)->word);
	if (st == ST_OK) {
		buf_init(&got, SIZE_MAX);
		buf_init(&want, SIZE_MAX);
		show(&got, label, n);
		show(&want, expected, take_labels(&c->goes, expected));
		if (!bytes_eq(buf_bytes(&got), buf_bytes(&want)))
			fail_msg("%s:\n%sinstead of\n%s", c->name,
			    (char *)got.data, (char *)want.data);
		buf_fini(&got);
		buf_fini(&want);
	}
	relabel_free(&rules);
}

static void
as_prometheus_does(void **state)
{
	size_t i, n = sizeof(cases) / sizeof(cases[0]);

	(void)state;
	assert_true(n >= 100);
	for (i = 0; i < n; i++)
		check(&cases[i]);
}

static const struct relabel_rule usual = { RELABEL_REPLACE, NULL, 0,
	RELABEL_SEPARATOR, RELABEL_REGEX, 0, "", RELABEL_REPLACEMENT };

static enum status
with_value(const char *regex, char letter, size_t length)
{
	static const char *const source[] = { "a" };
	struct relabel_rule r = usual;
	struct relabel *rules;
	char *value = malloc(length);
	uint32_t n = 2;
	enum status st;
	size_t which;

	memset(value, letter, length);
	r.source_labels = source;
	r.n_source_labels = 1;
	r.regex = regex;
	r.target_label = "b";
	r.replacement = "$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1";
	assert_null(relabel_new(&r, 1, &rules, &which));
	label[0] = (struct label){ BYTES_LIT("__name__"), BYTES_LIT("up") };
	label[1] = (struct label){ BYTES_LIT("a"), bytes_of(value, length) };
	st = relabel_series(rules, room, label, &n);
	relabel_free(&rules);
	free(value);
	return st;
}

static void
effort_is_bounded(void **state)
{
	(void)state;
	assert_int_equal(with_value("(.*)", 'x', 16384), ST_OK);
	assert_int_equal(with_value("(?:x|y)+(z?)", 'x', 16384), ST_OK);
	assert_int_equal(with_value("(a+)+[bc]", 'a', 40), ST_RELABEL_EFFORT);
	assert_int_equal(with_value("(x*)*[yz]", 'x', 16384), ST_RELABEL_EFFORT);
	/* of memory too */
	assert_int_equal(with_value("(.*)", 'x', 1 << 20), ST_RELABEL_EFFORT);
	assert_int_equal(with_value("(.*)", 'x', 100), ST_OK);
}

static void
labels_are_bounded(void **state)
{
	static char names[BATCH_LABELS_MAX][16];
	struct relabel_rule r = usual;
	struct relabel *rules;
	uint32_t n = BATCH_LABELS_MAX, i;
	size_t which;

	(void)state;
	for (i = 0; i < n; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "l%05u", i);
		label[i] = (struct label){ bytes_str(names[i]),
			BYTES_LIT("v") };
	}
	r.target_label = "a";
	r.replacement = "b";
	assert_null(relabel_new(&r, 1, &rules, &which));
	assert_int_equal(relabel_series(rules, room, label, &n),
	    ST_TOO_MANY_LABELS);
	n = BATCH_LABELS_MAX - 1;
	assert_int_equal(relabel_series(rules, room, label, &n), ST_OK);
	assert_int_equal(n, BATCH_LABELS_MAX);
	assert_true(bytes_eq(label[0].name, BYTES_LIT("a")));
	relabel_free(&rules);
}

static void
what_is_no_rule_is_refused_with_a_reason(void **state)
{
	static const char *const source[] = { "a" };
	static const struct {
		struct relabel_rule rule;
		const char *why;
	} bad[] = {
#define BAD(action_, n_, separator_, regex_, modulus_, target_, with_, why_) \
		{ { RELABEL_##action_, source, n_, separator_, regex_, modulus_, \
			target_, with_ }, why_ },
		BAD(REPLACE, 1, ";", "(.*)", 0, "", "$1", "needs a target-label")
		BAD(REPLACE, 1, ";", "(", 0, "b", "$1", "not well formed")
		BAD(REPLACE, 1, ";", "\\C", 0, "b", "$1", "not well formed")
		BAD(HASHMOD, 1, ";", "(.*)", 0, "b", "$1", "needs a modulus")
		BAD(HASHMOD, 1, ";", "(.*)", 5, "", "$1", "needs a target-label")
		BAD(LOWER, 1, ";", "(.*)", 0, "b", "x", "take no replacement")
		BAD(UPPER, 1, ";", "(.*)", 0, "", "$1", "needs a target-label")
		BAD(MAP, 0, ";", "(.*)", 0, "", "", "needs a replacement")
		BAD(KEEP_EQUAL, 1, ";", "a", 0, "b", "$1", "nothing else")
		BAD(DROP_EQUAL, 1, ",", "(.*)", 0, "b", "$1", "nothing else")
		BAD(DROP_LABELS, 1, ";", "a", 0, "", "$1", "nothing else")
		BAD(KEEP_LABELS, 0, ";", "a", 0, "b", "$1", "nothing else")
#undef BAD
	};
	struct relabel_rule two[2] = { usual };
	struct relabel *rules;
	const char *wrong;
	size_t i, which;

	(void)state;
	two[0].target_label = "b";
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		two[1] = bad[i].rule;
		wrong = relabel_new(two, 2, &rules, &which);
		assert_null(rules);
		assert_non_null(wrong);
		assert_non_null(strstr(wrong, bad[i].why));
		assert_int_equal(which, 1);
	}
}

/* ---- what is set, whatever comes --------------------------------------------------- */

static void
check_set(const struct edge_policy *p, const char *edge, const char *came,
    enum status expected, const char *goes, bool forged)
{
	const char *const text[] = { "__name__", "up", "site", came };
	struct rules *rules;
	struct buf got;
	uint32_t n = take_labels(&(struct texts){ text, came ? 4 : 2 }, label);
	struct rules_deed deed;

	assert_int_equal(rules_new(p, bytes_str(edge), &rules), ST_OK);
	assert_int_equal(rules_apply(rules, room, label, &n, &deed),
	    expected);
	assert_int_equal(deed.forged, forged);
	if (expected == ST_OK) /* whether what came is all there */
		assert_int_equal(deed.added != 0, !came || (!forged &&
		    strstr(goes, "site=") != NULL));
	if (expected == ST_OK) {
		buf_init(&got, SIZE_MAX);
		show(&got, label, n);
		assert_string_equal((char *)got.data, goes);
		buf_fini(&got);
	}
	rules_free(&rules);
}

static void
labels_are_set(void **state)
{
	static const char *const source[] = { "site" };
	struct edge_label set[2] = { { .name = BYTES_LIT("site") },
		{ .name = BYTES_LIT("zone") } };
	struct edge_policy p = { .pattern = "site-*.*", .set = set, .n_set = 2 };
	struct relabel_rule r = usual;
	struct rules *none;
	size_t which;

	(void)state;
	assert_int_equal(rules_new(NULL, BYTES_LIT("a"), &none), ST_OK);
	assert_null(none);
	assert_null(edge_template_new(p.pattern, "$1", &set[0].value));
	assert_null(edge_template_new(p.pattern, "z$2", &set[1].value));
	check_set(&p, "site-a.b", NULL, ST_OK,
	    "__name__=up\nsite=a\nzone=zb\n", false);
	check_set(&p, "site-a.b", "a", ST_OK,
	    "__name__=up\nsite=a\nzone=zb\n", false);
	check_set(&p, "site-a.b", "b", ST_OK,
	    "__name__=up\nsite=a\nzone=zb\n", true);
	check_set(&p, "site-.", "b", ST_OK, "__name__=up\nzone=z\n", true);
	check_set(&p, "site-\xff.", NULL, ST_BAD_UTF8, NULL, false);

	/* rules come first, and do not hide what was sent */
	r.source_labels = source;
	r.n_source_labels = 1;
	r.target_label = "was";
	assert_null(relabel_new(&r, 1, &p.relabel, &which));
	check_set(&p, "site-a.b", "b", ST_OK,
	    "__name__=up\nsite=a\nwas=b\nzone=zb\n", true);
	relabel_free(&p.relabel);
	r.target_label = "__name__";
	assert_null(relabel_new(&r, 1, &p.relabel, &which));
	check_set(&p, "site-a.b", NULL, ST_NO_NAME, NULL, false);
	relabel_free(&p.relabel);
	r.action = RELABEL_DROP;
	r.regex = "b";
	assert_null(relabel_new(&r, 1, &p.relabel, &which));
	check_set(&p, "site-a.b", "b", ST_FILTERED, NULL, true);
	relabel_free(&p.relabel);
	template_free(&set[0].value);
	template_free(&set[1].value);
}

static int
make_room(void **state)
{
	(void)state;
	room = relabel_room_new();
	return room ? 0 : -1;
}

static int
free_room(void **state)
{
	(void)state;
	relabel_room_free(&room);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_prometheus_does),
		cmocka_unit_test(effort_is_bounded),
		cmocka_unit_test(labels_are_bounded),
		cmocka_unit_test(what_is_no_rule_is_refused_with_a_reason),
		cmocka_unit_test(labels_are_set),
	};

	return cmocka_run_group_tests(tests, make_room, free_room);
}
