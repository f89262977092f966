#!/usr/bin/env python3
"""Whatever an upstream does, nothing that was acknowledged is lost, out of
order or sent in vain more often than need be.
SPDX-License-Identifier: Apache-2.0"""

import time

import rw

RATE = 10000


def run(t, fault, seconds=1.5, load_args=(), upstream="", after="ok",
        protocols="both"):
    """Load, with the fault in its midst; the sink, relay, load, result."""
    sink = t.sink(protocols=protocols)
    relay = t.relay([sink], upstream="\ttimeout = %ds\n" % rw.PATIENCE + upstream)
    load = t.load(relay, "--edges", 3, "--connections", 2, "--series", 1000,
                  "--samples-per-request", 250, "--rate", RATE, "--duration",
                  seconds + 1, *load_args)
    time.sleep(0.5)
    sink.fault(fault)
    time.sleep(seconds)
    during = sink.summary()
    sink.fault(after)
    sent = load.result()
    t.equal(sent["refused"] + sent["open"], 0, "no edge noticed")
    return sink, relay, load, sent, during


def whole(fault, title=None, most=None, **options):
    """A fault that passes: everything arrives in the end."""
    with rw.Case(title or fault) as t:
        sink, relay, load, sent, during = run(t, fault, **options)
        t.delivered(sink, sent["acked"], relay)
        t.fine(sink)
        joined = t.join([load], [sink])
        if most is not None:
            t.check(joined["duplicates"] <= most(during, sink.summary()),
                    "no more repeats than the sink forced")
        return during


NONE = lambda during, end: 0
UNTOLD = lambda during, end: end["untold"]

for version in ("1.0", "2.0"):
    args = ("--protocol", version)
    for fault in ("503", "500", "429", "429 retry-after=1", "503 retry-date=2"):
        whole(fault, "%s, %s" % (fault, version), NONE, load_args=args)
whole("503 store=1", "503 to what was stored all the same",
      lambda during, end: end["samples"])
whole("cut", "closes before the answer", NONE)
whole("cut store=1 every=3", "takes, and closes before the answer", UNTOLD)
whole("cut-body after=500", "closes in the body", NONE)
whole("half-open", "never answers", NONE)
whole("slow-answer", "a byte of the answer a second",
      lambda during, end: end["samples"])
whole("slow-read rate=20000", "reads slowly",
      lambda during, end: end["samples"])
whole("ok delay=200", "answers late", NONE)
whole("down", "is away", NONE)
whole("garbage", "answers what is not HTTP", NONE)
whole("limit rate=8000 retry-after=1", "bears less than what comes", NONE,
      seconds=3)
whole("413 above=400", "refuses large requests", NONE,
      upstream="\tmax-samples = 2000")
whole("415 only=2.0", "415 to 2.0", NONE)
whole("no-headers", "204 to 2.0 without Written headers", NONE)
whole("ok", "speaks 1.0 alone", NONE, protocols="1.0",
      load_args=("--protocol", "2.0", "--kinds", "stale,histogram,exemplar"))
whole("429 edge=1", "429 to one edge alone", NONE)

with rw.Case("Retry-After is a gate for all lanes") as t:
    sink, relay, load, sent, during = run(t, "429 retry-after=20", 2,
                                          after="429 retry-after=20")
    t.check(during["answers_4xx"] <= 4, "%d requests until it was closed" %
            during["answers_4xx"])
    time.sleep(1)
    t.equal(sink.summary()["requests"], during["requests"],
            "and none while it is closed")

with rw.Case("400 is final, and counted") as t:
    sink, relay, load, sent, during = run(t, "400")
    rw.wait_for(relay.drained, 30)
    refused = relay.metric("rwrelay_upstream_refused_samples_total")
    t.check(refused > 0, "%d samples refused" % refused)
    t.check(relay.metric("rwrelay_upstream_rejected_bytes") > 0 and
            relay.metric("rwrelay_upstream_rejected_lost_samples_total") == 0,
            "and set aside")
    t.equal(sink.unique() + refused, sent["acked"],
            "delivered and refused are all that was acknowledged")
    t.equal(sink.summary()["reorders"], 0, "in order")

with rw.Case("400 to one series takes no other edge's samples along") as t:
    sink, relay, load, sent, during = run(t, "400 edge=1 series=7")
    rw.wait_for(relay.drained, 30)
    refused = relay.metric("rwrelay_upstream_refused_samples_total")
    t.equal(sink.unique() + refused, sent["acked"],
            "delivered and refused are all that was acknowledged")
    t.check(0 < refused <= sent["acked"] / 3 / 4 + 250,
            "one request in four of one edge at most: %d" % refused)

with rw.Case("an edge that is refused with 429 holds up no other") as t:
    sink, relay, load, sent, during = run(t, "429 edge=1", 3)
    share = sent["acked"] / 3
    # where it is an instant's figure, a sanitizer's pace is not the relay's
    t.check(rw.SANITIZED or during["samples"] > 1.5 * share,
            "the others' samples arrived meanwhile: %d of %d" %
            (during["samples"], 2 * share))
    t.delivered(sink, sent["acked"], relay)
    t.join([load], [sink])

if rw.SWEEP:
    for status in (401, 403, 404, 407, 408, 302):
        whole(str(status), "%d: held, probed, delivered" % status, NONE)

with rw.Case("all of the others arrives while one edge is refused") as t:
    sink = t.sink(faults="429 edge=1")
    relay = t.relay([sink])
    load = t.load(relay, "--edges", 3, "--connections", 2, "--series", 1000,
                  "--samples-per-request", 250, "--rate", RATE, "--duration", 4)
    sent = load.result()
    # nothing of edge 1 gets in, so what is there is the others'; two requests on
    # each connection are what edges may differ by when the load ends
    others = 2 * sent["acked"] / 3 - 2 * 2 * 250
    rw.wait_for(lambda: sink.unique() >= others, 20, 0.1)
    t.check(sink.unique() >= others, "%d of the others' %d are there" %
            (sink.unique(), 2 * sent["acked"] / 3))
    sink.fault("ok")
    t.delivered(sink, sent["acked"], relay)
    t.join([load], [sink])

rw.done()
