/* verify.c - a thread that checks passwords.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A question moves: asked on a worker, judged on the thread, told on that worker, and
 * freed there.  The thread is a loop that nothing but questions is posted to; to block
 * is what it is for.                                                        */
#include "policy/verify.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/hash.h"
#include "policy/password.h"

#define WRONG_MAX 1024			/* passwords that are known to be wrong */
#define DELAYS_MAX 1024			/* addresses that have to wait */
#define FORGET_NS VERIFY_WRONG_NS	/* an address that sends no wrong ones */
#define NICE 10				/* of the thread */

struct verify {
	LIST_ENTRY(verify) link;
	struct loop_msg msg;
	struct verifier *verifier;	/* borrowed */
	struct roster *roster;		/* borrowed */
	struct loop *origin;		/* borrowed */
	verify_fn *done;		/* NULL: nobody waits; origin's thread */
	void *arg;
	_Atomic bool cancelled;
	int64_t asked;			/* clock_mono */
	enum status status;
	uint64_t from;
	struct digest proof;
	size_t user_n;
	char user[USERS_NAME_SIZE];
	char password[PASSWORD_SIZE];
};

struct wrong {
	struct digest digest;		/* of proof and hash */
	int64_t until;
};

struct delay {
	uint64_t from;
	int64_t wrong_at, until;
	int64_t ns;			/* of the last */
};

struct verifier {
	struct loop *loop;		/* owned */
	struct loop_msg begin;
	struct hash_key key;
	struct password_room *room;	/* owned; the thread's */
	_Atomic bool ending;		/* nobody waits any more */

	pthread_mutex_t lock;		/* of what follows */
	LIST_HEAD(, verify) waiting;	/* owned */
	size_t n_waiting;
	struct wrong wrong[WRONG_MAX];	/* by their digests, and ... */
	struct delay delay[DELAYS_MAX];	/* by from: the last in a place stays */
};

/* ---- what is known ------------------------------------------------------------------ */

/* A proof is that of a name and a password, whatever the file says of them. */
static bool
make_proof(const struct verifier *v, const struct authorization *c,
    struct digest *out)
{
	const struct bytes parts[] = {
		{ v->key.secret, sizeof(v->key.secret) }, c->user,
		{ (const uint8_t *)"", 1 }, bytes_str(c->password),
	};

	return digest_of(parts, 4, out);
}

static bool
digest_with_hash(const struct digest *proof, const char *hash,
    struct digest *out)
{
	const struct bytes parts[] = {
		{ proof->byte, sizeof(proof->byte) }, bytes_str(hash),
	};

	return digest_of(parts, 2, out);
}

static struct wrong *
wrong_of(struct verifier *v, const struct digest *d)
{
	return &v->wrong[le64_get(d->byte) % WRONG_MAX];
}

static struct delay *
delay_of(struct verifier *v, uint64_t from)
{
	return &v->delay[from % DELAYS_MAX];
}

/* ST_OK: nothing is, it has to be hashed.  Under the lock. */
static enum status
recall(struct verifier *v, const struct digest *wrong, uint64_t from,
    int64_t now)
{
	const struct wrong *w = wrong_of(v, wrong);
	const struct delay *d = delay_of(v, from);

	if (w->until > now && digest_same(&w->digest, wrong))
		return ST_BAD_CREDENTIAL;
	return d->until > now && d->from == from ? ST_PASSWORDS_BUSY : ST_OK;
}

static void
remember_wrong(struct verifier *v, const struct digest *wrong, uint64_t from)
{
	struct delay *d = delay_of(v, from);
	int64_t now = clock_mono();

	(void)pthread_mutex_lock(&v->lock);
	*wrong_of(v, wrong) = (struct wrong){ *wrong, now + VERIFY_WRONG_NS };
	if (d->from != from || now - d->wrong_at > FORGET_NS)
		d->ns = VERIFY_DELAY_NS / 2;
	d->from = from;
	d->wrong_at = now;
	d->ns = d->ns * 2 > VERIFY_DELAY_MAX_NS ? VERIFY_DELAY_MAX_NS :
	    d->ns * 2;
	d->until = now + d->ns;
	(void)pthread_mutex_unlock(&v->lock);
}

/* ---- on the thread ------------------------------------------------------------------- */

static enum status
compare(struct verify *q, const char *hash)
{
	struct bytes user = bytes_of(q->user, q->user_n);
	struct verifier *v = q->verifier;
	struct digest wrong;
	enum status st;

	if (!digest_with_hash(&q->proof, hash, &wrong))
		return ST_NO_MEMORY;
	(void)pthread_mutex_lock(&v->lock);
	st = recall(v, &wrong, q->from, clock_mono());
	(void)pthread_mutex_unlock(&v->lock);
	if (st != ST_OK)
		return st;
	if (password_fits(v->room, q->password, hash)) {
		roster_prove(q->roster, user, hash, &q->proof);
		return ST_OK;
	}
	remember_wrong(v, &wrong, q->from);
	return ST_BAD_CREDENTIAL;
}

/* Much may have become known while it waited. */
static enum status
judge(struct verify *q)
{
	char hash[PASSWORD_HASH_SIZE];

	if (atomic_load(&q->cancelled) || atomic_load(&q->verifier->ending) ||
	    clock_mono() - q->asked > VERIFY_QUEUE_NS)
		return ST_PASSWORDS_BUSY;
	switch (roster_password(q->roster, bytes_of(q->user, q->user_n),
	    &q->proof, hash)) {
	case ROSTER_UNKNOWN:
		return ST_BAD_CREDENTIAL;
	case ROSTER_PROVED:
		return ST_OK;
	case ROSTER_UNPROVED:
		break;
	}
	return compare(q, hash);
}

static void
free_question(struct verify *q)
{
	struct verifier *v = q->verifier;

	(void)pthread_mutex_lock(&v->lock);
	LIST_REMOVE(q, link);
	v->n_waiting--;
	(void)pthread_mutex_unlock(&v->lock);
	explicit_bzero(q, sizeof(*q));
	free(q);
}

static void
told(struct loop_msg *m)
{
	struct verify *q = container_of(m, struct verify, msg);
	enum status st = q->status;
	verify_fn *done = q->done;
	void *arg = q->arg;

	free_question(q);
	if (done)
		done(st, arg);
}

static void
judged(struct loop_msg *m)
{
	struct verify *q = container_of(m, struct verify, msg);

	q->status = judge(q);
	explicit_bzero(q->password, sizeof(q->password));
	loop_post(q->origin, &q->msg, told);
}

/* To no avail where it is not allowed: then it is a thread as any other. */
static void
be_nice(struct loop_msg *m)
{
	(void)m;
	(void)setpriority(PRIO_PROCESS, 0, NICE);	/* this thread alone */
}

/* ---- on a worker ----------------------------------------------------------------------- */

static struct verify *
make_question(struct verifier *v, const struct authorization *c)
{
	struct verify *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->verifier = v;
	q->asked = clock_mono();
	q->user_n = c->user.n;
	memcpy(q->user, c->user.p, c->user.n);
	memcpy(q->password, c->password, strlen(c->password) + 1);
	return q;
}

/* ST_OK: it is in the queue. */
static enum status
admit(struct verifier *v, const struct digest *wrong, uint64_t from,
    struct verify *q)
{
	enum status st;

	(void)pthread_mutex_lock(&v->lock);
	st = recall(v, wrong, from, clock_mono());
	if (st == ST_OK && v->n_waiting == VERIFY_QUEUE_MAX)
		st = ST_PASSWORDS_BUSY;
	if (st == ST_OK) {
		LIST_INSERT_HEAD(&v->waiting, q, link);
		v->n_waiting++;
	}
	(void)pthread_mutex_unlock(&v->lock);
	return st;
}

enum status
verify_ask(struct verifier *v, struct roster *r, const struct authorization *c,
    struct bytes from, struct loop *origin, verify_fn *done, void *arg,
    struct verify **out)
{
	char hash[PASSWORD_HASH_SIZE];
	struct digest proof, wrong;
	enum roster_word word;
	struct verify *q;
	enum status st;

	assert(c->kind == CREDENTIAL_BASIC);
	if (!make_proof(v, c, &proof))
		return ST_NO_MEMORY;
	word = roster_password(r, c->user, &proof, hash);
	if (word != ROSTER_UNPROVED)
		return word == ROSTER_PROVED ? ST_OK : ST_BAD_CREDENTIAL;
	q = make_question(v, c);
	if (!q || !digest_with_hash(&proof, hash, &wrong)) {
		free(q);
		return ST_NO_MEMORY;
	}
	q->roster = r;
	q->origin = origin;
	q->done = done;
	q->arg = arg;
	q->proof = proof;
	q->from = hash64(&v->key, from.p, from.n);
	st = admit(v, &wrong, q->from, q);
	if (st != ST_OK) {
		explicit_bzero(q, sizeof(*q));
		free(q);
		return st;
	}
	*out = q;
	loop_post(v->loop, &q->msg, judged);
	return ST_WAIT;
}

void
verify_cancel(struct verify **at)
{
	struct verify *q = *at;

	if (!q)
		return;
	*at = NULL;
	q->done = NULL;
	atomic_store(&q->cancelled, true);
}

/* ---- life --------------------------------------------------------------------------------- */

enum status
verifier_new(struct verifier **out)
{
	struct verifier *v = calloc(1, sizeof(*v));
	enum status st = ST_NO_MEMORY;

	if (!v)
		return ST_NO_MEMORY;
	(void)pthread_mutex_init(&v->lock, NULL);
	LIST_INIT(&v->waiting);
	v->room = password_room_new();
	if (v->room)
		st = hash_key_init(&v->key);
	if (st == ST_OK)
		st = loop_new("passwords", &v->loop);
	if (st == ST_OK)
		st = loop_start(v->loop);
	if (st != ST_OK) {
		loop_free(&v->loop);
		verifier_free(&v);
		return st;
	}
	loop_post(v->loop, &v->begin, be_nice);
	*out = v;
	return ST_OK;
}

void
verifier_free(struct verifier **at)
{
	struct verifier *v = *at;
	struct verify *q;

	if (!v)
		return;
	*at = NULL;
	atomic_store(&v->ending, true);
	if (v->loop) {
		loop_stop(v->loop);
		loop_join(v->loop);
		loop_free(&v->loop);
	}
	while ((q = LIST_FIRST(&v->waiting)) != NULL)
		free_question(q);
	password_room_free(&v->room);
	(void)pthread_mutex_destroy(&v->lock);
	explicit_bzero(v, sizeof(*v));
	free(v);
}
