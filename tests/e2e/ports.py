"""ports.py - ports of loopback that no other test has or will have.
SPDX-License-Identifier: Apache-2.0

A program takes them by the hundred: a name that only one can have, and that is
free again when its process ends, stands for each hundred. They are below those
that the kernel hands out for connections.
"""

import random
import socket

FIRST, BLOCK, BLOCKS = 10000, 100, 200
_names, _left = [], []


def _take():
    for n in random.sample(range(BLOCKS), BLOCKS):
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind("\0rwrelay-tests-ports-%d" % n)
        except OSError:
            name.close()
            continue
        _names.append(name)
        _left.extend(range(FIRST + n * BLOCK, FIRST + (n + 1) * BLOCK))
        return
    raise RuntimeError("no ports are left for tests")


def free():
    """One that nothing listens on, and that is not given again."""
    while True:
        if not _left:
            _take()
        port = _left.pop(0)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
