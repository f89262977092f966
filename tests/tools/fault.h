/* fault.h - what goes wrong with a receiver, and when.
 *
 * A fault is a word and its settings: "429 retry-after=3", "cut store=1",
 * "limit rate=5000". A schedule is a list of them with the seconds they are
 * in force: "0-10:ok,10-20:503,20-:429 retry-after=1"; outside of it all is
 * well. tests/tools/README has the list.
 * SPDX-License-Identifier: Apache-2.0                                       */
#ifndef TESTS_TOOLS_FAULT_H
#define TESTS_TOOLS_FAULT_H

#include <stdbool.h>
#include <stdint.h>

enum fault_kind {
	FAULT_OK,
	FAULT_STATUS,			/* answers so */
	FAULT_NO_HEADERS,		/* 204 to 2.0 without Written headers */
	FAULT_SLOW_READ,
	FAULT_SLOW_ANSWER,		/* a byte a second */
	FAULT_CUT_BODY,			/* closes after some of the body */
	FAULT_CUT,			/* closes instead of the answer */
	FAULT_HALF_OPEN,		/* reads all, never answers */
	FAULT_DOWN,			/* does not listen */
	FAULT_LIMIT,			/* so many samples a second */
	FAULT_GARBAGE,			/* answers what is not HTTP */
};

struct fault {
	enum fault_kind kind;
	int status;
	long retry_after;		/* s; -1: none */
	bool retry_date;		/* as a date */
	bool store;			/* the samples are taken all the same */
	long delay_ms;			/* before the answer */
	long rate;			/* samples/s, or bytes/s (slow-read) */
	long after;			/* bytes of body before the cut */
	/* Which requests it strikes; the others are answered as if all were
	 * well. -1, 0: any. */
	long edge, series;		/* that have a sample of these */
	long above;			/* of more samples than this */
	long every;			/* each n-th one */
	int version;			/* 1 or 2 */
};

#define FAULT_MAX_STEPS	64

struct fault_schedule {
	struct {
		double from, to;
		struct fault fault;
	} step[FAULT_MAX_STEPS];
	unsigned n;
	int64_t since_us;
};

/* A fault or a schedule, counted from `now_us`; NULL when it was read, else
 * what is wrong (and nothing was changed). */
const char *fault_read(struct fault_schedule *, const char *, int64_t now_us);
const struct fault *fault_now(const struct fault_schedule *, int64_t now_us);

#endif
