/* certs.c - certificates that tests make for themselves.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "certs.h"

static long serial = 1;

static void
add_name(X509_NAME *name, const char *cn, int len)
{
	assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
	    (const unsigned char *)cn, len ? len : -1, -1, 0), 1);
}

static void
add_extension(X509 *x, const X509 *by, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;
	X509 *issuer = X509_dup(by);

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(e);
	assert_int_equal(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
	X509_free(issuer);
}

struct cert *
cert_new(const struct cert *by, const struct cert_opts *o)
{
	struct cert *c = calloc(1, sizeof(*c));
	X509 *x = X509_new();

	assert_true(c && x);
	c->x509 = x;
	c->key = EVP_EC_gen("P-256");
	assert_non_null(c->key);
	assert_int_equal(X509_set_version(x, X509_VERSION_3), 1);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
	X509_gmtime_adj(X509_getm_notBefore(x), o->from_s ? o->from_s : -60);
	X509_gmtime_adj(X509_getm_notAfter(x), o->to_s ? o->to_s : CERTS_DAY);
	X509_set_pubkey(x, c->key);
	if (o->cn)
		add_name(X509_get_subject_name(x), o->cn, o->cn_len);
	if (o->cn2)
		add_name(X509_get_subject_name(x), o->cn2, 0);
	X509_set_issuer_name(x, X509_get_subject_name(by ? by->x509 : x));
	add_extension(x, by ? by->x509 : x, NID_basic_constraints,
	    o->ca ? "critical,CA:TRUE" : "CA:FALSE");
	if (o->san)
		add_extension(x, by ? by->x509 : x, NID_subject_alt_name,
		    o->san);
	assert_true(X509_sign(x, by ? by->key : c->key, EVP_sha256()) > 0);
	return c;
}

void
cert_free(struct cert **at)
{
	struct cert *c = *at;

	if (!c)
		return;
	*at = NULL;
	X509_free(c->x509);
	EVP_PKEY_free(c->key);
	free(c);
}

void
cert_write(const struct cert *c, const char *path)
{
	FILE *fp = fopen(path, "w");

	assert_non_null(fp);
	assert_int_equal(PEM_write_X509(fp, c->x509), 1);
	assert_int_equal(fclose(fp), 0);
}

void
cert_write_key(const struct cert *c, const char *path, const char *mode,
    const char *password)
{
	FILE *fp = fopen(path, mode);

	assert_non_null(fp);
	assert_int_equal(PEM_write_PrivateKey(fp, c->key,
	    password ? EVP_aes_128_cbc() : NULL,
	    (const unsigned char *)password,
	    password ? (int)strlen(password) : 0, NULL, NULL), 1);
	assert_int_equal(fclose(fp), 0);
}

void
cert_write_crl(const struct cert *ca, const struct cert *revoked, long until_s,
    const char *path)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *now = X509_gmtime_adj(NULL, -60);
	ASN1_TIME *until = X509_gmtime_adj(NULL, until_s);
	X509_REVOKED *one;
	FILE *fp = fopen(path, "w");

	assert_true(crl && now && until && fp);
	X509_CRL_set_version(crl, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->x509));
	X509_CRL_set1_lastUpdate(crl, now);
	X509_CRL_set1_nextUpdate(crl, until);
	if (revoked) {
		one = X509_REVOKED_new();
		X509_REVOKED_set_serialNumber(one,
		    X509_get_serialNumber(revoked->x509));
		X509_REVOKED_set_revocationDate(one, now);
		assert_int_equal(X509_CRL_add0_revoked(crl, one), 1);
	}
	assert_true(X509_CRL_sign(crl, ca->key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_X509_CRL(fp, crl), 1);
	assert_int_equal(fclose(fp), 0);
	X509_CRL_free(crl);
	ASN1_TIME_free(now);
	ASN1_TIME_free(until);
}
