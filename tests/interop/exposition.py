# exposition.py - a scrape target with everything in it that may go wrong
# SPDX-License-Identifier: Apache-2.0
#
#   /classic    text: counters that reset, odd values, odd labels, series that
#               come and go, histogram, summary
#   /open       OpenMetrics: exemplars, units, info and state sets
#   /utf8       OpenMetrics with names that only Prometheus 3 takes
#   /native     protobuf: native histograms, integer, float and gauge
#   /buckets    a classic histogram, to be scraped as one with custom buckets
#   /bulk       many plain series, so that there is something in flight
#   /vanishing  fails for good when vanish() has been called

import http.server
import math
import threading
import time

import wire

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
OPENMETRICS_UTF8 = OPENMETRICS + "; escaping=allow-utf-8"
PROTOBUF = ("application/vnd.google.protobuf; "
            "proto=io.prometheus.client.MetricFamily; encoding=delimited")

ODD_LABELS = {
    "utf8": "Grüße → 日本語 😀 \u00a0\u200b",
    "quotes": "say \"yes\" 'no' `x`",
    "escapes": "back\\slash, new\nline, \\n, tab\t, ending in \\",
    "spaces": "  two before, two after  ",
    "braces": "{a=\"b\"}, # 1 2",
    "long": "lang " * 600,
    "longest": "L" * 10240,
    "control": "\x01\x7f",
}

# Bit patterns that a careless path rounds, folds or normalises.
ODD_VALUES = {
    "zero": 0.0, "minus-zero": -0.0, "one": 1.0, "tenth": 0.1,
    "third": 1 / 3, "infinity": math.inf, "minus-infinity": -math.inf,
    "nan": math.nan, "largest": 1.7976931348623157e308,
    "smallest": 5e-324, "normal": 2.2250738585072014e-308,
    "integer": 2.0 ** 53 + 2, "negative": -123456.789,
}


def quoted(value):
    return '"%s"' % (value.replace("\\", "\\\\").replace("\n", "\\n")
                     .replace('"', '\\"'))


def line(name, labels, value, tail=""):
    inside = ",".join("%s=%s" % (k, quoted(v)) for k, v in labels.items())
    return "%s{%s} %s%s\n" % (name, inside, number(value), tail)


def number(value):
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(float(value))


def head(name, kind, text):
    return "# HELP %s %s\n# TYPE %s %s\n" % (name, text, name, kind)


def classic_histogram(name, ticks, labels):
    out, total = [], 0
    for at, bound in enumerate(("0.1", "0.5", "2.5", "+Inf")):
        total += ticks * (at + 1)
        out.append(line(name + "_bucket", dict(labels, le=bound), total))
    out.append(line(name + "_sum", labels, ticks * 3.7))
    out.append(line(name + "_count", labels, total))
    return "".join(out)


def classic(ticks):
    out = [head("it_requests_total", "counter", "Requests, \\\\ and \\n in the help: äöü")]
    for code in (200, 404, 500):
        out.append(line("it_requests_total", {"code": str(code), "path": "/"},
                        ticks * code / 7))
    out.append(head("it_resets_total", "counter", "Starts again now and then."))
    out.append(line("it_resets_total", {}, ticks % 11))
    out.append(head("it_odd", "gauge", "Values at the edge of a double."))
    for name, value in ODD_VALUES.items():
        out.append(line("it_odd", {"value": name}, value))
    odd = list(ODD_VALUES.values())
    out.append(line("it_odd", {"value": "changing"}, odd[ticks % len(odd)]))
    out.append(head("it_labels", "gauge", "Labels that want care."))
    for name, value in ODD_LABELS.items():
        out.append(line("it_labels", {"kind": name, "odd": value}, ticks))
    out.append(line("it_labels", {"Z": "1", "A": "2", "_a": "3", "z": "4",
                                  "empty": ""}, ticks))
    out.append(line("it_labels", {"l%02d" % i: "v" * i for i in range(1, 26)}, ticks))
    out.append(head("it_waves", "gauge", "Ordinary gauges."))
    for i in range(20):
        out.append(line("it_waves", {"i": str(i)}, math.sin(ticks / 5 + i) * 100))
    # Here for three seconds, away for three: stale markers while the target lives.
    out.append(head("it_churn", "gauge", "Comes and goes."))
    out.append(line("it_churn", {"turn": str(ticks // 3 % 2)}, ticks))
    out.append(line("it_churn", {"generation": str(ticks // 4)}, ticks))
    out.append(head("it_timed", "untyped", "Brings its own time."))
    out.append("it_timed %d %d\n" % (ticks, time.time() * 1000))
    out.append(head("it_seconds", "histogram", "A classic histogram."))
    out.append(classic_histogram("it_seconds", ticks, {"op": "read"}))
    out.append(head("it_rpc", "summary", "A summary."))
    for quantile in ("0.5", "0.99"):
        out.append(line("it_rpc", {"quantile": quantile},
                        float(quantile) * ticks if ticks % 4 else math.nan))
    out.append(line("it_rpc_sum", {}, ticks * 1.5))
    out.append(line("it_rpc_count", {}, ticks))
    return "".join(out)


def bulk(ticks, series=400):
    return head("it_bulk", "gauge", "Many.") + "".join(
        line("it_bulk", {"i": str(i), "more": "x" * (i % 50)}, ticks * i)
        for i in range(series))


def exemplar(ticks, value):
    return ' # {trace_id="%032x",note="ü \\"q\\""} %s %.3f' % (
        ticks * 7919, number(value), time.time() - 0.25)


def openmetrics(ticks):
    out = ["# TYPE it_hits counter\n# HELP it_hits With exemplars.\n",
           line("it_hits_total", {"a": "1"}, ticks, exemplar(ticks, ticks / 2)),
           line("it_hits_total", {"a": "2"}, ticks * 2),
           "# TYPE it_wait_seconds histogram\n# UNIT it_wait_seconds seconds\n",
           "# HELP it_wait_seconds Waiting.\n",
           line("it_wait_seconds_bucket", {"le": "0.5"}, ticks, exemplar(ticks, 0.25)),
           line("it_wait_seconds_bucket", {"le": "+Inf"}, ticks * 2, exemplar(ticks, 1.5)),
           line("it_wait_seconds_sum", {}, ticks * 1.25),
           line("it_wait_seconds_count", {}, ticks * 2),
           "# TYPE it_build info\n# HELP it_build Of what it is made.\n",
           line("it_build_info", {"version": "1.0~rc1+é"}, 1),
           "# TYPE it_state stateset\n# HELP it_state One of two.\n",
           line("it_state", {"it_state": "up"}, ticks % 2),
           line("it_state", {"it_state": "down"}, 1 - ticks % 2),
           "# EOF\n"]
    return "".join(out)


def utf8(ticks):
    return ('# TYPE "it.dotted name" gauge\n# HELP "it.dotted name" Dots and a space.\n'
            '{"it.dotted name","ein schlüssel"="wert"} %d\n# EOF\n' % ticks)


# The protobuf exposition: io.prometheus.client.MetricFamily, delimited

COUNTER, HISTOGRAM, GAUGE_HISTOGRAM = 0, 4, 5


def label(name, value):
    return wire.data(1, wire.data(1, name) + wire.data(2, value))


def spans(field, list_of_spans):
    return b"".join(wire.data(field, wire.sint(1, offset) + wire.uint(2, length))
                    for offset, length in list_of_spans)


def deltas(counts):
    return [n - before for before, n in zip([0] + counts, counts)]


def native_exemplar(ticks, value):
    now = time.time() - 0.25
    stamp = wire.uint(1, int(now)) + wire.uint(2, int(now % 1 * 1e3) * 10 ** 6)
    return label("trace_id", "%016x" % ticks) + wire.double(2, value) + wire.data(3, stamp)


def integer_histogram(ticks):
    """Its layout grows, as that of a busy process does."""
    grown = 2 + ticks // 6
    positive = [ticks + i for i in range(grown)] + [ticks * 2]
    negative = [ticks, 0, ticks]
    zero = ticks // 2
    return (wire.uint(1, sum(positive) + sum(negative) + zero) +
            wire.double(2, ticks * 1.1) + wire.sint(5, 3) + wire.double(6, 0.001) +
            wire.uint(7, zero) +
            spans(9, [(-2, 3)]) + wire.packed_sint(10, deltas(negative)) +
            spans(12, [(-1, grown), (3, 1)]) + wire.packed_sint(13, deltas(positive)) +
            wire.data(16, native_exemplar(ticks, 0.75)))


def float_histogram(ticks):
    counts = [ticks * 0.5, ticks * 1.25]
    return (wire.double(2, ticks * 0.3) + wire.double(4, sum(counts) + 0.125) +
            wire.sint(5, 0) + wire.double(6, 1e-128) + wire.double(8, 0.125) +
            spans(12, [(0, 1), (1, 1)]) + wire.packed_double(14, counts))


def gauge_histogram(ticks):
    counts = [ticks % 5 + 1, 3]
    return (wire.uint(1, sum(counts)) + wire.double(2, -ticks) + wire.sint(5, -1) +
            wire.double(6, 1e-128) + wire.uint(7, 0) +
            spans(12, [(0, 2)]) + wire.packed_sint(13, deltas(counts)))


def family(name, kind, text, metrics):
    body = wire.data(1, name) + wire.data(2, text) + wire.uint(3, kind)
    body += b"".join(wire.data(4, m) for m in metrics)
    return wire.varint(len(body)) + body


def native(ticks):
    hits = wire.double(1, ticks) + wire.data(2, native_exemplar(ticks, 1.0))
    return (
        family("it_native_hits_total", COUNTER, "From protobuf.",
               [label("a", "ü") + wire.data(3, hits)]) +
        family("it_native", HISTOGRAM, "Integer, with exemplars.",
               [label("op", op) + wire.data(7, integer_histogram(ticks + i))
                for i, op in enumerate(("get", "put"))]) +
        family("it_native_float", HISTOGRAM, "Float.",
               [wire.data(7, float_histogram(ticks))]) +
        family("it_native_gauge", GAUGE_HISTOGRAM, "Gauge.",
               [wire.data(7, gauge_histogram(ticks))]))


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Scrapers go away as they like."""


class Exposition:
    """Serves all of them on a loopback port; ticks are seconds since the start.
    `more` is what senders scrape besides the usual."""

    def __init__(self, port, more=()):
        self.port = port
        self.more = more
        self.started = time.time()
        self.vanished = False
        self.scrapes = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def ticks(self):
        return int(time.time() - self.started) + 1

    def vanish(self):
        self.vanished = True

    def page(self, path):
        ticks = self.ticks()
        if path == "/classic":
            return TEXT, classic(ticks)
        if path == "/open":
            return OPENMETRICS, openmetrics(ticks)
        if path == "/utf8":
            return OPENMETRICS_UTF8, utf8(ticks)
        if path == "/native":
            return PROTOBUF, native(ticks)
        if path == "/bulk":
            return TEXT, bulk(ticks)
        if path == "/buckets":
            return TEXT, (head("it_custom", "histogram", "With custom buckets.") +
                          classic_histogram("it_custom", ticks, {"op": "nhcb"}))
        if path == "/vanishing" and not self.vanished:
            return TEXT, (head("it_vanishing", "gauge", "Gone soon.") +
                          line("it_vanishing", {"n": "1"}, ticks) +
                          line("it_vanishing", {"n": "2"}, -ticks))
        return None

    def answer(self, request):
        self.scrapes += 1
        page = self.page(request.path)
        kind, body = page or (TEXT, "gone\n")
        if isinstance(body, str):
            body = body.encode()
        request.send_response(200 if page else 503)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
