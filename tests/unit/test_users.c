/* test_users.c - files of passwords and tokens: what they may hold, and what is
 * refused with its line.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/password.h"
#include "policy/users.h"

#define BCRYPT "$2b$04$KBCwKxOzLha2MUDgW0PjXexGfB5dmDvvvgEVjeeXiTo87i0yXWYau"
#define BCRYPT_Y "$2y$04$KBCwKxOzLha2MUDgW0PjXexGfB5dmDvvvgEVjeeXiTo87i0yXWYau"
#define SHA256 "$5$rounds=1000$k2XAnEHBqQ1Ct2aM$" \
	"CZKtMpY3YFTaUtD6aj3idKUkEw2Cgx.7d6g93aU54SD"
#define SHA512 "$6$rounds=1000$k2XAnEHBqQ1Ct2aM$yfBXbHVNVf4J0eyDZhe27ipKodSq" \
	"cTbLWkIV1mTNHVmYxiLcl4/RsaWmahApFz75S0UnbNJV9U1Xwm7FGZ9ab/"
#define SHA512_USUAL "$6$k2XAnEHBqQ1Ct2aM$KDBGOLClapqzK43U1GDLsBvQ8UyKzV4Gil5w" \
	"jmo4po8DDQYfilvtBtdIBewkrDZsDiH9kMMRkq9YqOGSFdm16/"
#define YESCRYPT "$y$j75$k2XAnEHBqQ1Ct2aMXFKNaR4Odd4$" \
	"lbeGRx9ACc3cDT5lZ5Iw7zkIq65PRBoBMsw.V83BcC7"

/* printf %s token-a | sha256sum */
#define TOKEN_A \
	"a70bf50e531ce1a817561f2f5d5b6645d4e806becf58ccc5e8cf6b8045a090a8"
#define OTHER \
	"A70BF50E531ce1a817561f2f5d5b6645d4e806becf58ccc5e8cf6b8045a090a9"

static struct users *
parse(enum users_kind kind, const char *text)
{
	struct users_fault why;
	struct users *s;

	if (users_parse(kind, bytes_str(text), &s, &why) != ST_OK)
		fail_msg("%u: %s", why.line, why.text);
	return s;
}

static void
every_kind_of_hash_fits_its_password(void **state)
{
	static const char *const hash[] = {
		BCRYPT, BCRYPT_Y, SHA256, SHA512, SHA512_USUAL, YESCRYPT,
	};
	struct password_room *room = password_room_new();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(hash) / sizeof(hash[0]); i++) {
		assert_null(password_hash_check(hash[i]));
		assert_true(password_fits(room, "correct horse", hash[i]));
		assert_false(password_fits(room, "correct hors", hash[i]));
		assert_false(password_fits(room, "", hash[i]));
	}
	password_room_free(&room);
}

static void
other_hashes_are_refused(void **state)
{
	static const char *const bad[] = {
		"", "plain", "$", "*", "!",
		"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
		"$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00",
		"$1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00",
		"$2a$04$KBCwKxOzLha2MUDgW0PjXexGfB5dmDvvvgEVjeeXiTo87i0yXWYau",
		"rqXexS6ZhobKA",
		"$6$k2XAnEHBqQ1Ct2aM", "$6$", "$y$j75$k2XAnEHBqQ1Ct2aM$",
		BCRYPT "x", BCRYPT " ", " " BCRYPT, SHA256 "$", YESCRYPT ":more",
		"$2b$04$KBCwKxOzLha2MUDgW0PjXexGfB5dmDvvvgEVjeeXiTo87i0yXWYa",
		"$2b$17$KBCwKxOzLha2MUDgW0PjXexGfB5dmDvvvgEVjeeXiTo87i0yXWYau",
		"$2b$03$KBCwKxOzLha2MUDgW0PjXexGfB5dmDvvvgEVjeeXiTo87i0yXWYau",
		"$2b$4$KBCwKxOzLha2MUDgW0PjXexGfB5dmDvvvgEVjeeXiTo87i0yXWYau",
		"$2b$99$KBCwKxOzLha2MUDgW0PjXexGfB5dmDvvvgEVjeeXiTo87i0yXWYau",
		"$6$k2XAnEHBqQ1Ct2aM$KDBGOLClapqzK43U1GDLsBvQ8UyKzV4Gil5w",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!password_hash_check(bad[i]))
			fail_msg("taken: %s", bad[i]);
}

static void
passwords_are_found_by_name(void **state)
{
	struct users *s = parse(USERS_PASSWORDS, "# edges\n\n"
	    "site-b:" BCRYPT "\r\n" "site-a:" SHA256 "\n"
	    "a long name, with blanks:" YESCRYPT "\nt\xc3\xa9:" SHA512);
	const struct user *u;

	(void)state;
	assert_int_equal(users_count(s), 4);
	u = users_by_name(s, BYTES_LIT("site-b"));
	assert_string_equal(u->hash, BCRYPT);
	assert_int_equal(u->line, 3);
	assert_string_equal(users_by_name(s, BYTES_LIT("site-a"))->hash, SHA256);
	assert_string_equal(users_by_name(s, BYTES_LIT("t\xc3\xa9"))->hash,
	    SHA512);
	assert_non_null(users_by_name(s, BYTES_LIT("a long name, with blanks")));
	assert_null(users_by_name(s, BYTES_LIT("site")));
	assert_null(users_by_name(s, BYTES_LIT("site-a\0")));
	assert_null(users_by_name(s, BYTES_LIT("SITE-A")));
	assert_null(users_by_name(s, BYTES_LIT("# edges")));
	users_free(&s);
	assert_null(s);
}

static void
tokens_are_found_by_digest(void **state)
{
	struct users *s = parse(USERS_TOKENS, "b:" OTHER "\na:" TOKEN_A "\n"
	    "a:0000000000000000000000000000000000000000000000000000000000000000");
	const struct bytes token = BYTES_LIT("token-a");
	struct digest d;

	(void)state;
	assert_int_equal(users_count(s), 3);
	assert_true(digest_of(&token, 1, &d));
	assert_string_equal(users_by_token(s, &d)->name, "a");
	d.byte[31]++;
	assert_string_equal(users_by_token(s, &d)->name, "b");
	d.byte[31]++;
	assert_null(users_by_token(s, &d));
	d.byte[0]++;
	assert_null(users_by_token(s, &d));
	memset(&d, 0, sizeof(d));
	assert_string_equal(users_by_token(s, &d)->name, "a");
	users_free(&s);
}

static void
nobody(void **state)
{
	struct users *s = parse(USERS_PASSWORDS, "");
	struct digest d = { { 0 } };

	(void)state;
	assert_int_equal(users_count(s), 0);
	assert_null(users_at(s, 0));
	assert_null(users_by_name(s, BYTES_LIT("")));
	users_free(&s);
	s = parse(USERS_TOKENS, "#\n");
	assert_null(users_by_token(s, &d));
	users_free(&s);
}

static void
a_bad_line_is_named(void **state)
{
	static const struct {
		enum users_kind kind;
		const char *text;
		unsigned line;
		const char *says;
	} bad[] = {
		{ USERS_PASSWORDS, "a:" BCRYPT "\nb\n", 2, "name:hash" },
		{ USERS_PASSWORDS, "\n\n:" BCRYPT, 3, "1 to 255" },
		{ USERS_PASSWORDS, "a:secret", 1, "bcrypt" },
		{ USERS_PASSWORDS, "a:$apr1$x$y\n", 1, "bcrypt" },
		{ USERS_PASSWORDS, "a:" BCRYPT ":", 1, "damaged" },
		{ USERS_PASSWORDS, "a:" BCRYPT "\nb:" BCRYPT "\na:" SHA256, 3,
		    "earlier line" },
		{ USERS_PASSWORDS, "a\tb:" BCRYPT, 1, "control" },
		{ USERS_PASSWORDS, "a\xff:" BCRYPT, 1, "UTF-8" },
		{ USERS_TOKENS, "a:" TOKEN_A "\n#\nb:" TOKEN_A, 3,
		    "earlier line" },
		{ USERS_TOKENS, "a:token-a", 1, "SHA-256" },
		{ USERS_TOKENS, "a:" TOKEN_A "0", 1, "SHA-256" },
		{ USERS_TOKENS, "a:" TOKEN_A " ", 1, "SHA-256" },
		{ USERS_TOKENS, "a:g70bf50e531ce1a817561f2f5d5b6645d4e806becf5"
		    "8ccc5e8cf6b8045a090a8", 1, "SHA-256" },
	};
	struct users_fault why;
	struct users *s = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(users_parse(bad[i].kind, bytes_str(bad[i].text),
		    &s, &why), ST_CONFIG);
		assert_null(s);
		assert_int_equal(why.line, bad[i].line);
		if (!strstr(why.text, bad[i].says))
			fail_msg("%s: %s", bad[i].text, why.text);
		assert_null(strstr(why.text, "secret"));
	}
}

static void
a_name_has_its_bounds(void **state)
{
	char text[400];
	struct users_fault why;
	struct users *s;

	(void)state;
	memset(text, 'n', 256);
	memcpy(text + 255, ":" TOKEN_A, sizeof(":" TOKEN_A));
	s = parse(USERS_TOKENS, text);
	users_free(&s);
	memcpy(text + 255, "n:" TOKEN_A, sizeof("n:" TOKEN_A));
	assert_int_equal(users_parse(USERS_TOKENS, bytes_str(text), &s, &why),
	    ST_CONFIG);
	/* a zero is a byte as any other */
	assert_int_equal(users_parse(USERS_TOKENS, BYTES_LIT("a:" TOKEN_A
	    "\0\n"), &s, &why), ST_CONFIG);
	assert_int_equal(users_parse(USERS_TOKENS, BYTES_LIT("a\0:" TOKEN_A),
	    &s, &why), ST_CONFIG);
}

static void
a_file_that_is_not_there(void **state)
{
	struct users_fault why;
	struct users *s;

	(void)state;
	assert_int_equal(users_read(USERS_TOKENS, "/nowhere/at-all", &s, &why),
	    ST_CONFIG);
	assert_int_equal(why.line, 0);
	assert_string_equal(why.text, "No such file or directory");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_hash_fits_its_password),
		cmocka_unit_test(other_hashes_are_refused),
		cmocka_unit_test(passwords_are_found_by_name),
		cmocka_unit_test(tokens_are_found_by_digest),
		cmocka_unit_test(nobody),
		cmocka_unit_test(a_bad_line_is_named),
		cmocka_unit_test(a_name_has_its_bounds),
		cmocka_unit_test(a_file_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
