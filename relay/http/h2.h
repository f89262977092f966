/* h2.h - what both directions of HTTP/2 have in common (RFC 9113).
 * SPDX-License-Identifier: Apache-2.0                                       */
#ifndef RW_HTTP_H2_H
#define RW_HTTP_H2_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

/* How a connection ends whose peer has earned this error code (RFC 9113 7), and
 * how a stream does. */
enum status h2_why_conn(uint32_t code);
enum status h2_why_stream(uint32_t code);

/* Does a client begin with HTTP/2 (RFC 9113 3.4)?  ST_OK: it does; ST_WAIT: what is
 * there does not say; ST_BAD_VERSION: it does not. */
enum status h2_preface(struct bytes in);

#endif
