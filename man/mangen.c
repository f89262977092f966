/* mangen.c - fills the facts of the tables into a page.
 * SPDX-License-Identifier: Apache-2.0
 *
 *	mangen PAGE.in > PAGE
 *
 * A line `@directive SECTION NAME@` becomes the directive's default and range, and
 * `@metrics@` the list of all metrics, `@commands@` that of rwrelayctl's.  A page that names one directive must name
 * each of them, once.                                                       */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum type { COUNT, SIZE, DURATION, RATIO, WORD, TEXT, LIST };

static const struct row {
	const char *section, *name;
	enum type type;
	const char *usual, *low, *high;
} directives[] = {
#define DIRECTIVE(section_, name_, type_, field_, usual_, low_, high_, check_) \
	{ #section_, #name_, type_, usual_, low_, high_ },
#include "config/directive.tbl"
#undef DIRECTIVE
};
#define DIRECTIVES (sizeof(directives) / sizeof(directives[0]))

static const struct {
	const char *name, *scope, *kind, *help;
} metrics[] = {
#define METRIC(id_, scope_, kind_, name_, help_) \
	{ name_, #scope_, #kind_, help_ },
#include "base/metric.tbl"
#undef METRIC
};
#define METRICS (sizeof(metrics) / sizeof(metrics[0]))

static const struct {
	const char *name, *argument, *help;
} commands[] = {
#define COMMAND(name_, method_, path_, argument_, help_) \
	{ #name_, argument_, help_ },
#include "admin/command.tbl"
#undef COMMAND
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static unsigned told[DIRECTIVES];

static void
die(const char *what, const char *which)
{
	(void)fprintf(stderr, "mangen: %s: %s\n", which, what);
	exit(EXIT_FAILURE);
}

static void
put_words(const char *words)
{
	size_t n;

	(void)printf("One of\n");
	for (; *words; words += n) {
		words += *words == '|';
		n = strcspn(words, "|");
		(void)printf(".Cm %.*s%s\n", (int)n, words,
		    words[n] ? " ," : " ;");
	}
}

static void
put_directive(const struct row *r)
{
	if (r->type == WORD) {
		put_words(r->low);
		(void)printf("the default is\n.Cm %s .\n", r->usual);
	} else if (r->type == LIST) {
		(void)printf("The default is an empty list.\n");
	} else if (!r->usual) {
		(void)printf("It must be given.\n");
	} else if (r->type == TEXT && *r->usual == '\0') {
		(void)printf("The default is\n.Qq \\& .\n");
	} else if (r->type == TEXT) {
		(void)printf("The default is\n.Qq %s .\n", r->usual);
	} else {
		(void)printf("The default is\n.Li %s ;\n.Li %s\nto\n"
		    ".Li %s\nis allowed.\n", r->usual, r->low, r->high);
	}
}

static void
fill_directive(const char *section, const char *name)
{
	size_t i;

	for (i = 0; i < DIRECTIVES; i++) {
		if (strcmp(directives[i].section, section) != 0 ||
		    strcmp(directives[i].name, name) != 0)
			continue;
		if (told[i]++)
			die("told twice", name);
		put_directive(&directives[i]);
		return;
	}
	die("no such directive", name);
}

static const char *
label_of(const char *scope)
{
	if (strcmp(scope, "GLOBAL") == 0)
		return NULL;
	if (strcmp(scope, "REASON") == 0)
		return "reason";
	return strcmp(scope, "UPSTREAM") == 0 ? "upstream" : "edge";
}

static const char *
kind_of(const char *kind)
{
	if (strcmp(kind, "COUNTER") == 0)
		return "Counter";
	return strcmp(kind, "SECONDS") == 0 ? "Histogram" : "Gauge";
}

/* A line has 78 columns at most. */
static void
put_text(const char *text)
{
	size_t n = strlen(text);

	while (n > 78) {
		for (n = 78; text[n] != ' '; n--)
			;
		(void)printf("%.*s\n", (int)n, text);
		text += n + 1;
		n = strlen(text);
	}
	(void)printf("%s\n", text);
}

static void
fill_metrics(void)
{
	const char *label;
	size_t i;

	(void)printf(".Bl -tag -width Ds\n");
	for (i = 0; i < METRICS; i++) {
		label = label_of(metrics[i].scope);
		(void)printf(".It Li %s\n%s", metrics[i].name,
		    kind_of(metrics[i].kind));
		if (label)
			(void)printf(" by\n.Li %s", label);
		(void)printf("%s\n", label ? " :" : ":");
		put_text(metrics[i].help);
	}
	(void)printf(".El\n");
}

/* As a sentence. */
static void
fill_commands(void)
{
	const char *help;
	size_t i;

	(void)printf(".Bl -tag -width Ds\n");
	for (i = 0; i < COMMANDS; i++) {
		help = commands[i].help;
		(void)printf(".It Cm %s", commands[i].name);
		if (*commands[i].argument)
			(void)printf(" Ar %s", commands[i].argument);
		(void)printf("\n%c%s.\n", *help - 'a' + 'A', help + 1);
	}
	(void)printf(".El\n");
}

static void
fill_line(char *line)
{
	char section[32], name[64];

	if (sscanf(line, "@directive %31s %63[^@]@", section, name) == 2)
		fill_directive(section, name);
	else if (strcmp(line, "@metrics@\n") == 0)
		fill_metrics();
	else if (strcmp(line, "@commands@\n") == 0)
		fill_commands();
	else if (*line == '@')
		die("what is that?", line);
	else
		(void)fputs(line, stdout);
}

int
main(int argc, char **argv)
{
	char line[1024];
	bool any = false;
	size_t i;
	FILE *in;

	if (argc != 2)
		die("usage", "mangen PAGE.in");
	in = fopen(argv[1], "r");
	if (!in)
		die("cannot be opened", argv[1]);
	while (fgets(line, sizeof(line), in))
		fill_line(line);
	if (ferror(in))
		die("cannot be read", argv[1]);
	(void)fclose(in);	/* nothing was written */
	for (i = 0; i < DIRECTIVES; i++)
		any = any || told[i];
	for (i = 0; any && i < DIRECTIVES; i++)
		if (!told[i])
			die("not told of", directives[i].name);
	if (fflush(stdout) == EOF)
		die("cannot be written", "standard output");
	return EXIT_SUCCESS;
}
