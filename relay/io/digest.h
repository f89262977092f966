/* digest.h - SHA-256 (FIPS 180-4), for secrets that are known by their digest.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Beside tls.h the other door to OpenSSL: nothing of it is about connections.  */
#ifndef RW_IO_DIGEST_H
#define RW_IO_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct digest {
	uint8_t byte[32];
};

/* Of the parts, one behind the other.  False when out of memory. */
bool digest_of(const struct bytes *parts, size_t n, struct digest *out);
/* The time that they take tells nothing of where they differ. */
bool digest_same(const struct digest *, const struct digest *);
bool digest_same_bytes(struct bytes, struct bytes);
/* 64 hexadecimal digits, of either case; false if it is anything else. */
bool digest_parse(struct bytes hex, struct digest *out);

#endif
