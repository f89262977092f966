/* template.c - a text taken apart into what stands in it and what is put in.
 * SPDX-License-Identifier: Apache-2.0 */
#include "policy/template.h"

#include <stdlib.h>
#include <string.h>

#include "policy/regex.h"

#define NUMBER_MAX 100000000		/* a longer one is a name (Go's extract) */

struct piece {
	struct bytes text;		/* in the template's; of no group */
	uint32_t group;
	bool is_group;
};

struct template {
	uint32_t n;
	uint32_t reach;
	bool plain;
	char *text;			/* owned */
	struct piece piece[];
};

struct parse {
	struct template *t;
	struct regex *reference;	/* owned: what follows a $ */
	struct regex_room *room;	/* owned */
	template_name_fn *name_of;
	const void *arg;
};

void
template_free(struct template **taken)
{
	struct template *t = *taken;

	*taken = NULL;
	if (!t)
		return;
	free(t->text);
	free(t);
}

/* ---- taking apart ------------------------------------------------------------- */

static void
add_text(struct template *t, const char *from, size_t n)
{
	if (n > 0)
		t->piece[t->n++] = (struct piece){
			.text = bytes_of(from, n) };
}

/* -1: it is no number, or one that Go takes for a name. */
static long
number_of(struct bytes name)
{
	long v = 0;
	size_t i;

	if (name.n > 1 && name.p[0] == '0')
		return -1;
	for (i = 0; i < name.n; i++) {
		if (name.p[i] < '0' || name.p[i] > '9' || v >= NUMBER_MAX)
			return -1;
		v = v * 10 + name.p[i] - '0';
	}
	return v;
}

static void
add_group(struct parse *p, struct bytes name)
{
	struct template *t = p->t;
	long group = number_of(name);

	if (group == -1)
		group = p->name_of(name, p->arg);
	t->plain = false;
	if (group == -1) {
		t->reach = UINT32_MAX;
		return;
	}
	if ((uint32_t)group > t->reach)
		t->reach = (uint32_t)group;
	t->piece[t->n++] = (struct piece){ .group = (uint32_t)group,
		.is_group = true };
}

/* What follows a $; returns where to go on, NULL: it is a $ like any letter. */
static const char *
take_reference(struct parse *p, const char *at)
{
	struct bytes name;

	if (regex_match(p->reference, p->room, bytes_str(at)) != REGEX_YES)
		return NULL;
	name = regex_taken(p->room, 1);
	add_group(p, name.n ? name : regex_taken(p->room, 2));
	return (const char *)regex_taken(p->room, 3).p;
}

static void
take_apart(struct parse *p)
{
	const char *from = p->t->text, *at = from, *next;

	while ((at = strchr(at, '$')) != NULL) {
		if (at[1] == '$') {
			add_text(p->t, from, (size_t)(at + 1 - from));
			from = at += 2;
			continue;
		}
		add_text(p->t, from, (size_t)(at - from));
		from = at;
		next = take_reference(p, ++at);
		if (next)
			from = at = next;
	}
	add_text(p->t, from, strlen(from));
}

struct template *
template_new(const char *text, template_name_fn *name_of, const void *arg)
{
	static const char reference[] =
	    "(?:\\{([\\p{L}\\p{Nd}_]++)\\}|([\\p{L}\\p{Nd}_]++))(.*)";
	struct parse p = { .name_of = name_of, .arg = arg };
	size_t n = 1;
	const char *at;

	for (at = text; (at = strchr(at, '$')) != NULL; at++)
		n += 2;
	p.t = calloc(1, sizeof(*p.t) + n * sizeof(p.t->piece[0]));
	if (!p.t)
		return NULL;
	p.t->plain = true;
	p.t->text = strdup(text);
	p.room = regex_room_new();
	if (!p.t->text || !p.room ||
	    regex_new(bytes_str(reference), &p.reference))
		template_free(&p.t);
	else
		take_apart(&p);
	regex_free(&p.reference);
	regex_room_free(&p.room);
	return p.t;
}

/* ---- filling in ------------------------------------------------------------------ */

bool
template_is_plain(const struct template *t)
{
	return t->plain;
}

uint32_t
template_reach(const struct template *t)
{
	return t->reach;
}

static struct bytes
text_of(const struct piece *p, template_group_fn *group, const void *arg)
{
	return p->is_group ? group(p->group, arg) : p->text;
}

size_t
template_size(const struct template *t, template_group_fn *group,
    const void *arg)
{
	size_t n = 0;
	uint32_t i;

	for (i = 0; i < t->n; i++)
		n += text_of(&t->piece[i], group, arg).n;
	return n;
}

uint8_t *
template_write(const struct template *t, template_group_fn *group,
    const void *arg, uint8_t *out)
{
	struct bytes text;
	uint32_t i;

	for (i = 0; i < t->n; i++) {
		text = text_of(&t->piece[i], group, arg);
		if (text.n)
			memcpy(out, text.p, text.n);
		out += text.n;
	}
	return out;
}
