/* test_symtab.c - strings get numbers, and keep them.
 * SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "series/symtab.h"

static struct symtab *
new_symtab(void)
{
	struct symtab *t;

	assert_int_equal(symtab_new(&t), ST_OK);
	return t;
}

static uint32_t
intern(struct symtab *t, const char *s)
{
	uint32_t symbol;

	assert_int_equal(symtab_intern(t, bytes_str(s), &symbol), ST_OK);
	return symbol;
}

static struct bytes
numbered(char *room, unsigned i)
{
	return bytes_of(room, (size_t)snprintf(room, 32, "string %u", i * 7));
}

static void
the_empty_string_is_there(void **state)
{
	struct symtab *t = new_symtab();
	uint32_t symbol = 9;

	(void)state;
	assert_int_equal(symtab_n(t), 1);
	assert_int_equal(symtab_text(t, 0).n, 0);
	assert_true(symtab_find(t, bytes_of(NULL, 0), &symbol));
	assert_int_equal(symbol, 0);
	assert_int_equal(intern(t, ""), 0);
	symtab_free(&t);
	assert_null(t);
}

static void
many_strings_are_found_again(void **state)
{
	struct symtab *t = new_symtab();
	const uint8_t *first;
	uint32_t symbol, i;
	char room[32];

	(void)state;
	assert_int_equal(intern(t, "first"), 1);
	first = symtab_text(t, 1).p;
	for (i = 2; i < 100000; i++) {
		assert_int_equal(symtab_intern(t, numbered(room, i), &symbol),
		    ST_OK);
		assert_int_equal(symbol, i);
	}
	for (i = 2; i < 100000; i++) {
		assert_true(symtab_find(t, numbered(room, i), &symbol));
		assert_int_equal(symbol, i);
		assert_true(bytes_eq(symtab_text(t, i), numbered(room, i)));
	}
	assert_false(symtab_find(t, BYTES_LIT("absent"), &symbol));
	assert_ptr_equal(symtab_text(t, 1).p, first);
	assert_int_equal(intern(t, "first"), 1);
	assert_int_equal(symtab_n(t), 100000);
	assert_true(symtab_size(t) > symtab_text_size(t));
	assert_true(symtab_size(t) < symtab_text_size(t) + 100000 * 40);
	symtab_free(&t);
}

static void
cut_symbols_are_gone_and_their_numbers_free(void **state)
{
	struct symtab *t = new_symtab();
	uint32_t symbol, i, round;
	size_t text;
	char room[32];

	(void)state;
	for (i = 1; i < 1000; i++)
		(void)symtab_intern(t, numbered(room, i), &symbol);
	text = symtab_text_size(t);
	for (round = 0; round < 20; round++) {
		for (i = 1000; i < 1000 + round * 300; i++)
			(void)symtab_intern(t, numbered(room, i + round),
			    &symbol);
		symtab_cut(t, 1000);
		assert_int_equal(symtab_n(t), 1000);
		assert_int_equal(symtab_text_size(t), text);
		assert_false(symtab_find(t, numbered(room, 1000 + round),
		    &symbol));
		for (i = 1; i < 1000; i++) {
			assert_true(symtab_find(t, numbered(room, i),
			    &symbol));
			assert_int_equal(symbol, i);
		}
	}
	symtab_free(&t);
}

static void
reset_leaves_the_empty_string(void **state)
{
	struct symtab *t = new_symtab();
	uint32_t symbol;

	(void)state;
	(void)intern(t, "a");
	symtab_reset(t);
	assert_int_equal(symtab_n(t), 1);
	assert_int_equal(symtab_text_size(t), 0);
	assert_false(symtab_find(t, BYTES_LIT("a"), &symbol));
	assert_int_equal(intern(t, "b"), 1);
	symtab_free(&t);
}

static void
appended_strings_may_be_equal(void **state)
{
	struct symtab *t = new_symtab();
	uint32_t symbol, i;
	char *big = calloc(1, 200000);

	(void)state;
	assert_non_null(big);
	for (i = 1; i < 300; i++) {
		assert_int_equal(symtab_append(t, BYTES_LIT("same"), &symbol),
		    ST_OK);
		assert_int_equal(symbol, i);
	}
	assert_int_equal(symtab_append(t, bytes_of(big, 200000), &symbol),
	    ST_OK);
	assert_int_equal(symtab_text(t, symbol).n, 200000);
	assert_true(bytes_eq(symtab_text(t, 7), BYTES_LIT("same")));
	free(big);
	symtab_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_empty_string_is_there),
		cmocka_unit_test(many_strings_are_found_again),
		cmocka_unit_test(cut_symbols_are_gone_and_their_numbers_free),
		cmocka_unit_test(reset_leaves_the_empty_string),
		cmocka_unit_test(appended_strings_may_be_equal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
