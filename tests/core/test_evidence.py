"""What a planned load can decide: arithmetic that the gate itself must agree with."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slokit.core.estimates import inflation
from slokit.core.evidence import (
    Offer,
    most_bad,
    needed_requests,
    prospects,
    rarest_rps,
    spread_inflation,
    utilisation,
)
from slokit.core.gate import error_inflation, weigh
from slokit.core.objective import parse_objective
from slokit.core.sequential import ONLY, Look
from slokit.core.wording import forecast

MIXED = {"short": 60, "medium": 30, "long": 10}


def spread(bad: int, n: int) -> np.ndarray:
    """`bad` requests of n, as evenly apart as can be."""
    found = np.zeros(n, dtype=np.bool_)
    found[(np.arange(bad) * n) // max(bad, 1)] = True
    return found


@pytest.mark.parametrize(
    ("e", "alpha", "needed"),
    [
        pytest.param(0.05, 0.05, 60, id="P95: 59, but never below the guard"),
        pytest.param(0.05, 0.01, 90, id="P95 at a fifth of alpha"),
        pytest.param(0.01, 0.05, 299, id="P99"),
        pytest.param(0.002, 0.05, 1497, id="errors <= 0.2%"),
        pytest.param(0.0, 0.05, 1, id="none allowed"),
        pytest.param(1.0, 0.05, 1, id="all allowed"),
    ],
)
def test_needed_requests(e: float, alpha: float, needed: int) -> None:
    assert needed_requests(e, alpha) == needed
    if needed > 60:
        assert (1 - e) ** needed <= alpha < (1 - e) ** (needed - 1)


@pytest.mark.parametrize("look", [ONLY, Look(3, 5)], ids=["once", "look"])
@pytest.mark.parametrize(
    ("n", "e"),
    [
        pytest.param(1497, 0.002, id="just enough without one"),
        pytest.param(1000, 0.002, id="not enough"),
        pytest.param(2750, 0.002, id="a minute at 50rps"),
        pytest.param(3200, 0.002, id="a little more"),
        pytest.param(10_000, 0.002, id="a score"),
        pytest.param(2750, 0.1, id="hundreds"),
    ],
)
def test_the_gate_passes_as_many_bad_ones_and_no_more(n: int, e: float, look: Look) -> None:
    def passes(bad: int) -> bool:
        indicator = spread(bad, n)
        return weigh(indicator, e, error_inflation(indicator, look)).pass_p <= look.alpha

    most = most_bad(n, e, look)
    tried = [bad for bad in range(int(e * n) + 1) if passes(bad)]
    assert most == max(tried, default=None)


@pytest.mark.parametrize(("e", "most"), [(0.0, 0), (1.0, 100)])
def test_all_or_nothing_needs_no_arithmetic(e: float, most: int) -> None:
    assert most_bad(100, e, ONLY) == most


@given(bad=st.integers(1, 100))
def test_evenly_spread_is_what_batches_see(bad: int) -> None:
    found = spread(bad, 10_000)
    ratio = bad / 10_000
    assert spread_inflation(bad) == pytest.approx(inflation(found) * (1 - ratio), abs=1e-9)


@pytest.mark.parametrize(
    ("inflated", "busy"), [(0.5, 0.0), (5.5, 0.3), (11.0, 0.5), (80.0, 0.85), (1e6, 0.93)]
)
def test_utilisation(inflated: float, busy: float) -> None:
    assert utilisation(inflated) == pytest.approx(busy)


@pytest.mark.parametrize(
    ("expression", "offer", "sentences"),
    [
        pytest.param(
            "p95 <= 150ms",
            Offer(50.0, 15.0, {"short": 1}),
            [
                (
                    "p95 <= 150ms [short]: about 500 requests after the warm-up; without a "
                    "slow one they pass up to an inflation of 8.3 (one server at 40 % of "
                    "its capacity), where nearly all take less than 50 ms up to an "
                    "inflation of 25 (one server at 70 % of its capacity)"
                )
            ],
            id="both ways to pass",
        ),
        pytest.param(
            "p99[short] <= 150ms",
            Offer(50.0, 11.4, {"short": 1}, warmup_s=5.0),
            [
                (
                    "p99[short] <= 150ms: about 320 requests after the warm-up; without "
                    "a slow one they pass up to an inflation of 1.1 (near idle), where nearly "
                    "all take less than 50 ms up to an inflation of 11 (one server at 50 % of "
                    "its capacity)"
                )
            ],
            id="only a quick or an idle service",
        ),
        pytest.param(
            "good(1s) >= 95%",
            Offer(25.0, 15.0, {"short": 1}),
            [
                (
                    "good(1s) >= 95% [short]: about 250 requests after the warm-up; without "
                    "a slow one they pass up to an inflation of 4.2 (one server at 20 % of "
                    "its capacity); a busier service wants --duration 32s"
                )
            ],
            id="too short for the margin",
        ),
        pytest.param(
            "p95 <= 150ms",
            Offer(20.0, 15.0, MIXED),
            [
                (
                    "p95 <= 150ms [short]: about 120 requests after the warm-up; without a "
                    "slow one they pass up to an inflation of 2 (near idle); a busier "
                    "service wants --duration 60s"
                ),
                (
                    "p95 <= 150ms [medium]: about 60 requests after the warm-up; without a "
                    "slow one they pass up to an inflation of 1 (near idle); a busier "
                    "service wants --duration 115s"
                ),
                (
                    "p95 <= 150ms [long]: about 20 requests after the warm-up; that cannot "
                    "pass, even if all are good: 60 are needed, --duration 35s or more"
                ),
            ],
            id="each class by itself",
        ),
        pytest.param(
            "errors[all] <= 0.2%",
            Offer(50.0, 60.0, MIXED),
            [
                (
                    "errors[all] <= 0.2%: about 2 750 requests after the warm-up; they pass "
                    "with none failed; 1 497 are needed without any"
                )
            ],
            id="errors: none",
        ),
        pytest.param(
            "rps >= 45",
            Offer(50.0, 60.0, MIXED),
            [
                (
                    "rps >= 45 [all]: about 2 750 requests after the warm-up; they pass "
                    "with up to 248 failed; 60 are needed without any"
                )
            ],
            id="throughput is errors",
        ),
        pytest.param(
            "errors <= 0%",
            Offer(50.0, 60.0, {"short": 1}),
            [
                (
                    "errors <= 0% [short]: about 2 750 requests after the warm-up; they "
                    "pass if none fails"
                )
            ],
            id="no error at all",
        ),
        pytest.param(
            "p95[nope] <= 1s",
            Offer(50.0, 60.0, MIXED),
            [
                (
                    "p95[nope] <= 1s: about 0 requests after the warm-up; the load has no "
                    "request of this class"
                )
            ],
            id="a class that is not sent",
        ),
        pytest.param("p95 <= baseline", Offer(50.0, 60.0, MIXED), [], id="a comparison"),
        pytest.param(
            "p99 <= 1s",
            Offer(None, 60.0, {"short": 1}),
            [
                (
                    "p99 <= 1s [short]: a pass needs 299 independent requests, all good, or "
                    "more; how many there will be is the service's doing"
                )
            ],
            id="closed loop",
        ),
        pytest.param(
            "errors <= 0%",
            Offer(None, 60.0, {"short": 1}),
            ["errors <= 0% [short]: a pass needs that none fails"],
            id="closed loop without errors",
        ),
        pytest.param(
            "rps >= 45",
            Offer(None, 60.0, {"short": 1}),
            ["rps >= 45 [all]: decided by the rates of ten slices of time"],
            id="closed loop's throughput",
        ),
    ],
)
def test_forecasts(expression: str, offer: Offer, sentences: list[str]) -> None:
    found = prospects([parse_objective(expression)], offer, ONLY)
    assert [forecast(prospect).replace("\u202f", " ") for prospect in found] == sentences


def test_a_look_needs_more_than_a_single_verdict() -> None:
    offer, objectives = Offer(50.0, 60.0, {"short": 1}), [parse_objective("errors <= 0.2%")]
    [once] = prospects(objectives, offer, ONLY)
    [look] = prospects(objectives, offer, Look(5, 5))
    assert (once.needed, look.needed) == (1497, 2301)
    assert once.can_pass
    assert look.can_pass


@pytest.mark.parametrize(
    ("rate_rps", "warmup_s", "cut_s"),
    [
        pytest.param(50.0, None, 5.0, id="5 s"),
        pytest.param(2.0, None, 25.0, id="50 requests"),
        pytest.param(None, None, 5.0, id="closed loop"),
        pytest.param(2.0, 0.0, 0.0, id="none"),
    ],
)
def test_the_warm_up_is_foreseen(
    rate_rps: float | None, warmup_s: float | None, cut_s: float
) -> None:
    assert Offer(rate_rps, 60.0, MIXED, warmup_s).cut_s == cut_s


@pytest.mark.parametrize(
    ("expressions", "rate_rps", "rarest"),
    [
        pytest.param(("p95 <= 1s",), 50.0, 5.0, id="every class"),
        pytest.param(("p95[all] <= 1s",), 50.0, 50.0, id="pooled"),
        pytest.param(("p95[medium] <= 1s", "errors[all] <= 1%"), 50.0, 15.0, id="by name"),
        pytest.param(("p95[nope] <= 1s",), 50.0, 50.0, id="no such class"),
        pytest.param(("p95 <= 1s",), None, None, id="closed loop"),
    ],
)
def test_the_rarest_class(
    expressions: tuple[str, ...], rate_rps: float | None, rarest: float | None
) -> None:
    objectives = [parse_objective(text) for text in expressions]
    assert rarest_rps(objectives, Offer(rate_rps, 60.0, MIXED)) == rarest
