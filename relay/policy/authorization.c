/* authorization.c - what an Authorization header says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "policy/authorization.h"

#include <string.h>
#include <strings.h>

#define BASE64_MAX ((sizeof(((struct authorization *)NULL)->text) + 2) / 3 * 4)

/* ---- base64 (RFC 4648 4) --------------------------------------------------------- */

static int
digit_of(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* False if it is none, or comes to more than `size`. */
static bool
decode(struct bytes in, char *out, size_t size, size_t *n)
{
	uint32_t bits = 0;
	unsigned have = 0;
	size_t i;
	int d;

	if (in.n % 4 != 0 || in.n > BASE64_MAX)
		return false;
	for (i = 0; i < 2 && in.n && in.p[in.n - 1] == '='; i++)
		in.n--;
	for (*n = 0, i = 0; i < in.n; i++) {
		d = digit_of(in.p[i]);
		if (d == -1)
			return false;
		bits = bits << 6 | (uint32_t)d;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		if (*n == size)
			return false;
		out[(*n)++] = (char)(bits >> have & 0xff);
	}
	return true;
}

/* ---- schemes ------------------------------------------------------------------------ */

/* The name ends at the first colon. */
static bool
parse_basic(struct bytes value, struct authorization *c)
{
	char *colon;
	size_t n;

	if (!decode(value, c->text, sizeof(c->text) - 1, &n))
		return false;
	c->text[n] = '\0';
	colon = memchr(c->text, ':', n);
	if (!colon || memchr(c->text, '\0', n))
		return false;
	c->user = bytes_of(c->text, (size_t)(colon - c->text));
	c->password = colon + 1;
	return c->user.n > 0 && c->user.n < USERS_NAME_SIZE &&
	    strlen(c->password) < PASSWORD_SIZE;
}

static bool
parse_bearer(struct bytes value, struct authorization *c)
{
	size_t i;

	for (i = 0; i < value.n; i++)
		if (value.p[i] <= ' ' || value.p[i] >= 0x7f)
			return false;
	c->token = value;
	return value.n > 0;
}

/* Passes over the scheme's name and the blanks behind. */
static bool
is_scheme(struct bytes *value, const char *name)
{
	size_t n = strlen(name);

	if (value->n <= n || value->p[n] != ' ' ||
	    strncasecmp((const char *)value->p, name, n) != 0)
		return false;
	for (; n < value->n && value->p[n] == ' '; n++)
		;
	*value = bytes_of(value->p + n, value->n - n);
	return true;
}

void
authorization_parse(struct bytes value, struct authorization *c)
{
	c->kind = value.p ? CREDENTIAL_OTHER : CREDENTIAL_NONE;
	c->user = c->token = (struct bytes){ NULL, 0 };
	c->password = NULL;
	if (!value.p)
		return;
	if (is_scheme(&value, "Basic") && parse_basic(value, c))
		c->kind = CREDENTIAL_BASIC;
	else if (is_scheme(&value, "Bearer") && parse_bearer(value, c))
		c->kind = CREDENTIAL_BEARER;
}

void
authorization_wipe(struct authorization *c)
{
	explicit_bzero(c, sizeof(*c));
}
