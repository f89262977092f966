/* seen.h - which sequence numbers of one series have come, in which order.
 * SPDX-License-Identifier: Apache-2.0                                       */
#ifndef TESTS_TOOLS_SEEN_H
#define TESTS_TOOLS_SEEN_H

#include <stdbool.h>
#include <stdint.h>

struct seen_gap {
	uint32_t from, to;		/* both missing, as all between them */
};

/* Zeroed is empty. */
struct seen {
	uint32_t first, last;		/* highest and lowest that came */
	uint32_t ngaps;
	bool any;
	struct seen_gap *gaps;		/* ascending */
};

enum seen_verdict {
	SEEN_NEXT,
	SEEN_AHEAD,			/* some before it are missing */
	SEEN_LATE,			/* a newer one came before it */
	SEEN_AGAIN,			/* had come already */
};

enum seen_verdict seen_note(struct seen *, uint32_t seq);
uint64_t seen_missing(const struct seen *);	/* between first and last */
bool	seen_has(const struct seen *, uint32_t seq);
void	seen_free(struct seen *);

#endif
