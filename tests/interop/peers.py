# peers.py - the programs that take part, and how each is told what to do
# SPDX-License-Identifier: Apache-2.0
#
# prom2       Prometheus 2, as the system has it: remote write 1.0
# prom3       Prometheus 3: 1.0 and 2.0
# vmagent, victoria   VictoriaMetrics: 1.0, and a protocol of its own between them
# nginx, tinyproxy    what stands between them and the relay, or behind it

import os
import re
import shutil
import subprocess

import scene

V1 = "prometheus.WriteRequest"
V2 = "io.prometheus.write.v2.Request"


def nginx_module(program, name):
    """Where Debian has it, seen from the program."""
    path = os.path.join(os.path.dirname(program or ""), "../lib/nginx/modules", name)
    return path if os.path.exists(path) else None


class Programs:
    """Where they are; `missing` names those that are not."""

    def __init__(self, relay, directory):
        found = lambda name: shutil.which(os.path.join(directory, "usr/bin", name))
        self.relay = relay and shutil.which(relay)
        self.prom2 = shutil.which("prometheus")
        self.prom3 = found("prometheus")
        self.vmagent = found("vmagent")
        self.victoria = found("victoria-metrics")
        self.nginx = shutil.which("nginx")
        self.nginx_stream = nginx_module(self.nginx, "ngx_stream_module.so")
        self.tinyproxy = shutil.which("tinyproxy")

    def missing(self):
        return sorted(name for name, path in vars(self).items() if not path)

    def versions(self):
        out = []
        for name in ("prom2", "prom3"):
            text = subprocess.run([getattr(self, name), "--version"], text=True,
                                  capture_output=True).stdout
            out.append("%s is %s" % (name, re.search(r"version ([\w.]+)", text).group(1)))
        return ", ".join(out)


# Receivers

class Store:
    """A receiver: url to write to, base for its API."""

    def __init__(self, stage, name, kind, argv, port, ready, scheme="http"):
        self.name = name
        self.kind = kind
        self.port = port
        self.base = "%s://127.0.0.1:%d" % (scheme, port)
        self.url = self.base + "/api/v1/write"
        self.process = stage.run(name, argv, self.base + ready)


def prometheus_store(stage, programs, name, kind, port, web=None):
    """web: a file with what --web.config.file takes; it is https then."""
    config = stage.write(name + ".yml", "global: { scrape_interval: 1h }\n")
    argv = [getattr(programs, kind), "--config.file=" + config,
            "--web.listen-address=127.0.0.1:%d" % port,
            "--web.enable-remote-write-receiver",
            "--storage.tsdb.path=" + stage.path(name),
            "--enable-feature=exemplar-storage,native-histograms"]
    if kind == "prom3":
        argv += ["--web.remote-write-receiver.accepted-protobuf-messages=" + m
                 for m in (V1, V2)]
    if web:
        argv.append("--web.config.file=" + web)
    return Store(stage, name, kind, argv, port, "/-/ready", "https" if web else "http")


def victoria_store(stage, programs, name, kind, port, more=()):
    """more: for https"""
    argv = [programs.victoria, "-httpListenAddr=127.0.0.1:%d" % port,
            "-storageDataPath=" + stage.path(name), "-loggerLevel=WARN",
            "-memory.allowedBytes=128MB", "-inmemoryDataFlushInterval=1s", *more]
    return Store(stage, name, kind, argv, port, "/health", "https" if more else "http")


def store(stage, programs, name, kind, port=None):
    make = victoria_store if kind == "victoria" else prometheus_store
    return make(stage, programs, name, kind, port or stage.port())


# Senders

TARGETS = {
    "agent2": ("classic", "open", "native", "vanishing"),
    "agent3": ("classic", "open", "utf8", "native", "vanishing"),
    "vmagent": ("classic", "open", "vanishing"),
}

SCRAPE = """\
  - job_name: %(target)s
    metrics_path: /%(target)s
    static_configs: [ { targets: [ "127.0.0.1:%(port)d" ] } ]
"""

# Several shards, so that a series moves between connections, and batches small
# enough that there are many. Metadata comes often.
REMOTE = """\
  - name: %(name)s
    url: %(url)s
    send_exemplars: true
    send_native_histograms: true
    queue_config: { min_shards: 3, max_shards: 3, max_samples_per_send: 150, batch_send_deadline: 1s }
    metadata_config: { send: true, send_interval: 3s }
"""


# Remote write 1.0 has no place for the bounds of custom buckets, yet 3.5 sends
# such histograms, and receives them with 500 for ever.
SPARED = """\
    write_relabel_configs:
      - { source_labels: [ __name__ ], regex: it_custom, action: drop }
"""

def scrapes(kind, exposition, custom=False):
    out = ["global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n"]
    out += [SCRAPE % {"target": target, "port": exposition.port}
            for target in TARGETS[kind] + exposition.more]
    if custom:
        out.append(SCRAPE % {"target": "buckets", "port": exposition.port})
        out.append("    convert_classic_histograms_to_nhcb: true\n")
    return "".join(out)


class Sender:
    """Scrapes the exposition, and pushes to several places at once."""

    def __init__(self, stage, name, argv, port):
        self.name = name
        self.base = "http://127.0.0.1:%d" % port
        ready = "/health" if "vmagent" in argv[0] else "/-/ready"
        self.process = stage.run(name, argv, self.base + ready)


def prometheus_sender(stage, programs, name, version, exposition, targets, agent=True):
    """targets: [(name, url, protocol[, lines of its remote_write section])]"""
    port = stage.port()
    custom = any(target[2] == "2.0" for target in targets)
    text = scrapes("agent%d" % version, exposition, custom).replace(
        "global:\n", "global:\n  external_labels: { sender: %s }\n" % name)
    text += "remote_write:\n"
    for target, url, protocol, *more in targets:
        text += REMOTE % {"name": target, "url": url} + "".join(more)
        if version == 3:
            text += "    protobuf_message: %s\n" % (V2 if protocol == "2.0" else V1)
        if custom and protocol != "2.0":
            text += SPARED
    features = "exemplar-storage,native-histograms"
    if version == 3:
        features += ",metadata-wal-records"
    argv = [getattr(programs, "prom%d" % version),
            "--config.file=" + stage.write(name + ".yml", text),
            "--web.listen-address=127.0.0.1:%d" % port]
    if agent:
        argv += ["--storage.agent.path=" + stage.path(name)]
        if version == 3:
            argv += ["--agent"]
        else:
            features += ",agent"
    else:
        argv += ["--storage.tsdb.path=" + stage.path(name)]
    argv += ["--enable-feature=" + features]
    return Sender(stage, name, argv, port)


def vmagent_sender(stage, programs, name, exposition, targets, more=()):
    port = stage.port()
    argv = [programs.vmagent, "-httpListenAddr=127.0.0.1:%d" % port,
            "-promscrape.config=" + stage.write(
                name + ".yml", scrapes("vmagent", exposition)),
            "-remoteWrite.tmpDataPath=" + stage.path(name),
            "-remoteWrite.label=sender=" + name, "-loggerLevel=WARN",
            "-memory.allowedBytes=128MB", *more]
    for _, url, *_ in targets:
        # one queue: with more, vmagent itself sends a series out of order
        argv += ["-remoteWrite.url=" + url, "-remoteWrite.queues=1"]
    return Sender(stage, name, argv, port)


SENDERS = {  # name: (program, protocol)
    "prom2-agent": (2, "1.0"),
    "prom3-agent-1.0": (3, "1.0"),
    "prom3-agent-2.0": (3, "2.0"),
    "vmagent": ("vmagent", "1.0"),
}


def agent(stage, programs, name, exposition, targets):
    program, _ = SENDERS[name]
    if program == "vmagent":
        return vmagent_sender(stage, programs, name, exposition, targets)
    return prometheus_sender(stage, programs, name, program, exposition, targets)


# The relay

class Relay:
    def __init__(self, stage, programs, name, upstreams, more=""):
        """upstreams: [(name, url, protocol[, more directives])]; zstd: in whichever,
        compressed so; more: sections"""
        self.stage = stage
        self.more = more
        self.name = name
        self.port, self.admin = stage.port(), stage.port()
        self.url = "http://127.0.0.1:%d/api/v1/write" % self.port
        self.base = "http://127.0.0.1:%d" % self.admin
        os.mkdir(stage.path(name))
        config = self.configure(upstreams)
        self.process = stage.run(name, [programs.relay, "-f", config],
                                 self.base + "/-/ready")

    def configure(self, upstreams):
        """Writes its configuration, for the next start."""
        self.upstreams = [u[0] for u in upstreams]
        text = """\
user = root
listen edge {
	address = "127.0.0.1:%d"
}
admin {
	address = "127.0.0.1:%d"
}
spool {
	directory = "%s"
	size = "1G"
}
""" % (self.port, self.admin, self.stage.path(self.name))
        for upstream, url, protocol, *more in upstreams:
            text += 'upstream %s {\n\turl = "%s"\n\t%s\n%s}\n' % (
                upstream, url, "compression = zstd" if protocol == "zstd" else
                "protocol = " + protocol, "".join(more))
        text += self.more
        return self.stage.write(self.name + ".conf", text)

    def metrics(self, label="upstream"):
        """{name: {upstream (or what the label says), or else "": sum}}"""
        out = {}
        for line in scene.get(self.base + "/metrics").decode().splitlines():
            match = re.match(r'(\w+)(?:\{(.*)\})? (\S+)$', line)
            if not match:
                continue
            upstream = re.search(label + r'="([^"]*)"', match[2] or "")
            of_name = out.setdefault(match[1], {})
            key = upstream[1] if upstream else ""
            of_name[key] = of_name.get(key, 0) + float(match[3])
        return out

    def received(self, metrics=None):
        metrics = metrics or self.metrics()
        return int(sum(metrics["rwrelay_%s_total" % kind].get("", 0)
                       for kind in ("samples", "histograms", "exemplars")))

    def idle(self):
        metrics = self.metrics()
        of = lambda name: metrics.get("rwrelay_upstream_" + name, {})
        return all(of(name).get(u, 0) == 0 for u in self.upstreams
                   for name in ("backlog_bytes", "requests_in_flight",
                                "read_ahead_samples"))
