/* session.c - series by hash, definitions, records.
 * SPDX-License-Identifier: Apache-2.0
 *
 * `now` has the series of this epoch, by the ids of the encoder; `before` those of the
 * epoch before it, for what each was given last, until all have been met again.  */
#include "ingest/session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/known.h"
#include "policy/rules.h"
#include "series/codec.h"
#include "spool/spool.h"

#define SYMBOL_BYTES_PER_SERIES 1024
/* a form more for each series, and some: past it other forms are parsed anew */
#define FORMS_SPARE 1024

struct session {
	char *name;			/* owned */
	size_t n_name;
	const struct session_opts *opts;	/* borrowed */
	struct spool *spool;		/* borrowed */
	struct encoder *encoder;	/* owned */
	struct rules *rules;		/* owned; NULL: labels stay as they come */
	uint32_t spare;			/* forms: known_add_alias() */
	struct hash_key canonical;	/* of the hash of sorted labels */

	uint64_t epoch;			/* of all below; 0: none yet */
	uint32_t stream;
	struct known now, before;
	uint32_t unmet;			/* of before, that were given something */
	uint32_t forged;		/* met in the batch under way */
	/* Of `now`: series came in other forms, or the rules have not only added labels
	 * of the same names to each. */
	bool mixed;
	uint64_t added;			/* those names, by hash */
	struct repeats repeats;
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
	if (st == ST_OK)
		st = rules_new(opts->policy, name, &s->rules);
	if (st != ST_OK)
		goto fail;
	/* with rules there may be as many that are none as there are series */
	s->spare = FORMS_SPARE + (s->rules ? opts->max_series : 0);
	st = encoder_new(&eo, &s->encoder);
	if (st != ST_OK)
		goto fail;
	*out = s;
	return ST_OK;
fail:
	session_free(&s);
	return st;
}

void
session_free(struct session **taken)
{
	struct session *s = *taken;

	*taken = NULL;
	if (!s)
		return;
	known_fini(&s->now);
	known_fini(&s->before);
	encoder_free(&s->encoder);
	rules_free(&s->rules);
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
	return sizeof(*s) + s->n_name + 1 + known_size(&s->now) +
	    known_size(&s->before) + encoder_size(s->encoder);
}

/* ---- other forms of a series --------------------------------------------------- */

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

/* What the series was given last in the epoch before. */
static void
take_over(struct session *s, struct hash128 key, uint32_t id)
{
	uint32_t was = known_find(&s->before, key);
	struct last *last;

	if (was >= s->before.n)
		return;
	last = last_at(&s->before.last, was);
	if (last->kind == LAST_NONE)
		return;
	*last_at(&s->now.last, id) = *last;
	last->kind = LAST_NONE;
	if (--s->unmet == 0)
		known_fini(&s->before);
}

static enum status
define(struct session *s, struct hash128 key, const struct label *label,
    uint32_t n, uint32_t *id)
{
	enum status st;

	if (!known_room(&s->now))
		return ST_NO_MEMORY;
	st = encoder_define(s->encoder, label, n, id);
	if (st != ST_OK)
		return st;
	assert(*id == s->now.n);
	known_add(&s->now, key);
	if (s->unmet)
		take_over(s, key, *id);
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

static void
go_by_rules(struct session *s, struct batch_entry *e, struct label *label,
    uint32_t *n)
{
	struct rules_deed deed;

	e->refused = rules_apply(s->rules, s->opts->room, label, n, &deed);
	if (e->refused == ST_OK)
		e->refused = check_lengths(s, label, *n);
	s->forged += deed.forged;
	if (e->refused != ST_OK) {
		known_add_alias(&s->now, e->key, KNOWN_VERDICT(e->refused),
		    s->spare);
		return;
	}
	if (s->now.n == 0)
		s->added = deed.added;
	if (!deed.added || deed.added != s->added)
		s->mixed = true;
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
	if (e->refused == ST_OK && !s->mixed)
		s->mixed = !came_sorted(b, e, label, n);
	if (e->refused == ST_OK && s->rules)
		go_by_rules(s, e, label, &n);
	else if (e->refused == ST_OK)
		e->refused = check_lengths(s, label, n);
	if (e->refused != ST_OK)
		return ST_OK;
	/* in order, and nothing else was seen from this edge: the usual sender,
	 * which needs no second hash.  (A series that comes so first and in
	 * another form later is defined twice; that costs bytes.) */
	if (!s->mixed)
		return define(s, e->key, label, n, &e->id);

	canonical = canonical_key(s, label, n);
	e->id = known_find_alias(&s->now, canonical);
	if (e->id != SERIES_NONE) {
		known_add_alias(&s->now, e->key, e->id, s->spare);
		return ST_OK;
	}
	st = define(s, e->key, label, n, &e->id);
	if (st == ST_OK)
		known_add_alias(&s->now, canonical, e->id, s->spare);
	return st;
}

static enum status
find(struct session *s, const struct batch *b, struct batch_entry *e,
    uint32_t before)
{
	if (e->refused != ST_OK)
		return ST_OK;
	/* The next number is looked at first, though it may not be what followed
	 * the last time: it is there without a load that waits for the one
	 * before it.  (0 after SERIES_NONE.) */
	e->id = before + 1;
	if (known_is(&s->now, e->id, e->key))
		return ST_OK;
	if (before != SERIES_NONE) {
		e->id = encoder_next(s->encoder, before);
		if (known_is(&s->now, e->id, e->key))
			return ST_OK;
	}
	e->id = known_find(&s->now, e->key);
	if (e->id == SERIES_NONE)
		return meet(s, b, e);
	e->refused = known_verdict(e->id);
	return ST_OK;
}

/* ---- a batch ----------------------------------------------------------------------- */

static void
restart(struct session *s, uint64_t epoch)
{
	uint32_t i;

	known_fini(&s->before);
	s->before = s->now;
	s->now = (struct known){ 0 };
	s->unmet = 0;
	s->mixed = false;
	for (i = 0; i < s->before.n; i++)
		s->unmet += last_at(&s->before.last, i)->kind != LAST_NONE;
	if (!s->unmet)
		known_fini(&s->before);
	encoder_restart(s->encoder);
	s->epoch = epoch;
	s->stream = spool_stream_new(s->spool, epoch);
}

static enum status
find_all(struct session *s, struct batch *b)
{
	uint32_t i, before = SERIES_NONE;
	enum status st;

	for (i = 0; i < b->n_entries; i++) {
		struct batch_entry *e = &b->entries[i];

		st = find(s, b, e, before);
		if (st != ST_OK)
			return st;
		if (e->refused == ST_OK)
			before = e->id;
	}
	return ST_OK;
}

enum status
session_encode(struct session *s, struct batch *b, struct hash128 body,
    struct buf *out, struct session_record *r)
{
	uint64_t epoch = spool_epoch(s->spool);
	enum status st;

	if (epoch != s->epoch)
		restart(s, epoch);
	r->defined = s->now.n;
	s->forged = 0;
	st = find_all(s, b);
	r->defined = s->now.n - r->defined;
	r->forged = s->forged;
	if (st != ST_OK)
		return st;
	if (s->rules)
		r->filtered = batch_refused_counts(b, ST_FILTERED);
	batch_settle(b);
	r->repeated = repeats_take(&s->repeats, &s->canonical, body,
	    &s->now.last, b);
	if (!b->n_samples && !b->n_histograms && !b->n_exemplars &&
	    !b->n_metadata)
		return ST_END;
	st = encoder_encode(s->encoder, b, out);
	if (st != ST_OK) {
		/* half a record may have gone into its state */
		s->epoch = 0;
		session_forget(s);
		return st;
	}
	r->epoch = s->epoch;
	r->stream = s->stream;
	return ST_OK;
}

void
session_forget(struct session *s)
{
	repeats_forget(&s->repeats, &s->now.last, s->now.n);
	known_fini(&s->before);
	s->unmet = 0;
}
