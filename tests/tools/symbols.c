/* symbols.c - see symbols.h.
 * SPDX-License-Identifier: Apache-2.0                                       */
#include "symbols.h"

#include <stdlib.h>

static uint32_t
slot_of(const struct symbols *s, struct wire_str str)
{
	uint32_t i = (uint32_t)wire_hash(str.p, str.len, 9) & (s->slots - 1);
	struct wire_str there;

	for (; s->slot[i] != 0; i = (i + 1) & (s->slots - 1)) {
		there = symbols_text(s, s->slot[i] - 1);
		if (there.len == str.len &&
		    memcmp(there.p, str.p, str.len) == 0)
			break;
	}
	return i;
}

static void
grow(struct symbols *s)
{
	uint32_t i;

	s->slots = s->slots != 0 ? s->slots * 2 : 1024;
	s->slot = wire_alloc(s->slot, s->slots * sizeof(*s->slot));
	s->at = wire_alloc(s->at, (s->slots / 2 + 1) * sizeof(*s->at));
	memset(s->slot, 0, s->slots * sizeof(*s->slot));
	for (i = 0; i < s->n; i++)
		s->slot[slot_of(s, symbols_text(s, i))] = i + 1;
}

void
symbols_init(struct symbols *s)
{
	memset(s, 0, sizeof(*s));
	grow(s);
	s->at[0] = 0;
	wire_buf_room(&s->text, 1);	/* never a null pointer */
	(void)symbols_intern(s, (struct wire_str){ "", 0 });
}

void
symbols_fini(struct symbols *s)
{
	wire_buf_free(&s->text);
	free(s->slot);
	free(s->at);
}

uint32_t
symbols_intern(struct symbols *s, struct wire_str str)
{
	uint32_t i = slot_of(s, str);

	if (s->slot[i] != 0)
		return s->slot[i] - 1;
	if (s->n == s->slots / 2) {
		grow(s);
		i = slot_of(s, str);
	}
	wire_put(&s->text, str.p, str.len);
	s->slot[i] = ++s->n;
	s->at[s->n] = (uint32_t)s->text.len;
	return s->n - 1;
}

struct wire_str
symbols_text(const struct symbols *s, uint32_t i)
{
	return (struct wire_str){ (const char *)s->text.p + s->at[i],
	    s->at[i + 1] - s->at[i] };
}
