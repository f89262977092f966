/* offline.c - the commands of rwrelayctl that read a spool's files themselves.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tool/offline.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "policy/match.h"
#include "series/codec.h"
#include "spool/aside.h"
#include "spool/cursor.h"
#include "spool/ledger.h"
#include "spool/quarantine.h"
#include "spool/recover.h"
#include "tool/dump.h"
#include "tool/walk.h"

#define DEFAULT_SPOOL "/var/spool/rwrelay"
#define REJECTED "rejected"
#define EXIT_USAGE 2

/* ---- what they share ---------------------------------------------------------- */

static int
failed(const char *directory, enum status st)
{
	if (st == ST_MISSING)
		warnx("%s: there is no spool", directory);
	else
		warnx("%s: %s%s", directory, status_info(st)->sentence,
		    st == ST_DENIED ? " (it belongs to the relay's user)" : "");
	return EXIT_FAILURE;
}

static int
wrong_usage(const char *command)
{
	const struct offline_command *c = offline_find(command);

	(void)fprintf(stderr, "usage: rwrelayctl %s\n", c->usage);
	return EXIT_USAGE;
}

/* The one argument that is left, or what it usually is; NULL: more are left. */
static const char *
last_argument(int argc, char **argv, const char *usual)
{
	if (argc - optind > 1)
		return NULL;
	return optind < argc ? argv[optind] : usual;
}

/* ---- verify --------------------------------------------------------------------- */

struct sums {
	uint64_t segments, bytes, records, damaged;
	const char *directory;
};

static void
tell_damage(const char *directory, const struct walk_segment *s)
{
	(void)printf("%s/" SPOOL_SEGMENT "/%016" PRIx64 ".rwl: from byte %"
	    PRIu64 " of %" PRIu64 " on: %s; %" PRIu64 " records before it are "
	    "fine\n", directory, s->number, s->end, s->bytes,
	    status_info(s->status)->sentence, s->records);
}

static void
add_segment(const struct walk_segment *s, void *arg)
{
	struct sums *sums = arg;

	sums->segments++;
	sums->bytes += s->bytes;
	sums->records += s->records;
	if (s->status == ST_OK)
		return;
	sums->damaged++;
	tell_damage(sums->directory, s);
}

static int
verify(const char *directory)
{
	struct sums sums = { .directory = directory };
	const struct walk_calls calls = { NULL, add_segment, &sums };
	enum status st = walk_spool(directory, &calls);

	if (st != ST_OK)
		return failed(directory, st);
	(void)printf("%" PRIu64 " segments, %" PRIu64 " bytes, %" PRIu64
	    " records: ", sums.segments, sums.bytes, sums.records);
	if (sums.damaged == 0) {
		(void)printf("fine\n");
		return EXIT_SUCCESS;
	}
	(void)printf("%" PRIu64 " segments are damaged; rwrelayctl spool repair "
	    "puts aside what cannot be read\n", sums.damaged);
	return EXIT_FAILURE;
}

/* ---- stat ----------------------------------------------------------------------- */

struct edge_sums {
	char *name;			/* owned */
	uint64_t records, bytes, samples, histograms, exemplars;
	uint32_t series;		/* most in a segment */
	int64_t first_ms, last_ms;	/* when requests were received */
};

struct stat_sums {
	struct sums sums;
	void *edges;			/* tsearch(3), by name */
	enum status status;
};

static int
by_name(const void *a, const void *b)
{
	const struct edge_sums *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static struct edge_sums *
edge_of(struct stat_sums *s, struct bytes name)
{
	struct edge_sums *e = calloc(1, sizeof(*e)), **at;

	if (!e)
		return NULL;
	e->name = malloc(name.n + 1);
	if (!e->name) {
		free(e);
		return NULL;
	}
	if (name.n)
		memcpy(e->name, name.p, name.n);
	e->name[name.n] = '\0';
	at = tsearch(e, &s->edges, by_name);
	if (at && *at == e)
		return e;
	free(e->name);
	free(e);
	return at ? *at : NULL;
}

static bool
add_record(const struct walk_record *r, void *arg)
{
	struct stat_sums *s = arg;
	struct batch_counts n;
	struct edge_sums *e;

	if (!r->batch)
		return true;
	e = edge_of(s, dict_edge(r->dict));
	if (!e) {
		s->status = ST_NO_MEMORY;
		return false;
	}
	n = batch_counts(r->batch);
	if (e->records++ == 0 || r->record.wall_ms < e->first_ms)
		e->first_ms = r->record.wall_ms;
	if (e->records == 1 || r->record.wall_ms > e->last_ms)
		e->last_ms = r->record.wall_ms;
	e->bytes += r->record.next.offset - r->record.pos.offset;
	e->samples += n.samples;
	e->histograms += n.histograms;
	e->exemplars += n.exemplars;
	if (dict_n_series(r->dict) > e->series)
		e->series = dict_n_series(r->dict);
	return true;
}

static void
add_stat_segment(const struct walk_segment *s, void *arg)
{
	struct stat_sums *sums = arg;

	add_segment(s, &sums->sums);
}

static void
show_edge(const void *node, VISIT which, int depth)
{
	const struct edge_sums *e = *(struct edge_sums *const *)node;
	uint64_t points = e->samples + e->histograms + e->exemplars;

	(void)depth;
	if (which != postorder && which != leaf)
		return;
	(void)printf("%-32s %9" PRIu64 " %9" PRIu32 " %12" PRIu64 " %10" PRIu64
	    " %9" PRIu64 " %12" PRIu64 " %8.3f %14.3f %14.3f\n", e->name,
	    e->records, e->series, e->samples, e->histograms, e->exemplars,
	    e->bytes, points ? (double)e->bytes / (double)points : 0.0,
	    (double)e->first_ms / 1e3, (double)e->last_ms / 1e3);
}

static void
edge_free(void *node)
{
	struct edge_sums *e = node;

	free(e->name);
	free(e);
}

static int
show_stat(const char *directory)
{
	struct stat_sums s = { .sums.directory = directory };
	const struct walk_calls calls = { add_record, add_stat_segment, &s };
	enum status st = walk_spool(directory, &calls);

	if (st == ST_OK)
		st = s.status;
	if (st == ST_OK) {
		(void)printf("%" PRIu64 " segments, %" PRIu64 " bytes, %" PRIu64
		    " records, %" PRIu64 " segments damaged\n\n",
		    s.sums.segments, s.sums.bytes, s.sums.records,
		    s.sums.damaged);
		(void)printf("%-32s %9s %9s %12s %10s %9s %12s %8s %14s %14s\n",
		    "edge", "requests", "series", "samples", "histograms",
		    "exemplars", "bytes", "B/point", "first", "last");
		twalk(s.edges, show_edge);
	}
	tdestroy(s.edges, edge_free);
	if (st != ST_OK)
		return failed(directory, st);
	return s.sums.damaged ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- dump ----------------------------------------------------------------------- */

enum { OPT_EDGE = 256, OPT_MATCH, OPT_FROM, OPT_TO, OPT_FORMAT };

static const struct option dump_options[] = {
	{ "edge", required_argument, NULL, OPT_EDGE },
	{ "match", required_argument, NULL, OPT_MATCH },
	{ "from", required_argument, NULL, OPT_FROM },
	{ "to", required_argument, NULL, OPT_TO },
	{ "format", required_argument, NULL, OPT_FORMAT },
	{ NULL, 0, NULL, 0 },
};

static bool
take_match(struct filter *f, const char *text)
{
	const char *wrong;

	match_free(&f->match);
	wrong = match_parse(text, &f->match);
	if (wrong)
		warnx("--match %s: %s", text, wrong);
	return !wrong;
}

static bool
take_time(const char *text, int64_t *ms)
{
	if (filter_time(text, ms))
		return true;
	warnx("%s: a time is seconds since 1970, or as 2026-11-23T10:00:00Z",
	    text);
	return false;
}

static bool
take_format(struct dump_opts *o, const char *text)
{
	o->openmetrics = strcmp(text, "openmetrics") == 0;
	if (o->openmetrics || strcmp(text, "json") == 0)
		return true;
	warnx("--format %s: allowed: json, openmetrics", text);
	return false;
}

static bool
take_option(struct dump_opts *o, int opt)
{
	switch (opt) {
	case OPT_EDGE:
		o->filter.edge = optarg;
		return true;
	case OPT_MATCH:
		return take_match(&o->filter, optarg);
	case OPT_FROM:
		return take_time(optarg, &o->filter.from_ms);
	case OPT_TO:
		return take_time(optarg, &o->filter.to_ms);
	case OPT_FORMAT:
		return take_format(o, optarg);
	default:
		return false;
	}
}

static int
dump(const char *directory, const struct dump_opts *o)
{
	struct dump_sums sums;
	enum status st = dump_spool(directory, o, stdout, &sums);

	if (st == ST_SYSTEM) {
		warn("writing");
		return EXIT_FAILURE;
	}
	if (st != ST_OK)
		return failed(directory, st);
	if (sums.left_out)
		warnx("%" PRIu64 " stale markers, histograms and exemplars are "
		    "left out, for which OpenMetrics has no words; --format=json "
		    "has them", sums.left_out);
	if (sums.damaged)
		warnx("%s: %" PRIu64 " segments are damaged, see rwrelayctl "
		    "spool verify", directory, sums.damaged);
	return sums.damaged ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- repair ---------------------------------------------------------------------- */

struct repair {
	const char *directory;
	uint64_t n;
	enum status status;
};

static void
repair_segment(const struct walk_segment *s, void *arg)
{
	struct repair *r = arg;
	enum status st = ST_OK;

	if (s->status != ST_DAMAGED && s->status != ST_BAD_RECORD) {
		if (s->status != ST_OK)
			tell_damage(r->directory, s);
		return;
	}
	tell_damage(r->directory, s);
	/* nothing before it: not even its header may be good */
	if (s->records == 0)
		st = quarantine_segment(&disk_posix, r->directory, s->number);
	else
		st = quarantine_span(&disk_posix, r->directory, s->number,
		    s->end, codec_edge);
	if (st != ST_OK) {
		r->status = st;
		warnx("could not be put aside: %s", status_info(st)->sentence);
		return;
	}
	r->n++;
	(void)printf("put aside in %s/quarantine\n", r->directory);
}

static int
repair(const char *directory)
{
	struct repair r = { .directory = directory };
	const struct walk_calls calls = { NULL, repair_segment, &r };
	struct disk_file *lock = NULL;
	char path[SPOOL_PATH_MAX];
	enum status st;

	if (strlen(directory) > SPOOL_DIRECTORY_MAX)
		return failed(directory, ST_TOO_LARGE);
	spool_path_named(path, directory, "lock", NULL);
	st = disk_posix.lock(disk_posix.arg, path, &lock);
	if (st == ST_LOCKED)
		warnx("%s: a relay uses it: stop that first", directory);
	if (st == ST_OK)
		st = walk_spool(directory, &calls);
	disk_posix.close(disk_posix.arg, &lock);
	if (st == ST_LOCKED)
		return EXIT_FAILURE;
	if (st == ST_OK)
		st = r.status;
	if (st != ST_OK)
		return failed(directory, st);
	(void)printf("%" PRIu64 " segments repaired\n", r.n);
	return EXIT_SUCCESS;
}

/* ---- spool ----------------------------------------------------------------------- */

static int
run_spool(int argc, char **argv)
{
	struct dump_opts o = { .filter = FILTER_NONE };
	const char *what = argc > 1 ? argv[1] : "", *directory;
	bool is_dump = strcmp(what, "dump") == 0;
	int opt, status = EXIT_USAGE;

	optind = 2;
	while ((opt = getopt_long(argc, argv, "", dump_options, NULL)) != -1) {
		if (!is_dump || !take_option(&o, opt)) {
			match_free(&o.filter.match);
			return wrong_usage("spool");
		}
	}
	directory = last_argument(argc, argv, DEFAULT_SPOOL);
	if (!directory)
		status = wrong_usage("spool");
	else if (is_dump)
		status = dump(directory, &o);
	else if (strcmp(what, "verify") == 0)
		status = verify(directory);
	else if (strcmp(what, "stat") == 0)
		status = show_stat(directory);
	else if (strcmp(what, "repair") == 0)
		status = repair(directory);
	else
		status = wrong_usage("spool");
	match_free(&o.filter.match);
	return status;
}

/* ---- gaps ------------------------------------------------------------------------ */

static void
show_gap(const struct ledger_gap *g, void *arg)
{
	(void)arg;
	(void)printf("removed=%" PRId64 " upstream=%s edge=%s from=%" PRId64
	    " to=%" PRId64 " samples=%" PRIu64 " reason=%s\n", g->removed_s,
	    g->upstream, g->edge, g->from_s, g->to_s, g->samples,
	    status_info(g->reason)->word);
}

static int
run_gaps(int argc, char **argv)
{
	const char *directory;
	enum status st;

	optind = 1;
	directory = last_argument(argc, argv, DEFAULT_SPOOL);
	if (!directory || *directory == '-')
		return wrong_usage("gaps");
	st = ledger_read(&disk_posix, directory, show_gap, NULL);
	if (st == ST_MISSING)
		(void)printf("nothing was removed\n");
	else if (st != ST_OK)
		return failed(directory, st);
	return EXIT_SUCCESS;
}

/* ---- rejected --------------------------------------------------------------------- */

struct rejected {
	const char *upstream;
	char *why;			/* owned: of the entry that follows */
	uint64_t refused_ms;
	enum status status;
};

/* An entry is two records: why, then what. */
static bool
show_rejected(const struct walk_record *r, void *arg)
{
	struct rejected *x = arg;

	if (!r->batch) {
		free(x->why);
		x->why = strndup((const char *)r->record.data.p,
		    r->record.data.n);
		x->refused_ms = (uint64_t)r->record.wall_ms;
		return x->why;
	}
	(void)printf("upstream=%s entry=%016" PRIx64 "-%" PRIu64 " refused=%.3f "
	    "received=%.3f edge=", x->upstream, r->segment->number,
	    r->record.pos.offset, (double)x->refused_ms / 1e3,
	    (double)r->record.wall_ms / 1e3);
	dump_json_string(stdout, dict_edge(r->dict));
	(void)printf(" %s\n", x->why ? x->why : "");
	return true;
}

static int
list_rejected(const char *directory, const char *upstream)
{
	struct rejected x = { .upstream = upstream };
	const struct walk_calls calls = { show_rejected, NULL, &x };
	char *path;
	enum status st;

	if (asprintf(&path, "%s/" REJECTED "/%s", directory, upstream) == -1)
		return failed(directory, ST_NO_MEMORY);
	st = walk_spool(path, &calls);
	free(x.why);
	free(path);
	return st == ST_OK || st == ST_MISSING ? EXIT_SUCCESS :
	    failed(directory, st);
}

static int
list_all_rejected(const char *directory)
{
	int status = EXIT_SUCCESS;
	struct dirent *e;
	char *path;
	DIR *dir;

	if (asprintf(&path, "%s/" REJECTED, directory) == -1)
		return failed(directory, ST_NO_MEMORY);
	dir = opendir(path);
	if (!dir && errno != ENOENT) {
		warn("%s", path);
		status = EXIT_FAILURE;
	}
	while (dir && (e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.' &&
		    list_rejected(directory, e->d_name) != EXIT_SUCCESS)
			status = EXIT_FAILURE;
	if (dir)
		(void)closedir(dir);
	free(path);
	return status;
}

/* As the list has it. */
static bool
take_entry(const char *text, struct spool_pos *out)
{
	int end = 0;

	if (strcmp(text, "all") == 0)
		return true;
	return sscanf(text, "%16" SCNx64 "-%" SCNu64 "%n", &out->segment,
	    &out->offset, &end) == 2 && text[end] == '\0' && out->segment;
}

static int
show_entry(const char *directory, const char *upstream, const char *entry)
{
	struct dump_opts o = { .filter = FILTER_NONE };
	int status;
	char *path;

	if (!take_entry(entry, &o.only)) {
		warnx("%s: an entry is named as the list names it, or all",
		    entry);
		return EXIT_USAGE;
	}
	if (asprintf(&path, "%s/" REJECTED "/%s", directory, upstream) == -1)
		return failed(directory, ST_NO_MEMORY);
	status = dump(path, &o);
	free(path);
	return status;
}

static int
run_rejected(int argc, char **argv)
{
	const char *directory = DEFAULT_SPOOL;
	bool show = argc > 1 && strcmp(argv[1], "show") == 0;
	bool list = argc > 1 && strcmp(argv[1], "list") == 0;
	int opt, n;

	optind = 1 + (show || list);
	while ((opt = getopt(argc, argv, "d:")) != -1) {
		if (opt != 'd')
			return wrong_usage("rejected");
		directory = optarg;
	}
	n = argc - optind;
	argv += optind;
	if (show && (n == 1 || n == 2))
		return show_entry(directory, argv[0], n == 2 ? argv[1] : "all");
	if (show || n > 1)
		return wrong_usage("rejected");
	return n == 1 ? list_rejected(directory, argv[0]) :
	    list_all_rejected(directory);
}

/* ---- upstream ---------------------------------------------------------------------- */

static enum status
forget(const char *directory, const char *upstream, bool rejected)
{
	struct aside_opts o = { &disk_posix, directory, REJECTED, upstream, 0 };
	enum status st = cursor_remove(&disk_posix, directory, upstream), aside;

	if (!rejected || (st != ST_OK && st != ST_MISSING))
		return st;
	aside = aside_remove(&o);
	return st == ST_MISSING || aside != ST_MISSING ? aside : st;
}

static int
forget_locked(const char *directory, const char *upstream, bool rejected)
{
	struct disk_file *lock = NULL;
	char path[SPOOL_PATH_MAX];
	enum status st;

	if (strlen(directory) > SPOOL_DIRECTORY_MAX)
		return failed(directory, ST_TOO_LARGE);
	spool_path_named(path, directory, "lock", NULL);
	st = disk_posix.lock(disk_posix.arg, path, &lock);
	if (st == ST_MISSING)
		return failed(directory, st);
	if (st == ST_OK)
		st = forget(directory, upstream, rejected);
	disk_posix.close(disk_posix.arg, &lock);
	if (st == ST_LOCKED)
		warnx("%s: a relay uses it: without -d it is the relay that is "
		    "asked", directory);
	else if (st == ST_MISSING || st == ST_CONFIG)
		warnx("%s: there is nothing of an upstream of that name",
		    upstream);
	else if (st != ST_OK)
		return failed(directory, st);
	if (st != ST_OK)
		return EXIT_FAILURE;
	(void)printf("forgotten\n");
	return EXIT_SUCCESS;
}

static int
run_upstream(int argc, char **argv)
{
	static const struct option options[] = {
		{ "rejected", no_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	const char *directory = NULL, *upstream;
	bool rejected = false;
	int opt;

	optind = 2;
	while ((opt = getopt_long(argc, argv, "d:", options, NULL)) != -1) {
		if (opt == 'd')
			directory = optarg;
		else if (opt == 'r')
			rejected = true;
		else
			return wrong_usage("upstream");
	}
	upstream = last_argument(argc, argv, NULL);
	if (argc < 2 || strcmp(argv[1], "forget") != 0 || !directory || !upstream)
		return wrong_usage("upstream");
	return forget_locked(directory, upstream, rejected);
}

/* ---- all of them ------------------------------------------------------------------- */

static const struct offline_command commands[] = {
	{ "spool", run_spool, "spool verify|stat|repair [DIRECTORY]\n"
	    "       rwrelayctl spool dump [--format=json|openmetrics] "
	    "[--edge=GLOB]\n"
	    "           [--match=SELECTOR] [--from=TIME] [--to=TIME] [DIRECTORY]",
	    "look through a spool's files" },
	{ "rejected", run_rejected, "rejected [list] [-d DIRECTORY] [UPSTREAM]\n"
	    "       rwrelayctl rejected show [-d DIRECTORY] UPSTREAM [ENTRY|all]\n"
	    "       rwrelayctl rejected resend|drop UPSTREAM ENTRY|all",
	    "what upstreams refused for good, and why" },
	{ "upstream", run_upstream,
	    "upstream forget [-d DIRECTORY] UPSTREAM [--rejected]",
	    "with -d: upstream forget, while no relay runs" },
	{ "gaps", run_gaps, "gaps [DIRECTORY]",
	    "what was removed before an upstream had it" },
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

const struct offline_command *
offline_find(const char *name)
{
	size_t i;

	for (i = 0; i < N_COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

void
offline_usage(FILE *to)
{
	size_t i;

	for (i = 0; i < N_COMMANDS; i++)
		(void)fprintf(to, "  %-9s %-9s %s\n", commands[i].name, "",
		    commands[i].help);
}
