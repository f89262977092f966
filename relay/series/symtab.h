/* symtab.h - strings, each numbered.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Numbers are given in order, from 0, which is "" and always there.  Text is
 * stored once and never moves.  Found by a keyed hash: the strings come from
 * outside.  Not thread-safe.                                                */
#ifndef RW_SERIES_SYMTAB_H
#define RW_SERIES_SYMTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

struct symtab;

enum status symtab_new(struct symtab **out);	/* ST_NO_MEMORY, ST_SYSTEM */
void symtab_free(struct symtab **);
/* Only "" is left. */
void symtab_reset(struct symtab *);

uint32_t symtab_n(const struct symtab *);
struct bytes symtab_text(const struct symtab *, uint32_t symbol);

bool symtab_find(const struct symtab *, struct bytes, uint32_t *symbol);
/* Finds, or copies as a new symbol.  ST_NO_MEMORY: nothing changed. */
enum status symtab_intern(struct symtab *, struct bytes, uint32_t *symbol);
/* A new symbol without a look: for tables that only go from number to text.
 * Not to be mixed with find and intern on one table. */
enum status symtab_append(struct symtab *, struct bytes, uint32_t *symbol);
/* Forgets the symbols from n on (n > 0). */
void symtab_cut(struct symtab *, uint32_t n);

/* The key of its hash, for indexes of what is made of its symbols. */
struct hash_key;
const struct hash_key *symtab_key(const struct symtab *);

/* Bytes of text; bytes of memory, all in. */
size_t symtab_text_size(const struct symtab *);
size_t symtab_size(const struct symtab *);

#endif
