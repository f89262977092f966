/* test_match.c - selectors take the series that PromQL's take.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/match.h"

#define L(name, value) { BYTES_LIT(name), BYTES_LIT(value) }

/* up{instance="a:9100",job="node",path="/a\nb"} of a site with an odd name */
static const struct label series[] = {
	L("__name__", "up"), L("instance", "a:9100"), L("job", "node"),
	L("path", "/a\nb"), L("site.näme", "w\"1\\"),
};

#define N (sizeof(series) / sizeof(series[0]))

static bool
takes(const char *text)
{
	struct match *m;
	bool takes;

	if (match_parse(text, &m))
		fail_msg("%s: %s", text, match_parse(text, &m));
	takes = match_labels(m, series, N);
	match_free(&m);
	return takes;
}

static void
selectors_take_what_they_say(void **state)
{
	static const char *const good[] = {
		"up", " up ", "up{}", "{__name__=\"up\"}", "{\"up\"}",
		"up{job=\"node\"}", "up{ job = 'node' , }", "{job=`node`}",
		"up{job=\"node\",instance=\"a:9100\"}",
		"{job!=\"api\"}", "{nothing=\"\"}", "{nothing!=\"x\"}",
		"{job=~\"n.*\"}", "{job=~\"api|node\"}", "{job=~\"(?i)NODE\"}",
		"{job!~\"n\"}", "{job!~\"od\"}", "{nothing=~\"\"}",
		"{nothing=~\".*\"}", "{nothing!~\".+\"}", "{job=~\"^node$\"}",
		"{path=\"/a\\nb\"}", "{path=~\"/a.b\"}", "{path=~`/a\\sb`}",
		"{path=~\"/a\\\\sb\"}", "{\"site.näme\"=\"w\\\"1\\\\\"}",
		"{\"site.näme\"=~`w\"\\d\\\\`}", "{instance=~\"a:\\\\d+\"}",
		"{__name__=~\"up|down\",job=~\"n.{3}\"}",
	};
	static const char *const bad[] = {
		"down", "up:rate", "{__name__=\"u\"}", "{\"down\"}",
		"up{job=\"nod\"}", "up{job!=\"node\"}", "{nothing=\"x\"}",
		"{nothing!=\"\"}", "{job=~\"od\"}", "{job=~\"n\"}",
		"{job=~\"node$x\"}", "{job!~\"no.*\"}", "{nothing=~\".+\"}",
		"{nothing!~\".*\"}", "{nothing!~\"\"}",
		"up{job=\"node\",instance=\"b:9100\"}",
		"{path=~\"/a\"}", "{job=~\"node\\n\"}",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!takes(good[i]))
			fail_msg("does not take: %s", good[i]);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (takes(bad[i]))
			fail_msg("takes: %s", bad[i]);
}

static void
what_is_no_selector_is_refused_with_a_reason(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "", "at least one" },
		{ "{}", "at least one" },
		{ "{,}", "name is missing" },
		{ "up{", "name is missing" },
		{ "up}", "selector is written" },
		{ "up down", "selector is written" },
		{ "up{job}", "followed by" },
		{ "up{job==\"x\"}", "in quotes" },
		{ "up{job=node}", "in quotes" },
		{ "up{job=\"node}", "not closed" },
		{ "up{job=\"node\\", "backslash" },
		{ "up{job=\"\\d\"}", "backslash" },
		{ "up{job=\"a\" b=\"c\"}", "separated" },
		{ "up{1=\"a\"}", "name is missing" },
		{ "9up", "selector is written" },
		{ "{job=~\"(\"}", "well formed" },
		{ "{job=~\"\\\\C\"}", "well formed" },
		{ "{job=\"\xff\"}", "UTF-8" },
		{ "rate(up[5m])", "selector is written" },
	};
	struct match *m;
	const char *why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		why = match_parse(cases[i].text, &m);
		assert_null(m);
		if (!why || !strstr(why, cases[i].says))
			fail_msg("%s: %s", cases[i].text, why ? why : "taken");
	}
}

/* One that would take for ever takes nothing, and soon. */
static void
effort_is_bounded(void **state)
{
	static char value[2000];
	struct label l = { BYTES_LIT("a"), { (uint8_t *)value,
		sizeof(value) } };
	struct match *m;

	(void)state;
	memset(value, 'a', sizeof(value));
	assert_null(match_parse("{a=~\"(a+)+b\"}", &m));
	assert_false(match_labels(m, &l, 1));
	match_free(&m);
}

static void
there_are_limits(void **state)
{
	static char text[10000];
	struct match *m;
	size_t n = 1;
	int i;

	(void)state;
	text[0] = '{';
	for (i = 0; i < 65; i++, n += strlen(text + n))
		memcpy(text + n, "a=\"b\",", 7);
	text[n] = '}';
	assert_string_equal(match_parse(text, &m), "more than 64 matchers");
	memset(text, 'a', sizeof(text) - 1);
	assert_non_null(match_parse(text, &m));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(selectors_take_what_they_say),
		cmocka_unit_test(what_is_no_selector_is_refused_with_a_reason),
		cmocka_unit_test(effort_is_bounded),
		cmocka_unit_test(there_are_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
