/* cursor.c - two slots: what is synced, and what is newer.
 * SPDX-License-Identifier: Apache-2.0
 *
 * DIRECTORY/cursor/NAME; slots at 0 and SLOT, each
 *    0  magic           8
 *    8  version         2
 *   10  0               2
 *   12  bytes used      4
 *   16  generation      8
 *   24  crc32c          4   of the used bytes, these four as 0
 *   28  varints: head's segment and offset, number of owed, and of each owed
 *       from (segment less that of the one before, offset), to (segment less that of
 *       from, offset), stream, edge, wall_ms, bytes
 *
 * Puts go to the slot that is not synced, again and again, until cursor_sync:
 * then the slots change places.  So at any power cut one whole slot is there.
 * (In turn at every put would leave both torn.)                             */
#include "spool/cursor.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "spool/crc32c.h"
#include "spool/spool_priv.h"

#define SLOT ((size_t)1 << 20)
#define HEAD 28
#define OWED_BYTES (8 * VARINT_MAX)
#define VERSION 2

static_assert(HEAD + 3 * VARINT_MAX + CURSOR_OWED_MAX * OWED_BYTES <= SLOT,
    "a slot holds any state");

static const uint8_t magic[8] = { 0x89, 'R', 'W', 'C', '\r', '\n', 0x1a, '\n' };

struct cursor {
	const struct disk_ops *disk;	/* borrowed */
	struct disk_file *file;		/* owned */
	uint64_t generation;		/* of the last put */
	unsigned slot;			/* that puts go to */
	bool settled;			/* the other slot is on the disk */
	bool dirty;			/* put since the last sync */
	bool blank[2];			/* slots, when it was opened */
	uint8_t *room;			/* owned, SLOT bytes */
};

enum slot_state { SLOT_BLANK, SLOT_BAD, SLOT_LATER, SLOT_GOOD };

/* ---- a slot as bytes --------------------------------------------------------- */

static uint32_t
sum(uint8_t *raw, size_t n)
{
	static const uint8_t zero[4];
	uint32_t crc = crc32c(0, raw, 24);

	crc = crc32c(crc, zero, sizeof(zero));
	return crc32c(crc, raw + HEAD, n - HEAD);
}

static size_t
encode(uint8_t *raw, uint64_t generation, const struct cursor_state *s)
{
	uint64_t segment = 0;
	uint8_t *p = raw + HEAD;
	uint32_t i;

	p = varint_put(p, s->head.segment);
	p = varint_put(p, s->head.offset);
	p = varint_put(p, s->n_owed);
	for (i = 0; i < s->n_owed; i++) {
		const struct cursor_owed *o = &s->owed[i];

		assert(o->from.segment >= segment &&
		    o->to.segment >= o->from.segment);
		p = varint_put(p, o->from.segment - segment);
		p = varint_put(p, o->from.offset);
		p = varint_put(p, o->to.segment - o->from.segment);
		p = varint_put(p, o->to.offset);
		p = varint_put(p, o->stream);
		p = varint_put(p, o->edge);
		p = varint_put(p, (uint64_t)o->wall_ms);
		p = varint_put(p, o->bytes);
		segment = o->from.segment;
	}
	memset(raw, 0, HEAD);
	memcpy(raw, magic, sizeof(magic));
	le16_put(raw + 8, VERSION);
	le32_put(raw + 12, (uint32_t)(p - raw));
	le64_put(raw + 16, generation);
	le32_put(raw + 24, sum(raw, (size_t)(p - raw)));
	return (size_t)(p - raw);
}

static bool
decode_state(struct bytes from, struct cursor_state *s)
{
	struct reader r = reader_of(from);
	uint64_t n, segment = 0;
	uint32_t i;

	s->head.segment = read_varint(&r);
	s->head.offset = read_varint(&r);
	n = read_varint(&r);
	if (n > CURSOR_OWED_MAX)
		return false;
	s->n_owed = (uint32_t)n;
	for (i = 0; i < s->n_owed; i++) {
		struct cursor_owed *o = &s->owed[i];

		o->from.segment = segment += read_varint(&r);
		o->from.offset = read_varint(&r);
		o->to.segment = segment + read_varint(&r);
		o->to.offset = read_varint(&r);
		o->stream = (uint32_t)read_varint(&r);
		o->edge = read_varint(&r);
		o->wall_ms = (int64_t)read_varint(&r);
		o->bytes = read_varint(&r);
	}
	return !r.bad;
}

static enum slot_state
decode(uint8_t *raw, size_t n, uint64_t *generation, struct cursor_state *s)
{
	static const uint8_t blank[HEAD];
	uint32_t used;

	if (n < HEAD || memcmp(raw, blank, HEAD) == 0)
		return SLOT_BLANK;
	used = le32_get(raw + 12);
	if (memcmp(raw, magic, sizeof(magic)) != 0 || used < HEAD ||
	    used > n || le32_get(raw + 24) != sum(raw, used))
		return SLOT_BAD;
	if (le16_get(raw + 8) != VERSION)
		return SLOT_LATER;
	*generation = le64_get(raw + 16);
	return decode_state(bytes_of(raw + HEAD, used - HEAD), s) ? SLOT_GOOD :
	    SLOT_BAD;
}

/* ---- the file ------------------------------------------------------------------ */

/* As much of a slot as it says that it uses, into c->room. */
static enum status
fetch(struct cursor *c, unsigned i, size_t *n)
{
	const struct disk_ops *d = c->disk;
	enum status st;
	size_t used;

	*n = SPOOL_BLOCK;
	st = d->read(d->arg, c->file, i * SLOT, c->room, n);
	if (st != ST_OK || *n < SPOOL_BLOCK)
		return st;
	used = le32_get(c->room + 12);
	if (used <= SPOOL_BLOCK || used > SLOT)
		return ST_OK;
	*n = used;
	return d->read(d->arg, c->file, i * SLOT, c->room, n);
}

static enum status
read_slot(struct cursor *c, unsigned i, enum slot_state *slot,
    uint64_t *generation, struct cursor_state *state)
{
	size_t n = 0;
	enum status st;

	st = fetch(c, i, &n);
	*slot = st == ST_OK ? decode(c->room, n, generation, state) : SLOT_BAD;
	return st;
}

/* The newer of the slots.  One bad is a torn write.  Both bad is what a disk does,
 * not a power cut: then somebody has to decide. */
static enum status
load(struct cursor *c, struct cursor_state *state)
{
	uint64_t generation[2] = { 0, 0 };
	enum slot_state slot[2];
	enum status st;
	unsigned i;

	for (i = 0; i < 2; i++) {
		st = read_slot(c, i, &slot[i], &generation[i], state);
		if (st != ST_OK)
			return st;
		if (slot[i] == SLOT_LATER)
			return ST_BAD_FORMAT;
		c->blank[i] = slot[i] == SLOT_BLANK;
	}
	if (slot[0] == SLOT_BAD && slot[1] == SLOT_BAD)
		return ST_BAD_FORMAT;
	i = slot[1] == SLOT_GOOD &&
	    (slot[0] != SLOT_GOOD || generation[1] > generation[0]);
	c->slot = i;
	if (slot[i] != SLOT_GOOD) {
		c->settled = true; /* nothing that could be lost */
		state->head = (struct spool_pos){ 0, 0 };
		state->n_owed = 0;
		return ST_OK;
	}
	c->generation = generation[i];
	st = read_slot(c, i, &slot[i], &generation[i], state);
	return st == ST_OK && slot[i] != SLOT_GOOD ? ST_DISK : st;
}

static enum status
open_file(struct cursor *c, const char *directory, const char *name,
    bool make)
{
	const struct disk_ops *d = c->disk;
	char path[SPOOL_PATH_MAX], dir[SPOOL_PATH_MAX];
	enum status st;

	spool_path_named(path, directory, SPOOL_CURSOR, name);
	st = d->open(d->arg, path, false, make, &c->file);
	if (st != ST_MISSING || !make)
		return st;
	spool_path(dir, directory, SPOOL_CURSOR, 0, NULL);
	st = d->make_dir(d->arg, dir);
	if (st == ST_OK)
		st = d->open(d->arg, path, true, true, &c->file);
	return st == ST_OK ? d->sync_dir(d->arg, dir) : st;
}

static enum status
open_cursor(const struct disk_ops *disk, const char *directory,
    const char *name, bool make, struct cursor **out,
    struct cursor_state *state)
{
	struct cursor *c;
	enum status st;

	if (!spool_name_fits(name) ||
	    strlen(directory) > SPOOL_DIRECTORY_MAX)
		return ST_CONFIG;
	c = calloc(1, sizeof(*c));
	if (!c)
		return ST_NO_MEMORY;
	c->disk = disk;
	c->room = malloc(SLOT);
	st = c->room ? open_file(c, directory, name, make) : ST_NO_MEMORY;
	if (st == ST_OK)
		st = load(c, state);
	if (st == ST_OK)
		*out = c;
	else
		cursor_close(&c);
	return st;
}

/* What an earlier process put may not have reached the disk, even if its sync was
 * tried: the same bytes are written and synced again.  Before that neither slot can
 * be written over without fear. */
static enum status
settle(struct cursor *c)
{
	const struct disk_ops *d = c->disk;
	struct iovec iov = { .iov_base = c->room };
	size_t n = 0;
	enum status st = fetch(c, c->slot, &n);

	if (st != ST_OK)
		return st;
	iov.iov_len = n < HEAD ? n + 1 : le32_get(c->room + 12);
	if (iov.iov_len > n)
		return ST_DISK; /* it was whole a moment ago */
	st = d->write(d->arg, c->file, c->slot * SLOT, &iov, 1);
	if (st == ST_OK)
		st = d->sync(d->arg, c->file);
	if (st != ST_OK)
		return st;
	c->slot = !c->slot;
	c->settled = true;
	return ST_OK;
}

/* A block of each slot is taken while there is one: on a full disk it is by a put that
 * segments go, and only then is there room again. */
static void
reserve(struct cursor *c)
{
	struct iovec iov = { .iov_base = c->room, .iov_len = SPOOL_BLOCK };
	unsigned i;

	memset(c->room, 0, SPOOL_BLOCK);
	for (i = 0; i < 2; i++)
		if (c->blank[i])
			(void)c->disk->write(c->disk->arg, c->file, i * SLOT,
			    &iov, 1); /* or a put finds out */
}

enum status
cursor_open(const struct disk_ops *disk, const char *directory,
    const char *name, struct cursor **out, struct cursor_state *state)
{
	struct cursor *c;
	enum status st;

	st = open_cursor(disk, directory, name, true, &c, state);
	if (st == ST_BAD_FORMAT)
		log_error("cursor-unreadable", "directory=%s file="
		    SPOOL_CURSOR "/%s hint=\"of a later version, or both of "
		    "its slots are damaged; without this file everything in "
		    "the spool is sent again\"", directory, name);
	if (st != ST_OK)
		return st;
	reserve(c);
	if (!c->settled)
		(void)settle(c); /* else before the first put */
	*out = c;
	return ST_OK;
}

void
cursor_close(struct cursor **cp)
{
	struct cursor *c = *cp;

	if (!c)
		return;
	c->disk->close(c->disk->arg, &c->file);
	free(c->room);
	free(c);
	*cp = NULL;
}

enum status
cursor_put(struct cursor *c, const struct cursor_state *state)
{
	struct iovec iov = { .iov_base = c->room };
	enum status st;

	assert(state->n_owed <= CURSOR_OWED_MAX);
	st = c->settled ? ST_OK : settle(c);
	if (st != ST_OK)
		return st;
	iov.iov_len = encode(c->room, c->generation + 1, state);
	c->dirty = true;
	st = c->disk->write(c->disk->arg, c->file, c->slot * SLOT, &iov, 1);
	if (st == ST_OK)
		c->generation++;
	return st;
}

enum status
cursor_sync(struct cursor *c)
{
	enum status st;

	if (!c->dirty)
		return ST_OK;
	st = c->disk->sync(c->disk->arg, c->file);
	if (st != ST_OK)
		return st; /* the same slot is written again, not the other */
	c->slot = !c->slot;
	c->dirty = false;
	return ST_OK;
}

enum status
cursor_remove(const struct disk_ops *disk, const char *directory,
    const char *name)
{
	char path[SPOOL_PATH_MAX], dir[SPOOL_PATH_MAX];
	enum status st;

	if (!spool_name_fits(name) || strlen(directory) > SPOOL_DIRECTORY_MAX)
		return ST_CONFIG;
	spool_path_named(path, directory, SPOOL_CURSOR, name);
	spool_path(dir, directory, SPOOL_CURSOR, 0, NULL);
	st = disk->unlink(disk->arg, path);
	return st == ST_OK ? disk->sync_dir(disk->arg, dir) : st;
}

bool
cursor_owes(const struct cursor_state *c, struct spool_pos pos, uint32_t stream)
{
	uint32_t i;

	if (spool_pos_cmp(pos, c->head) >= 0)
		return true;
	for (i = 0; i < c->n_owed; i++) {
		const struct cursor_owed *o = &c->owed[i];

		if (spool_pos_cmp(o->from, pos) > 0)
			break;
		if (spool_pos_cmp(pos, o->to) < 0 &&
		    (o->stream == 0 || o->stream == stream))
			return true;
	}
	return false;
}

enum status
cursor_read(const struct disk_ops *disk, const char *directory,
    const char *name, struct cursor_state *state)
{
	struct cursor *c = NULL;
	enum status st;

	st = open_cursor(disk, directory, name, false, &c, state);
	cursor_close(&c);
	return st;
}

enum status
cursor_needs(const struct disk_ops *disk, const char *directory,
    const char *name, struct spool_pos *out)
{
	struct cursor_state *state = malloc(sizeof(*state));
	enum status st;

	if (!state)
		return ST_NO_MEMORY;
	st = cursor_read(disk, directory, name, state);
	if (st == ST_OK) {
		*out = state->head;
		if (state->n_owed &&
		    spool_pos_cmp(state->owed[0].from, *out) < 0)
			*out = state->owed[0].from;
	}
	free(state);
	return st;
}
