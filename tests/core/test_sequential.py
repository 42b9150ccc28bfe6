"""When a run is looked at, and what each look may spend."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slokit.core.sequential import ALPHA, MAX_LOOKS, ONLY, Look, look_times


@pytest.mark.parametrize(
    ("end_s", "warmup_s", "rate_rps", "times"),
    [
        pytest.param(165.0, 5.0, 25.0, (25.0, 45.0, 85.0, 165.0), id="500 requests, then doubled"),
        pytest.param(164.0, 5.0, 25.0, (44.75, 84.5, 164.0), id="a little less: one look fewer"),
        pytest.param(40.0, 0.0, 12.5, (40.0,), id="only 500 in all"),
        pytest.param(10.0, 5.0, 50.0, (10.0,), id="fewer"),
        pytest.param(10.0, 15.0, 50.0, (10.0,), id="all of it warm-up"),
        pytest.param(325.0, 5.0, None, (15.0, 25.0, 45.0, 85.0, 165.0, 325.0), id="closed loop"),
    ],
)
def test_look_times(
    end_s: float, warmup_s: float, rate_rps: float | None, times: tuple[float, ...]
) -> None:
    assert look_times(end_s, warmup_s, rate_rps) == pytest.approx(times)


@given(
    end_s=st.floats(1, 1e6),
    warmup_s=st.floats(0, 1e6),
    rate_rps=st.none() | st.floats(0.01, 1e6),
)
def test_looks_end_with_the_run_and_come_in_order(
    end_s: float, warmup_s: float, rate_rps: float | None
) -> None:
    times = look_times(end_s, warmup_s, rate_rps)
    assert times[-1] == end_s
    assert list(times) == sorted(times)
    assert 1 <= len(times) <= MAX_LOOKS


@pytest.mark.parametrize("planned", range(1, MAX_LOOKS + 1))
def test_all_looks_together_spend_alpha(planned: int) -> None:
    assert sum(Look(k, planned).alpha for k in range(1, planned + 1)) == pytest.approx(ALPHA)
    assert Look(planned, planned).spent == pytest.approx(ALPHA)


def test_several_looks_are_more_careful_about_dependence() -> None:
    assert (ONLY.alpha, ONLY.safety) == (0.05, 1.5)
    assert Look(1, 2).safety > ONLY.safety
