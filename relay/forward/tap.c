/* tap.c - a reader, and the decoders of its segment.
 * SPDX-License-Identifier: Apache-2.0 */
#include "forward/tap.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "series/codec.h"

#define STREAMS_MAX (1u << 20)		/* in a segment */
#define DECODER_BYTES_MAX ((size_t)2 << 30)

void
tap_stream_fini(struct tap_stream *t)
{
	decoder_free(&t->decoder);
	route_stream_fini(&t->route);
}

/* The decoder has about as much for each series as the dictionary. */
size_t
tap_stream_size(const struct tap_stream *t)
{
	return t->decoder ? 2 * dict_size(decoder_dict(t->decoder)) : 0;
}

static void
drop_streams(struct tap *p)
{
	uint32_t i;

	for (i = 0; i < p->n_streams; i++)
		tap_stream_fini(&p->streams[i]);
	free(p->streams);
	p->streams = NULL;
	p->n_streams = 0;
}

enum status
tap_open(struct tap *p, struct spool *spool, const char *name,
    struct loop *loop, void (*wake)(void *), void *arg)
{
	p->name = name;
	return spool_reader_new(spool, name, loop, wake, arg, &p->reader);
}

void
tap_close(struct tap *p)
{
	drop_streams(p);
	if (p->reader)
		spool_reader_free(&p->reader);
}

enum status
tap_seek(struct tap *p, struct spool_pos to)
{
	drop_streams(p);
	p->segment = 0;
	p->again = false;
	return spool_reader_seek(p->reader, to);
}

/* ---- reading -------------------------------------------------------------------- */

static struct tap_stream *
stream_of(struct tap *p, uint32_t stream)
{
	struct tap_stream *more;
	uint32_t n;

	if (stream >= p->n_streams) {
		n = stream + stream / 2 + 16;
		more = realloc(p->streams, n * sizeof(*more));
		if (!more)
			return NULL;
		memset(more + p->n_streams, 0,
		    (n - p->n_streams) * sizeof(*more));
		p->streams = more;
		p->n_streams = n;
	}
	return &p->streams[stream];
}

void
tap_lost(struct tap *p, enum status st)
{
	const struct spool_record *r = &p->record;

	if (st == ST_MISSING) {
		log_warn("spool-gap", "upstream=%s segment=%016llx hint=\"the "
		    "segment has been removed; if by retention, the file gaps "
		    "in the spool's directory has what it held\"", p->name,
		    (unsigned long long)r->pos.segment);
		return;
	}
	metric_group_add(p->metrics, METRIC_UP_DAMAGED, 1);
	log_error("spool-damaged", "upstream=%s segment=%016llx offset=%llu "
	    "reason=%s hint=\"what the segment holds from there on cannot be "
	    "delivered\"", p->name, (unsigned long long)r->pos.segment,
	    (unsigned long long)r->pos.offset, status_info(st)->word);
}

static void
count(struct tap_stream *t, const struct spool_record *r)
{
	struct bytes edge;

	t->after = t->read ? t->last : r->pos;
	t->last = r->next;
	if (t->read++ == 0) {
		edge = codec_edge(r->data);
		t->edge = edge.n ? hash_lasting(edge.p, edge.n) : 0;
	}
}

enum status
tap_read(struct tap *p, struct tap_stream **out)
{
	struct spool_record *r = &p->record;
	enum status st;

	*out = NULL;
	if (!p->again) {
		p->counted = false;
		st = spool_read(p->reader, r);
		if (st == ST_OK && r->stream >= STREAMS_MAX)
			st = ST_BAD_RECORD;
		if (st != ST_OK) {
			if (st != ST_END && st != ST_NO_MEMORY)
				tap_lost(p, st);
			return st;
		}
	}
	if (r->pos.segment != p->segment) {
		drop_streams(p);
		p->segment = r->pos.segment;
	}
	*out = stream_of(p, r->stream);
	p->again = !*out;
	if (!*out)
		return ST_NO_MEMORY;
	if (!p->counted)
		count(*out, r);
	p->counted = true;
	return ST_OK;
}

void
tap_unread(struct tap *p)
{
	p->again = true;
}

/* ---- decoding -------------------------------------------------------------------- */

bool
tap_can_decode(const struct tap_stream *t)
{
	return t->decoded + 1 == t->read && (t->decoder || t->read == 1);
}

/* What cannot be decoded takes its stream with it: what follows in the segment builds on
 * it. */
enum status
tap_learn(struct tap *p, struct tap_stream *t, struct batch *b)
{
	static const struct decoder_opts opts = { DECODER_BYTES_MAX };
	enum status st = ST_OK;

	if (!tap_can_decode(t))
		st = ST_BAD_RECORD;
	else if (!t->decoder)
		st = decoder_new(&opts, &t->decoder);
	if (st == ST_OK)
		st = decoder_decode(t->decoder, p->record.data, b);
	if (st == ST_OK) {
		t->decoded++;
		return ST_OK;
	}
	if (st != ST_NO_MEMORY)
		tap_lost(p, st);
	decoder_free(&t->decoder);
	return st;
}

enum status
tap_decode(struct tap *p, struct tap_stream *t, struct batch *b,
    uint64_t *elsewhere)
{
	enum status st = tap_learn(p, t, b);

	*elsewhere = 0;
	if (st != ST_OK || !p->route)
		return st;
	st = route_batch(p->route, &t->route, decoder_dict(t->decoder), b,
	    elsewhere);
	if (st != ST_OK) {
		if (st != ST_NO_MEMORY)
			tap_lost(p, st);
		decoder_free(&t->decoder);
	}
	return st;
}
