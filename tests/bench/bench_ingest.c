/* bench_ingest.c - from the body of a 1.0 request in memory to bytes in the spool.
 *
 *	bench_ingest [-d DIRECTORY] [-n SERIES] [-r ROUNDS] [-s SECONDS] [-w]
 *	    [CAPTURE...]
 *
 * Nanoseconds of thread CPU time by sample, of each request its best round, for what
 * else the machine does only adds to it; without the first fifth of the requests,
 * which bring the series:
 *	unpack	hash of the packed body, snappy
 *	scan	the message
 *	encode	series found, repeats looked for, record
 *	spool	the relay's own, with its check sums and writes; each request is a
 *		commit of its own, synced unless -w
 * Loops are those of the tests, on one thread, so no time goes into waking others.
 * For a large table, every series is copied, with a label of its own, until there are
 * SERIES.  SECONDS ends a long capture early.  The spool is made within DIRECTORY, and
 * removed.  The session's memory is given by series, of which there is text of labels.
 * SPDX-License-Identifier: Apache-2.0 */

#include <err.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "bench/timing.h"
#include "fake/loop.h"
#include "ingest/session.h"
#include "prw/payload.h"
#include "prw/v1.h"
#include "series/symtab.h"
#include "spool/spool.h"
#include "tools/capture.h"

#define LIMIT ((size_t)1 << 30)
#define BATCH_KEEP ((size_t)4 << 20)	/* as commit.c keeps them */
#define RECORD_KEEP ((size_t)256 << 10)
#define LABELS_MAX 128

enum stage { UNPACK, SCAN, ENCODE, SPOOL, STAGE__N };

static const char *const stage_name[] = { "unpack", "scan", "encode", "spool" };

struct request {
	uint8_t *body;			/* owned */
	size_t len;
};

struct capture_run {
	struct request *requests;	/* owned */
	uint32_t n, max;
	uint32_t clones;
};

struct figures {
	uint64_t samples, series, records;
	double (*least)[STAGE__N];	/* owned, by record */
	size_t session_bytes, heap_bytes, text_bytes;
};

/* Where the requests go. */
struct path {
	struct hash_key key;
	struct loop *spool_loop, *home;
	struct spool *spool;
	struct session *session;
	struct batch *batch;
	struct buf packed, record;
	struct symtab *texts;		/* of labels, each once */
	struct wire_buf clone;
	double clock_ns;
};

static const char *const usual[] = { "server", "agent" };
static const char *directory = ".";
static enum spool_sync sync_mode = SPOOL_SYNC_ALWAYS;
static int rounds = 1;

static void
must(enum status st, const char *what)
{
	if (st != ST_OK)
		errx(1, "%s: %s", what, status_info(st)->sentence);
}

static void *
have(void *p)
{
	if (!p)
		errx(1, "out of memory");
	return p;
}

/* ---- requests ------------------------------------------------------------- */

static void
add(struct capture_run *c, const struct captured *in)
{
	struct request *r;

	if (c->n == c->max) {
		c->max = c->max ? c->max * 2 : 64;
		c->requests = have(realloc(c->requests,
		    c->max * sizeof(*c->requests)));
	}
	r = &c->requests[c->n++];
	r->len = in->len;
	r->body = have(malloc(in->len + 1));
	memcpy(r->body, in->body, in->len);
}

/* The time of its first sample; 0: it has none. */
static int64_t
time_of(const struct capture_run *c, const struct hash_key *key,
    struct batch *b)
{
	const struct request *r = &c->requests[c->n - 1];

	batch_reset(b);
	must(v1_scan(bytes_of(r->body, r->len), key, b), "scan");
	return b->n_samples ? b->samples[0].ms : 0;
}

static void
load(struct capture_run *c, const char *path, int64_t seconds)
{
	struct capture *in = capture_open(path);
	struct batch *b = have(batch_new(LIMIT, 0));
	struct hash_key key;
	struct captured one;
	int64_t first = 0, ms;
	int more;

	*c = (struct capture_run){ .clones = 1 };
	must(hash_key_init(&key), "random numbers");
	if (!in)
		exit(2);
	while ((more = capture_next(in, &one)) == 1) {
		if (one.version != WIRE_V1)
			continue;
		add(c, &one);
		ms = time_of(c, &key, b);
		if (ms == 0)
			continue;
		if (first == 0)
			first = ms;
		if (seconds && ms - first >= seconds * 1000)
			break;
	}
	if (more == -1)
		exit(2);
	capture_close(in);
	batch_free(&b);
}

static void
unload(struct capture_run *c)
{
	uint32_t i;

	for (i = 0; i < c->n; i++)
		free(c->requests[i].body);
	free(c->requests);
}

/* A series with one more label, behind those that it has. */
static void
put_series(struct wire_buf *out, struct bytes series, struct bytes label)
{
	struct reader r = reader_of(series);
	const uint8_t *end = series.p;
	size_t n;

	while (reader_left(&r) > 0 && read_varint(&r) == (1 << 3 | WIRE_BYTES)) {
		(void)read_bytes(&r, read_varint(&r));
		end = r.p;
	}
	n = (size_t)(end - series.p);
	wire_put_tag(out, 1, WIRE_BYTES);
	wire_put_varint(out, series.n + label.n);
	wire_put(out, series.p, n);
	wire_put(out, label.p, label.n);
	wire_put(out, end, series.n - n);
}

static struct bytes
clone_of(struct path *p, const struct request *r, uint32_t clone)
{
	struct reader in = reader_of(bytes_of(r->body, r->len));
	struct wire_buf label = { 0 }, whole = { 0 };
	struct bytes field;
	char name[16];
	uint64_t tag;

	if (clone == 0)
		return bytes_of(r->body, r->len);
	(void)snprintf(name, sizeof(name), "%u", (unsigned)clone);
	wire_put_bytes(&label, 1, "zz_clone", strlen("zz_clone"));
	wire_put_bytes(&label, 2, name, strlen(name));
	wire_put_bytes(&whole, 1, label.p, label.len);
	p->clone.len = 0;
	while (reader_left(&in) > 0) {
		tag = read_varint(&in);
		if ((tag & 7) != WIRE_BYTES)
			errx(1, "not a request as senders write it");
		field = read_bytes(&in, read_varint(&in));
		if (tag >> 3 == 1)
			put_series(&p->clone, field,
			    bytes_of(whole.p, whole.len));
		else
			wire_put_bytes(&p->clone, (unsigned)(tag >> 3), field.p,
			    field.n);
	}
	wire_buf_free(&label);
	wire_buf_free(&whole);
	return bytes_of(p->clone.p, p->clone.len);
}

/* ---- the path ------------------------------------------------------------- */

static void
path_init(struct path *p, const char *dir)
{
	static const struct session_opts session_opts = {
		.max_labels = LABELS_MAX, .max_label_bytes = 16384,
		.max_series = 100000000,
	};
	struct spool_opts o = {
		.directory = dir,
		.size_bytes = UINT64_C(20) << 30,
		.segment_bytes = 16 << 20,
		.segment_age_ns = 7200 * CLOCK_S,
		.sync = sync_mode,
	};

	*p = (struct path){ .clock_ns = clock_ns() };
	must(hash_key_init(&p->key), "random numbers");
	must(loop_new("spool", &p->spool_loop), "loop");
	must(loop_new("home", &p->home), "loop");
	must(spool_open(&o, &disk_posix, p->spool_loop, &p->spool), "spool");
	must(spool_add_writer(p->spool, p->home), "writer");
	must(session_new(BYTES_LIT("bench"), &session_opts, p->spool,
	    &p->session), "session");
	must(symtab_new(&p->texts), "texts");
	p->batch = have(batch_new(LIMIT, BATCH_KEEP));
	buf_init(&p->packed, LIMIT);
	buf_init(&p->record, LIMIT);
}

static size_t
heap(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static void
path_fini(struct path *p, struct figures *f)
{
	f->series = session_n_series(p->session);
	f->text_bytes = symtab_text_size(p->texts);
	f->session_bytes = session_size(p->session);
	f->heap_bytes = heap();
	session_free(&p->session);
	f->heap_bytes -= heap();
	symtab_free(&p->texts);
	spool_close(&p->spool);
	loop_free(&p->home);
	loop_free(&p->spool_loop);
	batch_free(&p->batch);
	buf_fini(&p->packed);
	buf_fini(&p->record);
	wire_buf_free(&p->clone);
}

static void
remove_one(const char *name, void *dir)
{
	char path[1200];

	(void)snprintf(path, sizeof(path), "%s/%s", (const char *)dir, name);
	(void)remove(path);
}

static void
remove_spool(const char *dir)
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

static void
on_done(struct spool_write *w)
{
	must(w->status, "spool");
}

/* Of series numbered from `from` on. */
static void
note_texts(struct path *p, uint32_t from)
{
	const struct batch *b = p->batch;
	struct label label[LABELS_MAX];
	uint32_t i, j, n, symbol;

	for (i = 0; i < b->n_entries; i++) {
		if (b->entries[i].id < from)
			continue;
		must(b->labels(b, &b->entries[i], label, LABELS_MAX, &n),
		    "labels");
		for (j = 0; j < n; j++) {
			must(symtab_intern(p->texts, label[j].name, &symbol),
			    "texts");
			must(symtab_intern(p->texts, label[j].value, &symbol),
			    "texts");
		}
	}
}

static void
store(struct path *p, const struct session_record *r)
{
	struct spool_write w = {
		.epoch = r->epoch, .stream = r->stream,
		.data = buf_bytes(&p->record),
		.wall_ms = clock_wall() / CLOCK_MS,
		.points = { .n = batch_counts(p->batch).samples },
		.defined = r->defined, .done = on_done,
	};

	batch_times(p->batch, &w.points.oldest_ms, &w.points.newest_ms);
	spool_submit(p->spool, &w);
	fake_settle();
}

static void
note_time(double *least, double ns)
{
	if (*least == 0 || ns < *least)
		*least = ns;
}

static void
one(struct path *p, struct bytes body, struct figures *f)
{
	struct session_record r = { .epoch = 0 };
	struct hash128 hash;
	double t[STAGE__N + 1];
	struct bytes raw;
	enum status st;
	int i;

	buf_reset(&p->packed, SIZE_MAX);
	must(payload_pack(NULL, PAYLOAD_SNAPPY, body, &p->packed), "pack");
	batch_reset(p->batch);
	buf_reset(&p->record, RECORD_KEEP);
	t[UNPACK] = now_ns();
	hash = hash128(&p->key, p->packed.data, p->packed.len);
	must(payload_unpack(NULL, PAYLOAD_SNAPPY, buf_bytes(&p->packed), LIMIT,
	    p->batch->arena, &raw), "unpack");
	t[SCAN] = now_ns();
	must(v1_scan(raw, &p->key, p->batch), "scan");
	t[ENCODE] = now_ns();
	st = session_encode(p->session, p->batch, hash, &p->record, &r);
	if (st == ST_END)
		return;
	must(st, "encode");
	t[SPOOL] = now_ns();
	store(p, &r);
	t[STAGE__N] = now_ns();
	for (i = 0; i < STAGE__N; i++)
		note_time(&f->least[f->records][i],
		    t[i + 1] - t[i] - p->clock_ns);
	f->samples += p->batch->n_samples;
	f->records++;
	note_texts(p, session_n_series(p->session) - r.defined);
}

/* ---- rounds ---------------------------------------------------------------- */

static void
round_of(const struct capture_run *c, struct figures *f)
{
	struct path p;
	char dir[1000];
	uint32_t i, k;

	(void)snprintf(dir, sizeof(dir), "%s/bench_ingest.XXXXXX", directory);
	if (!mkdtemp(dir))
		err(1, "%s", dir);
	path_init(&p, dir);
	for (i = 0; i < c->n; i++) {
		if (i == 0 || i == c->n / 5)
			f->samples = f->records = 0;
		for (k = 0; k < c->clones; k++)
			one(&p, clone_of(&p, &c->requests[i], k), f);
	}
	path_fini(&p, f);
	remove_spool(dir);
}

static void
figures_init(struct figures *f, const struct capture_run *c)
{
	*f = (struct figures){ .least = have(calloc((size_t)c->n * c->clones,
	    sizeof(*f->least))) };
}

/* How often the series have to be there for so many. */
static void
set_clones(struct capture_run *c, uint32_t n_series)
{
	struct figures f;

	figures_init(&f, c);
	round_of(c, &f);
	if (n_series > f.series)
		c->clones = (n_series + (uint32_t)f.series - 1) /
		    (uint32_t)f.series;
	free(f.least);
}

static void
tell(const char *path, const struct figures *f)
{
	double n = (double)f->samples, series = (double)f->series;
	double ns[STAGE__N] = { 0 }, all = 0;
	uint64_t i;
	int j;

	for (i = 0; i < f->records; i++)
		for (j = 0; j < STAGE__N; j++)
			ns[j] += f->least[i][j];
	for (j = 0; j < STAGE__N; j++)
		all += ns[j];
	printf("%s: %lu series, %lu samples, %.0f a request\n", path,
	    (unsigned long)f->series, (unsigned long)f->samples,
	    n / (double)f->records);
	printf("  ns/sample: %.1f =", all / n);
	for (j = 0; j < STAGE__N; j++)
		printf(" %s %.1f", stage_name[j], ns[j] / n);
	printf(" (%s, best of %d)\n", sync_mode == SPOOL_SYNC_ALWAYS ?
	    "synced" : "written", rounds);
	printf("  session, bytes/series: %.1f (heap %.1f), text of labels %.1f, "
	    "without it %.1f\n", (double)f->session_bytes / series,
	    (double)f->heap_bytes / series, (double)f->text_bytes / series,
	    (double)(f->session_bytes - f->text_bytes) / series);
}

static void
run(const char *path, uint32_t n_series, int64_t seconds)
{
	struct capture_run c;
	struct figures f;
	int i;

	load(&c, path, seconds);
	if (n_series)
		set_clones(&c, n_series);
	figures_init(&f, &c);
	for (i = 0; i < rounds; i++)
		round_of(&c, &f);
	tell(path, &f);
	free(f.least);
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

	while ((opt = getopt(argc, argv, "d:n:r:s:w")) != -1) {
		switch (opt) {
		case 'd':
			directory = optarg;
			break;
		case 'n':
			n_series = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'r':
			rounds = (int)strtol(optarg, NULL, 0);
			break;
		case 's':
			seconds = strtol(optarg, NULL, 0);
			break;
		case 'w':
			sync_mode = SPOOL_SYNC_WRITTEN;
			break;
		default:
			errx(2, "usage: bench_ingest [-d DIRECTORY] "
			    "[-n SERIES] [-r ROUNDS] [-s SECONDS] [-w] "
			    "[CAPTURE...]");
		}
	}
	if (rounds < 1)
		errx(2, "rounds: 1 or more");
	log_set_level(LOG_LEVEL_ERROR);
	if (optind == argc)
		run_usual(n_series, seconds);
	for (; optind < argc; optind++)
		run(argv[optind], n_series, seconds);
	return 0;
}
