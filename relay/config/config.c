/* config.c - from the file's texts to the options of each module.
 * SPDX-License-Identifier: Apache-2.0
 *
 * grammar.c has read the file.  fill() puts the values of a section, or the
 * usual ones, into the section's struct, as the rows of directive.tbl say; what
 * one row cannot say is looked at afterwards.                               */
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "config/check.h"
#include "config/directive.h"
#include "config/grammar.h"
#include "forward/secret.h"

#define MEMORY_MAX (64 * 1024 * 1024)
#define BACKLOG 4096		/* the kernel has a limit of its own */
#define HEADER_BYTES_MAX (16 * 1024)

struct load {
	struct config *c;
	struct grammar *file;		/* owned */
	struct config_error *why;
};

/* ---- one value ----------------------------------------------------------------- */

/* "error|warn" as "error, warn" */
static void
list_words(const char *words, char *out, size_t size)
{
	size_t at = 0;

	for (; *words && at + 3 < size; words++) {
		if (*words == '|')
			out[at++] = ',';
		out[at++] = *words == '|' ? ' ' : *words;
	}
	out[at] = '\0';
}

static enum status
refuse_value(struct load *l, const struct place *at, const struct directive *d,
    const char *text)
{
	char value[80], allowed[120];

	if (d->type == VALUE_WORD)
		list_words(d->low, allowed, sizeof(allowed));
	else
		(void)snprintf(allowed, sizeof(allowed), "%s to %s%s", d->low,
		    d->high,
		    d->type == VALUE_DURATION ? " (units: ms s m h d)" : "");
	return place_refuse(at, l->why, "directive %s: value %s: allowed: %s",
	    d->name, place_shown(text, value, sizeof(value)), allowed);
}

static enum status
fill_number(struct load *l, const struct place *at, const struct directive *d,
    const char *text, void *field)
{
	uint64_t v, low, high;

	if (!value_number(d->type, d->low, &low) ||
	    !value_number(d->type, d->high, &high))
		abort();	/* the row is wrong */
	if (!value_number(d->type, text, &v) || v < low || v > high)
		return refuse_value(l, at, d, text);
	if (d->size == sizeof(uint32_t))
		*(uint32_t *)field = (uint32_t)v;
	else
		*(uint64_t *)field = v;
	return ST_OK;
}

static enum status
fill_word(struct load *l, const struct place *at, const struct directive *d,
    const char *text, void *field)
{
	int word = value_word(d->low, text);

	if (word == -1)
		return refuse_value(l, at, d, text);
	if (d->size == sizeof(bool))
		*(bool *)field = word == 1;
	else
		*(unsigned *)field = (unsigned)word;	/* any enum */
	return ST_OK;
}

static bool
takes_url(const struct directive *d)
{
	return d->check == check_url || d->check == check_url_or_none ||
	    d->check == check_proxy;
}

/* Headers and urls may hold secrets: of a header the name is shown, of a url what
 * comes after user and password. */
static enum status
refuse_text(struct load *l, const struct place *at, const struct directive *d,
    const char *text, const char *wrong)
{
	const char *secret = takes_url(d) ? strrchr(text, '@') : NULL;
	char cut[60], value[80];

	(void)snprintf(cut, sizeof(cut), "%s%s", secret ? "..." : "",
	    secret ? secret : text);
	if (d->check == check_header)
		cut[strcspn(cut, ":")] = '\0';
	return place_refuse(at, l->why, "directive %s: value %s: %s", d->name,
	    place_shown(cut, value, sizeof(value)), wrong);
}

static enum status
fill_text(struct load *l, const struct place *at, const struct directive *d,
    const char *text, const char **field)
{
	const char *wrong = d->check(text);

	if (wrong)
		return refuse_text(l, at, d, text, wrong);
	*field = arena_copy(l->c->memory, text, strlen(text) + 1);
	return *field ? ST_OK : ST_NO_MEMORY;
}

static enum status
fill_value(struct load *l, const struct place *at, const struct directive *d,
    const char *text, void *field)
{
	switch (d->type) {
	case VALUE_WORD:
		return fill_word(l, at, d, text, field);
	case VALUE_TEXT:
	case VALUE_LIST:
		return fill_text(l, at, d, text, field);
	case VALUE_COUNT:
	case VALUE_SIZE:
	case VALUE_DURATION:
	case VALUE_RATIO:
		break;
	}
	return fill_number(l, at, d, text, field);
}

/* ---- one section ---------------------------------------------------------------- */

static enum status
fill_list(struct load *l, const struct directive *d, size_t i,
    struct config_list *list)
{
	size_t n = grammar_values(l->file, d->section, i, d->name), k;
	enum status st = ST_OK;
	struct place at;

	list->item = arena_take_array(l->c->memory, n, sizeof(*list->item));
	if (!list->item)
		return ST_NO_MEMORY;
	for (k = 0; k < n && st == ST_OK; k++) {
		at = grammar_place(l->file, d->section, i, d->name, k);
		st = fill_value(l, &at, d, grammar_value(l->file, d->section,
		    i, d->name, k)->text, &list->item[k]);
	}
	list->n = n;
	return st;
}

static enum status
fill_directive(struct load *l, const struct directive *d, size_t i, void *out)
{
	void *field = (char *)out + d->offset;
	struct place at = grammar_place(l->file, d->section, i, d->name, 0);
	const char *text = d->usual;

	if (d->type == VALUE_LIST)
		return fill_list(l, d, i, field);
	if (grammar_values(l->file, d->section, i, d->name) > 0)
		text = grammar_value(l->file, d->section, i, d->name, 0)->text;
	if (!text)
		return place_refuse(&at, l->why, "directive %s is missing",
		    d->name);
	return fill_value(l, &at, d, text, field);
}

static enum status
fill(struct load *l, const char *section, size_t i, void *out)
{
	enum status st = ST_OK;
	size_t k;

	for (k = 0; k < directives_n && st == ST_OK; k++)
		if (strcmp(directives[k].section, section) == 0)
			st = fill_directive(l, &directives[k], i, out);
	return st;
}

/* The title of section i, which is named; checked. */
static enum status
fill_title(struct load *l, const char *section, size_t i,
    const char *(*check)(const char *), const char **out)
{
	struct place at = grammar_place(l->file, section, i, NULL, 0);
	const char *wrong = check(at.title), *title = at.title;
	char shown[80];

	if (wrong) {
		at.section = at.title = NULL;
		return place_refuse(&at, l->why, "%s %s: %s", section,
		    place_shown(title, shown, sizeof(shown)), wrong);
	}
	*out = arena_copy(l->c->memory, title, strlen(title) + 1);
	return *out ? ST_OK : ST_NO_MEMORY;
}

static enum status
fill_name(struct load *l, const char *section, size_t i, const char **out)
{
	return fill_title(l, section, i, check_name, out);
}

/* Room for the sections of a kind, zeroed. */
static enum status
take_sections(struct load *l, const char *section, size_t size, void **out,
    size_t *n)
{
	struct place at;

	*n = grammar_sections(l->file, section);
	if (*n > CONFIG_SECTIONS_MAX) {
		at = grammar_place(l->file, section, CONFIG_SECTIONS_MAX, NULL,
		    0);
		return place_refuse(&at, l->why,
		    "more than %d sections of this kind", CONFIG_SECTIONS_MAX);
	}
	*out = arena_take_array(l->c->memory, *n, size);
	if (!*out)
		return ST_NO_MEMORY;
	memset(*out, 0, *n * size);
	return ST_OK;
}

/* ---- the sections ----------------------------------------------------------------- */

/* check_network has seen them. */
static enum status
parse_networks(struct load *l, const struct config_list *texts,
    const struct network **out)
{
	struct network *list = arena_take_array(l->c->memory, texts->n,
	    sizeof(*list));
	size_t i;

	if (!list)
		return ST_NO_MEMORY;
	for (i = 0; i < texts->n; i++)
		(void)network_parse(texts->item[i], &list[i]);
	*out = list;
	return ST_OK;
}

static enum status
settle_listen(struct load *l, struct config_listen *cl)
{
	struct tls_opts *o = &cl->tls.common;
	enum status st;

	o->name = cl->listener.name;
	o->certificate = cl->certificates.item;
	o->n_certificates = cl->certificates.n;
	o->key = cl->keys.item;
	o->n_keys = cl->keys.n;
	o->alpn = cl->http2 ? HTTP_SERVER_ALPN : HTTP_SERVER_ALPN_1;
	cl->porter.section = cl->listener.name;
	cl->porter.n_forwarders = cl->forwarders.n;
	st = parse_networks(l, &cl->forwarders, &cl->porter.forwarders);
	return st == ST_OK ? parse_networks(l, &cl->proxies, &cl->trusted) : st;
}

static enum status
fill_listens(struct load *l)
{
	struct config *c = l->c;
	struct listener_opts *lo;
	enum status st;
	void *room;
	size_t i;

	st = take_sections(l, "listen", sizeof(*c->listens), &room,
	    &c->n_listens);
	if (st != ST_OK)
		return st;
	c->listens = room;
	for (i = 0; i < c->n_listens && st == ST_OK; i++) {
		lo = &c->listens[i].listener;
		lo->backlog = BACKLOG;
		lo->fd = -1;
		st = fill_name(l, "listen", i, &lo->name);
		if (st == ST_OK)
			st = fill(l, "listen", i, &c->listens[i]);
		if (st == ST_OK)
			st = settle_listen(l, &c->listens[i]);
	}
	return st;
}

static enum status
fill_admin(struct load *l)
{
	struct listener_opts *lo = &l->c->admin.listener;
	enum status st;

	lo->name = "admin";
	lo->backlog = BACKLOG;
	lo->fd = -1;
	st = fill(l, "admin", 0, &l->c->admin);
	if (st == ST_OK && *lo->address == '\0')
		lo->address = NULL;
	return st;
}

/* "Name: value" taken apart; check_header has seen it. */
static struct http_header
split_header(const char *text)
{
	size_t name = strcspn(text, ":"), n = strlen(text);
	size_t from = name + 1;

	from += strspn(text + from, " \t");
	while (n > from && (text[n - 1] == ' ' || text[n - 1] == '\t'))
		n--;
	return (struct http_header){ .name = bytes_of(text, name),
		.value = bytes_of(text + from, n - from) };
}

/* The name that a certificate has, without the dot that a url's may end with. */
static enum status
settle_server_name(struct load *l, const char *host, const char **out)
{
	size_t n = strlen(host);
	char *name;

	if (*out && **out)
		return ST_OK;
	name = arena_copy(l->c->memory, host, n + 1);
	if (!name)
		return ST_NO_MEMORY;
	if (host[n - 1] == '.')
		name[n - 1] = '\0';
	*out = name;
	return ST_OK;
}

static enum status
settle_upstream_tls(struct load *l, struct config_upstream *u)
{
	struct tls_opts *o = &u->tls.common;

	o->name = u->forward.name;
	o->certificate = &u->certificate;
	o->n_certificates = *u->certificate != '\0';
	o->key = &u->key;
	o->n_keys = *u->key != '\0';
	o->alpn = u->http2_off ? HTTP_CLIENT_ALPN_1 : HTTP_CLIENT_ALPN;
	return settle_server_name(l, u->forward.url.host, &u->tls.server_name);
}

/* The server of tokens is trusted as the upstream is, unless it is told otherwise. */
static enum status
settle_oauth2(struct load *l, struct config_upstream *u)
{
	struct oauth2_opts *o = &u->forward.credential.oauth2;
	const char *ca = u->token_tls.common.ca;

	o->scopes = u->scopes.item;
	o->n_scopes = u->scopes.n;
	o->params = u->params.item;
	o->n_params = u->params.n;
	if (!*u->token_url)
		return ST_OK;
	(void)http_url_parse(u->token_url, &o->url);	/* check_url has */
	u->token_tls.common = u->tls.common;
	if (*ca)
		u->token_tls.common.ca = ca;
	return settle_server_name(l, o->url.host, &u->token_tls.server_name);
}

static enum status
settle_upstream(struct load *l, struct config_upstream *u)
{
	struct http_header *list;
	enum status st;
	size_t k;

	list = arena_take_array(l->c->memory, u->headers.n, sizeof(*list));
	if (!list)
		return ST_NO_MEMORY;
	for (k = 0; k < u->headers.n; k++)
		list[k] = split_header(u->headers.item[k]);
	u->forward.headers = (struct http_headers){ list, u->headers.n };
	u->forward.route = (struct route_opts){ u->edges.item, u->edges.n,
		u->match.item, u->match.n };
	(void)http_url_parse(u->url, &u->forward.url);	/* check_url has */
	if (*u->proxy)
		(void)http_url_parse(u->proxy, &u->forward.proxy);
	st = settle_upstream_tls(l, u);
	return st == ST_OK ? settle_oauth2(l, u) : st;
}

static enum status
fill_upstreams(struct load *l)
{
	struct config *c = l->c;
	struct config_upstream *u;
	enum status st;
	void *room;
	size_t i;

	st = take_sections(l, "upstream", sizeof(*u), &room, &c->n_upstreams);
	if (st != ST_OK)
		return st;
	c->upstreams = room;
	for (i = 0; i < c->n_upstreams && st == ST_OK; i++) {
		u = &c->upstreams[i];
		st = fill_name(l, "upstream", i, &u->forward.name);
		if (st == ST_OK)
			st = fill(l, "upstream", i, u);
		if (st == ST_OK)
			st = fill(l, "oauth2", i, u);
		if (st == ST_OK)
			st = settle_upstream(l, u);
	}
	return st;
}

static enum status
refuse_rule(struct load *l, size_t i, const char *wrong)
{
	struct place at = grammar_place(l->file, "relabel", i, "action", 0);

	return place_refuse(&at, l->why, "%s", wrong);
}

/* `first`: the number of the edge's first relabel section among those of all edges. */
static enum status
fill_relabel(struct load *l, struct edge_policy *p, size_t first, size_t n)
{
	struct relabel_rule *rule;
	const char *wrong;
	enum status st = ST_OK;
	size_t i, which;

	if (n > CONFIG_SECTIONS_MAX)
		return refuse_rule(l, first + CONFIG_SECTIONS_MAX,
		    "more than 64 sections of this kind in an edge");
	rule = arena_take_array(l->c->memory, n, sizeof(*rule));
	if (!rule)
		return ST_NO_MEMORY;
	for (i = 0; i < n && st == ST_OK; i++) {
		struct config_relabel one = { .source_labels.n = 0 };

		st = fill(l, "relabel", first + i, &one);
		rule[i] = one.rule;
		rule[i].source_labels = one.source_labels.item;
		rule[i].n_source_labels = one.source_labels.n;
	}
	if (st != ST_OK || n == 0)
		return st;
	wrong = relabel_new(rule, n, &p->relabel, &which);
	return wrong ? refuse_rule(l, first + which, wrong) : ST_OK;
}

/* "name=value" taken apart; check_set_label has seen it. */
static enum status
fill_set(struct load *l, struct config_edge *e, size_t i)
{
	struct edge_policy *p = &e->policy;
	const char *text, *wrong;
	struct place at;
	size_t k, name;

	p->set = arena_take_array(l->c->memory, e->set_labels.n,
	    sizeof(*p->set));
	if (!p->set)
		return ST_NO_MEMORY;
	for (k = 0; k < e->set_labels.n; k++) {
		text = e->set_labels.item[k];
		name = strcspn(text, "=");
		p->set[k].name = bytes_of(text, name);
		wrong = edge_template_new(p->pattern, text + name + 1,
		    &p->set[k].value);
		if (!wrong) {
			p->n_set++;
			continue;
		}
		at = grammar_place(l->file, "edge", i, "set-labels", k);
		return place_refuse(&at, l->why, "directive set-labels: %s",
		    wrong);
	}
	return ST_OK;
}

static enum status
fill_tenant(struct load *l, struct config_edge *e, size_t i)
{
	struct edge_policy *p = &e->policy;
	struct place at = grammar_place(l->file, "edge", i, "tenant", 0);
	const char *wrong;

	if (*e->tenant == '\0')
		return ST_OK;
	wrong = edge_template_new(p->pattern, e->tenant, &p->tenant);
	return wrong ? place_refuse(&at, l->why, "directive tenant: %s",
	    wrong) : ST_OK;
}

static enum status
fill_edge(struct load *l, struct config_edge *e, size_t i, size_t first_rule)
{
	enum status st = fill_title(l, "edge", i, check_edges,
	    &e->policy.pattern);

	if (st == ST_OK)
		st = fill(l, "edge", i, e);
	if (st == ST_OK)
		st = fill_tenant(l, e, i);
	if (st == ST_OK)
		st = fill_set(l, e, i);
	return st == ST_OK ? fill_relabel(l, &e->policy, first_rule,
	    grammar_within(l->file, "edge", i, "relabel")) : st;
}

/* In which edges are not to say who they are. */
static enum status
list_tenant_headers(struct config *c)
{
	size_t i;
	const char **list = arena_take_array(c->memory, c->n_upstreams,
	    sizeof(*list));

	if (!list)
		return ST_NO_MEMORY;
	for (i = 0; i < c->n_upstreams; i++)
		list[i] = c->upstreams[i].forward.tenant_header;
	c->ingest.tenant_headers = list;
	c->ingest.n_tenant_headers = c->n_upstreams;
	return ST_OK;
}

static enum status
fill_edges(struct load *l)
{
	struct config *c = l->c;
	struct edge_policy *p;
	enum status st;
	void *room;
	size_t i, rules = 0;

	st = take_sections(l, "edge", sizeof(*c->edges), &room, &c->n_edges);
	if (st != ST_OK)
		return st;
	c->edges = room;
	p = arena_take_array(c->memory, c->n_edges, sizeof(*p));
	if (!p)
		return ST_NO_MEMORY;
	for (i = 0; i < c->n_edges && st == ST_OK; i++) {
		st = fill_edge(l, &c->edges[i], i, rules);
		rules += grammar_within(l->file, "edge", i, "relabel");
		p[i] = c->edges[i].policy;
	}
	c->policies = (struct edge_policies){ p, c->n_edges };
	c->ingest.policies = c->policies;
	for (i = 0; i < c->n_upstreams; i++)
		c->upstreams[i].forward.policies = c->policies;
	return st == ST_OK ? list_tenant_headers(c) : st;
}

/* ---- what no row can say --------------------------------------------------------------- */

static enum status
cross_check_sizes(struct load *l)
{
	const struct config *c = l->c;
	struct place at;

	/* what the largest request may come to when it is decoded */
	if (c->ingest.request_memory_bytes / 8 < c->ingest.max_request_bytes) {
		at = grammar_place(l->file, "top", 0, "request-memory", 0);
		return place_refuse(&at, l->why,
		    "directive request-memory: allowed: at least eight times "
		    "max-request");
	}
	if (c->spool.size_bytes / 4 < c->spool.segment_bytes) {
		at = grammar_place(l->file, "spool", 0, "size", 0);
		return place_refuse(&at, l->why,
		    "directive size: allowed: at least four times "
		    "segment-size");
	}
	return ST_OK;
}

static enum status
cross_check_upstreams(struct load *l)
{
	const struct forward_opts *f;
	struct place at;
	size_t i;

	for (i = 0; i < l->c->n_upstreams; i++) {
		f = &l->c->upstreams[i].forward;
		if (f->read_ahead_samples >= f->max_samples)
			continue;
		at = grammar_place(l->file, "upstream", i, "read-ahead", 0);
		return place_refuse(&at, l->why,
		    "directive read-ahead: allowed: at least max-samples");
	}
	return ST_OK;
}

static enum status
cross_check_addresses(struct load *l)
{
	const struct config *c = l->c;
	const char *mine, *other;
	struct place at;
	size_t i, k;

	for (i = 0; i < c->n_listens; i++) {
		mine = c->listens[i].listener.address;
		at = grammar_place(l->file, "listen", i, "address", 0);
		for (k = 0; k < i; k++) {
			other = c->listens[k].listener.address;
			if (check_addresses_clash(mine, other))
				return place_refuse(&at, l->why,
				    "directive address: value %s: clashes with "
				    "%s of listen \"%s\"", mine, other,
				    c->listens[k].listener.name);
		}
		other = c->admin.listener.address;
		if (other && check_addresses_clash(mine, other))
			return place_refuse(&at, l->why,
			    "directive address: value %s: clashes with %s of "
			    "admin", mine, other);
	}
	return ST_OK;
}

/* Directives that say nothing without another. */
static enum status
cross_check_needs(struct load *l, const char *section, size_t i,
    const char *const *directives_of, const char *allowed)
{
	struct place at;

	for (; *directives_of; directives_of++) {
		if (grammar_values(l->file, section, i, *directives_of) == 0)
			continue;
		at = grammar_place(l->file, section, i, *directives_of, 0);
		return place_refuse(&at, l->why, "directive %s: allowed: %s",
		    *directives_of, allowed);
	}
	return ST_OK;
}

static enum status
refuse_file(struct load *l, const char *section, size_t i,
    const char *directive, const struct tls_fault *fault)
{
	struct place at = grammar_place(l->file, section, i, directive,
	    fault->i);
	const char *text = "";
	char value[80];

	if (grammar_values(l->file, section, i, directive) > fault->i)
		text = grammar_value(l->file, section, i, directive,
		    fault->i)->text;
	return place_refuse(&at, l->why, "directive %s: value %s: %s", directive,
	    place_shown(text, value, sizeof(value)), fault->text);
}

static enum status
cross_check_listen_tls(struct load *l, size_t i)
{
	static const char *const of_certificate[] = { "key", "client-ca",
		"client-verify", "client-crl", "edge-name", "tls-min", NULL };
	static const char *const of_ca[] = { "client-verify", "client-crl",
		"edge-name", NULL };
	static const char *const file[] = { [TLS_CERTIFICATE] = "certificate",
		[TLS_KEY] = "key", [TLS_CA] = "client-ca",
		[TLS_CRL] = "client-crl" };
	const struct config_listen *cl = &l->c->listens[i];
	struct tls_fault fault;
	struct tls *tls = NULL;
	struct place at;
	enum status st;

	if (cl->certificates.n == 0)
		return cross_check_needs(l, "listen", i, of_certificate,
		    "together with certificate");
	st = *cl->tls.common.ca ? ST_OK : cross_check_needs(l, "listen", i,
	    of_ca, "together with client-ca");
	if (st != ST_OK)
		return st;
	if (cl->keys.n && cl->keys.n != cl->certificates.n) {
		at = grammar_place(l->file, "listen", i, "key", 0);
		return place_refuse(&at, l->why, "directive key: allowed: one "
		    "for each certificate, in the same order, or none");
	}
	st = tls_server_new(&cl->tls, &tls, &fault);
	tls_free(&tls);
	return st == ST_CONFIG ? refuse_file(l, "listen", i, file[fault.file],
	    &fault) : st;
}

static enum status
cross_check_upstream_tls(struct load *l, size_t i)
{
	static const char *const of_https[] = { "ca", "certificate", "key",
		"server-name", "tls-min", "http2", NULL };
	static const char *const of_certificate[] = { "key", NULL };
	static const char *const file[] = { [TLS_CERTIFICATE] = "certificate",
		[TLS_KEY] = "key", [TLS_CA] = "ca" };
	const struct config_upstream *u = &l->c->upstreams[i];
	struct tls_fault fault;
	struct tls *tls = NULL;
	enum status st;

	if (!u->forward.url.tls)
		return cross_check_needs(l, "upstream", i, of_https,
		    "together with an https url");
	st = *u->certificate ? ST_OK : cross_check_needs(l, "upstream", i,
	    of_certificate, "together with certificate");
	if (st != ST_OK)
		return st;
	st = tls_client_new(&u->tls, &tls, &fault);
	tls_free(&tls);
	return st == ST_CONFIG ? refuse_file(l, "upstream", i,
	    file[fault.file], &fault) : st;
}

static enum status
cross_check_token_tls(struct load *l, size_t i)
{
	static const char *const of_https[] = { "ca", NULL };
	struct config_upstream *u = &l->c->upstreams[i];
	struct tls_fault fault;
	struct tls *tls = NULL;
	enum status st;

	if (!u->forward.credential.oauth2.url.tls)
		return cross_check_needs(l, "oauth2", i, of_https,
		    "together with an https token-url");
	st = tls_client_new(&u->token_tls, &tls, &fault);
	tls_free(&tls);
	/* what is the upstream's was looked at before */
	return st == ST_CONFIG ? refuse_file(l, "oauth2", i, "ca", &fault) : st;
}

static enum status
cross_check_secret(struct load *l, const char *section, size_t i,
    const char *directive, const char *path, enum secret_kind kind)
{
	struct place at = grammar_place(l->file, section, i, directive, 0);
	struct secret *secret = NULL;
	const char *why;
	char value[80];
	enum status st;

	if (!*path)
		return ST_OK;
	st = secret_open(path, kind, &secret, &why);
	secret_close(&secret);
	return st == ST_CONFIG ? place_refuse(&at, l->why, "directive %s: value "
	    "%s: %s", directive, place_shown(path, value, sizeof(value)), why) :
	    st;
}

static enum status
cross_check_secrets(struct load *l, size_t i)
{
	const struct credential_opts *o =
	    &l->c->upstreams[i].forward.credential;
	enum status st;

	st = cross_check_secret(l, "upstream", i, "password-file",
	    o->password_file, SECRET_PASSWORD);
	if (st == ST_OK)
		st = cross_check_secret(l, "upstream", i, "token-file",
		    o->token_file, SECRET_TOKEN);
	return st == ST_OK ? cross_check_secret(l, "oauth2", i,
	    "client-secret-file", o->oauth2.secret_file, SECRET_PASSWORD) : st;
}

/* Those of oauth2 are all there, or none. */
static enum status
cross_check_oauth2(struct load *l, size_t i)
{
	static const char *const all[] = { "token-url", "client-id",
		"client-secret-file", "scopes", "endpoint-params", "ca", NULL };
	const struct config_upstream *u = &l->c->upstreams[i];
	const struct oauth2_opts *o = &u->forward.credential.oauth2;

	if (*u->token_url && *o->client_id && *o->secret_file)
		return cross_check_token_tls(l, i);
	return cross_check_needs(l, "oauth2", i, all, "token-url, client-id and "
	    "client-secret-file together");
}

/* One kind at most, and the operator's headers have none. */
static enum status
cross_check_credential(struct load *l, size_t i)
{
	static const char *const of_file[] = { "username", NULL };
	static const char *const of_name[] = { "password-file", NULL };
	const struct forward_opts *f = &l->c->upstreams[i].forward;
	const struct credential_opts *o = &f->credential;
	int n = !!*o->password_file + !!*o->token_file +
	    !!*o->oauth2.client_id;
	struct place at = grammar_place(l->file, "upstream", i, NULL, 0);
	enum status st = ST_OK;

	if (!*o->password_file)
		st = cross_check_needs(l, "upstream", i, of_file,
		    "together with password-file");
	else if (!*o->username)
		st = cross_check_needs(l, "upstream", i, of_name,
		    "together with username");
	if (st == ST_OK)
		st = cross_check_oauth2(l, i);
	if (st == ST_OK && n > 1)
		return place_refuse(&at, l->why, "password-file, token-file and "
		    "oauth2 exclude each other");
	if (st == ST_OK && n && http_header(f->headers, "Authorization").p)
		return place_refuse(&at, l->why, "headers have an Authorization "
		    "besides that of password-file, token-file or oauth2");
	return st == ST_OK ? cross_check_secrets(l, i) : st;
}

static enum status
cross_check_credentials(struct load *l)
{
	enum status st = ST_OK;
	size_t i;

	for (i = 0; i < l->c->n_upstreams && st == ST_OK; i++)
		st = cross_check_credential(l, i);
	return st;
}

static enum status
cross_check_tls(struct load *l)
{
	enum status st = ST_OK;
	size_t i;

	for (i = 0; i < l->c->n_listens && st == ST_OK; i++)
		st = cross_check_listen_tls(l, i);
	for (i = 0; i < l->c->n_upstreams && st == ST_OK; i++)
		st = cross_check_upstream_tls(l, i);
	return st;
}

/* The file is read here only to see whether it will do. */
static enum status
cross_check_users(struct load *l, size_t i, enum users_kind kind,
    const char *directive, const char *path)
{
	struct users_fault why;
	struct users *users = NULL;
	enum status st;
	struct place at;

	if (!*path)
		return ST_OK;
	st = users_read(kind, path, &users, &why);
	users_free(&users);
	if (st != ST_CONFIG)
		return st;
	at = grammar_place(l->file, "listen", i, directive, 0);
	return why.line ? place_refuse(&at, l->why, "directive %s: %s:%u: %s",
	    directive, path, why.line, why.text) : place_refuse(&at, l->why,
	    "directive %s: %s: %s", directive, path, why.text);
}

/* Somebody has to have a name other than its address. */
static enum status
cross_check_anonymous(struct load *l, size_t i)
{
	const struct config_listen *cl = &l->c->listens[i];
	struct place at;

	if (cl->porter.anonymous != PORTER_NO || *cl->porter.password_file ||
	    *cl->porter.token_file || (*cl->tls.common.ca &&
	    cl->tls.naming != TLS_BY_ADDRESS))
		return ST_OK;
	at = grammar_place(l->file, "listen", i, "anonymous", 0);
	return place_refuse(&at, l->why, "directive anonymous: allowed: no only "
	    "together with password-file, token-file, or client-ca with "
	    "edge-name cn or san");
}

static enum status
cross_check_names(struct load *l)
{
	const struct porter_opts *p;
	enum status st = ST_OK;
	size_t i;

	for (i = 0; i < l->c->n_listens && st == ST_OK; i++) {
		p = &l->c->listens[i].porter;
		st = cross_check_users(l, i, USERS_PASSWORDS, "password-file",
		    p->password_file);
		if (st == ST_OK)
			st = cross_check_users(l, i, USERS_TOKENS, "token-file",
			    p->token_file);
		if (st == ST_OK)
			st = cross_check_anonymous(l, i);
	}
	return st;
}

static enum status
cross_check(struct load *l)
{
	struct place at = grammar_place(l->file, "top", 0, NULL, 0);
	enum status st;

	if (l->c->n_listens == 0)
		return place_refuse(&at, l->why,
		    "no listen section: nothing could be received");
	st = cross_check_sizes(l);
	if (st == ST_OK)
		st = cross_check_addresses(l);
	if (st == ST_OK)
		st = cross_check_upstreams(l);
	if (st == ST_OK)
		st = cross_check_names(l);
	if (st == ST_OK)
		st = cross_check_tls(l);
	return st == ST_OK ? cross_check_credentials(l) : st;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static enum status
fill_all(struct load *l)
{
	struct config *c = l->c;
	enum status st;

	st = fill(l, "top", 0, c);
	if (st == ST_OK)
		st = fill_listens(l);
	if (st == ST_OK)
		st = fill_admin(l);
	if (st == ST_OK)
		st = fill(l, "spool", 0, &c->spool);
	if (st == ST_OK)
		st = fill_upstreams(l);
	if (st == ST_OK)
		st = fill_edges(l);
	if (st != ST_OK)
		return st;
	c->http.max_header_bytes = HEADER_BYTES_MAX;
	c->http.max_body_bytes = c->ingest.max_request_bytes;
	c->http.count = true;
	return cross_check(l);
}

enum status
config_load(const char *path, struct config **out, struct config_error *why)
{
	struct load l = { .why = why };
	enum status st = ST_NO_MEMORY;

	why->text[0] = '\0';
	l.c = calloc(1, sizeof(*l.c));
	if (l.c)
		l.c->memory = arena_new(MEMORY_MAX, 0);
	if (l.c && l.c->memory)
		st = grammar_parse(path, l.c->memory, &l.file, why);
	if (st == ST_OK)
		st = fill_all(&l);
	if (st == ST_NO_MEMORY)
		(void)place_refuse(&(struct place){ .file = path }, why,
		    "out of memory");
	grammar_free(&l.file);
	if (st != ST_OK) {
		config_free(&l.c);
		return st;
	}
	*out = l.c;
	return ST_OK;
}

static void
free_policy(struct edge_policy *p)
{
	size_t i;

	relabel_free(&p->relabel);
	template_free(&p->tenant);
	for (i = 0; i < p->n_set; i++)
		template_free(&p->set[i].value);
}

void
config_free(struct config **taken)
{
	struct config *c = *taken;
	size_t i;

	*taken = NULL;
	if (!c)
		return;
	for (i = 0; i < c->n_edges; i++)
		free_policy(&c->edges[i].policy);
	arena_free(&c->memory);
	free(c);
}
