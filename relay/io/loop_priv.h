/* loop_priv.h - what a loop shows the other files of its folder.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A turn goes: events, messages, the tasks that are due soon, the hooks, the
 * writes that have gathered, and last the memory of what was closed in it.  */
#ifndef RW_IO_LOOP_PRIV_H
#define RW_IO_LOOP_PRIV_H

#include <sys/queue.h>

#include "io/loop.h"

enum loop_stage {
	LOOP_SOON,		/* what must not happen inside a caller's call */
	LOOP_FLUSH,		/* after the hooks */
	LOOP_REAP,		/* nobody has a pointer to it any more */
	LOOP_STAGE__N
};

/* Embedded in what it belongs to; on a list at most once. */
struct loop_task {
	TAILQ_ENTRY(loop_task) link;
	void (*fn)(struct loop_task *);
	bool queued;
};

/* Once, in this turn, or in the next if this one is past the stage. */
void loop_task_add(struct loop *, enum loop_stage, struct loop_task *);
void loop_task_remove(struct loop *, enum loop_stage, struct loop_task *);

/* One pointer a loop, for stream.c: what its streams share.  fini is called by
 * loop_free before the last memory is reaped. */
void loop_set_shared(struct loop *, void *, void (*fini)(void *));
void *loop_shared(const struct loop *);

#endif
