/* url.h - an upstream's URL, taken apart.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RW_HTTP_URL_H
#define RW_HTTP_URL_H

#include <stdbool.h>

/* An absolute http URL. */
struct http_url {
	char host[256];
	char port[8];
	char path[1024];		/* with query, at least "/" */
	char authority[272];		/* for Host */
	bool tls;
};
/* NULL, or a sentence on what is wrong (static). */
const char *http_url_parse(const char *url, struct http_url *out);

#endif
