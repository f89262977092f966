/* tunnel.h - through a proxy, by CONNECT (RFC 9110 9.3.6).
 * SPDX-License-Identifier: Apache-2.0                                       */
#ifndef RW_HTTP_TUNNEL_H
#define RW_HTTP_TUNNEL_H

#include "http/h1.h"
#include "http/url.h"
#include "io/stream.h"

/* On a stream to the proxy: asks it to connect to the host of that url. */
void tunnel_ask(struct stream *, const struct http_url *to);
/* Whenever there is more input.  ST_OK: what is written now goes to that host; ST_WAIT;
 * ST_PROXY_AUTH, ST_PROXY_REFUSED, ST_PROXY_ANSWER.  The scan is zeroed at first. */
enum status tunnel_answer(struct stream *, struct h1_scan *);

#endif
