/* crowd.c - addresses and their connections.
 * SPDX-License-Identifier: Apache-2.0 */
#include "http/crowd.h"

#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/hash.h"

#define BUCKETS_MIN 64
#define BUCKETS_MAX 65536

struct crowd_place {
	LIST_ENTRY(crowd_place) link;
	uint8_t network[8];		/* of IPv6; or 0, 0, 0, 0 and one of IPv4 */
	size_t n;			/* connections, not 0 */
};

LIST_HEAD(place_list, crowd_place);

struct crowd {
	size_t per_address;
	struct hash_key key;
	pthread_mutex_t lock;		/* of what follows */
	size_t n_buckets;		/* a power of two */
	struct place_list bucket[];	/* owned */
};

enum status
crowd_new(size_t per_address, size_t n_connections, struct crowd **out)
{
	size_t n = BUCKETS_MIN;
	struct crowd *c;
	enum status st;

	while (n < n_connections / 2 && n < BUCKETS_MAX)
		n *= 2;
	c = calloc(1, sizeof(*c) + n * sizeof(c->bucket[0]));
	if (!c)
		return ST_NO_MEMORY;
	c->per_address = per_address;
	c->n_buckets = n;
	st = hash_key_init(&c->key);
	if (st != ST_OK) {
		free(c);
		return st;
	}
	pthread_mutex_init(&c->lock, NULL);
	*out = c;
	return ST_OK;
}

void
crowd_free(struct crowd **at)
{
	struct crowd *c = *at;

	if (!c)
		return;
	*at = NULL;
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* False: it has none.  A network of IPv6 does not begin with four zero bytes where
 * anybody is routed to. */
static bool
network_of(const struct loop_addr *from, uint8_t out[8])
{
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;

	memset(out, 0, 8);
	switch (from->ss.ss_family) {
	case AF_INET:
		memcpy(&v4, &from->ss, sizeof(v4));
		memcpy(out + 4, &v4.sin_addr, 4);
		return true;
	case AF_INET6:
		memcpy(&v6, &from->ss, sizeof(v6));
		if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
			memcpy(out + 4, &v6.sin6_addr.s6_addr[12], 4);
		else
			memcpy(out, &v6.sin6_addr, 8);
		return true;
	default:
		return false;
	}
}

/* Under the lock; NULL: out of memory. */
static struct crowd_place *
place_of(struct crowd *c, const uint8_t network[8], size_t bucket)
{
	struct crowd_place *p;

	LIST_FOREACH(p, &c->bucket[bucket], link)
		if (memcmp(p->network, network, sizeof(p->network)) == 0)
			return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	memcpy(p->network, network, sizeof(p->network));
	LIST_INSERT_HEAD(&c->bucket[bucket], p, link);
	return p;
}

enum status
crowd_enter(struct crowd *c, const struct loop_addr *from,
    struct crowd_place **out)
{
	struct crowd_place *p;
	enum status st = ST_OK;
	uint8_t network[8];
	size_t bucket;

	*out = NULL;
	if (!network_of(from, network))
		return ST_OK;
	bucket = hash64(&c->key, network, sizeof(network)) &
	    (c->n_buckets - 1);
	pthread_mutex_lock(&c->lock);
	p = place_of(c, network, bucket);
	if (!p)
		st = ST_NO_MEMORY;
	else if (p->n >= c->per_address)
		st = ST_ADDRESS_LIMIT;
	else
		p->n++;
	pthread_mutex_unlock(&c->lock);
	if (st == ST_OK)
		*out = p;
	return st;
}

void
crowd_leave(struct crowd *c, struct crowd_place **at)
{
	struct crowd_place *p = *at;
	bool last;

	if (!p)
		return;
	*at = NULL;
	pthread_mutex_lock(&c->lock);
	assert(p->n > 0);
	last = --p->n == 0;
	if (last)
		LIST_REMOVE(p, link);
	pthread_mutex_unlock(&c->lock);
	if (last)
		free(p);
}
