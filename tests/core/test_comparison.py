"""Two runs side by side: changes are found, chance is not, and lost requests are slow."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slokit.core.comparison import (
    ChangeVerdict,
    block_length,
    changes,
    compare,
    holm,
    resampled_quantiles,
)
from slokit.core.sample import Samples

Build = Callable[..., Samples]


def latencies(n: int, seed: int, factor: float = 1.0) -> np.ndarray:
    return factor * np.random.default_rng(seed).lognormal(-2, 0.3, n)


@pytest.mark.parametrize(
    ("factor", "n", "expected"),
    [
        pytest.param(0.5, 1500, "improved", id="half"),
        pytest.param(1.5, 1500, "regressed", id="half as much again"),
        pytest.param(1.0, 20_000, "equivalent", id="the same, long runs"),
        pytest.param(1.0, 200, "inconclusive", id="the same, short runs"),
        pytest.param(1.05, 1500, "inconclusive", id="at the margin"),
    ],
)
def test_change_of_p95(build: Build, factor: float, n: int, expected: str) -> None:
    result = compare(build(latencies(n, 1)), build(latencies(n, 2, factor)))
    assert list(result.classes) == ["short"]
    change = result.classes["short"]["p95"]
    assert change.verdict == expected
    assert change.change_ratio == pytest.approx(factor - 1, abs=0.15)
    for value, (low, high) in (
        (change.base, change.base_ci),
        (change.candidate, change.candidate_ci),
        (change.change_ratio, change.ci),
    ):
        assert value is not None
        assert low is not None
        assert high is not None
        assert low <= value <= high
    assert result.method == "bootstrap"


def test_the_seed_decides_the_bootstrap(build: Build) -> None:
    base, candidate = build(latencies(500, 1)), build(latencies(500, 2))
    assert compare(base, candidate, seed=3) == compare(base, candidate, seed=3)
    assert compare(base, candidate, seed=3) != compare(base, candidate, seed=4)


def test_shared_classes_and_all_of_them(build: Build) -> None:
    base = build(latencies(600, 1), text_class=np.tile(["short", "long", "old"], 200))
    candidate = build(latencies(600, 2), text_class=np.tile(["long", "short", "new"], 200))
    found = compare(base, candidate).classes
    assert [(name, list(metrics)) for name, metrics in found.items()] == [
        (name, ["p50", "p95", "p99"]) for name in ("short", "long", "all")
    ]


def test_nothing_in_common_is_refused(build: Build) -> None:
    with pytest.raises(ValueError, match=r"base has \['short'\], candidate has \['long'\]"):
        compare(build([0.1]), build([0.1], text_class="long"))


def test_a_run_that_lost_its_tail(build: Build) -> None:
    """6 % time-outs: the median is unchanged, P95 and P99 fall on lost requests."""
    kinds = np.where(np.arange(2000) % 16 == 0, "timeout", "ok")
    found = compare(build(latencies(2000, 1)), build(latencies(2000, 2), outcome=kinds)).classes[
        "short"
    ]
    assert found["p50"].candidate is not None
    for metric in ("p95", "p99"):
        change = found[metric]
        assert (change.candidate, change.change_ratio) == (None, None)
        assert change.ci[1] is None
        assert change.verdict is ChangeVerdict.REGRESSED


def test_two_dead_runs_cannot_be_compared(build: Build) -> None:
    dead = build(latencies(100, 1), outcome="timeout")
    change = compare(dead, dead).classes["short"]["p50"]
    assert (change.base, change.change_ratio, change.ci) == (None, None, (None, None))
    assert change.verdict is ChangeVerdict.INCONCLUSIVE


def test_no_requests_are_no_change() -> None:
    [change] = changes(np.zeros(0), latencies(100, 1), (0.95,), margin_ratio=0.05)
    assert (change.base, change.ci, change.base_ci) == (None, (None, None), (None, None))
    assert (change.slower_p, change.faster_p) == (1.0, 1.0)


@pytest.mark.parametrize("n", [300, 1500, 60_000])
def test_resampling_agrees_with_the_theory_of_independent_samples(n: int) -> None:
    """The spread of the median is sqrt(q (1 - q) / n) / density; exponential(1): 1 / sqrt(n)."""
    values = np.random.default_rng(5).exponential(1, n)
    draws = resampled_quantiles(values, (0.5,), np.random.default_rng(6))[:, 0]
    assert draws.std() == pytest.approx(1 / np.sqrt(n), rel=0.25)
    assert draws.mean() == pytest.approx(np.median(values), abs=0.3 / np.sqrt(n))


@pytest.mark.parametrize("n", [10, 1500, 60_000])
def test_a_constant_resamples_to_itself(n: int) -> None:
    draws = resampled_quantiles(np.full(n, 0.25), (0.5, 0.99), np.random.default_rng(1))
    assert draws.shape == (2000, 2)
    assert (draws == 0.25).all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(np.arange(10.0), 1, id="too few for blocks"),
        pytest.param(np.tile([1.0, 2.0], 500), 10, id="regular: the cube root"),
        pytest.param(np.repeat([1.0, 2.0], 500), 100, id="one long episode: a tenth"),
    ],
)
def test_block_length(values: np.ndarray, expected: int) -> None:
    assert block_length(values, (0.5,)) == expected


@pytest.mark.parametrize(
    ("p_values", "kept"),
    [
        pytest.param([], [], id="none"),
        pytest.param([0.05], [True], id="one: the plain test"),
        pytest.param([0.05, 0.02], [True, True], id="both"),
        pytest.param([0.03, 0.03], [False, False], id="neither: 0.03 > 0.05 / 2"),
        pytest.param([0.2, 0.001, 0.04], [False, True, False], id="the first alone"),
    ],
)
def test_holm(p_values: list[float], kept: list[bool]) -> None:
    assert holm(p_values, 0.05) == kept


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_lies_between_bonferroni_and_no_correction(p_values: list[float]) -> None:
    kept = holm(p_values, 0.05)
    for p, keep in zip(p_values, kept, strict=True):
        assert keep or p > 0.05 / len(p_values)
        assert not keep or p <= 0.05
