/* value.c - counts, sizes and durations as people write them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "config/value.h"

#include <stddef.h>
#include <string.h>

#include "base/clock.h"

static const struct unit {
	enum value_type type;
	const char *name;
	uint64_t worth;
} units[] = {
	{ VALUE_COUNT, "", 1 },
	{ VALUE_COUNT, "k", 1000 },
	{ VALUE_COUNT, "M", 1000000 },
	{ VALUE_SIZE, "", 1 },
	{ VALUE_SIZE, "K", UINT64_C(1) << 10 },
	{ VALUE_SIZE, "M", UINT64_C(1) << 20 },
	{ VALUE_SIZE, "G", UINT64_C(1) << 30 },
	{ VALUE_SIZE, "T", UINT64_C(1) << 40 },
	{ VALUE_DURATION, "ms", CLOCK_MS },
	{ VALUE_DURATION, "s", CLOCK_S },
	{ VALUE_DURATION, "m", 60 * CLOCK_S },
	{ VALUE_DURATION, "h", 3600 * CLOCK_S },
	{ VALUE_DURATION, "d", 86400 * CLOCK_S },
	{ VALUE_RATIO, "", 1 },
};

static const struct unit *
find_unit(enum value_type type, const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].type == type && strcmp(units[i].name, name) == 0)
			return &units[i];
	return NULL;
}

static const char *
digits(const char *p, uint64_t *v)
{
	uint64_t digit;

	for (; *p >= '0' && *p <= '9'; p++) {
		digit = (uint64_t)(*p - '0');
		if (*v > (INT64_MAX - digit) / 10)
			return NULL;
		*v = *v * 10 + digit;
	}
	return p;
}

/* What stands after the number, read as thousandths; NULL: too many digits. */
static const char *
thousandths(const char *p, uint64_t *v)
{
	const char *from = p + 1;
	unsigned n = 0;

	if (*v > INT64_MAX / 1000)
		return NULL;
	if (*p == '.') {
		p = digits(from, v);
		n = p ? (unsigned)(p - from) : 0;
		if (n < 1 || n > 3)
			return NULL;
	}
	for (; n < 3; n++)
		*v *= 10;
	return p;
}

bool
value_number(enum value_type type, const char *text, uint64_t *out)
{
	const struct unit *unit;
	uint64_t v = 0;
	const char *p = digits(text, &v);

	if (p && p != text && type == VALUE_RATIO)
		p = thousandths(p, &v);
	if (!p || p == text)
		return false;
	if (type == VALUE_DURATION && v == 0 && *p == '\0') {
		*out = 0;
		return true;
	}
	unit = find_unit(type, p);
	if (!unit || v > INT64_MAX / unit->worth)
		return false;
	*out = v * unit->worth;
	return true;
}

int
value_word(const char *words, const char *text)
{
	size_t want = strlen(text), n;
	int i;

	for (i = 0;; i++) {
		n = strcspn(words, "|");
		if (n == want && memcmp(words, text, n) == 0)
			return i;
		if (words[n] == '\0')
			return -1;
		words += n + 1;
	}
}
