/* test_dict.c - what was defined stays where it is.
 * SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "series/dict_priv.h"

static struct dict *
new_dict(void)
{
	struct dict *d;

	assert_int_equal(dict_new(&d), ST_OK);
	return d;
}

static uint32_t
symbol(struct dict *d, const char *text)
{
	assert_int_equal(dict_add_symbol(d, bytes_str(text)), ST_OK);
	return dict_n_symbols(d) - 1;
}

static uint32_t
series(struct dict *d, const char *name)
{
	uint32_t *refs = dict_add_series(d, 4);

	assert_non_null(refs);
	refs[0] = symbol(d, "Zone");
	refs[1] = symbol(d, "z");
	refs[2] = symbol(d, "__name__");
	refs[3] = symbol(d, name);
	return dict_n_series(d) - 1;
}

static void
use_family(struct dict *d, const char *family, uint32_t type, const char *help)
{
	struct dict_entry entry = {
		.has_family = true,
		.family = dict_symbol(d, symbol(d, family)),
		.metadata = { type, symbol(d, help), 0 },
	};

	assert_int_equal(dict_add_metadata(d, &entry), ST_OK);
	dict_use_family(d, dict_n_metadata(d) - 1);
}

/* The help of a new series of that name, "" if it has none. */
static const char *
help_of(struct dict *d, const char *name)
{
	static char room[64];
	struct dict_metadata m;
	struct bytes help;

	if (!dict_metadata(d, series(d, name), &m))
		return "";
	help = dict_symbol(d, m.help);
	memcpy(room, help.p, help.n);
	room[help.n] = '\0';
	return room;
}

static void
memory_does_not_move(void **state)
{
	struct dict *d = new_dict();
	const uint32_t *refs;
	const uint8_t *text;
	uint32_t i, n, id;

	(void)state;
	id = series(d, "up");
	refs = dict_series(d, id, &n);
	text = dict_symbol(d, refs[3]).p;
	for (i = 0; i < 20000; i++)
		(void)series(d, "other");
	assert_ptr_equal(dict_series(d, id, &n), refs);
	assert_int_equal(n, 4);
	assert_ptr_equal(dict_symbol(d, refs[3]).p, text);
	assert_memory_equal(text, "up", 2);
	assert_true(dict_size(d) > 20000 * 16);
	dict_unref(&d);
	assert_null(d);
}

static void
last_reference_frees(void **state)
{
	struct dict *d = new_dict(), *other = dict_ref(d);

	(void)state;
	dict_unref(&d);
	assert_int_equal(dict_n_symbols(other), 1);
	assert_int_equal(dict_symbol(other, 0).n, 0);
	dict_unref(&other);
}

static void
families_go_by_name_and_suffix(void **state)
{
	struct dict *d = new_dict();

	(void)state;
	assert_string_equal(help_of(d, "rpc_count"), "");
	use_family(d, "rpc", 3, "histogram");
	use_family(d, "gc", 5, "summary");
	use_family(d, "gh", 4, "gauge histogram");
	use_family(d, "req", 1, "counter");
	use_family(d, "build", 6, "info");
	use_family(d, "temp", 2, "gauge");
	use_family(d, "odd", 4000000000, "unknown type");
	assert_string_equal(help_of(d, "rpc"), "histogram");
	assert_string_equal(help_of(d, "rpc_bucket"), "histogram");
	assert_string_equal(help_of(d, "rpc_count"), "histogram");
	assert_string_equal(help_of(d, "rpc_sum"), "histogram");
	assert_string_equal(help_of(d, "rpc_created"), "histogram");
	assert_string_equal(help_of(d, "rpc_total"), "");
	assert_string_equal(help_of(d, "gc"), "summary");
	assert_string_equal(help_of(d, "gc_sum"), "summary");
	assert_string_equal(help_of(d, "gc_bucket"), "");
	assert_string_equal(help_of(d, "gh_gcount"), "gauge histogram");
	assert_string_equal(help_of(d, "gh_gsum"), "gauge histogram");
	assert_string_equal(help_of(d, "gh_bucket"), "gauge histogram");
	assert_string_equal(help_of(d, "req_total"), "counter");
	assert_string_equal(help_of(d, "req_created"), "counter");
	assert_string_equal(help_of(d, "req_sum"), "");
	assert_string_equal(help_of(d, "build_info"), "info");
	assert_string_equal(help_of(d, "temp"), "gauge");
	assert_string_equal(help_of(d, "temp_total"), "");
	assert_string_equal(help_of(d, "odd"), "unknown type");
	assert_string_equal(help_of(d, "odd_total"), "");
	assert_string_equal(help_of(d, "_total"), "");
	use_family(d, "rpc_count", 2, "exact name first");
	assert_string_equal(help_of(d, "rpc_count"), "exact name first");
	use_family(d, "rpc", 3, "newer");
	assert_string_equal(help_of(d, "rpc_sum"), "newer");
	dict_use_family(d, 0);
	assert_string_equal(help_of(d, "rpc_sum"), "histogram");
	dict_unref(&d);
}

static void
own_metadata_comes_first(void **state)
{
	struct dict *d = new_dict();
	struct dict_entry entry = { .metadata = { 2, 0, 0 } };
	struct dict_metadata m;
	uint32_t a, b;

	(void)state;
	a = series(d, "x");
	b = series(d, "x");
	use_family(d, "x", 1, "family");
	entry.metadata.help = symbol(d, "own");
	assert_int_equal(dict_add_metadata(d, &entry), ST_OK);
	dict_use_own(d, a, dict_n_metadata(d) - 1);
	assert_true(dict_metadata(d, a, &m));
	assert_int_equal(m.type, 2);
	assert_int_equal(m.help, entry.metadata.help);
	assert_true(dict_metadata(d, b, &m));
	assert_int_equal(m.type, 1);
	dict_unref(&d);
}

static void
cache_keeps_what_was_put(void **state)
{
	struct dict *d = new_dict();
	uint8_t *room;
	uint32_t i;

	(void)state;
	for (i = 0; i < 1000; i++)
		(void)series(d, "x");
	assert_null(dict_cached(d, DICT_CACHE_V1, 999).p);
	for (i = 0; i < 1000; i += 3) {
		room = dict_cache_room(d, DICT_CACHE_V1, i, 300);
		assert_non_null(room);
		memset(room, (int)(i & 0xff), 300);
	}
	for (i = 0; i < 1000; i++) {
		struct bytes c = dict_cached(d, DICT_CACHE_V1, i);

		assert_int_equal(c.n, i % 3 ? 0 : 300);
		if (c.n)
			assert_int_equal(c.p[299], i & 0xff);
	}
	dict_unref(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_does_not_move),
		cmocka_unit_test(last_reference_frees),
		cmocka_unit_test(families_go_by_name_and_suffix),
		cmocka_unit_test(own_metadata_comes_first),
		cmocka_unit_test(cache_keeps_what_was_put),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
