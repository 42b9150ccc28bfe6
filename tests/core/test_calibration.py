"""A quick, seeded part of benchmarks/gate_calibration.py: error rates hold, power is there."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

RUNS = 100
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark() -> Iterator[ModuleType]:
    """The module, imported the way Python does it for a script in that folder."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("gate_calibration")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.mark.parametrize("utilisation", [0.3, 0.7, 0.93])
@pytest.mark.parametrize("system", ["M/M/1", "M/D/1"])
def test_wrong_verdicts_are_rare(benchmark: ModuleType, system: str, utilisation: float) -> None:
    """At the limit itself at most 0.05; 0.08 allows for 100 runs (two standard errors)."""
    rows = benchmark.calibrate(
        system,
        utilisation,
        sizes=(200, 600),
        shares=(0.05, 0.01),
        runs=RUNS,
        study=1_000_000,
        seed=1,
    )
    for row in rows:
        assert row.false_pass <= 0.08, row
        assert row.false_fail <= 0.08, row


def test_gross_cases_are_decided(benchmark: ModuleType) -> None:
    """600 requests, twice the limit: failed in nearly every run up to utilisation 0.5."""
    for utilisation, least in ((0.3, 0.97), (0.5, 0.97), (0.7, 0.75)):
        [row] = benchmark.calibrate(
            "M/M/1", utilisation, sizes=(600,), shares=(0.05,), runs=RUNS, study=0, seed=1
        )
        assert row.fail_twice_the_limit >= least


@pytest.mark.parametrize("system", ["log-normal", "M/M/4", "batch", "freeze"])
def test_simulated_queues_are_what_they_say(benchmark: ModuleType, system: str) -> None:
    """Requests come in order, none ends before it could, and half the capacity is used."""
    rng = benchmark.np.random.default_rng(2)
    due, end = benchmark.simulate(system, 0.5, 20, 500, rng, 100)
    assert due.shape == end.shape == (20, 500)
    assert (benchmark.np.diff(due, axis=1) >= 0).all()
    assert (end > due).all()


def test_overload_and_comparison_tables(benchmark: ModuleType) -> None:
    assert benchmark.overload_share("M/M/1", 0.85, n=600, runs=50, seed=1) <= 0.02
    assert benchmark.overload_share("M/M/1", 2.0, n=600, runs=50, seed=1) >= 0.95
    assert benchmark.changed_share(0.3, 1.0, n=600, runs=10, seed=1) <= 0.2
    assert benchmark.changed_share(0.3, 3.0, n=600, runs=5, seed=1) == 1.0


def test_whole_verdicts(benchmark: ModuleType) -> None:
    """Warm-up cut, trend and gate together, from an empty queue."""
    at, twice, _ = benchmark.verdict_shares("M/M/1", 0.5, n=600, runs=30, study=0, seed=1)
    assert at[benchmark.Verdict.INCONCLUSIVE] >= 26
    assert twice[benchmark.Verdict.FAIL] >= 28


def test_looks_are_rarely_wrong_and_stop_early(benchmark: ModuleType) -> None:
    """Three looks: at the limit at most 0.08 of 100 paths are decided; gross cases at once."""
    found = benchmark.paths("M/M/1", 0.5, e=0.05, looks=3, runs=RUNS, study=0, seed=1)
    wrong = [verdict for verdict, _ in found["L"] if verdict is not benchmark.Verdict.INCONCLUSIVE]
    assert len(wrong) <= 8
    for name, right in (("PASS L/3", "pass"), ("FAIL 2L", "fail")):
        assert sum(verdict == right for verdict, _ in found[name]) >= 95
        assert sorted(n for _, n in found[name])[RUNS // 2] == 500
