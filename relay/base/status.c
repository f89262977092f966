/* status.c - names and answers of the endings.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/status.h"

#include <assert.h>
#include <errno.h>

static const struct status_info table[ST__N] = {
#define STATUS(name_, word_, http_, class_, sentence_) \
	[ST_##name_] = {                               \
		.word = word_,                         \
		.sentence = sentence_,                 \
		.http = http_,                         \
		.class = STATUS_##class_,              \
	},
#include "base/status.tbl"
#undef STATUS
};

const struct status_info *
status_info(enum status st)
{
	assert((unsigned)st < ST__N);
	return &table[st];
}

enum status
status_from_errno(int err, enum status other)
{
	switch (err) {
	case ENOSPC:
	case EDQUOT:
		return ST_NO_SPACE;
	case EACCES:
	case EPERM:
	case EROFS:
		return ST_DENIED;
	case ENOENT:
		return ST_MISSING;
	case ENOMEM:
	case EMFILE:	/* passes likewise */
	case ENFILE:
		return ST_NO_MEMORY;
	default:
		return other;
	}
}
