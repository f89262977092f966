/* fake/loop.h - io/loop.h on a string: one thread, and time that passes when
 * the test says so.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Linked before the real one: mailbox, hooks, timers, names; no descriptor is ever
 * ready.  Every loop made is turned by the same calls, one after the other in the
 * order of their making, the same in each run.  loop_run and loop_join turn all,
 * and let time pass, until that loop is stopped.                            */
#ifndef RW_TESTS_FAKE_LOOP_H
#define RW_TESTS_FAKE_LOOP_H

#include "io/loop.h"

/* Turns all loops, in the order in which they were made, until no message waits and no
 * timer is due. */
void fake_settle(void);
/* One turn of one loop. */
void fake_turn(struct loop *);
/* Lets time pass (clock_mono and clock_wall), settling whenever a timer is due. */
void fake_pass(int64_t ns);
/* As fake_pass, but no longer than until the question, asked before each turn, is
 * answered yes; false if it never was. */
bool fake_until(bool (*question)(void *arg), void *arg, int64_t at_most_ns);
/* Whether loop_stop() was called; the loop turns on all the same. */
bool fake_stopped(const struct loop *);
/* Makes both clocks the fake's: at the start of the test's main. */
void fake_clock_init(void);

/* Any name is found after 1 ms, with one address (192.0.2.1), unless it was told here
 * with how many: 192.0.2.1, 192.0.2.2 and so on; 0: it is not found. */
void fake_host(const char *name, size_t n_addrs);
/* These, in this order, up to a NULL. */
void fake_host_at(const char *name, const char *const *addresses);

#endif
