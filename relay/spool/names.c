/* names.c - what the spool's files are called, and how places compare.
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "spool/spool_priv.h"

#define DIGITS 16

void
spool_path_named(char to[SPOOL_PATH_MAX], const char *directory,
    const char *folder, const char *name)
{
	int n = snprintf(to, SPOOL_PATH_MAX, "%s/%s%s%s", directory, folder,
	    name ? "/" : "", name ? name : "");

	assert(n > 0 && n < SPOOL_PATH_MAX);
}

void
spool_path(char to[SPOOL_PATH_MAX], const char *directory, const char *folder,
    uint64_t number, const char *suffix)
{
	char name[DIGITS + 8];

	if (suffix)
		(void)snprintf(name, sizeof(name), "%016" PRIx64 "%s", number,
		    suffix);
	spool_path_named(to, directory, folder, suffix ? name : NULL);
}

static int
digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' :
	    c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

uint64_t
spool_path_number(const char *name, const char *suffix)
{
	uint64_t number = 0;
	int i;

	for (i = 0; i < DIGITS; i++) {
		if (digit(name[i]) == -1)
			return 0;
		number = number << 4 | (uint64_t)digit(name[i]);
	}
	return strcmp(name + DIGITS, suffix) == 0 ? number : 0;
}

bool
spool_name_fits(const char *name)
{
	size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789_.-");

	return n > 0 && n <= SPOOL_NAME_MAX && name[n] == '\0' &&
	    name[0] != '.';
}

int
spool_pos_cmp(struct spool_pos a, struct spool_pos b)
{
	if (a.segment != b.segment)
		return a.segment < b.segment ? -1 : 1;
	return (a.offset > b.offset) - (a.offset < b.offset);
}
