#!/usr/bin/env python3
"""An edge that did not see an answer sends the request again, and exactly one
copy arrives: also when a segment has ended in between, and when the answer
was lost before there was one.
SPDX-License-Identifier: Apache-2.0"""

import http.client
import selectors
import socket
import threading
import time

import bodies as b
import rw


class Lossy:
    """Passes connections on to a relay, and closes every n-th one when its
    answer comes, so that the edge never sees it."""

    def __init__(self, relay, every):
        self.relay, self.every, self.lost, self.turns = relay, every, 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def url(self):
        return "http://127.0.0.1:%d/api/v1/write" % self.port

    def run(self):
        ready = selectors.DefaultSelector()
        ready.register(self.listener, selectors.EVENT_READ)
        other = {}

        def end(s):
            for x in (s, other.pop(s, None)):
                if x is not None:
                    other.pop(x, None)
                    ready.unregister(x)
                    x.close()

        while True:
            for key, _ in ready.select():
                s = key.fileobj
                if s is self.listener:
                    edge, address = s.accept()
                    # each edge keeps its address
                    up = socket.create_connection(
                        ("127.0.0.1", self.relay.port),
                        source_address=(address[0], 0))
                    other[edge], other[up] = up, edge
                    ready.register(edge, selectors.EVENT_READ, False)
                    ready.register(up, selectors.EVENT_READ, True)
                    continue
                if s not in other:
                    continue
                try:
                    data = s.recv(1 << 20)
                    self.turns += key.data and bool(data)
                    if key.data and data and self.turns % self.every == 0:
                        self.lost += 1
                        data = b""
                    if data:
                        other[s].sendall(data)
                    else:
                        end(s)
                except OSError:
                    end(s)


def lossy(title, seconds, *args, spool=""):
    with rw.Case(title) as t:
        sink = t.sink()
        relay = t.relay([sink], spool=spool)
        between = Lossy(relay, 5)
        load = t.load(between, "--edges", 3, "--connections", 4,
                      "--duration", seconds, "--rate", 20000,
                      "--max-backoff", 1, *args)
        sent = load.result()
        t.check(between.lost > 10, "%d answers were lost" % between.lost)
        t.equal(sent["refused"] + sent["open"] + sent["wrong_written"], 0,
                "each request was answered in the end, as if for the first "
                "time")
        t.delivered(sink, sent["acked"], relay)
        t.fine(sink)
        s = sink.summary()
        t.equal(s["duplicates"], 0, "one copy of each sample arrived")
        again = relay.metric("rwrelay_repeated_samples_total")
        t.check(again > 0, "%d came twice" % again)


for version in ("1.0", "2.0"):
    lossy("answers are lost, %s" % version, 3, "--protocol", version,
          "--series", 2000, "--samples-per-request", 200,
          "--kinds", "stale,exemplar,histogram")
lossy("answers are lost while segments end", 23 if rw.SWEEP else 12,
      "--series", 3000, "--samples-per-request", 300, "--kinds", "histogram",
      spool="\tsegment-age = 10s")


def post(relay, body, headers, read=True):
    """Status and headers of an answer, or closed before it is there."""
    c = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=30)
    c.request("POST", "/api/v1/write", body, headers)
    if not read:
        c.sock.shutdown(socket.SHUT_WR)
        c.close()
        return None
    answer = c.getresponse()
    answer.read()
    c.close()
    return answer.status, answer.headers


with rw.Case("by hand") as t:
    sink = t.sink()
    relay = t.relay([sink])
    now = int(time.time() * 1000)
    durable = lambda: relay.metric("rwrelay_samples_total")
    symbols = [b"", b"__name__", b"a", b"b"]
    body = b.snappy(b.request_v2(symbols, [1, 2], 1.5, now))
    t.equal(post(relay, body, b.V2)[0], 204, "the first is taken")
    status, headers = post(relay, body, b.V2)
    t.equal((status, headers["X-Prometheus-Remote-Write-Samples-Written"]),
            (204, "1"), "the second is answered alike")
    t.equal(durable(), 1, "and stored once")
    t.equal(post(relay, b.snappy(b.request_v2(
        symbols, [1, 2], 2.5, now)), b.V2)[0], 204,
            "another value at the same time")
    t.equal(durable(), 2, "is none")
    series = [b.series_v1([("__name__", "c")], 1.0, now - 10 + i)
              for i in range(10)]
    body = b.snappy(b"".join(series))
    for i in range(3):
        t.equal(post(relay, body, b.V1)[0], 204, "ten samples of a series")
        t.equal(durable(), 12, "are stored once")
    body = b.snappy(b.request_v1("d", 1.0, now))
    for i in range(20):
        post(relay, body, b.V1, read=False)
    t.equal(post(relay, body, b.V1)[0], 204, "closed without reading, again "
            "and again, then read")
    t.equal(durable(), 13, "is stored once")
    rw.wait_for(relay.drained, 20)
    t.equal(relay.metric("rwrelay_upstream_samples_total"), 13,
            "and delivered once")

rw.done()
