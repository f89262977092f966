/* regex.c - expressions through PCRE2.
 * SPDX-License-Identifier: Apache-2.0 */
#include "policy/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#define EFFORT 100000			/* match limit: steps of backtracking */
#define DEPTH 50000			/* of them, one within the other */
#define HEAP_KIB 8192
#define NAME_BYTES_MAX 32		/* of a group, as PCRE2 has it */

struct regex {
	pcre2_code *code;		/* owned */
	unsigned groups;
};

struct regex_room {
	pcre2_match_data *data;		/* owned */
	pcre2_match_context *limits;	/* owned */
	struct bytes text;		/* borrowed */
	unsigned n;			/* groups that are set, the whole included */
};

void
regex_free(struct regex **taken)
{
	struct regex *x = *taken;

	*taken = NULL;
	if (!x)
		return;
	pcre2_code_free(x->code);
	free(x);
}

const char *
regex_new(struct bytes text, struct regex **out)
{
	struct regex *x = calloc(1, sizeof(*x));
	uint32_t groups = 0;
	size_t at;
	int error;

	*out = NULL;
	if (!x)
		return "memory is out";
	x->code = pcre2_compile(text.n ? text.p : (const uint8_t *)"", text.n,
	    PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_UTF | PCRE2_DOTALL |
	    PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C, &error, &at, NULL);
	if (!x->code) {
		regex_free(&x);
		return "an expression is not well formed";
	}
	(void)pcre2_pattern_info(x->code, PCRE2_INFO_CAPTURECOUNT, &groups);
	if (groups > REGEX_GROUPS_MAX) {
		regex_free(&x);
		return "an expression has more than 64 groups";
	}
	x->groups = groups;
	*out = x;
	return NULL;
}

unsigned
regex_groups(const struct regex *x)
{
	return x->groups;
}

int
regex_group(const struct regex *x, struct bytes name)
{
	uint8_t text[NAME_BYTES_MAX + 1];
	int n;

	if (name.n > NAME_BYTES_MAX)
		return -1;
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	n = pcre2_substring_number_from_name(x->code, text);
	return n > 0 ? n : -1;
}

/* ---- matching ----------------------------------------------------------------- */

void
regex_room_free(struct regex_room **taken)
{
	struct regex_room *r = *taken;

	*taken = NULL;
	if (!r)
		return;
	pcre2_match_data_free(r->data);
	pcre2_match_context_free(r->limits);
	free(r);
}

struct regex_room *
regex_room_new(void)
{
	struct regex_room *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->data = pcre2_match_data_create(REGEX_GROUPS_MAX + 1, NULL);
	r->limits = pcre2_match_context_create(NULL);
	if (!r->data || !r->limits) {
		regex_room_free(&r);
		return NULL;
	}
	(void)pcre2_set_match_limit(r->limits, EFFORT);
	(void)pcre2_set_depth_limit(r->limits, DEPTH);
	(void)pcre2_set_heap_limit(r->limits, HEAP_KIB);
	return r;
}

enum regex_result
regex_match(const struct regex *x, struct regex_room *r, struct bytes text)
{
	int rc;

	if (text.n == 0)
		text.p = (const uint8_t *)"";
	rc = pcre2_match(x->code, text.p, text.n, 0, 0, r->data, r->limits);
	r->text = text;
	r->n = rc > 0 ? (unsigned)rc : 0;
	if (rc == PCRE2_ERROR_NOMATCH)
		return REGEX_NO;
	return rc > 0 ? REGEX_YES : REGEX_GIVEN_UP;
}

struct bytes
regex_taken(const struct regex_room *r, unsigned group)
{
	const size_t *at = pcre2_get_ovector_pointer(r->data);

	if (group >= r->n || at[2 * group] == PCRE2_UNSET)
		return BYTES_LIT("");
	return bytes_of(r->text.p + at[2 * group],
	    at[2 * group + 1] - at[2 * group]);
}
