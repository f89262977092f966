/* verify.h - passwords are checked on a thread of their own, one after the other.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A password that is known to be right (roster.h) is answered at once.  Another is
 * hashed on the thread, which takes what the workers leave of the processors.  Who
 * guesses pays for it: a password that was wrong is known as such for a while, an
 * address that has sent a wrong one has to wait before the next is looked at, and
 * longer each time, and what waits for the thread is bounded in number and time.
 * Names that are not in the file are refused at once: they are no secret.     */
#ifndef RW_POLICY_VERIFY_H
#define RW_POLICY_VERIFY_H

#include "io/loop.h"
#include "policy/authorization.h"
#include "policy/roster.h"

#define VERIFY_QUEUE_MAX 256		/* waiting for the thread */
#define VERIFY_QUEUE_NS (INT64_C(10) * 1000000000)	/* and so long */
#define VERIFY_WRONG_NS (INT64_C(60) * 1000000000)	/* known to be wrong */
#define VERIFY_DELAY_NS (INT64_C(1) * 1000000000)	/* of an address, at first */
#define VERIFY_DELAY_MAX_NS (INT64_C(32) * 1000000000)

struct verifier;
struct verify;

/* ST_OK: it is right; ST_BAD_CREDENTIAL: it is not; ST_PASSWORDS_BUSY: ask again. */
typedef void verify_fn(enum status, void *arg);

/* Starts the thread. */
enum status verifier_new(struct verifier **out);
/* When the loops that have asked have stopped: who waits is not told. */
void verifier_free(struct verifier **);

/* Any thread.  A status as above; or ST_WAIT, and then `done` is called on the loop.
 * The credential is one by password, and is copied.  `from` stands for the address that
 * it came from.  The roster is borrowed for as long as the verifier lives. */
enum status verify_ask(struct verifier *, struct roster *,
    const struct authorization *, struct bytes from, struct loop *,
    verify_fn *done, void *arg, struct verify **out);
/* done will not be called.  On its loop. */
void verify_cancel(struct verify **);

#endif
