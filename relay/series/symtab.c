/* symtab.c - a text store, spans by number, and an open-addressing index.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The index is linear probing at most 3/4 full, and symbols leave it only in
 * the reverse of the order in which they came: a slot can be emptied without
 * a trace, since nothing that came later is left to have passed it.         */
#include "series/symtab.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "series/store.h"

#define SLOTS_MIN 64
#define TEXT_MAX UINT32_MAX		/* bytes of one string */

struct symbol {
	const uint8_t *text;		/* in the store */
	uint32_t len;
	uint32_t hash;
};

struct symtab {
	struct table symbols;		/* struct symbol */
	struct store text;
	uint32_t *slots;		/* owned; symbol, 0: free */
	uint32_t n_slots;		/* power of two, 0: no index yet */
	size_t text_size;
	struct hash_key key;
};

static struct symbol *
symbol_at(const struct symtab *t, uint32_t symbol)
{
	return table_at(&t->symbols, sizeof(struct symbol), symbol);
}

enum status
symtab_new(struct symtab **out)
{
	struct symtab *t = calloc(1, sizeof(*t));

	if (!t)
		return ST_NO_MEMORY;
	if (hash_key_init(&t->key) != ST_OK) {
		free(t);
		return ST_SYSTEM;
	}
	if (!table_grow(&t->symbols, sizeof(struct symbol), 1)) {
		symtab_free(&t);
		return ST_NO_MEMORY;
	}
	*out = t;
	return ST_OK;
}

void
symtab_free(struct symtab **t)
{
	if (!*t)
		return;
	table_fini(&(*t)->symbols);
	store_fini(&(*t)->text);
	free((*t)->slots);
	free(*t);
	*t = NULL;
}

void
symtab_reset(struct symtab *t)
{
	table_cut(&t->symbols, sizeof(struct symbol), 1);
	store_fini(&t->text);
	t->text_size = 0;
	if (t->slots)
		memset(t->slots, 0, t->n_slots * sizeof(*t->slots));
}

uint32_t
symtab_n(const struct symtab *t)
{
	return t->symbols.n;
}

struct bytes
symtab_text(const struct symtab *t, uint32_t symbol)
{
	const struct symbol *s;

	assert(symbol < t->symbols.n);
	s = symbol_at(t, symbol);
	return (struct bytes){ s->text, s->len };
}

static bool
symbol_is(const struct symbol *s, uint32_t hash, struct bytes b)
{
	return s->hash == hash && s->len == b.n &&
	    memcmp(s->text, b.p, b.n) == 0;
}

/* The slot of the string, or the free one where it would go. */
static uint32_t *
slot_of(const struct symtab *t, uint32_t hash, struct bytes b)
{
	uint32_t mask = t->n_slots - 1, i = hash & mask;

	while (t->slots[i] && !symbol_is(symbol_at(t, t->slots[i]), hash, b))
		i = (i + 1) & mask;
	return &t->slots[i];
}

static bool
make_slots(struct symtab *t)
{
	uint32_t n = t->n_slots ? t->n_slots * 2 : SLOTS_MIN, mask = n - 1;
	uint32_t *slots, i, at;

	slots = calloc(n, sizeof(*slots));
	if (!slots)
		return false;
	for (i = 1; i < t->symbols.n; i++) {
		at = symbol_at(t, i)->hash & mask;
		while (slots[at])
			at = (at + 1) & mask;
		slots[at] = i;
	}
	free(t->slots);
	t->slots = slots;
	t->n_slots = n;
	return true;
}

static enum status
add(struct symtab *t, struct bytes b, uint32_t hash, uint32_t *symbol)
{
	uint32_t id = t->symbols.n;
	struct symbol *s;
	uint8_t *text;

	if (b.n > TEXT_MAX || id == UINT32_MAX)
		return ST_NO_MEMORY;
	text = store_take(&t->text, b.n, 1);
	if (!text)
		return ST_NO_MEMORY;
	if (!table_grow(&t->symbols, sizeof(*s), id + 1)) {
		store_give_back(&t->text, text, b.n);
		return ST_NO_MEMORY;
	}
	if (b.n)
		memcpy(text, b.p, b.n);
	s = symbol_at(t, id);
	*s = (struct symbol){ text, (uint32_t)b.n, hash };
	t->text_size += b.n;
	*symbol = id;
	return ST_OK;
}

bool
symtab_find(const struct symtab *t, struct bytes b, uint32_t *symbol)
{
	uint32_t found;

	if (b.n == 0) {
		*symbol = 0;
		return true;
	}
	if (t->n_slots == 0)
		return false;
	found = *slot_of(t, (uint32_t)hash64(&t->key, b.p, b.n), b);
	if (found == 0)
		return false;
	*symbol = found;
	return true;
}

enum status
symtab_intern(struct symtab *t, struct bytes b, uint32_t *symbol)
{
	enum status st;
	uint32_t hash, *slot;

	if (b.n == 0) {
		*symbol = 0;
		return ST_OK;
	}
	if (t->symbols.n >= t->n_slots / 4 * 3 && !make_slots(t))
		return ST_NO_MEMORY;
	hash = (uint32_t)hash64(&t->key, b.p, b.n);
	slot = slot_of(t, hash, b);
	if (*slot == 0) {
		st = add(t, b, hash, symbol);
		if (st != ST_OK)
			return st;
		*slot = *symbol;
		return ST_OK;
	}
	*symbol = *slot;
	return ST_OK;
}

enum status
symtab_append(struct symtab *t, struct bytes b, uint32_t *symbol)
{
	return add(t, b, 0, symbol);
}

void
symtab_cut(struct symtab *t, uint32_t n)
{
	struct symbol *s;

	assert(n > 0);
	while (t->symbols.n > n) {
		s = symbol_at(t, t->symbols.n - 1);
		if (t->n_slots)
			*slot_of(t, s->hash, bytes_of(s->text, s->len)) = 0;
		store_give_back(&t->text, s->text, s->len);
		t->text_size -= s->len;
		table_cut(&t->symbols, sizeof(*s), t->symbols.n - 1);
	}
}

const struct hash_key *
symtab_key(const struct symtab *t)
{
	return &t->key;
}

size_t
symtab_text_size(const struct symtab *t)
{
	return t->text_size;
}

size_t
symtab_size(const struct symtab *t)
{
	return sizeof(*t) + table_size(&t->symbols, sizeof(struct symbol)) +
	    t->text.held + t->n_slots * sizeof(*t->slots);
}
