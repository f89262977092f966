/* offline.h - the commands of rwrelayctl that read a spool's files themselves.
 * SPDX-License-Identifier: Apache-2.0
 *
 *	spool verify|stat|dump|repair [DIRECTORY]
 *	rejected [UPSTREAM]
 *	gaps
 * The daemon need not run, and may.  Each is given its arguments as main() is,
 * its own name first, and returns the exit status: 0; 1 if something is damaged or
 * cannot be read; 2 for wrong usage.                                         */
#ifndef RW_TOOL_OFFLINE_H
#define RW_TOOL_OFFLINE_H

#include <stdio.h>

struct offline_command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage, *help;
};

/* By name; NULL: there is none. */
const struct offline_command *offline_find(const char *name);
void offline_usage(FILE *);

#endif
