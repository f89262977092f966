/* oauth2.h - a bearer token by OAuth2's client credentials (RFC 6749 4.4).
 * SPDX-License-Identifier: Apache-2.0
 *
 * The door to jansson.  The client shows itself by basic authentication (RFC 6749
 * 2.3.1).  A token is fetched ahead of its end, so that the one before bridges an
 * outage of the server; it is wiped from memory when another takes its place, and
 * never logged.  Belongs to one loop.                                           */
#ifndef RW_FORWARD_OAUTH2_H
#define RW_FORWARD_OAUTH2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/metric.h"
#include "base/status.h"
#include "http/client.h"
#include "io/loop.h"

/* All of it is borrowed for life. */
struct oauth2_opts {
	struct http_url url;		/* of the token endpoint */
	const char *client_id;
	const char *secret_file;
	const char *const *scopes;
	size_t n_scopes;
	const char *const *params;	/* "NAME=VALUE", beside those of the RFC */
	size_t n_params;
	struct tls *tls;		/* of an https url; NULL with http */
};

/* Whose token it is. */
struct oauth2_client {
	const char *upstream;		/* its name, for the log */
	const char *user_agent;
	struct http_url proxy;		/* host "": none, as the upstream's */
	int64_t connect_timeout_ns, timeout_ns;
	struct metric_group *metrics;
	struct loop *loop;
	/* There is another token, or none any more, or still none after a try. */
	void (*changed)(void *arg);
	void *arg;
};

struct oauth2;

/* Fetches the first one when the loop runs.  ST_CONFIG: the secret's file will not do,
 * which is in the log; ST_NO_MEMORY. */
enum status oauth2_new(const struct oauth2_opts *, const struct oauth2_client *,
    struct oauth2 **out);
void oauth2_free(struct oauth2 **);

/* ST_OK; ST_WAIT: the first one is being fetched, or one in the place of one that was
 * refused; ST_NO_TOKEN. */
enum status oauth2_token(const struct oauth2 *, struct bytes *out);
/* It is not taken (any more): another is fetched at once. */
void oauth2_renew(struct oauth2 *);
/* Now and then: another client secret is used at once. */
void oauth2_look(struct oauth2 *);

/* ---- an answer (RFC 6749 5) --------------------------------------------------- */
#define OAUTH2_ANSWER_MAX ((size_t)64 << 10)
#define OAUTH2_LIFE_MAX (INT64_C(365) * 86400 * 1000000000)

struct oauth2_answer {
	char *token;			/* owned; NULL: none.  To be wiped */
	size_t n;
	int64_t life_ns;		/* 0: it does not say */
	char error[64];			/* its "error", "" if there is none */
};
/* ST_OK: a bearer token; ST_TOKEN_ANSWER; ST_NO_MEMORY. */
enum status oauth2_read(const struct http_answer *, struct oauth2_answer *out);

#endif
