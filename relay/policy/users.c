/* users.c - files of names.
 * SPDX-License-Identifier: Apache-2.0 */
#include "policy/users.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/utf8.h"
#include "policy/password.h"

/* Passwords' are sorted by name, tokens' by digest. */
struct users {
	enum users_kind kind;
	char *text;			/* owned: of the file, cut into strings */
	size_t text_n;
	struct user *user;		/* owned */
	size_t n;
};

static enum status
refuse(struct users_fault *why, unsigned line, const char *text)
{
	why->line = line;
	(void)snprintf(why->text, sizeof(why->text), "%s", text);
	return ST_CONFIG;
}

/* ---- a line ---------------------------------------------------------------------- */

static const char *
check_name(struct bytes name)
{
	size_t i;

	if (name.n == 0 || name.n >= USERS_NAME_SIZE)
		return "a name has 1 to 255 bytes";
	if (!utf8_valid(name))
		return "the name is not UTF-8";
	for (i = 0; i < name.n; i++)
		if (name.p[i] < 0x20 || name.p[i] == 0x7f)
			return "a name has no control characters";
	return NULL;
}

static const char *
check_proof(enum users_kind kind, const char *proof, struct user *u)
{
	if (kind == USERS_TOKENS)
		return digest_parse(bytes_str(proof), &u->digest) ? NULL :
		    "behind the name stands the token's SHA-256, 64 "
		    "hexadecimal digits";
	u->hash = proof;
	return password_hash_check(proof);
}

/* The line ends with a zero, and may have others in it. */
static const char *
take_line(struct users *s, char *line, size_t n, unsigned number)
{
	struct user *u = &s->user[s->n];
	char *colon = memchr(line, ':', n);
	const char *wrong;

	if (!colon)
		return "a line is written name:hash";
	if (memchr(colon, '\0', n - (size_t)(colon - line)))
		return "a hash has no control characters";
	wrong = check_name(bytes_of(line, (size_t)(colon - line)));
	if (wrong)
		return wrong;
	*colon = '\0';
	*u = (struct user){ .name = line, .line = number };
	wrong = check_proof(s->kind, colon + 1, u);
	if (!wrong)
		s->n++;
	return wrong;
}

/* ---- the whole ----------------------------------------------------------------------- */

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct user *)a)->name,
	    ((const struct user *)b)->name);
}

static int
by_digest(const void *a, const void *b)
{
	return memcmp(&((const struct user *)a)->digest,
	    &((const struct user *)b)->digest, sizeof(struct digest));
}

static enum status
sort(struct users *s, struct users_fault *why)
{
	bool names = s->kind == USERS_PASSWORDS;
	int (*order)(const void *, const void *) = names ? by_name : by_digest;
	const struct user *a, *b;
	size_t i;

	if (s->n)
		qsort(s->user, s->n, sizeof(*s->user), order);
	for (i = 1; i < s->n; i++) {
		a = &s->user[i - 1];
		b = &s->user[i];
		if (order(a, b) == 0)
			return refuse(why, a->line > b->line ? a->line :
			    b->line, names ? "the name stands in an earlier "
			    "line, too" : "the token stands in an earlier line, "
			    "too");
	}
	return ST_OK;
}

static size_t
count_lines(struct bytes text)
{
	size_t i, n = 1;

	for (i = 0; i < text.n; i++)
		n += text.p[i] == '\n';
	return n;
}

static enum status
take_lines(struct users *s, struct users_fault *why)
{
	char *line = s->text, *end = s->text + s->text_n, *next;
	const char *wrong;
	unsigned number = 1;
	size_t n;

	for (; line < end; line = next, number++) {
		next = memchr(line, '\n', (size_t)(end - line));
		next = next ? next + 1 : end + 1;
		n = (size_t)(next - 1 - line);
		if (n && line[n - 1] == '\r')
			n--;
		line[n] = '\0';
		if (n == 0 || *line == '#')
			continue;
		wrong = take_line(s, line, n, number);
		if (wrong)
			return refuse(why, number, wrong);
	}
	return sort(s, why);
}

enum status
users_parse(enum users_kind kind, struct bytes text, struct users **out,
    struct users_fault *why)
{
	struct users *s = calloc(1, sizeof(*s));
	enum status st = ST_NO_MEMORY;

	if (!s)
		return ST_NO_MEMORY;
	s->kind = kind;
	s->text = malloc(text.n + 1);
	s->user = calloc(count_lines(text), sizeof(*s->user));
	if (s->text && s->user) {
		if (text.n)
			memcpy(s->text, text.p, text.n);
		s->text_n = text.n;
		st = take_lines(s, why);
	}
	if (st != ST_OK)
		users_free(&s);
	else
		*out = s;
	return st;
}

enum status
users_read(enum users_kind kind, const char *path, struct users **out,
    struct users_fault *why)
{
	const char *error;
	struct buf text;
	enum status st;

	buf_init(&text, USERS_FILE_MAX);
	st = files_read(path, &text, &error);
	if (st == ST_SYSTEM)
		st = refuse(why, 0, error);
	else if (st == ST_OK)
		st = users_parse(kind, buf_bytes(&text), out, why);
	buf_wipe(&text);
	return st;
}

void
users_free(struct users **at)
{
	struct users *s = *at;

	if (!s)
		return;
	*at = NULL;
	if (s->text)
		explicit_bzero(s->text, s->text_n);
	free(s->text);
	free(s->user);
	free(s);
}

/* ---- questions ------------------------------------------------------------------------- */

size_t
users_count(const struct users *s)
{
	return s->n;
}

struct user *
users_at(struct users *s, size_t i)
{
	return i < s->n ? &s->user[i] : NULL;
}

struct user *
users_by_name(struct users *s, struct bytes name)
{
	size_t low = 0, high = s->n, mid;
	int order;

	while (low < high) {
		mid = low + (high - low) / 2;
		order = bytes_cmp(name, bytes_str(s->user[mid].name));
		if (order == 0)
			return &s->user[mid];
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

/* How far the search goes tells of digests' first bytes, which are no secret to who has
 * the token, and no use to who has not. */
struct user *
users_by_token(struct users *s, const struct digest *token)
{
	size_t low = 0, high = s->n, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (memcmp(&s->user[mid].digest, token, sizeof(uint64_t)) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < s->n && memcmp(&s->user[low].digest, token,
	    sizeof(uint64_t)) == 0; low++)
		if (digest_same(&s->user[low].digest, token))
			return &s->user[low];
	return NULL;
}
