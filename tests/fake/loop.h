/* fake/loop.h - io/loop.h on a string: one thread, and time that passes when
 * the test says so.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Linked before the real one: mailbox, hooks and timers; no descriptors and no names.
 * Every loop made is turned by the same two calls.                          */
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
/* Whether loop_stop() was called; the loop turns on all the same. */
bool fake_stopped(const struct loop *);
/* Makes both clocks the fake's: at the start of the test's main. */
void fake_clock_init(void);

#endif
