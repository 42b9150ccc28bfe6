import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slokit.report import format as fmt

G = fmt.GROUP
ANY_NUMBER = st.one_of(st.none(), st.floats(), st.integers(-(10**12), 10**12))
MEASURED = st.floats(1e-8, 1e6)
ONE_VALUE = (
    fmt.number,
    fmt.count,
    fmt.about,
    fmt.duration,
    fmt.milliseconds,
    fmt.share,
    fmt.change,
    fmt.rate,
    fmt.times,
)
IN_SECONDS = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}


def value_of(text: str) -> float:
    return float(text.replace(G, ""))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        pytest.param(0.0952, "95.2 ms", id="ms"),
        pytest.param(0.000213, "0.213 ms", id="a fraction of a ms"),
        pytest.param(0.0000351, "35.1 µs", id="microseconds"),
        pytest.param(1.42, "1.42 s", id="s"),
        pytest.param(0.99951, "1.00 s", id="rounding crosses into the next unit"),
        pytest.param(0.99949, "999 ms", id="rounding stays below it"),
        pytest.param(120, "120 s", id="two minutes read as seconds"),
        pytest.param(900, "15.0 min", id="minutes"),
        pytest.param(86_400, "24.0 h", id="a day"),
        pytest.param(0.0, "0 ms", id="zero"),
        pytest.param(-0.0021, "-2.10 ms", id="negative"),
        pytest.param(None, "–", id="unknown"),
        pytest.param(math.nan, "–", id="nan"),
        pytest.param(math.inf, "–", id="a lost request"),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert fmt.duration(seconds) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        pytest.param(0.0012, "0.12 %", id="small"),
        pytest.param(0.987, "98.7 %", id="a promise"),
        pytest.param(0.999_971_5, "99.99715 %", id="digits follow the rest"),
        pytest.param(0.0, "0 %", id="none"),
        pytest.param(1.0, "100 %", id="all"),
        pytest.param(1e-12, "<0.000001 %", id="almost none is not none"),
        pytest.param(1 - 1e-12, ">99.999999 %", id="almost all is not all"),
        pytest.param(1.25, "125 %", id="more than a core"),
        pytest.param(None, "–", id="unknown"),
    ],
)
def test_share(ratio: float | None, text: str) -> None:
    assert fmt.share(ratio) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        pytest.param(-0.548, "-54.8 %", id="faster"),
        pytest.param(0.0321, "+3.2 %", id="slower"),
        pytest.param(11.5, f"+1{G}150.0 %", id="much slower"),
        pytest.param(-0.0001, "0.0 %", id="nothing has no sign"),
        pytest.param(None, "–", id="unknown"),
    ],
)
def test_change(ratio: float | None, text: str) -> None:
    assert fmt.change(ratio) == text


@pytest.mark.parametrize(
    ("ends", "unit", "text"),
    [
        pytest.param((0.0901, 0.0993), "s", "[90.1, 99.3] ms", id="seconds in ms"),
        pytest.param((0.9, 1.2), "s", "[0.900, 1.20] s", id="one unit, that of the larger end"),
        pytest.param((0.0901, None), "s", "[90.1, –] ms", id="upper end on lost requests"),
        pytest.param((0.0901, math.inf), "s", "[90.1, –] ms", id="infinite end"),
        pytest.param((None, None), "s", "–", id="neither end"),
        pytest.param(None, "s", "–", id="no interval"),
        pytest.param((0.0, 0.0), "s", "[0, 0] ms", id="nothing at all"),
        pytest.param((0.982, 0.99112), "ratio", "[98.2, 99.112] %", id="share"),
        pytest.param((49.1, 50.94), "rps", "[49.1, 50.9] /s", id="rate"),
        pytest.param((0.95, 1.032), "baseline", "[-5.0, +3.2] %", id="times the baseline"),
    ],
)
def test_interval(ends: tuple[float | None, float | None] | None, unit: str, text: str) -> None:
    assert fmt.interval(ends, unit) == text


@pytest.mark.parametrize(
    ("ends", "unit", "text"),
    [
        pytest.param((0.0901, 1.2346), "ms", f"[90.1, 1{G}235]", id="ms"),
        pytest.param((-0.581, None), "%", "[-58.1, –]", id="change"),
        pytest.param((None, None), "%", "–", id="neither end"),
        pytest.param(None, "ms", "–", id="no interval"),
    ],
)
def test_interval_in_a_named_unit(
    ends: tuple[float | None, float | None] | None, unit: str, text: str
) -> None:
    assert fmt.interval_in(ends, unit) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        pytest.param(0.182, "s", "182 ms", id="seconds"),
        pytest.param(0.987, "ratio", "98.7 %", id="share"),
        pytest.param(38.152, "rps", "38.2 requests/s", id="rate"),
        pytest.param(1.032, "baseline", "+3.2 %", id="times the baseline"),
        pytest.param(None, "baseline", "–", id="unknown"),
    ],
)
def test_measure(value: float | None, unit: str, text: str) -> None:
    assert fmt.measure(value, unit) == text


@pytest.mark.parametrize(
    ("verdict", "word"),
    [
        pytest.param("pass", "PASS ✓", id="pass"),
        pytest.param("fail", "FAIL ✗", id="fail"),
        pytest.param("inconclusive", "INCONCLUSIVE ?", id="inconclusive"),
        pytest.param("invalid", "INVALID !", id="invalid"),
        pytest.param("improved", "IMPROVED ✓", id="improved"),
        pytest.param("regressed", "REGRESSED ✗", id="regressed"),
        pytest.param("equivalent", "EQUIVALENT =", id="equivalent"),
        pytest.param(None, "NO VERDICT", id="none"),
    ],
)
def test_verdicts_have_a_word_and_a_sign(verdict: str | None, word: str) -> None:
    assert fmt.verdict_word(verdict) == word


@pytest.mark.parametrize("write", ONE_VALUE)
@given(value=ANY_NUMBER)
def test_any_number_is_written_and_never_as_nan_or_inf(write, value) -> None:
    text = write(value)
    assert text
    assert not re.search(r"nan|inf|e[+-]?\d", text, re.IGNORECASE)


@given(low=ANY_NUMBER, high=ANY_NUMBER, unit=st.sampled_from(["s", "ratio", "rps", "baseline"]))
def test_any_interval_is_written_and_never_with_nan_or_inf(low, high, unit) -> None:
    text = fmt.interval((low, high), unit)
    assert not re.search(r"nan|inf|e[+-]?\d", text, re.IGNORECASE)


@given(MEASURED)
def test_three_digits_of_a_number_survive(value: float) -> None:
    assert value_of(fmt.number(value)) == pytest.approx(value, rel=5e-3)


@given(MEASURED)
def test_three_digits_and_the_unit_of_a_duration_survive(seconds: float) -> None:
    digits, unit = fmt.duration(seconds).split(" ")
    assert value_of(digits) * IN_SECONDS[unit] == pytest.approx(seconds, rel=5e-3)


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_share_of_counts_keeps_both_its_sides(part: int, whole: int) -> None:
    ratio = min(part, whole) / whole
    text = fmt.share(ratio)
    percent = value_of(text.removesuffix(" %"))
    assert percent == pytest.approx(ratio * 100, rel=5e-3)
    assert 100 - percent == pytest.approx(100 - ratio * 100, rel=5e-2, abs=1e-9)
    assert (text == "100 %") == (ratio == 1)


@given(st.text())
def test_clean_text_is_one_printable_line(text: str) -> None:
    shown = fmt.clean(text, limit=40)
    assert len(shown) <= 40
    assert all(c.isprintable() or c in fmt.NO_BREAK for c in shown)
    assert len(shown.splitlines()) <= 1
    shown.encode()  # no lone surrogates


def test_count_groups_and_rounds() -> None:
    assert [fmt.count(n) for n in (0, 999, 1200, 1_234_567, 37.6, None)] == [
        "0",
        "999",
        f"1{G}200",
        f"1{G}234{G}567",
        "38",
        "–",
    ]
