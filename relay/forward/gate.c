/* gate.c - whether anything may be sent: states, backoff; and in which form.
 * SPDX-License-Identifier: Apache-2.0
 *
 *	            .---------- one was answered: delivered or refused --------.
 *	            v                                                          |
 *	   LIVE or CATCHING-UP -- failed, any lane --> HELD -- time is up --> DOWN
 *	        all lanes                               ^   (Retry-After,   one lane
 *	          send                                  |    backoff)          |
 *	                                                `------ failed --------'
 *
 * LIVE         each lane has at most one request in flight, each edge too.
 * CATCHING-UP  likewise, but there is backlog: it is sent at its own pace (pacer.h).
 * HELD         nothing is sent until the gate's time; what is in flight runs out.
 * DOWN         at most one request is in flight that was sent in this state: a weak
 *              upstream is not asked by all lanes at once.  It is also the first state
 *              while the form that it understands is not known. */
#include "forward/forwarder_priv.h"

#include <assert.h>

#include "base/clock.h"
#include "base/log.h"

#define MISCONFIG_FIRST (30 * CLOCK_S)
#define MISCONFIG_MAX (300 * CLOCK_S)
#define BACKOFF_FIRST (100 * CLOCK_MS)
#define BACKOFF_MAX (30 * CLOCK_S)
#define REPROBE_NS (3600 * CLOCK_S)	/* the best again, after a fall back */

static const char *const state_name[] = { "live", "catching-up", "held",
	"down" };

/* ---- the gate ---------------------------------------------------------------------- */

bool
gate_is_open(const struct forwarder *f)
{
	return f->state == FWD_LIVE || f->state == FWD_CATCHING_UP;
}

const char *
forwarder_state(int64_t state)
{
	return state >= FWD_LIVE && state <= FWD_DOWN ? state_name[state] : "-";
}

/* DOWN because nothing is known yet is no trouble. */
static void
show_state(struct forwarder *f)
{
	bool held = f->state == FWD_HELD ||
	    (f->state == FWD_DOWN && f->held_since);

	metric_group_set(f->metrics, METRIC_UP_STATE,
	    f->state == FWD_DOWN && !held ? FWD_LIVE : f->state);
	metric_group_set(f->metrics, METRIC_UP_HELD, held);
	metric_group_set(f->metrics, METRIC_UP_CATCHING_UP,
	    f->state == FWD_CATCHING_UP);
}

void
gate_enter(struct forwarder *f, enum fwd_state to)
{
	static const bool may[4][4] = {
		[FWD_LIVE] = { [FWD_CATCHING_UP] = true, [FWD_HELD] = true,
		    [FWD_DOWN] = true },
		[FWD_CATCHING_UP] = { [FWD_LIVE] = true, [FWD_HELD] = true,
		    [FWD_DOWN] = true },
		[FWD_HELD] = { [FWD_DOWN] = true },
		[FWD_DOWN] = { [FWD_LIVE] = true, [FWD_CATCHING_UP] = true,
		    [FWD_HELD] = true },
	};

	assert(may[f->state][to]);
	log_debug("forwarder", "upstream=%s from=%s to=%s", f->opts.name,
	    state_name[f->state], state_name[to]);
	f->state = to;
	show_state(f);
}

/* Is there backlog that could be sent? */
static bool
has_backlog(const struct forwarder *f)
{
	return flows_has(&f->flows, PACER_BACKLOG) ||
	    f->ahead[SUPPLY_REST] > 0;
}

void
gate_open(struct forwarder *f)
{
	enum fwd_state to = has_backlog(f) ? FWD_CATCHING_UP : FWD_LIVE;

	if (f->state != to)
		gate_enter(f, to);
}

/* What to look at when an answer means a wrong configuration. */
static const char *
misconfig_hint(int http)
{
	if ((http >= 200 && http < 300) || http == 415)
		return "remote write 2.0 is not spoken there: protocol = auto";
	if (http == 401 || http == 403 || http == 407)
		return "credentials";
	return "url";
}

/* One line when trouble begins or changes its kind, not one a try. */
static void
tell_held(struct forwarder *f, bool misconfig, enum status st,
    const struct http_answer *a, int64_t wait_ns)
{
	const struct http_url *url = st == ST_NO_TOKEN ?
	    &f->opts.credential.oauth2.url : &f->opts.url;
	char text[FORWARDER_EXCERPT + 8];
	int http = a ? a->status : 0;

	if (f->held_since && f->held_why == st && f->held_http == http)
		return;
	if (!f->held_since)
		f->held_since = clock_mono();
	f->held_why = st;
	f->held_http = http;
	if (a)
		log_warn("upstream-held", "upstream=%s status=%d text=%s "
		    "wait=%.1fs%s%s%s", f->opts.name, http, log_quote(bytes_of(
		    a->body.p, a->body.n < FORWARDER_EXCERPT ? a->body.n : FORWARDER_EXCERPT),
		    text, sizeof(text)), (double)wait_ns / 1e9,
		    misconfig ? " check=\"" : "",
		    misconfig ? misconfig_hint(http) : "",
		    misconfig ? "\"" : "");
	else
		log_warn("upstream-held", "upstream=%s reason=%s why=\"%s\" "
		    "host=%s port=%s%s%s wait=%.1fs", f->opts.name,
		    status_info(st)->word, status_info(st)->sentence,
		    url->host, url->port, *f->opts.proxy.host ? " proxy=" : "",
		    f->opts.proxy.authority, (double)wait_ns / 1e9);
}

void
gate_hold(struct forwarder *f, bool misconfig, int64_t retry_after_ns,
    enum status st, const struct http_answer *a)
{
	int64_t first = misconfig ? MISCONFIG_FIRST : BACKOFF_FIRST;
	int64_t now = clock_mono(), wait = 0;

	/* lanes that were in flight when the first failed fail with it: the
	 * backoff grows once for all of them */
	if (f->state != FWD_HELD) {
		if (f->backoff.first_ns != first)
			backoff_reset(&f->backoff);
		f->backoff.first_ns = first;
		f->backoff.max_ns = misconfig ? MISCONFIG_MAX : BACKOFF_MAX;
		wait = backoff_next(&f->backoff);
		f->gate_at = 0;
	}
	if (retry_after_ns > wait)
		wait = retry_after_ns;
	if (now + wait <= f->gate_at)
		return;
	f->gate_at = now + wait;
	tell_held(f, misconfig, st, a, wait);
	if (f->state != FWD_HELD)
		gate_enter(f, FWD_HELD);
	loop_timer_start(f->gate, wait);
}

void
gate_time_is_up(void *arg)
{
	struct forwarder *f = arg;

	gate_enter(f, FWD_DOWN);
	forwarder_go_on(f);
}

/* Whether it was what it is shown that it did not like. */
static bool
held_for_credential(const struct forwarder *f)
{
	return f->held_why == ST_NO_TOKEN || f->held_http == 401 ||
	    f->held_http == 403;
}

void
gate_credential(void *arg)
{
	struct forwarder *f = arg;
	struct bytes value;
	enum status st = credential_value(f->credential, &value);

	if (st == ST_NO_TOKEN)
		gate_hold(f, false, -1, st, NULL);
	if (st == ST_OK && f->state == FWD_HELD && held_for_credential(f)) {
		loop_timer_stop(f->gate);
		gate_enter(f, FWD_DOWN);
	}
	forwarder_go_on(f);
}

void
gate_answered(struct forwarder *f)
{
	int64_t now = clock_mono();

	backoff_reset(&f->backoff);
	if (f->held_since) {
		log_info("upstream-back", "upstream=%s after=%.1fs",
		    f->opts.name, (double)(now - f->held_since) / 1e9);
		if (f->away)
			pacer_back(&f->pacer, now);
		f->away = false;
		f->held_since = 0;
		f->backlog = (struct trend){ .n = 0 };
	}
	/* an answer to what was sent before the gate closed opens nothing */
	if (f->state == FWD_DOWN && f->proven)
		gate_open(f);
	else
		show_state(f);
}

/* ---- the form ------------------------------------------------------------------------- */

/* protocol = auto and compression = zstd together: 2.0 and then 1.0 by zstd, likewise by
 * snappy.  A store that knows zstd may well know 1.0 alone. */
struct payload_form
gate_first_form(const struct forwarder *f)
{
	return (struct payload_form){ f->opts.protocol == FORWARD_V1 ?
		PAYLOAD_V1 : PAYLOAD_V2, f->opts.coding };
}

struct payload_form
gate_next_form(const struct forwarder *f, struct payload_form form)
{
	if (f->opts.protocol == FORWARD_AUTO && form.proto == PAYLOAD_V2) {
		form.proto = PAYLOAD_V1;
		return form;
	}
	form = gate_first_form(f);
	form.coding = PAYLOAD_SNAPPY;
	return form;
}

static void
tell_form(const struct forwarder *f, const char *what, struct payload_form form)
{
	log_info("upstream-protocol", "upstream=%s %s=%s compression=%s",
	    f->opts.name, what, payload_version(form.proto),
	    payload_coding_name(form.coding));
}

void
gate_set_form(struct forwarder *f, struct payload_form form, bool proven)
{
	bool same = same_form(form, f->form);

	if (f->proven && (!proven || !same))
		tell_form(f, "from", f->form);
	if (proven && (!f->proven || !same))
		tell_form(f, "speaks", form);
	f->form = form;
	f->proven = proven;
	f->reprobe_at = proven && !same_form(form, gate_first_form(f)) ?
	    clock_mono() + REPROBE_NS : 0;
	metric_group_set(f->metrics, METRIC_UP_PROTOCOL, !proven ? 0 :
	    form.proto == PAYLOAD_V1 ? 1 : 2);
	metric_group_set(f->metrics, METRIC_UP_ZSTD, proven &&
	    form.coding == PAYLOAD_ZSTD);
}

/* By one lane alone. */
void
gate_reprobe(struct forwarder *f)
{
	if (!f->reprobe_at || clock_mono() < f->reprobe_at || !gate_is_open(f))
		return;
	gate_set_form(f, gate_first_form(f), false);
	gate_enter(f, FWD_DOWN);
}
