#!/usr/bin/env python3
"""What an operator can ask of a running relay, and order.
SPDX-License-Identifier: Apache-2.0"""

import math
import os
import shutil
import stat
import subprocess
import time

import rw

LOAD = ("--edges", 3, "--series", 1000, "--samples-per-request", 250)

with rw.Case("a paused upstream gets nothing, the other all") as t:
    paused, other = t.sink(), t.sink()
    relay = t.relay([paused, other])
    t.equal(relay.ctl("pause", "up0"), (0, "paused\n", ""), "it is paused")
    load = t.load(relay, *LOAD, "--rounds", 5)
    sent = load.result()
    t.equal(load.status, 0, "no edge noticed")
    t.delivered(other, sent["acked"])
    t.equal(relay.ctl("drain", "up1")[0], 0, "the other is owed nothing")
    t.equal(paused.summary()["requests"], 0, "this one got nothing")
    status, said, _ = relay.ctl("upstreams")
    rows = {l.split()[0]: l.split()[1] for l in said.splitlines()}
    t.equal(rows.get("up0"), "paused", "and is shown as paused")
    t.equal(relay.metric("rwrelay_upstream_paused", upstream="up0"), 1,
            "in the metrics, too")
    t.equal(relay.ctl("-t", 1, "drain", "up0")[0], 1,
            "waiting for it to be drained has an end")
    t.equal(relay.ctl("pause", "up0")[0], 0, "twice is no harm")
    t.equal(relay.ctl("resume", "up0"), (0, "resumed\n", ""), "it is resumed")
    t.equal(relay.ctl("-t", 60, "drain", "up0"), (0, "drained\n", ""),
            "and gets the rest")
    t.delivered(paused, sent["acked"], relay)
    for sink in paused, other:
        t.fine(sink)
        t.join([load], [sink], "--max-duplicates", 0)

with rw.Case("a relay stops in time though an upstream is paused") as t:
    sink = t.sink()
    relay = t.relay([sink])
    relay.ctl("pause", "up0")
    sent = t.load(relay, *LOAD, "--rounds", 2).result()
    before = time.monotonic()
    t.equal(relay.stop(), 0, "ended in order")
    t.check(time.monotonic() - before < 5 * rw.PATIENCE, "at once")
    relay.again()
    t.delivered(sink, sent["acked"], relay)

with rw.Case("what there is to see") as t:
    sink = t.sink()
    relay = t.relay([sink])
    sent = t.load(relay, *LOAD, "--rounds", 2).result()
    t.delivered(sink, sent["acked"], relay)
    status, said, _ = relay.ctl("edges")
    rows = [l.split() for l in said.splitlines()[1:]]
    t.equal(sorted(r[1:] for r in rows), [["1000", "2000", "0"]] * 3,
            "each edge, its series and samples")
    status, said, _ = relay.ctl("status")
    t.check(status == 0 and said.startswith("rwrelay ") and "up0" in said,
            "the state on one screen")

with rw.Case("how an upstream does, and for how long") as t:
    sink = t.sink()
    relay = t.relay([sink], upstream="\tlive-window = 1s\n\trate = 4000\n"
                    "\tcatch-up = 1000.0" + rw.TIMEOUT)

    def state():
        return relay.ctl("upstreams")[1].splitlines()[1].split()

    t.load(relay, *LOAD, "--rounds", 1).result()
    rw.wait_for(relay.drained, 20)
    t.equal(state()[1], "live", "it is live")
    t.equal(state()[5], "-", "and has nothing to catch up with")
    sink.fault("down")
    load = t.load(relay, "--edges", 3, "--series", 1000, "--rate", 3000)
    t.check(rw.wait_for(lambda: state()[1] in ("held", "down"), 20),
            "it is held")
    t.check(rw.wait_for(lambda: relay.metric("rwrelay_spool_full_seconds") > 0,
                        60), "the spool will be full at some time")
    t.check(", full in " in relay.ctl("status")[1], "which is shown")
    t.check(math.isnan(relay.metric("rwrelay_upstream_catch_up_seconds")),
            "when it will have caught up is not known")
    sink.fault("ok")
    t.check(rw.wait_for(lambda: state()[1] == "catching-up", 20),
            "then it catches up")
    t.check(rw.wait_for(lambda: relay.metric(
        "rwrelay_upstream_catch_up_seconds") > 0, 60), "in so many seconds")
    t.check(state()[5] != "-", "which are shown")
    load.signal(15)
    sent = load.result()
    if shutil.which("promtool"):
        page = rw.get(relay.admin, "/metrics", 30)
        t.equal(subprocess.run(["promtool", "check", "metrics"], text=True,
                               input=page).returncode, 0, "a valid page")

with rw.Case("what cannot be done is said") as t:
    relay = t.relay([t.sink()])
    t.equal(relay.ctl("pause", "nobody"),
            (1, "", "rwrelayctl: there is no upstream of that name\n"),
            "an upstream that is not there")
    for args in ((), ("pause",), ("status", "x"), ("explode",),
                 ("pause", "a b"), ("-t", "x", "drain", "up0")):
        t.equal(relay.ctl(*args)[0], 2, "usage: %s" % " ".join(args))
    mode = os.stat(relay.control).st_mode
    t.check(stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660,
            "the socket is for its owner and group")
    t.equal(relay.stop(), 0, "ended in order")
    status, said, complaint = relay.ctl("status")
    t.check(status == 1 and "no relay answers there" in complaint,
            "a relay that is not there: %s" % complaint.strip())
    t.check(not os.path.exists(relay.control), "nor its socket")

rw.done()
