/* test_verify.c - passwords checked apart from who asks: what is remembered, who
 * has to wait, and files that change meanwhile.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fake/loop.h"
#include "policy/verify.h"

/* "correct horse", by the cheapest bcrypt and the next one */
#define HASH "$2b$04$KBCwKxOzLha2MUDgW0PjXexGfB5dmDvvvgEVjeeXiTo87i0yXWYau"
#define OTHER_HASH "$2b$05$KBCwKxOzLha2MUDgW0PjXeiB68uDfBmXvTUyyqNxAD2eaQ43eHNkm"

#define HERE BYTES_LIT("here")
#define THERE BYTES_LIT("there")

static struct loop *loop;
static struct verifier *verifier;
static struct roster *roster;
static char path[64];

struct question {
	const char *user, *password;
	struct bytes from;
	bool cancel;
	struct verify *verify;
	enum status at_once;
	int answer;			/* -1: none yet */
};

static void
write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
answered(enum status st, void *arg)
{
	struct question *q = arg;

	q->verify = NULL;
	q->answer = (int)st;
}

static void
put(struct question *q)
{
	struct authorization c = { .kind = CREDENTIAL_BASIC,
		.user = bytes_str(q->user), .password = q->password };

	q->at_once = verify_ask(verifier, roster, &c, q->from, loop, answered,
	    q, &q->verify);
	if (q->cancel)
		verify_cancel(&q->verify);
}

static enum status
at_once(const char *user, const char *password, struct bytes from)
{
	struct question q = { user, password, from, .answer = -1 };

	put(&q);
	fake_settle();
	return q.at_once;
}

static enum status
ask(const char *user, const char *password, struct bytes from)
{
	struct question q = { user, password, from, .answer = -1 };

	put(&q);
	assert_int_equal(q.at_once, ST_WAIT);
	fake_settle();
	return (enum status)q.answer;
}

static void
open_roster(enum users_kind kind)
{
	struct roster_opts ro = { "edge", path, kind };
	struct users_fault why;

	assert_int_equal(roster_new(&ro, &roster, &why), ST_OK);
	assert_int_equal(roster_follow(roster, loop), ST_OK);
}

static int
setup(void **state)
{
	int fd;

	(void)state;
	strcpy(path, "/tmp/test_verify.XXXXXX");
	fd = mkstemp(path);
	assert_int_not_equal(fd, -1);
	(void)close(fd);
	assert_int_equal(loop_new("test", &loop), ST_OK);
	assert_int_equal(verifier_new(&verifier), ST_OK);
	write_file("a:" HASH "\nb:" HASH "\n");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	verifier_free(&verifier);
	roster_free(&roster);
	loop_free(&loop);
	(void)unlink(path);
	return 0;
}

static void
right_once_is_right_at_once(void **state)
{
	(void)state;
	open_roster(USERS_PASSWORDS);
	assert_int_equal(ask("a", "correct horse", HERE), ST_OK);
	assert_int_equal(at_once("a", "correct horse", HERE), ST_OK);
	assert_int_equal(at_once("a", "correct horse", THERE), ST_OK);
	/* what one has shown says nothing of others with the same hash */
	assert_int_equal(ask("b", "correct horse", HERE), ST_OK);
	assert_int_equal(at_once("nobody", "correct horse", HERE),
	    ST_BAD_CREDENTIAL);
}

static void
who_guesses_waits(void **state)
{
	(void)state;
	open_roster(USERS_PASSWORDS);
	assert_int_equal(ask("a", "correct horse", HERE), ST_OK);
	assert_int_equal(ask("a", "Correct Horse", HERE), ST_BAD_CREDENTIAL);
	/* the same again is known, from everywhere */
	assert_int_equal(at_once("a", "Correct Horse", HERE),
	    ST_BAD_CREDENTIAL);
	assert_int_equal(at_once("a", "Correct Horse", THERE),
	    ST_BAD_CREDENTIAL);
	/* another has to wait, even the right one, unless it is known */
	assert_int_equal(at_once("a", "horse", HERE), ST_PASSWORDS_BUSY);
	assert_int_equal(at_once("b", "correct horse", HERE),
	    ST_PASSWORDS_BUSY);
	assert_int_equal(at_once("a", "correct horse", HERE), ST_OK);
	/* others do not */
	assert_int_equal(ask("b", "correct horse", THERE), ST_OK);
	assert_int_equal(at_once("b", "correct horse", HERE), ST_OK);
	/* and it is over after a while */
	fake_pass(VERIFY_DELAY_NS + 1);
	assert_int_equal(ask("a", "horse", HERE), ST_BAD_CREDENTIAL);
	fake_pass(VERIFY_DELAY_NS + 1);
	assert_int_equal(at_once("a", "a horse", HERE), ST_PASSWORDS_BUSY);
	fake_pass(VERIFY_DELAY_NS);
	assert_int_equal(ask("a", "a horse", HERE), ST_BAD_CREDENTIAL);
	/* who has kept quiet begins anew, and wrong ones are forgotten */
	fake_pass(VERIFY_WRONG_NS + 1);
	assert_int_equal(ask("a", "a horse", HERE), ST_BAD_CREDENTIAL);
	fake_pass(VERIFY_DELAY_NS + 1);
	assert_int_equal(ask("a", "horse", HERE), ST_BAD_CREDENTIAL);
}

/* Many that wait cost one hash, be they right or wrong. */
static void
the_queue_is_bounded(void **state)
{
	enum { N = VERIFY_QUEUE_MAX + 40 };
	static struct question q[N];
	unsigned n[ST__N] = { 0 };
	int i;

	(void)state;
	open_roster(USERS_PASSWORDS);
	for (i = 0; i < N; i++)
		q[i] = (struct question){ "a", i % 2 ? "wrong" :
			"correct horse", i % 2 ? THERE : HERE, .answer = -1 };
	for (i = 0; i < N; i++)
		put(&q[i]);
	fake_settle();
	for (i = 0; i < N; i++)
		n[q[i].at_once == ST_WAIT ? (unsigned)q[i].answer :
		    q[i].at_once]++;
	assert_int_equal(n[ST_PASSWORDS_BUSY], N - VERIFY_QUEUE_MAX);
	assert_int_equal(n[ST_OK], VERIFY_QUEUE_MAX / 2);
	assert_int_equal(n[ST_BAD_CREDENTIAL], VERIFY_QUEUE_MAX / 2);
	/* and when all is over there is room again */
	assert_int_equal(ask("b", "correct horse", HERE), ST_OK);
}

static void
who_has_gone_is_not_told(void **state)
{
	static struct question q[8];
	size_t i;

	(void)state;
	open_roster(USERS_PASSWORDS);
	for (i = 0; i < 8; i++) {
		q[i] = (struct question){ "a", "correct horse", HERE,
			.cancel = true, .answer = -1 };
		put(&q[i]);
	}
	assert_int_equal(ask("b", "correct horse", HERE), ST_OK);
	for (i = 0; i < 8; i++)
		assert_int_equal(q[i].answer, -1);
}

static int64_t late_at;

static int64_t
late(void)
{
	return late_at;
}

static const struct clock_source late_source = { late, late };

/* Nobody waits for long, however many there are. */
static void
who_has_waited_too_long_is_told(void **state)
{
	struct question q = { "a", "correct horse", HERE, .answer = -1 };

	(void)state;
	open_roster(USERS_PASSWORDS);
	put(&q);
	assert_int_equal(q.at_once, ST_WAIT);
	late_at = clock_mono() + VERIFY_QUEUE_NS + 1;
	clock_set(&late_source);
	fake_settle();
	fake_clock_init();
	assert_int_equal(q.answer, ST_PASSWORDS_BUSY);
}

/* A password that nobody has shown for a while is hashed again. */
static void
proofs_grow_old(void **state)
{
	(void)state;
	open_roster(USERS_PASSWORDS);
	assert_int_equal(ask("a", "correct horse", HERE), ST_OK);
	fake_pass(ROSTER_PROOF_NS - CLOCK_S);
	assert_int_equal(at_once("a", "correct horse", HERE), ST_OK);
	fake_pass(ROSTER_PROOF_NS - CLOCK_S);
	assert_int_equal(at_once("a", "correct horse", HERE), ST_OK);
	fake_pass(ROSTER_PROOF_NS + CLOCK_S);
	assert_int_equal(ask("a", "correct horse", HERE), ST_OK);
}

/* Changed, looked at, unchanged since, read. */
static void
pass_looks(void)
{
	fake_pass(3 * ROSTER_LOOK_NS);
}

static void
a_file_that_changes(void **state)
{
	(void)state;
	open_roster(USERS_PASSWORDS);
	assert_int_equal(ask("a", "correct horse", HERE), ST_OK);
	assert_int_equal(ask("b", "correct horse", HERE), ST_OK);
	/* one that will not do changes nothing */
	write_file("a:" HASH "\nb:secret\n");
	pass_looks();
	assert_int_equal(at_once("b", "correct horse", HERE), ST_OK);
	/* who has another hash is asked again, who has the same is not */
	write_file("a:" HASH "\nb:" OTHER_HASH "\nc:" HASH "\n");
	pass_looks();
	assert_int_equal(at_once("a", "correct horse", HERE), ST_OK);
	assert_int_equal(ask("b", "correct horse", HERE), ST_OK);
	write_file("b:" OTHER_HASH "\n");
	pass_looks();
	assert_int_equal(at_once("a", "correct horse", HERE),
	    ST_BAD_CREDENTIAL);
	assert_int_equal(at_once("b", "correct horse", HERE), ST_OK);
}

/* What was wrong by the old hash may be right by the new one. */
static void
wrong_ones_belong_to_their_hash(void **state)
{
	(void)state;
	write_file("a:$2b$04$KBCwKxOzLha2MUDgW0PjXeAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	    "AA\n");
	open_roster(USERS_PASSWORDS);
	assert_int_equal(ask("a", "correct horse", HERE), ST_BAD_CREDENTIAL);
	write_file("a:" HASH "\n");
	pass_looks();
	assert_int_equal(ask("a", "correct horse", HERE), ST_OK);
}

static void
tokens(void **state)
{
	const struct bytes token = BYTES_LIT("token-a");
	char name[USERS_NAME_SIZE] = "";
	struct digest d;

	(void)state;
	write_file("site:a70bf50e531ce1a817561f2f5d5b6645"
	    "d4e806becf58ccc5e8cf6b8045a090a8\n");
	open_roster(USERS_TOKENS);
	assert_true(digest_of(&token, 1, &d));
	assert_true(roster_token(roster, &d, name));
	assert_string_equal(name, "site");
	write_file("");
	pass_looks();
	assert_false(roster_token(roster, &d, name));
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(right_once_is_right_at_once),
		TEST(who_guesses_waits),
		TEST(the_queue_is_bounded),
		TEST(who_has_gone_is_not_told),
		TEST(who_has_waited_too_long_is_told),
		TEST(proofs_grow_old),
		TEST(a_file_that_changes),
		TEST(wrong_ones_belong_to_their_hash),
		TEST(tokens),
	};

	fake_clock_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
