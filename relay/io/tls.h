/* tls.h - TLS: who we are and whom we trust, read again when the files change,
 * and the sealed bytes of one connection.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The door to OpenSSL.  A struct tls is what a listen section or an upstream
 * needs to shake hands; any number of loops use it at a time.  A struct tls_conn
 * is one connection's, and belongs to a loop.  It does no I/O: the peer's sealed
 * bytes are fed to it, and what has to go to the peer gathers in tls_sealed().  */
#ifndef RW_IO_TLS_H
#define RW_IO_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/status.h"
#include "io/loop.h"

struct tls;
struct tls_conn;

enum tls_version { TLS_1_2, TLS_1_3 };
enum tls_verify { TLS_REQUIRED, TLS_OPTIONAL };	/* a client's certificate */
enum tls_naming { TLS_BY_ADDRESS, TLS_BY_CN, TLS_BY_SAN };

#define TLS_NAME_MAX 255		/* bytes of a client's name */

/* Paths are of PEM files; "" is none.  All of it is borrowed for life. */
struct tls_opts {
	const char *name;		/* of the section, for the log */
	const char *const *certificate;	/* each with the chain behind it */
	size_t n_certificates;
	const char *const *key;		/* one for each certificate; without any the
					   keys are in the certificates' files */
	size_t n_keys;
	const char *ca;			/* whom we trust */
	enum tls_version min;
	const char *alpn;		/* "a,b": protocols, the best first */
};

/* Of several certificates that one serves which has the name that the client asks
 * for, else the first. */
struct tls_server_opts {
	struct tls_opts common;		/* ca "": nobody is asked for a certificate */
	const char *crl;		/* of each authority in a client's chain */
	enum tls_verify verify;
	enum tls_naming naming;
};

struct tls_client_opts {
	struct tls_opts common;		/* ca "": those that the system trusts */
	const char *server_name;	/* asked for, and to be in the certificate: a
					   host's name or an address, < 256 bytes */
};

enum tls_file { TLS_CERTIFICATE, TLS_KEY, TLS_CA, TLS_CRL };

struct tls_fault {
	enum tls_file file;
	size_t i;			/* which of the certificates or keys */
	char text[256];
};

/* Reads the files.  ST_CONFIG: one of them will not do, see `why`; ST_NO_MEMORY. */
enum status tls_server_new(const struct tls_server_opts *, struct tls **out,
    struct tls_fault *why);
enum status tls_client_new(const struct tls_client_opts *, struct tls **out,
    struct tls_fault *why);
/* When no connection of it is left; on the loop that it follows, or when that has
 * stopped. */
void tls_free(struct tls **);

/* From now on this loop looks at the files every TLS_LOOK_NS.  When they have changed,
 * and have then stayed as they are for as long, they are read, and handshakes that begin
 * later go by them.  Files that will not do are told of in the log, once, and what was
 * read before stays; and so is now, if there is one that we may not read again. */
#define TLS_LOOK_NS (INT64_C(2) * 1000000000)
enum status tls_follow(struct tls *, struct loop *);

/* ---- a connection, for stream.c --------------------------------------------- */
enum status tls_conn_new(struct tls *, struct tls_conn **out);
void tls_conn_free(struct tls_conn **);

/* Borrowed until tls_shake or tls_open has said that it wants more, or has failed. */
void tls_feed(struct tls_conn *, struct bytes sealed);
/* ST_OK: hands are shaken; ST_WAIT: more has to come; else it has failed, and what is
 * in tls_sealed tells the peer. */
enum status tls_shake(struct tls_conn *);
/* What n sealed bytes come to is less than n + TLS_RECORD_MAX. */
#define TLS_RECORD_MAX ((size_t)17 << 10)
/* Opens what was fed; *n bytes are in `out`.  ST_OK: more has to come; ST_END: the peer
 * has ended its side, and n may be something all the same; else it has failed. */
enum status tls_open(struct tls_conn *, uint8_t *out, size_t size, size_t *n);
/* Seals all of it; ST_NO_MEMORY, ST_TLS_FAILED. */
enum status tls_seal(struct tls_conn *, struct bytes);
/* Seals the end of our side; false if that was done before. */
bool tls_end(struct tls_conn *);
/* To be sent; who has sent it drops it from there. */
struct buf *tls_sealed(struct tls_conn *);
bool tls_is_server(const struct tls_conn *);

/* Once hands are shaken.  The protocol agreed on, of opts.alpn; n 0: none. */
struct bytes tls_protocol(const struct tls_conn *);
/* The verified client's name, as opts.naming has it; NULL: none, or by address. */
const char *tls_peer_name(const struct tls_conn *);
/* The subject of a certificate that would not do, for the log; NULL: there was none. */
const char *tls_peer_claim(const struct tls_conn *);

#endif
