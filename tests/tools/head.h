/* head.h - the head of an HTTP/1.1 message, for programs that trust nobody
 * but need little: where it ends, one header's value, and connecting.
 * SPDX-License-Identifier: Apache-2.0                                       */
#ifndef TESTS_TOOLS_HEAD_H
#define TESTS_TOOLS_HEAD_H

#include <sys/socket.h>

#include "wire.h"

/* Bytes up to and with the empty line; 0 while it has not come. */
size_t	head_length(const char *, size_t len);
/* The value of a header, trimmed; false when the head does not have it. */
bool	head_find(const char *head, size_t len, const char *name,
	    struct wire_str *value);
/* Of a header that is a number; `otherwise` when it is none. */
long	head_number(const char *head, size_t len, const char *name,
	    long otherwise);
/* The status of an answer; -1 when this is not HTTP/1. */
int	head_status(const char *head, size_t len);

struct head_address {
	struct sockaddr_storage addr;
	socklen_t len;
};

/* "HOST:PORT" or "unix:PATH"; false with a line on stderr. */
bool	head_resolve(const char *text, struct head_address *);

/* Microseconds of the monotonic clock. */
int64_t	head_now_us(void);

#endif
