/* forwarder.c - lanes, and what goes when.
 * SPDX-License-Identifier: Apache-2.0 */
#include "forward/forwarder_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "forward/regroup.h"
#include "policy/tenant.h"

#define SYNC_NS CLOCK_S			/* of the cursor */
#define HEADERS_OWN 7
#define MOST_BYTES ((size_t)64 << 20)
#define FLOW_IDLE_NS (300 * CLOCK_S)
#define TENANT_KEEP 1024

/* ---- sending ------------------------------------------------------------------------------- */

static void
add_header(struct forwarder *f, size_t *n, const char *name, struct bytes value)
{
	f->headers[(*n)++] = (struct http_header){ bytes_str(name), value };
}

/* In the place of the operator's of that name, or behind them all.  A request is of one
 * edge; of which it is, its dictionary says. */
static bool
add_tenant(struct forwarder *f, const struct lane *l, size_t *n)
{
	struct bytes edge = dict_edge(l->sending.first->dict);
	size_t at = f->tenant_at;

	if (at < f->opts.headers.n)
		f->headers[at] = f->opts.headers.list[at];
	buf_reset(&f->tenant, TENANT_KEEP);
	if (!tenant_of(edge_policy_of(&f->opts.policies, edge), edge,
	    &f->tenant))
		return false;
	if (f->tenant.len == 0)
		return true;
	f->headers[at] = (struct http_header){ bytes_str(f->opts.tenant_header),
		buf_bytes(&f->tenant) };
	*n += at == f->opts.headers.n;
	return true;
}

/* Behind the operator's.  False: out of memory. */
static bool
headers_of(struct forwarder *f, const struct lane *l, struct http_headers *out)
{
	size_t n = f->opts.headers.n;
	struct bytes shown;

	if (!add_tenant(f, l, &n))
		return false;
	add_header(f, &n, "User-Agent", bytes_str(f->opts.user_agent));
	add_header(f, &n, "Content-Encoding",
	    bytes_str(payload_coding_name(l->form.coding)));
	add_header(f, &n, "Content-Type",
	    bytes_str(payload_content_type(l->form.proto)));
	add_header(f, &n, "X-Prometheus-Remote-Write-Version",
	    bytes_str(payload_version(l->form.proto)));
	/* which 1.0 by zstd is */
	if (l->form.coding == PAYLOAD_ZSTD && l->form.proto == PAYLOAD_V1)
		add_header(f, &n, "X-VictoriaMetrics-Remote-Write-Version",
		    BYTES_LIT("1"));
	(void)credential_value(f->credential, &shown);	/* may_send() */
	if (shown.n)
		add_header(f, &n, "Authorization", shown);
	*out = (struct http_headers){ f->headers, n };
	return true;
}

static enum status
send_request(struct forwarder *f, struct lane *l)
{
	struct http_call call = {
		.method = "POST",
		.body = buf_bytes(&l->body),
	};
	enum status st;

	if (!headers_of(f, l, &call.headers))
		return ST_NO_MEMORY;
	l->shown = credential_version(f->credential);
	l->sent_at = clock_mono();
	st = http_client_send(f->client, &call, outcome_came, l, &l->exchange);
	if (st != ST_OK)
		return st;
	metric_group_add(f->metrics, METRIC_UP_REQUESTS, 1);
	metric_group_add(f->metrics, METRIC_UP_BYTES, (int64_t)call.body.n);
	metric_group_add(f->metrics, METRIC_UP_IN_FLIGHT, 1);
	return ST_OK;
}

/* The next request of the flow, whose turn it is.  False: nothing more can be sent now. */
static bool
start(struct forwarder *f, struct lane *l, struct flow *o, enum pacer_class c)
{
	struct flow_part *p = &o->part[c];
	struct payload_form form = f->form;
	enum status st;
	int64_t n;

	if (p->plain)
		form.coding = PAYLOAD_SNAPPY;
	st = lane_build(l, &f->tools, form, o, c, o->parked ? 1 :
	    pacer_most(&f->pacer, c, f->opts.max_samples));

	if (st == ST_OK && l->body.len == 0) {
		/* no words for it in this protocol: counted as loss */
		outcome_let_go(f, l);
		flow_settle(&f->flows, o);
		return true;
	}
	if (st == ST_OK) {
		st = send_request(f, l);
		if (st != ST_OK)
			lane_put_back(l);
	}
	if (st != ST_OK) {
		flow_settle(&f->flows, o);
		gate_hold(f, false, -1, st, NULL);
		return false;
	}
	n = points_of_counts(l->counts);
	flow_spent(o, c, (uint32_t)n);
	pacer_sent(&f->pacer, c, (uint32_t)n, l->body.len, clock_mono());
	p->busy = true;
	flow_settle(&f->flows, o);
	if (f->state == FWD_DOWN)
		f->probe = l;
	return true;
}

/* Where live data goes first, backlog does not take the last lane. */
static struct lane *
free_lane(struct forwarder *f, enum pacer_class c)
{
	struct lane *found = NULL;
	unsigned i, n = 0;

	for (i = 0; i < f->n_lanes; i++) {
		if (f->lane[i].flow)
			continue;
		found = &f->lane[i];
		n++;
	}
	return c == PACER_BACKLOG && f->opts.order == FORWARD_LIVE_FIRST &&
	    n == 1 && f->n_lanes > 1 ? NULL : found;
}

static bool
may_send(const struct forwarder *f)
{
	struct bytes shown;

	return !f->paused && (gate_is_open(f) || (f->state == FWD_DOWN &&
	    !f->probe)) && credential_value(f->credential, &shown) == ST_OK;
}

/* Nanoseconds until the class may go on, 0: it has nothing, or waits for an answer. */
static int64_t
start_class(struct forwarder *f, enum pacer_class c)
{
	struct lane *l;
	int64_t wait;

	while (may_send(f) && flows_has(&f->flows, c) &&
	    (l = free_lane(f, c)) != NULL) {
		wait = pacer_wait(&f->pacer, c, clock_mono());
		if (wait > 0)
			return wait;
		if (!start(f, l, flows_next(&f->flows, c,
		    f->state == FWD_DOWN), c))
			return 0;
	}
	return 0;
}

static void
start_lanes(struct forwarder *f)
{
	int64_t live, backlog;

	gate_reprobe(f);
	live = start_class(f, PACER_LIVE);
	backlog = start_class(f, PACER_BACKLOG);
	if (live > 0 && (backlog == 0 || live < backlog))
		backlog = live;
	if (backlog > 0)
		loop_timer_start(f->pace, backlog);
	else
		loop_timer_stop(f->pace);
	if (gate_is_open(f))
		gate_open(f);
	if (f->state == FWD_LIVE && !supply_owes(f->supply))
		pacer_no_backlog(&f->pacer);
}

static void
pace_due(void *arg)
{
	forwarder_go_on(arg);
}

/* ---- once more, by order -------------------------------------------------------------------------- */

static void
resend(struct forwarder *f)
{
	struct unit *u = f->draining ? NULL : resend_next(&f->resend);

	if (!u)
		return;
	f->ahead[SUPPLY_NONE] += u->points;
	flow_push(&f->flows, &f->resend.flow, PACER_BACKLOG, u);
}

/* ---- never, by order ------------------------------------------------------------------------------- */

static void
skip(struct forwarder *f, struct forward_command *o)
{
	if (!supply_is_skipping(f->supply))
		flows_each(&f->flows, outcome_take_back, f);
	o->status = supply_skip(f->supply, o->from_ms, o->to_ms);
	if (o->status == ST_OK)
		f->skipping = o;
	else
		o->done(o);
}

static void
skipped(void *arg, const struct supply_skipped *sum)
{
	struct forwarder *f = arg;
	struct forward_command *o = f->skipping;

	f->skipping = NULL;
	o->status = sum->partial ? ST_WAIT : ST_OK;
	o->samples = sum->samples;
	o->done(o);
}

/* ---- all together ----------------------------------------------------------------------------- */

static bool
idle(const struct forwarder *f)
{
	unsigned i;

	for (i = 0; i < f->n_lanes; i++)
		if (f->lane[i].exchange)
			return false;
	return true;
}

static void
stop(struct forwarder *f)
{
	if (f->stopped)
		return;
	f->stopped = true;
	supply_sync(f->supply);
	loop_stop(f->loop);
}

/* Everything that can go on, goes on. */
void
forwarder_go_on(struct forwarder *f)
{
	uint32_t ahead;

	if (f->stopped)
		return;
	intake_read(f);
	intake_jump(f);
	resend(f);
	start_lanes(f);
	ahead = f->ahead[SUPPLY_LOG] + f->ahead[SUPPLY_REST];
	metric_group_set(f->metrics, METRIC_UP_READ_AHEAD, ahead);
	atomic_store(&f->drained, f->caught_up && ahead == 0 &&
	    f->flows.n_parked == 0 && !supply_owes(f->supply));
	/* what waits for better times waits in the log */
	if (f->draining && idle(f) && !f->more_posted &&
	    !supply_is_skipping(f->supply))
		stop(f);
}

static void
woken(void *arg)
{
	forwarder_go_on(arg);
}

/* Whose flow must not be forgotten while something of it is left. */
static bool
touch(void *arg, uint64_t edge)
{
	struct forwarder *f = arg;
	struct flow *o = flows_find(&f->flows, edge);

	if (o)
		o->used_at = loop_now(f->loop);
	return false;
}

static void
show_backlog(struct forwarder *f, int64_t now)
{
	int64_t lag = supply_lag_ms(f->supply, clock_wall() / CLOCK_MS);
	int64_t bytes = (int64_t)supply_backlog(f->supply);

	metric_group_set(f->metrics, METRIC_UP_LAG_MS, lag);
	metric_group_set(f->metrics, METRIC_UP_BACKLOG_BYTES, bytes);
	trend_put(&f->backlog, bytes, now);
	metric_group_set(f->metrics, METRIC_UP_CATCH_UP_MS,
	    lag <= f->opts.live_window_ns / CLOCK_MS ? 0 :
	    trend_ms(bytes, -trend_rate(&f->backlog)));
}

static void
sync_due(void *arg)
{
	struct forwarder *f = arg;
	int64_t now = clock_mono();

	supply_sync(f->supply);
	flows_each(&f->flows, outcome_try_parked, f);
	outcome_try_parked(&f->resend.flow, f);
	(void)supply_owes_any(f->supply, touch, f);
	flows_sweep(&f->flows, now - FLOW_IDLE_NS);
	metric_group_set(f->metrics, METRIC_UP_CEILING,
	    (int64_t)pacer_ceiling(&f->pacer));
	show_backlog(f, now);
	loop_timer_start(f->sync, SYNC_NS);
	forwarder_go_on(f);
}

/* ---- life ------------------------------------------------------------------------------------- */

static void
drain_over(void *arg)
{
	struct forwarder *f = arg;
	unsigned i;

	for (i = 0; i < f->n_lanes; i++)
		if (f->lane[i].exchange)
			http_exchange_cancel(&f->lane[i].exchange);
	stop(f);
}

static void
begin_drain(struct loop_msg *m)
{
	struct forwarder *f = container_of(m, struct forwarder, drain_msg);

	f->draining = true;
	loop_timer_start(f->stop_at, f->drain_ns);
	forwarder_go_on(f);
}

void
forwarder_drain(struct forwarder *f, int64_t at_most_ns)
{
	f->drain_ns = at_most_ns;
	loop_post(f->loop, &f->drain_msg, begin_drain);
}

static void
pause_seen(struct loop_msg *m)
{
	struct forwarder *f = container_of(m, struct forwarder, pause_msg);
	bool paused;

	atomic_store(&f->pause_posted, false);
	paused = atomic_load(&f->pause_wanted);
	if (paused == f->paused)
		return;
	f->paused = paused;
	metric_group_set(f->metrics, METRIC_UP_PAUSED, paused);
	log_info(paused ? "upstream-paused" : "upstream-resumed",
	    "upstream=%s", f->opts.name);
	forwarder_go_on(f);
}

void
forwarder_pause(struct forwarder *f, bool yes)
{
	atomic_store(&f->pause_wanted, yes);
	if (!atomic_exchange(&f->pause_posted, true))
		loop_post(f->loop, &f->pause_msg, pause_seen);
}

static void
obey(struct loop_msg *m)
{
	struct forward_command *o = container_of(m, struct forward_command, msg);
	struct forwarder *f = o->forwarder;
	struct resend_sums sums = { 0, 0 };

	o->entries = o->samples = 0;
	switch (o->what) {
	case FORWARD_RESEND:
		o->status = resend_order(&f->resend, o->entry, &sums);
		break;
	case FORWARD_GIVE_UP:
		o->status = resend_drop(&f->resend, o->entry, &sums);
		break;
	case FORWARD_SKIP:
		skip(f, o);
		forwarder_go_on(f);
		return;
	}
	o->entries = sums.entries;
	o->samples = sums.samples;
	o->done(o);
	forwarder_go_on(f);
}

void
forwarder_command(struct forwarder *f, struct forward_command *o)
{
	o->forwarder = f;
	loop_post(f->loop, &o->msg, obey);
}

bool
forwarder_is_drained(const struct forwarder *f)
{
	return atomic_load(&f->drained);
}

static enum status
make_timers(struct forwarder *f)
{
	enum status st;

	st = loop_timer_new(f->loop, gate_time_is_up, f, &f->gate);
	if (st == ST_OK)
		st = loop_timer_new(f->loop, sync_due, f, &f->sync);
	if (st == ST_OK)
		st = loop_timer_new(f->loop, drain_over, f, &f->stop_at);
	if (st == ST_OK)
		st = loop_timer_new(f->loop, pace_due, f, &f->pace);
	if (st == ST_OK)
		loop_timer_start(f->sync, 0);
	return st;
}

/* Among the operator's headers, or behind them. */
static size_t
place_of_tenant(const struct forward_opts *o)
{
	size_t i;

	for (i = 0; i < o->headers.n && o->tenant_header; i++)
		if (http_same(o->headers.list[i].name, o->tenant_header))
			break;
	return i;
}

static enum status
open_client(struct forwarder *f)
{
	struct http_client_opts co = {
		.url = f->opts.url,
		.proxy = f->opts.proxy,
		.connect_timeout_ns = f->opts.connect_timeout_ns,
		.answer_timeout_ns = f->opts.timeout_ns,
		.idle_timeout_ns = 240 * CLOCK_S,
		.reconnect_ns = 600 * CLOCK_S,
		.max_body_bytes = 1024,
		.tls = f->opts.tls,
	};
	struct oauth2_client cc = {
		.upstream = f->opts.name,
		.user_agent = f->opts.user_agent,
		.proxy = f->opts.proxy,
		.connect_timeout_ns = f->opts.connect_timeout_ns,
		.timeout_ns = f->opts.timeout_ns,
		.metrics = f->metrics,
		.loop = f->loop,
		.changed = gate_credential,
		.arg = f,
	};
	enum status st = http_client_new(f->loop, &co, &f->client);

	return st == ST_OK ? credential_new(&f->opts.credential, &cc,
	    &f->credential) : st;
}

static enum status
make_parts(struct forwarder *f, struct spool *spool, const struct disk_ops *disk,
    const char *directory)
{
	struct supply_opts so = {
		.name = f->opts.name,
		.directory = directory,
		.start_now = f->opts.start == FORWARD_NOW,
		.strict = f->opts.order == FORWARD_STRICT,
		.route = f->opts.route,
		.policy = intake_policy(f, woken, skipped),
	};
	struct rejected_opts ro = {
		.disk = disk,
		.directory = directory,
		.upstream = f->opts.name,
		.most_bytes = f->opts.rejected_bytes,
	};
	enum status st = ST_OK;

	f->metrics = metric_group_new(METRIC_SCOPE_UPSTREAM,
	    bytes_str(f->opts.name));
	f->tools.v1 = v1_builder_new();
	f->tools.v2 = v2_builder_new();
	if (f->opts.relaxed) {
		f->tools.regroup = regroup_new();
		if (!f->tools.regroup)
			return ST_NO_MEMORY;
	}
	f->headers = calloc(HEADERS_OWN + f->opts.headers.n,
	    sizeof(*f->headers));
	if (!f->metrics || !f->tools.v1 || !f->tools.v2 || !f->headers)
		return ST_NO_MEMORY;
	if (f->opts.headers.n)
		memcpy(f->headers, f->opts.headers.list,
		    f->opts.headers.n * sizeof(*f->headers));
	f->tenant_at = place_of_tenant(&f->opts);
	buf_init(&f->tenant, SIZE_MAX);
	if (st == ST_OK)
		st = make_timers(f);
	if (st == ST_OK)
		st = open_client(f);
	if (st == ST_OK)
		st = supply_new(&so, spool, disk, f->loop, f->metrics,
		    &f->supply);
	if (st == ST_OK)
		st = rejected_new(&ro, f->metrics, &f->rejected);
	resend_init(&f->resend, f->opts.name, f->rejected, f->metrics);
	return st;
}

enum status
forwarder_new(const struct forward_opts *o, struct spool *spool,
    const struct disk_ops *disk, const char *directory, struct loop *loop,
    struct forwarder **out)
{
	struct forwarder *f;
	enum status st;
	unsigned i;

	f = calloc(1, sizeof(*f) + o->lanes * sizeof(f->lane[0]));
	if (!f)
		return ST_NO_MEMORY;
	f->opts = *o;
	f->loop = loop;
	f->n_lanes = o->lanes;
	f->tools.max_bytes = o->max_bytes;
	f->tools.most_bytes = o->most_bytes ? o->most_bytes : MOST_BYTES;
	f->backoff.seed = (uint64_t)clock_mono() | 1;
	flows_init(&f->flows, o->order == FORWARD_STRICT);
	pacer_init(&f->pacer, &o->pace, clock_mono());
	for (i = 0; i < o->lanes; i++)
		lane_init(&f->lane[i], f, o->order == FORWARD_STRICT);
	st = make_parts(f, spool, disk, directory);
	if (st != ST_OK) {
		forwarder_free(&f);
		return st;
	}
	f->form = gate_first_form(f);
	f->state = FWD_DOWN;
	if (!forwarder_may_change(f)) {
		gate_set_form(f, f->form, true);
		gate_enter(f, FWD_LIVE);
	}
	*out = f;
	return ST_OK;
}

void
forwarder_free(struct forwarder **taken)
{
	struct forwarder *f = *taken;
	unsigned i;

	*taken = NULL;
	if (!f)
		return;
	if (f->client)
		http_client_free(&f->client);
	credential_free(&f->credential);
	for (i = 0; i < f->n_lanes; i++)
		lane_fini(&f->lane[i]);
	if (f->supply)
		supply_free(&f->supply);
	resend_fini(&f->resend);
	rejected_free(&f->rejected);
	v1_builder_free(&f->tools.v1);
	v2_builder_free(&f->tools.v2);
	regroup_free(&f->tools.regroup);
	payload_tools_fini(&f->tools.pack);
	loop_timer_free(&f->gate);
	loop_timer_free(&f->sync);
	loop_timer_free(&f->stop_at);
	loop_timer_free(&f->pace);
	flows_fini(&f->flows);
	metric_group_free(&f->metrics);
	free(f->headers);
	buf_fini(&f->tenant);
	free(f);
}
