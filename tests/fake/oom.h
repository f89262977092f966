/* oom.h - an allocator that fails once, when told to.
 * SPDX-License-Identifier: Apache-2.0
 *
 * For programs linked with oom.c and
 * -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc.  One thread.              */
#ifndef RW_TESTS_FAKE_OOM_H
#define RW_TESTS_FAKE_OOM_H

#include <stdbool.h>
#include <stdint.h>

#define OOM_NEVER UINT64_MAX

struct oom {
	bool on;			/* allocations count */
	uint64_t asked;			/* so many, while on */
	uint64_t fail_at;		/* the one that fails; 0: the first */
};
extern struct oom oom;

/* From now on; the n-th fails, 1: the next. */
static inline void
oom_on(uint64_t n)
{
	oom = (struct oom){ true, 0, n - 1 };
}

/* True if the one that was to fail has. */
static inline bool
oom_off(void)
{
	oom.on = false;
	return oom.asked > oom.fail_at;
}

#endif
