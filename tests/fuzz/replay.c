/* replay.c - runs a fuzz target over files, for builds without libFuzzer.
 *
 * Takes files and directories; with no argument it takes the target's own
 * corpus under $srcdir, so that `make check` runs it as any other test.
 * SPDX-License-Identifier: Apache-2.0 */

#include <dirent.h>
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long inputs;

static void
replay_file(const char *path, size_t size)
{
	uint8_t *data = malloc(size + 1); /* never asks for nothing */
	FILE *f = fopen(path, "rb");

	if (data == NULL || f == NULL || fread(data, 1, size, f) != size)
		err(2, "%s", path);
	(void)fclose(f); /* only read from */
	(void)LLVMFuzzerTestOneInput(data, size); /* always 0 */
	free(data);
	inputs++;
}

static void
replay(const char *path)
{
	char inside[4096];
	struct dirent *entry;
	struct stat st;
	DIR *dir;

	if (stat(path, &st) == -1)
		err(2, "%s", path);
	if (!S_ISDIR(st.st_mode)) {
		replay_file(path, (size_t)st.st_size);
		return;
	}
	dir = opendir(path);
	if (dir == NULL)
		err(2, "%s", path);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(inside, sizeof(inside), "%s/%s", path, entry->d_name);
		replay(inside);
	}
	(void)closedir(dir); /* only read from */
}

int
main(int argc, char **argv)
{
	const char *srcdir = getenv("srcdir");
	const char *name = strrchr(argv[0], '/');
	char corpus[4096];
	int i;

	for (i = 1; i < argc; i++)
		replay(argv[i]);
	if (argc == 1) {
		name = strstr(name != NULL ? name : argv[0], "fuzz_");
		if (name == NULL)
			errx(2, "usage: fuzz_NAME [file|directory ...]");
		(void)snprintf(corpus, sizeof(corpus), "%s/tests/fuzz/corpus/%s",
		    srcdir != NULL ? srcdir : ".", name + strlen("fuzz_"));
		replay(corpus);
	}
	printf("%lu inputs\n", inputs);
	return inputs == 0;
}
