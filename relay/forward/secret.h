/* secret.h - a secret from a file, read again when the file has changed.
 * SPDX-License-Identifier: Apache-2.0
 *
 * It is a line of text; the newline at its end is not part of it.  It is wiped from
 * memory when it is given back, and never logged.  Of one thread at a time.     */
#ifndef RW_FORWARD_SECRET_H
#define RW_FORWARD_SECRET_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/status.h"

#define SECRET_MAX ((size_t)16 << 10)	/* bytes */

enum secret_kind {
	SECRET_PASSWORD,	/* without control characters (RFC 7617 2) */
	SECRET_TOKEN,		/* visible ASCII, as a header has it (RFC 6750 2.1) */
};

struct secret;

/* path is borrowed for life.  ST_CONFIG: the file will not do, and `why` (static, or
 * strerror's) tells; ST_NO_MEMORY. */
enum status secret_open(const char *path, enum secret_kind, struct secret **out,
    const char **why);
/* Likewise, with a line in the log, under the upstream's name, on a file that will not do
 * or that everybody may read. */
enum status secret_open_for(const char *upstream, const char *path,
    enum secret_kind, struct secret **out);
void secret_close(struct secret **);

struct bytes secret_text(const struct secret *);
/* Now and then: whether there is another one.  A file is read when it has been left as it
 * is since the last look; one that will not do is told of in the log, once, with the
 * upstream's name, and the secret stays. */
bool secret_look(struct secret *, const char *upstream);
/* Appends "Basic ..." for user and password with a colon between (RFC 7617 2). */
void secret_basic(struct bytes pair, struct buf *out);

#endif
