/* daemon.c - options, the parts in their order, running, stopping.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The only place with the whole picture.  Threads: this one (signals, admin pages),
 * one a worker, one for the spool, one an upstream.
 *
 * Starting as root: what only root may do comes first, that is to bind addresses and to
 * read keys; all else is done as the user who serves, such as to open the spool.
 *
 * Stopping (SIGTERM, SIGINT): no new connections and requests; requests under way are
 * answered; then each upstream is given what is left to give while it takes it; then
 * cursors are synced and everything ends, after `stop-timeout` at the latest.  */
#include "config.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "admin/control.h"
#include "admin/pages.h"
#include "base/clock.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "config/config.h"
#include "forward/forwarder.h"
#include "http/crowd.h"
#include "http/server.h"
#include "ingest/porter.h"
#include "ingest/receive.h"
#include "io/confine.h"
#include "io/listener.h"
#include "io/loop.h"
#include "io/proxied.h"
#include "io/tls.h"
#include "io/worker.h"
#include "policy/verify.h"
#include "series/codec.h"
#include "spool/disk.h"
#include "spool/spool.h"

#define DEFAULT_CONFIG "/etc/rwrelay/rwrelay.conf"
#define PATHS_ALWAYS 3
#define ADMIN_CONNECTIONS 64
#define CONTROL_CONNECTIONS 16
#define OTHER_DESCRIPTORS 96		/* standard ones, the spool's, for files read */

static const char *const always[PATHS_ALWAYS] = {
	"/api/v1/write", "/api/v1/push", "/api/v1/receive",
};

/* A listen section on a worker. */
struct gate {
	struct daemon *daemon;
	struct loop *loop;		/* borrowed */
	struct listener *listener;	/* owned */
	struct proxied *proxied;	/* owned; NULL: there are no proxies */
	struct http_server *server;	/* owned */
	struct http_route *routes;	/* owned */
	struct porter_door door;
	struct loop_msg msg;
};

struct upstream {
	struct tls *tls;		/* owned; NULL: http */
	struct tls *token_tls;		/* owned; NULL: no https token-url */
	struct loop *loop;		/* owned */
	struct forwarder *forwarder;	/* owned */
};

struct daemon {
	struct config *config;		/* owned */
	struct loop *main;		/* owned */
	struct workers *workers;	/* owned */
	struct loop *spool_loop;	/* owned */
	struct spool *spool;		/* owned */
	struct ingest *ingest;		/* owned */
	struct descriptors descriptors;
	struct crowd *crowd;		/* owned; NULL: nobody is counted */
	struct tls **tls;		/* owned: of each section; NULL: plain */
	struct verifier *verifier;	/* owned; NULL: there are no passwords */
	struct porter **porters;	/* owned: of each section */
	struct gate *gates;		/* owned: sections times workers */
	size_t n_gates;
	struct upstream *upstreams;	/* owned */
	size_t n_upstreams;
	struct listener *admin_listener;	/* owned */
	struct http_server *admin;	/* owned */
	struct control *control;	/* owned */
	struct control_upstream *named;	/* owned: for control */
	struct listener *control_listener;	/* owned */
	struct http_server *control_server;	/* owned */

	int signal_fd;
	struct loop_watch *signals;	/* owned */
	struct loop_timer *give_up;	/* owned: requests under way */
	size_t n_draining;		/* gates that are not done */
	int64_t stop_by;		/* clock_mono; 0: not stopping */
	bool spool_started;
};

/* ---- options ----------------------------------------------------------------------- */

struct options {
	const char *file;
	bool check_only;
};

static void
usage(FILE *to)
{
	(void)fprintf(to, "usage: rwrelay [-f FILE] [-n] [-V]\n"
	    "  -f FILE  configuration (default " DEFAULT_CONFIG ")\n"
	    "  -n       check the configuration and exit\n"
	    "  -V       print the version and exit\n"
	    "See rwrelay(8) and rwrelay.conf(5).\n");
}

static void
read_options(int argc, char **argv, struct options *o)
{
	int c;

	*o = (struct options){ .file = DEFAULT_CONFIG };
	while ((c = getopt(argc, argv, "f:nVh")) != -1) {
		switch (c) {
		case 'f':
			o->file = optarg;
			break;
		case 'n':
			o->check_only = true;
			break;
		case 'V':
			(void)printf("rwrelay " PACKAGE_VERSION "\n");
			exit(EXIT_SUCCESS);
		case 'h':
			usage(stdout);
			exit(EXIT_SUCCESS);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (optind != argc) {
		usage(stderr);
		exit(2);
	}
}

/* ---- building ------------------------------------------------------------------------- */

/* A descriptor that systemd passed for this section, or -1. */
static int
passed_fd(const char *name)
{
	char **names = NULL;
	int i, n, fd = -1;

	n = sd_listen_fds_with_names(0, &names);
	for (i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			fd = SD_LISTEN_FDS_START + i;
	for (i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return fd;
}

static void
accepted(int fd, const struct loop_addr *peer, void *arg)
{
	http_server_adopt(arg, fd, peer);
}

/* Of one gate. */
static size_t
share_of_connections(const struct daemon *d)
{
	return (d->config->http.max_connections + d->n_gates - 1) / d->n_gates;
}

static enum status
open_server(struct daemon *d, struct gate *g, size_t worker,
    const struct config_listen *cl, struct tls *tls)
{
	struct http_server_opts so = d->config->http;
	size_t i, n = PATHS_ALWAYS + cl->paths.n;

	g->routes = calloc(n, sizeof(*g->routes));
	if (!g->routes)
		return ST_NO_MEMORY;
	g->door.behind = &receive_handler;
	g->door.arg = ingest_door(d->ingest, worker);
	for (i = 0; i < n; i++)
		g->routes[i] = (struct http_route){
			.method = "POST",
			.path = i < PATHS_ALWAYS ? always[i] :
			    cl->paths.item[i - PATHS_ALWAYS],
			.handler = &porter_handler,
			.arg = &g->door,
		};
	so.routes = g->routes;
	so.n_routes = n;
	so.count = true;
	so.tls = tls;
	so.http2 = cl->http2;
	so.max_body_bytes = UINT64_MAX;	/* ingest's, which answers by protocol */
	so.crowd = d->crowd;
	so.max_connections = share_of_connections(d);
	return http_server_new(g->loop, &so, &g->server);
}

/* Where connections go: to the server, or to who knows whom proxies speak for. */
static enum status
open_way(struct daemon *d, struct gate *g, const struct config_listen *cl)
{
	struct proxied_opts po = {
		.trusted = cl->trusted,
		.n_trusted = cl->proxies.n,
		.timeout_ns = d->config->http.header_timeout_ns,
		.max = share_of_connections(d),
		.fn = accepted,
		.arg = g->server,
	};
	enum status st;

	if (po.n_trusted == 0)
		return listener_start(g->listener, g->loop, accepted,
		    g->server);
	st = proxied_new(g->loop, &po, &g->proxied);
	return st == ST_OK ? listener_start(g->listener, g->loop,
	    proxied_accept, g->proxied) : st;
}

/* The files were fine a moment ago, when the config file was read. */
static enum status
tls_failed(const char *kind, const char *name, enum status st,
    const struct tls_fault *fault)
{
	log_error("tls-failed", "%s=%s reason=%s why=\"%s\"", kind, name,
	    status_info(st)->word, st == ST_CONFIG ? fault->text :
	    status_info(st)->sentence);
	return st;
}

static enum status
open_listen_tls(struct daemon *d)
{
	const struct tls_server_opts *to;
	struct tls_fault fault;
	enum status st = ST_OK;
	size_t i;

	d->tls = calloc(d->config->n_listens, sizeof(struct tls *));
	if (!d->tls)
		return ST_NO_MEMORY;
	for (i = 0; i < d->config->n_listens && st == ST_OK; i++) {
		to = &d->config->listens[i].tls;
		if (to->common.n_certificates == 0)
			continue;
		st = tls_server_new(to, &d->tls[i], &fault);
		if (st != ST_OK)
			return tls_failed("listen", to->common.name, st,
			    &fault);
	}
	return st;
}

/* What has to be left when edges have taken all that they may: each loop, gate and
 * upstream has some, the spool's files and the libraries the others. */
static size_t
own_descriptors(const struct daemon *d)
{
	const struct config *c = d->config;
	size_t n_workers = workers_count(d->workers), i;
	size_t n = OTHER_DESCRIPTORS + ADMIN_CONNECTIONS + CONTROL_CONNECTIONS +
	    n_workers * (4 + 2 * c->n_listens);

	for (i = 0; i < c->n_upstreams; i++)
		n += 16 + c->upstreams[i].forward.lanes;
	return n;
}

static enum status
open_crowd(struct daemon *d)
{
	struct http_server_opts *o = &d->config->http;
	size_t limit = descriptors_raise(), wanted = o->max_connections;

	d->descriptors = descriptors_divide(limit, own_descriptors(d));
	if (wanted > d->descriptors.connections) {
		o->max_connections = d->descriptors.connections;
		log_warn("few-descriptors", "limit=%zu max-connections=%zu "
		    "instead=%zu hint=\"raise LimitNOFILE, or lower "
		    "max-connections\"", limit, wanted, o->max_connections);
	}
	return d->config->max_per_address == 0 ? ST_OK :
	    crowd_new(d->config->max_per_address, o->max_connections,
	    &d->crowd);
}

static enum status
porter_failed(const struct porter_opts *po, enum status st,
    const struct porter_fault *fault)
{
	bool file = st == ST_CONFIG;

	log_error("edges-failed", "listen=%s file=%s:%u reason=%s why=\"%s\"",
	    po->section, fault->kind == USERS_PASSWORDS ? po->password_file :
	    po->token_file, file ? fault->file.line : 0, status_info(st)->word,
	    file ? fault->file.text : status_info(st)->sentence);
	return st;
}

static enum status
open_porters(struct daemon *d)
{
	const struct porter_opts *po;
	struct porter_fault fault = { .kind = USERS_PASSWORDS };
	enum status st = ST_OK;
	size_t i;

	d->porters = calloc(d->config->n_listens, sizeof(struct porter *));
	if (!d->porters)
		return ST_NO_MEMORY;
	for (i = 0; i < d->config->n_listens && st == ST_OK; i++) {
		po = &d->config->listens[i].porter;
		st = porter_new(po, &d->porters[i], &fault);
		if (st != ST_OK)
			return porter_failed(po, st, &fault);
	}
	return st;
}

static enum status
open_client_tls(const struct http_url *url, const struct tls_client_opts *o,
    struct tls **out)
{
	struct tls_fault fault;
	enum status st = url->tls ? tls_client_new(o, out, &fault) : ST_OK;

	return st == ST_OK ? st : tls_failed("upstream", o->common.name, st,
	    &fault);
}

static enum status
open_upstream_tls(struct daemon *d)
{
	const struct config_upstream *cu;
	struct upstream *u;
	enum status st = ST_OK;
	size_t i;

	for (i = 0; i < d->n_upstreams && st == ST_OK; i++) {
		cu = &d->config->upstreams[i];
		u = &d->upstreams[i];
		st = open_client_tls(&cu->forward.url, &cu->tls, &u->tls);
		if (st == ST_OK)
			st = open_client_tls(&cu->forward.credential.oauth2.url,
			    &cu->token_tls, &u->token_tls);
	}
	return st;
}

/* As the user who will read what has changed. */
static enum status
follow_tls(struct daemon *d)
{
	enum status st = ST_OK;
	size_t i;

	for (i = 0; i < d->config->n_listens && st == ST_OK; i++)
		if (d->tls[i])
			st = tls_follow(d->tls[i], d->main);
	for (i = 0; i < d->n_upstreams && st == ST_OK; i++) {
		if (d->upstreams[i].tls)
			st = tls_follow(d->upstreams[i].tls, d->main);
		if (st == ST_OK && d->upstreams[i].token_tls)
			st = tls_follow(d->upstreams[i].token_tls, d->main);
	}
	return st;
}

static bool
has_passwords(const struct config *c)
{
	size_t i;

	for (i = 0; i < c->n_listens; i++)
		if (*c->listens[i].porter.password_file)
			return true;
	return false;
}

/* Likewise, and with a thread as confined as all others. */
static enum status
start_porters(struct daemon *d)
{
	enum status st = ST_OK;
	size_t i;

	if (has_passwords(d->config))
		st = verifier_new(&d->verifier);
	for (i = 0; i < d->config->n_listens && st == ST_OK; i++)
		st = porter_start(d->porters[i], d->verifier, d->main);
	return st;
}

/* A socket's file belongs to who has made it. */
static bool
is_file(const struct listener_opts *lo)
{
	return strncmp(lo->address, "unix:", 5) == 0;
}

/* Binds each section once, of those with files or of the others; its workers' sockets
 * are clones. */
static enum status
open_listeners(struct daemon *d, bool files)
{
	size_t n_workers = workers_count(d->workers), i, w;
	struct listener_opts lo;
	enum status st;

	for (i = 0; i < d->config->n_listens; i++) {
		struct gate *first = &d->gates[i * n_workers];

		lo = d->config->listens[i].listener;
		if (is_file(&lo) != files)
			continue;
		lo.fd = passed_fd(lo.name);
		lo.ceiling = d->descriptors.ceiling;
		lo.rate = (double)d->config->listens[i].accept_rate /
		    (double)n_workers;
		st = listener_open(&lo, &first->listener);
		for (w = 1; w < n_workers && st == ST_OK; w++)
			st = listener_clone(first->listener,
			    &first[w].listener);
		if (st != ST_OK) {
			log_error("listen-failed", "listen=%s address=%s "
			    "reason=%s hint=\"is the address in use, is it this "
			    "host's?\"", lo.name, lo.address,
			    status_info(st)->word);
			return st;
		}
	}
	return ST_OK;
}

static enum status
open_gates(struct daemon *d)
{
	size_t n_workers = workers_count(d->workers), i;
	enum status st = ST_OK;

	for (i = 0; i < d->n_gates && st == ST_OK; i++) {
		struct gate *g = &d->gates[i];

		g->daemon = d;
		g->loop = workers_loop(d->workers, i % n_workers);
		g->door.porter = d->porters[i / n_workers];
		st = open_server(d, g, i % n_workers,
		    &d->config->listens[i / n_workers],
		    d->tls[i / n_workers]);
		if (st == ST_OK)
			st = open_way(d, g, &d->config->listens[i / n_workers]);
	}
	return st;
}

static enum status
open_spool(struct daemon *d)
{
	struct spool_opts so = d->config->spool;
	enum status st;

	so.edge_of = codec_edge;
	st = loop_new("spool", &d->spool_loop);
	return st == ST_OK ? spool_open(&so, &disk_posix, d->spool_loop,
	    &d->spool) : st;
}

static enum status
open_ingest(struct daemon *d)
{
	size_t n = workers_count(d->workers), i;
	struct loop **loops = calloc(n, sizeof(struct loop *));
	enum status st;

	if (!loops)
		return ST_NO_MEMORY;
	for (i = 0; i < n; i++)
		loops[i] = workers_loop(d->workers, i);
	st = ingest_new(&d->config->ingest, d->spool, loops, n, &d->ingest);
	free(loops);
	return st;
}

static enum status
open_upstreams(struct daemon *d)
{
	struct config *c = d->config;
	enum status st;
	size_t i;

	if (c->n_upstreams == 0)
		log_warn("no-upstream", "hint=\"requests are stored until the "
		    "spool is full; add an upstream section\"");
	for (i = 0; i < d->n_upstreams; i++) {
		struct upstream *u = &d->upstreams[i];
		struct forward_opts fo = c->upstreams[i].forward;

		fo.user_agent = "rwrelay/" PACKAGE_VERSION;
		st = loop_new(fo.name, &u->loop);
		fo.tls = u->tls;
		fo.credential.oauth2.tls = u->token_tls;
		if (st == ST_OK)
			st = forwarder_new(&fo, d->spool, &disk_posix,
			    c->spool.directory, u->loop, &u->forwarder);
		if (st != ST_OK) {
			log_error("upstream-failed", "upstream=%s reason=%s "
			    "why=\"%s\"", fo.name, status_info(st)->word,
			    status_info(st)->sentence);
			return st;
		}
	}
	return ST_OK;
}

static enum status
bind_admin(struct daemon *d, bool file)
{
	const struct listener_opts *lo = &d->config->admin.listener;
	enum status st;

	if (!lo->address || is_file(lo) != file)
		return ST_OK;
	st = listener_open(lo, &d->admin_listener);
	if (st != ST_OK)
		log_error("listen-failed", "listen=admin address=%s reason=%s",
		    lo->address, status_info(st)->word);
	return st;
}

static enum status
open_admin(struct daemon *d)
{
	struct http_server_opts so = d->config->http;
	enum status st;

	if (!d->admin_listener)
		return ST_OK;
	so.routes = pages_routes(&so.n_routes);
	so.max_connections = ADMIN_CONNECTIONS;
	so.max_body_bytes = 0;
	so.count = false;
	st = http_server_new(d->main, &so, &d->admin);
	return st == ST_OK ? listener_start(d->admin_listener, d->main,
	    accepted, d->admin) : st;
}

static enum status
control_by_name(struct daemon *d)
{
	struct control_opts co = {
		.n_upstreams = d->n_upstreams,
		.spool = d->spool,
		.disk = &disk_posix,
		.directory = d->config->spool.directory,
	};
	size_t i;

	d->named = calloc(d->n_upstreams + 1, sizeof(*d->named));
	if (!d->named)
		return ST_NO_MEMORY;
	for (i = 0; i < d->n_upstreams; i++)
		d->named[i] = (struct control_upstream){
			d->config->upstreams[i].forward.name,
			d->upstreams[i].forwarder,
		};
	co.upstreams = d->named;
	return control_new(&co, &d->control);
}

/* For the owner and the group, who may do all that can be done there. */
static enum status
bind_control(struct daemon *d, const char *path)
{
	char address[256];
	struct listener_opts lo = { .name = "control", .address = address,
		.backlog = 16, .fd = -1 };
	enum status st;
	mode_t mask;

	(void)snprintf(address, sizeof(address), "unix:%s", path);
	mask = umask(0117);
	st = listener_open(&lo, &d->control_listener);
	(void)umask(mask);
	return st;
}

/* The relay does its work without it, too. */
static enum status
open_control(struct daemon *d)
{
	const char *path = d->config->admin.control;
	struct http_server_opts so = d->config->http;
	enum status st;

	if (*path == '\0')
		return ST_OK;
	st = control_by_name(d);
	if (st != ST_OK)
		return st;
	if (bind_control(d, path) != ST_OK) {
		log_warn("no-control", "path=%s hint=\"rwrelayctl cannot reach "
		    "this relay; does the directory exist, and is it the "
		    "relay's?\"", path);
		return ST_OK;
	}
	so.routes = control_routes(d->control, &so.n_routes);
	so.max_connections = CONTROL_CONNECTIONS;
	so.max_body_bytes = 0;
	so.count = false;
	st = http_server_new(d->main, &so, &d->control_server);
	return st == ST_OK ? listener_start(d->control_listener, d->main,
	    accepted, d->control_server) : st;
}

static enum status
make_room(struct daemon *d)
{
	enum status st = workers_new(d->config->workers, &d->workers);

	if (st != ST_OK)
		return st;
	d->n_gates = d->config->n_listens * workers_count(d->workers);
	d->gates = calloc(d->n_gates, sizeof(*d->gates));
	if (!d->gates)
		return ST_NO_MEMORY;
	d->upstreams = calloc(d->config->n_upstreams + 1,
	    sizeof(*d->upstreams));
	if (!d->upstreams)
		return ST_NO_MEMORY;
	d->n_upstreams = d->config->n_upstreams;
	return ST_OK;
}

/* What may take root. */
static enum status
reserve(struct daemon *d)
{
	enum status st = open_listen_tls(d);

	if (st == ST_OK)
		st = open_upstream_tls(d);
	if (st == ST_OK)
		st = open_porters(d);
	if (st == ST_OK)
		st = open_listeners(d, false);
	return st == ST_OK ? bind_admin(d, false) : st;
}

static enum status
build(struct daemon *d)
{
	enum status st;

	/* addresses first: a second daemon by mistake ends here */
	st = make_room(d);
	if (st == ST_OK)
		st = open_crowd(d);
	if (st == ST_OK)
		st = reserve(d);
	if (st == ST_OK)
		st = confine(&d->config->confine);
	if (st == ST_OK)
		st = open_listeners(d, true);
	if (st == ST_OK)
		st = bind_admin(d, true);
	if (st == ST_OK)
		st = follow_tls(d);
	if (st == ST_OK)
		st = start_porters(d);
	if (st == ST_OK)
		st = open_spool(d);
	if (st == ST_OK)
		st = open_ingest(d);
	if (st == ST_OK)
		st = open_upstreams(d);
	if (st == ST_OK)
		st = open_admin(d);
	if (st == ST_OK)
		st = open_control(d);
	if (st == ST_OK)
		st = open_gates(d);
	return st;
}

static enum status
start(struct daemon *d)
{
	enum status st;
	size_t i;

	st = loop_start(d->spool_loop);
	if (st != ST_OK)
		return st;
	d->spool_started = true;
	for (i = 0; i < d->n_upstreams && st == ST_OK; i++)
		st = loop_start(d->upstreams[i].loop);
	if (st == ST_OK)
		st = workers_start(d->workers);
	return st;
}

/* ---- stopping ------------------------------------------------------------------------------ */

static void
requests_over(struct daemon *d)
{
	loop_timer_stop(d->give_up);
	loop_stop(d->main);
}

static void
gate_drained_here(struct loop_msg *m)
{
	struct gate *g = container_of(m, struct gate, msg);

	if (--g->daemon->n_draining == 0)
		requests_over(g->daemon);
}

static void
gate_drained(void *arg)
{
	struct gate *g = arg;

	loop_post(g->daemon->main, &g->msg, gate_drained_here);
}

static void
drain_gate(struct loop_msg *m)
{
	struct gate *g = container_of(m, struct gate, msg);

	listener_close(&g->listener);
	proxied_free(&g->proxied);
	http_server_drain(g->server, gate_drained, g);
}

static void
give_up(void *arg)
{
	struct daemon *d = arg;

	log_warn("stop-timeout", "hint=\"some requests were not answered, their "
	    "senders will send them again\"");
	requests_over(d);
}

static void
begin_stop(struct daemon *d)
{
	size_t i;

	if (d->stop_by) {
		give_up(d);
		return;
	}
	log_info("stopping", "timeout=%.0fs",
	    (double)d->config->stop_timeout_ns / 1e9);
	(void)sd_notify(0, "STOPPING=1");
	pages_set_ready(false);
	d->stop_by = clock_mono() + d->config->stop_timeout_ns;
	ingest_stop(d->ingest);
	d->n_draining = d->n_gates;
	for (i = 0; i < d->n_gates; i++)
		loop_post(d->gates[i].loop, &d->gates[i].msg, drain_gate);
	/* the rest of the time is for the upstreams */
	loop_timer_start(d->give_up, d->config->stop_timeout_ns / 2);
}

static void
on_signal(unsigned ready, void *arg)
{
	struct daemon *d = arg;
	struct signalfd_siginfo info;

	(void)ready;
	while (read(d->signal_fd, &info, sizeof(info)) ==
	    (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			log_warn("no-reload", "hint=\"restart to take a new "
			    "configuration: nothing is lost by it\"");
		else
			begin_stop(d);
	}
}

/* The upstreams end their loops themselves, in the time that is left. */
static void
stop_upstreams(struct daemon *d)
{
	int64_t left = d->stop_by - clock_mono();
	size_t i;

	if (left < 0)
		left = 0;
	for (i = 0; i < d->n_upstreams; i++)
		forwarder_drain(d->upstreams[i].forwarder, left);
	for (i = 0; i < d->n_upstreams; i++)
		loop_join(d->upstreams[i].loop);
}

static void
stop_loops(struct daemon *d)
{
	stop_upstreams(d);
	workers_stop(d->workers);
	if (d->spool_started) {
		loop_stop(d->spool_loop);
		loop_join(d->spool_loop);
	}
}

static void
tear_down(struct daemon *d)
{
	size_t i;

	for (i = 0; i < d->n_gates; i++) {
		listener_close(&d->gates[i].listener);
		proxied_free(&d->gates[i].proxied);
		http_server_free(&d->gates[i].server);
		free(d->gates[i].routes);
	}
	free(d->gates);
	verifier_free(&d->verifier);	/* while there are loops to post to */
	crowd_free(&d->crowd);
	listener_close(&d->admin_listener);
	http_server_free(&d->admin);
	listener_close(&d->control_listener);
	http_server_free(&d->control_server);
	control_free(&d->control);
	free(d->named);
	for (i = 0; i < d->n_upstreams; i++)
		forwarder_free(&d->upstreams[i].forwarder);
	spool_close(&d->spool);
	ingest_free(&d->ingest);
	for (i = 0; i < d->n_upstreams; i++) {
		loop_free(&d->upstreams[i].loop);
		tls_free(&d->upstreams[i].tls);
		tls_free(&d->upstreams[i].token_tls);
	}
	free(d->upstreams);
	loop_free(&d->spool_loop);
	workers_free(&d->workers);
	for (i = 0; d->tls && i < d->config->n_listens; i++)
		tls_free(&d->tls[i]);
	free(d->tls);
	for (i = 0; d->porters && i < d->config->n_listens; i++)
		porter_free(&d->porters[i]);
	free(d->porters);
	loop_timer_free(&d->give_up);
	loop_watch_free(&d->signals);
	loop_free(&d->main);
	config_free(&d->config);
	if (d->signal_fd != -1)
		(void)close(d->signal_fd);
}

/* ---- running --------------------------------------------------------------------------------- */

static enum status
catch_signals(struct daemon *d)
{
	enum status st;
	sigset_t set;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	/* before any thread: all inherit the mask */
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
		return ST_SYSTEM;
	d->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (d->signal_fd == -1)
		return ST_SYSTEM;
	st = loop_watch_new(d->main, d->signal_fd, on_signal, d, &d->signals);
	if (st == ST_OK)
		st = loop_timer_new(d->main, give_up, d, &d->give_up);
	if (st == ST_OK)
		loop_watch_want(d->signals, LOOP_READ);
	return st;
}

static void
failed_to_start(enum status st)
{
	log_error("start-failed", "reason=%s why=\"%s\"",
	    status_info(st)->word, status_info(st)->sentence);
}

static int
run(struct daemon *d)
{
	enum status st;

	st = loop_new("main", &d->main);
	if (st == ST_OK)
		st = catch_signals(d);
	if (st == ST_OK)
		st = build(d);
	if (st != ST_OK) {
		failed_to_start(st);
		tear_down(d);
		return EXIT_FAILURE;
	}
	st = start(d);
	if (st != ST_OK) {
		/* threads run already: the process ends as it is */
		failed_to_start(st);
		return EXIT_FAILURE;
	}
	log_info("ready", "version=" PACKAGE_VERSION " workers=%zu listens=%zu "
	    "upstreams=%zu", workers_count(d->workers), d->config->n_listens,
	    d->n_upstreams);
	pages_set_ready(true);
	(void)sd_notify(0, "READY=1");
	loop_run(d->main);
	stop_loops(d);
	tear_down(d);
	log_info("stopped", "version=" PACKAGE_VERSION);
	return EXIT_SUCCESS;
}

/* Little is allocated while requests are served, and what is lives long or moves to
 * another thread.  One heap serves that best: heaps per thread grow by a page and a system
 * call at a time, and keep what other threads could use. */
static void
settle_malloc(void)
{
	(void)mallopt(M_ARENA_MAX, 1);
	(void)mallopt(M_TOP_PAD, 1 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 64 << 20);
	(void)mallopt(M_MMAP_THRESHOLD, 32 << 20);
}

int
main(int argc, char **argv)
{
	struct daemon d = { .signal_fd = -1 };
	struct config_error why;
	struct options o;

	settle_malloc();
	read_options(argc, argv, &o);
	if (config_load(o.file, &d.config, &why) != ST_OK) {
		(void)fprintf(stderr, "rwrelay: %s\n", why.text);
		return EXIT_FAILURE;
	}
	if (o.check_only) {
		(void)fprintf(stderr, "rwrelay: %s is fine\n", o.file);
		config_free(&d.config);
		return EXIT_SUCCESS;
	}
	log_set_level(d.config->log_level);
	return run(&d);
}
