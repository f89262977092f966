/* control.c - orders for upstreams, by name.
 * SPDX-License-Identifier: Apache-2.0 */
#include "admin/control.h"

#include <stdlib.h>
#include <string.h>

#include "admin/answer.h"
#include "admin/pages.h"

#define ORDERS 3

struct control {
	const struct control_upstream *upstreams;	/* borrowed */
	size_t n_upstreams;
	struct http_route *routes;	/* owned */
	size_t n_routes;
};

/* The upstream that the query names; NULL: there is none, and it was said. */
static struct forwarder *
named(const struct control *c, struct http_request *r, enum status *st)
{
	struct bytes name = http_request_query(r);
	size_t i;

	for (i = 0; i < c->n_upstreams; i++)
		if (bytes_eq(bytes_str(c->upstreams[i].name), name))
			return c->upstreams[i].forwarder;
	*st = answer_text(r, 404, "there is no upstream of that name\n");
	return NULL;
}

static enum status
order_pause(struct http_request *r, void *arg)
{
	enum status st = ST_OK;
	struct forwarder *f = named(arg, r, &st);

	if (!f)
		return st;
	forwarder_pause(f, true);
	return answer_text(r, 200, "paused\n");
}

static enum status
order_resume(struct http_request *r, void *arg)
{
	enum status st = ST_OK;
	struct forwarder *f = named(arg, r, &st);

	if (!f)
		return st;
	forwarder_pause(f, false);
	return answer_text(r, 200, "resumed\n");
}

static enum status
ask_drained(struct http_request *r, void *arg)
{
	enum status st = ST_OK;
	struct forwarder *f = named(arg, r, &st);

	if (!f)
		return st;
	return forwarder_is_drained(f) ? answer_text(r, 200, "drained\n") :
	    answer_text(r, 503, "not yet\n");
}

static const struct http_handler pause = ANSWERED_IN_BEGIN(order_pause);
static const struct http_handler resume = ANSWERED_IN_BEGIN(order_resume);
static const struct http_handler drained = ANSWERED_IN_BEGIN(ask_drained);

enum status
control_new(const struct control_upstream *upstreams, size_t n,
    struct control **out)
{
	struct control *c = calloc(1, sizeof(*c));
	const struct http_route orders[ORDERS] = {
		{ "POST", "/pause", &pause, c },
		{ "POST", "/resume", &resume, c },
		{ "GET", "/drained", &drained, c },
	};
	const struct http_route *pages;
	size_t n_pages;

	if (!c)
		return ST_NO_MEMORY;
	pages = pages_routes(&n_pages);
	c->upstreams = upstreams;
	c->n_upstreams = n;
	c->n_routes = n_pages + ORDERS;
	c->routes = calloc(c->n_routes, sizeof(*c->routes));
	if (!c->routes) {
		control_free(&c);
		return ST_NO_MEMORY;
	}
	memcpy(c->routes, pages, n_pages * sizeof(*pages));
	memcpy(c->routes + n_pages, orders, sizeof(orders));
	*out = c;
	return ST_OK;
}

void
control_free(struct control **taken)
{
	struct control *c = *taken;

	*taken = NULL;
	if (!c)
		return;
	free(c->routes);
	free(c);
}

const struct http_route *
control_routes(const struct control *c, size_t *n)
{
	*n = c->n_routes;
	return c->routes;
}
