/* template.h - texts with $1, ${1}, ${name} and $$ in them.
 * SPDX-License-Identifier: Apache-2.0
 *
 * As Go's regexp.Expand has it, which Prometheus goes by: a name is the longest run of
 * letters, digits and _, so that $1x is the group "1x"; a group that is not there is "";
 * a $ that no name follows is a $.  Immutable, for any thread.              */
#ifndef RW_POLICY_TEMPLATE_H
#define RW_POLICY_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct template;

/* The group that a name means; -1: none. */
typedef int template_name_fn(struct bytes name, const void *arg);
/* The text of a group. */
typedef struct bytes template_group_fn(unsigned group, const void *arg);

/* NULL: out of memory.  The text is copied; name_of is asked for what is no number. */
struct template *template_new(const char *text, template_name_fn *name_of,
    const void *arg);
void template_free(struct template **);

/* Has no groups in it, so that it is the same each time. */
bool template_is_plain(const struct template *);
/* The highest group in it, 0: none but perhaps the whole.  UINT32_MAX: one that is not
 * there. */
uint32_t template_reach(const struct template *);

/* How long it comes out, and that, into `out` which has the room; returns its end. */
size_t template_size(const struct template *, template_group_fn *,
    const void *arg);
uint8_t *template_write(const struct template *, template_group_fn *,
    const void *arg, uint8_t *out);

#endif
