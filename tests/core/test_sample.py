"""Samples: latency runs from due, a request without a good answer takes for ever."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from slokit.core.objective import Clock
from slokit.core.sample import Outcome, Samples, merge


@pytest.fixture
def four(build: Callable[..., Samples]) -> Samples:
    return build(
        [0.1, 0.2, 0.3, 0.4],
        outcome=["ok", "timeout", "dropped", "ok"],
        text_class=["short", "long", "long", "short"],
        lag_s=[0.0, 0.0, 0.0, 0.05],
        rate_rps=10,
    )


def test_the_four_times(four: Samples) -> None:
    inf = np.inf
    np.testing.assert_allclose(four.latency_s, [0.1, inf, inf, 0.4])
    np.testing.assert_allclose(four.service_s, [0.1, inf, inf, 0.35])
    assert four.time_s(Clock.DUE).tolist() == four.latency_s.tolist()
    assert four.time_s(Clock.SERVICE).tolist() == four.service_s.tolist()
    assert four.ok.tolist() == [True, False, False, True]


def test_classes_and_masks(four: Samples) -> None:
    assert four.classes == ("short", "long")
    assert len(four.of_class("long")) == 2
    assert four.of_class("all") is four
    assert four.where(four.ok).due_s.tolist() == pytest.approx([0.0, 0.3])


def test_parts_merge_in_order_of_due_time(build: Callable[..., Samples]) -> None:
    parts = [build([0.1, 0.2], start_s=start_s, text_class=f"c{start_s}") for start_s in (2, 1)]
    merged = merge(parts)
    assert merged.classes == ("c1", "c2")
    np.testing.assert_allclose(merged.due_s, [1.0, 1.01, 2.0, 2.01])
    np.testing.assert_allclose(merged.latency_s, [0.1, 0.2, 0.1, 0.2])


@pytest.mark.parametrize("outcome", list(Outcome))
def test_only_ok_is_good(build: Callable[..., Samples], outcome: Outcome) -> None:
    assert build([0.1], outcome=outcome.value).ok.tolist() == [outcome is Outcome.OK]


def test_nothing_is_no_error(build: Callable[..., Samples]) -> None:
    empty = build([])
    assert (len(empty), empty.classes) == (0, ())


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        pytest.param("due_s", [0.0, 0.1, np.nan, 0.3], "due_s must be finite", id="nan"),
        pytest.param("due_s", [0.0, 0.2, 0.1, 0.3], "ordered by due_s", id="disorder"),
        pytest.param("end_s", [0.0, 0.2], "columns of unequal length: .*'end_s': 2", id="short"),
    ],
)
def test_what_cannot_be_samples(
    four: Samples, column: str, values: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        replace(four, **{column: np.array(values)})
