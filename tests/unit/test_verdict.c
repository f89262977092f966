/* test_verdict.c - what an upstream's answer means, as a table.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "forward/verdict.h"

enum { AUTO = 1, PROVEN = 2, DROP = 4, WRITTEN = 8, ZSTD = 16 };

static const struct row {
	enum status st;
	int http;
	enum payload_proto sent;
	unsigned flags;
	enum verdict want;
} row[] = {
	/* success */
	{ ST_OK, 200, PAYLOAD_V1, 0, VERDICT_DELIVERED },
	{ ST_OK, 204, PAYLOAD_V1, AUTO, VERDICT_DELIVERED },
	{ ST_OK, 204, PAYLOAD_V2, AUTO | WRITTEN, VERDICT_DELIVERED },
	/* success without Written headers: a 1.0 receiver that stored nothing */
	{ ST_OK, 204, PAYLOAD_V2, AUTO, VERDICT_OTHER },
	{ ST_OK, 204, PAYLOAD_V2, AUTO | PROVEN, VERDICT_OTHER },
	{ ST_OK, 204, PAYLOAD_V2, 0, VERDICT_HELD },
	/* 415 */
	{ ST_OK, 415, PAYLOAD_V2, AUTO | PROVEN, VERDICT_OTHER },
	{ ST_OK, 415, PAYLOAD_V2, 0, VERDICT_HELD },
	/* 400: data, or a receiver of 1.0 that does not know 2.0 */
	{ ST_OK, 400, PAYLOAD_V1, AUTO, VERDICT_REFUSED },
	{ ST_OK, 400, PAYLOAD_V2, AUTO, VERDICT_OTHER },
	{ ST_OK, 400, PAYLOAD_V2, AUTO | WRITTEN, VERDICT_REFUSED },
	{ ST_OK, 400, PAYLOAD_V2, AUTO | PROVEN, VERDICT_REFUSED },
	{ ST_OK, 400, PAYLOAD_V2, 0, VERDICT_REFUSED },
	/* either, where zstd may be what it did not understand */
	{ ST_OK, 204, PAYLOAD_V1, ZSTD, VERDICT_DELIVERED },
	{ ST_OK, 204, PAYLOAD_V2, ZSTD | AUTO, VERDICT_OTHER },
	{ ST_OK, 204, PAYLOAD_V2, ZSTD, VERDICT_HELD },
	{ ST_OK, 415, PAYLOAD_V1, ZSTD, VERDICT_OTHER },
	{ ST_OK, 415, PAYLOAD_V1, ZSTD | PROVEN, VERDICT_OTHER },
	{ ST_OK, 415, PAYLOAD_V2, ZSTD | PROVEN, VERDICT_OTHER },
	{ ST_OK, 400, PAYLOAD_V1, ZSTD, VERDICT_OTHER },
	{ ST_OK, 400, PAYLOAD_V1, ZSTD | PROVEN, VERDICT_PLAIN },
	{ ST_OK, 400, PAYLOAD_V2, ZSTD | AUTO | PROVEN, VERDICT_PLAIN },
	{ ST_OK, 400, PAYLOAD_V2, ZSTD | AUTO | WRITTEN, VERDICT_REFUSED },
	{ ST_OK, 401, PAYLOAD_V1, ZSTD, VERDICT_HELD },
	{ ST_OK, 503, PAYLOAD_V1, ZSTD, VERDICT_LATER },
	/* other 4xx */
	{ ST_OK, 409, PAYLOAD_V1, 0, VERDICT_REFUSED },
	{ ST_OK, 422, PAYLOAD_V2, PROVEN, VERDICT_REFUSED },
	{ ST_OK, 413, PAYLOAD_V1, 0, VERDICT_SPLIT },
	{ ST_OK, 429, PAYLOAD_V1, 0, VERDICT_LATER },
	/* wrong configuration, not wrong data */
	{ ST_OK, 401, PAYLOAD_V1, 0, VERDICT_HELD },
	{ ST_OK, 403, PAYLOAD_V2, AUTO, VERDICT_HELD },
	{ ST_OK, 404, PAYLOAD_V1, 0, VERDICT_HELD },
	{ ST_OK, 407, PAYLOAD_V1, 0, VERDICT_HELD },
	{ ST_OK, 408, PAYLOAD_V1, 0, VERDICT_HELD },
	{ ST_OK, 301, PAYLOAD_V1, 0, VERDICT_HELD },
	{ ST_OK, 404, PAYLOAD_V1, DROP, VERDICT_REFUSED },
	{ ST_OK, 302, PAYLOAD_V1, DROP, VERDICT_REFUSED },
	/* later */
	{ ST_OK, 500, PAYLOAD_V1, 0, VERDICT_LATER },
	{ ST_OK, 503, PAYLOAD_V2, AUTO, VERDICT_LATER },
	{ ST_OK, 999, PAYLOAD_V1, 0, VERDICT_LATER },
	{ ST_TIMEOUT, 0, PAYLOAD_V1, 0, VERDICT_LATER },
	{ ST_CONNECT, 0, PAYLOAD_V2, AUTO, VERDICT_LATER },
	{ ST_CUT, 0, PAYLOAD_V2, AUTO, VERDICT_LATER },
	{ ST_BAD_ANSWER, 0, PAYLOAD_V1, DROP, VERDICT_LATER },
};

static void
the_table_holds(void **state)
{
	static const struct http_header written = {
		BYTES_LIT("X-Prometheus-Remote-Write-Samples-Written"),
		BYTES_LIT("7")
	};
	struct verdict_hint hint;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		const struct row *r = &row[i];
		struct http_answer a = {
			.status = r->http,
			.headers = { &written, r->flags & WRITTEN ? 1 : 0 },
		};
		struct verdict_case c = {
			.sent = { r->sent, r->flags & ZSTD ? PAYLOAD_ZSTD :
			    PAYLOAD_SNAPPY },
			.may_change = r->flags & AUTO,
			.proven = r->flags & PROVEN,
			.drop_misconfig = r->flags & DROP,
		};
		enum verdict v = verdict_of(r->st, r->http ? &a : NULL, &c,
		    &hint);

		if (v != r->want)
			fail_msg("row %zu: status %d: %d, not %d", i, r->http,
			    (int)v, (int)r->want);
		if (r->flags & WRITTEN)
			assert_int_equal(hint.written.samples, 7);
	}
}

static void
retry_after_is_read_and_bounded(void **state)
{
	static const struct {
		const char *value;
		int64_t want;
	} t[] = {
		{ "3", 3 * CLOCK_S }, { "0", 0 }, { "100000", 600 * CLOCK_S },
		{ "-1", -1 }, { "soon", -1 },
		{ "Thu, 01 Jan 1970 00:00:10 GMT", 10 * CLOCK_S },
		{ "Thu, 01 Jan 1970 00:00:00 GMT", -1 },
	};
	struct verdict_case c = { .sent = { PAYLOAD_V1, PAYLOAD_SNAPPY } };
	struct verdict_hint hint;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct http_header h = { BYTES_LIT("Retry-After"),
			bytes_str(t[i].value) };
		struct http_answer a = { .status = 503, .headers = { &h, 1 } };

		/* the date's own second is no time to wait */
		c.wall_ns = i == 6 ? 1 : 0;
		(void)verdict_of(ST_OK, &a, &c, &hint);
		assert_int_equal(hint.retry_after_ns, t[i].want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_holds),
		cmocka_unit_test(retry_after_is_read_and_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
