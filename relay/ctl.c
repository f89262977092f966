/* ctl.c - rwrelayctl: asks a running relay over its control socket, or looks at
 * its files.
 * SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "tool/filter.h"
#include "tool/offline.h"

#define DEFAULT_SOCKET "/run/rwrelay/control"
#define ANSWER_MAX ((size_t)64 << 20)
#define ANSWER_S 30			/* to wait for an answer */
#define DRAIN_POLL_MS 200
#define QUERY_MAX 2048

#define EXIT_USAGE 2

struct command {
	const char *name, *method, *path, *argument, *help;
};

static const struct command commands[] = {
#define COMMAND(name, method, path, argument, help) \
	{ #name, method, path, argument, help },
#include "admin/command.tbl"
#undef COMMAND
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void
usage(FILE *to)
{
	size_t i;

	(void)fprintf(to, "usage: rwrelayctl [-s SOCKET] [-t SECONDS] COMMAND "
	    "[ARGUMENT ...]\n"
	    "  -s SOCKET   of the relay (default " DEFAULT_SOCKET ")\n"
	    "  -t SECONDS  for drain: give up after so long\n"
	    "  -V          print the version and exit\n\n");
	for (i = 0; i < N_COMMANDS; i++)
		(void)fprintf(to, "  %-15s %-21s %s\n", commands[i].name,
		    commands[i].argument, commands[i].help);
	(void)fprintf(to, "\nand of files, whether a relay runs or not:\n\n");
	offline_usage(to);
	(void)fprintf(to, "\nSee rwrelayctl(8).\n");
}

/* ---- asking ------------------------------------------------------------------ */

static int
reach(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const struct timeval patience = { .tv_sec = ANSWER_S };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1)
		err(EXIT_FAILURE, "socket");
	if (strlen(path) >= sizeof(addr.sun_path))
		errx(EXIT_USAGE, "%s: the path of a socket has at most %zu "
		    "bytes", path, sizeof(addr.sun_path) - 1);
	(void)strcpy(addr.sun_path, path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == -1)
		err(EXIT_FAILURE, "%s: no relay answers there", path);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
	    sizeof(patience));
	return fd;
}

static void
say(int fd, const char *path, const struct buf *text)
{
	size_t at = 0;
	ssize_t n;

	while (at < text->len) {
		n = send(fd, text->data + at, text->len - at, MSG_NOSIGNAL);
		if (n == -1 && errno != EINTR)
			err(EXIT_FAILURE, "%s", path);
		at += n > 0 ? (size_t)n : 0;
	}
}

/* All that comes until the relay closes. */
static void
hear(int fd, const char *path, struct buf *out)
{
	uint8_t *room;
	ssize_t n;

	for (;;) {
		room = buf_room(out, 65536);
		if (!room)
			errx(EXIT_FAILURE, "%s: too long an answer", path);
		n = recv(fd, room, 65536, 0);
		if (n == 0)
			return;
		if (n > 0)
			out->len += (size_t)n;
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			errx(EXIT_FAILURE, "%s: no answer for %d seconds", path,
			    ANSWER_S);
		else if (errno != EINTR)
			err(EXIT_FAILURE, "%s", path);
	}
}

/* What may stand in a query: letters, digits, . _ - (those of upstreams' names). */
static bool
is_word(const char *word)
{
	return *word && strspn(word, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == strlen(word);
}

/* The answer's status; its body stands at the end of `out`, *body bytes. */
static int
ask(const char *socket_path, const struct command *c, const char *argument,
    struct buf *out, size_t *body)
{
	int fd = reach(socket_path), status;
	struct buf request;
	const char *head;

	buf_init(&request, 4096);
	if (!buf_printf(&request, "%s %s%s%s HTTP/1.1\r\nHost: localhost\r\n"
	    "Connection: close\r\nContent-Length: 0\r\n\r\n", c->method,
	    c->path, argument ? "?" : "", argument ? argument : ""))
		errx(EXIT_USAGE, "%s: too long a name", argument);
	say(fd, socket_path, &request);
	buf_fini(&request);
	hear(fd, socket_path, out);
	(void)close(fd);
	if (!buf_append(out, "", 1))
		errx(EXIT_FAILURE, "out of memory");
	out->len--;
	head = (const char *)out->data;
	if (sscanf(head, "HTTP/1.1 %3d ", &status) != 1 ||
	    !strstr(head, "\r\n\r\n"))
		errx(EXIT_FAILURE, "%s: that is no relay", socket_path);
	*body = out->len - (size_t)(strstr(head, "\r\n\r\n") + 4 - head);
	return status;
}

/* ---- commands ----------------------------------------------------------------- */

static int
show(int status, const struct buf *out, size_t body)
{
	bool fine = status >= 200 && status < 300;
	FILE *to = fine ? stdout : stderr;

	if (!fine)
		(void)fputs("rwrelayctl: ", to);
	if (fwrite(out->data + out->len - body, 1, body, to) != body ||
	    fflush(to) != 0)
		err(EXIT_FAILURE, "writing");
	return fine ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int
run(const char *socket_path, const struct command *c, const char *argument)
{
	struct buf out;
	size_t body;
	int status;

	buf_init(&out, ANSWER_MAX);
	status = ask(socket_path, c, argument, &out, &body);
	status = show(status, &out, body);
	buf_fini(&out);
	return status;
}

/* 503 until it is owed nothing. */
static int
drain(const char *socket_path, const struct command *c, const char *argument,
    double seconds)
{
	const struct timespec pause = { .tv_nsec = DRAIN_POLL_MS * CLOCK_MS };
	int64_t end = clock_mono() + (int64_t)(seconds * (double)CLOCK_S);
	struct buf out;
	size_t body;
	int status;

	buf_init(&out, ANSWER_MAX);
	for (;;) {
		buf_reset(&out, ANSWER_MAX);
		status = ask(socket_path, c, argument, &out, &body);
		if (status != 503 || (seconds > 0 && clock_mono() >= end))
			break;
		(void)nanosleep(&pause, NULL);
	}
	status = show(status, &out, body);
	buf_fini(&out);
	return status;
}

/* The words of a name that argv begins with; 0: it does not. */
static int
begins_with(int argc, char **argv, const char *name)
{
	size_t n;
	int i;

	for (i = 0; i < argc && *name; i++) {
		n = strcspn(name, " ");
		if (strlen(argv[i]) != n || memcmp(argv[i], name, n) != 0)
			return 0;
		name += n + (name[n] == ' ');
	}
	return *name ? 0 : i;
}

static const struct command *
find(int argc, char **argv, int *words)
{
	size_t i;

	for (i = 0; i < N_COMMANDS; i++) {
		*words = begins_with(argc, argv, commands[i].name);
		if (*words)
			return &commands[i];
	}
	return NULL;
}

/* How many arguments it may have; those in [] at the end it need not. */
static bool
takes(const struct command *c, int n)
{
	int least = 0, most = 0;
	const char *p = c->argument;

	for (; *p; p += strcspn(p, " "), p += *p == ' ') {
		least += *p != '[';
		most++;
	}
	return n >= least && n <= most;
}

/* As the relay takes it: milliseconds since 1970. */
static void
put_time(struct buf *out, const char *text)
{
	int64_t ms = 0;

	if (strcmp(text, "now") == 0)
		ms = clock_wall() / CLOCK_MS;
	else if (strcmp(text, "-") != 0 && !filter_time(text, &ms))
		errx(EXIT_USAGE, "%s: a time is seconds since 1970, or as "
		    "2026-11-23T10:00:00Z; - is the oldest, and now", text);
	(void)buf_printf(out, "&%" PRId64, ms > 0 ? ms : 0);
}

/* With & between them; NULL: there are none. */
static const char *
query_of(const struct command *c, int argc, char **argv, struct buf *room)
{
	bool times = strcmp(c->name, "skip") == 0;
	int i;

	if (argc == 0)
		return NULL;
	for (i = 0; i < argc; i++) {
		if (times && i > 0) {
			put_time(room, argv[i]);
			continue;
		}
		if (!is_word(argv[i]))
			errx(EXIT_USAGE, "%s: a name has letters, digits and "
			    ". _ -", argv[i]);
		(void)buf_printf(room, "%s%s", i ? "&" : "", argv[i]);
	}
	if (!buf_append(room, "", 1))
		errx(EXIT_USAGE, "too long a name");
	return (const char *)room->data;
}

/* The one that works on files.  Where a relay can do it, too, -d tells that none runs. */
static const struct offline_command *
offline(int argc, char **argv)
{
	int i, words;

	if (find(argc, argv, &words)) {
		for (i = words; i < argc; i++)
			if (strcmp(argv[i], "-d") == 0)
				return offline_find(argv[0]);
		return NULL;
	}
	return offline_find(argv[0]);
}

struct options {
	const char *socket;
	double seconds;			/* 0: no end */
};

static void
read_options(int argc, char **argv, struct options *o)
{
	char *end;
	int opt;

	*o = (struct options){ DEFAULT_SOCKET, 0 };
	while ((opt = getopt(argc, argv, "+s:t:Vh")) != -1) {
		switch (opt) {
		case 's':
			o->socket = optarg;
			break;
		case 't':
			o->seconds = strtod(optarg, &end);
			if (*end || !(o->seconds > 0 && o->seconds < 1e9))
				errx(EXIT_USAGE, "-t %s: a number of seconds",
				    optarg);
			break;
		case 'V':
			(void)printf("rwrelayctl " PACKAGE_VERSION "\n");
			exit(EXIT_SUCCESS);
		case 'h':
			usage(stdout);
			exit(EXIT_SUCCESS);
		default:
			usage(stderr);
			exit(EXIT_USAGE);
		}
	}
	if (optind == argc) {
		usage(stderr);
		exit(EXIT_USAGE);
	}
}

int
main(int argc, char **argv)
{
	const struct offline_command *of_files;
	const struct command *c;
	const char *query;
	struct options o;
	struct buf room;
	int words, status;

	read_options(argc, argv, &o);
	argc -= optind;
	argv += optind;
	of_files = offline(argc, argv);
	if (of_files)
		return of_files->run(argc, argv);
	c = find(argc, argv, &words);
	if (!c)
		errx(EXIT_USAGE, "%s: no such command; rwrelayctl -h lists them",
		    argv[0]);
	if (!takes(c, argc - words))
		errx(EXIT_USAGE, "usage: rwrelayctl %s %s", c->name, c->argument);
	buf_init(&room, QUERY_MAX);
	query = query_of(c, argc - words, argv + words, &room);
	status = strcmp(c->name, "drain") == 0 ?
	    drain(o.socket, c, query, o.seconds) : run(o.socket, c, query);
	buf_fini(&room);
	return status;
}
