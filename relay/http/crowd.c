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
#include "io/network.h"

#define BUCKETS_MIN 64
#define BUCKETS_MAX 65536

struct crowd_place {
	LIST_ENTRY(crowd_place) link;
	uint8_t site[NETWORK_SITE_SIZE];
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

/* Under the lock; NULL: out of memory. */
static struct crowd_place *
place_of(struct crowd *c, const uint8_t site[NETWORK_SITE_SIZE], size_t bucket)
{
	struct crowd_place *p;

	LIST_FOREACH(p, &c->bucket[bucket], link)
		if (memcmp(p->site, site, sizeof(p->site)) == 0)
			return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	memcpy(p->site, site, sizeof(p->site));
	LIST_INSERT_HEAD(&c->bucket[bucket], p, link);
	return p;
}

enum status
crowd_enter(struct crowd *c, const struct loop_addr *from,
    struct crowd_place **out)
{
	struct crowd_place *p;
	enum status st = ST_OK;
	uint8_t site[NETWORK_SITE_SIZE];
	size_t bucket;

	*out = NULL;
	if (from->ss.ss_family == AF_UNIX)
		return ST_OK;
	network_site(from, site);
	bucket = hash64(&c->key, site, sizeof(site)) &
	    (c->n_buckets - 1);
	pthread_mutex_lock(&c->lock);
	p = place_of(c, site, bucket);
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
