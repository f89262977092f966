/* log.h - few lines, key=value, to stderr.
 * SPDX-License-Identifier: Apache-2.0
 *
 *	log_warn("upstream-held", "upstream=%s status=%d hint=\"...\"", ...);
 * gives
 *	time=2026-11-22T10:00:00.123Z level=warn event=upstream-held upstream=...
 *
 * Log once, where the decision is taken.  Values that come from outside go
 * through log_quote().  Lines of one event at one level are limited to a burst
 * of 20 and then one a second, with suppressed=N on the next that passes.  Any
 * thread; errno is kept.                                                    */
#ifndef RW_BASE_LOG_H
#define RW_BASE_LOG_H

#include <stddef.h>

#include "base/bytes.h"

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

void log_set_level(enum log_level);

void log_at(enum log_level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(event, ...) log_at(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...) log_at(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_info(event, ...) log_at(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) log_at(LOG_LEVEL_DEBUG, event, __VA_ARGS__)

/* Foreign text as a quoted value in out (size >= 8): control characters,
 * quotes and backslashes escaped, cut to fit.  Returns out. */
const char *log_quote(struct bytes, char *out, size_t size);

#endif
