#!/usr/bin/env python3
"""HTTP/2: right answers, every rule of RFC 9113 broken, floods, and peers that
take their time; memory stays bounded, and honest edges notice nothing.
SPDX-License-Identifier: Apache-2.0"""

import signal
import ssl
import struct
import threading
import time

import bodies as b
import certs
import frames as h
import rw
from frames import (ACK, CALM, CANCEL, CLOSED, COMPRESSION, CONTINUATION, DATA,
                    END_HEADERS, END_STREAM, FLOW, GOAWAY, HEADERS, PADDED,
                    PING, PRIO, PRIORITY, PROTOCOL, PUSH, RST, SETTINGS, SIZE,
                    WINDOW, Client, Told, block, field, frame, head, headers,
                    rst, settings, window)

NOW = int(time.time() * 1000)
GOOD = b.snappy(b.request_v1("http2", 1.0, NOW, job="e2e"))
FENCE = 0x7fffff01
MAX = 0x7fffffff
OPEN = headers(1, head(), END_HEADERS)          # its body is yet to come
WHOLE = headers(1, head("/none"))


def post(stream, body=GOOD, **more):
    fields = dict(b.V1)
    fields.update((n.replace("_", "-"), v) for n, v in more.items())
    return h.post(stream, body, fields)


def data(stream, payload=b"", flags=0, length=None):
    return frame(DATA, flags, stream, payload, length)


def with_fields(*pairs):
    return headers(1, head() + list(pairs))


def without(*names):
    return headers(1, [p for p in head() if p[0] not in names])


def prior(payload):
    """A block after another one of the same connection."""
    return headers(1, head("/none")) + headers(3, payload)


# What is sent after the greeting; what has to come of it:
#   conn    GOAWAY with one of the codes, and the end
#   stream  RST_STREAM of the stream with one of the codes, or as `conn`
#   answer  a status on the stream
#   fine    nothing but the answer to a request that follows
FRAMES = (
    ("DATA on stream 0", data(0, b"x"), "conn", PROTOCOL),
    ("DATA on an idle stream", data(1, b"x"), "conn", PROTOCOL),
    ("DATA on an even stream", OPEN + data(2, b"x"), "conn", PROTOCOL),
    ("DATA after the end", OPEN + data(1, b"x", END_STREAM) + data(1, b"x"),
     "stream", 1, CLOSED),
    ("DATA that is all too long", OPEN + data(1, b"x" * 16385), "conn", SIZE),
    ("DATA with more padding than payload",
     OPEN + data(1, b"\5abc", PADDED), "conn", PROTOCOL),
    ("DATA without room for its padding", OPEN + data(1, b"", PADDED), "conn",
     PROTOCOL, SIZE),
    ("HEADERS on stream 0", headers(0, head()), "conn", PROTOCOL),
    ("HEADERS on an even stream", headers(2, head()), "conn", PROTOCOL),
    ("HEADERS on a stream before", headers(5, head("/none")) +
     headers(3, head()), "conn", PROTOCOL, CLOSED),
    ("HEADERS on a closed stream", WHOLE + headers(1, head()), "conn",
     PROTOCOL, CLOSED),
    ("HEADERS after the end", OPEN + data(1, b"x", END_STREAM) +
     headers(1, head()), "conn", CLOSED),
    ("HEADERS with more padding than payload",
     frame(HEADERS, PADDED | END_HEADERS, 1, b"\xff" + block(head())), "conn",
     PROTOCOL),
    ("HEADERS without room for a priority",
     frame(HEADERS, PRIO | END_HEADERS, 1, b"\0\0"), "conn", SIZE),
    ("HEADERS with padding and a priority", frame(
        HEADERS, PADDED | PRIO | END_HEADERS | END_STREAM, 1,
        b"\4\0\0\0\0\x10" + block(head("/none")) + b"pads"), "answer", 1, 404),
    ("trailers that do not end", OPEN + headers(1, [("a", "b")], END_HEADERS),
     "stream", 1, PROTOCOL),
    ("trailers with a pseudo header", OPEN + headers(1, [(":path", "/")]),
     "stream", 1, PROTOCOL),
    ("trailers", OPEN + data(1, b"x") + headers(1, [("a", "b")]), "answer", 1,
     400),
    ("PRIORITY on stream 0", frame(PRIORITY, 0, 0, bytes(5)), "conn",
     PROTOCOL),
    ("PRIORITY of a wrong length", frame(PRIORITY, 0, 1, bytes(4)), "stream",
     1, SIZE),
    ("PRIORITY of idle streams", b"".join(frame(
        PRIORITY, 0, i, struct.pack(">IB", 0, 9)) for i in range(1, 200, 2)),
     "fine"),
    ("RST_STREAM on stream 0", rst(0), "conn", PROTOCOL),
    ("RST_STREAM on an idle stream", rst(1), "conn", PROTOCOL),
    ("RST_STREAM of a wrong length", OPEN + frame(RST, 0, 1, bytes(3)),
     "conn", SIZE),
    ("RST_STREAM", OPEN + rst(1), "fine"),
    ("RST_STREAM on a closed stream", OPEN + rst(1) + rst(1), "fine"),
    ("SETTINGS on a stream", frame(SETTINGS, 0, 1), "conn", PROTOCOL),
    ("SETTINGS of a wrong length", frame(SETTINGS, 0, 0, bytes(5)), "conn",
     SIZE),
    ("SETTINGS acknowledged with something", frame(SETTINGS, ACK, 0, bytes(6)),
     "conn", SIZE),
    ("SETTINGS: push of 2", settings((2, 2)), "conn", PROTOCOL),
    ("SETTINGS: window of 2^31", settings((4, 1 << 31)), "conn", FLOW),
    ("SETTINGS: frames too small", settings((5, 16383)), "conn", PROTOCOL),
    ("SETTINGS: frames too large", settings((5, 1 << 24)), "conn", PROTOCOL),
    ("SETTINGS: unknown", settings((0xff, 1), (1, 0), (3, 0)), "fine"),
    ("SETTINGS: far too many", settings(*[(0xff, 1)] * 1000), "conn", CALM),
    ("SETTINGS that make a window too large", settings((4, 0)) + OPEN +
     window(1, MAX) + settings((4, 1)), "stream", 1, FLOW),
    ("PUSH_PROMISE", OPEN + frame(PUSH, END_HEADERS, 1, bytes(4) +
                                  block(head())), "conn", PROTOCOL),
    ("PING on a stream", frame(PING, 0, 1, bytes(8)), "conn", PROTOCOL),
    ("PING of a wrong length", frame(PING, 0, 0, bytes(7)), "conn", SIZE),
    ("PING acknowledged that was not sent", frame(PING, ACK, 0, bytes(8)),
     "fine"),
    ("GOAWAY on a stream", frame(GOAWAY, 0, 1, bytes(8)), "conn", PROTOCOL),
    ("GOAWAY of a wrong length", frame(GOAWAY, 0, 0, bytes(7)), "conn", SIZE),
    ("WINDOW_UPDATE of a wrong length", frame(WINDOW, 0, 0, bytes(3)), "conn",
     SIZE),
    ("WINDOW_UPDATE of nothing", window(0, 0), "conn", PROTOCOL),
    ("WINDOW_UPDATE of nothing on a stream", OPEN + window(1, 0), "stream", 1,
     PROTOCOL),
    ("WINDOW_UPDATE on an idle stream", window(1, 1), "conn", PROTOCOL),
    ("WINDOW_UPDATE on a closed stream", OPEN + rst(1) + window(1, 1), "fine"),
    ("the connection's window over its limit", window(0, MAX), "conn", FLOW),
    ("a stream's window over its limit", OPEN + window(1, MAX), "stream", 1,
     FLOW),
    ("CONTINUATION of nothing", frame(CONTINUATION, END_HEADERS, 1), "conn",
     PROTOCOL),
    ("CONTINUATION after the end of a block", OPEN +
     frame(CONTINUATION, END_HEADERS, 1), "conn", PROTOCOL),
    ("CONTINUATION on stream 0", headers(1, head(), 0) +
     frame(CONTINUATION, END_HEADERS, 0), "conn", PROTOCOL),
    ("CONTINUATION of another stream", headers(1, head(), 0) +
     frame(CONTINUATION, END_HEADERS, 3), "conn", PROTOCOL),
    ("DATA within a block", OPEN + headers(3, head(), 0) + data(1, b"x"),
     "conn", PROTOCOL),
    ("PING within a block", headers(1, head(), 0) + frame(PING, 0, 0,
                                                          bytes(8)),
     "conn", PROTOCOL),
    ("an unknown frame within a block", headers(1, head(), 0) + frame(0x77),
     "conn", PROTOCOL),
    ("unknown frames", frame(0x77, 0xff, 1, b"x") * 3000 +
     frame(0xfa, 0, 0, bytes(9000)), "fine"),
    ("a block in pieces", headers(1, block(head("/none"))[:7], END_STREAM) +
     frame(CONTINUATION, 0, 1, block(head("/none"))[7:8]) +
     frame(CONTINUATION, END_HEADERS, 1, block(head("/none"))[8:]), "answer",
     1, 404),
)
HPACK = (
    ("index 0", b"\x80"), ("an index past the tables", b"\xc8"),
    ("a name past the tables", b"\x0f\xff\x10\1a"),
    ("an index without end", b"\xff" + b"\xff" * 12),
    ("a literal that is cut", b"\0\x05ab"),
    ("a literal of 2^32 bytes", b"\0\x7f\x81\xff\xff\xff\x0f"),
    ("Huffman with EOS in it", b"\0\x84\xff\xff\xff\xff\1a"),
    ("Huffman with too much padding", b"\0\x82\x1f\xff\1a"),
    ("Huffman with padding of zeros", b"\0\x81\x18\1a"),
    ("a table larger than was allowed", b"\x3f\xe2\x1f"),
    ("a table that changes in the middle", block(head()) + b"\x20"),
)
LISTS = (
    ("a name in capitals", with_fields(("Abc", "x"))),
    ("a name with a blank", with_fields(("a b", "x"))),
    ("an empty name", with_fields(("", "x"))),
    ("a name with a colon", with_fields(("a:b", "x"))),
    ("a value with NUL", with_fields(("abc", "a\0b"))),
    ("a value with LF", with_fields(("abc", "a\nb"))),
    ("a value with a blank before it", with_fields(("abc", " b"))),
    ("no method", without(":method")), ("no path", without(":path")),
    ("no scheme", without(":scheme")),
    ("no authority", without(":authority")),
    ("an empty path", headers(1, head(""))),
    ("two paths", with_fields((":path", "/"))),
    ("a path after the fields", headers(1, head()[:2] + [("a", "b")] +
                                        head()[2:])),
    ("a pseudo header that is none", with_fields((":what", "x"))),
    ("a status", headers(1, [(":status", "200")] + head())),
    ("connection", with_fields(("connection", "close"))),
    ("keep-alive", with_fields(("keep-alive", "x"))),
    ("proxy-connection", with_fields(("proxy-connection", "x"))),
    ("transfer-encoding", with_fields(("transfer-encoding", "chunked"))),
    ("upgrade", with_fields(("upgrade", "h2c"))),
    ("te: gzip", with_fields(("te", "gzip"))),
    ("a length that is none", with_fields(("content-length", "1x"))),
    ("a negative length", with_fields(("content-length", "-1"))),
    ("two lengths", with_fields(("content-length", "0"),
                                ("content-length", "0"))),
    ("a length and no body", with_fields(("content-length", "5"))),
    ("a body longer than its length", headers(
        1, head(content_length="1", **b.V1), END_HEADERS) + data(1, b"ab")),
    ("a body shorter than its length", headers(
        1, head(content_length="3", **b.V1), END_HEADERS) +
     data(1, b"ab", END_STREAM)),
)
ANSWERS = (
    ("another host", with_fields(("host", "other")), 400),
    ("an authority with a user", headers(1, [
        p if p[0] != ":authority" else (":authority", "me@relay")
        for p in head()]), 400),
    ("a path with a fragment", headers(1, head("/#x")), 400),
    ("CONNECT", headers(1, [(":method", "CONNECT"), (":authority", "a:1")]),
     400),
    ("an expectation", with_fields(("expect", "bread")), 417),
    ("a field too large", with_fields(("a", "b" * 16200)), 431),
    ("fields too many", with_fields(*[("a", "b")] * 129), 431),
    ("as many as may be", headers(1, head("/none") + [("a", "b")] * 124), 404),
    ("no such path", WHOLE, 404),
    ("another method", headers(1, head(method="GET")), 405),
    ("a method nobody knows", headers(1, head(method="BREW")), 405),
    ("HEAD", headers(1, head(method="HEAD")), 405),
    ("te: trailers", headers(1, head("/none", te="trailers")), 404),
    ("not remote write", headers(1, head(content_type="text/plain")), 415),
    ("the same host in other letters", headers(1, head("/none", host="ReLay")),
     404),
)
ALL = FRAMES + tuple(
    ("HPACK: " + name, prior(what), "conn", COMPRESSION)
    for name, what in HPACK) + tuple(
    (name, what, "stream", 1, PROTOCOL) for name, what in LISTS) + tuple(
    (name, what, "answer", 1, code) for name, what, code in ANSWERS) + (
    ("no SETTINGS", None, "conn", PROTOCOL),)


def judge(told, how, what):
    went_on = (FENCE, 404) in told.status
    if how == "conn":
        return not went_on and told.goaway and told.goaway[-1] in what
    if how == "stream" and not went_on:
        return told.goaway and told.goaway[-1] in what[1:]
    if how == "stream":
        return any((what[0], code) in told.rst for code in what[1:])
    if how == "answer":
        return went_on and tuple(what) in told.status
    return went_on and not told.rst and not told.goaway


def provoke(t, relay, name, sent, how, *what):
    greeting = None if sent is not None else h.PREFACE + frame(PING, 0, 0,
                                                               bytes(8))
    c = Client(relay, greeting)
    c.send((sent or b"") + headers(FENCE, head("/none")))
    told = Told(c.until(lambda f: f.kind == HEADERS and f.stream == FENCE))
    c.close()
    t.check(judge(told, how, what), "%s: goaway %s, reset %s, answered %s" %
            (name, told.goaway, told.rst, told.status))


class Honest(threading.Thread):
    """Sends beside the others, and counts what was not answered 204."""

    def __init__(self, relay):
        super().__init__(daemon=True)
        self.relay, self.go, self.wrong, self.n = relay, True, 0, 0
        self.client = Client(relay)
        self.start()

    def run(self):
        while self.go:
            stream = 2 * self.n + 1
            self.n += 1
            self.client.send(post(stream))
            if self.client.answer(stream) != 204:
                self.wrong += 1
            time.sleep(0.02)

    def end(self, t):
        rw.wait_for(lambda: self.n > 5, 10)
        self.go = False
        self.join()
        t.check(self.n > 5 and not self.wrong, "an honest edge beside them: "
                "%d requests, %d not taken" % (self.n, self.wrong))
        self.client.close()


def refused(relay, reason):
    return relay.metric("rwrelay_http2_refused_total", reason=reason)


def closed(relay, reason):
    return relay.metric("rwrelay_connections_closed_total", reason=reason)


with rw.Case("what is right, and each rule broken") as t:
    sink = t.sink()
    relay = t.relay([sink], top="workers = 2")
    honest = Honest(relay)
    c = Client(relay)
    c.send(b"".join(post(i) for i in range(1, 200, 2)))
    told = []
    while len(told) < 100 and not c.ended:
        told += c.until(lambda f: f.kind == HEADERS)[-1:]
    t.equal(sorted(Told(told).status), [(i, 204) for i in range(1, 200, 2)],
            "many requests on one connection")
    c.send(headers(201, head(expect="100-continue", **b.V1), END_HEADERS))
    c.until(lambda f: f.kind == HEADERS)
    c.send(data(201, GOOD, END_STREAM))
    t.equal(c.answer(201), 204, "a body that waits to be asked for")
    c.close()
    large = b.snappy(b.request_v1("http2", 1.0, NOW, job="x" * 3000000))
    c = Client(relay)
    c.send(b"".join(post(i, large) for i in (1, 3)))
    t.equal([c.answer(i) for i in (1, 3)], [400, 400],
            "bodies larger than any window")
    c.close()
    c = Client(relay)
    whole = headers(1, head("/none"))
    for i in range(len(whole)):
        c.send(whole[i:i + 1])
    t.equal(c.answer(1), 404, "byte by byte")
    c.close()
    before = relay.rss()
    for case in ALL:
        provoke(t, relay, *case)
    t.check(refused(relay, "bad-request") >= len(LISTS), "they are counted")
    for reason in ("bad-frame", "bad-hpack", "flow-control"):
        t.check(closed(relay, reason) > 0, "so are connections: %s" % reason)
    honest.end(t)
    t.check(relay.rss() - before < 8 << 20 or rw.SANITIZED,
            "memory grew by %d KiB" % ((relay.rss() - before) >> 10))
    t.equal(relay.stop(), 0, "ended in order")

with rw.Case("without HTTP/2") as t:
    relay = t.relay([], listen="\thttp2 = off")
    c = Client(relay)
    while not c.ended:
        c.more()
    t.check(c.left.startswith(b"HTTP/1.1 505 "), "it is another version")


def bomb():
    """An entry of the table, a byte each time that it is named."""
    return headers(1, block(head()) + b"\x40" + h.text("a") +
                   h.text(b"b" * 3900) + b"\xbe" * 8000)


MANY = range(1, 6000, 2)
FLOODS = (
    ("resets", b"".join(headers(i, head(), END_HEADERS) + rst(i)
                        for i in MANY)),
    ("resets that it provokes", b"".join(
        headers(i, head(**b.V1), END_HEADERS) + window(i, MAX) for i in MANY)),
    ("malformed requests", b"".join(headers(i, [("A", "b")]) for i in MANY)),
    ("blocks that do not end", headers(1, head(), 0) +
     frame(CONTINUATION, 0, 1, field("a", "b")) * 3000),
    ("blocks that do not end, of nothing", headers(1, b"", 0) +
     frame(CONTINUATION, 0, 1) * 3000),
    ("SETTINGS", settings((3, 100)) * 3000),
    ("PING", frame(PING, 0, 0, bytes(8)) * 3000),
    ("PRIORITY", frame(PRIORITY, 0, 1, bytes(5)) * 3000),
    ("WINDOW_UPDATE", window(0, 1) * 3000),
    ("empty DATA", headers(1, head(**b.V1), END_HEADERS) + data(1) * 3000),
    ("DATA of padding", headers(1, head(**b.V1), END_HEADERS) +
     data(1, b"\xff" + bytes(255), PADDED) * 3000),
    ("empty header blocks", b"".join(headers(i, b"") for i in MANY)),
    ("a bomb of headers", bomb()),
    ("headers far too large", headers(1, block(head()), 0) + b"".join(
        frame(CONTINUATION, 0, 1, field("a", "b" * 16000))
        for i in range(8))),
)

with rw.Case("floods") as t:
    sink = t.sink()
    relay = t.relay([sink], top="workers = 2")
    load = t.load(relay, "--series", 100, "--samples-per-request", 50,
                  "--rate", 500, "--connections", 2)
    honest = Honest(relay)
    before = relay.rss()
    for i, (name, flood) in enumerate(FLOODS):
        c = Client(relay)
        c.send(flood)
        told = Told(c.until(lambda f: False))
        c.close()
        t.equal(told.goaway[-1:], [CALM], "%s: %d bytes" % (name, len(flood)))
    rw.wait_for(lambda: closed(relay, "flood") >= len(FLOODS), 5)
    t.equal(closed(relay, "flood"), len(FLOODS), "they are counted")

    # who takes no answers is not given more; 128 at a time are enough
    c = Client(relay, h.PREFACE + settings((4, 0)))
    c.until(lambda f: f.kind == SETTINGS and f.flags & ACK)
    c.send(frame(SETTINGS, ACK))
    c.send(b"".join(headers(i, head("/none")) for i in range(1, 300, 2)))
    told = Told(c.until(lambda f: f.kind == GOAWAY))
    c.close()
    t.check(told.goaway == [PROTOCOL] and 0 < len(told.status) <= 128,
            "more streams than may be: %s after %d" %
            (told.goaway, len(told.status)))
    grown = relay.rss() - before
    t.check(grown < 16 << 20 or rw.SANITIZED, "memory grew by %d KiB" %
            (grown >> 10))
    honest.end(t)
    load.signal(signal.SIGTERM)
    sent = load.result()
    t.equal([load.status, sent["retries"] + sent["conn_errors"]], [0, 0],
            "nor does an edge with HTTP/1.1 notice")
    t.delivered(sink, sent["acked"] + 1, relay)

with rw.Case("peers that take their time") as t:
    relay = t.relay([], top="workers = 1\nheader-timeout = 1s\n"
                    "body-timeout = 1s\nidle-timeout = 2s")
    honest = Honest(relay)
    silent = Client(relay, h.PREFACE[:20])
    greeted = Client(relay, h.PREFACE)
    slow = Client(relay)
    slow.send(headers(1, head()[:1], 0))
    body = Client(relay)
    body.send(headers(1, head(**b.V1), END_HEADERS) + data(1, GOOD[:9]))
    shut = Client(relay, h.PREFACE + settings((4, 3)))
    shut.send(headers(1, head("/none")))
    idle = Client(relay)
    idle.send(headers(1, head("/none")))
    for name, c in (("a preface", silent), ("SETTINGS", greeted),
                    ("a header block", slow)):
        c.until(lambda f: False)
        t.check(c.ended, "%s that does not come" % name)
    rw.wait_for(lambda: closed(relay, "slow") >= 3, 10)
    t.equal(closed(relay, "slow"), 3, "is counted")
    for name, c in (("a body that stalls", body),
                    ("an answer that is not taken", shut)):
        told = Told(c.until(lambda f: f.kind == RST))
        t.equal(told.rst, [(1, CANCEL)], name)
        c.send(post(3))
    t.equal(refused(relay, "slow"), 2, "is counted")
    t.equal(body.answer(3), 204, "its connection goes on")
    told = Told(idle.until(lambda f: False))
    t.equal((told.status, told.goaway), ([(1, 404)], [0]),
            "an idle connection is ended in order")
    honest.end(t)
    for c in (silent, greeted, slow, body, shut, idle):
        c.close()

with rw.Case("TLS, and the end") as t:
    ca = certs.Authority(t.path("ca"), "ca")
    me = ca.issue("relay", "IP:127.0.0.1")
    sink = t.sink()
    relay = t.relay([sink], scheme="https", top="workers = 2",
                    listen='\tcertificate = "%s"\n\tkey = "%s"' %
                    (me.cert, me.key))

    def context(*protocols):
        c = ssl.create_default_context(cafile=ca.cert)
        c.set_alpn_protocols(list(protocols))
        return c

    c = Client(relay, context=context("http/1.1", "h2"))
    t.equal(c.s.selected_alpn_protocol(), "h2", "agreed on by ALPN")
    c.send(post(1))
    t.equal(c.answer(1), 204, "and spoken")
    one = Client(relay, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                 context("http/1.1"))
    one.more()
    t.check(one.left.startswith(b"HTTP/1.1 404"), "or not")
    one.close()
    one = Client(relay, context=context("http/1.1"))
    one.more()
    t.check(one.left.startswith(b"HTTP/1.1 505"),
            "it is not spoken without that")
    one.close()
    t.delivered(sink, 1, relay)

    busy = Client(relay, context=context("h2"))
    busy.send(post(1) + headers(3, head(**b.V1), END_HEADERS))
    busy.answer(1)
    relay.meant_to_run = False
    relay.signal(signal.SIGTERM)
    told = Told(c.until(lambda f: f.kind == PING))
    t.equal((told.goaway, told.last), ([0], [MAX]),
            "the end is told of, with time for what is on its way")
    busy.until(lambda f: f.kind == PING)
    c.send(headers(3, head("/none")) + frame(PING, ACK, 0, bytes(8)))
    told = Told(c.until(lambda f: False))
    t.equal((told.status, told.goaway, told.last), ([(3, 404)], [0], [3]),
            "which is answered, and then it ends")
    busy.send(frame(PING, ACK, 0, bytes(8)))
    told = Told(busy.until(lambda f: f.kind == GOAWAY))
    t.equal(told.last, [3], "a request that has begun")
    busy.send(data(3, GOOD, END_STREAM) + headers(5, head("/none")))
    told = Told(busy.until(lambda f: False))
    t.check(told.status in ([(3, 204)], [(3, 503)]),
            "is answered, a later one is not: %s" % told.status)
    t.equal(relay.wait(20), 0, "ended in order")

rw.done()
