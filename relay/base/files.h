/* files.h - files that are read whole, and again when they have changed.
 * SPDX-License-Identifier: Apache-2.0
 *
 * For certificates, keys, lists: small files that somebody replaces while the
 * relay runs.  Whoever owns a struct files asks it now and then.            */
#ifndef RW_BASE_FILES_H
#define RW_BASE_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/status.h"

struct files;

enum status files_new(size_t most, struct files **out);
void files_free(struct files **);
/* At most `most` of them; path is borrowed for life.  As it is now, it counts as read. */
void files_add(struct files *, const char *path);

/* Some are other than when they were read, and all are as at the call before: what
 * belongs together is hardly ever replaced in the same moment.  They count as read then,
 * for good or for bad. */
bool files_changed(struct files *);
/* They do not, after all. */
void files_unread(struct files *);

/* For one who has become another user: a file that he may not read, or NULL.  What he
 * sees of such a file counts as read: there is no use in reading it again. */
const char *files_hidden(struct files *);

/* The whole of a regular file is appended, into memory taken at once.  ST_SYSTEM or
 * ST_NO_MEMORY; `why` is strerror's word on it. */
enum status files_read(const char *path, struct buf *out, const char **why);

#endif
