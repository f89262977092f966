#!/usr/bin/env python3
"""Who an edge is: by password, by token, by what proxies say of it; who is
refused, how, and what it costs the others; files that change under load.
SPDX-License-Identifier: Apache-2.0"""

import base64
import hashlib
import itertools
import os
import socket
import ssl
import struct
import threading
import time

import bodies as b
import certs
import rw

PASSWORD = "correct horse"
# Of that password: bcrypt, SHA-crypt, yescrypt, as cheap as they come
HASHES = {
    "by-2b": "$2b$04$KBCwKxOzLha2MUDgW0PjXexGfB5dmDvvvgEVjeeXiTo87i0yXWYau",
    "by-2y": "$2y$04$KBCwKxOzLha2MUDgW0PjXexGfB5dmDvvvgEVjeeXiTo87i0yXWYau",
    "by-5": "$5$rounds=1000$k2XAnEHBqQ1Ct2aM$"
            "CZKtMpY3YFTaUtD6aj3idKUkEw2Cgx.7d6g93aU54SD",
    "by-6": "$6$rounds=1000$k2XAnEHBqQ1Ct2aM$yfBXbHVNVf4J0eyDZhe27ipKodSqcTb"
            "LWkIV1mTNHVmYxiLcl4/RsaWmahApFz75S0UnbNJV9U1Xwm7FGZ9ab/",
    "by-y": "$y$j75$k2XAnEHBqQ1Ct2aMXFKNaR4Odd4$"
            "lbeGRx9ACc3cDT5lZ5Iw7zkIq65PRBoBMsw.V83BcC7",
}
CHEAP = HASHES["by-2b"]
# And one that takes a while
SLOW = ("$6$rounds=500000$k2XAnEHBqQ1Ct2aM$rTM0qYNIl3kJYyxsUOVATGxWvYQmYyiu"
        "axKWpMwfJO/Emozyhqo62DGdGrOLFdiwZ07mOUE1mzuO2juiFZBIe.")
NOW = itertools.count(int(time.time() * 1000))


def basic(user, password=PASSWORD):
    pair = base64.b64encode(("%s:%s" % (user, password)).encode()).decode()
    return "Basic " + pair


def good():
    """Not the same twice, which would be a repeat."""
    return b.snappy(b.field(1, b.field(1, b.field(1, b"__name__") +
                                       b.field(2, b"up")) +
                            b.field(2, b.sample(1, next(NOW)))))


def request(authorization=None, body=None, **more):
    headers = dict(b.V1)
    if authorization:
        headers["Authorization"] = authorization
    headers.update({k.replace("_", "-"): v for k, v in more.items()})
    return b.post(good() if body is None else body, headers)


def connect(relay, source="127.0.0.1"):
    s = socket.create_connection(("127.0.0.1", relay.port), 60,
                                 (source, 0))
    s.settimeout(60)
    return s


def head(s):
    """The head of one answer; its body is read and thrown away."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = s.recv(4096)
        if not piece:
            return answer.decode()
        answer += piece
    text, _, body = answer.partition(b"\r\n\r\n")
    for line in text.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            left = int(line.split(b":")[1]) - len(body)
            while left > 0:
                left -= len(s.recv(left))
    return text.decode()


def ask(relay, authorization=None, source="127.0.0.1", before=b"", **more):
    """One request over a connection of its own: the head of the answer."""
    with connect(relay, source) as s:
        try:
            s.sendall(before + request(authorization, **more))
            return head(s)
        except ConnectionError:
            return ""


def status(*args, **more):
    words = ask(*args, **more).split()
    return int(words[1]) if words else 0


def refused(relay, reason):
    return relay.metric("rwrelay_requests_total", reason=reason)


def from_edge(relay, name):
    return relay.metric("rwrelay_edge_samples_total", edge=name)


def lines(relay, event):
    return [l for l in relay.output().splitlines() if "event=%s " % event in l]


def digest(token):
    return hashlib.sha256(token.encode()).hexdigest()


def write(path, names):
    """As somebody should who replaces a file: whole or not at all."""
    with open(path + ".new", "w") as f:
        f.writelines("%s:%s\n" % pair for pair in names)
    os.rename(path + ".new", path)
    return path


def reloaded(relay, n, event="edges-reloaded"):
    return rw.wait_for(lambda: len(lines(relay, event)) >= n, 15)


with rw.Case("names by password and by token") as t:
    passwords = write(t.path("passwords"), HASHES.items())
    tokens = write(t.path("tokens"), [("by token", digest("token-1")),
                                      ("by token", digest("token-2"))])
    relay = t.relay([], listen='\tpassword-file = "%s"\n\ttoken-file = "%s"' %
                    (passwords, tokens))
    t.equal([status(relay, basic(name)) for name in HASHES], [204] * 5,
            "passwords of each kind are good")
    t.equal([status(relay, basic(name)) for name in HASHES], [204] * 5,
            "and good again")
    t.equal([from_edge(relay, name) for name in HASHES], [2] * 5,
            "edges are called by their users")
    t.equal([status(relay, "Bearer token-1"), status(relay, "bearer token-2")],
            [204, 204], "tokens are good")
    t.equal(from_edge(relay, "by token"), 2, "and edges called by them")
    answer = ask(relay)
    t.check(" 401 " in answer and
            'WWW-Authenticate: Basic realm="rwrelay"' in answer and
            'WWW-Authenticate: Bearer realm="rwrelay"' in answer,
            "who says nothing is told what to say")
    t.equal(refused(relay, "unauthorized"), 1, "and counted")
    wrong = ["Bearer token-3", "Bearer " + digest("token-1"), "Bearer",
             basic("nobody"), basic("by token"), "Basic !", "Digest x=y",
             basic("by-5", "horse"), basic("by-5", "horse")]
    t.equal([status(relay, w) for w in wrong], [401] * len(wrong),
            "what is not good is refused")
    t.equal(refused(relay, "bad-credential"), len(wrong), "and counted")
    t.equal(status(relay, basic("by-5", "a horse")), 503,
            "who guesses has to wait")
    t.equal(status(relay, basic("by-5")), 204,
            "but not who is known at that address")
    t.equal(status(relay, basic("by-5", "a horse"), "127.0.0.9"), 401,
            "nor another address")
    t.equal(refused(relay, "passwords-busy"), 1, "it is counted")
    t.equal(len(lines(relay, "edge-refused")), 2, "an address is told of once")
    with connect(relay) as s:
        s.sendall(request("Bearer no", Expect="100-continue")[:-9])
        answer = head(s)
        t.check(" 401 " in answer and "Connection: close" in answer,
                "no body is asked for")
    with connect(relay) as s:
        body = good()
        s.sendall(request("Bearer token-1", body,
                          Expect="100-continue")[:-len(body)])
        t.check(" 100 " in head(s), "unless it is wanted")
        s.sendall(body)
        t.check(" 204 " in head(s), "and then it is taken")
    t.equal(from_edge(relay, "127.0.0.1"), 0, "nothing was anonymous")
    told = relay.output() + rw.get(relay.admin, "/metrics") + \
        rw.get(relay.admin, "/edges") + rw.get(relay.admin, "/status")
    t.check(not any(secret in told for secret in (
        PASSWORD, "horse", "token-", CHEAP, digest("token-1"),
        basic("by-5")[6:])), "no secret is told anywhere")
    t.equal(relay.stop(), 0, "ended in order")

with rw.Case("anonymous edges") as t:
    tokens = write(t.path("tokens"), [("site", digest("token"))])
    relay = t.relay([], listen='\ttoken-file = "%s"\n\tanonymous = yes' %
                    tokens)
    t.equal([status(relay), status(relay, "Bearer token"),
             status(relay, "Bearer other"), status(relay, basic("site"))],
            [204, 204, 401, 401], "may come in, but not with a bad credential")
    t.equal([from_edge(relay, "127.0.0.1"), from_edge(relay, "site")], [1, 1],
            "each under its name")
    relay = t.relay([])
    t.equal(status(relay, "Bearer whatever"), 204,
            "without files the header says nothing")

with rw.Case("a certificate before all else") as t:
    ca = certs.Authority(t.path("ca"), "edges")
    me = ca.issue("relay", "IP:127.0.0.1")
    site = ca.issue("certified")
    passwords = write(t.path("passwords"), [("site", CHEAP)])
    relay = t.relay([], scheme="https", listen="\n".join("\t" + l for l in (
        'certificate = "%s"' % me.cert, 'key = "%s"' % me.key,
        'client-ca = "%s"' % ca.cert, "client-verify = optional",
        'password-file = "%s"' % passwords)))

    def talk(party, authorization=None):
        c = ssl.create_default_context(cafile=ca.cert)
        if party:
            c.load_cert_chain(party.cert, party.key)
        with c.wrap_socket(connect(relay),
                           server_hostname="127.0.0.1") as s:
            s.sendall(request(authorization))
            return int(head(s).split()[1])

    t.equal([talk(site), talk(site, basic("site")), talk(site, basic("x"))],
            [204] * 3, "with one nothing else is looked at")
    t.equal(from_edge(relay, "certified"), 3, "it names the edge")
    t.equal([talk(None, basic("site")), talk(None), talk(None, basic("x"))],
            [204, 401, 401], "without one there has to be a password")
    t.equal(from_edge(relay, "site"), 1, "which names the edge")

with rw.Case("files that change under load") as t:
    sink = t.sink()
    tokens = write(t.path("tokens"), [("site-a", digest("a-1")),
                                      ("site-b", digest("b-1"))])
    passwords = write(t.path("passwords"), [("site-c", HASHES["by-5"]),
                                            ("site-d", HASHES["by-6"])])
    relay = t.relay([sink], listen='\ttoken-file = "%s"\n\t'
                    'password-file = "%s"' % (tokens, passwords))
    loads = [t.load(relay, "--series", 200, "--samples-per-request", 100,
                    "--rate", 2000, "--rounds", 80, "--first-edge", i,
                    "--requests-per-connection", 40,
                    "--header", "Authorization: %s" % who)
             for i, who in enumerate(["Bearer a-1", basic("site-c")])]
    time.sleep(0.5)
    t.equal([status(relay, "Bearer b-1"), status(relay, basic("site-d"))],
            [204, 204], "who is known comes in")
    write(tokens, [("site-a", digest("a-1")), ("site-a", digest("a-2"))])
    write(passwords, [("site-c", HASHES["by-5"]), ("site-e", CHEAP)])
    reloaded(relay, 2)
    t.equal([status(relay, "Bearer b-1"), status(relay, basic("site-d")),
             status(relay, "Bearer a-2"), status(relay, basic("site-e"))],
            [401, 401, 204, 204], "then others do")
    write(tokens, [("site-a", "secret")])
    write(passwords, [("site-c", "$apr1$x$y")])
    reloaded(relay, 2, "edges-not-reloaded")
    told = lines(relay, "edges-not-reloaded")
    t.check(len(told) == 2 and all(":1 " in l for l in told) and
            not any("secret" in l or "apr1" in l for l in told),
            "bad files are told of, by their lines")
    t.equal([status(relay, "Bearer a-2"), status(relay, basic("site-e"))],
            [204, 204], "and change nothing")
    sent = [l.result() for l in loads]
    t.equal([l.status for l in loads], [0, 0], "all was acknowledged")
    t.equal(sum(s["retries"] + s["conn_errors"] + s["refused"]
                for s in sent), 0, "at the first try")
    t.delivered(sink, sum(s["acked"] for s in sent) + 6, relay)

def proxy_v2(command, kind, addresses, more=b""):
    data = addresses + more
    return (b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x20 | command, kind]) +
            struct.pack(">H", len(data)) + data)


V4 = socket.inet_aton("203.0.113.9") + bytes(8)
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::9") + bytes(20)

with rw.Case("proxies that say for whom they speak") as t:
    ca = certs.Authority(t.path("ca"), "edges")
    me = ca.issue("relay", "IP:127.0.0.1")
    relay = t.relay([], top="header-timeout = 1s",
                    listen='\tproxy-protocol = { "127.0.0.8/31", "unix" }')
    for header, name in (
            (b"PROXY TCP4 203.0.113.8 192.0.2.1 1 2\r\n", "203.0.113.8"),
            (b"PROXY TCP6 2001:db8::8 ::1 1 2\r\n", "2001:db8::8"),
            (b"PROXY UNKNOWN\r\n", "127.0.0.9"),
            (proxy_v2(1, 0x11, V4), "203.0.113.9"),
            (proxy_v2(1, 0x21, V6, b"\4\0\2xx"), "2001:db8::9"),
            (proxy_v2(0, 0, b""), "127.0.0.9"),
            (proxy_v2(1, 0, b""), "127.0.0.9")):
        before = from_edge(relay, name)
        t.equal(status(relay, None, "127.0.0.9", header), 204,
                "%s... is taken" % header[:20])
        t.equal(from_edge(relay, name), before + 1, "and is %s" % name)
    with connect(relay, "127.0.0.8") as s:
        for byte in proxy_v2(1, 0x11, V4, b"x" * 30):
            s.sendall(bytes([byte]))
            time.sleep(0.002)
        s.sendall(request())
        t.check(" 204 " in head(s), "in pieces, too")
    t.equal(from_edge(relay, "203.0.113.9"), 2, "by the same name")

    def closed(reason):
        return relay.metric("rwrelay_connections_closed_total", reason=reason)

    t.equal([status(relay, None, "127.0.0.9", h) for h in (
        b"", b"PROXY TCP4 x\r\n", b"\x16\x03\x01")], [0] * 3,
        "without a good one a proxy is not let in")
    t.equal(closed("bad-proxy-header"), 3, "and counted")
    t.equal(len(lines(relay, "proxy-refused")), 3, "and told of")
    with connect(relay, "127.0.0.9") as s:
        s.sendall(b"PROXY ")
        t.equal(s.recv(1), b"", "nor is one that is slow")
    t.equal(closed("slow"), 1, "which is counted")
    t.equal([status(relay), status(relay, None, "127.0.0.1",
                                   proxy_v2(1, 0x11, V4))], [204, 400],
            "others come without")
    t.equal(relay.stop(), 0, "ended in order")

    relay = t.relay([], scheme="https", listen="\n".join("\t" + l for l in (
        'certificate = "%s"' % me.cert, 'key = "%s"' % me.key,
        'proxy-protocol = "127.0.0.1"')))
    plain = connect(relay)
    plain.sendall(proxy_v2(1, 0x11, V4))
    with ssl.create_default_context(cafile=ca.cert).wrap_socket(
            plain, server_hostname="127.0.0.1") as s:
        s.sendall(request())
        t.check(" 204 " in head(s), "TLS follows the header")
    t.equal(from_edge(relay, "203.0.113.9"), 1, "which names the edge")

with rw.Case("proxies that speak HTTP") as t:
    tokens = write(t.path("tokens"), [("site", digest("token"))])
    relay = t.relay([], listen='\tforwarded-from = "127.0.0.8/31"\n'
                    '\tproxy-protocol = "127.0.0.7"\n'
                    '\ttoken-file = "%s"\n\tanonymous = yes' % tokens)

    def asked(source, chain, authorization=None, before=b""):
        """Who is asked for then: which counter has moved."""
        was = relay.metrics()
        code = status(relay, authorization, source, before,
                      X_Forwarded_For=chain)
        return code, [k.split('"')[1] for k, v in relay.metrics().items()
                      if k.startswith("rwrelay_edge_samples_total") and
                      v != was.get(k, 0)]

    t.equal(asked("127.0.0.9", "192.0.2.1, 203.0.113.9, 127.0.0.8"),
            (204, ["203.0.113.9"]), "the rightmost that is not trusted")
    t.equal(asked("127.0.0.9", "203.0.113.9, nonsense"),
            (204, ["127.0.0.9"]), "of nonsense the proxy's own")
    t.equal(asked("127.0.0.1", "203.0.113.9"), (204, ["127.0.0.1"]),
            "others are not believed")
    t.equal(asked("127.0.0.9", "203.0.113.9", "Bearer token"),
            (204, ["site"]), "a name counts before it")
    t.equal(asked("127.0.0.9", "203.0.113.9", "Bearer x"), (401, []),
            "and has to be good")
    t.check(any("edge=203.0.113.9 " in l for l in
                lines(relay, "edge-refused")), "who is refused is told of")
    t.equal(asked("127.0.0.7", "203.0.113.9", None,
                  b"PROXY TCP4 127.0.0.8 127.0.0.1 1 2\r\n"),
            (204, ["203.0.113.9"]), "by way of both")
    t.equal(asked("127.0.0.7", "203.0.113.9", None,
                  b"PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n"),
            (204, ["192.0.2.1"]), "if that is whom it comes from")

with rw.Case("slow hashes stall nobody") as t:
    passwords = write(t.path("passwords"), [("quick", CHEAP), ("slow", SLOW)])
    relay = t.relay([], listen='\tpassword-file = "%s"' % passwords)
    t.equal(status(relay, basic("quick")), 204, "an edge is known")
    answers = []
    threads = [threading.Thread(target=lambda i=i: answers.append(
        ("slow", status(relay, basic("slow", "guess %d" % i),
                        "127.0.1.%d" % (i + 1))))) for i in range(3)]
    for thread in threads:
        thread.start()
    rw.wait_for(lambda: relay.metric("rwrelay_connections") >= 3, 10)
    for i in range(10):
        answers.append(("quick", status(relay, basic("quick"))))
    before = [a[0] for a in answers].index("slow") if any(
        a[0] == "slow" for a in answers) else 10
    for thread in threads:
        thread.join()
    t.check(before > 0, "its requests are answered meanwhile")
    t.equal([a for a in answers if a[0] == "quick"], [("quick", 204)] * 10,
            "each of them")
    t.check(all(a[1] in (401, 503) for a in answers if a[0] == "slow"),
            "and those with slow ones later, or when they come again")
    pending = connect(relay, "127.0.2.1")
    pending.sendall(request(basic("slow")))
    t.equal(status(relay, basic("quick")), 204, "one is being checked")
    t.equal(relay.stop(), 0, "ended in order")
    t.check(" 503 " in head(pending), "and was told to come again")

with rw.Case("files that will not do") as t:
    for name, text, says in (
            ("password-file", "a:" + CHEAP + "\nb:secret\n", ":2: "),
            ("token-file", "a:b:c\n", ":1: "),
            ("token-file", None, "No such file")):
        path = t.path("file")
        if text is not None:
            with open(path, "w") as f:
                f.write(text)
        elif os.path.exists(path):
            os.remove(path)
        with open(t.path("conf"), "w") as f:
            f.write('listen edge {\n\taddress = "127.0.0.1:1"\n\t%s = "%s"\n'
                    '}\n' % (name, path))
        p = rw.Process(t, t.name("check"), [rw.RELAY, "-n", "-f",
                                            t.path("conf")])
        t.equal(p.wait(20), 1, "%s is refused" % name)
        t.check(says in p.output() and name in p.output() and
                "secret" not in p.output(), "with the place: %s" % says)

rw.done()
