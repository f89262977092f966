/* test_credential.c - secrets from files, tokens of an OAuth2 server, and what becomes of
 * an upstream that does not like them.  Files are real, the rest is in virtual time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "unit/uprig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "forward/credential.h"
#include "forward/secret.h"
#include "unit/directory.h"

static int
leave_directory(void **state)
{
	(void)state;
	(void)unlink("secret");
	return remove_directory();
}

static void
write_secret(const char *text)
{
	put_text("secret", text);
	assert_int_equal(chmod("secret", 0600), 0);
}

/* ---- files --------------------------------------------------------------------- */

static const char *
reads(const char *text, enum secret_kind kind, const char *as)
{
	struct secret *s = NULL;
	const char *why = NULL;

	write_secret(text);
	if (secret_open("secret", kind, &s, &why) != ST_OK) {
		assert_null(s);
		return why;
	}
	assert_true(bytes_eq(secret_text(s), bytes_str(as)));
	secret_close(&s);
	return NULL;
}

static void
a_secret_is_a_line(void **state)
{
	static char large[SECRET_MAX + 3];

	(void)state;
	assert_null(reads("x", SECRET_TOKEN, "x"));
	assert_null(reads("abc\n", SECRET_TOKEN, "abc"));
	assert_null(reads("abc\r\n", SECRET_TOKEN, "abc"));
	assert_null(reads(" a\xc3\xbc b \n\n", SECRET_PASSWORD, " a\xc3\xbc b "));
	memset(large, 'x', SECRET_MAX);
	assert_null(reads(large, SECRET_TOKEN, large));
	large[SECRET_MAX] = large[SECRET_MAX + 1] = 'x';
	assert_non_null(reads(large, SECRET_TOKEN, ""));
	assert_string_equal(reads("\n", SECRET_TOKEN, ""), "the file is empty");
	assert_string_equal(reads("", SECRET_PASSWORD, ""), "the file is empty");
	assert_non_null(reads("a b", SECRET_TOKEN, ""));
	assert_non_null(reads("a\xc3\xbc", SECRET_TOKEN, ""));
	assert_non_null(reads("a\nb\n", SECRET_TOKEN, ""));
	assert_non_null(reads("a\nb\n", SECRET_PASSWORD, ""));
	assert_non_null(reads("a\tb", SECRET_PASSWORD, ""));
}

/* RFC 7617 2, 2.1; RFC 4648 10 */
static void
basic_authentication(void **state)
{
	static const char *const pair[][2] = {
		{ "Aladdin:open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==" },
		{ "test:123\xc2\xa3", "Basic dGVzdDoxMjPCow==" },
		{ "f", "Basic Zg==" }, { "fo", "Basic Zm8=" },
		{ "foo", "Basic Zm9v" }, { "foob", "Basic Zm9vYg==" },
		{ "fooba", "Basic Zm9vYmE=" }, { "foobar", "Basic Zm9vYmFy" },
	};
	struct buf out;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(pair) / sizeof(pair[0]); i++) {
		buf_init(&out, 1000);
		secret_basic(bytes_str(pair[i][0]), &out);
		assert_true(bytes_eq(buf_bytes(&out), bytes_str(pair[i][1])));
		buf_wipe(&out);
	}
}

/* ---- a credential alone ----------------------------------------------------------- */

static struct lone {
	struct loop *loop;
	struct metric_group *metrics;
	struct credential *credential;
	unsigned changes;
} lone;

static void
changed(void *arg)
{
	(void)arg;
	lone.changes++;
}

static enum status
lone_open(const struct credential_opts *o)
{
	struct oauth2_client c = { .upstream = "one", .user_agent = "test",
		.connect_timeout_ns = CLOCK_S, .timeout_ns = CLOCK_S,
		.changed = changed };

	memset(&lone, 0, sizeof(lone));
	assert_int_equal(loop_new("up", &lone.loop), ST_OK);
	lone.metrics = metric_group_new(METRIC_SCOPE_UPSTREAM, bytes_str("one"));
	c.loop = lone.loop;
	c.metrics = lone.metrics;
	return credential_new(o, &c, &lone.credential);
}

static void
lone_close(void)
{
	credential_free(&lone.credential);
	loop_free(&lone.loop);
	metric_group_free(&lone.metrics);
}

static enum status
shows(const char *what)
{
	struct bytes value;
	enum status st = credential_value(lone.credential, &value);

	if (!bytes_eq(value, bytes_str(what)))
		fail_msg("it shows %.*s, not %s", (int)value.n,
		    (const char *)value.p, what);
	return st;
}

static void
no_credential_shows_nothing(void **state)
{
	static const struct credential_opts none = { .username = "" };

	(void)state;
	assert_int_equal(lone_open(&none), ST_OK);
	assert_null(lone.credential);
	assert_int_equal(shows(""), ST_OK);
	assert_false(credential_refused(NULL, 0));
	credential_taken(NULL, 0);
	lone_close();
}

static void
a_file_is_read_again(void **state)
{
	static const struct credential_opts basic = { .username = "u",
		.password_file = "secret" };
	static const struct credential_opts token = { .token_file = "secret" };
	uint32_t before;

	(void)state;
	write_secret("p\n");
	assert_int_equal(lone_open(&basic), ST_OK);
	assert_int_equal(shows("Basic dTpw"), ST_OK);
	before = credential_version(lone.credential);
	/* what is in the file is what is in it */
	assert_false(credential_refused(lone.credential, before));
	write_secret("q\n");
	fake_pass(3 * CREDENTIAL_LOOK_NS);
	assert_int_equal(shows("Basic dTpx"), ST_OK);
	assert_int_equal(lone.changes, 1);
	assert_false(credential_refused(lone.credential,
	    credential_version(lone.credential)));
	assert_true(credential_refused(lone.credential, before));
	lone_close();

	write_secret("t1");
	assert_int_equal(lone_open(&token), ST_OK);
	assert_int_equal(shows("Bearer t1"), ST_OK);
	write_secret("not one");
	fake_pass(3 * CREDENTIAL_LOOK_NS);
	assert_int_equal(shows("Bearer t1"), ST_OK);
	assert_int_equal(unlink("secret"), 0);
	fake_pass(3 * CREDENTIAL_LOOK_NS);
	assert_int_equal(shows("Bearer t1"), ST_OK);
	assert_int_equal(lone.changes, 0);
	write_secret("t2");
	fake_pass(3 * CREDENTIAL_LOOK_NS);
	assert_int_equal(shows("Bearer t2"), ST_OK);
	lone_close();

	assert_int_equal(unlink("secret"), 0);
	assert_int_equal(lone_open(&token), ST_CONFIG);
	lone_close();
}

/* ---- an OAuth2 server ---------------------------------------------------------------- */

static struct server {
	int http;			/* 0: 200 and a token */
	enum status st;
	const char *retry_after;
	unsigned life_s;		/* 0: it does not say */
	unsigned asked;
	char text[200], show[200], body[500];
} server;

static void
keep_text(char *out, size_t size, struct bytes b)
{
	assert_true(b.n < size);
	memcpy(out, b.p, b.n);
	out[b.n] = '\0';
}

static void
serve(const struct http_call *call, struct fake_answer *a, void *arg)
{
	(void)arg;
	server.asked++;
	keep_text(server.show, sizeof(server.show),
	    http_header(call->headers, "authorization"));
	keep_text(server.body, sizeof(server.body), call->body);
	assert_string_equal(call->method, "POST");
	assert_true(bytes_eq(http_header(call->headers, "content-type"),
	    bytes_str("application/x-www-form-urlencoded")));
	(void)snprintf(server.text, sizeof(server.text), server.life_s ?
	    "{\"access_token\":\"t%u\",\"token_type\":\"Bearer\","
	    "\"expires_in\":%u}" : "{\"access_token\":\"t%u\"}", server.asked,
	    server.life_s);
	a->after_ns = 10 * CLOCK_MS;
	a->st = server.st;
	a->http = server.http ? server.http : 200;
	a->text = server.http ? "{\"error\":\"invalid_client\"}" : server.text;
	a->retry_after = server.retry_after;
}

static const char *const scopes[] = { "metrics.write", "a+b" };
static const char *const params[] = { "audience=https://x/", "empty=" };

static struct credential_opts
oauth2_of_server(void)
{
	struct credential_opts o = { .oauth2 = {
		.client_id = "relay:1",
		.secret_file = "secret",
	} };

	memset(&server, 0, sizeof(server));
	fake_upstream_set("login", serve, NULL);
	assert_null(http_url_parse("http://login/token", &o.oauth2.url));
	write_secret("s %\n");
	return o;
}

static void
a_token_is_asked_for_by_the_rules(void **state)
{
	struct credential_opts o = oauth2_of_server();

	(void)state;
	o.oauth2.scopes = scopes;
	o.oauth2.n_scopes = 2;
	o.oauth2.params = params;
	o.oauth2.n_params = 2;
	assert_int_equal(lone_open(&o), ST_OK);
	assert_int_equal(shows(""), ST_WAIT);
	fake_pass(CLOCK_S);
	assert_int_equal(shows("Bearer t1"), ST_OK);
	assert_int_equal(lone.changes, 1);
	/* "relay%3A1:s+%25" */
	assert_string_equal(server.show, "Basic cmVsYXklM0ExOnMrJTI1");
	assert_string_equal(server.body, "grant_type=client_credentials"
	    "&scope=metrics.write+a%2Bb&audience=https%3A%2F%2Fx%2F&empty=");
	/* it does not say how long it is good */
	fake_pass(86400 * CLOCK_S);
	assert_int_equal(server.asked, 1);
	lone_close();
}

static void
a_token_is_renewed_ahead(void **state)
{
	struct credential_opts o = oauth2_of_server();

	(void)state;
	server.life_s = 100;
	assert_int_equal(lone_open(&o), ST_OK);
	fake_pass(79 * CLOCK_S);
	assert_int_equal(shows("Bearer t1"), ST_OK);
	fake_pass(2 * CLOCK_S);
	assert_int_equal(shows("Bearer t2"), ST_OK);
	server.life_s = 86400;
	fake_pass(100 * CLOCK_S);
	assert_int_equal(shows("Bearer t3"), ST_OK);
	fake_pass((86400 - 322) * CLOCK_S);
	assert_int_equal(server.asked, 3);
	fake_pass(21 * CLOCK_S);
	assert_int_equal(server.asked, 4);
	assert_int_equal(lone.changes, 4);
	lone_close();
}

static void
a_good_token_bridges_an_outage(void **state)
{
	struct credential_opts o = oauth2_of_server();
	unsigned before;

	(void)state;
	server.life_s = 100;
	assert_int_equal(lone_open(&o), ST_OK);
	fake_pass(CLOCK_S);
	server.st = ST_CONNECT;
	fake_pass(88 * CLOCK_S);
	assert_int_equal(shows("Bearer t1"), ST_OK);
	assert_int_equal(lone.changes, 1);
	before = server.asked;
	assert_in_range(before, 3, 6);		/* 80, 81, 83, 87 */
	fake_pass(2 * CLOCK_S);
	assert_int_equal(shows(""), ST_NO_TOKEN);
	assert_int_equal(lone.changes, 2);
	fake_pass(1000 * CLOCK_S);
	/* once a minute at last */
	assert_in_range(server.asked - before, 15, 25);
	server.st = ST_OK;
	fake_pass(70 * CLOCK_S);
	assert_int_equal(credential_value(lone.credential, &(struct bytes){
	    NULL, 0 }), ST_OK);
	lone_close();
}

static void
a_server_may_say_when(void **state)
{
	struct credential_opts o = oauth2_of_server();

	(void)state;
	server.http = 503;
	server.retry_after = "50";
	assert_int_equal(lone_open(&o), ST_OK);
	fake_pass(49 * CLOCK_S);
	assert_int_equal(server.asked, 1);
	assert_int_equal(shows(""), ST_NO_TOKEN);
	server.http = 0;
	fake_pass(2 * CLOCK_S);
	assert_int_equal(shows("Bearer t2"), ST_OK);
	lone_close();
}

/* At once, and once. */
static void
a_refused_token_is_replaced(void **state)
{
	struct credential_opts o = oauth2_of_server();
	uint32_t first;

	(void)state;
	assert_int_equal(lone_open(&o), ST_OK);
	fake_pass(CLOCK_S);
	first = credential_version(lone.credential);
	credential_taken(lone.credential, first);
	assert_true(credential_refused(lone.credential, first));
	assert_int_equal(shows(""), ST_WAIT);
	/* another lane's answer */
	assert_true(credential_refused(lone.credential, first));
	fake_pass(100 * CLOCK_MS);
	assert_int_equal(shows("Bearer t2"), ST_OK);
	assert_int_equal(server.asked, 2);
	assert_false(credential_refused(lone.credential,
	    credential_version(lone.credential)));
	fake_pass(100 * CLOCK_S);
	assert_int_equal(server.asked, 2);
	/* it has had its time */
	assert_true(credential_refused(lone.credential,
	    credential_version(lone.credential)));
	fake_pass(100 * CLOCK_MS);
	assert_int_equal(shows("Bearer t3"), ST_OK);
	lone_close();
}

static void
another_client_secret_is_used_at_once(void **state)
{
	struct credential_opts o = oauth2_of_server();

	(void)state;
	server.http = 401;
	assert_int_equal(lone_open(&o), ST_OK);
	fake_pass(100 * CLOCK_S);
	assert_int_equal(shows(""), ST_NO_TOKEN);
	server.http = 0;
	write_secret("other");
	fake_pass(3 * CREDENTIAL_LOOK_NS);
	assert_int_equal(credential_value(lone.credential, &(struct bytes){
	    NULL, 0 }), ST_OK);
	assert_string_equal(server.show, "Basic cmVsYXklM0ExOm90aGVy");
	lone_close();
}

static void
answers_of_a_server(void **state)
{
	static const struct {
		int http;
		const char *text;
		int64_t life_s;		/* -1: it is none */
		const char *error;
	} c[] = {
		{ 200, "{\"access_token\":\"a.b-c_~+/=\"}", 0, "" },
		{ 200, "{\"access_token\":\"x\",\"token_type\":\"bearer\","
		    "\"expires_in\":3600,\"more\":[{}]}", 3600, "" },
		{ 200, "{\"access_token\":\"x\",\"expires_in\":\"3599\"}", 3599,
		    "" },
		{ 200, "{\"access_token\":\"x\",\"expires_in\":1.0}", 1, "" },
		{ 200, "{\"access_token\":\"x\",\"expires_in\":null}", 0, "" },
		{ 200, "{\"access_token\":\"x\",\"expires_in\":1e300}",
		    365 * 86400, "" },
		{ 200, "{\"access_token\":\"x\",\"expires_in\":-1}", -1, "" },
		{ 200, "{\"access_token\":\"x\",\"expires_in\":\"nan\"}", -1,
		    "" },
		{ 200, "{\"access_token\":\"x\",\"expires_in\":\"soon\"}", -1,
		    "" },
		{ 200, "{\"access_token\":\"x\",\"expires_in\":{}}", -1, "" },
		{ 200, "{\"access_token\":\"x\",\"token_type\":\"mac\"}", -1,
		    "" },
		{ 200, "{\"access_token\":\"x\",\"token_type\":1}", -1, "" },
		{ 200, "{\"access_token\":\"\"}", -1, "" },
		{ 200, "{\"access_token\":\"a b\"}", -1, "" },
		{ 200, "{\"access_token\":\"a\\r\\nX: y\"}", -1, "" },
		{ 200, "{\"access_token\":\"a\\u0000b\"}", -1, "" },
		{ 200, "{\"access_token\":\"\xc3\xbc\"}", -1, "" },
		{ 200, "{\"access_token\":\"a\",\"access_token\":\"b\"}", -1,
		    "" },
		{ 200, "{\"access_token\":7}", -1, "" },
		{ 200, "[]", -1, "" }, { 200, "", -1, "" },
		{ 200, "{\"access_token\":\"x\"", -1, "" },
		{ 200, "<html>", -1, "" },
		{ 400, "{\"error\":\"invalid_scope\",\"access_token\":\"x\"}",
		    -1, "invalid_scope" },
		{ 401, "{\"error\":\"0123456789012345678901234567890123456789"
		    "01234567890123456789012345\"}", -1, "0123456789012345678901"
		    "23456789012345678901234567890123456789012" },
		{ 500, "{\"error\":{}}", -1, "" },
	};
	struct oauth2_answer got;
	enum status st;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		struct http_answer a = { .status = c[i].http,
			.body = bytes_str(c[i].text) };

		st = oauth2_read(&a, &got);
		if (st != (c[i].life_s < 0 ? ST_TOKEN_ANSWER : ST_OK))
			fail_msg("row %zu: %s", i, status_info(st)->word);
		assert_string_equal(got.error, c[i].error);
		if (st == ST_OK)
			assert_int_equal(got.life_ns, c[i].life_s * CLOCK_S);
		free(got.token);
	}
}

static void
an_answer_is_bounded(void **state)
{
	size_t n = OAUTH2_ANSWER_MAX + 1;
	char *text = malloc(n);
	struct http_answer a = { .status = 200, .body = bytes_of(text, n) };
	struct oauth2_answer got;

	(void)state;
	memset(text, '[', n);
	assert_int_equal(oauth2_read(&a, &got), ST_TOKEN_ANSWER);
	a.body.n--;		/* nested without end */
	assert_int_equal(oauth2_read(&a, &got), ST_TOKEN_ANSWER);
	free(text);
}

/* ---- an upstream that looks at it ------------------------------------------------------ */

static struct gatekeeper {
	struct receiver *receiver;
	char wanted[100];
	unsigned refused, passed;
	int64_t passed_at;
} keeper;

static void
look_and_receive(const struct http_call *call, struct fake_answer *a, void *arg)
{
	(void)arg;
	if (!bytes_eq(http_header(call->headers, "authorization"),
	    bytes_str(keeper.wanted))) {
		keeper.refused++;
		a->http = 401;
		a->after_ns = CLOCK_MS;
		return;
	}
	keeper.passed++;
	keeper.passed_at = clock_mono();
	receive(call, a, keeper.receiver);
}

static struct rig *
rig_with(const struct credential_opts *o, const char *wanted)
{
	struct rig *g = rig_new(1, FORWARD_AUTO);

	memset(&keeper, 0, sizeof(keeper));
	keeper.receiver = &g->receiver[0];
	(void)snprintf(keeper.wanted, sizeof(keeper.wanted), "%s", wanted);
	rig_stop(g);
	fake_upstream_set("one", look_and_receive, NULL);
	g->opts[0].credential = *o;
	rig_start(g);
	return g;
}

/* The wait for who is refused so is 30 seconds at least. */
static void
another_password_is_tried_at_once(void **state)
{
	static const struct credential_opts o = { .username = "u",
		.password_file = "secret" };
	struct rig *g;
	int i;

	(void)state;
	write_secret("p");
	g = rig_with(&o, "Basic dTpw");
	put_all(g, 5);
	fake_pass(5 * CLOCK_S);
	assert_int_equal(keeper.refused, 0);
	assert_int_equal(check_all(g, 0), 0);
	(void)strcpy(keeper.wanted, "Basic dTpx");
	for (i = 0; i < 20; i++) {
		put_all(g, 1);
		fake_pass(CLOCK_S / 4);
	}
	assert_true(keeper.refused > 0);
	i = (int)keeper.passed;
	write_secret("q");
	fake_pass(3 * CREDENTIAL_LOOK_NS);
	assert_true((int)keeper.passed > i);
	fake_pass(CLOCK_S);
	assert_int_equal(check_all(g, 0), 0);
	assert_int_equal(g->receiver[0].reorders, 0);
	rig_free(g);
}

static void
nothing_goes_without_a_token(void **state)
{
	struct credential_opts o = oauth2_of_server();
	struct rig *g;

	(void)state;
	server.http = 500;
	g = rig_with(&o, "Bearer t9");
	put_all(g, 5);
	fake_pass(300 * CLOCK_S);
	assert_int_equal(keeper.refused + keeper.passed, 0);
	server.http = 0;
	server.asked = 8;
	fake_pass(70 * CLOCK_S);
	assert_int_equal(keeper.refused, 0);
	assert_int_equal(check_all(g, 0), 0);
	rig_free(g);
}

/* Tokens are replaced all the time, and some are revoked before they end. */
static void
tokens_come_and_go_and_nothing_is_lost(void **state)
{
	static const enum forward_misconfig how[] = { FORWARD_HOLD,
		FORWARD_DROP };
	struct credential_opts o;
	struct rig *g;
	int i, k;

	(void)state;
	for (k = 0; k < 2; k++) {
		o = oauth2_of_server();
		server.life_s = 10;
		g = rig_with(&o, "Bearer t1");
		rig_stop(g);
		server.asked = 0;
		g->opts[0].on_misconfig = how[k];
		rig_start(g);
		for (i = 0; i < 400; i++) {
			put_all(g, 1);
			fake_pass(100 * CLOCK_MS);
			(void)snprintf(keeper.wanted, sizeof(keeper.wanted),
			    "Bearer t%u", server.asked + (i % 50 == 49));
		}
		fake_pass(5 * CLOCK_S);
		(void)snprintf(keeper.wanted, sizeof(keeper.wanted),
		    "Bearer t%u", server.asked);
		fake_pass(60 * CLOCK_S);
		assert_int_equal(check_all(g, 0), 0);
		assert_int_equal(g->receiver[0].reorders, 0);
		assert_true(keeper.refused > 0);
		rig_free(g);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_secret_is_a_line),
		cmocka_unit_test(basic_authentication),
		cmocka_unit_test(no_credential_shows_nothing),
		cmocka_unit_test(a_file_is_read_again),
		cmocka_unit_test(a_token_is_asked_for_by_the_rules),
		cmocka_unit_test(a_token_is_renewed_ahead),
		cmocka_unit_test(a_good_token_bridges_an_outage),
		cmocka_unit_test(a_server_may_say_when),
		cmocka_unit_test(a_refused_token_is_replaced),
		cmocka_unit_test(another_client_secret_is_used_at_once),
		cmocka_unit_test(answers_of_a_server),
		cmocka_unit_test(an_answer_is_bounded),
		cmocka_unit_test(another_password_is_tried_at_once),
		cmocka_unit_test(nothing_goes_without_a_token),
		cmocka_unit_test(tokens_come_and_go_and_nothing_is_lost),
	};

	if (!uprig_init())
		return 1;
	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
