/* log.c - one write(2) a line, so that lines of threads do not mix.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define LINE_MAX_BYTES 2048
#define EVENTS 64
#define BURST 20

static const char *const level_name[] = { "error", "warn", "info", "debug" };

static enum log_level threshold = LOG_LEVEL_INFO;

/* The limiter is the one lock outside of io/loop.c: logging may happen on any
 * thread and is rare by intent. */
static pthread_mutex_t limiter_lock = PTHREAD_MUTEX_INITIALIZER;
static struct limit {
	const char *event;		/* borrowed literal */
	enum log_level level;
	int tokens;
	int64_t filled;
	unsigned long suppressed;
} limiter[EVENTS];

void
log_set_level(enum log_level level)
{
	threshold = level;
}

static struct limit *
limit_of(enum log_level level, const char *event)
{
	struct limit *oldest = &limiter[0];
	size_t i;

	for (i = 0; i < EVENTS; i++) {
		struct limit *l = &limiter[i];

		if (l->event && l->level == level &&
		    strcmp(l->event, event) == 0)
			return l;
		if (!l->event || l->filled < oldest->filled)
			oldest = l;
		if (!l->event)
			break;
	}
	*oldest = (struct limit){ event, level, BURST, clock_mono(), 0 };
	return oldest;
}

static bool
allowed(enum log_level level, const char *event, unsigned long *suppressed)
{
	struct limit *l;
	int64_t whole;
	bool ok;

	(void)pthread_mutex_lock(&limiter_lock);
	l = limit_of(level, event);
	whole = (clock_mono() - l->filled) / CLOCK_S;
	if (whole > 0) {
		l->filled += whole * CLOCK_S;
		l->tokens = whole > BURST - l->tokens ? BURST :
		    l->tokens + (int)whole;
	}
	ok = l->tokens > 0;
	if (ok) {
		l->tokens--;
		*suppressed = l->suppressed;
		l->suppressed = 0;
	} else {
		l->suppressed++;
	}
	(void)pthread_mutex_unlock(&limiter_lock);
	return ok;
}

static size_t
head(char *line, size_t size, enum log_level level, const char *event)
{
	int64_t now = clock_wall();
	time_t s = (time_t)(now / CLOCK_S);
	struct tm tm;
	size_t n;

	(void)gmtime_r(&s, &tm);
	n = strftime(line, size, "time=%Y-%m-%dT%H:%M:%S", &tm);
	n += (size_t)snprintf(line + n, size - n, ".%03dZ level=%s event=%s",
	    (int)(now % CLOCK_S / CLOCK_MS), level_name[level], event);
	return n;
}

void
log_at(enum log_level level, const char *event, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	unsigned long suppressed = 0;
	int err = errno, n;
	size_t len;
	va_list ap;

	if (level > threshold || !allowed(level, event, &suppressed))
		return;
	len = head(line, sizeof(line), level, event);
	if (suppressed)
		len += (size_t)snprintf(line + len, sizeof(line) - len,
		    " suppressed=%lu", suppressed);
	line[len++] = ' ';
	va_start(ap, fmt);
	n = vsnprintf(line + len, sizeof(line) - len - 1, fmt, ap);
	va_end(ap);
	if (n > 0)
		len += (size_t)n < sizeof(line) - len - 1 ? (size_t)n :
		    sizeof(line) - len - 2;
	line[len++] = '\n';
	/* nowhere to report that stderr cannot be written */
	if (write(STDERR_FILENO, line, len) == -1)
		(void)0;
	errno = err;
}

const char *
log_quote(struct bytes b, char *out, size_t size)
{
	static const char hex[] = "0123456789abcdef";
	size_t i, at = 0;

	out[at++] = '"';
	for (i = 0; i < b.n && at + 6 < size; i++) {
		uint8_t c = b.p[i];

		if (c == '"' || c == '\\') {
			out[at++] = '\\';
			out[at++] = (char)c;
		} else if (c < 0x20 || c == 0x7f) {
			out[at++] = '\\';
			out[at++] = 'x';
			out[at++] = hex[c >> 4];
			out[at++] = hex[c & 15];
		} else {
			out[at++] = (char)c;
		}
	}
	out[at++] = '"';
	out[at] = '\0';
	return out;
}
