/* tls.c - TLS through OpenSSL.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What was read from the files is a struct setup.  A connection holds the one
 * that was there when it began; the last to let go frees it:
 *
 *	files ──► setup ──► (the files change) ──► setup ──► ...
 *	            ▲ ▲                              ▲
 *	         conn conn                          conn
 *
 * Tickets are sealed with keys of the struct tls, which outlive its setups.  A
 * ticket that was given under other authorities or revocation lists is no good
 * (session id context), nor one whose client has a certificate that has expired
 * since: hands are then shaken in full.                                     */
#include "io/tls.h"

#include <assert.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"
#include "base/utf8.h"

#define FILE_MAX ((size_t)16 << 20)	/* lists of what is revoked grow */
#define SEALED_MAX ((size_t)256 << 10)	/* not yet taken by the peer */
#define PEER_CHAIN_MAX (32 << 10)	/* of its certificates */
#define ALPN_MAX 64
#define DIGEST_SIZE 32

/* Forward secrecy and authenticated encryption, nothing else.  1.3 has nothing else, and
 * of groups and signatures OpenSSL's own choice ages better than ours. */
#define CIPHERS_1_2 "ECDHE+AESGCM:ECDHE+CHACHA20"

#define TICKET_KEYS 3			/* that seal, and that still open */
#define TICKET_KEY_NS (4 * 3600 * CLOCK_S)	/* until the next one seals */
#define TICKET_LIFE_S (8 * 3600)

struct pair {
	X509 *cert;			/* owned; the rest too */
	EVP_PKEY *key;
	STACK_OF(X509) *chain;
};

struct setup {
	SSL_CTX *ctx;			/* owned */
	struct pair *pairs;		/* owned */
	size_t n_pairs;
	bool crl_is_old;
	unsigned refs;			/* under the lock of its tls */
};

struct ticket_key {
	uint8_t name[16], cipher[32], mac[32];
	int64_t born;			/* clock_mono; 0: none */
};

struct tls {
	bool server;
	union {
		struct tls_opts common;
		struct tls_server_opts s;
		struct tls_client_opts c;
	} opts;
	BIO_METHOD *bio;		/* owned */
	char host[256];			/* that an upstream is asked for */
	uint8_t alpn[ALPN_MAX];		/* as on the wire */
	size_t alpn_n;
	struct files *files;		/* owned */
	struct loop_timer *look;	/* owned */

	pthread_mutex_t lock;		/* of what follows */
	struct setup *setup;		/* a reference is ours */
	struct ticket_key ticket[TICKET_KEYS];	/* the youngest first */
};

struct tls_conn {
	struct tls *tls;		/* borrowed */
	struct setup *setup;		/* a reference is ours */
	SSL *ssl;			/* owned */
	struct bytes in;		/* fed and not read */
	struct buf out;			/* sealed */
	char *name;			/* owned; the client's, or NULL */
	char *claim;			/* owned; of a certificate that failed */
	bool ended;			/* tls_end was called */
};

/* What is under way while files are read. */
struct reading {
	struct tls *tls;
	struct setup *setup;
	EVP_MD_CTX *digest;		/* of what decides on whom to trust */
	struct tls_fault *why;
};

/* ---- faults -------------------------------------------------------------------- */

static enum status refuse(struct reading *, enum tls_file, size_t,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static enum status
refuse(struct reading *r, enum tls_file file, size_t i, const char *fmt, ...)
{
	va_list ap;

	r->why->file = file;
	r->why->i = i;
	va_start(ap, fmt);
	(void)vsnprintf(r->why->text, sizeof(r->why->text), fmt, ap);
	va_end(ap);
	ERR_clear_error();
	return ST_CONFIG;
}

static const char *
reason(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	return text ? text : "cannot be used";
}

/* ---- files --------------------------------------------------------------------- */

/* The file as a BIO over `text`, which has to stay. */
static enum status
open_file(struct reading *r, enum tls_file file, size_t i, const char *path,
    struct buf *text, BIO **out)
{
	const char *error;
	enum status st;

	buf_init(text, FILE_MAX);
	st = files_read(path, text, &error);
	if (st == ST_SYSTEM)
		return refuse(r, file, i, "%s", error);
	if (st == ST_OK)
		*out = BIO_new_mem_buf(text->data, (int)text->len);
	return st == ST_OK && !*out ? ST_NO_MEMORY : st;
}

static void
close_file(BIO **bio, struct buf *text)
{
	BIO_free(*bio);
	*bio = NULL;
	if (text->data)
		OPENSSL_cleanse(text->data, text->cap);
	buf_fini(text);
}

/* A key with a password would wait for it at the terminal. */
static int
no_password(char *out, int size, int writing, void *arg)
{
	(void)out;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

/* What a loop over PEM_read ended with: the file's end, or something that is not
 * what its header says. */
static bool
at_end(void)
{
	unsigned long e = ERR_peek_last_error();
	bool end = ERR_GET_LIB(e) == ERR_LIB_PEM &&
	    ERR_GET_REASON(e) == PEM_R_NO_START_LINE;

	if (end)
		ERR_clear_error();
	return end;
}

static bool
add_to_digest(struct reading *r, const struct buf *text)
{
	uint64_t n = text->len;

	return EVP_DigestUpdate(r->digest, &n, sizeof(n)) == 1 &&
	    EVP_DigestUpdate(r->digest, text->data, text->len) == 1;
}

/* ---- certificates that we show --------------------------------------------------- */

static enum status
read_chain(struct reading *r, size_t i, BIO *in, struct pair *p)
{
	X509 *one;

	p->cert = PEM_read_bio_X509_AUX(in, NULL, no_password, NULL);
	if (!p->cert)
		return refuse(r, TLS_CERTIFICATE, i, at_end() ?
		    "has no certificate in it (PEM)" : "is not a certificate");
	p->chain = sk_X509_new_null();
	if (!p->chain)
		return ST_NO_MEMORY;
	while ((one = PEM_read_bio_X509(in, NULL, no_password, NULL)) != NULL) {
		if (sk_X509_push(p->chain, one) == 0) {
			X509_free(one);
			return ST_NO_MEMORY;
		}
	}
	return at_end() ? ST_OK : refuse(r, TLS_CERTIFICATE, i,
	    "has a damaged certificate in its chain");
}

static enum status
read_certificate(struct reading *r, size_t i, struct pair *p)
{
	BIO *in = NULL;
	struct buf text;
	enum status st = open_file(r, TLS_CERTIFICATE, i,
	    r->tls->opts.common.certificate[i], &text, &in);

	if (st == ST_OK)
		st = read_chain(r, i, in, p);
	close_file(&in, &text);
	return st;
}

static enum status
read_key(struct reading *r, size_t i, struct pair *p)
{
	const struct tls_opts *o = &r->tls->opts.common;
	enum tls_file file = o->n_keys ? TLS_KEY : TLS_CERTIFICATE;
	BIO *in = NULL;
	struct buf text;
	enum status st = open_file(r, file, i, o->n_keys ? o->key[i] :
	    o->certificate[i], &text, &in);

	if (st == ST_OK) {
		p->key = PEM_read_bio_PrivateKey(in, NULL, no_password, NULL);
		if (!p->key)
			st = refuse(r, file, i, o->n_keys ? "has no private key "
			    "in it (PEM, without a password)" : "has no private "
			    "key in it, and there is no directive key");
	}
	close_file(&in, &text);
	if (st == ST_OK && X509_check_private_key(p->cert, p->key) != 1)
		st = refuse(r, file, i, "is not the key of %s",
		    o->certificate[i]);
	return st;
}

static enum status
read_pairs(struct reading *r)
{
	const struct tls_opts *o = &r->tls->opts.common;
	struct setup *s = r->setup;
	enum status st = ST_OK;
	size_t i;

	s->pairs = calloc(o->n_certificates + 1, sizeof(*s->pairs));
	if (!s->pairs)
		return ST_NO_MEMORY;
	s->n_pairs = o->n_certificates;
	for (i = 0; i < s->n_pairs && st == ST_OK; i++) {
		struct pair *p = &s->pairs[i];

		st = read_certificate(r, i, p);
		if (st == ST_OK)
			st = read_key(r, i, p);
		if (st == ST_OK && SSL_CTX_use_cert_and_key(s->ctx, p->cert,
		    p->key, p->chain, 1) != 1)
			st = refuse(r, TLS_CERTIFICATE, i, "%s", reason());
	}
	return st;
}

/* ---- whom we trust ----------------------------------------------------------------- */

static enum status
read_authorities(struct reading *r, BIO *in)
{
	X509_STORE *store = SSL_CTX_get_cert_store(r->setup->ctx);
	size_t n = 0;
	X509 *one;
	bool fine;

	while ((one = PEM_read_bio_X509(in, NULL, no_password, NULL)) != NULL) {
		/* what is in it is taken apart now, and not by the workers at
		 * the first handshakes; -1 asks for nothing else */
		(void)X509_check_purpose(one, -1, 0);
		fine = X509_STORE_add_cert(store, one) == 1 &&
		    (!r->tls->server ||
		    SSL_CTX_add_client_CA(r->setup->ctx, one) == 1);
		X509_free(one);
		if (!fine)
			return ST_NO_MEMORY;
		n++;
	}
	if (!at_end())
		return refuse(r, TLS_CA, 0, "has a damaged certificate in it");
	return n ? ST_OK : refuse(r, TLS_CA, 0,
	    "has no certificate in it (PEM)");
}

static enum status
read_revoked(struct reading *r, BIO *in)
{
	X509_STORE *store = SSL_CTX_get_cert_store(r->setup->ctx);
	const ASN1_TIME *until;
	size_t n = 0;
	X509_CRL *one;
	bool fine;

	while ((one = PEM_read_bio_X509_CRL(in, NULL, no_password,
	    NULL)) != NULL) {
		until = X509_CRL_get0_nextUpdate(one);
		if (until && X509_cmp_current_time(until) < 0)
			r->setup->crl_is_old = true;
		fine = X509_STORE_add_crl(store, one) == 1;
		X509_CRL_free(one);
		if (!fine)
			return ST_NO_MEMORY;
		n++;
	}
	if (!at_end())
		return refuse(r, TLS_CRL, 0, "has a damaged list in it");
	if (n == 0)
		return refuse(r, TLS_CRL, 0,
		    "has no revocation list in it (PEM)");
	return X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK |
	    X509_V_FLAG_CRL_CHECK_ALL) == 1 ? ST_OK : ST_NO_MEMORY;
}

static enum status
read_trust_file(struct reading *r, enum tls_file file, const char *path,
    enum status (*fn)(struct reading *, BIO *))
{
	BIO *in = NULL;
	struct buf text;
	enum status st = open_file(r, file, 0, path, &text, &in);

	if (st == ST_OK && !add_to_digest(r, &text))
		st = ST_NO_MEMORY;
	if (st == ST_OK)
		st = fn(r, in);
	close_file(&in, &text);
	return st;
}

static enum status
read_trust(struct reading *r)
{
	const char *ca = r->tls->opts.common.ca;
	SSL_CTX *ctx = r->setup->ctx;
	enum status st;

	if (*ca == '\0')
		return r->tls->server ||
		    SSL_CTX_set_default_verify_paths(ctx) == 1 ? ST_OK :
		    refuse(r, TLS_CA, 0, "%s", reason());
	st = read_trust_file(r, TLS_CA, ca, read_authorities);
	/* an authority that is named is trusted, whoever signed it */
	if (st == ST_OK && X509_STORE_set_flags(SSL_CTX_get_cert_store(ctx),
	    X509_V_FLAG_PARTIAL_CHAIN) != 1)
		st = ST_NO_MEMORY;
	if (st == ST_OK && r->tls->server && *r->tls->opts.s.crl)
		st = read_trust_file(r, TLS_CRL, r->tls->opts.s.crl,
		    read_revoked);
	return st;
}

/* ---- tickets ---------------------------------------------------------------------- */

/* The keys as they are to be now.  Under the lock. */
static bool
turn_keys(struct tls *t)
{
	int64_t now = clock_mono();
	struct ticket_key k = { .born = now ? now : 1 };

	if (t->ticket[0].born && now - t->ticket[0].born < TICKET_KEY_NS)
		return true;
	if (RAND_bytes(k.name, sizeof(k.name)) != 1 ||
	    RAND_priv_bytes(k.cipher, sizeof(k.cipher)) != 1 ||
	    RAND_priv_bytes(k.mac, sizeof(k.mac)) != 1)
		return false;
	OPENSSL_cleanse(&t->ticket[TICKET_KEYS - 1], sizeof(k));
	memmove(t->ticket + 1, t->ticket, (TICKET_KEYS - 1) * sizeof(k));
	t->ticket[0] = k;
	OPENSSL_cleanse(&k, sizeof(k));
	return true;
}

/* Which key it is; -1: none that opens any more. */
static int
find_key(struct tls *t, const uint8_t name[16])
{
	int64_t now = clock_mono();
	int i;

	for (i = 0; i < TICKET_KEYS; i++)
		if (t->ticket[i].born && now - t->ticket[i].born <
		    TICKET_KEY_NS * TICKET_KEYS &&
		    memcmp(t->ticket[i].name, name, 16) == 0)
			return i;
	return -1;
}

static int
use_key(struct ticket_key *k, uint8_t *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, bool seals)
{
	char digest[] = "sha256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, k->mac,
		    sizeof(k->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest,
		    0),
		OSSL_PARAM_construct_end(),
	};

	if (EVP_MAC_CTX_set_params(mac, params) != 1)
		return -1;
	return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, k->cipher, iv,
	    seals) == 1 ? 1 : -1;
}

/* OpenSSL's: 0 no such key, 1 fine, 2 fine but give a new ticket. */
static int
on_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seals)
{
	struct tls *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	struct ticket_key k;
	int i = 0, rc = -1;

	pthread_mutex_lock(&t->lock);
	if (turn_keys(t)) {
		i = seals ? 0 : find_key(t, name);
		k = t->ticket[i == -1 ? 0 : i];
		rc = i == -1 ? 0 : 1;
	}
	pthread_mutex_unlock(&t->lock);
	if (rc != 1)
		return rc;
	if (seals) {
		memcpy(name, k.name, sizeof(k.name));
		if (RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1)
			return -1;
	}
	rc = use_key(&k, iv, cipher, mac, seals);
	OPENSSL_cleanse(&k, sizeof(k));
	/* in 1.3 a client uses a ticket once */
	return rc == 1 && !seals && (i > 0 ||
	    SSL_version(ssl) == TLS1_3_VERSION) ? 2 : rc;
}

/* A client's certificate is not looked at again when a session is resumed. */
static SSL_TICKET_RETURN
on_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
    size_t name_n, SSL_TICKET_STATUS status, void *arg)
{
	X509 *cert;

	(void)ssl;
	(void)name;
	(void)name_n;
	(void)arg;
	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	cert = SSL_SESSION_get0_peer(session);
	if (cert && X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE :
	    SSL_TICKET_RETURN_USE_RENEW;
}

/* A ticket is good where the same clients are trusted. */
static bool
set_session_context(struct reading *r)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned n;

	return EVP_DigestUpdate(r->digest, &r->tls->opts.s.verify,
	    sizeof(r->tls->opts.s.verify)) == 1 &&
	    EVP_DigestFinal_ex(r->digest, digest, &n) == 1 &&
	    n == DIGEST_SIZE && SSL_CTX_set_session_id_context(r->setup->ctx,
	    digest, DIGEST_SIZE) == 1;
}

/* ---- a setup ------------------------------------------------------------------------ */

static void
setup_free(struct setup *s)
{
	size_t i;

	for (i = 0; i < s->n_pairs; i++) {
		X509_free(s->pairs[i].cert);
		EVP_PKEY_free(s->pairs[i].key);
		sk_X509_pop_free(s->pairs[i].chain, X509_free);
	}
	free(s->pairs);
	SSL_CTX_free(s->ctx);
	free(s);
}

static struct setup *
setup_take(struct tls *t)
{
	struct setup *s;

	pthread_mutex_lock(&t->lock);
	s = t->setup;
	s->refs++;
	pthread_mutex_unlock(&t->lock);
	return s;
}

static void
setup_give(struct tls *t, struct setup *s)
{
	bool last;

	pthread_mutex_lock(&t->lock);
	last = --s->refs == 0;
	pthread_mutex_unlock(&t->lock);
	if (last)
		setup_free(s);
}

static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
    const unsigned char *in, unsigned in_n, void *arg)
{
	const struct tls *t = arg;
	unsigned char *chosen;

	(void)ssl;
	if (SSL_select_next_proto(&chosen, out_n, t->alpn, (unsigned)t->alpn_n,
	    in, in_n) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static bool
has_name(X509 *cert, const char *name)
{
	return X509_check_host(cert, name, strlen(name),
	    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

/* Of the certificates with the name that is asked for, the first of each kind of key. */
static int
on_certificate(SSL *ssl, void *arg)
{
	const struct setup *s = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	const struct pair *p;
	size_t i, k, n = 0;

	SSL_certs_clear(ssl);
	for (i = 0; name && i < s->n_pairs; i++) {
		p = &s->pairs[i];
		if (!has_name(p->cert, name))
			continue;
		for (k = 0; k < i; k++)
			if (EVP_PKEY_get_base_id(s->pairs[k].key) ==
			    EVP_PKEY_get_base_id(p->key) &&
			    has_name(s->pairs[k].cert, name))
				break;
		if (k == i && SSL_use_cert_and_key(ssl, p->cert, p->key,
		    p->chain, 1) != 1)
			return 0;
		n++;
	}
	p = &s->pairs[0];
	return n ? 1 : SSL_use_cert_and_key(ssl, p->cert, p->key, p->chain, 1);
}

static void
note_claim(struct tls_conn *c, X509 *cert)
{
	char subject[256];

	if (cert && !c->claim && X509_NAME_oneline(X509_get_subject_name(cert),
	    subject, sizeof(subject)))
		c->claim = strdup(subject);	/* out of memory: unknown */
}

/* OpenSSL's judgement stands. */
static int
on_verified(int fine, X509_STORE_CTX *x)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(x,
	    SSL_get_ex_data_X509_STORE_CTX_idx());

	if (!fine)
		note_claim(SSL_get_app_data(ssl), X509_STORE_CTX_get0_cert(x));
	return fine;
}

static bool
set_up_common(struct reading *r)
{
	SSL_CTX *ctx = r->setup->ctx;

	(void)SSL_CTX_set_app_data(ctx, r->tls);	/* cannot fail: index 0 */
	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION |
	    SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
	    SSL_OP_PRIORITIZE_CHACHA);
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_max_cert_list(ctx, PEER_CHAIN_MAX);
	return SSL_CTX_set_min_proto_version(ctx,
	    r->tls->opts.common.min == TLS_1_3 ? TLS1_3_VERSION :
	    TLS1_2_VERSION) == 1 &&
	    SSL_CTX_set_cipher_list(ctx, CIPHERS_1_2) == 1;
}

static bool
set_up_server(struct reading *r)
{
	struct tls *t = r->tls;
	SSL_CTX *ctx = r->setup->ctx;
	int verify = SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE;

	if (t->opts.s.verify == TLS_REQUIRED)
		verify |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(ctx, *t->opts.common.ca ? verify : SSL_VERIFY_NONE,
	    on_verified);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, t);
	if (r->setup->n_pairs > 1)
		SSL_CTX_set_cert_cb(ctx, on_certificate, r->setup);
	(void)SSL_CTX_set_timeout(ctx, TICKET_LIFE_S);
	return SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket_key) == 1 &&
	    SSL_CTX_set_session_ticket_cb(ctx, NULL, on_ticket, NULL) == 1 &&
	    SSL_CTX_set_num_tickets(ctx, 1) == 1 && set_session_context(r);
}

static bool
set_up_client(struct reading *r)
{
	struct tls *t = r->tls;
	SSL_CTX *ctx = r->setup->ctx;
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
	const char *name = t->opts.c.server_name;

	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	X509_VERIFY_PARAM_set_hostflags(param,
	    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	/* 0 is success here, and only here */
	if (SSL_CTX_set_alpn_protos(ctx, t->alpn, (unsigned)t->alpn_n) != 0)
		return false;
	return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1 ||
	    X509_VERIFY_PARAM_set1_host(param, name, strlen(name)) == 1;
}

static enum status
fill_setup(struct reading *r)
{
	enum status st;

	r->setup->ctx = SSL_CTX_new(r->tls->server ? TLS_server_method() :
	    TLS_client_method());
	r->digest = EVP_MD_CTX_new();
	if (!r->setup->ctx || !r->digest ||
	    EVP_DigestInit_ex(r->digest, EVP_sha256(), NULL) != 1 ||
	    !set_up_common(r))
		return ST_NO_MEMORY;
	st = read_pairs(r);
	if (st == ST_OK)
		st = read_trust(r);
	if (st == ST_OK && !(r->tls->server ? set_up_server(r) :
	    set_up_client(r)))
		st = ST_NO_MEMORY;
	return st;
}

static enum status
setup_new(struct tls *t, struct setup **out, struct tls_fault *why)
{
	struct reading r = { .tls = t, .why = why };
	enum status st = ST_NO_MEMORY;

	ERR_clear_error();
	r.setup = calloc(1, sizeof(*r.setup));
	if (r.setup)
		st = fill_setup(&r);
	EVP_MD_CTX_free(r.digest);
	if (st == ST_OK) {
		r.setup->refs = 1;
		*out = r.setup;
	} else if (r.setup) {
		setup_free(r.setup);
	}
	ERR_clear_error();
	return st;
}

/* ---- files that change ---------------------------------------------------------------- */

static const char *
kind_of(const struct tls *t)
{
	return t->server ? "listen" : "upstream";
}

/* What peers will not like.  Only the loop that it follows changes the setup. */
static void
warn_of_age(const struct tls *t)
{
	const struct tls_opts *o = &t->opts.common;
	const X509 *cert;
	size_t i;

	for (i = 0; i < t->setup->n_pairs; i++) {
		cert = t->setup->pairs[i].cert;
		if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0 ||
		    X509_cmp_current_time(X509_get0_notBefore(cert)) > 0)
			log_warn("certificate-expired", "%s=%s file=%s hint=\"it "
			    "has expired, or is not valid yet: peers will "
			    "refuse it\"", kind_of(t), o->name,
			    o->certificate[i]);
	}
	if (t->setup->crl_is_old)
		log_warn("revocation-list-old", "listen=%s file=%s hint=\"it is "
		    "out of date: clients are refused until there is a newer "
		    "one\"", o->name, t->opts.s.crl);
}

static const char *
path_of(const struct tls *t, const struct tls_fault *why)
{
	const struct tls_opts *o = &t->opts.common;

	switch (why->file) {
	case TLS_CERTIFICATE:
		return o->certificate[why->i];
	case TLS_KEY:
		return o->key[why->i];
	case TLS_CRL:
		return t->opts.s.crl;
	case TLS_CA:
		break;
	}
	return o->ca;
}

static void
read_again(struct tls *t)
{
	struct setup *s, *old;
	struct tls_fault why;
	enum status st;

	st = setup_new(t, &s, &why);
	if (st == ST_NO_MEMORY) {
		files_unread(t->files);
		return;
	}
	if (st != ST_OK) {
		log_error("tls-not-reloaded", "%s=%s file=%s error=\"%s\" "
		    "hint=\"what was read before stays in use\"", kind_of(t),
		    t->opts.common.name, path_of(t, &why), why.text);
		return;
	}
	pthread_mutex_lock(&t->lock);
	old = t->setup;
	t->setup = s;
	pthread_mutex_unlock(&t->lock);
	setup_give(t, old);
	log_info("tls-reloaded", "%s=%s", kind_of(t), t->opts.common.name);
	warn_of_age(t);
}

static void
look(void *arg)
{
	struct tls *t = arg;

	if (files_changed(t->files))
		read_again(t);
	loop_timer_start(t->look, TLS_LOOK_NS);
}

/* Root has read it for us. */
static void
warn_of_hidden(struct tls *t)
{
	const char *file = files_hidden(t->files);

	if (file)
		log_warn("tls-not-followed", "%s=%s file=%s hint=\"the relay's "
		    "user may not read it: with a new one restart, or let the "
		    "user's group read it\"", kind_of(t), t->opts.common.name,
		    file);
}

enum status
tls_follow(struct tls *t, struct loop *l)
{
	enum status st = loop_timer_new(l, look, t, &t->look);

	if (st != ST_OK)
		return st;
	warn_of_hidden(t);
	warn_of_age(t);
	loop_timer_start(t->look, TLS_LOOK_NS);
	return ST_OK;
}

/* ---- life of a tls ----------------------------------------------------------------------- */

static void
add_file(struct tls *t, const char *path)
{
	if (*path)
		files_add(t->files, path);
}

/* Of the system's authorities the file and the directory stand for all. */
static void
add_system_ca(struct tls *t)
{
	const char *file = getenv(X509_get_default_cert_file_env());
	const char *dir = getenv(X509_get_default_cert_dir_env());

	add_file(t, file ? file : X509_get_default_cert_file());
	add_file(t, dir ? dir : X509_get_default_cert_dir());
}

static enum status
list_files(struct tls *t)
{
	const struct tls_opts *o = &t->opts.common;
	enum status st = files_new(o->n_certificates + o->n_keys + 2,
	    &t->files);
	size_t i;

	if (st != ST_OK)
		return st;
	for (i = 0; i < o->n_certificates; i++)
		add_file(t, o->certificate[i]);
	for (i = 0; i < o->n_keys; i++)
		add_file(t, o->key[i]);
	if (*o->ca)
		add_file(t, o->ca);
	else if (!t->server)
		add_system_ca(t);
	if (t->server)
		add_file(t, t->opts.s.crl);
	return ST_OK;
}

/* "a,b" as 1 'a' 1 'b' */
static void
put_alpn(struct tls *t)
{
	const char *p = t->opts.common.alpn;
	size_t n;

	for (; *p; p += n + (p[n] == ',')) {
		n = strcspn(p, ",");
		assert(n > 0 && t->alpn_n + 1 + n <= sizeof(t->alpn));
		t->alpn[t->alpn_n++] = (uint8_t)n;
		memcpy(t->alpn + t->alpn_n, p, n);
		t->alpn_n += n;
	}
}

static int
bio_read(BIO *b, char *to, int size)
{
	struct tls_conn *c = BIO_get_data(b);
	size_t n = (size_t)size < c->in.n ? (size_t)size : c->in.n;

	BIO_clear_retry_flags(b);
	if (n == 0) {
		BIO_set_retry_read(b);
		return -1;
	}
	memcpy(to, c->in.p, n);
	c->in.p += n;
	c->in.n -= n;
	return (int)n;
}

static int
bio_write(BIO *b, const char *from, int size)
{
	struct tls_conn *c = BIO_get_data(b);

	BIO_clear_retry_flags(b);
	return buf_append(&c->out, from, (size_t)size) ? size : -1;
}

static long
bio_ctrl(BIO *b, int what, long n, void *p)
{
	(void)b;
	(void)n;
	(void)p;
	return what == BIO_CTRL_FLUSH;
}

static enum status
make_bio(struct tls *t)
{
	t->bio = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
	    "stream");
	return t->bio && BIO_meth_set_read(t->bio, bio_read) == 1 &&
	    BIO_meth_set_write(t->bio, bio_write) == 1 &&
	    BIO_meth_set_ctrl(t->bio, bio_ctrl) == 1 ? ST_OK : ST_NO_MEMORY;
}

static enum status
complete(struct tls *t, struct tls **out, struct tls_fault *why)
{
	enum status st;

	pthread_mutex_init(&t->lock, NULL);
	put_alpn(t);
	st = make_bio(t);
	if (st == ST_OK)
		st = list_files(t);
	if (st == ST_OK)
		st = setup_new(t, &t->setup, why);
	if (st != ST_OK)
		tls_free(&t);
	else
		*out = t;
	return st;
}

enum status
tls_server_new(const struct tls_server_opts *o, struct tls **out,
    struct tls_fault *why)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (!t)
		return ST_NO_MEMORY;
	assert(o->common.n_certificates > 0);
	t->server = true;
	t->opts.s = *o;
	return complete(t, out, why);
}

enum status
tls_client_new(const struct tls_client_opts *o, struct tls **out,
    struct tls_fault *why)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (!t)
		return ST_NO_MEMORY;
	assert(strlen(o->server_name) < sizeof(t->host));
	memcpy(t->host, o->server_name, strlen(o->server_name));
	t->opts.c = *o;
	return complete(t, out, why);
}

void
tls_free(struct tls **at)
{
	struct tls *t = *at;

	if (!t)
		return;
	*at = NULL;
	loop_timer_free(&t->look);
	if (t->setup)
		setup_give(t, t->setup);
	pthread_mutex_destroy(&t->lock);
	OPENSSL_cleanse(t->ticket, sizeof(t->ticket));
	BIO_meth_free(t->bio);
	files_free(&t->files);
	free(t);
}

/* ---- what went wrong ------------------------------------------------------------------------ */

static enum status
why_not_verified(long result)
{
	switch (result) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return ST_CERT_EXPIRED;
	case X509_V_ERR_CERT_REVOKED:
		return ST_CERT_REVOKED;
	case X509_V_ERR_UNABLE_TO_GET_CRL:
	case X509_V_ERR_CRL_HAS_EXPIRED:
	case X509_V_ERR_CRL_NOT_YET_VALID:
	case X509_V_ERR_CRL_SIGNATURE_FAILURE:
	case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
		return ST_CERT_UNLISTED;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return ST_CERT_NAME;
	default:
		return ST_CERT_UNKNOWN;
	}
}

/* After a call that failed.  What comes last in the queue of errors is what became of
 * what comes first: an alert that was sent, a certificate that is not trusted because
 * its signature is not good. */
static enum status
why_failed(const struct tls_conn *c)
{
	unsigned long e = ERR_peek_last_error();
	int what = ERR_GET_REASON(e);

	if (what == ERR_R_MALLOC_FAILURE)
		return ST_NO_MEMORY;
	/* a peer that asks for much and takes nothing is no lack of memory */
	if (ERR_GET_LIB(e) != ERR_LIB_SSL)
		return buf_failed(&c->out) && c->out.len < SEALED_MAX / 2 ?
		    ST_NO_MEMORY : ST_TLS_FAILED;
	if (what > SSL_AD_REASON_OFFSET)
		return ST_TLS_REFUSED;	/* an alert has come */
	switch (what) {
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
		return why_not_verified(SSL_get_verify_result(c->ssl));
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
		return ST_CERT_MISSING;
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_HTTP_REQUEST:
	case SSL_R_HTTPS_PROXY_REQUEST:
	case SSL_R_UNEXPECTED_MESSAGE:
	case SSL_R_BAD_RECORD_TYPE:
		return SSL_is_init_finished(c->ssl) ? ST_TLS_FAILED : ST_NOT_TLS;
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_VERSION_TOO_LOW:
	case SSL_R_NO_SHARED_CIPHER:
	case SSL_R_NO_PROTOCOLS_AVAILABLE:
	case SSL_R_NO_SUITABLE_KEY_SHARE:
	case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
	case SSL_R_NO_APPLICATION_PROTOCOL:
	case SSL_R_NO_SHARED_GROUPS:
		return ST_TLS_VERSION;
	default:
		return ST_TLS_FAILED;
	}
}

/* ---- the client's name ---------------------------------------------------------------------- */

static bool
is_usable(struct bytes name)
{
	size_t i;

	if (name.n == 0 || name.n > TLS_NAME_MAX || !utf8_valid(name))
		return false;
	for (i = 0; i < name.n; i++)
		if (name.p[i] < ' ' || name.p[i] == 127)
			return false;
	return true;
}

/* False: there is none that can be used. */
static bool
take_name(struct tls_conn *c, const ASN1_STRING *s)
{
	unsigned char *text = NULL;
	int n = ASN1_STRING_to_UTF8(&text, s);

	if (n > 0 && is_usable(bytes_of(text, (size_t)n)))
		c->name = strndup((const char *)text, (size_t)n);
	OPENSSL_free(text);
	return c->name != NULL;
}

/* Two are none: who signs may have meant either. */
static bool
take_common_name(struct tls_conn *c, X509 *cert)
{
	X509_NAME *subject = X509_get_subject_name(cert);
	int i = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	return i >= 0 &&
	    X509_NAME_get_index_by_NID(subject, NID_commonName, i) < 0 &&
	    take_name(c, X509_NAME_ENTRY_get_data(
	    X509_NAME_get_entry(subject, i)));
}

/* The first that is a text. */
static bool
take_alt_name(struct tls_conn *c, X509 *cert)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL,
	    NULL);
	const GENERAL_NAME *one;
	bool found = false;
	int i, type;

	for (i = 0; i < sk_GENERAL_NAME_num(names) && !found; i++) {
		one = sk_GENERAL_NAME_value(names, i);
		type = one->type;
		if (type == GEN_DNS || type == GEN_URI || type == GEN_EMAIL) {
			found = true;
			(void)take_name(c, one->d.ia5);	/* c->name tells */
		}
	}
	GENERAL_NAMES_free(names);
	return c->name != NULL;
}

static enum status
name_client(struct tls_conn *c)
{
	X509 *cert = SSL_get0_peer_certificate(c->ssl);
	bool named = true;

	if (!c->tls->server || !cert)
		return ST_OK;
	if (c->tls->opts.s.naming == TLS_BY_CN)
		named = take_common_name(c, cert);
	else if (c->tls->opts.s.naming == TLS_BY_SAN)
		named = take_alt_name(c, cert);
	if (!named)
		note_claim(c, cert);
	return named ? ST_OK : ST_CERT_NAME;
}

/* ---- a connection ----------------------------------------------------------------------------- */

static enum status
fill_conn(struct tls_conn *c)
{
	BIO *bio = BIO_new(c->tls->bio);

	c->ssl = SSL_new(c->setup->ctx);
	if (!bio || !c->ssl) {
		BIO_free(bio);
		return ST_NO_MEMORY;
	}
	BIO_set_data(bio, c);
	BIO_set_init(bio, 1);
	SSL_set_bio(c->ssl, bio, bio);
	(void)SSL_set_app_data(c->ssl, c);	/* cannot fail: index 0 */
	if (c->tls->server) {
		SSL_set_accept_state(c->ssl);
		return ST_OK;
	}
	SSL_set_connect_state(c->ssl);
	/* an address is no name to be asked for (RFC 6066) */
	if (X509_VERIFY_PARAM_get0_host(SSL_get0_param(c->ssl), 0) &&
	    SSL_set_tlsext_host_name(c->ssl, c->tls->host) != 1)
		return ST_NO_MEMORY;
	return ST_OK;
}

enum status
tls_conn_new(struct tls *t, struct tls_conn **out)
{
	struct tls_conn *c = calloc(1, sizeof(*c));
	enum status st;

	if (!c)
		return ST_NO_MEMORY;
	c->tls = t;
	c->setup = setup_take(t);
	buf_init(&c->out, SEALED_MAX);
	st = fill_conn(c);
	ERR_clear_error();
	if (st != ST_OK)
		tls_conn_free(&c);
	else
		*out = c;
	return st;
}

void
tls_conn_free(struct tls_conn **at)
{
	struct tls_conn *c = *at;

	if (!c)
		return;
	*at = NULL;
	SSL_free(c->ssl);
	setup_give(c->tls, c->setup);
	buf_fini(&c->out);
	free(c->name);
	free(c->claim);
	free(c);
}

void
tls_feed(struct tls_conn *c, struct bytes sealed)
{
	assert(c->in.n == 0);
	c->in = sealed;
}

enum status
tls_shake(struct tls_conn *c)
{
	enum status st;
	int rc, what;

	ERR_clear_error();
	rc = SSL_do_handshake(c->ssl);
	what = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(c->ssl, rc);
	if (what == SSL_ERROR_NONE)
		st = name_client(c);
	else if (what == SSL_ERROR_WANT_READ)
		st = ST_WAIT;
	else
		st = why_failed(c);
	ERR_clear_error();
	return st;
}

enum status
tls_open(struct tls_conn *c, uint8_t *out, size_t size, size_t *n)
{
	enum status st = ST_OK;
	size_t one;
	int rc = 0;

	*n = 0;
	ERR_clear_error();
	while (*n < size &&
	    (rc = SSL_read_ex(c->ssl, out + *n, size - *n, &one)) == 1)
		*n += one;
	assert(*n < size);	/* TLS_RECORD_MAX */
	switch (SSL_get_error(c->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		break;
	case SSL_ERROR_ZERO_RETURN:
		st = ST_END;
		break;
	default:
		st = why_failed(c);
		break;
	}
	ERR_clear_error();
	return st;
}

enum status
tls_seal(struct tls_conn *c, struct bytes plain)
{
	enum status st = ST_OK;
	size_t n;

	ERR_clear_error();
	if (SSL_write_ex(c->ssl, plain.p, plain.n, &n) != 1)
		st = why_failed(c);
	else
		assert(n == plain.n);
	ERR_clear_error();
	return st;
}

bool
tls_end(struct tls_conn *c)
{
	if (c->ended)
		return false;
	c->ended = true;
	ERR_clear_error();
	(void)SSL_shutdown(c->ssl);	/* nothing depends on it */
	ERR_clear_error();
	return true;
}

struct buf *
tls_sealed(struct tls_conn *c)
{
	return &c->out;
}

bool
tls_is_server(const struct tls_conn *c)
{
	return c->tls->server;
}

struct bytes
tls_protocol(const struct tls_conn *c)
{
	struct bytes name = { NULL, 0 };
	unsigned n = 0;

	SSL_get0_alpn_selected(c->ssl, &name.p, &n);
	name.n = n;
	return name;
}

const char *
tls_peer_name(const struct tls_conn *c)
{
	return c->name;
}

const char *
tls_peer_claim(const struct tls_conn *c)
{
	return c->claim;
}
