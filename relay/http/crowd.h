/* crowd.h - how many connections each address has, over all servers.
 * SPDX-License-Identifier: Apache-2.0
 *
 * An address of IPv6 is the network of 64 bits that it is in: who has one address
 * of it mostly has them all.  Unix sockets have no address and are not counted.
 * There is an entry for each address that has a connection, so as many as there
 * are connections at most; they are found by a keyed hash.  Any thread.     */
#ifndef RW_HTTP_CROWD_H
#define RW_HTTP_CROWD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "io/loop.h"

struct crowd;
struct crowd_place;

/* At most so many connections of an address; room for the addresses of
 * n_connections. */
enum status crowd_new(size_t per_address, size_t n_connections,
    struct crowd **out);
/* When every place has been given back. */
void crowd_free(struct crowd **);

/* ST_OK: one more, and *out is its place, to be given back when it ends (NULL: it
 * is not counted); ST_ADDRESS_LIMIT, ST_NO_MEMORY. */
enum status crowd_enter(struct crowd *, const struct loop_addr *,
    struct crowd_place **out);
void crowd_leave(struct crowd *, struct crowd_place **);

#endif
