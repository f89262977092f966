/* url.c - taking a URL apart.
 * SPDX-License-Identifier: Apache-2.0 */
#include "http/url.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "http/message.h"

static const char *
parse_authority(struct bytes a, struct http_url *out)
{
	const char *text = (const char *)a.p;
	size_t host = 0, end, i;
	uint64_t port;

	if (a.n == 0 || a.n >= sizeof(out->authority))
		return "host is missing or too long";
	for (i = 0; i < a.n; i++) {
		if (a.p[i] <= ' ' || a.p[i] >= 0x7f)
			return "host has characters that it cannot have";
	}
	if (memchr(text, '@', a.n))
		return "user and password do not belong in the URL";
	if (text[0] == '[') {
		for (end = 1; end < a.n && text[end] != ']'; end++)
			;
		if (end == a.n)
			return "closing bracket of the address is missing";
		host = 1;
		i = end + 1;
	} else {
		for (end = 0; end < a.n && text[end] != ':'; end++)
			;
		i = end;
	}
	if (end == host || end - host >= sizeof(out->host))
		return "host is missing or too long";
	memcpy(out->host, text + host, end - host);
	memcpy(out->authority, text, a.n);
	if (i == a.n)
		return NULL;
	if (text[i] != ':' ||
	    !http_number(bytes_of(text + i + 1, a.n - i - 1), &port) ||
	    port == 0 || port > 65535)
		return "port is not a number from 1 to 65535";
	(void)snprintf(out->port, sizeof(out->port), "%u",
	    (unsigned)port);		/* fits */
	return NULL;
}

const char *
http_url_parse(const char *url, struct http_url *out)
{
	struct http_url u = { .tls = false };
	const char *host, *why;
	size_t n, i;

	if (strncasecmp(url, "http://", 7) == 0) {
		host = url + 7;
	} else if (strncasecmp(url, "https://", 8) == 0) {
		host = url + 8;
		u.tls = true;
	} else {
		return "URL must begin with http:// or https://";
	}
	(void)snprintf(u.port, sizeof(u.port), "%s",
	    u.tls ? "443" : "80");	/* fits */
	n = strcspn(host, "/?#");
	why = parse_authority(bytes_of(host, n), &u);
	if (why)
		return why;
	for (i = n; host[i] != '\0'; i++) {
		if (host[i] <= ' ' || host[i] >= 0x7f)
			return "path has white space or other characters that "
			    "must be written as %XX";
		if (host[i] == '#')
			return "a fragment (#) does not belong in the URL";
	}
	if (i - n + 2 > sizeof(u.path))
		return "path is too long";
	(void)snprintf(u.path, sizeof(u.path), "%s%s",
	    host[n] == '/' ? "" : "/", host + n);	/* fits */
	*out = u;
	return NULL;
}
