/* crc32c.c - eight bytes at a time: an instruction, or eight tables.
 * SPDX-License-Identifier: Apache-2.0 */
#include "spool/crc32c.h"

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"

#define POLYNOMIAL 0x82f63b78u		/* bits reversed */

static uint32_t table[8][256];

typedef uint32_t crc_fn(uint32_t crc, const uint8_t *, size_t n);

static uint32_t
by_table(uint32_t crc, const uint8_t *p, size_t n)
{
	while (n >= 8) {
		uint32_t a = le32_get(p) ^ crc, b = le32_get(p + 4);

		crc = table[7][a & 0xff] ^ table[6][a >> 8 & 0xff] ^
		    table[5][a >> 16 & 0xff] ^ table[4][a >> 24] ^
		    table[3][b & 0xff] ^ table[2][b >> 8 & 0xff] ^
		    table[1][b >> 16 & 0xff] ^ table[0][b >> 24];
		p += 8;
		n -= 8;
	}
	while (n--)
		crc = table[0][(crc ^ *p++) & 0xff] ^ crc >> 8;
	return crc;
}

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) static uint32_t
by_processor(uint32_t crc, const uint8_t *p, size_t n)
{
	uint64_t wide = crc;

	for (; n >= 8; p += 8, n -= 8)
		wide = __builtin_ia32_crc32di(wide, le64_get(p));
	crc = (uint32_t)wide;
	while (n--)
		crc = __builtin_ia32_crc32qi(crc, *p++);
	return crc;
}

static bool
processor_can(void)
{
	__builtin_cpu_init();
	return __builtin_cpu_supports("sse4.2");
}

#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)

#include <arm_acle.h>

static uint32_t
by_processor(uint32_t crc, const uint8_t *p, size_t n)
{
	for (; n >= 8; p += 8, n -= 8)
		crc = __crc32cd(crc, le64_get(p));
	while (n--)
		crc = __crc32cb(crc, *p++);
	return crc;
}

static bool
processor_can(void)
{
	return true;
}

#else

static uint32_t
by_processor(uint32_t crc, const uint8_t *p, size_t n)
{
	return by_table(crc, p, n);
}

static bool
processor_can(void)
{
	return false;
}

#endif

static crc_fn *best = by_table;

/* Before main, so that no thread ever sees half a table. */
__attribute__((constructor)) static void
make_tables(void)
{
	unsigned i, k;

	for (i = 0; i < 256; i++) {
		uint32_t c = i;

		for (k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ POLYNOMIAL : c >> 1;
		table[0][i] = c;
	}
	for (i = 0; i < 256; i++)
		for (k = 1; k < 8; k++)
			table[k][i] = table[k - 1][i] >> 8 ^
			    table[0][table[k - 1][i] & 0xff];
	if (processor_can())
		best = by_processor;
}

uint32_t
crc32c(uint32_t start, const void *p, size_t n)
{
	return ~best(~start, p, n);
}

uint32_t
crc32c_plain(uint32_t start, const void *p, size_t n)
{
	return ~by_table(~start, p, n);
}
