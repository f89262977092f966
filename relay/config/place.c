/* place.c - where in the config file something stands.
 * SPDX-License-Identifier: Apache-2.0 */
#include "config/place.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "config/config.h"

static void
add(struct config_error *why, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void
add_list(struct config_error *why, const char *fmt, va_list)
    __attribute__((format(printf, 2, 0)));

static void
add_list(struct config_error *why, const char *fmt, va_list ap)
{
	size_t n = strlen(why->text);

	(void)vsnprintf(why->text + n, sizeof(why->text) - n, fmt, ap);
}

static void
add(struct config_error *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_list(why, fmt, ap);
	va_end(ap);
}

enum status
place_refuse(const struct place *at, struct config_error *why, const char *fmt,
    ...)
{
	va_list ap;
	char *p;

	if (why->text[0])
		return ST_CONFIG;
	add(why, "%s:", at->file);
	if (at->line > 0)
		add(why, "%d:", at->line);
	if (at->title)
		add(why, " %s \"%s\":", at->section, at->title);
	else if (at->section)
		add(why, " %s:", at->section);
	add(why, " ");
	va_start(ap, fmt);
	add_list(why, fmt, ap);
	va_end(ap);
	for (p = why->text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = '?';
	return ST_CONFIG;
}

const char *
place_shown(const char *text, char *out, size_t size)
{
	size_t n = strlen(text);

	if (n > 0 && n < size && !strpbrk(text, " \t\r\n\""))
		return text;
	return log_quote(bytes_of(text, n), out, size);
}
