/* serve.h - a server whose handlers do what a request's path says, for targets that feed
 * it with bytes.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Besides not crashing: each request that has begun ends in one way, its fields are what
 * a field may be, and a body that came whole has the length that was said.   */
#ifndef RW_TESTS_SERVE_H
#define RW_TESTS_SERVE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/status.h"
#include "io/loop.h"
#include "io/stream.h"

struct serve_opts {
	bool http2;
	enum status late;		/* what is answered when it is not at once */
	struct buf *story;		/* borrowed: what requests were; may be NULL */
};

/* A line of the story. */
void serve_note(struct buf *story, const char *what, struct bytes);

/* There is one at a time. */
void serve_open(struct loop *, const struct serve_opts *);
/* From a client of the fake network to it. */
void serve_connect(struct loop *, stream_fn *, void *arg, struct stream **out);
/* All connections have to have ended by now. */
void serve_close(void);

#endif
