/* tunnel.c - asking a proxy for a way through.
 * SPDX-License-Identifier: Apache-2.0 */
#include "http/tunnel.h"

#include <stdio.h>
#include <string.h>

#define HEAD_MAX ((size_t)16 << 10)	/* of the proxy's answer */

void
tunnel_ask(struct stream *s, const struct http_url *to)
{
	const char *open = strchr(to->host, ':') ? "[" : "";
	const char *close = *open ? "]" : "";
	char at[sizeof(to->host) + sizeof(to->port) + 3], text[2 * sizeof(at) + 64];

	(void)snprintf(at, sizeof(at), "%s%s%s:%s", open, to->host, close,
	    to->port);		/* fits */
	(void)snprintf(text, sizeof(text), "CONNECT %s HTTP/1.1\r\n"
	    "Host: %s\r\n\r\n", at, at);	/* fits */
	stream_write_copy(s, bytes_str(text));
}

/* A success has no body, whatever its headers say, and the host does not speak first. */
static enum status
judge(struct stream *s, int status)
{
	if (status >= 200 && status < 300)
		return stream_input(s).n || stream_queued(s) ?
		    ST_PROXY_ANSWER : ST_OK;
	if (status == 407)
		return ST_PROXY_AUTH;
	return status >= 300 ? ST_PROXY_REFUSED : ST_WAIT;
}

enum status
tunnel_answer(struct stream *s, struct h1_scan *scan)
{
	struct http_header list[H1_FIELDS_MAX + 1];
	struct h1_head head;
	struct bytes in;
	enum status st;
	size_t len;

	do {
		in = stream_input(s);
		st = h1_scan(scan, in, HEAD_MAX, &len);
		if (st == ST_WAIT)
			return st;
		if (st != ST_OK || h1_parse_answer(bytes_of(in.p, len), list,
		    &head) != ST_OK || head.status == 101)
			return ST_PROXY_ANSWER;
		stream_consume(s, len);
		*scan = (struct h1_scan){ .seen = 0 };
		st = judge(s, head.status);
	} while (st == ST_WAIT);
	return st;
}
