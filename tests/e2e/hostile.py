#!/usr/bin/env python3
"""Bodies and requests made to hurt: each is refused (or its connection closed),
memory stays bounded, and an honest edge beside them notices nothing.
SPDX-License-Identifier: Apache-2.0"""

import random
import signal
import socket
import time

import bodies as b
import rw

NOW = int(time.time() * 1000)
GOOD = b.request_v1("hostile", 1.0, NOW, job="e2e")


def talk(relay, data, seconds=10, shut=False):
    """Sends bytes; the status lines of all that is answered until the other
    side closes or is silent for a while."""
    answers = b""
    with socket.create_connection(("127.0.0.1", relay.port), 10) as s:
        s.settimeout(seconds * rw.PATIENCE)
        try:
            s.sendall(data)
            if shut:
                s.shutdown(socket.SHUT_WR)
        except OSError:
            pass                    # refused before all was read
        try:
            while b"\r\n\r\n" not in answers:
                part = s.recv(65536)
                if not part:
                    return status(answers), True
                answers += part
            s.settimeout(0.3)       # is there more than one answer?
            while True:
                part = s.recv(65536)
                if not part:
                    return status(answers), True
                answers += part
        except TimeoutError:
            return status(answers), False
        except OSError:
            return status(answers), True


def status(answers):
    return [int(l.split()[1]) for l in answers.split(b"\r\n")
            if l.startswith(b"HTTP/1.")]


def refused(t, relay, name, data, allowed=(400,), **options):
    """One answer out of `allowed`, or the connection closed without any."""
    codes, closed = talk(relay, data, **options)
    t.check((len(codes) == 1 and codes[0] in allowed) or
            (not codes and closed), "%s: %s" %
            (name, codes if codes else "closed" if closed else "no answer"))


def damaged_bodies(t, relay):
    good = b.snappy(GOOD)
    for name, body in (
            ("empty body that is not snappy's", b""),
            ("truncated", good[:-7]),
            ("truncated to its length", good[:2]),
            ("trailing bytes", good + b"xx"),
            ("length 4 GiB", b"\xff\xff\xff\xff\x0f" + good[2:]),
            ("length above 32 bits", b"\xff" * 9 + b"\x01" + good[2:]),
            ("copy before the beginning", b"\x40\x00a\xfe\xff\xff" + good),
            ("copy of offset 0", b"\x40\x00a\xfe\x00\x00" + good),
            ("framed snappy", b"\xff\x06\x00\x00sNaPpY" + good),
            ("gzip", b"\x1f\x8b\x08" + good)):
        refused(t, relay, name, b.post(body, b.V1), (400, 413))
    bomb = b.snappy_repeat(b"\x00" * 60, (1 << 30) // 60)
    refused(t, relay, "1 GiB of zeros in %d KB" % (len(bomb) >> 10),
            b.post(bomb[:1 << 20], b.V1), (400, 413))
    bomb = b.snappy_repeat(b"\x0a\x00" * 30, 31 * (1 << 20) // 60)
    codes, _ = talk(relay, b.post(bomb, b.V1), 60)
    t.check(len(codes) == 1, "16 million empty series: %s" % codes)
    bomb = b.snappy_repeat(b"\x22\x00" * 30, 31 * (1 << 20) // 60)
    codes, _ = talk(relay, b.post(bomb, b.V2), 60)
    t.check(len(codes) == 1, "16 million empty symbols: %s" % codes)


def damaged_messages(t, relay):
    many = b.series_v1([("__name__", "many")] +
                       [("l%07d" % i, "v") for i in range(1000000)], 1, NOW)
    nested = GOOD
    for _ in range(1000):
        nested = b.field(15, nested)
    for name, message in (
            ("a length beyond the end", b"\x0a\xff\x01abc"),
            ("a varint of eleven bytes", b"\x08" + b"\xff" * 11),
            ("field number 0", b"\x02\x01a"),
            ("a group that is not closed", b"\x0b\x0a\x00"),
            ("wire type 7", b"\x0f\x00"),
            ("no name", b.series_v1([("job", "x")], 1, NOW)),
            ("empty name", b.request_v1("", 1, NOW)),
            ("a label twice", b.series_v1(
                [("__name__", "x"), ("a", "1"), ("a", "2")], 1, NOW)),
            ("a label without a name", b.series_v1(
                [("", "x"), ("__name__", "x")], 1, NOW)),
            ("text that is not UTF-8", b.field(1, b.field(1, b.field(
                1, b"__name__") + b.field(2, b"\xff\xfe")) + b.field(
                    2, b.sample(1, NOW)))),
            ("a million labels", many)):
        refused(t, relay, name, b.post(b.snappy(message), b.V1), (400, 413))
    codes, _ = talk(relay, b.post(b.snappy(nested), b.V1))
    t.check(codes in ([204], [400]), "unknown fields, deep: %s" % codes)
    for name, symbols, refs in (
            ("a reference out of range", [b"", b"__name__", b"x"], [1, 9]),
            ("the largest reference", [b"", b"__name__", b"x"],
             [1, 0xffffffff]),
            ("an odd number of references", [b"", b"__name__", b"x"], [1]),
            ("no symbols at all", [], [0, 0]),
            ("no references", [b""], [])):
        refused(t, relay, name, b.post(b.snappy(
            b.request_v2(symbols, refs, 1, NOW)), b.V2))


def flipped_bits(t, relay):
    """Every answer must be one; most are refusals."""
    rng = random.Random(7)
    good, seen = b.snappy(GOOD), {}
    for _ in range(400 if rw.SWEEP else 100):
        body = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
        codes, _ = talk(relay, b.post(bytes(body), b.V1, extra=
                                      b"Connection: close\r\n"))
        key = codes[0] if len(codes) == 1 else tuple(codes)
        seen[key] = seen.get(key, 0) + 1
    t.check(set(seen) <= {204, 400, 413}, "flipped bits: %s" % seen)


def smuggling(t, relay):
    body = b.snappy(GOOD)
    inner = b.post(body, b.V1)
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    head = b"POST /api/v1/write HTTP/1.1\r\nHost: relay\r\n" + b"".join(
        b"%s: %s\r\n" % (k.encode(), v.encode()) for k, v in b.V1.items())

    def request(extra, rest):
        return head + extra + b"\r\n" + rest

    length = b"Content-Length: %d\r\n" % len(body)
    te = b"Transfer-Encoding: chunked\r\n"
    for name, data in (
            ("both lengths", request(length + te, chunks + inner)),
            ("both lengths, turned round",
             request(te + b"Content-Length: 3\r\n", chunks + inner)),
            ("two lengths that differ", request(
                length + b"Content-Length: 1\r\n", body + inner)),
            ("a list of lengths that differ", request(
                b"Content-Length: %d, 1\r\n" % len(body), body + inner)),
            ("a negative length", request(b"Content-Length: -5\r\n", inner)),
            ("a length with a sign", request(
                b"Content-Length: +%d\r\n" % len(body), body + inner)),
            ("a length in hex", request(b"Content-Length: 0x10\r\n", inner)),
            ("a length beyond 64 bits", request(
                b"Content-Length: 18446744073709551626\r\n", inner)),
            ("blank before the colon", request(
                b"Transfer-Encoding : chunked\r\n" + length, body + inner)),
            ("an unknown coding", request(
                b"Transfer-Encoding: xchunked\r\n", chunks + inner)),
            ("chunked is not the last coding", request(
                b"Transfer-Encoding: chunked, identity\r\n", chunks + inner)),
            ("chunked twice", request(te + te, chunks + inner)),
            ("a folded header", request(
                b"X-Fold: a\r\n b\r\n" + length, body)),
            ("a line that ends in LF alone", head.replace(b"\r\n", b"\n") +
             length.replace(b"\r\n", b"\n") + b"\n" + body + inner),
            ("CR within a line", request(b"X-A: b\rc\r\n" + length,
                                         body + inner)),
            ("NUL within a line", request(b"X-A: b\0c\r\n" + length,
                                          body + inner)),
            ("no name of a header", request(b": x\r\n" + length,
                                            body + inner)),
            ("no Host", head.replace(b"Host: relay\r\n", b"") + length +
             b"\r\n" + body),
            ("two Hosts", request(b"Host: other\r\n" + length, body)),
            ("a chunk's size that overflows", request(
                te, b"fffffffffffffffff\r\nabc")),
            ("a chunk's size with a sign", request(te, b"-1\r\nabc\r\n")),
            ("a chunk without its end", request(te, b"3\r\nabcXX0\r\n\r\n")),
            ("a chunk's size without digits", request(te, b"\r\nabc")),
            ("HTTP/0.9", b"POST /api/v1/write\r\n"),
            ("HTTP/3.7", head.replace(b"HTTP/1.1", b"HTTP/3.7") + length +
             b"\r\n" + body),
            ("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00" * 10)):
        refused(t, relay, name, data, (400, 411, 413, 431, 501, 505))
    refused(t, relay, "GET", b"GET /api/v1/write HTTP/1.1\r\nHost: x\r\n\r\n",
            (405,))
    refused(t, relay, "an unknown path", b.post(body, b.V1, "/nowhere"),
            (404,))
    for kind, headers in (
            ("JSON", dict(b.V1, **{"Content-Type": "application/json"})),
            ("an unknown proto", dict(b.V1, **{
                "Content-Type": "application/x-protobuf;proto=x.Y"})),
            ("gzip as encoding", dict(b.V1, **{"Content-Encoding": "gzip"}))):
        refused(t, relay, kind, b.post(body, headers), (415,))


def endless(t, relay):
    refused(t, relay, "a header without end", b"POST /api/v1/write HTTP/1.1\r\n"
            b"X-Long: " + b"a" * (4 << 20), (400, 413, 431))
    refused(t, relay, "headers without end", b"POST /api/v1/write HTTP/1.1\r\n"
            + b"X-A: b\r\n" * 500000, (400, 413, 431))
    refused(t, relay, "a request line without end", b"POST /" + b"a" *
            (4 << 20), (400, 413, 414, 431))
    refused(t, relay, "a body beyond the limit", b.post(
        b"", dict(b.V1)).replace(b"Content-Length: 0",
                                 b"Content-Length: 9000000000"), (413,))
    chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
    refused(t, relay, "chunks without end", b"POST /api/v1/write HTTP/1.1\r\n"
            b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 1024,
            (400, 413))
    refused(t, relay, "a chunk extension without end",
            b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n5;" + b"a" * (4 << 20),
            (400, 413, 431))


def slow(t, relay):
    """Many that send a head, or a body, a byte now and then."""
    head = b.post(b.snappy(GOOD), b.V1)
    held = []
    for i in range(300):
        s = socket.create_connection(("127.0.0.1", relay.port), 10)
        s.sendall(head[:60 if i % 2 else len(head) - 20])
        held.append(s)
    for _ in range(4):
        time.sleep(0.5)
        for s in held:
            try:
                s.send(b"a")
            except OSError:
                pass
    closed = 0

    def count():
        nonlocal closed
        closed = 0
        for s in held:
            s.setblocking(False)
            try:
                closed += s.recv(4096) == b"" or 1
            except BlockingIOError:
                pass
            except OSError:
                closed += 1
        return closed == len(held)
    rw.wait_for(count, 15, 0.2)
    t.equal(closed, len(held), "slow ones are closed after their time")
    for s in held:
        s.close()


with rw.Case("hostile requests beside an honest edge") as t:
    sink = t.sink()
    relay = t.relay([sink], top="header-timeout = 3s\nbody-timeout = 3s\n"
                    "request-memory = 256M")
    honest = t.load(relay, "--first-edge", 1000, "--series", 500, "--rate",
                    2000, "--connections", 2, "--samples-per-request", 250)
    time.sleep(0.5)
    damaged_bodies(t, relay)
    damaged_messages(t, relay)
    flipped_bits(t, relay)
    smuggling(t, relay)
    endless(t, relay)
    slow(t, relay)
    honest.signal(signal.SIGTERM)
    sent = honest.result()
    t.equal(honest.status, 0, "the honest edge has all acknowledged")
    t.equal(sent["retries"] + sent["conn_errors"], 0, "at the first try")
    t.check(sent["p99_ms"] < (5000 if rw.SANITIZED else 1000),
            "answered within %.0f ms" % sent["p99_ms"])
    rw.wait_for(relay.drained, 30)
    t.join([honest], [sink], "--max-duplicates", 0)
    t.equal(sink.summary()["reorders"], 0, "in order")
    t.check(relay.running(), "the relay lives")
    peak = relay.peak_rss()
    t.check(peak < (1500 if rw.SANITIZED else 400) << 20,
            "at most %d MB of memory" % (peak >> 20))

with rw.Case("a few bytes of 2.0 that are very many of 1.0") as t:
    sink = t.sink()
    relay = t.relay([sink], upstream="\tprotocol = \"1.0\"\n\ttimeout = %ds"
                    % (30 * rw.PATIENCE))
    labels = 60
    series = 100 if rw.SANITIZED else 300   # a part has up to 64 MiB
    symbols = [b"", b"__name__", b"m"] + [b"l%02d" % i for i in range(labels)] \
        + [b"x" * 16000] + [b"%d" % i for i in range(series)] + [b"n"]
    shared = b"".join(b.varint(3 + i) + b.varint(3 + labels)
                      for i in range(labels))
    body = b"".join(b.field(4, s) for s in symbols)
    for i in range(series):
        refs = b.varint(1) + b.varint(2) + shared + \
            b.varint(len(symbols) - 1) + b.varint(4 + labels + i)
        body += b.field(5, b.field(1, refs) + b.field(2, b.sample(1, NOW)))
    packed = b.snappy(body)
    head = "POST /api/v1/write HTTP/1.1\r\nHost: x\r\n" + "".join(
        "%s: %s\r\n" % h for h in b.V2.items()) + \
        "Content-Length: %d\r\n\r\n" % len(packed)
    t.equal(talk(relay, head.encode() + packed)[0], [204], "it is taken")
    rw.wait_for(lambda: relay.drained() and sink.summary()["samples"] == series,
                60)
    t.equal(sink.summary()["samples"], series, "and delivered in parts")
    peak = relay.peak_rss()
    t.check(peak < (1500 if rw.SANITIZED else 400) << 20,
            "%d MB of requests take %d MB of memory" %
            (series * labels * 16000 >> 20, peak >> 20))

rw.done()
