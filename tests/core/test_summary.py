"""Numbers for people: exact on a small run, None where a failed request decides them."""

from collections.abc import Callable
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slokit.core.sample import Samples
from slokit.core.summary import summarise

Build = Callable[..., Samples]


def test_a_small_run_by_hand(build: Build) -> None:
    """Ten requests: eight good ones of 10 to 80 ms, one time-out, one dropped."""
    kinds = ["ok"] * 8 + ["timeout", "dropped"]
    samples = build(0.01 * np.arange(1, 11), outcome=kinds, lag_s=0.002)
    found = summarise(samples, span_s=4.0)
    assert list(found) == ["short", "all"]
    summary = found["all"]
    assert (summary.count, summary.errors, summary.dropped, summary.rps) == (10, 2, 1, 2.0)
    latency = summary.latency_s
    assert latency.p50 == pytest.approx(0.05)
    assert (latency.p90, latency.p95, latency.p99, latency.p999, latency.max) == (None,) * 5
    assert latency.mean == pytest.approx(0.045)
    assert summary.service_s.p50 == pytest.approx(0.048)
    assert astuple(summary.lag_s) == pytest.approx((0.002,) * 7)
    assert (summary.p99_to_p50, summary.p999_to_p50) == (None, None)


def test_tail_ratios(build: Build) -> None:
    samples = build(np.repeat([0.1, 0.3, 0.5], [980, 18, 2]))
    summary = summarise(samples, span_s=10.0)["short"]
    assert summary.latency_s.max == pytest.approx(0.5)
    assert summary.p99_to_p50 == pytest.approx(3.0)
    assert summary.p999_to_p50 == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("latency_s", "kind", "p50"),
    [
        pytest.param([], "ok", None, id="no requests"),
        pytest.param([0.1, 0.1], "timeout", None, id="no good answer"),
        pytest.param([0.0, 0.0], "ok", 0.0, id="no time at all: no ratio either"),
    ],
)
def test_what_was_not_measured_is_none(
    build: Build, latency_s: list[float], kind: str, p50: float | None
) -> None:
    summary = summarise(build(latency_s, outcome=kind), span_s=0.0)["all"]
    assert (summary.latency_s.p50, summary.latency_s.mean, summary.latency_s.max) == (p50,) * 3
    assert (summary.rps, summary.p99_to_p50) == (0.0, None)


@given(st.lists(st.sampled_from(["short", "medium", "long"]), min_size=1, max_size=60))
def test_counts_of_the_classes_add_up(names: list[str]) -> None:
    n = len(names)
    due = np.arange(n) / 10
    samples = Samples(
        due,
        due,
        due + 0.1,
        np.zeros(n),
        np.tile(["ok", "timeout"], n)[:n],
        np.array(names),
        np.zeros(n, dtype=int),
    )
    found = summarise(samples, span_s=5.0)
    whole = found.pop("all")
    assert sum(s.count for s in found.values()) == whole.count == n
    assert sum(s.errors for s in found.values()) == whole.errors
    assert sum(s.rps for s in found.values()) == pytest.approx(whole.rps)


def test_a_class_called_all_is_the_whole(build: Build) -> None:
    assert list(summarise(build([0.1], text_class="all"), span_s=1.0)) == ["all"]
