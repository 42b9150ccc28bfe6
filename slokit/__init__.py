"""slokit: SLO load testing and observability for text-embedding services.

From Python, for notebooks: `slokit.open_run(path)` gives a run's manifest and its
samples as a pandas DataFrame. Everything else is the `slokit` command.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from slokit.runs.store import Run

__version__ = "0.1.0"
__all__ = ["__version__", "open_run"]


def open_run(path: "str | Path") -> "Run":
    """Open a stored run: `.manifest` (a mapping) and `.frame()` (samples, one row a request).

    Raises StoreError when `path` is not a run folder.
    """
    from slokit.runs.store import Run  # noqa: PLC0415 - keeps `import slokit` instant

    return Run.open(path)
