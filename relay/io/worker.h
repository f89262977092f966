/* worker.h - the loops that connections live on, each with a thread.
 * SPDX-License-Identifier: Apache-2.0                                       */
#ifndef RW_IO_WORKER_H
#define RW_IO_WORKER_H

#include <stddef.h>

#include "base/status.h"
#include "io/loop.h"

#define WORKERS_MAX 256

struct workers;

/* n loops, 1 to WORKERS_MAX, that do not run yet; 0: one for each processor that
 * the process may use. */
enum status workers_new(size_t n, struct workers **out);
size_t workers_count(const struct workers *);
struct loop *workers_loop(const struct workers *, size_t i);
/* All of them, workers_count() in number; borrowed for the workers' life. */
struct loop *const *workers_loops(const struct workers *);

/* On an error those already started are stopped again. */
enum status workers_start(struct workers *);
/* Ends all loops and waits for their threads; nothing if not started. */
void workers_stop(struct workers *);
/* Stopped, and with what lives on the loops gone. */
void workers_free(struct workers **);

#endif
