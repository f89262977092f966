/* filter.c - which points are wanted: by edge, series, time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tool/filter.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/match.h"

#define EDGE_MAX 512

bool
filter_time(const char *text, int64_t *ms)
{
	struct tm tm = { .tm_isdst = 0 };
	char *end;
	double s;

	end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (end && *end == '\0') {
		*ms = (int64_t)timegm(&tm) * 1000;
		return true;
	}
	s = strtod(text, &end);
	if (end == text || *end || !(s > -9e15 && s < 9e15))
		return false;
	*ms = (int64_t)(s < 0 ? s * 1000 - 0.5 : s * 1000 + 0.5);
	return true;
}

bool
filter_edge(const struct filter *f, struct bytes edge)
{
	char name[EDGE_MAX + 1];

	if (!f->edge)
		return true;
	if (edge.n > EDGE_MAX)
		return false;
	if (edge.n)
		memcpy(name, edge.p, edge.n);
	name[edge.n] = '\0';
	return fnmatch(f->edge, name, 0) == 0;
}

bool
filter_series(const struct filter *f, const struct label *labels, uint32_t n)
{
	return !f->match || match_labels(f->match, labels, n);
}
