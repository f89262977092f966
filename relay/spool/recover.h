/* recover.h - what is found on disk at start, put in order.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Sealed segments are known by their footer and not read.  The others are read
 * through; a torn tail is cut, and they are sealed.  Damage in the middle leaves
 * the file as it is, but for the footer behind it.                          */
#ifndef RW_SPOOL_RECOVER_H
#define RW_SPOOL_RECOVER_H

#include "spool/format.h"
#include "spool/spool_priv.h"

/* What a segment's file was found to be. */
struct recover_finding {
	bool sealed;			/* had its footer */
	bool readable;			/* header passes its check */
	uint64_t size;			/* of the file */
	uint64_t unsure;		/* from here on it may not be synced */
	uint64_t cut;			/* bytes of a torn tail */
	uint64_t damaged;		/* bytes of records that fail, or follow such */
	struct format_footer totals;	/* flags, how far records go, what they
					   hold */
	spool_edge_fn *edge_of;		/* to count edges by, or NULL */
};

/* Reads records even of a sealed segment if `all`.  Changes nothing.  ST_OK, or
 * ST_BAD_FORMAT, ST_DISK, ST_DENIED, ST_MISSING, ST_NO_MEMORY: it could not be
 * looked at. */
enum status recover_look(const struct disk_ops *, const char *directory,
    uint64_t number, bool all, struct recover_finding *out);

/* The same for every segment of a directory, in order; a relay may be using it.
 * status is what recover_look() ended with.  ST_MISSING: there is none. */
typedef void recover_each_fn(uint64_t number, enum status,
    const struct recover_finding *, void *arg);
enum status recover_verify(const struct disk_ops *, const char *directory,
    bool all, recover_each_fn *each, void *arg);

struct recover_sums {
	uint64_t segments, bytes;	/* found */
	uint64_t read;			/* segments that had to be read through */
	uint64_t cut, damaged;		/* bytes */
};

struct shelf;

/* Fills the shelf with what is there (all sealed), and with the claims of cursor
 * files.  Logs what was wrong. */
enum status recover_all(const struct disk_ops *, const char *directory,
    spool_edge_fn *edge_of, struct shelf *, struct recover_sums *out);

#endif
