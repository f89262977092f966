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
    t.equal(sorted(r[1:] for r in rows), [["1000", "2000", "0", "0"]] * 3,
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

def without(relay, name):
    """Takes an upstream's section out of the relay's config."""
    with open(relay.config) as f:
        text = f.read()
    start = text.index("upstream %s {" % name)
    with open(relay.config, "w") as f:
        f.write(text[:start] + text[text.index("\n}", start) + 3:])


with rw.Case("who is configured no more can be forgotten") as t:
    sink, other, third = (t.sink(), t.sink(faults="down"),
                          t.sink(faults="400 edge=1"))
    relay = t.relay([sink, other, third], spool="\tsegment-size = 1M")
    sent = t.load(relay, "--edges", 3, "--series", 20000, "--kinds",
                  "histogram,exemplar", "--rounds", 6).result()
    t.delivered(sink, sent["acked"])
    t.check(relay.ctl("-t", 60, "drain", "up2")[0] == 0, "two have had all")
    t.equal(relay.ctl("upstream", "forget", "up1")[0::2],
            (1, "rwrelayctl: that upstream is configured: take its section "
             "out, restart the relay, and then forget it\n"),
            "not while it is configured")
    t.equal(relay.ctl("upstream", "forget", "-d", relay.directory, "up1")[0],
            1, "nor behind the relay's back")
    t.equal(relay.stop(), 0, "ended in order")
    without(relay, "up1")
    without(relay, "up2")
    relay.again()
    before = relay.metric("rwrelay_spool_bytes")
    t.check(before > 1 << 20, "what it is owed stays: %d bytes" % before)
    t.equal(relay.ctl("upstream", "forget", "up7")[0::2],
            (1, "rwrelayctl: there is nothing of an upstream of that name\n"),
            "one that never was")
    t.equal(relay.ctl("upstream", "forget", "up1"), (0, "forgotten\n", ""),
            "it is forgotten")
    left = relay.metric("rwrelay_spool_bytes")
    t.check(left < before / 2, "and the room is there at once: %d" % left)
    aside = os.path.join(relay.directory, "rejected", "up2", "segment")
    t.check(os.listdir(aside), "what another has refused is kept")
    t.equal(relay.ctl("upstream", "forget", "up2"), (0, "forgotten\n", ""),
            "as he is forgotten, too")
    t.check(os.listdir(aside), "and still is")
    t.equal(relay.ctl("upstream", "forget", "up2", "--rejected"),
            (0, "forgotten\n", ""), "until that was said")
    t.equal(os.listdir(aside), [], "then it is not")
    t.equal(os.listdir(os.path.join(relay.directory, "cursor")), ["up0"],
            "one cursor is left")
    t.equal(relay.stop(), 0, "ended in order")
    for how, expected in ((), 0), ((), 1):
        t.equal(relay.ctl("upstream", "forget", "-d", relay.directory, "up0",
                          *how)[0], expected, "without a relay")
    t.equal(os.listdir(os.path.join(relay.directory, "cursor")), [],
            "none is left")

with rw.Case("what is owed of some time can be skipped") as t:
    sink, other = t.sink(), t.sink()
    relay = t.relay([sink, other], upstream=rw.TIMEOUT)
    first = t.load(relay, *LOAD, "--rounds", 5).result()
    t.delivered(sink, first["acked"])
    relay.ctl("-t", 60, "drain", "up0")
    relay.ctl("pause", "up0")
    second = t.load(relay, *LOAD, "--rounds", 5, "--first-edge", 3).result()
    time.sleep(1.1)
    middle = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    third = t.load(relay, *LOAD, "--rounds", 5, "--first-edge", 6).result()
    before = sink.unique()
    t.equal(relay.ctl("skip", "up0", "-", middle),
            (0, "given up: samples: %d\n" % second["acked"], ""),
            "what came before %s is given up" % middle)
    t.equal(relay.ctl("skip", "up0", "-", middle)[1],
            "given up: samples: 0\n", "once")
    said = [rw.pairs(l) for l in
            relay.ctl("gaps", relay.directory)[1].splitlines()]
    t.equal([(g["upstream"], g["reason"]) for g in said],
            [("up0", "skipped")] * 3, "each edge is in the ledger")
    t.equal(sum(g["samples"] for g in said), second["acked"],
            "with its samples")
    t.equal(relay.metric("rwrelay_spool_dropped_samples_total",
                         reason="skipped"), second["acked"], "and counted")
    relay.kill9()
    relay.again()
    t.delivered(sink, before + third["acked"], relay)
    t.delivered(other, first["acked"] + second["acked"] + third["acked"],
                relay)
    t.equal(relay.ctl("skip", "up0", "-", "now")[1],
            "given up: samples: 0\n", "nothing is owed any more")
    for args in (("up0", "-"), ("up0", "yesterday", "now"),
                 ("up0", "now", "-"), ("nobody", "-", "now")):
        t.check(relay.ctl("skip", *args)[0] in (1, 2),
                "refused: skip %s" % " ".join(args))

with rw.Case("what cannot be done is said") as t:
    relay = t.relay([t.sink()])
    t.equal(relay.ctl("pause", "nobody"),
            (1, "", "rwrelayctl: there is no upstream of that name\n"),
            "an upstream that is not there")
    for args in ((), ("pause",), ("status", "x"), ("explode",),
                 ("pause", "a b"), ("upstream", "forget"), ("upstream",),
                 ("upstream", "forget", "a", "b", "c"),
                 ("upstream", "forget", "-d", "x"),
                 ("-t", "x", "drain", "up0")):
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
