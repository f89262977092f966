#!/usr/bin/env python3
"""decode.py on streams of odd things: every mode and escape of values, times that
jump, histograms that change their spans, metadata past the limits.
SPDX-License-Identifier: Apache-2.0

    streams.py [FIRST-SEED [LAST-SEED]]
"""

import os
import subprocess
import sys

import decode

BUILD = os.environ.get("RW_BUILD", os.getcwd())


def text(b):
    return b.hex() or "-"


def side(h, i):
    row = h["counts"][i]
    if not h["float"]:
        row = [(b - a) & decode.U64 for a, b in zip([0] + row, row)]
    words = [len(h["spans"][i])] + ["%d:%d" % s for s in h["spans"][i]]
    return " ".join(map(str, words + [len(row)] + row))


def found(stream, n_before, record):
    """The lines of streams.c, families' metadata sorted."""
    samples, histograms, exemplars, metadata = stream.record(record)
    for labels in stream.labels[n_before:]:
        yield "d " + " ".join(text(n) + " " + text(v) for n, v in labels)
    for s in samples:
        yield "s %d %d %x %d" % (s.series, s.time, s.value, s.start)
    for h in histograms:
        words = [h["series"], h["time"], h["start"], int(h["float"]),
                 int(h["zeros?"]), h["hint"], h["schema"], "%x" % h["sum"],
                 "%x" % h["threshold"], h["count"], h["zeros"],
                 len(h["custom"])] + ["%x" % v for v in h["custom"]]
        yield "h %s %s %s" % (" ".join(map(str, words)), side(h, 0),
                              side(h, 1))
    for x in exemplars:
        yield " ".join(["x %d %d %x" % (x["series"], x["time"], x["value"])] +
                       [text(t) for label in x["labels"] for t in label])
    for series, family, what, told, unit in metadata:
        yield "m %d %d %s %s %s" % (-1 if series is None else series, what,
                                    text(family or b""), text(told),
                                    text(unit))


def parted(lines):
    return [l for l in lines if l[0] != "m"], \
        sorted(l for l in lines if l[0] == "m")


def run(seed, n):
    out = subprocess.run([os.path.join(BUILD, "tests", "format", "streams"),
                          str(seed), str(n)], stdout=subprocess.PIPE,
                         check=True, text=True).stdout.splitlines()
    stream, at, count = decode.Stream(), 0, 0
    while at < len(out):
        record = bytes.fromhex(out[at][2:])
        at += 1
        end = at
        while end < len(out) and out[end][0] != "r":
            end += 1
        got = list(found(stream, len(stream.labels), record))
        if parted(got) != parted(out[at:end]):
            for a, b in zip(sum(parted(out[at:end]), []),
                            sum(parted(got), [])):
                if a != b:
                    print("sent  %s\nfound %s" % (a, b))
                    break
            sys.exit("seed %d: record %d differs" % (seed, count))
        at, count = end, count + 1


first = int(sys.argv[1]) if len(sys.argv) > 1 else 1
last = int(sys.argv[2]) if len(sys.argv) > 2 else max(first, 8)
for number in range(first, last + 1):
    run(number * 0x9e3779b97f4a7c15 & decode.U64, 60)
print("%d streams were decoded as they were sent" % (last - first + 1))
