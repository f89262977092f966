/* bench_spool.c - what a group commit costs.
 * SPDX-License-Identifier: Apache-2.0
 *
 *	bench_spool [DIRECTORY [SECONDS [BYTES]]]
 *
 * The spool is made within DIRECTORY, and removed.
 *
 * N submitters, on two writer loops, each submit a record when the last one is
 * done, as edges do that wait for their answers.  For each N: commits and
 * records a second, CPU time of the whole process for each, and how long a
 * record took from its submission until it was durable.                     */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "spool/spool.h"

#define WRITERS 2
#define LATENCIES (1 << 20)

struct submitter {
	struct spool_write write;
	struct loop_msg msg;
	struct loop *home;
	int64_t since;
};

static struct spool *spool;
static struct loop *loop, *writers[WRITERS];
static uint8_t data[1 << 16];
static size_t bytes = 200;
static int64_t latency[LATENCIES];	/* the spool's loop */
static size_t n_latency;
static _Atomic bool stopping;
static _Atomic unsigned active;

static void
must(enum status st, const char *what)
{
	if (st == ST_OK)
		return;
	(void)fprintf(stderr, "bench_spool: %s: %s\n", what,
	    status_info(st)->sentence);
	exit(1);
}

static void submit(struct loop_msg *);

static void
on_done(struct spool_write *w)
{
	struct submitter *s = container_of(w, struct submitter, write);

	must(w->status, "write");
	if (n_latency < LATENCIES)
		latency[n_latency++] = clock_mono() - s->since;
	loop_post(s->home, &s->msg, submit);
}

static void
submit(struct loop_msg *msg)
{
	struct submitter *s = container_of(msg, struct submitter, msg);

	if (stopping) {
		active--;
		return;
	}
	s->since = clock_mono();
	s->write = (struct spool_write){
		.epoch = spool_epoch(spool),
		.stream = 1,
		.data = { data, bytes },
		.wall_ms = clock_wall() / CLOCK_MS,
		.done = on_done,
	};
	spool_submit(spool, &s->write);
}

static int
by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static double
cpu_us(void)
{
	struct rusage ru;

	(void)getrusage(RUSAGE_SELF, &ru);
	return (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1e6 +
	    (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
}

static void
run(unsigned n, double seconds)
{
	struct submitter *s = calloc(n, sizeof(*s));
	int64_t commits = metric_read(METRIC_SPOOL_COMMITS), records;
	int64_t written = metric_read(METRIC_SPOOL_WRITTEN);
	double cpu = cpu_us();
	unsigned i;

	n_latency = 0;
	stopping = false;
	active = n;
	for (i = 0; i < n; i++) {
		s[i].home = writers[i % WRITERS];
		loop_post(s[i].home, &s[i].msg, submit);
	}
	(void)usleep((useconds_t)(seconds * 1e6));
	stopping = true;
	while (active > 0)
		(void)usleep(1000);
	cpu = cpu_us() - cpu;
	commits = metric_read(METRIC_SPOOL_COMMITS) - commits;
	written = metric_read(METRIC_SPOOL_WRITTEN) - written;
	records = (int64_t)n_latency;
	qsort(latency, n_latency, sizeof(*latency), by_size);
	(void)printf("%4u submitters: %7.0f commits/s %8.0f records/s, CPU "
	    "%6.1f us a commit %6.1f us a record, latency p50 %5.0f p99 %6.0f "
	    "us, %.1f B of frame\n", n, (double)commits / seconds,
	    (double)records / seconds, cpu / (double)commits,
	    cpu / (double)records, (double)latency[n_latency / 2] / 1e3,
	    (double)latency[n_latency * 99 / 100] / 1e3,
	    (double)written / (double)records - (double)bytes);
	free(s);
}

static void
remove_one(const char *name, void *dir)
{
	char path[1200];

	(void)snprintf(path, sizeof(path), "%s/%s", (const char *)dir, name);
	(void)remove(path);
}

static void
remove_spool(char *dir)
{
	static const char *const sub[] = { "/segment", "/cursor", "" };
	char path[1100];
	size_t i;

	for (i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof(path), "%s%s", dir, sub[i]);
		(void)disk_posix.list(disk_posix.arg, path, remove_one, path);
		(void)rmdir(path);
	}
}

int
main(int argc, char **argv)
{
	char dir[1000];
	struct spool_opts o = {
		.directory = dir,
		.size_bytes = UINT64_C(4) << 30,
		.segment_bytes = 64 << 20,
		.segment_age_ns = 3600 * CLOCK_S,
		.drop_oldest = true,
	};
	double seconds = argc > 2 ? atof(argv[2]) : 3;
	unsigned i;

	if (argc > 3)
		bytes = (size_t)atoi(argv[3]);
	if (bytes > sizeof(data) || seconds <= 0)
		return 2;
	log_set_level(LOG_LEVEL_ERROR);
	(void)snprintf(dir, sizeof(dir), "%s/bench_spool.XXXXXX",
	    argc > 1 ? argv[1] : ".");
	if (!mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	for (i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	must(loop_new("spool", &loop), "loop");
	must(spool_open(&o, &disk_posix, loop, &spool), "open");
	for (i = 0; i < WRITERS; i++) {
		must(loop_new("writer", &writers[i]), "loop");
		must(spool_add_writer(spool, writers[i]), "writer");
		must(loop_start(writers[i]), "start");
	}
	must(loop_start(loop), "start");
	run(1, seconds);
	run(4, seconds);
	run(64, seconds);
	for (i = 0; i < WRITERS; i++) {
		loop_stop(writers[i]);
		loop_join(writers[i]);
	}
	loop_stop(loop);
	loop_join(loop);
	spool_close(&spool);
	for (i = 0; i < WRITERS; i++)
		loop_free(&writers[i]);
	loop_free(&loop);
	remove_spool(dir);
	return 0;
}
