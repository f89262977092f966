/* relabel.c - one rule after the other.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The labels are a list as Prometheus' labels.Builder has them: in front those that the
 * series came with, by name, as long as no rule has set them; behind them those that
 * were set, in the order in which they were.  labelmap goes through it in that order,
 * and what is set last counts.                                              */
#include "policy/relabel.h"

#include <inttypes.h>
#include <locale.h>
#include <md5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "base/utf8.h"
#include "policy/regex.h"
#include "policy/template.h"

#define TEXT_BYTES_MAX ((size_t)4 << 20)	/* made of one series */
#define TEXT_BYTES_KEEP ((size_t)64 << 10)

struct rule {
	struct relabel_rule o;
	struct regex *regex;		/* owned */
	struct template *target, *replacement;	/* owned */
};

struct relabel {
	locale_t unicode;		/* owned */
	size_t n;
	struct rule rule[];
};

struct relabel_room {
	struct regex_room *regex;	/* owned */
	struct arena *arena;		/* owned */
	struct label before[BATCH_LABELS_MAX];
};

/* A series under way. */
struct work {
	const struct relabel *rules;
	struct relabel_room *room;
	struct label *label;
	uint32_t n_came;		/* in front: not set by a rule */
	uint32_t n;
	enum status st;
};

/* ---- labels ------------------------------------------------------------------- */

static uint32_t
find(const struct work *w, struct bytes name)
{
	uint32_t i;

	for (i = 0; i < w->n; i++)
		if (bytes_eq(w->label[i].name, name))
			break;
	return i;
}

static struct bytes
get(const struct work *w, struct bytes name)
{
	uint32_t i = find(w, name);

	return i < w->n ? w->label[i].value : BYTES_LIT("");
}

static void
del_at(struct work *w, uint32_t i)
{
	w->n--;
	if (i < w->n_came)
		w->n_came--;
	memmove(w->label + i, w->label + i + 1,
	    (w->n - i) * sizeof(*w->label));
}

static void
set(struct work *w, struct bytes name, struct bytes value)
{
	uint32_t i = find(w, name);

	if (value.n > 0 && i < w->n && i >= w->n_came) {
		w->label[i].value = value;
		return;
	}
	if (i < w->n)
		del_at(w, i);
	if (value.n == 0)
		return;
	if (w->n == BATCH_LABELS_MAX) {
		w->st = ST_TOO_MANY_LABELS;
		return;
	}
	w->label[w->n++] = (struct label){ name, value };
}

/* Memory that lasts as long as the labels; NULL: the end of it. */
static void *
take(struct work *w, size_t n)
{
	void *p = arena_take(w->room->arena, n);

	if (!p)
		w->st = ST_RELABEL_EFFORT;
	return p;
}

/* ---- texts ----------------------------------------------------------------------- */

/* The values of the source labels in a row. */
static struct bytes
source(struct work *w, const struct relabel_rule *o)
{
	struct bytes separator = bytes_str(o->separator), v;
	uint8_t *out, *to;
	size_t n = 0, i;

	if (o->n_source_labels == 1)
		return get(w, bytes_str(o->source_labels[0]));
	for (i = 0; i < o->n_source_labels; i++)
		n += get(w, bytes_str(o->source_labels[i])).n +
		    (i > 0 ? separator.n : 0);
	out = to = take(w, n);
	for (i = 0; i < o->n_source_labels && to; i++) {
		if (i > 0) {
			memcpy(to, separator.p, separator.n);
			to += separator.n;
		}
		v = get(w, bytes_str(o->source_labels[i]));
		if (v.n)
			memcpy(to, v.p, v.n);
		to += v.n;
	}
	return bytes_of(out, out ? n : 0);
}

static bool
matches(struct work *w, const struct rule *r, struct bytes text)
{
	enum regex_result m;

	if (w->st != ST_OK)
		return false;
	m = regex_match(r->regex, w->room->regex, text);
	if (m == REGEX_GIVEN_UP)
		w->st = ST_RELABEL_EFFORT;
	return m == REGEX_YES;
}

static struct bytes
group_of(unsigned group, const void *room)
{
	return regex_taken(room, group);
}

static int
group_named(struct bytes name, const void *regex)
{
	return regex_group(regex, name);
}

/* With what the expression has matched last. */
static struct bytes
expand(struct work *w, const struct template *t)
{
	const struct regex_room *groups = w->room->regex;
	size_t n = template_size(t, group_of, groups);
	uint8_t *out = take(w, n);

	if (!out)
		return BYTES_LIT("");
	(void)template_write(t, group_of, groups, out);
	return bytes_of(out, n);
}

/* ---- upper and lower case ----------------------------------------------------------- */

static uint32_t
code_point(const uint8_t **at)
{
	const uint8_t *p = *at;
	unsigned more = (*p >= 0xc0) + (*p >= 0xe0) + (*p >= 0xf0), i;
	uint32_t c = more ? *p & (0x3fu >> more) : *p;

	for (i = 1; i <= more; i++)
		c = c << 6 | (p[i] & 0x3f);
	*at = p + more + 1;
	return c;
}

static uint8_t *
put_code_point(uint8_t *to, uint32_t c)
{
	if (c < 0x80) {
		*to++ = (uint8_t)c;
		return to;
	}
	if (c < 0x800) {
		*to++ = (uint8_t)(0xc0 | c >> 6);
	} else {
		if (c < 0x10000) {
			*to++ = (uint8_t)(0xe0 | c >> 12);
		} else {
			*to++ = (uint8_t)(0xf0 | c >> 18);
			*to++ = (uint8_t)(0x80 | (c >> 12 & 0x3f));
		}
		*to++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	}
	*to++ = (uint8_t)(0x80 | (c & 0x3f));
	return to;
}

static struct bytes
in_case(struct work *w, struct bytes text, enum relabel_action action)
{
	const uint8_t *at = text.p, *end = text.p + text.n;
	uint8_t *out, *to;
	uint32_t c;

	if (!utf8_valid(text)) {
		w->st = ST_BAD_UTF8;
		return BYTES_LIT("");
	}
	/* of two bytes three may become */
	out = to = take(w, text.n * 2);
	while (to && at < end) {
		c = code_point(&at);
		c = (uint32_t)(action == RELABEL_LOWER ?
		    towlower_l((wint_t)c, w->rules->unicode) :
		    towupper_l((wint_t)c, w->rules->unicode));
		to = put_code_point(to, c);
	}
	return bytes_of(out, (size_t)(to - out));
}

/* ---- actions ------------------------------------------------------------------------ */

static void
replace(struct work *w, const struct rule *r, struct bytes text)
{
	struct bytes name, value;

	if (!matches(w, r, text))
		return;
	name = expand(w, r->target);
	value = expand(w, r->replacement);
	if (w->st == ST_OK && name.n > 0 && utf8_valid(name))
		set(w, name, value);
}

/* The last eight bytes of MD5, the first of them the highest. */
static void
hashmod(struct work *w, const struct rule *r, struct bytes text)
{
	uint8_t digest[MD5_DIGEST_LENGTH];
	uint64_t v = 0;
	MD5_CTX md5;
	char *out;
	int i;

	MD5Init(&md5);
	MD5Update(&md5, text.n ? text.p : digest, text.n);
	MD5Final(digest, &md5);
	for (i = 8; i < MD5_DIGEST_LENGTH; i++)
		v = v << 8 | digest[i];
	out = take(w, 24);
	if (!out)
		return;
	(void)snprintf(out, 24, "%" PRIu64, v % r->o.modulus);
	set(w, bytes_str(r->o.target_label), bytes_str(out));
}

/* labelmap, labeldrop and labelkeep, of the labels as they were before. */
static void
by_name(struct work *w, const struct rule *r)
{
	const struct label *before = w->room->before;
	uint32_t i, n = w->n;
	bool yes;

	memcpy(w->room->before, w->label, n * sizeof(*before));
	for (i = 0; i < n && w->st == ST_OK; i++) {
		yes = matches(w, r, before[i].name);
		if (w->st != ST_OK)
			return;
		if (r->o.action != RELABEL_MAP) {
			if (yes == (r->o.action == RELABEL_DROP_LABELS))
				set(w, before[i].name, BYTES_LIT(""));
		} else if (yes) {
			set(w, expand(w, r->replacement), before[i].value);
		}
	}
}

/* False: the series is dropped. */
static bool
apply(struct work *w, const struct rule *r)
{
	struct bytes target = bytes_str(r->o.target_label);
	struct bytes text = source(w, &r->o);

	if (w->st != ST_OK)
		return true;
	switch (r->o.action) {
	case RELABEL_REPLACE:
		replace(w, r, text);
		return true;
	case RELABEL_KEEP:
		return matches(w, r, text);
	case RELABEL_DROP:
		return !matches(w, r, text);
	case RELABEL_KEEP_EQUAL:
		return bytes_eq(get(w, target), text);
	case RELABEL_DROP_EQUAL:
		return !bytes_eq(get(w, target), text);
	case RELABEL_HASHMOD:
		hashmod(w, r, text);
		return true;
	case RELABEL_LOWER:
	case RELABEL_UPPER:
		set(w, target, in_case(w, text, r->o.action));
		return true;
	case RELABEL_MAP:
	case RELABEL_DROP_LABELS:
	case RELABEL_KEEP_LABELS:
		break;
	}
	by_name(w, r);
	return true;
}

static int
by_label_name(const void *a, const void *b)
{
	const struct label *x = a, *y = b;

	return bytes_cmp(x->name, y->name);
}

enum status
relabel_series(const struct relabel *rules, struct relabel_room *room,
    struct label *label, uint32_t *n)
{
	struct work w = { .rules = rules, .room = room, .label = label,
		.n_came = *n, .n = *n, .st = ST_OK };
	bool keep = true;
	size_t i;

	arena_reset(room->arena);
	for (i = 0; i < rules->n && keep && w.st == ST_OK; i++)
		keep = apply(&w, &rules->rule[i]);
	if (w.st != ST_OK)
		return w.st;
	if (!keep)
		return ST_FILTERED;
	if (w.n_came < w.n)
		qsort(label, w.n, sizeof(*label), by_label_name);
	*n = w.n;
	return ST_OK;
}

/* ---- what is wrong with a rule ---------------------------------------------------------- */

static bool
is_usual(const struct relabel_rule *o)
{
	return strcmp(o->separator, RELABEL_SEPARATOR) == 0 &&
	    strcmp(o->replacement, RELABEL_REPLACEMENT) == 0 &&
	    o->modulus == 0;
}

static bool
is_by_name(enum relabel_action a)
{
	return a == RELABEL_MAP || a == RELABEL_DROP_LABELS ||
	    a == RELABEL_KEEP_LABELS;
}

/* The rules of Prometheus' Config.Validate, and no more. */
static const char *
check(const struct relabel_rule *o)
{
	bool usual_regex = strcmp(o->regex, RELABEL_REGEX) == 0;

	if (o->action == RELABEL_HASHMOD && o->modulus == 0)
		return "hashmod needs a modulus";
	if (*o->target_label == '\0' && !is_by_name(o->action) &&
	    o->action != RELABEL_KEEP && o->action != RELABEL_DROP)
		return "this action needs a target-label";
	if ((o->action == RELABEL_LOWER || o->action == RELABEL_UPPER) &&
	    strcmp(o->replacement, RELABEL_REPLACEMENT) != 0)
		return "lowercase and uppercase take no replacement";
	if (o->action == RELABEL_MAP && *o->replacement == '\0')
		return "labelmap needs a replacement";
	if ((o->action == RELABEL_KEEP_EQUAL ||
	    o->action == RELABEL_DROP_EQUAL) && !(usual_regex && is_usual(o)))
		return "keepequal and dropequal take source-labels and "
		       "target-label, and nothing else";
	if ((o->action == RELABEL_DROP_LABELS ||
	    o->action == RELABEL_KEEP_LABELS) && !(is_usual(o) &&
	    o->n_source_labels == 0 && *o->target_label == '\0'))
		return "labeldrop and labelkeep take a regex, and nothing else";
	return NULL;
}

/* ---- life ----------------------------------------------------------------------------- */

void
relabel_free(struct relabel **taken)
{
	struct relabel *rules = *taken;
	size_t i;

	*taken = NULL;
	if (!rules)
		return;
	for (i = 0; i < rules->n; i++) {
		regex_free(&rules->rule[i].regex);
		template_free(&rules->rule[i].target);
		template_free(&rules->rule[i].replacement);
	}
	if (rules->unicode)
		freelocale(rules->unicode);
	free(rules);
}

static const char *
open_rule(struct rule *r, const struct relabel_rule *o)
{
	const char *wrong = check(o);

	r->o = *o;
	if (!wrong)
		wrong = regex_new(bytes_str(o->regex), &r->regex);
	if (wrong)
		return wrong;
	r->target = template_new(o->target_label, group_named, r->regex);
	r->replacement = template_new(o->replacement, group_named, r->regex);
	return r->target && r->replacement ? NULL : "memory is out";
}

const char *
relabel_new(const struct relabel_rule *o, size_t n, struct relabel **out,
    size_t *which)
{
	struct relabel *rules = calloc(1, sizeof(*rules) +
	    n * sizeof(rules->rule[0]));
	const char *wrong = NULL;

	*out = NULL;
	*which = 0;
	if (!rules)
		return "memory is out";
	rules->unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	if (!rules->unicode)
		wrong = "the C library has no locale C.UTF-8";
	rules->n = n;
	for (; *which < n && !wrong; ++*which)
		wrong = open_rule(&rules->rule[*which], &o[*which]);
	if (wrong) {
		*which -= *which > 0;
		relabel_free(&rules);
		return wrong;
	}
	*out = rules;
	return NULL;
}

struct relabel_room *
relabel_room_new(void)
{
	struct relabel_room *room = calloc(1, sizeof(*room));

	if (!room)
		return NULL;
	room->regex = regex_room_new();
	room->arena = arena_new(TEXT_BYTES_MAX, TEXT_BYTES_KEEP);
	if (!room->regex || !room->arena)
		relabel_room_free(&room);
	return room;
}

void
relabel_room_free(struct relabel_room **taken)
{
	struct relabel_room *room = *taken;

	*taken = NULL;
	if (!room)
		return;
	regex_room_free(&room->regex);
	arena_free(&room->arena);
	free(room);
}
