/* files.c - what stat says of a file, and what is in it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/files.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What tells one state of a file from another. */
struct stamp {
	int err;			/* errno of stat, or 0 */
	struct stat st;
};

struct file {
	const char *path;		/* borrowed */
	struct stamp seen, read;
};

struct files {
	size_t n, most;
	bool unread;
	struct file file[];
};

/* ---- changes ------------------------------------------------------------------ */

static struct stamp
stamp_of(const char *path)
{
	struct stamp now = { .err = 0 };

	if (stat(path, &now.st) == -1)
		now.err = errno;
	return now;
}

static bool
same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool
same(const struct stamp *a, const struct stamp *b)
{
	if (a->err || b->err)
		return a->err == b->err;
	return a->st.st_dev == b->st.st_dev && a->st.st_ino == b->st.st_ino &&
	    a->st.st_size == b->st.st_size &&
	    same_time(a->st.st_mtim, b->st.st_mtim) &&
	    same_time(a->st.st_ctim, b->st.st_ctim);
}

enum status
files_new(size_t most, struct files **out)
{
	struct files *f = calloc(1, sizeof(*f) + most * sizeof(f->file[0]));

	if (!f)
		return ST_NO_MEMORY;
	f->most = most;
	*out = f;
	return ST_OK;
}

void
files_free(struct files **at)
{
	free(*at);
	*at = NULL;
}

void
files_add(struct files *f, const char *path)
{
	struct file *one = &f->file[f->n++];

	assert(f->n <= f->most);
	one->path = path;
	one->seen = one->read = stamp_of(path);
}

bool
files_changed(struct files *f)
{
	bool other = f->unread, settled = true;
	struct stamp now;
	size_t i;

	for (i = 0; i < f->n; i++) {
		now = stamp_of(f->file[i].path);
		other = other || !same(&now, &f->file[i].read);
		settled = settled && same(&now, &f->file[i].seen);
		f->file[i].seen = now;
	}
	if (!other || !settled)
		return false;
	f->unread = false;
	for (i = 0; i < f->n; i++)
		f->file[i].read = f->file[i].seen;
	return true;
}

void
files_unread(struct files *f)
{
	f->unread = true;
}

const char *
files_hidden(struct files *f)
{
	const char *hidden = NULL;
	struct file *one;
	size_t i;

	for (i = f->n; i-- > 0;) {
		one = &f->file[i];
		if (access(one->path, R_OK) == 0 || errno != EACCES)
			continue;
		one->seen = one->read = stamp_of(one->path);
		hidden = one->path;
	}
	return hidden;
}

/* ---- contents ------------------------------------------------------------------ */

/* 0 or errno. */
static int
read_all(int fd, struct buf *out)
{
	struct stat st;
	uint8_t *room;
	size_t left;
	ssize_t n = 1;

	if (fstat(fd, &st) == -1)
		return errno;
	if (!S_ISREG(st.st_mode))
		return EINVAL;
	if ((uint64_t)st.st_size >= out->limit - out->len)
		return EFBIG;
	left = (size_t)st.st_size + 1;
	room = buf_room(out, left);
	if (!room)
		return ENOMEM;
	for (; left && n; room += n, left -= (size_t)n) {
		n = read(fd, room, left);
		if (n == -1)
			return errno;
		out->len += (size_t)n;
	}
	return n ? EFBIG : 0;	/* it grew meanwhile */
}

enum status
files_read(const char *path, struct buf *out, const char **why)
{
	/* one that is no file at all must not hold us up */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int err = errno;

	if (fd != -1) {
		err = read_all(fd, out);
		(void)close(fd);	/* nothing was written */
	}
	if (err)
		*why = strerror(err);
	return err == 0 ? ST_OK : err == ENOMEM ? ST_NO_MEMORY : ST_SYSTEM;
}
