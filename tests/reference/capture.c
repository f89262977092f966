/* capture.c - a capture is read whole.
 * SPDX-License-Identifier: Apache-2.0 */
#include "capture.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>

void
capture_open(struct capture *c, const char *path)
{
	size_t n = 0, room = 0, got;
	FILE *f = fopen(path, "rb");
	uint8_t *all = NULL;

	if (!f)
		err(99, "%s", path);
	do {
		room += (size_t)1 << 20;
		all = realloc(all, room);
		if (!all)
			err(99, "%s", path);
		got = fread(all + n, 1, room - n, f);
		n += got;
	} while (got > 0);
	if (ferror(f))
		err(99, "%s", path);
	(void)fclose(f);		/* only read from */
	c->all = bytes_of(all, n);
	capture_rewind(c);
}

void
capture_open_data(struct capture *c, const char *name)
{
	const char *srcdir = getenv("srcdir");
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/tests/data/%s",
	    srcdir ? srcdir : ".", name);
	capture_open(c, path);
}

void
capture_close(struct capture *c)
{
	free((void *)(uintptr_t)c->all.p);
	*c = (struct capture){ 0 };
}

void
capture_rewind(struct capture *c)
{
	c->at = reader_of(c->all);
}

static bool
has(struct bytes b, const char *word)
{
	return memmem(b.p, b.n, word, strlen(word)) != NULL;
}

bool
capture_next(struct capture *c, struct capture_request *out)
{
	if (reader_left(&c->at) == 0)
		return false;
	out->head = read_bytes(&c->at, read_le32(&c->at));
	out->body = read_bytes(&c->at, read_le32(&c->at));
	if (c->at.bad)
		errx(99, "capture is cut short");
	out->raw = has(out->head, "\"raw\": 1");
	out->v2 = has(out->head, "io.prometheus.write.v2.Request");
	return true;
}
