/* walk.h - every record of a spool, decoded, for whoever looks at it from outside.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Reads only, without the lock: a relay may be using the spool.  A segment that
 * goes meanwhile is passed over, and the end of the one that is being written
 * is no damage.  What is over with (spool/done.h) is not there.  One thread.                                                */
#ifndef RW_TOOL_WALK_H
#define RW_TOOL_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "series/batch.h"
#include "series/dict.h"
#include "spool/spool.h"

struct walk_segment {
	uint64_t number;
	uint64_t bytes;			/* of the file */
	uint64_t end;			/* of the records that are good */
	uint64_t records;
	bool sealed;
	enum status status;		/* ST_DAMAGED: something is wrong from `end` on;
					   ST_BAD_RECORD: the record at `end` fails its
					   decoder; ST_BAD_FORMAT, ST_DISK, ... */
};

struct walk_record {
	const struct walk_segment *segment;
	struct spool_record record;
	/* NULL for text (stream 0), which `record.data` is */
	const struct dict *dict;
	const struct batch *batch;
};

struct walk_calls {
	/* false: enough, the walk ends */
	bool (*record)(const struct walk_record *, void *arg);
	void (*segment)(const struct walk_segment *, void *arg);	/* at its end */
	void *arg;
};

/* ST_OK, whatever is damaged; ST_MISSING: there is no spool; ST_DENIED, ST_DISK,
 * ST_NO_MEMORY. */
enum status walk_spool(const char *directory, const struct walk_calls *);

#endif
