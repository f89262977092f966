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

/* xxHash's inner loops want to be unrolled, which gcc's -O2 does not do. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("O3", "unroll-loops")
#endif
#define XXH_INLINE_ALL
#include <xxhash.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif

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

/* Of what is to be known again after a restart; anybody can look for a collision.  Not
 * 0. */
static inline uint64_t
hash_lasting(const void *p, size_t n)
{
	uint64_t h = XXH3_64bits(p, n);

	return h ? h : 1;
}

/* ---- a hash of hashes ----------------------------------------------------
 * Of a sequence of hashes under one key, in a fraction of the time that it takes
 * to hash them again.  They are random to whoever does not know the key, so it is
 * enough that order counts: a stripe is the sum (exclusive or) of its members,
 * each turned by its place, and the state is multiplied after each.  With turns
 * by odd numbers, two sequences that differ within a stripe of 16 meet with a
 * probability of 2^-49 in either half, whatever was chosen to make them meet. */

#define HASH_JOIN_STRIPE 16

struct hash_join_key {
	struct hash128 seed, factor;
};

struct hash_join {
	struct hash128 state;
	uint64_t lo, hi;		/* of the stripe */
	unsigned at;
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

static inline void
hash_join_key_init(struct hash_join_key *k, const struct hash_key *key)
{
	k->seed = (struct hash128){ le64_get(key->secret),
		le64_get(key->secret + 8) };
	k->factor = (struct hash128){ le64_get(key->secret + 16) | 1,
		le64_get(key->secret + 24) };
}

static inline struct hash_join
hash_join_begin(const struct hash_join_key *k)
{
	return (struct hash_join){ k->seed, 0, 0, 0 };
}

/* The stripe into the state, times an odd number, the halves crossed. */
static inline void
hash_join_fold(struct hash_join *j, const struct hash_join_key *k)
{
	uint64_t lo = j->state.lo ^ j->lo, hi = j->state.hi ^ j->hi;
	struct hash128 p = hash_multiply(lo, k->factor.lo);

	p.hi += lo * k->factor.hi + hi * k->factor.lo;
	*j = (struct hash_join){ { p.hi, p.lo ^ p.hi }, 0, 0, 0 };
}

static inline void
hash_join_add(struct hash_join *j, const struct hash_join_key *k,
    struct hash128 h)
{
	j->lo = (j->lo << 11 | j->lo >> 53) ^ h.lo;
	j->hi = (j->hi << 29 | j->hi >> 35) ^ h.hi;
	if (++j->at == HASH_JOIN_STRIPE)
		hash_join_fold(j, k);
}

/* n: how many there were. */
static inline struct hash128
hash_join_end(struct hash_join *j, const struct hash_join_key *k, uint64_t n)
{
	hash_join_fold(j, k);
	j->lo = n;
	hash_join_fold(j, k);
	return j->state;
}

static inline bool
hash128_eq(struct hash128 a, struct hash128 b)
{
	return a.lo == b.lo && a.hi == b.hi;
}

#endif
