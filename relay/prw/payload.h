/* payload.h - which message a body is, and its compression.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The door to snappy, and to zstd for bodies: vmagent sends remote write 1.0 so, and
 * VictoriaMetrics takes it.  Pure functions, any thread.                    */
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

enum payload_coding {
	PAYLOAD_SNAPPY,		/* block format */
	PAYLOAD_ZSTD,		/* RFC 8878: one frame or several, no dictionary */
};

/* Content-Encoding as it came (p NULL: absent, taken as snappy).
 * ST_ENCODING for anything but these two. */
enum status payload_coding_of(struct bytes content_encoding,
    enum payload_coding *out);
const char *payload_coding_name(enum payload_coding);	/* "snappy", "zstd" */

/* What the sender's side of the protocol writes into its headers. */
const char *payload_content_type(enum payload_proto);
const char *payload_version(enum payload_proto);	/* "0.1.0", "2.0.0" */

/* What a request looks like. */
struct payload_form {
	enum payload_proto proto;
	enum payload_coding coding;
};

/* zstd's memory, kept from body to body: some 100 KiB to unpack, 1 MiB to pack, taken
 * with the first one.  All zero to begin with; of one thread at a time.  Snappy needs
 * none: NULL will do. */
struct payload_tools {
	struct ZSTD_CCtx_s *pack;
	struct ZSTD_DCtx_s *unpack;
};
void payload_tools_fini(struct payload_tools *);

/* How much the body says it comes to, at most `limit` (ST_TOO_LARGE), and no more than so
 * few bytes can stand for.  ST_BAD_SNAPPY, ST_BAD_ZSTD: it is none.  A stream of zstd
 * need not tell. */
#define PAYLOAD_UNTOLD SIZE_MAX
enum status payload_size(enum payload_coding, struct bytes packed, size_t limit,
    size_t *out);
/* payload_size() before anything is allocated; never more than `limit`, whatever the body
 * says.  ST_NO_MEMORY. */
enum status payload_unpack(struct payload_tools *, enum payload_coding,
    struct bytes packed, size_t limit, struct arena *, struct bytes *out);
/* Appends to out.  ST_NO_MEMORY, ST_TOO_LARGE (out's limit). */
enum status payload_pack(struct payload_tools *, enum payload_coding,
    struct bytes raw, struct buf *out);

#endif
