/* descriptors.h - how many files this process may have open, and how many of them
 * may be connections of edges.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The kernel gives the lowest number that is free, so a connection whose number is
 * below a ceiling leaves what is above it to the spool and the upstreams.   */
#ifndef RW_BASE_DESCRIPTORS_H
#define RW_BASE_DESCRIPTORS_H

#include <stddef.h>

/* Raises the soft limit as far as it goes; what it is then. */
size_t descriptors_raise(void);

struct descriptors {
	size_t ceiling;		/* connections have numbers below it */
	size_t connections;	/* that find room, with some to be told that there is
				   none; at least 1 */
};

/* Divides a limit of which `own` are not for edges; of one that is small they have
 * half. */
struct descriptors descriptors_divide(size_t limit, size_t own);

#endif
