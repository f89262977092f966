# readback.py - what a store holds, and in what two of them differ
# SPDX-License-Identifier: Apache-2.0
#
# Prometheus is read through remote read, which hands out the bits of each
# value, stale markers included; VictoriaMetrics through its export. Both come
# as {labels: {timestamp in ms: value}}, labels a sorted tuple of pairs. A
# float is its 64 bits (VictoriaMetrics: a float or None), a native histogram
# a Histogram.

import collections
import json
import math
import urllib.request

import scene
import wire

STALE = 0x7ff0000000000002
ORDINARY_NAN = 0x7ff8000000000001
NATIVE = ("it_native", "it_native_float", "it_native_gauge")

Histogram = collections.namedtuple(
    "Histogram", "gauge count sum schema zero_threshold zero_count negative positive custom")


# Remote read

def buckets(spans, deltas, counts):
    """{index: count}: two layouts of the same buckets are the same."""
    index, at, n, out = 0, 0, 0, {}
    for offset, length in spans:
        index += offset
        for _ in range(length):
            n = n + deltas[at] if deltas else wire.to_double(counts[at])
            if n:
                out[index] = n
            index += 1
            at += 1
    return tuple(sorted(out.items()))


def span(message):
    got = {field: value for field, _, value in wire.fields(message)}
    return wire.unzigzag(got.get(1, 0)), got.get(2, 0)


def histogram(message):
    """(timestamp, Histogram): without reset hints, which a store makes up anew
    from the chunks that it happens to have, but for the mark of a gauge."""
    one = {}
    spans = {8: [], 11: []}
    numbers = {9: [], 10: [], 12: [], 13: [], 16: []}
    for field, kind, value in wire.fields(message):
        if field in spans:
            spans[field].append(span(value))
        elif field in (9, 12):
            numbers[field] += map(wire.unzigzag, wire.varints(kind, value))
        elif field in numbers:
            numbers[field] += wire.fixed64s(kind, value)
        else:
            one[field] = value
    timestamp = wire.signed(one.get(15, 0))
    if one.get(3) == STALE:
        return timestamp, "stale histogram"
    return timestamp, Histogram(
        one.get(14) == 3,
        wire.to_double(one[2]) if 2 in one else one.get(1, 0), one.get(3, 0),
        wire.unzigzag(one.get(4, 0)), one.get(5, 0),
        wire.to_double(one[7]) if 7 in one else one.get(6, 0),
        buckets(spans[8], numbers[9], numbers[10]),
        buckets(spans[11], numbers[12], numbers[13]), tuple(numbers[16]))


def series(message):
    labels, points = [], {}
    for field, _, value in wire.fields(message):
        if field == 1:
            pair = {f: v.decode() for f, _, v in wire.fields(value)}
            labels.append((pair[1], pair.get(2, "")))
        elif field == 2:
            sample = {f: v for f, _, v in wire.fields(value)}
            points[wire.signed(sample.get(2, 0))] = sample.get(1, 0)
        elif field == 4:
            timestamp, what = histogram(value)
            points[timestamp] = what
    return tuple(sorted(labels)), points


def remote_read(base, label, value, start, end):
    matcher = wire.data(2, label) + wire.data(3, value)
    question = wire.uint(1, int(start * 1000)) + wire.uint(2, int(end * 1000))
    request = urllib.request.Request(
        base + "/api/v1/read",
        wire.snappy_pack(wire.data(1, question + wire.data(3, matcher))),
        {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
         "X-Prometheus-Remote-Read-Version": "0.1.0"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        body = wire.snappy_unpack(answer.read())
    out = {}
    for _, _, result in wire.fields(body):
        for _, _, found in wire.fields(result):
            labels, points = series(found)
            out[labels] = points
    return out


# VictoriaMetrics

def plain(value):
    return None if value is None or value == "NaN" else float(value)


def export(base, label, value, start, end, repeats=None):
    """Adds to `repeats` what is there more than once."""
    scene.get(base + "/internal/force_flush")
    body = scene.query(base + "/api/v1/export", **{
        "match[]": '{%s="%s"}' % (label, value), "start": "%.3f" % start, "end": "%.3f" % end})
    out = {}
    for line in body.splitlines():
        found = json.loads(line)
        labels = tuple(sorted(found["metric"].items()))
        points = out.setdefault(labels, {})
        for timestamp, number in zip(found["timestamps"], found["values"]):
            if timestamp in points and repeats is not None:
                repeats.append((labels, timestamp))
            points[timestamp] = plain(number)
    return out


def add_histograms(data, base, selector, start, end):
    """As queries answer them: 2.42 leaves them out of remote read, and mixes
    them up if one query asks for several."""
    for name in NATIVE:
        got = json.loads(scene.query(base + "/api/v1/query", time="%.3f" % end,
                                     query="%s%s[%ds]" % (name, selector, end - start)))
        for found in got["data"]["result"]:
            points = data.setdefault(tuple(sorted(found["metric"].items())), {})
            for timestamp, what in found.get("histograms", ()):
                points[round(timestamp * 1000)] = Histogram(*[None] * 8, json.dumps(what))


def held(store, sender, start, end, repeats=None):
    if store.kind == "victoria":
        return export(store.base, "sender", sender, start, end, repeats)
    data = remote_read(store.base, "sender", sender, start, end)
    if store.kind == "prom2":
        add_histograms(data, store.base, '{sender="%s"}' % sender, start, end)
    return data


def metadata(base):
    return json.loads(scene.get(base + "/api/v1/metadata"))["data"]


def exemplars(base, selector, start, end):
    """A set of (series, exemplar's labels, value, timestamp in ms)."""
    got = json.loads(scene.query(base + "/api/v1/query_exemplars", query=selector,
                                 start="%.3f" % start, end="%.3f" % end))
    out = set()
    for found in got["data"]:
        labels = tuple(sorted(found["seriesLabels"].items()))
        for one in found["exemplars"]:
            out.add((labels, tuple(sorted(one["labels"].items())), float(one["value"]),
                     round(one["timestamp"] * 1000)))
    return out


# Comparing

def count(data):
    """(series, floats, histograms, stale markers)"""
    floats = histograms = stale = 0
    for points in data.values():
        for what in points.values():
            if what in (STALE, "stale histogram"):
                stale += 1
            if isinstance(what, (Histogram, str)):
                histograms += 1
            else:
                floats += 1
    return len(data), floats, histograms, stale


def until(data, end):
    """Only what is not newer than `end`."""
    out = {}
    for labels, points in data.items():
        kept = {t: v for t, v in points.items() if t <= end * 1000}
        if kept:
            out[labels] = kept
    return out


def same(a, b, labels):
    """VictoriaMetrics keeps decimals, one scale for many values of a series:
    near the largest of them small ones vanish."""
    if isinstance(a, float) and isinstance(b, float):
        return a == b or math.isclose(a, b, rel_tol=1e-9) or ("value", "changing") in labels
    return a == b


def shown(labels):
    inside = ", ".join("%s=%r" % (k, v if len(v) < 40 else v[:36] + "...")
                       for k, v in labels if k != "__name__")
    return "%s{%s}" % (dict(labels).get("__name__", ""), inside)


def value_shown(what):
    return "%#x (%r)" % (what, wire.to_double(what)) if isinstance(what, int) else repr(what)


def differences(expected, got):
    """[] if equal; else what differs, the first of each kind in full."""
    kinds = collections.OrderedDict()

    def note(kind, text):
        kinds.setdefault(kind, []).append(text)

    for labels in expected.keys() - got.keys():
        note("series missing", shown(labels))
    for labels in got.keys() - expected.keys():
        note("series too many", shown(labels))
    for labels in expected.keys() & got.keys():
        there, here = expected[labels], got[labels]
        for timestamp in sorted(there.keys() | here.keys()):
            where = "%s at %d" % (shown(labels), timestamp)
            if timestamp not in here:
                note("samples missing", where + ": " + value_shown(there[timestamp]))
            elif timestamp not in there:
                note("samples too many", where + ": " + value_shown(here[timestamp]))
            elif not same(there[timestamp], here[timestamp], labels):
                note("values differ", "%s: %s, should be %s" % (
                    where, value_shown(here[timestamp]), value_shown(there[timestamp])))
    return ["%d %s, as %s" % (len(texts), kind, min(texts)) for kind, texts in kinds.items()]


def covered(reference, parts):
    """What of the reference is in none of the parts. Only when, not what, for
    stores of another kind; and only what all kinds keep."""
    missing = []
    for labels, points in reference.items():
        if ("kind", "longest") in labels:
            continue
        for timestamp, what in points.items():
            if isinstance(what, int) and what != ORDINARY_NAN and not any(
                    timestamp in part.get(labels, ()) for part in parts):
                missing.append("%s at %d" % (shown(labels), timestamp))
    return ["%d samples missing, as %s" % (len(missing), min(missing))] if missing else []
