/* client.h - upstreams on a string: http/client.h without a network.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A test links client.c in place of http/client.c.  Each request goes to the function
 * set for its host, at the moment it is sent, and the answer comes after the delay that
 * it asks for, on whatever clock the loop has.                              */
#ifndef RW_FAKE_CLIENT_H
#define RW_FAKE_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "http/client.h"

struct fake_answer {
	enum status st;			/* not ST_OK: no answer */
	int http;
	const char *retry_after;	/* NULL: no such header */
	const char *text;		/* body; NULL: empty */
	bool written;			/* with Written headers, of: */
	uint64_t samples, histograms, exemplars;
	int64_t after_ns;
};

typedef void fake_upstream_fn(const struct http_call *, struct fake_answer *,
    void *arg);

/* For requests to this host; one set later for the same host replaces it. */
void fake_upstream_set(const char *host, fake_upstream_fn *, void *arg);
/* Requests sent and not yet answered or cancelled, of all clients. */
size_t fake_in_flight(void);

#endif
