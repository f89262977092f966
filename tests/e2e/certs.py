"""certs.py - certificates, through the openssl command.
SPDX-License-Identifier: Apache-2.0

    ca = certs.Authority(t.path("ca"), "edges")
    site = ca.issue("site 7", san="DNS:site7.example")
    site.cert, site.key, ca.cert    # files
"""

import os
import shutil
import subprocess
import time

CONFIG = """[ca]
default_ca = a
[a]
new_certs_dir = .
database = index
serial = serial
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
certificate = ca.pem
private_key = ca.key
[any]
commonName = optional
"""
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def when(days):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() +
                                                       days * 86400))


class Party:
    def __init__(self, cert, key):
        self.cert, self.key = cert, key

    def put(self, cert, key):
        """Takes the place of these files, one after the other."""
        for source, to in ((self.cert, cert), (self.key, key)):
            shutil.copy(source, to + ".new")
            os.rename(to + ".new", to)


class Authority(Party):
    def __init__(self, directory, name):
        os.mkdir(directory)
        self.directory, self.n = directory, 0
        super().__init__(self.path("ca.pem"), self.path("ca.key"))
        self.crl = self.path("crl.pem")
        for file, text in (("ca.cnf", CONFIG), ("index", ""),
                           ("serial", "01\n")):
            with open(self.path(file), "w") as f:
                f.write(text)
        self.openssl("req", *KEY, "-x509", "-subj", "/CN=" + name,
                     "-out", "ca.pem", "-keyout", "ca.key")
        self.list()

    def path(self, name):
        return os.path.join(self.directory, name)

    def openssl(self, *args):
        subprocess.run(("openssl",) + args, cwd=self.directory, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       stdin=subprocess.DEVNULL)

    def ca(self, *args):
        self.openssl("ca", "-batch", "-config", "ca.cnf", *args)

    def issue(self, cn, san="", first=-1, last=1):
        """Good from `first` to `last`, in days from now."""
        self.n += 1
        name = "%d" % self.n
        self.openssl("req", *KEY, "-new", "-subj", "/CN=" + cn, "-out",
                     name + ".csr", "-keyout", name + ".key",
                     *(("-addext", "subjectAltName=" + san) if san else ()))
        self.ca("-in", name + ".csr", "-out", name + ".pem", "-notext",
                "-startdate", when(first), "-enddate", when(last))
        return Party(self.path(name + ".pem"), self.path(name + ".key"))

    def revoke(self, party):
        self.ca("-revoke", party.cert)
        self.list()

    def list(self):
        self.ca("-gencrl", "-crldays", "1", "-out", "crl.new")
        os.rename(self.path("crl.new"), self.crl)
