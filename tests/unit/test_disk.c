/* test_disk.c - the kernel's files, as the table promises them.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "spool/disk.h"

static const struct disk_ops *const d = &disk_posix;
static char dir[64], path[128];

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "test_disk.XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/f", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	(void)unlink(path);
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

static void
files_are_made_or_must_be_there(void **state)
{
	struct disk_file *f = NULL;

	(void)state;
	assert_int_equal(d->open(d->arg, path, false, true, &f), ST_MISSING);
	assert_int_equal(d->open(d->arg, path, true, true, &f), ST_OK);
	d->close(d->arg, &f);
	assert_null(f);
	assert_int_equal(d->open(d->arg, path, true, true, &f), ST_DISK);
	assert_int_equal(d->open(d->arg, path, false, false, &f), ST_OK);
	d->close(d->arg, &f);
}

/* More vectors than one call takes, some of them empty. */
static void
many_pieces_are_written_in_order(void **state)
{
	enum { N = 3000 };
	static struct iovec iov[N];
	static uint8_t pieces[N][3], got[3 * N + 10];
	struct disk_file *f;
	size_t n = sizeof(got), at = 5;
	uint64_t size;
	int i;

	(void)state;
	for (i = 0; i < N; i++) {
		memset(pieces[i], i, 3);
		iov[i] = (struct iovec){ pieces[i], (size_t)(i % 4) };
	}
	assert_int_equal(d->open(d->arg, path, true, true, &f), ST_OK);
	assert_int_equal(d->write(d->arg, f, 5, iov, N), ST_OK);
	assert_int_equal(d->sync(d->arg, f), ST_OK);
	assert_int_equal(d->read(d->arg, f, 0, got, &n), ST_OK);
	for (i = 0; i < N; i++) {
		assert_memory_equal(got + at, pieces[i], iov[i].iov_len);
		at += iov[i].iov_len;
	}
	assert_int_equal(n, at);
	assert_int_equal(d->size(d->arg, f, &size), ST_OK);
	assert_int_equal(size, at);
	d->close(d->arg, &f);
}

static void
reserved_bytes_are_zeros_and_can_be_cut(void **state)
{
	struct disk_file *f;
	uint8_t got[16];
	uint64_t size;
	size_t n = sizeof(got);

	(void)state;
	memset(got, 1, sizeof(got));
	assert_int_equal(d->open(d->arg, path, true, true, &f), ST_OK);
	assert_int_equal(d->allocate(d->arg, f, 1 << 20), ST_OK);
	assert_int_equal(d->size(d->arg, f, &size), ST_OK);
	assert_int_equal(size, 1 << 20);
	assert_int_equal(d->read(d->arg, f, 4096, got, &n), ST_OK);
	assert_int_equal(n, sizeof(got));
	for (n = 0; n < sizeof(got); n++)
		assert_int_equal(got[n], 0);
	assert_int_equal(d->truncate(d->arg, f, 10), ST_OK);
	assert_int_equal(d->read(d->arg, f, 4, got, &n), ST_OK);
	assert_int_equal(n, 6);
	d->close(d->arg, &f);
}

static void
a_lock_is_held_by_one(void **state)
{
	struct disk_file *a, *b = NULL;

	(void)state;
	assert_int_equal(d->lock(d->arg, path, &a), ST_OK);
	assert_int_equal(d->lock(d->arg, path, &b), ST_LOCKED);
	d->close(d->arg, &a);
	assert_int_equal(d->lock(d->arg, path, &b), ST_OK);
	d->close(d->arg, &b);
}

static void
count(const char *name, void *arg)
{
	assert_string_equal(name, "g");
	++*(int *)arg;
}

static void
names_change_and_are_listed(void **state)
{
	struct disk_file *f;
	char to[128];
	uint64_t room = 0;
	int n = 0;

	(void)state;
	(void)snprintf(to, sizeof(to), "%s/g", dir);
	assert_int_equal(d->open(d->arg, path, true, true, &f), ST_OK);
	d->close(d->arg, &f);
	assert_int_equal(d->rename(d->arg, path, to), ST_OK);
	assert_int_equal(d->sync_dir(d->arg, dir), ST_OK);
	assert_int_equal(d->list(d->arg, dir, count, &n), ST_OK);
	assert_int_equal(n, 1);
	assert_int_equal(d->unlink(d->arg, to), ST_OK);
	assert_int_equal(d->unlink(d->arg, to), ST_MISSING);
	assert_int_equal(d->list(d->arg, to, count, &n), ST_MISSING);
	assert_int_equal(d->room(d->arg, dir, &room), ST_OK);
	assert_true(room > 0);
}

static void
directories_may_be_there_already(void **state)
{
	char sub[128];

	(void)state;
	(void)snprintf(sub, sizeof(sub), "%s/d", dir);
	assert_int_equal(d->make_dir(d->arg, sub), ST_OK);
	assert_int_equal(d->make_dir(d->arg, sub), ST_OK);
	assert_int_equal(rmdir(sub), 0);
	assert_int_equal(mknod(sub, S_IFREG | 0600, 0), 0);
	assert_int_equal(d->make_dir(d->arg, sub), ST_DISK);
	assert_int_equal(unlink(sub), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(files_are_made_or_must_be_there),
		T(many_pieces_are_written_in_order),
		T(reserved_bytes_are_zeros_and_can_be_cut),
		T(a_lock_is_held_by_one),
		T(names_change_and_are_listed),
		T(directories_may_be_there_already),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
