/* bench_prw.c - what a sample costs in the readers and writers of remote write.
 *
 *	bench_prw [-r rounds] [CAPTURE ...]
 *
 * CPU time of this thread for each sample: of each request its best round, for
 * what else the machine does only adds to it.  Snappy's own share stands beside ours.
 * SPDX-License-Identifier: Apache-2.0 */

#include <err.h>
#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "prw/payload.h"
#include "prw/v1.h"
#include "prw/v2.h"
#include "tests/reference/trip.h"
#include "tests/tools/capture.h"

#define REQUESTS_MAX 400

struct body {
	struct bytes raw, packed;	/* owned */
};

static struct body v1[REQUESTS_MAX], v2[REQUESTS_MAX];
static struct batch *decoded[REQUESTS_MAX];
static unsigned n_requests;
static uint64_t n_samples;

static struct hash_key key;
static struct trip trip;
static struct batch *scratch;		/* scans, and memory to unpack into */
static struct bytes warm;		/* a body as it comes from unpacking */
static struct buf packed;
static struct v1_builder *v1_builder;
static struct v2_builder *v2_builder;
static uint64_t sink;			/* so that nothing is left out */

static void
must(enum status st)
{
	if (st != ST_OK)
		errx(1, "%s", status_info(st)->sentence);
}

static struct bytes
keep(const void *p, size_t n)
{
	uint8_t *own = malloc(n ? n : 1);

	if (!own)
		err(1, NULL);
	memcpy(own, p, n);
	return bytes_of(own, n);
}

static struct body
body_of(const void *p, size_t n)
{
	struct body b = { .raw = keep(p, n) };

	buf_reset(&packed, SIZE_MAX);
	must(payload_pack(NULL, PAYLOAD_SNAPPY, b.raw, &packed));
	b.packed = keep(packed.data, packed.len);
	return b;
}

static void
body_fini(struct body *b)
{
	free((void *)(uintptr_t)b->raw.p);
	free((void *)(uintptr_t)b->packed.p);
}

/* All forms of each request, and what the codec makes of it. */
static void
load(const char *path)
{
	struct wire_decoder *wire = wire_decoder_new();
	struct capture *capture = capture_open(path);
	struct wire_buf other = { 0 };
	struct captured request;
	const char *why;

	if (!capture)
		exit(1);
	while (n_requests < REQUESTS_MAX &&
	    capture_next(capture, &request) == 1) {
		if (request.version != WIRE_V1)
			continue;
		why = capture_convert(wire, WIRE_V1, request.body, request.len,
		    WIRE_V2, &other);
		if (why)
			errx(1, "%s: %s", path, why);
		v1[n_requests] = body_of(request.body, request.len);
		v2[n_requests] = body_of(other.p, other.len);
		batch_reset(scratch);
		must(v1_scan(v1[n_requests].raw, &key, scratch));
		trip_identify(&trip, scratch);
		batch_settle(scratch);
		trip_pass(&trip, scratch);
		decoded[n_requests++] = trip.out;
		n_samples += trip.out->n_samples;
		trip.out = batch_new(SIZE_MAX, 0);
	}
	capture_close(capture);
	wire_buf_free(&other);
	wire_decoder_free(wire);
}

/* ---- what is timed ------------------------------------------------------- */

static void
snappy_off(const struct body *b)
{
	static char *room;
	static size_t size;
	size_t n = b->raw.n;

	if (n > size) {
		room = realloc(room, size = n);
		if (!room)
			err(1, NULL);
	}
	if (snappy_uncompress((const char *)b->packed.p, b->packed.n, room,
	    &n) != SNAPPY_OK)
		errx(1, "snappy");
	sink += (uint8_t)room[n / 2];
}

static void
snappy_on(const struct body *b)
{
	size_t n = snappy_max_compressed_length(b->raw.n);

	buf_reset(&packed, SIZE_MAX);
	if (!buf_room(&packed, n) || snappy_compress((const char *)b->raw.p,
	    b->raw.n, (char *)packed.data, &n) != SNAPPY_OK)
		errx(1, "snappy");
	sink += n;
}

static void
unpack(const struct body *b)
{
	batch_reset(scratch);
	must(payload_unpack(NULL, PAYLOAD_SNAPPY, b->packed, SIZE_MAX,
	    scratch->arena, &warm));
	sink += warm.p[warm.n / 2];
}

static void
pack(const struct body *b)
{
	buf_reset(&packed, SIZE_MAX);
	must(payload_pack(NULL, PAYLOAD_SNAPPY, b->raw, &packed));
	sink += packed.len;
}

static void
scan_v1(const struct body *b)
{
	(void)b;
	must(v1_scan(warm, &key, scratch));
	sink += scratch->n_samples;
}

static void
scan_v2(const struct body *b)
{
	(void)b;
	must(v2_scan(warm, &key, scratch));
	sink += scratch->n_samples;
}

static void
build_v1(const struct body *b)
{
	const struct batch *batch = decoded[b - v1];
	struct prw_counts counts;
	struct prw_loss loss;

	v1_begin(v1_builder, decoder_dict(trip.decoder));
	must(v1_add(v1_builder, batch, SIZE_MAX));
	sink += v1_finish(v1_builder, &counts, &loss).n;
}

static void
build_v2(const struct body *b)
{
	const struct batch *batch = decoded[b - v2];
	struct prw_counts counts;
	struct prw_loss loss;

	v2_begin(v2_builder, decoder_dict(trip.decoder));
	must(v2_add(v2_builder, batch, SIZE_MAX));
	sink += v2_finish(v2_builder, &counts, &loss).n;
}

/* ---- timing -------------------------------------------------------------- */

static double
now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Before each request comes what its data comes from: memory is as warm as in
 * the relay. */
static double
best(void (*before)(const struct body *), void (*work)(const struct body *),
    const struct body *bodies, unsigned rounds)
{
	static double least[REQUESTS_MAX];
	double from, took, idle = 1e300, all = 0;
	unsigned i, round;

	for (i = 0; i < 1000; i++) {
		from = now_ns();
		took = now_ns() - from;
		idle = took < idle ? took : idle;
	}
	for (round = 0; round < rounds; round++) {
		for (i = 0; i < n_requests; i++) {
			before(&bodies[i]);
			from = now_ns();
			work(&bodies[i]);
			took = now_ns() - from - idle;
			if (round == 0 || took < least[i])
				least[i] = took;
		}
	}
	for (i = 0; i < n_requests; i++)
		all += least[i];
	return all / (double)n_samples;
}

static void
nothing(const struct body *b)
{
	(void)b;
}

static uint64_t
total(const struct body *bodies, bool raw)
{
	uint64_t n = 0;
	unsigned i;

	for (i = 0; i < n_requests; i++)
		n += raw ? bodies[i].raw.n : bodies[i].packed.n;
	return n;
}

static void
report(const char *version, const struct body *bodies,
    void (*scan)(const struct body *), void (*build)(const struct body *),
    unsigned rounds)
{
	printf("%s  %.1f B/sample, %.1f packed\n", version,
	    (double)total(bodies, true) / (double)n_samples,
	    (double)total(bodies, false) / (double)n_samples);
	printf("  unpack %6.1f ns/sample (snappy alone %.1f)\n",
	    best(nothing, unpack, bodies, rounds),
	    best(nothing, snappy_off, bodies, rounds));
	printf("  scan   %6.1f\n", best(unpack, scan, bodies, rounds));
	printf("  build  %6.1f\n", best(nothing, build, bodies, rounds));
	printf("  pack   %6.1f           (snappy alone %.1f)\n",
	    best(build, pack, bodies, rounds),
	    best(build, snappy_on, bodies, rounds));
}

static void
run(const char *path, unsigned rounds)
{
	unsigned i;

	trip_init(&trip, "bench");
	load(path);
	if (n_samples == 0)
		errx(1, "%s: no samples", path);
	printf("%s: %u requests, %llu samples, %u series, %u rounds\n", path,
	    n_requests, (unsigned long long)n_samples,
	    dict_n_series(decoder_dict(trip.decoder)), rounds);
	report("1.0", v1, scan_v1, build_v1, rounds);
	report("2.0", v2, scan_v2, build_v2, rounds);
	for (i = 0; i < n_requests; i++) {
		batch_free(&decoded[i]);
		body_fini(&v1[i]);
		body_fini(&v2[i]);
	}
	n_requests = 0;
	n_samples = 0;
	trip_fini(&trip);
}

int
main(int argc, char **argv)
{
	const char *srcdir = getenv("srcdir");
	unsigned rounds = 15;
	char path[4096];
	int c;

	while ((c = getopt(argc, argv, "r:")) != -1) {
		if (c != 'r' || atoi(optarg) < 1)
			errx(2, "usage: bench_prw [-r rounds] [CAPTURE ...]");
		rounds = (unsigned)atoi(optarg);
	}
	must(hash_key_init(&key));
	scratch = batch_new(SIZE_MAX, (size_t)64 << 20);
	v1_builder = v1_builder_new();
	v2_builder = v2_builder_new();
	if (!scratch || !v1_builder || !v2_builder)
		err(1, NULL);
	buf_init(&packed, SIZE_MAX);
	if (optind == argc) {
		(void)snprintf(path, sizeof(path),
		    "%s/tests/data/edges.capture", srcdir ? srcdir : ".");
		run(path, rounds);
	}
	for (; optind < argc; optind++)
		run(argv[optind], rounds);
	batch_free(&scratch);
	v1_builder_free(&v1_builder);
	v2_builder_free(&v2_builder);
	buf_fini(&packed);
	return sink == 0;
}
