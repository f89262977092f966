/* verdict.c - status codes to decisions.
 * SPDX-License-Identifier: Apache-2.0 */
#include "forward/verdict.h"

#include "base/clock.h"

#define RETRY_AFTER_MAX (600 * CLOCK_S)

static bool
written(struct http_headers h, const char *name, uint64_t *out)
{
	struct bytes v = http_header(h, name);

	return v.p && http_number(v, out);
}

static void
read_hints(const struct http_answer *a, int64_t wall_ns,
    struct verdict_hint *hint)
{
	bool s, h, e;

	hint->retry_after_ns = http_retry_after(http_header(a->headers,
	    "retry-after"), wall_ns);
	if (hint->retry_after_ns > RETRY_AFTER_MAX)
		hint->retry_after_ns = RETRY_AFTER_MAX;
	s = written(a->headers, "x-prometheus-remote-write-samples-written",
	    &hint->written.samples);
	h = written(a->headers, "x-prometheus-remote-write-histograms-written",
	    &hint->written.histograms);
	e = written(a->headers, "x-prometheus-remote-write-exemplars-written",
	    &hint->written.exemplars);
	hint->has_written = s || h || e;
}

/* A 2.0 request was taken as an empty 1.0 one, or not understood at all.  1.0 comes
 * after 2.0, and after 1.0 there is nothing else. */
static enum verdict
not_spoken(const struct verdict_case *c)
{
	return c->may_change && c->sent.proto == PAYLOAD_V2 ? VERDICT_OTHER :
	    VERDICT_HELD;
}

static enum verdict
unsupported(const struct verdict_case *c)
{
	return c->sent.coding == PAYLOAD_ZSTD ? VERDICT_OTHER : not_spoken(c);
}

static enum verdict
bad_request(const struct verdict_case *c, const struct verdict_hint *hint)
{
	/* then it was understood */
	if (hint->has_written)
		return VERDICT_REFUSED;
	if (c->sent.coding == PAYLOAD_ZSTD)
		return c->proven ? VERDICT_PLAIN : VERDICT_OTHER;
	/* receivers of 1.0 may answer so to a message they do not know */
	if (c->sent.proto == PAYLOAD_V2 && c->may_change && !c->proven)
		return VERDICT_OTHER;
	return VERDICT_REFUSED;
}

enum verdict
verdict_of(enum status st, const struct http_answer *a,
    const struct verdict_case *c, struct verdict_hint *hint)
{
	*hint = (struct verdict_hint){ .retry_after_ns = -1 };
	if (st != ST_OK)
		return VERDICT_LATER;
	read_hints(a, c->wall_ns, hint);

	if (a->status >= 200 && a->status < 300)
		return c->sent.proto == PAYLOAD_V2 && !hint->has_written ?
		    not_spoken(c) : VERDICT_DELIVERED;
	switch (a->status) {
	case 429:
		return VERDICT_LATER;
	case 413:
		return VERDICT_SPLIT;
	case 415:
		return unsupported(c);
	case 400:
		return bad_request(c, hint);
	case 401:
	case 403:
	case 404:
	case 407:
	case 408:
		return c->drop_misconfig ? VERDICT_REFUSED : VERDICT_HELD;
	default:
		break;
	}
	if (a->status >= 300 && a->status < 400)
		return c->drop_misconfig ? VERDICT_REFUSED : VERDICT_HELD;
	if (a->status >= 400 && a->status < 500)
		return VERDICT_REFUSED;
	return VERDICT_LATER;
}
