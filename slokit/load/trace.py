"""A recorded trace to play again: when requests came, and what they asked for.

CSV with a header, or one JSON object a line (`.jsonl`):

    time,length,class         time   seconds, ascending; the first row is time 0 of the run
    0.00,12,query             length characters of a made-up text, or
    0.07,480,document         text   the text itself; with neither, the scenario's texts
                              class  text class, for objectives; may be left out
"""

import csv
import json
import math
import re
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from slokit.errors import UsageError
from slokit.load.kinds import TEXT_CLASSES, check_class_name

DEFAULT_CLASS: Final = "trace"
MAX_CHARS: Final = 100_000
MAX_FILE_BYTES: Final = 1024**3
_COLUMNS: Final = ("time", "length", "text", "class")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")  # JSON can write one, UTF-8 cannot


@dataclass(frozen=True)
class Trace:
    """n requests in the order they came.

    `at_s` holds seconds since the first one; `lengths`, `texts` and `classes` are None where
    the file has no such column.
    """

    at_s: "array[float]"
    lengths: "array[int] | None"
    texts: tuple[str, ...] | None
    classes: tuple[str, ...] | None

    def __len__(self) -> int:
        """Number of requests."""
        return len(self.at_s)

    @property
    def duration_s(self) -> float:
        """From the first request to one mean gap after the last."""
        gaps = len(self) - 1
        return self.at_s[-1] * len(self) / gaps if gaps and self.at_s[-1] else 1.0

    def count_before(self, time_s: float) -> int:
        """How many requests came in the first `time_s` seconds."""
        return bisect_left(self.at_s, time_s)

    def most_within(self, window_s: float) -> int:
        """The most requests that ever came within so many seconds."""
        return max(
            bisect_left(self.at_s, start_s + window_s) - row
            for row, start_s in enumerate(self.at_s)
        )

    def class_of(self, row: int) -> str:
        """The text class of one request."""
        return DEFAULT_CLASS if self.classes is None else self.classes[row]

    def mix(self, default: Mapping[str, float]) -> dict[str, float]:
        """How often each class comes; `default` where the trace says nothing about texts."""
        if self.classes is not None:
            return {name: float(count) for name, count in Counter(self.classes).items()}
        if self.lengths is None and self.texts is None:
            return dict(default)
        return {DEFAULT_CLASS: float(len(self))}


def read_trace(path: Path) -> Trace:
    """Read a trace. Raises UsageError with file and line for what cannot be meant."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UsageError(f"{path} is too large: at most {MAX_FILE_BYTES} bytes are read")
        with path.open(encoding="utf-8-sig", newline="") as source:
            rows = _json_rows(path, source) if path.suffix == ".jsonl" else _csv_rows(path, source)
            return _collect(path, rows)
    except OSError as error:
        raise UsageError(f"cannot read the trace {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}:{_first_bad_line(path)}: no UTF-8: {error.reason}") from error


def _first_bad_line(path: Path) -> int:
    """Where the first line is that is no UTF-8; the decoder only knows its place in a block."""
    with path.open("rb") as source:
        for number, line in enumerate(source, start=1):
            if not line.isascii() and "\ufffd" in line.decode("utf-8", errors="replace"):
                return number
    return 1


def _csv_rows(path: Path, source: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(source, strict=True)
    header: list[str] = []
    try:
        for fields in reader:
            if not fields:
                continue
            if not header:
                header = [field.strip() for field in fields]
                if len(set(header)) < len(header):
                    raise UsageError(f"{path}:{reader.line_num}: a column is there twice")
            elif len(fields) != len(header):
                raise UsageError(
                    f"{path}:{reader.line_num}: {len(fields)} fields, expected {len(header)}"
                )
            else:
                yield reader.line_num, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise UsageError(f"{path}:{reader.line_num}: no valid CSV: {error}") from error


def _json_rows(path: Path, source: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(source, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path}:{number}: no valid JSON: {error}") from error
        if not isinstance(row, dict):
            raise UsageError(f'{path}:{number}: write an object: {{"time": 0.5, "length": 12}}')
        yield number, row


class _Columns:
    """The columns as they are read, row by row."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.at_s, self.lengths = array("d"), array("l")
        self.texts: list[str] = []
        self.classes: list[str] = []

    def add(self, row: Mapping[str, Any]) -> None:
        """Take one row. Raises UsageError, without its place, for what cannot be meant."""
        self.names = self.names or _columns(row)
        if set(row) != self.names:
            expected = ", ".join(name for name in _COLUMNS if name in self.names)
            raise UsageError(f"got {', '.join(row) or 'nothing'}, the first row had {expected}")
        time_s = _time(row["time"])
        if self.at_s and time_s < self.at_s[-1]:
            raise UsageError(f"time {time_s:g} comes after {self.at_s[-1]:g}: sort the trace")
        self.at_s.append(time_s)
        if "length" in row:
            self.lengths.append(_length(row["length"]))
        if "text" in row:
            self.texts.append(_text(row["text"]))
        if "class" in row:
            self.classes.append(_class(row["class"], drawn=not {"length", "text"} & self.names))

    def trace(self) -> Trace:
        """All rows, with the first one at 0."""
        started_s = self.at_s[0]
        return Trace(
            array("d", (time_s - started_s for time_s in self.at_s)),
            self.lengths or None,
            tuple(self.texts) or None,
            tuple(self.classes) or None,
        )


def _collect(path: Path, rows: Iterator[tuple[int, dict[str, Any]]]) -> Trace:
    columns = _Columns()
    for number, row in rows:
        try:
            columns.add(row)
        except UsageError as error:
            raise UsageError(f"{path}:{number}: {error}") from None
    if not columns.at_s:
        raise UsageError(f"{path} holds no request: write time,length,class and rows")
    return columns.trace()


def _columns(row: Mapping[str, Any]) -> set[str]:
    for name in row:
        if name not in _COLUMNS:
            raise UsageError(f"column {name!r} is unknown: write {', '.join(_COLUMNS)}")
    if "time" not in row:
        raise UsageError(f"there is no column time: write {', '.join(_COLUMNS)}")
    if {"length", "text"} <= set(row):
        raise UsageError("got both length and text: a text has its own length")
    return set(row)


def _number(value: object) -> float:
    """A JSON number or a CSV field; NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def _time(value: object) -> float:
    time_s = _number(value)
    if not math.isfinite(time_s):
        raise UsageError(f"time is {value!r}: write seconds")
    return time_s


def _length(value: object) -> int:
    length = _number(value)
    if not (1 <= length <= MAX_CHARS and length.is_integer()):
        raise UsageError(f"length is {value!r}: write 1 to {MAX_CHARS} characters")
    return int(length)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_CHARS:
        shown = repr(value)[:40]
        raise UsageError(f"text is {shown}: write 1 to {MAX_CHARS} characters")
    if _SURROGATE.search(value):
        raise UsageError(f"text is {value[:40]!r}: half a surrogate pair is no character")
    return value


def _class(value: object, *, drawn: bool) -> str:
    """A class; one whose texts are to be drawn must be a class that there are texts of."""
    name = check_class_name(value.strip() if isinstance(value, str) else value)
    if drawn and name not in TEXT_CLASSES:
        allowed = ", ".join(TEXT_CLASSES)
        raise UsageError(f"class {name!r} has neither length nor text: write one of {allowed}")
    return name
