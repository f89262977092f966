/* fuzz_relabel.c - any rules on any labels of any edge.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Lines, their fields with tabs between them:
 *	p PATTERN NAME TENANT			of the edge
 *	r ACTION SOURCE SEPARATOR REGEX MODULUS TARGET REPLACEMENT
 *	s NAME VALUE				a label that is set
 *	l NAME VALUE				a label that came
 * What comes out are labels as a series has them, the same each time. */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "policy/rules.h"
#include "policy/tenant.h"

#define FIELDS 8
#define RULES_MAX 4
#define LABELS_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct input {
	struct relabel_rule rule[RULES_MAX];
	const char *source[RULES_MAX];
	size_t n_rules;
	struct edge_label set[RULES_MAX];
	struct edge_policy policy;
	const char *edge;
	struct label label[LABELS_MAX];
	uint32_t n_labels;
};

/* The fields of a line, "" where there are no more; false if one is not UTF-8. */
static bool
take_apart(char *line, const char *field[FIELDS])
{
	size_t i;

	for (i = 0; i < FIELDS; i++) {
		field[i] = line;
		line += strcspn(line, "\t");
		if (*line)
			*line++ = '\0';
		if (!utf8_valid(bytes_str(field[i])))
			return false;
	}
	return true;
}

static void
add_rule(struct input *in, const char *const f[FIELDS])
{
	struct relabel_rule *r = &in->rule[in->n_rules];

	if (in->n_rules == RULES_MAX)
		return;
	in->source[in->n_rules] = f[2];
	*r = (struct relabel_rule){
		.action = (enum relabel_action)((unsigned)atoi(f[1]) %
		    (RELABEL_UPPER + 1)),
		.source_labels = &in->source[in->n_rules],
		.n_source_labels = *f[2] != '\0',
		.separator = f[3],
		.regex = f[4],
		.modulus = strtoull(f[5], NULL, 10),
		.target_label = f[6],
		.replacement = f[7],
	};
	in->n_rules++;
}

static void
add_set(struct input *in, const char *const f[FIELDS])
{
	struct edge_label *s = &in->set[in->policy.n_set];

	if (in->policy.n_set == RULES_MAX || *f[1] == '\0' ||
	    edge_template_new(in->policy.pattern, f[2], &s->value))
		return;
	s->name = bytes_str(f[1]);
	in->policy.n_set++;
}

static void
add_label(struct input *in, const char *const f[FIELDS])
{
	struct bytes name = bytes_str(f[1]), value = bytes_str(f[2]);
	uint32_t i = in->n_labels;

	if (i == LABELS_MAX || !name.n || !value.n ||
	    (i > 0 && bytes_cmp(in->label[i - 1].name, name) >= 0))
		return;
	in->label[in->n_labels++] = (struct label){ name, value };
}

static void
add_line(struct input *in, char *line)
{
	const char *f[FIELDS];

	if (!take_apart(line, f))
		return;
	if (strcmp(f[0], "p") == 0 && !in->policy.n_set && !in->policy.tenant) {
		in->policy.pattern = f[1];
		in->edge = f[2];
		(void)edge_template_new(f[1], f[3], &in->policy.tenant);
	} else if (strcmp(f[0], "r") == 0) {
		add_rule(in, f);
	} else if (strcmp(f[0], "s") == 0) {
		add_set(in, f);
	} else if (strcmp(f[0], "l") == 0) {
		add_label(in, f);
	}
}

static void
check_labels(const struct label *label, uint32_t n)
{
	uint32_t i;

	assert(n > 0 && n <= BATCH_LABELS_MAX);
	for (i = 0; i < n; i++) {
		assert(label[i].name.n > 0 && label[i].value.n > 0);
		assert(utf8_valid(label[i].name));
		assert(utf8_valid(label[i].value));
		assert(i == 0 ||
		    bytes_cmp(label[i - 1].name, label[i].name) < 0);
	}
}

static void
check_tenant(const struct input *in)
{
	const struct edge_policies all = { &in->policy, 1 };
	struct buf tenant;
	size_t i;

	buf_init(&tenant, SIZE_MAX);
	(void)tenant_of(edge_policy_of(&all, bytes_str(in->edge)),
	    bytes_str(in->edge), &tenant);
	for (i = 0; i < tenant.len; i++)
		assert(tenant.data[i] > ' ' && tenant.data[i] < 127);
	buf_fini(&tenant);
}

/* A hash of what comes out. */
static uint64_t
apply(const struct input *in, const struct rules *rules,
    struct relabel_room *room)
{
	static struct label label[BATCH_LABELS_MAX];
	uint32_t n = in->n_labels, i;
	uint64_t h = 0;
	enum status st;
	struct rules_deed deed;

	memcpy(label, in->label, n * sizeof(*label));
	st = rules_apply(rules, room, label, &n, &deed);
	if (st != ST_OK)
		return st;
	check_labels(label, n);
	for (i = 0; i < n; i++) {
		h = h * 31 + hash_lasting(label[i].name.p, label[i].name.n);
		h = h * 31 + hash_lasting(label[i].value.p, label[i].value.n);
	}
	return h;
}

static void
run(struct input *in)
{
	struct relabel_room *room = relabel_room_new();
	struct rules *rules = NULL;
	size_t which;

	assert(room);
	if (!relabel_new(in->rule, in->n_rules, &in->policy.relabel, &which))
		assert(rules_new(&in->policy, bytes_str(in->edge), &rules) ==
		    ST_OK);
	if (rules)
		assert(apply(in, rules, room) == apply(in, rules, room));
	check_tenant(in);
	rules_free(&rules);
	relabel_free(&in->policy.relabel);
	relabel_room_free(&room);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .policy.pattern = "*", .edge = "edge" };
	char *text = malloc(size + 1), *line, *rest = text;
	size_t i;

	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	in.policy.set = in.set;
	while ((line = strsep(&rest, "\n")) != NULL)
		add_line(&in, line);
	run(&in);
	for (i = 0; i < in.policy.n_set; i++)
		template_free(&in.set[i].value);
	template_free(&in.policy.tenant);
	free(text);
	return 0;
}
