/* secret.c - reading and wiping.
 * SPDX-License-Identifier: Apache-2.0 */
#include "forward/secret.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/files.h"
#include "base/log.h"

struct secret {
	const char *path;		/* borrowed */
	enum secret_kind kind;
	struct files *files;		/* owned */
	struct buf text;		/* owned; never grows, so it is nowhere else */
};

static bool
may_have(enum secret_kind kind, uint8_t c)
{
	return kind == SECRET_TOKEN ? c > ' ' && c < 127 : c >= ' ' && c != 127;
}

/* NULL, or what is wrong with it. */
static const char *
settle(enum secret_kind kind, struct buf *b)
{
	size_t i;

	while (b->len && (b->data[b->len - 1] == '\n' ||
	    b->data[b->len - 1] == '\r'))
		b->len--;
	if (b->len == 0)
		return "the file is empty";
	for (i = 0; i < b->len; i++)
		if (!may_have(kind, b->data[i]))
			return kind == SECRET_TOKEN ?
			    "a token has no blanks and nothing but ASCII" :
			    "a secret is one line without control characters";
	return NULL;
}

static enum status
read_text(const struct secret *s, struct buf *out, const char **why)
{
	enum status st = files_read(s->path, out, why);

	if (st != ST_OK)
		return st == ST_NO_MEMORY ? st : ST_CONFIG;
	*why = settle(s->kind, out);
	return *why ? ST_CONFIG : ST_OK;
}

enum status
secret_open(const char *path, enum secret_kind kind, struct secret **out,
    const char **why)
{
	struct secret *s = calloc(1, sizeof(*s));
	enum status st;

	*why = "out of memory";
	if (!s)
		return ST_NO_MEMORY;
	s->path = path;
	s->kind = kind;
	buf_init(&s->text, SECRET_MAX + 2);
	st = files_new(1, &s->files);
	if (st == ST_OK) {
		files_add(s->files, path);
		st = read_text(s, &s->text, why);
	}
	if (st != ST_OK) {
		secret_close(&s);
		return st;
	}
	*out = s;
	return ST_OK;
}

static void
check_mode(const struct secret *s, const char *upstream)
{
	struct stat st;

	if (stat(s->path, &st) == 0 && st.st_mode & S_IROTH)
		log_warn("secret-exposed", "upstream=%s file=%s mode=%04o "
		    "hint=\"everybody on this host may read it\"", upstream,
		    s->path, (unsigned)(st.st_mode & 07777));
}

enum status
secret_open_for(const char *upstream, const char *path, enum secret_kind kind,
    struct secret **out)
{
	const char *why;
	enum status st = secret_open(path, kind, out, &why);

	if (st != ST_OK)
		log_error("secret-unread", "upstream=%s file=%s why=\"%s\"",
		    upstream, path, why);
	else
		check_mode(*out, upstream);
	return st;
}

void
secret_close(struct secret **taken)
{
	struct secret *s = *taken;

	*taken = NULL;
	if (!s)
		return;
	buf_wipe(&s->text);
	files_free(&s->files);
	free(s);
}

/* RFC 4648 4 */
void
secret_basic(struct bytes pair, struct buf *out)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t *to;
	uint32_t v;
	size_t i, k, n;

	if (!buf_append_str(out, "Basic ") ||
	    !buf_room(out, (pair.n + 2) / 3 * 4))
		return;
	for (i = 0; i < pair.n; i += n) {
		n = pair.n - i < 3 ? pair.n - i : 3;
		for (v = 0, k = 0; k < 3; k++)
			v = v << 8 | (k < n ? pair.p[i + k] : 0);
		to = out->data + out->len;
		for (k = 0; k < 4; k++)
			to[k] = k <= n ? (uint8_t)digit[v >> (18 - 6 * k) & 63] : '=';
		out->len += 4;
	}
}

struct bytes
secret_text(const struct secret *s)
{
	return buf_bytes(&s->text);
}

bool
secret_look(struct secret *s, const char *upstream)
{
	const char *why = "out of memory";
	struct buf text;
	bool other;

	if (!files_changed(s->files))
		return false;
	buf_init(&text, SECRET_MAX + 2);
	if (read_text(s, &text, &why) != ST_OK) {
		log_warn("secret-unread", "upstream=%s file=%s why=\"%s\" "
		    "hint=\"what was read before stays in use\"", upstream,
		    s->path, why);
		buf_wipe(&text);
		return false;
	}
	check_mode(s, upstream);
	other = !bytes_eq(buf_bytes(&text), buf_bytes(&s->text));
	if (other)
		log_info("secret-read", "upstream=%s file=%s", upstream,
		    s->path);
	buf_wipe(&s->text);
	s->text = text;
	return other;
}
