"""From stored columns (integer nanoseconds, nulls) to the core's samples (seconds, NaN)."""

import csv
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from slokit.conventions import JUDGE_CSV_HEADER
from slokit.core.sample import FloatArray, Outcome, Samples
from slokit.errors import UsageError

_NS = 1e-9


def to_samples(table: pa.Table) -> Samples:
    """The samples of a stored table that is ordered by due time."""
    return Samples(
        due_s=_seconds(table["due_ns"]),
        sent_s=_seconds(table["sent_ns"]),
        end_s=_seconds(table["end_ns"]),
        lag_s=np.nan_to_num(_seconds(table["lag_ns"])),
        outcome=_names(table["outcome"]),
        text_class=_names(table["text_class"]),
        stage=pc.fill_null(table["stage"], 0).to_numpy().astype(np.int64),
    )


def _seconds(column: pa.ChunkedArray) -> FloatArray:
    return np.asarray(column.to_numpy(), dtype=np.float64) * _NS


def _names(column: pa.ChunkedArray) -> NDArray[np.str_]:
    encoded = pc.dictionary_encode(pc.fill_null(column, "")).combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # no rows at all
        return np.array([], dtype=np.str_)
    words = np.array(encoded.dictionary.to_pylist() or [""], dtype=np.str_)
    return np.asarray(words[encoded.indices.to_numpy(zero_copy_only=False)])


def read_csv(path: Path) -> Samples:
    """Samples of any tool: CSV with the header due_s,sent_s,end_s,status[,text_class].

    Times are seconds on one clock, an empty cell "it never happened"; a status of 200-299
    is a good answer, an empty one none. What lies between due and sent counts as the
    generator's own delay, for nothing says otherwise. Raises UsageError naming the line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as source:
            return _parse(path, csv.reader(source))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} is no CSV in UTF-8: {error}") from error


def _parse(path: Path, lines: Iterable[list[str]]) -> Samples:
    rows = iter(lines)
    header = tuple(cell.strip() for cell in next(rows, []))
    if header not in (JUDGE_CSV_HEADER, (*JUDGE_CSV_HEADER, "text_class")):
        raise UsageError(
            f"{path}:1: got the header {','.join(header) or '(nothing)'!r}, "
            f"expected {','.join(JUDGE_CSV_HEADER)}[,text_class]"
        )
    times: list[tuple[float, float, float]] = []
    outcomes: list[str] = []
    classes: list[str] = []
    for number, row in enumerate(rows, start=2):
        if not row:
            continue
        if len(row) != len(header):
            raise UsageError(f"{path}:{number}: got {len(row)} cells, expected {len(header)}")
        due, sent, end = (
            _time(path, number, name, cell) for name, cell in zip(header[:3], row[:3], strict=True)
        )
        if math.isnan(due) or sent < due or end < (due if math.isnan(sent) else sent):
            raise UsageError(
                f"{path}:{number}: got {','.join(row[:3])}, expected due_s <= sent_s <= end_s"
            )
        times.append((due, sent, end))
        outcomes.append(_outcome(path, number, row[3], answered=not math.isnan(end)))
        classes.append(row[4].strip() or "all" if len(row) > 4 else "all")
    return _build(times, outcomes, classes)


def _build(
    times: list[tuple[float, float, float]], outcomes: list[str], classes: list[str]
) -> Samples:
    due, sent, end = np.array(times, dtype=np.float64).reshape(-1, 3).T
    order = np.argsort(due, kind="stable")
    return Samples(
        due_s=due[order],
        sent_s=sent[order],
        end_s=end[order],
        lag_s=np.nan_to_num(sent - due)[order],
        outcome=np.array(outcomes, dtype=np.str_)[order],
        text_class=np.array(classes, dtype=np.str_)[order],
        stage=np.zeros(len(due), dtype=np.int64),
    )


def _time(path: Path, number: int, name: str, cell: str) -> float:
    text = cell.strip()
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{path}:{number}: {name} is {text!r}, expected seconds or nothing")
    return value


_BY_HUNDRED = {3: Outcome.HTTP_3XX, 4: Outcome.HTTP_4XX, 5: Outcome.HTTP_5XX}


def _outcome(path: Path, number: int, cell: str, *, answered: bool) -> str:
    text = cell.strip()
    if text in ("", "0"):
        return Outcome.RESET if answered else Outcome.TIMEOUT
    status = int(text) if text.isascii() and text.isdigit() else 0
    if not 100 <= status <= 599:
        raise UsageError(f"{path}:{number}: status is {text!r}, expected 100 to 599, 0 or nothing")
    if status == 429:
        return Outcome.HTTP_429
    if not answered:
        return Outcome.TRUNCATED
    return _BY_HUNDRED.get(status // 100, Outcome.OK)
