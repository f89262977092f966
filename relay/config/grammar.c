/* grammar.c - the config file through libconfuse.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The grammar is made from directive.tbl.  To libconfuse every value is a
 * CFGT_PTR: on_value() makes a struct setting of it, the text with its place.
 * Files are read by source.c; an include is a parse within the parse, as
 * libconfuse itself does for the defaults of lists.  (Its own cfg_include()
 * leaves the scanner inside the included file after an error there.)        */
#include "config/grammar.h"

#include <confuse.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/directive.h"
#include "config/source.h"

#define FILE_BYTES_MAX (1024 * 1024)
#define INCLUDE_DEPTH_MAX 8
#define INCLUDES_MAX 256

struct grammar {
	cfg_t *tree;			/* owned */
	struct arena *memory;		/* borrowed */
	struct config_error *why;	/* borrowed until the parse is over */
	const char *path, *file;	/* the first file, the one being read */
	unsigned depth, includes;
	enum status st;			/* of a file that was not read */
};

static const struct section {
	const char *within, *name;
	cfg_flag_t flags;
} sections[] = {
	{ "top", "listen", CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES },
	{ "top", "admin", CFGF_NONE },
	{ "top", "spool", CFGF_NONE },
	{ "top", "upstream", CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES },
	{ "upstream", "oauth2", CFGF_NONE },
	{ "top", "edge", CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES },
	{ "edge", "relabel", CFGF_MULTI },
};
#define SECTIONS (sizeof(sections) / sizeof(sections[0]))

/* libconfuse gives its callbacks no argument of ours, and has its scanner in
 * globals: one parse at a time. */
static struct grammar *parsing;

static struct place
place_in(const struct grammar *g, cfg_t *section)
{
	const char *name = cfg_name(section);

	return (struct place){ .file = g->file, .line = section->line,
		.section = strcmp(name, "root") == 0 ? NULL : name,
		.title = cfg_title(section) };
}

/* ---- a name that nobody knows ------------------------------------------------- */

#define NAME_CUT 31

/* Insertions, deletions, replacements and swaps of neighbours that make b of
 * a. */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[3][NAME_CUT + 1], i, j, best;
	unsigned n = (unsigned)strnlen(a, NAME_CUT);
	unsigned m = (unsigned)strnlen(b, NAME_CUT);

	for (j = 0; j <= m; j++)
		row[0][j] = j;
	for (i = 1; i <= n; i++) {
		unsigned *now = row[i % 3], *above = row[(i + 2) % 3];
		const unsigned *top = row[(i + 1) % 3];

		now[0] = i;
		for (j = 1; j <= m; j++) {
			best = above[j - 1] + (a[i - 1] != b[j - 1]);
			if (above[j] + 1 < best)
				best = above[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && top[j - 2] + 1 < best)
				best = top[j - 2] + 1;
			now[j] = best;
		}
	}
	return row[n % 3][m];
}

static const char *
nearest(const char *name, const char *section)
{
	unsigned best = (unsigned)strnlen(name, NAME_CUT) / 2 + 1, d;
	const char *near = NULL;
	size_t i;

	for (i = 0; i < directives_n; i++) {
		d = distance(name, directives[i].name);
		if (d < best && strcmp(directives[i].section, section) == 0) {
			best = d;
			near = directives[i].name;
		}
	}
	for (i = 0; i < SECTIONS; i++) {
		d = distance(name, sections[i].name);
		if (d < best && strcmp(sections[i].within, section) == 0) {
			best = d;
			near = sections[i].name;
		}
	}
	return near;
}

static const char *
home_of(const char *name)
{
	size_t i;

	for (i = 0; i < directives_n; i++)
		if (strcmp(directives[i].name, name) == 0)
			return directives[i].section;
	for (i = 0; i < SECTIONS; i++)
		if (strcmp(sections[i].name, name) == 0)
			return sections[i].within;
	return NULL;
}

static bool
is_outer(const char *name)
{
	size_t i;

	for (i = 0; i < SECTIONS; i++)
		if (strcmp(sections[i].name, name) == 0)
			return strcmp(sections[i].within, "top") == 0;
	return strcmp(name, "include") == 0;
}

static void
refuse_unknown(const struct place *at, struct config_error *why,
    const char *name)
{
	const char *near = nearest(name, at->section ? at->section : "top");
	const char *home = home_of(name);
	char out[64];

	name = place_shown(name, out, sizeof(out));
	if (is_outer(name))
		(void)place_refuse(at, why,
		    "%s stands outside of sections: is a } missing?", name);
	else if (home && strcmp(home, "top") == 0)
		(void)place_refuse(at, why,
		    "unknown directive %s: it stands outside of sections", name);
	else if (home)
		(void)place_refuse(at, why,
		    "unknown directive %s: it stands in section %s", name, home);
	else if (near)
		(void)place_refuse(at, why,
		    "unknown directive %s: did you mean %s?", name, near);
	else
		(void)place_refuse(at, why, "unknown directive %s", name);
}

/* ---- what libconfuse calls ------------------------------------------------------ */

static void on_error(cfg_t *, const char *fmt, va_list)
    __attribute__((format(printf, 2, 0)));

static void
on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	struct place at = place_in(parsing, cfg);
	char text[512];

	if (strcmp(fmt, "no such option '%s'") == 0) {
		refuse_unknown(&at, parsing->why, va_arg(ap, const char *));
		return;
	}
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	(void)place_refuse(&at, parsing->why, "%s", text);
}

/* def.number, for which libconfuse has no use in a CFGT_PTR, is the line where
 * the directive was first given. */
static int
on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *out)
{
	struct place at = place_in(parsing, cfg);
	size_t n = strlen(value) + 1;
	struct setting *s;

	if (opt->nvalues == 1 && opt->def.number != 0) {
		(void)place_refuse(&at, parsing->why,
		    "directive %s: given twice, before in line %ld", opt->name,
		    opt->def.number);
		return -1;
	}
	if (opt->nvalues == 1)
		opt->def.number = cfg->line;
	s = malloc(sizeof(*s) + n);
	if (!s) {
		parsing->st = ST_NO_MEMORY;
		return -1;
	}
	s->file = parsing->file;
	s->line = cfg->line;
	memcpy(s->text, value, n);
	*(void **)out = s;
	return 0;
}

static enum status
parse_text(struct grammar *g, cfg_t *cfg, struct buf *text)
{
	FILE *fp = fmemopen(text->data, text->len, "r");
	int rc;

	if (!fp)
		return ST_NO_MEMORY;
	rc = cfg_parse_fp(cfg, fp);
	(void)fclose(fp);	/* memory */
	if (rc == CFG_SUCCESS)
		return ST_OK;
	return g->st != ST_OK ? g->st : ST_CONFIG;
}

/* The file, read into `cfg`, whose line and file are then as before. */
static enum status
parse_file(struct grammar *g, cfg_t *cfg, const char *path)
{
	const char *file = g->file;
	struct source_fault fault;
	struct place at = { .file = path };
	char *filename = cfg->filename;
	int line = cfg->line;
	struct buf text;

	g->file = path;
	cfg->filename = strdup(path);	/* sections copy it */
	buf_init(&text, FILE_BYTES_MAX);
	g->st = source_read(path, &text, &fault);
	if (g->st == ST_OK)
		g->st = source_clean(&text, &fault);
	if (g->st != ST_OK) {
		at.line = (int)fault.line;
		(void)place_refuse(&at, g->why, "%s", fault.text);
	} else {
		g->st = parse_text(g, cfg, &text);
		at.line = cfg->line;
		if (g->st != ST_OK)	/* where libconfuse says nothing */
			(void)place_refuse(&at, g->why, "syntax error");
	}
	buf_fini(&text);
	free(cfg->filename);
	cfg->filename = filename;
	cfg->line = line;
	g->file = file;
	return g->st;
}

/* A relative name is taken from where the file is that names it. */
static const char *
beside(struct grammar *g, const char *name)
{
	const char *slash = strrchr(g->file, '/');
	size_t dir = slash && *name != '/' ? (size_t)(slash + 1 - g->file) : 0;
	size_t n = strlen(name) + 1;
	char *path = arena_take(g->memory, dir + n);

	if (!path)
		return NULL;
	memcpy(path, g->file, dir);
	memcpy(path + dir, name, n);
	return path;
}

static int
on_include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
	struct grammar *g = parsing;
	struct place at = place_in(g, cfg);
	const char *path;

	(void)opt;
	if (argc != 1 || g->depth == INCLUDE_DEPTH_MAX ||
	    g->includes++ == INCLUDES_MAX) {
		(void)place_refuse(&at, g->why, argc == 1 ?
		    "include: too many files, or files include each other" :
		    "include: write include(\"FILE\")");
		return -1;
	}
	path = beside(g, argv[0]);
	if (!path) {
		g->st = ST_NO_MEMORY;
		return -1;
	}
	g->depth++;
	if (parse_file(g, cfg, path) != ST_OK)
		return -1;
	g->depth--;
	return 0;
}

/* ---- the grammar ------------------------------------------------------------------ */

static size_t
add_directives(const char *section, cfg_opt_t *out)
{
	size_t i, n = 0;

	for (i = 0; i < directives_n; i++) {
		cfg_opt_t one = CFG_PTR_CB(directives[i].name, NULL, CFGF_NONE,
		    on_value, free);

		if (strcmp(directives[i].section, section) != 0)
			continue;
		if (directives[i].type == VALUE_LIST)
			one.flags |= CFGF_LIST;
		out[n++] = one;
	}
	return n;
}

/* What is in a section, the sections within it too; their contents are a row each
 * in `rows`. */
static void
add_all(const char *section, cfg_opt_t *out, cfg_opt_t *rows, size_t wide)
{
	const cfg_opt_t include = CFG_FUNC("include", on_include);
	const cfg_opt_t end = CFG_END();
	size_t i, n = add_directives(section, out);

	if (strcmp(section, "top") == 0)
		out[n++] = include;
	for (i = 0; i < SECTIONS; i++) {
		cfg_opt_t one = CFG_SEC(sections[i].name, rows + i * wide,
		    sections[i].flags);

		if (strcmp(sections[i].within, section) == 0)
			out[n++] = one;
	}
	out[n] = end;
}

/* libconfuse copies what it is given. */
static cfg_t *
make_tree(void)
{
	size_t wide = directives_n + SECTIONS + 2, i;
	cfg_opt_t *opts = calloc((SECTIONS + 1) * wide, sizeof(*opts));
	cfg_opt_t *rows;
	cfg_t *tree;

	if (!opts)
		return NULL;
	rows = opts + wide;
	add_all("top", opts, rows, wide);
	for (i = 0; i < SECTIONS; i++)
		add_all(sections[i].name, rows + i * wide, rows, wide);
	tree = cfg_init(opts, CFGF_NONE);
	free(opts);
	return tree;
}

enum status
grammar_parse(const char *path, struct arena *memory, struct grammar **out,
    struct config_error *why)
{
	struct grammar *g = calloc(1, sizeof(*g));
	enum status st;

	if (!g)
		return ST_NO_MEMORY;
	g->memory = memory;
	g->path = path;
	g->why = why;
	g->tree = make_tree();
	if (!g->tree) {
		free(g);
		return ST_NO_MEMORY;
	}
	(void)cfg_set_error_function(g->tree, on_error);
	parsing = g;
	st = parse_file(g, g->tree, path);
	parsing = NULL;
	g->why = NULL;
	if (st != ST_OK) {
		grammar_free(&g);
		return st;
	}
	*out = g;
	return ST_OK;
}

void
grammar_free(struct grammar **taken)
{
	struct grammar *g = *taken;

	*taken = NULL;
	if (!g)
		return;
	(void)cfg_free(g->tree);
	free(g);
}

/* ---- the tree ------------------------------------------------------------------------ */

static const char *
outer_of(const char *section)
{
	size_t i;

	for (i = 0; i < SECTIONS; i++)
		if (strcmp(sections[i].name, section) == 0)
			return sections[i].within;
	return "top";
}

/* The section of the outer kind that has the i-th of all that are within such, and its
 * number there. */
static cfg_t *
find_outer(const struct grammar *g, const char *outer, const char *section,
    size_t *i)
{
	size_t k, n;

	for (k = 0; *i >= (n = grammar_within(g, outer, k, section)); k++)
		*i -= n;
	return cfg_getnsec(g->tree, outer, (unsigned)k);
}

static cfg_t *
find_section(const struct grammar *g, const char *section, size_t i)
{
	const char *outer = outer_of(section);
	cfg_t *in = g->tree;

	if (strcmp(section, "top") == 0)
		return in;
	if (strcmp(outer, "top") != 0)
		in = find_outer(g, outer, section, &i);
	return cfg_getnsec(in, section, (unsigned)i);
}

/* Of one within another the title is that of the other. */
static const char *
title_of(const struct grammar *g, const char *section, size_t i)
{
	const char *outer = outer_of(section);

	return cfg_title(strcmp(outer, "top") == 0 ?
	    find_section(g, section, i) : find_outer(g, outer, section, &i));
}

size_t
grammar_within(const struct grammar *g, const char *outer, size_t i,
    const char *inner)
{
	return cfg_size(cfg_getnsec(g->tree, outer, (unsigned)i), inner);
}

size_t
grammar_sections(const struct grammar *g, const char *section)
{
	return cfg_size(g->tree, section);
}

size_t
grammar_values(const struct grammar *g, const char *section, size_t i,
    const char *directive)
{
	return cfg_size(find_section(g, section, i), directive);
}

const struct setting *
grammar_value(const struct grammar *g, const char *section, size_t i,
    const char *directive, size_t k)
{
	return cfg_getnptr(find_section(g, section, i), directive, (unsigned)k);
}

struct place
grammar_place(const struct grammar *g, const char *section, size_t i,
    const char *directive, size_t k)
{
	cfg_t *sec = find_section(g, section, i);
	struct place at = {
		.file = sec->filename ? sec->filename : g->path,
		.line = sec->filename ? sec->line : 0,
		.section = sec == g->tree ? NULL : section,
		.title = title_of(g, section, i),
	};
	const struct setting *s;

	if (directive && k < cfg_size(sec, directive)) {
		s = cfg_getnptr(sec, directive, (unsigned)k);
		at.file = s->file;
		at.line = s->line;
	}
	return at;
}
