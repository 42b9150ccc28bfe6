"""The one-second series of a run: ticks of every load process, one row a second."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from slokit.conventions import TICK_COLUMNS, TICKS_PREFIX
from slokit.errors import StoreError

_SCHEMA = pa.schema(list(TICK_COLUMNS.items()))


def write_series(folder: Path, target: Path) -> None:
    """Gather the tick lines of all load processes into one Parquet file, then remove them."""
    sources = sorted(folder.glob(f"{TICKS_PREFIX}*.jsonl"))
    rows = [row for source in sources for row in read_ticks(source)]
    table = pa.Table.from_pylist(rows, schema=_SCHEMA).sort_by([("t_s", "ascending")])
    partial = target.with_suffix(".partial")
    try:
        pq.write_table(table, partial, compression="zstd")
        partial.replace(target)
        for source in sources:
            source.unlink()
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror or error}") from error


def read_ticks(path: Path) -> Iterator[dict[str, Any]]:
    """The complete lines of one tick file; a line cut off by kill -9 is left out."""
    with path.open(encoding="utf-8") as source:
        for line in source:
            if line.endswith("\n"):
                yield json.loads(line)
