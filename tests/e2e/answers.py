#!/usr/bin/env python3
"""What a receiver of remote write must answer, case by case: codes, Written
headers, what is kept of a request that is bad in part, and what arrives.
SPDX-License-Identifier: Apache-2.0"""

import http.client
import math
import struct
import time

import rw
from bodies import V1, V2, field, number, snappy, varint

NOW = int(time.time() * 1000)
STALE = struct.unpack("<d", struct.pack("<Q", 0x7ff0000000000002))[0]
WRITTEN = ["X-Prometheus-Remote-Write-%s-Written" % k
           for k in ("Samples", "Histograms", "Exemplars")]


def double(n, bits_of):
    return varint(n << 3 | 1) + struct.pack("<d", bits_of)


def zigzag(v):
    return v << 1 if v >= 0 else (-v << 1) - 1


class Request2:
    """A 2.0 request, put together label by label."""

    def __init__(self):
        self.symbols = [b""]
        self.series = []

    def ref(self, text):
        raw = text if isinstance(text, bytes) else text.encode()
        if raw not in self.symbols:
            self.symbols.append(raw)
        return self.symbols.index(raw)

    def refs(self, labels):
        return b"".join(varint(self.ref(n)) + varint(self.ref(v))
                        for n, v in labels)

    def add(self, labels, samples=(), histograms=(), exemplars=(),
            metadata=None, created=0, refs=None):
        out = field(1, self.refs(labels) if refs is None else refs)
        for v, t in samples:
            out += field(2, double(1, v) + number(2, t))
        for h in histograms:
            out += field(3, h)
        for pairs, v, t in exemplars:
            out += field(4, field(1, self.refs(pairs)) + double(2, v) +
                         number(3, t))
        if metadata:
            kind, text, unit = metadata
            out += field(5, number(1, kind) + number(3, self.ref(text)) +
                         number(4, self.ref(unit)))
        if created:
            out += number(6, created)
        self.series.append(out)
        return self

    def body(self):
        return b"".join(field(4, s) for s in self.symbols) + \
            b"".join(field(5, s) for s in self.series)


def histogram(count=10, deltas=(3, 1, -1), zero=1, schema=0, sum_=12.5,
              custom=()):
    """Integer; by default buckets 3, 4, 3 and zero bucket: 11 in all."""
    out = number(1, count) + double(3, sum_) + number(4, zigzag(schema))
    if not custom:
        out += double(5, 0.001) + number(6, zero)
    if deltas:
        out += field(11, number(1, zigzag(0)) + number(2, len(deltas)))
        out += field(12, b"".join(varint(zigzag(d)) for d in deltas))
    out += number(15, NOW)
    if custom:
        out += field(16, b"".join(struct.pack("<d", c) for c in custom))
    return out


def name(n, *more):
    return [("__name__", n)] + list(more)


def two(*args, **kw):
    return Request2().add(*args, **kw)


# name, body, code, what is written (samples, histograms, exemplars)
CASES = []


def case(title, request, code, written):
    CASES.append((title, request.body(), code, written))


for v in (1.0, STALE, math.nan, math.inf, -math.inf, -0.0):
    case("a sample of %r" % v, two(name("m"), [(v, NOW)]), 204, (1, 0, 0))
case("several labels", two(name("m", ("a", "1"), ("b", "2")), [(1, NOW)]),
     204, (1, 0, 0))
case("labels out of order", two([("z", "1"), ("__name__", "m"), ("B", "2")],
                                [(1, NOW)]), 204, (1, 0, 0))
case("new lines in a value", two(name("m", ("a", "x\ny\n")), [(1, NOW)]),
     204, (1, 0, 0))
case("dots in names", two(name("m.n", ("a.b", "c")), [(1, NOW)]), 204,
     (1, 0, 0))
case("spaces in names", two(name("m n", ("a b", "c")), [(1, NOW)]), 204,
     (1, 0, 0))
case("unicode", two(name("m", ("ort", "Köln 🚀")), [(1, NOW)]), 204,
     (1, 0, 0))
case("an empty value is no label", two(name("m", ("a", "")), [(1, NOW)]),
     204, (1, 0, 0))
case("two samples of a series", two(name("m"), [(1, NOW - 1), (2, NOW)]),
     204, (2, 0, 0))
case("an hour old, and from 1970", two(name("m"), [(1, NOW - 3600000),
                                                   (1, 1)]), 204, (2, 0, 0))
case("a created timestamp", two(name("m_total"), [(1, NOW)],
                                created=NOW - 5000), 204, (1, 0, 0))
case("no name", two([("a", "b")], [(1, NOW)]), 400, (0, 0, 0))
case("no labels", two([], [(1, NOW)]), 400, (0, 0, 0))
case("an empty name", two([("__name__", "")], [(1, NOW)]), 400, (0, 0, 0))
case("an empty label name", two(name("m", ("", "x")), [(1, NOW)]), 400,
     (0, 0, 0))
case("a label twice", two(name("m", ("a", "1"), ("a", "1")), [(1, NOW)]),
     400, (0, 0, 0))
case("not UTF-8", two(name("m", ("a", b"\xff\xfe")), [(1, NOW)]), 400,
     (0, 0, 0))
case("a reference out of range", two([], [(1, NOW)], refs=varint(1) +
                                     varint(99)), 400, (0, 0, 0))
case("references of odd number", two([], [(1, NOW)], refs=varint(0)), 400,
     (0, 0, 0))
case("one of four without name", two(name("a"), [(1, NOW)])
     .add([("x", "y")], [(1, NOW)]).add(name("b"), [(1, NOW)])
     .add(name("c"), [(1, NOW)]), 400, (3, 0, 0))
case("a histogram", two(name("h"), histograms=[histogram(11)]), 204,
     (0, 1, 0))
case("a histogram of zeros only", two(name("h"), histograms=[
    histogram(5, (), 5)]), 204, (0, 1, 0))
case("custom buckets", two(name("h"), histograms=[
    histogram(10, (3, 1, -1), 0, -53, custom=(1.0, 2.5, 7.0))]), 204,
     (0, 1, 0))
case("a stale histogram", two(name("h"), histograms=[
    histogram(99, (3, -9), 7, 0, STALE)]), 204, (0, 1, 0))
case("count is not the sum of buckets", two(name("h"), histograms=[
    histogram(99)]), 400, (0, 0, 0))
case("a bucket below zero", two(name("h"), histograms=[
    histogram(4, (3, -4), 2)]), 400, (0, 0, 0))
case("samples and a histogram", two(name("h"), [(1, NOW)], [histogram(11)]),
     204, (1, 1, 0))
case("an exemplar", two(name("m"), [(1, NOW)], exemplars=[
    ([("trace_id", "abc")], 2.0, NOW)]), 204, (1, 0, 1))
case("an exemplar without labels", two(name("m"), [(1, NOW)], exemplars=[
    ([], 2.0, NOW)]), 204, (1, 0, 1))
case("an exemplar alone", two(name("m"), exemplars=[
    ([("trace_id", "ü")], math.nan, NOW)]), 204, (0, 0, 1))
case("three exemplars", two(name("m"), [(1, NOW)], exemplars=[
    ([("trace_id", "a%d" % i)], i, NOW - i) for i in range(3)]), 204,
     (1, 0, 3))
case("an exemplar of a nameless series", two([("a", "b")], exemplars=[
    ([("trace_id", "x")], 1.0, NOW)]), 400, (0, 0, 0))
for kind in range(8):
    case("metadata of type %d" % kind, two(name("m%d" % kind), [(1, NOW)],
         metadata=(kind, "What it is\n\"really\"", "s")), 204, (1, 0, 0))
case("metadata without data", two(name("m"), metadata=(1, "x", "s")), 204,
     (0, 0, 0))
case("nothing at all", Request2(), 204, (0, 0, 0))


def post(relay, body, headers, chunked=False):
    host = relay.url().split("/")[2]
    c = http.client.HTTPConnection(host, timeout=10)
    if chunked:
        c.request("POST", "/api/v1/write", iter([body[:7], body[7:]]),
                  dict(headers), encode_chunked=True)
    else:
        c.request("POST", "/api/v1/write", body, headers)
    r = c.getresponse()
    text = r.read()
    c.close()
    return r.status, [r.getheader(w) for w in WRITTEN], text, r


with rw.Case("2.0, case by case, in one piece and in chunks") as t:
    sink = t.sink()
    relay = t.relay([sink])
    for chunked in (False, True):
        wrong = []
        for title, body, code, written in CASES:
            got = post(relay, snappy(body), V2, chunked)
            want = (code, [str(w) for w in written])
            if got[:2] != want:
                wrong.append("%s: %s %s, not %s" % (title, got[0], got[1],
                                                    want))
            if code == 400 and (b"rejected" not in got[2] or
                                len(got[2]) > 1024):
                wrong.append("%s: %r" % (title, got[2]))
        t.check(not wrong, "%d cases: %s" % (len(CASES), wrong or "as told"))
    total = sum(sum(c[3]) for c in CASES) * 2
    rw.wait_for(relay.drained, 30)
    durable = sum(relay.metric("rwrelay_%s_total" % kind)
                  for kind in ("samples", "histograms", "exemplars"))
    repeated = relay.metric("rwrelay_repeated_samples_total")
    t.check(durable + repeated == total and durable >= total / 4,
            "%d stored, and %d of them again: %d" % (durable, repeated, total))
    n = relay.metric("rwrelay_upstream_samples_total", upstream="up0")
    t.check(n == durable, "delivered: %d of %d" % (n, durable))

with rw.Case("what is asked before the body") as t:
    relay = t.relay([t.sink()])
    good = snappy(two(name("m"), [(1, NOW)]).body())
    bad = b"\xff" + good[1:]
    for headers, code in (
            ({"Content-Type": "application/json"}, 415),
            ({"Content-Type": "image/png"}, 415),
            ({"Content-Type": "application/x-protobuf;proto=other"}, 415),
            ({"Content-Encoding": "gzip"}, 415),
            ({"Content-Encoding": "br"}, 415),
            ({"Content-Encoding": "identity"}, 415)):
        got = post(relay, bad, dict(V2, **headers))
        t.check(got[0] == code and got[1] == [None] * 3,
                "%s: %s %s" % (headers, got[0], got[1]))
    for coding in ("snappy", "zstd"):
        got = post(relay, bad, dict(V2, **{"Content-Encoding": coding}))
        t.check(got[0] == 400 and got[1] == ["0"] * 3,
                "a body of %s that is corrupt: %s %s" % (coding, *got[:2]))
    spaced = dict(V2)
    spaced["Content-Type"] = ("Application/X-Protobuf ; "
                              "Proto=\"io.prometheus.write.v2.Request\"")
    got = post(relay, good, spaced)
    t.check(got[0] == 204 and got[1] == ["1", "0", "0"],
            "a type written otherwise: %s %s" % got[:2])
    host = relay.url().split("/")[2]
    for method, path, code in (("GET", "/api/v1/write", 405),
                               ("PUT", "/api/v1/push", 405),
                               ("POST", "/api/v1/other", 404),
                               ("POST", "/api/v1/push", 204),
                               ("POST", "/api/v1/receive", 204)):
        c = http.client.HTTPConnection(host, timeout=10)
        c.request(method, path, good, V2)
        r = c.getresponse()
        r.read()
        t.check(r.status == code, "%s %s: %d" % (method, path, r.status))
        c.close()

with rw.Case("1.0 is answered without Written headers") as t:
    sink = t.sink()
    relay = t.relay([sink])

    def one(labels, value=1.0):
        return field(1, b"".join(
            field(1, field(1, n.encode()) + field(2, v.encode()))
            for n, v in labels) +
            field(2, double(1, value) + number(2, NOW)))

    meta = field(3, number(1, 1) + field(2, b"m") + field(4, b"help"))
    bare = {"Content-Encoding": "snappy"}
    for title, body, headers, code in (
            ("two series", one(name("a")) + one(name("b")), V1, 204),
            ("no content type", one(name("a")), bare, 204),
            ("metadata only", meta, V1, 204),
            ("nothing", b"", V1, 204),
            ("a 2.0 body", two(name("m"), [(1, NOW)]).body(), V1, 204),
            ("one of two is bad", one(name("a")) + one([("x", "y")]), V1,
             400)):
        got = post(relay, snappy(body), headers)
        t.check(got[0] == code and got[1] == [None] * 3,
                "%s: %s %s" % (title, got[0], got[1]))
    got = post(relay, b"\xff\xff\xff", V1)
    t.check(got[0] == 400, "a corrupt body: %d" % got[0])
    rw.wait_for(relay.drained, 30)
    n = relay.metric("rwrelay_samples_total")
    repeated = relay.metric("rwrelay_repeated_samples_total")
    t.check((n, repeated) == (2, 2), "what was right is kept: %d samples, and "
            "%d that came again" % (n, repeated))

rw.done()
