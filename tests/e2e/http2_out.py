#!/usr/bin/env python3
"""HTTP/2 to upstreams: lanes that share a connection, and upstreams that refuse,
reset, go away, allow little, change their mind, and break off. What they have
taken goes to a sink, which sees whether it is whole.
SPDX-License-Identifier: Apache-2.0"""

import http.client
import queue
import select
import socket
import ssl
import struct
import threading
import time

import certs
import ports
import rw
from frames import (DATA, GOAWAY, HEADERS, INTERNAL, NO_ERROR, PING, PREFACE,
                    REFUSED, RST, SETTINGS, WINDOW, frame)

MAX_STREAMS, FIRST_WINDOW = 3, 4
STATUS = {200: b"\x88", 204: b"\x89", 400: b"\x8c", 500: b"\x8e"}
FORWARDED = {"Content-Type": "application/x-protobuf",
             "Content-Encoding": "snappy", "User-Agent": "upstream",
             "X-Prometheus-Remote-Write-Version": "0.1.0"}


def settings(values):
    return b"".join(struct.pack(">HI", *kv) for kv in values.items())


class Upstream:
    """Speaks HTTP/2 over TLS, as far as it takes to answer, and passes whole
    bodies on to a sink. `faults` names what it does every now and then."""

    def __init__(self, sink, party, **values):
        self.sink, self.port = sink, ports.free()
        self.settings = values.pop("settings", {})
        self.faults = values.pop("faults", ())
        self.protocols = values.pop("protocols", ["h2"])
        self.connections, self.most, self.n = 0, 0, 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.done, self.spoken, self.live = {}, set(), []
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(party.cert, party.key)
        self.tls.set_alpn_protocols(self.protocols)
        self.listening = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.serve, daemon=True).start()

    def url(self):
        return "https://127.0.0.1:%d/api/v1/write" % self.port

    def close(self):
        self.listening.close()

    def set(self, values):
        """On all connections; false if they do not heed it."""
        self.settings = values
        live = list(self.live)
        for c in live:
            c.acks = 0
            c.later(("settings", values))
        return rw.wait_for(lambda: all(c.acks for c in live), 20)

    def idle(self):
        return not any(c.bodies or c.answering for c in list(self.live))

    def serve(self):
        while True:
            try:
                s, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(s,), daemon=True).start()

    def talk(self, plain):
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with self.tls.wrap_socket(plain, server_side=True) as s:
                self.connections += 1
                self.spoken.add(s.selected_alpn_protocol())
                if s.selected_alpn_protocol() == "h2":
                    c = Connection(self, s)
                    self.live.append(c)
                    try:
                        c.run()
                    finally:
                        self.live.remove(c)
        except (OSError, EOFError, ssl.SSLError):
            pass

    def fault(self, n):
        """What happens to the n-th stream, instead of an answer."""
        if n % 9 == 0 and self.faults:
            what = self.faults[n // 9 % len(self.faults)]
            self.done[what] = self.done.get(what, 0) + 1
            return what
        return None


class Connection:
    def __init__(self, upstream, s):
        self.up, self.s = upstream, s
        self.bodies, self.faults = {}, {}
        self.acks, self.answering, self.leaving = 0, 0, False
        self.results = queue.Queue()
        self.wake, self.woken = socket.socketpair()
        self.input = b""

    def later(self, what):
        self.results.put(what)
        self.wake.send(b"x")

    def run(self):
        self.s.sendall(frame(SETTINGS, 0, 0, settings(self.up.settings)))
        self.take(len(PREFACE))
        while not (self.leaving and self.answering == 0):
            while len(self.input) >= 9 and len(self.input) >= 9 + \
                    int.from_bytes(self.input[:3], "big"):
                n = int.from_bytes(self.input[:3], "big")
                kind, flags = self.input[3:5]
                stream = int.from_bytes(self.input[5:9], "big")
                payload = self.input[9:9 + n]
                self.input = self.input[9 + n:]
                self.on_frame(kind, flags, stream, payload)
            self.more()
        # nothing more is said, and it is for the relay to hang up
        while self.s.recv(65536):
            pass

    def take(self, n):
        while len(self.input) < n:
            self.more()
        if self.input[:n] != PREFACE:
            raise EOFError
        self.input = self.input[n:]

    def more(self):
        if not self.s.pending():
            ready, _, _ = select.select([self.s, self.woken], [], [])
            if self.woken in ready:
                self.woken.recv(1)
                self.on_result(self.results.get())
                return
        piece = self.s.recv(65536)
        if not piece:
            raise EOFError
        self.input += piece

    def on_result(self, what):
        stream, value = what
        if stream == "settings":
            self.s.sendall(frame(SETTINGS, 0, 0, settings(value)))
            return
        self.answering -= 1
        self.s.sendall(frame(HEADERS, 5, stream, STATUS[value]))

    def on_frame(self, kind, flags, stream, payload):
        if kind == SETTINGS and flags & 1:
            self.acks += 1
        elif kind == SETTINGS:
            self.s.sendall(frame(SETTINGS, 1, 0))
        elif kind == PING and not flags & 1:
            self.s.sendall(frame(PING, 1, 0, payload))
        elif kind == HEADERS:
            self.begin(stream)
        elif kind == RST:
            self.bodies.pop(stream, None)
        elif kind == DATA:
            self.on_data(flags, stream, payload)

    def begin(self, stream):
        if self.leaving:
            return
        self.up.n += 1
        self.bodies[stream] = b""
        self.faults[stream] = self.up.fault(self.up.n)
        self.up.most = max(self.up.most, len(self.bodies) + self.answering)
        if self.faults[stream] == "refused":
            self.s.sendall(frame(RST, 0, stream, struct.pack(">I", REFUSED)))
            del self.bodies[stream]
        elif self.faults[stream] == "goaway":
            # what is below is answered, this one and what is above is not
            self.leaving = True
            del self.bodies[stream]
            self.answering += len(self.bodies)
            self.s.sendall(frame(GOAWAY, 0, 0, struct.pack(
                ">II", stream - 2 if stream > 1 else 0, NO_ERROR)))
        elif self.faults[stream] == "settings":
            n = self.up.n
            self.s.sendall(frame(SETTINGS, 0, 0, settings({
                FIRST_WINDOW: (1000, 70000, 17)[n % 3],
                MAX_STREAMS: (5, 100, 2)[n % 3]})))

    def on_data(self, flags, stream, payload):
        grown = struct.pack(">I", len(payload))
        if payload:
            self.s.sendall(frame(WINDOW, 0, 0, grown) + (
                b"" if flags & 1 else frame(WINDOW, 0, stream, grown)))
        if stream not in self.bodies:
            return
        self.bodies[stream] += payload
        if not flags & 1:
            return
        if self.faults[stream] == "cut":
            raise EOFError
        body = self.bodies.pop(stream)
        if self.faults[stream] == "reset":
            self.s.sendall(frame(RST, 0, stream, struct.pack(">I", INTERNAL)))
            return
        if not self.leaving:
            self.answering += 1
        threading.Thread(target=self.pass_on, args=(stream, body),
                         daemon=True).start()

    def pass_on(self, stream, body):
        c = http.client.HTTPConnection("127.0.0.1", self.up.sink.port)
        c.request("POST", "/api/v1/write", body, FORWARDED)
        status = c.getresponse().status
        c.close()
        self.up.may_answer.wait()
        self.later((stream, status))


def start(t, more="", **values):
    ca = certs.Authority(t.path("ca"), "ca")
    sink = t.sink(protocols="1.0")
    up = Upstream(sink, ca.issue("store", "IP:127.0.0.1"), **values)
    relay = t.relay([up], upstream='\tca = "%s"\n\tprotocol = "1.0"\n'
                    '\tlanes = 8\n\ttimeout = 20s\n%s' % (ca.cert, more))
    return sink, up, relay


def load(t, relay, *args):
    return t.load(relay, "--edges", 8, "--connections", 1, "--series", 200,
                  "--samples-per-request", 100, *args)


def through(t, relay, sink, sent, first, most=0):
    """Everything has arrived, and once, unless `most` may be repeated."""
    t.equal(first.status, 0, "all was acknowledged")
    t.delivered(sink, sent["acked"], relay)
    t.fine(sink)
    t.join([first], [sink], "--max-duplicates", most)


with rw.Case("lanes share a connection") as t:
    sink, up, relay = start(t)
    up.may_answer.clear()
    first = load(t, relay, "--rounds", 10)
    t.check(rw.wait_for(lambda: up.most == 8, 15), "8 requests at a time")
    up.may_answer.set()
    sent = first.result()
    through(t, relay, sink, sent, first)
    t.equal(up.spoken, {"h2"}, "HTTP/2 was spoken")
    t.equal(up.connections, 1, "over one connection")
    t.equal(relay.metric("rwrelay_upstream_retried_requests_total"), 0,
            "each sent once")
    t.equal(relay.stop(), 0, "ended in order")
    up.close()

with rw.Case("upstreams that are not easy") as t:
    faults = ("refused", "goaway", "settings", "reset", "goaway", "cut")
    sink, up, relay = start(t, faults=faults)
    first = load(t, relay, "--rounds", 20, "--rate", 12000)
    sent = first.result()
    # what was being answered when the connection was cut goes twice
    through(t, relay, sink, sent, first, 7 * 10000 * up.done.get("cut", 0))
    t.equal(set(up.done), set(faults), "with %s" % ", ".join(
        "%d %s" % (n, what) for what, n in sorted(up.done.items())))
    up.close()

with rw.Case("refused and told to leave: nobody notices") as t:
    sink, up, relay = start(t, faults=("refused", "goaway", "settings"))
    first = load(t, relay, "--rounds", 20, "--rate", 12000)
    sent = first.result()
    through(t, relay, sink, sent, first)
    t.check(len(up.done) == 3, "after %s" % up.done)
    t.equal(relay.metric("rwrelay_upstream_retried_requests_total"), 0,
            "no request counts as failed")
    t.check("event=upstream-held" not in relay.output(), "nor is it told of")
    up.close()

with rw.Case("windows of a few bytes") as t:
    sink, up, relay = start(t, settings={FIRST_WINDOW: 61})
    first = load(t, relay, "--rounds", 4)
    sent = first.result()
    through(t, relay, sink, sent, first)
    t.equal(up.connections, 1, "over one connection")
    up.close()

with rw.Case("one at a time, then none, then many") as t:
    sink, up, relay = start(t, settings={MAX_STREAMS: 1})
    up.may_answer.clear()
    first = load(t, relay, "--duration", 60, "--rate", 6000)
    t.check(rw.wait_for(lambda: up.connections == 8, 15),
            "as many connections as lanes with one at a time")
    up.may_answer.set()
    rw.wait_for(lambda: sink.unique() > 3000, 20)
    t.equal([up.connections, up.most], [8, 1], "which was kept to")
    t.check(up.set({MAX_STREAMS: 0}) and rw.wait_for(up.idle, 20),
            "then there may be none")
    some, connections = sink.unique(), up.connections
    time.sleep(1)
    t.equal(sink.unique(), some, "and there is none")
    t.equal(up.connections, connections, "nor is anything tried elsewhere")
    up.set({MAX_STREAMS: 100})
    t.check(rw.wait_for(lambda: sink.unique() > some, 20), "then it goes on")
    first.signal(rw.signal.SIGTERM)
    sent = first.result()
    through(t, relay, sink, sent, first)
    up.close()

with rw.Case("not for who does not want it") as t:
    sink, up, relay = start(t, more="\thttp2 = off\n",
                            protocols=["h2", "http/1.1"])
    load(t, relay, "--rounds", 1)
    t.check(rw.wait_for(lambda: up.spoken, 20), "connected")
    t.equal(up.spoken, {"http/1.1"}, "HTTP/2 was not offered")
    up.close()

rw.done()
