/* capture.h - recorded requests, one after the other in a file.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Each: the length of a JSON head (u32, little endian), the head, the length of
 * the body (likewise), the body as it came.                                 */
#ifndef RW_TESTS_CAPTURE_H
#define RW_TESTS_CAPTURE_H

#include <stdbool.h>

#include "base/bytes.h"

struct capture {
	struct bytes all;		/* owned */
	struct reader at;
};

struct capture_request {
	struct bytes head, body;	/* borrowed from the capture */
	bool raw;			/* the body is not compressed */
	bool v2;
};

/* Ends the program if the file cannot be read. */
void capture_open(struct capture *, const char *path);
/* The same for a file of the source tree, also when built elsewhere. */
void capture_open_data(struct capture *, const char *name);
void capture_close(struct capture *);

/* False at the end. */
bool capture_next(struct capture *, struct capture_request *);
void capture_rewind(struct capture *);

#endif
