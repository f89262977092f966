#!/usr/bin/env python3
"""The tools against each other: what is sent arrives and is recognised, and
loss, repeats and changed order do not go unnoticed.
SPDX-License-Identifier: Apache-2.0"""

import os
import subprocess

import rw

EVERYTHING = "stale,histogram,custom,exemplar,metadata,start"

for protocol, kinds in (("1.0", "stale,histogram,exemplar,metadata"),
                        ("2.0", EVERYTHING)):
    for framing in ([], ["--chunked"]):
        with rw.Case("straight to the sink, %s%s" %
                     (protocol, " chunked" if framing else "")) as t:
            sink = t.sink()
            load = t.load(sink, "--edges", 3, "--series", 700, "--rounds", 21,
                          "--samples-per-request", 300, "--protocol", protocol,
                          "--kinds", kinds, *framing)
            sent = load.result()
            t.equal(load.status, 0, "all was acknowledged")
            t.equal(sent["acked"], 3 * 700 * 21, "as much as asked for")
            got = t.fine(sink)
            t.equal(got["samples"] + got["histograms"], sent["acked"],
                    "as much arrived as was sent")
            t.check(got["histograms"] == sent["histograms"] > 0,
                    "histograms too")
            t.check(got["exemplars"] == sent["exemplars"] > 0, "exemplars too")
            t.check(got["metadata"] > 0, "and metadata")
            t.join([load], [sink], "--atomic", "--max-duplicates", "0")

with rw.Case("what is taken and not acknowledged comes twice") as t:
    sink = t.sink(faults="cut store=1 every=5")
    load = t.load(sink, "--series", 1000, "--samples-per-request", 100,
                  "--rounds", 5, "--max-backoff", 0.01)
    sent = load.result()
    got = t.fine(sink)
    t.check(got["duplicates"] == got["untold"] > 0,
            "repeats are those of which the sender was not told")
    joined = t.join([load], [sink])
    t.equal(joined["duplicates"], got["duplicates"],
            "rwjoin counts the same repeats")

with rw.Case("a loss and a change of order are found") as t:
    sink = t.sink(faults="204 edge=1 every=3")
    load = t.load(sink, "--edges", 2, "--series", 100, "--rounds", 9,
                  "--connections", 1)
    load.result()
    t.equal(sink.summary()["missing"], 200, "the sink knows of its gaps")
    joined = t.join([load], [sink], fine=False)
    t.equal(joined["lost"], 300, "rwjoin finds all that was lost")
    again = t.load(sink, "--edges", 1, "--first-edge", 1, "--series", 100,
                   "--rounds", 1, "--first-seq", 2, "--start",
                   load.result()["start"])
    sink.fault("ok")
    again.result()
    t.equal(sink.summary()["reorders"], 100, "late samples are reorders")

for to in ("1.0", "2.0"):
    with rw.Case("captures, replayed as %s" % to, dumps=True) as t:
        sink = t.sink()
        captures = []
        for name in sorted(os.listdir(rw.DATA)):
            captures += ["--replay", os.path.join(rw.DATA, name)]
        load = t.load(sink, "--replay-to", to, "--dump", t.path("sent"),
                      *captures)
        load.result()
        sink.end()
        script = "LC_ALL=C sort sent | grep -v ^metadata >sent.s; " \
            "LC_ALL=C sort sink.dump | grep -v ^metadata >got.s; " \
            "wc -l <sent.s; cmp sent.s got.s"
        r = subprocess.run(script, shell=True, cwd=t.dir, text=True,
                           stdout=subprocess.PIPE)
        t.check(r.returncode == 0 and int(r.stdout.split()[0]) > 1000,
                "%s lines of samples are the same" % r.stdout.split()[0])

rw.done()
