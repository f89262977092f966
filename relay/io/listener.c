/* listener.c - listening sockets.
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pace.h"

#define ACCEPTS_MAX 64			/* in a turn */
#define PAUSE_NS (200 * CLOCK_MS)	/* when descriptors have run out */

struct listener {
	char *name;			/* owned */
	struct loop *loop;		/* borrowed; NULL: not started */
	listener_fn *fn;
	void *arg;			/* borrowed */
	struct loop_watch *watch;	/* owned */
	struct loop_timer *timer;	/* owned: ends a pause */
	int fd;				/* owned */
	int reserve;			/* owned: given up to refuse one peer */
	int backlog;
	size_t ceiling;			/* 0: none */
	double rate;			/* 0: any */
	struct bucket bucket;
	struct loop_addr addr;		/* as bound */
	bool shared;			/* a clone is the same socket */
	bool unlinks;			/* made the unix socket's file */
	dev_t dev;			/* of that file */
	ino_t ino;
};

/* ---- addresses ----------------------------------------------------------------- */

struct address {
	char host[256];			/* "": any */
	char port[8];
	const char *path;		/* unix; borrowed from the text */
};

static const char *
parse_port(const char *s, struct address *out)
{
	size_t n = strspn(s, "0123456789");

	if (n == 0 || s[n] != '\0' || n > 5 || atoi(s) > 65535)
		return "port is not a number from 0 to 65535";
	memcpy(out->port, s, n + 1);
	return NULL;
}

static const char *
parse_unix(const char *path, struct address *out)
{
	struct sockaddr_un un;

	if (path[0] != '/')
		return "path of a unix socket must begin with /";
	if (strlen(path) >= sizeof(un.sun_path))
		return "path of a unix socket is too long";
	out->path = path;
	return NULL;
}

static const char *
parse(const char *s, struct address *out)
{
	const char *host = s, *colon = strrchr(s, ':');
	size_t n;

	*out = (struct address){ .path = NULL };
	if (strncmp(s, "unix:", 5) == 0)
		return parse_unix(s + 5, out);
	if (!colon)
		return "port is missing, give host:port or unix:/path";
	n = (size_t)(colon - s);
	if (host[0] == '[') {
		if (n < 2 || host[n - 1] != ']')
			return "an IPv6 address must stand in brackets, "
			    "[address]:port";
		host++;
		n -= 2;
		if (n == 0)
			return "address is missing";
	} else if (memchr(host, ':', n)) {
		return "an IPv6 address must stand in brackets, [address]:port";
	} else if (n == 0) {
		return "address is missing, * stands for all";
	}
	if (n >= sizeof(out->host))
		return "host name is too long";
	if (n != 1 || host[0] != '*')
		memcpy(out->host, host, n);
	return parse_port(colon + 1, out);
}

const char *
listener_address_check(const char *address)
{
	struct address a;

	return parse(address, &a);
}

static bool
any_v6(const struct loop_addr *a)
{
	struct sockaddr_in6 v6;

	if (a->ss.ss_family != AF_INET6)
		return false;
	memcpy(&v6, &a->ss, sizeof(v6));
	return IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr);
}

static enum status
resolve(const struct address *a, int family, struct loop_addr *out)
{
	struct addrinfo hints = {
		.ai_family = family,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
	};
	struct addrinfo *list, *i, *best;

	if (getaddrinfo(a->host[0] ? a->host : NULL, a->port, &hints,
	    &list) != 0)
		return ST_NO_ADDRESS;
	/* of a name that has both, people mean the IPv4 address; of any
	 * address the one that takes both */
	best = list;
	for (i = list; i; i = i->ai_next) {
		if (i->ai_family == (a->host[0] ? AF_INET : AF_INET6)) {
			best = i;
			break;
		}
	}
	memcpy(&out->ss, best->ai_addr, best->ai_addrlen);
	out->len = best->ai_addrlen;
	freeaddrinfo(list);
	return ST_OK;
}

static void
fill_unix(const char *path, struct loop_addr *out)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	memcpy(un.sun_path, path, strlen(path) + 1);	/* parse: fits */
	*out = (struct loop_addr){ .len = sizeof(un) };
	memcpy(&out->ss, &un, sizeof(un));
}

/* ---- sockets ------------------------------------------------------------------- */

static enum status
refused(const struct listener *l, const char *what)
{
	int err = errno;

	log_error("listen", "listen=%s call=%s error=\"%s\"", l->name, what,
	    strerror(err));
	return status_from_errno(err, ST_SYSTEM);
}

static enum status
bind_tcp(struct listener *l, const struct loop_addr *addr)
{
	int one = 1, only = !any_v6(addr);

	l->fd = socket(addr->ss.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd == -1)
		return errno == EAFNOSUPPORT ? ST_NO_ADDRESS :
		    refused(l, "socket");
	if (setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one,
	    sizeof(one)) == -1 ||
	    setsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &one,
	    sizeof(one)) == -1)
		return refused(l, "setsockopt");
	if (addr->ss.ss_family == AF_INET6 && setsockopt(l->fd, IPPROTO_IPV6,
	    IPV6_V6ONLY, &only, sizeof(only)) == -1)
		return refused(l, "setsockopt");
	if (bind(l->fd, (const struct sockaddr *)&addr->ss, addr->len) == -1)
		return refused(l, "bind");
	return ST_OK;
}

/* A file that nobody listens on is left over from an earlier run. */
static enum status
remove_stale(const struct listener *l, const struct loop_addr *addr,
    const char *path)
{
	struct stat st;
	int fd, rc, err;

	if (lstat(path, &st) == -1)
		return errno == ENOENT ? ST_OK : refused(l, "lstat");
	if (!S_ISSOCK(st.st_mode)) {
		errno = EEXIST;
		return refused(l, "bind");
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return refused(l, "socket");
	rc = connect(fd, (const struct sockaddr *)&addr->ss, addr->len);
	err = errno;
	(void)close(fd);	/* nothing was written */
	if (rc == 0 || err != ECONNREFUSED) {
		errno = EADDRINUSE;
		return refused(l, "bind");
	}
	return unlink(path) == 0 ? ST_OK : refused(l, "unlink");
}

static enum status
bind_unix(struct listener *l, const char *path)
{
	struct loop_addr addr;
	struct stat st;
	enum status status;

	fill_unix(path, &addr);
	status = remove_stale(l, &addr, path);
	if (status != ST_OK)
		return status;
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd == -1)
		return refused(l, "socket");
	if (bind(l->fd, (const struct sockaddr *)&addr.ss, addr.len) == -1)
		return refused(l, "bind");
	l->shared = true;
	if (lstat(path, &st) == 0) {
		l->unlinks = true;
		l->dev = st.st_dev;
		l->ino = st.st_ino;
	}
	return ST_OK;
}

static enum status
take_passed(struct listener *l, int fd)
{
	int flags = fcntl(fd, F_GETFL), listens = 0;
	socklen_t len = sizeof(listens);

	l->fd = fd;
	l->shared = true;
	if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
		return refused(l, "fcntl");
	errno = EINVAL;
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == -1 ||
	    !listens)
		return refused(l, "getsockopt");
	return ST_OK;
}

static enum status
bind_address(struct listener *l, const char *address)
{
	struct address a;
	struct loop_addr addr;
	enum status st;

	if (parse(address, &a))
		return ST_CONFIG;
	if (a.path)
		return bind_unix(l, a.path);
	st = resolve(&a, AF_UNSPEC, &addr);
	if (st == ST_OK)
		st = bind_tcp(l, &addr);
	if (st == ST_NO_ADDRESS && any_v6(&addr)) {
		/* a kernel without IPv6: all addresses are the IPv4 ones */
		a.host[0] = '\0';
		st = resolve(&a, AF_INET, &addr);
		if (st == ST_OK)
			st = bind_tcp(l, &addr);
	}
	return st;
}

/* ---- life ------------------------------------------------------------------------ */

static struct listener *
make(const char *name, int backlog)
{
	struct listener *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->fd = -1;
	l->backlog = backlog;
	l->name = strdup(name);
	l->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (!l->name)
		listener_close(&l);
	return l;
}

static enum status
learn_address(struct listener *l)
{
	l->addr.len = sizeof(l->addr.ss);
	if (getsockname(l->fd, (struct sockaddr *)&l->addr.ss,
	    &l->addr.len) == -1)
		return refused(l, "getsockname");
	return ST_OK;
}

enum status
listener_open(const struct listener_opts *opts, struct listener **out)
{
	struct listener *l = make(opts->name, opts->backlog);
	enum status st;

	if (!l)
		return ST_NO_MEMORY;
	if (opts->fd >= 0)
		st = take_passed(l, opts->fd);
	else
		st = bind_address(l, opts->address);
	if (st == ST_OK && opts->fd < 0 && listen(l->fd, l->backlog) == -1)
		st = refused(l, "listen");
	if (st == ST_OK)
		st = learn_address(l);
	l->ceiling = opts->ceiling;
	l->rate = opts->rate;
	if (st != ST_OK)
		listener_close(&l);
	else
		*out = l;
	return st;
}

enum status
listener_clone(const struct listener *from, struct listener **out)
{
	struct listener *l = make(from->name, from->backlog);
	enum status st = ST_OK;

	if (!l)
		return ST_NO_MEMORY;
	if (from->shared) {
		l->shared = true;
		l->fd = fcntl(from->fd, F_DUPFD_CLOEXEC, 0);
		if (l->fd == -1)
			st = refused(l, "fcntl");
	} else {
		st = bind_tcp(l, &from->addr);
		if (st == ST_OK && listen(l->fd, l->backlog) == -1)
			st = refused(l, "listen");
	}
	l->addr = from->addr;
	l->ceiling = from->ceiling;
	l->rate = from->rate;
	if (st != ST_OK)
		listener_close(&l);
	else
		*out = l;
	return st;
}

static void
remove_file(const struct listener *l)
{
	struct sockaddr_un un;
	struct stat st;

	memcpy(&un, &l->addr.ss, sizeof(un));
	/* another's by now?  And if it cannot go, the next start takes it. */
	if (lstat(un.sun_path, &st) == 0 && st.st_dev == l->dev &&
	    st.st_ino == l->ino)
		(void)unlink(un.sun_path);
}

void
listener_close(struct listener **at)
{
	struct listener *l = *at;

	if (!l)
		return;
	*at = NULL;
	loop_watch_free(&l->watch);
	loop_timer_free(&l->timer);
	if (l->unlinks)
		remove_file(l);
	if (l->fd != -1)
		(void)close(l->fd);		/* nothing was written */
	if (l->reserve != -1)
		(void)close(l->reserve);	/* nothing was written */
	free(l->name);
	free(l);
}

unsigned
listener_port(const struct listener *l)
{
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;

	switch (l->addr.ss.ss_family) {
	case AF_INET:
		memcpy(&v4, &l->addr.ss, sizeof(v4));
		return ntohs(v4.sin_port);
	case AF_INET6:
		memcpy(&v6, &l->addr.ss, sizeof(v6));
		return ntohs(v6.sin6_port);
	default:
		return 0;
	}
}

/* ---- accepting ---------------------------------------------------------------------- */

/* The others wait in the kernel's queue. */
static void
rest(struct listener *l, int64_t ns)
{
	loop_watch_want(l->watch, 0);
	loop_timer_start(l->timer, ns);
}

/* No descriptor is left.  One peer is told by giving up the reserve; the others
 * wait in the kernel's queue until the pause is over. */
static void
pause_accepting(struct listener *l, int err)
{
	int fd;

	log_warn("accept-paused", "listen=%s error=\"%s\"", l->name,
	    strerror(err));
	if (l->reserve != -1) {
		(void)close(l->reserve);	/* nothing was written */
		fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd != -1)
			(void)close(fd);	/* nothing was written */
	}
	l->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	rest(l, PAUSE_NS);
}

/* Those that are left are not for connections. */
static void
leave_the_rest(struct listener *l, int fd)
{
	log_warn("accept-paused", "listen=%s descriptors=%d hint=\"what is left "
	    "is for the spool and the upstreams: raise LimitNOFILE\"", l->name,
	    fd);
	(void)close(fd);	/* nothing was written */
	rest(l, PAUSE_NS);
}

static void
pause_over(void *arg)
{
	struct listener *l = arg;

	loop_watch_want(l->watch, LOOP_READ);
}

/* False: there is none to accept at present. */
static bool
accept_failed(struct listener *l, int err)
{
	switch (err) {
	case EAGAIN:
		return false;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		pause_accepting(l, err);
		return false;
	case EBADF:
	case EINVAL:
	case ENOTSOCK:
		log_error("accept", "listen=%s error=\"%s\"", l->name,
		    strerror(err));
		loop_watch_want(l->watch, 0);
		return false;
	default:
		return true;	/* trouble of that one connection */
	}
}

/* False: not before the rate allows it. */
static bool
may_accept(struct listener *l)
{
	int64_t wait;

	if (l->rate == 0)
		return true;
	wait = bucket_wait(&l->bucket, 0, loop_now(l->loop));
	if (wait > 0)
		rest(l, wait);
	return wait == 0;
}

static void
take(struct listener *l, int fd, const struct loop_addr *peer)
{
	if (l->rate != 0)
		bucket_spend(&l->bucket, 1, loop_now(l->loop));
	l->fn(fd, peer, l->arg);
}

static void
acceptable(unsigned ready, void *arg)
{
	struct listener *l = arg;
	struct loop_addr peer;
	int i, fd;

	(void)ready;
	for (i = 0; i < ACCEPTS_MAX && may_accept(l); i++) {
		peer.len = sizeof(peer.ss);
		fd = accept4(l->fd, (struct sockaddr *)&peer.ss, &peer.len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1) {
			if (!accept_failed(l, errno))
				break;
		} else if (l->ceiling && (size_t)fd >= l->ceiling) {
			leave_the_rest(l, fd);
			break;
		} else {
			take(l, fd, &peer);
		}
	}
}

enum status
listener_start(struct listener *l, struct loop *loop, listener_fn *fn,
    void *arg)
{
	enum status st;

	st = loop_watch_new(loop, l->fd, acceptable, l, &l->watch);
	if (st != ST_OK)
		return st;
	st = loop_timer_new(loop, pause_over, l, &l->timer);
	if (st != ST_OK) {
		loop_watch_free(&l->watch);
		return st;
	}
	l->loop = loop;
	l->fn = fn;
	l->arg = arg;
	bucket_set(&l->bucket, l->rate, loop_now(loop));
	loop_watch_want(l->watch, LOOP_READ);
	return ST_OK;
}
