/* test_files.c - whether files have changed, and what is in them.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"
#include "directory.h"

static int
leave_directory(void **state)
{
	(void)state;
	(void)unlink("a");
	(void)unlink("b");
	(void)unlink("pipe");
	return remove_directory();
}

static void
changes_are_told_when_they_are_over(void **state)
{
	struct files *f;

	(void)state;
	put_text("a", "1");
	put_text("b", "1");
	assert_int_equal(files_new(2, &f), ST_OK);
	files_add(f, "a");
	files_add(f, "b");
	assert_false(files_changed(f));
	put_text("a", "22");
	assert_false(files_changed(f));
	put_text("b", "22");
	assert_false(files_changed(f));
	assert_true(files_changed(f));
	assert_false(files_changed(f));
	/* once for what will not do, too */
	assert_int_equal(unlink("a"), 0);
	assert_false(files_changed(f));
	assert_true(files_changed(f));
	assert_false(files_changed(f));
	files_unread(f);
	assert_true(files_changed(f));
	assert_false(files_changed(f));
	/* another file under the name, as old and as large */
	put_text("a", "22");
	assert_int_equal(rename("b", "a"), 0);
	put_text("b", "22");
	assert_false(files_changed(f));
	assert_true(files_changed(f));
	assert_int_equal(chmod("a", 0400), 0);
	assert_false(files_changed(f));
	assert_true(files_changed(f));
	/* back as it was before anybody has read it */
	assert_int_equal(rename("a", "c"), 0);
	assert_false(files_changed(f));
	assert_int_equal(rename("c", "a"), 0);
	files_free(&f);
	assert_null(f);
	files_free(&f);
}

static void
they_are_read_whole(void **state)
{
	const char *why = NULL;
	struct buf b;

	(void)state;
	put_text("b", "");
	put_text("a", "hello");
	buf_init(&b, 6);
	assert_int_equal(files_read("b", &b, &why), ST_OK);
	assert_int_equal(b.len, 0);
	assert_int_equal(files_read("a", &b, &why), ST_OK);
	assert_true(bytes_eq(buf_bytes(&b), BYTES_LIT("hello")));
	assert_null(why);
	buf_reset(&b, 0);
	put_text("a", "hello!");
	assert_int_equal(files_read("a", &b, &why), ST_SYSTEM);
	assert_string_equal(why, "File too large");
	assert_int_equal(files_read("nowhere", &b, &why), ST_SYSTEM);
	assert_string_equal(why, "No such file or directory");
	assert_int_equal(files_read("/", &b, &why), ST_SYSTEM);
	assert_string_equal(why, "Invalid argument");
	assert_int_equal(mkfifo("pipe", 0600), 0);
	assert_int_equal(files_read("pipe", &b, &why), ST_SYSTEM);
	assert_int_equal(b.len, 0);
	buf_fini(&b);
}

/* The exit status of who has become another, unless he was nobody special before. */
static int
find_hidden(struct files *f)
{
	if (geteuid() == 0 && (setgroups(0, NULL) == -1 || setgid(65534) == -1 ||
	    setuid(65534) == -1))
		return 1;
	if (!files_hidden(f) || strcmp(files_hidden(f), "b") != 0)
		return 2;
	return files_changed(f) ? 3 : 0;
}

static void
who_may_not_read_one_is_told(void **state)
{
	struct files *f;
	pid_t child;
	int how;

	(void)state;
	put_text("a", "1");
	put_text("b", "1");
	assert_int_equal(files_new(3, &f), ST_OK);
	files_add(f, "a");
	files_add(f, "nowhere");
	files_add(f, "b");
	assert_null(files_hidden(f));
	assert_int_equal(chmod(".", 0755) + chmod("a", 0644), 0);
	assert_int_equal(chmod("b", 0), 0);
	child = fork();
	assert_int_not_equal(child, -1);
	if (child == 0)
		_exit(find_hidden(f));
	assert_int_equal(waitpid(child, &how, 0), child);
	assert_int_equal(how, 0);
	assert_true(files_changed(f) || files_changed(f));
	files_free(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_are_told_when_they_are_over),
		cmocka_unit_test(they_are_read_whole),
		cmocka_unit_test(who_may_not_read_one_is_told),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
