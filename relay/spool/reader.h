/* reader.h - the spool's end of its readers.
 * SPDX-License-Identifier: Apache-2.0                                       */
#ifndef RW_SPOOL_READER_H
#define RW_SPOOL_READER_H

#include "spool/shelf.h"

/* What readers ask of the spool; in struct spool. */
struct readers {
	const struct disk_ops *disk;	/* borrowed */
	const char *directory;		/* borrowed */
	struct shelf *shelf;		/* borrowed */
	pthread_mutex_t lock;		/* the list, and freeing */
	struct spool_reader *first;
	void (*can_remove)(struct spool *);	/* any thread */
};

struct readers *spool_readers(struct spool *);

void readers_init(struct readers *);
/* All loops that read have stopped. */
void readers_fini(struct readers *);
/* Wakes those that had read all.  On the spool's loop. */
void readers_wake(struct readers *);

#endif
