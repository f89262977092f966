/* pages.h - what the admin address shows: figures, health, readiness, a status
 * page.
 * SPDX-License-Identifier: Apache-2.0
 *
 *	/metrics     Prometheus' text format, 0.0.4
 *	/-/healthy   200 as long as the main loop turns
 *	/-/ready     200 while the relay takes requests, else 503
 *	/status      the same for people, on one screen
 *	/upstreams, /edges	what there is to tell of each
 *
 * All on the loop of the server that has the routes.                        */
#ifndef RW_ADMIN_PAGES_H
#define RW_ADMIN_PAGES_H

#include <stdbool.h>
#include <stddef.h>

#include "http/server.h"

/* For http_server_opts; static. */
const struct http_route *pages_routes(size_t *n);

/* Not ready until told so. */
void pages_set_ready(bool);

#endif
