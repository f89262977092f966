/* utf8.c - eight plain bytes at a time; the rest by the table of RFC 3629.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

/* Length of the sequence that begins at p with a byte past 0x7f; 0: none does.
 * The second byte's range is what keeps out long forms (e0, f0), surrogates
 * (ed) and what lies above U+10FFFF (f4). */
static size_t
sequence(const uint8_t *p, size_t left)
{
	uint8_t low = 0x80, high = 0xbf;
	size_t n, i;

	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (n > left)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (i = 2; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

bool
utf8_valid(struct bytes b)
{
	const uint64_t tops = UINT64_C(0x8080808080808080);
	size_t i = 0, n;

	while (i < b.n) {
		if (b.n - i >= 8 && !(le64_get(b.p + i) & tops)) {
			i += 8;
		} else if (b.p[i] < 0x80) {
			i++;
		} else {
			n = sequence(b.p + i, b.n - i);
			if (!n)
				return false;
			i += n;
		}
	}
	return true;
}
