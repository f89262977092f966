/* head.c - see head.h.
 * SPDX-License-Identifier: Apache-2.0                                       */
#include "head.h"

#include <ctype.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/un.h>
#include <time.h>

size_t
head_length(const char *p, size_t len)
{
	const char *end = memmem(p, len, "\r\n\r\n", 4);

	return end == NULL ? 0 : (size_t)(end - p) + 4;
}

bool
head_find(const char *head, size_t len, const char *name,
    struct wire_str *value)
{
	const char *p = head, *end = head + len, *line_end;
	size_t n = strlen(name);

	while ((line_end = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		if ((size_t)(line_end - p) > n && p[n] == ':' &&
		    strncasecmp(p, name, n) == 0) {
			p += n + 1;
			while (p < line_end && isspace((unsigned char)*p))
				p++;
			while (line_end > p &&
			    isspace((unsigned char)line_end[-1]))
				line_end--;
			*value = (struct wire_str){ p,
			    (uint32_t)(line_end - p) };
			return true;
		}
		p = line_end + 1;
	}
	return false;
}

long
head_number(const char *head, size_t len, const char *name, long otherwise)
{
	struct wire_str v;
	long n = 0;
	uint32_t i;

	if (!head_find(head, len, name, &v) || v.len == 0 || v.len > 15)
		return otherwise;
	for (i = 0; i < v.len; i++) {
		if (!isdigit((unsigned char)v.p[i]))
			return otherwise;
		n = n * 10 + (v.p[i] - '0');
	}
	return n;
}

int
head_status(const char *head, size_t len)
{
	if (len < 12 || memcmp(head, "HTTP/1.", 7) != 0 || head[8] != ' ' ||
	    !isdigit((unsigned char)head[9]) ||
	    !isdigit((unsigned char)head[10]) ||
	    !isdigit((unsigned char)head[11]))
		return -1;
	return (head[9] - '0') * 100 + (head[10] - '0') * 10 + head[11] - '0';
}

static bool
resolve_unix(const char *path, struct head_address *out)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(un.sun_path)) {
		fprintf(stderr, "%s: path too long\n", path);
		return false;
	}
	memcpy(un.sun_path, path, strlen(path) + 1);
	memcpy(&out->addr, &un, sizeof(un));
	out->len = sizeof(un);
	return true;
}

bool
head_resolve(const char *text, struct head_address *out)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
	const char *colon = strrchr(text, ':');
	char host[256];
	size_t n;
	int err;

	if (strncmp(text, "unix:", 5) == 0)
		return resolve_unix(text + 5, out);
	n = colon == NULL ? 0 : (size_t)(colon - text);
	if (n == 0 || n >= sizeof(host)) {
		fprintf(stderr, "%s: not HOST:PORT\n", text);
		return false;
	}
	if (text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	}
	memcpy(host, text, n);
	host[n] = '\0';
	err = getaddrinfo(host, colon + 1, &hints, &found);
	if (err != 0) {
		fprintf(stderr, "%s: %s\n", text, gai_strerror(err));
		return false;
	}
	memcpy(&out->addr, found->ai_addr, found->ai_addrlen);
	out->len = found->ai_addrlen;
	freeaddrinfo(found);
	return true;
}

int64_t
head_now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
