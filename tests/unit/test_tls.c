/* test_tls.c - hands shaken in memory, with ourselves and with OpenSSL as it is.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/clock.h"
#include "certs.h"
#include "fake/loop.h"
#include "io/tls.h"

static char directory[] = "/tmp/test_tls.XXXXXX";
static struct cert *ca, *other_ca, *relay, *edge;
static struct loop *loop;

static const char *const relay_pem[] = { "relay.pem" };
static const char *const relay_key[] = { "relay.key" };

static int
enter_directory(void **state)
{
	(void)state;
	if (!mkdtemp(directory) || chdir(directory) != 0)
		return -1;
	fake_clock_init();
	ca = cert_new(NULL, &(struct cert_opts){ .cn = "ca", .ca = true });
	other_ca = cert_new(NULL, &(struct cert_opts){ .cn = "other ca",
		.ca = true });
	relay = cert_new(ca, &(struct cert_opts){ .cn = "relay",
		.san = "DNS:relay.example,IP:192.0.2.1" });
	edge = cert_new(ca, &(struct cert_opts){ .cn = "Site 7",
		.san = "IP:192.0.2.7,DNS:site7.example,DNS:other" });
	return 0;
}

static int
leave_directory(void **state)
{
	(void)state;
	cert_free(&ca);
	cert_free(&other_ca);
	cert_free(&relay);
	cert_free(&edge);
	return system("rm -f *.pem *.key") == 0 && chdir("/") == 0 ?
	    rmdir(directory) : -1;
}

static int
setup(void **state)
{
	(void)state;
	cert_write(ca, "ca.pem");
	cert_write(relay, "relay.pem");
	cert_write_key(relay, "relay.key", "w", NULL);
	cert_write(edge, "edge.pem");
	cert_write_key(edge, "edge.pem", "a", NULL);
	return loop_new("test", &loop) == ST_OK ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	loop_free(&loop);
	return 0;
}

/* ---- our two sides -------------------------------------------------------------- */

static struct tls_server_opts
server_opts(void)
{
	return (struct tls_server_opts){
		.common = { .name = "edge", .certificate = relay_pem,
			.n_certificates = 1, .key = relay_key, .n_keys = 1,
			.ca = "", .alpn = "http/1.1" },
		.crl = "",
		.naming = TLS_BY_CN,
	};
}

static struct tls_client_opts
client_opts(void)
{
	return (struct tls_client_opts){
		.common = { .name = "central", .ca = "ca.pem",
			.alpn = "h2,http/1.1" },
		.server_name = "relay.example",
	};
}

static struct tls *
new_server(const struct tls_server_opts *o)
{
	struct tls_fault why = { .text = "" };
	struct tls *t = NULL;

	if (tls_server_new(o, &t, &why) != ST_OK)
		fail_msg("%s", why.text);
	return t;
}

static struct tls *
new_client(const struct tls_client_opts *o)
{
	struct tls_fault why = { .text = "" };
	struct tls *t = NULL;

	if (tls_client_new(o, &t, &why) != ST_OK)
		fail_msg("%s", why.text);
	return t;
}

/* What one has sealed is fed to the other, which shakes; its status, or that of
 * before when nothing came. */
static enum status
carry(struct tls_conn *from, struct tls_conn *to, enum status before)
{
	struct buf *sealed = tls_sealed(from);
	enum status st = before;

	if (sealed->len == 0)
		return st;
	tls_feed(to, buf_bytes(sealed));
	if (before == ST_WAIT)
		st = tls_shake(to);
	return st;
}

struct meeting {
	struct tls_conn *client, *server;
	enum status at_client, at_server;
};

/* Both until neither goes on. */
static void
shake_hands(struct meeting *m, struct tls *client, struct tls *server)
{
	uint8_t rest[32768];
	size_t n;
	int i;

	assert_int_equal(tls_conn_new(client, &m->client), ST_OK);
	assert_int_equal(tls_conn_new(server, &m->server), ST_OK);
	m->at_client = tls_shake(m->client);
	m->at_server = ST_WAIT;
	for (i = 0; i < 5; i++) {
		m->at_server = carry(m->client, m->server, m->at_server);
		buf_reset(tls_sealed(m->client), 0);
		if (m->at_client != ST_WAIT)
			break;
		m->at_client = carry(m->server, m->client, m->at_client);
		if (m->at_client == ST_OK)	/* there are tickets, too */
			assert_int_equal(tls_open(m->client, rest, sizeof(rest),
			    &n), ST_OK);
		buf_reset(tls_sealed(m->server), 0);
	}
}

static void
part(struct meeting *m)
{
	tls_conn_free(&m->client);
	tls_conn_free(&m->server);
}

static void
expect(const struct tls_client_opts *co, const struct tls_server_opts *so,
    enum status at_client, enum status at_server)
{
	struct tls *c = new_client(co), *s = new_server(so);
	struct meeting m;

	shake_hands(&m, c, s);
	assert_string_equal(status_info(m.at_client)->word,
	    status_info(at_client)->word);
	assert_string_equal(status_info(m.at_server)->word,
	    status_info(at_server)->word);
	part(&m);
	tls_free(&c);
	tls_free(&s);
}

/* ---- OpenSSL as a client ----------------------------------------------------------- */

struct raw {
	SSL_CTX *ctx;
	SSL *ssl;
	BIO *in, *out;
	SSL_SESSION *session;		/* the last that was given */
};

static int
on_session(SSL *ssl, SSL_SESSION *session)
{
	struct raw *r = SSL_get_app_data(ssl);

	SSL_SESSION_free(r->session);
	r->session = session;
	return 1;
}

static void
raw_new(struct raw *r)
{
	memset(r, 0, sizeof(*r));
	r->ctx = SSL_CTX_new(TLS_client_method());
	assert_non_null(r->ctx);
	SSL_CTX_set_session_cache_mode(r->ctx, SSL_SESS_CACHE_CLIENT |
	    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(r->ctx, on_session);
}

static void
raw_free(struct raw *r)
{
	SSL_free(r->ssl);
	SSL_SESSION_free(r->session);
	SSL_CTX_free(r->ctx);
}

static void
raw_show(struct raw *r, const struct cert *c)
{
	assert_int_equal(SSL_CTX_use_certificate(r->ctx, c->x509), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(r->ctx, c->key), 1);
}

/* A connection more, which resumes the session if there is one. */
static void
raw_open(struct raw *r, const char *name)
{
	char asked[64];

	if (r->ssl)	/* a session that ends in disorder is not resumed */
		SSL_set_shutdown(r->ssl, SSL_SENT_SHUTDOWN |
		    SSL_RECEIVED_SHUTDOWN);
	SSL_free(r->ssl);
	r->ssl = SSL_new(r->ctx);
	assert_non_null(r->ssl);
	r->in = BIO_new(BIO_s_mem());
	r->out = BIO_new(BIO_s_mem());
	SSL_set_bio(r->ssl, r->in, r->out);
	SSL_set_app_data(r->ssl, r);
	SSL_set_connect_state(r->ssl);
	(void)snprintf(asked, sizeof(asked), "%s", name ? name : "");
	if (name)
		SSL_set_tlsext_host_name(r->ssl, asked);
	if (r->session)
		assert_int_equal(SSL_set_session(r->ssl, r->session), 1);
}

static void
raw_take(struct raw *r, struct tls_conn *c)
{
	struct buf *sealed = tls_sealed(c);

	if (sealed->len)
		assert_int_equal(BIO_write(r->in, sealed->data,
		    (int)sealed->len), (int)sealed->len);
	buf_reset(sealed, 0);
}

static struct bytes
raw_give(struct raw *r)
{
	char *p;
	long n = BIO_get_mem_data(r->out, &p);

	return bytes_of(p, (size_t)n);
}

/* The server's status when neither goes on. */
static enum status
raw_shake(struct raw *r, struct tls_conn *c)
{
	enum status st = ST_WAIT;
	char byte;
	int i;

	for (i = 0; i < 6; i++) {
		(void)SSL_do_handshake(r->ssl);
		if (st == ST_WAIT) {
			tls_feed(c, raw_give(r));
			st = tls_shake(c);
			(void)BIO_reset(r->out);
		}
		raw_take(r, c);
	}
	ERR_clear_error();
	if (st == ST_OK)	/* takes the ticket */
		assert_int_equal(SSL_read(r->ssl, &byte, 1), -1);
	return st;
}

static void
raw_forget(struct raw *r)
{
	SSL_SESSION_free(r->session);
	r->session = NULL;
}

/* A handshake on its own. */
static enum status
raw_meet(struct raw *r, struct tls *t, const char *name)
{
	struct tls_conn *c;
	enum status st;

	raw_open(r, name);
	assert_int_equal(tls_conn_new(t, &c), ST_OK);
	st = raw_shake(r, c);
	tls_conn_free(&c);
	return st;
}

/* ---- agreement ------------------------------------------------------------------------ */

static void
test_both_sides_agree(void **state)
{
	static uint8_t text[100000], got[200000];
	struct tls_client_opts co = client_opts();
	struct tls_server_opts so = server_opts();
	struct tls *c = new_client(&co), *s = new_server(&so);
	struct meeting m;
	size_t n, i;

	(void)state;
	for (i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i ^ i >> 8);
	shake_hands(&m, c, s);
	assert_int_equal(m.at_client, ST_OK);
	assert_int_equal(m.at_server, ST_OK);
	assert_true(bytes_eq(tls_protocol(m.client), BYTES_LIT("http/1.1")));
	assert_true(bytes_eq(tls_protocol(m.server), BYTES_LIT("http/1.1")));
	assert_null(tls_peer_name(m.server));
	assert_true(tls_is_server(m.server) && !tls_is_server(m.client));

	assert_int_equal(tls_seal(m.client, bytes_of(text, sizeof(text))),
	    ST_OK);
	/* in two parts, the first of which ends within a record */
	tls_feed(m.server, bytes_of(tls_sealed(m.client)->data, 40000));
	assert_int_equal(tls_open(m.server, got, sizeof(got), &n), ST_OK);
	assert_in_range(n, 32768, 40000);
	tls_feed(m.server, bytes_of(tls_sealed(m.client)->data + 40000,
	    tls_sealed(m.client)->len - 40000));
	assert_int_equal(tls_open(m.server, got + n, sizeof(got) - n, &i),
	    ST_OK);
	assert_int_equal(n + i, sizeof(text));
	assert_memory_equal(got, text, sizeof(text));

	buf_reset(tls_sealed(m.client), 0);
	assert_int_equal(tls_seal(m.client, BYTES_LIT("bye")), ST_OK);
	assert_true(tls_end(m.client));
	assert_false(tls_end(m.client));
	tls_feed(m.server, buf_bytes(tls_sealed(m.client)));
	assert_int_equal(tls_open(m.server, got, sizeof(got), &n), ST_END);
	assert_int_equal(n, 3);
	part(&m);
	tls_free(&c);
	tls_free(&s);
}

static void
test_versions(void **state)
{
	struct tls_server_opts so = server_opts();
	struct tls *t = new_server(&so);
	struct raw r;

	(void)state;
	raw_new(&r);
	assert_int_equal(raw_meet(&r, t, NULL), ST_OK);
	assert_string_equal(SSL_get_version(r.ssl), "TLSv1.3");
	SSL_CTX_set_max_proto_version(r.ctx, TLS1_2_VERSION);
	assert_int_equal(raw_meet(&r, t, NULL), ST_OK);
	assert_string_equal(SSL_get_version(r.ssl), "TLSv1.2");
	raw_forget(&r);
	assert_int_equal(SSL_CTX_set_cipher_list(r.ctx, "AES256-SHA256"), 1);
	assert_int_equal(raw_meet(&r, t, NULL), ST_TLS_VERSION);
	SSL_CTX_set_min_proto_version(r.ctx, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(r.ctx, TLS1_1_VERSION);
	SSL_CTX_set_cipher_list(r.ctx, "ALL:@SECLEVEL=0");
	assert_int_equal(raw_meet(&r, t, NULL), ST_TLS_VERSION);
	raw_free(&r);
	tls_free(&t);

	so.common.min = TLS_1_3;
	t = new_server(&so);
	raw_new(&r);
	assert_int_equal(raw_meet(&r, t, NULL), ST_OK);
	raw_forget(&r);
	SSL_CTX_set_max_proto_version(r.ctx, TLS1_2_VERSION);
	assert_int_equal(raw_meet(&r, t, NULL), ST_TLS_VERSION);
	/* protocols: none is fine, another is not */
	SSL_CTX_set_max_proto_version(r.ctx, TLS1_3_VERSION);
	assert_int_equal(SSL_CTX_set_alpn_protos(r.ctx,
	    (const unsigned char *)"\2h2", 3), 0);
	assert_int_equal(raw_meet(&r, t, NULL), ST_TLS_VERSION);
	raw_free(&r);
	tls_free(&t);
}

static void
test_server_is_verified(void **state)
{
	struct tls_client_opts co = client_opts();
	struct tls_server_opts so = server_opts();
	struct cert *bad;

	(void)state;
	co.server_name = "192.0.2.1";
	expect(&co, &so, ST_OK, ST_OK);
	co.server_name = "192.0.2.2";
	expect(&co, &so, ST_CERT_NAME, ST_TLS_REFUSED);
	co.server_name = "store.example";
	expect(&co, &so, ST_CERT_NAME, ST_TLS_REFUSED);
	co.server_name = "relay.example";
	cert_write(other_ca, "ca.pem");
	expect(&co, &so, ST_CERT_UNKNOWN, ST_TLS_REFUSED);
	/* the system trusts none of ours, unless it is told to */
	co.common.ca = "";
	expect(&co, &so, ST_CERT_UNKNOWN, ST_TLS_REFUSED);
	cert_write(ca, "ca.pem");
	assert_int_equal(setenv("SSL_CERT_FILE", "ca.pem", 1), 0);
	expect(&co, &so, ST_OK, ST_OK);
	assert_int_equal(unsetenv("SSL_CERT_FILE"), 0);

	co.common.ca = "ca.pem";
	bad = cert_new(ca, &(struct cert_opts){ .san = "DNS:relay.example",
		.from_s = -2 * CERTS_DAY, .to_s = -CERTS_DAY });
	cert_write(bad, "relay.pem");
	cert_write_key(bad, "relay.key", "w", NULL);
	expect(&co, &so, ST_CERT_EXPIRED, ST_TLS_REFUSED);
	cert_free(&bad);
	bad = cert_new(ca, &(struct cert_opts){ .san = "DNS:relay.example",
		.from_s = CERTS_DAY, .to_s = 2 * CERTS_DAY });
	cert_write(bad, "relay.pem");
	cert_write_key(bad, "relay.key", "w", NULL);
	expect(&co, &so, ST_CERT_EXPIRED, ST_TLS_REFUSED);
	cert_free(&bad);
}

/* An authority between the root and the certificate. */
static void
test_chains(void **state)
{
	struct tls_client_opts co = client_opts();
	struct tls_server_opts so = server_opts();
	struct cert *middle = cert_new(ca, &(struct cert_opts){ .cn = "middle",
		.ca = true });
	struct cert *leaf = cert_new(middle, &(struct cert_opts){ .cn = "leaf",
		.san = "DNS:relay.example" });
	static const char *const own[] = { "own.pem" };

	(void)state;
	cert_write(leaf, "relay.pem");
	cert_write_key(leaf, "relay.key", "w", NULL);
	cert_write(middle, "middle.pem");
	expect(&co, &so, ST_CERT_UNKNOWN, ST_TLS_REFUSED);
	co.common.ca = "middle.pem";
	expect(&co, &so, ST_OK, ST_OK);
	co.common.ca = "ca.pem";
	assert_int_equal(system("cat relay.pem middle.pem >own.pem && "
	    "cp own.pem relay.pem && cat relay.key >>own.pem"), 0);
	expect(&co, &so, ST_OK, ST_OK);

	/* the other way round, with a list of each */
	co.common.certificate = own;
	co.common.n_certificates = 1;
	so.common.ca = "ca.pem";
	expect(&co, &so, ST_OK, ST_OK);
	so.crl = "crl.pem";
	cert_write_crl(middle, NULL, CERTS_DAY, "crl.pem");
	expect(&co, &so, ST_OK, ST_CERT_UNLISTED);
	cert_write_crl(ca, NULL, CERTS_DAY, "root-crl.pem");
	assert_int_equal(system("cat root-crl.pem >>crl.pem"), 0);
	expect(&co, &so, ST_OK, ST_OK);
	cert_write_crl(ca, middle, CERTS_DAY, "root-crl.pem");
	cert_write_crl(middle, NULL, CERTS_DAY, "crl.pem");
	assert_int_equal(system("cat root-crl.pem >>crl.pem"), 0);
	expect(&co, &so, ST_OK, ST_CERT_REVOKED);
	cert_free(&leaf);
	cert_free(&middle);
}

static void
test_garbage(void **state)
{
	struct tls_server_opts so = server_opts();
	struct tls *t = new_server(&so);
	struct tls_conn *c;
	static const struct {
		const char *text;
		enum status st;
	} texts[] = {
		{ "GET / HTTP/1.1\r\nHost: x\r\n\r\n", ST_NOT_TLS },
		{ "\x40\x80\x80\x80\x80\x80\x80\x80\x80\x80", ST_NOT_TLS },
		{ "\x16\x03\x01\xff\xff\x01\x01\x01\x01\x01\x01",
		    ST_TLS_FAILED },
		{ "\x17\x03\x03\x01\x01\x01\x01\x01\x01\x01\x01",
		    ST_WAIT },
	};
	enum status st;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(tls_conn_new(t, &c), ST_OK);
		tls_feed(c, bytes_str(texts[i].text));
		st = tls_shake(c);
		assert_int_equal(st, texts[i].st);
		tls_conn_free(&c);
	}
	tls_free(&t);
}

/* Once hands are shaken. */
static void
test_what_a_peer_may_ask(void **state)
{
	struct tls_server_opts so = server_opts();
	struct tls *t = new_server(&so);
	static uint8_t got[100000];
	struct tls_conn *c;
	struct raw r;
	enum status st = ST_OK;
	size_t n;
	int i;

	(void)state;
	raw_new(&r);
	raw_open(&r, NULL);
	assert_int_equal(tls_conn_new(t, &c), ST_OK);
	assert_int_equal(raw_shake(&r, c), ST_OK);
	/* new keys, for both */
	SSL_key_update(r.ssl, SSL_KEY_UPDATE_REQUESTED);
	assert_int_equal(SSL_write(r.ssl, "abc", 3), 3);
	tls_feed(c, raw_give(&r));
	assert_int_equal(tls_open(c, got, sizeof(got), &n), ST_OK);
	(void)BIO_reset(r.out);
	assert_int_equal(n, 3);
	assert_int_equal(tls_seal(c, BYTES_LIT("def")), ST_OK);
	raw_take(&r, c);
	assert_int_equal(SSL_read(r.ssl, got, sizeof(got)), 3);
	/* and again and again, without taking an answer */
	for (i = 0; i < 40000 && st == ST_OK; i++) {
		SSL_key_update(r.ssl, SSL_KEY_UPDATE_REQUESTED);
		assert_int_equal(SSL_do_handshake(r.ssl), 1);
		tls_feed(c, raw_give(&r));
		st = tls_open(c, got, sizeof(got), &n);
		(void)BIO_reset(r.out);
		assert_true(tls_sealed(c)->len <= 256 << 10);
	}
	assert_int_equal(st, ST_TLS_FAILED);
	tls_conn_free(&c);

	/* hands are not shaken a second time */
	SSL_CTX_set_max_proto_version(r.ctx, TLS1_2_VERSION);
	raw_forget(&r);
	raw_open(&r, NULL);
	assert_int_equal(tls_conn_new(t, &c), ST_OK);
	assert_int_equal(raw_shake(&r, c), ST_OK);
	assert_int_equal(SSL_renegotiate(r.ssl), 1);
	(void)SSL_do_handshake(r.ssl);
	tls_feed(c, raw_give(&r));
	(void)tls_open(c, got, sizeof(got), &n);
	raw_take(&r, c);
	assert_int_not_equal(SSL_do_handshake(r.ssl), 1);
	tls_conn_free(&c);
	raw_free(&r);
	tls_free(&t);
}

/* ---- clients with certificates ----------------------------------------------------------- */

/* What becomes of a client that shows it, and how it is called. */
static enum status
show(struct tls *t, const struct cert *c, char name[300])
{
	struct tls_conn *conn;
	struct raw r;
	enum status st;

	raw_new(&r);
	if (c)
		raw_show(&r, c);
	raw_open(&r, NULL);
	assert_int_equal(tls_conn_new(t, &conn), ST_OK);
	st = raw_shake(&r, conn);
	(void)snprintf(name, 300, "%s", st == ST_OK && tls_peer_name(conn) ?
	    tls_peer_name(conn) : "-");
	tls_conn_free(&conn);
	raw_free(&r);
	return st;
}

static void
test_claims(void **state)
{
	static const char *const own[] = { "edge.pem" };
	struct tls_client_opts co = client_opts();
	struct tls_server_opts so = server_opts();
	struct tls *c, *s;
	struct meeting m;

	(void)state;
	co.common.certificate = own;
	co.common.n_certificates = 1;
	c = new_client(&co);
	cert_write(other_ca, "ca.pem");
	so.common.ca = "ca.pem";
	s = new_server(&so);
	shake_hands(&m, c, s);
	assert_int_equal(m.at_server, ST_CERT_UNKNOWN);
	assert_string_equal(tls_peer_claim(m.server), "/CN=Site 7");
	assert_null(tls_peer_name(m.server));
	part(&m);
	tls_free(&s);
	tls_free(&c);
}

static void
expect_name(struct tls *t, const struct cert_opts *o, enum status expected,
    const char *name)
{
	struct cert *c = cert_new(ca, o);
	char got[300];

	assert_string_equal(status_info(show(t, c, got))->word,
	    status_info(expected)->word);
	assert_string_equal(got, name);
	cert_free(&c);
}

static void
test_clients_are_verified(void **state)
{
	struct tls_server_opts so = server_opts();
	struct tls *t;
	struct cert *foreign;
	char name[300];

	(void)state;
	so.common.ca = "ca.pem";
	t = new_server(&so);
	assert_int_equal(show(t, NULL, name), ST_CERT_MISSING);
	assert_int_equal(show(t, edge, name), ST_OK);
	assert_string_equal(name, "Site 7");
	foreign = cert_new(other_ca, &(struct cert_opts){ .cn = "Site 7" });
	assert_int_equal(show(t, foreign, name), ST_CERT_UNKNOWN);
	expect_name(t, &(struct cert_opts){ .cn = "x", .from_s = -CERTS_DAY,
		.to_s = -60 }, ST_CERT_EXPIRED, "-");
	tls_free(&t);

	so.verify = TLS_OPTIONAL;
	t = new_server(&so);
	assert_int_equal(show(t, NULL, name), ST_OK);
	assert_string_equal(name, "-");
	assert_int_equal(show(t, edge, name), ST_OK);
	assert_string_equal(name, "Site 7");
	assert_int_equal(show(t, foreign, name), ST_CERT_UNKNOWN);
	tls_free(&t);
	cert_free(&foreign);
}

static void
test_names(void **state)
{
	struct tls_server_opts so = server_opts();
	char longest[301], name[300];
	struct tls *t;

	(void)state;
	memset(longest, 'a', 300);
	longest[300] = '\0';
	so.common.ca = "ca.pem";
	t = new_server(&so);
	expect_name(t, &(struct cert_opts){ .cn = "caf\xc3\xa9" }, ST_OK,
	    "caf\xc3\xa9");
	expect_name(t, &(struct cert_opts){ .cn = NULL, .san = "DNS:a" },
	    ST_CERT_NAME, "-");
	expect_name(t, &(struct cert_opts){ .cn = "a", .cn2 = "b" },
	    ST_CERT_NAME, "-");
	expect_name(t, &(struct cert_opts){ .cn = "site\0evil", .cn_len = 9 },
	    ST_CERT_NAME, "-");
	expect_name(t, &(struct cert_opts){ .cn = "a\nb" }, ST_CERT_NAME, "-");
	tls_free(&t);

	so.naming = TLS_BY_SAN;
	t = new_server(&so);
	assert_int_equal(show(t, edge, name), ST_OK);
	assert_string_equal(name, "site7.example");
	expect_name(t, &(struct cert_opts){ .cn = "a" }, ST_CERT_NAME, "-");
	expect_name(t, &(struct cert_opts){ .san = "IP:192.0.2.7" },
	    ST_CERT_NAME, "-");
	expect_name(t, &(struct cert_opts){ .san = "URI:spiffe://x/site,DNS:b" },
	    ST_OK, "spiffe://x/site");
	memcpy(longest, "URI:", 4);
	expect_name(t, &(struct cert_opts){ .san = longest }, ST_CERT_NAME,
	    "-");
	longest[4 + 255] = '\0';
	expect_name(t, &(struct cert_opts){ .san = longest }, ST_OK,
	    longest + 4);
	tls_free(&t);

	so.naming = TLS_BY_ADDRESS;
	t = new_server(&so);
	expect_name(t, &(struct cert_opts){ .cn = "a" }, ST_OK, "-");
	tls_free(&t);
}

static void
test_revoked(void **state)
{
	struct tls_server_opts so = server_opts();
	struct cert *fine = cert_new(ca, &(struct cert_opts){ .cn = "fine" });
	struct tls *t;
	char name[300];

	(void)state;
	so.common.ca = "ca.pem";
	so.crl = "crl.pem";
	cert_write_crl(ca, edge, CERTS_DAY, "crl.pem");
	t = new_server(&so);
	assert_int_equal(show(t, edge, name), ST_CERT_REVOKED);
	assert_int_equal(show(t, fine, name), ST_OK);
	tls_free(&t);
	cert_write_crl(ca, edge, -30, "crl.pem");
	t = new_server(&so);
	assert_int_equal(show(t, fine, name), ST_CERT_UNLISTED);
	tls_free(&t);
	cert_write_crl(other_ca, NULL, CERTS_DAY, "crl.pem");
	t = new_server(&so);
	assert_int_equal(show(t, fine, name), ST_CERT_UNLISTED);
	tls_free(&t);
	cert_free(&fine);
}

/* The relay's own towards an upstream. */
static void
test_we_show_ours(void **state)
{
	static const char *const own[] = { "edge.pem" };
	struct tls_client_opts co = client_opts();
	struct tls_server_opts so = server_opts();
	struct tls *c, *s;
	struct meeting m;
	uint8_t byte[65536];
	size_t n;

	(void)state;
	so.common.ca = "ca.pem";
	co.common.certificate = own;
	co.common.n_certificates = 1;
	c = new_client(&co);
	s = new_server(&so);
	shake_hands(&m, c, s);
	assert_int_equal(m.at_server, ST_OK);
	assert_string_equal(tls_peer_name(m.server), "Site 7");
	part(&m);
	tls_free(&c);
	/* 1.3: the client is done before the server says no */
	co.common.n_certificates = 0;
	c = new_client(&co);
	shake_hands(&m, c, s);
	assert_int_equal(m.at_client, ST_OK);
	assert_int_equal(m.at_server, ST_CERT_MISSING);
	assert_null(tls_peer_claim(m.server));
	(void)tls_open(m.client, byte, sizeof(byte), &n);
	tls_feed(m.client, buf_bytes(tls_sealed(m.server)));
	assert_int_equal(tls_open(m.client, byte, sizeof(byte), &n),
	    ST_TLS_REFUSED);
	part(&m);
	tls_free(&c);
	tls_free(&s);
}

/* ---- several certificates ------------------------------------------------------------------- */

static void
shown_cn(struct raw *r, char cn[64])
{
	X509 *x = SSL_get0_peer_certificate(r->ssl);

	assert_non_null(x);
	assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(x),
	    NID_commonName, cn, 64) > 0);
}

static void
test_chosen_by_name(void **state)
{
	static const char *const files[] = { "a.pem", "b.pem", "c.pem" };
	static const struct {
		const char *asked, *shown;
	} cases[] = {
		{ NULL, "a" }, { "a.example", "a" }, { "B.example", "b" },
		{ "x.c.example", "c" }, { "c.example", "a" },
		{ "y.x.c.example", "a" }, { "nobody", "a" },
	};
	struct tls_server_opts so = server_opts();
	struct cert *c[3] = {
		cert_new(ca, &(struct cert_opts){ .cn = "a",
			.san = "DNS:a.example" }),
		cert_new(ca, &(struct cert_opts){ .cn = "b",
			.san = "DNS:b.example,DNS:a.example" }),
		cert_new(ca, &(struct cert_opts){ .cn = "c",
			.san = "DNS:*.c.example" }),
	};
	struct tls *t;
	struct raw r;
	char cn[64];
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		cert_write(c[i], files[i]);
		cert_write_key(c[i], files[i], "a", NULL);
		cert_free(&c[i]);
	}
	so.common.certificate = files;
	so.common.n_certificates = 3;
	so.common.n_keys = 0;
	t = new_server(&so);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		raw_new(&r);
		assert_int_equal(raw_meet(&r, t, cases[i].asked), ST_OK);
		shown_cn(&r, cn);
		assert_string_equal(cn, cases[i].shown);
		raw_free(&r);
	}
	tls_free(&t);
}

/* ---- files that change ------------------------------------------------------------------------ */

static void
shown_by(struct tls *t, char cn[64])
{
	struct raw r;

	raw_new(&r);
	assert_int_equal(raw_meet(&r, t, NULL), ST_OK);
	shown_cn(&r, cn);
	raw_free(&r);
}

static void
test_follows_its_files(void **state)
{
	struct tls_server_opts so = server_opts();
	struct cert *next = cert_new(ca, &(struct cert_opts){ .cn = "next" });
	struct tls *t = new_server(&so);
	struct tls_conn *early;
	struct raw r;
	char cn[64];

	(void)state;
	assert_int_equal(tls_follow(t, loop), ST_OK);
	raw_new(&r);
	raw_open(&r, NULL);
	assert_int_equal(tls_conn_new(t, &early), ST_OK);
	fake_pass(10 * TLS_LOOK_NS);
	/* half of it is not looked at for a while, and then is no pair */
	cert_write(next, "relay.pem");
	fake_pass(10 * TLS_LOOK_NS);
	shown_by(t, cn);
	assert_string_equal(cn, "relay");
	cert_write_key(next, "relay.key", "w", NULL);
	fake_pass(TLS_LOOK_NS);
	shown_by(t, cn);
	assert_string_equal(cn, "relay");
	fake_pass(TLS_LOOK_NS);
	shown_by(t, cn);
	assert_string_equal(cn, "next");
	/* who began before goes on with what there was */
	assert_int_equal(raw_shake(&r, early), ST_OK);
	shown_cn(&r, cn);
	assert_string_equal(cn, "relay");
	tls_conn_free(&early);
	raw_free(&r);

	assert_int_equal(unlink("relay.pem"), 0);
	fake_pass(10 * TLS_LOOK_NS);
	shown_by(t, cn);
	assert_string_equal(cn, "next");
	cert_write(relay, "relay.pem");
	cert_write_key(relay, "relay.key", "w", NULL);
	fake_pass(2 * TLS_LOOK_NS);
	shown_by(t, cn);
	assert_string_equal(cn, "relay");
	tls_free(&t);
	cert_free(&next);
}

/* ---- tickets ---------------------------------------------------------------------------------- */

static bool
resumes(struct raw *r, struct tls *t)
{
	assert_int_equal(raw_meet(r, t, NULL), ST_OK);
	if (SSL_version(r->ssl) == TLS1_2_VERSION) {
		raw_forget(r);	/* of a new ticket nobody tells */
		r->session = SSL_get1_session(r->ssl);
	}
	assert_non_null(r->session);
	return SSL_session_reused(r->ssl) == 1;
}

static void
expect_resumption(int version)
{
	const int64_t hour = 3600 * CLOCK_S;
	struct tls_server_opts so = server_opts();
	struct tls *t;
	struct raw r;
	char name[300];

	so.common.ca = "ca.pem";
	so.crl = "crl.pem";
	cert_write_crl(ca, NULL, CERTS_DAY, "crl.pem");
	t = new_server(&so);
	assert_int_equal(tls_follow(t, loop), ST_OK);
	raw_new(&r);
	SSL_CTX_set_max_proto_version(r.ctx, version);
	raw_show(&r, edge);
	assert_false(resumes(&r, t));
	assert_true(resumes(&r, t));
	/* another certificate of ours is no reason to forget */
	cert_write(relay, "relay.pem");
	fake_pass(2 * TLS_LOOK_NS);
	assert_true(resumes(&r, t));
	/* the key that sealed it is the next to last now, and then is gone */
	fake_pass(5 * hour);
	assert_true(resumes(&r, t));
	fake_pass(5 * hour);
	assert_true(resumes(&r, t));
	fake_pass(13 * hour);
	assert_false(resumes(&r, t));
	assert_true(resumes(&r, t));
	/* what was revoked does not slip in */
	cert_write_crl(ca, edge, CERTS_DAY, "crl.pem");
	fake_pass(2 * TLS_LOOK_NS);
	assert_int_equal(raw_meet(&r, t, NULL), ST_CERT_REVOKED);
	assert_int_equal(show(t, edge, name), ST_CERT_REVOKED);
	raw_free(&r);
	tls_free(&t);
}

static void
test_tickets(void **state)
{
	(void)state;
	expect_resumption(TLS1_3_VERSION);
	setup(state);
	expect_resumption(TLS1_2_VERSION);
}

static void
test_tickets_end_with_the_certificate(void **state)
{
	struct tls_server_opts so = server_opts();
	struct cert *brief = cert_new(ca, &(struct cert_opts){ .cn = "brief",
		.to_s = 2 });
	struct tls *t;
	struct raw r;

	(void)state;
	so.common.ca = "ca.pem";
	t = new_server(&so);
	raw_new(&r);
	raw_show(&r, brief);
	assert_false(resumes(&r, t));
	(void)sleep(3);		/* certificates know the real time only */
	assert_int_equal(raw_meet(&r, t, NULL), ST_CERT_EXPIRED);
	raw_free(&r);
	tls_free(&t);
	cert_free(&brief);
}

/* ---- files that will not do -------------------------------------------------------------------- */

static void
put(const char *path, const char *text)
{
	FILE *fp = fopen(path, "w");

	assert_non_null(fp);
	assert_true(fputs(text, fp) >= 0);
	assert_int_equal(fclose(fp), 0);
}

static void
expect_fault(const struct tls_server_opts *so, enum tls_file file, size_t i,
    const char *text)
{
	struct tls_fault why;
	struct tls *t = NULL;

	assert_int_equal(tls_server_new(so, &t, &why), ST_CONFIG);
	assert_null(t);
	assert_string_equal(why.text, text);
	assert_int_equal(why.file, file);
	assert_int_equal(why.i, i);
}

static void
test_faults(void **state)
{
	static const char *const two[] = { "relay.pem", "edge.pem" };
	static const char *const keys[] = { "relay.key", "relay.key" };
	struct tls_server_opts so = server_opts();

	(void)state;
	so.common.n_keys = 0;
	expect_fault(&so, TLS_CERTIFICATE, 0,
	    "has no private key in it, and there is no directive key");
	so.common.certificate = two;
	so.common.n_certificates = 2;
	so.common.key = keys;
	so.common.n_keys = 2;
	expect_fault(&so, TLS_KEY, 1, "is not the key of edge.pem");
	so = server_opts();
	cert_write_key(relay, "relay.key", "w", "secret");
	expect_fault(&so, TLS_KEY, 0,
	    "has no private key in it (PEM, without a password)");
	assert_int_equal(unlink("relay.key"), 0);
	expect_fault(&so, TLS_KEY, 0, "No such file or directory");
	put("relay.pem", "");
	expect_fault(&so, TLS_CERTIFICATE, 0, "has no certificate in it (PEM)");
	put("relay.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n"
	    "-----END CERTIFICATE-----\n");
	expect_fault(&so, TLS_CERTIFICATE, 0, "is not a certificate");
	setup(state);
	so.common.ca = "relay.key";
	expect_fault(&so, TLS_CA, 0, "has no certificate in it (PEM)");
	so.common.ca = "ca.pem";
	so.crl = "ca.pem";
	expect_fault(&so, TLS_CRL, 0, "has no revocation list in it (PEM)");
	so.crl = "/";
	expect_fault(&so, TLS_CRL, 0, "Invalid argument");
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_both_sides_agree),
		TEST(test_versions),
		TEST(test_server_is_verified),
		TEST(test_chains),
		TEST(test_garbage),
		TEST(test_what_a_peer_may_ask),
		TEST(test_clients_are_verified),
		TEST(test_claims),
		TEST(test_names),
		TEST(test_revoked),
		TEST(test_we_show_ours),
		TEST(test_chosen_by_name),
		TEST(test_follows_its_files),
		TEST(test_tickets),
		TEST(test_tickets_end_with_the_certificate),
		TEST(test_faults),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
