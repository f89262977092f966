/* shelf.c - views in order of their numbers, claims in a list.
 * SPDX-License-Identifier: Apache-2.0 */
#include "spool/shelf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void
shelf_init(struct shelf *s)
{
	*s = (struct shelf){ .n = 0 };
	(void)pthread_mutex_init(&s->lock, NULL); /* cannot fail on Linux */
}

static void
unref(struct view *v)
{
	assert(v->refs > 0);
	if (--v->refs == 0)
		free(v);
}

void
shelf_fini(struct shelf *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		unref(s->views[i]);
	free(s->views);
	while (s->claims) {
		struct claim *c = s->claims;

		s->claims = c->next;
		free(c);
	}
	(void)pthread_mutex_destroy(&s->lock);
}

static void
lock(struct shelf *s)
{
	(void)pthread_mutex_lock(&s->lock);
}

static void
unlock(struct shelf *s)
{
	(void)pthread_mutex_unlock(&s->lock);
}

/* ---- views ------------------------------------------------------------------- */

static bool
is(const struct view *v, unsigned flag)
{
	return atomic_load(&v->flags) & flag;
}

enum status
shelf_add(struct shelf *s, uint64_t number, struct view **out)
{
	struct view *v = calloc(1, sizeof(*v));
	enum status st = v ? ST_OK : ST_NO_MEMORY;

	lock(s);
	if (st == ST_OK && s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		struct view **views = realloc(s->views, cap * sizeof(*views));

		if (views) {
			s->views = views;
			s->cap = cap;
		} else {
			st = ST_NO_MEMORY;
		}
	}
	if (st == ST_OK) {
		assert(s->n == 0 || s->views[s->n - 1]->number < number);
		v->number = number;
		v->refs = 1;
		atomic_init(&v->end, FORMAT_HEADER);
		atomic_init(&v->flags, 0);
		s->views[s->n++] = v;
		*out = v;
	} else {
		free(v);
	}
	unlock(s);
	return st;
}

static void
take_first(struct shelf *s)
{
	s->size -= s->views[0]->size;
	unref(s->views[0]);
	s->n--;
	memmove(s->views, s->views + 1, s->n * sizeof(*s->views));
}

static bool
is_past(const struct claim *c, const struct view *v)
{
	if (c->pos.segment != v->number)
		return c->pos.segment > v->number;
	return is(v, VIEW_SEALED) && !is(v, VIEW_GONE) &&
	    c->pos.offset >= atomic_load(&v->end);
}

/* S6 */
static bool
passed(const struct shelf *s, const struct view *v)
{
	const struct claim *c;

	for (c = s->claims; c; c = c->next)
		if (!is_past(c, v))
			return false;
	return is(v, VIEW_SEALED);
}

bool
shelf_take_passed(struct shelf *s, uint64_t *number, bool *gone)
{
	bool take;

	lock(s);
	take = s->n > 0 && passed(s, s->views[0]) &&
	    (s->claims || is(s->views[0], VIEW_GONE));
	if (take) {
		*number = s->views[0]->number;
		*gone = is(s->views[0], VIEW_GONE);
		take_first(s);
	}
	unlock(s);
	return take;
}

/* The place of the segment that can be dropped; n if there is none. */
static size_t
next_drop(const struct shelf *s)
{
	size_t i = s->n > 0 && is(s->views[0], VIEW_GONE) ? 1 : 0;

	return i + 1 < s->n && is(s->views[i], VIEW_SEALED) ? i : s->n;
}

const struct view *
shelf_next_drop(struct shelf *s)
{
	const struct view *v;
	size_t i;

	lock(s);
	i = next_drop(s);
	v = i < s->n ? s->views[i] : NULL;
	unlock(s);
	return v;
}

bool
shelf_behind(struct shelf *s, const struct view *v, size_t i,
    char name[SPOOL_NAME_MAX + 1])
{
	const struct claim *c;

	lock(s);
	for (c = s->claims; c; c = c->next)
		if (!is_past(c, v) && i-- == 0)
			break;
	if (c)
		memcpy(name, c->name, sizeof(c->name));
	unlock(s);
	return c;
}

bool
shelf_has_claims(struct shelf *s)
{
	bool has;

	lock(s);
	has = s->claims;
	unlock(s);
	return has;
}

bool
shelf_drop(struct shelf *s, uint64_t *number, uint64_t *before, bool *lost)
{
	size_t i;
	bool drop;

	lock(s);
	i = next_drop(s);
	drop = i < s->n;
	if (drop) {
		struct view *v = s->views[i];

		*number = v->number;
		*before = i ? s->views[0]->number : 0;
		*lost = !passed(s, v);
		shelf_set_size(s, v, 0);
		atomic_fetch_or(&v->flags, VIEW_GONE);
		if (i)
			take_first(s);
		if (!*lost)
			take_first(s);
	}
	unlock(s);
	return drop;
}

void
shelf_set_size(struct shelf *s, struct view *v, uint64_t size)
{
	s->size += size - v->size;
	v->size = size;
}

uint64_t
shelf_size(struct shelf *s, size_t *segments)
{
	lock(s);
	*segments = s->n - (s->n > 0 && is(s->views[0], VIEW_GONE));
	unlock(s);
	return s->size;
}

/* The index of the first view with this number or a later one. */
static size_t
find(const struct shelf *s, uint64_t number)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->views[middle]->number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct view *
shelf_from(struct shelf *s, uint64_t number, bool *hole)
{
	struct view *v = NULL;
	size_t i;

	lock(s);
	i = find(s, number);
	if (i < s->n) {
		v = s->views[i];
		v->refs++;
	}
	*hole = v && i > 0 && v->number != number;
	unlock(s);
	return v;
}

void
shelf_unref(struct shelf *s, struct view **v)
{
	if (!*v)
		return;
	lock(s);
	unref(*v);
	unlock(s);
	*v = NULL;
}

bool
shelf_end(struct shelf *s, uint64_t number, uint64_t *end)
{
	bool there;
	size_t i;

	lock(s);
	i = find(s, number);
	there = i < s->n && s->views[i]->number == number &&
	    !is(s->views[i], VIEW_GONE);
	if (there)
		*end = atomic_load(&s->views[i]->end);
	unlock(s);
	return there;
}

struct spool_pos
shelf_oldest(struct shelf *s)
{
	struct spool_pos pos = { 0, 0 };
	size_t i;

	lock(s);
	i = s->n > 1 && is(s->views[0], VIEW_GONE) ? 1 : 0;
	if (i < s->n)
		pos = (struct spool_pos){ s->views[i]->number, FORMAT_HEADER };
	unlock(s);
	return pos;
}

struct spool_pos
shelf_newest(struct shelf *s)
{
	struct spool_pos pos = { 0, 0 };

	lock(s);
	if (s->n > 0) {
		pos.segment = s->views[s->n - 1]->number;
		pos.offset = atomic_load(&s->views[s->n - 1]->end);
	}
	unlock(s);
	return pos;
}

static uint64_t
behind(const struct shelf *s, struct spool_pos pos)
{
	uint64_t bytes = 0;
	size_t i;

	for (i = find(s, pos.segment); i < s->n; i++) {
		const struct view *v = s->views[i];
		uint64_t from = FORMAT_HEADER, end = atomic_load(&v->end);

		if (v->number == pos.segment && pos.offset > from)
			from = pos.offset;
		if (!is(v, VIEW_GONE) && end > from)
			bytes += end - from;
	}
	return bytes;
}

uint64_t
shelf_backlog(struct shelf *s, struct spool_pos pos)
{
	uint64_t bytes;

	lock(s);
	bytes = behind(s, pos);
	unlock(s);
	return bytes;
}

static const struct claim *
last_claim(const struct shelf *s)
{
	const struct claim *c, *last = NULL;

	for (c = s->claims; c; c = c->next)
		if (!last || spool_pos_cmp(c->pos, last->pos) < 0)
			last = c;
	return last;
}

uint64_t
shelf_needed(struct shelf *s)
{
	struct spool_pos pos = { 0, 0 };
	const struct claim *last;
	uint64_t bytes;

	lock(s);
	last = last_claim(s);
	if (last)
		pos = last->pos;
	bytes = behind(s, pos);
	unlock(s);
	return bytes;
}

/* ---- claims ------------------------------------------------------------------ */

static struct claim **
find_claim(struct shelf *s, const char *name)
{
	struct claim **at = &s->claims;

	while (*at && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

enum status
shelf_claim(struct shelf *s, const char *name, struct claim **out)
{
	struct claim *c;

	lock(s);
	c = *find_claim(s, name);
	if (!c) {
		c = calloc(1, sizeof(*c));
		if (c) {
			assert(strlen(name) <= SPOOL_NAME_MAX);
			memcpy(c->name, name, strlen(name));
			c->next = s->claims;
			s->claims = c;
		}
	}
	unlock(s);
	*out = c;
	return c ? ST_OK : ST_NO_MEMORY;
}

void
shelf_attach(struct shelf *s, struct claim *c)
{
	lock(s);
	c->readers++;
	unlock(s);
}

void
shelf_detach(struct shelf *s, struct claim *c)
{
	lock(s);
	assert(c->readers > 0);
	c->readers--;
	unlock(s);
}

bool
shelf_is_read(struct shelf *s, const char *name)
{
	const struct claim *c;
	bool is_read;

	lock(s);
	c = *find_claim(s, name);
	is_read = c && c->readers;
	unlock(s);
	return is_read;
}

enum status
shelf_forget(struct shelf *s, const char *name)
{
	struct claim **at, *c;
	enum status st = ST_OK;

	lock(s);
	at = find_claim(s, name);
	c = *at;
	if (!c)
		st = ST_MISSING;
	else if (c->readers)
		st = ST_BUSY;
	if (st == ST_OK) {
		*at = c->next;
		free(c);
	}
	unlock(s);
	return st;
}

bool
shelf_release(struct shelf *s, struct claim *c, struct spool_pos pos)
{
	bool can;

	lock(s);
	if (spool_pos_cmp(pos, c->pos) > 0)
		c->pos = pos;
	can = s->n > 0 && passed(s, s->views[0]);
	unlock(s);
	return can;
}

void
shelf_last(struct shelf *s, char name[SPOOL_NAME_MAX + 1])
{
	const struct claim *last;

	lock(s);
	last = last_claim(s);
	memset(name, 0, SPOOL_NAME_MAX + 1);
	if (last)
		memcpy(name, last->name, sizeof(last->name));
	unlock(s);
}

uint64_t
shelf_highest(struct shelf *s)
{
	uint64_t highest = 0;
	const struct claim *c;

	lock(s);
	if (s->n > 0)
		highest = s->views[s->n - 1]->number;
	for (c = s->claims; c; c = c->next)
		if (c->pos.segment > highest)
			highest = c->pos.segment;
	unlock(s);
	return highest;
}
