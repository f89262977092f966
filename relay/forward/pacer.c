/* pacer.c - buckets, and a ceiling that is looked for.
 * SPDX-License-Identifier: Apache-2.0
 *
 *	  samples/s
 *	     ^          met                     .'
 *	     |   - - - - x - - - - - x - - - -.'-   far past it: quickly
 *	     |         .'|        _.-|    _.-'
 *	     |       .'  |     _.-   |_.-'          near it: a step a second, smaller
 *	     |     .'    |.-'                       each time that it is met again
 *	     +--------------------------------> time
 *
 * An upstream that refuses above a rate costs what it refuses, and the time for which it
 * says to wait: both are small if the ceiling is met seldom.               */
#include "forward/pacer.h"

#include <string.h>

#include "base/clock.h"

#define CUT 0.95		/* of what was taken, after a refusal */
#define DEEPEST 0.7		/* of the limit before, at once */
#define SAME 0.15
#define NEAR 1.05		/* times `met`: what is past it is unknown country */
#define STEP_FIRST 0.004	/* a second, of the limit */
#define STEP_LEAST 0.0005
#define STEP_FAR 0.05
#define CUT_APART (2 * CLOCK_S)
#define KNOWN_NS (2 * CLOCK_S)
#define LEAST 100.0		/* samples/s */
#define METER_MS 2000
#define SMOOTH_MS 20000
#define GAP_MS 60000		/* nobody sends so seldom: nothing came in between */
#define BACKLOG_LEAST 1000.0	/* samples/s */

void
pacer_init(struct pacer *p, const struct pacer_opts *o, int64_t now)
{
	memset(p, 0, sizeof(*p));
	p->o = *o;
	p->grown_at = p->since = now;
	p->step = STEP_FIRST;
	p->slot = now / PACER_SLOT_NS;
	bucket_set(&p->samples, (double)o->rate, now);
	bucket_set(&p->bytes, (double)o->byte_rate, now);
	bucket_set(&p->ceiling, 0, now);
	bucket_set(&p->backlog, BACKLOG_LEAST, now);
}

/* ---- what comes in ----------------------------------------------------------------- */

void
pacer_saw(struct pacer *p, enum pacer_class c, uint64_t samples,
    int64_t wall_ms)
{
	struct pacer_meter *m = &p->meter[c];
	int64_t ms = wall_ms - m->since_ms;
	double now;

	if (m->since_ms == 0 || ms < 0 || ms > GAP_MS) {
		m->since_ms = wall_ms;
		m->n = 0;
	} else if (ms >= METER_MS) {
		now = m->n * 1000 / (double)ms;
		m->rate = m->rate == 0 ? now : m->rate + (now - m->rate) *
		    (ms > SMOOTH_MS ? 1 : (double)ms / SMOOTH_MS);
		if (p->most < m->rate)
			p->most = m->rate;
		m->since_ms = wall_ms;
		m->n = 0;
	}
	m->n += (double)samples;
}

void
pacer_no_backlog(struct pacer *p)
{
	p->most = p->meter[PACER_LIVE].rate;
	p->meter[PACER_BACKLOG] = (struct pacer_meter){ .since_ms = 0 };
}

/* ---- what is taken ------------------------------------------------------------------- */

static void
turn_slots(struct pacer *p, int64_t now)
{
	int64_t slot = now / PACER_SLOT_NS;

	if (slot - p->slot >= PACER_SLOTS)
		p->slot = slot - PACER_SLOTS;
	while (p->slot < slot)
		p->taken[++p->slot % PACER_SLOTS] = 0;
}

static double
taken_rate(struct pacer *p, int64_t now)
{
	int64_t window = (PACER_SLOTS - 1) * PACER_SLOT_NS;
	double sum = 0;
	unsigned i;

	turn_slots(p, now);
	for (i = 0; i < PACER_SLOTS; i++)
		sum += p->taken[i];
	if (now - p->since < window)
		window = now - p->since;
	if (window < CLOCK_S)
		window = CLOCK_S;
	return sum * (double)CLOCK_S / (double)window;
}

void
pacer_back(struct pacer *p, int64_t now)
{
	memset(p->taken, 0, sizeof(p->taken));
	p->slot = now / PACER_SLOT_NS;
	p->since = now;
}

/* ---- the ceiling ----------------------------------------------------------------------- */

static void
set_limit(struct pacer *p, double limit, int64_t now)
{
	if (p->limit == 0)
		p->ceiling.at = now;	/* it has nothing left */
	p->limit = limit < LEAST ? LEAST : limit;
	bucket_set(&p->ceiling, p->limit, now);
}

/* Where nothing is held back by it, there is nothing to learn. */
static void
grow(struct pacer *p, int64_t now)
{
	double seconds = (double)(now - p->grown_at) / (double)CLOCK_S;
	double step;

	if (seconds < 1)
		return;
	p->grown_at = now;
	if (p->limit == 0 || !p->pressed)
		return;
	p->pressed = false;
	/* a request that was taken proves no more than that */
	if (seconds > 1)
		seconds = 1;
	step = p->limit > p->met * NEAR ? STEP_FAR : p->step;
	if (p->limit < p->met * CUT * CUT)
		step = STEP_FAR;
	set_limit(p, p->limit * (1 + step * seconds), now);
}

void
pacer_taken(struct pacer *p, uint32_t samples, int64_t now)
{
	turn_slots(p, now);
	p->taken[p->slot % PACER_SLOTS] += samples;
	grow(p, now);
}

static void
cut(struct pacer *p, double met, int64_t now)
{
	if (p->cut_at && now - p->cut_at < CUT_APART)
		return;
	p->cut_at = p->grown_at = now;
	/* there may have been less to send, and another reason to refuse */
	if (p->limit != 0 && met > p->limit)
		met = p->limit;
	if (p->limit != 0 && met < p->limit * DEEPEST)
		met = p->limit * DEEPEST;
	/* met again at about the same: ever more slowly towards it */
	if (met > p->met * (1 - SAME) && met < p->met * (1 + SAME))
		p->step = p->step / 2 > STEP_LEAST ? p->step / 2 : STEP_LEAST;
	else
		p->step = STEP_FIRST;
	p->met = met;
	set_limit(p, met * CUT, now);
}

void
pacer_refused(struct pacer *p, int64_t now)
{
	double met = taken_rate(p, now);

	/* it has hardly begun */
	if (now - p->since < KNOWN_NS)
		return;
	if (p->suspect < met)
		p->suspect = met;
}

void
pacer_took_it(struct pacer *p, int64_t now)
{
	if (p->suspect != 0)
		cut(p, p->suspect, now);
	p->suspect = 0;
}

void
pacer_never_mind(struct pacer *p)
{
	p->suspect = 0;
}

double
pacer_ceiling(const struct pacer *p)
{
	return p->limit;
}

/* ---- may it go --------------------------------------------------------------------------- */

static int64_t
longer(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* With a rate of 0 there is no limit. */
static int64_t
wait_for(struct bucket *b, enum pacer_class c, int64_t now)
{
	return b->rate == 0 ? 0 :
	    bucket_wait(b, c == PACER_LIVE ? 0 : b->rate / 2, now);
}

/* As long as nothing is known of the rate there was little. */
static int64_t
wait_backlog(struct pacer *p, int64_t now)
{
	double rate = p->most * p->o.catch_up_milli / 1000;

	if (rate == 0)
		return 0;
	bucket_set(&p->backlog, rate > BACKLOG_LEAST ? rate : BACKLOG_LEAST,
	    now);
	return bucket_wait(&p->backlog, 0, now);
}

int64_t
pacer_wait(struct pacer *p, enum pacer_class c, int64_t now)
{
	int64_t ceiling = wait_for(&p->ceiling, c, now), wait;

	if (ceiling > 0)
		p->pressed = true;
	wait = longer(wait_for(&p->samples, c, now),
	    wait_for(&p->bytes, c, now));
	wait = longer(wait, ceiling);
	return c == PACER_LIVE ? wait : longer(wait, wait_backlog(p, now));
}

static uint32_t
share(const struct bucket *b, enum pacer_class c, uint32_t most)
{
	double rate = c == PACER_LIVE ? b->rate : b->rate / 4;

	return b->rate != 0 && rate < most ? (uint32_t)rate : most;
}

uint32_t
pacer_most(const struct pacer *p, enum pacer_class c, uint32_t most)
{
	return share(&p->ceiling, c, share(&p->samples, c, most));
}

void
pacer_sent(struct pacer *p, enum pacer_class c, uint32_t samples,
    uint64_t bytes, int64_t now)
{
	bucket_spend(&p->samples, samples, now);
	bucket_spend(&p->ceiling, samples, now);
	bucket_spend(&p->bytes, (double)bytes, now);
	if (c == PACER_BACKLOG)
		bucket_spend(&p->backlog, samples, now);
}
