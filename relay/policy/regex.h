/* regex.h - expressions of the config file: the door to PCRE2.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Anchored at both ends, of UTF-8, and `.` is any character, newlines too: as
 * Prometheus 3 and PromQL have it, ^(?s:...)$.  They are those of PCRE2, which knows
 * nearly all of RE2's and some that RE2 does not; other than RE2 it may take steps
 * without end, so they are counted, and the effort is bounded.
 * An expression is immutable, for any thread; the room is for one at a time.  */
#ifndef RW_POLICY_REGEX_H
#define RW_POLICY_REGEX_H

#include <stddef.h>

#include "base/bytes.h"

struct regex;
struct regex_room;

#define REGEX_GROUPS_MAX 64		/* of an expression, beside the whole */

/* NULL and *out filled, or a sentence (static) on what is wrong. */
const char *regex_new(struct bytes text, struct regex **out);
void regex_free(struct regex **);
unsigned regex_groups(const struct regex *);
/* The number of the group of this name; -1: there is none. */
int regex_group(const struct regex *, struct bytes name);

/* NULL: out of memory. */
struct regex_room *regex_room_new(void);
void regex_room_free(struct regex_room **);

enum regex_result { REGEX_NO, REGEX_YES, REGEX_GIVEN_UP };

/* Borrows `text`, as long as groups of it are asked for. */
enum regex_result regex_match(const struct regex *, struct regex_room *,
    struct bytes text);
/* Of what has matched last; "" if the group took no part.  0: the whole. */
struct bytes regex_taken(const struct regex_room *, unsigned group);

#endif
