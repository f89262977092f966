/* grammar.h - the config file through libconfuse: sections, directives, texts.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What stands where, and nothing about what it means.  A section is named by its
 * kind and number: ("upstream", 2); ("top", 0) is what is outside of sections,
 * and there is always one admin and one spool.  Sections within others are numbered
 * through all of those: ("relabel", 0) is the first of the first edge that has
 * any; and an upstream always has one ("oauth2", the same number).          */
#ifndef RW_CONFIG_GRAMMAR_H
#define RW_CONFIG_GRAMMAR_H

#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"
#include "config/place.h"

struct grammar;

struct setting {
	const char *file;		/* in the arena */
	int line;
	char text[];
};

/* Texts of places are in the arena, or in the grammar; path is borrowed for its
 * life.  The statuses of config_load. */
enum status grammar_parse(const char *path, struct arena *,
    struct grammar **out, struct config_error *why);
void grammar_free(struct grammar **);

size_t grammar_sections(const struct grammar *, const char *section);
/* Of the i-th section of the outer kind, how many of the inner are in it. */
size_t grammar_within(const struct grammar *, const char *outer, size_t i,
    const char *inner);
size_t grammar_values(const struct grammar *, const char *section, size_t i,
    const char *directive);
const struct setting *grammar_value(const struct grammar *,
    const char *section, size_t i, const char *directive, size_t k);

/* Of a value, or of the section if k is past the values (or directive NULL). */
struct place grammar_place(const struct grammar *, const char *section,
    size_t i, const char *directive, size_t k);

#endif
