/* fuzz_oauth2.c - any bytes as an OAuth2 server's answer.
 * SPDX-License-Identifier: Apache-2.0 */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "forward/oauth2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_answer a = { .status = 200, .body = bytes_of(data, size) };
	struct oauth2_answer got;
	enum status st = oauth2_read(&a, &got);
	size_t i;

	assert(st == ST_OK || st == ST_TOKEN_ANSWER);
	assert((st == ST_OK) == (got.token != NULL));
	assert(got.life_ns >= 0 && got.life_ns <= OAUTH2_LIFE_MAX);
	assert(memchr(got.error, '\0', sizeof(got.error)));
	/* nothing that would break out of a header */
	for (i = 0; i < got.n; i++)
		assert(got.token[i] > ' ' && got.token[i] < 127);
	free(got.token);
	return 0;
}
