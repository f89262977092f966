/* rwsink.c - a receiver of remote write 1.0 and 2.0 that checks every sample
 * and goes wrong when it is told to.
 *
 * One thread, level-triggered epoll. A request is read whole, then judged by
 * the fault in force, then answered. GET /summary, GET /dump and PUT /fault
 * are served on the same port, and on one more (--control) that stays when
 * the first is "down".
 * SPDX-License-Identifier: Apache-2.0                                       */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <snappy-c.h>
#include <zstd.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "canon.h"
#include "fault.h"
#include "head.h"
#include "ledger.h"
#include "seal.h"

#define BIGGEST_BODY	(256u << 20)
#define MAX_HEAD	65536u
#define TICK_MS		10

enum read_state {
	IN_HEAD,
	IN_BODY,
	IN_CHUNKS,
	ANSWERING,			/* and nothing is read until it is out */
	SILENT,				/* half-open: reads, never answers */
};

struct conn {
	struct conn *next, *prev;
	int fd;
	struct seal *seal;		/* NULL: plain */
	bool control, last;		/* last: closes after the answer */
	bool waiting;			/* the answer is held back */
	enum read_state state;
	struct wire_buf in, body, out;	/* body: of chunks only */
	size_t head, need, at;		/* at: in the chunks */
	size_t out_off;
	struct fault fault;
	int64_t due_us;
	double allowance;		/* slow-read: bytes it may read now */
	uint32_t mask;			/* what epoll was asked for */
};

struct options {
	const char *listen, *control, *faults, *log, *dump, *summary;
	const char *cert, *key, *ca, *header, *authorized;
	bool no_v1, no_v2;
	enum { SNAPPY_ONLY, SNAPPY_AND_ZSTD, SNAPPY_BLINDLY } codings;
};

struct totals {
	uint64_t requests, by_version[3], answers[10], untold, refused_samples;
	uint64_t bytes, raw_bytes, bad_requests, bad_headers, connections;
	uint64_t zstd, unauthorized;	/* requests */
	uint64_t largest;		/* samples in one request */
};

struct sink {
	struct options o;
	struct totals t;
	struct fault_schedule faults;
	struct head_address address, control_address;
	struct seal_side *tls;		/* NULL: http */
	int ep, listener, control;
	struct conn *conns;
	uint32_t nslow;			/* connections that need the tick */
	struct wire_decoder *decoder;
	struct ledger *ledger;
	FILE *log, *dump;
	struct wire_buf raw;
	double budget;			/* of the limit */
	int64_t budget_us, first_us, last_us, begin_us;
	uint64_t nth;			/* request struck, for every= */
};

static volatile sig_atomic_t stop;

static void
on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

/* --- sockets ----------------------------------------------------------- */

static int
open_listener(struct sink *s, struct head_address *a)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int fd, on = 1;

	fd = socket(a->addr.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd == -1 || bind(fd, (struct sockaddr *)&a->addr, a->len) == -1 ||
	    listen(fd, 4096) == -1) {
		perror("rwsink: listen");
		exit(2);
	}
	/* The port that was chosen, if one was to be chosen, is kept. */
	if (getsockname(fd, (struct sockaddr *)&a->addr, &a->len) == -1) {
		perror("rwsink: listen");
		exit(2);
	}
	ev.data.ptr = a;
	if (epoll_ctl(s->ep, EPOLL_CTL_ADD, fd, &ev) == -1) {
		perror("rwsink: epoll");
		exit(2);
	}
	return fd;
}

static int
port_of(const struct head_address *a)
{
	struct sockaddr_in in;

	memcpy(&in, &a->addr, sizeof(in));	/* IPv6 has it there too */
	return a->addr.ss_family == AF_UNIX ? 0 : ntohs(in.sin_port);
}

static void
accept_some(struct sink *s, int listener, bool control)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct conn *c;
	int fd, on = 1;

	for (;;) {
		fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1)
			return;
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
		    sizeof(on));
		c = wire_alloc(NULL, sizeof(*c));
		memset(c, 0, sizeof(*c));
		c->fd = fd;
		if (s->tls != NULL && !control)
			c->seal = seal_new(s->tls, fd, NULL);
		c->control = control;
		c->mask = EPOLLIN;
		c->next = s->conns;
		if (c->next != NULL)
			c->next->prev = c;
		s->conns = c;
		s->t.connections += !control;
		ev.data.ptr = c;
		(void)epoll_ctl(s->ep, EPOLL_CTL_ADD, fd, &ev);
	}
}

static void
set_slow(struct sink *s, struct conn *c, bool slow)
{
	if (c->waiting != slow)
		s->nslow += slow ? 1 : -1u;
	c->waiting = slow;
}

static void
hang_up(struct sink *s, struct conn *c)
{
	set_slow(s, c, false);
	seal_free(c->seal);
	(void)close(c->fd);
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		s->conns = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	wire_buf_free(&c->in);
	wire_buf_free(&c->body);
	wire_buf_free(&c->out);
	free(c);
}

static ssize_t
put(struct conn *c, const void *p, size_t n)
{
	return c->seal != NULL ? seal_send(c->seal, p, n) :
	    send(c->fd, p, n, MSG_NOSIGNAL);
}

static ssize_t
get(struct conn *c, void *p, size_t n)
{
	return c->seal != NULL ? seal_read(c->seal, p, n) : read(c->fd, p, n);
}

static void
want(struct sink *s, struct conn *c, uint32_t mask)
{
	struct epoll_event ev = { .events = mask, .data.ptr = c };

	if (c->mask != mask)
		(void)epoll_ctl(s->ep, EPOLL_CTL_MOD, c->fd, &ev);
	c->mask = mask;
}

/* --- answers ----------------------------------------------------------- */

static void
put_text(struct wire_buf *b, const char *text)
{
	wire_put(b, text, strlen(text));
}

static void
put_retry_after(struct wire_buf *out, const struct fault *f)
{
	char text[96];
	struct tm tm;
	time_t at;

	if (f->retry_after < 0)
		return;
	if (f->retry_date) {
		at = time(NULL) + f->retry_after;
		(void)gmtime_r(&at, &tm);
		(void)strftime(text, sizeof(text),
		    "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
	} else {
		snprintf(text, sizeof(text), "Retry-After: %ld\r\n",
		    f->retry_after);
	}
	put_text(out, text);
}

/* The head of an answer, and its body; `written` NULL: no such headers. */
static void
answer(struct sink *s, struct conn *c, int status, const char *body,
    const struct ledger_counts *written)
{
	char text[320];

	if (!c->control)
		s->t.answers[status / 100]++;
	snprintf(text, sizeof(text), "HTTP/1.1 %d %s\r\n", status,
	    status < 300 ? "OK" : "Refused");
	put_text(&c->out, text);
	if (written != NULL) {
		snprintf(text, sizeof(text),
		    "X-Prometheus-Remote-Write-Samples-Written: %u\r\n"
		    "X-Prometheus-Remote-Write-Histograms-Written: %u\r\n"
		    "X-Prometheus-Remote-Write-Exemplars-Written: %u\r\n",
		    written->samples, written->hists, written->exemplars);
		put_text(&c->out, text);
	}
	put_retry_after(&c->out, &c->fault);
	if (c->last)
		put_text(&c->out, "Connection: close\r\n");
	if (status == 204) {
		put_text(&c->out, "\r\n");
	} else {
		snprintf(text, sizeof(text), "Content-Length: %zu\r\n\r\n",
		    strlen(body));
		put_text(&c->out, text);
		put_text(&c->out, body);
	}
	c->state = ANSWERING;
}

static void	next_request(struct conn *);

/* Writes what may be written; false when the connection is gone. */
static bool
drain(struct sink *s, struct conn *c)
{
	int64_t now = head_now_us();
	bool slow = c->fault.kind == FAULT_SLOW_ANSWER;
	ssize_t n;

	if (c->due_us > now) {
		set_slow(s, c, true);
		want(s, c, 0);
		return true;
	}
	while (c->out_off < c->out.len) {
		n = put(c, c->out.p + c->out_off,
		    slow ? 1 : c->out.len - c->out_off);
		if (n == -1 && errno == EAGAIN) {
			want(s, c, EPOLLOUT);
			return true;
		}
		if (n == -1) {
			hang_up(s, c);
			return false;
		}
		c->out_off += (size_t)n;
		if (slow && c->out_off < c->out.len) {
			c->due_us = now + 1000000;
			set_slow(s, c, true);
			want(s, c, 0);
			return true;
		}
	}
	set_slow(s, c, false);
	if (c->last) {
		hang_up(s, c);
		return false;
	}
	next_request(c);
	want(s, c, EPOLLIN);
	return true;
}

/* --- requests ---------------------------------------------------------- */

static bool
dump_series(void *arg, struct wire_decoder *d, const struct wire_series *w)
{
	canon_series(arg, d, w);
	return true;
}

static bool
dump_metadata(void *arg, const struct wire_metadata *m)
{
	canon_metadata(arg, m);
	return true;
}

static bool
is_zstd(const char *head, size_t len)
{
	struct wire_str v;

	return head_find(head, len, "Content-Encoding", &v) &&
	    wire_str_is(v, "zstd");
}

/* A sender's duties that every request must show. */
static void
check_headers(struct sink *s, const char *head, size_t len,
    enum wire_version version)
{
	const char *expected = version == WIRE_V1 ? "0.1.0" : "2.0.0";
	struct wire_str v;

	if (!head_find(head, len, "X-Prometheus-Remote-Write-Version", &v) ||
	    !wire_str_is(v, expected) ||
	    !head_find(head, len, "User-Agent", &v) || v.len == 0 ||
	    !head_find(head, len, "Content-Encoding", &v) ||
	    (version == WIRE_V1 && is_zstd(head, len) &&
	    (!head_find(head, len, "X-VictoriaMetrics-Remote-Write-Version",
	    &v) || !wire_str_is(v, "1"))))
		s->t.bad_headers++;
}

/* What it says of a request, in front of what is in that. */
static void
dump_header(struct sink *s, const char *head, size_t len)
{
	struct wire_str v;

	if (s->dump != NULL && s->o.header != NULL &&
	    head_find(head, len, s->o.header, &v))
		fprintf(s->dump, "%s: %.*s\n", s->o.header, (int)v.len,
		    (const char *)v.p);
}

static const char *
negotiate(const struct sink *s, const char *head, size_t len,
    enum wire_version *version)
{
	struct wire_str v;

	*version = WIRE_V1;
	if (head_find(head, len, "Content-Type", &v) &&
	    memmem(v.p, v.len, "io.prometheus.write.v2.Request", 30) != NULL)
		*version = WIRE_V2;
	if (s->o.codings != SNAPPY_BLINDLY &&
	    head_find(head, len, "Content-Encoding", &v) &&
	    !wire_str_is(v, "snappy") &&
	    (s->o.codings == SNAPPY_ONLY || !wire_str_is(v, "zstd")))
		return "content encoding is not supported\n";
	if (*version == WIRE_V1 ? s->o.no_v1 : s->o.no_v2)
		return "this protocol is not spoken here\n";
	return NULL;
}

static bool
unpack_zstd(struct sink *s, const uint8_t *body, size_t len)
{
	unsigned long long raw = ZSTD_getFrameContentSize(body, len);
	size_t n;

	if (raw > BIGGEST_BODY)
		return false;
	wire_buf_room(&s->raw, raw + 1);
	n = ZSTD_decompress(s->raw.p, raw, body, len);
	if (ZSTD_isError(n))
		return false;
	s->raw.len = n;
	return true;
}

static bool
unpack(struct sink *s, bool zstd, const uint8_t *body, size_t len)
{
	size_t raw;

	s->raw.len = 0;
	if (zstd)
		return unpack_zstd(s, body, len);
	if (snappy_uncompressed_length((const char *)body, len, &raw) !=
	    SNAPPY_OK || raw > BIGGEST_BODY)
		return false;
	wire_buf_room(&s->raw, raw + 1);
	if (snappy_uncompress((const char *)body, len, (char *)s->raw.p,
	    &raw) != SNAPPY_OK)
		return false;
	s->raw.len = raw;
	return true;
}

/* Is this request one that the fault is for? */
static bool
strikes(struct sink *s, const struct fault *f, enum wire_version version)
{
	bool any = f->edge == -1 && f->series == -1 && f->above == 0;
	struct ledger_counts n;

	if (f->kind == FAULT_OK ||
	    (f->version != 0 && f->version != (int)version))
		return false;
	if (!any && (!ledger_meets(s->ledger, s->decoder, version, s->raw.p,
	    s->raw.len, f->edge, f->series, &n) ||
	    n.samples + n.hists <= f->above))
		return false;
	return f->every <= 1 || ++s->nth % (uint64_t)f->every == 0;
}

static bool
over_limit(struct sink *s, const struct fault *f, enum wire_version version)
{
	int64_t now = head_now_us();
	struct ledger_counts n;

	(void)ledger_meets(s->ledger, s->decoder, version, s->raw.p,
	    s->raw.len, -1, -1, &n);
	s->budget += (double)(now - s->budget_us) * (double)f->rate / 1e6;
	if (s->budget > (double)f->rate)
		s->budget = (double)f->rate;
	s->budget_us = now;
	if (s->budget <= 0)
		return true;
	s->budget -= n.samples + n.hists;
	return false;
}

static void
count_refused(struct sink *s, enum wire_version version)
{
	struct ledger_counts n;

	(void)ledger_meets(s->ledger, s->decoder, version, s->raw.p,
	    s->raw.len, -1, -1, &n);
	s->t.refused_samples += n.samples + n.hists;
}

/* Takes the samples; NULL, or what is wrong with the request. */
static const char *
take(struct sink *s, enum wire_version version, struct ledger_counts *n,
    bool told)
{
	struct wire_visitor v = { dump_series, dump_metadata, s->dump };
	const char *wrong;

	if (s->log != NULL)
		fprintf(s->log, "req %" PRId64 " %d %d\n",
		    (head_now_us() - s->begin_us) / 1000, (int)version, told);
	wrong = ledger_take(s->ledger, s->decoder, version, s->raw.p,
	    s->raw.len, n);
	if (s->dump != NULL)
		(void)wire_decode(s->decoder, version, s->raw.p, s->raw.len,
		    &v);
	s->last_us = head_now_us();
	if (s->first_us == 0)
		s->first_us = s->last_us;
	if (n->samples + n->hists > s->t.largest)
		s->t.largest = n->samples + n->hists;
	s->t.raw_bytes += s->raw.len;
	return wrong;
}

static void
accepted(struct sink *s, struct conn *c, enum wire_version version)
{
	struct ledger_counts n;
	const char *wrong = take(s, version, &n, true);

	if (wrong != NULL) {
		s->t.bad_requests++;
		answer(s, c, 400, wrong, NULL);
	} else {
		answer(s, c, 204, "", version == WIRE_V2 ? &n : NULL);
	}
}

/* What the fault does to a request that it strikes; false: closed. */
static bool
struck(struct sink *s, struct conn *c, enum wire_version version)
{
	const struct fault *f = &c->fault;
	struct ledger_counts n = { 0 };
	bool stores = f->store || f->kind == FAULT_SLOW_ANSWER;

	if (stores)
		(void)take(s, version, &n, f->kind != FAULT_CUT);
	else if (f->kind != FAULT_LIMIT && f->kind != FAULT_SLOW_READ)
		count_refused(s, version);
	switch (f->kind) {
	case FAULT_STATUS:
		answer(s, c, f->status, "told to refuse\n",
		    version == WIRE_V2 && f->status != 415 ? &n : NULL);
		return true;
	case FAULT_NO_HEADERS:
		if (version == WIRE_V2)
			answer(s, c, 204, "", NULL);
		else
			accepted(s, c, version);
		return true;
	case FAULT_SLOW_ANSWER:
		answer(s, c, 204, "", version == WIRE_V2 ? &n : NULL);
		return true;
	case FAULT_CUT:
		s->t.untold += n.samples + n.hists;
		hang_up(s, c);
		return false;
	case FAULT_HALF_OPEN:
		c->state = SILENT;
		return true;
	case FAULT_GARBAGE:
		put_text(&c->out, "220 mail.example ESMTP\r\n\r\n");
		c->state = ANSWERING;
		c->last = true;
		return true;
	case FAULT_LIMIT:
		if (over_limit(s, f, version)) {
			count_refused(s, version);
			answer(s, c, 429, "too fast\n",
			    version == WIRE_V2 ? &n : NULL);
			return true;
		}
		c->fault.retry_after = -1;
		accepted(s, c, version);
		return true;
	default:
		accepted(s, c, version);
		return true;
	}
}

/* Whether the request's Authorization is a line of the file, as it is now. */
static bool
is_authorized(const struct sink *s, const char *head, size_t len)
{
	struct wire_str v;
	char line[8192];
	bool found = false;
	FILE *f;

	if (s->o.authorized == NULL)
		return true;
	f = fopen(s->o.authorized, "r");
	if (f == NULL || !head_find(head, len, "Authorization", &v))
		v.len = 0;
	while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		found = v.len > 0 && wire_str_is(v, line);
	}
	if (f != NULL)
		(void)fclose(f);	/* was only read */
	return found;
}

static bool
write_request(struct sink *s, struct conn *c, const uint8_t *body, size_t len)
{
	const char *head = (const char *)c->in.p, *wrong;
	enum wire_version version;
	bool zstd;

	s->t.requests++;
	s->t.bytes += len;
	if (!is_authorized(s, head, c->head)) {
		c->fault.kind = FAULT_OK;
		s->t.unauthorized++;
		answer(s, c, 401, "not authorized\n", NULL);
		return true;
	}
	wrong = negotiate(s, head, c->head, &version);
	if (wrong != NULL) {
		c->fault.kind = FAULT_OK;
		answer(s, c, 415, wrong, NULL);
		return true;
	}
	s->t.by_version[version]++;
	check_headers(s, head, c->head, version);
	dump_header(s, head, c->head);
	zstd = s->o.codings == SNAPPY_AND_ZSTD && is_zstd(head, c->head);
	s->t.zstd += zstd;
	if (!unpack(s, zstd, body, len)) {
		s->t.bad_requests++;
		answer(s, c, 400, "body does not unpack\n", NULL);
		return true;
	}
	if (!strikes(s, &c->fault, version)) {
		if (c->fault.kind != FAULT_OK)
			c->fault.delay_ms = 0;
		c->fault.kind = FAULT_OK;
		c->fault.retry_after = -1;
		accepted(s, c, version);
	} else if (!struck(s, c, version)) {
		return false;
	}
	c->due_us = head_now_us() + c->fault.delay_ms * 1000;
	return true;
}

static void
summary(struct sink *s, FILE *f)
{
	const struct totals *t = &s->t;
	double elapsed = (double)(s->last_us - s->first_us) / 1e6;
	struct rusage use;

	(void)getrusage(RUSAGE_SELF, &use);
	fprintf(f, "requests=%" PRIu64 " bodies_1_0=%" PRIu64 " bodies_2_0=%"
	    PRIu64 " bodies_zstd=%" PRIu64 " ", t->requests, t->by_version[1],
	    t->by_version[2], t->zstd);
	ledger_summary(s->ledger, f);
	fprintf(f, " answers_2xx=%" PRIu64 " answers_4xx=%" PRIu64
	    " answers_5xx=%" PRIu64 " untold=%" PRIu64 " refused_samples=%"
	    PRIu64 " bad_requests=%" PRIu64 " bad_headers=%" PRIu64
	    " unauthorized=%" PRIu64 " connections=%" PRIu64 " largest=%" PRIu64 " bytes=%" PRIu64
	    " raw_bytes=%" PRIu64 " elapsed=%.3f rate=%.0f cpu=%.3f fine=%d\n",
	    t->answers[2], t->answers[4], t->answers[5], t->untold,
	    t->refused_samples, t->bad_requests, t->bad_headers,
	    t->unauthorized, t->connections, t->largest, t->bytes, t->raw_bytes, elapsed,
	    elapsed > 0 ? (double)ledger_samples(s->ledger) / elapsed : 0,
	    (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
	    (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6,
	    ledger_fine(s->ledger));
}

static void
get_summary(struct sink *s, struct conn *c)
{
	char *text;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	summary(s, f);
	(void)fclose(f);		/* memory */
	answer(s, c, 200, text, NULL);
	free(text);
}

static void
get_dump(struct sink *s, struct conn *c)
{
	struct wire_buf b = { NULL, 0, 0 };
	FILE *f = NULL;
	size_t n;

	if (s->dump != NULL && fflush(s->dump) == 0)
		f = fopen(s->o.dump, "r");
	if (f == NULL) {
		answer(s, c, 404, "no --dump\n", NULL);
		return;
	}
	do {
		wire_buf_room(&b, 65536);
		n = fread(b.p + b.len, 1, 65535, f);
		b.len += n;
	} while (n != 0);
	(void)fclose(f);		/* read only */
	b.p[b.len] = '\0';
	answer(s, c, 200, (const char *)b.p, NULL);
	wire_buf_free(&b);
}

static void
put_fault(struct sink *s, struct conn *c, const uint8_t *body, size_t len)
{
	char *text = wire_alloc(NULL, len + 1);
	const char *wrong;

	memcpy(text, body, len);
	text[len] = '\0';
	wrong = fault_read(&s->faults, text, head_now_us());
	answer(s, c, wrong != NULL ? 400 : 200, wrong != NULL ? wrong : "",
	    NULL);
	free(text);
}

static bool
begins(const struct conn *c, const char *with)
{
	return c->in.len >= strlen(with) &&
	    memcmp(c->in.p, with, strlen(with)) == 0;
}

/* A whole request is there; false: the connection is gone. */
static bool
complete(struct sink *s, struct conn *c, const uint8_t *body, size_t len)
{
	c->due_us = 0;
	if (!begins(c, "POST ")) {
		c->fault = (struct fault){ .retry_after = -1 };
		if (begins(c, "GET /summary"))
			get_summary(s, c);
		else if (begins(c, "GET /dump"))
			get_dump(s, c);
		else if (begins(c, "PUT /fault"))
			put_fault(s, c, body, len);
		else
			answer(s, c, 404, "no such page\n", NULL);
	} else if (!write_request(s, c, body, len)) {
		return false;
	}
	return c->state != ANSWERING || drain(s, c);
}

/* --- reading ----------------------------------------------------------- */

static void
next_request(struct conn *c)
{
	size_t used = c->need;

	memmove(c->in.p, c->in.p + used, c->in.len - used);
	c->in.len -= used;
	c->out.len = c->out_off = 0;
	c->body.len = 0;
	c->state = IN_HEAD;
	c->head = c->need = c->at = 0;
}

/* The head is there: what will follow it? False: gone. */
static bool
begin_request(struct sink *s, struct conn *c)
{
	const char *head = (const char *)c->in.p;
	struct wire_str v;
	long len;

	c->fault = *fault_now(&s->faults, head_now_us());
	c->last = head_find(head, c->head, "Connection", &v) &&
	    v.len == 5 && strncasecmp(v.p, "close", 5) == 0;
	if (head_find(head, c->head, "Expect", &v))
		(void)put(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	if (head_find(head, c->head, "Transfer-Encoding", &v)) {
		c->state = IN_CHUNKS;
		c->at = c->head;
		return true;
	}
	len = head_number(head, c->head, "Content-Length", 0);
	if ((unsigned long)len > BIGGEST_BODY) {
		hang_up(s, c);
		return false;
	}
	c->need = c->head + (size_t)len;
	c->state = IN_BODY;
	wire_buf_room(&c->in, c->need - c->in.len + 1);
	return true;
}

/* Moves the chunks that are whole to c->body; true at the end of the last. */
static bool
take_chunks(struct conn *c)
{
	const char *line, *eol;
	size_t size;

	for (;;) {
		line = (const char *)c->in.p + c->at;
		eol = memmem(line, c->in.len - c->at, "\r\n", 2);
		if (eol == NULL)
			return false;
		size = strtoul(line, NULL, 16);
		if (size > BIGGEST_BODY)
			size = BIGGEST_BODY;
		if (c->in.len - c->at < (size_t)(eol - line) + 2 + size + 2)
			return false;
		wire_put(&c->body, eol + 2, size);
		c->at += (size_t)(eol - line) + 2 + size + 2;
		if (size == 0) {
			c->need = c->at;
			return true;
		}
	}
}

/* Goes on with what has been read; false: gone. */
static bool
digest(struct sink *s, struct conn *c)
{
	while (c->state < ANSWERING) {
		if (c->state == IN_HEAD) {
			c->head = head_length((const char *)c->in.p,
			    c->in.len);
			if (c->head == 0 && c->in.len > MAX_HEAD) {
				hang_up(s, c);
				return false;
			}
			if (c->head == 0)
				return true;
			if (!begin_request(s, c))
				return false;
		}
		if (c->fault.kind == FAULT_CUT_BODY && begins(c, "POST ") &&
		    c->in.len - c->head > (size_t)c->fault.after) {
			hang_up(s, c);
			return false;
		}
		if (c->state == IN_BODY && c->in.len < c->need)
			return true;
		if (c->state == IN_CHUNKS && !take_chunks(c))
			return true;
		if (!(c->state == IN_CHUNKS ?
		    complete(s, c, c->body.p, c->body.len) :
		    complete(s, c, c->in.p + c->head, c->need - c->head)))
			return false;
	}
	return true;
}

static void
readable(struct sink *s, struct conn *c)
{
	bool slow = c->fault.kind == FAULT_SLOW_READ &&
	    (c->state == IN_BODY || c->state == IN_CHUNKS);
	size_t room;
	ssize_t n;

	if (c->in.cap - c->in.len < 65536 &&
	    (c->state != IN_BODY || c->in.cap <= c->need))
		wire_buf_room(&c->in, 65536);
	room = c->in.cap - c->in.len;
	/* Of a body that is to be read slowly, the head brings little. */
	if (c->state == IN_HEAD && room > 1024 &&
	    fault_now(&s->faults, head_now_us())->kind == FAULT_SLOW_READ)
		room = 1024;
	if (slow && (double)room > c->allowance)
		room = (size_t)c->allowance;
	if (slow && room == 0) {
		set_slow(s, c, true);
		want(s, c, 0);
		return;
	}
	n = get(c, c->in.p + c->in.len, room);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		hang_up(s, c);
		return;
	}
	c->in.len += (size_t)n;
	if (slow)
		c->allowance -= (double)n;
	if (c->state == SILENT)
		c->in.len = c->need;	/* forget what comes after */
	if (digest(s, c) && c->state < ANSWERING && c->seal != NULL &&
	    seal_pending(c->seal))
		readable(s, c);
}

/* --- time -------------------------------------------------------------- */

static void
tick(struct sink *s, int64_t now, int64_t since)
{
	struct conn *c, *next;

	for (c = s->conns; c != NULL && s->nslow != 0; c = next) {
		next = c->next;
		if (!c->waiting)
			continue;
		if (c->state == ANSWERING) {
			if (c->due_us <= now && drain(s, c) &&
			    c->state == IN_HEAD)
				(void)digest(s, c);
		} else {
			c->allowance += (double)c->fault.rate *
			    (double)(now - since) / 1e6;
			set_slow(s, c, false);
			want(s, c, EPOLLIN);
		}
	}
}

static void
up_or_down(struct sink *s, int64_t now)
{
	bool down = fault_now(&s->faults, now)->kind == FAULT_DOWN;
	struct conn *c, *next;

	if (down && s->listener != -1) {
		(void)close(s->listener);
		s->listener = -1;
		for (c = s->conns; c != NULL; c = next) {
			next = c->next;
			if (!c->control)
				hang_up(s, c);
		}
	} else if (!down && s->listener == -1) {
		s->listener = open_listener(s, &s->address);
	}
}

static void
run(struct sink *s)
{
	struct epoll_event ev[64];
	int64_t now, last_tick = head_now_us();
	struct conn *c;
	int i, n;

	while (!stop) {
		n = epoll_wait(s->ep, ev, 64, s->nslow != 0 ? TICK_MS : 50);
		for (i = 0; i < n; i++) {
			if (ev[i].data.ptr == &s->address) {
				if (s->listener != -1)
					accept_some(s, s->listener, false);
				continue;
			}
			if (ev[i].data.ptr == &s->control_address) {
				accept_some(s, s->control, true);
				continue;
			}
			/* Nothing closes another connection than its own
			 * before the batch is through. */
			c = ev[i].data.ptr;
			if (c->state == ANSWERING) {
				if ((ev[i].events & (EPOLLHUP | EPOLLERR)) != 0)
					hang_up(s, c);
				else if (drain(s, c) && c->state == IN_HEAD)
					(void)digest(s, c);
			} else {
				readable(s, c);
			}
		}
		now = head_now_us();
		if (now - last_tick >= TICK_MS * 1000) {
			tick(s, now, last_tick);
			last_tick = now;
			up_or_down(s, now);
			if (s->log != NULL)
				(void)fflush(s->log);
		}
	}
}

/* --- setting up -------------------------------------------------------- */

static const char usage[] =
"usage: rwsink [--listen HOST:PORT | --listen unix:SOCKET] [options]\n"
"  --listen ADDRESS     (127.0.0.1:0: a free port, told on stdout)\n"
"  --cert FILE, --key FILE   over TLS\n"
"  --ca FILE            and clients have certificates from there\n"
"  --authorized FILE    its lines are the values of Authorization that will do\n"
"  --control HOST:PORT  GET /summary, GET /dump, PUT /fault there as well\n"
"  --protocols 1.0|2.0|both  (both)\n"
"  --codings snappy|both|blind  what it unpacks: snappy, and zstd; or snappy,\n"
"                       which it takes everything for (snappy)\n"
"  --faults SCHEDULE    what goes wrong when; see tests/tools/README\n"
"  --log FILE           what arrived, for rwjoin\n"
"  --dump FILE          every sample as a line of text\n"
"  --header NAME        and what this says, before the samples of a request\n"
"  --summary FILE       where to write the summary at the end (stdout)\n";

static _Noreturn void
wrong_usage(const char *what)
{
	fprintf(stderr, "rwsink: %s\n%s", what, usage);
	exit(2);
}

static FILE *
create(const char *path)
{
	FILE *f;

	if (path == NULL)
		return NULL;
	f = fopen(path, "w");
	if (f == NULL) {
		perror(path);
		exit(2);
	}
	return f;
}

static void
read_options(struct sink *s, int argc, char **argv)
{
	static const struct option names[] = {
		{ "listen", required_argument, NULL, 'l' },
		{ "control", required_argument, NULL, 'c' },
		{ "protocols", required_argument, NULL, 'p' },
		{ "codings", required_argument, NULL, 'z' },
		{ "faults", required_argument, NULL, 'f' },
		{ "log", required_argument, NULL, 'L' },
		{ "dump", required_argument, NULL, 'd' },
		{ "header", required_argument, NULL, 'h' },
		{ "summary", required_argument, NULL, 's' },
		{ "cert", required_argument, NULL, 'C' },
		{ "key", required_argument, NULL, 'k' },
		{ "ca", required_argument, NULL, 'a' },
		{ "authorized", required_argument, NULL, 'A' },
		{ NULL, 0, NULL, 0 },
	};
	struct options *o = &s->o;
	int c;

	o->listen = "127.0.0.1:0";
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'l':
			o->listen = optarg;
			break;
		case 'c':
			o->control = optarg;
			break;
		case 'p':
			o->no_v1 = strcmp(optarg, "2.0") == 0;
			o->no_v2 = strcmp(optarg, "1.0") == 0;
			if (!o->no_v1 && !o->no_v2 &&
			    strcmp(optarg, "both") != 0)
				wrong_usage(optarg);
			break;
		case 'z':
			o->codings = strcmp(optarg, "both") == 0 ?
			    SNAPPY_AND_ZSTD : strcmp(optarg, "blind") == 0 ?
			    SNAPPY_BLINDLY : SNAPPY_ONLY;
			if (o->codings == SNAPPY_ONLY &&
			    strcmp(optarg, "snappy") != 0)
				wrong_usage(optarg);
			break;
		case 'C':
			o->cert = optarg;
			break;
		case 'k':
			o->key = optarg;
			break;
		case 'a':
			o->ca = optarg;
			break;
		case 'A':
			o->authorized = optarg;
			break;
		case 'f':
			o->faults = optarg;
			break;
		case 'L':
			o->log = optarg;
			break;
		case 'd':
			o->dump = optarg;
			break;
		case 'h':
			o->header = optarg;
			break;
		case 's':
			o->summary = optarg;
			break;
		default:
			wrong_usage("no such option");
		}
	}
	if (optind != argc)
		wrong_usage(argv[optind]);
}

static void
set_up(struct sink *s)
{
	struct rlimit files;
	const char *wrong;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);	/* or fewer */
	}
	s->ep = epoll_create1(EPOLL_CLOEXEC);
	s->listener = s->control = -1;
	s->begin_us = s->budget_us = head_now_us();
	s->decoder = wire_decoder_new();
	s->log = create(s->o.log);
	s->dump = create(s->o.dump);
	s->ledger = ledger_new(s->log);
	wrong = fault_read(&s->faults, s->o.faults != NULL ? s->o.faults :
	    "ok", s->begin_us);
	if (wrong != NULL)
		wrong_usage(wrong);
	if (!head_resolve(s->o.listen, &s->address) || (s->o.control != NULL &&
	    !head_resolve(s->o.control, &s->control_address)))
		exit(2);
	if (s->address.addr.ss_family == AF_UNIX)
		(void)unlink(s->o.listen + 5);
	if (s->o.cert != NULL)
		s->tls = seal_side_new(true, s->o.ca, s->o.cert, s->o.key);
	s->listener = open_listener(s, &s->address);
	if (s->o.control != NULL)
		s->control = open_listener(s, &s->control_address);
	printf("listen=%d control=%d\n", port_of(&s->address),
	    s->control != -1 ? port_of(&s->control_address) : 0);
	(void)fflush(stdout);
}

static bool
finish(struct sink *s)
{
	FILE *out = s->o.summary != NULL ? create(s->o.summary) : stdout;
	bool fine = ledger_fine(s->ledger);

	summary(s, out);
	fine = fflush(out) == 0 && fine;
	while (s->conns != NULL)
		hang_up(s, s->conns);
	seal_side_free(s->tls);
	ledger_free(s->ledger);
	wire_decoder_free(s->decoder);
	wire_buf_free(&s->raw);
	if (s->log != NULL && fclose(s->log) != 0)
		perror(s->o.log);
	if (s->dump != NULL && fclose(s->dump) != 0)
		perror(s->o.dump);
	if (out != stdout)
		(void)fclose(out);	/* flushed above */
	return fine;
}

int
main(int argc, char **argv)
{
	static struct sink s;

	read_options(&s, argc, argv);
	(void)signal(SIGTERM, on_signal);
	(void)signal(SIGINT, on_signal);
	(void)signal(SIGPIPE, SIG_IGN);
	set_up(&s);
	run(&s);
	return finish(&s) ? 0 : 1;
}
