/* credential.c - one of three kinds, as the value of a header.
 * SPDX-License-Identifier: Apache-2.0 */
#include "forward/credential.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "forward/secret.h"

#define VALUE_MAX ((size_t)48 << 10)	/* of 16 KiB + user name, in base64 */
#define FRESH_NS (60 * CLOCK_S)

struct credential {
	const struct credential_opts *o;	/* borrowed */
	struct oauth2_client client;
	struct secret *secret;		/* owned; NULL: of an OAuth2 server */
	struct oauth2 *oauth2;		/* owned; NULL: from a file */
	struct loop_timer *look;	/* owned */
	struct buf value;		/* owned */
	enum status status;		/* as credential_value() has it */
	uint32_t version;
	int64_t since;			/* of this value, clock_mono */
	bool renewed;			/* for a 401, and none was taken since */
};

static bool
is_given(const char *text)
{
	return text && *text;
}

/* ---- the value --------------------------------------------------------------- */

static bool
put_basic(const struct credential *c, struct buf *out)
{
	struct bytes user = bytes_str(c->o->username);
	struct bytes password = secret_text(c->secret);
	struct buf pair;

	buf_init(&pair, VALUE_MAX);
	/* at once, so that no copies stay behind */
	if (buf_room(&pair, user.n + 1 + password.n)) {
		(void)buf_append(&pair, user.p, user.n);
		(void)buf_append_str(&pair, ":");
		(void)buf_append(&pair, password.p, password.n);
		secret_basic(buf_bytes(&pair), out);
	}
	buf_wipe(&pair);
	return out->len > 0 && !buf_failed(out);
}

static bool
put_bearer(struct bytes token, struct buf *out)
{
	if (!buf_room(out, sizeof("Bearer ") + token.n))
		return false;
	(void)buf_append_str(out, "Bearer ");
	return buf_append(out, token.p, token.n);
}

static void
set(struct credential *c, enum status st, struct buf *taken)
{
	buf_wipe(&c->value);
	c->value = *taken;
	c->status = st;
	c->version++;
	c->since = clock_mono();
}

/* False: out of memory, and all is as before. */
static bool
make_value(struct credential *c)
{
	struct bytes token = { NULL, 0 };
	enum status st = ST_OK;
	struct buf value;
	bool fine = true;

	buf_init(&value, VALUE_MAX);
	if (c->oauth2)
		st = oauth2_token(c->oauth2, &token);
	else if (is_given(c->o->token_file))
		token = secret_text(c->secret);
	else
		fine = put_basic(c, &value);
	if (token.n)
		fine = put_bearer(token, &value);
	if (fine)
		set(c, st, &value);
	else
		buf_wipe(&value);
	return fine;
}

static void
remake(void *arg)
{
	struct credential *c = arg;

	if (!make_value(c))
		log_warn("credential-lost", "upstream=%s reason=%s",
		    c->client.upstream, status_info(ST_NO_MEMORY)->word);
	c->client.changed(c->client.arg);
}

static void
look(void *arg)
{
	struct credential *c = arg;

	loop_timer_start(c->look, CREDENTIAL_LOOK_NS);
	if (c->oauth2)
		oauth2_look(c->oauth2);
	else if (secret_look(c->secret, c->client.upstream))
		remake(c);
}

/* ---- life --------------------------------------------------------------------- */

static enum status
open_secret(struct credential *c)
{
	bool token = is_given(c->o->token_file);
	enum status st = secret_open_for(c->client.upstream, token ?
	    c->o->token_file : c->o->password_file, token ? SECRET_TOKEN :
	    SECRET_PASSWORD, &c->secret);

	if (st != ST_OK)
		return st;
	return make_value(c) ? ST_OK : ST_NO_MEMORY;
}

static enum status
open_oauth2(struct credential *c)
{
	struct oauth2_client client = c->client;

	client.changed = remake;
	client.arg = c;
	c->status = ST_WAIT;
	return oauth2_new(&c->o->oauth2, &client, &c->oauth2);
}

static bool
is_none(const struct credential_opts *o)
{
	return !is_given(o->password_file) && !is_given(o->token_file) &&
	    !is_given(o->oauth2.client_id);
}

enum status
credential_new(const struct credential_opts *o,
    const struct oauth2_client *client, struct credential **out)
{
	struct credential *c;
	enum status st;

	*out = NULL;
	if (is_none(o))
		return ST_OK;
	c = calloc(1, sizeof(*c));
	if (!c)
		return ST_NO_MEMORY;
	c->o = o;
	c->client = *client;
	buf_init(&c->value, VALUE_MAX);
	st = loop_timer_new(client->loop, look, c, &c->look);
	if (st == ST_OK)
		st = is_given(o->oauth2.client_id) ? open_oauth2(c) : open_secret(c);
	if (st != ST_OK) {
		credential_free(&c);
		return st;
	}
	loop_timer_start(c->look, CREDENTIAL_LOOK_NS);
	*out = c;
	return ST_OK;
}

void
credential_free(struct credential **taken)
{
	struct credential *c = *taken;

	*taken = NULL;
	if (!c)
		return;
	oauth2_free(&c->oauth2);
	secret_close(&c->secret);
	buf_wipe(&c->value);
	loop_timer_free(&c->look);
	free(c);
}

/* ---- use ------------------------------------------------------------------------ */

enum status
credential_value(const struct credential *c, struct bytes *out)
{
	*out = c ? buf_bytes(&c->value) : bytes_of(NULL, 0);
	return c ? c->status : ST_OK;
}

uint32_t
credential_version(const struct credential *c)
{
	return c ? c->version : 0;
}

void
credential_taken(struct credential *c, uint32_t version)
{
	if (c && c->version == version)
		c->renewed = false;
}

/* If another one did not help, a third would not either, for a while; and what is in a
 * file is what is in it. */
bool
credential_refused(struct credential *c, uint32_t version)
{
	if (!c)
		return false;
	if (c->version != version)
		return true;
	if (!c->oauth2 || (c->renewed && clock_mono() - c->since < FRESH_NS))
		return false;
	c->renewed = true;
	oauth2_renew(c->oauth2);
	return make_value(c);
}
