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
#define GOLDEN UINT64_C(0x8fe8ad0119bee131)	/* of the stream below */

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
define_numbered(struct pair *p, uint32_t n)
{
	char name[16];
	uint32_t i;

	for (i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "s%u", i);
		(void)define(p, name);
	}
}

#define BATCH_MAX 10000

static void
add_sample(struct pair *p, uint32_t series, int64_t ms, uint64_t bits)
{
	if (!p->in.samples)
		p->in.samples = arena_take_array(p->in.arena, BATCH_MAX,
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
	define_numbered(&p, 500);
	for (round = 0; round < 5; round++) {
		for (i = 0; i < 500; i++)
			add_sample(&p, i, 1000 + round * 5000, i);
		n = through(&p);
	}
	assert_in_range(n, 1, 12);
	pair_fini(&p);
}

static uint64_t
bits_of(double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	return bits;
}

/* One series goes through every pair of values that are odd in some way. */
static void
odd_values_come_back(void **state)
{
	static const uint64_t odd[] = {
		0, UINT64_C(1) << 63, 1, UINT64_C(0x800fffffffffffff),
		UINT64_C(0x0010000000000000), UINT64_C(0x7fefffffffffffff),
		UINT64_C(0x7ff0000000000000), UINT64_C(0xfff0000000000000),
		STALE_MARKER, UINT64_C(0x7ff0000000000001),
		UINT64_C(0x7ff8000000000000), UINT64_C(0xffffffffffffffff),
		UINT64_C(0x4340000000000000), UINT64_C(0xc340000000000001),
		UINT64_C(0x43f0000000000000), UINT64_C(0x47efffffe0000000),
	};
	static const double numbers[] = { 1, -1, 0.1, 0.25, 1.0 / 3, 1e-9,
		123456.789, 1e15, 1e16, 1e300, 4096, 1048576.5, 0.1 + 0.2,
		0.30000000000000004, -273.15, 9007199254740993.0 };
	uint64_t all[32];
	struct pair p;
	size_t i, j;

	(void)state;
	memcpy(all, odd, sizeof(odd));
	for (i = 0; i < 16; i++)
		all[16 + i] = bits_of(numbers[i]);
	pair_init(&p, &roomy);
	(void)define(&p, "a");
	for (i = 0; i < 32; i++) {
		for (j = 0; j < 32; j++) {
			add_sample(&p, 0, (int64_t)(i * 32 + j), all[i]);
			add_sample(&p, 0, (int64_t)(i * 32 + j), all[j]);
		}
		(void)through(&p);
	}
	pair_fini(&p);
}

/* What has taken one form for long goes on in another. */
static void
values_change_their_nature(void **state)
{
	struct pair p;
	double v = 0;
	int i, kind;

	(void)state;
	pair_init(&p, &roomy);
	(void)define(&p, "a");
	for (kind = 0; kind < 40; kind++) {
		for (i = 0; i < 30; i++) {
			switch (kind % 9) {
			case 0: v += 4096; break;
			case 1: v += 1; break;
			case 2: v += 0.125; break;
			case 3: v += 0.1; break;
			case 4: v *= 1.0000001; break;
			case 5: v = -v; break;
			case 6: v = i * 1e18; break;
			case 7: v = i * 0x1p40; break;
			default: v = v > -1e15 && v < 1e15 ?
			    (double)(int64_t)v : 12345; break;
			}
			add_sample(&p, 0, kind * 1000 + i, bits_of(v));
		}
		(void)through(&p);
	}
	pair_fini(&p);
}

static void
times_may_jump(void **state)
{
	static const int64_t times[] = { 0, INT64_MAX, INT64_MIN, 1, -1,
		INT64_C(1) << 32, -(INT64_C(1) << 31), 1700000000000 };
	struct pair p;
	uint32_t i, j;

	(void)state;
	pair_init(&p, &roomy);
	define_numbered(&p, 3);
	for (i = 0; i < 8; i++) {
		for (j = 0; j < 8; j++) {
			add_sample(&p, i % 3, times[i], j);
			add_sample(&p, j % 3, times[j], i);
			add_sample(&p, j % 3, times[i], i);
		}
		(void)through(&p);
	}
	pair_fini(&p);
}

/* Two connections of one sender take turns, in no order. */
static void
connections_keep_apart(void **state)
{
	uint32_t turn[2] = { 0, 0 }, round, which, i;
	struct batches g;
	struct pair p;
	size_t n = 0;

	(void)state;
	batches_init(&g, 5, 1);
	pair_init(&p, &roomy);
	define_numbered(&p, 1000);
	for (round = 0; round < 200; round++) {
		which = (uint32_t)batches_pick(&g, 2);
		for (i = 0; i < 100; i++)
			add_sample(&p, which * 500 + turn[which] % 5 * 100 + i,
			    1000000 + turn[which] / 5 * 5000, 7);
		turn[which]++;
		if (round >= 100)
			n += through(&p);
		else
			(void)through(&p);
	}
	assert_in_range(n, 100, 100 * 8);
	batches_fini(&g);
	pair_fini(&p);
}

/* A backlog that comes series by series is as cheap as one in order of time. */
static void
series_may_come_one_by_one(void **state)
{
	struct pair p;
	uint32_t i, j;
	size_t n = 0;

	(void)state;
	pair_init(&p, &roomy);
	define_numbered(&p, 50);
	for (i = 0; i < 50; i++) {
		for (j = 0; j < 500; j++)
			add_sample(&p, i, 1000000 + j * 15000, bits_of(j));
		n += through(&p);
	}
	assert_in_range(n, 1, 50 * 500 / 10);
	pair_fini(&p);
}

static void
histograms_and_exemplars_are_small(void **state)
{
	struct batch_span span = { 2, 20 };
	struct batch_histogram h = { .ms = 5000, .count = 200, .schema = 3,
		.sum_bits = bits_of(0.25), .has_zero_count = true,
		.positive = { 1, 20, &span, (uint64_t[20]){ 10 } } };
	struct label id = { BYTES_LIT("trace_id"), { NULL, 0 } };
	struct batch_exemplar x = { .n_labels = 1, .labels = &id };
	size_t n_histogram = 0, n_exemplar = 0, n_empty = 0;
	struct batches g;
	struct pair p;
	char text[33];
	int i;

	(void)state;
	pair_init(&p, &roomy);
	batches_init(&g, 3, 1);
	define_numbered(&p, 2);
	for (i = 0; i < 100; i++) {
		n_empty += through(&p);
		h.ms += 5000;
		h.positive.buckets[4] += 2;	/* deltas: one bucket more */
		h.positive.buckets[5] -= 2;
		h.count += 2;
		h.sum_bits = bits_of(0.25 + i * 0.003);
		p.in.histograms = &h;
		p.in.n_histograms = 1;
		n_histogram += through(&p);
		(void)snprintf(text, sizeof(text), "%016llx%016llx",
		    (unsigned long long)batches_pick(&g, UINT64_MAX),
		    (unsigned long long)batches_pick(&g, UINT64_MAX));
		id.value = bytes_str(text);
		x.series = 1;
		x.ms = h.ms - (int64_t)batches_pick(&g, 5000);
		x.bits = bits_of((double)batches_pick(&g, 100000) / 1e6);
		p.in.exemplars = &x;
		p.in.n_exemplars = 1;
		n_exemplar += through(&p);
	}
	assert_in_range((n_histogram - n_empty) / 100, 1, 8);
	assert_in_range((n_exemplar - n_empty) / 100, 16, 22);
	batches_fini(&g);
	pair_fini(&p);
}

static void
start_timestamps_cost_once(void **state)
{
	struct pair p;
	uint32_t i, round;
	size_t n = 0;

	(void)state;
	pair_init(&p, &roomy);
	define_numbered(&p, 300);
	for (round = 0; round < 3; round++) {
		p.in.starts = arena_take_array(p.in.arena, 300,
		    sizeof(*p.in.starts));
		for (i = 0; i < 300; i++) {
			add_sample(&p, i, 1000000 + round * 5000, 0);
			p.in.starts[i] = i % 3 ? 900000 + i / 100 : 0;
		}
		n = through(&p);
	}
	assert_in_range(n, 1, 40);
	pair_fini(&p);
}

/* A restart makes the stream anew, to the byte. */
static void
restart_forgets_everything(void **state)
{
	struct buf first;
	struct batches g;
	struct pair p;
	int i, round;

	(void)state;
	buf_init(&first, (size_t)64 << 20);
	pair_init(&p, &roomy);
	for (round = 0; round < 2; round++) {
		batches_init(&g, 4711, 300);
		for (i = 0; i < 40; i++) {
			assert_int_equal(batches_next(&g, p.e, &p.in), ST_OK);
			(void)through(&p);
			if (round == 0)
				buf_append(&first, p.record.data,
				    p.record.len);
			else
				assert_true(first.len >= p.record.len);
			if (round == 1) {
				assert_memory_equal(first.data, p.record.data,
				    p.record.len);
				buf_drop(&first, p.record.len);
			}
		}
		batches_fini(&g);
		encoder_restart(p.e);
		new_decoder(&p);
	}
	assert_int_equal(first.len, 0);
	buf_fini(&first);
	pair_fini(&p);
}

/* The format is the same whatever compiled the program.  No text is packed here,
 * since zstd may pack otherwise from version to version. */
static void
bytes_are_the_same_everywhere(void **state)
{
	uint64_t hash = UINT64_C(14695981039346656037);
	struct batches g;
	struct pair p;
	uint32_t i, round;
	size_t k;

	(void)state;
	batches_init(&g, 99, 1);
	pair_init(&p, &roomy);
	for (round = 0; round < 100; round++) {
		if (round < 20)
			for (i = 0; i < 4; i++) {
				char name[16];

				(void)snprintf(name, sizeof(name), "m%u_%u",
				    round, i);
				(void)define(&p, name);
			}
		for (i = 0; i < 4 * (round < 20 ? round + 1 : 20); i++)
			add_sample(&p, i, 1000 + round * 5000,
			    i % 4 == 0 ? bits_of((double)(round * i)) :
			    i % 4 == 1 ? bits_of((double)batches_pick(&g,
			    1000) / 100) : i % 4 == 2 ?
			    bits_of((double)round / (double)(i + 1)) :
			    bits_of(0.001 * round + 1e-17 * i));
		(void)through(&p);
		for (k = 0; k < p.record.len; k++)
			hash = (hash ^ p.record.data[k]) *
			    UINT64_C(1099511628211);
	}
	assert_int_equal(hash, GOLDEN);
	batches_fini(&g);
	pair_fini(&p);
}

/* A bit that is not as it was shows within sixteen records, if only by what is
 * read then. */
static void
divergence_is_found(void **state)
{
	enum { AT = 20, RECORDS = 40 };
	struct buf records[RECORDS];
	struct batches g;
	struct pair p;
	enum status st;
	size_t bit;
	int i;

	(void)state;
	pair_init(&p, &roomy);
	batches_init(&g, 31, 40);
	for (i = 0; i < RECORDS; i++) {
		assert_int_equal(batches_next(&g, p.e, &p.in), ST_OK);
		buf_init(&records[i], 1 << 20);
		assert_int_equal(encoder_encode(p.e, &p.in, &records[i]),
		    ST_OK);
		empty(&p.in);
	}
	for (bit = 0; bit < records[AT].len * 8; bit += 5) {
		new_decoder(&p);
		records[AT].data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		for (i = 0, st = ST_OK; i < RECORDS && st == ST_OK; i++) {
			st = decoder_decode(p.d, buf_bytes(&records[i]),
			    &p.out);
			empty(&p.out);
		}
		records[AT].data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		/* what was read is checked with the last record of sixteen */
		if (st == ST_OK)
			fail_msg("bit %zu was not missed", bit);
		assert_in_range(i, AT + 1, 32);
	}
	for (i = 0; i < RECORDS; i++)
		buf_fini(&records[i]);
	batches_fini(&g);
	pair_fini(&p);
}

/* A record of few bytes cannot ask for more than the arena gives. */
static void
batch_keeps_to_its_arena(void **state)
{
	struct pair p;
	uint32_t i, round;
	enum status st = ST_OK;

	(void)state;
	pair_init(&p, &roomy);
	define_numbered(&p, 1000);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 1000; i++)
			add_sample(&p, i, round * 1000, 1);
		buf_reset(&p.record, SIZE_MAX);
		assert_int_equal(encoder_encode(p.e, &p.in, &p.record), ST_OK);
		empty(&p.in);
		if (round == 2) {
			arena_free(&p.out.arena);
			p.out.arena = arena_new(20000, 0);
		}
		st = decoder_decode(p.d, buf_bytes(&p.record), &p.out);
		if (round < 2)
			empty(&p.out);
	}
	assert_int_equal(st, ST_NO_MEMORY);
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
		add_sample(&p, 0, i * 7919, (uint64_t)i * i * i *
		    UINT64_C(0x9e3779b97f4a7c15));
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
		cmocka_unit_test(odd_values_come_back),
		cmocka_unit_test(values_change_their_nature),
		cmocka_unit_test(times_may_jump),
		cmocka_unit_test(connections_keep_apart),
		cmocka_unit_test(series_may_come_one_by_one),
		cmocka_unit_test(histograms_and_exemplars_are_small),
		cmocka_unit_test(start_timestamps_cost_once),
		cmocka_unit_test(restart_forgets_everything),
		cmocka_unit_test(bytes_are_the_same_everywhere),
		cmocka_unit_test(divergence_is_found),
		cmocka_unit_test(batch_keeps_to_its_arena),
		cmocka_unit_test(records_out_of_their_stream_are_refused),
		cmocka_unit_test(every_cut_record_is_refused),
		cmocka_unit_test(decoder_keeps_to_its_memory),
		cmocka_unit_test(full_output_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
