/* fuzz_config.c - any bytes as a config file.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Either a complaint or a config within its bounds comes out, and the next load of a
 * good file is none the worse for it.                                       */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const char good[] = "workers = 3 # three\n"
    "listen a { address = \"127.0.0.1:1\" }\n"
    "upstream b { url = \"http://x/\" headers = { \"A: b\" } }\n";

static char directory[] = "/tmp/fuzz_config.XXXXXX";
static char path[64];

static void
clean_up(void)
{
	(void)unlink(path);
	(void)rmdir(directory);
}

/* In a directory of its own, where an include finds nothing but the file
 * itself. */
static void
choose_path(void)
{
	assert(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/conf", directory);
	(void)atexit(clean_up);
}

static enum status
load(const void *text, size_t n, struct config **c, struct config_error *why)
{
	FILE *fp = fopen(path, "w");

	assert(fp);
	assert(fwrite(text, 1, n, fp) == n);
	assert(fclose(fp) == 0);
	return config_load(path, c, why);
}

static void
check_bounds(const struct config *c)
{
	size_t i;

	assert(c->workers <= 64);
	assert(c->n_listens > 0 && c->n_listens <= CONFIG_SECTIONS_MAX);
	assert(c->n_upstreams <= CONFIG_SECTIONS_MAX);
	assert(c->spool.size_bytes / 4 >= c->spool.segment_bytes);
	for (i = 0; i < c->n_upstreams; i++) {
		assert(c->upstreams[i].forward.lanes >= 1);
		assert(c->upstreams[i].forward.lanes <= 64);
		assert(!strchr(c->upstreams[i].forward.name, '/'));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct config *c = NULL;
	struct config_error why;

	if (path[0] == '\0')
		choose_path();
	if (load(data, n, &c, &why) == ST_OK) {
		assert(why.text[0] == '\0');
		check_bounds(c);
		config_free(&c);
	} else {
		assert(!c && why.text[0] != '\0');
	}
	assert(load(good, sizeof(good) - 1, &c, &why) == ST_OK);
	assert(c->workers == 3 && c->upstreams[0].forward.headers.n == 1);
	config_free(&c);
	return 0;
}
