#!/usr/bin/env python3
"""TLS in and out: who is let in and how he is called, what an upstream has to
show, certificates that are replaced under load, and hands that are never
shaken.
SPDX-License-Identifier: Apache-2.0"""

import os
import resource
import shutil
import socket
import ssl
import subprocess
import time

import bodies as b
import certs
import rw

HERE = "IP:127.0.0.1,DNS:localhost"
GOOD = b.field(1, b.field(1, b.field(1, b"__name__") + b.field(2, b"up")) +
               b.field(2, b.sample(1, int(time.time() * 1000))))
LOAD = ("--series", 200, "--samples-per-request", 100)


def listen(cert, key, **more):
    """The directives of a listen section."""
    lines = ['certificate = "%s"' % cert, 'key = "%s"' % key]
    lines += ['%s = "%s"' % (name.replace("_", "-"), value)
              for name, value in more.items()]
    return "\t" + "\n\t".join(lines)


def client(ca, party=None, version=None):
    c = ssl.create_default_context(cafile=ca.cert)
    if party:
        c.load_cert_chain(party.cert, party.key)
    if version:
        c.minimum_version = c.maximum_version = version
    return c


def talk(relay, context, name="127.0.0.1", session=None, request=None):
    """One request over a connection of its own: the status, and the socket as
    it then is. 0: not let in."""
    request = request or b.post(b.snappy(GOOD), b.V1)
    plain = socket.create_connection(("127.0.0.1", relay.port), 20)
    try:
        s = context.wrap_socket(plain, server_hostname=name, session=session)
        s.sendall(request)
        answer = s.recv(4096)
    except (ssl.SSLError, ConnectionError):
        plain.close()
        return 0, None
    return int(answer.split()[1]) if answer else 0, s


def leave(s):
    """In order: the session of a connection that just breaks off is void."""
    try:
        s.unwrap()
    except OSError:
        pass
    s.close()


def status(*args, **more):
    code, s = talk(*args, **more)
    if s:
        s.close()
    return code


def closed(relay, reason):
    return relay.metric("rwrelay_connections_closed_total", reason=reason)


def lines(relay, event):
    return [l for l in relay.output().splitlines() if "event=%s " % event in l]


def from_edge(relay, name):
    return relay.metric("rwrelay_edge_samples_total", edge=name)


def reloaded(relay, n):
    """Waits until files have been read again n times in all."""
    return rw.wait_for(lambda: len(lines(relay, "tls-reloaded")) >= n, 15)


with rw.Case("TLS on both sides, with certificates on both") as t:
    edges = certs.Authority(t.path("edges"), "edges")
    stores = certs.Authority(t.path("stores"), "stores")
    me = edges.issue("relay", HERE)
    mine = stores.issue("relay at the store")
    store = stores.issue("store", HERE)
    sites = [edges.issue("site %d" % i) for i in range(2)]
    sink = t.sink(tls=("--cert", store.cert, "--key", store.key, "--ca",
                       stores.cert))
    relay = t.relay([sink], scheme="https",
                    listen=listen(me.cert, me.key, client_ca=edges.cert,
                                  client_crl=edges.crl),
                    upstream='\tca = "%s"\n\tcertificate = "%s"\n\tkey = "%s"'
                    % (stores.cert, mine.cert, mine.key))
    loads = [t.load(relay, "--series", 5000, "--rounds", 20, "--first-edge", i,
                    "--ca", edges.cert, "--cert", s.cert, "--key", s.key,
                    "--requests-per-connection", 20)
             for i, s in enumerate(sites)]
    sent = [l.result() for l in loads]
    t.equal([l.status for l in loads], [0, 0], "all was acknowledged")
    t.equal(sum(s["retries"] + s["conn_errors"] for s in sent), 0,
            "at the first try")
    t.delivered(sink, 200000, relay)
    t.fine(sink)
    t.equal([from_edge(relay, "site %d" % i) for i in range(2)],
            [100000, 100000], "edges are called by their certificates")
    t.equal(relay.metric("rwrelay_tls_failures_total"), 0, "nothing failed")
    t.check(sink.summary()["connections"] <= 4, "connections are kept")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        code, s = talk(relay, client(edges, sites[0], version))
        t.equal(code, 204, "%s is spoken" % s.version())
        s.close()
    t.equal(relay.stop(), 0, "ended in order")

with rw.Case("who is let in") as t:
    ca = certs.Authority(t.path("edges"), "edges")
    foreign = certs.Authority(t.path("foreign"), "edges")
    me = ca.issue("relay", HERE)
    site = ca.issue("site", "DNS:site.example")
    relay = t.relay([], scheme="https",
                    listen=listen(me.cert, me.key, client_ca=ca.cert,
                                  client_crl=ca.crl))
    t.equal(status(relay, client(ca, site)), 204, "a site with a certificate")
    t.equal(from_edge(relay, "site"), 1, "is called by it")
    for reason, party in (
            ("certificate-missing", None),
            ("certificate-unknown", foreign.issue("site")),
            ("certificate-expired", ca.issue("old", first=-9, last=-1)),
            ("certificate-expired", ca.issue("young", first=1, last=9))):
        before = closed(relay, reason)
        t.equal(status(relay, client(ca, party)), 0, "not let in: %s" % reason)
        rw.wait_for(lambda: closed(relay, reason) > before, 5)
        t.equal(closed(relay, reason), before + 1, "and counted")
        t.check(any("reason=%s " % reason in l and
                    ("subject=" in l) == (party is not None) for l in
                    lines(relay, "edge-not-let-in")), "and told of")
    gone = ca.issue("gone")
    code, s = talk(relay, client(ca, gone))
    t.equal(code, 204, "a site that is yet to be revoked")
    session = client(ca, gone)
    _, first = talk(relay, session)
    ticket = first.session
    leave(first)
    _, again = talk(relay, session, session=ticket)
    t.check(again.session_reused, "sessions are resumed")
    ticket = again.session
    leave(again)
    ca.revoke(gone)
    t.check(reloaded(relay, 1), "the revocation list is read again")
    t.equal(status(relay, client(ca, gone)), 0, "a revoked site is not let in")
    t.equal(status(relay, session, session=ticket), 0,
            "nor with the session of before")
    rw.wait_for(lambda: closed(relay, "certificate-revoked") > 1, 5)
    t.equal(closed(relay, "certificate-revoked"), 2, "which is counted")
    t.check('subject="/CN=gone"' in lines(relay, "edge-not-let-in")[-1],
            "with the name that it has")
    t.equal(status(relay, client(ca, site)), 204, "the others are")
    s.sendall(b.post(b.snappy(GOOD), b.V1))
    t.check(s.recv(4096).startswith(b"HTTP/1.1 204"),
            "and connections that there are go on")
    t.equal(status(relay, ssl.create_default_context()), 0,
            "a client that does not trust the relay")
    with socket.create_connection(("127.0.0.1", relay.port), 20) as s:
        s.sendall(b.post(b.snappy(GOOD), b.V1))
        t.check(not s.recv(4096).startswith(b"HTTP"), "nor without TLS")

with rw.Case("certificates where they may be, names from elsewhere") as t:
    ca = certs.Authority(t.path("edges"), "edges")
    me = ca.issue("relay", HERE)
    site = ca.issue("site", "IP:192.0.2.7,DNS:site.example")
    relay = t.relay([], scheme="https", listen=listen(
        me.cert, me.key, client_ca=ca.cert, client_verify="optional",
        edge_name="san", tls_min="1.3"))
    t.equal(status(relay, client(ca)), 204, "without a certificate")
    t.equal(from_edge(relay, "127.0.0.1"), 1, "an edge is its address")
    t.equal(status(relay, client(ca, site)), 204, "with one")
    t.equal(from_edge(relay, "site.example"), 1, "it has the name in it")
    t.equal(status(relay, client(ca, ca.issue("plain"))), 0,
            "unless there is none")
    t.equal(status(relay, client(ca, site, ssl.TLSVersion.TLSv1_2)), 0,
            "1.2 is too little")

with rw.Case("several certificates, and others in their place") as t:
    ca = certs.Authority(t.path("ca"), "ca")
    parties = [ca.issue("a", HERE), ca.issue("b", "DNS:b.example"),
               ca.issue("c", "DNS:*.c.example")]
    files = [(t.path("%d.pem" % i), t.path("%d.key" % i)) for i in range(3)]
    for p, f in zip(parties, files):
        p.put(*f)
    relay = t.relay([], scheme="https", listen="\tcertificate = { %s }\n"
                    "\tkey = { %s }" % tuple(
                        ", ".join('"%s"' % f[i] for f in files)
                        for i in range(2)))

    def shown(name, check=True):
        c = client(ca)
        c.check_hostname = check
        code, s = talk(relay, c, name)
        if not s:
            return None
        subject = s.getpeercert()["subject"][0][0][1]
        s.close()
        return subject

    t.equal([shown("127.0.0.1"), shown("localhost"), shown("b.example"),
             shown("x.c.example"), shown("nobody.example", False)],
            ["a", "a", "b", "c", "a"], "the name asked for is shown")
    ca.issue("b2", "DNS:b.example").put(*files[1])
    t.check(reloaded(relay, 1), "one is replaced")
    t.equal(shown("b.example"), "b2", "and shown")
    os.remove(files[2][1])
    rw.wait_for(lambda: lines(relay, "tls-not-reloaded"), 15)
    time.sleep(5)
    t.equal(len(lines(relay, "tls-not-reloaded")), 1,
            "a key that is missing is told of once")
    t.equal(shown("x.c.example"), "c", "and what there was is shown")

with rw.Case("certificates are replaced under load") as t:
    ca = certs.Authority(t.path("ca"), "ca")
    store = certs.Authority(t.path("stores"), "stores")
    cert, key = t.path("relay.pem"), t.path("relay.key")
    trust = t.path("trust.pem")
    shutil.copy(store.cert, trust)
    ca.issue("relay 0", HERE).put(cert, key)
    site = ca.issue("site")
    there = store.issue("store", HERE)
    sink = t.sink(tls=("--cert", there.cert, "--key", there.key))
    relay = t.relay([sink], scheme="https",
                    listen=listen(cert, key, client_ca=ca.cert),
                    upstream='\tca = "%s"' % trust)
    load = t.load(relay, *LOAD, "--rate", 4000, "--connections", 4,
                  "--requests-per-connection", 3, "--ca", ca.cert, "--cert",
                  site.cert, "--key", site.key)
    time.sleep(1)
    for i in range(1, 3):
        ca.issue("relay %d" % i, HERE).put(cert, key)
        t.check(reloaded(relay, i), "replaced")
    with open(cert, "w") as f:
        f.write("not a certificate")
    rw.wait_for(lambda: lines(relay, "tls-not-reloaded"), 15)
    ca.issue("relay 3", HERE).put(cert, key)
    t.check(reloaded(relay, 3), "replaced after a bad one")
    with open(trust, "a") as f, open(ca.cert) as more:
        f.write(more.read())
    t.check(reloaded(relay, 4), "an authority more for the upstream")
    _, s = talk(relay, client(ca, site))
    t.equal(s.getpeercert()["subject"][0][0][1], "relay 3", "the last is shown")
    s.close()
    load.signal(rw.signal.SIGTERM)
    sent = load.result()
    t.equal(load.status, 0, "all was acknowledged")
    t.equal(sent["retries"] + sent["conn_errors"] + sent["timeouts"], 0,
            "no request and no connection was lost")
    t.check(sent["requests"] > 100, "of %d" % sent["requests"])
    t.delivered(sink, sent["acked"] + 1, relay)
    t.join([load], [sink], "--max-duplicates", 0)
    t.equal(len(lines(relay, "tls-not-reloaded")), 1,
            "the bad one is told of once")

with rw.Case("an upstream that is not what it should be") as t:
    ca = certs.Authority(t.path("ca"), "ca")
    other = certs.Authority(t.path("other"), "other")
    good = ca.issue("store", HERE)
    named = ca.issue("store", "DNS:store.example")
    trust = t.path("trust.pem")
    shutil.copy(other.cert, trust)

    def tls(party, *more):
        return ("--cert", party.cert, "--key", party.key, *more)

    plain = t.relay([])
    plain.scheme = "https"
    sinks = [t.sink(tls=tls(good)), t.sink(tls=tls(named)),
             t.sink(tls=tls(ca.issue("store", HERE, first=-9, last=-1))),
             plain, t.sink(tls=tls(good, "--ca", ca.cert)),
             t.sink(tls=tls(named))]
    trusted = '\tca = "%s"' % ca.cert
    relay = t.relay(sinks, upstream=[
        '\tca = "%s"' % trust, trusted, trusted, trusted, trusted,
        trusted + '\n\tserver-name = "store.example"'])
    load = t.load(relay, *LOAD, "--rounds", 10)
    sent = load.result()
    expected = ["certificate-unknown", "certificate-name",
                "certificate-expired", "not-tls", "tls-refused"]
    rw.wait_for(lambda: len(lines(relay, "upstream-held")) >= 5, 20)
    time.sleep(3)
    for i, reason in enumerate(expected):
        held = [l for l in lines(relay, "upstream-held")
                if "upstream=up%d " % i in l]
        t.check(len(held) == 1 and "reason=%s " % reason in held[0],
                "%s: told of once" % reason)
        t.check(relay.metric("rwrelay_tls_failures_total", reason=reason) > 1,
                "and counted each time")
        t.equal(relay.metric("rwrelay_upstream_held", upstream="up%d" % i), 1,
                "and shown")
    t.delivered(sinks[5], sent["acked"])
    # what can be mended without touching the relay's config
    shutil.copy(ca.cert, trust)
    sinks[2].end()
    sinks[2] = t.sink(port=sinks[2].port, tls=tls(good))
    rw.wait_for(lambda: all(sinks[i].unique() >= sent["acked"]
                            for i in (0, 2)), 60, 0.2)
    for i in (0, 2):
        t.equal(sinks[i].unique(), sent["acked"],
                "%s: mended, and nothing is missing" % expected[i])
    t.equal([len(lines(relay, "upstream-back")), sinks[1].unique(),
             sinks[4].unique()], [2, 0, 0], "the others still wait")

with rw.Case("hands that are never shaken") as t:
    ca = certs.Authority(t.path("ca"), "ca")
    me = ca.issue("relay", HERE)
    sink = t.sink()
    relay = t.relay([sink], scheme="https", listen=listen(me.cert, me.key),
                    top="header-timeout = 2s\nworkers = 2")
    honest = t.load(relay, *LOAD, "--rate", 2000, "--connections", 2, "--ca",
                    ca.cert, "--requests-per-connection", 50)
    time.sleep(0.5)
    hello = b"\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03"
    held = []
    for i in range(400):
        s = socket.create_connection(("127.0.0.1", relay.port), 20)
        s.sendall((b"", hello[:3], hello)[i % 3])
        held.append(s)
    began = time.monotonic()
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(3000),
                    b"\x16\x03\x01\x40\x00" + os.urandom(16384),
                    b"\x80\x2e\x01\x03\x01" + os.urandom(60),
                    b"\x15\x03\x01\x00\x02\x02\x28", b"\0" * 100000):
        s = socket.create_connection(("127.0.0.1", relay.port), 20)
        try:
            s.sendall(garbage)
            while s.recv(4096):
                pass
        except OSError:
            pass
        s.close()
    t.check(relay.running(), "garbage does no harm")

    def over(s):
        s.setblocking(False)
        try:
            return s.recv(4096) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True
    for s in held[::7]:
        try:
            s.send(b"\x55")     # a byte more is no reason to wait longer
        except OSError:
            pass
    rw.wait_for(lambda: all(over(s) for s in held), 10, 0.2)
    t.check(all(over(s) for s in held), "slow ones are cut after %.1f s" %
            (time.monotonic() - began))
    t.check(closed(relay, "slow") >= 390, "and counted")
    for s in held:
        s.close()
    honest.signal(rw.signal.SIGTERM)
    sent = honest.result()
    t.equal([honest.status, sent["retries"] + sent["conn_errors"]], [0, 0],
            "an honest edge beside them does not notice")
    t.delivered(sink, sent["acked"], relay)

with rw.Case("connections that have nothing to say") as t:
    ca = certs.Authority(t.path("ca"), "ca")
    me = ca.issue("relay", HERE)
    relay = t.relay([], scheme="https", listen=listen(
        me.cert, me.key, client_ca=ca.cert, client_verify="optional"),
        top="workers = 1\nmax-connections-per-address = 0")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    some, n = [], 1000
    for what, c in (("without", client(ca)),
                    ("with", client(ca, ca.issue("site")))):
        some += [talk(relay, c) for _ in range(50)]
        before = relay.rss()
        some += [talk(relay, c) for _ in range(n)]
        took = (relay.rss() - before) // n
        # memory is asked for by the megabyte
        t.check(took <= (24 << 10) + (1 << 20) // n or rw.SANITIZED,
                "%d bytes for one %s a certificate" % (took, what))
    t.equal([code for code, _ in some], [204] * 2 * (50 + n), "all let in")
    for _, s in some:
        s.close()

with rw.Case("mistakes are said before anything starts") as t:
    ca = certs.Authority(t.path("ca"), "ca")
    me, you = ca.issue("me"), ca.issue("you")
    config = t.path("bad.conf")
    with open(config, "w") as f:
        f.write('listen edge {\n\taddress = "127.0.0.1:1"\n%s\n}\n' %
                listen(me.cert, you.key))
    r = subprocess.run([rw.RELAY, "-n", "-f", config], text=True,
                       stderr=subprocess.PIPE)
    t.equal((r.returncode, r.stderr), (1, "rwrelay: %s:4: listen \"edge\": "
            "directive key: value %s: is not the key of %s\n" %
            (config, you.key, me.cert)), "a key of another certificate")

rw.done()
