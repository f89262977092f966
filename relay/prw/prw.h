/* prw.h - what the builders of both messages have in common.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RW_PRW_PRW_H
#define RW_PRW_PRW_H

#include <stdint.h>

/* What the outgoing protocol has no place for, counted by kind. */
struct prw_loss {
	uint64_t starts;		/* start timestamps, over 1.0 */
	uint64_t histograms;		/* custom buckets (schema -53), over 1.0 */
	uint64_t metadata;		/* families of a stream that has no series
					   to carry them, over 2.0 */
};

/* What one request carries. */
struct prw_counts {
	uint64_t samples, histograms, exemplars;
};

#endif
