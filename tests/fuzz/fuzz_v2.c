/* fuzz_v2.c - any bytes as a request of remote write 2.0.
 * SPDX-License-Identifier: Apache-2.0 */

#include <stddef.h>
#include <stdint.h>

#include "tests/reference/journey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	journey(PAYLOAD_V2, bytes_of(data, size));
	return 0;
}
