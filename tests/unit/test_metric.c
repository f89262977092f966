/* test_metric.c - counting on threads, groups, the page.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/metric.h"

static char *
page(void)
{
	struct buf b;

	buf_init(&b, 1 << 22);
	metric_render(&b);
	assert_true(buf_append(&b, "", 1));
	return (char *)b.data;
}

static void *
count(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 1000; i++)
		metric_add(METRIC_SAMPLES, 2);
	metric_reason_add(METRIC_REQUESTS, ST_BAD_SNAPPY, 1);
	return NULL;
}

static void
threads_add_up(void **state)
{
	pthread_t t[4];
	char *text;
	int i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, count, NULL), 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	assert_int_equal(metric_read(METRIC_SAMPLES), 8000);
	assert_int_equal(metric_reason_read(METRIC_REQUESTS, ST_BAD_SNAPPY), 4);
	text = page();
	assert_non_null(strstr(text, "\nrwrelay_samples_total 8000\n"));
	assert_non_null(strstr(text,
	    "\nrwrelay_requests_total{reason=\"bad-snappy\"} 4\n"));
	free(text);
}

static void
durations_fill_buckets(void **state)
{
	char *text;

	(void)state;
	metric_observe(METRIC_ANSWER_SECONDS, 100000);		/* 0.1 ms */
	metric_observe(METRIC_ANSWER_SECONDS, 60000000000);	/* a minute */
	text = page();
	assert_non_null(strstr(text,
	    "\nrwrelay_answer_seconds_bucket{le=\"0.0001\"} 1\n"));
	assert_non_null(strstr(text,
	    "\nrwrelay_answer_seconds_bucket{le=\"30\"} 1\n"));
	assert_non_null(strstr(text,
	    "\nrwrelay_answer_seconds_bucket{le=\"+Inf\"} 2\n"));
	assert_non_null(strstr(text, "\nrwrelay_answer_seconds_count 2\n"));
	free(text);
}

static void
a_group_has_its_label(void **state)
{
	struct metric_group *g = metric_group_new(METRIC_SCOPE_UPSTREAM,
	    BYTES_LIT("a\"b\\c"));
	char *text;

	(void)state;
	metric_group_add(g, METRIC_UP_SAMPLES, 5);
	metric_group_set(g, METRIC_UP_LAG_MS, 1500);
	text = page();
	assert_non_null(strstr(text, "\nrwrelay_upstream_samples_total"
	    "{upstream=\"a\\\"b\\\\c\"} 5\n"));
	assert_non_null(strstr(text, "\nrwrelay_upstream_lag_seconds"
	    "{upstream=\"a\\\"b\\\\c\"} 1.500\n"));
	free(text);
	metric_group_set(g, METRIC_UP_CATCH_UP_MS, -1);
	text = page();
	assert_non_null(strstr(text, "\nrwrelay_upstream_catch_up_seconds"
	    "{upstream=\"a\\\"b\\\\c\"} NaN\n"));
	free(text);
	metric_group_free(&g);
	text = page();
	assert_null(strstr(text, "upstream=\"a"));
	free(text);
}

static void
past_the_bound_groups_are_shared(void **state)
{
	struct metric_group *g[METRIC_GROUPS_MAX + 3];
	char name[16];
	size_t i;

	(void)state;
	for (i = 0; i < METRIC_GROUPS_MAX + 3; i++) {
		(void)snprintf(name, sizeof(name), "e%zu", i);
		g[i] = metric_group_new(METRIC_SCOPE_EDGE, bytes_str(name));
		assert_non_null(g[i]);
	}
	assert_ptr_equal(g[METRIC_GROUPS_MAX], g[METRIC_GROUPS_MAX + 2]);
	assert_ptr_not_equal(g[0], g[1]);
	for (i = 0; i < METRIC_GROUPS_MAX + 3; i++)
		metric_group_free(&g[i]);
	g[0] = metric_group_new(METRIC_SCOPE_EDGE, BYTES_LIT("again"));
	metric_group_add(g[0], METRIC_EDGE_SAMPLES, 1);
	assert_int_equal(metric_group_read(g[0], METRIC_EDGE_SAMPLES), 1);
	metric_group_free(&g[0]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_add_up),
		cmocka_unit_test(durations_fill_buckets),
		cmocka_unit_test(a_group_has_its_label),
		cmocka_unit_test(past_the_bound_groups_are_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
