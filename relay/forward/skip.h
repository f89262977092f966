/* skip.h - of what is owed, the records that were received in some time are not.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Reads the log from the oldest stretch that is owed to where it ended at the beginning,
 * some records at a time, decodes nothing, and makes two lists of it: what is owed still,
 * and what is given up.  Nobody changes the stretches meanwhile.
 * Belongs to the forwarder's loop.                                          */
#ifndef RW_FORWARD_SKIP_H
#define RW_FORWARD_SKIP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "forward/owed.h"
#include "io/loop.h"
#include "spool/cursor.h"
#include "spool/spool.h"

struct skip;

struct skip_opts {
	struct spool *spool;		/* borrowed */
	const char *name;		/* of the upstream; borrowed */
	struct loop *loop;		/* borrowed */
	const struct owed *owed;	/* borrowed */
	struct spool_pos end;		/* all that is owed is before */
	int64_t from_ms, to_ms;		/* received from then on, and before then */
};

enum status skip_new(const struct skip_opts *, struct skip **out);
void skip_free(struct skip **);

/* ST_WAIT: there is more to read; ST_END: that was all. */
enum status skip_step(struct skip *);

/* Then: what is owed from now on, and what is not, as a cursor that owes nothing else. */
const struct owed *skip_left(const struct skip *);
const struct cursor_state *skip_given_up(const struct skip *);
/* There was no room to tell all of it apart: some of it is owed still. */
bool skip_is_partial(const struct skip *);

#endif
