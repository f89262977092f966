# wire.py - protobuf and snappy, as little as the tests need
# SPDX-License-Identifier: Apache-2.0
#
# Shares nothing with the relay: what both understand was not misread twice
# in the same way.

import struct

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def zigzag(n):
    return n << 1 ^ n >> 63


def unzigzag(n):
    return n >> 1 ^ -(n & 1)


def signed(n):
    return n - (1 << 64) if n >> 63 else n


def read_varint(data, at):
    n = shift = 0
    while True:
        byte = data[at]
        at += 1
        n |= (byte & 127) << shift
        if byte < 128:
            return n, at
        shift += 7


# Writing: a message is the concatenation of its fields.

def uint(field, n):
    return varint(field << 3 | VARINT) + varint(n)


def sint(field, n):
    return uint(field, zigzag(n))


def double(field, x):
    return varint(field << 3 | FIXED64) + struct.pack("<d", x)


def data(field, what):
    if isinstance(what, str):
        what = what.encode()
    return varint(field << 3 | BYTES) + varint(len(what)) + what


def packed_sint(field, numbers):
    return data(field, b"".join(varint(zigzag(n)) for n in numbers))


def packed_double(field, numbers):
    return data(field, struct.pack("<%dd" % len(numbers), *numbers))


# Reading

def fields(message):
    """Yields (field, wire type, value); a fixed64 comes as its 64 bits."""
    at = 0
    while at < len(message):
        key, at = read_varint(message, at)
        kind = key & 7
        if kind == VARINT:
            value, at = read_varint(message, at)
        elif kind == FIXED64:
            value = int.from_bytes(message[at:at + 8], "little")
            at += 8
        elif kind == BYTES:
            size, at = read_varint(message, at)
            value = message[at:at + size]
            at += size
        elif kind == FIXED32:
            value = int.from_bytes(message[at:at + 4], "little")
            at += 4
        else:
            raise ValueError("wire type %d" % kind)
        yield key >> 3, kind, value


def varints(kind, value):
    """A repeated varint field, packed or not, as a list."""
    if kind == VARINT:
        return [value]
    out, at = [], 0
    while at < len(value):
        n, at = read_varint(value, at)
        out.append(n)
    return out


def fixed64s(kind, value):
    if kind == FIXED64:
        return [value]
    return list(struct.unpack("<%dQ" % (len(value) // 8), value))


def to_double(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


# Snappy's block format

def snappy_pack(raw):
    """Literals only: valid, if not small."""
    out = [varint(len(raw))]
    for at in range(0, len(raw), 65536):
        part = raw[at:at + 65536]
        out.append(b"\xf4" + struct.pack("<H", len(part) - 1) + part)
    return b"".join(out)


def snappy_unpack(packed):
    size, at = read_varint(packed, 0)
    out = bytearray()
    while at < len(packed):
        tag = packed[at]
        at += 1
        if tag & 3 == 0:
            length = tag >> 2
            if length >= 60:
                width = length - 59
                length = int.from_bytes(packed[at:at + width], "little")
                at += width
            length += 1
            out += packed[at:at + length]
            at += length
            continue
        if tag & 3 == 1:
            length = (tag >> 2 & 7) + 4
            offset = tag >> 5 << 8 | packed[at]
            at += 1
        else:
            width = 2 if tag & 3 == 2 else 4
            length = (tag >> 2) + 1
            offset = int.from_bytes(packed[at:at + width], "little")
            at += width
        start = len(out) - offset
        if offset == 0 or start < 0:
            raise ValueError("snappy: offset out of range")
        while length > 0:  # a copy may overlap what it makes
            part = out[start:start + min(length, offset)]
            out += part
            start += len(part)
            length -= len(part)
    if len(out) != size:
        raise ValueError("snappy: %d bytes instead of %d" % (len(out), size))
    return bytes(out)
