/* test_payload.c - which message a body is said to be, and its compression.
 * SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zstd.h>

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
encodings_are_snappy_and_zstd(void **state)
{
	static const char *const snappy[] = { "", "snappy", " Snappy " };
	static const char *const zstd[] = { "zstd", "ZSTD ", "\tzstd" };
	static const char *const refused[] = { "gzip", "deflate", "zst",
		"identity", "snappy, snappy", "snapp", "snappy;",
		"zstd, snappy", "zstd zstd", "x-zstd" };
	enum payload_coding coding = PAYLOAD_ZSTD;
	size_t i;

	(void)state;
	assert_int_equal(payload_coding_of(bytes_of(NULL, 0), &coding), ST_OK);
	assert_int_equal(coding, PAYLOAD_SNAPPY);
	for (i = 0; i < 3; i++) {
		assert_int_equal(payload_coding_of(bytes_str(zstd[i]), &coding),
		    ST_OK);
		assert_int_equal(coding, PAYLOAD_ZSTD);
		assert_int_equal(payload_coding_of(bytes_str(snappy[i]),
		    &coding), ST_OK);
		assert_int_equal(coding, PAYLOAD_SNAPPY);
	}
	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		assert_int_equal(payload_coding_of(bytes_str(refused[i]),
		    &coding), ST_ENCODING);
}

static struct payload_tools tools;

static enum status
unpack_as(enum payload_coding coding, const void *p, size_t n, size_t limit,
    struct bytes *out)
{
	struct arena *arena = arena_new(LIMIT, 0);
	uint8_t *copy = malloc(n ? n : 1);
	enum status st;

	/* of the exact size, for the address sanitizer */
	memcpy(copy, p, n);
	st = payload_unpack(&tools, coding, bytes_of(copy, n), limit, arena, out);
	if (st == ST_OK && out->n > 0)
		out->p = memcpy(test_malloc(out->n), out->p, out->n);
	free(copy);
	arena_free(&arena);
	return st;
}

static enum status
unpack(const void *p, size_t n, size_t limit, struct bytes *out)
{
	return unpack_as(PAYLOAD_SNAPPY, p, n, limit, out);
}

static void
packed_unpacks(enum payload_coding coding)
{
	static const size_t sizes[] = { 0, 1, 59, 60, 61, 300, 70000 };
	struct bytes out;
	struct buf packed;
	uint8_t *raw;
	size_t i, k;

	buf_init(&packed, LIMIT);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		raw = test_malloc(sizes[i] + 1);
		for (k = 0; k < sizes[i]; k++)
			raw[k] = (uint8_t)(k * k >> 3);
		buf_reset(&packed, LIMIT);
		assert_true(buf_append_str(&packed, "head"));
		assert_int_equal(payload_pack(&tools, coding,
		    bytes_of(raw, sizes[i]), &packed), ST_OK);
		assert_memory_equal(packed.data, "head", 4);
		assert_int_equal(unpack_as(coding, packed.data + 4,
		    packed.len - 4, LIMIT, &out), ST_OK);
		assert_int_equal(out.n, sizes[i]);
		if (out.n > 0) {
			assert_memory_equal(out.p, raw, out.n);
			test_free((void *)(uintptr_t)out.p);
		}
		test_free(raw);
	}
	buf_fini(&packed);
}

static void
what_is_packed_unpacks(void **state)
{
	(void)state;
	packed_unpacks(PAYLOAD_SNAPPY);
	packed_unpacks(PAYLOAD_ZSTD);
}

/* The limit is on what comes out, not on the worst that might. */
static void
packing_as_keeps_to_the_limit(enum payload_coding coding)
{
	static uint8_t zeros[100000], noise[100000];
	struct buf packed;
	uint32_t x = 1;
	size_t i;

	for (i = 0; i < sizeof(noise); i++) {
		x = x * 1664525 + 1013904223;
		noise[i] = (uint8_t)(x >> 24);
	}
	buf_init(&packed, 10000);
	assert_int_equal(payload_pack(&tools, coding, bytes_of(noise,
	    sizeof(noise)), &packed), ST_TOO_LARGE);
	assert_int_equal(packed.len, 0);
	assert_int_equal(payload_pack(&tools, coding, bytes_of(zeros,
	    sizeof(zeros)), &packed), ST_OK);
	assert_in_range(packed.len, 1, 10000);
	buf_fini(&packed);
}

static void
packing_keeps_to_the_limit(void **state)
{
	(void)state;
	packing_as_keeps_to_the_limit(PAYLOAD_SNAPPY);
	packing_as_keeps_to_the_limit(PAYLOAD_ZSTD);
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
	assert_int_equal(payload_unpack(NULL, PAYLOAD_SNAPPY,
	    bytes_of(body, sizeof(body)), SIZE_MAX, arena, &out), ST_BAD_SNAPPY);
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
	assert_int_equal(payload_unpack(NULL, PAYLOAD_SNAPPY,
	    bytes_of(body, sizeof(body)), LIMIT, arena, &out), ST_NO_MEMORY);
	arena_free(&arena);
}

/* ---- zstd ------------------------------------------------------------------ */

/* Half of it noise, so that frames of it have blocks of several kinds. */
static const uint8_t *
text(size_t n)
{
	static uint8_t out[2 << 20];
	uint32_t x = 7;
	size_t i;

	assert_true(n <= sizeof(out));
	for (i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		out[i] = i & 4096 ? (uint8_t)(x >> 24) : (uint8_t)(i >> 5);
	}
	return out;
}

/* A frame that tells its size, or one that does not, at the end of `out`. */
static void
put_frame(struct buf *out, const uint8_t *p, size_t n, bool told)
{
	ZSTD_CCtx *z = ZSTD_createCCtx();
	size_t rc, room = ZSTD_compressBound(n);

	assert_non_null(buf_room(out, room));
	(void)ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, told);
	(void)ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1);
	rc = ZSTD_compress2(z, out->data + out->len, room, p, n);
	assert_false(ZSTD_isError(rc));
	out->len += rc;
	(void)ZSTD_freeCCtx(z);
}

static enum status
unzstd(const struct buf *b, size_t limit, struct bytes *out)
{
	return unpack_as(PAYLOAD_ZSTD, b->data, b->len, limit, out);
}

static void
frames_follow_each_other(void **state)
{
	static const uint8_t skipped[] = { 0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0,
		'a', 'b', 'c' };
	const uint8_t *p = text(300000);
	struct bytes out;
	struct buf b;
	unsigned told;

	(void)state;
	for (told = 0; told < 8; told++) {
		buf_init(&b, LIMIT);
		put_frame(&b, p, 100000, told & 1);
		put_frame(&b, p + 100000, 0, told & 2);
		assert_true(buf_append(&b, skipped, sizeof(skipped)));
		put_frame(&b, p + 100000, 200000, told & 4);
		assert_int_equal(unzstd(&b, 300000, &out), ST_OK);
		assert_int_equal(out.n, 300000);
		assert_memory_equal(out.p, p, out.n);
		test_free((void *)(uintptr_t)out.p);
		assert_int_equal(unzstd(&b, 299999, &out), ST_TOO_LARGE);
		buf_fini(&b);
	}
}

/* Of 40 bytes a megabyte can come: told or not, the limit holds. */
static void
a_frame_that_does_not_tell_is_bounded(void **state)
{
	static const uint8_t zeros[LIMIT];
	struct bytes out;
	struct buf b;
	size_t n;

	(void)state;
	buf_init(&b, 2 * LIMIT);
	put_frame(&b, zeros, sizeof(zeros), false);
	assert_in_range(b.len, 10, 1000);
	assert_int_equal(payload_size(PAYLOAD_ZSTD, buf_bytes(&b), LIMIT, &n),
	    ST_OK);
	assert_true(n == PAYLOAD_UNTOLD);
	assert_int_equal(unzstd(&b, LIMIT - 1, &out), ST_TOO_LARGE);
	/* an arena has room for it once, not for its tries as well */
	assert_int_equal(unzstd(&b, LIMIT, &out), ST_OK);
	assert_int_equal(out.n, LIMIT);
	test_free((void *)(uintptr_t)out.p);
	buf_fini(&b);
}

static void
the_size_is_known_before(void **state)
{
	struct buf b;
	size_t n;

	(void)state;
	buf_init(&b, LIMIT);
	put_frame(&b, text(5000), 5000, true);
	put_frame(&b, text(70), 70, true);
	assert_int_equal(payload_size(PAYLOAD_ZSTD, buf_bytes(&b), LIMIT, &n),
	    ST_OK);
	assert_int_equal(n, 5070);
	assert_int_equal(payload_size(PAYLOAD_ZSTD, buf_bytes(&b), 5069, &n),
	    ST_TOO_LARGE);
	buf_fini(&b);
}

/* What a frame says of itself may not cost memory: 4 GiB - 1 in 14 bytes. */
static void
a_frame_that_tells_nonsense_allocates_nothing(void **state)
{
	static const uint8_t body[] = { 0x28, 0xb5, 0x2f, 0xfd, 0xa0,
		0xff, 0xff, 0xff, 0xff, 1, 0, 0 };
	struct arena *arena = arena_new(SIZE_MAX, 0);
	struct bytes out;

	(void)state;
	assert_int_equal(payload_unpack(&tools, PAYLOAD_ZSTD, bytes_of(body,
	    sizeof(body)), LIMIT, arena, &out), ST_TOO_LARGE);
	assert_int_equal(payload_unpack(&tools, PAYLOAD_ZSTD, bytes_of(body,
	    sizeof(body)), SIZE_MAX - 1, arena, &out), ST_BAD_ZSTD);
	assert_int_equal(arena_size(arena), 0);
	arena_free(&arena);
}

static void
broken_frames_are_refused(void **state)
{
	const uint8_t *p = text(10000);
	struct bytes out = { NULL, 77 };
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, LIMIT);
	put_frame(&b, p, 10000, true);
	for (i = 0; i < b.len; i += 1 + i / 50)	/* cut anywhere */
		assert_int_equal(unpack_as(PAYLOAD_ZSTD, b.data, i, LIMIT,
		    &out), ST_BAD_ZSTD);
	assert_true(buf_append_str(&b, "x"));	/* what follows is no frame */
	assert_int_equal(unzstd(&b, LIMIT, &out), ST_BAD_ZSTD);
	b.len--;
	b.data[b.len / 2] ^= 1;			/* its checksum is wrong */
	assert_int_equal(unzstd(&b, LIMIT, &out), ST_BAD_ZSTD);
	assert_int_equal(out.n, 77);
	buf_fini(&b);
}

static void
other_formats_are_refused(void **state)
{
	/* zstd 0.7, which the library still reads; snappy; gzip */
	static const uint8_t old[] = { 0x27, 0xb5, 0x2f, 0xfd, 0x24, 0, 0xc0,
		0, 0 };
	static const uint8_t snappy[] = { 3, 8, 'a', 'b', 'c' };
	static const uint8_t gzip[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3 };
	struct bytes out;

	(void)state;
#define REFUSED(a) assert_int_equal(unpack_as(PAYLOAD_ZSTD, a, sizeof(a), \
	LIMIT, &out), ST_BAD_ZSTD)
	REFUSED(old);
	REFUSED(snappy);
	REFUSED(gzip);
#undef REFUSED
}

static void
a_dictionary_is_refused(void **state)
{
	const uint8_t *p = text(8192) + 4096;	/* noise */
	ZSTD_CCtx *z = ZSTD_createCCtx();
	uint8_t packed[5000], same[4000];
	struct bytes out;
	size_t n;

	(void)state;
	memcpy(same, p, sizeof(same));
	n = ZSTD_compress_usingDict(z, packed, sizeof(packed), same,
	    sizeof(same), p, sizeof(same), 3);
	assert_in_range(n, 10, 1000);
	assert_int_equal(unpack_as(PAYLOAD_ZSTD, packed, n, LIMIT, &out),
	    ST_BAD_ZSTD);
	(void)ZSTD_freeCCtx(z);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(content_types_of_version_1),
		cmocka_unit_test(content_types_of_version_2),
		cmocka_unit_test(other_content_types_are_refused),
		cmocka_unit_test(encodings_are_snappy_and_zstd),
		cmocka_unit_test(what_is_packed_unpacks),
		cmocka_unit_test(packing_keeps_to_the_limit),
		cmocka_unit_test(broken_bodies_are_refused),
		cmocka_unit_test(
		    a_declared_length_beyond_reason_allocates_nothing),
		cmocka_unit_test(an_arena_too_small_is_told),
		cmocka_unit_test(frames_follow_each_other),
		cmocka_unit_test(a_frame_that_does_not_tell_is_bounded),
		cmocka_unit_test(the_size_is_known_before),
		cmocka_unit_test(
		    a_frame_that_tells_nonsense_allocates_nothing),
		cmocka_unit_test(broken_frames_are_refused),
		cmocka_unit_test(other_formats_are_refused),
		cmocka_unit_test(a_dictionary_is_refused),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	payload_tools_fini(&tools);
	return failed;
}
