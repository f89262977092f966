/* answer.h - what pages and commands have in common: texts as answers, figures
 * for people.
 * SPDX-License-Identifier: Apache-2.0                                       */
#ifndef RW_ADMIN_ANSWER_H
#define RW_ADMIN_ANSWER_H

#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/status.h"
#include "http/server.h"

/* For the text of an answer; NULL when out of memory. */
struct buf *answer_page(void);

/* The text is taken; what it has become too long for is ST_NO_MEMORY, to be
 * returned by begin. */
enum status answer_as(struct http_request *, int status, struct bytes type,
    struct buf *taken);
enum status answer_plain(struct http_request *, struct buf *taken);	/* 200 */
enum status answer_text(struct http_request *, int status, const char *text);

/* A handler that answers in begin, whatever body may come. */
#define ANSWERED_IN_BEGIN(fn) \
	{ fn, answer_ignore_body, answer_ignore_end, answer_ignore_gone }
enum status answer_ignore_body(struct http_request *, struct bytes);
void answer_ignore_end(struct http_request *);
void answer_ignore_gone(struct http_request *, enum status);

/* For one line of printf; sizes and durations as the config has them. */
struct figure {
	char text[24];
};
struct figure figure_bytes(int64_t n);
struct figure figure_time(int64_t ms);

#endif
