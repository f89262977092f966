#!/usr/bin/env python3
"""Upstreams that are asked by zstd, and that understand it or do not.
SPDX-License-Identifier: Apache-2.0"""

import rw

LOAD = ("--edges", 3, "--series", 1000, "--samples-per-request", 500,
        "--kinds", "stale,histogram")
ZSTD = "\tcompression = zstd\n"

for title, protocols, codings, most in (
        ("says so", "both", "snappy", 2),
        ("takes everything for snappy", "1.0", "blind", 3)):
    with rw.Case("an upstream that does not know zstd and %s" % title) as t:
        sink = t.sink(protocols=protocols, codings=codings)
        relay = t.relay([sink], upstream=ZSTD)
        load = t.load(relay, *LOAD, "--rounds", 5)
        sent = load.result()
        t.equal(load.status, 0, "all was acknowledged")
        t.delivered(sink, sent["acked"], relay)
        t.equal(sink.summary()["reorders"], 0, "in order")
        t.join([load], [sink], "--max-duplicates", 0)
        got = sink.summary()
        t.check(1 <= got["answers_4xx"] <= most,
                "it was asked in vain %d times" % got["answers_4xx"])
        t.equal(relay.metric("rwrelay_upstream_refused_samples_total"), 0,
                "nothing was set aside")
        t.equal(relay.metric("rwrelay_upstream_zstd"), 0, "it is known")

with rw.Case("an upstream that knows zstd is replaced under load") as t:
    sink = t.sink(protocols="1.0", codings="both")
    relay = t.relay([sink], upstream=ZSTD + rw.TIMEOUT)
    load = t.load(relay, *LOAD, "--rate", 3000, "--duration", 4)
    t.check(rw.wait_for(lambda: sink.unique() > 3000, 20), "it has some")
    t.equal(relay.metric("rwrelay_upstream_zstd"), 1, "it is known to")
    got = sink.summary()
    t.check(got["bodies_zstd"] >= got["requests"] - 1,
            "only 2.0 was tried beside")
    sink.end()
    other = t.sink(protocols="1.0", codings="blind", port=sink.port)
    sent = load.result()
    t.equal(load.status, 0, "all was acknowledged")
    rw.wait_for(relay.drained, 30, 0.1)
    t.join([load], [sink, other])
    t.equal(relay.metric("rwrelay_upstream_refused_samples_total"), 0,
            "nothing was set aside")
    t.equal(relay.metric("rwrelay_upstream_zstd"), 0, "and snappy goes on")

rw.done()
