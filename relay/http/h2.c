/* h2.c - error codes and the preface.
 * SPDX-License-Identifier: Apache-2.0 */
#include "http/h2.h"

#include <nghttp2/nghttp2.h>

enum status
h2_why_conn(uint32_t code)
{
	switch (code) {
	case NGHTTP2_NO_ERROR:
		return ST_OK;
	case NGHTTP2_FLOW_CONTROL_ERROR:
		return ST_FLOW_CONTROL;
	case NGHTTP2_COMPRESSION_ERROR:
		return ST_BAD_HPACK;
	case NGHTTP2_ENHANCE_YOUR_CALM:
		return ST_FLOOD;
	case NGHTTP2_INTERNAL_ERROR:
		return ST_NO_MEMORY;
	default:
		return ST_BAD_FRAME;
	}
}

enum status
h2_why_stream(uint32_t code)
{
	switch (code) {
	case NGHTTP2_PROTOCOL_ERROR:
		return ST_BAD_REQUEST;
	case NGHTTP2_REFUSED_STREAM:
		return ST_BUSY;
	case NGHTTP2_CANCEL:
		return ST_GONE;
	default:
		return h2_why_conn(code);
	}
}

enum status
h2_preface(struct bytes in)
{
	static const char magic[] = NGHTTP2_CLIENT_MAGIC;
	size_t n = NGHTTP2_CLIENT_MAGIC_LEN;

	if (in.n < n)
		n = in.n;
	if (n && memcmp(in.p, magic, n) != 0)
		return ST_BAD_VERSION;
	return n == NGHTTP2_CLIENT_MAGIC_LEN ? ST_OK : ST_WAIT;
}
