/* value.h - counts, sizes and durations as people write them.
 * SPDX-License-Identifier: Apache-2.0
 *
 * An unsigned decimal number and at most one unit: for a count k or M (powers
 * of 1000), for a size K, M, G or T (powers of 1024), for a duration ms, s, m, h
 * or d.  A duration other than 0 has its unit; it comes out in nanoseconds.  A ratio is a
 * decimal fraction of up to three digits; it comes out in thousandths.      */
#ifndef RW_CONFIG_VALUE_H
#define RW_CONFIG_VALUE_H

#include <stdbool.h>
#include <stdint.h>

enum value_type {
	VALUE_COUNT,
	VALUE_SIZE,
	VALUE_DURATION,
	VALUE_RATIO,
	VALUE_WORD,
	VALUE_TEXT,
	VALUE_LIST,
};

/* COUNT, SIZE, DURATION, RATIO; false if it is none or past INT64_MAX. */
bool value_number(enum value_type, const char *text, uint64_t *out);

/* Which of the words in "one|two|three" it is; -1: none. */
int value_word(const char *words, const char *text);

#endif
