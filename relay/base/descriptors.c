/* descriptors.c - the limit of open files.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/descriptors.h"

#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>

#define LIMIT_MAX ((rlim_t)INT_MAX / 2)	/* where there is none */

size_t
descriptors_raise(void)
{
	struct rlimit now, more;

	if (getrlimit(RLIMIT_NOFILE, &now) == -1)
		return FOPEN_MAX;
	more = now;
	more.rlim_cur = now.rlim_max;
	if (more.rlim_cur != now.rlim_cur &&
	    setrlimit(RLIMIT_NOFILE, &more) == 0)
		now = more;
	return now.rlim_cur < LIMIT_MAX ? (size_t)now.rlim_cur :
	    (size_t)LIMIT_MAX;
}

struct descriptors
descriptors_divide(size_t limit, size_t own)
{
	struct descriptors d;
	size_t spare;

	d.ceiling = limit / 2 > own ? limit - own : limit / 2;
	/* those that the process has already, and those to be sent away */
	spare = own / 4 + d.ceiling / 16;
	d.connections = d.ceiling > spare + 1 ? d.ceiling - spare : 1;
	return d;
}
