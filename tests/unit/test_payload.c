/* test_payload.c - which message a body is said to be, and its compression.
 * SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "prw/payload.h"

#define LIMIT ((size_t)1 << 20)

static enum status
proto_of(const char *type)
{
	enum payload_proto proto = PAYLOAD_V1;
	enum status st = payload_proto_of(bytes_str(type), &proto);

	/* one number for both answers */
	return st == ST_OK && proto == PAYLOAD_V2 ? ST__N : st;
}

static void
content_types_of_version_1(void **state)
{
	static const char *const types[] = {
		"", "application/x-protobuf", "Application/X-Protobuf",
		" application/x-protobuf ", "application/x-protobuf;",
		"application/x-protobuf;proto=prometheus.WriteRequest",
		"application/x-protobuf ; Proto=\"prometheus.WriteRequest\"",
		"application/x-protobuf; charset=utf-8",
	};
	enum payload_proto proto = PAYLOAD_V2;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		assert_int_equal(proto_of(types[i]), ST_OK);
	assert_int_equal(payload_proto_of(bytes_of(NULL, 0), &proto), ST_OK);
	assert_int_equal(proto, PAYLOAD_V1);
}

static void
content_types_of_version_2(void **state)
{
	static const char *const types[] = {
		"application/x-protobuf;proto=io.prometheus.write.v2.Request",
		"application/x-protobuf; proto=io.prometheus.write.v2.Request",
		"APPLICATION/x-protobuf\t;\tPROTO="
		"\"io.prometheus.write.v2.Request\" ",
		"application/x-protobuf;;x=\"a;\\\"b\";"
		"proto=io.prometheus.write.v2.Request",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		assert_int_equal(proto_of(types[i]), ST__N);
	assert_int_equal(proto_of(payload_content_type(PAYLOAD_V2)), ST__N);
	assert_int_equal(proto_of(payload_content_type(PAYLOAD_V1)), ST_OK);
	assert_string_equal(payload_version(PAYLOAD_V1), "0.1.0");
	assert_string_equal(payload_version(PAYLOAD_V2), "2.0.0");
}

static void
other_content_types_are_refused(void **state)
{
	static const char *const types[] = {
		"application/json", "image/png", "application", "/", ";",
		"application/x-protobuf2", "application/x-protobuf x",
		"application/x-protobuf;proto=", "application/x-protobuf;proto",
		"application/x-protobuf;proto=\"prometheus.WriteRequest",
		"application/x-protobuf;proto=prometheus.writerequest",
		"application/x-protobuf;proto=io.prometheus.write.v3.Request",
		"application/x-protobuf;proto =prometheus.WriteRequest",
		"application/x-protobuf,application/json",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		assert_int_equal(proto_of(types[i]), ST_MEDIA_TYPE);
}

static void
only_snappy_is_an_encoding(void **state)
{
	static const char *const refused[] = { "gzip", "deflate", "zstd",
		"identity", "snappy, snappy", "snapp", "snappy;" };
	size_t i;

	(void)state;
	assert_int_equal(payload_encoding_check(bytes_of(NULL, 0)), ST_OK);
	assert_int_equal(payload_encoding_check(bytes_str("snappy")), ST_OK);
	assert_int_equal(payload_encoding_check(bytes_str(" Snappy ")), ST_OK);
	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		assert_int_equal(payload_encoding_check(bytes_str(refused[i])),
		    ST_ENCODING);
}

static enum status
unpack(const void *p, size_t n, size_t limit, struct bytes *out)
{
	struct arena *arena = arena_new(LIMIT, 0);
	uint8_t *copy = malloc(n ? n : 1);
	enum status st;

	/* of the exact size, for the address sanitizer */
	memcpy(copy, p, n);
	st = payload_unpack(bytes_of(copy, n), limit, arena, out);
	if (st == ST_OK && out->n > 0)
		out->p = memcpy(test_malloc(out->n), out->p, out->n);
	free(copy);
	arena_free(&arena);
	return st;
}

static void
what_is_packed_unpacks(void **state)
{
	static const size_t sizes[] = { 0, 1, 59, 60, 61, 300, 70000 };
	struct bytes out;
	struct buf packed;
	uint8_t *raw;
	size_t i, k;

	(void)state;
	buf_init(&packed, LIMIT);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		raw = test_malloc(sizes[i] + 1);
		for (k = 0; k < sizes[i]; k++)
			raw[k] = (uint8_t)(k * k >> 3);
		buf_reset(&packed, LIMIT);
		assert_true(buf_append_str(&packed, "head"));
		assert_int_equal(payload_pack(bytes_of(raw, sizes[i]), &packed),
		    ST_OK);
		assert_memory_equal(packed.data, "head", 4);
		assert_int_equal(unpack(packed.data + 4, packed.len - 4,
		    LIMIT, &out), ST_OK);
		assert_int_equal(out.n, sizes[i]);
		if (out.n > 0) {
			assert_memory_equal(out.p, raw, out.n);
			test_free((void *)(uintptr_t)out.p);
		}
		test_free(raw);
	}
	buf_fini(&packed);
}

/* The limit is on what comes out, not on the worst that might. */
static void
packing_keeps_to_the_limit(void **state)
{
	static uint8_t zeros[100000], noise[100000];
	struct buf packed;
	uint32_t x = 1;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(noise); i++) {
		x = x * 1664525 + 1013904223;
		noise[i] = (uint8_t)(x >> 24);
	}
	buf_init(&packed, 10000);
	assert_int_equal(payload_pack(bytes_of(noise, sizeof(noise)), &packed),
	    ST_TOO_LARGE);
	assert_int_equal(packed.len, 0);
	assert_int_equal(payload_pack(bytes_of(zeros, sizeof(zeros)), &packed),
	    ST_OK);
	assert_in_range(packed.len, 1, 10000);
	buf_fini(&packed);
}

static void
broken_bodies_are_refused(void **state)
{
	static const uint8_t declared_large[] = { 0x80, 0x80, 0x80, 0x01, 0 };
	static const uint8_t declared_huge[] = { 0xff, 0xff, 0xff, 0xff, 0x0f };
	static const uint8_t cut[] = { 5, 16, 'a', 'b', 'c' };
	static const uint8_t short_of[] = { 5, 8, 'a', 'b', 'c' };
	static const uint8_t trailing[] = { 3, 8, 'a', 'b', 'c', 0 };
	static const uint8_t before_start[] = { 5, 0, 'a', 0x01, 2 };
	static const uint8_t offset_zero[] = { 5, 0, 'a', 0x01, 0 };
	static const uint8_t long_length[] = { 0x80, 0x80, 0x80, 0x80, 0x80, 1 };
	struct bytes out = { NULL, 77 };

	(void)state;
#define REFUSED(a) \
	assert_int_equal(unpack(a, sizeof(a), LIMIT, &out), ST_BAD_SNAPPY)
	REFUSED(cut);
	REFUSED(short_of);
	REFUSED(trailing);
	REFUSED(before_start);
	REFUSED(offset_zero);
	REFUSED(long_length);
#undef REFUSED
	assert_int_equal(unpack("", 0, LIMIT, &out), ST_BAD_SNAPPY);
	assert_int_equal(unpack(declared_large, sizeof(declared_large), LIMIT,
	    &out), ST_TOO_LARGE);
	assert_int_equal(unpack(declared_huge, sizeof(declared_huge), LIMIT,
	    &out), ST_TOO_LARGE);
	assert_int_equal(out.n, 77);
}

/* Five bytes may not cost two megabytes. */
static void
a_declared_length_beyond_reason_allocates_nothing(void **state)
{
	static const uint8_t body[] = { 0x80, 0x80, 0x80, 0x01, 0 };
	struct arena *arena = arena_new(SIZE_MAX, 0);
	struct bytes out;

	(void)state;
	assert_int_equal(payload_unpack(bytes_of(body, sizeof(body)), SIZE_MAX,
	    arena, &out), ST_BAD_SNAPPY);
	assert_int_equal(arena_size(arena), 0);
	arena_free(&arena);
}

static void
an_arena_too_small_is_told(void **state)
{
	static const uint8_t body[] = { 3, 8, 'a', 'b', 'c' };
	struct arena *arena = arena_new(2, 0);
	struct bytes out;

	(void)state;
	assert_int_equal(payload_unpack(bytes_of(body, sizeof(body)), LIMIT,
	    arena, &out), ST_NO_MEMORY);
	arena_free(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(content_types_of_version_1),
		cmocka_unit_test(content_types_of_version_2),
		cmocka_unit_test(other_content_types_are_refused),
		cmocka_unit_test(only_snappy_is_an_encoding),
		cmocka_unit_test(what_is_packed_unpacks),
		cmocka_unit_test(packing_keeps_to_the_limit),
		cmocka_unit_test(broken_bodies_are_refused),
		cmocka_unit_test(
		    a_declared_length_beyond_reason_allocates_nothing),
		cmocka_unit_test(an_arena_too_small_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
