/* resend.c - a walk through the rejected log, entry by entry.
 * SPDX-License-Identifier: Apache-2.0 */
#include "forward/resend.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "series/codec.h"

#define BYTES_MAX ((size_t)1 << 30)
#define OVER_AT_ONCE 1024

void
resend_init(struct resend *r, const char *name, struct rejected *rejected,
    struct metric_group *metrics)
{
	memset(r, 0, sizeof(*r));
	r->name = name;
	r->rejected = rejected;
	r->metrics = metrics;
	flow_init(&r->flow, 0);
}

static void
unit_free(struct unit **taken)
{
	struct unit *u = *taken;

	*taken = NULL;
	if (!u)
		return;
	batch_free(&u->batch);
	dict_unref(&u->dict);
	free(u);
}

void
resend_fini(struct resend *r)
{
	unit_free(&r->unit);
}

/* ---- orders --------------------------------------------------------------------- */

static struct resend_span
span_of(const struct resend *r, struct spool_pos entry)
{
	struct resend_span s = { entry, entry };

	if (entry.segment == 0)
		s.end = rejected_end(r->rejected);
	else
		s.end.offset++;
	return s;
}

static struct spool_pos
before(struct spool_pos p)
{
	if (p.offset > 0)
		p.offset--;
	return p;
}

/* The first entry from there on that is not over with. */
static enum status
look(struct resend *r, const struct resend_span *s, struct spool_pos *at,
    struct rejected_entry *e)
{
	enum status st = rejected_next(r->rejected, s->first, at, e);

	return st == ST_OK && spool_pos_cmp(*at, s->end) >= 0 ? ST_END : st;
}

typedef enum status each_fn(struct resend *, struct spool_pos, void *arg);

/* rejected_next() gives what is behind a place. */
static enum status
each(struct resend *r, struct spool_pos entry, each_fn *fn, void *arg,
    struct resend_sums *sums)
{
	struct resend_span s = span_of(r, entry);
	struct rejected_entry e;
	struct spool_pos at;
	enum status st;

	*sums = (struct resend_sums){ 0, 0 };
	s.first = before(s.first);
	while ((st = look(r, &s, &at, &e)) == ST_OK) {
		sums->entries++;
		sums->samples += e.samples;
		s.first = at;
		st = fn ? fn(r, at, arg) : ST_OK;
		if (st != ST_OK)
			return st;
	}
	if (st == ST_END)
		st = entry.segment && sums->entries == 0 ? ST_MISSING : ST_OK;
	return st;
}

enum status
resend_order(struct resend *r, struct spool_pos entry, struct resend_sums *sums)
{
	struct resend_span s = span_of(r, entry);
	enum status st;

	if (r->n_orders == RESEND_ORDERS_MAX)
		return ST_BUSY;
	st = each(r, entry, NULL, NULL, sums);
	if (st != ST_OK || sums->entries == 0)
		return st;
	s.first = before(s.first);
	r->orders[r->n_orders++] = s;
	log_info("rejected-resend", "upstream=%s entries=%llu samples=%llu",
	    r->name, (unsigned long long)sums->entries,
	    (unsigned long long)sums->samples);
	return ST_OK;
}

/* ---- giving up ------------------------------------------------------------------- */

/* Of one segment, to be over with together. */
struct pile {
	uint64_t segment;
	uint32_t n;
	uint64_t offsets[OVER_AT_ONCE];
};

static enum status
put_down(struct resend *r, struct pile *p)
{
	enum status st = p->n ? rejected_over(r->rejected, p->segment,
	    p->offsets, p->n) : ST_OK;

	p->n = 0;
	return st;
}

static enum status
pile_up(struct resend *r, struct spool_pos at, void *arg)
{
	struct pile *p = arg;
	enum status st = ST_OK;

	if (p->n == OVER_AT_ONCE || (p->n && p->segment != at.segment))
		st = put_down(r, p);
	p->segment = at.segment;
	p->offsets[p->n++] = at.offset;
	return st;
}

enum status
resend_drop(struct resend *r, struct spool_pos entry, struct resend_sums *sums)
{
	struct pile *p = malloc(sizeof(*p));
	enum status st;

	if (!p)
		return ST_NO_MEMORY;
	p->n = 0;
	st = each(r, entry, pile_up, p, sums);
	if (st == ST_OK)
		st = put_down(r, p);
	free(p);
	if (st != ST_OK || sums->entries == 0)
		return st;
	metric_group_add(r->metrics, METRIC_UP_REJECTED_DROPPED,
	    (int64_t)sums->samples);
	log_warn("rejected-dropped", "upstream=%s entries=%llu samples=%llu "
	    "hint=\"as ordered\"", r->name, (unsigned long long)sums->entries,
	    (unsigned long long)sums->samples);
	return ST_OK;
}

/* ---- units ------------------------------------------------------------------------ */

static enum status
decode(const struct rejected_entry *e, struct unit *u)
{
	static const struct decoder_opts opts = { BYTES_MAX };
	struct decoder *d = NULL;
	struct batch_counts n;
	enum status st;

	u->batch = batch_new(BYTES_MAX, 0);
	st = u->batch ? decoder_new(&opts, &d) : ST_NO_MEMORY;
	if (st == ST_OK)
		st = decoder_decode(d, e->data, u->batch);
	if (st == ST_OK) {
		u->dict = dict_ref(decoder_dict(d));
		n = batch_counts(u->batch);
		u->points = (uint32_t)(n.samples + n.histograms + n.exemplars);
		u->source = SUPPLY_NONE;
		u->wall_ms = e->wall_ms;
	}
	decoder_free(&d);
	return st;
}

static void
complain(const struct resend *r, struct spool_pos at, enum status st)
{
	log_error("rejected-unread", "upstream=%s segment=%016llx offset=%llu "
	    "reason=%s hint=\"it stays where it is\"", r->name,
	    (unsigned long long)at.segment, (unsigned long long)at.offset,
	    status_info(st)->word);
}

static void
next_order(struct resend *r)
{
	r->n_orders--;
	memmove(r->orders, r->orders + 1, r->n_orders * sizeof(r->orders[0]));
}

struct unit *
resend_next(struct resend *r)
{
	struct rejected_entry e;
	struct resend_span *s;
	struct spool_pos at;
	enum status st;

	while (!r->unit && r->n_orders > 0) {
		s = &r->orders[0];
		at = s->first;
		st = look(r, s, &at, &e);
		if (st != ST_OK) {
			if (st != ST_END)
				complain(r, at, st);
			next_order(r);
			continue;
		}
		s->first = at;
		r->unit = calloc(1, sizeof(*r->unit));
		st = r->unit ? decode(&e, r->unit) : ST_NO_MEMORY;
		if (st != ST_OK) {
			unit_free(&r->unit);
			complain(r, at, st);
			continue;
		}
		r->unit->pos = at;
		r->stays = false;
		return r->unit;
	}
	return NULL;
}

void
resend_done(struct resend *r, struct unit **taken)
{
	struct spool_pos at = (*taken)->pos;
	enum status st = ST_OK;

	assert(*taken == r->unit);
	*taken = NULL;
	if (!r->stays)
		st = rejected_over(r->rejected, at.segment, &at.offset, 1);
	if (st != ST_OK)
		complain(r, at, st);
	else if (!r->stays)
		metric_group_add(r->metrics, METRIC_UP_RESENT, 1);
	unit_free(&r->unit);
}
