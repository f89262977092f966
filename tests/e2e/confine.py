#!/usr/bin/env python3
"""What is left of a relay that was started as root: whose it is, what it may
still do, what can be seen of it, and keys that only root may read.
SPDX-License-Identifier: Apache-2.0"""

import os
import pwd
import resource
import shutil
import signal
import subprocess
import sys

import certs
import rw

OTHER = "nobody"
TOKEN = "t0k-3n.of-the-store"
LOAD = ("--series", 200, "--rounds", 5, "--samples-per-request", 100)

if os.geteuid() != 0:
    print("skipped: it takes root, who becomes %s" % OTHER)
    sys.exit(77)
other = pwd.getpwnam(OTHER)


def give(path):
    os.chown(path, other.pw_uid, other.pw_gid)


def status(relay):
    """Of each thread, the lines of its /proc/PID/task/TID/status."""
    tasks = "/proc/%d/task" % relay.child.pid
    out = []
    for task in os.listdir(tasks):
        with open(os.path.join(tasks, task, "status")) as f:
            out.append({key: " ".join(value.split()) for key, _, value in
                        (line.partition(":") for line in f)})
    return out


def all_have(relay, key):
    """What all threads have there; None if they differ."""
    values = {s.get(key) for s in status(relay)}
    return values.pop() if len(values) == 1 else None


def proc_owner(relay):
    return os.stat("/proc/%d/environ" % relay.child.pid).st_uid


def read_as_other(path):
    """Whether the relay's own user can read that, in another process."""
    return subprocess.run(["cat", path], user=other.pw_uid, group=other.pw_gid,
                          extra_groups=[], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def lines(relay, event):
    return [l for l in relay.output().splitlines() if "event=%s " % event in l]


def starts_not(t, what, top, words, user=OTHER):
    """A relay that says why it ends."""
    try:
        t.relay([], top=top, user=user)
        t.check(False, "%s: it started" % what)
    except RuntimeError as ended:
        relay = t.processes[-1]
        relay.meant_to_run = False
        t.equal(relay.wait(20), 1, "%s: it ends" % what)
        t.check(all(w in str(ended) for w in words), "and says %r" %
                (words,))


# Else there would be no core file in any case.
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

with rw.Case("root has become another, who serves") as t:
    give(t.dir)
    ca = certs.Authority(t.path("ca"), "ca")
    me = ca.issue("me", "IP:127.0.0.1,DNS:localhost")
    os.chmod(ca.directory, 0o755)
    os.chmod(me.key, 0o600)
    os.mkdir(t.path("relay.spool"))
    give(t.path("relay.spool"))
    sink, named = t.sink(), t.sink()
    local = t.path("local")
    relay = t.relay(
        [sink], user=OTHER, scheme="https",
        top='log-level = debug\n'
            'listen local { address = "unix:%s" }\n'
            'upstream named { url = "http://localhost:%d/api/v1/write" }' %
            (local, named.port),
        listen='\tcertificate = "%s"\n\tkey = "%s"' % (me.cert, me.key),
        upstream='\theaders = { "Authorization: Bearer %s" }' % TOKEN)
    proc = "/proc/%d/" % relay.child.pid
    t.check(len(lines(relay, "confined")) == 1, "the log says so")
    for key in ("Uid", "Gid"):
        is_now = other.pw_uid if key == "Uid" else other.pw_gid
        t.equal(all_have(relay, key), " ".join([str(is_now)] * 4),
                "%s of all threads" % key)
    groups = os.getgrouplist(OTHER, other.pw_gid)
    t.equal(all_have(relay, "Groups"), " ".join(map(str, sorted(groups))),
            "and the groups")
    t.equal([all_have(relay, key) for key in ("CapPrm", "CapEff", "CapAmb")],
            ["0" * 16] * 3, "no capabilities")
    t.equal(all_have(relay, "NoNewPrivs"), "1", "no new privileges")
    if not rw.SANITIZED:
        t.equal(all_have(relay, "Seccomp"), "2", "system calls are filtered")
        t.equal(proc_owner(relay), 0, "its memory is root's to look at")
        t.check(not read_as_other(proc + "environ") and
                not read_as_other(proc + "maps"), "and not its own user's")
    t.check(read_as_other(proc + "status"), "which shows the rest")

    load = t.load(relay, "--ca", ca.cert, *LOAD)
    load.result()
    t.equal(load.status, 0, "what comes by TLS is taken")
    t.delivered(sink, 1000, relay)
    t.delivered(named, 1000)
    t.equal({os.stat(os.path.join(d, f)).st_uid for d, _, files in
             os.walk(relay.directory) for f in files}, {other.pw_uid},
            "the spool is the user's")
    t.equal([os.stat(p).st_uid for p in (local, relay.control)],
            [other.pw_uid] * 2, "and so are the sockets' files")
    t.equal(relay.ctl("status")[0], 0, "rwrelayctl reaches it")

    with open(proc + "cmdline") as f:
        seen = f.read()
    seen += relay.output() + rw.get(relay.admin, "/metrics") + \
        rw.get(relay.admin, "/status") + relay.ctl("status")[1] + \
        relay.ctl("upstreams")[1]
    t.check(TOKEN not in seen, "a token shows nowhere")

    t.check([l for l in lines(relay, "tls-not-followed") if me.key in l and
             "restart" in l], "a key that it cannot read again is told of")
    ca.issue("me", "IP:127.0.0.1,DNS:localhost").put(me.cert, me.key)
    failed = rw.wait_for(lambda: lines(relay, "tls-not-reloaded"), 15)
    t.check(failed and me.key in failed[0] and "Permission denied" in
            failed[0], "and so is a new one")
    again = t.load(relay, "--ca", ca.cert, *LOAD)
    again.result()
    t.equal(again.status, 0, "the one before stays in use")
    os.chown(me.key, 0, other.pw_gid)
    os.chmod(me.key, 0o640)
    t.check(rw.wait_for(lambda: lines(relay, "tls-reloaded"), 15),
            "once it may be read it is")
    t.equal(relay.stop(), 0, "it stops in order")
    t.check(not os.path.exists(local) and not os.path.exists(relay.control),
            "and takes the sockets' files along")

with rw.Case("a crash leaves no memory behind") as t:
    give(t.dir)
    os.mkdir(t.path("relay.spool"))
    give(t.path("relay.spool"))
    relay = t.relay([], user=OTHER)
    with open("/proc/%d/limits" % relay.child.pid) as f:
        cores = [l.split()[4:6] for l in f if l.startswith("Max core file")]
    t.equal(cores, [["0", "0"]], "no core file is allowed")
    relay.meant_to_run = False
    relay.signal(signal.SIGABRT)
    how = os.waitpid(relay.child.pid, 0)[1]
    relay.child.returncode = -os.WTERMSIG(how)
    t.equal((os.WTERMSIG(how), os.WCOREDUMP(how)), (signal.SIGABRT, False),
            "none is written")

with rw.Case("what a configuration asks for") as t:
    give(t.dir)
    os.mkdir(t.path("relay.spool"))
    give(t.path("relay.spool"))
    relay = t.relay([], user=OTHER, top="seccomp = off\ncore = yes")
    t.equal((all_have(relay, "Seccomp"), all_have(relay, "NoNewPrivs")),
            ("0", "1"), "seccomp can be left out")
    t.equal(proc_owner(relay), other.pw_uid, "and core files allowed")
    t.check(lines(relay, "confined")[0].endswith("seccomp=off core=yes"),
            "the log says so")
    relay.stop()
    shutil.rmtree(relay.directory)
    os.mkdir(relay.directory, 0o700)
    starts_not(t, "a user that is not there", "", ["no such user", "create it"],
               user="no-such-user")
    os.mkdir(t.path("relay3.spool"), 0o700)
    starts_not(t, "a spool of root's", "", ["spool-open-failed", "chown",
                                            t.path("relay3.spool")])

rw.done()
