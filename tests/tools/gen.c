/* gen.c - see gen.h.
 * SPDX-License-Identifier: Apache-2.0                                       */
#include "gen.h"

#include <stdio.h>
#include <stdlib.h>

/* A family of metrics in a target: `n` series from the one after the family
 * before. The types are those of the protocol's metadata. */
static const struct family {
	const char *name;
	unsigned n;
	enum gen_kind kind;
	unsigned type;
	const char *help, *unit;
} families[] = {
	{ "app_http_request_duration_seconds", 14, GEN_COUNTER, 3,
	  "Duration of HTTP server requests.", "seconds" },
	{ "app_grpc_server_handling_seconds", 14, GEN_COUNTER, 3,
	  "Response latency of gRPC calls\nhandled by the server.", "seconds" },
	{ "app_http_requests_total", 4, GEN_COUNTER, 1,
	  "HTTP requests by \"code\".", "" },
	{ "app_network_receive_bytes_total", 2, GEN_COUNTER, 1,
	  "Bytes received over the network.", "bytes" },
	{ "app_cpu_usage_seconds_total", 2, GEN_SUM, 1,
	  "Cumulative CPU time consumed.", "seconds" },
	{ "app_memory_heap_inuse_bytes", 4, GEN_GAUGE, 2,
	  "Bytes in spans in use.", "bytes" },
	{ "app_queue_consumer_lag_messages", 4, GEN_GAUGE, 2,
	  "Messages behind the head.", "" },
	{ "app_rpc_client_backoff_duration", 4, GEN_HIST_INT, 3,
	  "Backoff of RPC clients \xc2\xb5s.", "" },
	{ "app_pod_container_info", 1, GEN_ONE, 6, "", "" },
	{ "app_process_up", 1, GEN_ONE, 2, "Whether the process is up.", "" },
};

#define N_FAMILIES	(sizeof(families) / sizeof(families[0]))

static const char *const bounds[] = { "0.005", "0.01", "0.025", "0.05", "0.1",
	"0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf" };

#define N_BOUNDS	(sizeof(bounds) / sizeof(bounds[0]))

static const struct {
	const char *word;
	unsigned bit;
} words[] = {
	{ "float", 0 }, { "stale", GEN_STALE }, { "histogram", GEN_HISTOGRAM },
	{ "exemplar", GEN_EXEMPLAR }, { "metadata", GEN_METADATA },
	{ "start", GEN_START }, { "custom", GEN_CUSTOM },
	{ "bulky", GEN_BULKY },
};

bool
gen_parse_kinds(const char *list, unsigned *kinds)
{
	size_t i, n;

	*kinds = 0;
	while (*list != '\0') {
		n = strcspn(list, ",");
		for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (strlen(words[i].word) == n &&
			    strncmp(words[i].word, list, n) == 0)
				break;
		if (i == sizeof(words) / sizeof(words[0]))
			return false;
		*kinds |= words[i].bit;
		list += n + (list[n] == ',');
	}
	return true;
}

bool
gen_parse_run(struct wire_str s, struct gen_run *run)
{
	char copy[64];
	int end = 0;

	if (s.len >= sizeof(copy))
		return false;
	memcpy(copy, s.p, s.len);
	copy[s.len] = '\0';
	return sscanf(copy, "%ld-%ld-%x%n", &run->start_ms, &run->interval_ms,
	    &run->kinds, &end) == 3 && (uint32_t)end == s.len &&
	    run->interval_ms > 0;
}

int64_t
gen_time(const struct gen_run *run, uint32_t seq)
{
	return run->start_ms + (int64_t)seq * run->interval_ms;
}

/* Where series `series` stands: its family, and the number within it. */
static const struct family *
place(uint32_t series, unsigned *within)
{
	unsigned slot = series % GEN_TARGET;
	const struct family *f = families;

	while (slot >= f->n)
		slot -= f++->n;
	*within = slot;
	return f;
}

enum gen_kind
gen_kind_of(const struct gen_run *run, uint32_t series)
{
	unsigned within;
	const struct family *f = place(series, &within);

	if (f->kind == GEN_HIST_INT) {
		if ((run->kinds & GEN_CUSTOM) != 0 && within == 3)
			return GEN_HIST_CUSTOM;
		if ((run->kinds & GEN_HISTOGRAM) == 0)
			return GEN_GAUGE;
		return within == 1 ? GEN_HIST_FLOAT : GEN_HIST_INT;
	}
	if (f->n == N_BOUNDS + 2 && within == N_BOUNDS)
		return GEN_SUM;
	/* Most of what is scraped does not move. */
	if (f->kind == GEN_COUNTER && (series / 7) % 3 == 0)
		return GEN_CONSTANT;
	return f->kind;
}

void
gen_edge_name(uint32_t edge, char out[16])
{
	snprintf(out, 16, "edge-%0*u", GEN_EDGE_DIGITS, edge % 1000000u);
}

static char *
add(struct wire_label *l, const char *name, char *at, int len)
{
	l->name = (struct wire_str){ name, (uint32_t)strlen(name) };
	l->value = (struct wire_str){ at, (uint32_t)len };
	return at + len;
}

static uint64_t
mix(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* Sixteen digits of it at a time. */
static int
bulk(char *at, uint64_t x)
{
	unsigned n;

	for (n = 0; n + 16 <= GEN_BULK; n += 16) {
		x = mix(x + n);
		(void)snprintf(at + n, 17, "%016llx", (unsigned long long)x);
	}
	return (int)n;
}

size_t
gen_labels(const struct gen_run *run, uint32_t edge, uint32_t series,
    struct wire_label out[GEN_MAX_LABELS], char text[GEN_MAX_TEXT])
{
	const char *suffix = "", *third = NULL;
	struct wire_label *l = out;
	unsigned within, target = series / GEN_TARGET;
	const struct family *f = place(series, &within);
	bool buckets = f->n == N_BOUNDS + 2;
	char *at = text, name[16];
	char *const end = text + GEN_MAX_TEXT;

#define ROOM at, (size_t)(end - at)
	if (buckets)
		suffix = within < N_BOUNDS ? "_bucket" :
		    within == N_BOUNDS ? "_sum" : "_count";
	at = add(l++, "__name__", at, snprintf(ROOM, "%s%s", f->name, suffix));
	gen_edge_name(edge, name);
	at = add(l++, "edge", at, snprintf(ROOM, "%s", name));
	at = add(l++, "instance", at, snprintf(ROOM,
	    "ip-10-%u-%u-%u.compute.internal:9100", target >> 16 & 255,
	    target >> 8 & 255, target & 255));
	at = add(l++, "job", at, snprintf(ROOM, "kubernetes-pods/%s-%02u",
	    "checkout-frontend", target % 37));
	if (buckets && within < N_BOUNDS)
		at = add(l++, "le", at, snprintf(ROOM, "%s", bounds[within]));
	at = add(l++, "namespace", at, snprintf(ROOM, "production-%02u",
	    target % 11));
	if (run->kinds & GEN_BULKY)
		at = add(l++, "note", at, bulk(at, gen_identity(0, series)));
	if (!buckets && f->n > 1)
		third = "path";
	if (third != NULL)
		at = add(l++, third, at, snprintf(ROOM, "/api/v%u", within));
	at = add(l++, "pod", at, snprintf(ROOM, "frontend-7d9f8b6c5d-%05x",
	    target * 2654435u & 0xfffff));
	at = add(l++, "run", at, snprintf(ROOM, "%ld-%ld-%x", run->start_ms,
	    run->interval_ms, run->kinds));
	at = add(l++, "series", at, snprintf(ROOM, "%u", series));
#undef ROOM
	return (size_t)(l - out);
}

uint64_t
gen_identity(uint32_t edge, uint32_t series)
{
	return mix((uint64_t)edge << 32 | series);
}

static uint64_t
bits(double d)
{
	uint64_t v;

	memcpy(&v, &d, sizeof(v));
	return v;
}

static uint64_t
draw(uint64_t identity, uint32_t seq)
{
	return mix(identity + (seq + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

/* Bit patterns that arithmetic on the way would change. */
static const uint64_t specials[] = {
	WIRE_STALE_NAN,
	WIRE_STALE_NAN,
	UINT64_C(0x7ff8000000000001),	/* the ordinary NaN */
	UINT64_C(0x7ff0000000000000),
	UINT64_C(0xfff0000000000000),
	UINT64_C(0x8000000000000000),	/* -0 */
	UINT64_C(0x0000000000000001),	/* the smallest denormal */
	UINT64_C(0xfff4dead0000beef),	/* a signalling NaN, with payload */
};

static bool
special(const struct gen_run *run, uint64_t x)
{
	return (run->kinds & GEN_STALE) != 0 && (x >> 40) % 61 == 0;
}

uint64_t
gen_value(const struct gen_run *run, enum gen_kind kind, uint64_t identity,
    uint32_t seq)
{
	uint64_t x = draw(identity, seq), base = identity >> 32 & 0xfffff;
	uint64_t rate = 1 + (identity & 255);

	if (special(run, x))
		return specials[x >> 20 & 7];
	switch (kind) {
	case GEN_COUNTER:
		return bits((double)(base + seq * rate + x % rate));
	case GEN_CONSTANT:
		return bits((double)base);
	case GEN_GAUGE:
		return bits((double)(int64_t)(base + x % 1000) / 100.0);
	case GEN_SUM:
		return bits((double)(base + seq * rate) +
		    (double)(x >> 12) * 0x1p-52);
	default:
		return bits(1.0);
	}
}

static const struct wire_span spans_int[] = { { -3, 3 }, { 2, 2 } };
static const struct wire_span spans_low[] = { { 1, 2 } };
static const struct wire_span spans_float[] = { { 0, 3 } };
static const struct wire_span spans_custom[] = { { 1, 1 } };
static const int64_t deltas_int[] = { 400, -150, 20, 700, -960 };
static const int64_t deltas_low[] = { 3, -1 };
static const uint64_t counts_float[] = {	/* 1.5, 20, 0.25 */
	UINT64_C(0x3ff8000000000000), UINT64_C(0x4034000000000000),
	UINT64_C(0x3fd0000000000000),
};
static const uint64_t custom_bounds[] = {	/* 0.1, 1, 10 */
	UINT64_C(0x3fb999999999999a), UINT64_C(0x3ff0000000000000),
	UINT64_C(0x4024000000000000),
};

/* Counts stay between 2^14 and 2^20, so that each of them takes three bytes
 * of varint (also zigzag), whatever the sequence number. */
void
gen_hist(const struct gen_run *run, enum gen_kind kind, uint32_t series,
    uint64_t identity, uint32_t seq, struct wire_hist *h)
{
	static _Thread_local int64_t custom_delta;
	uint64_t x = draw(identity, seq), some = 20000 + x % 900000;

	memset(h, 0, sizeof(*h));
	h->ts = gen_time(run, seq);
	h->start = gen_start(run, series);
	h->sum = special(run, x) ? WIRE_STALE_NAN :
	    bits((double)(x >> 12) * 0x1p-30);
	h->zero_threshold = bits(0x1p-128);
	h->reset_hint = series / GEN_TARGET % 4;
	switch (kind) {
	case GEN_HIST_FLOAT:
		h->is_float = h->zero_float = true;
		h->zero_count = bits((double)some);
		h->count = bits((double)some + 21.75);
		h->schema = 0;
		h->spans[1] = spans_float;
		h->nspans[1] = 1;
		h->counts[1] = counts_float;
		h->ncounts[1] = 3;
		break;
	case GEN_HIST_CUSTOM:
		custom_delta = (int64_t)some;
		h->schema = -53;
		h->zero_threshold = 0;
		h->count = some;
		h->spans[1] = spans_custom;
		h->nspans[1] = 1;
		h->deltas[1] = &custom_delta;
		h->ndeltas[1] = 1;
		h->custom = custom_bounds;
		h->ncustom = 3;
		break;
	default:
		/* 400 + 250 + 270 + 970 + 10 above zero, 3 + 2 below */
		h->schema = 3;
		h->zero_count = some;
		h->count = some + 1905;
		h->spans[0] = spans_low;
		h->nspans[0] = 1;
		h->deltas[0] = deltas_low;
		h->ndeltas[0] = 2;
		h->spans[1] = spans_int;
		h->nspans[1] = 2;
		h->deltas[1] = deltas_int;
		h->ndeltas[1] = 5;
	}
}

int64_t
gen_start(const struct gen_run *run, uint32_t series)
{
	if ((run->kinds & GEN_START) == 0 || series % 4 == 3)
		return 0;
	return run->start_ms - 1 - (int64_t)(series % 1000) * 1000;
}

bool
gen_has_exemplar(const struct gen_run *run, uint32_t series)
{
	return (run->kinds & GEN_EXEMPLAR) != 0 && series % GEN_TARGET < 28 &&
	    series % 14 == 5;
}

uint64_t
gen_exemplar_value(uint64_t identity, uint32_t seq)
{
	return bits((double)(draw(~identity, seq) >> 11) * 0x1p-53);
}

void
gen_trace_id(uint32_t series, char out[17])
{
	snprintf(out, 17, "%016lx", mix(~(uint64_t)series));
}

size_t
gen_family_count(void)
{
	return N_FAMILIES;
}

static struct wire_str
str(const char *s)
{
	return (struct wire_str){ s, (uint32_t)strlen(s) };
}

void
gen_family(size_t i, struct wire_metadata *m)
{
	*m = (struct wire_metadata){ families[i].type, str(families[i].name),
	    str(families[i].help), str(families[i].unit) };
}

bool
gen_metadata(struct wire_str name, struct wire_metadata *m)
{
	static const char *const suffixes[] = { "", "_bucket", "_sum", "_count" };
	size_t i, j, len;

	for (i = 0; i < N_FAMILIES; i++) {
		len = strlen(families[i].name);
		if (name.len < len || memcmp(name.p, families[i].name, len) != 0)
			continue;
		for (j = 0; j < 4; j++)
			if (name.len == len + strlen(suffixes[j]) &&
			    memcmp(name.p + len, suffixes[j],
			    strlen(suffixes[j])) == 0) {
				gen_family(i, m);
				return true;
			}
	}
	return false;
}
