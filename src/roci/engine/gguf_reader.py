"""A GGUF file's metadata and tensor list as plain values, read in milliseconds, whatever the file holds.

Vocabularies are stepped over, not built; every count and length is checked before it is used. What the
values mean for roci is in `gguf_header.py`.

Source: ggml's `docs/gguf.md`, versions 2 and 3.
"""

from __future__ import annotations

import struct
from math import prod
from typing import Final

import msgspec

HEADER_LIMIT_BYTES: Final = 256 * 2**20
FIRST_READ_BYTES: Final = 8 * 2**20
STRING_LIMIT_BYTES: Final = 4 * 2**20
KEPT_ARRAY_LIMIT: Final = 4096
KEY_LIMIT_BYTES: Final = 65_535
PAIRS_LIMIT: Final = 65_536
TENSORS_LIMIT: Final = 1_000_000
DIMENSIONS_LIMIT: Final = 4

_SCALARS: Final = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_U32: Final = _SCALARS[4]
_U64: Final = _SCALARS[10]
_STRING: Final = 8
_ARRAY: Final = 9
_FLOATS: Final = (6, 12)

Value = int | float | bool | str | list[int]


class Tensor(msgspec.Struct, frozen=True):
    """One entry of the tensor list."""

    name: str
    type_number: int
    elements: int
    offset: int
    """Bytes from the start of the data part."""


class Contents(msgspec.Struct, frozen=True):
    """What a GGUF file says about itself. Strings' arrays and long arrays are left out of `values`."""

    values: dict[str, Value]
    tensors: tuple[Tensor, ...]
    end: int
    """Where the header ends; the data part begins at the next multiple of `general.alignment`."""


class CutShortError(Exception):
    """The bytes end inside the header."""


class DamagedError(Exception):
    """The header contradicts the format; the text says where."""


def read_contents(data: bytes) -> Contents:
    """The contents of a version 2 or 3 file that begins with `data`, magic and version included.

    Raises:
        CutShortError: more bytes are needed.
        DamagedError: more bytes would not help.
    """
    cursor = _Cursor(data, 8)
    tensor_count = _within(cursor.number(_U64), TENSORS_LIMIT, "tensors")
    pair_count = _within(cursor.number(_U64), PAIRS_LIMIT, "metadata entries")
    values: dict[str, Value] = {}
    for _ in range(pair_count):
        key = cursor.text(KEY_LIMIT_BYTES)
        value = cursor.value()
        if value is not None:
            values[key] = value
    tensors = tuple(cursor.tensor() for _ in range(tensor_count))
    return Contents(values, tensors, cursor.position)


def _within(count: int, limit: int, what: str) -> int:
    if count > limit:
        raise DamagedError(f"it claims to hold {count:,} {what}")
    return count


class _Cursor:
    def __init__(self, data: bytes, position: int) -> None:
        self.data = data
        self.position = position

    def number(self, layout: struct.Struct) -> int:
        end = self._advance(layout.size)
        return layout.unpack_from(self.data, end - layout.size)[0]

    def text(self, limit: int) -> str:
        length = _within(self.number(_U64), limit, "bytes in one string")
        end = self._advance(length)
        return self.data[end - length : end].decode(errors="replace")

    def value(self) -> Value | None:
        """The next value; None for an array that is not kept."""
        kind = self.number(_U32)
        if kind == _STRING:
            return self.text(STRING_LIMIT_BYTES)
        if kind == _ARRAY:
            return self._array()
        if kind not in _SCALARS:
            raise DamagedError(f"metadata of the unknown type {kind}")
        return self.number(_SCALARS[kind])

    def tensor(self) -> Tensor:
        name = self.text(KEY_LIMIT_BYTES)
        dimensions = _within(self.number(_U32), DIMENSIONS_LIMIT, "dimensions in one tensor")
        elements = prod(self.number(_U64) for _ in range(dimensions))
        return Tensor(name, self.number(_U32), elements, self.number(_U64))

    def _array(self) -> list[int] | None:
        kind, count = self.number(_U32), self.number(_U64)
        if kind == _STRING:
            return self._skip_strings(count)
        if kind not in _SCALARS:
            raise DamagedError(f"an array of the unknown type {kind}")
        layout = _SCALARS[kind]
        _within(count * layout.size, HEADER_LIMIT_BYTES, "bytes in one array")
        end = self._advance(count * layout.size)
        if kind in _FLOATS or count > KEPT_ARRAY_LIMIT:
            return None
        return [number for (number,) in layout.iter_unpack(self.data[end - count * layout.size : end])]

    def _skip_strings(self, count: int) -> None:
        _within(count * _U64.size, HEADER_LIMIT_BYTES, "bytes in one array")
        data, position, length_at = self.data, self.position, _U64.unpack_from
        try:
            for _ in range(count):
                position += 8 + length_at(data, position)[0]
        except (struct.error, OverflowError):
            position += _U64.size  # past the end, which is found out below
        self.position = position
        self._advance(0)

    def _advance(self, count: int) -> int:
        end = self.position + count
        if end > HEADER_LIMIT_BYTES:
            raise DamagedError("its header has no end")
        if end > len(self.data):
            raise CutShortError
        self.position = end
        return end
