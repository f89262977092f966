/* test_proto.c - the reference messages have the field numbers of the protocol.
 *
 * Every other test of the wire formats leans on these messages, so the bytes
 * here are written out by hand.
 * SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/remote.pb-c.h"
#include "proto/write_v2.pb-c.h"

static void
v1_reads_a_hand_written_request(void **state)
{
	static const uint8_t wire[] = {
		0x0a, 0x1a,             /* timeseries */
		0x0a, 0x06,             /* label a=b */
		0x0a, 0x01, 'a', 0x12, 0x01, 'b',
		0x12, 0x0b,             /* sample 1 at 7 */
		0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x10, 0x07,
		0x1a, 0x00,             /* exemplar */
		0x22, 0x01, 0x78,       /* histogram, cut in its timestamp */
	};
	uint8_t whole[sizeof(wire) + 1];
	Prometheus__WriteRequest *req;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wire); i++)
		whole[i] = wire[i];
	whole[1] = 0x1b;
	whole[sizeof(wire) - 2] = 0x02;
	whole[sizeof(wire)] = 0x05; /* its timestamp: 5 */
	assert_null(prometheus__write_request__unpack(NULL, sizeof(wire), wire));
	req = prometheus__write_request__unpack(NULL, sizeof(whole), whole);
	assert_non_null(req);
	assert_int_equal(req->n_timeseries, 1);
	assert_string_equal(req->timeseries[0]->labels[0]->value, "b");
	assert_true(req->timeseries[0]->samples[0]->value == 1.0);
	assert_int_equal(req->timeseries[0]->samples[0]->timestamp, 7);
	assert_int_equal(req->timeseries[0]->n_exemplars, 1);
	assert_int_equal(req->timeseries[0]->histograms[0]->timestamp, 5);
	prometheus__write_request__free_unpacked(req, NULL);
}

static void
v2_reads_a_hand_written_request(void **state)
{
	static const uint8_t wire[] = {
		0x22, 0x00, 0x22, 0x01, 'a', 0x22, 0x01, 'b', /* symbols */
		0x2a, 0x15,                   /* timeseries */
		0x0a, 0x02, 0x01, 0x02,       /* labels_refs, packed */
		0x12, 0x04, 0x10, 0x07, 0x18, 0x06, /* sample at 7 since 6 */
		0x1a, 0x03, 0x88, 0x01, 0x04, /* histogram since 4 */
		0x22, 0x00,                   /* exemplar */
		0x2a, 0x02, 0x18, 0x02,       /* metadata: help_ref */
	};
	Io__Prometheus__Write__V2__Request *req;
	Io__Prometheus__Write__V2__TimeSeries *ts;

	(void)state;
	req = io__prometheus__write__v2__request__unpack(NULL, sizeof(wire), wire);
	assert_non_null(req);
	assert_int_equal(req->n_symbols, 3);
	ts = req->timeseries[0];
	assert_int_equal(ts->labels_refs[1], 2);
	assert_int_equal(ts->samples[0]->timestamp, 7);
	assert_int_equal(ts->samples[0]->start_timestamp, 6);
	assert_int_equal(ts->histograms[0]->start_timestamp, 4);
	assert_int_equal(ts->n_exemplars, 1);
	assert_int_equal(ts->metadata->help_ref, 2);
	io__prometheus__write__v2__request__free_unpacked(req, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(v1_reads_a_hand_written_request),
		cmocka_unit_test(v2_reads_a_hand_written_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
