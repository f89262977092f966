/* message.c - reading the parts of messages that everybody reads.
 * SPDX-License-Identifier: Apache-2.0 */
#include "http/message.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"

/* token (RFC 9110 5.6.2) */
static bool
is_token(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') ||
	    (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

bool
http_token_ok(struct bytes b)
{
	size_t i;

	for (i = 0; i < b.n; i++) {
		if (!is_token(b.p[i]))
			return false;
	}
	return b.n > 0;
}

bool
http_value_ok(struct bytes b)
{
	size_t i;

	for (i = 0; i < b.n; i++) {
		if ((b.p[i] < ' ' && b.p[i] != '\t') || b.p[i] == 0x7f)
			return false;
	}
	return true;
}

bool
http_host_ok(struct bytes host)
{
	size_t i;

	for (i = 0; i < host.n; i++) {
		if (host.p[i] <= ' ' || host.p[i] >= 0x7f ||
		    strchr("/?#@,\\\"<>^`{|}", host.p[i]))
			return false;
	}
	return true;
}

bool
http_path_split(struct bytes target, struct bytes *path, struct bytes *query)
{
	size_t i, mark = target.n;

	for (i = 0; i < target.n; i++) {
		if (target.p[i] <= ' ' || target.p[i] >= 0x7f ||
		    target.p[i] == '#')
			return false;
		if (target.p[i] == '?' && mark == target.n)
			mark = i;
	}
	*path = bytes_of(target.p, mark);
	*query = mark == target.n ? (struct bytes){ NULL, 0 } :
	    bytes_of(target.p + mark + 1, target.n - mark - 1);
	return true;
}

bool
http_same(struct bytes b, const char *word)
{
	return b.n == strlen(word) &&
	    (b.n == 0 || strncasecmp((const char *)b.p, word, b.n) == 0);
}

struct bytes
http_header(struct http_headers headers, const char *name)
{
	size_t i;

	for (i = 0; i < headers.n; i++) {
		if (http_same(headers.list[i].name, name))
			return headers.list[i].value;
	}
	return (struct bytes){ NULL, 0 };
}

bool
http_number(struct bytes b, uint64_t *out)
{
	uint64_t v = 0;
	size_t i;

	if (b.n == 0)
		return false;
	for (i = 0; i < b.n; i++) {
		if (b.p[i] < '0' || b.p[i] > '9')
			return false;
		if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
		    __builtin_add_overflow(v, (uint64_t)(b.p[i] - '0'), &v))
			return false;
	}
	*out = v;
	return true;
}

/* ---- dates --------------------------------------------------------------------- */

static const char months[12][4] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun",
	"Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
};
static const char days[7][4] = {
	"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat",
};

static int
month_of(const char *name)
{
	int i;

	for (i = 0; i < 12; i++) {
		if (strcmp(name, months[i]) == 0)
			return i;
	}
	return -1;
}

static bool
in_range(const struct tm *tm)
{
	return tm->tm_mday >= 1 && tm->tm_mday <= 31 && tm->tm_mon >= 0 &&
	    tm->tm_hour >= 0 && tm->tm_hour <= 23 && tm->tm_min >= 0 &&
	    tm->tm_min <= 59 && tm->tm_sec >= 0 && tm->tm_sec <= 60;
}

/* The three forms of RFC 9110 5.6.7; a two-digit year is of this century. */
static bool
parse_date(const char *s, time_t *out)
{
	struct tm tm = { .tm_isdst = 0 };
	char month[4];
	int year, end = -1;

	if (sscanf(s, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n",
	    &tm.tm_mday, month, &year, &tm.tm_hour, &tm.tm_min, &tm.tm_sec,
	    &end) != 6 || end == -1) {
		end = -1;
		if (sscanf(s, "%*9[A-Za-z], %2d-%3[A-Za-z]-%2d "
		    "%2d:%2d:%2d GMT%n", &tm.tm_mday, month, &year,
		    &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &end) == 6)
			year += 2000;
		else if (sscanf(s, "%*3[A-Za-z] %3[A-Za-z] %2d "
		    "%2d:%2d:%2d %4d%n", month, &tm.tm_mday, &tm.tm_hour,
		    &tm.tm_min, &tm.tm_sec, &year, &end) != 6)
			return false;
	}
	if (end == -1 || s[end] != '\0' || year < 1970)
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon = month_of(month);
	if (!in_range(&tm))
		return false;
	*out = timegm(&tm);
	return true;
}

int64_t
http_retry_after(struct bytes value, int64_t wall_ns)
{
	const int64_t most = INT64_MAX / 4 / CLOCK_S;	/* seconds */
	char text[64];
	uint64_t seconds;
	int64_t left;
	time_t at;

	if (http_number(value, &seconds))
		return (seconds < (uint64_t)most ? (int64_t)seconds : most) *
		    CLOCK_S;
	if (value.n == 0 || value.n >= sizeof(text) ||
	    memchr(value.p, '\0', value.n))
		return -1;
	memcpy(text, value.p, value.n);
	text[value.n] = '\0';
	if (!parse_date(text, &at))
		return -1;
	left = (int64_t)at < most * 3 ? (int64_t)at * CLOCK_S - wall_ns :
	    most * CLOCK_S;
	return left >= 0 ? left : -1;
}

void
http_date(int64_t wall_ns, char out[HTTP_DATE_SIZE])
{
	time_t at = (time_t)(wall_ns / CLOCK_S);
	struct tm tm = { .tm_mday = 1 };

	/* a year of more than four digits does not fit and stays 1900 */
	if (!gmtime_r(&at, &tm) ||
	    strftime(out, HTTP_DATE_SIZE, "..., %d ... %Y %H:%M:%S GMT",
	    &tm) != HTTP_DATE_SIZE - 1) {
		tm = (struct tm){ .tm_mday = 1, .tm_wday = 1 };
		(void)strftime(out, HTTP_DATE_SIZE,
		    "..., %d ... %Y %H:%M:%S GMT", &tm);	/* fits */
	}
	/* names by hand: strftime has those of the locale */
	memcpy(out, days[tm.tm_wday], 3);
	memcpy(out + 8, months[tm.tm_mon], 3);
}
