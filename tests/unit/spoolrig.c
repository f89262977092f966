/* spoolrig.c - what the tests of the spool have in common.
 * SPDX-License-Identifier: Apache-2.0 */
#include "spoolrig.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define HEAD 12				/* number, length, stream */

static struct bytes
edge_of(struct bytes data)
{
	static const char *const edge[] = { "edge-0", "edge-1", "edge-2" };

	assert(data.n >= HEAD && le32_get(data.p + 8) <= RIG_WRITERS);
	return bytes_str(edge[le32_get(data.p + 8)]);
}

const struct spool_opts rig_opts = {
	.directory = RIG_DIR,
	.size_bytes = 64 << 10,
	.segment_bytes = 4 << 10,
	.segment_age_ns = 3600 * CLOCK_S,
	.sync = SPOOL_SYNC_ALWAYS,
	.edge_of = edge_of,
};

static void
make_loops(struct rig *r)
{
	unsigned i;

	assert(loop_new("spool", &r->loop) == ST_OK);
	assert(loop_new("reader", &r->reader_loop) == ST_OK);
	for (i = 0; i < RIG_WRITERS; i++)
		assert(loop_new("writer", &r->writer[i]) == ST_OK);
}

static void
free_loops(struct rig *r)
{
	unsigned i;

	for (i = 0; i < RIG_WRITERS; i++)
		loop_free(&r->writer[i]);
	loop_free(&r->reader_loop);
	loop_free(&r->loop);
}

void
rig_init(struct rig *r, struct disk_ram *disk)
{
	*r = (struct rig){ .disk = disk };
	make_loops(r);
}

void
rig_forget(struct rig *r)
{
	free_loops(r);
	make_loops(r);
}

void
rig_fini(struct rig *r)
{
	unsigned i;

	for (i = 0; i < r->n; i++)
		free(r->writes[i].data);
	free_loops(r);
}

enum status
rig_open(struct rig *r, const struct spool_opts *o)
{
	enum status st = spool_open(o, disk_ram_ops(r->disk), r->loop,
	    &r->spool);
	unsigned i;

	for (i = 0; st == ST_OK && i < RIG_WRITERS; i++)
		st = spool_add_writer(r->spool, r->writer[i]);
	return st;
}

void
rig_close(struct rig *r)
{
	unsigned i;

	for (i = 0; i < RIG_READERS; i++)
		spool_reader_free(&r->readers[i]);
	spool_close(&r->spool);
}

static uint8_t
byte_of(unsigned number, size_t i)
{
	return (uint8_t)(number * 31 + i * 7 + i / 256);
}

static void
on_done(struct spool_write *w)
{
	struct rig_write *rw = container_of(w, struct rig_write, write);

	assert(!rw->done);
	if (disk_ram_dead(rw->rig->disk))
		return; /* power is gone: nobody hears it */
	rw->done = true;
	rw->status = w->status;
	rw->rig->order[rw->rig->n_done++] = rw->number;
}

unsigned
rig_submit(struct rig *r, unsigned writer, size_t n)
{
	struct rig_write *w = &r->writes[r->n];
	size_t i;

	assert(r->n < RIG_MAX);
	n = n < HEAD ? HEAD : n;
	w->rig = r;
	w->number = r->n;
	w->data = malloc(n);
	assert(w->data);
	le32_put(w->data, w->number);
	le32_put(w->data + 4, (uint32_t)n);
	le32_put(w->data + 8, writer + 1);
	for (i = HEAD; i < n; i++)
		w->data[i] = byte_of(w->number, i);
	w->write = (struct spool_write){
		.epoch = spool_epoch(r->spool),
		.stream = writer + 1,
		.data = { w->data, n },
		.wall_ms = clock_wall() / CLOCK_MS - (int64_t)writer,
		.defined = r->defines,
		.points = { 1, w->number * 1000 + 1000,
			w->number * 1000 + 1000 },
		.done = on_done,
	};
	spool_submit(r->spool, &w->write);
	return r->n++;
}

enum status
rig_store(struct rig *r, size_t n)
{
	unsigned number = rig_submit(r, 0, n);

	fake_settle();
	assert(r->writes[number].done);
	return r->writes[number].status;
}

bool
rig_acked(const struct rig *r, unsigned number)
{
	return r->writes[number].done && r->writes[number].status == ST_OK;
}

static void
on_wake(void *arg)
{
	struct rig *r = arg;

	r->wakes++;
}

struct spool_reader *
rig_reader(struct rig *r, const char *name)
{
	struct spool_reader *reader = NULL;
	enum status st = spool_reader_new(r->spool, name, r->reader_loop,
	    on_wake, r, &reader);

	unsigned i = 0;

	assert(st == ST_OK);
	while (r->readers[i])
		assert(++i < RIG_READERS);
	return r->readers[i] = reader;
}

void
rig_reader_free(struct rig *r, struct spool_reader **reader)
{
	unsigned i = 0;

	while (r->readers[i] != *reader)
		assert(++i < RIG_READERS);
	r->readers[i] = NULL;
	spool_reader_free(reader);
}

unsigned
rig_check(const struct spool_record *r)
{
	unsigned number;
	size_t i;

	assert(r->data.n >= HEAD);
	number = le32_get(r->data.p);
	assert(le32_get(r->data.p + 4) == r->data.n);
	for (i = HEAD; i < r->data.n; i++)
		assert(r->data.p[i] == byte_of(number, i));
	return number;
}
