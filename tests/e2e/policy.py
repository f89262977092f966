#!/usr/bin/env python3
"""What an edge may send: labels that are set whatever it says, series that are
rewritten or left out, and the tenant that an upstream is told.
SPDX-License-Identifier: Apache-2.0"""

import http.client
import subprocess
import time

import rw
from bodies import V1, V2, field, sample, series_v1, snappy, varint

WRITTEN = "X-Prometheus-Remote-Write-Samples-Written"
RULES = """
edge "127.0.0.[23]*" {
	set-labels = { "site=s$0", "forced=yes" }
	tenant = "t-$1"
	relabel { source-labels = { "__name__" } regex = 'go_.*' action = drop }
	relabel {
		source-labels = { "instance" }
		regex         = '(?<host>.+):\\d+'
		target-label  = "host"
		replacement   = 'h-${host}'
	}
	relabel { regex = 'instance' action = labeldrop }
	relabel {
		source-labels = { "spoil" }
		regex         = '(yes)'
		target-label  = "__name__"
		replacement   = ''
	}
}
edge "127.0.0.*4" { tenant = "four$1" }
"""


def body_v1(*series):
    ms = int(time.time() * 1000)
    return b"".join(series_v1(sorted(labels.items()), value, ms)
                    for labels, value in series)


def body_v2(*series):
    symbols, out = [b""], b""
    for labels, value in series:
        refs = b""
        for text in (t for pair in sorted(labels.items()) for t in pair):
            if text.encode() not in symbols:
                symbols.append(text.encode())
            refs += varint(symbols.index(text.encode()))
        out += field(5, field(1, refs) + field(
            2, sample(value, int(time.time() * 1000))))
    return b"".join(field(4, s) for s in symbols) + out


def send(relay, edge, body, headers):
    """The answer, to an edge of this address."""
    c = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=20,
                                   source_address=(edge, 0))
    c.request("POST", "/api/v1/write", snappy(body), headers)
    r = c.getresponse()
    r.read()
    c.close()
    return r


def came(sink, lines):
    """What arrived, once it is so much: (tenant, series) of each sample."""
    def dump():
        out, tenant = [], None
        for line in rw.get(sink.port, "/dump").splitlines():
            if line.startswith("X-Scope-OrgID: "):
                tenant = line[15:]
            elif "} sample " in line:
                out.append((tenant, line.partition("} sample ")[0] + "}"))
        return out if len(out) >= lines else None
    return rw.wait_for(dump, 20) or []


def series(name, **labels):
    return {"__name__": name, **labels}


with rw.Case("labels: set, rewritten, left out", dumps=True) as t:
    sink = t.sink(header="X-Scope-OrgID")
    relay = t.relay([sink], top=RULES)
    r = send(relay, "127.0.0.2", body_v2(
        (series("up", instance="web:80", site="other"), 1),
        (series("up", instance="db:80", site="s127.0.0.2"), 2),
        (series("go_goroutines", instance="web:80"), 3)), V2)
    t.equal(r.status, 204, "what is left out is no mistake of the edge")
    t.equal(r.getheader(WRITTEN), "3", "and counts as written")
    r = send(relay, "127.0.0.2", body_v1((series("go_info"), 4)), V1)
    t.equal(r.status, 204, "so is a request with nothing else")
    r = send(relay, "127.0.0.2", body_v2((series("up", spoil="yes"), 5)), V2)
    t.equal((r.status, r.getheader(WRITTEN)), (400, "0"),
            "what loses its name is refused")
    r = send(relay, "127.0.0.9", body_v1(
        (series("go_info", site="s127.0.0.2"), 6)), V1)
    t.equal(r.status, 204, "an edge without rules sends what it likes")
    got = sorted(s for _, s in came(sink, 3))
    t.equal(got, [
        '{__name__="go_info",site="s127.0.0.2"}',
        '{__name__="up",forced="yes",host="h-db",site="s127.0.0.2"}',
        '{__name__="up",forced="yes",host="h-web",site="s127.0.0.2"}'],
        "labels as the rules have them")
    m = relay.metric
    t.equal(m("rwrelay_filtered_samples_total"), 2, "filtered samples are counted")
    t.equal(m("rwrelay_edge_filtered_total", edge="127.0.0.2"), 2, "by edge, too")
    t.equal(m("rwrelay_edge_forged_series_total", edge="127.0.0.2"), 1,
            "the forged label shows")
    t.equal(m("rwrelay_edge_forged_series_total", edge="127.0.0.9"), 0,
            "where nothing is set, nothing is forged")
    t.equal(m("rwrelay_rejected_total", reason="no-name"), 1,
            "what was refused is counted with its reason")
    t.equal(m("rwrelay_samples_total"), 3, "and the rest as stored")

with rw.Case("tenants by edge", dumps=True) as t:
    sink = t.sink(header="X-Scope-OrgID")
    relay = t.relay([sink], top=RULES, upstream=
                    '\theaders = { "x-scope-orgid: usual" }\n'
                    '\tatomic = relaxed\n')
    sink.fault("503")
    for n in range(5):
        for edge in ("2", "33", "14", "9"):
            forged = {"X-Scope-OrgID": "t-"} if edge in ("2", "9") else {
                "X-Scope-OrgID": "someone"} if edge == "33" else {}
            r = send(relay, "127.0.0." + edge,
                     body_v1((series("m", e=edge, n=str(n)), n)),
                     dict(V1, **forged))
            t.check(r.status == 204, "taken", quiet=True)
    sink.fault("ok")
    got = came(sink, 20)
    whose = {}
    for tenant, labels in got:
        edge = labels.split('e="')[1].split('"')[0]
        whose.setdefault(edge, set()).add(tenant)
    t.equal(len(got), 20, "all arrived")
    t.equal(whose, {"2": {"t-"}, "33": {"t-3"}, "14": {"four1"}, "9": {"usual"}},
            "each under its edge's tenant")
    m = relay.metric
    for edge, n in (("2", 0), ("33", 5), ("14", 0), ("9", 0)):
        t.equal(m("rwrelay_edge_forged_tenant_requests_total",
                  edge="127.0.0." + edge), n, "%d forged tenants of %s" % (n, edge))

with rw.Case("mistakes are told with their place") as t:
    for text, message in (
            ("relabel { regex = '(' }", 'relabel "site-*": directive regex: '
             "value (: an expression is not well formed"),
            ("relabel { action = hashmod target-label = a }",
             'relabel "site-*": hashmod needs a modulus'),
            ('set-labels = { "a=$2" }', 'edge "site-*": directive set-labels: '
             "$1 is what the first"),
            ('tenant = "$2"', 'edge "site-*": directive tenant: $1 is what')):
        path = t.path("bad.conf")
        with open(path, "w") as f:
            f.write('listen a { address = "127.0.0.1:1" }\n'
                    'edge "site-*" {\n%s\n}\n' % text)
        r = subprocess.run([rw.RELAY, "-n", "-f", path], capture_output=True,
                           text=True)
        t.check(r.returncode != 0 and "bad.conf:3: " + message in r.stderr,
                "%s: %s" % (text, r.stderr.strip()))

rw.done()
