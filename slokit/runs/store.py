"""Where runs live: `<root>/<run_id>/` with manifest, samples, series and verdict.

Files appear by write-then-rename, so a reader never sees half of one. A manifest's
`status` is `running`, `complete`, `interrupted` or `failed`.
"""

import json
import os
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import pyarrow as pa

from slokit.conventions import (
    MANIFEST_FILE,
    RUNS_ENV,
    SCHEMA_VERSION,
    SERIES_FILE,
    VERDICT_FILE,
)
from slokit.core.sample import Samples
from slokit.errors import StoreError, UsageError
from slokit.runs.columns import to_samples
from slokit.runs.journal import compact, read_samples
from slokit.runs.series import write_series

if TYPE_CHECKING:
    import pandas as pd

LATEST: Final = "latest"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class Run:
    """One stored run: `manifest` is its `run.json`, `folder` where everything lies."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a run folder. Raises StoreError when there is none or its manifest is broken."""
        folder = Path(path)
        manifest = _read_json(folder / MANIFEST_FILE)
        if manifest.get("schema") != SCHEMA_VERSION or "run_id" not in manifest:
            raise StoreError(
                f"{folder / MANIFEST_FILE} is no run manifest of schema {SCHEMA_VERSION}"
            )
        return cls(folder, manifest)

    @property
    def run_id(self) -> str:
        """The run's name, unique in its store."""
        return str(self.manifest["run_id"])

    @property
    def is_running(self) -> bool:
        """True while its load lasts."""
        return self.manifest.get("status") == "running"

    def table(self) -> pa.Table:
        """Samples as stored, one row a request, ordered by due time."""
        return read_samples(self.folder)

    def frame(self) -> "pd.DataFrame":
        """Samples as a pandas DataFrame; nullable integers keep "never happened" apart from 0."""
        import pandas as pd  # noqa: PLC0415 - half a second that only notebooks need

        mapping = {
            pa.int16(): pd.Int16Dtype(),
            pa.int32(): pd.Int32Dtype(),
            pa.int64(): pd.Int64Dtype(),
        }
        frame: pd.DataFrame = self.table().to_pandas(types_mapper=mapping.get)
        return frame

    def samples(self) -> Samples:
        """Samples as the core judges them."""
        return to_samples(self.table())

    def verdict(self) -> dict[str, Any] | None:
        """The stored verdict document; None while there is none."""
        path = self.folder / VERDICT_FILE
        return _read_json(path) if path.exists() else None

    def update(self, **fields: Any) -> None:
        """Change fields of the manifest, on disk too."""
        self.manifest.update(fields)
        write_json(self.folder / MANIFEST_FILE, self.manifest)

    def write_verdict(self, document: Mapping[str, Any]) -> None:
        """Store the verdict document."""
        write_json(self.folder / VERDICT_FILE, document)

    def close(self, status: str) -> None:
        """End the run: compact the journals, build the series, set the status."""
        compact(self.folder)
        write_series(self.folder, self.folder / SERIES_FILE)
        self.update(status=status)


class RunStore:
    """All runs under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def locate(cls, option: str | None) -> Self:
        """The store of `--runs DIR`, else of SLOKIT_RUNS, else `./runs`."""
        return cls(Path(option or os.environ.get(RUNS_ENV) or "runs"))

    def create(self, scenario: str, started: datetime, manifest: Mapping[str, Any]) -> Run:
        """A new run folder with its manifest, status `running`."""
        stamp = started.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        name = _UNSAFE.sub("-", scenario).strip("-") or "run"
        run_id = f"{stamp}-{name}-{secrets.token_hex(2)}"
        folder = self.root / run_id
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise StoreError(f"cannot create {folder}: {error.strerror or error}") from error
        run = Run(folder, {"schema": SCHEMA_VERSION, "run_id": run_id})
        run.update(**manifest, started_at=started.isoformat(), status="running")
        return run

    def runs(self) -> list[Run]:
        """Every readable run, oldest first; folders without a manifest are not runs."""
        found = (path.parent for path in self.root.glob(f"*/{MANIFEST_FILE}"))
        return [Run.open(folder) for folder in sorted(found)]

    def find(self, name: str) -> Run:
        """A run by id, by the start or end of one, by path, or `latest` (that is over).

        Raises UsageError when nothing or more than one run is meant.
        """
        if (Path(name) / MANIFEST_FILE).exists():
            return Run.open(name)
        if "/" in name:
            raise UsageError(f"there is no run at {name} (a run's folder holds {MANIFEST_FILE})")
        ids = sorted(path.parent.name for path in self.root.glob(f"*/{MANIFEST_FILE}"))
        if name == LATEST and ids:
            over = (run for run in map(self._open, reversed(ids)) if not run.is_running)
            return next(over, self._open(ids[-1]))
        hits = [i for i in ids if i == name] or [
            i for i in ids if i.startswith(name) or i.endswith(name)
        ]
        if len(hits) == 1:
            return self._open(hits[0])
        if hits:
            some = ", ".join(hits[-3:])
            raise UsageError(f"{name!r} fits {len(hits)} runs in {self.root}, the newest {some}")
        known = f"the newest is {ids[-1]}" if ids else "it holds none yet"
        raise UsageError(f"no run {name!r} in {self.root} ({known}); slokit runs list shows all")

    def _open(self, run_id: str) -> Run:
        return Run.open(self.root / run_id)


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write JSON by write-then-rename. Raises StoreError when the disk refuses."""
    write_text(path, json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text by write-then-rename. Raises StoreError when the disk refuses."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise StoreError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise StoreError(f"{path} is not a JSON object")
    return document
