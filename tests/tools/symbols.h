/* symbols.h - the symbol table of a 2.0 request that is being built.
 * SPDX-License-Identifier: Apache-2.0                                       */
#ifndef TESTS_TOOLS_SYMBOLS_H
#define TESTS_TOOLS_SYMBOLS_H

#include "wire.h"

struct symbols {
	struct wire_buf text;		/* of all, without separators */
	uint32_t *at;			/* offset of each; one more at the end */
	uint32_t *slot;			/* hash table: index + 1 */
	uint32_t n, slots;
};

/* Has "" as its first symbol, as it must be. */
void	symbols_init(struct symbols *);
void	symbols_fini(struct symbols *);
uint32_t symbols_intern(struct symbols *, struct wire_str);
struct wire_str symbols_text(const struct symbols *, uint32_t);

#endif
