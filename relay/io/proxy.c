/* proxy.c - the PROXY protocol's header.
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/proxy.h"

#include <string.h>
#include <sys/socket.h>

#include "io/network.h"

#define LINE_MAX_BYTES 107		/* of version 1, with CR LF (2.1) */
#define HEAD_SIZE 16			/* of version 2, before the addresses (2.2) */

static const uint8_t signature[12] = {
	0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a
};

/* Where `in` is shorter, as far as it goes. */
static bool
begins(struct bytes in, const void *with, size_t n)
{
	return memcmp(in.p, with, in.n < n ? in.n : n) == 0;
}

/* ---- version 1: PROXY TCP4 192.0.2.1 192.0.2.9 51234 9201 ----------------------- */

/* The next word of a line, which is cut off it; n 0: there is none. */
static struct bytes
next_word(struct bytes *line)
{
	const uint8_t *blank = line->n ? memchr(line->p, ' ', line->n) : NULL;
	size_t n = blank ? (size_t)(blank - line->p) : line->n;
	struct bytes word = bytes_of(line->p, n);

	*line = blank ? bytes_of(blank + 1, line->n - n - 1) :
	    bytes_of(NULL, 0);
	return word;
}

static bool
port_ok(struct bytes word)
{
	unsigned port = 0;
	size_t i;

	if (word.n == 0 || word.n > 5 || (word.n > 1 && word.p[0] == '0'))
		return false;
	for (i = 0; i < word.n; i++) {
		if (word.p[i] < '0' || word.p[i] > '9')
			return false;
		port = port * 10 + (word.p[i] - '0');
	}
	return port <= 65535;
}

/* Without "PROXY " and CR LF. */
static enum status
parse_line(struct bytes line, struct proxy_header *out)
{
	struct bytes kind = next_word(&line);
	struct loop_addr to;
	int family;

	if (bytes_eq(kind, BYTES_LIT("UNKNOWN")))
		return ST_OK;
	if (bytes_eq(kind, BYTES_LIT("TCP4")))
		family = AF_INET;
	else if (bytes_eq(kind, BYTES_LIT("TCP6")))
		family = AF_INET6;
	else
		return ST_BAD_PROXY;
	out->given = network_numeric(next_word(&line), family, &out->from) &&
	    network_numeric(next_word(&line), family, &to) &&
	    port_ok(next_word(&line)) && port_ok(next_word(&line)) && !line.p;
	return out->given ? ST_OK : ST_BAD_PROXY;
}

static enum status
parse_v1(struct bytes in, struct proxy_header *out, size_t *used)
{
	size_t n = in.n < LINE_MAX_BYTES ? in.n : LINE_MAX_BYTES;
	const uint8_t *end = memchr(in.p, '\n', n);

	if (!end)
		return n < LINE_MAX_BYTES ? ST_WAIT : ST_BAD_PROXY;
	n = (size_t)(end - in.p);
	if (n < 7 || in.p[n - 1] != '\r')
		return ST_BAD_PROXY;
	*used = n + 1;
	return parse_line(bytes_of(in.p + 6, n - 7), out);
}

/* ---- version 2 ---------------------------------------------------------------------- */

/* What kind of address it is, and how long they are, both together; false: there is no
 * such. */
static bool
size_of_addresses(uint8_t kind, size_t *out)
{
	static const size_t size[] = { 0, 12, 36, 216 };

	if (kind >> 4 > 3 || (kind & 15) > 2)
		return false;
	*out = size[kind >> 4];
	return true;
}

static enum status
parse_v2(struct bytes in, struct proxy_header *out, size_t *used)
{
	size_t n, addresses;

	if (in.n < HEAD_SIZE)
		return ST_WAIT;
	n = (size_t)in.p[14] << 8 | in.p[15];
	if ((in.p[12] & 0xfe) != 0x20 ||
	    !size_of_addresses(in.p[13], &addresses))
		return ST_BAD_PROXY;
	if (in.p[12] == 0x20)
		addresses = 0;		/* LOCAL: whatever they are */
	if (n < addresses || n > addresses + PROXY_MORE_MAX)
		return ST_BAD_PROXY;
	if (in.n < HEAD_SIZE + n)
		return ST_WAIT;
	*used = HEAD_SIZE + n;
	out->given = addresses && (in.p[13] == 0x11 || in.p[13] == 0x21);
	if (out->given && in.p[13] == 0x11)
		network_address_v4(in.p + HEAD_SIZE, &out->from);
	else if (out->given)
		network_address_v6(in.p + HEAD_SIZE, &out->from);
	return ST_OK;
}

/* ---- either ---------------------------------------------------------------------------- */

enum status
proxy_parse(struct bytes in, struct proxy_header *out, size_t *used)
{
	out->given = false;
	if (in.n == 0)
		return ST_WAIT;
	if (begins(in, "PROXY ", 6))
		return parse_v1(in, out, used);
	if (begins(in, signature, sizeof(signature)))
		return parse_v2(in, out, used);
	return ST_BAD_PROXY;
}
