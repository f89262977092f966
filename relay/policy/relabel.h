/* relabel.h - rules that rewrite the labels of a series, or drop it.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Prometheus' relabel_config, as version 3 has it: in an expression `.` is a newline
 * too, and names are any UTF-8.  Expressions are PCRE2's (regex.h says what that
 * means), templates are Go's (template.h).  Upper and lower case are Unicode's simple
 * mappings, as the C library has them.
 * Rules are immutable, for any thread; the room is for one at a time.       */
#ifndef RW_POLICY_RELABEL_H
#define RW_POLICY_RELABEL_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "series/batch.h"

struct relabel;
struct relabel_room;

/* In the order of the words of directive.tbl. */
enum relabel_action {
	RELABEL_REPLACE,
	RELABEL_KEEP,
	RELABEL_DROP,
	RELABEL_KEEP_EQUAL,
	RELABEL_DROP_EQUAL,
	RELABEL_HASHMOD,
	RELABEL_MAP,			/* labelmap */
	RELABEL_DROP_LABELS,		/* labeldrop */
	RELABEL_KEEP_LABELS,		/* labelkeep */
	RELABEL_LOWER,
	RELABEL_UPPER,
};

#define RELABEL_SEPARATOR ";"
#define RELABEL_REGEX "(.*)"
#define RELABEL_REPLACEMENT "$1"

struct relabel_rule {
	enum relabel_action action;
	const char *const *source_labels;
	size_t n_source_labels;
	const char *separator, *regex;
	uint64_t modulus;
	const char *target_label, *replacement;	/* "": none */
};

/* NULL and *out filled, or a sentence (static) on what is wrong with rule *which; *out is
 * NULL then.  Texts are borrowed for life. */
const char *relabel_new(const struct relabel_rule *, size_t n,
    struct relabel **out, size_t *which);
void relabel_free(struct relabel **);

/* NULL: out of memory. */
struct relabel_room *relabel_room_new(void);
void relabel_room_free(struct relabel_room **);

/* label: sorted by name, values not empty, room for BATCH_LABELS_MAX; likewise when it
 * comes back, with texts that last until the next call; the name may be gone, or a label
 * have an empty one.  ST_OK; ST_FILTERED: it is dropped; ST_RELABEL_EFFORT,
 * ST_TOO_MANY_LABELS, ST_BAD_UTF8: neither. */
enum status relabel_series(const struct relabel *, struct relabel_room *,
    struct label *label, uint32_t *n);

#endif
