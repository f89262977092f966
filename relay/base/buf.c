/* buf.c - growing by doubling, up to the limit.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAP_MIN 256

struct buf *
buf_new(size_t limit)
{
	struct buf *b = malloc(sizeof(*b));

	if (b)
		buf_init(b, limit);
	return b;
}

void
buf_free(struct buf **b)
{
	if (!*b)
		return;
	buf_fini(*b);
	free(*b);
	*b = NULL;
}

void
buf_init(struct buf *b, size_t limit)
{
	*b = (struct buf){ .limit = limit };
}

void
buf_fini(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ .limit = b->limit };
}

void
buf_wipe(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->cap);
	buf_fini(b);
}

uint8_t *
buf_room(struct buf *b, size_t n)
{
	size_t cap, want;
	uint8_t *data;

	if (b->cap - b->len >= n)
		return b->data + b->len;
	if (b->failed || n > b->limit || b->len > b->limit - n) {
		b->failed = true;
		return NULL;
	}
	want = b->len + n;
	cap = b->cap > b->limit / 2 ? b->limit : b->cap * 2;
	if (cap < CAP_MIN)
		cap = CAP_MIN;
	if (cap < want)
		cap = want;
	if (cap > b->limit)
		cap = b->limit;
	data = realloc(b->data, cap);
	if (!data) {
		b->failed = true;
		return NULL;
	}
	b->data = data;
	b->cap = cap;
	return b->data + b->len;
}

bool
buf_append(struct buf *b, const void *p, size_t n)
{
	uint8_t *to;

	if (n == 0)
		return !b->failed;
	to = buf_room(b, n);
	if (!to)
		return false;
	memcpy(to, p, n);
	b->len += n;
	return !b->failed;
}

bool
buf_append_str(struct buf *b, const char *s)
{
	return buf_append(b, s, strlen(s));
}

bool
buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0 || !buf_room(b, (size_t)n + 1)) {
		b->failed = true;
		return false;
	}
	(void)vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
	return true;
}

bool
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	bool ok;

	va_start(ap, fmt);
	ok = buf_vprintf(b, fmt, ap);
	va_end(ap);
	return ok;
}

void
buf_reset(struct buf *b, size_t keep)
{
	b->len = 0;
	b->failed = false;
	if (b->cap > keep)
		buf_fini(b);
}

void
buf_drop(struct buf *b, size_t n)
{
	assert(n <= b->len);
	b->len -= n;
	if (n && b->len)
		memmove(b->data, b->data + n, b->len);
}
