/* certs.h - certificates that tests make for themselves.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Everything asserts; nothing returns a failure.                            */
#ifndef RW_TESTS_CERTS_H
#define RW_TESTS_CERTS_H

#include <stdbool.h>

#include <openssl/ssl.h>

#define CERTS_DAY 86400L

struct cert {
	X509 *x509;
	EVP_PKEY *key;
};

struct cert_opts {
	const char *cn;			/* may be NULL */
	int cn_len;			/* 0: that of the text */
	const char *cn2;		/* another */
	const char *san;		/* as in "DNS:a,IP:192.0.2.1" */
	long from_s, to_s;		/* from now; to_s 0: a day */
	bool ca;
};

/* Signed by `by`, or by itself. */
struct cert *cert_new(const struct cert *by, const struct cert_opts *);
void cert_free(struct cert **);

/* To files; the key may be added to the certificate's. */
void cert_write(const struct cert *, const char *path);
void cert_write_key(const struct cert *, const char *path, const char *mode,
    const char *password);
/* A list by `ca` in which `revoked` is, unless it is NULL. */
void cert_write_crl(const struct cert *ca, const struct cert *revoked,
    long until_s, const char *path);

#endif
