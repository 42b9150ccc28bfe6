"""People's units become seconds, ratios and rates, or one clear refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slokit.core.units import parse_duration, parse_rate, parse_ratio
from slokit.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("150ms", 0.15, id="milliseconds"),
        pytest.param("250us", 0.00025, id="microseconds"),
        pytest.param("40s", 40.0, id="seconds"),
        pytest.param("5m", 300.0, id="minutes"),
        pytest.param("1h30m", 5400.0, id="two units"),
        pytest.param("2d", 172_800.0, id="days"),
        pytest.param(" 0.5s ", 0.5, id="fraction and spaces"),
        pytest.param("0.1s", 0.1, id="no float dust"),
        pytest.param("150 ms", 0.15, id="a space before the unit"),
    ],
)
def test_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "150", "ms", "-5s", "0ms", "5 m s", "1e3s", "s5", "5S", "inf s", "nan", "9" * 400 + "d"],
)
def test_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match="is no duration: write a number > 0 with us, ms, s"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "ratio"),
    [
        pytest.param("98.7%", 0.987, id="fraction"),
        pytest.param("0%", 0.0, id="zero"),
        pytest.param("100 %", 1.0, id="all, with a space"),
        pytest.param("0.2%", 0.002, id="small"),
    ],
)
def test_ratio(text: str, ratio: float) -> None:
    assert parse_ratio(text) == ratio


@pytest.mark.parametrize("text", ["", "5", "%", "-1%", "100.1%", "1,5%", "five%"])
def test_no_ratio(text: str) -> None:
    with pytest.raises(UsageError, match="is no share: write a percentage from 0% to 100%"):
        parse_ratio(text)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        pytest.param("50", 50.0, id="plain"),
        pytest.param("50rps", 50.0, id="rps"),
        pytest.param("12.5/s", 12.5, id="per second"),
        pytest.param(" 3 rps ", 3.0, id="spaces"),
    ],
)
def test_rate(text: str, rate: float) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "0", "-5rps", "rps", "5/m", "1e400", "9" * 400])
def test_no_rate(text: str) -> None:
    with pytest.raises(UsageError, match="is no rate: write requests a second, > 0: 50rps"):
        parse_rate(text)


@given(st.integers(1, 10**6))
def test_units_agree(milliseconds: int) -> None:
    """A thousand of the smaller unit is one of the larger."""
    assert parse_duration(f"{1000 * milliseconds}ms") == parse_duration(f"{milliseconds}s")
