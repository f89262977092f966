/* check.c - texts of the config file: addresses, urls, headers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "config/check.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "config/config.h"
#include "io/network.h"
#include "policy/match.h"
#include "policy/regex.h"

#define CONTROL_LENGTH_MAX 100	/* less than sun_path */
#define PATH_LENGTH_MAX 512
#define HEADER_LENGTH_MAX 4096
#define HEADER_NAME_LENGTH_MAX 128
#define TENANT_LENGTH_MAX 255
#define DIRECTORY_LENGTH_MAX 2048
#define EDGES_LENGTH_MAX 512
#define SERVER_NAME_LENGTH_MAX 253
#define USER_LENGTH_MAX 32
#define TEXT_LENGTH_MAX 4096
#define CREDENTIAL_LENGTH_MAX 512

#define ALNUM "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

#define HEADER_LETTERS ALNUM "!#$%&'*+-.^_`|~"

/* Upstreams' names are names of files too. */
const char *
check_name(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > CONFIG_NAME_MAX || *name == '.' ||
	    strspn(name, ALNUM "._-") != n)
		return "a name is 1 to 64 letters, digits and . _ -, "
		       "the first not a dot";
	return NULL;
}

const char *
check_user(const char *name)
{
	size_t n = strlen(name);

	if (n > USER_LENGTH_MAX || *name == '-' ||
	    strspn(name, ALNUM "._-") != n)
		return "a user's name has at most 32 letters, digits and . _ -";
	return NULL;
}

const char *
check_address(const char *address)
{
	return listener_address_check(address);
}

const char *
check_admin_address(const char *address)
{
	return *address ? listener_address_check(address) : NULL;
}

const char *
check_control(const char *path)
{
	if (*path && *path != '/')
		return "the control socket's path begins with /";
	if (strlen(path) > CONTROL_LENGTH_MAX)
		return "the control socket's path has at most 100 bytes";
	return NULL;
}

const char *
check_path(const char *path)
{
	size_t i;

	if (*path != '/')
		return "a path begins with /";
	for (i = 0; path[i]; i++)
		if (path[i] <= ' ' || path[i] == 127 || strchr("?#\"<>\\", path[i]))
			return "a path has no blanks, ?, # and the like";
	return i > PATH_LENGTH_MAX ? "a path has at most 512 bytes" : NULL;
}

const char *
check_directory(const char *directory)
{
	if (*directory != '/')
		return "a directory's name begins with /";
	if (strlen(directory) > DIRECTORY_LENGTH_MAX)
		return "a directory's name has at most 2048 bytes";
	return NULL;
}

const char *
check_file(const char *path)
{
	if (*path != '/')
		return "a file's name begins with /";
	if (strlen(path) > DIRECTORY_LENGTH_MAX)
		return "a file's name has at most 2048 bytes";
	return NULL;
}

const char *
check_file_or_none(const char *path)
{
	return *path ? check_file(path) : NULL;
}

const char *
check_server_name(const char *name)
{
	size_t n = strlen(name);

	if (n > SERVER_NAME_LENGTH_MAX || strspn(name, ALNUM ".-_:") != n)
		return "a server's name is that of a host, or an address "
		       "without brackets";
	return NULL;
}

const char *
check_url(const char *url)
{
	struct http_url parsed;

	return http_url_parse(url, &parsed);
}

const char *
check_proxy(const char *url)
{
	struct http_url parsed;
	const char *wrong = *url ? http_url_parse(url, &parsed) : NULL;

	if (wrong || !*url)
		return wrong;
	if (parsed.tls)
		return "a proxy is spoken to without TLS: http://host:port";
	return strcmp(parsed.path, "/") != 0 ?
	    "a proxy's URL has no path: http://host:port" : NULL;
}

const char *
check_url_or_none(const char *url)
{
	return *url ? check_url(url) : NULL;
}

/* What the relay says itself, and what belongs to one connection
 * (remote write 2.0 "Protocol"; RFC 9110 7.6.1). */
static bool
is_reserved(const char *name, size_t n)
{
	static const char *const names[] = {
		"accept-encoding", "connection", "content-encoding",
		"content-length", "content-type", "expect", "host",
		"keep-alive", "proxy-authenticate", "proxy-authorization",
		"proxy-connection", "retry-attempt", "te", "trailer",
		"transfer-encoding", "upgrade", "user-agent",
		"www-authenticate", "x-amz-content-sha256", "x-amz-date",
		"x-amz-security-token", "x-prometheus-remote-read-version",
		"x-prometheus-remote-write-version",
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == n &&
		    strncasecmp(names[i], name, n) == 0)
			return true;
	return false;
}

static const char reserved[] = "this header is reserved, the relay sets it "
    "itself";

const char *
check_header_name(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > HEADER_NAME_LENGTH_MAX ||
	    strspn(name, HEADER_LETTERS) != n)
		return "a header's name is 1 to 128 letters, digits and - . _";
	return is_reserved(name, n) ? reserved : NULL;
}

const char *
check_header(const char *header)
{
	size_t name = strspn(header, HEADER_LETTERS), i;

	if (name == 0 || header[name] != ':')
		return "a header is written \"Name: value\"";
	if (is_reserved(header, name))
		return reserved;
	for (i = name; header[i]; i++)
		if ((header[i] < ' ' && header[i] != '\t' && header[i] > 0) ||
		    header[i] == 127)
			return "a header's value has no control characters";
	return i > HEADER_LENGTH_MAX ? "a header has at most 4096 bytes" : NULL;
}

static bool
has_control(const char *text)
{
	for (; *text; text++)
		if ((*text < ' ' && *text > 0) || *text == 127)
			return true;
	return false;
}

/* RFC 7617 2 */
const char *
check_username(const char *name)
{
	if (strlen(name) > CREDENTIAL_LENGTH_MAX || has_control(name) ||
	    strchr(name, ':'))
		return "a user's name has at most 512 bytes, no colon and no "
		       "control characters";
	return NULL;
}

const char *
check_client_id(const char *id)
{
	if (strlen(id) > CREDENTIAL_LENGTH_MAX || has_control(id))
		return "a client's id has at most 512 bytes, and no control "
		       "characters";
	return NULL;
}

/* RFC 6749 3.3 */
const char *
check_scope(const char *scope)
{
	size_t i, n = strlen(scope);

	for (i = 0; i < n; i++)
		if (scope[i] <= ' ' || scope[i] > 126 || scope[i] == '"' ||
		    scope[i] == '\\')
			break;
	if (n == 0 || n > CREDENTIAL_LENGTH_MAX || i < n)
		return "a scope is 1 to 512 visible characters of ASCII, "
		       "but \" and \\";
	return NULL;
}

const char *
check_param(const char *param)
{
	static const char *const own[] = { "grant_type", "scope",
		"client_secret" };
	size_t i, n = strcspn(param, "=");

	if (n == 0 || param[n] != '=' || strlen(param) > HEADER_LENGTH_MAX)
		return "a parameter is written \"NAME=VALUE\"";
	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (strlen(own[i]) == n && strncmp(own[i], param, n) == 0)
			return "this parameter is reserved, the relay sets it "
			       "itself";
	return NULL;
}

const char *
check_network(const char *text)
{
	struct network parsed;

	return network_parse(text, &parsed);
}

const char *
check_edges(const char *pattern)
{
	size_t n = strlen(pattern);

	if (n == 0 || n > EDGES_LENGTH_MAX)
		return "edges are named by 1 to 512 bytes";
	return NULL;
}

const char *
check_match(const char *selector)
{
	struct match *m;
	const char *wrong = match_parse(selector, &m);

	match_free(&m);
	return wrong;
}

const char *
check_utf8(const char *text)
{
	if (strlen(text) > TEXT_LENGTH_MAX)
		return "a text has at most 4096 bytes";
	return utf8_valid(bytes_str(text)) ? NULL : "a text is UTF-8";
}

const char *
check_label(const char *name)
{
	return *name ? check_utf8(name) : "a label's name is not empty";
}

const char *
check_set_label(const char *text)
{
	if (*text == '=' || !strchr(text, '='))
		return "a label is written \"name=value\"";
	if (strncmp(text, "__name__=", 9) == 0)
		return "a series keeps its name: relabel can change it";
	return check_utf8(text);
}

const char *
check_tenant(const char *text)
{
	size_t n = strlen(text), i;

	for (i = 0; i < n; i++)
		if (text[i] <= ' ' || text[i] >= 127 || text[i] == '%')
			return "a tenant has no blanks, no % and nothing that "
			       "is not ASCII";
	return n > TENANT_LENGTH_MAX ? "a tenant has at most 255 bytes" : NULL;
}

const char *
check_regex(const char *text)
{
	struct regex *x;
	const char *wrong = check_utf8(text);

	if (wrong)
		return wrong;
	wrong = regex_new(bytes_str(text), &x);
	regex_free(&x);
	return wrong;
}

/* ---- clashes ------------------------------------------------------------------ */

struct address {
	const char *host;
	size_t n;
	unsigned long port;
	bool unix_socket;
};

static struct address
take_apart(const char *text)
{
	struct address a = { .host = text, .n = strlen(text) };
	const char *colon = strrchr(text, ':');

	if (strncmp(text, "unix:", 5) == 0) {
		a.unix_socket = true;
	} else if (colon) {
		a.n = (size_t)(colon - text);
		a.port = strtoul(colon + 1, NULL, 10);
	}
	return a;
}

static bool
is_everything(const struct address *a)
{
	static const char *const all[] = { "", "*", "[::]", "0.0.0.0" };
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strlen(all[i]) == a->n && memcmp(all[i], a->host, a->n) == 0)
			return true;
	return false;
}

/* A listener's sockets share their port among the workers (SO_REUSEPORT), so the
 * kernel would let two sections have it too, and spread the connections. */
bool
check_addresses_clash(const char *one, const char *other)
{
	struct address a = take_apart(one), b = take_apart(other);

	if (a.unix_socket || b.unix_socket)
		return strcmp(one, other) == 0;
	if (a.port != b.port || a.port == 0)
		return false;
	return is_everything(&a) || is_everything(&b) ||
	    (a.n == b.n && strncasecmp(a.host, b.host, a.n) == 0);
}
