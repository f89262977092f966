"""frames.py - HTTP/2 spoken frame by frame (RFC 9113), rightly and wrongly.
SPDX-License-Identifier: Apache-2.0

Header blocks are made of literals that no table remembers (RFC 7541 6.2.2)."""

import collections
import socket
import struct

import rw
from bodies import varint

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
(DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW,
 CONTINUATION) = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIO = 1, 1, 4, 8, 32
(NO_ERROR, PROTOCOL, INTERNAL, FLOW, TIMEOUT, CLOSED, SIZE, REFUSED, CANCEL,
 COMPRESSION, CONNECT, CALM) = range(12)
# RFC 7541, appendix A
STATIC_STATUS = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}
DIGITS = {"00000": "0", "00001": "1", "00010": "2", "011001": "3",
          "011010": "4", "011011": "5", "011100": "6", "011101": "7",
          "011110": "8", "011111": "9"}     # RFC 7541, appendix B

Frame = collections.namedtuple("Frame", "kind flags stream payload")


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    if length is None:
        length = len(payload)
    return struct.pack(">IBI", length << 8 | kind, flags, stream) + payload


def number(v, bits, first=0):
    """RFC 7541 5.1"""
    top = (1 << bits) - 1
    if v < top:
        return bytes([first | v])
    return bytes([first | top]) + varint(v - top)


def text(s):
    s = s if isinstance(s, bytes) else s.encode()
    return number(len(s), 7) + s


def field(name, value):
    return b"\0" + text(name) + text(value)


def block(pairs):
    return b"".join(field(n, v) for n, v in pairs)


def settings(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", i, v)
                                          for i, v in pairs))


def window(stream, n):
    return frame(WINDOW, 0, stream, struct.pack(">I", n))


def rst(stream, code=CANCEL):
    return frame(RST, 0, stream, struct.pack(">I", code))


def head(path="/api/v1/write", method="POST", **more):
    pairs = {":method": method, ":scheme": "http", ":path": path,
             ":authority": "relay"}
    pairs.update((n.lower().replace("_", "-"), v) for n, v in more.items())
    return list(pairs.items())


def headers(stream, pairs, flags=END_HEADERS | END_STREAM):
    b = pairs if isinstance(pairs, bytes) else block(pairs)
    return frame(HEADERS, flags, stream, b)


def post(stream, body, fields, path="/api/v1/write"):
    """A whole request."""
    h = head(path) + [(n.lower(), v) for n, v in fields.items()]
    h.append(("content-length", str(len(body))))
    out = headers(stream, h, END_HEADERS)
    for i in range(0, len(body), 16384):
        part = body[i:i + 16384]
        out += frame(DATA, END_STREAM if i + 16384 >= len(body) else 0,
                     stream, part)
    return out


def status(payload):
    """The first field of an answer's block, which is :status."""
    at = 0
    while payload[at] & 0xe0 == 0x20:   # size of the table
        at += 1
    if payload[at] & 0x80:
        return STATIC_STATUS[payload[at] & 0x7f]
    at += 1                             # a literal, its name from the table
    n = payload[at] & 0x7f
    value = payload[at + 1:at + 1 + n]
    if payload[at] & 0x80 == 0:
        return int(value)
    bits = "".join("%08d" % int(bin(c)[2:]) for c in value)
    digits = ""
    while len(digits) < 3:
        code = bits[:5] if bits[:5] in DIGITS else bits[:6]
        digits, bits = digits + DIGITS[code], bits[len(code):]
    return int(digits)


class Client:
    def __init__(self, relay, greeting=None, context=None):
        self.s = socket.create_connection(("127.0.0.1", relay.port),
                                          20 * rw.PATIENCE)
        if context:
            self.s = context.wrap_socket(self.s, server_hostname="127.0.0.1")
        self.left = b""
        self.ended = False
        self.send(PREFACE + settings() if greeting is None else greeting)

    def send(self, data):
        """False: the relay has gone."""
        try:
            self.s.sendall(data)
            return True
        except OSError:
            return False

    def more(self):
        try:
            part = self.s.recv(65536)
        except ConnectionError:
            part = b""
        self.ended = not part
        self.left += part

    def next(self):
        """A frame; None at the end."""
        while len(self.left) < 9 or \
                len(self.left) < 9 + (struct.unpack(">I", self.left[:4])[0]
                                      >> 8):
            if self.ended:
                return None
            self.more()
        length, flags, stream = struct.unpack(">IBI", self.left[:9])
        kind, length = length & 255, length >> 8
        f = Frame(kind, flags, stream, self.left[9:9 + length])
        self.left = self.left[9 + length:]
        return f

    def until(self, found):
        """The frames up to the one that is looked for, or to the end."""
        out = []
        while True:
            f = self.next()
            if f is None:
                return out
            out.append(f)
            if found(f):
                return out

    def answer(self, stream):
        """The final status on a stream; None: there was none."""
        out = self.until(lambda f: f.kind == HEADERS and f.stream == stream
                         and status(f.payload) != 100 or
                         f.kind == RST and f.stream == stream)
        last = out[-1] if out else None
        return status(last.payload) if last and last.kind == HEADERS else None

    def close(self):
        self.s.close()


class Told:
    """What a relay has said, in short."""

    def __init__(self, frames):
        self.goaway = [struct.unpack(">I", f.payload[4:8])[0]
                       for f in frames if f.kind == GOAWAY]
        self.last = [struct.unpack(">I", f.payload[:4])[0]
                     for f in frames if f.kind == GOAWAY]
        self.rst = [(f.stream, struct.unpack(">I", f.payload)[0])
                    for f in frames if f.kind == RST]
        self.status = [(f.stream, status(f.payload)) for f in frames
                       if f.kind == HEADERS]

