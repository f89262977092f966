/* status.h - the closed list of endings, made from status.tbl.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Functions that can fail return enum status; ST_OK is 0.  errno is turned into
 * a status where the system call is made and does not travel.               */
#ifndef RW_BASE_STATUS_H
#define RW_BASE_STATUS_H

enum status {
#define STATUS(name, word, http, class, sentence) ST_##name,
#include "base/status.tbl"
#undef STATUS
	ST__N
};

enum status_class {
	STATUS_FINE,
	STATUS_EDGE,
	STATUS_BUSY,
	STATUS_OURS,
	STATUS_PEER,
};

struct status_info {
	const char *word;		/* log word and metric label */
	const char *sentence;
	int http;			/* answer to an edge, 0 if none */
	enum status_class class;
};

/* Never NULL; any thread. */
const struct status_info *status_info(enum status);

/* errno of a failed file or socket call as a status (ST_NO_SPACE, ST_DENIED,
 * ST_MISSING, ST_NO_MEMORY, else `other`). */
enum status status_from_errno(int err, enum status other);

#endif
