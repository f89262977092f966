#!/usr/bin/env python3
"""The relay is killed again and again while edges push, with its upstream
there and away: what was acknowledged arrives, in order. Every other kill strikes
at any moment; the ones between are of a relay that has been stopped at any
moment, when a request waits for it, so each of these breaks one.
SPDX-License-Identifier: Apache-2.0"""

import random
import signal
import time

import rw

KILLS = 100 if rw.SWEEP else 10
EDGES, CONNECTIONS, PER_REQUEST, LANES, OUT = 4, 2, 500, 4, 2000
RATE = 20000 if rw.SANITIZED else 60000


def unread(port):
    """Whether a connection to the port has bytes that nobody has read."""
    with open("/proc/net/tcp") as f:
        for line in f.read().splitlines()[1:]:
            _, local, _, state, queues = line.split()[:5]
            if local.endswith(":%04X" % port) and state == "01" and \
                    int(queues.partition(":")[2], 16) > 0:
                return True
    return False


def strike(relay, amid):
    if amid:
        relay.signal(signal.SIGSTOP)
        # or else it has read one from every connection and answered none
        rw.wait_for(lambda: unread(relay.port), 2, 0.001)
    relay.kill9()


for away in (False, True):
    with rw.Case("%d kills, upstream %s" %
                 (KILLS, "away" if away else "there")) as t:
        sink = t.sink()
        relay = t.relay([sink], size="1G", upstream="\tlanes = %d\n"
                        "\tmax-samples = %d" % (LANES, OUT))
        if away:
            sink.fault("down")
        load = t.load(relay, "--edges", EDGES, "--connections", CONNECTIONS,
                      "--series", 2000, "--samples-per-request", PER_REQUEST,
                      "--rate", RATE, "--max-backoff", 0.1, "--kinds",
                      "stale,histogram,exemplar", "--protocol", "2.0")
        for i in range(KILLS):
            time.sleep(random.uniform(0.05, 0.8))
            if away and i == KILLS // 2:
                sink.fault("ok")
            strike(relay, i % 2)
            relay.again()
        time.sleep(0.5)
        load.signal(signal.SIGTERM)
        sent = load.result()
        t.check(sent["acked"] > 0 and sent["conn_errors"] >= KILLS / 2,
                "%d samples acknowledged over %d broken requests" %
                (sent["acked"], sent["conn_errors"]))
        rw.wait_for(lambda: sink.unique() >= sent["acked"] and
                    relay.drained(), 120, 0.2)
        t.fine(sink)
        most = KILLS * (LANES * OUT + EDGES * CONNECTIONS * PER_REQUEST)
        joined = t.join([load], [sink], "--max-duplicates", most)
        print("   repeats per kill: %.0f, at most %d could be in flight" %
              (joined["duplicates"] / KILLS, most / KILLS))

rw.done()
