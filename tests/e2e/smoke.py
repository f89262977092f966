#!/usr/bin/env python3
"""Remote write 1.0 and 2.0 in, 1.0 and 2.0 out: everything arrives as it was
sent, and what the protocol that goes out has no place for is counted.
SPDX-License-Identifier: Apache-2.0"""

import rw

TAKES = {"1.0": "stale,histogram,exemplar,metadata",
         "2.0": "stale,histogram,exemplar,metadata,start"}
SERIES, EDGES, ROUNDS = 1000, 3, 21


def through(t, inward, outward, kinds):
    sink = t.sink(protocols=outward)
    relay = t.relay([sink], upstream="\tprotocol = \"%s\"" % outward)
    load = t.load(relay, "--edges", EDGES, "--series", SERIES, "--rounds",
                  ROUNDS, "--samples-per-request", 300, "--protocol", inward,
                  "--kinds", kinds)
    sent = load.result()
    t.equal(load.status, 0, "all was acknowledged")
    t.equal(sent["wrong_written"], 0,
            "Written headers as the protocol wants them")
    return sink, relay, load, sent


for inward in ("1.0", "2.0"):
    for outward in ("1.0", "2.0"):
        with rw.Case("%s in, %s out" % (inward, outward)) as t:
            sink, relay, load, sent = through(t, inward, outward,
                                              TAKES[inward])
            t.delivered(sink, SERIES * EDGES * ROUNDS, relay)
            got = t.fine(sink)
            t.equal(got["histograms"], sent["histograms"], "histograms")
            t.equal(got["exemplars"], sent["exemplars"], "exemplars")
            t.check(got["duplicates"] == 0, "nothing twice")
            t.check(got["bodies_" + outward.replace(".", "_")] ==
                    got["requests"], "and in %s alone" % outward)
            t.join([load], [sink], "--atomic", "--max-duplicates", 0)
            t.equal(relay.metric("rwrelay_samples_total") +
                    relay.metric("rwrelay_histograms_total"), sent["acked"],
                    "the relay counts what it took")
            t.equal(relay.metric("rwrelay_upstream_samples_total"),
                    sent["acked"] + sent["exemplars"],
                    "and what it delivered")
            starts = relay.metric(
                "rwrelay_upstream_inexpressible_starts_total")
            if (inward, outward) == ("2.0", "2.0"):
                t.equal(got["no_start"], 0, "start timestamps")
            elif inward == "2.0":
                t.equal(starts, got["no_start"],
                        "start timestamps that 1.0 cannot carry are counted")
            if inward == outward:
                t.check(got["metadata"] > 0, "metadata")
            else:
                t.check(got["metadata"] + relay.metric(
                    "rwrelay_upstream_inexpressible_metadata_total") > 0,
                    "metadata is carried, or counted")

with rw.Case("custom buckets have no place in 1.0") as t:
    sink, relay, load, sent = through(t, "2.0", "1.0", "custom,histogram")
    custom = EDGES * ROUNDS * SERIES // 50
    t.delivered(sink, sent["acked"] - custom, relay)
    t.fine(sink)
    t.equal(relay.metric("rwrelay_upstream_inexpressible_histograms_total"),
            custom, "those not sent are counted")

with rw.Case("chunked bodies, many edges") as t:
    sink = t.sink()
    relay = t.relay([sink])
    load = t.load(relay, "--edges", 50, "--connections", 2, "--series", 40,
                  "--rounds", 10, "--chunked", "--samples-per-request", 25)
    load.result()
    t.equal(load.status, 0, "all was acknowledged")
    t.delivered(sink, 50 * 40 * 10, relay)
    t.fine(sink)
    t.join([load], [sink], "--atomic", "--max-duplicates", 0)
    t.equal(relay.metric("rwrelay_edges"), 50,
            "each address is an edge of its own")

with rw.Case("stopped in order, nothing is left behind") as t:
    sink = t.sink()
    relay = t.relay([sink])
    load = t.load(relay, "--series", 1000, "--rounds", 5)
    load.result()
    t.equal(relay.stop(), 0, "SIGTERM ends it with status 0")
    t.equal(sink.unique(), 5000, "everything was sent before it ended")
    t.fine(sink)

rw.done()
