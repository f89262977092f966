/* rwjoin.c - puts beside each other what rwload was told had arrived and what
 * rwsink saw arrive: acknowledged samples that never came, repeats, and
 * samples that came after a newer one of their series.
 * SPDX-License-Identifier: Apache-2.0                                       */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gen.h"
#include "seen.h"

#define OFFENDERS	10
#define NEVER		UINT32_MAX
#define MAX_FILES	64

struct series {
	struct seen seen;
	uint32_t *request;		/* of each sequence number, --atomic */
	uint32_t nrequests;
};

struct edge {
	uint32_t run, number;
	struct series *series;
	uint32_t n;
};

struct join {
	struct gen_run *runs;
	uint32_t nruns;
	struct edge *edges;
	uint32_t nedges, last_edge;
	uint32_t request;		/* of the line being read */
	bool atomic;
	uint64_t acked, acked_requests, lost, arrived, duplicates, reorders;
	uint64_t unacked, open, refused, retried, split;
	unsigned told;
};

static void
tell(struct join *j, const char *what, const struct edge *e, uint32_t series,
    uint32_t seq)
{
	if (j->told++ < OFFENDERS)
		printf("%s: edge=%u series=%u sequence=%u time=%" PRId64 "\n",
		    what, e->number, series, seq,
		    gen_time(&j->runs[e->run], seq));
}

static uint32_t
run_of(struct join *j, const struct gen_run *run)
{
	uint32_t i;

	for (i = 0; i < j->nruns; i++)
		if (j->runs[i].start_ms == run->start_ms &&
		    j->runs[i].interval_ms == run->interval_ms &&
		    j->runs[i].kinds == run->kinds)
			return i;
	j->runs = wire_alloc(j->runs, (j->nruns + 1) * sizeof(*j->runs));
	j->runs[j->nruns] = *run;
	return j->nruns++;
}

static struct edge *
edge_of(struct join *j, uint32_t run, uint32_t number)
{
	struct edge *e = j->edges;
	uint32_t i;

	if (j->last_edge < j->nedges && e[j->last_edge].run == run &&
	    e[j->last_edge].number == number)
		return &e[j->last_edge];
	for (i = 0; i < j->nedges; i++)
		if (e[i].run == run && e[i].number == number)
			break;
	if (i == j->nedges) {
		j->edges = wire_alloc(j->edges, (i + 1) * sizeof(*e));
		j->edges[i] = (struct edge){ .run = run, .number = number };
		j->nedges++;
	}
	j->last_edge = i;
	return &j->edges[i];
}

static void
room(struct edge *e, uint32_t n)
{
	if (n <= e->n)
		return;
	e->series = wire_alloc(e->series, n * sizeof(*e->series));
	memset(e->series + e->n, 0, (n - e->n) * sizeof(*e->series));
	e->n = n;
}

static void
came_with(struct series *s, uint32_t seq, uint32_t request)
{
	uint32_t n = s->nrequests;

	if (seq >= n) {
		n = seq + seq / 2 + 16;
		s->request = wire_alloc(s->request, n * sizeof(*s->request));
		memset(s->request + s->nrequests, 0xff,
		    (n - s->nrequests) * sizeof(*s->request));
		s->nrequests = n;
	}
	if (s->request[seq] == NEVER)
		s->request[seq] = request;
}

static void
arrived(struct join *j, uint32_t run, uint32_t number, uint32_t first,
    uint32_t n, uint32_t seq)
{
	struct edge *e = edge_of(j, run, number);
	uint32_t i;

	room(e, first + n);
	for (i = first; i < first + n; i++) {
		switch (seen_note(&e->series[i].seen, seq)) {
		case SEEN_AGAIN:
			j->duplicates++;
			continue;
		case SEEN_LATE:
			j->reorders++;
			tell(j, "reordered", e, i, seq);
			break;
		default:
			break;
		}
		j->arrived++;
		if (j->atomic)
			came_with(&e->series[i], seq, j->request);
	}
}

static void
acknowledged(struct join *j, uint32_t run, uint32_t number, uint32_t first,
    uint32_t n, uint32_t seq)
{
	struct edge *e = edge_of(j, run, number);
	bool split = false;
	uint32_t i;

	room(e, first + n);
	j->acked += n;
	j->acked_requests++;
	for (i = first; i < first + n; i++) {
		if (!seen_has(&e->series[i].seen, seq)) {
			j->lost++;
			tell(j, "lost", e, i, seq);
		} else if (j->atomic && i != first &&
		    e->series[first].request != NULL &&
		    e->series[i].request[seq] != e->series[first].request[seq]) {
			split = true;
		}
	}
	if (split) {
		j->split++;
		tell(j, "split", e, first, seq);
	}
}

static FILE *
open_file(const char *path)
{
	FILE *f = fopen(path, "r");

	if (f == NULL) {
		perror(path);
		exit(2);
	}
	return f;
}

static bool
read_run(struct join *j, const char *numbers, uint32_t *run)
{
	struct gen_run r;

	if (sscanf(numbers, "%" SCNd64 " %" SCNd64 " %x", &r.start_ms,
	    &r.interval_ms, &r.kinds) != 3)
		return false;
	*run = run_of(j, &r);
	return true;
}

/* "run K START INTERVAL KINDS", "req ...", "in K EDGE FIRST N SEQ". A last
 * line that was cut off is no error. */
static void
read_log(struct join *j, const char *path)
{
	uint32_t *runs = NULL, nruns = 0, k, edge, first, n, seq, run;
	FILE *f = open_file(path);
	char line[256];
	int used = 0;

	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "req ", 4) == 0) {
			j->request++;
		} else if (sscanf(line, "in %u %u %u %u %u", &k, &edge, &first,
		    &n, &seq) == 5 && k < nruns && strchr(line, '\n') != NULL) {
			arrived(j, runs[k], edge, first, n, seq);
		} else if (sscanf(line, "run %u %n", &k, &used) == 1 &&
		    k == nruns && read_run(j, line + used, &run)) {
			runs = wire_alloc(runs, (nruns + 1) * sizeof(*runs));
			runs[nruns++] = run;
		}
	}
	free(runs);
	(void)fclose(f);		/* read only */
}

static void
read_manifest(struct join *j, const char *path)
{
	uint32_t run = 0, edge, first, n, seq;
	FILE *f = open_file(path);
	char line[256], what[16];

	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "run ", 4) == 0) {
			(void)read_run(j, line + 4, &run);
			continue;
		}
		if (sscanf(line, "%15s %*d %u %u %u %u", what, &edge, &first,
		    &n, &seq) != 5 || strchr(line, '\n') == NULL)
			continue;
		if (strcmp(what, "ack") == 0)
			acknowledged(j, run, edge, first, n, seq);
		else if (strcmp(what, "open") == 0)
			j->open += n;
		else if (strcmp(what, "refused") == 0)
			j->refused += n;
		else if (strcmp(what, "retry") == 0)
			j->retried += n;
	}
	(void)fclose(f);		/* read only */
}

static void
tear_down(struct join *j)
{
	uint32_t i, k;

	for (i = 0; i < j->nedges; i++) {
		for (k = 0; k < j->edges[i].n; k++) {
			seen_free(&j->edges[i].series[k].seen);
			free(j->edges[i].series[k].request);
		}
		free(j->edges[i].series);
	}
	free(j->edges);
	free(j->runs);
}

static const char usage[] =
"usage: rwjoin --manifest FILE... --log FILE... [options]\n"
"  --max-duplicates N   more of them are a failure as well\n"
"  --any-order          reorders are told, but are no failure\n"
"  --atomic             what came in one request must have gone out in one\n";

static _Noreturn void
wrong_usage(void)
{
	fputs(usage, stderr);
	exit(2);
}

static void
add_file(const char **files, size_t *n, const char *path)
{
	if (*n == MAX_FILES)
		wrong_usage();
	files[(*n)++] = path;
}

int
main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "manifest", required_argument, NULL, 'm' },
		{ "log", required_argument, NULL, 'l' },
		{ "max-duplicates", required_argument, NULL, 'd' },
		{ "any-order", no_argument, NULL, 'o' },
		{ "atomic", no_argument, NULL, 'a' },
		{ NULL, 0, NULL, 0 },
	};
	const char *manifests[MAX_FILES], *logs[MAX_FILES];
	size_t nmanifests = 0, nlogs = 0, i;
	uint64_t most = UINT64_MAX;
	bool any_order = false, bad;
	struct join j = { 0 };
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'm':
			add_file(manifests, &nmanifests, optarg);
			break;
		case 'l':
			add_file(logs, &nlogs, optarg);
			break;
		case 'd':
			most = strtoull(optarg, NULL, 10);
			break;
		case 'o':
			any_order = true;
			break;
		case 'a':
			j.atomic = true;
			break;
		default:
			wrong_usage();
		}
	}
	if (optind != argc || nmanifests == 0 || nlogs == 0)
		wrong_usage();
	for (i = 0; i < nlogs; i++)
		read_log(&j, logs[i]);
	for (i = 0; i < nmanifests; i++)
		read_manifest(&j, manifests[i]);
	if (j.arrived > j.acked - j.lost)
		j.unacked = j.arrived - (j.acked - j.lost);
	bad = j.lost != 0 || (j.reorders != 0 && !any_order) ||
	    j.duplicates > most || j.split != 0;
	printf("acked=%" PRIu64 " acked_requests=%" PRIu64 " arrived=%" PRIu64
	    " lost=%" PRIu64 " duplicates=%" PRIu64 " reorders=%" PRIu64
	    " split=%" PRIu64 " unacked_arrived=%" PRIu64 " open=%" PRIu64
	    " refused=%" PRIu64 " retried=%" PRIu64 " fine=%d\n", j.acked,
	    j.acked_requests, j.arrived, j.lost, j.duplicates, j.reorders,
	    j.split, j.unacked, j.open, j.refused, j.retried, !bad);
	tear_down(&j);
	return bad ? 1 : 0;
}
