/* shelf.h - where the spool's loop and the readers' loops meet: which segments
 * there are, how far each is durable, and who still needs them.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The list and the claims stand under one lock, taken once a segment or a
 * release, never for a record: a message instead would make seeking wait for
 * the spool's loop, which may be in a sync.  A view's end and flags are atomics, so
 * that following the log takes no lock at all.                              */
#ifndef RW_SPOOL_SHELF_H
#define RW_SPOOL_SHELF_H

#include <pthread.h>
#include <stdatomic.h>

#include "spool/format.h"
#include "spool/spool_priv.h"

enum view_flag {
	VIEW_SEALED = 1,		/* end is final */
	VIEW_GONE = 2,			/* dropped before all had it */
};

/* What is seen of a segment. */
struct view {
	uint64_t number;
	_Atomic uint64_t end;		/* durable; grows until sealed */
	_Atomic unsigned flags;		/* enum view_flag; end is stored first */
	uint64_t size;			/* of the file; the spool's loop */
	int64_t last_ms;		/* wall_ms of its newest record; likewise;
					   INT64_MAX: unknown */
	unsigned refs;			/* under the lock */
};

struct claim {
	struct claim *next;
	struct spool_pos pos;		/* what is before is not needed */
	unsigned readers;		/* that move it; 0: of a file that was found */
	char name[SPOOL_NAME_MAX + 1];
};

struct shelf {
	pthread_mutex_t lock;
	struct view **views;		/* owned, by number; the first may be GONE */
	size_t n, cap;
	struct claim *claims;		/* owned */
	uint64_t size;			/* of all; the spool's loop */
};

void shelf_init(struct shelf *);
void shelf_fini(struct shelf *);

/* ---- the spool's loop ------------------------------------------------------- */

/* Behind all others.  The view is borrowed, until it is taken off. */
enum status shelf_add(struct shelf *, uint64_t number, struct view **out);
/* The first view, if every claim is past it and there are claims: off the list,
 * and *number tells which.  *gone: it was dropped before. */
bool shelf_take_passed(struct shelf *, uint64_t *number, bool *gone);
/* The first segment that is not GONE and is sealed becomes GONE, and one GONE before
 * it is off the list.  False if there is none, or it is the last.  *lost: some
 * claim was not past it, so it stays on the list. */
bool shelf_drop(struct shelf *, uint64_t *number, uint64_t *before, bool *lost);
/* The segment that shelf_drop would take.  Borrowed until then; NULL. */
const struct view *shelf_next_drop(struct shelf *);
/* The i-th of those that have not had all of a sealed segment.  False: there are not so
 * many. */
bool shelf_behind(struct shelf *, const struct view *, size_t i,
    char name[SPOOL_NAME_MAX + 1]);
bool shelf_has_claims(struct shelf *);
void shelf_set_size(struct shelf *, struct view *, uint64_t size);
/* Bytes on disk, and segments that are not GONE. */
uint64_t shelf_size(struct shelf *, size_t *segments);

/* ---- any thread ----------------------------------------------------------------- */

/* The first view with this number or a later one, with a reference; NULL.
 * *hole: one with a lower number is there, so this number should be too. */
struct view *shelf_from(struct shelf *, uint64_t number, bool *hole);
void shelf_unref(struct shelf *, struct view **);
/* The durable end of a segment; false: it is not there. */
bool shelf_end(struct shelf *, uint64_t number, uint64_t *end);
/* Oldest place that can be read, and the durable end. */
struct spool_pos shelf_oldest(struct shelf *);
struct spool_pos shelf_newest(struct shelf *);
uint64_t shelf_backlog(struct shelf *, struct spool_pos);
/* Bytes that some claim is not past; all, if there is no claim. */
uint64_t shelf_needed(struct shelf *);

/* The claim of this name, made if need be.  ST_NO_MEMORY. */
enum status shelf_claim(struct shelf *, const char *name, struct claim **out);
/* Somebody reads in its name, or not any more. */
void shelf_attach(struct shelf *, struct claim *);
void shelf_detach(struct shelf *, struct claim *);
/* The claim of this name is no more: ST_MISSING: it never was; ST_BUSY: somebody reads
 * in its name. */
enum status shelf_forget(struct shelf *, const char *name);
bool shelf_is_read(struct shelf *, const char *name);
/* Forward only.  True if a segment can go now. */
bool shelf_release(struct shelf *, struct claim *, struct spool_pos);
/* Who is the furthest behind; "" if there is no claim. */
void shelf_last(struct shelf *, char name[SPOOL_NAME_MAX + 1]);
/* The highest number that a view or a claim names. */
uint64_t shelf_highest(struct shelf *);

#endif
