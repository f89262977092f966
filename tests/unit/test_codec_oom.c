/* test_codec_oom.c - encoding and decoding with each allocation failing.
 *
 * What cannot be had is reported, a definition that failed has changed nothing,
 * and after a restart the stream goes on as if nothing had been.
 * SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fake/oom.h"
#include "series/codec.h"
#include "unit/batches.h"

#define RECORDS 14
#define SERIES 60

static const struct encoder_opts encoder_opts = {
	.edge = BYTES_LIT("edge"),
	.max_series = 1000,
	.max_symbol_bytes = 1000000,
};
static const struct decoder_opts decoder_opts = { (size_t)64 << 20 };

struct ends {
	struct encoder *e;
	struct decoder *d;
	struct batches g;
	struct batch *in, *out;
	struct buf record;
};

static void
start_over(struct ends *x)
{
	encoder_restart(x->e);
	batches_restart(&x->g);
	decoder_free(&x->d);
	assert_int_equal(decoder_new(&decoder_opts, &x->d), ST_OK);
}

static void
one_record(struct ends *x)
{
	enum status st;

	assert_int_equal(batches_next(&x->g, x->e, x->in), ST_OK);
	buf_reset(&x->record, 0);
	oom.on = true;
	st = encoder_encode(x->e, x->in, &x->record);
	if (st == ST_OK)
		st = decoder_decode(x->d, buf_bytes(&x->record), x->out);
	oom.on = false;
	if (st == ST_OK) {
		assert_null(batches_differ(x->in, x->out));
	} else {
		assert_int_equal(st, ST_NO_MEMORY);
		start_over(x);
	}
	batch_reset(x->in);
	batch_reset(x->out);
}

/* A whole stream; returns how many allocations there were. */
static uint64_t
stream(uint64_t fail)
{
	struct ends x = { 0 };
	int i;

	oom.asked = 0;
	oom.fail_at = fail;
	assert_int_equal(encoder_new(&encoder_opts, &x.e), ST_OK);
	assert_int_equal(decoder_new(&decoder_opts, &x.d), ST_OK);
	x.in = batch_new((size_t)64 << 20, 0);
	x.out = batch_new((size_t)64 << 20, 0);
	assert_non_null(x.in);
	assert_non_null(x.out);
	buf_init(&x.record, (size_t)64 << 20);
	batches_init(&x.g, 77, SERIES);
	for (i = 0; i < RECORDS; i++)
		one_record(&x);
	batches_fini(&x.g);
	buf_fini(&x.record);
	batch_free(&x.in);
	batch_free(&x.out);
	encoder_free(&x.e);
	decoder_free(&x.d);
	return oom.asked;
}

static void
every_allocation_of_a_stream_may_fail(void **state)
{
	uint64_t n = stream(OOM_NEVER), i;

	(void)state;
	assert_true(n > 100);
	for (i = 0; i < n; i++)
		(void)stream(i);
}

static void
both_ends_may_fail_to_be_made(void **state)
{
	struct encoder *e = NULL;
	struct decoder *d = NULL;
	uint64_t i;

	(void)state;
	for (i = 0; i < 20 && !(e && d); i++) {
		encoder_free(&e);
		decoder_free(&d);
		oom.asked = 0;
		oom.fail_at = i;
		oom.on = true;
		if (encoder_new(&encoder_opts, &e) == ST_OK)
			(void)decoder_new(&decoder_opts, &d);
		oom.on = false;
	}
	assert_non_null(e);
	assert_non_null(d);
	assert_true(i > 5);
	encoder_free(&e);
	decoder_free(&d);
}

static void
a_definition_that_fails_changes_nothing(void **state)
{
	struct label l[2] = { { BYTES_LIT("__name__"), BYTES_LIT("up") },
		{ BYTES_LIT("instance"), { NULL, 0 } } };
	struct encoder *e;
	char value[24];
	enum status st;
	uint32_t i, id;

	(void)state;
	assert_int_equal(encoder_new(&encoder_opts, &e), ST_OK);
	for (i = 0; i < 700; i++) {
		(void)snprintf(value, sizeof(value), "host-%u", i);
		l[1].value = bytes_str(value);
		oom.fail_at = 0;
		do {
			oom.asked = 0;
			oom.on = true;
			st = encoder_define(e, l, 2, &id);
			oom.on = false;
			oom.fail_at++;
			if (st != ST_OK) {
				assert_int_equal(st, ST_NO_MEMORY);
				assert_int_equal(encoder_n_series(e), i);
			}
		} while (st != ST_OK);
		assert_int_equal(id, i);
	}
	encoder_free(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_allocation_of_a_stream_may_fail),
		cmocka_unit_test(both_ends_may_fail_to_be_made),
		cmocka_unit_test(a_definition_that_fails_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
