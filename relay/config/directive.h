/* directive.h - the rows of directive.tbl, with where their values go.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RW_CONFIG_DIRECTIVE_H
#define RW_CONFIG_DIRECTIVE_H

#include <stddef.h>

#include "config/value.h"

struct directive {
	const char *section, *name;	/* section "top": outside of sections */
	enum value_type type;
	const char *usual, *low, *high;
	const char *(*check)(const char *text);	/* a sentence, or NULL: fine */
	size_t offset, size;		/* of the field in the section's struct */
};

extern const struct directive directives[];
extern const size_t directives_n;

#endif
