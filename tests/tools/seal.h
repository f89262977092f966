/* seal.h - TLS on a socket that does not block, for the tools.
 * SPDX-License-Identifier: Apache-2.0                                       */
#ifndef TESTS_TOOLS_SEAL_H
#define TESTS_TOOLS_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct seal_side;		/* certificates, authorities */
struct seal;			/* one connection's */

/* Files, PEM; NULL: none. A client without `ca` trusts everybody, a server without
 * it asks nobody. What cannot be read ends the program. */
struct seal_side *seal_side_new(bool server, const char *ca, const char *cert,
    const char *key);
void	seal_side_free(struct seal_side *);

/* `name` is a client's: asked for, and looked for. */
struct seal *seal_new(struct seal_side *, int fd, const char *name);
void	seal_free(struct seal *);

/* As read and send, with errno EAGAIN until there is more to read, or room. Hands
 * are shaken on the way. */
ssize_t	seal_read(struct seal *, void *, size_t);
ssize_t	seal_send(struct seal *, const void *, size_t);
/* Bytes that were read with others, and that no event will tell of. */
bool	seal_pending(const struct seal *);

#endif
