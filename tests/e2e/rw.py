"""rw.py - what the end-to-end tests stand on: a directory, free ports, and the
relay, loads and sinks that a test starts, all ended by their process id.
SPDX-License-Identifier: Apache-2.0

    with rw.Case("a title") as t:
        sink = t.sink()
        relay = t.relay([sink])
        t.check(relay.metric("rwrelay_samples_total") == 0, "nothing yet")
    rw.done()

A test prints each thing that it asserts, as "ok" or "FAIL", and done() ends it
with status 1 if one failed. RW_BUILD is where the programs were built (the
current directory otherwise); RW_SWEEP is set for the long form of a test.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import ports

BUILD = os.environ.get("RW_BUILD", os.getcwd())
DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data")
SWEEP = bool(os.environ.get("RW_SWEEP"))
SANITIZED = "-fsanitize" in os.environ.get("RW_CHECK_CFLAGS", "")
PATIENCE = 4 if SANITIZED else 1     # times as long may it take
# For an upstream that answers or is away, and does not have to be found out
TIMEOUT = "\ttimeout = %ds\n" % (20 if SANITIZED else 2)
RELAY = os.environ.get("RW_RELAY", os.path.join(BUILD, "rwrelay"))
CTL = os.environ.get("RW_CTL", os.path.join(BUILD, "rwrelayctl"))

_failed = 0


def tool(name):
    return os.path.join(BUILD, "tests", "tools", name)


def done():
    print("failed: %d" % _failed if _failed else "all as it should be")
    sys.exit(1 if _failed else 0)


def pairs(text):
    """The key=value words of a summary, as numbers."""
    out = {}
    for word in text.split():
        key, _, value = word.partition("=")
        try:
            out[key] = int(value)
        except ValueError:
            try:
                out[key] = float(value)
            except ValueError:
                out[key] = value
    return out


def get(port, path, timeout=10, method="GET", data=None):
    request = urllib.request.Request("http://127.0.0.1:%d%s" % (port, path),
                                     data=data, method=method)
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return answer.read().decode()


def wait_for(what, seconds, step=0.05):
    """Calls what() until it gives something true; its last value."""
    end = time.monotonic() + seconds * PATIENCE
    while True:
        value = what()
        if value or time.monotonic() > end:
            return value
        time.sleep(step)


class Process:
    """A program with its output in a file; ended when the case ends."""

    def __init__(self, case, name, argv):
        self.case, self.name = case, name
        self.out_path = case.path("%s.out" % name)
        self.out = open(self.out_path, "ab")
        self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                                      stdout=self.out, stderr=self.out)
        case.processes.append(self)

    def output(self):
        with open(self.out_path, errors="replace") as f:
            return f.read()

    def running(self):
        return self.child.poll() is None

    def signal(self, number):
        if self.running():
            self.child.send_signal(number)

    def wait(self, seconds):
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def end(self):
        self.signal(signal.SIGTERM)
        if self.wait(10) is None:
            self.signal(signal.SIGKILL)
            self.child.wait()
        self.out.close()

    def proc(self, name, key):
        """A figure of /proc/PID/status, in bytes."""
        with open("/proc/%d/%s" % (self.child.pid, name)) as f:
            for line in f:
                if line.startswith(key + ":"):
                    return int(line.split()[1]) * 1024
        return 0

    def peak_rss(self):
        return self.proc("status", "VmHWM")

    def rss(self):
        return self.proc("status", "VmRSS")

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.child.pid) as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Sink(Process):
    """rwsink on a port of its own, which it keeps when it is started again."""

    def __init__(self, case, name, protocols="both", faults="ok", port=0,
                 tls=(), header=None, codings="snappy", authorized=None):
        self.log = case.path("%s.log" % name)
        self.dump = case.path("%s.dump" % name)
        self.port = port or ports.free()
        self.control = ports.free()
        self.scheme = "https" if tls else "http"
        super().__init__(case, name, [
            tool("rwsink"), "--listen", "127.0.0.1:%d" % self.port,
            "--control", "127.0.0.1:%d" % self.control,
            "--protocols", protocols, "--faults", faults,
            "--codings", codings,
            "--log", self.log, "--dump" if case.dumps else "--summary",
            self.dump if case.dumps else case.path("%s.sum" % name), *tls,
            *(("--header", header) if header else ()),
            *(("--authorized", authorized) if authorized else ())])
        wait_for(lambda: "listen=" in self.output(), 20)

    def url(self):
        return "%s://127.0.0.1:%d/api/v1/write" % (self.scheme, self.port)

    def summary(self):
        return pairs(get(self.control, "/summary", 60))

    def fault(self, text):
        get(self.control, "/fault", method="PUT", data=text.encode())

    def unique(self):
        """Samples and histograms, each counted once."""
        s = self.summary()
        return s["samples"] + s["histograms"] - s["duplicates"]


class Load(Process):
    """rwload, running; result() is its summary."""

    def __init__(self, case, name, url, args):
        self.manifest = case.path("%s.manifest" % name)
        super().__init__(case, name, [tool("rwload"), "--url", url,
                                      "--manifest", self.manifest] +
                         [str(a) for a in args])

    def result(self, seconds=120):
        end = time.monotonic() + seconds
        self.status = None
        while self.status is None and time.monotonic() < end:
            self.status = self.wait(0.5)
            self.case.look_for_dead()
        self.case.check(self.status is not None, "%s ended" % self.name,
                        quiet=True)
        lines = [l for l in self.output().splitlines() if "acked=" in l]
        return pairs(lines[-1]) if lines else {}


class Relay(Process):
    """The daemon, with the smallest config that a test needs. It stays who
    the test is, whose directories it uses, unless a user is given."""

    def __init__(self, case, name, upstreams, top="", listen="", spool="",
                 upstream="", size="256M", scheme="http", user="root",
                 before=()):
        self.scheme = scheme
        self.port, self.admin = ports.free(), ports.free()
        self.directory = case.path("%s.spool" % name)
        self.config = case.path("%s.conf" % name)
        self.control = case.path("%s.control" % name)
        os.makedirs(self.directory, exist_ok=True)
        with open(self.config, "w") as f:
            f.write('user = "%s"\n%s\n' % (user, top))
            f.write('listen edge {\n\taddress = "127.0.0.1:%d"\n%s\n}\n' %
                    (self.port, listen))
            f.write('admin {\n\taddress = "127.0.0.1:%d"\n\tcontrol = "%s"\n}\n' %
                    (self.admin, self.control))
            f.write('spool {\n\tdirectory = "%s"\n\tsize = "%s"\n%s\n}\n' %
                    (self.directory, size, spool))
            for i, up in enumerate(upstreams):
                own = upstream[i] if isinstance(upstream, list) else upstream
                f.write('upstream up%d {\n\turl = "%s"\n%s\n}\n' %
                        (i, up.url(), own))
        self.argv = [*before, RELAY, "-f", self.config]
        self.meant_to_run = True
        super().__init__(case, name, self.argv)
        self.started()

    def started(self):
        ready = wait_for(self.ready, 60)
        self.case.check(ready, "%s is ready" % self.name, quiet=True)
        if not ready:
            raise RuntimeError("the relay does not start")

    def ready(self):
        try:
            get(self.admin, "/-/ready", 5)
            return True
        except (OSError, urllib.error.HTTPError):
            if not self.running():
                raise RuntimeError("the relay ended: %s" % self.output()[-2000:])
            return False

    def url(self):
        return "%s://127.0.0.1:%d/api/v1/write" % (self.scheme, self.port)

    def again(self):
        """Starts it once more, with the same config and spool."""
        self.child = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL,
                                      stdout=self.out, stderr=self.out)
        self.meant_to_run = True
        self.started()

    def died(self):
        return self.meant_to_run and not self.running()

    def kill9(self):
        self.meant_to_run = False
        self.signal(signal.SIGKILL)
        self.child.wait()

    def stop(self):
        """Ends it in order; its exit status."""
        self.meant_to_run = False
        self.signal(signal.SIGTERM)
        return self.wait(60)

    def metrics(self):
        out = {}
        for line in get(self.admin, "/metrics", 30).splitlines():
            if line and line[0] != "#":
                name, _, value = line.rpartition(" ")
                out[name] = float(value)
        return out

    def metric(self, name, **labels):
        """The sum over all series of the name that have these labels."""
        total = 0.0
        for series, value in self.metrics().items():
            if series == name or series.startswith(name + "{"):
                if all('%s="%s"' % kv in series for kv in labels.items()):
                    total += value
        return total

    def ctl(self, *args):
        """rwrelayctl on this relay: its status, what it said, what it
        complained about."""
        r = subprocess.run([CTL, "-s", self.control, *map(str, args)],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True)
        return r.returncode, r.stdout, r.stderr

    def drained(self):
        m = self.metrics()
        return not any(value for name, value in m.items() if re.match(
            "rwrelay_upstream_(backlog_bytes|read_ahead_samples|"
            "requests_in_flight)", name))

    def settled(self, seconds=120):
        """Waits until it has nothing more to send, also of what came a moment
        ago: the backlog is shown once a second."""
        def still():
            if not self.drained():
                return False
            time.sleep(1.2)
            return self.drained()

        return wait_for(still, seconds, 0.2)


class Case:
    """One case of a test: a directory and what runs in it."""

    def __init__(self, title, dumps=False):
        self.title, self.dumps = title, dumps
        self.processes = []
        self.counts = {}

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="rwrelay-e2e-")
        self.before = _failed
        print("-- %s" % self.title, flush=True)
        return self

    def __exit__(self, kind, error, trace):
        global _failed
        if kind is not None:
            _failed += 1
            print("FAIL: %s: %s" % (kind.__name__, error))
        try:
            self.look_for_dead()
        except RuntimeError as dead:
            self.check(False, str(dead))
        for p in reversed(self.processes):
            p.end()
        for p in self.processes:
            if isinstance(p, Relay):
                self.look_for_reports(p)
        if _failed != self.before:
            for p in self.processes:
                print("   %s: %s" % (p.name, p.output()[-3000:]))
        if os.environ.get("RW_KEEP"):
            print("   kept: %s" % self.dir)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
        return kind is not None and issubclass(kind, Exception)

    def look_for_dead(self):
        for p in self.processes:
            if isinstance(p, Relay) and p.died():
                raise RuntimeError("%s ended with status %d" %
                                   (p.name, p.child.returncode))

    def look_for_reports(self, relay):
        """An assertion or a sanitizer may have spoken at the very end."""
        for line in relay.output().splitlines():
            if "Sanitizer" in line or "runtime error:" in line or \
                    "Assertion" in line:
                self.check(False, "the relay reported: %s" % line)
                return

    def path(self, name):
        return os.path.join(self.dir, name)

    def name(self, kind):
        n = self.counts[kind] = self.counts.get(kind, 0) + 1
        return kind if n == 1 else "%s%d" % (kind, n)

    def check(self, fine, text, quiet=False):
        global _failed
        if not fine:
            _failed += 1
            print("FAIL: %s" % text, flush=True)
        elif not quiet:
            print("ok: %s" % text, flush=True)
        return fine

    def equal(self, got, expected, text):
        return self.check(got == expected, text if got == expected else
                          "%s: %s, not %s" % (text, got, expected))

    def sink(self, **options):
        return Sink(self, self.name("sink"), **options)

    def relay(self, upstreams, **options):
        return Relay(self, self.name("relay"), upstreams, **options)

    def load(self, to, *args):
        """Starts to send to a relay or a sink."""
        return Load(self, self.name("load"), to.url(), args)

    def delivered(self, sink, samples, relay=None, seconds=60):
        """Waits until the sink has so many, each counted once, and until the
        relay knows of nothing more to send."""
        wait_for(lambda: sink.unique() >= samples, seconds, 0.1)
        if relay is not None:
            wait_for(relay.drained, 20, 0.1)
        return self.equal(sink.unique(), samples,
                          "all %d samples were delivered" % samples)

    def fine(self, sink):
        """Nothing that came was changed, and nothing came out of order."""
        s = sink.summary()
        wrong = {k: v for k, v in s.items() if v and
                 (k.startswith(("wrong_", "bad_")) or k in
                  ("reorders", "missing", "unsorted", "foreign_backwards",
                   "exemplars_missing"))}
        self.check(not wrong, "every sample as it was sent, in order, "
                   "without a gap%s" % (wrong if wrong else ""))
        return s

    def join(self, loads, sinks, *args, fine=True):
        """rwjoin over manifests and logs; its summary. What was acknowledged last
        may be on its way for a while."""
        argv = [tool("rwjoin")] + [str(a) for a in args]
        for l in loads:
            argv += ["--manifest", l.manifest]
        for s in sinks:
            argv += ["--log", s.log]

        def joined():
            nonlocal r, out
            time.sleep(0.1)     # a log is flushed each tick
            r = subprocess.run(argv, stdout=subprocess.PIPE, text=True)
            out = pairs(r.stdout.splitlines()[-1])
            return not (fine and out["lost"])

        r = out = None
        wait_for(joined, 15, 0.5)
        if fine:
            self.check(r.returncode == 0,
                       "of %(acked)d acknowledged samples %(lost)d lost, "
                       "%(reorders)d reordered, %(duplicates)d repeated, "
                       "%(split)d requests split" % out)
            if r.returncode != 0:
                print(r.stdout)
        return out
