/* forwarded.h - for whom a proxy asks, by X-Forwarded-For.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Each proxy adds to the right of the header whom it was asked by.  So the address
 * that counts is the rightmost that is not a trusted proxy's: what stands left of it
 * is said by somebody who is not trusted.                                    */
#ifndef RW_POLICY_FORWARDED_H
#define RW_POLICY_FORWARDED_H

#include "http/message.h"
#include "io/network.h"

/* If all are trusted, the leftmost.  False when there is no such header, or something
 * else than an address on the way. */
bool forwarded_for(struct http_headers, const struct network *trusted,
    size_t n_trusted, struct loop_addr *out);

#endif
