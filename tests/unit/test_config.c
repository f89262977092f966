/* test_config.c - what a file becomes, and what is said about a bad one.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "certs.h"
#include "config/config.h"
#include "config/value.h"
#include "directory.h"

#define LISTEN "listen a { address = \"127.0.0.1:1\" }\n"

static int
leave_directory(void **state)
{
	(void)state;
	(void)unlink("rwrelay.conf");
	(void)unlink("inc.conf");
	(void)unlink("sub/inner.conf");
	(void)unlink("sub/innermost.conf");
	(void)rmdir("sub");
	return remove_directory();
}

static struct config *
load_good(const char *text)
{
	struct config *c = NULL;
	struct config_error why;
	enum status st;

	put_text("rwrelay.conf", text);
	st = config_load("rwrelay.conf", &c, &why);
	if (st != ST_OK)
		fail_msg("%s", why.text);
	assert_string_equal(why.text, "");
	return c;
}

static void
load_bad(const char *text, enum status expected, const char *message)
{
	struct config *c = NULL;
	struct config_error why;
	enum status st;

	put_text("rwrelay.conf", text);
	st = config_load("rwrelay.conf", &c, &why);
	assert_null(c);
	assert_string_equal(why.text, message);
	assert_int_equal(st, expected);
}

/* ---- what is right ------------------------------------------------------------- */

/* The file with this in an edge section, from line 3. */
#define EDGE(text) "listen edge { address = \"[::]:9201\" }\n" \
	"edge \"s-*\" {\n" text "\n}\n"

static void
labels_of_edges(void **state)
{
	struct config *c = load_good("listen edge { address = \"[::]:9201\" }\n"
	    "edge \"a\" { }\n"
	    "edge \"s-*\" {\n"
	    "	relabel { source-labels = { a, \"b c\" } separator = ''\n"
	    "		regex = '(\\d)(?P<x>.*)' target-label = '$1'\n"
	    "		replacement = '${x}' }\n"
	    "	set-labels = { \"site=$1\", \"zone=a=b\" }\n"
	    "	tenant = \"t-$1\"\n"
	    "	relabel { regex = \"x.*\" action = labeldrop }\n"
	    "}\n"
	    "edge \"t-*\" { relabel { action = hashmod modulus = 3k\n"
	    "	source-labels = { a } target-label = h } }\n"
	    "upstream central { url = \"http://store.example:9009/push\" }\n");
	const struct edge_policy *p = c->policies.item;

	(void)state;
	assert_int_equal(c->policies.n, 3);
	assert_null(p[0].relabel);
	assert_int_equal(p[0].n_set, 0);
	assert_non_null(p[1].relabel);
	assert_int_equal(p[1].n_set, 2);
	assert_null(p[0].tenant);
	assert_non_null(p[1].tenant);
	assert_int_equal(c->ingest.n_tenant_headers, 1);
	assert_string_equal(c->ingest.tenant_headers[0], "X-Scope-OrgID");
	assert_string_equal(c->upstreams[0].forward.tenant_header,
	    "X-Scope-OrgID");
	assert_true(bytes_eq(p[1].set[0].name, BYTES_LIT("site")));
	assert_true(bytes_eq(p[1].set[1].name, BYTES_LIT("zone")));
	assert_non_null(p[2].relabel);
	config_free(&c);
}

static void
mistakes_in_edges(void **state)
{
	(void)state;
	load_bad(EDGE("relabel { regex = '(' target-label = a }"), ST_CONFIG,
	    "rwrelay.conf:3: relabel \"s-*\": directive regex: value (: an expression "
	    "is not well formed");
	load_bad(EDGE("relabel {\naction = hashmod target-label = a }"),
	    ST_CONFIG, "rwrelay.conf:4: relabel \"s-*\": hashmod needs a modulus");
	load_bad(EDGE("relabel { action = drop }\nrelabel { }"), ST_CONFIG,
	    "rwrelay.conf:4: relabel \"s-*\": this action needs a target-label");
	load_bad(EDGE("relabel { action = dorp }"), ST_CONFIG,
	    "rwrelay.conf:3: relabel \"s-*\": directive action: value dorp: allowed: "
	    "replace, keep, drop, keepequal, dropequal, hashmod, labelmap, "
	    "labeldrop, labelkeep, lowercase, uppercase");
	load_bad(EDGE("relabel { source-labels = { \"\" } }"), ST_CONFIG,
	    "rwrelay.conf:3: relabel \"s-*\": directive source-labels: value \"\": a "
	    "label's name is not empty");
	load_bad(EDGE("relabel { acton = drop }"), ST_CONFIG, "rwrelay.conf:3: "
	    "relabel: unknown directive acton: did you mean action?");
	load_bad(EDGE("relable { }"), ST_CONFIG, "rwrelay.conf:3: edge \"s-*\": "
	    "unknown directive relable: did you mean relabel?");
	load_bad("relabel { }\n", ST_CONFIG, "rwrelay.conf:1: unknown "
	    "directive relabel: it stands in section edge");
	load_bad(EDGE("relabel { weight = 1 }"), ST_CONFIG, "rwrelay.conf:3: "
	    "relabel: unknown directive weight: it stands in section edge");
	load_bad(EDGE("set-labels = { a }"), ST_CONFIG, "rwrelay.conf:3: edge "
	    "\"s-*\": directive set-labels: value a: a label is written "
	    "\"name=value\"");
	load_bad(EDGE("set-labels = { \"a=$1\",\n\"b=$2\" }"), ST_CONFIG,
	    "rwrelay.conf:4: edge \"s-*\": directive set-labels: $1 is what "
	    "the first * of the section's name took, and so on to $9; there is "
	    "no * for one of these");
	load_bad(EDGE("tenant = \"$2\""), ST_CONFIG, "rwrelay.conf:3: edge "
	    "\"s-*\": directive tenant: $1 is what the first * of the section's "
	    "name took, and so on to $9; there is no * for one of these");
	load_bad(EDGE("tenant = \"a b\""), ST_CONFIG, "rwrelay.conf:3: edge "
	    "\"s-*\": directive tenant: value \"a b\": a tenant has no blanks, "
	    "no % and nothing that is not ASCII");
	load_bad("upstream u { url = \"http://a/\" tenant-header = Host }\n",
	    ST_CONFIG, "rwrelay.conf:1: upstream \"u\": directive "
	    "tenant-header: value Host: this header is reserved, the relay sets "
	    "it itself");
	load_bad(EDGE("set-labels = { \"__name__=x\" }"), ST_CONFIG,
	    "rwrelay.conf:3: edge \"s-*\": directive set-labels: value "
	    "__name__=x: a series keeps its name: relabel can change it");
}

static void
edges_by_pattern(void **state)
{
	struct config *c = load_good("listen edge { address = \"[::]:9201\" }\n"
	    "edge \"site-*\" { weight = 5 rate = 6k burst = 7s\n"
	    "  busy-status = 429 max-series = 8 max-labels = 9\n"
	    "  max-label-length = 10K max-request = 11M }\n"
	    "edge \"[ab]?\" { }\n"
	    "upstream central { url = \"http://store.example:9009/push\" }\n");
	const struct edge_policy *p = c->policies.item;

	(void)state;
	assert_int_equal(c->policies.n, 2);
	assert_string_equal(p[0].pattern, "site-*");
	assert_int_equal(p[0].weight, 5);
	assert_string_equal(p[1].pattern, "[ab]?");
	assert_int_equal(p[0].rate, 6000);
	assert_int_equal(p[0].burst_ns, 7 * CLOCK_S);
	assert_true(p[0].busy_429);
	assert_int_equal(p[0].max_series, 8);
	assert_int_equal(p[0].max_labels, 9);
	assert_int_equal(p[0].max_label_bytes, 10 << 10);
	assert_int_equal(p[0].max_request_bytes, 11 << 20);
	assert_int_equal(p[1].weight, 1);
	assert_int_equal(p[1].rate, 0);
	assert_int_equal(p[1].burst_ns, 60 * CLOCK_S);
	assert_false(p[1].busy_429);
	assert_int_equal(p[1].max_series, 0);
	assert_ptr_equal(c->ingest.policies.item, p);
	assert_ptr_equal(c->upstreams[0].forward.policies.item, p);
	config_free(&c);
	load_bad("listen edge { address = \"[::]:9201\" }\n"
	    "edge a { weight = 0 }\n", ST_CONFIG,
	    "rwrelay.conf:2: edge \"a\": directive weight: value 0: "
	    "allowed: 1 to 1000");
	load_bad("listen edge { address = \"[::]:9201\" }\n"
	    "edge \"\" { }\n", ST_CONFIG,
	    "rwrelay.conf:2: edge \"\": edges are named by 1 to 512 bytes");
}

static void
what_is_not_said_is_as_usual(void **state)
{
	struct config *c = load_good("listen edge { address = \"[::]:9201\" }\n"
	    "upstream central { url = \"http://store.example:9009/push\" }\n");
	const struct forward_opts *f = &c->upstreams[0].forward;

	(void)state;
	assert_int_equal(c->workers, 0);
	assert_string_equal(c->confine.user, "");
	assert_true(c->confine.seccomp);
	assert_false(c->confine.cores);
	assert_int_equal(c->log_level, LOG_LEVEL_INFO);
	assert_int_equal(c->stop_timeout_ns, 25 * CLOCK_S);
	assert_int_equal(c->http.max_connections, 20000);
	assert_int_equal(c->max_per_address, 1000);
	assert_int_equal(c->http.idle_timeout_ns, 360 * CLOCK_S);
	assert_int_equal(c->http.header_timeout_ns, 10 * CLOCK_S);
	assert_int_equal(c->http.body_timeout_ns, 30 * CLOCK_S);
	assert_int_equal(c->http.body_rate, 1 << 10);
	assert_int_equal(c->http.max_body_bytes, 32 << 20);
	assert_true(c->http.max_header_bytes > 0);
	assert_int_equal(c->ingest.max_request_bytes, 32 << 20);
	assert_int_equal(c->ingest.request_memory_bytes, 512 << 20);
	assert_int_equal(c->ingest.max_edges, 10000);
	assert_int_equal(c->ingest.max_series, 1000000);
	assert_int_equal(c->ingest.max_labels, 128);
	assert_int_equal(c->ingest.max_label_bytes, 16 << 10);
	assert_int_equal(c->ingest.retry_after_ns, 5 * CLOCK_S);

	assert_int_equal(c->n_listens, 1);
	assert_string_equal(c->listens[0].listener.name, "edge");
	assert_string_equal(c->listens[0].listener.address, "[::]:9201");
	assert_int_equal(c->listens[0].listener.fd, -1);
	assert_int_equal(c->listens[0].accept_rate, 0);
	assert_int_equal(c->listens[0].paths.n, 0);
	assert_string_equal(c->admin.listener.address, "127.0.0.1:9202");

	assert_string_equal(c->spool.directory, "/var/spool/rwrelay");
	assert_int_equal(c->spool.size_bytes, UINT64_C(20) << 30);
	assert_int_equal(c->spool.sync, SPOOL_SYNC_ALWAYS);
	assert_false(c->spool.drop_oldest);
	assert_int_equal(c->spool.segment_bytes, 16 << 20);
	assert_int_equal(c->spool.segment_age_ns, 7200 * CLOCK_S);

	assert_int_equal(c->n_upstreams, 1);
	assert_string_equal(f->name, "central");
	assert_string_equal(f->url.host, "store.example");
	assert_string_equal(f->url.port, "9009");
	assert_string_equal(f->url.path, "/push");
	assert_int_equal(f->protocol, FORWARD_AUTO);
	assert_int_equal(f->lanes, 4);
	assert_int_equal(f->headers.n, 0);
	assert_int_equal(f->coding, PAYLOAD_SNAPPY);
	assert_string_equal(f->credential.password_file, "");
	assert_string_equal(f->credential.token_file, "");
	assert_string_equal(f->credential.oauth2.client_id, "");
	assert_int_equal(f->connect_timeout_ns, 5 * CLOCK_S);
	assert_int_equal(f->timeout_ns, 30 * CLOCK_S);
	assert_int_equal(f->max_samples, 10000);
	assert_int_equal(f->max_bytes, 16 << 20);
	assert_int_equal(f->read_ahead_samples, 100000);
	assert_int_equal(f->on_misconfig, FORWARD_HOLD);
	assert_int_equal(f->start, FORWARD_OLDEST);
	config_free(&c);
	assert_null(c);
}

static void
every_directive_reaches_its_field(void **state)
{
	struct config *c = load_good(
	    "workers = 3 log-level = debug max-connections = 7\n"
	    "user = relay-1 seccomp = off core = yes\n"
	    "max-connections-per-address = 8\n"
	    "max-request = 1M request-memory = 9M max-edges = 11\n"
	    "max-series = 12k max-labels = 13 max-label-length = 14K\n"
	    "retry-after = 15s idle-timeout = 16m header-timeout = 1700ms\n"
	    "body-timeout = 18s body-rate = 20K stop-timeout = 0\n"
	    "listen a { address = \"unix:/run/a\" path = { /one, '/two' }\n"
	    "  accept-rate = 30 }\n"
	    "listen b { address = \"*:2\" path = /three path += { \"/four\" } }\n"
	    "admin { address = \"\" }\n"
	    "spool { directory = /srv/spool size = 1T sync = written\n"
	    "  when-full = drop-oldest segment-size = 19M segment-age = 2h }\n"
	    "upstream x { url = http://x/ protocol = 1.0 lanes = 21\n"
	    "  headers = { \"A: b c \", \"d:e\" } connect-timeout = 22s\n"
	    "  timeout = 23s max-samples = 24 max-bytes = 25M read-ahead = 26\n"
	    "  on-misconfig = drop start = now }\n"
	    "upstream y { url = http://y/ protocol = 2.0 compression = zstd\n"
	    "  proxy = \"http://proxy.example:3128\" }\n");
	const struct forward_opts *f = &c->upstreams[0].forward;

	(void)state;
	assert_string_equal(f->proxy.host, "");
	assert_string_equal(c->upstreams[1].forward.proxy.host,
	    "proxy.example");
	assert_string_equal(c->upstreams[1].forward.proxy.port, "3128");
	assert_int_equal(c->workers, 3);
	assert_int_equal(c->log_level, LOG_LEVEL_DEBUG);
	assert_string_equal(c->confine.user, "relay-1");
	assert_false(c->confine.seccomp);
	assert_true(c->confine.cores);
	assert_int_equal(c->http.max_connections, 7);
	assert_int_equal(c->max_per_address, 8);
	assert_int_equal(c->ingest.max_request_bytes, 1 << 20);
	assert_int_equal(c->http.max_body_bytes, 1 << 20);
	assert_int_equal(c->ingest.request_memory_bytes, 9 << 20);
	assert_int_equal(c->ingest.max_edges, 11);
	assert_int_equal(c->ingest.max_series, 12000);
	assert_int_equal(c->ingest.max_labels, 13);
	assert_int_equal(c->ingest.max_label_bytes, 14 << 10);
	assert_int_equal(c->ingest.retry_after_ns, 15 * CLOCK_S);
	assert_int_equal(c->http.idle_timeout_ns, 960 * CLOCK_S);
	assert_int_equal(c->http.header_timeout_ns, 1700 * CLOCK_MS);
	assert_int_equal(c->http.body_timeout_ns, 18 * CLOCK_S);
	assert_int_equal(c->http.body_rate, 20 << 10);
	assert_int_equal(c->stop_timeout_ns, 0);

	assert_int_equal(c->n_listens, 2);
	assert_string_equal(c->listens[0].listener.address, "unix:/run/a");
	assert_int_equal(c->listens[0].accept_rate, 30);
	assert_int_equal(c->listens[0].paths.n, 2);
	assert_string_equal(c->listens[0].paths.item[0], "/one");
	assert_string_equal(c->listens[0].paths.item[1], "/two");
	assert_int_equal(c->listens[1].paths.n, 2);
	assert_string_equal(c->listens[1].paths.item[0], "/three");
	assert_string_equal(c->listens[1].paths.item[1], "/four");
	assert_null(c->admin.listener.address);

	assert_string_equal(c->spool.directory, "/srv/spool");
	assert_int_equal(c->spool.size_bytes, UINT64_C(1) << 40);
	assert_int_equal(c->spool.sync, SPOOL_SYNC_WRITTEN);
	assert_true(c->spool.drop_oldest);
	assert_int_equal(c->spool.segment_bytes, 19 << 20);
	assert_int_equal(c->spool.segment_age_ns, 7200 * CLOCK_S);

	assert_int_equal(c->n_upstreams, 2);
	assert_string_equal(f->name, "x");
	assert_int_equal(f->protocol, FORWARD_V1);
	assert_int_equal(f->lanes, 21);
	assert_int_equal(c->upstreams[1].forward.coding, PAYLOAD_ZSTD);
	assert_int_equal(f->headers.n, 2);
	assert_true(bytes_eq(f->headers.list[0].name, BYTES_LIT("A")));
	assert_true(bytes_eq(f->headers.list[0].value, BYTES_LIT("b c")));
	assert_true(bytes_eq(f->headers.list[1].name, BYTES_LIT("d")));
	assert_true(bytes_eq(f->headers.list[1].value, BYTES_LIT("e")));
	assert_int_equal(f->connect_timeout_ns, 22 * CLOCK_S);
	assert_int_equal(f->timeout_ns, 23 * CLOCK_S);
	assert_int_equal(f->max_samples, 24);
	assert_int_equal(f->max_bytes, 25 << 20);
	assert_int_equal(f->read_ahead_samples, 26);
	assert_int_equal(f->on_misconfig, FORWARD_DROP);
	assert_int_equal(f->start, FORWARD_NOW);
	assert_int_equal(c->upstreams[1].forward.protocol, FORWARD_V2);
	config_free(&c);
}

/* ---- TLS ------------------------------------------------------------------------- */

static void
make_certificates(void)
{
	struct cert *ca = cert_new(NULL, &(struct cert_opts){ .cn = "ca",
		.ca = true });
	struct cert *a = cert_new(ca, &(struct cert_opts){ .cn = "a" });
	struct cert *b = cert_new(ca, &(struct cert_opts){ .cn = "b" });

	cert_write(ca, "ca.pem");
	cert_write_crl(ca, NULL, CERTS_DAY, "crl.pem");
	cert_write(a, "a.pem");
	cert_write_key(a, "a.key", "w", NULL);
	cert_write(b, "b.pem");
	cert_write_key(b, "b.key", "w", NULL);
	cert_free(&ca);
	cert_free(&a);
	cert_free(&b);
}

static void
remove_certificates(void)
{
	static const char *const names[] = { "ca.pem", "crl.pem", "a.pem",
		"a.key", "b.pem", "b.key" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(unlink(names[i]), 0);
}

/* With the directory for each %s of the text, a few. */
static const char *
with_directory(char out[1024], const char *text)
{
	const char *at;
	size_t n = 0;

	for (; (at = strstr(text, "%s")) != NULL; text = at + 2)
		n += (size_t)snprintf(out + n, 1024 - n, "%.*s%s",
		    (int)(at - text), text, directory);
	(void)snprintf(out + n, 1024 - n, "%s", text);
	return out;
}

static void
tls_reaches_its_fields(void **state)
{
	const struct tls_server_opts *so;
	const struct tls_client_opts *co;
	char text[1024];
	struct config *c;

	(void)state;
	make_certificates();
	c = load_good(with_directory(text, "listen a { address = \"*:1\"\n"
	    "certificate = { %s/a.pem, %s/b.pem } key = { %s/a.key, %s/b.key }\n"
	    "client-ca = %s/ca.pem client-crl = %s/crl.pem tls-min = 1.3\n"
	    "client-verify = optional edge-name = san }\n"
	    "listen b { address = \"*:2\" certificate = %s/a.pem key = %s/a.key "
	    "http2 = off }\nlisten c { address = \"*:3\" }\n"
	    "upstream x { url = https://x:1/y ca = %s/ca.pem tls-min = 1.3\n"
	    "certificate = %s/a.pem key = %s/a.key server-name = 192.0.2.1 }\n"
	    "upstream y { url = \"https://[::1]/\" http2 = off }\n"
	    "upstream z { url = https://store.example.:1/ }\n"));
	so = &c->listens[0].tls;
	assert_string_equal(so->common.name, "a");
	assert_int_equal(so->common.n_certificates, 2);
	assert_int_equal(so->common.n_keys, 2);
	assert_non_null(strstr(so->common.key[1], "/b.key"));
	assert_non_null(strstr(so->common.ca, "/ca.pem"));
	assert_non_null(strstr(so->crl, "/crl.pem"));
	assert_int_equal(so->common.min, TLS_1_3);
	assert_int_equal(so->verify, TLS_OPTIONAL);
	assert_int_equal(so->naming, TLS_BY_SAN);
	assert_string_equal(so->common.alpn, "h2,http/1.1");
	assert_true(c->listens[0].http2);
	so = &c->listens[1].tls;
	assert_int_equal(so->common.n_certificates, 1);
	assert_int_equal(so->common.min, TLS_1_2);
	assert_int_equal(so->verify, TLS_REQUIRED);
	assert_int_equal(so->naming, TLS_BY_CN);
	assert_string_equal(so->common.alpn, "http/1.1");
	assert_false(c->listens[1].http2);
	assert_int_equal(c->listens[2].tls.common.n_certificates, 0);

	assert_true(c->upstreams[0].forward.url.tls);
	co = &c->upstreams[0].tls;
	assert_int_equal(co->common.n_certificates, 1);
	assert_int_equal(co->common.n_keys, 1);
	assert_int_equal(co->common.min, TLS_1_3);
	assert_string_equal(co->server_name, "192.0.2.1");
	assert_string_equal(co->common.alpn, "h2,http/1.1");
	co = &c->upstreams[1].tls;
	assert_string_equal(co->server_name, "::1");
	assert_string_equal(co->common.alpn, "http/1.1");
	assert_string_equal(c->upstreams[2].tls.server_name, "store.example");
	assert_string_equal(c->upstreams[2].forward.url.host, "store.example.");
	assert_string_equal(co->common.ca, "");
	assert_int_equal(co->common.n_certificates, 0);
	config_free(&c);
	remove_certificates();
}

static void
files_that_will_not_do_are_named(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "listen a { address = \"*:1\"\ncertificate = {\n%s/a.pem,\n"
		    "%s/b.pem }\nkey = {\n%s/a.key,\n%s/a.key } }\n",
		    "rwrelay.conf:7: listen \"a\": directive key: value "
		    "%s/a.key: is not the key of %s/b.pem" },
		{ "listen a { address = \"*:1\"\ncertificate = %s/c.pem }",
		    "rwrelay.conf:2: listen \"a\": directive certificate: value "
		    "%s/c.pem: No such file or directory" },
		{ "listen a { address = \"*:1\"\ncertificate = %s/a.pem }",
		    "rwrelay.conf:2: listen \"a\": directive certificate: value "
		    "%s/a.pem: has no private key in it, and there is no "
		    "directive key" },
		{ "listen a { address = \"*:1\"\ncertificate = %s/a.pem\nkey = "
		    "%s/a.key\nclient-ca = %s/a.key }",
		    "rwrelay.conf:4: listen \"a\": directive client-ca: value "
		    "%s/a.key: has no certificate in it (PEM)" },
		{ LISTEN "upstream x { url = https://x/\nca = %s/crl.pem }",
		    "rwrelay.conf:3: upstream \"x\": directive ca: value "
		    "%s/crl.pem: has no certificate in it (PEM)" },
		{ LISTEN "upstream x { url = https://x/ certificate = %s/a.pem\n"
		    "key = %s/b.key }",
		    "rwrelay.conf:3: upstream \"x\": directive key: value "
		    "%s/b.key: is not the key of %s/a.pem" },
	};
	char text[1024], message[1024];
	size_t i;

	(void)state;
	make_certificates();
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		load_bad(with_directory(text, cases[i].text), ST_CONFIG,
		    with_directory(message, cases[i].message));
	remove_certificates();
}

/* ---- who an edge is ---------------------------------------------------------------- */

#define TOKEN \
	"a70bf50e531ce1a817561f2f5d5b6645d4e806becf58ccc5e8cf6b8045a090a8"

static void
names_reach_their_fields(void **state)
{
	const struct porter_opts *po;
	struct config *c;
	char text[1024];

	(void)state;
	put_text("passwords", "a:$2b$04$KBCwKxOzLha2MUDgW0PjXexGfB5dmDvvvgEVj"
	    "eeXiTo87i0yXWYau\n");
	put_text("tokens", "a:" TOKEN "\n");
	c = load_good(with_directory(text,
	    "listen a { address = \"*:1\" password-file = %s/passwords\n"
	    "token-file = %s/tokens anonymous = yes }\n"
	    "listen b { address = \"*:2\"\n"
	    "proxy-protocol = { 10.0.0.0/8, unix }\n"
	    "forwarded-from = 192.0.2.1 }\n"
	    "listen c { address = \"*:3\" token-file = %s/tokens\n"
	    "anonymous = no }\n"));
	po = &c->listens[0].porter;
	assert_string_equal(po->section, "a");
	assert_non_null(strstr(po->password_file, "/passwords"));
	assert_non_null(strstr(po->token_file, "/tokens"));
	assert_int_equal(po->anonymous, PORTER_YES);
	po = &c->listens[1].porter;
	assert_string_equal(po->password_file, "");
	assert_string_equal(po->token_file, "");
	assert_int_equal(po->anonymous, PORTER_AUTO);
	assert_int_equal(c->listens[1].porter.n_forwarders, 1);
	assert_int_equal(c->listens[1].porter.forwarders[0].bits, 128);
	assert_int_equal(c->listens[1].proxies.n, 2);
	assert_int_equal(c->listens[1].trusted[0].bits, 104);
	assert_true(c->listens[1].trusted[1].unix_socket);
	assert_int_equal(c->listens[2].porter.anonymous, PORTER_NO);
	config_free(&c);
	assert_int_equal(unlink("passwords"), 0);
	assert_int_equal(unlink("tokens"), 0);
}

static void
names_that_will_not_do_are_refused(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "listen a { address = \"*:1\"\npassword-file = %s/none }",
		    "rwrelay.conf:2: listen \"a\": directive password-file: "
		    "%s/none: No such file or directory" },
		{ "listen a { address = \"*:1\"\ntoken-file = %s/tokens }",
		    "rwrelay.conf:2: listen \"a\": directive token-file: "
		    "%s/tokens:3: the token stands in an earlier line, too" },
		{ "listen a { address = \"*:1\"\nproxy-protocol = {\n"
		    "10.0.0.0/8,\n10.0.0.1/8 } }",
		    "rwrelay.conf:4: listen \"a\": directive proxy-protocol: "
		    "value 10.0.0.1/8: a network's address has zeros behind its "
		    "bits" },
		{ "listen a { address = \"*:1\"\nanonymous = no }",
		    "rwrelay.conf:2: listen \"a\": directive anonymous: allowed: "
		    "no only together with password-file, token-file, or "
		    "client-ca with edge-name cn or san" },
	};
	char text[1024], message[1024];
	size_t i;

	(void)state;
	put_text("tokens", "a:" TOKEN "\n\na:" TOKEN "\n");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		load_bad(with_directory(text, cases[i].text), ST_CONFIG,
		    with_directory(message, cases[i].message));
	assert_int_equal(unlink("tokens"), 0);
}

/* ---- the rest of the grammar ------------------------------------------------------ */

/* Of an upstream's section, and of the one inside of it. */
static void
credentials_reach_their_fields(void **state)
{
	const struct credential_opts *o;
	const struct oauth2_opts *a;
	char text[1024];
	struct config *c;

	(void)state;
	make_certificates();
	put_text("secret", "s3cret\n");
	c = load_good(with_directory(text, LISTEN
	    "upstream x { url = http://x/ username = u password-file = "
	    "%s/secret }\n"
	    "upstream y { oauth2 { token-url = https://login.:1/t client-id = "
	    "'a b' client-secret-file = %s/secret scopes = { a, b }\n"
	    "endpoint-params = { 'a=b', 'c=' } } url = https://y/ ca = "
	    "%s/ca.pem tls-min = 1.3 }\n"
	    "upstream z { url = http://z/ oauth2 { token-url = https://l/\n"
	    "client-id = i client-secret-file = %s/secret ca = %s/ca.pem } }"));
	o = &c->upstreams[0].forward.credential;
	assert_string_equal(o->username, "u");
	assert_non_null(strstr(o->password_file, "/secret"));
	assert_string_equal(o->oauth2.client_id, "");
	a = &c->upstreams[1].forward.credential.oauth2;
	assert_string_equal(a->url.host, "login.");
	assert_string_equal(a->url.path, "/t");
	assert_string_equal(a->client_id, "a b");
	assert_non_null(strstr(a->secret_file, "/secret"));
	assert_int_equal(a->n_scopes, 2);
	assert_string_equal(a->scopes[1], "b");
	assert_int_equal(a->n_params, 2);
	assert_string_equal(a->params[1], "c=");
	/* the server of tokens is trusted as the upstream is */
	assert_non_null(strstr(c->upstreams[1].token_tls.common.ca, "/ca.pem"));
	assert_int_equal(c->upstreams[1].token_tls.common.min, TLS_1_3);
	assert_string_equal(c->upstreams[1].token_tls.server_name, "login");
	assert_string_equal(c->upstreams[1].tls.server_name, "y");
	assert_non_null(strstr(c->upstreams[2].token_tls.common.ca, "/ca.pem"));
	assert_string_equal(c->upstreams[2].tls.common.ca, "");
	config_free(&c);
	(void)unlink("secret");
	remove_certificates();
}

static void
environment_and_escapes(void **state)
{
	struct config *c;

	(void)state;
	assert_int_equal(setenv("TEST_TOKEN", "s3cret", 1), 0);
	assert_int_equal(unsetenv("TEST_NOTHING"), 0);
	c = load_good(LISTEN
	    "upstream x { url = \"http://${TEST_NOTHING:-store}/\"\n"
	    "  headers = { \"A: ${TEST_TOKEN}\", \"B: \\${C}\", 'D: ${E}',\n"
	    "              \"F: \\x41\\102\", \"G:${TEST_NOTHING}\" } }\n");
	assert_string_equal(c->upstreams[0].forward.url.host, "store");
	assert_string_equal(c->upstreams[0].headers.item[0], "A: s3cret");
	assert_string_equal(c->upstreams[0].headers.item[1], "B: ${C}");
	assert_string_equal(c->upstreams[0].headers.item[2], "D: ${E}");
	assert_string_equal(c->upstreams[0].headers.item[3], "F: AB");
	assert_string_equal(c->upstreams[0].headers.item[4], "G:");
	config_free(&c);
}

static void
comments_go_everywhere_and_keep_the_lines(void **state)
{
	struct config *c = load_good("# one\n// two\n/* three\nfour */ workers = "
	    "/**/ 2 # x\n"
	    "listen a { address = \"#:1\" // \"\n"
	    " path = { \"/a\", # b\n \"/c//d\" /* , */ } }\r\n"
	    "spool { directory = /a//b }");

	(void)state;
	assert_int_equal(c->workers, 2);
	assert_int_equal(c->listens[0].paths.n, 2);
	assert_string_equal(c->listens[0].paths.item[1], "/c//d");
	assert_string_equal(c->spool.directory, "/a//b");
	config_free(&c);
	load_bad("# one\n# two\n/* three\nfour */ # five\n\nworkers = 65\n",
	    ST_CONFIG, "rwrelay.conf:6: directive workers: value 65: "
	    "allowed: 0 to 64");
}

static void
includes_are_read_beside_their_file(void **state)
{
	struct config *c;

	(void)state;
	assert_int_equal(mkdir("sub", 0700), 0);
	put_text("sub/inner.conf", "workers = 5\ninclude(\"innermost.conf\")\n"
	    "upstream x { url = \"http://x/\" }\n");
	put_text("sub/innermost.conf", "spool { size = 1G }\n");
	c = load_good("include('sub/inner.conf')\n" LISTEN
	    "spool { segment-size = 1M }\n");
	assert_int_equal(c->workers, 5);
	assert_int_equal(c->spool.size_bytes, 1 << 30);
	assert_int_equal(c->spool.segment_bytes, 1 << 20);
	assert_int_equal(c->n_upstreams, 1);
	config_free(&c);

	put_text("sub/innermost.conf", "\nspool { size = 1 }\n");
	load_bad("include('sub/inner.conf')\n" LISTEN, ST_CONFIG,
	    "sub/innermost.conf:2: spool: directive size: value 1: allowed: "
	    "4M to 64T");
	put_text("sub/innermost.conf", "spool {\n siez = 1 }\n");
	load_bad("include('sub/inner.conf')\n" LISTEN, ST_CONFIG,
	    "sub/innermost.conf:2: spool: unknown directive siez: did you mean "
	    "size?");
	put_text("sub/innermost.conf", "spool {\n size = \"1 }\n");
	load_bad("include('sub/inner.conf')\n" LISTEN, ST_CONFIG,
	    "sub/innermost.conf:2: string is not closed on its line");
	put_text("sub/innermost.conf", "");
	load_bad("include('sub/inner.conf')\n" LISTEN "lanes = 3\n", ST_CONFIG,
	    "rwrelay.conf:3: unknown directive lanes: it stands in section "
	    "upstream");
	load_bad("include('sub/inner.conf')\n" LISTEN "upstream x { }\n",
	    ST_CONFIG, "rwrelay.conf:3: found duplicate title 'x'");
	load_bad("\ninclude('nowhere.conf')\n", ST_MISSING,
	    "nowhere.conf: No such file or directory");
	put_text("inc.conf", "include(\"rwrelay.conf\")\n");
	load_bad("include('inc.conf')\n", ST_CONFIG, "rwrelay.conf:1: include: "
	    "too many files, or files include each other");
}

/* A bad file must not spoil the next load: libconfuse has global state. */
static void
a_good_file_after_each_bad_one(void **state)
{
	static const char *const bad[] = {
		"workers = \"", "workers = \"\\777\"", "/*", "listen a {",
		"include(\"inc.conf\")", "listen a { address = }", "}",
	};
	struct config_error why;
	struct config *c = NULL;
	size_t i;

	(void)state;
	put_text("inc.conf", "spool { size = \"\\9\" }\n");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put_text("rwrelay.conf", bad[i]);
		assert_int_equal(config_load("rwrelay.conf", &c, &why),
		    ST_CONFIG);
		assert_null(c);
		c = load_good(LISTEN "workers = 4 # four\n");
		assert_int_equal(c->workers, 4);
		config_free(&c);
	}
}

/* ---- what is wrong --------------------------------------------------------------- */

struct bad {
	const char *text, *message;	/* after "rwrelay.conf" */
};

static const struct bad bad_values[] = {
	{ "user = 'a b'", ":1: directive user: value \"a b\": a user's name "
	    "has at most 32 letters, digits and . _ -" },
	{ "user = -x", ":1: directive user: value -x: a user's name has at most "
	    "32 letters, digits and . _ -" },
	{ "core = on", ":1: directive core: value on: allowed: no, yes" },
	{ "workers = 65", ":1: directive workers: value 65: allowed: 0 to 64" },
	{ "workers = -1", ":1: directive workers: value -1: allowed: 0 to 64" },
	{ "workers = 1m", ":1: directive workers: value 1m: allowed: 0 to 64" },
	{ "workers = ''", ":1: directive workers: value \"\": allowed: 0 to 64" },
	{ "workers = '1 2'",
	    ":1: directive workers: value \"1 2\": allowed: 0 to 64" },
	{ "workers = 99999999999999999999", ":1: directive workers: value "
	    "99999999999999999999: allowed: 0 to 64" },
	{ "\n\nmax-request = 1G\n",
	    ":3: directive max-request: value 1G: allowed: 64K to 256M" },
	{ "max-request = 32m",
	    ":1: directive max-request: value 32m: allowed: 64K to 256M" },
	{ "max-series = 18446744073709551617k", ":1: directive max-series: "
	    "value 18446744073709551617k: allowed: 1 to 100M" },
	{ "retry-after = 5", ":1: directive retry-after: value 5: allowed: 1s "
	    "to 10m (units: ms s m h d)" },
	{ "log-level = loud", ":1: directive log-level: value loud: allowed: "
	    "error, warn, info, debug" },
	{ LISTEN "upstream \"central\" {\n url = \"http://x/\"\n lanes = 100\n}",
	    ":4: upstream \"central\": directive lanes: value 100: allowed: 1 "
	    "to 64" },
	{ LISTEN "spool { sync = auto }", ":2: spool: directive sync: value "
	    "auto: allowed: always, written" },
	{ LISTEN "spool { directory = spool }", ":2: spool: directive "
	    "directory: value spool: a directory's name begins with /" },
	{ "listen a { address = \"127.0.0.1:1\"\n path = { \"/a\",\n b } }",
	    ":3: listen \"a\": directive path: value b: a path begins with /" },
	{ "listen a { address = \"127.0.0.1:1\" path = \"/a?b\" }",
	    ":1: listen \"a\": directive path: value /a?b: a path has no "
	    "blanks, ?, # and the like" },
	{ LISTEN "upstream x { url = \"ftp://x/\" }", ":2: upstream \"x\": "
	    "directive url: value ftp://x/: URL must begin with http:// or "
	    "https://" },
	{ LISTEN "upstream x { url = http://x/ proxy = 'https://p:1' }",
	    ":2: upstream \"x\": directive proxy: value https://p:1: a proxy is "
	    "spoken to without TLS: http://host:port" },
	{ LISTEN "upstream x { url = http://x/ proxy = 'http://p:1/a' }",
	    ":2: upstream \"x\": directive proxy: value http://p:1/a: a "
	    "proxy's URL has no path: http://host:port" },
	{ LISTEN "upstream x { url = http://x/ proxy = 'http://me:s@p' }",
	    ":2: upstream \"x\": directive proxy: value ...@p: user and "
	    "password do not belong in the URL" },
	{ LISTEN "upstream x { url = https://x/ server-name = '[::1]' }",
	    ":2: upstream \"x\": directive server-name: value [::1]: a "
	    "server's name is that of a host, or an address without brackets" },
	{ "listen a { address = \"127.0.0.1:1\" certificate = { /a,\n'' } }",
	    ":2: listen \"a\": directive certificate: value \"\": a file's "
	    "name begins with /" },
	{ "listen a { address = \"127.0.0.1:1\" client-ca = ca.pem }",
	    ":1: listen \"a\": directive client-ca: value ca.pem: a file's "
	    "name begins with /" },
	{ "listen a { address = \"127.0.0.1:1\" tls-min = 1.1 }", ":1: listen "
	    "\"a\": directive tls-min: value 1.1: allowed: 1.2, 1.3" },
	{ LISTEN "upstream x { url = 'http://me:secret@x/' }", ":2: upstream "
	    "\"x\": directive url: value ...@x/: user and password do not "
	    "belong in the URL" },
	{ LISTEN "upstream x { url = 'http://x/' headers = 'X-A' }",
	    ":2: upstream \"x\": directive headers: value X-A: a header is "
	    "written \"Name: value\"" },
	{ LISTEN "upstream x { url = 'http://x/'\n headers = { 'A: b',\n"
	    "'content-Type: secret' } }",
	    ":4: upstream \"x\": directive headers: value content-Type: this "
	    "header is reserved, the relay sets it itself" },
	{ LISTEN "upstream x { url = 'http://x/'\n headers = \"A: \\n\" }",
	    ":3: upstream \"x\": directive headers: value A: a header's value "
	    "has no control characters" },
	{ LISTEN "upstream x { url = 'http://x/'\n match = { 'up',\n"
	    "'{a=1}' } }",
	    ":4: upstream \"x\": directive match: value {a=1}: a value stands "
	    "in quotes" },
	{ LISTEN "upstream x { url = http://x/ username = 'a:b' }", ":2: upstream "
	    "\"x\": directive username: value a:b: a user's name has at most "
	    "512 bytes, no colon and no control characters" },
	{ LISTEN "upstream x { url = http://x/ oauth2 { scopes = { 'a b' } } }",
	    ":2: oauth2 \"x\": directive scopes: value \"a b\": a scope is 1 to "
	    "512 visible characters of ASCII, but \" and \\" },
	{ LISTEN "upstream x { url = http://x/ oauth2 { endpoint-params = { 'a' "
	    "} } }", ":2: oauth2 \"x\": directive endpoint-params: value a: a "
	    "parameter is written \"NAME=VALUE\"" },
	{ LISTEN "upstream x { url = http://x/ oauth2 { endpoint-params = { "
	    "'scope=a' } } }", ":2: oauth2 \"x\": directive endpoint-params: "
	    "value scope=a: this parameter is reserved, the relay sets it "
	    "itself" },
	{ LISTEN "upstream x { url = http://x/ oauth2 { token-url = "
	    "'http://u:p@' } }", ":2: oauth2 \"x\": directive token-url: value "
	    "...@: user and password do not belong in the URL" },
	{ LISTEN "upstream x { url = 'http://x/' edges = { '' } }",
	    ":2: upstream \"x\": directive edges: value \"\": edges are named by 1 "
	    "to 512 bytes" },
};

static const struct bad bad_wholes[] = {
	{ "", ": no listen section: nothing could be received" },
	{ "listen a { }", ":1: listen \"a\": directive address is missing" },
	{ LISTEN "upstream x {\n}\n",
	    ":3: upstream \"x\": directive url is missing" },
	{ LISTEN "listen a { address = \"127.0.0.1:2\" }",
	    ":2: found duplicate title 'a'" },
	{ LISTEN "listen b {\n address = \"127.0.0.1:1\" }",
	    ":3: listen \"b\": directive address: value 127.0.0.1:1: clashes "
	    "with 127.0.0.1:1 of listen \"a\"" },
	{ LISTEN "listen b { address = \"[::]:1\" }",
	    ":2: listen \"b\": directive address: value [::]:1: clashes with "
	    "127.0.0.1:1 of listen \"a\"" },
	{ LISTEN "admin { address = \"*:1\" }", ":1: listen \"a\": directive "
	    "address: value 127.0.0.1:1: clashes with *:1 of admin" },
	{ "listen a { address = unix:/a }\nlisten b { address = unix:/a }",
	    ":2: listen \"b\": directive address: value unix:/a: clashes with "
	    "unix:/a of listen \"a\"" },
	{ "listen ../a { address = \"127.0.0.1:1\" }", ":1: listen ../a: a "
	    "name is 1 to 64 letters, digits and . _ -, the first not a dot" },
	{ LISTEN "spool { size = 16M\n segment-size = 8M }", ":2: spool: "
	    "directive size: allowed: at least four times segment-size" },
	{ LISTEN "max-request = 65M", ": directive request-memory: allowed: at "
	    "least eight times max-request" },
	{ LISTEN "upstream x { url = 'http://x/' max-samples = 10\n"
	    " read-ahead = 9 }", ":3: upstream \"x\": directive read-ahead: "
	    "allowed: at least max-samples" },
	{ "listen a { address = \"127.0.0.1:1\"\n client-ca = /a }", ":2: listen "
	    "\"a\": directive client-ca: allowed: together with certificate" },
	{ "listen a { address = \"127.0.0.1:1\" certificate = /a\n client-crl = "
	    "/a }", ":2: listen \"a\": directive client-crl: allowed: together "
	    "with client-ca" },
	{ "listen a { address = \"127.0.0.1:1\" certificate = { /a, /b }\n"
	    "key = /a }", ":2: listen \"a\": directive key: allowed: one for "
	    "each certificate, in the same order, or none" },
	{ LISTEN "upstream x { url = http://x/\n ca = /a }", ":3: upstream "
	    "\"x\": directive ca: allowed: together with an https url" },
	{ LISTEN "upstream x { url = https://x/\n key = /a }", ":3: upstream "
	    "\"x\": directive key: allowed: together with certificate" },
	{ LISTEN "upstream x { url = http://x/\n username = u }", ":3: upstream "
	    "\"x\": directive username: allowed: together with password-file" },
	{ LISTEN "upstream x { url = http://x/\n password-file = /p }", ":3: "
	    "upstream \"x\": directive password-file: allowed: together with "
	    "username" },
	{ LISTEN "upstream x { url = http://x/ username = u\n password-file = "
	    "/nowhere/p }", ":3: upstream \"x\": directive password-file: value "
	    "/nowhere/p: No such file or directory" },
	{ LISTEN "upstream x { url = http://x/ token-file = /t\n username = u "
	    "password-file = /p }", ":3: upstream \"x\": password-file, "
	    "token-file and oauth2 exclude each other" },
	{ LISTEN "upstream x { url = http://x/ token-file = /t\n headers = { "
	    "'authorization: s3cret' } }", ":3: upstream \"x\": headers have an "
	    "Authorization besides that of password-file, token-file or oauth2" },
	{ LISTEN "upstream x { url = http://x/ oauth2 {\n client-id = i } }",
	    ":3: oauth2 \"x\": directive client-id: allowed: token-url, "
	    "client-id and client-secret-file together" },
	{ LISTEN "upstream x { url = http://x/ oauth2 {\n scopes = { a } } }",
	    ":3: oauth2 \"x\": directive scopes: allowed: token-url, client-id "
	    "and client-secret-file together" },
	{ LISTEN "upstream x { url = http://x/ oauth2 { token-url = http://t/\n"
	    "client-id = i client-secret-file = /s\n ca = /a } }", ":4: oauth2 "
	    "\"x\": directive ca: allowed: together with an https token-url" },
	{ LISTEN "upstream x { url = http://x/ oauth2 { token-url = http://t/\n"
	    "client-id = i client-secret-file = /nowhere/s } }", ":3: oauth2 "
	    "\"x\": directive client-secret-file: value /nowhere/s: No such "
	    "file or directory" },
	{ "workers = 1\n\nworkers = 1\n",
	    ":3: directive workers: given twice, before in line 1" },
	{ "listen a { path = { '/a', '/b' }\n path = { '/c' } }",
	    ":2: listen \"a\": directive path: given twice, before in line 1" },
};

static const struct bad bad_grammar[] = {
	{ "wrokers = 1", ":1: unknown directive wrokers: did you mean workers?" },
	{ "lisen a { }", ":1: unknown directive lisen: did you mean listen?" },
	{ "zyxwvutsrqponmlk = 1", ":1: unknown directive zyxwvutsrqponmlk" },
	{ LISTEN "upstream x { workers = 1 }", ":2: upstream \"x\": unknown "
	    "directive workers: it stands outside of sections" },
	{ LISTEN "spool {\n size = 1G\nupstream x {} }", ":4: spool: upstream "
	    "stands outside of sections: is a } missing?" },
	{ "oauth2 { }", ":1: unknown directive oauth2: it stands in section "
	    "upstream" },
	{ LISTEN "upstream x { oath2 { } }", ":2: upstream \"x\": unknown "
	    "directive oath2: did you mean oauth2?" },
	{ LISTEN "upstream x { oauth2 {\n rate = 1 } }", ":3: oauth2: unknown "
	    "directive rate: it stands in section upstream" },
	{ LISTEN "upstream x { oauth2 {\n spool { } } }", ":3: oauth2: spool "
	    "stands outside of sections: is a } missing?" },
	{ LISTEN "upstream x { token-url = http://a/ }", ":2: upstream \"x\": "
	    "unknown directive token-url: it stands in section oauth2" },
	{ "spool {\n", ":1: { is not closed" },
	{ LISTEN "\n}", ":3: } without a {" },
	{ "workers = \"1\n\"", ":1: string is not closed on its line" },
	{ "\nworkers = '1", ":2: string is not closed on its line" },
	{ "\n/* workers", ":2: comment is not closed" },
	{ "a = \"${B\"\n}", ":1: ${ is not closed by }" },
	{ "a = ${B", ":1: ${ is not closed by }" },
	{ "workers = \"1\\0\"", ":1: a string cannot hold a NUL" },
	{ "workers = \"1\\x00\"", ":1: a string cannot hold a NUL" },
	{ "workers = \"1\\400\"", ":1: invalid octal number '\\400'" },
	{ "workers = 1\n\001", ":2: control character" },
	{ "workers 1", ":1: missing equal sign after option 'workers'" },
	{ "workers =", ":2: premature end of file" },
	{ "workers = { 1 }", ":1: unexpected token '{'" },
	{ "workers += 1",
	    ":1: attempt to append to non-list option 'workers'" },
	{ "workers + 1", ":1: stray +" },
	{ "workers = 1 * 2", ":1: stray *" },
	{ "\"workers\" = 1", ":1: the name of a directive is not quoted" },
	{ "spool|size = 1G", ":1: | stands in quoted strings only" },
	{ "listen { }", ":1: missing title for section 'listen'" },
	{ "include = 1", ":1: missing parenthesis for function 'include'" },
	{ "include(\"a\", \"b\")", ":1: write include(\"FILE\")" },
	{ "include(a)", ":1: write include(\"FILE\")" },
	{ "include(", ":2: write include(\"FILE\")" },
	{ "workers(\"1\")", ":1: ( goes with include only" },
	{ LISTEN "spool { include(\"x\") }",
	    ":2: spool: include stands outside of sections: is a } missing?" },
	{ "'' ''", ":1: syntax error" },
};

static void
check_all(const struct bad *list, size_t n)
{
	char message[1100];
	size_t i;

	for (i = 0; i < n; i++) {
		(void)snprintf(message, sizeof(message), "rwrelay.conf%s",
		    list[i].message);
		load_bad(list[i].text, ST_CONFIG, message);
	}
}

static void
bad_values_are_named(void **state)
{
	(void)state;
	check_all(bad_values, sizeof(bad_values) / sizeof(bad_values[0]));
}

static void
what_does_not_go_together_is_found(void **state)
{
	(void)state;
	check_all(bad_wholes, sizeof(bad_wholes) / sizeof(bad_wholes[0]));
}

static void
bad_grammar_is_found(void **state)
{
	(void)state;
	check_all(bad_grammar, sizeof(bad_grammar) / sizeof(bad_grammar[0]));
}

static void
files_that_cannot_be_read(void **state)
{
	struct config_error why;
	struct config *c = NULL;
	char *large = malloc(2 << 20);

	(void)state;
	assert_int_equal(config_load("nowhere", &c, &why), ST_MISSING);
	assert_string_equal(why.text, "nowhere: No such file or directory");
	assert_int_equal(config_load("/", &c, &why), ST_SYSTEM);
	assert_string_equal(why.text, "/: Is a directory");
	assert_non_null(large);
	memset(large, '\n', 2 << 20);
	put_bytes("rwrelay.conf", large, 2 << 20);
	free(large);
	assert_int_equal(config_load("rwrelay.conf", &c, &why), ST_CONFIG);
	assert_string_equal(why.text, "rwrelay.conf: file is too large");
	put_bytes("rwrelay.conf", "workers\0= 1", 11);
	assert_int_equal(config_load("rwrelay.conf", &c, &why), ST_CONFIG);
	assert_string_equal(why.text, "rwrelay.conf:1: control character");
	assert_null(c);
}

static void
too_many_sections(void **state)
{
	char *text = malloc(65 * 64), *p = text;
	int i;

	(void)state;
	assert_non_null(text);
	for (i = 0; i < 65; i++)
		p += sprintf(p, "listen a%d { address = \"127.0.0.1:%d\" }\n", i,
		    i + 1);
	load_bad(text, ST_CONFIG,
	    "rwrelay.conf:65: listen \"a64\": more than 64 sections of this "
	    "kind");
	free(text);
}

/* ---- values ---------------------------------------------------------------------- */

static void
numbers_with_units(void **state)
{
	static const struct {
		enum value_type type;
		const char *text;
		int64_t value;		/* -1: refused */
	} list[] = {
		{ VALUE_COUNT, "0", 0 }, { VALUE_COUNT, "007", 7 },
		{ VALUE_COUNT, "50k", 50000 }, { VALUE_COUNT, "2M", 2000000 },
		{ VALUE_COUNT, "1G", -1 }, { VALUE_COUNT, "1K", -1 },
		{ VALUE_COUNT, "", -1 }, { VALUE_COUNT, "k", -1 },
		{ VALUE_COUNT, "1 k", -1 }, { VALUE_COUNT, "+1", -1 },
		{ VALUE_COUNT, "1.5k", -1 }, { VALUE_COUNT, "0x10", -1 },
		{ VALUE_COUNT, "9223372036854775807", INT64_MAX },
		{ VALUE_COUNT, "9223372036854775808", -1 },
		{ VALUE_COUNT, "9223372036854775k", 9223372036854775000 },
		{ VALUE_COUNT, "9223372036854776k", -1 },
		{ VALUE_SIZE, "1", 1 }, { VALUE_SIZE, "1K", 1024 },
		{ VALUE_SIZE, "3M", 3 << 20 }, { VALUE_SIZE, "1T", 1LL << 40 },
		{ VALUE_SIZE, "1k", -1 }, { VALUE_SIZE, "1KB", -1 },
		{ VALUE_SIZE, "8388608T", -1 },
		{ VALUE_RATIO, "3.0", 3000 }, { VALUE_RATIO, "3", 3000 },
		{ VALUE_RATIO, "0.001", 1 }, { VALUE_RATIO, "1.25", 1250 },
		{ VALUE_RATIO, "1.", -1 }, { VALUE_RATIO, ".5", -1 },
		{ VALUE_RATIO, "1.2345", -1 }, { VALUE_RATIO, "1.5x", -1 },
		{ VALUE_RATIO, "9223372036854775", 9223372036854775000 },
		{ VALUE_RATIO, "9223372036854776", -1 },
		{ VALUE_DURATION, "0", 0 }, { VALUE_DURATION, "0s", 0 },
		{ VALUE_DURATION, "5", -1 }, { VALUE_DURATION, "5ms", 5000000 },
		{ VALUE_DURATION, "5s", 5 * CLOCK_S },
		{ VALUE_DURATION, "5m", 300 * CLOCK_S },
		{ VALUE_DURATION, "5h", 18000 * CLOCK_S },
		{ VALUE_DURATION, "5d", 432000 * CLOCK_S },
		{ VALUE_DURATION, "106752d", -1 },
		{ VALUE_DURATION, "5min", -1 }, { VALUE_DURATION, "-5s", -1 },
	};
	uint64_t v;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		v = 4711;
		if (list[i].value == -1) {
			assert_false(value_number(list[i].type, list[i].text, &v));
			assert_int_equal(v, 4711);
		} else {
			assert_true(value_number(list[i].type, list[i].text, &v));
			assert_int_equal(v, list[i].value);
		}
	}
	assert_int_equal(value_word("a|bc|d", "bc"), 1);
	assert_int_equal(value_word("a|bc|d", "d"), 2);
	assert_int_equal(value_word("a|bc|d", "b"), -1);
	assert_int_equal(value_word("a|bc|d", ""), -1);
	assert_int_equal(value_word("a|bc|d", "a|bc"), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_said_is_as_usual),
		cmocka_unit_test(edges_by_pattern),
		cmocka_unit_test(labels_of_edges),
		cmocka_unit_test(mistakes_in_edges),
		cmocka_unit_test(every_directive_reaches_its_field),
		cmocka_unit_test(tls_reaches_its_fields),
		cmocka_unit_test(files_that_will_not_do_are_named),
		cmocka_unit_test(names_reach_their_fields),
		cmocka_unit_test(names_that_will_not_do_are_refused),
		cmocka_unit_test(credentials_reach_their_fields),
		cmocka_unit_test(environment_and_escapes),
		cmocka_unit_test(comments_go_everywhere_and_keep_the_lines),
		cmocka_unit_test(includes_are_read_beside_their_file),
		cmocka_unit_test(a_good_file_after_each_bad_one),
		cmocka_unit_test(bad_values_are_named),
		cmocka_unit_test(what_does_not_go_together_is_found),
		cmocka_unit_test(bad_grammar_is_found),
		cmocka_unit_test(files_that_cannot_be_read),
		cmocka_unit_test(too_many_sections),
		cmocka_unit_test(numbers_with_units),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
