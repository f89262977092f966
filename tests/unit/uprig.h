/* uprig.h - edges, a spool, forwarders and their upstreams, in memory and in virtual time.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Sessions, spool, cursor and forwarder are the real ones; the disk is in memory, an
 * upstream is a function, and time passes when a test says so.  The n-th request of an
 * edge has so many samples of value n, so the upstream can tell what came, how often, in
 * which order and whether it was whole.                                     */
#ifndef RW_TESTS_UPRIG_H
#define RW_TESTS_UPRIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/pace.h"
#include "fake/client.h"
#include "fake/disk_ram.h"
#include "fake/loop.h"
#include "forward/forwarder.h"
#include "ingest/session.h"
#include "spool/spool.h"

#define POINTS 3			/* in a request, if a test does not say */
#define POINTS_MAX 4000
#define EDGES 100			/* at most; 8 of them in put_all() */
#define EDGES_ALL 8
#define REQUESTS 40000			/* of an edge */
#define PAD_MAX 60000

/* How many a test of random schedules runs, and a sweep of them.  One thread, so there is
 * little for TSan to find, and with it they take fifteen times as long. */
#ifdef __SANITIZE_THREAD__
#define SCHEDULES 10
#else
#define SCHEDULES 60
#endif
#define SCHEDULES_ALL 5000

/* ---- an upstream ------------------------------------------------------------------ */

struct receiver {
	/* how it behaves */
	enum status st;			/* not ST_OK: it does not answer so */
	int http;			/* what it answers, 0: success */
	int http_v2;			/* likewise, to 2.0; 0: as http */
	int http_zstd;			/* likewise, to zstd */
	bool only_v1;			/* success without Written, stores nothing */
	const char *retry_after;
	int64_t after_ns;
	int poison_edge, poison_number;	/* 400 to what holds this request; -1 */
	int refused_edge;		/* 429 to all of it; -1 */
	bool lose_answer;		/* takes it, and the connection is cut */
	size_t max_body;		/* 413 past it, decoded; 0: none */
	bool in_parts;			/* a request may come so */
	struct bucket bears;		/* samples/s, 429 past it; rate 0: any */

	/* what it saw */
	unsigned requests, v1, v2, zstd;
	unsigned refused;		/* by bears and refused_edge */
	unsigned char came[EDGES][REQUESTS];
	unsigned reorders, torn;
	unsigned overtaken;		/* came for the first time after a newer one */
	unsigned points, metadata;
	unsigned several;		/* points that followed one of their series */
	size_t largest;			/* of those taken, decoded */
	int last[EDGES];
	int64_t last_request_at, least_gap;
	int64_t done_at[EDGES];		/* when something of it came last */
	/* how old what was put from then on was when it came, if it is given room */
	int64_t since_ms;		/* wall clock */
	int64_t *delay_ms;
	unsigned n_delays, max_delays;
};

/* ---- the relay ----------------------------------------------------------------------- */

struct sent;

struct rig {
	struct disk_ram *disk;
	struct loop *loop, *up_loop[2];
	struct spool *spool;
	struct session *session[EDGES];
	struct forwarder *forwarder[2];
	struct receiver receiver[2];
	struct forward_opts opts[2];
	struct spool_opts spool_opts;
	unsigned n_up;
	unsigned points;		/* in a request that is put */
	int stored[EDGES];		/* requests, all durable */
	struct sent *sent;
};

/* Once, at the start of main. */
bool uprig_init(void);

/* A rig that runs, with upstreams "one" and "two". */
struct rig *rig_new(unsigned n_up, enum forward_protocol);
void rig_free(struct rig *);
/* As a kill does: what was in flight is forgotten; and on again, as opts say. */
void rig_stop(struct rig *);
void rig_start(struct rig *);

/* Metadata of a family, and nothing else, in what is put. */
extern bool only_metadata;
/* Bytes of a label value of all series. */
extern size_t pad;

/* The next request of an edge, made durable. */
void put(struct rig *, int edge);
/* Of EDGES_ALL edges, in turn. */
void put_all(struct rig *, int rounds);

void receiver_init(struct receiver *);
/* The upstream function of a receiver. */
void receive(const struct http_call *, struct fake_answer *, void *receiver);

/* Everything stored came, in order, whole; returns how many came more than once. */
unsigned check_all(const struct rig *, unsigned up);

#endif
