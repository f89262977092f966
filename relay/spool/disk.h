/* disk.h - what the spool asks of a file system, as a table.
 * SPDX-License-Identifier: Apache-2.0
 *
 * disk_posix is the product's; tests put a disk in memory under the spool that
 * tears writes, loses what was not synced, and fails on command.  Calls return
 * ST_OK or what errno came to (ST_NO_SPACE, ST_DISK, ST_DENIED, ST_MISSING,
 * ST_LOCKED); short writes are completed or fail.                           */
#ifndef RW_SPOOL_DISK_H
#define RW_SPOOL_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/bytes.h"
#include "base/status.h"

struct disk_file;

struct disk_ops {
	void *arg;			/* the disk itself, given to each call */
	/* create: must not exist; else must.  Paths are within the disk. */
	enum status (*open)(void *arg, const char *path, bool create,
	    bool writable, struct disk_file **out);
	void (*close)(void *arg, struct disk_file **);
	enum status (*write)(void *arg, struct disk_file *, uint64_t offset,
	    const struct iovec *, int n);
	/* *n is set to what was read, less at the end of the file */
	enum status (*read)(void *arg, struct disk_file *, uint64_t offset,
	    void *to, size_t *n);
	enum status (*size)(void *arg, struct disk_file *, uint64_t *out);
	/* reserve blocks so that a later write need not change the file's size */
	enum status (*allocate)(void *arg, struct disk_file *, uint64_t size);
	enum status (*truncate)(void *arg, struct disk_file *, uint64_t size);
	enum status (*sync)(void *arg, struct disk_file *);	/* fdatasync */
	enum status (*rename)(void *arg, const char *from, const char *to);
	enum status (*unlink)(void *arg, const char *path);
	enum status (*make_dir)(void *arg, const char *path);
	enum status (*sync_dir)(void *arg, const char *path);
	/* calls each(name) for every entry but . and .. */
	enum status (*list)(void *arg, const char *path,
	    void (*each)(const char *name, void *), void *each_arg);
	/* exclusive, until close; ST_LOCKED */
	enum status (*lock)(void *arg, const char *path,
	    struct disk_file **out);
	/* bytes free for us on the file system of path */
	enum status (*room)(void *arg, const char *path, uint64_t *out);
};

extern const struct disk_ops disk_posix;

#endif
