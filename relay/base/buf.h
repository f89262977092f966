/* buf.h - an owned byte buffer with a hard limit, given and taken by
 * struct buf **.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Appending past the limit, or when memory is out, fails and is remembered
 * (buf_failed); the contents stay as they were.                             */
#ifndef RW_BASE_BUF_H
#define RW_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct buf {
	uint8_t *data;			/* owned */
	size_t len, cap;
	size_t limit;
	bool failed;
};

struct buf *buf_new(size_t limit);	/* NULL when out of memory */
void buf_free(struct buf **);

/* For a buf embedded in another object. */
void buf_init(struct buf *, size_t limit);
void buf_fini(struct buf *);
/* Likewise, and nothing of it stays in memory. */
void buf_wipe(struct buf *);

/* Room for n more bytes at data + len; NULL on failure.  The caller writes
 * and adds to len. */
uint8_t *buf_room(struct buf *, size_t n);

bool buf_append(struct buf *, const void *, size_t n);
bool buf_append_str(struct buf *, const char *);
bool buf_printf(struct buf *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
bool buf_vprintf(struct buf *, const char *fmt, va_list)
    __attribute__((format(printf, 2, 0)));

static inline bool
buf_failed(const struct buf *b)
{
	return b->failed;
}

static inline struct bytes
buf_bytes(const struct buf *b)
{
	return (struct bytes){ b->data, b->len };
}

/* Empties; keeps the memory if it is at most `keep` bytes. */
void buf_reset(struct buf *, size_t keep);
/* Drops the first n bytes (n <= len); moves the rest. */
void buf_drop(struct buf *, size_t n);

#endif
