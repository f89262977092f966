/* client.c - exchanges as timers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "fake/client.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UPSTREAMS_MAX 16

static struct {
	char host[64];
	fake_upstream_fn *fn;
	void *arg;
} upstream[UPSTREAMS_MAX];
static size_t n_upstreams, in_flight;

struct http_client {
	struct loop *loop;
	size_t upstream;
	struct http_exchange *open;
};

struct http_exchange {
	struct http_exchange *next;
	struct http_client *client;
	struct loop_timer *timer;
	struct fake_answer answer;
	http_done_fn *done;
	void *arg;
};

static size_t
find(const char *host)
{
	size_t i = 0;

	while (i < n_upstreams && strcmp(upstream[i].host, host) != 0)
		i++;
	return i;
}

void
fake_upstream_set(const char *host, fake_upstream_fn *fn, void *arg)
{
	size_t i = find(host);

	assert(i < UPSTREAMS_MAX);
	if (i == n_upstreams)
		n_upstreams++;
	(void)snprintf(upstream[i].host, sizeof(upstream[i].host), "%s", host);
	upstream[i].fn = fn;
	upstream[i].arg = arg;
}

size_t
fake_in_flight(void)
{
	return in_flight;
}

enum status
http_client_new(struct loop *loop, const struct http_client_opts *o,
    struct http_client **out)
{
	struct http_client *c = calloc(1, sizeof(*c));

	assert(c && find(o->url.host) < n_upstreams);
	c->loop = loop;
	c->upstream = find(o->url.host);
	*out = c;
	return ST_OK;
}

static void
forget(struct http_exchange *x)
{
	struct http_exchange **at = &x->client->open;

	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	in_flight--;
	loop_timer_free(&x->timer);
	free(x);
}

void
http_client_free(struct http_client **c)
{
	if (!*c)
		return;
	while ((*c)->open)
		forget((*c)->open);
	free(*c);
	*c = NULL;
}

void
http_exchange_cancel(struct http_exchange **x)
{
	if (*x)
		forget(*x);
	*x = NULL;
}

static void
add(struct http_header *h, size_t *n, const char *name, const char *value)
{
	h[(*n)++] = (struct http_header){ bytes_str(name), bytes_str(value) };
}

static void
answer(void *arg)
{
	struct http_exchange *x = arg;
	struct fake_answer f = x->answer;
	http_done_fn *done = x->done;
	void *done_arg = x->arg;
	struct http_header h[4];
	char number[3][24];
	struct http_answer a = { .status = f.http, .headers.list = h };

	forget(x);
	if (f.st != ST_OK) {
		done(f.st, NULL, done_arg);
		return;
	}
	if (f.retry_after)
		add(h, &a.headers.n, "Retry-After", f.retry_after);
	if (f.written) {
		(void)snprintf(number[0], 24, "%" PRIu64, f.samples);
		(void)snprintf(number[1], 24, "%" PRIu64, f.histograms);
		(void)snprintf(number[2], 24, "%" PRIu64, f.exemplars);
		add(h, &a.headers.n,
		    "X-Prometheus-Remote-Write-Samples-Written", number[0]);
		add(h, &a.headers.n,
		    "X-Prometheus-Remote-Write-Histograms-Written", number[1]);
		add(h, &a.headers.n,
		    "X-Prometheus-Remote-Write-Exemplars-Written", number[2]);
	}
	if (f.text)
		a.body = bytes_str(f.text);
	done(ST_OK, &a, done_arg);
}

enum status
http_client_send(struct http_client *c, const struct http_call *call,
    http_done_fn *done, void *arg, struct http_exchange **out)
{
	struct http_exchange *x = calloc(1, sizeof(*x));

	assert(x);
	x->client = c;
	x->done = done;
	x->arg = arg;
	x->next = c->open;
	c->open = x;
	in_flight++;
	*out = x;
	x->answer.http = 204;
	upstream[c->upstream].fn(call, &x->answer, upstream[c->upstream].arg);
	assert(loop_timer_new(c->loop, answer, x, &x->timer) == ST_OK);
	loop_timer_start(x->timer, x->answer.after_ns);
	return ST_OK;
}
