/* edge.c - the first pattern that matches, and what its stars take.
 * SPDX-License-Identifier: Apache-2.0 */
#include "policy/edge.h"

#include <fnmatch.h>
#include <string.h>

static void
as_text(struct bytes name, char *text)
{
	if (name.n)
		memcpy(text, name.p, name.n);
	text[name.n] = '\0';
}

const struct edge_policy *
edge_policy_of(const struct edge_policies *all, struct bytes name)
{
	char text[EDGE_NAME_MAX + 1];
	size_t i;

	if (all->n == 0 || name.n > EDGE_NAME_MAX)
		return NULL;
	as_text(name, text);
	for (i = 0; i < all->n; i++)
		if (fnmatch(all->item[i].pattern, text, 0) == 0)
			return &all->item[i];
	return NULL;
}

/* ---- stars --------------------------------------------------------------------- */

/* The end of [...]; NULL: the [ is a letter like others. */
static const char *
bracket_end(const char *p)
{
	p++;
	if (*p == '!' || *p == '^')
		p++;
	if (*p == ']')
		p++;
	for (; *p && *p != ']'; p++) {
		if (*p == '\\' && p[1])
			p++;
		else if (*p == '[' && (p[1] == ':' || p[1] == '.' ||
		    p[1] == '=')) {
			const char close[3] = { p[1], ']', '\0' };
			const char *end = strstr(p + 2, close);

			p = end ? end + 1 : p;
		}
	}
	return *p ? p + 1 : NULL;
}

/* What takes one byte of a name. */
static const char *
after(const char *p)
{
	const char *end = *p == '[' ? bracket_end(p) : NULL;

	if (end)
		return end;
	return *p == '\\' && p[1] ? p + 2 : p + 1;
}

static unsigned
count_stars(const char *p)
{
	unsigned n = 0;

	while (*p && n < EDGE_STARS_MAX) {
		n += *p == '*';
		p = after(p);
	}
	return n;
}

void
edge_stars(const char *p, struct bytes name, struct edge_stars *out)
{
	char text[EDGE_NAME_MAX + 1];
	size_t at = 0, end;

	*out = (struct edge_stars){ .star[0] = name, .n = 1 };
	if (name.n == 0 || name.n > EDGE_NAME_MAX)
		return;
	as_text(name, text);
	for (; *p && out->n <= EDGE_STARS_MAX; p = after(p)) {
		if (*p != '*') {
			at += at < name.n;
			continue;
		}
		for (end = name.n; end > at; end--)
			if (fnmatch(p + 1, text + end, 0) == 0)
				break;
		out->star[out->n++] = bytes_of(name.p + at, end - at);
		at = end;
	}
}

struct bytes
edge_star(unsigned group, const void *arg)
{
	const struct edge_stars *s = arg;

	return group < s->n ? s->star[group] : BYTES_LIT("");
}

static int
no_name(struct bytes name, const void *arg)
{
	(void)name;
	(void)arg;
	return -1;
}

const char *
edge_template_new(const char *pattern, const char *text, struct template **out)
{
	*out = template_new(text, no_name, NULL);
	if (!*out)
		return "memory is out";
	if (template_reach(*out) <= count_stars(pattern))
		return NULL;
	template_free(out);
	return "$1 is what the first * of the section's name took, and so on to "
	       "$9; there is no * for one of these";
}
