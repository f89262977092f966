# report.py - options, results and the steps that all scripts share
# SPDX-License-Identifier: Apache-2.0

import argparse
import signal
import sys
import time

import peers
import scene

SKIPPED = 77


class Report:
    """Automake-like lines as it goes, a table and the count at the end."""

    def __init__(self, name):
        self.name = name
        self.passed = self.failed = 0
        self.rows = []

    def result(self, what, troubles, row=None):
        """Passed unless there are troubles, a list of sentences."""
        word = "FAIL" if troubles else "PASS"
        if troubles:
            self.failed += 1
            print("FAIL: %s: %s %s" % (self.name, what, troubles[0]))
            for more in troubles[1:]:
                print("      %s" % more)
        else:
            self.passed += 1
            print("PASS: %s: %s" % (self.name, what))
        if row:
            self.rows.append(tuple(str(c) for c in row) + (word,))
        sys.stdout.flush()

    def note(self, text):
        print("      " + text)
        sys.stdout.flush()

    def table(self, *heads):
        rows = [heads + ("",)] + self.rows
        widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
        print()
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
        print()

    def end(self):
        print("%s: %d passed, %d failed" % (self.name, self.passed, self.failed))
        return 1 if self.failed else 0


def main(name, play, seconds, direct=True, write=False):
    """Runs play(report, stage, programs, options); direct: also without a relay;
    write: may write what is expected anew."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--relay", default="./rwrelay", help="the daemon")
    parser.add_argument("--peers", default="build-peers",
                        help="where tests/peers/fetch has put the peers")
    parser.add_argument("--seconds", type=float, default=seconds,
                        help="how long the senders scrape (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave files and logs")
    if direct:
        parser.add_argument("--direct", action="store_true",
                            help="without the relay, to see what the peers do alone")
    if write:
        parser.add_argument("--write", action="store_true",
                            help="keep what comes as what is expected")
    options = parser.parse_args()
    alone = direct and options.direct
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    programs = peers.Programs(options.relay, options.peers)
    missing = [m for m in programs.missing() if m != "relay" or not alone]
    if missing:
        print("SKIP: %s: not found: %s" % (name, ", ".join(missing)))
        return SKIPPED
    report = Report(name)
    started = time.time()
    with scene.Scene(options.keep) as stage:
        try:
            report.note(programs.versions())
            play(report, stage, programs, options)
        except scene.Trouble as trouble:
            report.result("run", [str(trouble)])
        finally:
            for process in stage.processes:
                if report.failed and isinstance(process.child.returncode, int):
                    if process.child.returncode not in (0, -signal.SIGTERM, -signal.SIGKILL):
                        report.note("%s ended with status %d\n%s" % (
                            process.name, process.child.returncode, process.tail()))
    report.note("%.0f s" % (time.time() - started))
    return report.end()


def await_all(things):
    for thing in things:
        thing.process.await_ready()


def await_scrapes(exposition, seconds=20):
    """Prometheus takes some seconds until its first."""
    deadline = time.time() + seconds
    while exposition.scrapes == 0:
        if time.time() > deadline:
            raise scene.Trouble("nobody scrapes")
        time.sleep(0.1)


def finish(senders):
    """Lets what has been scraped get on its way, then stops them; returns until
    when all that was scraped has to arrive everywhere."""
    end = time.time()
    time.sleep(5)
    for sender in senders:
        sender.process.terminate()
    for sender in senders:
        sender.process.ended()
    return end


def settle(relays, seconds=20):
    """Waits for the relays to have delivered all that they have."""
    deadline = time.time() + seconds
    pending = list(relays)
    while pending and time.time() < deadline:
        pending = [r for r in pending if not (r.process.alive() and r.idle())]
        time.sleep(0.2)
    return pending
