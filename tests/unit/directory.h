/* directory.h - a directory of its own for a test that works with files, which it is in.
 * SPDX-License-Identifier: Apache-2.0                                       */
#ifndef RW_TESTS_DIRECTORY_H
#define RW_TESTS_DIRECTORY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char directory[] = "/tmp/rwrelay-unit.XXXXXX";

/* For a group's setup. */
static inline int
enter_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

/* What is in it has gone, or it does not go either. */
static inline int
remove_directory(void)
{
	return chdir("/") == 0 ? rmdir(directory) : -1;
}

static inline void
put_bytes(const char *path, const char *text, size_t n)
{
	FILE *fp = fopen(path, "w");

	assert_non_null(fp);
	assert_int_equal(fwrite(text, 1, n, fp), n);
	assert_int_equal(fclose(fp), 0);
}

static inline void
put_text(const char *path, const char *text)
{
	put_bytes(path, text, strlen(text));
}

#endif
