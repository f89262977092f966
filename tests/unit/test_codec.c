/* test_codec.c - what goes into a stream of records comes out, bit for bit.
 * SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "series/codec.h"
#include "unit/batches.h"

#define ARENA ((size_t)256 << 20)

struct pair {
	struct encoder *e;
	struct decoder *d;
	struct buf record;
	struct batch in, out;
};

static const struct encoder_opts roomy = {
	.edge = BYTES_LIT("edge-1"),
	.max_series = 100000,
	.max_symbol_bytes = (size_t)64 << 20,
};

static void
new_decoder(struct pair *p)
{
	static const struct decoder_opts opts = { (size_t)256 << 20 };

	decoder_free(&p->d);
	assert_int_equal(decoder_new(&opts, &p->d), ST_OK);
}

static void
pair_init(struct pair *p, const struct encoder_opts *opts)
{
	*p = (struct pair){ 0 };
	assert_int_equal(encoder_new(opts, &p->e), ST_OK);
	new_decoder(p);
	buf_init(&p->record, (size_t)256 << 20);
	p->in.arena = arena_new(ARENA, ARENA);
	p->out.arena = arena_new(ARENA, ARENA);
}

static void
pair_fini(struct pair *p)
{
	encoder_free(&p->e);
	decoder_free(&p->d);
	buf_fini(&p->record);
	arena_free(&p->in.arena);
	arena_free(&p->out.arena);
}

static void
empty(struct batch *b)
{
	struct arena *a = b->arena;

	arena_reset(a);
	*b = (struct batch){ .arena = a };
}

/* The batch in hand through both ends; returns the length of the record. */
static size_t
through(struct pair *p)
{
	const char *what;
	size_t n;

	buf_reset(&p->record, SIZE_MAX);
	assert_int_equal(encoder_encode(p->e, &p->in, &p->record), ST_OK);
	n = p->record.len;
	assert_int_equal(decoder_decode(p->d, buf_bytes(&p->record), &p->out),
	    ST_OK);
	what = batches_differ(&p->in, &p->out);
	if (what)
		fail_msg("%s differs", what);
	empty(&p->in);
	empty(&p->out);
	return n;
}

static uint32_t
define(struct pair *p, const char *name)
{
	struct label l = { BYTES_LIT("__name__"), bytes_str(name) };
	uint32_t id;

	assert_int_equal(encoder_define(p->e, &l, 1, &id), ST_OK);
	return id;
}

static void
add_sample(struct pair *p, uint32_t series, int64_t ms, uint64_t bits)
{
	if (!p->in.samples)
		p->in.samples = arena_take_array(p->in.arena, 1000,
		    sizeof(*p->in.samples));
	p->in.samples[p->in.n_samples++] = (struct batch_sample){
		.series = series, .ms = ms, .bits = bits };
}

static void
random_streams_come_back(void **state)
{
	uint64_t seed, first = 1, last = 60;
	const char *given = getenv("CODEC_SEED");
	struct batches g;
	struct pair p;
	uint32_t id;
	int i;

	(void)state;
	if (given)
		first = last = strtoull(given, NULL, 0);
	for (seed = first; seed <= last; seed++) {
		print_message("CODEC_SEED=%llu\n", (unsigned long long)seed);
		pair_init(&p, &roomy);
		batches_init(&g, seed * UINT64_C(0x9e3779b97f4a7c15), 2000);
		for (i = 0; i < 150; i++) {
			if (batches_pick(&g, 100) == 0) {
				encoder_restart(p.e);
				batches_restart(&g);
				new_decoder(&p);
			}
			assert_int_equal(batches_next(&g, p.e, &p.in), ST_OK);
			(void)through(&p);
		}
		assert_int_equal(dict_n_series(decoder_dict(p.d)), g.n_series);
		for (id = 0; id < g.n_series; id++)
			assert_true(batches_series_is(&g, decoder_dict(p.d),
			    id));
		batches_fini(&g);
		pair_fini(&p);
	}
}

static void
edge_is_named_in_the_first_record(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, &roomy);
	(void)through(&p);
	assert_true(bytes_eq(dict_edge(decoder_dict(p.d)),
	    BYTES_LIT("edge-1")));
	pair_fini(&p);
}

static void
dictionary_outlives_the_decoder(void **state)
{
	struct dict *dict;
	const uint32_t *refs;
	struct pair p;
	uint32_t n;

	(void)state;
	pair_init(&p, &roomy);
	(void)define(&p, "up");
	(void)through(&p);
	dict = dict_ref(decoder_dict(p.d));
	pair_fini(&p);
	refs = dict_series(dict, 0, &n);
	assert_int_equal(n, 2);
	assert_true(bytes_eq(dict_symbol(dict, refs[0]),
	    BYTES_LIT("__name__")));
	assert_true(bytes_eq(dict_symbol(dict, refs[1]), BYTES_LIT("up")));
	dict_unref(&dict);
}

static void
limits_leave_everything_as_it_was(void **state)
{
	struct encoder_opts tight = roomy;
	struct label l[2] = {
		{ BYTES_LIT("__name__"), BYTES_LIT("a") },
		{ BYTES_LIT("x"), BYTES_LIT("0123456789012345678901234567") },
	};
	uint32_t id;
	struct pair p;

	(void)state;
	tight.max_series = 3;
	tight.max_symbol_bytes = 40;
	pair_init(&p, &tight);
	assert_int_equal(encoder_define(p.e, l, 2, &id), ST_OK);
	l[0].value = BYTES_LIT("b");
	l[1].value = BYTES_LIT("9876543210");
	assert_int_equal(encoder_define(p.e, l, 2, &id), ST_SERIES_LIMIT);
	assert_int_equal(encoder_define(p.e, l, 1, &id), ST_OK);
	assert_int_equal(id, 1);
	(void)through(&p);
	assert_int_equal(encoder_define(p.e, l, 2, &id), ST_SERIES_LIMIT);
	l[0].value = BYTES_LIT("c");
	assert_int_equal(encoder_define(p.e, l, 1, &id), ST_OK);
	l[0].value = BYTES_LIT("a");
	assert_int_equal(encoder_define(p.e, l, 1, &id), ST_SERIES_LIMIT);
	assert_int_equal(encoder_n_series(p.e), 3);
	(void)through(&p);
	assert_int_equal(dict_n_series(decoder_dict(p.d)), 3);
	pair_fini(&p);
}

static void
metadata_past_the_limits_still_travels(void **state)
{
	struct encoder_opts tight = roomy;
	struct batch_metadata m[2];
	struct pair p;

	(void)state;
	tight.max_symbol_bytes = 20;
	pair_init(&p, &tight);
	(void)define(&p, "up");
	m[0] = (struct batch_metadata){ SERIES_NONE, 2, BYTES_LIT("up"),
		BYTES_LIT("Whether the target could be scraped."),
		BYTES_LIT("") };
	m[1] = m[0];
	m[1].series = 0;
	m[1].family = bytes_of(NULL, 0);
	p.in.metadata = m;
	p.in.n_metadata = 2;
	(void)through(&p);
	pair_fini(&p);
}

static void
metadata_is_free_the_second_time(void **state)
{
	struct batch_metadata m = { SERIES_NONE, 1, BYTES_LIT("req_total"),
		BYTES_LIT("Requests since the start."), BYTES_LIT("") };
	struct dict_metadata found;
	struct pair p;
	uint32_t id;

	(void)state;
	pair_init(&p, &roomy);
	id = define(&p, "req_total");
	p.in.metadata = &m;
	p.in.n_metadata = 1;
	assert_true(through(&p) > 25);
	p.in.metadata = &m;
	p.in.n_metadata = 1;
	assert_true(through(&p) < 6);
	assert_true(dict_metadata(decoder_dict(p.d), id, &found));
	assert_int_equal(found.type, 1);
	assert_true(bytes_eq(dict_symbol(decoder_dict(p.d), found.help),
	    m.help));
	pair_fini(&p);
}

static void
followers_are_learnt(void **state)
{
	struct pair p;
	uint32_t i;

	(void)state;
	pair_init(&p, &roomy);
	assert_int_equal(encoder_next(p.e, 0), SERIES_NONE);
	for (i = 0; i < 4; i++)
		(void)define(&p, (const char *[]){ "a", "b", "c", "d" }[i]);
	assert_int_equal(encoder_next(p.e, 0), 1);
	add_sample(&p, 0, 5, 0);
	add_sample(&p, 3, 5, 0);
	add_sample(&p, 1, 5, 0);
	(void)through(&p);
	assert_int_equal(encoder_next(p.e, 0), 3);
	assert_int_equal(encoder_next(p.e, 3), 1);
	assert_int_equal(encoder_next(p.e, 1), 2);
	pair_fini(&p);
}

static void
steady_series_cost_next_to_nothing(void **state)
{
	struct pair p;
	uint32_t i, round;
	size_t n = 0;

	(void)state;
	pair_init(&p, &roomy);
	for (i = 0; i < 500; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "s%u", i);
		(void)define(&p, name);
	}
	for (round = 0; round < 5; round++) {
		for (i = 0; i < 500; i++)
			add_sample(&p, i, 1000 + round * 5000, i);
		n = through(&p);
	}
	assert_true(n < 520);
	pair_fini(&p);
}

static void
records_out_of_their_stream_are_refused(void **state)
{
	struct pair p;
	struct bytes record;

	(void)state;
	pair_init(&p, &roomy);
	(void)define(&p, "a");
	(void)through(&p);
	add_sample(&p, 0, 1, 1);
	assert_int_equal(encoder_encode(p.e, &p.in, &p.record), ST_OK);
	new_decoder(&p);
	record = buf_bytes(&p.record);
	assert_int_equal(decoder_decode(p.d, record, &p.out), ST_BAD_RECORD);
	pair_fini(&p);
}

static void
every_cut_record_is_refused(void **state)
{
	struct batches g;
	struct pair p;
	size_t n;

	(void)state;
	pair_init(&p, &roomy);
	batches_init(&g, 77, 100);
	assert_int_equal(batches_next(&g, p.e, &p.in), ST_OK);
	assert_int_equal(encoder_encode(p.e, &p.in, &p.record), ST_OK);
	for (n = 0; n < p.record.len; n++) {
		new_decoder(&p);
		assert_int_equal(decoder_decode(p.d,
		    bytes_of(p.record.data, n), &p.out), ST_BAD_RECORD);
		empty(&p.out);
	}
	batches_fini(&g);
	pair_fini(&p);
}

static void
decoder_keeps_to_its_memory(void **state)
{
	struct decoder_opts opts = { 60000 };
	struct pair p;
	enum status st = ST_OK;
	char name[16];
	int i;

	(void)state;
	pair_init(&p, &roomy);
	decoder_free(&p.d);
	assert_int_equal(decoder_new(&opts, &p.d), ST_OK);
	for (i = 0; i < 1000 && st == ST_OK; i++) {
		(void)snprintf(name, sizeof(name), "s%d", i);
		(void)define(&p, name);
		buf_reset(&p.record, SIZE_MAX);
		assert_int_equal(encoder_encode(p.e, &p.in, &p.record), ST_OK);
		st = decoder_decode(p.d, buf_bytes(&p.record), &p.out);
	}
	assert_int_equal(st, ST_NO_MEMORY);
	assert_in_range(i, 2, 999);
	pair_fini(&p);
}

static void
full_output_is_reported(void **state)
{
	struct pair p;
	uint32_t i;

	(void)state;
	pair_init(&p, &roomy);
	(void)define(&p, "a");
	for (i = 0; i < 1000; i++)
		add_sample(&p, 0, i * 7919, i * UINT64_C(0x9e3779b97f4a7c15));
	buf_fini(&p.record);
	buf_init(&p.record, 300);
	assert_int_equal(encoder_encode(p.e, &p.in, &p.record), ST_TOO_LARGE);
	pair_fini(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_streams_come_back),
		cmocka_unit_test(edge_is_named_in_the_first_record),
		cmocka_unit_test(dictionary_outlives_the_decoder),
		cmocka_unit_test(limits_leave_everything_as_it_was),
		cmocka_unit_test(metadata_past_the_limits_still_travels),
		cmocka_unit_test(metadata_is_free_the_second_time),
		cmocka_unit_test(followers_are_learnt),
		cmocka_unit_test(steady_series_cost_next_to_nothing),
		cmocka_unit_test(records_out_of_their_stream_are_refused),
		cmocka_unit_test(every_cut_record_is_refused),
		cmocka_unit_test(decoder_keeps_to_its_memory),
		cmocka_unit_test(full_output_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
