/* codec_exemplar.c - exemplars.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A count, and for each exemplar
 *	its series, as a difference from the last one's
 *	its labels: those of one of the record's last exemplars (one trace often
 *	shows in several histograms), or names, those of the last one if both
 *	ends have kept them (four names of 100 bytes) or told, and values: a
 *	text; or hexadecimal digits, two a byte; or, if they are 32, which of the
 *	last trace ids they are
 *	its time: that of the exemplar whose labels it has, or how long before
 *	its series' last sample
 *	its value: the last one, or a decimal fraction, or any bits           */
#include "series/codec_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BACK_MAX 64			/* exemplars that labels can be taken from */
#define DIGITS_BITS 4
#define DIGITS_RAW 15			/* of the bits: the pattern of a double */

/* Bytes in any stream that an exemplar without its labels takes at most. */
#define EXEMPLAR_ROOM 120

/* ---- state: what both ends do --------------------------------------------- */

void
exemplar_model_init(struct exemplar_model *m)
{
	memset(m, 0, sizeof(*m));
	guesses_init(&m->repeated, 1);
	guesses_init(&m->back_same, 1);
	guesses_init(&m->time_same, 1);
	guesses_init(m->value_same, 2);
	guesses_init(&m->digits_same, 1);
	guesses_init(&m->names_same, 1);
	guesses_init(&m->hex, 1);
	guesses_init(&m->trace_known, 1);
	m->names.n = NAMES_NONE;
}

void
exemplar_model_fini(struct exemplar_model *m)
{
	free(m->traces);
	m->traces = NULL;
}

#define TRACE_SIZE 16			/* bytes */

/* False: out of memory. */
static bool
make_traces(struct exemplar_model *m)
{
	if (!m->traces)
		m->traces = calloc(1, sizeof(*m->traces));
	return m->traces != NULL;
}

static void
learn_trace(struct traces *t, uint64_t first, uint64_t second)
{
	uint32_t at = t->n++ % TRACES_MAX;

	t->first[at] = first;
	t->second[at] = second;
}

static void
learn_names(struct exemplar_names *names, const struct label *labels,
    uint32_t n)
{
	size_t at = 0;
	uint32_t i;

	names->n = NAMES_NONE;
	for (i = 0; i < n; i++) {
		if (i == NAMES_MAX || labels[i].name.n > NAMES_TEXT - at)
			return;
		if (labels[i].name.n)
			memcpy(names->text + at, labels[i].name.p,
			    labels[i].name.n);
		names->length[i] = (uint8_t)labels[i].name.n;
		at += labels[i].name.n;
	}
	names->n = n;
}

/* The time that an exemplar of the series is not far from. */
static int64_t
time_near(const struct stream *s, uint32_t series)
{
	const struct series *x = stream_series(s, series);

	return x->mode == MODE_NONE ? s->last_ms : x->ms;
}

/* ---- writing --------------------------------------------------------------- */

static bool
same_names(const struct exemplar_names *names, const struct batch_exemplar *x)
{
	const uint8_t *text = names->text;
	uint32_t i;

	if (names->n != x->n_labels)
		return false;
	for (i = 0; i < x->n_labels; i++) {
		if (!bytes_eq(bytes_of(text, names->length[i]),
		    x->labels[i].name))
			return false;
		text += names->length[i];
	}
	return true;
}

static bool
same_labels(const struct batch_exemplar *a, const struct batch_exemplar *b)
{
	uint32_t i;

	if (a->n_labels != b->n_labels)
		return false;
	for (i = 0; i < a->n_labels; i++) {
		if (!bytes_eq(a->labels[i].value, b->labels[i].value) ||
		    !bytes_eq(a->labels[i].name, b->labels[i].name))
			return false;
	}
	return true;
}

/* How far back in the record the labels of exemplar i are, 0: nowhere. */
static uint32_t
back_to_labels(const struct batch_exemplar *x, uint32_t i)
{
	uint32_t back;

	for (back = 1; back <= i && back <= BACK_MAX; back++) {
		if (same_labels(&x[i], &x[i - back]))
			return back;
	}
	return 0;
}

static int
hex_digit(uint8_t c)
{
	return c >= '0' && c <= '9' ? c - '0' :
	    c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
is_hex(struct bytes text)
{
	size_t i;

	for (i = 0; i < text.n; i++) {
		if (hex_digit(text.p[i]) == -1)
			return false;
	}
	return text.n > 0 && text.n % 2 == 0;
}

/* Where among the last ones it is, TRACES_MAX if it is not. */
static uint32_t
find_trace(const struct traces *t, uint64_t first, uint64_t second)
{
	uint32_t n = t->n < TRACES_MAX ? t->n : TRACES_MAX, i;

	for (i = 0; i < n; i++) {
		if (t->first[i] == first && t->second[i] == second)
			return i;
	}
	return TRACES_MAX;
}

static uint64_t
hex_word(const uint8_t *digits)
{
	uint64_t v = 0;
	unsigned i;

	for (i = 0; i < 16; i++)
		v = v << 4 | (uint64_t)hex_digit(digits[i]);
	return v;
}

static void
put_trace(struct exemplar_model *m, struct record_writer *w,
    const uint8_t *digits)
{
	uint64_t first = hex_word(digits), second = hex_word(digits + 16);
	uint32_t at = find_trace(m->traces, first, second);

	put_guess(w, &m->trace_known, at < TRACES_MAX);
	if (at < TRACES_MAX) {
		put_bits(w, at, TRACES_BITS);
		return;
	}
	put_bits(w, first, 64);
	put_bits(w, second, 64);
	learn_trace(m->traces, first, second);
}

static bool
put_label_value(struct exemplar_model *m, struct record_writer *w,
    struct bytes text)
{
	bool hex = is_hex(text);
	size_t i;

	if (!record_room(w, EXEMPLAR_ROOM + text.n))
		return false;
	put_guess(w, &m->hex, hex);
	if (!hex)
		return put_text(w, &m->text, text);
	put_number(w, &m->n_hex, text.n / 2);
	if (text.n / 2 == TRACE_SIZE)
		put_trace(m, w, text.p);
	for (i = 0; i < text.n && text.n / 2 != TRACE_SIZE; i += 2)
		put_bits(w, (uint64_t)hex_digit(text.p[i]) << 4 |
		    (uint64_t)hex_digit(text.p[i + 1]), 8);
	return true;
}

static bool
put_labels(struct exemplar_model *m, struct record_writer *w,
    const struct batch_exemplar *x)
{
	bool same = same_names(&m->names, x);
	uint32_t i;

	if (m->names.n != NAMES_NONE)
		put_guess(w, &m->names_same, same);
	if (!same)
		put_number(w, &m->n_labels, x->n_labels);
	for (i = 0; i < x->n_labels; i++) {
		if (!same && !put_text(w, &m->text, x->labels[i].name))
			return false;
		if (!put_label_value(m, w, x->labels[i].value))
			return false;
	}
	if (!same)
		learn_names(&m->names, x->labels, x->n_labels);
	return true;
}

static void
put_value_of(struct exemplar_model *m, struct record_writer *w, bool repeated,
    uint64_t bits)
{
	uint64_t *last = &m->last_bits[repeated];
	unsigned digits;
	int64_t whole;

	put_guess(w, &m->value_same[repeated], bits == *last);
	if (bits == *last)
		return;
	*last = bits;
	digits = value_decimal(bits, m->digits, &whole);
	put_guess(w, &m->digits_same, digits == m->digits);
	if (digits != m->digits)
		put_bits(w, digits, DIGITS_BITS);
	m->digits = (uint8_t)digits;
	if (digits == DIGITS_RAW)
		put_bits(w, bits, 64);
	else
		put_integer(w, &m->whole, whole);
}

static bool
put_exemplar(struct stream *s, struct record_writer *w,
    const struct batch_exemplar *all, uint32_t i)
{
	struct exemplar_model *m = &s->exemplars;
	const struct batch_exemplar *x = &all[i];
	uint32_t back = back_to_labels(all, i);
	int64_t near = time_near(s, x->series);
	bool same;

	if (!record_room(w, EXEMPLAR_ROOM))
		return false;
	put_integer(w, &m->series, (int64_t)x->series - m->last_series);
	m->last_series = x->series;
	put_guess(w, &m->repeated, back > 0);
	if (back == 0) {
		if (!put_labels(m, w, x) ||
		    !record_room(w, EXEMPLAR_ROOM))
			return false;
		put_integer(w, &m->age, wrap_sub(near, x->ms));
	} else {
		put_guess(w, &m->back_same, back == m->last_back);
		if (back != m->last_back)
			put_number(w, &m->back, back);
		m->last_back = back;
		same = x->ms == all[i - back].ms;
		put_guess(w, &m->time_same, same);
		if (!same)
			put_integer(w, &m->age, wrap_sub(near, x->ms));
	}
	put_value_of(m, w, back > 0, x->bits);
	return true;
}

bool
put_exemplars(struct stream *s, struct record_writer *w, const struct batch *b)
{
	uint32_t i;

	if (!record_room(w, EXEMPLAR_ROOM) || !make_traces(&s->exemplars))
		return false;
	put_number(w, &s->exemplars.count, b->n_exemplars);
	for (i = 0; i < b->n_exemplars; i++) {
		if (!put_exemplar(s, w, b->exemplars, i))
			return false;
	}
	return true;
}

/* ---- reading --------------------------------------------------------------- */

static void
hex_text(uint64_t v, unsigned n, uint8_t *to)
{
	static const char digits[] = "0123456789abcdef";

	for (; n; n--, v >>= 4)
		to[n - 1] = (uint8_t)digits[v & 15];
}

static void
get_trace(struct exemplar_model *m, struct record_reader *r, uint8_t *to)
{
	uint64_t first, second;
	uint32_t at;

	if (get_guess(r, &m->trace_known)) {
		at = (uint32_t)get_bits(r, TRACES_BITS);
		first = m->traces->first[at];
		second = m->traces->second[at];
	} else {
		first = get_bits(r, 64);
		second = get_bits(r, 64);
		learn_trace(m->traces, first, second);
	}
	hex_text(first, 16, to);
	hex_text(second, 16, to + 16);
}

static struct bytes
get_label_value(struct exemplar_model *m, struct record_reader *r,
    struct arena *a)
{
	uint64_t n, i;
	uint8_t *text;

	if (!get_guess(r, &m->hex))
		return get_text(r, &m->text, a);
	n = get_number(r, &m->n_hex);
	if (n != TRACE_SIZE && n > record_left(r)) {
		r->bad = true;
		return (struct bytes){ NULL, 0 };
	}
	text = arena_take(a, (size_t)n * 2);
	if (!text)
		return (struct bytes){ NULL, 0 };
	if (n == TRACE_SIZE)
		get_trace(m, r, text);
	for (i = 0; i < n && n != TRACE_SIZE; i++)
		hex_text(get_bits(r, 8), 2, text + 2 * i);
	return bytes_of(text, (size_t)n * 2);
}

static void
get_labels(struct exemplar_model *m, struct record_reader *r, struct arena *a,
    struct batch_exemplar *x)
{
	bool same = m->names.n != NAMES_NONE && get_guess(r, &m->names_same);
	const uint8_t *name = m->names.text;
	uint32_t i;

	/* a name and a value take a bit each at least */
	x->n_labels = same ? m->names.n : get_number_below(r, &m->n_labels,
	    record_left(r) * 4 + 4);
	x->labels = arena_take_array(a, x->n_labels, sizeof(*x->labels));
	for (i = 0; i < x->n_labels && !arena_failed(a) && !r->bad; i++) {
		if (same) {
			x->labels[i].name = bytes_of(arena_copy(a, name,
			    m->names.length[i]), m->names.length[i]);
			name += m->names.length[i];
		} else {
			x->labels[i].name = get_text(r, &m->text, a);
		}
		x->labels[i].value = get_label_value(m, r, a);
		r->bad = r->bad || record_overrun(r);
	}
	if (!same && !arena_failed(a) && !r->bad)
		learn_names(&m->names, x->labels, x->n_labels);
}

static uint64_t
get_value_of(struct exemplar_model *m, struct record_reader *r, bool repeated)
{
	uint64_t *last = &m->last_bits[repeated];

	if (get_guess(r, &m->value_same[repeated]))
		return *last;
	if (!get_guess(r, &m->digits_same))
		m->digits = (uint8_t)get_bits(r, DIGITS_BITS);
	*last = m->digits == DIGITS_RAW ? get_bits(r, 64) :
	    value_bits(MODE(MODE_DECIMAL, m->digits),
	    get_integer(r, &m->whole), 0);
	return *last;
}

static void
get_exemplar(struct stream *s, struct record_reader *r, struct arena *a,
    struct batch_exemplar *all, uint32_t i)
{
	struct exemplar_model *m = &s->exemplars;
	struct batch_exemplar *x = &all[i];
	int64_t series = wrap_add(m->last_series, get_integer(r, &m->series));
	bool repeated, same = false;

	if (series < 0 || series >= s->series.n) {
		r->bad = true;
		return;
	}
	x->series = m->last_series = (uint32_t)series;
	repeated = get_guess(r, &m->repeated);
	if (!repeated) {
		get_labels(m, r, a, x);
	} else {
		if (!get_guess(r, &m->back_same))
			m->last_back = get_number_below(r, &m->back,
			    BACK_MAX + 1);
		if (m->last_back == 0 || m->last_back > i) {
			r->bad = true;
			return;
		}
		x->n_labels = all[i - m->last_back].n_labels;
		x->labels = all[i - m->last_back].labels;
		same = get_guess(r, &m->time_same);
	}
	x->ms = same ? all[i - m->last_back].ms :
	    wrap_sub(time_near(s, x->series), get_integer(r, &m->age));
	x->bits = get_value_of(m, r, repeated);
}

enum status
get_exemplars(struct stream *s, struct record_reader *r, struct batch *b)
{
	uint32_t n = get_number_below(r, &s->exemplars.count,
	    OTHERS_MAX + 1), i;

	b->exemplars = arena_take_array(b->arena, n, sizeof(*b->exemplars));
	if (!b->exemplars || !make_traces(&s->exemplars))
		return ST_NO_MEMORY;
	for (i = 0; i < n && !r->bad; i++) {
		get_exemplar(s, r, b->arena, b->exemplars, i);
		if (arena_failed(b->arena))
			return ST_NO_MEMORY;
		r->bad = r->bad || record_overrun(r);
	}
	b->n_exemplars = n;
	return r->bad ? ST_BAD_RECORD : ST_OK;
}
