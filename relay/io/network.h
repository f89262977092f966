/* network.h - addresses as texts, and networks of them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RW_IO_NETWORK_H
#define RW_IO_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "io/loop.h"

#define NETWORK_NAME_SIZE 46		/* INET6_ADDRSTRLEN */

/* "10.0.0.0/8", "2001:db8::/32", "192.0.2.1", "unix": who comes by a unix socket. */
struct network {
	bool unix_socket;
	unsigned bits;			/* of an IPv6 address; IPv4's are mapped */
	uint8_t address[16];
};

/* NULL, or a sentence (static) on what is wrong. */
const char *network_parse(const char *text, struct network *out);
bool network_has(const struct network *list, size_t n, const struct loop_addr *);

/* The address alone, without port ("192.0.2.1", "2001:db8::1", "unix"); v4-mapped
 * addresses as v4. */
void network_name(const struct loop_addr *, char out[NETWORK_NAME_SIZE]);
/* Those who are near each other have the same: IPv4 addresses whole, of IPv6 ones the
 * first half. */
#define NETWORK_SITE_SIZE 16
void network_site(const struct loop_addr *, uint8_t out[NETWORK_SITE_SIZE]);
/* A numeric address of this family, or of either (AF_UNSPEC), and nothing else. */
bool network_numeric(struct bytes text, int family, struct loop_addr *out);
/* Likewise, an IPv6 one in brackets or not, with a port or not (which is passed over; for
 * IPv6 only behind brackets). */
bool network_address(struct bytes text, struct loop_addr *out);
/* Of 4 or 16 bytes in network order. */
void network_address_v4(const uint8_t bytes[4], struct loop_addr *out);
void network_address_v6(const uint8_t bytes[16], struct loop_addr *out);

#endif
