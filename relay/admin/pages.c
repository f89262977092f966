/* pages.c - figures, health, readiness, a status page.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A page is made when its request's headers are there; a body is not wanted. */
#include "admin/pages.h"

#include <inttypes.h>

#include "admin/answer.h"
#include "admin/process.h"
#include "base/clock.h"
#include "base/metric.h"
#include "config.h"
#include "forward/forwarder.h"

static bool ready;
static int64_t started, started_wall;	/* when the routes were asked for */

/* ---- health and figures ------------------------------------------------------- */

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
	struct buf *body = answer_page();

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
	return answer_as(r, 200,
	    BYTES_LIT("text/plain; version=0.0.4; charset=utf-8"), body);
}

/* ---- the status page ------------------------------------------------------------- */

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

/* A state of its own, since it says nothing of the upstream. */
static const char *
state_of(const struct metric_group *g)
{
	return metric_group_read(g, METRIC_UP_PAUSED) ? "paused" :
	    forwarder_state(metric_group_read(g, METRIC_UP_STATE));
}

/* "-": it has nothing to wait for, or there is no telling. */
static struct figure
estimate(int64_t ms)
{
	return ms > 0 ? figure_time(ms) : (struct figure){ "-" };
}

static void
add_spool(struct buf *out)
{
	struct figure used = figure_bytes(metric_read(METRIC_SPOOL_BYTES));
	struct figure limit = figure_bytes(metric_read(METRIC_SPOOL_LIMIT));
	int64_t ms = metric_read(METRIC_SPOOL_FULL_MS);
	struct figure full = estimate(ms);

	(void)buf_printf(out, "spool      %s of %s in %" PRId64 " segments%s%s "
	    "(%" PRId64 " errors, %" PRId64 " segments dropped)\n",
	    used.text, limit.text, metric_read(METRIC_SPOOL_SEGMENTS),
	    ms > 0 ? ", full in " : "", ms > 0 ? full.text : "",
	    sum_of_reasons(METRIC_SPOOL_ERRORS),
	    metric_read(METRIC_SPOOL_DROPPED));
}

static void
add_upstream(const char *name, const struct metric_group *g, void *arg)
{
	static const char *const protocol[] = { "-", "1.0", "2.0" };
	struct figure behind, lag, catch_up;
	int64_t p = metric_group_read(g, METRIC_UP_PROTOCOL);

	behind = figure_bytes(metric_group_read(g, METRIC_UP_BACKLOG_BYTES));
	lag = figure_time(metric_group_read(g, METRIC_UP_LAG_MS));
	catch_up = estimate(metric_group_read(g, METRIC_UP_CATCH_UP_MS));
	(void)buf_printf(arg, "%-20s  %-11s  %-8s  %9s  %9s  %9s  %9" PRId64
	    "  %14" PRId64 "  %9" PRId64 "\n", name, state_of(g),
	    protocol[p == 1 || p == 2 ? p : 0], lag.text, behind.text,
	    catch_up.text, metric_group_read(g, METRIC_UP_IN_FLIGHT),
	    metric_group_read(g, METRIC_UP_SAMPLES),
	    metric_group_read(g, METRIC_UP_REFUSED));
}

/* What somebody should do something about. */
static void
add_notes(const char *name, const struct metric_group *g, void *arg)
{
	int64_t parked = metric_group_read(g, METRIC_UP_PARKED);
	int64_t disorder = metric_group_read(g, METRIC_UP_DISORDER);

	if (parked)
		(void)buf_printf(arg, "%s: edges parked: %" PRId64 "; it refuses "
		    "their data alone, which waits and is tried now and then\n",
		    name, parked);
	if (disorder)
		(void)buf_printf(arg, "%s: samples refused out of order: %" PRId64
		    "; order = live-first is not for it, set order = strict\n",
		    name, disorder);
}

static void
add_upstreams(struct buf *out)
{
	(void)buf_printf(out, "%-20s  %-11s  %-8s  %9s  %9s  %9s  %9s  %14s  "
	    "%9s\n", "upstream", "state", "protocol", "lag", "backlog",
	    "catch-up", "in flight", "delivered", "refused");
	metric_group_each(METRIC_SCOPE_UPSTREAM, add_upstream, out);
	metric_group_each(METRIC_SCOPE_UPSTREAM, add_notes, out);
}

static void
add_edge(const char *name, const struct metric_group *g, void *arg)
{
	(void)buf_printf(arg, "%-40s  %10" PRId64 "  %14" PRId64 "  %10" PRId64
	    "  %10" PRId64 "\n", name, metric_group_read(g, METRIC_EDGE_SERIES),
	    metric_group_read(g, METRIC_EDGE_SAMPLES),
	    metric_group_read(g, METRIC_EDGE_REJECTED),
	    metric_group_read(g, METRIC_EDGE_REFUSED));
}

static void
add_edges(struct buf *out)
{
	(void)buf_printf(out, "%-40s  %10s  %14s  %10s  %10s\n", "edge",
	    "series", "durable", "rejected", "over");
	metric_group_each(METRIC_SCOPE_EDGE, add_edge, out);
}

static enum status
show_status(struct http_request *r, void *arg)
{
	struct figure up = figure_time((clock_mono() - started) / CLOCK_MS);
	struct buf *body = answer_page();

	(void)arg;
	if (!body)
		return ST_NO_MEMORY;
	(void)buf_printf(body, "rwrelay %s, up %s, %s\n\n", PACKAGE_VERSION,
	    up.text, ready ? "ready" : "not ready");
	add_received(body);
	add_spool(body);
	(void)buf_append_str(body, "\n");
	add_upstreams(body);
	return answer_plain(r, body);
}

static enum status
show_upstreams(struct http_request *r, void *arg)
{
	struct buf *body = answer_page();

	(void)arg;
	if (!body)
		return ST_NO_MEMORY;
	add_upstreams(body);
	return answer_plain(r, body);
}

static enum status
show_edges(struct http_request *r, void *arg)
{
	struct buf *body = answer_page();

	(void)arg;
	if (!body)
		return ST_NO_MEMORY;
	add_edges(body);
	return answer_plain(r, body);
}

/* ---- routes -------------------------------------------------------------------------- */

static const struct http_handler healthy = ANSWERED_IN_BEGIN(show_healthy);
static const struct http_handler readiness = ANSWERED_IN_BEGIN(show_ready);
static const struct http_handler metrics = ANSWERED_IN_BEGIN(show_metrics);
static const struct http_handler upstreams = ANSWERED_IN_BEGIN(show_upstreams);
static const struct http_handler edges = ANSWERED_IN_BEGIN(show_edges);
static const struct http_handler status = ANSWERED_IN_BEGIN(show_status);

static const struct http_route routes[] = {
	{ "GET", "/metrics", &metrics, NULL },
	{ "GET", "/-/healthy", &healthy, NULL },
	{ "GET", "/-/ready", &readiness, NULL },
	{ "GET", "/status", &status, NULL },
	{ "GET", "/upstreams", &upstreams, NULL },
	{ "GET", "/edges", &edges, NULL },
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
