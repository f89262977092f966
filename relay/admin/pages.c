/* pages.c - figures, health, readiness, a status page.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A page is made when its request's headers are there; a body is not wanted. */
#include "admin/pages.h"

#include <inttypes.h>
#include <stdio.h>

#include "admin/process.h"
#include "base/clock.h"
#include "base/metric.h"
#include "config.h"

/* 500 edges and 500 upstreams with all their figures are about 4 MiB. */
#define PAGE_BYTES_MAX (64 * 1024 * 1024)

static bool ready;
static int64_t started, started_wall;	/* when the routes were asked for */

/* ---- answering ---------------------------------------------------------------- */

static enum status
answer(struct http_request *r, int status, struct bytes type, struct buf *taken)
{
	const struct http_header headers[] = {
		{ BYTES_LIT("Content-Type"), type },
		{ BYTES_LIT("Cache-Control"), BYTES_LIT("no-store") },
	};
	struct http_response response = {
		.status = status,
		.headers = { headers, sizeof(headers) / sizeof(headers[0]) },
		.body = taken,
	};

	if (buf_failed(taken)) {
		buf_free(&response.body);
		return ST_NO_MEMORY;
	}
	http_respond(r, &response);
	return ST_OK;
}

static enum status
answer_text(struct http_request *r, int status, const char *text)
{
	struct buf *body = buf_new(PAGE_BYTES_MAX);

	if (!body)
		return ST_NO_MEMORY;
	(void)buf_append_str(body, text);
	return answer(r, status, BYTES_LIT("text/plain; charset=utf-8"), body);
}

static enum status
show_healthy(struct http_request *r, void *arg)
{
	(void)arg;
	return answer_text(r, 200, "healthy\n");
}

static enum status
show_ready(struct http_request *r, void *arg)
{
	(void)arg;
	return ready ? answer_text(r, 200, "ready\n") :
	    answer_text(r, 503, "not ready\n");
}

static enum status
show_metrics(struct http_request *r, void *arg)
{
	struct buf *body = buf_new(PAGE_BYTES_MAX);

	(void)arg;
	if (!body)
		return ST_NO_MEMORY;
	metric_render(body);
	(void)buf_printf(body, "# HELP rwrelay_build_info 1, by version.\n"
	    "# TYPE rwrelay_build_info gauge\n"
	    "rwrelay_build_info{version=\"%s\"} 1\n"
	    "# HELP process_start_time_seconds Unix time of the start.\n"
	    "# TYPE process_start_time_seconds gauge\n"
	    "process_start_time_seconds %.3f\n", PACKAGE_VERSION,
	    (double)started_wall / 1e9);
	process_render(body);
	return answer(r, 200,
	    BYTES_LIT("text/plain; version=0.0.4; charset=utf-8"), body);
}

/* ---- the status page ------------------------------------------------------------- */

/* For one line of printf; sizes and durations as the config has them. */
struct figure {
	char text[24];
};

static struct figure
bytes_figure(int64_t n)
{
	static const char unit[] = "BKMGTP";
	double v = n > 0 ? (double)n : 0;
	struct figure f;
	size_t i;

	for (i = 0; v >= 1024 && unit[i + 1]; i++)
		v /= 1024;
	(void)snprintf(f.text, sizeof(f.text), i ? "%.1f%c" : "%.0f%c", v,
	    unit[i]);
	return f;
}

static struct figure
time_figure(int64_t ms)
{
	int64_t s = ms / 1000;
	struct figure f;

	if (s < 60)
		(void)snprintf(f.text, sizeof(f.text), "%.1fs",
		    (double)ms / 1e3);
	else if (s < 3600)
		(void)snprintf(f.text, sizeof(f.text),
		    "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
	else if (s < 86400)
		(void)snprintf(f.text, sizeof(f.text),
		    "%" PRId64 "h%02" PRId64 "m", s / 3600, s / 60 % 60);
	else
		(void)snprintf(f.text, sizeof(f.text),
		    "%" PRId64 "d%02" PRId64 "h", s / 86400, s / 3600 % 24);
	return f;
}

static int64_t
sum_of_reasons(enum metric m)
{
	enum status st;
	int64_t sum = 0;

	for (st = ST_OK; st < ST__N; st++)
		sum += metric_reason_read(m, st);
	return sum;
}

static void
add_received(struct buf *out)
{
	(void)buf_printf(out, "edges      %" PRId64 " (%" PRId64
	    " connections, %" PRId64 " series)\n",
	    metric_read(METRIC_EDGES), metric_read(METRIC_CONNECTIONS),
	    metric_read(METRIC_SERIES));
	(void)buf_printf(out, "durable    %" PRId64 " samples, %" PRId64
	    " histograms, %" PRId64 " exemplars, %" PRId64 " metadata\n",
	    metric_read(METRIC_SAMPLES), metric_read(METRIC_HISTOGRAMS),
	    metric_read(METRIC_EXEMPLARS), metric_read(METRIC_METADATA));
	(void)buf_printf(out, "rejected   %" PRId64 "\n",
	    sum_of_reasons(METRIC_REJECTED));
}

static void
add_spool(struct buf *out)
{
	struct figure used = bytes_figure(metric_read(METRIC_SPOOL_BYTES));
	struct figure limit = bytes_figure(metric_read(METRIC_SPOOL_LIMIT));

	(void)buf_printf(out, "spool      %s of %s in %" PRId64
	    " segments (%" PRId64 " errors, %" PRId64 " segments dropped)\n",
	    used.text, limit.text, metric_read(METRIC_SPOOL_SEGMENTS),
	    sum_of_reasons(METRIC_SPOOL_ERRORS),
	    metric_read(METRIC_SPOOL_DROPPED));
}

static const char *
state_of(const struct metric_group *g)
{
	if (metric_group_read(g, METRIC_UP_HELD))
		return "held";
	return metric_group_read(g, METRIC_UP_IN_FLIGHT) ||
	    metric_group_read(g, METRIC_UP_BACKLOG_BYTES) ? "sending" : "idle";
}

static void
add_upstream(const char *name, const struct metric_group *g, void *arg)
{
	static const char *const protocol[] = { "-", "1.0", "2.0" };
	struct figure behind, lag;
	int64_t p = metric_group_read(g, METRIC_UP_PROTOCOL);

	behind = bytes_figure(metric_group_read(g, METRIC_UP_BACKLOG_BYTES));
	lag = time_figure(metric_group_read(g, METRIC_UP_LAG_MS));
	(void)buf_printf(arg, "%-20s  %-7s  %-8s  %9s  %9s  %9" PRId64
	    "  %14" PRId64 "  %9" PRId64 "\n", name,
	    state_of(g), protocol[p == 1 || p == 2 ? p : 0], lag.text, behind.text,
	    metric_group_read(g, METRIC_UP_IN_FLIGHT),
	    metric_group_read(g, METRIC_UP_SAMPLES),
	    metric_group_read(g, METRIC_UP_REFUSED));
}

static enum status
show_status(struct http_request *r, void *arg)
{
	struct figure up = time_figure((clock_mono() - started) / CLOCK_MS);
	struct buf *body = buf_new(PAGE_BYTES_MAX);

	(void)arg;
	if (!body)
		return ST_NO_MEMORY;
	(void)buf_printf(body, "rwrelay %s, up %s, %s\n\n", PACKAGE_VERSION,
	    up.text, ready ? "ready" : "not ready");
	add_received(body);
	add_spool(body);
	(void)buf_printf(body, "\n%-20s  %-7s  %-8s  %9s  %9s  %9s  %14s  %9s\n",
	    "upstream", "state", "protocol", "lag", "backlog", "in flight",
	    "delivered", "refused");
	metric_group_each(METRIC_SCOPE_UPSTREAM, add_upstream, body);
	return answer(r, 200, BYTES_LIT("text/plain; charset=utf-8"), body);
}

/* ---- routes -------------------------------------------------------------------------- */

/* An answer is given in begin, so nothing else is called but gone. */
static enum status
ignore_body(struct http_request *r, struct bytes piece)
{
	(void)r;
	(void)piece;
	return ST_OK;
}

static void
ignore_end(struct http_request *r)
{
	(void)r;
}

static void
ignore_gone(struct http_request *r, enum status why)
{
	(void)r;
	(void)why;
}

#define PAGE(fn) { fn, ignore_body, ignore_end, ignore_gone }
static const struct http_handler healthy = PAGE(show_healthy);
static const struct http_handler readiness = PAGE(show_ready);
static const struct http_handler metrics = PAGE(show_metrics);
static const struct http_handler status = PAGE(show_status);

static const struct http_route routes[] = {
	{ "GET", "/metrics", &metrics, NULL },
	{ "GET", "/-/healthy", &healthy, NULL },
	{ "GET", "/-/ready", &readiness, NULL },
	{ "GET", "/status", &status, NULL },
};

const struct http_route *
pages_routes(size_t *n)
{
	started = clock_mono();
	started_wall = clock_wall();
	*n = sizeof(routes) / sizeof(routes[0]);
	return routes;
}

void
pages_set_ready(bool yes)
{
	ready = yes;
}
