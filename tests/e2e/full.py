#!/usr/bin/env python3
"""A spool that is full refuses with 503 and Retry-After, and takes again by
itself when there is room. Nothing that was acknowledged goes.
SPDX-License-Identifier: Apache-2.0"""

import os
import time

import bodies as b
import rw


SIZE = 4 if rw.SANITIZED else 16        # MiB


def du(directory):
    """What the files take of the disk."""
    return 512 * sum(os.lstat(os.path.join(directory, f)).st_blocks
                     for f in os.listdir(directory))


with rw.Case("spool full while the upstream is away") as t:
    sink = t.sink(faults="down")
    relay = t.relay([sink], size="%dM" % SIZE, top="retry-after = 1s",
                    spool="\tsegment-size = 1M",
                    upstream=rw.TIMEOUT + "\tread-ahead = 50k\n"
                    "\tmax-bytes = 1M")
    load = t.load(relay, "--edges", 4, "--series", 20000, "--protocol", "2.0",
                  "--samples-per-request", 200,
                  "--kinds", "stale,exemplar,bulky", "--max-backoff", 1)
    full = rw.wait_for(lambda: b.attempt(relay)[0] == 503, 120, 0.2)
    t.check(full, "refuses when the spool is full")
    status, headers = b.attempt(relay)
    t.equal(status, 503, "with 503")
    t.check((headers.get("Retry-After") or "").isdigit(),
            "and Retry-After: %s" % headers.get("Retry-After"))
    held = relay.metric("rwrelay_spool_bytes")
    t.check(0 < held <= SIZE << 20, "the spool keeps to its size: %d" % held)
    # which needs a block of its own for a file that lies in many pieces
    used = du(relay.directory + "/segment")
    index = 4096 * len(os.listdir(relay.directory + "/segment"))
    t.check(used <= (SIZE << 20) + index, "and so says the file system: %d" % used)
    time.sleep(2)
    t.check(relay.running(), "and the relay lives")
    sink.fault("ok")
    taken = rw.wait_for(lambda: b.attempt(relay)[0] == 204, 120, 0.2)
    t.check(taken, "takes again when the upstream is back")
    load.signal(15)
    sent = load.result()
    t.check(sent["answers_5xx"] > 0, "the edges were refused %d times" %
            sent["answers_5xx"])
    relay.settled()
    t.fine(sink)
    t.join([load], [sink])
    t.check(relay.metric("rwrelay_spool_dropped_segments_total") == 0,
            "nothing was dropped")

rw.done()
