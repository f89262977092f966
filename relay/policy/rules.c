/* rules.c - relabel, then what is set.
 * SPDX-License-Identifier: Apache-2.0 */
#include "policy/rules.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/utf8.h"

struct rules {
	const struct relabel *relabel;	/* borrowed; NULL: none */
	uint8_t *text;			/* owned: values of `set` */
	bool bad_utf8;			/* one of them is not */
	size_t n;
	struct label set[];
};

void
rules_free(struct rules **taken)
{
	struct rules *r = *taken;

	*taken = NULL;
	if (!r)
		return;
	free(r->text);
	free(r);
}

static bool
expand(struct rules *r, const struct edge_policy *p, struct bytes edge)
{
	struct edge_stars stars;
	size_t i, n = 1;
	uint8_t *to, *end;

	edge_stars(p->pattern, edge, &stars);
	for (i = 0; i < p->n_set; i++)
		n += template_size(p->set[i].value, edge_star, &stars);
	r->text = to = malloc(n);
	if (!to)
		return false;
	for (i = 0; i < p->n_set; i++, to = end) {
		end = template_write(p->set[i].value, edge_star, &stars, to);
		r->set[i].name = p->set[i].name;
		r->set[i].value = bytes_of(to, (size_t)(end - to));
		if (!utf8_valid(r->set[i].value))
			r->bad_utf8 = true;
	}
	return true;
}

enum status
rules_new(const struct edge_policy *p, struct bytes edge, struct rules **out)
{
	struct rules *r;

	*out = NULL;
	if (!p || (!p->relabel && !p->n_set))
		return ST_OK;
	r = calloc(1, sizeof(*r) + p->n_set * sizeof(r->set[0]));
	if (!r)
		return ST_NO_MEMORY;
	r->relabel = p->relabel;
	r->n = p->n_set;
	if (!expand(r, p, edge)) {
		rules_free(&r);
		return ST_NO_MEMORY;
	}
	*out = r;
	return ST_OK;
}

/* ---- a series ------------------------------------------------------------------ */

/* The place of a name, or the one to put it; labels are sorted. */
static uint32_t
place_of(const struct label *label, uint32_t n, struct bytes name, bool *is)
{
	uint32_t i;
	int c = 1;

	for (i = 0; i < n; i++) {
		c = bytes_cmp(label[i].name, name);
		if (c >= 0)
			break;
	}
	*is = i < n && c == 0;
	return i;
}

static bool
is_forged(const struct rules *r, const struct label *label, uint32_t n)
{
	uint32_t at;
	size_t i;
	bool is;

	for (i = 0; i < r->n; i++) {
		at = place_of(label, n, r->set[i].name, &is);
		if (is && !bytes_eq(label[at].value, r->set[i].value))
			return true;
	}
	return false;
}

static enum status
set(struct label *label, uint32_t *n, const struct label *it)
{
	bool is;
	uint32_t at = place_of(label, *n, it->name, &is);

	if (it->value.n == 0) {
		if (is)
			memmove(label + at, label + at + 1,
			    (--*n - at) * sizeof(*label));
		return ST_OK;
	}
	if (!is) {
		if (*n == BATCH_LABELS_MAX)
			return ST_TOO_MANY_LABELS;
		memmove(label + at + 1, label + at,
		    ((*n)++ - at) * sizeof(*label));
	}
	label[at] = *it;
	return ST_OK;
}

static enum status
check(const struct label *label, uint32_t n)
{
	bool is;

	if (n > 0 && label[0].name.n == 0)
		return ST_EMPTY_NAME;
	(void)place_of(label, n, BYTES_LIT("__name__"), &is);
	return is ? ST_OK : ST_NO_NAME;
}

static uint64_t
added(const struct label *came, uint32_t n_came, const struct label *label,
    uint32_t n)
{
	uint64_t h = 0;
	uint32_t i, at = 0;

	for (i = 0; i < n; i++) {
		if (at == n_came || !bytes_eq(came[at].name, label[i].name))
			h = h * 31 + hash_lasting(label[i].name.p,
			    label[i].name.n);
		else if (!bytes_eq(came[at++].value, label[i].value))
			return 0;
	}
	return at == n_came ? h | 1 : 0;
}

enum status
rules_apply(const struct rules *r, struct relabel_room *room,
    struct label *label, uint32_t *n, struct rules_deed *deed)
{
	struct label came[BATCH_LABELS_MAX];
	uint32_t n_came = *n;
	enum status st = ST_OK;
	size_t i;

	memcpy(came, label, n_came * sizeof(*label));
	deed->forged = is_forged(r, label, *n);
	if (r->relabel)
		st = relabel_series(r->relabel, room, label, n);
	if (st == ST_OK && r->bad_utf8)
		st = ST_BAD_UTF8;
	for (i = 0; i < r->n && st == ST_OK; i++)
		st = set(label, n, &r->set[i]);
	if (st == ST_OK)
		st = check(label, *n);
	deed->added = st == ST_OK ? added(came, n_came, label, *n) : 0;
	return st;
}
