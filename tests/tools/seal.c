/* seal.c - TLS on a socket that does not block, for the tools.
 * SPDX-License-Identifier: Apache-2.0 */
#include "seal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

struct seal_side {
	SSL_CTX *ctx;
	bool server, verify;
};

struct seal {
	SSL *ssl;
};

static _Noreturn void
die(const char *what)
{
	fprintf(stderr, "%s: ", what);
	ERR_print_errors_fp(stderr);
	exit(2);
}

struct seal_side *
seal_side_new(bool server, const char *ca, const char *cert, const char *key)
{
	struct seal_side *s = calloc(1, sizeof(*s));

	if (s == NULL)
		die("tls");
	s->ctx = SSL_CTX_new(TLS_method());
	if (s->ctx == NULL)
		die("tls");
	s->server = server;
	s->verify = ca != NULL;
	if (ca != NULL && SSL_CTX_load_verify_file(s->ctx, ca) != 1)
		die(ca);
	if (ca != NULL)
		SSL_CTX_set_verify(s->ctx, SSL_VERIFY_PEER |
		    SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	if (cert != NULL &&
	    SSL_CTX_use_certificate_chain_file(s->ctx, cert) != 1)
		die(cert);
	if (key != NULL && SSL_CTX_use_PrivateKey_file(s->ctx, key,
	    SSL_FILETYPE_PEM) != 1)
		die(key);
	SSL_CTX_set_mode(s->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
	    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	return s;
}

void
seal_side_free(struct seal_side *s)
{
	if (s != NULL)
		SSL_CTX_free(s->ctx);
	free(s);
}

struct seal *
seal_new(struct seal_side *side, int fd, const char *name)
{
	struct seal *s = calloc(1, sizeof(*s));
	char asked[256];

	if (s == NULL)
		die("tls");
	s->ssl = SSL_new(side->ctx);
	if (s->ssl == NULL || SSL_set_fd(s->ssl, fd) != 1)
		die("tls");
	if (side->server) {
		SSL_set_accept_state(s->ssl);
		return s;
	}
	SSL_set_connect_state(s->ssl);
	if (side->verify && !X509_VERIFY_PARAM_set1_ip_asc(
	    SSL_get0_param(s->ssl), name) && !SSL_set1_host(s->ssl, name))
		die(name);
	/* the macro would cast const away */
	(void)snprintf(asked, sizeof(asked), "%s", name);
	(void)SSL_set_tlsext_host_name(s->ssl, asked);
	return s;
}

void
seal_free(struct seal *s)
{
	if (s != NULL) {
		ERR_clear_error();
		(void)SSL_shutdown(s->ssl);	/* the socket is closed next */
		ERR_clear_error();
		SSL_free(s->ssl);
	}
	free(s);
}

static ssize_t
result(struct seal *s, int rc)
{
	int what = SSL_get_error(s->ssl, rc);

	ERR_clear_error();
	switch (what) {
	case SSL_ERROR_NONE:
		return rc;
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		errno = EPROTO;
		return -1;
	}
}

ssize_t
seal_read(struct seal *s, void *p, size_t n)
{
	ERR_clear_error();
	return result(s, SSL_read(s->ssl, p, n > 1 << 20 ? 1 << 20 : (int)n));
}

ssize_t
seal_send(struct seal *s, const void *p, size_t n)
{
	ERR_clear_error();
	return result(s, SSL_write(s->ssl, p, n > 1 << 20 ? 1 << 20 : (int)n));
}

bool
seal_pending(const struct seal *s)
{
	return SSL_pending(s->ssl) > 0;
}
