/* canon.h - what a request carries, as lines of text that are the same
 * whichever protocol carried it: labels sorted by name, doubles as the sixteen
 * digits of their bits. Two sorted files of such lines are equal if and only
 * if the samples are.
 *
 *	{__name__="up",job="a"} sample 1700000000000 3ff0000000000000
 *	{...} sample TS BITS start=MS
 *	{...} histogram TS count=12 sum=BITS schema=3 ...
 *	{...} exemplar TS BITS {trace_id="..."}
 *	metadata FAMILY TYPE "HELP" "UNIT"
 *	{...} metadata TYPE "HELP" "UNIT"		(2.0)
 * SPDX-License-Identifier: Apache-2.0                                       */
#ifndef TESTS_TOOLS_CANON_H
#define TESTS_TOOLS_CANON_H

#include <stdio.h>

#include "wire.h"

void	canon_series(FILE *, struct wire_decoder *, const struct wire_series *);
void	canon_metadata(FILE *, const struct wire_metadata *);

/* Appends "{name="value",...}" with the labels sorted. */
void	canon_labels(struct wire_buf *, const struct wire_label *, size_t n);

#endif
