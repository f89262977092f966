/* disk.c - disk_posix: files as the kernel has them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "spool/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FILE_MODE 0640
#define DIR_MODE 0750

struct disk_file {
	int fd;
};

static enum status
failed(void)
{
	return status_from_errno(errno, ST_DISK);
}

static enum status
wrap(int fd, struct disk_file **out)
{
	struct disk_file *f;

	if (fd == -1)
		return failed();
	f = malloc(sizeof(*f));
	if (!f) {
		(void)close(fd);
		return ST_NO_MEMORY;
	}
	f->fd = fd;
	*out = f;
	return ST_OK;
}

static enum status
posix_open(void *arg, const char *path, bool create, bool writable,
    struct disk_file **out)
{
	int flags = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW;

	(void)arg;
	if (create)
		flags |= O_CREAT | O_EXCL;
	return wrap(open(path, flags, FILE_MODE), out);
}

static void
posix_close(void *arg, struct disk_file **f)
{
	(void)arg;
	if (!*f)
		return;
	(void)close((*f)->fd); /* what matters was synced */
	free(*f);
	*f = NULL;
}

/* The rest of a vector that the kernel has taken a part of. */
static enum status
write_one(int fd, uint64_t offset, const uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t k = pwrite(fd, p, n, (off_t)offset);

		if (k == -1 && errno == EINTR)
			continue;
		if (k == -1)
			return failed();
		if (k == 0)
			return ST_DISK;
		p += k;
		n -= (size_t)k;
		offset += (uint64_t)k;
	}
	return ST_OK;
}

static enum status
posix_write(void *arg, struct disk_file *f, uint64_t offset,
    const struct iovec *iov, int n)
{
	(void)arg;
	while (n > 0) {
		ssize_t k = pwritev(f->fd, iov, n < IOV_MAX ? n : IOV_MAX,
		    (off_t)offset);
		enum status st;

		if (k == -1 && errno == EINTR)
			continue;
		if (k == -1)
			return failed();
		if (k == 0)
			return ST_DISK;
		offset += (uint64_t)k;
		for (; n > 0 && (size_t)k >= iov->iov_len; iov++, n--)
			k -= (ssize_t)iov->iov_len;
		if (k == 0)
			continue;
		st = write_one(f->fd, offset, (uint8_t *)iov->iov_base + k,
		    iov->iov_len - (size_t)k);
		if (st != ST_OK)
			return st;
		offset += iov->iov_len - (size_t)k;
		iov++;
		n--;
	}
	return ST_OK;
}

static enum status
posix_read(void *arg, struct disk_file *f, uint64_t offset, void *to, size_t *n)
{
	size_t got = 0;

	(void)arg;
	while (got < *n) {
		ssize_t k = pread(f->fd, (uint8_t *)to + got, *n - got,
		    (off_t)(offset + got));

		if (k == -1 && errno == EINTR)
			continue;
		if (k == -1)
			return failed();
		if (k == 0)
			break;
		got += (size_t)k;
	}
	*n = got;
	return ST_OK;
}

static enum status
posix_size(void *arg, struct disk_file *f, uint64_t *out)
{
	struct stat sb;

	(void)arg;
	if (fstat(f->fd, &sb) == -1)
		return failed();
	*out = (uint64_t)sb.st_size;
	return ST_OK;
}

static enum status
posix_truncate(void *arg, struct disk_file *f, uint64_t size)
{
	(void)arg;
	return ftruncate(f->fd, (off_t)size) == -1 ? failed() : ST_OK;
}

static enum status
posix_allocate(void *arg, struct disk_file *f, uint64_t size)
{
	int k;

	do
		k = fallocate(f->fd, 0, 0, (off_t)size);
	while (k == -1 && errno == EINTR);
	if (k == 0)
		return ST_OK;
	/* A file system that cannot reserve can still set the size. */
	if (errno == EOPNOTSUPP)
		return posix_truncate(arg, f, size);
	return failed();
}

static enum status
posix_sync(void *arg, struct disk_file *f)
{
	(void)arg;
	return fdatasync(f->fd) == -1 ? failed() : ST_OK;
}

static enum status
posix_rename(void *arg, const char *from, const char *to)
{
	(void)arg;
	return rename(from, to) == -1 ? failed() : ST_OK;
}

static enum status
posix_unlink(void *arg, const char *path)
{
	(void)arg;
	return unlink(path) == -1 ? failed() : ST_OK;
}

static enum status
posix_make_dir(void *arg, const char *path)
{
	struct stat sb;

	(void)arg;
	if (mkdir(path, DIR_MODE) == 0)
		return ST_OK;
	if (errno != EEXIST)
		return failed();
	if (stat(path, &sb) == -1)
		return failed();
	return S_ISDIR(sb.st_mode) ? ST_OK : ST_DISK;
}

static enum status
posix_sync_dir(void *arg, const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum status st;

	(void)arg;
	if (fd == -1)
		return failed();
	st = fsync(fd) == -1 ? failed() : ST_OK;
	(void)close(fd);
	return st;
}

static enum status
posix_list(void *arg, const char *path, void (*each)(const char *name, void *),
    void *each_arg)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	int err;

	(void)arg;
	if (!dir)
		return failed();
	for (errno = 0; (e = readdir(dir)); errno = 0)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			each(e->d_name, each_arg);
	err = errno;
	(void)closedir(dir);
	return err ? status_from_errno(err, ST_DISK) : ST_OK;
}

static enum status
posix_lock(void *arg, const char *path, struct disk_file **out)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
	    FILE_MODE);
	enum status st;

	(void)arg;
	if (fd != -1 && flock(fd, LOCK_EX | LOCK_NB) == -1) {
		st = errno == EWOULDBLOCK ? ST_LOCKED : failed();
		(void)close(fd);
		return st;
	}
	return wrap(fd, out);
}

static enum status
posix_room(void *arg, const char *path, uint64_t *out)
{
	struct statvfs vfs;

	(void)arg;
	if (statvfs(path, &vfs) == -1)
		return failed();
	*out = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	return ST_OK;
}

const struct disk_ops disk_posix = {
	.open = posix_open,
	.close = posix_close,
	.write = posix_write,
	.read = posix_read,
	.size = posix_size,
	.allocate = posix_allocate,
	.truncate = posix_truncate,
	.sync = posix_sync,
	.rename = posix_rename,
	.unlink = posix_unlink,
	.make_dir = posix_make_dir,
	.sync_dir = posix_sync_dir,
	.list = posix_list,
	.lock = posix_lock,
	.room = posix_room,
};
