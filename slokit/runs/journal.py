"""Samples on disk: journalled while a run lasts, compacted when it is over.

A journal is an Arrow IPC stream, flushed batch by batch: what was written is readable
after kill -9, which an unfinished Parquet file is not. Readers take both forms, so a
run that died in the middle is judged like any other.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from slokit.conventions import (
    JOURNAL_SUFFIX,
    SAMPLE_COLUMNS,
    SAMPLES_PREFIX,
    SAMPLES_SUFFIX,
)
from slokit.errors import StoreError

SAMPLE_SCHEMA = pa.schema(list(SAMPLE_COLUMNS.items()))


class SampleJournal:
    """Append record batches of samples to one file; each `write` reaches the disk's cache.

    Columns that are left out are null. Raises StoreError when the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._sink = path.open("xb")
        except OSError as error:
            raise StoreError(f"cannot write samples to {path}: {error.strerror}") from error
        self._path = path
        self._writer = pa.ipc.new_stream(self._sink, SAMPLE_SCHEMA)
        self.write({})  # puts the schema on disk: a run killed at once is empty, not broken

    def write(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Append one batch; all given columns have the same length."""
        length = len(next(iter(columns.values()), ()))
        arrays = [
            pa.array(columns[field.name], field.type)
            if field.name in columns
            else pa.nulls(length, field.type)
            for field in SAMPLE_SCHEMA
        ]
        try:
            self._writer.write_batch(pa.record_batch(arrays, schema=SAMPLE_SCHEMA))
            self._sink.flush()
        except OSError as error:
            raise StoreError(
                f"cannot write samples to {self._path}: {error.strerror or error}"
            ) from error

    def close(self) -> None:
        """End the stream; a journal that was never closed stays readable."""
        try:
            self._writer.close()
        finally:
            self._sink.close()


def read_samples(folder: Path) -> pa.Table:
    """Every sample of a run, ordered by due time, from journals or compacted files.

    A journal that was cut off gives what it holds. Raises StoreError when the folder
    holds no samples file, or one of another schema.
    """
    files = sample_files(folder)
    if not files:
        raise StoreError(f"{folder} holds no samples ({SAMPLES_PREFIX}*)")
    table = pa.concat_tables(_read(path) for path in files)
    return table.sort_by([("due_ns", "ascending")])


def sample_files(folder: Path) -> list[Path]:
    """The sample files of a run; where a shard is compacted, its journal does not count."""
    compacted = sorted(folder.glob(f"{SAMPLES_PREFIX}*{SAMPLES_SUFFIX}"))
    done = {path.stem for path in compacted}
    journals = sorted(folder.glob(f"{SAMPLES_PREFIX}*{JOURNAL_SUFFIX}"))
    return compacted + [path for path in journals if path.stem not in done]


def read_shard(path: Path) -> pa.Table:
    """One samples file, journal or compacted, ordered by due time."""
    return _read(path).sort_by([("due_ns", "ascending")])


def compact(folder: Path) -> None:
    """Turn each journal of a finished run into Parquet, then remove it."""
    for journal in folder.glob(f"{SAMPLES_PREFIX}*{JOURNAL_SUFFIX}"):
        final = journal.with_suffix(SAMPLES_SUFFIX)
        partial = final.with_suffix(".partial")
        try:
            pq.write_table(_read(journal), partial, compression="zstd")
            partial.replace(final)
            journal.unlink()
        except OSError as error:
            raise StoreError(f"cannot write {final}: {error.strerror or error}") from error


def _read(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path) if path.suffix == SAMPLES_SUFFIX else _read_stream(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise StoreError(f"cannot read samples from {path}: {error}") from error
    if not table.schema.equals(SAMPLE_SCHEMA):
        missing = sorted(set(SAMPLE_SCHEMA.names) - set(table.schema.names))
        raise StoreError(f"{path} holds no slokit samples (missing columns: {missing})")
    return table


def _read_stream(path: Path) -> pa.Table:
    batches = []
    with path.open("rb") as source:
        reader = pa.ipc.open_stream(source)
        while True:
            try:
                batches.append(reader.read_next_batch())
            except StopIteration:
                break
            except (OSError, pa.ArrowInvalid):
                break  # the writer was killed inside this batch: keep all before it
    return pa.Table.from_batches(batches, schema=reader.schema)
