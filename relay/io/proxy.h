/* proxy.h - the PROXY protocol's header, versions 1 and 2: whom a proxy in front
 * speaks for ("The PROXY protocol", HAProxy 3.0, doc/proxy-protocol.txt).
 * SPDX-License-Identifier: Apache-2.0
 *
 * No I/O; takes any bytes.                                                   */
#ifndef RW_IO_PROXY_H
#define RW_IO_PROXY_H

#include "base/bytes.h"
#include "base/status.h"
#include "io/loop.h"

#define PROXY_MORE_MAX 4096		/* bytes behind the addresses (TLV) */
#define PROXY_HEADER_MAX (16 + 216 + PROXY_MORE_MAX)

struct proxy_header {
	bool given;			/* else the connection's own address holds:
					   LOCAL, UNKNOWN, no TCP over IP */
	struct loop_addr from;		/* without a port */
};

/* ST_OK: `in` begins with a header of *used bytes.  ST_WAIT: all of `in` is the
 * beginning of one.  ST_BAD_PROXY: it is not. */
enum status proxy_parse(struct bytes in, struct proxy_header *out,
    size_t *used);

#endif
