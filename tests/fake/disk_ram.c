/* disk_ram.c - inodes, names, and what is between a write and its sync.
 * SPDX-License-Identifier: Apache-2.0 */
#include "fake/disk_ram.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512

struct image {
	uint8_t *data;
	size_t n;
};

struct change {
	struct change *next;
	bool resize;			/* else a write */
	uint64_t offset;		/* or the size */
	size_t n;
	uint8_t data[];
};

struct inode {
	struct inode *next;
	struct image seen, medium;
	struct change *first, **last;	/* not synced */
	unsigned opened;
	bool locked;
};

struct name {
	struct name *next;
	struct inode *inode;
	char path[];
};

/* A change of names: path is there from now on, or (inode NULL) is not, and
 * `from` (if any) is not. */
struct rename {
	struct rename *next;
	struct inode *inode;
	char *path, *from;
};

struct disk_file {
	struct inode *inode;
	bool writable, lock;
};

struct disk_ram {
	struct disk_ops ops;
	struct inode *inodes;
	struct name *seen, *medium;
	struct rename *first, **last;
	unsigned count;
	unsigned fail_at, fail_times;
	enum status fail_with;
	char fail_kind;
	unsigned fail_seen;
	bool mortal, dead;
	unsigned die_at;
	uint64_t limit, seed;
};

static uint64_t
dice(struct disk_ram *d)
{
	d->seed ^= d->seed << 13;
	d->seed ^= d->seed >> 7;
	d->seed ^= d->seed << 17;
	return d->seed >> 11;
}

/* ---- images ----------------------------------------------------------------------- */

static void
resize(struct image *i, size_t n)
{
	if (n > i->n) {
		i->data = realloc(i->data, n);
		assert(i->data);
		memset(i->data + i->n, 0, n - i->n);
	}
	i->n = n;
}

static void
put(struct image *i, uint64_t offset, const uint8_t *p, size_t n)
{
	if (offset + n > i->n)
		resize(i, (size_t)(offset + n));
	if (n)
		memcpy(i->data + offset, p, n);
}

static void
apply(struct image *i, const struct change *c)
{
	if (c->resize)
		resize(i, (size_t)c->offset);
	else
		put(i, c->offset, c->data, c->n);
}

static void
apply_sectors(struct disk_ram *d, struct image *i, const struct change *c)
{
	uint64_t at = c->offset, end = c->offset + c->n;

	while (at < end) {
		uint64_t stop = (at / SECTOR + 1) * SECTOR;

		if (stop > end)
			stop = end;
		if (dice(d) & 1)
			put(i, at, c->data + (at - c->offset),
			    (size_t)(stop - at));
		at = stop;
	}
}

/* What of an inode's changes reaches the medium. */
static void
settle(struct disk_ram *d, struct inode *i, enum disk_ram_cut how)
{
	struct change *c;

	while ((c = i->first)) {
		i->first = c->next;
		if (how == RAM_KEPT)
			apply(&i->medium, c);
		else if (how == RAM_TORN && !c->resize)
			apply_sectors(d, &i->medium, c);
		else if (how != RAM_LOST && (dice(d) & 1))
			apply(&i->medium, c);
		free(c);
	}
	i->last = &i->first;
}

static void
note(struct inode *i, bool is_resize, uint64_t offset, const uint8_t *p,
    size_t n)
{
	struct change *c = malloc(sizeof(*c) + n);

	assert(c);
	*c = (struct change){ .resize = is_resize, .offset = offset, .n = n };
	if (n)
		memcpy(c->data, p, n);
	*i->last = c;
	i->last = &c->next;
	apply(&i->seen, c);
}

/* ---- names ------------------------------------------------------------------------- */

static struct name **
find(struct name **list, const char *path)
{
	while (*list && strcmp((*list)->path, path) != 0)
		list = &(*list)->next;
	return list;
}

static void
set(struct name **list, const char *path, struct inode *inode)
{
	struct name **at = find(list, path), *n = *at;

	if (n && !inode) {
		*at = n->next;
		free(n);
	} else if (n) {
		n->inode = inode;
	} else if (inode) {
		n = malloc(sizeof(*n) + strlen(path) + 1);
		assert(n);
		*n = (struct name){ NULL, inode };
		memcpy(n->path, path, strlen(path) + 1);
		*at = n;
	}
}

static void
note_name(struct disk_ram *d, const char *path, struct inode *inode,
    const char *from)
{
	struct rename *r = malloc(sizeof(*r));

	assert(r);
	*r = (struct rename){ NULL, inode, strdup(path),
		from ? strdup(from) : NULL };
	*d->last = r;
	d->last = &r->next;
	set(&d->seen, path, inode);
	if (from)
		set(&d->seen, from, NULL);
}

static bool
within(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && path[n] == '/' &&
	    !strchr(path + n + 1, '/');
}

static void
take_rename(struct disk_ram *d, struct rename **at, bool keep)
{
	struct rename *r = *at;

	*at = r->next;
	if (!*at && d->last == &r->next)
		d->last = at;
	if (keep)
		set(&d->medium, r->path, r->inode);
	if (keep && r->from)
		set(&d->medium, r->from, NULL);
	free(r->from);
	free(r->path);
	free(r);
}

static void
settle_names(struct disk_ram *d, enum disk_ram_cut how)
{
	bool keep = how != RAM_LOST;

	/* A journal: what is there is a beginning of what was done. */
	while (d->first) {
		if (how != RAM_KEPT && (dice(d) & 1))
			keep = false;
		take_rename(d, &d->first, keep);
	}
}

/* ---- failing ------------------------------------------------------------------------- */

/* Asked before each change. */
static enum status
may(struct disk_ram *d, char kind)
{
	unsigned n = d->count++;

	if (d->mortal && n >= d->die_at)
		d->dead = true;
	if (d->dead)
		return ST_DISK;
	if (d->fail_times == 0 || (d->fail_kind && d->fail_kind != kind))
		return ST_OK;
	if (d->fail_seen++ < d->fail_at)
		return ST_OK;
	d->fail_times--;
	return d->fail_with;
}

uint64_t
disk_ram_used(const struct disk_ram *d)
{
	const struct name *n;
	uint64_t used = 0;

	for (n = d->seen; n; n = n->next)
		used += n->inode->seen.n;
	return used;
}

static bool
fits(const struct disk_ram *d, const struct inode *i, uint64_t size)
{
	return d->limit == 0 || size <= i->seen.n ||
	    disk_ram_used(d) + (size - i->seen.n) <= d->limit;
}

/* ---- the table -------------------------------------------------------------------------- */

static struct inode *
inode_new(struct disk_ram *d)
{
	struct inode *i = calloc(1, sizeof(*i));

	assert(i);
	i->last = &i->first;
	i->next = d->inodes;
	d->inodes = i;
	return i;
}

static enum status
ram_open(void *arg, const char *path, bool create, bool writable,
    struct disk_file **out)
{
	struct disk_ram *d = arg;
	struct name *n = *find(&d->seen, path);
	enum status st = create ? may(d, 'd') : d->dead ? ST_DISK : ST_OK;

	if (st != ST_OK)
		return st;
	if (create && n)
		return ST_DISK;
	if (!create && !n)
		return ST_MISSING;
	if (create) {
		note_name(d, path, inode_new(d), NULL);
		n = *find(&d->seen, path);
	}
	*out = malloc(sizeof(**out));
	assert(*out);
	**out = (struct disk_file){ n->inode, writable, false };
	n->inode->opened++;
	return ST_OK;
}

static void
ram_close(void *arg, struct disk_file **f)
{
	(void)arg;
	if (!*f)
		return;
	(*f)->inode->opened--;
	if ((*f)->lock)
		(*f)->inode->locked = false;
	free(*f);
	*f = NULL;
}

static enum status
ram_write(void *arg, struct disk_file *f, uint64_t offset,
    const struct iovec *iov, int n)
{
	struct disk_ram *d = arg;
	enum status st = may(d, 'w');
	int i;

	assert(f->writable);
	if (d->dead)
		return ST_DISK;
	for (i = 0; i < n; i++) {
		size_t k = iov[i].iov_len;

		if (st != ST_OK)
			k = k / 2;
		if (!fits(d, f->inode, offset + k))
			return ST_NO_SPACE;
		note(f->inode, false, offset, iov[i].iov_base, k);
		offset += k;
		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

static enum status
ram_read(void *arg, struct disk_file *f, uint64_t offset, void *to, size_t *n)
{
	struct disk_ram *d = arg;
	const struct image *i = &f->inode->seen;

	if (d->dead)
		return ST_DISK;
	if (offset >= i->n)
		*n = 0;
	else if (*n > i->n - offset)
		*n = (size_t)(i->n - offset);
	if (*n)
		memcpy(to, i->data + offset, *n);
	return ST_OK;
}

static enum status
ram_size(void *arg, struct disk_file *f, uint64_t *out)
{
	struct disk_ram *d = arg;

	*out = f->inode->seen.n;
	return d->dead ? ST_DISK : ST_OK;
}

static enum status
ram_allocate(void *arg, struct disk_file *f, uint64_t size)
{
	struct disk_ram *d = arg;
	enum status st = may(d, 'a');

	assert(f->writable);
	if (st != ST_OK)
		return st;
	if (!fits(d, f->inode, size))
		return ST_NO_SPACE;
	if (size > f->inode->seen.n)
		note(f->inode, true, size, NULL, 0);
	return ST_OK;
}

static enum status
ram_truncate(void *arg, struct disk_file *f, uint64_t size)
{
	struct disk_ram *d = arg;
	enum status st = may(d, 't');

	assert(f->writable);
	if (st == ST_OK)
		note(f->inode, true, size, NULL, 0);
	return st;
}

static enum status
ram_sync(void *arg, struct disk_file *f)
{
	struct disk_ram *d = arg;
	enum status st = may(d, 's');

	if (!d->dead)
		settle(d, f->inode, st == ST_OK ? RAM_KEPT : RAM_TORN);
	return st;
}

static enum status
ram_rename(void *arg, const char *from, const char *to)
{
	struct disk_ram *d = arg;
	struct name *n = *find(&d->seen, from);
	enum status st = may(d, 'd');

	if (st != ST_OK)
		return st;
	if (!n)
		return ST_MISSING;
	note_name(d, to, n->inode, from);
	return ST_OK;
}

static enum status
ram_unlink(void *arg, const char *path)
{
	struct disk_ram *d = arg;
	enum status st;

	if (!*find(&d->seen, path))
		return d->dead ? ST_DISK : ST_MISSING;
	st = may(d, 'd');
	if (st == ST_OK)
		note_name(d, path, NULL, NULL);
	return st;
}

/* Directories are there once asked for. */
static enum status
ram_make_dir(void *arg, const char *path)
{
	struct disk_ram *d = arg;

	(void)path;
	return d->dead ? ST_DISK : ST_OK;
}

static enum status
ram_sync_dir(void *arg, const char *path)
{
	struct disk_ram *d = arg;
	struct rename **at = &d->first;
	enum status st = may(d, 'd');

	if (st != ST_OK)
		return st;
	while (*at)
		if (within((*at)->path, path))
			take_rename(d, at, true);
		else
			at = &(*at)->next;
	return ST_OK;
}

static enum status
ram_list(void *arg, const char *path, void (*each)(const char *name, void *),
    void *each_arg)
{
	struct disk_ram *d = arg;
	struct name *n, *next;

	if (d->dead)
		return ST_DISK;
	for (n = d->seen; n; n = next) {
		next = n->next;
		if (within(n->path, path))
			each(n->path + strlen(path) + 1, each_arg);
	}
	return ST_OK;
}

static enum status
ram_lock(void *arg, const char *path, struct disk_file **out)
{
	struct disk_ram *d = arg;
	enum status st;

	st = ram_open(arg, path, !*find(&d->seen, path), true, out);
	if (st != ST_OK)
		return st;
	if ((*out)->inode->locked) {
		ram_close(arg, out);
		return ST_LOCKED;
	}
	(*out)->lock = (*out)->inode->locked = true;
	return ST_OK;
}

static enum status
ram_room(void *arg, const char *path, uint64_t *out)
{
	struct disk_ram *d = arg;
	uint64_t used = disk_ram_used(d);

	(void)path;
	*out = d->limit == 0 ? UINT64_MAX : used < d->limit ? d->limit - used :
	    0;
	return d->dead ? ST_DISK : ST_OK;
}

/* ---- life ------------------------------------------------------------------------------ */

struct disk_ram *
disk_ram_new(void)
{
	struct disk_ram *d = calloc(1, sizeof(*d));

	assert(d);
	d->seed = 0x9e3779b97f4a7c15;
	d->last = &d->first;
	d->ops = (struct disk_ops){
		.arg = d,
		.open = ram_open,
		.close = ram_close,
		.write = ram_write,
		.read = ram_read,
		.size = ram_size,
		.allocate = ram_allocate,
		.truncate = ram_truncate,
		.sync = ram_sync,
		.rename = ram_rename,
		.unlink = ram_unlink,
		.make_dir = ram_make_dir,
		.sync_dir = ram_sync_dir,
		.list = ram_list,
		.lock = ram_lock,
		.room = ram_room,
	};
	return d;
}

void
disk_ram_free(struct disk_ram **dp)
{
	struct disk_ram *d = *dp;

	if (!d)
		return;
	settle_names(d, RAM_LOST);
	while (d->inodes) {
		struct inode *i = d->inodes;

		assert(i->opened == 0);
		settle(d, i, RAM_LOST);
		d->inodes = i->next;
		free(i->seen.data);
		free(i->medium.data);
		free(i);
	}
	while (d->seen)
		set(&d->seen, d->seen->path, NULL);
	while (d->medium)
		set(&d->medium, d->medium->path, NULL);
	free(d);
	*dp = NULL;
}

const struct disk_ops *
disk_ram_ops(struct disk_ram *d)
{
	return &d->ops;
}

unsigned
disk_ram_count(const struct disk_ram *d)
{
	return d->count;
}

void
disk_ram_fail(struct disk_ram *d, unsigned n, unsigned times, enum status st)
{
	d->fail_seen = 0;
	d->fail_at = n;
	d->fail_times = times;
	d->fail_with = st;
	d->fail_kind = 0;
}

void
disk_ram_fail_kind(struct disk_ram *d, char kind)
{
	d->fail_kind = kind;
}

void
disk_ram_die(struct disk_ram *d, unsigned n)
{
	d->mortal = true;
	d->die_at = d->count + n;
}

bool
disk_ram_dead(const struct disk_ram *d)
{
	return d->dead;
}

void
disk_ram_limit(struct disk_ram *d, uint64_t bytes)
{
	d->limit = bytes;
}

void
disk_ram_power_cut(struct disk_ram *d, enum disk_ram_cut how, uint64_t seed)
{
	struct inode *i;
	struct name *n;

	d->seed = seed * 0x9e3779b97f4a7c15 + 1;
	settle_names(d, how);
	for (i = d->inodes; i; i = i->next) {
		assert(i->opened == 0);
		settle(d, i, how);
		resize(&i->seen, 0);
		put(&i->seen, 0, i->medium.data, i->medium.n);
	}
	while (d->seen)
		set(&d->seen, d->seen->path, NULL);
	for (n = d->medium; n; n = n->next)
		set(&d->seen, n->path, n->inode);
	d->mortal = d->dead = false;
	d->fail_times = 0;
}

/* ---- looking in ---------------------------------------------------------------------------- */

void
disk_ram_put(struct disk_ram *d, const char *path, const void *bytes, size_t n)
{
	struct inode *i = NULL;

	if (bytes) {
		i = inode_new(d);
		put(&i->seen, 0, bytes, n);
		put(&i->medium, 0, bytes, n);
	}
	set(&d->seen, path, i);
	set(&d->medium, path, i);
}

uint8_t *
disk_ram_bytes(struct disk_ram *d, const char *path, size_t *n)
{
	struct name *name = *find(&d->seen, path);

	if (!name)
		return NULL;
	*n = name->inode->seen.n;
	return name->inode->seen.data;
}

struct disk_ram *
disk_ram_copy(const struct disk_ram *from)
{
	struct disk_ram *d = disk_ram_new();
	const struct name *n;

	for (n = from->seen; n; n = n->next)
		disk_ram_put(d, n->path, n->inode->seen.n ?
		    n->inode->seen.data : (const uint8_t *)"",
		    n->inode->seen.n);
	return d;
}
