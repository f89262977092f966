/* journey.h - a body of any bytes on its whole way through the relay, for
 * fuzzing.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RW_TESTS_JOURNEY_H
#define RW_TESTS_JOURNEY_H

#include "prw/payload.h"

/* Takes the bytes as a message, and, where they are snappy, what is in them:
 * scanned, held against protobuf-c, identified, through the codec, built in
 * both versions, and scanned again.  What is not as it should be ends the
 * program. */
void journey(enum payload_proto, struct bytes);

#endif
