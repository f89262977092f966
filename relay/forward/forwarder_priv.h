/* forwarder_priv.h - what the parts of a forwarder show each other.
 * SPDX-License-Identifier: Apache-2.0
 *
 * intake.c reads and sorts, forwarder.c sends, outcome.c decides what an answer means, and
 * gate.c whether anything may be sent at all.  All on the forwarder's loop.  */
#ifndef RW_FORWARD_FORWARDER_PRIV_H
#define RW_FORWARD_FORWARDER_PRIV_H

#include <stdatomic.h>

#include "base/metric.h"
#include "base/pace.h"
#include "base/trend.h"
#include "forward/flow.h"
#include "forward/forwarder.h"
#include "forward/lane.h"
#include "forward/pacer.h"
#include "forward/rejected.h"
#include "forward/resend.h"
#include "forward/supply.h"

#define FORWARDER_EXCERPT 200		/* of an error's text, in the log */

enum fwd_state {
	FWD_LIVE,
	FWD_CATCHING_UP,
	FWD_HELD,
	FWD_DOWN,
};

struct forwarder {
	struct forward_opts opts;
	struct loop *loop;		/* borrowed */
	struct supply *supply;		/* owned */
	struct rejected *rejected;	/* owned */
	struct resend resend;		/* what was refused, once more */
	struct forward_command *skipping;	/* borrowed; NULL: nothing is skipped */
	struct http_client *client;	/* owned */
	struct credential *credential;	/* owned; NULL: none */
	struct metric_group *metrics;	/* owned */
	struct lane_tools tools;	/* owned */
	struct http_header *headers;	/* owned: the operator's, then ours */
	size_t tenant_at;		/* the tenant's place there */
	struct buf tenant;		/* owned: of the request sent last */
	struct flows flows;		/* owned */
	struct pacer pacer;
	struct trend backlog;		/* bytes of it */

	enum fwd_state state;
	struct lane *probe;		/* sent in DOWN; NULL: none */
	struct backoff backoff;
	struct loop_timer *gate;	/* owned: HELD until */
	int64_t gate_at;		/* when that is, clock_mono */
	int64_t held_since;		/* 0: not */
	enum status held_why;		/* as last logged */
	int held_http;
	bool away;			/* not only asked too much */
	uint64_t delivered;		/* requests */
	double refusals;		/* share of the requests answered lately */
	bool disorder;			/* it was said that it wants strict order */

	bool proven;			/* the upstream understands `form` */
	struct payload_form form;
	int64_t reprobe_at;		/* 0: never */

	uint32_t ahead[SUPPLY_SOURCES + 1];	/* points that are out, by source */
	enum { HUNGRY_UNKNOWN, HUNGRY_NOBODY, HUNGRY_SOME }
	    hungry[SUPPLY_SOURCES];	/* as of this turn */
	struct loop_timer *pace;	/* owned: something may be sent then */
	struct loop_msg more;		/* to go on reading in another turn */
	bool more_posted;
	struct loop_timer *sync;	/* owned */
	struct loop_timer *stop_at;	/* owned */
	struct loop_msg drain_msg;
	int64_t drain_ns;
	bool draining, stopped;
	bool paused;
	atomic_bool pause_wanted, pause_posted;
	struct loop_msg pause_msg;
	atomic_bool drained;		/* for other threads to see */
	bool caught_up;			/* the supply said ST_END */

	unsigned n_lanes;
	struct lane lane[];
};

/* Whether there are several forms to choose from. */
static inline bool
forwarder_may_change(const struct forwarder *f)
{
	return f->opts.protocol == FORWARD_AUTO ||
	    f->opts.coding == PAYLOAD_ZSTD;
}

/* ---- forwarder.c ------------------------------------------------------------- */

/* Everything that can go on, goes on. */
void forwarder_go_on(struct forwarder *);

static inline int64_t
points_of_counts(struct prw_counts n)
{
	return (int64_t)(n.samples + n.histograms + n.exemplars);
}

static inline bool
same_form(struct payload_form a, struct payload_form b)
{
	return a.proto == b.proto && a.coding == b.coding;
}

/* Of a unit, in f->ahead. */
static inline uint32_t
points_ahead(const struct unit *u)
{
	return u->kept ? 0 : u->points;
}

/* ---- gate.c --------------------------------------------------------------------- */

bool gate_is_open(const struct forwarder *);
void gate_enter(struct forwarder *, enum fwd_state);
/* LIVE or CATCHING_UP, as it is. */
void gate_open(struct forwarder *);
/* After a failure: for a while, or until Retry-After (-1: none). */
void gate_hold(struct forwarder *, bool misconfig, int64_t retry_after_ns,
    enum status, const struct http_answer *);
/* The timer's. */
void gate_time_is_up(void *forwarder);
/* The credential's: there is another, or none. */
void gate_credential(void *forwarder);
/* Delivered, or refused for good. */
void gate_answered(struct forwarder *);
void gate_set_form(struct forwarder *, struct payload_form, bool proven);
/* What is tried first, and what after `form`, which is not understood. */
struct payload_form gate_first_form(const struct forwarder *);
struct payload_form gate_next_form(const struct forwarder *,
    struct payload_form form);
/* The first is tried again once in a while. */
void gate_reprobe(struct forwarder *);

/* ---- outcome.c -------------------------------------------------------------------- */

/* The client's: an answer, or its absence, to what the lane had sent; the lane is free
 * then. */
void outcome_came(enum status, const struct http_answer *, void *lane);
/* What the lane had is over with, or the part of it that was sent. */
void outcome_let_go(struct forwarder *, struct lane *);
/* For flows_each(): a parked flow's time may have come. */
void outcome_try_parked(struct flow *, void *forwarder);
/* Likewise: all of it that has not begun to go goes back to the log. */
void outcome_take_back(struct flow *, void *forwarder);

/* ---- intake.c ---------------------------------------------------------------------- */

/* For the supply; the last two calls are the caller's. */
struct supply_policy intake_policy(struct forwarder *, void (*wake)(void *),
    void (*skipped)(void *, const struct supply_skipped *));
/* Records into flows, as many as may wait. */
void intake_read(struct forwarder *);
/* What has waited for too long is backlog. */
void intake_jump(struct forwarder *);

#endif
