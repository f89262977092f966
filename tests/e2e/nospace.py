#!/usr/bin/env python3
"""A file system that is full, for real: the relay lives, edges get 503 and
Retry-After, delivery goes on, and it takes again by itself when there is room.
Nothing that was acknowledged goes. Skipped where nothing may be mounted.
SPDX-License-Identifier: Apache-2.0"""

import os
import subprocess
import sys
import tempfile
import time

import bodies as b
import rw

SIZE = 64 if rw.SWEEP else 8   # MiB


class Disk:
    """A small file system of its own, gone again at the end."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="rwrelay-disk-")
        r = subprocess.run(["mount", "-t", "tmpfs", "-o",
                            "size=%dm,mode=0750" % SIZE, "rwrelay-test",
                            self.path], stderr=subprocess.PIPE, text=True)
        if r.returncode != 0:
            os.rmdir(self.path)
            print("skipped: %s" % r.stderr.strip())
            sys.exit(77)
        return self

    def __exit__(self, kind, error, trace):
        subprocess.run(["umount", self.path])
        os.rmdir(self.path)

    def free(self):
        s = os.statvfs(self.path)
        return s.f_bavail * s.f_frsize

    def fill(self):
        """Takes all that is left."""
        with open(os.path.join(self.path, "ballast"), "ab", 0) as f:
            try:
                while True:
                    f.write(bytes(4096))
            except OSError:
                pass

    def clear(self):
        os.unlink(os.path.join(self.path, "ballast"))


def refuses(t, relay, disk):
    t.check(rw.wait_for(lambda: b.attempt(relay)[0] == 503, 120, 0.2),
            "refuses when the disk is full")
    status, headers = b.attempt(relay)
    t.equal(status, 503, "with 503")
    t.check((headers.get("Retry-After") or "").isdigit(),
            "and Retry-After: %s" % headers.get("Retry-After"))
    t.check("reason=no-space" in relay.output(), "and says why")
    t.check(relay.running(), "and lives, with %d bytes free" % disk.free())


def takes_again(t, relay, load, sink):
    t.check(rw.wait_for(lambda: b.attempt(relay)[0] == 204, 120, 0.2),
            "takes again by itself")
    time.sleep(1)
    load.signal(15)
    sent = load.result()
    t.check(sent["answers_5xx"] > 0 and sent["answers_4xx"] == 0,
            "the edges were refused %d times" % sent["answers_5xx"])
    relay.settled()
    t.fine(sink)
    t.join([load], [sink])
    for name in ("spool_dropped_segments", "upstream_rejected"):
        t.equal(relay.metric("rwrelay_%s_total" % name), 0, name + ": none")


def start(t, disk, faults="ok"):
    os.mkdir(os.path.join(disk.path, "spool"), 0o750)
    os.symlink(os.path.join(disk.path, "spool"), t.path("relay.spool"))
    sink = t.sink(faults=faults)
    relay = t.relay([sink], size="1G", top="retry-after = 1s",
                    spool="\tsegment-size = 1M",
                    upstream=rw.TIMEOUT + "\tread-ahead = 50k\n"
                    "\tmax-bytes = 1M")
    load = t.load(relay, "--edges", 4, "--series", 20000, "--protocol", "2.0",
                  "--samples-per-request", 200,
                  "--kinds", "stale,exemplar,bulky", "--max-backoff", 1)
    return sink, relay, load


with Disk() as disk, rw.Case("the spool fills its disk, upstream away") as t:
    sink, relay, load = start(t, disk, "down")
    refuses(t, relay, disk)
    time.sleep(2)
    sink.fault("ok")
    takes_again(t, relay, load, sink)

with Disk() as disk, rw.Case("somebody else fills the disk") as t:
    sink, relay, load = start(t, disk)
    t.check(rw.wait_for(sink.unique, 30), "samples flow")
    disk.fill()
    refuses(t, relay, disk)
    t.check(relay.settled(60), "what was taken is delivered meanwhile")
    disk.fill()         # also what that has freed
    t.equal(b.attempt(relay)[0], 503, "it still refuses")
    time.sleep(2)
    disk.clear()
    takes_again(t, relay, load, sink)

for how in ("killed", "stopped"):
    with Disk() as disk, rw.Case("%s, and started on a full disk" % how) as t:
        sink, relay, load = start(t, disk, "down")
        refuses(t, relay, disk)
        relay.kill9() if how == "killed" else relay.stop()
        disk.fill()
        relay.again()
        t.equal(b.attempt(relay)[0], 503, "still refuses, with %d bytes free" %
                disk.free())
        sink.fault("ok")
        takes_again(t, relay, load, sink)

rw.done()
