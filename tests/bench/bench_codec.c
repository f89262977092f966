/* bench_codec.c - what the record format takes, in bytes and in time, on the
 * traffic of real senders.
 *
 *	bench_codec [-n SERIES] [-r ROUNDS] [-s SECONDS] [CAPTURE...]
 *
 * Each capture becomes one stream; without any, those of tests/data do.  Its records are decoded again and compared
 * bit for bit; the exit status tells.  Bytes are given by sample, in all and
 * steady (without the first fifth of the records), 16 bytes of framing for each
 * record included; times are nanoseconds of thread CPU time by sample, the
 * median of the rounds.  For a large table, every series is copied, with a label
 * of its own, until there are SERIES.  SECONDS ends a long capture early.
 * SPDX-License-Identifier: Apache-2.0 */

#include <assert.h>
#include <err.h>
#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/timing.h"
#include "prw/v1.h"
#include "series/codec_priv.h"
#include "tools/capture.h"
#include "unit/batches.h"

#define FRAMING 16			/* of a spool record */
#define ARENA ((size_t)1 << 30)
#define LABELS_MAX 128
#define ROUNDS_MAX 99

/* One request: its batch, settled, and the series that it brings. */
struct request {
	struct batch *batch;		/* owned */
	uint8_t *body;			/* owned, the batch borrows from it */
	size_t len;
	uint32_t *fresh;		/* owned; entries that define a series */
	uint32_t n_fresh;
};

struct known {
	struct hash128 key;
	uint32_t id;
	bool used;
};

struct capture_run {
	struct request *requests;	/* owned */
	uint32_t n_requests, max_requests;
	struct known *known;		/* owned; open addressing */
	uint32_t n_known, n_series;
	struct hash_key key;
	uint32_t clones;
};

static const char *const usual[] = { "server", "agent", "stale" };

static int rounds = 1;

static void *
must(void *p)
{
	if (!p)
		errx(2, "out of memory");
	return p;
}

/* ---- loading -------------------------------------------------------------- */

static struct known *
find(struct capture_run *c, struct hash128 key)
{
	uint32_t i = (uint32_t)key.lo & (c->n_known - 1);

	while (c->known[i].used && !hash128_eq(c->known[i].key, key))
		i = (i + 1) & (c->n_known - 1);
	return &c->known[i];
}

static void
settle(struct capture_run *c, struct request *r)
{
	struct batch *b = r->batch;
	struct known *k;
	uint32_t i;

	r->fresh = must(calloc(b->n_entries + 1, sizeof(*r->fresh)));
	for (i = 0; i < b->n_entries; i++) {
		k = find(c, b->entries[i].key);
		if (!k->used) {
			*k = (struct known){ b->entries[i].key, c->n_series++,
				true };
			r->fresh[r->n_fresh++] = i;
			if (c->n_series > c->n_known / 2)
				errx(2, "too many series");
		}
		b->entries[i].id = k->id;
	}
	batch_settle(b);
}

static void
load_one(struct capture_run *c, const struct captured *in)
{
	struct request *r;
	enum status st;

	if (c->n_requests == c->max_requests) {
		c->max_requests = c->max_requests ? c->max_requests * 2 : 64;
		c->requests = must(realloc(c->requests,
		    c->max_requests * sizeof(*c->requests)));
	}
	r = &c->requests[c->n_requests++];
	*r = (struct request){ .len = in->len };
	r->body = must(malloc(in->len + 1));
	memcpy(r->body, in->body, in->len);
	r->batch = must(batch_new(ARENA, 0));
	st = v1_scan(bytes_of(r->body, r->len), &c->key, r->batch);
	if (st != ST_OK)
		errx(2, "request %u: %s", c->n_requests,
		    status_info(st)->sentence);
	settle(c, r);
}

static void
load(struct capture_run *c, const char *path, uint32_t n_series,
    int64_t seconds)
{
	struct capture *in = capture_open(path);
	struct captured one;
	int64_t first = 0, ms;
	int more;

	*c = (struct capture_run){ .n_known = 1U << 17, .clones = 1 };
	if (!in)
		exit(2);
	if (hash_key_init(&c->key) != ST_OK)
		errx(2, "no random numbers");
	c->known = must(calloc(c->n_known, sizeof(*c->known)));
	while ((more = capture_next(in, &one)) == 1) {
		if (one.version != WIRE_V1)
			continue;
		load_one(c, &one);
		if (c->requests[c->n_requests - 1].batch->n_samples == 0)
			continue;
		ms = c->requests[c->n_requests - 1].batch->samples[0].ms;
		if (first == 0)
			first = ms;
		if (seconds && ms - first >= seconds * 1000)
			break;
	}
	if (more == -1)
		exit(2);
	capture_close(in);
	if (n_series > c->n_series)
		c->clones = (n_series + c->n_series - 1) / c->n_series;
}

static void
unload(struct capture_run *c)
{
	uint32_t i;

	for (i = 0; i < c->n_requests; i++) {
		batch_free(&c->requests[i].batch);
		free(c->requests[i].body);
		free(c->requests[i].fresh);
	}
	free(c->requests);
	free(c->known);
}

/* ---- clones --------------------------------------------------------------- */

/* Series of clone k have the numbers that they got when they were defined: in
 * the order of arrival, all of a request's for one clone, then the next. */
struct clone_map {
	uint32_t *ids;			/* owned; by clone, then series */
};

static void
shift(struct batch *b, const struct batch *from, const uint32_t *ids)
{
	uint32_t i;

	for (i = 0; i < b->n_samples; i++)
		b->samples[i].series = ids[from->samples[i].series];
	for (i = 0; i < b->n_histograms; i++)
		b->histograms[i].series = ids[from->histograms[i].series];
	for (i = 0; i < b->n_exemplars; i++)
		b->exemplars[i].series = ids[from->exemplars[i].series];
}

/* A copy that shares all but the arrays that have series in them. */
static struct batch *
copy(const struct batch *b)
{
	struct batch *own = must(batch_new(ARENA, 0));
	struct arena *a = own->arena;

	*own = *b;
	own->arena = a;
	own->samples = arena_copy(a, b->samples,
	    b->n_samples * sizeof(*b->samples));
	own->histograms = arena_copy(a, b->histograms,
	    b->n_histograms * sizeof(*b->histograms));
	own->exemplars = arena_copy(a, b->exemplars,
	    b->n_exemplars * sizeof(*b->exemplars));
	return own;
}

static void
define(struct encoder *e, const struct request *r, uint32_t clone,
    uint32_t *ids)
{
	struct label labels[LABELS_MAX];
	const struct batch_entry *entry;
	char name[16];
	enum status st;
	uint32_t i, n, id;

	for (i = 0; i < r->n_fresh; i++) {
		entry = &r->batch->entries[r->fresh[i]];
		st = r->batch->labels(r->batch, entry, labels, LABELS_MAX - 1,
		    &n);
		if (st == ST_OK && clone) {
			(void)snprintf(name, sizeof(name), "%u", clone);
			labels[n++] = (struct label){ BYTES_LIT("zz_clone"),
				bytes_str(name) };
		}
		if (st == ST_OK)
			st = encoder_define(e, labels, n, &id);
		if (st != ST_OK)
			errx(2, "series: %s", status_info(st)->sentence);
		ids[entry->id] = id;
	}
}

/* ---- a round -------------------------------------------------------------- */

struct figures {
	uint64_t samples, series, records, histograms, exemplars, metadata;
	uint64_t bytes;
	struct encoder_bits by_part;
	double encode_ns, define_ns, decode_ns;
	size_t encoder_size, decoder_size;
	bool differs;
};

struct ends {
	struct encoder *e;
	struct decoder *d;
	struct buf record;
	struct batch *out;
	double clock_ns;
};

static void
ends_init(struct ends *x)
{
	struct encoder_opts eo = {
		.edge = BYTES_LIT("bench"),
		.max_series = UINT32_MAX - 1,
		.max_symbol_bytes = SIZE_MAX,
	};
	struct decoder_opts dopts = { SIZE_MAX };

	if (encoder_new(&eo, &x->e) != ST_OK ||
	    decoder_new(&dopts, &x->d) != ST_OK)
		errx(2, "out of memory");
	buf_init(&x->record, (size_t)1 << 30);
	x->out = must(batch_new(ARENA, ARENA));
	x->clock_ns = clock_ns();
}

static void
ends_fini(struct ends *x)
{
	encoder_free(&x->e);
	decoder_free(&x->d);
	buf_fini(&x->record);
	batch_free(&x->out);
}

static void
one_record(struct ends *x, const struct request *r, const struct batch *b,
    uint32_t clone, uint32_t *ids, struct figures *f)
{
	double t[4];
	enum status st;
	const char *what;

	t[0] = now_ns();
	define(x->e, r, clone, ids);
	if (b != r->batch) {
		/* numbers are known only now */
		union { const struct batch *c; struct batch *v; } u = { b };

		shift(u.v, r->batch, ids);
	}
	t[1] = now_ns();
	buf_reset(&x->record, SIZE_MAX);
	st = encoder_encode(x->e, b, &x->record);
	t[2] = now_ns();
	if (st == ST_OK)
		st = decoder_decode(x->d, buf_bytes(&x->record), x->out);
	t[3] = now_ns();
	if (st != ST_OK)
		errx(1, "record: %s", status_info(st)->sentence);
	f->define_ns += t[1] - t[0] - x->clock_ns;
	f->encode_ns += t[2] - t[1] - x->clock_ns;
	f->decode_ns += t[3] - t[2] - x->clock_ns;
	f->bytes += x->record.len;
	what = batches_differ(b, x->out);
	if (what) {
		fprintf(stderr, "record %lu: %s\n", (unsigned long)f->records, what);
		f->differs = true;
	}
	f->records++;
	f->samples += b->n_samples;
	f->histograms += b->n_histograms;
	f->exemplars += b->n_exemplars;
	f->metadata += b->n_metadata;
	batch_reset(x->out);
}

/* `fifth` gets what the first fifth of the requests took. */
static void
round_of(struct capture_run *c, struct figures *f, struct figures *fifth)
{
	uint32_t *ids = must(calloc((size_t)c->clones * c->n_series + 1,
	    sizeof(*ids)));
	struct batch *b;
	struct ends x;
	uint32_t i, k;

	*f = (struct figures){ .series = (uint64_t)c->n_series * c->clones };
	ends_init(&x);
	for (i = 0; i < c->n_requests; i++) {
		if (i == c->n_requests / 5) {
			f->by_part = *encoder_bits(x.e);
			*fifth = *f;
		}
		b = c->clones > 1 ? copy(c->requests[i].batch) : NULL;
		for (k = 0; k < c->clones; k++)
			one_record(&x, &c->requests[i],
			    b ? b : c->requests[i].batch, k,
			    ids + (size_t)k * c->n_series, f);
		batch_free(&b);
	}
	f->by_part = *encoder_bits(x.e);
	f->encoder_size = encoder_size(x.e);
	f->decoder_size = decoder_size(x.d);
	ends_fini(&x);
	free(ids);
}

/* ---- telling -------------------------------------------------------------- */

struct snappy_times {
	double pack_ns, unpack_ns;
	uint64_t bytes;
};

/* What a plain sender and receiver spend on the same bodies. */
static struct snappy_times
snappy_of(const struct capture_run *c)
{
	struct snappy_times t = { 0, 0, 0 };
	size_t most = 0, n, raw;
	char *packed, *plain;
	double t0, t1, t2;
	uint32_t i;

	for (i = 0; i < c->n_requests; i++)
		most = c->requests[i].len > most ? c->requests[i].len : most;
	packed = must(malloc(snappy_max_compressed_length(most)));
	plain = must(malloc(most + 1));
	for (i = 0; i < c->n_requests; i++) {
		n = snappy_max_compressed_length(most);
		raw = most;
		t0 = now_ns();
		(void)snappy_compress((const char *)c->requests[i].body,
		    c->requests[i].len, packed, &n);
		t1 = now_ns();
		(void)snappy_uncompress(packed, n, plain, &raw);
		t2 = now_ns();
		t.pack_ns += t1 - t0;
		t.unpack_ns += t2 - t1;
		t.bytes += n;
	}
	free(packed);
	free(plain);
	return t;
}

static void
tell_bytes(const char *what, const struct figures *f)
{
	const struct encoder_bits *p = &f->by_part;
	double n = (double)f->samples * 8, frame = (double)f->records * FRAMING;
	uint64_t parts = p->texts + p->definitions + p->metadata + p->refs +
	    p->values + p->starts + p->histograms + p->exemplars;
	double head = (double)(p->all - parts) / n;
	double samples = frame * 8 / n + head +
	    (double)(p->refs + p->values + p->starts) / n;

	printf("%s samples=%lu records=%lu B/sample: all=%.4f "
	    "without-metadata=%.4f samples+refs+framing=%.4f (framing=%.4f "
	    "head=%.4f refs=%.4f values=%.4f starts=%.4f) texts=%.4f "
	    "definitions=%.4f metadata=%.4f histograms=%.4f exemplars=%.4f\n",
	    what, (unsigned long)f->samples, (unsigned long)f->records,
	    (double)p->all / n + frame * 8 / n,
	    (double)(p->all - p->metadata) / n + frame * 8 / n, samples,
	    frame * 8 / n, head, (double)p->refs / n, (double)p->values / n,
	    (double)p->starts / n, (double)p->texts / n,
	    (double)p->definitions / n, (double)p->metadata / n,
	    (double)p->histograms / n, (double)p->exemplars / n);
}

static struct figures
minus(const struct figures *a, const struct figures *b)
{
	struct figures f = *a;

	f.samples -= b->samples;
	f.records -= b->records;
	f.bytes -= b->bytes;
	f.encode_ns -= b->encode_ns;
	f.decode_ns -= b->decode_ns;
	f.by_part.all -= b->by_part.all;
	f.by_part.texts -= b->by_part.texts;
	f.by_part.refs -= b->by_part.refs;
	f.by_part.values -= b->by_part.values;
	f.by_part.starts -= b->by_part.starts;
	f.by_part.definitions -= b->by_part.definitions;
	f.by_part.metadata -= b->by_part.metadata;
	f.by_part.histograms -= b->by_part.histograms;
	f.by_part.exemplars -= b->by_part.exemplars;
	return f;
}

static void
tell(const char *path, struct capture_run *c)
{
	double enc[2][ROUNDS_MAX], dec[2][ROUNDS_MAX], n;
	struct figures f = { 0 }, fifth = { 0 }, steady;
	struct snappy_times s;
	int i;

	for (i = 0; i < rounds; i++) {
		round_of(c, &f, &fifth);
		steady = minus(&f, &fifth);
		enc[0][i] = f.encode_ns / (double)f.samples;
		dec[0][i] = f.decode_ns / (double)f.samples;
		enc[1][i] = steady.encode_ns / (double)steady.samples;
		dec[1][i] = steady.decode_ns / (double)steady.samples;
	}
	printf("%s\n", path);
	tell_bytes("  all   ", &f);
	tell_bytes("  steady", &steady);
	printf("  per item: definition+texts=%.2f (%lu) histogram=%.1f (%lu) "
	    "exemplar=%.1f (%lu) metadata=%.2f (%lu)\n",
	    (double)(f.by_part.definitions + f.by_part.texts) / 8 /
	    (double)f.series,
	    (unsigned long)f.series,
	    (double)f.by_part.histograms / 8 / (double)f.histograms,
	    (unsigned long)f.histograms,
	    (double)f.by_part.exemplars / 8 / (double)f.exemplars,
	    (unsigned long)f.exemplars,
	    (double)f.by_part.metadata / 8 / (double)f.metadata,
	    (unsigned long)f.metadata);
	printf("  memory per series: encoder=%.0f decoder=%.0f\n",
	    (double)f.encoder_size / (double)f.series,
	    (double)f.decoder_size / (double)f.series);
	s = snappy_of(c);
	n = (double)f.samples / c->clones;
	for (i = 0; i < 2; i++)
		printf("  ns/sample %s: encode=%.1f decode=%.1f (median of %d)\n",
		    i ? "steady" : "all", median(enc[i], rounds),
		    median(dec[i], rounds), rounds);
	printf("  ns/sample of 1.0: snappy=%.1f unsnappy=%.1f, %.2f B/sample; "
	    "ns/series: define=%.0f\n", s.pack_ns / n, s.unpack_ns / n,
	    (double)s.bytes / n, f.define_ns / (double)f.series);
	if (f.differs)
		errx(1, "%s: what came out differs", path);
}

static void
run(const char *path, uint32_t n_series, int64_t seconds)
{
	struct capture_run c;

	load(&c, path, n_series, seconds);
	tell(path, &c);
	unload(&c);
}

static void
run_usual(uint32_t n_series, int64_t seconds)
{
	const char *dir = getenv("srcdir");
	char path[4096];
	size_t i;

	for (i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		(void)snprintf(path, sizeof(path),
		    "%s/tests/data/%s.rawcap.zst", dir ? dir : ".", usual[i]);
		run(path, n_series, seconds);
	}
}

int
main(int argc, char **argv)
{
	uint32_t n_series = 0;
	int64_t seconds = 0;
	int opt;

	while ((opt = getopt(argc, argv, "n:r:s:")) != -1) {
		switch (opt) {
		case 'n':
			n_series = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'r':
			rounds = (int)strtol(optarg, NULL, 0);
			break;
		case 's':
			seconds = strtol(optarg, NULL, 0);
			break;
		default:
			errx(2, "usage: bench_codec [-n SERIES] [-r ROUNDS] "
			    "[-s SECONDS] [CAPTURE...]");
		}
	}
	if (rounds < 1 || rounds > ROUNDS_MAX)
		errx(2, "rounds: 1 to %d", ROUNDS_MAX);
	if (optind == argc)
		run_usual(n_series, seconds);
	for (; optind < argc; optind++)
		run(argv[optind], n_series, seconds);
	return 0;
}
