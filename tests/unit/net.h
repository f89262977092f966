/* net.h - what tests of sockets share: a loop on a thread of its own, and
 * blocking sockets that speak to it.
 * SPDX-License-Identifier: Apache-2.0                                       */
#ifndef RW_TESTS_NET_H
#define RW_TESTS_NET_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/loop.h"

#define NET_PATIENCE_MS 10000		/* before a test is said to hang */

/* ---- a call on the loop's thread, waited for ------------------------------ */

struct net_call {
	struct loop_msg msg;
	void (*fn)(void *);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool over;
};

static inline void
net_call_run(struct loop_msg *m)
{
	struct net_call *c = container_of(m, struct net_call, msg);

	c->fn(c->arg);
	pthread_mutex_lock(&c->lock);
	c->over = true;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

static inline void
net_call(struct loop *l, void (*fn)(void *), void *arg)
{
	struct net_call c = { .fn = fn, .arg = arg };

	pthread_mutex_init(&c.lock, NULL);
	pthread_cond_init(&c.cond, NULL);
	loop_post(l, &c.msg, net_call_run);
	pthread_mutex_lock(&c.lock);
	while (!c.over)
		pthread_cond_wait(&c.cond, &c.lock);
	pthread_mutex_unlock(&c.lock);
	pthread_cond_destroy(&c.cond);
	pthread_mutex_destroy(&c.lock);
}

/* ---- blocking sockets ------------------------------------------------------- */

static inline int
net_connect(unsigned port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_not_equal(fd, -1);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static inline int
net_listen(unsigned *port)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_not_equal(fd, -1);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*port = ntohs(at.sin_port);
	return fd;
}

static inline bool
net_readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static inline int
net_accept(int fd)
{
	int conn;

	assert_true(net_readable(fd, NET_PATIENCE_MS));
	conn = accept(fd, NULL, NULL);
	assert_int_not_equal(conn, -1);
	return conn;
}

static inline void
net_send(int fd, const void *p, size_t n)
{
	const char *at = p;
	ssize_t sent;

	while (n) {
		sent = send(fd, at, n, MSG_NOSIGNAL);
		assert_true(sent > 0);
		at += sent;
		n -= (size_t)sent;
	}
}

static inline void
net_say(int fd, const char *text)
{
	net_send(fd, text, strlen(text));
}

/* One more byte, or -1 at the end (or after a reset). */
static inline int
net_byte(int fd)
{
	unsigned char c;
	ssize_t n;

	assert_true(net_readable(fd, NET_PATIENCE_MS));
	n = recv(fd, &c, 1, 0);
	return n == 1 ? c : -1;
}

/* Up to `end`, which is part of it; what there was when the peer ends first. */
static inline size_t
net_until(int fd, const char *end, char *out, size_t size)
{
	size_t n = 0, m = strlen(end);
	int c;

	while ((n < m || memcmp(out + n - m, end, m) != 0) &&
	    (c = net_byte(fd)) != -1) {
		assert_true(n + 1 < size);
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return n;
}

struct net_message {
	int status;			/* 0: the peer ended first */
	char head[8192];
	char body[65536];
	size_t body_len;
};

/* A message with Content-Length, or without a body. */
static inline void
net_message(int fd, struct net_message *m)
{
	const char *length;
	int c;

	m->status = 0;
	m->body_len = 0;
	if (net_until(fd, "\r\n\r\n", m->head, sizeof(m->head)) == 0)
		return;
	if (strncmp(m->head, "HTTP/1.1 ", 9) == 0)
		m->status = atoi(m->head + 9);
	length = strcasestr(m->head, "\r\nContent-Length: ");
	if (!length)
		return;
	m->body_len = (size_t)atoi(length + 18);
	assert_true(m->body_len < sizeof(m->body));
	for (size_t i = 0; i < m->body_len; i++) {
		c = net_byte(fd);
		assert_int_not_equal(c, -1);
		m->body[i] = (char)c;
	}
	m->body[m->body_len] = '\0';
}

/* The peer has ended, in order or by a reset. */
static inline void
net_expect_end(int fd)
{
	assert_int_equal(net_byte(fd), -1);
}

#endif
