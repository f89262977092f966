/* fuzz_zstd.c - any bytes as a body of zstd.
 * SPDX-License-Identifier: Apache-2.0 */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "prw/payload.h"

#define LIMIT ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was unpacked comes back when it is packed and unpacked again. */
static void
return_trip(struct payload_tools *t, struct bytes raw, struct arena *arena)
{
	struct bytes again;
	struct buf packed;

	buf_init(&packed, 2 * LIMIT);
	assert(payload_pack(t, PAYLOAD_ZSTD, raw, &packed) == ST_OK);
	assert(payload_unpack(t, PAYLOAD_ZSTD, buf_bytes(&packed), raw.n, arena,
	    &again) == ST_OK);
	assert(again.n == raw.n && memcmp(again.p, raw.p, raw.n) == 0);
	buf_fini(&packed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct payload_tools tools;
	struct bytes packed = bytes_of(data, size), raw;
	struct arena *arena = arena_new(3 * LIMIT, 0);
	enum status sized, st;
	size_t told = 0;

	assert(arena);
	sized = payload_size(PAYLOAD_ZSTD, packed, LIMIT, &told);
	st = payload_unpack(&tools, PAYLOAD_ZSTD, packed, LIMIT, arena, &raw);
	assert(sized == ST_OK || st == sized);
	assert(st == ST_OK || st == ST_BAD_ZSTD || st == ST_TOO_LARGE);
	assert(sized != ST_OK || told == PAYLOAD_UNTOLD || st != ST_TOO_LARGE);
	if (st == ST_OK) {
		assert(raw.n <= LIMIT);
		assert(told == PAYLOAD_UNTOLD || raw.n == told);
		return_trip(&tools, raw, arena);
	}
	arena_free(&arena);
	return 0;
}
