#!/usr/bin/env python3
"""Upstreams behind a proxy: tunnels with and without TLS inside, tunnels that
are cut, and proxies that do not help.
SPDX-License-Identifier: Apache-2.0"""

import socket
import threading

import certs
import ports
import rw

NAME = "store.invalid"       # known to the proxy alone


class Proxy:
    """Connects to 127.0.0.1 whatever the name; `mode` is its answer if it does
    not, after which it ends the connection."""

    def __init__(self):
        self.port = ports.free()
        self.mode = None
        self.asked, self.tunnels = [], []
        self.lock = threading.Lock()
        self.open()

    def open(self):
        self.listening = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.serve, args=(self.listening,),
                         daemon=True).start()

    def close(self):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self.cut()

    def cut(self):
        with self.lock:
            tunnels, self.tunnels = self.tunnels, []
        for s in tunnels:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def serve(self, listening):
        while True:
            try:
                s, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(s,), daemon=True).start()

    def talk(self, s):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            piece = s.recv(4096)
            if not piece:
                break
            head += piece
        else:
            self.answer(s, head.decode())
        s.close()

    def answer(self, s, head):
        method, where, _ = head.split(" ", 2)
        self.asked.append((method, where))
        if self.mode is not None:
            s.sendall(self.mode)
            return
        port = int(where.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as there:
            with self.lock:
                self.tunnels += [s, there]
            s.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=self.pass_on, args=(there, s))
            back.start()
            self.pass_on(s, there)
            back.join()

    def pass_on(self, source, to):
        try:
            while True:
                piece = source.recv(65536)
                if not piece:
                    break
                to.sendall(piece)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Behind:
    """A sink, under the name that only the proxy knows."""

    def __init__(self, sink):
        self.sink = sink

    def url(self):
        return self.sink.url().replace("127.0.0.1", NAME)


def held(relay, up):
    """The reasons that were told of, in order."""
    return [l.partition("reason=")[2].split()[0]
            for l in relay.output().splitlines()
            if "event=upstream-held " in l and "upstream=%s " % up in l]


with rw.Case("through a proxy, with TLS inside and without") as t:
    ca = certs.Authority(t.path("ca"), "ca")
    store = ca.issue("store", "DNS:" + NAME)
    other = ca.issue("other", "IP:127.0.0.1")
    proxy = Proxy()
    sinks = [t.sink(tls=("--cert", store.cert, "--key", store.key)), t.sink(),
             t.sink(tls=("--cert", other.cert, "--key", other.key))]
    via = '\tproxy = "http://127.0.0.1:%d"\n%s' % (proxy.port, rw.TIMEOUT)
    trusted = via + '\tca = "%s"\n' % ca.cert
    relay = t.relay([Behind(s) for s in sinks],
                    upstream=[trusted, via, trusted])
    load = t.load(relay, "--series", 500, "--samples-per-request", 100,
                  "--rate", 4000, "--rounds", 24)
    for _ in range(4):
        rw.time.sleep(0.6)
        proxy.cut()
    sent = load.result()
    t.equal(load.status, 0, "all was acknowledged")
    for sink in sinks[:2]:
        t.delivered(sink, sent["acked"])
        t.join([load], [sink])
    t.equal(set(proxy.asked),
            {("CONNECT", "%s:%d" % (NAME, s.port)) for s in sinks},
            "and went through the proxy")
    t.equal(held(relay, "up2")[:1], ["certificate-name"],
            "the certificate is to be the upstream's")
    t.equal(sinks[2].unique(), 0, "or nothing is sent")
    t.equal(relay.stop(), 0, "ended in order")
    proxy.close()

with rw.Case("proxies that do not help") as t:
    proxy = Proxy()
    sink = t.sink()
    relay = t.relay([Behind(sink)], upstream='\tproxy = "http://localhost:%d"\n'
                    '\tconnect-timeout = "1s"\n' % proxy.port + rw.TIMEOUT)
    load = t.load(relay, "--series", 100, "--rate", 500)
    rw.wait_for(lambda: sink.unique() > 0, 20)
    told = []

    def trouble(reason):
        told.append(reason)
        proxy.cut()
        t.check(rw.wait_for(lambda: reason in held(relay, "up0"), 20),
                "%s is told of" % reason)

    for reason, mode in (
            ("proxy-auth", b"HTTP/1.1 407 Who are you\r\n\r\n"),
            ("proxy-refused", b"HTTP/1.1 502 Not found\r\n\r\n<html>"),
            ("proxy-answer", b"HTTP/1.1 200 Conn")):
        proxy.mode = mode
        trouble(reason)
    proxy.close()
    trouble("proxy-connect")
    proxy.mode = None
    proxy.open()
    t.check(rw.wait_for(lambda: "event=upstream-back" in relay.output(), 30),
            "the proxy is back")
    load.signal(rw.signal.SIGTERM)
    sent = load.result()
    t.delivered(sink, sent["acked"], relay)
    t.join([load], [sink])
    t.check("proxy=localhost:%d " % proxy.port in relay.output(),
            "the log says which proxy")
    t.equal(relay.metric("rwrelay_tls_failures_total"), 0,
            "no fault of TLS")
    proxy.close()

rw.done()
