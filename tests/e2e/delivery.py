#!/usr/bin/env python3
"""An outage and what comes after it, with a real upstream: at the pace that it
bears, live data first, edges in turn, and at little cost while it is away.
SPDX-License-Identifier: Apache-2.0"""

import random
import signal
import time

import rw

RATE = 4000 if rw.SANITIZED else 10000
PHASE = 3 if rw.SANITIZED else 6        # seconds, where a sweep takes minutes
ORDERS = ("strict", "live-first")


def load_of(t, relay, *args, edges=4):
    """A request is a scrape: 500 series of an edge."""
    return t.load(relay, "--edges", edges, "--series", 500,
                  "--samples-per-request", 500, "--max-backoff", 0.2, *args)


def outage(t, sink, seconds):
    sink.fault("down")
    time.sleep(seconds)
    sink.fault("ok")


def weak(order):
    """Bears 1.2 times the live rate, and says 429 above it."""
    with rw.Case("%s: an upstream that bears 1.2 times the live rate" %
                 order) as t:
        sink = t.sink()
        relay = t.relay([sink], upstream=rw.TIMEOUT + "\torder = %s\n"
                        "\tlive-window = 2s\n" % order)
        load = load_of(t, relay, "--rate", RATE)
        time.sleep(3)
        sink.fault("down")
        time.sleep(120 if rw.SWEEP else PHASE)
        sink.fault("limit rate=%d retry-after=1" % (1.2 * RATE))
        time.sleep(120 if rw.SWEEP else PHASE)    # it settles
        before = sink.summary()
        begun = time.monotonic()
        time.sleep(300 if rw.SWEEP else PHASE)
        after = sink.summary()
        took = time.monotonic() - begun
        asked = after["requests"] - before["requests"]
        refused = after["answers_4xx"] - before["answers_4xx"]
        taken = (after["samples"] - before["samples"]) / took / (1.2 * RATE)
        print("   %d of %d requests refused (%.1f %%), %.0f %% of what it "
              "bears" % (refused, asked, 100.0 * refused / max(asked, 1),
                         100 * taken))
        # a sanitizer's pace is not the relay's
        t.check(rw.SANITIZED or
                refused <= (0.02 if rw.SWEEP else 0.5) * asked,
                "few requests are refused")
        backlog = relay.metric("rwrelay_upstream_backlog_bytes") > 0
        t.check(rw.SANITIZED or not backlog or
                taken > (0.9 if rw.SWEEP else 0.5), "it gets what it bears")
        load.signal(signal.SIGTERM)
        sent = load.result()
        sink.fault("ok")
        t.delivered(sink, sent["acked"], relay, 120)
        t.join([load], [sink], "--max-duplicates", 0, fine=order == "strict")
        t.equal(sent["refused"] + sent["open"], 0, "no edge noticed")


def delays(load, sink, since):
    """Of scrapes acknowledged `since` ms after the load began: how much longer
    than the quickest of all each took from there to the sink, in ms."""
    acked, out = {}, []
    with open(load.manifest) as f:
        for line in f:
            word = line.split()
            if word[0] == "ack":
                acked[word[2], word[5]] = int(word[1])
    now = 0
    came = {}
    with open(sink.log) as f:
        for line in f:
            word = line.split()
            if word[0] == "req":
                now = int(word[1])
            elif word[0] == "in":
                for i in range(int(word[5]), int(word[5]) + 1):
                    came.setdefault((word[2], str(i)), now)
    every = [came[k] - ms for k, ms in acked.items() if k in came]
    least = min(every)
    out = sorted(came[k] - ms - least for k, ms in acked.items()
                 if ms >= since and k in came)
    return out


with rw.Case("live data does not wait for backlog") as t:
    sink = t.sink(faults="ok delay=20")
    relay = t.relay([sink], upstream=rw.TIMEOUT + "\torder = live-first\n"
                    "\tlive-window = 1s\n\tcatch-up = 1.5\n")
    load = load_of(t, relay, "--rate", RATE)
    begun = time.monotonic()
    time.sleep(2)
    sink.fault("down")
    time.sleep(600 if rw.SWEEP else 10)
    sink.fault("ok delay=20")
    rw.wait_for(lambda: relay.metric("rwrelay_upstream_held") == 0, 60)
    time.sleep(0.5)
    since = (time.monotonic() - begun) * 1000
    time.sleep(60 if rw.SWEEP else 3)
    t.check(relay.metric("rwrelay_upstream_catching_up") == 1,
            "while backlog is drained")
    load.signal(signal.SIGTERM)
    sent = load.result()
    t.delivered(sink, sent["acked"], relay, 900 if rw.SWEEP else 60)
    late = delays(load, sink, since)
    p99 = late[len(late) * 99 // 100]
    t.check(len(late) > 20 and p99 < (2000 if rw.SANITIZED else 150),
            "%d scrapes of live data came, the 99th of 100 after %d ms" %
            (len(late), p99))
    t.join([load], [sink], "--max-duplicates", 0, fine=False)

with rw.Case("edges take turns") as t:
    sink = t.sink(faults="down")
    rate = 20000
    relay = t.relay([sink], upstream=rw.TIMEOUT + "\trate = %d\n"
                    "\tcatch-up = 100.0\n" % rate)
    # one has a hundred times as much as each of twenty
    many = t.load(relay, "--edges", 1, "--series", 20000,
                  "--samples-per-request", 500, "--rounds", 10)
    few = t.load(relay, "--first-edge", 100, "--edges", 20, "--series", 200,
                 "--samples-per-request", 200, "--rounds", 10)
    all_sent = few.result()["acked"] + many.result()["acked"]
    t.equal(all_sent, 240000, "all is stored")
    time.sleep(1)
    sink.fault("ok")
    t.delivered(sink, all_sent, relay, 60)
    last, first, now = 0, None, 0
    with open(sink.log) as f:
        for line in f:
            word = line.split()
            if word[0] == "req":
                now = int(word[1])
                first = now if first is None else first
            elif word[0] == "in" and int(word[2]) >= 100:
                last = now
    fair = 1000 * 21 * 2000 / rate
    t.check(last - first <= 1.2 * fair + 500 * rw.PATIENCE,
            "the last of the others is through after %d ms, fair is %d" %
            (last - first, fair))
    t.fine(sink)
    t.join([many, few], [sink], "--max-duplicates", 0)

for order in ORDERS:
    weak(order)

with rw.Case("an upstream that is away costs little") as t:
    sink = t.sink(faults="down")
    relay = t.relay([sink], upstream="\ttimeout = 1s\n")
    load = load_of(t, relay, "--rounds", 20)
    sent = load.result()
    for fault in ("down", "half-open", "slow-answer", "garbage", "cut",
                  "503", "429 retry-after=1", "cut-body after=500"):
        sink.fault(fault)
        time.sleep(0.5)
        before = relay.cpu_seconds()
        time.sleep(20 if rw.SWEEP else 1)
        used = (relay.cpu_seconds() - before) / (20 if rw.SWEEP else 1)
        t.check(rw.SANITIZED or used <= 0.05, "%s: %.0f %% of a processor" %
                (fault, 100 * used))
    sink.fault("ok")
    t.delivered(sink, sent["acked"], relay, 60)
    t.join([load], [sink])

with rw.Case("up for a moment, down for longer, again and again") as t:
    sink = t.sink()
    relay = t.relay([sink], upstream=rw.TIMEOUT)
    load = load_of(t, relay, "--rate", RATE, "--protocol", "2.0", "--kinds",
                   "stale,histogram,exemplar")
    for _ in range(20 if rw.SWEEP else 2):
        outage(t, sink, 5 if rw.SWEEP else 2)
        time.sleep(2 if rw.SWEEP else 1)
    load.signal(signal.SIGTERM)
    sent = load.result()
    t.delivered(sink, sent["acked"], relay)
    t.fine(sink)
    t.join([load], [sink])

LANES, OUT = 4, 2000
KILLS = 100 if rw.SWEEP else 4 if rw.SANITIZED else 8
for order in ORDERS:
    with rw.Case("%s: %d kills while it catches up" % (order, KILLS)) as t:
        sink = t.sink(faults="down")
        relay = t.relay([sink], upstream=rw.TIMEOUT + "\torder = %s\n"
                        "\tlive-window = 1s\n\tlanes = %d\n\tmax-samples = %d\n"
                        "\trate = %d\n" % (order, LANES, OUT, 3 * RATE))
        load = load_of(t, relay, "--rate", RATE)
        time.sleep(30 if rw.SWEEP else 5)
        sink.fault("ok delay=5")
        for i in range(KILLS):
            time.sleep(random.uniform(0.1, 0.8))
            if i % 4 == 3:
                outage(t, sink, 1.5)
            relay.kill9()
            relay.again()
        load.signal(signal.SIGTERM)
        sent = load.result()
        t.delivered(sink, sent["acked"], relay, 120)
        joined = t.join([load], [sink], "--max-duplicates",
                        KILLS * LANES * 2 * OUT, fine=order == "strict")
        t.equal(joined["lost"], 0, "nothing is lost")
        print("   repeats per kill: %.0f" % (joined["duplicates"] / KILLS))

rw.done()
