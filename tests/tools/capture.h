/* capture.h - recorded requests of real senders, one after another in a file:
 * u32 (little endian) length of a JSON head, the head, u32 length of the body,
 * the body. The head has the sender's HTTP headers; "raw": 1 in it says that
 * the body is not compressed. A name in .zst: the whole file is, with zstd.
 * SPDX-License-Identifier: Apache-2.0                                       */
#ifndef TESTS_TOOLS_CAPTURE_H
#define TESTS_TOOLS_CAPTURE_H

#include "wire.h"

struct capture;

struct captured {
	enum wire_version version;
	const uint8_t *body;		/* uncompressed; until the next one */
	size_t len;
	const uint8_t *packed;		/* as recorded; NULL when it was raw */
	size_t packed_len;
};

/* NULL, with a line on stderr, when the file cannot be read. */
struct capture *capture_open(const char *path);
/* 1 one more, 0 the end, -1 damaged (a line on stderr). */
int	capture_next(struct capture *, struct captured *);
void	capture_close(struct capture *);

/* The same content in the other protocol; `out` is cleared first. */
const char *capture_convert(struct wire_decoder *, enum wire_version from,
	    const void *body, size_t len, enum wire_version to,
	    struct wire_buf *out);

#endif
