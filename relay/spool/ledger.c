/* ledger.c - gaps in memory, and the file that has them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "spool/ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "spool/crc32c.h"
#include "spool/spool_priv.h"

#define HEAD "rwrelay-gaps 1\n"
#define SUM " sum="
#define EDGE_MAX 768			/* of 255 bytes, as %xx */
#define LINE_MAX 1400
#define FILE_MAX ((size_t)LEDGER_GAPS_MAX * LINE_MAX)
#define FOLD (LEDGER_GAPS_MAX / 4)	/* at a time */
#define SEVERAL "*"

struct gap {
	struct ledger_gap g;		/* its names are the ones below */
	char upstream[SPOOL_NAME_MAX + 1];
	char edge[];
};

struct ledger {
	const struct disk_ops *disk;	/* borrowed */
	const char *directory;		/* borrowed */
	struct gap **gaps;		/* owned, and each of them */
	size_t n, cap;
	size_t damaged;			/* lines that did not count */
	bool changed;
};

static const enum status reasons[] = { ST_SPOOL_FULL, ST_EXPIRED,
	ST_SKIPPED };

/* ---- gaps in memory -------------------------------------------------------- */

static void
escape(char to[EDGE_MAX + 1], const char *from)
{
	size_t n = 0;

	for (; *from && n + 3 <= EDGE_MAX; from++) {
		if (strspn(from, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		    "abcdefghijklmnopqrstuvwxyz0123456789-_.:/@+"))
			to[n++] = *from;
		else
			n += (size_t)sprintf(to + n, "%%%02x",
			    (unsigned)(uint8_t)*from);
	}
	to[n] = '\0';
	if (n == 0)
		(void)strcpy(to, "-");
}

static enum status
append(struct ledger *l, const struct ledger_gap *g)
{
	size_t n = strlen(g->edge) + 1, cap;
	struct gap *gap, **more;

	if (l->n == l->cap) {
		cap = l->cap ? l->cap * 2 : 16;
		more = realloc(l->gaps, cap * sizeof(struct gap *));
		if (!more)
			return ST_NO_MEMORY;
		l->gaps = more;
		l->cap = cap;
	}
	gap = malloc(sizeof(*gap) + n);
	if (!gap)
		return ST_NO_MEMORY;
	gap->g = *g;
	gap->g.upstream = gap->upstream;
	gap->g.edge = gap->edge;
	(void)snprintf(gap->upstream, sizeof(gap->upstream), "%s",
	    g->upstream);
	memcpy(gap->edge, g->edge, n);
	l->gaps[l->n++] = gap;
	return ST_OK;
}

static bool
alike(const struct ledger_gap *a, const struct ledger_gap *b)
{
	return a->reason == b->reason && strcmp(a->edge, b->edge) == 0 &&
	    strcmp(a->upstream, b->upstream) == 0;
}

static void
join(struct ledger_gap *to, const struct ledger_gap *g)
{
	to->samples += g->samples;
	if (g->from_s < to->from_s)
		to->from_s = g->from_s;
	if (g->to_s > to->to_s)
		to->to_s = g->to_s;
	if (g->removed_s > to->removed_s)
		to->removed_s = g->removed_s;
	if (g->first < to->first)
		to->first = g->first;
	if (g->last > to->last)
		to->last = g->last;
}

static bool
touches(const struct ledger_gap *a, const struct ledger_gap *b)
{
	return b->first <= a->last + 1 && b->last + 1 >= a->first;
}

/* The newest of that upstream, edge and reason; NULL. */
static struct gap *
find(const struct ledger *l, const struct ledger_gap *g)
{
	size_t i;

	for (i = l->n; i > 0; i--)
		if (l->gaps[i - 1] && alike(&l->gaps[i - 1]->g, g))
			return l->gaps[i - 1];
	return NULL;
}

/* Into one of several edges; the gap itself becomes that if it is the first. */
static bool
fold_one(struct ledger *l, struct gap *gap)
{
	struct ledger_gap several = gap->g;
	struct gap *to;

	if (strcmp(gap->edge, SEVERAL) == 0)
		return false;
	several.edge = SEVERAL;
	to = find(l, &several);
	if (!to) {
		memcpy(gap->edge, SEVERAL, sizeof(SEVERAL));
		return false;
	}
	join(&to->g, &gap->g);
	return true;
}

static void
fold(struct ledger *l)
{
	size_t i, n = 0;

	for (i = 0; i < FOLD; i++) {
		if (fold_one(l, l->gaps[i])) {
			free(l->gaps[i]);
			l->gaps[i] = NULL;
		}
	}
	for (i = 0; i < l->n; i++)
		if (l->gaps[i])
			l->gaps[n++] = l->gaps[i];
	l->n = n;
}

enum status
ledger_add(struct ledger *l, const struct ledger_gap *gap)
{
	char edge[EDGE_MAX + 1];
	struct ledger_gap g = *gap;
	struct gap *last;
	enum status st;

	escape(edge, gap->edge);
	g.edge = edge;
	last = find(l, &g);
	if (last && g.last <= last->g.last && g.reason != ST_SKIPPED)
		return ST_OK;
	if (last && touches(&last->g, &g)) {
		join(&last->g, &g);
		l->changed = true;
		return ST_OK;
	}
	st = append(l, &g);
	if (st != ST_OK)
		return st;
	if (l->n >= LEDGER_GAPS_MAX)
		fold(l);
	l->changed = true;
	return ST_OK;
}

size_t
ledger_n(const struct ledger *l)
{
	return l->n;
}

/* ---- as text ------------------------------------------------------------------ */

static size_t
put_line(char to[LINE_MAX], const struct ledger_gap *g)
{
	int n = snprintf(to, LINE_MAX, "removed=%" PRId64 " upstream=%s edge=%s "
	    "from=%" PRId64 " to=%" PRId64 " samples=%" PRIu64 " reason=%s "
	    "segments=%" PRIu64 "-%" PRIu64, g->removed_s, g->upstream, g->edge,
	    g->from_s, g->to_s, g->samples, status_info(g->reason)->word,
	    g->first, g->last);

	n += snprintf(to + n, LINE_MAX - (size_t)n, SUM "%08" PRIx32 "\n",
	    crc32c(0, (const uint8_t *)to, (size_t)n));
	return (size_t)n;
}

static bool
reason_of(const char *word, enum status *out)
{
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (strcmp(status_info(reasons[i])->word, word) == 0) {
			*out = reasons[i];
			return true;
		}
	}
	return false;
}

struct line {
	struct ledger_gap gap;
	char upstream[SPOOL_NAME_MAX + 1], edge[EDGE_MAX + 1], reason[33];
};

/* The line ends with its sum, and a byte 0. */
static bool
get_line(const char *text, struct line *out)
{
	const char *sum = strstr(text, SUM);
	struct ledger_gap *g = &out->gap;
	uint32_t crc;

	if (!sum || sscanf(sum, SUM "%8" SCNx32, &crc) != 1 ||
	    crc != crc32c(0, (const uint8_t *)text, (size_t)(sum - text)))
		return false;
	if (sscanf(text, "removed=%" SCNd64 " upstream=%128s edge=%768s "
	    "from=%" SCNd64 " to=%" SCNd64 " samples=%" SCNu64 " reason=%32s "
	    "segments=%" SCNu64 "-%" SCNu64, &g->removed_s, out->upstream,
	    out->edge, &g->from_s, &g->to_s, &g->samples, out->reason,
	    &g->first, &g->last) != 9)
		return false;
	g->upstream = out->upstream;
	g->edge = out->edge;
	return reason_of(out->reason, &g->reason);
}

/* ---- the file -------------------------------------------------------------------- */

static void
path_of(char to[SPOOL_PATH_MAX], const char *directory, const char *name)
{
	spool_path_named(to, directory, name, NULL);
}

/* All of it into text, with a byte 0 behind. */
static enum status
read_file(const struct disk_ops *d, const char *directory, struct buf *text)
{
	char path[SPOOL_PATH_MAX];
	struct disk_file *file = NULL;
	uint64_t size = 0;
	size_t n;
	enum status st;

	path_of(path, directory, LEDGER_FILE);
	st = d->open(d->arg, path, false, false, &file);
	if (st == ST_OK)
		st = d->size(d->arg, file, &size);
	n = size > FILE_MAX ? FILE_MAX : (size_t)size;
	if (st == ST_OK && !buf_room(text, n + 1))
		st = ST_NO_MEMORY;
	if (st == ST_OK)
		st = d->read(d->arg, file, 0, text->data, &n);
	if (st == ST_OK) {
		text->len = n;
		text->data[n] = '\0';
	}
	d->close(d->arg, &file);
	return st;
}

static enum status
read_gaps(const struct disk_ops *d, const char *directory,
    ledger_each_fn *each, void *arg, size_t *damaged)
{
	struct line line;
	struct buf text;
	char *at, *end;
	enum status st;

	buf_init(&text, FILE_MAX + 1);
	st = read_file(d, directory, &text);
	if (st == ST_OK && (text.len < strlen(HEAD) ||
	    memcmp(text.data, HEAD, strlen(HEAD)) != 0))
		st = ST_BAD_FORMAT;
	if (st == ST_OK) {
		at = (char *)text.data + strlen(HEAD);
		for (; (end = strchr(at, '\n')) != NULL; at = end + 1) {
			*end = '\0';
			if (get_line(at, &line))
				each(&line.gap, arg);
			else
				++*damaged;
		}
		/* cut short, or a byte 0 in it */
		*damaged += at != (char *)text.data + text.len;
	}
	buf_fini(&text);
	return st;
}

enum status
ledger_read(const struct disk_ops *d, const char *directory,
    ledger_each_fn *each, void *arg)
{
	size_t damaged = 0;

	return read_gaps(d, directory, each, arg, &damaged);
}

struct loading {
	struct ledger *ledger;
	enum status status;
};

static void
load(const struct ledger_gap *g, void *arg)
{
	struct loading *all = arg;

	if (all->status == ST_OK)
		all->status = append(all->ledger, g);
}

/* What cannot be read is put out of the way, not written over. */
static void
set_aside(const struct ledger *l, enum status why)
{
	char from[SPOOL_PATH_MAX], to[SPOOL_PATH_MAX];

	path_of(from, l->directory, LEDGER_FILE);
	path_of(to, l->directory, LEDGER_FILE ".old");
	log_error("gaps-unreadable", "file=%s reason=%s lines=%zu "
	    "hint=\"what cannot be read of it is in " LEDGER_FILE ".old\"",
	    from, status_info(why)->word, l->damaged);
	(void)l->disk->rename(l->disk->arg, from, to);
}

enum status
ledger_open(const struct disk_ops *disk, const char *directory,
    struct ledger **out)
{
	struct ledger *l = calloc(1, sizeof(*l));
	struct loading all = { l, ST_OK };
	enum status st;

	if (!l)
		return ST_NO_MEMORY;
	l->disk = disk;
	l->directory = directory;
	st = read_gaps(disk, directory, load, &all, &l->damaged);
	if (st == ST_NO_MEMORY || all.status != ST_OK) {
		ledger_close(&l);
		return ST_NO_MEMORY;
	}
	if (st == ST_OK && l->damaged)
		st = ST_DAMAGED;
	if (st != ST_OK && st != ST_MISSING) {
		set_aside(l, st);
		l->changed = true;
	}
	if (l->n >= LEDGER_GAPS_MAX)
		fold(l);
	*out = l;
	return ST_OK;
}

void
ledger_close(struct ledger **taken)
{
	struct ledger *l = *taken;
	size_t i;

	*taken = NULL;
	if (!l)
		return;
	for (i = 0; i < l->n; i++)
		free(l->gaps[i]);
	free(l->gaps);
	free(l);
}

static enum status
write_file(const struct ledger *l, const char *path, struct buf *text)
{
	const struct disk_ops *d = l->disk;
	struct disk_file *file = NULL;
	struct iovec iov = { text->data, text->len };
	enum status st;

	(void)d->unlink(d->arg, path); /* of a try that failed */
	st = d->open(d->arg, path, true, true, &file);
	if (st == ST_OK)
		st = d->write(d->arg, file, 0, &iov, 1);
	if (st == ST_OK)
		st = d->sync(d->arg, file);
	d->close(d->arg, &file);
	return st;
}

enum status
ledger_write(struct ledger *l)
{
	const struct disk_ops *d = l->disk;
	char path[SPOOL_PATH_MAX], making[SPOOL_PATH_MAX], line[LINE_MAX];
	struct buf text;
	enum status st;
	size_t i;

	if (!l->changed)
		return ST_OK;
	buf_init(&text, FILE_MAX + LINE_MAX);
	(void)buf_append_str(&text, HEAD);
	for (i = 0; i < l->n; i++)
		(void)buf_append(&text, line, put_line(line, &l->gaps[i]->g));
	path_of(path, l->directory, LEDGER_FILE);
	path_of(making, l->directory, LEDGER_FILE ".tmp");
	st = buf_failed(&text) ? ST_NO_MEMORY : write_file(l, making, &text);
	buf_fini(&text);
	if (st == ST_OK)
		st = d->rename(d->arg, making, path);
	if (st == ST_OK)
		st = d->sync_dir(d->arg, l->directory);
	if (st == ST_OK)
		l->changed = false;
	return st;
}
