/* walk.c - segments by number, streams by number, records in order.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tool/walk.h"

#include <stdlib.h>
#include <string.h>

#include "series/codec.h"
#include "spool/disk.h"
#include "spool/done.h"
#include "spool/recover.h"
#include "spool/scan.h"

#define STREAMS_MAX (1U << 20)
#define DECODER_BYTES_MAX ((size_t)2 << 30)
#define BATCH_BYTES_MAX ((size_t)1 << 30)
#define BATCH_KEEP ((size_t)1 << 20)

struct walk {
	const char *directory;
	const struct walk_calls *calls;
	struct scan scan;
	struct done done;		/* owned, of the segment */
	struct batch *batch;		/* owned */
	struct decoder **decoders;	/* owned, by stream of the segment */
	uint32_t n_decoders;
	bool enough;
};

static void
drop_decoders(struct walk *w)
{
	uint32_t i;

	for (i = 0; i < w->n_decoders; i++)
		decoder_free(&w->decoders[i]);
	free(w->decoders);
	w->decoders = NULL;
	w->n_decoders = 0;
}

static enum status
decoder_of(struct walk *w, uint32_t stream, struct decoder **out)
{
	static const struct decoder_opts o = { DECODER_BYTES_MAX };
	uint32_t n = stream + stream / 2 + 16;
	struct decoder **more;
	enum status st;

	if (stream >= STREAMS_MAX)
		return ST_BAD_RECORD;
	if (stream >= w->n_decoders) {
		more = realloc(w->decoders, n * sizeof(struct decoder *));
		if (!more)
			return ST_NO_MEMORY;
		memset(more + w->n_decoders, 0,
		    (n - w->n_decoders) * sizeof(struct decoder *));
		w->decoders = more;
		w->n_decoders = n;
	}
	st = w->decoders[stream] ? ST_OK : decoder_new(&o,
	    &w->decoders[stream]);
	*out = w->decoders[stream];
	return st;
}

static enum status
give(struct walk *w, const struct walk_segment *s,
    const struct spool_record *r)
{
	struct walk_record out = { .segment = s, .record = *r };
	struct decoder *d;
	enum status st = ST_OK;

	if (done_has(&w->done, r->pos.offset))
		return ST_OK;
	if (r->stream != 0) {
		batch_reset(w->batch);
		st = decoder_of(w, r->stream, &d);
		if (st == ST_OK)
			st = decoder_decode(d, r->data, w->batch);
		if (st != ST_OK)
			return st;
		out.dict = decoder_dict(d);
		out.batch = w->batch;
	}
	w->enough = w->calls->record && !w->calls->record(&out, w->calls->arg);
	return ST_OK;
}

static enum status
records(struct walk *w, struct walk_segment *s)
{
	struct spool_record r;
	enum status st;

	while (!w->enough) {
		st = scan_next(&w->scan, &r);
		if (st != ST_OK)
			return st == ST_END ? ST_OK : st;
		st = give(w, s, &r);
		if (st != ST_OK)
			return st;
		s->end = w->scan.offset;
		s->records++;
	}
	return ST_OK;
}

/* `f` was found a moment ago, and a record may have come since. */
static void
look_at(uint64_t number, enum status st, const struct recover_finding *f,
    void *arg)
{
	struct walk *w = arg;
	struct walk_segment s = { .number = number, .end = FORMAT_HEADER };
	char path[SPOOL_PATH_MAX];

	if (w->enough || st == ST_MISSING)
		return;
	if (st == ST_OK) {
		s.bytes = f->size;
		s.sealed = f->sealed;
		spool_path(path, w->directory, SPOOL_SEGMENT, number, ".rwl");
		st = scan_open(&w->scan, path, number);
	}
	if (st == ST_OK)
		st = done_read(&disk_posix, w->directory, number, &w->done);
	if (st == ST_MISSING)
		return;
	if (st == ST_OK) {
		w->scan.end = f->totals.end;
		st = records(w, &s);
	}
	s.status = st == ST_OK && f->damaged ? ST_DAMAGED : st;
	scan_close(&w->scan);
	done_fini(&w->done);
	drop_decoders(w);
	if (w->calls->segment)
		w->calls->segment(&s, w->calls->arg);
}

enum status
walk_spool(const char *directory, const struct walk_calls *calls)
{
	struct walk w = { .directory = directory, .calls = calls };
	enum status st;

	if (strlen(directory) > SPOOL_DIRECTORY_MAX)
		return ST_TOO_LARGE;
	w.batch = batch_new(BATCH_BYTES_MAX, BATCH_KEEP);
	if (!w.batch)
		return ST_NO_MEMORY;
	scan_init(&w.scan, &disk_posix);
	st = recover_verify(&disk_posix, directory, true, look_at, &w);
	scan_fini(&w.scan);
	batch_free(&w.batch);
	return st;
}
