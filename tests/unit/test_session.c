/* test_session.c - series by hash, verdicts on labels, epochs.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The spool is two numbers here; what was encoded is decoded again, and that is
 * what the tests look at.                                                   */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "ingest/session.h"
#include "series/codec.h"
#include "spool/spool.h"

static uint64_t epoch = 1;
static uint32_t streams;

uint64_t
spool_epoch(const struct spool *s)
{
	(void)s;
	return epoch;
}

uint32_t
spool_stream_new(struct spool *s, uint64_t of)
{
	(void)s;
	assert_int_equal(of, epoch);
	return ++streams;
}

/* ---- batches whose label blocks are text: "name=value,..." in any order ---- */

static int
by_name(const void *a, const void *b)
{
	const struct label *x = a, *y = b;

	return bytes_cmp(x->name, y->name);
}

static enum status
text_labels(const struct batch *b, const struct batch_entry *e,
    struct label *out, uint32_t max, uint32_t *n)
{
	const char *p = e->block;

	(void)b;
	*n = 0;
	while (*p) {
		const char *eq = strchr(p, '='), *end = strchr(p, ',');

		if (!end)
			end = p + strlen(p);
		if (*n == max)
			return ST_TOO_MANY_LABELS;
		out[*n].name = bytes_of(p, (size_t)(eq - p));
		out[*n].value = bytes_of(eq + 1, (size_t)(end - eq - 1));
		if (out[*n].value.n)
			++*n;
		p = *end ? end + 1 : end;
	}
	qsort(out, *n, sizeof(*out), by_name);
	return *n && bytes_eq(out[0].name, BYTES_LIT("bad")) ? ST_NO_NAME :
	    ST_OK;
}

static struct hash_key key;

static struct batch *
batch_of(const char *const *block, uint32_t n, int64_t ms)
{
	struct batch *b = batch_new(1 << 20, 0);
	uint32_t i;

	b->labels = text_labels;
	b->entries = arena_take_array(b->arena, n, sizeof(*b->entries));
	b->samples = arena_take_array(b->arena, n, sizeof(*b->samples));
	b->n_entries = b->n_samples = n;
	for (i = 0; i < n; i++) {
		b->entries[i] = (struct batch_entry){
			.key = hash128(&key, block[i], strlen(block[i])),
			.block = block[i],
			.n_block = (uint32_t)strlen(block[i]),
		};
		b->samples[i] = (struct batch_sample){
			.series = i, .ms = ms, .bits = i,
		};
	}
	return b;
}

/* ---- an edge and whoever reads its records ---- */

struct pair {
	struct session *session;
	struct decoder *decoder;
	struct buf record;
	struct session_record place;
};

static struct session_opts opts = {
	.max_labels = 4, .max_label_bytes = 16, .max_series = 8,
};

static int
set_up(void **state)
{
	static const struct decoder_opts dopts = { 1 << 24 };
	struct pair *p = calloc(1, sizeof(*p));

	assert_int_equal(hash_key_init(&key), ST_OK);
	assert_int_equal(session_new(BYTES_LIT("192.0.2.7"), &opts, NULL,
	    &p->session), ST_OK);
	assert_int_equal(decoder_new(&dopts, &p->decoder), ST_OK);
	buf_init(&p->record, 1 << 20);
	*state = p;
	return 0;
}

static int
tear_down(void **state)
{
	struct pair *p = *state;

	session_free(&p->session);
	decoder_free(&p->decoder);
	buf_fini(&p->record);
	free(p);
	return 0;
}

/* Each in a request of its own. */
static enum status
encode(struct pair *p, struct batch *b)
{
	static uint64_t bodies;

	buf_reset(&p->record, 0);
	return session_encode(p->session, b, (struct hash128){ ++bodies, 1 },
	    &p->record, &p->place);
}

/* As the request of this number, whatever it has. */
static enum status
encode_as(struct pair *p, struct batch **taken, uint64_t body)
{
	enum status st;

	buf_reset(&p->record, 0);
	st = session_encode(p->session, *taken, (struct hash128){ body, 2 },
	    &p->record, &p->place);
	batch_free(taken);
	return st;
}

static struct batch *
decode(struct pair *p)
{
	struct batch *b = batch_new(1 << 20, 0);

	assert_int_equal(decoder_decode(p->decoder, buf_bytes(&p->record), b),
	    ST_OK);
	return b;
}

/* The series of a decoded sample, "name=value,..." */
static const char *
text_of(struct pair *p, const struct batch *b, uint32_t i)
{
	static char out[256];
	struct dict *d = decoder_dict(p->decoder);
	uint32_t n, j;
	const uint32_t *sym = dict_series(d, b->samples[i].series, &n);
	size_t at = 0;

	for (j = 0; j < n; j += 2) {
		struct bytes name = dict_symbol(d, sym[j]);
		struct bytes value = dict_symbol(d, sym[j + 1]);

		at += (size_t)snprintf(out + at, sizeof(out) - at,
		    "%s%.*s=%.*s", j ? "," : "", (int)name.n,
		    (const char *)name.p, (int)value.n, (const char *)value.p);
	}
	return out;
}

static void
series_are_known_again(void **state)
{
	static const char *const block[] = { "a=1,b=2", "a=1,b=3" };
	struct pair *p = *state;
	struct batch *b, *back;
	int round;

	for (round = 0; round < 3; round++) {
		b = batch_of(block, 2, 1000 * round);
		assert_int_equal(encode(p, b), ST_OK);
		/* the first of a stream says whose it is */
		assert_true(bytes_eq(codec_edge(buf_bytes(&p->record)),
		    round ? BYTES_LIT("") : BYTES_LIT("192.0.2.7")));
		back = decode(p);
		assert_int_equal(back->n_samples, 2);
		assert_string_equal(text_of(p, back, 0), "a=1,b=2");
		assert_string_equal(text_of(p, back, 1), "a=1,b=3");
		assert_int_equal(back->samples[1].ms, 1000 * round);
		batch_free(&back);
		batch_free(&b);
	}
	assert_int_equal(session_n_series(p->session), 2);
	assert_true(bytes_eq(dict_edge(decoder_dict(p->decoder)),
	    BYTES_LIT("192.0.2.7")));
}

static void
another_order_is_the_same_series(void **state)
{
	static const char *const block[] = { "b=2,a=1", "a=1,c=,b=2",
		"b=2,a=1,c=" };
	struct pair *p = *state;
	struct batch *b = batch_of(block, 3, 1), *back;

	assert_int_equal(encode(p, b), ST_OK);
	assert_int_equal(session_n_series(p->session), 1);
	back = decode(p);
	assert_int_equal(back->n_samples, 3);
	assert_string_equal(text_of(p, back, 2), "a=1,b=2");
	batch_free(&back);
	batch_free(&b);
}

static void
a_bad_series_goes_alone(void **state)
{
	static const char *const block[] = { "a=1", "bad=1",
		"a=1,b=1,c=1,d=1,e=1", "a=12345678901234567", "a=2" };
	struct pair *p = *state;
	struct batch *b = batch_of(block, 5, 1), *back;

	assert_int_equal(encode(p, b), ST_OK);
	assert_int_equal(b->refused[ST_NO_NAME], 1);
	assert_int_equal(b->refused[ST_TOO_MANY_LABELS], 1);
	assert_int_equal(b->refused[ST_LABEL_LONG], 1);
	back = decode(p);
	assert_int_equal(back->n_samples, 2);
	assert_string_equal(text_of(p, back, 1), "a=2");
	assert_int_equal(back->samples[1].bits, 4);
	batch_free(&back);
	batch_free(&b);
}

static void
nothing_left_is_nothing_to_store(void **state)
{
	static const char *const block[] = { "bad=1" };
	struct pair *p = *state;
	struct batch *b = batch_of(block, 1, 1);

	assert_int_equal(encode(p, b), ST_END);
	assert_int_equal(b->refused[ST_NO_NAME], 1);
	batch_free(&b);
}

static void
the_series_limit_stores_nothing(void **state)
{
	char text[10][8];
	const char *block[10];
	struct pair *p = *state;
	struct batch *b, *back;
	uint32_t i;

	for (i = 0; i < 10; i++) {
		(void)snprintf(text[i], sizeof(text[i]), "a=%u", (unsigned)i);
		block[i] = text[i];
	}
	b = batch_of(block, 10, 1);
	assert_int_equal(encode(p, b), ST_SERIES_LIMIT);
	batch_free(&b);
	/* those that are known go on */
	b = batch_of(block, 8, 2);
	assert_int_equal(encode(p, b), ST_OK);
	back = decode(p);
	assert_int_equal(back->n_samples, 8);
	assert_string_equal(text_of(p, back, 7), "a=7");
	batch_free(&back);
	batch_free(&b);
}

static void
an_epoch_begins_anew(void **state)
{
	static const struct decoder_opts dopts = { 1 << 24 };
	static const char *const block[] = { "a=1,b=2" };
	struct pair *p = *state;
	struct batch *b = batch_of(block, 1, 1), *back;
	uint32_t stream;

	assert_int_equal(encode(p, b), ST_OK);
	batch_free(&b);
	stream = p->place.stream;
	epoch++;
	b = batch_of(block, 1, 2);
	assert_int_equal(encode(p, b), ST_OK);
	assert_int_equal(p->place.epoch, epoch);
	assert_int_not_equal(p->place.stream, stream);
	/* reads alone */
	decoder_free(&p->decoder);
	assert_int_equal(decoder_new(&dopts, &p->decoder), ST_OK);
	back = decode(p);
	assert_string_equal(text_of(p, back, 0), "a=1,b=2");
	batch_free(&back);
	batch_free(&b);
}

/* ---- repeats ---- */

#define REPEATED(p, n) assert_int_equal((p)->place.repeated.samples, n)

static void
what_came_again_is_left_out(void **state)
{
	static const char *const block[] = { "a=1", "a=2", "a=3" };
	struct pair *p = *state;
	struct batch *b = batch_of(block, 2, 1000), *back;

	assert_int_equal(encode_as(p, &b, 1), ST_OK);
	REPEATED(p, 0);
	back = decode(p);
	batch_free(&back);
	/* in a request of other bytes, too */
	b = batch_of(block, 2, 1000);
	assert_int_equal(encode_as(p, &b, 2), ST_END);
	REPEATED(p, 2);
	b = batch_of(block, 3, 1000);
	assert_int_equal(encode_as(p, &b, 3), ST_OK);
	REPEATED(p, 2);
	back = decode(p);
	assert_int_equal(back->n_samples, 1);
	assert_string_equal(text_of(p, back, 0), "a=3");
	batch_free(&back);
}

static void
another_value_at_the_same_time_is_none(void **state)
{
	static const char *const block[] = { "a=1" };
	static const uint64_t bits[] = { 7, STALE_MARKER, 7, 8, 7 };
	struct pair *p = *state;
	struct batch *b, *back;
	size_t i;

	for (i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		b = batch_of(block, 1, 1000);
		b->samples[0].bits = bits[i];
		assert_int_equal(encode_as(p, &b, bits[i]), ST_OK);
		REPEATED(p, 0);
		back = decode(p);
		assert_true(back->samples[0].bits == bits[i]);
		batch_free(&back);
		/* and each of them, sent again, is one */
		b = batch_of(block, 1, 1000);
		b->samples[0].bits = bits[i];
		assert_int_equal(encode_as(p, &b, bits[i]), ST_END);
		REPEATED(p, 1);
	}
}

/* Three points of one series, and an exemplar. */
static struct batch *
backlog(int64_t ms)
{
	static const char *const block[] = { "a=1", "a=1", "a=1" };
	struct batch *b = batch_of(block, 3, ms);
	uint32_t i;

	for (i = 0; i < 3; i++)
		b->samples[i].ms += i;
	b->exemplars = arena_take_array(b->arena, 1, sizeof(*b->exemplars));
	b->exemplars[0] = (struct batch_exemplar){ .ms = ms, .bits = 1 };
	b->n_exemplars = 1;
	return b;
}

static void
a_request_is_known_again_as_a_whole(void **state)
{
	static const char *const block[] = { "a=1" };
	struct pair *p = *state;
	struct batch *b = backlog(1000), *back;

	assert_int_equal(encode_as(p, &b, 1), ST_OK);
	back = decode(p);
	assert_int_equal(back->n_samples, 3);
	batch_free(&back);
	b = backlog(1000);
	assert_int_equal(encode_as(p, &b, 1), ST_END);
	REPEATED(p, 3);
	assert_int_equal(p->place.repeated.exemplars, 1);
	/* but not once the series went on */
	b = batch_of(block, 1, 2000);
	assert_int_equal(encode_as(p, &b, 2), ST_OK);
	back = decode(p);
	batch_free(&back);
	b = backlog(1000);
	assert_int_equal(encode_as(p, &b, 1), ST_OK);
	REPEATED(p, 0);
	back = decode(p);
	assert_int_equal(back->n_samples, 3);
	assert_int_equal(back->n_exemplars, 1);
	batch_free(&back);
}

static void
metadata_that_comes_again_alone_is_sent_on(void **state)
{
	static const char *const block[] = { "a=1" };
	const struct batch_metadata m = {
		.series = SERIES_NONE, .type = 1,
		.family = BYTES_LIT("f"), .help = BYTES_LIT("h"),
	};
	struct pair *p = *state;
	struct batch *b, *back;
	int i;

	for (i = 0; i < 2; i++) {
		b = batch_of(block, 0, 0);
		b->metadata = arena_take_array(b->arena, 1, sizeof(m));
		b->metadata[0] = m;
		b->n_metadata = 1;
		assert_int_equal(encode_as(p, &b, 1), ST_OK);
		back = decode(p);
		assert_int_equal(back->n_metadata, 1);
		batch_free(&back);
	}
}

static struct batch *
histogram_of(int64_t ms, uint64_t bucket)
{
	static const char *const block[] = { "a=1" };
	struct batch *b = batch_of(block, 1, ms);
	struct batch_histogram *h;

	b->n_samples = 0;
	b->n_histograms = 1;
	h = b->histograms = arena_take_array(b->arena, 1, sizeof(*h));
	*h = (struct batch_histogram){ .ms = ms, .count = bucket };
	h->positive.n_spans = h->positive.n_buckets = 1;
	h->positive.spans = arena_take_array(b->arena, 1,
	    sizeof(struct batch_span));
	h->positive.spans[0] = (struct batch_span){ 3, 1 };
	h->positive.buckets = arena_take_array(b->arena, 1, sizeof(uint64_t));
	h->positive.buckets[0] = bucket;
	return b;
}

static void
histograms_are_known_by_all_they_hold(void **state)
{
	struct pair *p = *state;
	struct batch *b = histogram_of(1000, 5);

	assert_int_equal(encode_as(p, &b, 1), ST_OK);
	b = histogram_of(1000, 5);
	assert_int_equal(encode_as(p, &b, 2), ST_END);
	assert_int_equal(p->place.repeated.histograms, 1);
	b = histogram_of(1000, 6);
	assert_int_equal(encode_as(p, &b, 3), ST_OK);
	assert_int_equal(p->place.repeated.histograms, 0);
	b = histogram_of(2000, 6);
	assert_int_equal(encode_as(p, &b, 4), ST_OK);
	assert_int_equal(p->place.repeated.histograms, 0);
}

static void
a_new_epoch_does_not_forget(void **state)
{
	/* in order, out of order, and only ever out of order */
	static const char *const block[] = { "a=1", "b=1,a=1", "d=1,c=1" };
	struct pair *p = *state;
	struct batch *b = batch_of(block, 3, 1000);
	size_t held;

	assert_int_equal(encode_as(p, &b, 1), ST_OK);
	held = session_size(p->session);
	epoch++;
	b = batch_of(block, 3, 1000);
	assert_int_equal(encode_as(p, &b, 1), ST_END);
	REPEATED(p, 3);
	/* when all have been met again nothing is kept twice */
	assert_true(session_size(p->session) <= held);
	epoch++;
	b = batch_of(block, 2, 2000);
	assert_int_equal(encode_as(p, &b, 2), ST_OK);
	b = batch_of(block, 3, 1000);
	assert_int_equal(encode_as(p, &b, 1), ST_OK);
	REPEATED(p, 1);
}

static void
what_was_lost_is_stored_again(void **state)
{
	static const char *const block[] = { "a=1", "a=2" };
	struct pair *p = *state;
	struct batch *b = batch_of(block, 2, 1000);

	assert_int_equal(encode_as(p, &b, 1), ST_OK);
	epoch++;
	b = batch_of(block, 1, 1000);
	assert_int_equal(encode_as(p, &b, 2), ST_END);
	session_forget(p->session);
	b = batch_of(block, 2, 1000);
	assert_int_equal(encode_as(p, &b, 1), ST_OK);
	REPEATED(p, 0);
}

/* ---- what is laid down for the edge ------------------------------------------- */

static const char *const name_label[] = { "a" };

static struct relabel *
rules_of(enum relabel_action action, const char *regex, const char *target)
{
	struct relabel_rule r = { action, name_label, 1, ";", regex, 0, target,
		"$1" };
	struct relabel *rules;
	size_t which;

	if (action == RELABEL_DROP_LABELS)
		r.n_source_labels = 0;
	assert_null(relabel_new(&r, 1, &rules, &which));
	return rules;
}

/* A session under a policy, in the place of the one that there is. */
static void
lay_down(struct pair *p, struct session_opts *o, struct edge_policy *policy)
{
	*o = opts;
	policy->pattern = "*";
	o->policy = policy;
	o->room = relabel_room_new();
	session_free(&p->session);
	assert_int_equal(session_new(BYTES_LIT("site-1"), o, NULL, &p->session),
	    ST_OK);
}

static void
lift(struct pair *p, struct session_opts *o, struct edge_policy *policy)
{
	session_free(&p->session);
	relabel_room_free(&o->room);
	relabel_free(&policy->relabel);
}

static void
dropped_series_are_left_out(void **state)
{
	static const char *const block[] = { "__name__=m,a=1", "__name__=m,a=2",
		"__name__=m,a=3" };
	struct edge_policy policy = {
		.relabel = rules_of(RELABEL_DROP, "2|4", "") };
	struct pair *p = *state;
	struct session_opts o;
	struct batch *b, *back;
	int round;

	lay_down(p, &o, &policy);
	for (round = 0; round < 3; round++) {
		b = batch_of(block, 3, 1000 + round);
		assert_int_equal(encode(p, b), ST_OK);
		assert_int_equal(p->place.defined, round ? 0 : 2);
		assert_int_equal(p->place.filtered.samples, 1);
		assert_int_equal(b->refused[ST_FILTERED], 1);
		batch_free(&b);
		back = decode(p);
		assert_int_equal(back->n_samples, 2);
		assert_string_equal(text_of(p, back, 0), "__name__=m,a=1");
		assert_string_equal(text_of(p, back, 1), "__name__=m,a=3");
		batch_free(&back);
	}
	/* in another epoch likewise, though nothing is known there */
	epoch++;
	b = batch_of(&block[1], 1, 2000);
	assert_int_equal(encode(p, b), ST_END);
	assert_int_equal(p->place.filtered.samples, 1);
	batch_free(&b);
	lift(p, &o, &policy);
}

static void
series_that_become_one_are_one(void **state)
{
	static const char *const block[] = { "__name__=m,a=1,b=1",
		"__name__=m,a=2,b=1", "__name__=m,a=1,b=2" };
	static const char *const again[] = { "__name__=m,b=1" };
	struct edge_policy policy = {
		.relabel = rules_of(RELABEL_DROP_LABELS, "a", "") };
	struct pair *p = *state;
	struct session_opts o;
	struct batch *b, *back;

	lay_down(p, &o, &policy);
	b = batch_of(block, 3, 1000);
	assert_int_equal(encode_as(p, &b, 1), ST_OK);
	assert_int_equal(p->place.defined, 2);
	back = decode(p);
	/* batch_of counts up its values, so none repeats another */
	assert_int_equal(back->n_samples, 3);
	assert_string_equal(text_of(p, back, 0), "__name__=m,b=1");
	assert_int_equal(back->samples[0].series, back->samples[1].series);
	assert_int_not_equal(back->samples[0].series, back->samples[2].series);
	batch_free(&back);
	/* the same request once more is a repeat as a whole */
	b = batch_of(block, 3, 1000);
	assert_int_equal(encode_as(p, &b, 1), ST_END);
	assert_int_equal(p->place.repeated.samples, 3);
	/* and so is the series known that comes as it is */
	b = batch_of(again, 1, 2000);
	assert_int_equal(encode_as(p, &b, 2), ST_OK);
	assert_int_equal(p->place.defined, 0);
	lift(p, &o, &policy);
}

static void
forged_labels_are_set_right(void **state)
{
	static const char *const block[] = { "__name__=m,site=1",
		"__name__=m", "__name__=n,site=2" };
	struct edge_label set = { .name = BYTES_LIT("site") };
	struct edge_policy policy = { .set = &set, .n_set = 1 };
	struct pair *p = *state;
	struct session_opts o;
	struct batch *b, *back;

	assert_null(edge_template_new("*", "$1", &set.value));
	lay_down(p, &o, &policy);
	b = batch_of(block, 3, 1000);
	assert_int_equal(encode(p, b), ST_OK);
	batch_free(&b);
	assert_int_equal(p->place.forged, 2);
	assert_int_equal(p->place.defined, 2);
	back = decode(p);
	assert_string_equal(text_of(p, back, 0), "__name__=m,site=site-1");
	assert_int_equal(back->samples[0].series, back->samples[1].series);
	assert_string_equal(text_of(p, back, 2), "__name__=n,site=site-1");
	batch_free(&back);
	b = batch_of(block, 3, 2000);
	assert_int_equal(encode(p, b), ST_OK);
	batch_free(&b);
	assert_int_equal(p->place.forged, 0);	/* met before */
	lift(p, &o, &policy);
	template_free(&set.value);
}

/* 128 bytes a series, with labels set too; the texts come on top, and are few here. */
static void
labels_that_are_set_take_no_room(void **state)
{
	enum { BATCH = 1024, BATCHES = 64 };
	static char text[BATCH][32];
	static const char *block[BATCH];
	struct edge_label set = { .name = BYTES_LIT("site") };
	struct edge_policy policy = { .set = &set, .n_set = 1 };
	struct pair *p = *state;
	struct session_opts o;
	struct batch *b;
	uint32_t i, k;

	assert_null(edge_template_new("*", "$1", &set.value));
	opts.max_series = BATCH * BATCHES;
	lay_down(p, &o, &policy);
	opts.max_series = 8;
	for (k = 0; k < BATCHES; k++) {
		for (i = 0; i < BATCH; i++) {
			(void)snprintf(text[i], sizeof(text[i]),
			    "__name__=m%u,a=%u", (k * BATCH + i) % 256,
			    (k * BATCH + i) / 256);
			block[i] = text[i];
		}
		b = batch_of(block, BATCH, 1000);
		assert_int_equal(encode(p, b), ST_OK);
		assert_int_equal(p->place.defined, BATCH);
		batch_free(&b);
	}
	assert_true(session_size(p->session) < (size_t)128 * BATCH * BATCHES);
	lift(p, &o, &policy);
	template_free(&set.value);
}

static void
what_rules_spoil_is_refused(void **state)
{
	static const char *const block[] = { "__name__=m,a=1",
		"__name__=m,a=0123456789abcdef0", "__name__=m,b=2" };
	struct edge_policy policy = {
		.relabel = rules_of(RELABEL_REPLACE, "(?:1|2)?(.*)", "__name__") };
	struct pair *p = *state;
	struct session_opts o;
	struct batch *b;
	int round;

	lay_down(p, &o, &policy);
	for (round = 0; round < 2; round++) {
		b = batch_of(block, 3, 1000);
		assert_int_equal(encode(p, b), ST_END);
		assert_int_equal(b->refused[ST_NO_NAME], 2);
		assert_int_equal(b->refused[ST_LABEL_LONG], 1);
		assert_int_equal(p->place.filtered.samples, 0);
		batch_free(&b);
	}
	lift(p, &o, &policy);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(series_are_known_again,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    another_order_is_the_same_series, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_bad_series_goes_alone,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    nothing_left_is_nothing_to_store, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    the_series_limit_stores_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_epoch_begins_anew, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(
		    what_came_again_is_left_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    another_value_at_the_same_time_is_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    a_request_is_known_again_as_a_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    metadata_that_comes_again_alone_is_sent_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    histograms_are_known_by_all_they_hold, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    a_new_epoch_does_not_forget, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    what_was_lost_is_stored_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(dropped_series_are_left_out,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(series_that_become_one_are_one,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(forged_labels_are_set_right,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    labels_that_are_set_take_no_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_rules_spoil_is_refused,
		    set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
