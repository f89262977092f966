#!/usr/bin/env python3
"""Several upstreams, of which one is away; restarts with a backlog.
SPDX-License-Identifier: Apache-2.0"""

import rw

LOAD = ("--edges", 3, "--series", 2000, "--samples-per-request", 500,
        "--kinds", "stale,histogram,exemplar")

with rw.Case("one of two upstreams is away") as t:
    near, far = t.sink(), t.sink(faults="down")
    relay = t.relay([near, far], upstream=rw.TIMEOUT)
    load = t.load(relay, *LOAD, "--rounds", 10)
    sent = load.result()
    t.equal(load.status, 0, "all was acknowledged")
    rw.wait_for(lambda: near.unique() >= sent["acked"], 60)
    t.equal(near.unique(), sent["acked"], "the other one has everything")
    t.equal(far.summary()["samples"], 0, "this one nothing")
    t.check(rw.wait_for(lambda: relay.metric(
        "rwrelay_upstream_backlog_bytes", upstream="up1") > 0, 5),
        "which shows as its backlog")
    t.check(rw.wait_for(lambda: relay.metric(
        "rwrelay_upstream_backlog_bytes", upstream="up0") == 0, 5),
        "and not as the other's")
    far.fault("ok")
    t.delivered(far, sent["acked"], relay)
    for sink in near, far:
        t.fine(sink)
        t.join([load], [sink], "--max-duplicates", 0)

with rw.Case("restart with a backlog") as t:
    near, far = t.sink(), t.sink(faults="down")
    relay = t.relay([near, far], upstream=rw.TIMEOUT)
    loads = [t.load(relay, *LOAD, "--rounds", 10)]
    total = loads[0].result()["acked"]
    t.equal(relay.stop(), 0, "ended in order")
    relay.again()
    loads.append(t.load(relay, *LOAD, "--rounds", 10))
    total += loads[1].result()["acked"]
    relay.kill9()
    relay.again()
    rw.wait_for(lambda: near.unique() >= total, 60)
    t.equal(near.unique(), total, "the one that was there has everything")
    t.equal(far.summary()["samples"], 0, "the other one nothing")
    far.fault("ok")
    t.delivered(far, total, relay)
    for sink in near, far:
        t.fine(sink)
        t.join(loads, [sink])
    t.equal(far.summary()["duplicates"], 0,
            "no repeats to the one that was away")

with rw.Case("an upstream that is added gets what the spool has") as t:
    sink, late = t.sink(faults="down"), t.sink()
    relay = t.relay([sink], upstream=rw.TIMEOUT)
    load = t.load(relay, *LOAD, "--rounds", 5)
    sent = load.result()
    t.equal(relay.stop(), 0, "ended in order")
    with open(relay.config, "a") as f:
        f.write('upstream late {\n\turl = "%s"\n}\n' % late.url())
    relay.again()
    t.delivered(late, sent["acked"])
    sink.fault("ok")
    t.delivered(sink, sent["acked"], relay)
    t.join([load], [late], "--max-duplicates", 0)

with rw.Case("each upstream gets what is for it") as t:
    one, rest = t.sink(), t.sink()
    relay = t.relay([one], upstream="\tmatch = { \"{edge='edge-000001'}\" }")
    t.equal(relay.stop(), 0, "ended in order")
    with open(relay.config, "a") as f:
        f.write('upstream rest {\n\turl = "%s"\n\tmatch = '
                '{ "{edge!=\'edge-000001\'}" }\n}\n' % rest.url())
    relay.again()
    load = t.load(relay, *LOAD, "--rounds", 5)
    sent = load.result()
    t.delivered(one, sent["acked"] / 3)
    t.delivered(rest, sent["acked"] * 2 / 3, relay)
    for sink in one, rest:
        t.fine(sink)
    t.join([load], [one, rest], "--max-duplicates", 0)
    t.equal(relay.metric("rwrelay_upstream_elsewhere_samples_total",
                         upstream="rest"), one.summary()["samples"] +
            one.summary()["histograms"] + one.summary()["exemplars"],
            "what was the other's is counted")

rw.done()
