/* pacer.h - how fast an upstream is sent to: what it was said to bear, what it bears.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Three limits.  The cap is the operator's.  The ceiling is found: what the upstream
 * takes, less a little, once it has refused for being asked too much; then a little more
 * as long as it does not refuse.  The backlog's is a multiple of the rate at which data
 * comes in.  Live data's tokens come first: the backlog is sent only when half of what the
 * cap and the ceiling allow in a second is there, and never takes more than a quarter of
 * it at once, so there is always something left for live data.
 *
 * Arithmetic only: the time is a parameter (clock_mono).                    */
#ifndef RW_FORWARD_PACER_H
#define RW_FORWARD_PACER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/pace.h"

enum pacer_class { PACER_LIVE, PACER_BACKLOG };
#define PACER_CLASSES 2

struct pacer_opts {
	uint64_t rate;			/* samples/s, 0: none */
	uint64_t byte_rate;		/* of request bodies, likewise */
	uint32_t catch_up_milli;	/* backlog: times the live rate * 1000 */
};

/* What came in, in samples a second of the log's own time. */
struct pacer_meter {
	int64_t since_ms;
	double n, rate;
};

#define PACER_SLOTS 16
#define PACER_SLOT_NS (CLOCK_S / 2)

struct pacer {
	struct pacer_opts o;
	struct bucket samples, bytes;	/* the cap */
	struct bucket ceiling, backlog;

	/* the ceiling */
	double limit;			/* samples/s, 0: none found */
	double met;			/* where it was refused last */
	double step;			/* growth near that, of it, each second */
	int64_t cut_at, grown_at;
	double suspect;			/* what it took when it refused; 0: did not */
	bool pressed;			/* the ceiling held something back */

	/* what was taken lately */
	double taken[PACER_SLOTS];
	int64_t slot;			/* number of the last */
	int64_t since;			/* the first of them, clock_mono */

	struct pacer_meter meter[PACER_CLASSES];
	double most;			/* of their rates, since there is backlog */
};

void pacer_init(struct pacer *, const struct pacer_opts *, int64_t now);

/* Nanoseconds until something of the class may be sent, 0: now. */
int64_t pacer_wait(struct pacer *, enum pacer_class, int64_t now);
/* Samples in a request at most, when several records could go in one. */
uint32_t pacer_most(const struct pacer *, enum pacer_class, uint32_t most);
void pacer_sent(struct pacer *, enum pacer_class, uint32_t samples,
    uint64_t bytes, int64_t now);

/* So much came in then (wall clock), as the log has it.  The backlog's pace is that of now,
 * or of the time that it came in, whichever is more. */
void pacer_saw(struct pacer *, enum pacer_class, uint64_t samples,
    int64_t wall_ms);
/* There is no backlog. */
void pacer_no_backlog(struct pacer *);

void pacer_taken(struct pacer *, uint32_t samples, int64_t now);
/* It asked for less, or took too long to answer. */
void pacer_refused(struct pacer *, int64_t now);
/* It was asked too much: what it had refused it takes now. */
void pacer_took_it(struct pacer *, int64_t now);
/* No: it is away, or refuses something for another reason. */
void pacer_never_mind(struct pacer *);
/* It is there again after an outage: what it took before tells nothing. */
void pacer_back(struct pacer *, int64_t now);

/* Samples a second, 0: none. */
double pacer_ceiling(const struct pacer *);

#endif
