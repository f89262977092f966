/* test_prw_oom.c - requests read and written while the n-th allocation fails,
 * for every n: it is told, nothing is lost or used after its end, and the same
 * objects serve the next request.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fake/oom.h"
#include "prw/payload.h"
#include "prw/v1.h"
#include "prw/v2.h"
#include "tests/reference/message.h"
#include "tests/reference/trip.h"

#define MS INT64_C(1795378828655)
#define LIMIT ((size_t)1 << 24)

/* ---- a request of everything ------------------------------------------------- */

static struct hash_key key;
static struct buf packed[2];		/* by enum payload_proto */

/* Distinct names, so that tables grow. */
static void
put_series(struct buf *req, unsigned i)
{
	struct buf m = message_empty(), part;
	char name[32];

	(void)snprintf(name, sizeof(name), "metric_%u", i);
	message_label(&m, "__name__", name);
	message_sample(&m, 2, i, MS + i);
	part = message_empty();
	message_label(&part, "trace_id", name);
	message_varint(&part, 3, (uint64_t)MS);
	message_sub(&m, 3, &part);
	part = message_empty();
	message_varint(&part, 15, (uint64_t)MS);
	message_sub(&m, 4, &part);
	message_sub(req, 1, &m);
	m = message_empty();
	message_varint(&m, 1, 1);
	message_string(&m, 2, name);
	message_string(&m, 4, "help");
	message_sub(req, 3, &m);
}

static struct buf
request(void)
{
	struct buf req = message_empty();
	unsigned i;

	for (i = 0; i < 300; i++)
		put_series(&req, i);
	return req;
}

static void
learn(struct trip *trip, struct bytes body)
{
	struct batch *b = batch_new(SIZE_MAX, 0);

	assert_int_equal(v1_scan(body, &key, b), ST_OK);
	trip_identify(trip, b);
	batch_settle(b);
	trip_pass(trip, b);
	batch_free(&b);
}

/* ---- reading ------------------------------------------------------------- */

static enum status
receive(enum payload_proto proto, struct batch *b)
{
	struct bytes body;
	enum status st;

	batch_reset(b);
	st = payload_unpack(NULL, PAYLOAD_SNAPPY, buf_bytes(&packed[proto]),
	    LIMIT, b->arena, &body);
	if (st != ST_OK)
		return st;
	return proto == PAYLOAD_V1 ? v1_scan(body, &key, b) :
	    v2_scan(body, &key, b);
}

static void
reading(enum payload_proto proto)
{
	enum status st = ST_NO_MEMORY;
	struct batch *b;
	long n;

	for (n = 1; st != ST_OK; n++) {
		oom_on((uint64_t)n);
		b = batch_new(SIZE_MAX, 0);
		if (b) {
			st = receive(proto, b);
			assert_true(st == ST_OK || st == ST_NO_MEMORY);
			(void)oom_off();
			assert_int_equal(receive(proto, b), ST_OK);
			assert_int_equal(b->n_samples, 300);
		}
		(void)oom_off();
		batch_free(&b);
	}
	assert_in_range(n, 5, 1000);
}

static void
a_request_is_read_or_not(void **state)
{
	(void)state;
	reading(PAYLOAD_V1);
	reading(PAYLOAD_V2);
}

/* ---- writing ------------------------------------------------------------- */

static enum status
write_v1(struct v1_builder *b, struct trip *trip, struct buf *out)
{
	struct prw_counts counts;
	struct prw_loss loss;
	enum status st;

	v1_begin(b, decoder_dict(trip->decoder));
	st = v1_add(b, trip->out, SIZE_MAX);
	if (st != ST_OK) {
		assert_int_equal(v1_size(b), 0);
		return st;
	}
	return payload_pack(NULL, PAYLOAD_SNAPPY,
	    v1_finish(b, &counts, &loss), out);
}

static enum status
write_v2(struct v2_builder *b, struct trip *trip, struct buf *out)
{
	struct prw_counts counts;
	struct prw_loss loss;
	enum status st;

	v2_begin(b, decoder_dict(trip->decoder));
	st = v2_add(b, trip->out, SIZE_MAX);
	if (st != ST_OK) {
		assert_int_equal(v2_size(b), 0);
		return st;
	}
	return payload_pack(NULL, PAYLOAD_SNAPPY,
	    v2_finish(b, &counts, &loss), out);
}

/* With one allocation failing, then again with none; by the builder that is not
 * NULL.  False: there was none left to fail. */
static bool
write_twice(struct v1_builder *v1, struct v2_builder *v2, struct trip *trip)
{
	struct buf out;
	enum status st;
	bool failed;

	buf_init(&out, LIMIT);
	st = v1 ? write_v1(v1, trip, &out) : write_v2(v2, trip, &out);
	assert_true(st == ST_OK || st == ST_NO_MEMORY);
	failed = oom_off();
	buf_reset(&out, 0);
	assert_int_equal(v1 ? write_v1(v1, trip, &out) :
	    write_v2(v2, trip, &out), ST_OK);
	assert_in_range(out.len, 100, LIMIT);
	/* and it is what is always written, but for metadata just sent */
	if (v2) {
		assert_int_equal(out.len, packed[PAYLOAD_V2].len);
		assert_memory_equal(out.data, packed[PAYLOAD_V2].data, out.len);
	}
	buf_fini(&out);
	return failed;
}

static void
writing(enum payload_proto proto)
{
	struct buf req = request();
	struct v1_builder *v1;
	struct v2_builder *v2;
	struct trip trip;
	bool failed = true;
	long n;

	for (n = 1; failed; n++) {
		trip_init(&trip, "edge");	/* its caches empty */
		learn(&trip, buf_bytes(&req));
		oom_on((uint64_t)n);
		v1 = proto == PAYLOAD_V1 ? v1_builder_new() : NULL;
		v2 = proto == PAYLOAD_V2 ? v2_builder_new() : NULL;
		if (v1 || v2)
			failed = write_twice(v1, v2, &trip);
		(void)oom_off();
		v1_builder_free(&v1);
		v2_builder_free(&v2);
		trip_fini(&trip);
	}
	assert_in_range(n, 10, 1000);
	buf_fini(&req);
}

static void
a_request_is_written_or_not(void **state)
{
	(void)state;
	writing(PAYLOAD_V1);
	writing(PAYLOAD_V2);
}

/* Both forms of the request, as the relay itself has them. */
static int
set_up(void **state)
{
	struct v2_builder *b = v2_builder_new();
	struct buf req = request();
	struct trip trip;

	(void)state;
	assert_int_equal(hash_key_init(&key), ST_OK);
	buf_init(&packed[PAYLOAD_V1], LIMIT);
	buf_init(&packed[PAYLOAD_V2], LIMIT);
	assert_int_equal(payload_pack(NULL, PAYLOAD_SNAPPY,
	    buf_bytes(&req), &packed[PAYLOAD_V1]),
	    ST_OK);
	trip_init(&trip, "edge");
	learn(&trip, buf_bytes(&req));
	assert_int_equal(write_v2(b, &trip, &packed[PAYLOAD_V2]), ST_OK);
	trip_fini(&trip);
	v2_builder_free(&b);
	buf_fini(&req);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	buf_fini(&packed[PAYLOAD_V1]);
	buf_fini(&packed[PAYLOAD_V2]);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_read_or_not),
		cmocka_unit_test(a_request_is_written_or_not),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
