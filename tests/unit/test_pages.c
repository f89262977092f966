/* test_pages.c - the admin pages, asked over a socket.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/pages.h"
#include "base/clock.h"
#include "base/metric.h"

/* One request on a connection of its own: a thread asks while this one runs the
 * loop. */
struct asking {
	struct loop *loop;
	int fd;
	const char *method, *path;
	char *answer;			/* owned by the test */
};

static void *
ask(void *arg)
{
	struct asking *a = arg;
	size_t n = 0, cap = 1 << 20;
	char head[200];
	ssize_t got;
	int len;

	len = snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: x\r\n"
	    "Connection: close\r\n\r\n", a->method, a->path);
	a->answer = calloc(1, cap);
	if (a->answer && write(a->fd, head, (size_t)len) == len)
		while ((got = read(a->fd, a->answer + n, cap - 1 - n)) > 0)
			n += (size_t)got;
	(void)close(a->fd);	/* nothing more is asked of it */
	loop_stop(a->loop);
	return NULL;
}

static char *
page(const char *method, const char *path)
{
	struct http_server_opts opts = {
		.max_header_bytes = 16384, .max_connections = 10,
		.header_timeout_ns = 5 * CLOCK_S,
		.body_timeout_ns = 5 * CLOCK_S,
		.idle_timeout_ns = 5 * CLOCK_S,
	};
	struct loop_addr peer = { .ss = { .ss_family = AF_UNIX },
		.len = sizeof(sa_family_t) };
	struct asking a = { .method = method, .path = path };
	struct http_server *server;
	pthread_t thread;
	int pair[2];

	opts.routes = pages_routes(&opts.n_routes);
	assert_int_equal(loop_new("test", &a.loop), ST_OK);
	assert_int_equal(http_server_new(a.loop, &opts, &server), ST_OK);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    pair), 0);
	a.fd = pair[1];
	http_server_adopt(server, pair[0], &peer);
	assert_int_equal(pthread_create(&thread, NULL, ask, &a), 0);
	loop_run(a.loop);
	assert_int_equal(pthread_join(thread, NULL), 0);
	http_server_free(&server);
	loop_free(&a.loop);
	assert_non_null(a.answer);
	return a.answer;
}

static void
assert_begins(const char *text, const char *with)
{
	if (strncmp(text, with, strlen(with)) != 0)
		fail_msg("\"%.60s\" does not begin with \"%s\"", text, with);
}

static void
assert_holds(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

/* Of a metric without labels. */
static double
figure(const char *page_text, const char *name)
{
	char start[100];
	const char *line;

	(void)snprintf(start, sizeof(start), "\n%s ", name);
	line = strstr(page_text, start);
	if (!line)
		fail_msg("no %s", name);
	return strtod(line + strlen(start), NULL);
}

static struct metric_group *
some_figures(void)
{
	struct metric_group *up = metric_group_new(METRIC_SCOPE_UPSTREAM,
	    BYTES_LIT("central"));

	assert_non_null(up);
	metric_group_set(up, METRIC_UP_LAG_MS, 3723 * 1000);
	metric_group_set(up, METRIC_UP_BACKLOG_BYTES, 5 << 20);
	metric_group_set(up, METRIC_UP_CATCH_UP_MS, 125 * 1000);
	metric_group_set(up, METRIC_UP_PROTOCOL, 2);
	metric_group_add(up, METRIC_UP_SAMPLES, 1234567);
	metric_group_add(up, METRIC_UP_REFUSED, 89);
	metric_group_observe(up, METRIC_UP_SEND_SECONDS, CLOCK_MS);
	return up;
}

static void
readiness_is_what_was_told(void **state)
{
	char *answer;

	(void)state;
	answer = page("GET", "/-/ready");
	assert_begins(answer, "HTTP/1.1 503 ");
	assert_holds(answer, "\r\n\r\nnot ready\n");
	free(answer);
	answer = page("GET", "/-/healthy");
	assert_begins(answer, "HTTP/1.1 200 ");
	free(answer);
	pages_set_ready(true);
	answer = page("GET", "/-/ready");
	assert_begins(answer, "HTTP/1.1 200 ");
	assert_holds(answer, "\r\n\r\nready\n");
	free(answer);
	pages_set_ready(false);
	answer = page("GET", "/-/ready");
	assert_begins(answer, "HTTP/1.1 503 ");
	free(answer);
}

static void
metrics_are_text_of_its_version(void **state)
{
	struct metric_group *up = some_figures();
	char *answer = page("GET", "/metrics");

	(void)state;
	assert_begins(answer, "HTTP/1.1 200 ");
	assert_holds(answer,
	    "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
	assert_holds(answer,
	    "\nrwrelay_upstream_samples_total{upstream=\"central\"} 1234567\n");
	assert_holds(answer, "\nrwrelay_build_info{version=\"");
	assert_true(figure(answer, "process_start_time_seconds") > 1.7e9);
	assert_true(figure(answer, "process_resident_memory_bytes") > 1e5);
	assert_true(figure(answer, "process_open_fds") >= 3);
	assert_true(figure(answer, "process_open_fds") < 100);
	assert_true(figure(answer, "process_max_fds") >= 100);
	free(answer);
	metric_group_free(&up);
}

static void
promtool_finds_nothing(void **state)
{
	struct metric_group *edge, *up;
	char *answer, *body;
	FILE *to;

	(void)state;
	if (system("command -v promtool >/dev/null") != 0)
		skip();
	up = some_figures();
	edge = metric_group_new(METRIC_SCOPE_EDGE, BYTES_LIT("a\"b\\c\nd"));
	assert_non_null(edge);
	metric_reason_add(METRIC_REQUESTS, ST_OK, 1);
	metric_observe(METRIC_ANSWER_SECONDS, CLOCK_MS);
	metric_group_set(up, METRIC_UP_CATCH_UP_MS, -1);
	answer = page("GET", "/metrics");
	body = strstr(answer, "\r\n\r\n");
	assert_non_null(body);
	to = popen("promtool check metrics", "w");
	assert_non_null(to);
	assert_int_not_equal(fputs(body + 4, to), EOF);
	assert_int_equal(pclose(to), 0);
	free(answer);
	metric_group_free(&edge);
	metric_group_free(&up);
}

static void
status_is_one_screen(void **state)
{
	struct metric_group *up = some_figures();
	char *answer, *p;
	int lines = 0;

	(void)state;
	metric_add(METRIC_SPOOL_BYTES, 3 << 19);
	metric_add(METRIC_SPOOL_LIMIT, INT64_C(20) << 30);
	pages_set_ready(true);
	answer = page("GET", "/status");
	assert_begins(answer, "HTTP/1.1 200 ");
	assert_holds(answer, "\r\nContent-Type: text/plain; charset=utf-8\r\n");
	assert_holds(answer, "\r\n\r\nrwrelay ");
	assert_holds(answer, ", ready\n");
	assert_holds(answer, "1.5M of 20.0G in 0 segments (");
	assert_holds(answer, "\ncentral               live         2.0     "
	    "      1h02m       5.0M      2m05s          0         1234567         89\n");
	for (p = strstr(answer, "\r\n\r\n") + 4; *p; p++)
		lines += *p == '\n';
	assert_true(lines < 24);
	free(answer);
	metric_add(METRIC_SPOOL_FULL_MS, 7500 * 1000);
	answer = page("GET", "/status");
	assert_holds(answer, "1.5M of 20.0G in 0 segments, full in 2h05m (");
	free(answer);
	metric_add(METRIC_SPOOL_FULL_MS, -7500 * 1000);
	metric_group_free(&up);
	pages_set_ready(false);
}

static void
an_upstream_has_its_state_and_what_is_wrong(void **state)
{
	static const char *const word[] = { "live  ", "catching-up", "held  ",
		"down  ", "-  " };
	struct metric_group *up = some_figures();
	char *answer, line[80];
	int i;

	(void)state;
	for (i = 0; i < 5; i++) {
		metric_group_set(up, METRIC_UP_STATE, i);
		answer = page("GET", "/upstreams");
		(void)snprintf(line, sizeof(line), "\ncentral               %s",
		    word[i]);
		assert_holds(answer, line);
		assert_null(strstr(answer, "\ncentral:"));
		free(answer);
	}
	metric_group_set(up, METRIC_UP_PAUSED, 1);
	metric_group_set(up, METRIC_UP_CATCH_UP_MS, -1);
	metric_group_set(up, METRIC_UP_PARKED, 3);
	metric_group_add(up, METRIC_UP_DISORDER, 71);
	answer = page("GET", "/upstreams");
	assert_holds(answer, "\ncentral               paused       2.0     "
	    "      1h02m       5.0M          -          0  ");
	assert_holds(answer, "\ncentral: edges parked: 3;");
	assert_holds(answer, "\ncentral: samples refused out of order: 71; "
	    "order = live-first is not for it, set order = strict\n");
	free(answer);
	metric_group_free(&up);
}

static void
other_pages_and_methods_are_refused(void **state)
{
	char *answer = page("GET", "/metricsx");

	(void)state;
	assert_begins(answer, "HTTP/1.1 404 ");
	free(answer);
	answer = page("POST", "/metrics");
	assert_begins(answer, "HTTP/1.1 405 ");
	free(answer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readiness_is_what_was_told),
		cmocka_unit_test(metrics_are_text_of_its_version),
		cmocka_unit_test(promtool_finds_nothing),
		cmocka_unit_test(status_is_one_screen),
		cmocka_unit_test(an_upstream_has_its_state_and_what_is_wrong),
		cmocka_unit_test(other_pages_and_methods_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
