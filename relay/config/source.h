/* source.h - a config file's text, made safe for libconfuse.
 * SPDX-License-Identifier: Apache-2.0
 *
 * libconfuse 3.3 takes a file that ends in the middle of a section, reads on
 * past a string or a ${ that is not closed, drops bytes that it does not know,
 * trips over comments between values, counts their lines twice, and ends a string
 * at \0.  So a file is read whole, what would go wrong is refused with its line,
 * and comments become spaces.  What is left has the same lines.             */
#ifndef RW_CONFIG_SOURCE_H
#define RW_CONFIG_SOURCE_H

#include "base/buf.h"
#include "base/status.h"

struct source_fault {
	unsigned line;			/* 0: the file as a whole */
	const char *text;		/* static, or strerror's */
};

/* Appends the file to `out`, whose limit is the limit (ST_CONFIG); ST_MISSING,
 * ST_DENIED, ST_SYSTEM, ST_NO_MEMORY. */
enum status source_read(const char *path, struct buf *out,
    struct source_fault *why);

/* Checks and blanks in place; ST_CONFIG. */
enum status source_clean(struct buf *, struct source_fault *why);

#endif
