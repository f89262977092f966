/* ledger.h - what a receiver got, checked sample by sample: values against
 * gen.h's, order and repeats within each series. Series that are not of
 * gen.h's making ("foreign") are checked for time running backwards alone.
 * SPDX-License-Identifier: Apache-2.0                                       */
#ifndef TESTS_TOOLS_LEDGER_H
#define TESTS_TOOLS_LEDGER_H

#include <stdio.h>

#include "gen.h"
#include "seen.h"

struct ledger;

struct ledger_counts {			/* of one request */
	uint32_t samples, hists, exemplars, metadata;
};

/* `log` (may be NULL) gets a line "in ..." for each run of samples that
 * came. */
struct ledger *ledger_new(FILE *log);
void	ledger_free(struct ledger *);

/* Takes a request; what is wrong with the message, or NULL. */
const char *ledger_take(struct ledger *, struct wire_decoder *,
	    enum wire_version, const void *body, size_t len,
	    struct ledger_counts *);

/* Does the request have a sample of this edge, of this series (-1: any)? */
bool	ledger_meets(struct ledger *, struct wire_decoder *,
	    enum wire_version, const void *body, size_t len, long edge,
	    long series, struct ledger_counts *);

/* key=value, separated by blanks, without a newline. */
void	ledger_summary(struct ledger *, FILE *);
/* Anything that a sender must not do to samples. */
bool	ledger_fine(struct ledger *);
uint64_t ledger_samples(const struct ledger *);

#endif
