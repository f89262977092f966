# scene.py - processes, ports and files of one run, all gone when it ends
# SPDX-License-Identifier: Apache-2.0

import base64
import ctypes
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))

import ports

PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)


class Trouble(Exception):
    """The run cannot go on; what it is for has not been tested."""


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def get(url, timeout=20):
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read()


class Shown(urllib.request.BaseHandler):
    """A name and a password, at once, to whoever has a certificate."""

    def __init__(self, user, password):
        self.header = "Basic " + base64.b64encode(
            ("%s:%s" % (user, password)).encode()).decode()

    def https_request(self, request):
        request.add_unredirected_header("Authorization", self.header)
        return request


def trust(ca, user, password):
    urllib.request.install_opener(urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca)),
        Shown(user, password)))


def query(url, **parameters):
    return get(url + "?" + urllib.parse.urlencode(parameters, doseq=True))


class Process:
    """A program that can be stopped, killed and started again."""

    def __init__(self, scene, name, argv, ready=None):
        self.scene = scene
        self.name = name
        self.argv = [str(a) for a in argv]
        self.ready_url = ready
        self.log = os.path.join(scene.dir, name + ".log")
        self.child = None
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.scene.dir, preexec_fn=die_with_parent)

    def alive(self):
        return self.child is not None and self.child.poll() is None

    def await_ready(self, seconds=30):
        deadline = time.time() + seconds
        while time.time() < deadline:
            if not self.alive():
                raise Trouble("%s ended with status %s\n%s" % (
                    self.name, self.child.returncode, self.tail()))
            try:
                get(self.ready_url, timeout=2)
                return
            except (OSError, urllib.error.URLError):
                time.sleep(0.1)
        raise Trouble("%s is not ready\n%s" % (self.name, self.tail()))

    def terminate(self):
        """SIGTERM, once: VictoriaMetrics dies of a second one, with what it
        has in memory."""
        if self.alive():
            self.child.terminate()

    def ended(self, seconds=30):
        """Whether it ends with status 0 in time; it is made to in any case."""
        try:
            return self.child.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            self.kill()
            return False

    def stop(self, seconds=30):
        self.terminate()
        return self.ended(seconds)

    def kill(self):
        if self.alive():
            self.child.kill()
            self.child.wait()

    def tail(self, lines=15):
        with open(self.log, errors="replace") as log:
            return "".join(log.readlines()[-lines:])


class Scene:
    def __init__(self, keep=False):
        self.keep = keep
        self.dir = tempfile.mkdtemp(prefix="interop.")
        self.processes = []
        self.closers = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
        for close in self.closers:
            close()
        if self.keep:
            print("kept: %s" % self.dir, file=sys.stderr)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def port(self):
        return ports.free()

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, text):
        with open(self.path(name), "w") as out:
            out.write(text)
        return self.path(name)

    def run(self, name, argv, ready):
        process = Process(self, name, argv, ready)
        self.processes.append(process)
        return process
