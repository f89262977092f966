/* forwarder.h - one upstream: from the log to delivered.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Reads on at the upstream's own cursor, sorts records by edge (one request of an edge
 * in flight, so its order holds; edges take turns), merges what has gathered of one edge
 * into a request, and sends at the pace that the upstream bears.  What the upstream takes moves
 * the cursor; what it cannot take now is sent again for as long as it takes; what it
 * refuses for good is counted, logged and set aside.  Each forwarder has a loop of its own.  */
#ifndef RW_FORWARD_FORWARDER_H
#define RW_FORWARD_FORWARDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "forward/credential.h"
#include "forward/pacer.h"
#include "forward/route.h"
#include "http/client.h"
#include "http/message.h"
#include "io/loop.h"
#include "policy/edge.h"
#include "prw/payload.h"
#include "spool/disk.h"
#include "spool/spool.h"

struct forwarder;

enum forward_protocol {
	FORWARD_AUTO,		/* 2.0, falling back to 1.0; remembered */
	FORWARD_V1,
	FORWARD_V2,
};

enum forward_misconfig {
	FORWARD_HOLD,		/* 401, 403, 404, 407, 408, 3xx: wait, probe */
	FORWARD_DROP,		/* refused for good, as the letter of the spec */
};

enum forward_order {
	FORWARD_STRICT,			/* nothing of an edge overtakes */
	FORWARD_LIVE_FIRST,		/* what is newer than live_window goes at once */
};

enum forward_start {
	FORWARD_OLDEST,		/* a new upstream gets all that the spool has */
	FORWARD_NOW,
};

struct forward_opts {
	const char *name;		/* section name; key of the cursor */
	struct http_url url;
	struct http_url proxy;		/* host "": none */
	enum forward_protocol protocol;
	enum payload_coding coding;	/* zstd: falling back to snappy; remembered */
	enum forward_misconfig on_misconfig;
	enum forward_start start;
	enum forward_order order;
	int64_t live_window_ns;		/* what is older is backlog */
	struct edge_policies policies;
	struct pacer_opts pace;
	bool relaxed;			/* backlog goes by series, not by scrape */
	struct route_opts route;	/* what is for this upstream */
	unsigned lanes;			/* 1 to 64 */
	struct http_headers headers;	/* of the operator, none reserved */
	const char *tenant_header;	/* for edges that have a tenant, in the place
					   of the operator's of that name; may be
					   NULL where none has */
	struct credential_opts credential;	/* then headers have no Authorization */
	int64_t connect_timeout_ns;
	int64_t timeout_ns;		/* of a request */
	uint32_t max_samples;		/* in a request, when merging */
	size_t max_bytes;		/* decoded, in a request, when merging */
	size_t most_bytes;		/* decoded, of any request: one that comes to
					   more goes in parts; 0: 64 MiB */
	uint32_t read_ahead_samples;	/* read and not delivered, in memory */
	uint64_t rejected_bytes;	/* on disk, of what is refused for good */
	const char *user_agent;
	struct tls *tls;		/* of an https url; NULL with http */
};

/* Opens the upstream's cursor under `directory` and its reader.  All pointers in
 * opts are borrowed for life.  Starts to work when the loop runs. */
enum status forwarder_new(const struct forward_opts *, struct spool *,
    const struct disk_ops *, const char *directory, struct loop *,
    struct forwarder **out);

/* Any thread: finish what is in flight, at most this long, take nothing new, sync the
 * cursor, then loop_stop the forwarder's loop. */
void forwarder_drain(struct forwarder *, int64_t at_most_ns);
/* Any thread: nothing more is sent from the next turn on (what is in flight is waited
 * for), or sending goes on.  Forgotten with the process. */
void forwarder_pause(struct forwarder *, bool);
/* Any thread: all that was in the log a moment ago is delivered, or set aside. */
bool forwarder_is_drained(const struct forwarder *);

enum forward_what {
	FORWARD_RESEND,		/* what was refused for good goes once more */
	FORWARD_GIVE_UP,	/* or never */
	FORWARD_SKIP,		/* nor does what is owed, of some time */
};

/* An operator's order. */
struct forward_command {
	/* set by the caller; borrowed until done */
	enum forward_what what;
	struct spool_pos entry;		/* of the rejected log; {0, 0}: all */
	int64_t from_ms, to_ms;		/* for FORWARD_SKIP: received from then on, and
					   before then */
	void (*done)(struct forward_command *);	/* on the forwarder's loop */
	/* the forwarder's */
	enum status status;		/* as resend.h and supply_skip have them;
					   ST_WAIT: some of it is owed still */
	uint64_t entries, samples;	/* that it is about */
	struct loop_msg msg;
	struct forwarder *forwarder;
};

/* Any thread.  Done as soon as it is known what it is about, or when it is skipped; never, if
 * the forwarder stops before. */
void forwarder_command(struct forwarder *, struct forward_command *);

/* What a value of METRIC_UP_STATE is called. */
const char *forwarder_state(int64_t);
/* When the loop has stopped. */
void forwarder_free(struct forwarder **);

#endif
