/* session.c - series by hash, definitions, records.
 * SPDX-License-Identifier: Apache-2.0
 *
 * keys[id] is the hash of the label block that a series was first seen with, and
 * `slot` an open-addressing table of ids by it.  A block that is not in order, or has
 * empty values, may come in many forms: such a series is also entered in `alias`
 * under a canonical hash of its sorted labels, and under other forms as they come. */
#include "ingest/session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "series/codec.h"
#include "spool/spool.h"

#define SLOTS_MIN 64
/* a form more for each series, and some: past it other forms are parsed anew */
#define ALIASES_SPARE 1024
#define SYMBOL_BYTES_PER_SERIES 1024

struct alias {
	struct hash128 key;
	uint32_t id;
	bool used;
};

struct session {
	char *name;			/* owned */
	size_t n_name;
	const struct session_opts *opts;	/* borrowed */
	struct spool *spool;		/* borrowed */
	struct encoder *encoder;	/* owned */
	struct hash_key canonical;	/* of the hash of sorted labels */

	uint64_t epoch;			/* of all below; 0: none yet */
	uint32_t stream;
	struct hash128 *keys;		/* owned, by id */
	uint32_t cap_keys;
	uint32_t *slot;			/* owned; id + 1, 0: empty */
	uint32_t n_slots;		/* a power of two */
	struct alias *alias;		/* owned */
	uint32_t n_alias, n_aliases;	/* room (power of two or 0), used */
};

enum status
session_new(struct bytes name, const struct session_opts *opts,
    struct spool *spool, struct session **out)
{
	struct session *s = calloc(1, sizeof(*s));
	struct encoder_opts eo = {
		.edge = name,
		.max_series = opts->max_series,
		.max_symbol_bytes =
		    (size_t)opts->max_series * SYMBOL_BYTES_PER_SERIES,
	};
	enum status st = ST_NO_MEMORY;

	if (!s)
		return ST_NO_MEMORY;
	s->opts = opts;
	s->spool = spool;
	s->n_name = name.n;
	s->name = malloc(name.n + 1);
	if (!s->name)
		goto fail;
	memcpy(s->name, name.p, name.n);
	s->name[name.n] = '\0';
	st = hash_key_init(&s->canonical);
	if (st != ST_OK)
		goto fail;
	st = encoder_new(&eo, &s->encoder);
	if (st != ST_OK)
		goto fail;
	*out = s;
	return ST_OK;
fail:
	session_free(&s);
	return st;
}

static void
drop_tables(struct session *s)
{
	free(s->keys);
	free(s->slot);
	free(s->alias);
	s->keys = NULL;
	s->slot = NULL;
	s->alias = NULL;
	s->cap_keys = s->n_slots = s->n_alias = s->n_aliases = 0;
}

void
session_free(struct session **taken)
{
	struct session *s = *taken;

	*taken = NULL;
	if (!s)
		return;
	drop_tables(s);
	encoder_free(&s->encoder);
	free(s->name);
	free(s);
}

struct bytes
session_name(const struct session *s)
{
	return bytes_of(s->name, s->n_name);
}

uint32_t
session_n_series(const struct session *s)
{
	return encoder_n_series(s->encoder);
}

size_t
session_size(const struct session *s)
{
	return sizeof(*s) + s->n_name + 1 +
	    (size_t)s->cap_keys * sizeof(*s->keys) +
	    (size_t)s->n_slots * sizeof(*s->slot) +
	    (size_t)s->n_alias * sizeof(*s->alias) + encoder_size(s->encoder);
}

/* ---- the table of first forms ----------------------------------------------- */

static uint32_t
slot_find(const struct session *s, struct hash128 key)
{
	uint32_t i, id, mask = s->n_slots - 1;

	if (!s->n_slots)
		return SERIES_NONE;
	for (i = (uint32_t)key.lo & mask; s->slot[i]; i = (i + 1) & mask) {
		id = s->slot[i] - 1;
		if (hash128_eq(s->keys[id], key))
			return id;
	}
	return SERIES_NONE;
}

static void
slot_put(struct session *s, uint32_t id)
{
	uint32_t i, mask = s->n_slots - 1;

	for (i = (uint32_t)s->keys[id].lo & mask; s->slot[i];
	    i = (i + 1) & mask)
		;
	s->slot[i] = id + 1;
}

/* Room for one more series in keys and slot. */
static enum status
make_room(struct session *s)
{
	uint32_t id, n = encoder_n_series(s->encoder), more;
	struct hash128 *keys;
	uint32_t *slot;

	if (n == s->cap_keys) {
		/* half as much again: less is held in vain than by doubling */
		more = s->cap_keys + s->cap_keys / 2 + SLOTS_MIN;
		keys = realloc(s->keys, (size_t)more * sizeof(*keys));
		if (!keys)
			return ST_NO_MEMORY;
		s->keys = keys;
		s->cap_keys = more;
	}
	if ((uint64_t)n * 4 < (uint64_t)s->n_slots * 3)
		return ST_OK;
	more = s->n_slots ? s->n_slots * 2 : SLOTS_MIN;
	slot = calloc(more, sizeof(*slot));
	if (!slot)
		return ST_NO_MEMORY;
	free(s->slot);
	s->slot = slot;
	s->n_slots = more;
	for (id = 0; id < n; id++)
		slot_put(s, id);
	return ST_OK;
}

/* ---- other forms of a series --------------------------------------------------- */

static uint32_t
alias_find(const struct session *s, struct hash128 key)
{
	uint32_t i, mask = s->n_alias - 1;

	if (!s->n_alias)
		return SERIES_NONE;
	for (i = (uint32_t)key.lo & mask; s->alias[i].used; i = (i + 1) & mask)
		if (hash128_eq(s->alias[i].key, key))
			return s->alias[i].id;
	return SERIES_NONE;
}

static void
alias_enter(struct alias *table, uint32_t mask, struct alias a)
{
	uint32_t i;

	for (i = (uint32_t)a.key.lo & mask; table[i].used; i = (i + 1) & mask)
		;
	table[i] = a;
}

/* A table that cannot grow costs time later, nothing else. */
static void
alias_put(struct session *s, struct hash128 key, uint32_t id)
{
	uint32_t i, more;
	struct alias *table;

	if (s->n_aliases >=
	    2 * (uint64_t)encoder_n_series(s->encoder) + ALIASES_SPARE)
		return;
	if ((uint64_t)s->n_aliases * 4 >= (uint64_t)s->n_alias * 3) {
		more = s->n_alias ? s->n_alias * 2 : SLOTS_MIN;
		table = calloc(more, sizeof(*table));
		if (!table)
			return;
		for (i = 0; i < s->n_alias; i++)
			if (s->alias[i].used)
				alias_enter(table, more - 1, s->alias[i]);
		free(s->alias);
		s->alias = table;
		s->n_alias = more;
	}
	alias_enter(s->alias, s->n_alias - 1, (struct alias){ key, id, true });
	s->n_aliases++;
}

static struct hash128
canonical_key(const struct session *s, const struct label *label, uint32_t n)
{
	struct hash128 h = { n, 0 };
	struct {
		struct hash128 so_far, name, value;
	} link;
	uint32_t i;

	for (i = 0; i < n; i++) {
		link.so_far = h;
		link.name = hash128(&s->canonical, label[i].name.p,
		    label[i].name.n);
		link.value = hash128(&s->canonical, label[i].value.p,
		    label[i].value.n);
		h = hash128(&s->canonical, &link, sizeof(link));
	}
	return h;
}

/* Whether the labels stand in the block as they stand in the sorted list. */
static bool
came_sorted(const struct batch *b, const struct batch_entry *e,
    const struct label *label, uint32_t n)
{
	/* labels() has found n_block whole references in it */
	struct reader ref = reader_of(bytes_of(e->block,
	    (size_t)e->n_block * VARINT_MAX));
	uint32_t i;

	if (b->symbols) {
		if (e->n_block != 2 * n)
			return false;
		for (i = 0; i < n; i++) {
			/* references are of 32 bits, whatever came */
			uint32_t name = (uint32_t)read_varint(&ref);

			if (b->symbols[name].p != label[i].name.p)
				return false;
			(void)read_varint(&ref);
		}
		return true;
	}
	for (i = 1; i < n; i++)
		if (label[i].name.p < label[i - 1].name.p)
			return false;
	return true;
}

/* ---- an entry -------------------------------------------------------------------- */

static enum status
define(struct session *s, struct hash128 key, const struct label *label,
    uint32_t n, uint32_t *id)
{
	enum status st = make_room(s);

	if (st != ST_OK)
		return st;
	st = encoder_define(s->encoder, label, n, id);
	if (st != ST_OK)
		return st;
	assert(*id < s->cap_keys);
	s->keys[*id] = key;
	slot_put(s, *id);
	return ST_OK;
}

static enum status
check_lengths(const struct session *s, const struct label *label, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (label[i].name.n > s->opts->max_label_bytes ||
		    label[i].value.n > s->opts->max_label_bytes)
			return ST_LABEL_LONG;
	return ST_OK;
}

/* A block not seen before.  ST_OK with an id, or with e->refused set. */
static enum status
meet(struct session *s, const struct batch *b, struct batch_entry *e)
{
	struct label label[BATCH_LABELS_MAX];
	struct hash128 canonical;
	enum status st;
	uint32_t n;

	e->refused = b->labels(b, e, label, s->opts->max_labels, &n);
	if (e->refused == ST_OK)
		e->refused = check_lengths(s, label, n);
	if (e->refused != ST_OK)
		return ST_OK;
	/* in order, and never seen from this edge in another form: the usual
	 * sender, which needs no second hash.  (A series that comes in order
	 * first and in another form later is defined twice; that costs bytes.) */
	if (!s->n_aliases && came_sorted(b, e, label, n))
		return define(s, e->key, label, n, &e->id);

	canonical = canonical_key(s, label, n);
	e->id = alias_find(s, canonical);
	if (e->id != SERIES_NONE) {
		alias_put(s, e->key, e->id);
		return ST_OK;
	}
	st = define(s, e->key, label, n, &e->id);
	if (st == ST_OK)
		alias_put(s, canonical, e->id);
	return st;
}

static enum status
find(struct session *s, const struct batch *b, struct batch_entry *e,
    uint32_t before)
{
	uint32_t guess = SERIES_NONE;

	if (e->refused != ST_OK)
		return ST_OK;
	if (before != SERIES_NONE)
		guess = encoder_next(s->encoder, before);
	if (guess < encoder_n_series(s->encoder) &&
	    hash128_eq(s->keys[guess], e->key)) {
		e->id = guess;
		return ST_OK;
	}
	e->id = slot_find(s, e->key);
	if (e->id == SERIES_NONE)
		e->id = alias_find(s, e->key);
	return e->id == SERIES_NONE ? meet(s, b, e) : ST_OK;
}

/* ---- a batch ----------------------------------------------------------------------- */

static void
restart(struct session *s, uint64_t epoch)
{
	drop_tables(s);
	encoder_restart(s->encoder);
	s->epoch = epoch;
	s->stream = spool_stream_new(s->spool, epoch);
}

enum status
session_encode(struct session *s, struct batch *b, struct buf *out,
    struct session_place *place)
{
	uint64_t epoch = spool_epoch(s->spool);
	uint32_t i, before = SERIES_NONE;
	struct batch_counts left;
	enum status st;

	if (epoch != s->epoch)
		restart(s, epoch);
	for (i = 0; i < b->n_entries; i++) {
		struct batch_entry *e = &b->entries[i];

		st = find(s, b, e, before);
		if (st != ST_OK)
			return st;
		if (e->refused == ST_OK)
			before = e->id;
	}
	batch_settle(b);
	left = batch_counts(b);
	if (!left.samples && !left.histograms && !left.exemplars &&
	    !b->n_metadata)
		return ST_END;
	st = encoder_encode(s->encoder, b, out);
	if (st != ST_OK) {
		/* half a record may have gone into its state */
		s->epoch = 0;
		return st;
	}
	place->epoch = s->epoch;
	place->stream = s->stream;
	return ST_OK;
}
