/* config.h - the config file, read and checked.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A snapshot: whatever is in it was checked, and nothing changes it.  Only
 * daemon.c includes this header; other modules get the options struct that
 * they declare themselves.                                                  */
#ifndef RW_CONFIG_CONFIG_H
#define RW_CONFIG_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/status.h"
#include "forward/forwarder.h"
#include "http/server.h"
#include "ingest/porter.h"
#include "ingest/receive.h"
#include "io/confine.h"
#include "io/listener.h"
#include "io/network.h"
#include "io/tls.h"
#include "policy/edge.h"
#include "spool/spool.h"

struct arena;

struct config_list {
	const char **item;
	size_t n;
};

/* listener: name, address; backlog and fd (-1) as they usually are. */
struct config_listen {
	struct listener_opts listener;
	uint32_t accept_rate;		/* a second, for all workers together */
	struct config_list paths;	/* beside those that always serve */
	struct tls_server_opts tls;	/* without a certificate: plain */
	struct config_list certificates, keys;
	bool http2;			/* beside HTTP/1.1 */
	struct porter_opts porter;
	struct config_list proxies, forwarders;
	const struct network *trusted;	/* proxies, parsed */
};

struct config_admin {
	struct listener_opts listener;	/* address NULL: there is none */
	const char *control;		/* path of a socket; "": there is none */
};

struct config_upstream {
	struct forward_opts forward;	/* all but user_agent and tls (two) */
	const char *url;
	const char *proxy;		/* "": none */
	bool http2_off;
	struct tls_client_opts tls;	/* of an https url */
	const char *certificate, *key;	/* "": none */
	const char *token_url;		/* "": no OAuth2 */
	struct tls_client_opts token_tls;	/* of an https token_url */
	struct config_list scopes, params;
	struct config_list headers;
	struct config_list edges, match;
};

struct config_relabel {
	struct relabel_rule rule;
	struct config_list source_labels;
};

struct config_edge {
	struct edge_policy policy;	/* owns what the arena does not */
	struct config_list set_labels;
	const char *tenant;		/* "": none */
};

/* Everything that it points to lives and dies with it. */
struct config {
	unsigned workers;		/* 0: one per core */
	enum log_level log_level;
	struct confine_opts confine;
	int64_t stop_timeout_ns;
	uint32_t max_per_address;	/* connections; 0: any number */
	struct http_server_opts http;	/* limits and timeouts; max_connections is
					   for all workers together */
	struct ingest_opts ingest;
	struct config_listen *listens;	/* at least one */
	size_t n_listens;
	struct config_admin admin;
	struct spool_opts spool;
	struct config_upstream *upstreams;	/* at least one */
	size_t n_upstreams;
	struct config_edge *edges;
	size_t n_edges;
	struct edge_policies policies;	/* of those */
	struct arena *memory;		/* owned: all of the above */
};

#define CONFIG_NAME_MAX 64		/* bytes of a section's name */
#define CONFIG_SECTIONS_MAX 64		/* of a kind */

/* What is wrong, ready to be shown:
 *	rwrelay.conf:12: upstream "central": directive lanes: value 100: allowed: 1 to 64 */
struct config_error {
	char text[1024];
};

/* ST_CONFIG, or ST_MISSING, ST_DENIED, ST_SYSTEM when a file cannot be read, or
 * ST_NO_MEMORY; `why` is filled in with each of them.  Not from two threads at a
 * time: libconfuse keeps its scanner in globals. */
enum status config_load(const char *path, struct config **out,
    struct config_error *why);
void config_free(struct config **);

#endif
