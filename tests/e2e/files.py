#!/usr/bin/env python3
"""What rwrelayctl tells of a spool's files, with a relay on them and without,
whole and damaged.
SPDX-License-Identifier: Apache-2.0"""

import glob
import json
import os
import shutil

import rw

CORPUS = os.path.join(rw.DATA, "..", "fuzz", "corpus", "segment")
LOAD = ("--edges", 3, "--series", 400, "--samples-per-request", 100,
        "--protocol", "2.0", "--rounds", 10)


def dump(relay, *args, directory=None):
    """Points of a spool, taken apart."""
    status, said, _ = relay.ctl("spool", "dump", *args,
                                directory or relay.directory)
    return status, [json.loads(l) for l in said.splitlines()]


def segments(relay):
    return sorted(glob.glob(os.path.join(relay.directory, "segment", "*.rwl")))


with rw.Case("a spool in use can be looked through") as t:
    relay = t.relay([t.sink(faults="down")])
    load = t.load(relay, *LOAD, "--kinds",
                  "stale,histogram,exemplar,metadata,start,custom")
    sent = load.result()
    status, points = dump(relay)
    t.equal(status, 0, "it is whole")
    samples = [p for p in points if "value" in p and "exemplar" not in p]
    t.equal(len(samples) + sum("histogram" in p for p in points),
            sent["acked"], "all that was acknowledged is there")
    t.equal(sum("exemplar" in p for p in points), sent["exemplars"],
            "the exemplars")
    t.check(any("metadata" in p for p in points) and
            any("start_ms" in p for p in points) and
            any(p["value"] == "stale" for p in samples) and
            any("custom_values" in p.get("histogram", ()) for p in points),
            "metadata, starts, stale markers, custom buckets")
    one = [p for p in samples if p["edge"] == "127.1.1.2"]
    t.equal(len([p for p in dump(relay, "--edge=*.2")[1]
                 if "value" in p and "exemplar" not in p]), len(one),
            "those of an edge")
    t.equal(len([p for p in dump(relay, "--edge", "127.1.1.2", "--match",
                                 "{series=~'7|8'}")[1] if "value" in p and
                 "exemplar" not in p]),
            len([p for p in one if p["labels"]["series"] in ("7", "8")]),
            "those of two series")
    times = sorted({p["ms"] for p in samples})
    middle = times[len(times) // 2]
    parts = [len(dump(relay, option, middle / 1000, "--match",
                      "{__name__!=''}")[1]) for option in ("--to", "--from")]
    whole = len(dump(relay, "--match", "{__name__!=''}")[1])
    metadata = sum("metadata" in p for p in
                   dump(relay, "--match", "{__name__!=''}")[1])
    t.equal(sum(parts), whole + metadata, "a time parts them in two")
    status, said, left = relay.ctl("spool", "dump", "--format=openmetrics",
                                   relay.directory)
    plain = [p for p in samples if p["value"] != "stale"]
    t.equal(len(said.splitlines()), len(plain) + 1, "as OpenMetrics, too")
    t.check(said.endswith("# EOF\n") and "left out" in left,
            "with an end, and what has no words is counted")
    status, said, _ = relay.ctl("spool", "stat", relay.directory)
    row = [l.split() for l in said.splitlines() if l.startswith("127.1.1.2")][0]
    t.equal([status, int(row[3])], [0, len(one)], "the sums of an edge")
    status, said, _ = relay.ctl("spool", "verify", relay.directory)
    t.check(status == 0 and said.endswith("fine\n"), "it is fine: %s" % said)
    t.equal(relay.ctl("spool", "repair", relay.directory)[0], 1,
            "nobody repairs under a relay")

with rw.Case("what is damaged is found, put aside, and costs itself") as t:
    sink = t.sink(faults="down")
    relay = t.relay([sink])
    sent = t.load(relay, *LOAD).result()
    t.equal(relay.stop(), 0, "ended in order")
    path = segments(relay)[0]
    with open(path, "r+b") as f:
        f.seek(os.path.getsize(path) * 2 // 3)
        byte = f.read(1)[0]
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte ^ 0x10]))
    status, said, _ = relay.ctl("spool", "verify", relay.directory)
    t.check(status == 1 and path in said, "found: %s" % said.splitlines()[0])
    before = len(dump(relay)[1])
    t.check(0 < before < sent["acked"], "%d of %d can be read" %
            (before, sent["acked"]))
    status, said, _ = relay.ctl("spool", "repair", relay.directory)
    t.check(status == 0 and "1 segments repaired" in said, "repaired")
    kept = glob.glob(os.path.join(relay.directory, "quarantine", "*.span"))
    t.equal(len(kept), 1, "what cannot be read is kept")
    status, said, _ = relay.ctl("spool", "verify", relay.directory)
    t.equal(status, 0, "then it is fine")
    t.equal(len(dump(relay)[1]), before, "and nothing else went")
    t.equal(relay.ctl("spool", "repair", relay.directory)[0], 0,
            "twice is no harm")
    sink.fault("ok")
    relay.again()
    t.delivered(sink, before, relay)
    t.equal(sink.summary()["reorders"], 0, "in order")

with rw.Case("a segment without a header goes as a whole") as t:
    relay = t.relay([t.sink(faults="down")])
    t.load(relay, *LOAD).result()
    t.equal(relay.stop(), 0, "ended in order")
    path = segments(relay)[0]
    with open(path, "r+b") as f:
        f.write(b"\0" * 8)
    t.equal(relay.ctl("spool", "verify", relay.directory)[0], 1, "found")
    t.equal(relay.ctl("spool", "repair", relay.directory)[0], 0, "repaired")
    t.check(not os.path.exists(path) and os.path.exists(os.path.join(
        relay.directory, "quarantine", os.path.basename(path))), "put aside")
    t.equal(relay.ctl("spool", "verify", relay.directory)[0], 0, "fine")

with rw.Case("what an upstream refused is listed with its answer") as t:
    sink = t.sink(faults="400 edge=1")
    relay = t.relay([sink])
    sent = t.load(relay, *LOAD).result()
    rw.wait_for(relay.drained, 30)
    refused = relay.metric("rwrelay_upstream_refused_samples_total")
    status, said, _ = relay.ctl("rejected", "-d", relay.directory)
    rows = said.splitlines()
    t.equal([status, len(rows) > 0], [0, True], "listed: %s" % rows[0])
    t.check(all("upstream=up0" in r and "status=400" in r and
                'edge="127.1.1.2"' in r and "told to refuse" in r
                for r in rows), "who refused what of whom, and what it said")
    t.equal(sum(int(r.split("samples=")[1].split()[0]) for r in rows),
            refused, "all of it")
    aside = os.path.join(relay.directory, "rejected", "up0")
    t.equal(len(dump(relay, directory=aside)[1]), refused,
            "and it can be dumped as a spool")
    t.equal(relay.ctl("spool", "verify", aside)[0], 0, "which is fine")
    t.equal(relay.ctl("rejected", "-d", relay.directory, "up0")[1], said,
            "by the upstream's name, too")
    t.equal(relay.ctl("rejected", "list", "-d", relay.directory, "up0")[1],
            said, "and with its full name")

    def entries():
        said = relay.ctl("rejected", "list", "-d", relay.directory)[1]
        return [l.split("entry=")[1].split()[0] for l in said.splitlines()]

    names, per = entries(), int(rows[0].split("samples=")[1].split()[0])
    status, said, _ = relay.ctl("rejected", "show", "-d", relay.directory,
                                "up0", names[0])
    t.equal([status, len(said.splitlines())], [0, per], "one can be shown")
    t.equal(len(relay.ctl("rejected", "show", "-d", relay.directory, "up0")[1]
                .splitlines()), refused, "or all")
    t.equal(relay.ctl("rejected", "drop", "up0", names[0]),
            (0, "given up: requests: 1, samples: %d\n" % per, ""),
            "one is given up")
    t.equal(relay.ctl("rejected", "drop", "up0", names[0])[0::2],
            (1, "rwrelayctl: there is no such entry\n"), "once")
    t.equal(entries(), names[1:], "the others are there")
    t.equal(relay.metric("rwrelay_upstream_rejected_dropped_samples_total"),
            per, "and it was counted")
    got = sink.unique()
    t.equal(relay.ctl("rejected", "resend", "up0", names[1])[0], 0,
            "another is sent again")
    t.check(rw.wait_for(lambda: len(entries()) == len(names) - 1 and
                        names[1] not in entries(), 20),
            "and as it is refused again, is listed anew")
    sink.fault("ok")
    t.equal(relay.ctl("rejected", "resend", "up0", "all")[1],
            "sent again: requests: %d, samples: %d\n" %
            (len(names) - 1, refused - per), "now all")
    t.check(rw.wait_for(lambda: not entries(), 30), "they are listed no more")
    t.equal(sink.unique(), got + refused - per, "since they have arrived")
    t.equal(relay.metric("rwrelay_upstream_rejected_bytes"), 0,
            "and take no room")
    t.equal(relay.ctl("rejected", "resend", "up0", "all")[1],
            "sent again: requests: 0, samples: 0\n", "nothing is left")
    for args in (("resend", "up0"), ("resend", "up0", "x-1"),
                 ("drop", "up0", "0000000000000001-"), ("show",),
                 ("drop", "nobody", "all"), ("list", "a", "b")):
        t.check(relay.ctl("rejected", *args)[0] in (1, 2),
                "refused: rejected %s" % " ".join(args))

with rw.Case("files from anywhere do no harm") as t:
    relay = t.relay([t.sink(faults="down")])
    t.load(relay, *LOAD).result()
    t.equal(relay.stop(), 0, "ended in order")
    good = segments(relay)[0]
    with open(good, "rb") as f:
        good = f.read()
    number = 0x7000
    for name in sorted(glob.glob(os.path.join(CORPUS, "*"))):
        shutil.copy(name, os.path.join(relay.directory, "segment",
                                       "%016x.rwl" % number))
        number += 1
    for cut in (0, 1, 63, 64, 65, len(good) // 2, len(good) - 1):
        with open(os.path.join(relay.directory, "segment",
                               "%016x.rwl" % number), "wb") as f:
            f.write(good[:cut])
        number += 1
    for what in ("verify", "stat", "dump", "repair", "verify"):
        status = relay.ctl("spool", what, relay.directory)[0]
        t.check(status in (0, 1), "%s ends with %d" % (what, status))
    t.equal(status, 0, "after the repair all is fine")
    t.equal(relay.ctl("spool", "verify", relay.directory + "x")[0], 1,
            "a spool that is not there")
    for args in (("spool",), ("spool", "frob"), ("spool", "dump", "--from=x"),
                 ("spool", "dump", "--match={"), ("spool", "verify", "a", "b"),
                 ("spool", "verify", "--edge=x"), ("gaps", "a", "b")):
        t.equal(relay.ctl(*args)[0], 2, "usage: %s" % " ".join(args))

rw.done()
