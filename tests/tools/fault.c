/* fault.c - see fault.h.
 * SPDX-License-Identifier: Apache-2.0                                       */
#include "fault.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

static const struct fault all_well = { .kind = FAULT_OK, .retry_after = -1,
	.edge = -1, .series = -1 };

static const struct {
	const char *word;
	enum fault_kind kind;
} kinds[] = {
	{ "ok", FAULT_OK }, { "no-headers", FAULT_NO_HEADERS },
	{ "slow-read", FAULT_SLOW_READ }, { "slow-answer", FAULT_SLOW_ANSWER },
	{ "cut-body", FAULT_CUT_BODY }, { "cut", FAULT_CUT },
	{ "half-open", FAULT_HALF_OPEN }, { "down", FAULT_DOWN },
	{ "limit", FAULT_LIMIT }, { "garbage", FAULT_GARBAGE },
};

static const struct {
	const char *word;
	size_t at;			/* of a long in struct fault */
} settings[] = {
	{ "retry-after", offsetof(struct fault, retry_after) },
	{ "delay", offsetof(struct fault, delay_ms) },
	{ "rate", offsetof(struct fault, rate) },
	{ "after", offsetof(struct fault, after) },
	{ "edge", offsetof(struct fault, edge) },
	{ "series", offsetof(struct fault, series) },
	{ "above", offsetof(struct fault, above) },
	{ "every", offsetof(struct fault, every) },
};

static bool
read_kind(struct fault *f, const char *word)
{
	size_t i;

	if (isdigit((unsigned char)word[0])) {
		f->kind = FAULT_STATUS;
		f->status = atoi(word);
		return f->status >= 200 && f->status <= 999;
	}
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].word, word) == 0) {
			f->kind = kinds[i].kind;
			return true;
		}
	return false;
}

static bool
read_setting(struct fault *f, char *word)
{
	char *value = strchr(word, '='), *end;
	size_t i;
	long v;

	if (value == NULL)
		return false;
	*value++ = '\0';
	if (strcmp(word, "only") == 0) {
		f->version = strcmp(value, "1.0") == 0 ? WIRE_V1 : WIRE_V2;
		return true;
	}
	v = strtol(value, &end, 10);
	if (*value == '\0' || *end != '\0' || v < 0)
		return false;
	if (strcmp(word, "store") == 0) {
		f->store = v != 0;
		return true;
	}
	if (strcmp(word, "retry-date") == 0) {
		f->retry_after = v;
		f->retry_date = true;
		return true;
	}
	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (strcmp(settings[i].word, word) == 0) {
			memcpy((char *)f + settings[i].at, &v, sizeof(v));
			return true;
		}
	return false;
}

static const char *
read_fault(struct fault *f, char *text)
{
	char *state, *word = strtok_r(text, " \t\r\n", &state);

	*f = all_well;
	if (word == NULL || !read_kind(f, word))
		return "no such fault";
	while ((word = strtok_r(NULL, " \t\r\n", &state)) != NULL)
		if (!read_setting(f, word))
			return "no such setting of a fault";
	if (f->kind == FAULT_SLOW_READ && f->rate == 0)
		f->rate = 1000;
	if (f->kind == FAULT_LIMIT && f->rate == 0)
		return "limit needs rate=";
	return NULL;
}

static const char *
read_step(struct fault_schedule *s, char *text)
{
	char *colon = strchr(text, ':'), *end;
	double from = 0, to = 1e18;

	if (s->n == FAULT_MAX_STEPS)
		return "too many steps";
	if (colon != NULL) {
		from = strtod(text, &end);
		if (end == text || *end != '-')
			return "not FROM-TO:FAULT";
		text = end + 1;
		if (text != colon)
			to = strtod(text, &end);
		if (text != colon && end != colon)
			return "not FROM-TO:FAULT";
		text = colon + 1;
	}
	s->step[s->n].from = from;
	s->step[s->n].to = to;
	return read_fault(&s->step[s->n++].fault, text);
}

const char *
fault_read(struct fault_schedule *s, const char *text, int64_t now_us)
{
	char *copy = wire_alloc(NULL, strlen(text) + 1), *state, *word;
	struct fault_schedule fresh = { .since_us = now_us };
	const char *wrong = NULL;

	memcpy(copy, text, strlen(text) + 1);
	word = strtok_r(copy, ",", &state);
	while (wrong == NULL && word != NULL) {
		wrong = read_step(&fresh, word);
		word = strtok_r(NULL, ",", &state);
	}
	free(copy);
	if (wrong == NULL)
		*s = fresh;
	return wrong;
}

const struct fault *
fault_now(const struct fault_schedule *s, int64_t now_us)
{
	double t = (double)(now_us - s->since_us) / 1e6;
	unsigned i;

	for (i = 0; i < s->n; i++)
		if (t >= s->step[i].from && t < s->step[i].to)
			return &s->step[i].fault;
	return &all_well;
}
