/* payload.h - which message a body is, and its compression.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The door to snappy.  Pure functions, any thread.                          */
#ifndef RW_PRW_PAYLOAD_H
#define RW_PRW_PAYLOAD_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/status.h"

enum payload_proto {
	PAYLOAD_V1,		/* prometheus.WriteRequest */
	PAYLOAD_V2,		/* io.prometheus.write.v2.Request */
};

/* Content-Type as it came (p NULL: absent, which means 1.0), by the rules of
 * RFC 9110 8.3: names without regard to case, space around ";", value maybe
 * quoted.  ST_MEDIA_TYPE for anything but the two messages. */
enum status payload_proto_of(struct bytes content_type,
    enum payload_proto *out);

/* Content-Encoding as it came (p NULL: absent, taken as snappy).
 * ST_ENCODING for anything but snappy. */
enum status payload_encoding_check(struct bytes content_encoding);

/* What the sender's side of the protocol writes into its headers. */
const char *payload_content_type(enum payload_proto);
const char *payload_version(enum payload_proto);	/* "0.1.0", "2.0.0" */

/* Snappy block format.  The declared length is checked against `limit`
 * (ST_TOO_LARGE) before anything is allocated; ST_BAD_SNAPPY; ST_NO_MEMORY. */
enum status payload_unpack(struct bytes packed, size_t limit, struct arena *,
    struct bytes *out);
/* Appends to out.  ST_NO_MEMORY, ST_TOO_LARGE (out's limit). */
enum status payload_pack(struct bytes raw, struct buf *out);

#endif
