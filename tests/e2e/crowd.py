#!/usr/bin/env python3
"""Many connections: what they take when they are idle, how many an address and
the descriptors allow, who only drips or floods, and all that come back at once.
SPDX-License-Identifier: Apache-2.0"""

import os
import resource
import signal
import socket
import ssl
import threading
import time

import bodies as b
import certs
import ports
import rw

FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
MANY = 10000 if rw.SWEEP else 300
ROOM = 60 * rw.PATIENCE
GOOD = b.post(b.snappy(b.request_v1("crowd", 1, int(time.time() * 1000))), b.V1)


def connect(port, i=0, addresses=50):
    """From one of so many addresses."""
    source = "127.0.%d.%d" % (2 + i % addresses // 200,
                              1 + i % addresses % 200)
    s = socket.socket()
    s.settimeout(ROOM)
    s.setsockopt(socket.IPPROTO_IP, 24, 1)      # IP_BIND_ADDRESS_NO_PORT
    s.bind((source, 0))
    s.connect(("127.0.0.1", port))
    return s


def ask(s):
    """The status of a request's answer and what is behind it; 0: none."""
    try:
        s.sendall(GOOD)
        got = s.recv(65536)
    except OSError:
        return 0, b""
    return (int(got.split()[1]) if got else 0), got


def closed(relay, reason):
    return relay.metric("rwrelay_connections_closed_total", reason=reason)


def away(s):
    """The other side has ended it, with or without a word."""
    s.setblocking(False)
    try:
        return s.recv(65536) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def idle(t, what, relay, context, most):
    """Memory of connections that each sent a request and then keep still."""
    def one(i):
        s = connect(relay.port, i)
        if context:
            s = context.wrap_socket(s, server_hostname="127.0.0.1")
        return s, ask(s)[0]
    held = [one(i) for i in range(100)]
    before = relay.rss()
    held += [one(i) for i in range(MANY)]
    took = (relay.rss() - before) // MANY
    t.equal({code for _, code in held}, {204}, "%d are served" % len(held))
    # memory is asked for by the megabyte
    t.check(took <= most + (1 << 20) // MANY or rw.SANITIZED,
            "%s: %d bytes for each" % (what, took))
    t.equal(relay.metric("rwrelay_connections"), len(held), "and kept")
    for s, _ in held:
        s.close()


with rw.Case("connections that keep still") as t:
    relay = t.relay([], top="workers = 1")
    idle(t, "plain", relay, None, 2 << 10)
    if rw.SWEEP:
        ca = certs.Authority(t.path("ca"), "ca")
        me, site = ca.issue("me", "IP:127.0.0.1"), ca.issue("site")
        context = ssl.create_default_context(cafile=ca.cert)
        context.load_cert_chain(site.cert, site.key)
        relay = t.relay([], top="workers = 1", scheme="https", listen="""
            certificate = "%s"
            key = "%s"
            client-ca = "%s" """ % (me.cert, me.key, ca.cert))
        idle(t, "TLS", relay, context, 24 << 10)

with rw.Case("too many of one address") as t:
    ca = certs.Authority(t.path("ca"), "ca")
    me, secure = ca.issue("me", "IP:127.0.0.1"), ports.free()
    relay = t.relay([], top="""workers = 2
        max-connections-per-address = 20
        listen secure {
            address = "127.0.0.1:%d"
            certificate = "%s"
            key = "%s"
        }""" % (secure, me.cert, me.key))
    held = [connect(relay.port, 0) for _ in range(20)]
    t.equal([ask(s)[0] for s in held], [204] * 20, "as many as it may have")
    code, got = ask(connect(relay.port, 0))
    t.check(code == 503 and b"\r\nRetry-After: " in got,
            "one more is answered 503, on whichever worker")
    s = connect(secure, 0)
    t.check(rw.wait_for(lambda: away(s), 10), "over TLS it is closed")
    t.equal(ask(connect(relay.port, 1))[0], 204, "another address is served")
    t.equal(closed(relay, "address-limit"), 2, "counted")
    t.check("event=address-limit peer=127.0.2.1 " in relay.output(),
            "and told of")
    held.pop().close()
    rw.wait_for(lambda: relay.metric("rwrelay_connections") < 20, 10)
    s = connect(relay.port, 0)
    t.equal(ask(s)[0], 204, "when one has gone there is room again")
    for s in held:
        s.close()

with rw.Case("few descriptors") as t:
    sink = t.sink()
    relay = t.relay([sink], before=("sh", "-c", 'ulimit -n 300; exec "$0" "$@"'),
                    top="max-connections = 1000\nworkers = 2",
                    spool="segment-size = 1M", upstream=rw.TIMEOUT)
    t.check("event=few-descriptors limit=300 max-connections=1000 instead="
            in relay.output(), "fewer connections than it was told to take")
    honest = t.load(relay, "--series", 500, "--rate", 4000, "--connections", 1,
                    "--samples-per-request", 250)
    rw.wait_for(lambda: sink.unique() > 0, 20)
    held = [connect(relay.port, i) for i in range(400)]
    rw.wait_for(lambda: closed(relay, "busy") > 0, 20)
    t.check(closed(relay, "busy") > 0, "those that are too many are told")
    sink.fault("down")                  # the upstream has to come back, too
    time.sleep(1)
    sink.fault("ok")
    before = sink.unique()
    t.check(rw.wait_for(lambda: sink.unique() > before, 30),
            "there are descriptors for the upstream")
    for s in held:
        s.close()
    t.check(rw.wait_for(lambda: ask(connect(relay.port, 1))[0] == 204, 30, 1),
            "and for edges when the others have gone")
    honest.signal(signal.SIGTERM)
    sent = honest.result()
    t.equal([honest.status, sent["retries"] + sent["conn_errors"]], [0, 0],
            "an edge that is there does not notice")
    t.join([honest], [sink], fine=False)
    rw.wait_for(lambda: sink.unique() > sent["acked"], 30)
    t.check(sink.unique() > sent["acked"], "nothing is lost")


class Attack(threading.Thread):
    """Connections that never say all: a byte of a head or of a body now and
    then; and some that ask without end and do not wait for what they are told.
    Who is cut off comes again."""

    def __init__(self, port, drips, floods, pause):
        super().__init__(daemon=True)
        self.port, self.pause, self.over = port, pause, False
        self.drips = [None] * drips
        self.floods = [None] * floods
        self.cut = 0

    def drip(self, i, s):
        if s is None or away(s):
            self.cut += s is not None
            s = connect(self.port, i)
            s.sendall(GOOD[:40 if i % 2 else -30])
            s.setblocking(False)
        else:
            s.send(b"a")
        return s

    def flood(self, i, s):
        if s is None:
            s = connect(self.port, 50 + i, 100)
            s.setblocking(False)
        s.send(GOOD * 4)
        s.recv(65536)
        return s

    def all(self, kind, one):
        for i, s in enumerate(kind):
            try:
                kind[i] = one(i, s)
            except BlockingIOError:
                pass
            except OSError:
                if s:
                    s.close()
                kind[i] = None

    def run(self):
        # elsewhere they would not take the relay's processors
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        due = 0
        while not self.over:
            if time.monotonic() > due:
                due = time.monotonic() + 0.3
                self.all(self.drips, self.drip)
            self.all(self.floods, self.flood)
            time.sleep(self.pause)

    def end(self):
        self.over = True
        self.join()
        for s in self.drips + self.floods:
            if s:
                s.close()


def honest(t, relay, seconds):
    load = t.load(relay, "--edges", 100 if rw.SWEEP else 10, "--connections", 1,
                  "--series", 50, "--samples-per-request", 50, "--rate",
                  5000 if rw.SWEEP else 1000, "--first-edge", 1000)
    time.sleep(seconds)
    load.signal(signal.SIGTERM)
    sent = load.result()
    t.equal([load.status, sent["retries"], sent["conn_errors"]], [0, 0, 0],
            "p99 of honest edges: %.1f ms" % sent["p99_ms"])
    return load, sent


with rw.Case("slow ones and floods beside honest edges") as t:
    sink = t.sink()
    relay = t.relay([sink], top="""header-timeout = 2s
        body-timeout = 1s
        max-connections-per-address = 100
        edge "127.0.*" {
            rate = 1
            burst = 1s
        }""")
    seconds = 20 if rw.SWEEP else 3
    loads = [honest(t, relay, seconds)]
    attack = Attack(relay.port, 500 if rw.SWEEP else 40, 50 if rw.SWEEP else 5,
                    0.002 if rw.SWEEP else 0.05)
    attack.start()
    loads.append(honest(t, relay, seconds))
    t.check(rw.wait_for(lambda: attack.cut > len(attack.drips), 20),
            "slow ones are cut off, and come again")
    t.check(rw.wait_for(lambda: relay.metric(
        "rwrelay_requests_total", reason="rate-limit") > 10, 20),
            "floods are refused")
    attack.end()
    t.check(closed(relay, "slow") >= len(attack.drips), "and are counted")
    t.join([l for l, _ in loads], [sink], fine=False)
    wanted = sum(s["acked"] for _, s in loads)
    rw.wait_for(lambda: sink.unique() >= wanted, 30)
    t.check(sink.unique() >= wanted, "honest ones' samples are all there")

with rw.Case("all come at once, over TLS") as t:
    n = MANY if rw.SWEEP else 100
    ca = certs.Authority(t.path("ca"), "ca")
    me, site = ca.issue("me", "IP:127.0.0.1"), ca.issue("site")
    # the edges have one processor together, and may be slow
    relay = t.relay([], scheme="https", top="header-timeout = 3m", listen="""
        certificate = "%s"
        key = "%s"
        client-ca = "%s"
        edge-name = address""" % (me.cert, me.key, ca.cert))

    def served():
        return relay.metric("rwrelay_requests_total", reason="ok") >= n
    for again in (0, 1):
        if again:
            t.equal(relay.stop(), 0, "the relay ends")
            relay.again()
        began = time.monotonic()
        load = t.load(relay, "--edges", n, "--connections", 1, "--series", 1,
                      "--samples-per-request", 1, "--rounds", 1,
                      "--first-seq", again, "--hold", 600, "--ca", ca.cert,
                      "--cert", site.cert, "--key", site.key, "--timeout",
                      200, "--max-backoff", 1)
        t.check(rw.wait_for(served, 200, 0.3), "%d are served after %.1f s, "
                "of which the relay worked %.1f: %.0f us for each" %
                (n, time.monotonic() - began, relay.cpu_seconds(),
                 relay.cpu_seconds() / n * 1e6))
        t.equal(closed(relay, "slow"), 0, "nobody was cut off")
        load.signal(signal.SIGTERM)
        sent = load.result()
        t.equal([load.status, sent["acked"], sent["refused"],
                 sent["timeouts"]], [0, n, 0, 0], "and all acknowledged")

rw.done()
