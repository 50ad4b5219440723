"""Reads the tensors of a TensorFlow checkpoint (``.index``, ``.data-00000-of-00001``) without TensorFlow.

The index is a table of LevelDB (its ``table_format.md``): blocks of sorted keys, each key without what it shares with
the one before; the last 48 bytes say where the block is that lists the others. A value is a protocol buffer
(``BundleEntryProto`` of TensorFlow's ``tensor_bundle.proto``): the tensor's type, shape, offset and size in the data.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dubcli.errors import UserError

_MAGIC = 0xDB4775248B80FB57
_FOOTER_BYTES = 48
_FLOAT = 1  # DataType's number of float32
_TYPE, _SHAPE, _OFFSET, _SIZE = 1, 2, 4, 5  # fields of BundleEntryProto
_VARINT, _EIGHT_BYTES, _BYTES = 0, 1, 2  # protocol buffers' wire types

Tensors = dict[str, npt.NDArray[np.float32]]


def read_checkpoint(index: bytes, data: bytes) -> Tensors:
    """The float32 tensors by name, of the two files' content. Raises UserError where they are no checkpoint."""
    try:
        return dict(_tensors(index, data))
    except (IndexError, ValueError, KeyError, struct.error) as error:
        raise UserError(f"a checkpoint of TensorFlow that is damaged or of another kind: {error}") from None


def _tensors(index: bytes, data: bytes) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    footer = index[-_FOOTER_BYTES:]
    if len(footer) < _FOOTER_BYTES or struct.unpack("<Q", footer[-8:])[0] != _MAGIC:
        raise ValueError("it has no table's footer")
    _, place = _handle(footer, 0)  # of a block of filters, which there are none
    for _, value in _block(index, _handle(footer, place)[0]):
        for name, entry in _block(index, _handle(value, 0)[0]):
            fields = _message(entry) if name else {}  # the nameless one describes the files
            if fields.get(_TYPE) == _FLOAT:
                first = int(fields.get(_OFFSET, 0))
                raw = data[first : first + int(fields[_SIZE])]
                yield name.decode(), np.frombuffer(raw, "<f4").reshape(_shape(fields.get(_SHAPE, b"")))


def _block(table: bytes, handle: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    start, size = handle
    if table[start + size] != 0:
        raise ValueError("its index is compressed")
    block = table[start : start + size]
    (restarts,) = struct.unpack("<I", block[-4:])
    place, key = 0, b""
    while place < size - 4 - 4 * restarts:
        shared, place = _varint(block, place)
        own, place = _varint(block, place)
        length, place = _varint(block, place)
        key = key[:shared] + block[place : place + own]
        yield key, block[place + own : place + own + length]
        place += own + length


def _handle(source: bytes, place: int) -> tuple[tuple[int, int], int]:
    """((offset, size), where it ends)."""
    offset, place = _varint(source, place)
    size, place = _varint(source, place)
    return (offset, size), place


def _varint(source: bytes, place: int) -> tuple[int, int]:
    """(number, where it ends): seven bits a byte, the lowest first."""
    value = shift = 0
    while True:
        byte = source[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, place


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, place = _varint(message, place)
            yield number, value
            continue
        length, place = _varint(message, place) if kind == _BYTES else (8 if kind == _EIGHT_BYTES else 4, place)
        yield number, message[place : place + length]
        place += length


def _message(message: bytes) -> dict[int, int | bytes]:
    return dict(_fields(message))


def _shape(message: int | bytes) -> tuple[int, ...]:
    """Of a TensorShapeProto: its dimensions (field 2), whose sizes are their first fields."""
    assert isinstance(message, bytes)
    dimensions = [_message(value) for number, value in _fields(message) if number == 2 and isinstance(value, bytes)]
    return tuple(int(dimension.get(1, 0)) for dimension in dimensions)


def read_files(prefix: Path) -> Tensors:
    """The same of the files of a ``prefix``. Raises UserError where they are not there."""
    files = [prefix.with_name(f"{prefix.name}{suffix}") for suffix in (".index", ".data-00000-of-00001")]
    try:
        return read_checkpoint(*(file.read_bytes() for file in files))
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}") from None
