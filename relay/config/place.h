/* place.h - where in the config file something stands, and what is wrong with
 * it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RW_CONFIG_PLACE_H
#define RW_CONFIG_PLACE_H

#include <stddef.h>

#include "base/status.h"

struct config_error;

struct place {
	const char *file;
	int line;			/* 0: the file as a whole */
	const char *section;		/* NULL: outside of sections */
	const char *title;		/* NULL: the section has none */
};

/* Writes `file:line: section "title": what`, unless there is a text already: the
 * first complaint is the one to be told.  Returns ST_CONFIG. */
enum status place_refuse(const struct place *, struct config_error *,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A value as it is shown in a complaint: quoted if it is empty or not plain, cut if
 * it does not fit `out`. */
const char *place_shown(const char *text, char *out, size_t size);

#endif
