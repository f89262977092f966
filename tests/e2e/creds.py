#!/usr/bin/env python3
"""What an upstream is shown: passwords and tokens from files that are replaced
under load, and tokens of an OAuth2 server that is away, and that revokes. None
of it can be read anywhere.
SPDX-License-Identifier: Apache-2.0"""

import base64
import http.server
import json
import os
import ssl
import subprocess
import threading
import urllib.parse

import certs
import rw

LOAD = ("--edges", 3, "--series", 500, "--samples-per-request", 250,
        "--rate", 2000)


def write(path, text, mode=0o600):
    """Takes the place of what was there."""
    with open(path + ".new", "w") as f:
        f.write(text)
    os.chmod(path + ".new", mode)
    os.rename(path + ".new", path)


def basic(user, password):
    return "Basic " + base64.b64encode(
        ("%s:%s" % (user, password)).encode()).decode()


def told(relay, event):
    return [line for line in relay.output().splitlines()
            if " event=%s " % event in line]


def check_secrecy(t, relay, secrets):
    """In nothing that the relay says, and nothing that others see of it."""
    said = relay.output()
    for path in ("/metrics", "/status", "/"):
        try:
            said += rw.get(relay.admin, path)
        except OSError:
            pass
    for command in ("status", "upstreams"):
        said += "".join(map(str, relay.ctl(command)))
    for name in ("cmdline", "environ"):
        with open("/proc/%d/%s" % (relay.child.pid, name), "rb") as f:
            said += f.read().decode(errors="replace")
    shown = [s for s in secrets if s in said]
    t.check(not shown, "no secret is shown anywhere%s" %
            (": %s" % shown if shown else ""))


class Tokens:
    """An OAuth2 server, and the file by which a sink takes its last two."""

    def __init__(self, t, name, secret, context=None):
        self.path, self.secret = t.path("authorized-" + name), secret
        self.secret_path = t.path("secret-" + name)
        self.issued, self.errors, self.life = [], 0, 2
        self.away = False
        tokens = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.answer(*tokens.ask(self.headers["Authorization"],
                                        urllib.parse.parse_qs(body.decode())))

            def answer(self, status, what):
                body = json.dumps(what).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        if context:
            self.server.socket = context.wrap_socket(self.server.socket,
                                                     server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.1,),
                         daemon=True).start()
        self.url = "http%s://127.0.0.1:%d/token" % (
            "s" if context else "", self.server.server_address[1])
        self.allow()

    def ask(self, authorization, form):
        if self.away:
            return 503, {"error": "temporarily_unavailable"}
        # RFC 6749 2.3.1: encoded as in a form first
        if authorization != basic("relay", urllib.parse.quote_plus(
                self.secret)) or form != {
                "grant_type": ["client_credentials"],
                "scope": ["write more"], "audience": ["metrics"]}:
            self.errors += 1
            return 401, {"error": "invalid_client"}
        self.issued.append("token-%d-%s" % (len(self.issued),
                                            os.urandom(6).hex()))
        self.allow()
        return 200, {"access_token": self.issued[-1], "token_type": "Bearer",
                     "expires_in": self.life}

    def allow(self, last=2):
        write(self.path, "".join("Bearer %s\n" % token
                                 for token in self.issued[-last:] if last))

    def write_secret(self):
        write(self.secret_path, self.secret + "\n")

    def config(self, more=""):
        self.write_secret()
        return """
	oauth2 {
		token-url = "%s"
		client-id = "relay"
		client-secret-file = "%s"
		scopes = { "write", "more" }
		endpoint-params = { "audience=metrics" }
		%s
	}
""" % (self.url, self.secret_path, more)


def held(relay, upstream):
    return relay.metric("rwrelay_upstream_held", upstream=upstream) == 1


def of(upstream, lines):
    return [line for line in lines if "upstream=%s " % upstream in line]


def all_arrived(t, relay, loads, sinks):
    for load in loads:
        load.result()
        t.equal(load.status, 0, "all was acknowledged")
    rw.wait_for(relay.drained, 40, 0.1)
    for sink in sinks:
        t.join(loads, [sink], "--max-duplicates", 0)
        t.fine(sink)
    t.equal(relay.metric("rwrelay_upstream_refused_samples_total"), 0,
            "nothing was set aside")


class Shown:
    """A secret of a kind, in a file, and a sink that wants it."""

    def __init__(self, t, kind, directives, value):
        self.kind, self.value = kind, value
        self.path = t.path(kind)
        self.authorized = t.path("authorized-" + kind)
        self.relay_has("first-" + kind)
        self.sink_wants("first-" + kind)
        self.sink = t.sink(authorized=self.authorized)
        self.directives = directives % self.path

    def relay_has(self, secret, mode=0o600):
        write(self.path, secret + "\n", mode)

    def sink_wants(self, secret):
        write(self.authorized, self.value(secret) + "\n")

    def secrets(self):
        return [what(n + self.kind) for n in ("first-", "second-")
                for what in (str, self.value)]


with rw.Case("a password and a token are replaced under load") as t:
    both = [Shown(t, "password", '\tusername = "relay"\n'
                  '\tpassword-file = "%s"\n', lambda s: basic("relay", s)),
            Shown(t, "token", '\ttoken-file = "%s"\n',
                  lambda s: "Bearer " + s)]
    relay = t.relay([b.sink for b in both],
                    upstream=[b.directives for b in both])
    load = t.load(relay, *LOAD, "--duration", 4)
    for b in both:
        t.check(rw.wait_for(lambda: b.sink.unique() > 500, 20),
                "the %s lets it in" % b.kind)
        t.equal(b.sink.summary()["unauthorized"], 0, "at once")
        b.sink_wants("second-" + b.kind)
    for i, b in enumerate(both):
        t.check(rw.wait_for(lambda: held(relay, "up%d" % i), 20),
                "then the %s does not any more" % b.kind)
        b.relay_has("second-" + b.kind, 0o644)
        b.before = b.sink.unique()
    for i, b in enumerate(both):
        # the wait for who is refused is 30 seconds at least
        t.check(rw.wait_for(lambda: b.sink.unique() > b.before, 15),
                "and the new one is used at once")
        t.equal(len(of("up%d" % i, told(relay, "upstream-held"))), 1,
                "the log has one line")
        t.equal(len(of("up%d" % i, told(relay, "secret-exposed"))), 1,
                "and one for a file that all may read")
    all_arrived(t, relay, [load], [b.sink for b in both])
    check_secrecy(t, relay, both[0].secrets() + both[1].secrets())

with rw.Case("a file that will not do") as t:
    secret = t.path("secret")
    write(secret, "two words")
    with open(t.path("conf"), "w") as f:
        f.write('listen edge { address = "127.0.0.1:1" }\n'
                'upstream a {\n\turl = "http://a/"\n\ttoken-file = "%s"\n}\n' %
                secret)
    r = subprocess.run([rw.RELAY, "-n", "-f", t.path("conf")],
                       stderr=subprocess.PIPE, text=True)
    t.equal(r.returncode, 1, "the configuration is refused")
    t.check('upstream "a": directive token-file: ' in r.stderr and
            "no blanks" in r.stderr and "two" not in r.stderr,
            "with a line that says why, and not the secret")

with rw.Case("two OAuth2 servers: one revokes, one is away") as t:
    ca = certs.Authority(t.path("ca"), "login")
    party = ca.issue("login", san="IP:127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(party.cert, party.key)
    one = Tokens(t, "one", "client%secret &+", context)
    two = Tokens(t, "two", "secret-of-client")
    two.away = True
    sinks = [t.sink(authorized=s.path) for s in (one, two)]
    relay = t.relay(sinks, upstream=[one.config('ca = "%s"' % ca.cert),
                                     two.config()])
    loads = [t.load(relay, *LOAD, "--duration", 4)]

    t.check(rw.wait_for(lambda: relay.metric(
        "rwrelay_upstream_token_failures_total", upstream="up1") > 1, 20),
        "one that is away is asked again")
    t.check(held(relay, "up1"), "the upstream is held")
    lines = of("up1", told(relay, "upstream-held"))
    t.check(len(lines) == 1 and "reason=no-token" in lines[0],
            "which the log says in a line")
    t.check("temporarily_unavailable" in told(relay, "token-failed")[0],
            "and why")
    t.equal(sinks[1].summary()["requests"], 0, "nothing is sent")
    two.away, two.secret = False, "other-secret"
    t.check(rw.wait_for(lambda: two.errors > 0, 30), "it is back")
    t.check(rw.wait_for(lambda: len(told(relay, "token-failed")) == 2, 5),
            "with another complaint, which is in the log")
    two.write_secret()

    t.check(rw.wait_for(lambda: len(one.issued) >= 3, 30),
            "the other's tokens are renewed")
    t.check(sinks[0].unique() > 0, "and let the relay in")
    t.equal(sinks[0].summary()["unauthorized"], 0, "at all times")
    one.life = 3600
    issued = len(one.issued)
    rw.wait_for(lambda: len(one.issued) > issued, 20)
    issued = len(one.issued)
    one.allow(0)
    loads.append(t.load(relay, *LOAD, "--duration", 1))
    t.check(rw.wait_for(lambda: len(one.issued) > issued, 20),
            "one that is revoked is replaced")
    all_arrived(t, relay, loads, sinks)
    t.equal(len(one.issued), issued + 1, "once")
    t.equal(len(of("up0", told(relay, "upstream-held"))), 0,
            "and nothing is held")
    t.check(len(told(relay, "token-back")) == 1 and
            len(told(relay, "upstream-back")) == 1,
            "a new client secret is used at once")
    check_secrecy(t, relay, [one.secret, two.secret, "secret-of-client"] +
                  one.issued + two.issued)

rw.done()
