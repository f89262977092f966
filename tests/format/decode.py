#!/usr/bin/env python3
"""decode.py - segments of the spool, decoded by what rwrelay-format(7) says and
by nothing else; slow, and in no word the daemon's.
SPDX-License-Identifier: Apache-2.0

    decode.py SEGMENT...

prints what the records carry, a line each thing, in the form of rwload --dump:
labels sorted, doubles as the sixteen digits of their patterns.
"""

import collections
import ctypes
import struct
import sys

U64 = (1 << 64) - 1
RARE, OTHER = 0, 1
DECIMAL, POWER, ULP, RAW = 0, 1, 2, 3
STALE = 0x7ff0000000000002
SUFFIXES = ["", "_total", "_bucket", "_count", "_sum", "_info", "_created",
            "_gcount", "_gsum"]


class Bad(Exception):
    """The bytes are no segment, or no record."""


def i64(v):
    v &= U64
    return v - (1 << 64) if v >> 63 else v


def i32(v):
    v &= 0xffffffff
    return v - (1 << 32) if v >> 31 else v


def unzigzag(v):
    return -((v + 1) >> 1) if v & 1 else v >> 1


def pattern(double):
    return struct.unpack("<Q", struct.pack("<d", double))[0]


# ---- segments ----------------------------------------------------------------

def _crc_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = (i >> 1) ^ (0x82f63b78 if i & 1 else 0)
        table.append(i)
    return table


CRC = _crc_table()


def crc32c(start, data):
    c = start ^ 0xffffffff
    for byte in data:
        c = CRC[(c ^ byte) & 255] ^ (c >> 8)
    return c ^ 0xffffffff


def varint(data, at):
    v = shift = 0
    while True:
        if at >= len(data):
            raise Bad("cut in a varint")
        byte = data[at]
        at += 1
        v |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return v, at


Head = collections.namedtuple("Head", "wall points oldest newest")


def segment(data):
    """Yields (stream, head, data) of each record."""
    if data[:8] != b"\x89RWL\r\n\x1a\n":
        raise Bad("no segment")
    version, size, must = struct.unpack_from("<HHI", data, 8)
    if version != 2 or size != 64 or must != 0:
        raise Bad("another version")
    number, wall = struct.unpack_from("<Qq", data, 24)
    if crc32c(0, data[:60]) != struct.unpack_from("<I", data, 60)[0]:
        raise Bad("the header fails its check")
    seed = crc32c(0, data[40:56])
    at, records, all_points = 64, 0, 0
    while at < len(data) and data[at] > 1:
        begin = at
        length, at = varint(data, at)
        if length & 1:
            mark = crc32c(seed, struct.pack("<Q", begin)) & 0xffff
            if struct.unpack_from("<H", data, at)[0] != mark:
                raise Bad("wrong mark at %d" % begin)
            at += 2
        end = at + 4 + (length >> 1)
        if end > len(data):
            raise Bad("cut at %d" % begin)
        crc = crc32c(seed ^ (begin & 0xffffffff) ^ (begin >> 32),
                     data[begin:at] + data[at + 4:end])
        if struct.unpack_from("<I", data, at)[0] != crc:
            raise Bad("record at %d fails its check" % begin)
        stream, at = varint(data, at + 4)
        ms, at = varint(data, at)
        wall += unzigzag(ms)
        points, at = varint(data, at)
        oldest = newest = 0
        if points:
            before, at = varint(data, at)
            newest = int(wall / 1000) - unzigzag(before)
            before, at = varint(data, at)
            oldest = newest - before
        yield stream, Head(wall, points, oldest, newest), data[at:end]
        at, records, all_points = end, records + 1, all_points + points
    if data[at:at + 8] == b"\x01RWLEND\n":
        if struct.unpack_from("<I", data, at + 92)[0] != \
                crc32c(seed, data[at:at + 92]):
            raise Bad("the footer fails its check")
        if struct.unpack_from("<QQ", data, at + 16) != (at, records) or \
                struct.unpack_from("<Q", data, at + 48)[0] != all_points:
            raise Bad("the footer does not add up")
    elif any(data[at:]):
        raise Bad("neither zeros nor a footer at %d" % at)


# ---- bits --------------------------------------------------------------------

class Bits:
    """Bits of a whole stream as one number."""

    def __init__(self, data, ones=False):
        self.size = 8 * len(data)
        self.data, self.ones, self.at = data, ones, 0

    def take(self, n):
        end = self.at + n
        if end > self.size:
            if not self.ones:
                raise Bad("more bits are asked for than there are")
            have = self.data[self.at >> 3:]
            v = int.from_bytes(have + b"\xff" * (n // 8 + 2), "little")
        else:
            v = int.from_bytes(self.data[self.at >> 3:(end + 7) >> 3],
                               "little")
        v >>= self.at & 7
        self.at = end
        return v & ((1 << n) - 1)

    def ones_before_zero(self, most):
        n = 0
        while n < most and self.take(1):
            n += 1
        return n


class Guess:
    __slots__ = ("a", "b")

    def __init__(self, a=32768):
        self.a = self.b = a


class Kind:
    __slots__ = ("l",)

    def __init__(self):
        self.l = 0


def moved(l, v):
    return (l + min(4 * v.bit_length(), 255) + 1) >> 1


class Record:
    """The three streams of bits of one record."""

    def __init__(self, data, at, mean):
        n = [0, 0]
        n[RARE], at = varint(data, at)
        n[OTHER], at = varint(data, at)
        self.gaps = [Bits(data[at:at + n[0]], True),
                     Bits(data[at + n[0]:at + n[0] + n[1]], True)]
        if at + n[0] + n[1] > len(data):
            raise Bad("streams longer than the record")
        self.plain = Bits(data[at + n[0] + n[1]:])
        self.mean = mean
        self.gap, self.left = [0, 0], [0, 0]
        for k in RARE, OTHER:
            self.gap[k] = self.left[k] = self.next_gap(k)

    def next_gap(self, stream):
        k = (self.mean[stream] * 11 >> 8).bit_length()
        n = self.gaps[stream].ones_before_zero(24)
        if n < 24:
            return (n << k) + self.gaps[stream].take(k)
        return self.gaps[stream].take(32)

    def guess(self, g):
        p = (g.a + g.b) >> 1
        likely = p >= 32768
        q = 65536 - p if likely else p
        if q >= 20000:
            answer = bool(self.plain.take(1))
        else:
            k = RARE if q < 3000 else OTHER
            if self.left[k] > 0:
                answer = likely
                self.left[k] -= 1
            else:
                answer = not likely
                mean = self.mean[k] + ((16 * self.gap[k] - self.mean[k]) >> 3)
                self.mean[k] = min(mean, 1 << 24)
                self.gap[k] = self.left[k] = self.next_gap(k)
        if answer:
            g.a += (65536 - g.a) >> 4
            g.b += (65536 - g.b) >> 7
        else:
            g.a -= g.a >> 4
            g.b -= g.b >> 7
        return answer

    def bits(self, n):
        return self.plain.take(n)

    def about(self, k):
        n = self.plain.ones_before_zero(16)
        if n < 16:
            if k + n > 64:
                raise Bad("a number of more than 64 bits")
            return ((((1 << n) - 1) << k) + self.bits(k + n)) & U64
        length = self.bits(7)
        if not 1 <= length <= 64:
            raise Bad("a number of %d bits" % length)
        return (1 << (length - 1)) + self.bits(length - 1)

    def number(self, kind):
        v = self.about(kind.l >> 2)
        kind.l = moved(kind.l, v)
        return v

    def integer(self, kind):
        return unzigzag(self.number(kind))

    def text(self, kind):
        n = self.number(kind)
        return bytes(self.bits(8) for _ in range(n))

    def end(self):
        if (self.plain.at + 7) >> 3 != self.plain.size >> 3:
            raise Bad("bits are left")


class States(dict):
    """Guesses or kinds by name, made when they are first used."""

    def __init__(self, make, first=lambda *key: 0):
        super().__init__()
        self.make, self.first = make, first

    def __call__(self, *key):
        state = self.get(key)
        if state is None:
            start = self.first(*key)
            state = self[key] = self.make(start) if start else self.make()
        return state


# ---- a stream ----------------------------------------------------------------

class Series:
    """A series of samples, and the values of its samples or of the sums of its
    histograms."""

    def __init__(self, like=None):
        self.like = like
        self.begun = False
        self.link = self.other = None
        self.time = self.step = 0
        self.last = self.mode = self.m = self.e = 0
        self.delta = self.mean = self.still = self.changes = 0
        self.same = self.signs = self.length = self.ulp_length = 0
        self.cost = [0, 0, 0]
        self.zeros = self.failed = self.n_zeros = 0

    def begin(self):
        like, self.begun = self.like, True
        if like is not None and like.begun:
            for name in ("last", "m", "e", "mode", "changes", "still", "same",
                         "signs", "length", "ulp_length"):
                setattr(self, name, getattr(like, name))
            self.cost = list(like.cost)

    def value(self):
        kind, x = self.mode >> 6, self.mode & 63
        if kind == DECIMAL:
            return pattern(float(self.m) / 10.0 ** x)
        if kind == POWER:
            return pattern(float(self.m) * 2.0 ** x)
        if kind == ULP:
            return (pattern(float(self.m) / 10.0 ** x) + self.e) & U64
        return self.m & U64

    def foreseen(self, w):
        return (0, self.delta, (self.mean + 8) >> 4)[w]


def changed_first(*key):
    if key[0] == "changed":
        c = key[1]
        return 2000 >> c if c < 4 else 4000 + 1500 * c
    if key[0] == "same-as":
        return 8000 + 6000 * key[1]
    if key[0] == "escape":
        return 600
    return 0


class Values:
    """What the values of all series have in common."""

    def __init__(self):
        self.guess = States(Guess, changed_first)
        self.neighbour = None
        self.last_changed = self.last_same = 0

    def read(self, r, s):
        first = not s.begun
        if first:
            s.begin()
        if first:
            g = self.guess("first", self.last_changed)
        elif s.changes == 0:
            g = self.guess("changed", (s.still >= 20) + (s.still >= 60) +
                           (s.still >= 200), self.last_changed)
        else:
            ones = bin(s.changes).count("1")
            g = self.guess("changed", 4 * ones + (s.changes & 3),
                           self.last_changed)
        x = r.guess(g)
        s.changes = (s.changes * 2 + x) & 255
        s.still = 0 if x else min(s.still + 1, 255)
        self.last_changed = (self.last_changed * 2 + x) & 3
        return self.read_changed(r, s) if x else s.last

    def read_changed(self, r, s):
        x = False
        if self.neighbour is not None and self.neighbour[1] == s.mode:
            x = r.guess(self.guess("same-as", s.same, self.last_same))
            s.same = (s.same * 2 + x) & 7
            self.last_same = (self.last_same * 2 + x) & 3
        if x:
            change = self.neighbour[0]
        elif r.guess(self.guess("escape", s.mode >> 6)):
            return self.escape(r, s)
        else:
            change = self.residual(r, s)
        if s.mode >> 6 == ULP:
            self.read_e(r, s)
        s.m = i64(s.m + change)
        s.last = s.value()
        self.learn(s, change)
        return s.last

    def residual(self, r, s):
        w = 1 if s.cost[1] < s.cost[0] else 0
        if s.cost[2] < s.cost[w]:
            w = 2
        change = s.foreseen(w)
        size = r.about(s.length >> 2)
        s.length = moved(s.length, size)
        if size:
            x = r.guess(self.guess("sign", w, s.signs))
            s.signs = (s.signs * 2 + x) & 3
            change += -size if x else size
        return i64(change)

    @staticmethod
    def read_e(r, s):
        v = r.about(s.ulp_length >> 2)
        s.ulp_length = moved(s.ulp_length, v)
        s.e += unzigzag(v)
        if abs(s.e) > 1 << 20:
            raise Bad("e is out of bounds")

    def learn(self, s, change):
        self.neighbour = change, s.mode
        for w in range(3):
            b = abs(i64(change - s.foreseen(w))).bit_length()
            s.cost[w] += ((4 * b if b < 64 else 255) - s.cost[w]) >> 2
        t = max(-134217727, min(134217727, change))
        s.mean += (16 * t - s.mean) >> 2
        s.delta = change
        if s.mode != 0 or s.failed >= 2:
            return
        z = (s.m & -s.m).bit_length() - 1 if s.m else 63
        if s.n_zeros == 0 or z < s.zeros:
            s.zeros = z
        if s.zeros < 2:
            s.n_zeros = 0
            return
        s.n_zeros += 1
        if s.n_zeros >= (64 if s.failed else 8) and s.m:
            s.mode = POWER << 6 | s.zeros
            s.m >>= s.zeros
            s.delta >>= s.zeros
            s.mean >>= s.zeros
            s.length = max(s.length - 4 * s.zeros, 0)
            s.cost = [0, 0, 0]
            s.n_zeros = 0

    def escape(self, r, s):
        kind = r.bits(2)
        if kind == 0:
            s.last = r.bits(64)
            return s.last
        if kind == 1:
            return STALE
        if kind != 2:
            raise Bad("no such escape")
        mode, n = r.bits(8), r.bits(7)
        if n > 64 or (mode >> 6 in (DECIMAL, ULP) and mode & 63 > 15) or \
                (mode >> 6 == RAW and mode & 63):
            raise Bad("no such mode")
        m = i64(carried(s.mode, mode, s.m) + unzigzag(r.bits(n)))
        if s.mode >> 6 == POWER:
            s.failed = min(s.failed + 1, 2)
        s.mode, s.m = mode, m
        s.e = s.ulp_length = s.delta = s.mean = s.n_zeros = 0
        if mode >> 6 == ULP:
            self.read_e(r, s)
        s.last = s.value()
        self.neighbour = None
        return s.last


def carried(old, new, m):
    x, y = old & 63, new & 63
    if old >> 6 == POWER and new == 0:
        return i64(m << x) if x <= 53 else 0
    if old >> 6 in (DECIMAL, ULP) and new >> 6 in (DECIMAL, ULP):
        for _ in range(y - x):
            m = i64(m * 10)
        for _ in range(x - y):
            m = -(-m // 10) if m < 0 else m // 10
        return m
    return 0


class NameUse:
    def __init__(self):
        self.last, self.changes, self.hits = None, 0, 0


class Sample:
    __slots__ = ("series", "time", "value", "start")


class Stream:
    def __init__(self):
        self.records = 0
        self.edge = None
        self.mean = [512, 64]
        self.symbols = [b""]
        self.fresh = 1
        self.after, self.names = {}, {}
        self.metric = NameUse()
        self.shapes, self.shape_of, self.last_shape = [], {}, None
        self.last_of = {}
        self.series, self.labels = [], []
        self.define = self.states(lambda *key: 65000
                                  if key == ("has-metric",) else 0)
        self.meta = self.states()
        self.entries, self.own = [], {}
        self.item_series = self.item_own = self.item_family = 0
        self.stem = self.suffix = self.help = self.unit = 0
        self.types = {}
        self.refs = self.states()
        self.count, self.ends, self.left = 0, [], None
        self.latest = self.latest_step = 0
        self.values = Values()
        self.starts, self.start = self.states(), {}
        self.hist = self.states()
        self.sums = Values()
        self.kept, self.numbers, self.hist_series = {}, 0, None
        self.ex = self.states()
        self.ex_series = self.ex_back = self.ex_digits = 0
        self.ex_names, self.ex_last = None, [0, 0]
        self.traces, self.n_traces = [0] * 512, 0
        self.digest = 0

    @staticmethod
    def states(first=lambda *key: 0):
        return States(Guess, first), States(lambda: Kind())

    # ---- texts

    def texts(self, data, at):
        n, at = varint(data, at)
        size, at = varint(data, at)
        packed, size = size & 1, size >> 1
        if packed:
            n_packed, at = varint(data, at)
            plain = unzstd(data[at:at + n_packed], self.prefix(), size)
            at += n_packed
        else:
            plain = data[at:at + size]
            at += size
        if len(plain) != size or n < 1:
            raise Bad("texts are cut")
        place = n
        for common in plain[:n]:
            end = plain.index(0, place)
            rest = plain[place:end]
            text, i = bytearray(self.symbols[-1][:common]), 0
            if len(text) != common:
                raise Bad("more in common than there is")
            while i < len(rest):
                if rest[i] == 1:
                    i += 1
                    text.append(rest[i] - 1)
                else:
                    text.append(rest[i])
                i += 1
            if not text:
                raise Bad("an empty text")
            self.symbols.append(bytes(text))
            place = end + 1
        return at

    def prefix(self):
        size, first = 0, len(self.symbols)
        while first > 1 and size + len(self.symbols[first - 1]) + 1 <= 32768:
            first -= 1
            size += len(self.symbols[first]) + 1
        return b"".join(s + b"\0" for s in self.symbols[first:])

    def use(self, symbol):
        if symbol == self.fresh:
            self.fresh += 1
        return symbol

    def get_fresh(self):
        if self.fresh >= len(self.symbols):
            raise Bad("no fresh symbol")
        return self.fresh

    def in_bits(self, r):
        symbol = r.bits((self.fresh - 1).bit_length())
        if symbol >= self.fresh:
            raise Bad("a symbol that is not in use")
        return symbol

    # ---- definitions

    def definitions(self, r):
        guess, kind = self.define
        for _ in range(r.number(kind("count"))):
            changed = [0]
            metric = 0
            has_metric = r.guess(guess("has-metric"))
            if has_metric:
                metric = self.label_value(r, self.metric, True, changed)
            shape = self.get_shape(r, metric)
            names = self.shapes[shape]
            if has_metric != any(self.symbols[n] == b"__name__"
                                 for n in names):
                raise Bad("a metric name that is none")
            self.shape_of[metric] = self.last_shape = shape
            labels = []
            for n in names:
                if self.symbols[n] == b"__name__":
                    v = metric
                else:
                    u = self.names.setdefault(n, NameUse())
                    v = self.label_value(r, u, False, changed)
                labels.append((self.symbols[n], self.symbols[v]))
            s = Series(self.last_of.get(metric))
            s.link = len(self.series) + 1
            self.last_of[metric] = s
            self.series.append(s)
            self.labels.append(labels)

    def label_value(self, r, u, is_metric, changed):
        guess, _ = self.define
        v = None
        if u.last is not None:
            same = r.guess(guess("same", u.changes, changed[0]))
            u.changes = (u.changes * 2 + (not same)) & 3
            if same:
                return u.last
            if u.last in self.after:
                hit = r.guess(guess("after", u.hits))
                u.hits = (u.hits * 2 + hit) & 3
                if hit:
                    v = self.after[u.last]
        if v is None:
            v = self.get_fresh() if r.guess(guess("fresh", is_metric)) else \
                self.in_bits(r)
        if v == 0:
            raise Bad("an empty value")
        changed[0] = min(changed[0] + 1, 2)
        if u.last is not None:
            self.after[u.last] = v
        u.last = v
        return self.use(v)

    def get_shape(self, r, metric):
        guess, kind = self.define
        like = self.shape_of.get(metric, self.last_shape)
        if like is not None and \
                r.guess(guess("shape", like == self.last_shape)):
            return like
        if not r.guess(guess("new")):
            shape = r.bits((len(self.shapes) - 1).bit_length())
            if shape >= len(self.shapes):
                raise Bad("no such shape")
            return shape
        f = self.shapes[like] if like is not None else []
        i, names = 0, []
        n = r.number(kind("names"))
        if n > 4096:
            raise Bad("too many labels")
        for _ in range(n):
            if i < len(f) and r.guess(guess("next")):
                names.append(f[i])
                i += 1
            elif i + 1 < len(f) and r.guess(guess("skip")):
                names.append(f[i + 1])
                i += 2
            elif r.guess(guess("fresh-name")):
                names.append(self.use(self.get_fresh()))
            else:
                names.append(self.use(self.in_bits(r)))
        texts = [self.symbols[n] for n in names]
        if any(a >= b for a, b in zip([b""] + texts, texts)):
            raise Bad("names out of order")
        self.shapes.append(names)
        return len(self.shapes) - 1

    # ---- metadata

    def metadata(self, r):
        """Yields (series or None, family or None, type, help, unit)."""
        guess, kind = self.meta
        for _ in range(r.number(kind("count"))):
            own = r.guess(guess("own"))
            series = None
            if own:
                series = self.series[self.item_series].link
                if not r.guess(guess("series-next")):
                    series += r.integer(kind("series"))
                if not 0 <= series < len(self.series):
                    raise Bad("no such series")
                self.item_series = series
                if series in self.own and r.guess(guess("as-before")):
                    self.item_own = self.own[series]
                    yield (series,) + self.entries[self.item_own]
                    continue
            number = self.item_number(r, own)
            if number is None:
                what = self.get_type(r, 0)
                family = None if own else r.text(kind("text"))
                yield series, family, what, r.text(kind("text")), \
                    r.text(kind("text"))
                continue
            if own:
                self.own[series] = self.item_own = number
            else:
                self.item_family = number + 1
            if number == len(self.entries):
                self.entries.append(self.entry(r, own))
            yield (series,) + self.entries[number]

    def item_number(self, r, own):
        guess, kind = self.meta
        foreseen = self.item_own if own else self.item_family
        n = len(self.entries)
        can = foreseen < n
        if can and r.guess(guess("foreseen", own)):
            return foreseen
        if r.guess(guess("new", own, can)):
            return n
        if r.guess(guess("whole")):
            return None
        number = foreseen + r.integer(kind("skip"))
        if not 0 <= number < n:
            raise Bad("no such metadata")
        return number

    def get_type(self, r, suffix):
        guess, _ = self.meta
        if not r.guess(guess("same-type")):
            v = r.bits(3)
            self.types[suffix] = r.bits(32) if v == 7 else v
        return self.types.get(suffix, 0)

    def entry(self, r, own):
        guess, kind = self.meta
        family, suffix = None, 0
        if not own:
            self.stem += r.integer(kind("stem"))
            if not 0 <= self.stem < len(self.symbols):
                raise Bad("no such symbol")
            family = self.symbols[self.use(self.stem)]
            if not r.guess(guess("no-suffix")):
                if not r.guess(guess("last-suffix")):
                    self.suffix = r.bits(4)
                suffix = self.suffix
                end = SUFFIXES[suffix].encode()
                family = family[:len(family) - len(end)]
        what = self.get_type(r, suffix)
        for name in "help", "unit":
            if not r.guess(guess("last-" + name)):
                symbol = self.get_fresh() if r.guess(guess("fresh-" + name)) \
                    else self.in_bits(r)
                setattr(self, name, self.use(symbol))
        return family, what, self.symbols[self.help], self.symbols[self.unit]

    # ---- samples

    def samples(self, r):
        guess, kind = self.refs
        n = self.count if r.guess(guess("count-same")) else \
            r.number(kind("count"))
        if not 1 <= n <= 4194304:
            raise Bad("%d samples" % n)
        self.count = n
        place, first = self.first(r)
        out = []
        before = None
        self.values.neighbour = None
        for begin in range(0, n, 256):
            size = min(256, n - begin)
            ids = [first] if begin == 0 else [out[-1].series]
            self.way(r, ids, size + (begin > 0))
            if begin:
                ids = ids[1:]
            block = []
            for i in ids:
                s = Sample()
                s.series, s.start = i, 0
                block.append(s)
            before = self.times(r, block, before)
            for s in block:
                s.value = self.values.read(r, self.series[s.series])
            out += block
        if place is None and len(self.ends) == 8:
            place = 7
        if place is not None:
            del self.ends[place]
        self.ends.insert(0, out[-1].series)
        return out

    def check_series(self, i):
        if not 0 <= i < len(self.series):
            raise Bad("no such series")
        return i

    def relink(self, s, to):
        if s.link != to:
            s.other, s.link = s.link, to

    def first(self, r):
        guess, kind = self.refs
        for i, end in enumerate(self.ends):
            if r.guess(guess("end", i)):
                return i, self.check_series(self.series[end].link)
        base = self.series[self.ends[0]].link if self.ends else 0
        start = self.check_series(base + r.integer(kind("start")))
        if self.ends:
            self.relink(self.series[self.ends[0]], start)
        return None, start

    def way(self, r, ids, n):
        guess, kind = self.refs
        while len(ids) < n:
            s = self.series[ids[-1]]
            if s.other is not None:
                if r.guess(guess("taken")):
                    ids.append(self.check_series(s.link))
                else:
                    ids.append(self.turn(r, s))
            elif r.guess(guess("straight")):
                while len(ids) < n and s.other is None:
                    ids.append(self.check_series(s.link))
                    s = self.series[ids[-1]]
            else:
                for _ in range(r.number(kind("length"))):
                    ids.append(self.check_series(s.link))
                    s = self.series[ids[-1]]
                ids.append(self.turn(r, s))

    def turn(self, r, s):
        guess, kind = self.refs
        skip = self.series[s.link].link if s.link < len(self.series) else None
        to = None
        for i, place in enumerate((s.other, skip, self.left)):
            if place is None or place >= len(self.series) or place == s.link:
                continue
            if r.guess(guess("turn", i)):
                to = place
                break
        if to is None:
            to = self.check_series(s.link + r.integer(kind("start")))
        self.left = s.link
        self.relink(s, to)
        return to

    def times(self, r, block, before):
        """before: the time of the sample before, and what its series' was."""
        guess, kind = self.refs
        n = ms = 0
        for i, sample in enumerate(block):
            s = self.series[sample.series]
            if i == 0 or n == 0 or s.time != before[1]:
                has = s.time != 0 or s.step != 0
                if before is not None and s.time == before[1]:
                    ms = before[0]
                elif not has:
                    ms = self.latest
                else:
                    ms = i64(s.time + (s.step or self.latest_step))
                if not r.guess(guess("foreseen")):
                    ms = i64(ms + r.integer(kind("off")))
                n = 1 << 32
                if not r.guess(guess("holds")):
                    n = r.number(kind("changed"))
                    if n == 0:
                        raise Bad("no samples of a time")
            n -= 1
            sample.time = self.latest = ms
            before = ms, s.time
            if s.time != 0 or s.step != 0:
                s.step = self.latest_step = i32(ms - s.time)
            s.time = ms
        return before

    def start_times(self, r, samples):
        guess, kind = self.starts
        same, neighbour = True, 0
        for s in samples:
            same = r.guess(guess("same", same))
            if not same:
                if r.guess(guess("neighbour")):
                    self.start[s.series] = neighbour
                else:
                    self.start[s.series] = i64(s.time -
                                               r.integer(kind("since")))
            s.start = neighbour = self.start.get(s.series, 0)

    # ---- histograms

    def histograms(self, r):
        _, kind = self.hist
        n = r.number(kind("count"))
        if n > 1048576:
            raise Bad("%d histograms" % n)
        self.sums.neighbour = None
        before, out = None, []
        for _ in range(n):
            h, before = self.histogram(r, before)
            out.append(h)
        return out

    def histogram(self, r, before):
        guess, kind = self.hist
        h = {}
        at = self.kept.get(self.hist_series)
        if at is not None and at["next"] is not None:
            series = at["next"]
        else:
            series = 0 if self.hist_series is None else self.hist_series + 1
        if not r.guess(guess("series-next")):
            series += r.integer(kind("series"))
        h["series"] = self.check_series(series)
        last = self.kept.get(series)
        if last is None or (before is not None and
                            last["time"] == before[1]):
            ms = before[0] if before is not None else self.latest
        else:
            ms = i64(last["time"] + last["step"])
        if not r.guess(guess("time")):
            ms = i64(ms + r.integer(kind("off")))
        h["time"] = ms
        h["start"] = last["start"] if last else 0
        if not r.guess(guess("start-same")):
            h["start"] = i64(ms - r.integer(kind("since")))
        self.head(r, h, last)
        self.spans(r, h, last)
        self.counts(r, h, last)
        s = last["state"] if last else Series()
        h["sum"] = self.sums.read(r, s)
        h["state"] = s
        if last is not None:
            h["step"] = i64(ms - last["time"])
        else:
            h["step"] = 0
        before = ms, last["time"] if last else 0
        if at is not None:
            at["next"] = series
        self.hist_series = series
        self.keep(h, last)
        return h, before

    def keep(self, h, last):
        n = len(h["custom"]) + sum(len(h["spans"][i]) + len(h["counts"][i])
                                   for i in (0, 1))
        h["numbers"] = n
        h["next"] = last["next"] if last else None
        others = self.numbers - (last["numbers"] if last else 0)
        if n > 4096 or others + n > 1048576:
            self.kept.pop(h["series"], None)
            self.numbers = others
        else:
            self.kept[h["series"]] = h
            self.numbers = others + n

    def head(self, r, h, last):
        guess, kind = self.hist
        if last is not None and r.guess(guess("head-same")):
            for name in "float", "zeros?", "hint", "schema", "threshold", \
                    "custom":
                h[name] = last[name]
            return
        flags = r.bits(2)
        h["float"], h["zeros?"] = bool(flags & 1), bool(flags & 2)
        h["hint"] = r.bits(8)
        h["schema"] = i32(r.bits(32))
        h["threshold"] = r.bits(64)
        h["custom"] = [r.bits(64) for _ in range(r.number(kind("custom")))]

    def spans(self, r, h, last):
        guess, kind = self.hist
        if last is not None and r.guess(guess("spans-same")):
            h["spans"], h["n"] = last["spans"], last["n"]
            return
        h["spans"], h["n"] = [], []
        for _ in range(2):
            spans = []
            for _ in range(r.number(kind("spans"))):
                offset = r.integer(kind("offset"))
                spans.append((offset, r.number(kind("length"))))
            n = sum(s[1] for s in spans)
            if not r.guess(guess("buckets")):
                n = r.number(kind("buckets"))
            if n > 1048576:
                raise Bad("%d buckets" % n)
            h["spans"].append(spans)
            h["n"].append(n)

    def float_count(self, r):
        guess, kind = self.hist
        if r.guess(guess("whole")):
            return pattern(float(r.number(kind("whole"))))
        return r.bits(64)

    def counts(self, r, h, last):
        guess, kind = self.hist
        like = last if last is not None and last["float"] == h["float"] \
            else None
        zeros, count = (like["zeros"], like["count"]) if like else (0, 0)
        h["zeros"] = zeros
        if not r.guess(guess("zeros-same")):
            h["zeros"] = self.float_count(r) if h["float"] else \
                (zeros + r.integer(kind("tally"))) & U64
        more = h["zeros"] - zeros
        h["counts"] = []
        for i in (0, 1):
            recent, row = 0, []
            for before in befores(like, h, i):
                x = r.guess(guess("bucket-same", recent))
                recent = (recent * 2 + (not x)) & 3
                v = before
                if not x and h["float"]:
                    v = self.float_count(r)
                elif not x:
                    up = r.guess(guess("up"))
                    n = r.number(kind("bucket", up)) + 1
                    v = (before + n if up else before - n) & U64
                more += v - before
                row.append(v)
            h["counts"].append(row)
        h["count"] = count if h["float"] else (count + more) & U64
        if not r.guess(guess("count")):
            h["count"] = self.float_count(r) if h["float"] else \
                (h["count"] + r.integer(kind("tally"))) & U64

    # ---- exemplars

    def exemplars(self, r):
        _, kind = self.ex
        n = r.number(kind("count"))
        if n > 1048576:
            raise Bad("%d exemplars" % n)
        out = []
        for _ in range(n):
            out.append(self.exemplar(r, out))
        return out

    def exemplar(self, r, out):
        guess, kind = self.ex
        self.ex_series += r.integer(kind("series"))
        series = self.check_series(self.ex_series)
        s = self.series[series]
        repeated = r.guess(guess("repeated"))
        same = False
        if repeated:
            if not r.guess(guess("back-same")):
                self.ex_back = r.number(kind("back"))
            if not 1 <= self.ex_back <= min(64, len(out)):
                raise Bad("no exemplar so far back")
            labels = out[-self.ex_back]["labels"]
            same = r.guess(guess("time-same"))
        else:
            labels = self.ex_labels(r)
        if same:
            ms = out[-self.ex_back]["time"]
        else:
            ms = i64((s.time if s.begun else self.latest) -
                     r.integer(kind("age")))
        if not r.guess(guess("value-same", repeated)):
            if not r.guess(guess("digits-same")):
                self.ex_digits = r.bits(4)
            if self.ex_digits == 15:
                self.ex_last[repeated] = r.bits(64)
            else:
                self.ex_last[repeated] = pattern(
                    float(r.integer(kind("whole"))) / 10.0 ** self.ex_digits)
        return {"series": series, "time": ms, "labels": labels,
                "value": self.ex_last[repeated]}

    def ex_labels(self, r):
        guess, kind = self.ex
        same = self.ex_names is not None and r.guess(guess("names-same"))
        n = len(self.ex_names) if same else r.number(kind("labels"))
        labels = []
        for i in range(n):
            name = self.ex_names[i] if same else r.text(kind("text"))
            if r.guess(guess("hex")):
                n_bytes = r.number(kind("hex"))
                value = self.trace(r) if n_bytes == 16 else \
                    b"".join(b"%02x" % r.bits(8) for _ in range(n_bytes))
            else:
                value = r.text(kind("text"))
            labels.append((name, value))
        if not same:
            names = [name for name, _ in labels]
            fits = len(names) <= 4 and sum(map(len, names)) <= 100
            self.ex_names = names if fits else None
        return labels

    def trace(self, r):
        guess, _ = self.ex
        if r.guess(guess("trace")):
            return self.traces[r.bits(9)] or b"0" * 32
        first = r.bits(64)
        text = b"%016x%016x" % (first, r.bits(64))
        self.traces[self.n_traces % 512] = text
        self.n_traces += 1
        return text

    # ---- records

    def mix(self, x, y, z):
        self.digest = (self.digest + x + y * 0xa0761d6478bd642f +
                       z * 0xe7037ed1a0b428db) * 0x9fb21c651e98df25 & U64

    def record(self, data):
        """What a record has: samples, histograms, exemplars, metadata."""
        parts, at = varint(data, 0)
        if bool(parts & 128) != (self.records == 0) or parts > 255:
            raise Bad("no hello, or one too many")
        if parts & 128:
            version, at = varint(data, at)
            features, at = varint(data, at)
            n, at = varint(data, at)
            if version != 1 or features:
                raise Bad("another version")
            self.edge = data[at:at + n]
            at += n
        if parts & 64:
            at = self.texts(data, at)
        r = Record(data, at, self.mean)
        if parts & 32:
            self.definitions(r)
        metadata = list(self.metadata(r)) if parts & 8 else []
        samples = self.samples(r) if parts & 1 else []
        if parts & 16:
            self.start_times(r, samples)
        histograms = self.histograms(r) if parts & 2 else []
        exemplars = self.exemplars(r) if parts & 4 else []
        for s in samples:
            self.mix(s.value, s.time, s.series)
        for h in histograms:
            self.mix(h["sum"], h["count"], h["time"])
        for x in exemplars:
            self.mix(x["value"], x["time"], x["series"])
        self.records += 1
        if self.records % 16 == 0 and r.bits(32) != self.digest >> 32:
            raise Bad("the check fails")
        r.end()
        return samples, histograms, exemplars, metadata


def places(spans):
    at = 0
    for i, (offset, length) in enumerate(spans):
        at += offset
        for _ in range(length):
            yield at
            at += 1


def befores(last, h, i):
    """What each bucket of that side had before."""
    n = h["n"][i]
    if last is None or sum(s[1] for s in last["spans"][i]) != last["n"][i] or \
            sum(s[1] for s in h["spans"][i]) != n:
        return [0] * n
    old = list(zip(places(last["spans"][i]), last["counts"][i]))
    at, out = 0, []
    for place in places(h["spans"][i]):
        while at < len(old) and old[at][0] < place:
            at += 1
        out.append(old[at][1] if at < len(old) and old[at][0] == place else 0)
    return out


_zstd = None


def unzstd(packed, prefix, size):
    global _zstd
    if _zstd is None:
        _zstd = ctypes.CDLL("libzstd.so.1")
        _zstd.ZSTD_createDCtx.restype = ctypes.c_void_p
        _zstd.ZSTD_decompress_usingDict.restype = ctypes.c_size_t
        _zstd.ZSTD_decompress_usingDict.argtypes = [
            ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t,
            ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p,
            ctypes.c_size_t]
        _zstd.ZSTD_freeDCtx.argtypes = [ctypes.c_void_p]
    frame = b"\x28\xb5\x2f\xfd" + packed
    to = ctypes.create_string_buffer(size + 1)
    context = _zstd.ZSTD_createDCtx()
    n = _zstd.ZSTD_decompress_usingDict(context, to, size, frame, len(frame),
                                        prefix, len(prefix))
    _zstd.ZSTD_freeDCtx(context)
    if n != size:
        raise Bad("texts cannot be unpacked")
    return to.raw[:size]


def check_head(head, what):
    """What a record's frame says of its points."""
    times = [s.time for s in what[0]] + [h["time"] for h in what[1]] + \
        [x["time"] for x in what[2]]
    if head.points != len(times) or times and (
            head.oldest != min(times) // 1000 or
            head.newest != -(-max(times) // 1000)):
        raise Bad("a record has other points than its frame says")


def spool(segments):
    """Yields (stream, labels, what) for each record of these segments' data,
    each of which has streams of its own."""
    for data in segments:
        streams = {}
        for number, head, record in segment(data):
            stream = streams.setdefault(number, Stream())
            what = stream.record(record)
            check_head(head, what)
            yield stream, what


# ---- lines -------------------------------------------------------------------

def quoted(text):
    out = bytearray(b'"')
    for c in text:
        if c in b'"\\':
            out += b"\\" + bytes([c])
        elif c < 0x20 or c == 0x7f:
            out += b"\\x%02x" % c
        else:
            out.append(c)
    return bytes(out) + b'"'


def braces(labels):
    return b"{" + b",".join(n + b"=" + quoted(v)
                            for n, v in sorted(labels)) + b"}"


def numbers(name, values, form):
    if not values:
        return b""
    return b" " + name + b"=" + b",".join(form % v for v in values)


def histogram_line(h):
    out = b" histogram %d" % h["time"]
    out += (b" count=f%016x" if h["float"] else b" count=%d") % h["count"]
    out += b" sum=%016x schema=%d zero-threshold=%016x" % (
        h["sum"], h["schema"], h["threshold"])
    out += (b" zero=f%016x" if h["float"] else b" zero=%d") % h["zeros"]
    for i, name in enumerate((b"negative", b"positive")):
        out += numbers(name + b"-spans", h["spans"][i], b"%d:%d")
        if h["float"]:
            out += numbers(name + b"-counts", h["counts"][i], b"%016x")
        else:
            row = h["counts"][i]
            out += numbers(name + b"-deltas", [
                i64(b - a) for a, b in zip([0] + row, row)], b"%d")
    if h["hint"]:
        out += b" reset=%d" % h["hint"]
    out += numbers(b"custom", h["custom"], b"%016x")
    if h["start"]:
        out += b" start=%d" % h["start"]
    return out


def lines(segments):
    """What the segments' records carry, as rwload --dump has it."""
    for stream, (samples, histograms, exemplars, metadata) in spool(segments):
        names = {}

        def name(i):
            if i not in names:
                names[i] = braces(stream.labels[i])
            return names[i]

        for s in samples:
            line = name(s.series) + b" sample %d %016x" % (s.time, s.value)
            yield line + (b" start=%d" % s.start if s.start else b"")
        for h in histograms:
            yield name(h["series"]) + histogram_line(h)
        for x in exemplars:
            yield name(x["series"]) + b" exemplar %d %016x " % (
                x["time"], x["value"]) + braces(x["labels"])
        for series, family, what, told, unit in metadata:
            start = b"metadata " + family if series is None else \
                name(series) + b" metadata"
            yield start + b" %d " % what + quoted(told) + b" " + quoted(unit)


def main():
    for path in sys.argv[1:]:
        with open(path, "rb") as f:
            data = f.read()
        for line in lines([data]):
            sys.stdout.buffer.write(line + b"\n")


if __name__ == "__main__":
    try:
        main()
    except Bad as error:
        sys.exit("decode.py: %s" % error)
