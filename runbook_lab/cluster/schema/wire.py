"""The wire format of protocol buffers: numbered fields, nothing else."""

import struct
from collections.abc import Iterator


class WireError(ValueError):
    """The bytes are no protocol buffer message."""


def wire_fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Give field numbers with raw values: integers for varints and fixed sizes, bytes for all that has a length."""
    at = 0
    try:
        while at < len(data):
            key, at = _varint(data, at)
            number, kind = key >> 3, key & 7
            if kind == 0:
                value, at = _varint(data, at)
                yield number, value
            elif kind == 2:
                length, at = _varint(data, at)
                if at + length > len(data):
                    raise WireError(f"field {number} ends behind the message")
                yield number, data[at : at + length]
                at += length
            elif kind in (1, 5):
                size, form = (8, "<Q") if kind == 1 else (4, "<I")
                yield number, struct.unpack_from(form, data, at)[0]
                at += size
            else:
                raise WireError(f"field {number} has the unknown wire type {kind}")
    except (IndexError, struct.error) as error:
        raise WireError("the message ends in the middle of a field") from error


def signed(value: int) -> int:
    """Read a varint as a signed 64-bit integer."""
    return value - (1 << 64) if value >= 1 << 63 else value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value & (1 << 64) - 1, at
