#!/usr/bin/env python3
"""What retention takes from an upstream is in the ledger, edge by edge: what
arrived and what the ledger has are together what was acknowledged.
SPDX-License-Identifier: Apache-2.0"""

import os
import time

import rw

READ_AHEAD = 20000


def gaps(relay):
    """The lines of the ledger."""
    path = os.path.join(relay.directory, "gaps")
    if not os.path.exists(path):
        return []
    with open(path) as f:
        lines = f.read().splitlines()
    return [rw.pairs(line) for line in lines[1:]]


def dropped(relay):
    return relay.metric("rwrelay_spool_dropped_segments_total")


def case(title, reason, gone, series, *args, kinds="", ahead=READ_AHEAD,
         **options):
    with rw.Case(title) as t:
        sink = t.sink(faults="down")
        relay = t.relay([sink], upstream=rw.TIMEOUT + "\tread-ahead = %d\n"
                        "\tmax-samples = %d" % (ahead, ahead / 2), **options)
        load = t.load(relay, "--edges", 3, "--series", series, "--kinds",
                      "histogram,exemplar" + kinds, "--max-backoff", 1, *args)
        t.check(rw.wait_for(lambda: gone(relay), 120, 0.2),
                "something is removed")
        load.signal(15)
        sent = load.result()
        t.equal(sent["answers_5xx"] + sent["open"], 0, "no edge noticed")
        before = dropped(relay)
        sink.fault("ok")
        relay.settled()
        lines = gaps(relay)
        lost = sum(g["samples"] for g in lines)
        arrived = sink.unique() + sink.summary()["exemplars"]
        acked = sent["acked"] + sent["exemplars"]
        # what was on its way when its segment went is a gap, and may arrive
        most = (1 + dropped(relay) - before) * (ahead + 4000)
        t.check(lost > 0 and 0 <= arrived + lost - acked <= most,
                "%d arrived, %d are in the ledger, of %d" %
                (arrived, lost, acked))
        t.equal(relay.metric("rwrelay_spool_dropped_samples_total",
                             reason=reason), lost, "and counted")
        t.equal({g["reason"] for g in lines}, {reason}, "with the reason")
        t.equal((len({g["edge"] for g in lines}), len(lines)), (3, 3),
                "one gap of each edge")
        now = time.time()
        t.check(all(now - 300 < g["removed"] <= now and
                    now - 300 < g["from"] <= g["to"] for g in lines),
                "and when")
        t.equal(sink.summary()["reorders"], 0, "the rest came in order")
        relay.stop()
        relay.again()
        t.equal(gaps(relay), lines, "it is there after a restart")
        t.equal(relay.metric("rwrelay_spool_gaps"), len(lines), "and known")


case("the oldest goes when the spool is full", "spool-full",
     lambda r: dropped(r) >= 6, 20000, "--samples-per-request", 20,
     kinds=",bulky", ahead=2000, size="4M" if rw.SANITIZED else "16M",
     spool="\tsegment-size = 1M\n\twhen-full = drop-oldest")
case("what is too old goes", "expired",
     lambda r: dropped(r) >= 2, 20000, "--rate", 20000, spool="\tmax-age = 8s")

rw.done()
