"""bodies.py - remote write bodies made by hand, right ones and wrong ones.
SPDX-License-Identifier: Apache-2.0"""

import http.client
import struct
import time

V1 = {"Content-Type": "application/x-protobuf",
      "Content-Encoding": "snappy",
      "X-Prometheus-Remote-Write-Version": "0.1.0"}
V2 = {"Content-Type":
      "application/x-protobuf;proto=io.prometheus.write.v2.Request",
      "Content-Encoding": "snappy",
      "X-Prometheus-Remote-Write-Version": "2.0.0"}


def varint(v):
    out = bytearray()
    while v >= 0x80:
        out.append(v & 0x7f | 0x80)
        v >>= 7
    out.append(v)
    return bytes(out)


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def fixed(number, value):
    return varint(number << 3 | 1) + struct.pack("<d", value)


def number(n, value):
    return varint(n << 3) + varint(value)


def snappy(data):
    """As literals alone."""
    out = [varint(len(data))]
    for i in range(0, len(data), 65536):
        part = data[i:i + 65536]
        out.append(b"\xf4" + struct.pack("<H", len(part) - 1) + part)
    return b"".join(out)


def snappy_repeat(unit, times):
    """`unit` so many times, in a few bytes for each 64: a bomb."""
    size = len(unit) * times
    out = [varint(size), bytes([(len(unit) - 1) << 2]), unit]
    left = size - len(unit)
    copy = bytes([63 << 2 | 2]) + struct.pack("<H", len(unit))
    out.append(copy * (left // 64))
    if left % 64:
        out.append(bytes([(left % 64 - 1) << 2 | 2]) +
                   struct.pack("<H", len(unit)))
    return b"".join(out)


def sample(value, ts):
    return fixed(1, value) + number(2, ts)


def series_v1(labels, value, ts):
    return field(1, b"".join(
        field(1, field(1, n.encode()) + field(2, v.encode()))
        for n, v in labels) + field(2, sample(value, ts)))


def request_v1(name, value, ts, **labels):
    pairs = sorted([("__name__", name)] + list(labels.items()))
    return series_v1(pairs, value, ts)


def request_v2(symbols, refs, value, ts):
    return b"".join(field(4, s) for s in symbols) + field(
        5, field(1, b"".join(varint(r) for r in refs)) +
        field(2, sample(value, ts)))


def post(body, headers, path="/api/v1/write", extra=b""):
    """A whole HTTP request."""
    lines = ["POST %s HTTP/1.1" % path, "Host: relay"]
    lines += ["%s: %s" % kv for kv in headers.items()]
    lines.append("Content-Length: %d" % len(body))
    return ("\r\n".join(lines) + "\r\n").encode() + extra + b"\r\n" + body


def attempt(relay):
    """One request by hand: its status and headers."""
    c = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=30)
    c.request("POST", "/api/v1/write", snappy(request_v1(
        "by_hand", 1.0, int(time.time() * 1000))), V1)
    answer = c.getresponse()
    answer.read()
    c.close()
    return answer.status, answer.headers
