/* confine.h - what a daemon gives up before it serves.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Called once, when what takes privileges is done (addresses are bound, keys are
 * read), before the first thread and before the first byte of a peer.  Threads that
 * begin later are confined alike.                                           */
#ifndef RW_IO_CONFINE_H
#define RW_IO_CONFINE_H

#include <stdbool.h>

#include "base/status.h"

#define CONFINE_USER "rwrelay"

struct confine_opts {
	const char *user;		/* whom root becomes; "": CONFINE_USER if there
					   is one; borrowed for the call */
	bool seccomp;			/* see syscalls.h */
	bool cores;			/* may be dumped, traced, looked at in /proc */
};

/* Root becomes the user, with his groups, for good; another gives up what capabilities
 * he was started with.  No privileges are gained from now on.  Core files are not
 * written, and no other process of the user reads our memory, unless opts.cores.
 * ST_CONFIG: no such user; ST_SYSTEM: the system refused a step, and the process should
 * end, for a part may be done.  Either is logged, and so is the success. */
enum status confine(const struct confine_opts *);

#endif
