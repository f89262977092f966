/* spool_priv.h - what the files of this folder show each other.
 * SPDX-License-Identifier: Apache-2.0                                       */
#ifndef RW_SPOOL_SPOOL_PRIV_H
#define RW_SPOOL_SPOOL_PRIV_H

#include <stdatomic.h>

#include "spool/spool.h"

/* ---- names of files ---------------------------------------------------------- */

#define SPOOL_DIRECTORY_MAX 1000	/* bytes of the spool's own path */
#define SPOOL_NAME_MAX 128		/* of a reader's name */
#define SPOOL_PATH_MAX (SPOOL_DIRECTORY_MAX + SPOOL_NAME_MAX + 16)

#define SPOOL_SEGMENT "segment"
#define SPOOL_CURSOR "cursor"

/* DIRECTORY/folder/<number in 16 hex digits>suffix; without suffix: the folder. */
void spool_path(char to[SPOOL_PATH_MAX], const char *directory,
    const char *folder, uint64_t number, const char *suffix);
void spool_path_named(char to[SPOOL_PATH_MAX], const char *directory,
    const char *folder, const char *name);
/* The number of a file of that suffix; 0: it is another file. */
uint64_t spool_path_number(const char *name, const char *suffix);
bool spool_name_fits(const char *name);

/* What a file takes of the disk is a multiple of it. */
#define SPOOL_BLOCK UINT64_C(4096)

/* ---- cursor.c ------------------------------------------------------------------ */

struct cursor_state;

/* As cursor_open, but makes nothing. */
enum status cursor_read(const struct disk_ops *, const char *directory,
    const char *name, struct cursor_state *);
/* The first place that the cursor of this name still needs. */
enum status cursor_needs(const struct disk_ops *, const char *directory,
    const char *name, struct spool_pos *out);

#endif
