"""The command line in-process: arguments in; exit code, stdout and stderr out."""

from collections import namedtuple
from datetime import UTC, datetime

import numpy as np
import pytest

from slokit.cli import main
from slokit.runs.journal import SampleJournal
from slokit.runs.store import RunStore

Result = namedtuple("Result", "code out err")  # noqa: PYI024 - a fixture's plain answer


@pytest.fixture
def slokit(capsys, tmp_path, monkeypatch):
    """Run a command in an empty directory with a store of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLOKIT_RUNS", raising=False)
    monkeypatch.setenv("COLUMNS", "120")

    def call(*words: str) -> Result:
        with pytest.raises(SystemExit) as stop:
            main(words)
        printed = capsys.readouterr()
        return Result(int(stop.value.code), printed.out, printed.err)

    return call


@pytest.fixture
def csv_file(tmp_path):
    """Write a CSV of samples into the empty directory; gives its path."""
    return lambda name, **what: write_csv(tmp_path / name, **what)


@pytest.fixture
def stored_run(tmp_path):
    """Put a complete run into the store; `minute` keeps several in order."""
    return lambda minute=0, **what: write_run(tmp_path / "runs", minute, **what)


def write_csv(path, *, n=3000, median_s=0.05, seed=1, status="200"):
    """Independent log-normal latencies, 50 a second."""
    rng = np.random.default_rng(seed)
    due = np.cumsum(rng.exponential(0.02, n))
    latency = rng.lognormal(np.log(median_s), 0.3, n)
    rows = [f"{d:.6f},{d:.6f},{d + x:.6f},{status}" for d, x in zip(due, latency, strict=True)]
    path.write_text("\n".join(["due_s,sent_s,end_s,status", *rows]) + "\n")
    return str(path)


def write_run(root, minute, *, n=3000, median_s=0.05, seed=1, ok=True, **load):
    """A stored, complete run of the short scenario."""
    rng = np.random.default_rng(seed)
    due = np.cumsum(rng.exponential(0.02, n))
    latency = rng.lognormal(np.log(median_s), 0.3, n)
    offered = {"loop": "open", "rate_rps": 50.0, "duration_s": n / 50, "stages": []}
    offered |= {"arrivals": "poisson", "batch": 1, "mix": {"short": 1.0}, "repeat_ratio": 0.0}
    target = {"url": "http://127.0.0.1:1"}
    run = RunStore(root).create(
        "short",
        datetime(2026, 11, 20, 10, minute, tzinfo=UTC),
        {"scenario": "short", "loop": "open", "load": offered | load, "target": target},
    )
    journal = SampleJournal(run.folder / "samples-0.arrows")
    nanoseconds = [(x * 1e9).astype(np.int64).tolist() for x in (due, due + latency)]
    journal.write(
        {
            "due_ns": nanoseconds[0],
            "sent_ns": nanoseconds[0],
            "end_ns": nanoseconds[1],
            "lag_ns": [0] * n,
            "outcome": ["ok" if ok else "http_5xx"] * n,
            "text_class": ["short"] * n,
            "stage": [0] * n,
        }
    )
    journal.close()
    run.close("complete")
    return run
