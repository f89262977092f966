/* test_spool_threads.c - a spool between threads, on a real disk.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Writers, the spool and readers each on a loop of their own; segments so small
 * that they change all the time.  Every record comes out of each reader, each
 * writer's in its order, and what all have released is gone.                */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "spool/spool.h"

#define WRITERS 2
#define READERS 2
#define FLIGHTS 16			/* records of a writer under way */
#define RECORDS 1500			/* of each writer */

struct flight {
	struct spool_write write;
	struct loop_msg msg;
	struct writer *writer;
	uint8_t data[300];
};

struct writer {
	struct loop *loop;
	uint32_t stream, next;
	struct flight flights[FLIGHTS];
};

struct follower {
	struct loop *loop;
	struct loop_msg msg;
	struct spool_reader *reader;
	uint32_t next[WRITERS + 1];
	unsigned n;
	bool wrong;
};

static struct spool *spool;
static struct writer writers[WRITERS];
static struct follower followers[READERS];
static _Atomic unsigned acknowledged, readers_done, refused;

static void
fly(struct loop_msg *msg)
{
	struct flight *f = container_of(msg, struct flight, msg);
	struct writer *w = f->writer;

	if (w->next == RECORDS)
		return;
	le32_put(f->data, w->next);
	f->write.epoch = spool_epoch(spool);
	f->write.stream = w->stream;
	f->write.data = (struct bytes){ f->data, 4 + w->next % 290 };
	f->write.wall_ms = clock_wall() / CLOCK_MS;
	w->next++;
	spool_submit(spool, &f->write);
}

static void
on_done(struct spool_write *w)
{
	struct flight *f = container_of(w, struct flight, write);

	if (w->status == ST_OK)
		acknowledged++;
	else
		refused++;
	loop_post(f->writer->loop, &f->msg, fly);
}

static void
on_wake(void *arg)
{
	struct follower *r = arg;
	struct spool_record rec;
	enum status st;

	while ((st = spool_read(r->reader, &rec)) == ST_OK) {
		if (rec.stream < 1 || rec.stream > WRITERS ||
		    le32_get(rec.data.p) != r->next[rec.stream]++)
			r->wrong = true;
		(void)spool_backlog(r->reader, rec.next);
		spool_reader_release(r->reader, rec.pos);
		if (++r->n == WRITERS * RECORDS)
			readers_done++;
	}
	if (st != ST_END)
		r->wrong = true;
}

static void
first_look(struct loop_msg *msg)
{
	on_wake(container_of(msg, struct follower, msg));
}

static void
end(struct loop *loop)
{
	loop_stop(loop);
	loop_join(loop);
}

static void
all_comes_out_in_order(void **state)
{
	struct spool_opts o = {
		.size_bytes = 64 << 20,
		.segment_bytes = 16 << 10,
		.segment_age_ns = 3600 * CLOCK_S,
	};
	char dir[] = "test_spool_threads.XXXXXX", command[64];
	struct loop *loop;
	unsigned i, k;

	(void)state;
	assert_non_null(mkdtemp(dir));
	o.directory = dir;
	assert_int_equal(loop_new("spool", &loop), ST_OK);
	assert_int_equal(spool_open(&o, &disk_posix, loop, &spool), ST_OK);
	for (i = 0; i < WRITERS; i++) {
		struct writer *w = &writers[i];

		assert_int_equal(loop_new("writer", &w->loop), ST_OK);
		assert_int_equal(spool_add_writer(spool, w->loop), ST_OK);
		w->stream = i + 1;
		for (k = 0; k < FLIGHTS; k++) {
			w->flights[k].writer = w;
			w->flights[k].write.done = on_done;
			loop_post(w->loop, &w->flights[k].msg, fly);
		}
	}
	for (i = 0; i < READERS; i++) {
		struct follower *r = &followers[i];

		assert_int_equal(loop_new("reader", &r->loop), ST_OK);
		assert_int_equal(spool_reader_new(spool, i ? "b" : "a",
		    r->loop, on_wake, r, &r->reader), ST_OK);
		loop_post(r->loop, &r->msg, first_look);
		assert_int_equal(loop_start(r->loop), ST_OK);
	}
	assert_int_equal(loop_start(loop), ST_OK);
	for (i = 0; i < WRITERS; i++)
		assert_int_equal(loop_start(writers[i].loop), ST_OK);
	for (i = 0; i < 6000 && readers_done < READERS; i++)
		(void)usleep(10000);
	for (i = 0; i < WRITERS; i++)
		end(writers[i].loop);
	end(loop);
	assert_int_equal(acknowledged, WRITERS * RECORDS);
	assert_int_equal(refused, 0);
	assert_int_equal(readers_done, READERS);
	for (i = 0; i < READERS; i++) {
		end(followers[i].loop);
		assert_false(followers[i].wrong);
		assert_true(spool_oldest(followers[i].reader).segment > 2);
		spool_reader_free(&followers[i].reader);
	}
	spool_close(&spool);
	for (i = 0; i < READERS; i++)
		loop_free(&followers[i].loop);
	for (i = 0; i < WRITERS; i++)
		loop_free(&writers[i].loop);
	loop_free(&loop);
	(void)snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_comes_out_in_order),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
