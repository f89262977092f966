/* reference.h - is a scanned batch what protobuf-c reads in the same body?
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RW_TESTS_REFERENCE_H
#define RW_TESTS_REFERENCE_H

#include <stdbool.h>

#include "base/bytes.h"
#include "prw/payload.h"
#include "series/batch.h"

/* Compares a batch just scanned, not settled, with the body that it came from.
 * Any difference ends the program.  False: protobuf-c does not take the body. */
bool reference_check(enum payload_proto, struct bytes body,
    const struct batch *scanned);

#endif
