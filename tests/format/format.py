#!/usr/bin/env python3
"""rwrelay-format(7) is true: a decoder that was written from it, decode.py, finds
in the segments of the daemon all that real and made-up senders sent.
SPDX-License-Identifier: Apache-2.0"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

import decode
import rw


class Nobody:
    """An upstream that does not answer, so that all stays in the spool."""

    def url(self):
        return "http://127.0.0.1:1/api/v1/write"


def dumped(t, name):
    with open(t.path(name), "rb") as f:
        return f.read().splitlines()


def decoded(directory):
    segments = []
    for name in sorted(os.listdir(os.path.join(directory, "segment"))):
        if name.endswith(".rwl"):
            with open(os.path.join(directory, "segment", name), "rb") as f:
                segments.append(f.read())
    return list(decode.lines(segments))


def is_metadata(line):
    return line.startswith(b"metadata") or b"} metadata " in line


def points(dump):
    return sorted(l for l in dump if not is_metadata(l))


def told(dump):
    return sorted(set(l for l in dump if is_metadata(l)))


def compare(t, relay, sent, metadata):
    t.equal(relay.stop(), 0, "the relay ended in order")
    found = decoded(relay.directory)
    t.check(points(sent) == points(found), "%d samples, histograms and "
            "exemplars are in the spool, bit for bit" % len(points(found)))
    if metadata:
        t.check(told(sent) == told(found), "and %d metadata" %
                len(told(found)))


captures = []
for name in sorted(os.listdir(rw.DATA)):
    if name.endswith(".rawcap.zst"):
        captures += ["--replay", os.path.join(rw.DATA, name)]
for protocol in ("1.0", "2.0"):
    with rw.Case("captures, %s" % protocol) as t:
        relay = t.relay([Nobody()], size="1G")
        load = t.load(relay, "--replay-to", protocol, "--dump",
                      t.path("sent"), *captures)
        load.result(600)
        t.equal(load.status, 0, "all was acknowledged")
        # families have no place in 2.0
        compare(t, relay, dumped(t, "sent"), protocol == "1.0")

with rw.Case("made-up series of every kind", dumps=True) as t:
    sink = t.sink(protocols="2.0")
    relay = t.relay([sink, Nobody()], upstream='\tprotocol = "2.0"')
    load = t.load(relay, "--edges", 2, "--series", 200, "--rounds", 30,
                  "--samples-per-request", 150, "--protocol", "2.0", "--kinds",
                  "stale,histogram,custom,exemplar,metadata,start")
    sent = load.result()
    t.equal(load.status, 0, "all was acknowledged")
    rw.wait_for(lambda: sink.summary()["samples"] +
                sink.summary()["histograms"] >= sent["acked"], 60, 0.1)
    sink.end()
    compare(t, relay, dumped(t, os.path.basename(sink.dump)), True)

rw.done()
