/* dial.h - from a name to a stream: addresses looked up and tried side by side,
 * through a proxy if there is one, and TLS.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Happy eyeballs in a simple form (RFC 8305): addresses alternate between IPv6 and
 * IPv4, first the one that answered last; when an attempt has failed, or is not through
 * (TLS included) after DIAL_NEXT_NS, the next address is tried beside it; the first that
 * is through wins, and the others are given up.  One loop owns a dialer.          */
#ifndef RW_HTTP_DIAL_H
#define RW_HTTP_DIAL_H

#include "base/clock.h"
#include "http/url.h"
#include "io/loop.h"
#include "io/stream.h"

#define DIAL_NEXT_NS (250 * CLOCK_MS)	/* less, if there is not time for all */

struct dialer;

struct dialer_opts {
	struct http_url url;
	struct http_url proxy;		/* host "": none */
	struct tls *tls;		/* borrowed for life; NULL: none */
	int64_t timeout_ns;		/* of a dial, once there are addresses */
	int64_t look_again_ns;		/* how long addresses are good */
};

/* A dial has ended.  ST_OK: the stream is READY, and whoever takes it has to
 * stream_own() it; else it is NULL.  From the loop; may end the dialer. */
typedef void dialer_fn(enum status, struct stream *taken, void *arg);

enum status dialer_new(struct loop *, const struct dialer_opts *, dialer_fn *,
    void *arg, struct dialer **out);
/* Dials under way end without a word. */
void dialer_free(struct dialer **);

/* One more.  ST_NO_MEMORY: nothing was begun. */
enum status dialer_dial(struct dialer *);
/* How many are under way. */
size_t dialer_dials(const struct dialer *);
/* Why it takes so long: the status of who has waited enough. */
enum status dialer_late(const struct dialer *);
/* A connection has failed: names are looked up before the next dial.  When that
 * fails, the addresses of before are good. */
void dialer_doubt(struct dialer *);

#endif
