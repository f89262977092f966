/* match.c - a selector taken apart, and its tests one after the other.
 * SPDX-License-Identifier: Apache-2.0 */
#include "policy/match.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/utf8.h"
#include "policy/regex.h"

#define TEXT_MAX 8192			/* bytes of a selector */
#define TESTS_MAX 64			/* in a selector */

enum test_kind { TEST_EQUAL, TEST_UNEQUAL, TEST_LIKE, TEST_UNLIKE };

struct test {
	enum test_kind kind;
	struct bytes name, value;	/* in the match's text */
	struct regex *expression;	/* owned; LIKE, UNLIKE */
};

struct match {
	struct regex_room *room;	/* owned */
	uint32_t n;
	struct test tests[TESTS_MAX];
	char *next;			/* free room in text */
	char text[];			/* names and values, without escapes */
};

struct parse {
	struct match *match;
	const char *at;
	const char *wrong;		/* NULL: nothing, so far */
};

/* ---- words ---------------------------------------------------------------- */

static void
skip_blanks(struct parse *p)
{
	p->at += strspn(p->at, " \t\r\n");
}

static bool
accept(struct parse *p, const char *word)
{
	size_t n = strlen(word);

	skip_blanks(p);
	if (strncmp(p->at, word, n) != 0)
		return false;
	p->at += n;
	return true;
}

static bool
refuse(struct parse *p, const char *why)
{
	if (!p->wrong)
		p->wrong = why;
	return false;
}

static struct bytes
keep(struct parse *p, const char *from, size_t n)
{
	char *to = p->match->next;

	memcpy(to, from, n);
	p->match->next = to + n;
	return bytes_of(to, n);
}

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
#define DIGITS "0123456789"

static bool
plain_name(struct parse *p, const char *letters, struct bytes *out)
{
	const char *from;
	size_t n;

	skip_blanks(p);
	from = p->at;
	n = strspn(from, letters);
	if (n == 0 || strspn(from, DIGITS) > 0)
		return false;
	p->at += n;
	*out = keep(p, from, n);
	return true;
}

/* What stands behind a backslash; 0: nothing that is known. */
static char
escaped(char c)
{
	switch (c) {
	case 'n':
		return '\n';
	case 't':
		return '\t';
	case 'r':
		return '\r';
	case '\\':
	case '"':
	case '\'':
		return c;
	default:
		return '\0';
	}
}

static bool
quoted(struct parse *p, struct bytes *out)
{
	char quote, *to = p->match->next;

	skip_blanks(p);
	quote = *p->at;
	if (quote != '"' && quote != '\'' && quote != '`')
		return false;
	for (p->at++; *p->at != quote; p->at++) {
		char c = *p->at;

		if (c == '\0')
			return refuse(p, "a quote is not closed");
		if (c == '\\' && quote != '`') {
			c = escaped(*++p->at);
			if (c == '\0')
				return refuse(p, "a backslash is followed by "
				    "one of n t r \\ \" '; in an expression it "
				    "is written twice, or the text stands in "
				    "`...`");
		}
		*to++ = c;
	}
	p->at++;
	*out = bytes_of(p->match->next, (size_t)(to - p->match->next));
	p->match->next = to;
	if (!utf8_valid(*out))
		return refuse(p, "a text in quotes is not UTF-8");
	return true;
}

/* ---- tests ---------------------------------------------------------------- */

static bool
compile(struct parse *p, struct test *t)
{
	const char *wrong = regex_new(t->value, &t->expression);

	return !wrong || refuse(p, wrong);
}

static bool
add(struct parse *p, enum test_kind kind, struct bytes name,
    struct bytes value)
{
	struct match *m = p->match;
	struct test *t = &m->tests[m->n];

	if (m->n == TESTS_MAX)
		return refuse(p, "more than 64 matchers");
	*t = (struct test){ .kind = kind, .name = name, .value = value };
	m->n++;
	return kind < TEST_LIKE || compile(p, t);
}

static bool
operator(struct parse *p, enum test_kind *out)
{
	static const struct {
		const char *word;
		enum test_kind kind;
	} known[] = { { "=~", TEST_LIKE }, { "!~", TEST_UNLIKE },
		{ "!=", TEST_UNEQUAL }, { "=", TEST_EQUAL } };
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (accept(p, known[i].word)) {
			*out = known[i].kind;
			return true;
		}
	}
	return false;
}

/* name="value", or a metric's name in quotes. */
static bool
matcher(struct parse *p)
{
	struct bytes name, value;
	enum test_kind kind;
	bool alone = false;

	if (!plain_name(p, LETTERS DIGITS, &name)) {
		if (!quoted(p, &name))
			return refuse(p, "a label's name is missing");
		alone = true;
	}
	if (!operator(p, &kind))
		return alone ? add(p, TEST_EQUAL, BYTES_LIT("__name__"), name) :
		    refuse(p, "a label's name is followed by = != =~ or !~");
	if (!quoted(p, &value))
		return refuse(p, "a value stands in quotes");
	return add(p, kind, name, value);
}

static bool
selector(struct parse *p)
{
	struct bytes name;

	if (plain_name(p, LETTERS DIGITS ":", &name) &&
	    !add(p, TEST_EQUAL, BYTES_LIT("__name__"), name))
		return false;
	if (accept(p, "{")) {
		while (!accept(p, "}")) {
			if (!matcher(p))
				return false;
			if (accept(p, ","))
				continue;
			if (!accept(p, "}"))
				return refuse(p, "matchers are separated by , "
				    "and end with }");
			break;
		}
	}
	skip_blanks(p);
	if (*p->at)
		return refuse(p, "a selector is written name{label=\"value\"}");
	return p->match->n > 0 ||
	    refuse(p, "a selector has at least one matcher");
}

/* ---- life ------------------------------------------------------------------- */

void
match_free(struct match **taken)
{
	struct match *m = *taken;
	uint32_t i;

	*taken = NULL;
	if (!m)
		return;
	for (i = 0; i < m->n; i++)
		regex_free(&m->tests[i].expression);
	regex_room_free(&m->room);
	free(m);
}

const char *
match_parse(const char *text, struct match **out)
{
	size_t n = strlen(text);
	struct parse p = { .at = text };

	*out = NULL;
	if (n > TEXT_MAX)
		return "a selector has at most 8192 bytes";
	p.match = calloc(1, sizeof(*p.match) + n);
	if (!p.match)
		return "memory is out";
	p.match->next = p.match->text;
	p.match->room = regex_room_new();
	if (!p.match->room) {
		match_free(&p.match);
		return "memory is out";
	}
	if (!selector(&p)) {
		match_free(&p.match);
		return p.wrong;
	}
	*out = p.match;
	return NULL;
}

/* ---- matching ------------------------------------------------------------- */

static struct bytes
value_of(const struct label *labels, uint32_t n, struct bytes name)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (bytes_eq(labels[i].name, name))
			return labels[i].value;
	return BYTES_LIT("");
}

bool
match_labels(const struct match *m, const struct label *labels, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < m->n; i++) {
		const struct test *t = &m->tests[i];
		struct bytes v = value_of(labels, n, t->name);
		bool same = t->kind < TEST_LIKE ? bytes_eq(v, t->value) :
		    regex_match(t->expression, m->room, v) == REGEX_YES;

		if (same != (t->kind == TEST_EQUAL || t->kind == TEST_LIKE))
			return false;
	}
	return true;
}
