/* source.c - a config file's text, made safe for libconfuse.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Finds tokens where libconfuse's lexer.l finds them; what a token means is
 * left to its grammar.                                                      */
#include "config/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum token {
	TOKEN_NONE,
	TOKEN_WORD,
	TOKEN_INCLUDE,		/* the word "include" */
	TOKEN_STRING,
	TOKEN_OPEN,		/* ( after include */
	TOKEN_FILE,		/* the string after that */
	TOKEN_OTHER,
};

struct scan {
	char *p, *end;
	unsigned line;
	unsigned depth;		/* of braces */
	unsigned opened;	/* line of the outermost open brace */
	enum token last;
	const char *fault;
};

static enum status
refuse(struct source_fault *why, enum status st, unsigned line,
    const char *text)
{
	why->line = line;
	why->text = text;
	return st;
}

/* ---- reading --------------------------------------------------------------- */

static enum status
read_all(int fd, struct buf *out, struct source_fault *why)
{
	const size_t piece = 4096;
	uint8_t *room;
	ssize_t n;

	for (;;) {
		room = buf_room(out, piece);
		if (!room && out->limit - out->len < piece)
			return refuse(why, ST_CONFIG, 0, "file is too large");
		if (!room)
			return refuse(why, ST_NO_MEMORY, 0, "out of memory");
		n = read(fd, room, piece);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return refuse(why, status_from_errno(errno, ST_SYSTEM),
			    0, strerror(errno));
		if (n == 0)
			return ST_OK;
		out->len += (size_t)n;
	}
}

enum status
source_read(const char *path, struct buf *out, struct source_fault *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	enum status st;

	if (fd == -1)
		return refuse(why, status_from_errno(errno, ST_SYSTEM), 0,
		    strerror(errno));
	st = read_all(fd, out, why);
	(void)close(fd);	/* nothing was written */
	return st;
}

/* ---- tokens ---------------------------------------------------------------- */

static bool
fault(struct scan *s, const char *text)
{
	s->fault = text;
	return false;
}

static char
at(const struct scan *s, size_t i)
{
	return (size_t)(s->end - s->p) > i ? s->p[i] : '\0';
}

static void
blank(struct scan *s, size_t n)
{
	for (; n > 0; n--, s->p++) {
		if (*s->p == '\n')
			s->line++;
		else
			*s->p = ' ';
	}
}

static bool
take_line_comment(struct scan *s)
{
	const char *nl = memchr(s->p, '\n', (size_t)(s->end - s->p));

	blank(s, (size_t)((nl ? nl : s->end) - s->p));
	return true;
}

static bool
take_comment(struct scan *s)
{
	const char *close = memmem(s->p + 2, (size_t)(s->end - s->p) - 2,
	    "*/", 2);

	if (!close)
		return fault(s, "comment is not closed");
	blank(s, (size_t)(close + 2 - s->p));
	return true;
}

/* ${NAME} or ${NAME:-text}, from the $ to the } */
static bool
take_variable(struct scan *s)
{
	size_t n = strcspn(s->p, "}\n");

	if (s->p + n >= s->end || s->p[n] != '}')
		return fault(s, "${ is not closed by }");
	s->p += n + 1;
	return true;
}

/* What a numeric escape makes is NUL. */
static bool
escapes_nul(const char *p)
{
	const char *q = p + 1;

	if (*q == 'x')
		return q[1] == '0' && !strchr("123456789abcdefABCDEF", q[2]);
	if (*q != '0')
		return false;
	q += strspn(q, "0");
	return (*q < '1' || *q > '9') && q - p <= 4;
}

static bool
take_string(struct scan *s)
{
	char quote = *s->p++;

	while (s->p < s->end && *s->p != '\n') {
		if (*s->p == quote) {
			s->p++;
			return true;
		}
		if (quote == '"' && *s->p == '$' && at(s, 1) == '{') {
			if (!take_variable(s))
				return false;
			continue;
		}
		if (quote == '"' && *s->p == '\\' && escapes_nul(s->p))
			return fault(s, "a string cannot hold a NUL");
		if (*s->p == '\\' && at(s, 1) != '\n')
			s->p++;
		s->p++;
	}
	return fault(s, "string is not closed on its line");
}

static bool
take_word(struct scan *s)
{
	const char *start = s->p;
	size_t n;

	s->p += strcspn(s->p, " #\"'\t\n\r={}()+,*");
	n = (size_t)(s->p - start);
	if (memchr(start, '|', n))
		return fault(s, "| stands in quoted strings only");
	s->last = n == 7 && memcmp(start, "include", 7) == 0 ? TOKEN_INCLUDE :
	    TOKEN_WORD;
	return true;
}

static bool
take_brace(struct scan *s)
{
	if (*s->p == '{') {
		if (s->depth++ == 0)
			s->opened = s->line;
	} else if (s->depth-- == 0) {
		return fault(s, "} without a {");
	}
	s->p++;
	return true;
}

static bool
take_sign(struct scan *s)
{
	switch (*s->p) {
	case '{':
	case '}':
		s->last = TOKEN_OTHER;
		return take_brace(s);
	case '=':
		if (s->last == TOKEN_STRING)
			return fault(s, "the name of a directive is not quoted");
		break;
	case '+':
		if (at(s, 1) != '=')
			return fault(s, "stray +");
		if (s->last == TOKEN_STRING)
			return fault(s, "the name of a directive is not quoted");
		s->p++;
		break;
	case '(':
		if (s->last != TOKEN_INCLUDE)
			return fault(s, "( goes with include only");
		s->last = TOKEN_OPEN;
		s->p++;
		return true;
	case ')':
		if (s->last != TOKEN_FILE)
			return fault(s, "write include(\"FILE\")");
		break;
	case ',':
		break;
	default:
		return fault(s, "stray *");
	}
	s->last = TOKEN_OTHER;
	s->p++;
	return true;
}

/* One token at s->p, which is none of white space and comment. */
static bool
take_token(struct scan *s)
{
	bool file = s->last == TOKEN_OPEN;

	if (*s->p == '"' || *s->p == '\'') {
		s->last = file ? TOKEN_FILE : TOKEN_STRING;
		return take_string(s);
	}
	if (file)
		return fault(s, "write include(\"FILE\")");
	if (*s->p == '$' && at(s, 1) == '{') {
		s->last = TOKEN_STRING;
		return take_variable(s);
	}
	if (s->last == TOKEN_FILE && *s->p != ')')
		return fault(s, "write include(\"FILE\")");
	if (strchr("={}()+,*", *s->p))
		return take_sign(s);
	return take_word(s);
}

static bool
take(struct scan *s)
{
	switch (*s->p) {
	case '\n':
		s->line++;
		s->p++;
		return true;
	case ' ':
	case '\t':
		s->p++;
		return true;
	case '#':
		return take_line_comment(s);
	case '/':
		if (at(s, 1) == '/')
			return take_line_comment(s);
		if (at(s, 1) == '*')
			return take_comment(s);
		return take_token(s);
	default:
		return take_token(s);
	}
}

static bool
has_control(struct scan *s)
{
	char *p;

	for (p = s->p; p < s->end; p++) {
		if (*p == '\n')
			s->line++;
		else if (*p == '\r')
			*p = ' ';
		else if (*p != '\t' && ((unsigned char)*p < ' ' || *p == 127))
			return true;
	}
	s->line = 1;
	return false;
}

enum status
source_clean(struct buf *text, struct source_fault *why)
{
	struct scan s = { .line = 1 };

	/* A newline, so that it is never empty, and a NUL for strcspn. */
	if (!buf_append(text, "\n", 2))
		return refuse(why, ST_NO_MEMORY, 0, "out of memory");
	text->len--;
	s.p = (char *)text->data;
	s.end = s.p + text->len;
	if (has_control(&s))
		return refuse(why, ST_CONFIG, s.line, "control character");
	while (s.p < s.end)
		if (!take(&s))
			return refuse(why, ST_CONFIG, s.line, s.fault);
	if (s.last == TOKEN_OPEN || s.last == TOKEN_FILE)
		return refuse(why, ST_CONFIG, s.line, "write include(\"FILE\")");
	if (s.depth > 0)
		return refuse(why, ST_CONFIG, s.opened, "{ is not closed");
	return ST_OK;
}
