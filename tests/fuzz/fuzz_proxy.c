/* fuzz_proxy.c - any bytes where a header of the PROXY protocol should be.
 *
 * What is a header is one whatever follows, and its beginnings are beginnings.
 * SPDX-License-Identifier: Apache-2.0 */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "io/network.h"
#include "io/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[NETWORK_NAME_SIZE];
	struct proxy_header h, again;
	size_t used = 0, other = 0;
	enum status st = proxy_parse(bytes_of(data, size), &h, &used);

	if (st == ST_WAIT)
		assert(size < PROXY_HEADER_MAX);
	if (st != ST_OK)
		return 0;
	assert(used > 0 && used <= size && used <= PROXY_HEADER_MAX);
	if (h.given)
		network_name(&h.from, name);
	assert(proxy_parse(bytes_of(data, used), &again, &other) == ST_OK);
	assert(other == used && again.given == h.given);
	assert(proxy_parse(bytes_of(data, used - 1), &again, &other) ==
	    ST_WAIT);
	return 0;
}
