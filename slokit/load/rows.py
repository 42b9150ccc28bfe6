"""Samples in memory: packed rows of fixed width that become Arrow columns without a loop.

In the hot path a sample is one `struct.pack_into`. A list of tuples would cost ten times
as much when it is turned into columns, and give the garbage collector something to walk.
"""

import struct
from typing import Any, Final

import numpy as np
import pyarrow as pa

from slokit.conventions import SAMPLE_COLUMNS

Row = tuple[Any, ...]  # the values of SAMPLE_COLUMNS, in order, as `RowBuffer.add` takes them

# The smallest number of a column's type stands for null.
NULL_16: Final = -(2**15)
NULL_32: Final = -(2**31)
NULL_64: Final = -(2**63)
TRACE_LENGTH: Final = 32
_PACKED: Final = {"int16": ("h", "<i2"), "int32": ("i", "<i4"), "int64": ("q", "<i8")}
_TRACE: Final = (f"{TRACE_LENGTH}s", f"S{TRACE_LENGTH}")
_CODE: Final = _PACKED["int16"]  # outcome and text class: a number in a table of names


def _packing(column: str, kind: str) -> tuple[str, str]:
    if column == "trace_id":
        return _TRACE
    return _CODE if kind == "string" else _PACKED[kind]


_FORMATS: Final = {name: _packing(name, kind) for name, kind in SAMPLE_COLUMNS.items()}
_LAYOUT: Final = struct.Struct("<" + "".join(letter for letter, _ in _FORMATS.values()))
_DTYPE: Final = np.dtype([(name, dtype) for name, (_, dtype) in _FORMATS.items()])


class Names(dict[str, int]):
    """Small numbers for the few different strings of a column, given out as they come.

    >>> names = Names(); names["ok"], names["timeout"], names["ok"]
    (0, 1, 0)
    """

    def __missing__(self, name: str) -> int:
        """A string not seen before."""
        self[name] = len(self)
        return self[name]


class RowBuffer:
    """Room for `size` rows. Strings go in as numbers of `names`, trace ids as 32 bytes."""

    def __init__(self, size: int) -> None:
        self._data = bytearray(size * _LAYOUT.size)
        self._end = 0
        self._pack = _LAYOUT.pack_into
        self.names = Names()

    def add(self, row: Row) -> bool:
        """Append one row; False when it was the last one that fits."""
        self._pack(self._data, self._end, *row)
        self._end += _LAYOUT.size
        return self._end < len(self._data)

    def rows(self) -> Any:
        """A view of what is there, as a NumPy record array; void after the next `add`."""
        return np.frombuffer(self._data, _DTYPE, self._end // _LAYOUT.size)

    def clear(self) -> None:
        """Forget the rows."""
        self._end = 0

    def columns(self) -> dict[str, pa.Array]:
        """The rows as Arrow arrays, by the names of SAMPLE_COLUMNS."""
        rows = self.rows()
        names = pa.array(list(self.names), "string")
        return {name: _arrow(name, rows[name], names) for name in SAMPLE_COLUMNS}


def _arrow(column: str, values: Any, names: pa.Array) -> pa.Array:
    if column == "trace_id":
        ends = np.arange(len(values) + 1, dtype=np.int32) * TRACE_LENGTH
        return pa.StringArray.from_buffers(
            len(values), pa.py_buffer(ends), pa.py_buffer(values.tobytes())
        )
    if SAMPLE_COLUMNS[column] == "string":
        return names.take(pa.array(values))
    return pa.array(values, mask=values == np.iinfo(values.dtype).min)
