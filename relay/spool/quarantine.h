/* quarantine.h - what is damaged goes out of the way, and is kept.
 * SPDX-License-Identifier: Apache-2.0
 *
 *	DIRECTORY/quarantine/<16 hex>-<offset>.span	the end of a segment
 *	DIRECTORY/quarantine/<16 hex>.rwl		a whole one
 *
 * For who holds the spool's lock.  Stopped half way, it can be done again.  */
#ifndef RW_SPOOL_QUARANTINE_H
#define RW_SPOOL_QUARANTINE_H

#include <stdint.h>

#include "spool/disk.h"
#include "spool/spool.h"

/* All that stands from the offset on, where a record stood that fails: what is
 * before it is sealed.  The disk's status; ST_DAMAGED: the segment has changed. */
enum status quarantine_span(const struct disk_ops *, const char *directory,
    uint64_t number, uint64_t offset, spool_edge_fn *edge_of);
enum status quarantine_segment(const struct disk_ops *, const char *directory,
    uint64_t number);

#endif
