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

/* ---- a hash of hashes ----------------------------------------------------
 * Of a sequence of hashes under one key, in a fraction of the time that it takes
 * to hash them again: stripes of products under the secret's words, each stripe
 * multiplied into the state, so that order counts.  Its results share nothing
 * with those of hash128(). */

#define HASH_JOIN_STRIPE 10

struct hash_join_key {
	uint64_t word[24];		/* of the secret */
};

struct hash_join {
	struct hash128 state, sum;
	unsigned at;			/* in the stripe */
};

#ifdef __SIZEOF_INT128__
__extension__ typedef unsigned __int128 hash_wide;

static inline struct hash128
hash_multiply(uint64_t a, uint64_t b)
{
	hash_wide v = (hash_wide)a * b;

	return (struct hash128){ (uint64_t)v, (uint64_t)(v >> 64) };
}
#else
static inline struct hash128
hash_multiply(uint64_t a, uint64_t b)
{
	uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
	uint64_t low = al * bl, mid = ah * bl + (low >> 32);
	uint64_t more = al * bh + (uint32_t)mid;

	return (struct hash128){ more << 32 | (uint32_t)low,
		ah * bh + (mid >> 32) + (more >> 32) };
}
#endif

static inline struct hash128
hash_add(struct hash128 a, struct hash128 b)
{
	uint64_t lo = a.lo + b.lo;

	return (struct hash128){ lo, a.hi + b.hi + (lo < a.lo) };
}

static inline void
hash_join_key_init(struct hash_join_key *k, const struct hash_key *key)
{
	unsigned i;

	for (i = 0; i < 24; i++)
		k->word[i] = le64_get(key->secret + (size_t)i * 8);
}

static inline struct hash_join
hash_join_begin(const struct hash_join_key *k)
{
	return (struct hash_join){ { k->word[20], k->word[21] }, { 0, 0 }, 0 };
}

/* State and stripe, times an odd number of 128 bits, the halves crossed. */
static inline void
hash_join_fold(struct hash_join *j, const struct hash_join_key *k)
{
	struct hash128 s = hash_add(j->state, j->sum), p;
	uint64_t odd = k->word[22] | 1;

	p = hash_multiply(s.lo, odd);
	p.hi += s.lo * k->word[23] + s.hi * odd;
	*j = (struct hash_join){ { p.hi, p.lo ^ p.hi }, { 0, 0 }, 0 };
}

static inline void
hash_join_add(struct hash_join *j, const struct hash_join_key *k,
    struct hash128 h)
{
	const uint64_t *word = k->word + 2 * j->at;

	j->sum = hash_add(j->sum,
	    hash_multiply(h.lo + word[0], h.hi + word[1]));
	if (++j->at == HASH_JOIN_STRIPE)
		hash_join_fold(j, k);
}

/* n: how many there were. */
static inline struct hash128
hash_join_end(struct hash_join *j, const struct hash_join_key *k, uint64_t n)
{
	hash_join_fold(j, k);
	j->state.lo += n;
	hash_join_fold(j, k);
	return j->state;
}

static inline bool
hash128_eq(struct hash128 a, struct hash128 b)
{
	return a.lo == b.lo && a.hi == b.hi;
}

#endif
