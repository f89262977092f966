#!/usr/bin/env python3
"""What an edge may send: limits of its own, the answers when it is over them, and
the others, who do not notice.
SPDX-License-Identifier: Apache-2.0"""

import signal
import socket
import time

import bodies as b
import rw

NOW = int(time.time() * 1000)
ROOM = 20       # seconds for an answer


def edge(number):
    """The address of rwload's edge of this number."""
    return "127.1.1.%d" % (1 + number)


def sections(**limits):
    return "\n".join('edge "%s" {\n\t%s\n}' % (name, "\n\t".join(lines))
                     for name, lines in limits.items())


def post(relay, source, body, headers=b.V1):
    """A request from this address: the status, the headers, the text."""
    with socket.create_connection(("127.0.0.1", relay.port),
                                  ROOM * rw.PATIENCE, (source, 0)) as s:
        s.sendall(b.post(b.snappy(body), headers,
                         extra=b"Connection: close\r\n"))
        got = b""
        while True:
            part = s.recv(65536)
            if not part:
                break
            got += part
    head, _, text = got.decode().partition("\r\n\r\n")
    lines = head.split("\r\n")
    return int(lines[0].split()[1]), dict(
        l.lower().split(": ", 1) for l in lines[1:]), text


def series(first, n, **labels):
    return b"".join(b.request_v1("s%d" % i, i, NOW, **labels)
                    for i in range(first, first + n))


def requests(relay, reason):
    return relay.metric("rwrelay_requests_total", reason=reason)


def refused(relay, name):
    return relay.metric("rwrelay_edge_refused_requests_total", edge=name)


with rw.Case("an edge that is over its rate, beside others") as t:
    rate, burst, rounds = (500, 1, 12) if rw.SWEEP else (500, 1, 5)
    sink = t.sink()
    relay = t.relay([sink], top=sections(**{
        edge(0): ["rate = %d" % rate, "burst = %ds" % burst]}))
    others = t.load(relay, "--first-edge", 1, "--edges", 4, "--series", 200,
                    "--samples-per-request", 100, "--rate", 2000)
    greedy = t.load(relay, "--series", 500, "--samples-per-request", 250,
                    "--rounds", rounds, "--connections", 2)
    took = greedy.result()
    samples = 500 * rounds
    t.equal([greedy.status, took["acked"], took["conn_errors"]],
            [0, samples, 0], "all that it has is taken")
    # of what is owed one request more than there is room for is taken
    least = (samples - rate * burst - 250 * 2) / rate
    t.check(took["elapsed"] >= least, "in %.1f s, at %d a second" %
            (took["elapsed"], rate))
    t.check(0 < took["answers_5xx"] <= 40 * rounds and
            took["retries"] == took["answers_5xx"],
            "%d times it was told to wait, and did" % took["answers_5xx"])
    others.signal(signal.SIGTERM)
    sent = others.result()
    t.equal([others.status, sent["retries"], sent["conn_errors"]], [0, 0, 0],
            "the others do not notice")
    t.equal(requests(relay, "rate-limit"), took["answers_5xx"],
            "each refusal is counted")
    t.check(0 < refused(relay, edge(0)) <= took["answers_5xx"],
            "at the edge's account too")
    t.equal([refused(relay, edge(i)) for i in range(1, 5)], [0] * 4,
            "and at nobody else's")
    t.check("event=rate-limit edge=\"%s\" rate=%d " % (edge(0), rate)
            in relay.output(), "and told of")
    t.delivered(sink, samples + sent["acked"], relay)
    t.join([greedy, others], [sink], "--max-duplicates", 0)
    t.fine(sink)

with rw.Case("what each limit answers") as t:
    mine, other, free = edge(0), edge(1), edge(2)
    relay = t.relay([], top=sections(**{
        mine: ["max-series = 50", "busy-status = 429", "max-labels = 3",
               "max-label-length = 40", "max-request = 4K"],
        other: ["max-series = 50", "rate = 1", "burst = 100s"]}))
    for name, code in ((mine, 429), (other, 503), (free, 204)):
        t.equal(post(relay, name, series(0, 40))[0], 204,
                "%s: series that it may have" % name)
        got, headers, text = post(relay, name, series(40, 20))
        t.equal(got, code, "some more of them")
        if code != 204:
            t.check(2 <= int(headers["retry-after"]) <= 8 and
                    "more active series" in text, "and why and when")
            t.equal(post(relay, name, series(0, 50))[0], 204,
                    "as many as it may have")
    t.equal(requests(relay, "series-limit"), 2, "counted by reason")
    t.equal([refused(relay, e) for e in (mine, other, free)], [1, 1, 0],
            "and by edge")
    for what, reason, body in (
            ("a label too many", "too-many-labels",
             series(0, 1, a="1", b="2", c="3")),
            ("a label too long", "label-long", series(0, 1, a="x" * 41))):
        got, _, text = post(relay, mine, body + series(0, 1))
        t.check(got == 400 and "rejected 1 of 2" in text and reason in text,
                "%s: the rest is stored" % what)
        t.equal(post(relay, free, body)[0], 204, "another may have it")
    t.equal([post(relay, e, series(0, 50, a="x" * 39, b="x" * 39))[0]
             for e in (mine, free)], [413, 204], "a body too large")
    # 90 are there, and what comes now takes more than is left of the burst
    t.equal(post(relay, other, series(0, 50))[0], 204, "what it owes")
    for _ in range(3):
        got, headers, text = post(relay, other, series(0, 1))
        t.check(got == 503 and "more samples a second" in text and
                1 <= int(headers["retry-after"]) <= 40, "is waited for")
    t.equal([requests(relay, "rate-limit"), post(relay, free, series(0, 1))[0]],
            [3, 204], "by nobody else")

rw.done()
