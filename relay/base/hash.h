/* hash.h - the keyed hash by which series and symbols are found.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The door to xxHash.  128 bits under a secret made at start: two label blocks
 * with one hash are taken to be one series, so nobody outside may be able to
 * look for a collision.                                                     */
#ifndef RW_BASE_HASH_H
#define RW_BASE_HASH_H

#include <stdbool.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/bytes.h"
#include "base/status.h"

struct hash128 {
	uint64_t lo, hi;
};

struct hash_key {
	uint8_t secret[192];
};

/* Fills the key from the kernel's random numbers. */
enum status hash_key_init(struct hash_key *);

static inline struct hash128
hash128(const struct hash_key *key, const void *p, size_t n)
{
	XXH128_hash_t h = XXH3_128bits_withSecret(p, n, key->secret,
	    sizeof(key->secret));

	return (struct hash128){ h.low64, h.high64 };
}

static inline uint64_t
hash64(const struct hash_key *key, const void *p, size_t n)
{
	return XXH3_64bits_withSecret(p, n, key->secret, sizeof(key->secret));
}

static inline bool
hash128_eq(struct hash128 a, struct hash128 b)
{
	return a.lo == b.lo && a.hi == b.hi;
}

#endif
