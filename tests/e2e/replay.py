#!/usr/bin/env python3
"""What real senders sent goes through the relay bit for bit, whichever
protocol comes in and goes out. RW_CORPUS may name a larger directory of
captures.
SPDX-License-Identifier: Apache-2.0"""

import os
import subprocess

import rw

CORPUS = os.environ.get("RW_CORPUS", rw.DATA)


def lines(t, name, metadata):
    """The sorted samples (or the set of metadata) of a dump, as a file."""
    keep = "grep '^metadata' | sort -u" if metadata else \
        "grep -v '^metadata' | grep -v '} metadata ' | sort"
    out = name + (".m" if metadata else ".s")
    subprocess.run("export LC_ALL=C; cat %s | %s >%s" % (name, keep, out),
                   shell=True, cwd=t.dir)
    with open(t.path(out), "rb") as f:
        return f.read()


captures = []
for name in sorted(os.listdir(CORPUS)):
    if name.endswith((".cap", ".rawcap.zst")):
        captures += ["--replay", os.path.join(CORPUS, name)]

for inward, outward, zstd in (("1.0", "1.0", ()), ("1.0", "2.0", ()),
                              ("2.0", "1.0", ()), ("2.0", "2.0", ()),
                              ("1.0", "1.0", ("--zstd",)),
                              ("2.0", "2.0", ("--zstd",))):
    with rw.Case("captures, %s in, %s out%s" % (
            inward, outward, ", by zstd" if zstd else ""), dumps=True) as t:
        sink = t.sink(protocols=outward, codings="both")
        relay = t.relay([sink], size="1G", upstream=
                        "\tprotocol = \"%s\"\n\tcompression = %s" %
                        (outward, "zstd" if zstd else "snappy"))
        load = t.load(relay, "--replay-to", inward, "--dump",
                      t.path("sent"), *zstd, *captures)
        sent = load.result(600)
        t.equal(load.status, 0, "all was acknowledged")
        rw.wait_for(lambda: sink.summary()["samples"] +
                    sink.summary()["histograms"] >= sent["acked"], 120, 0.2)
        rw.wait_for(relay.drained, 20, 0.1)
        got = sink.summary()
        t.equal(got["bodies_zstd"], got["requests"] if zstd else 0,
                "and compressed as it should be")
        sink.end()
        ours, theirs = lines(t, "sent", False), lines(t, "sink.dump", False)
        t.check(ours == theirs, "%d samples, exemplars and histograms "
                "arrived bit for bit" % ours.count(b"\n"))
        if inward == outward == "1.0":
            t.check(lines(t, "sent", True) == lines(t, "sink.dump", True),
                    "and all metadata")

rw.done()
