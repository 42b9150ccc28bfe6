"""An objective is read exactly, or refused at the position of the first wrong thing."""

import pytest

from slokit.core.objective import FORMS, Clock, Metric, Objective, parse_objective
from slokit.errors import ExpressionError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "p95 <= 150ms",
            Objective(
                "p95 <= 150ms",
                Metric.LATENCY,
                quantile=0.95,
                limit_s=0.15,
                allowed_ratio=0.05,
            ),
            id="quantile",
        ),
        pytest.param(
            "  P99.9[short]   <  95ms ",
            Objective(
                "p99.9[short] < 95ms",
                Metric.LATENCY,
                text_class="short",
                strict=True,
                quantile=0.999,
                limit_s=0.095,
                allowed_ratio=0.001,
            ),
            id="class, strict, spaces, capital",
        ),
        pytest.param(
            "p95(service) [long] <= 120ms",
            Objective(
                "p95(service) [long] <= 120ms",
                Metric.LATENCY,
                text_class="long",
                clock=Clock.SERVICE,
                quantile=0.95,
                limit_s=0.12,
                allowed_ratio=0.05,
            ),
            id="clock before class",
        ),
        pytest.param(
            "good(150ms)[all] >= 98.7%",
            Objective(
                "good(150ms)[all] >= 98.7%",
                Metric.GOOD,
                text_class="all",
                quantile=0.987,
                limit_s=0.15,
                allowed_ratio=0.013,
            ),
            id="good",
        ),
        pytest.param(
            "good(1s)(service) >= 100%",
            Objective(
                "good(1s)(service) >= 100%",
                Metric.GOOD,
                clock=Clock.SERVICE,
                quantile=1.0,
                limit_s=1.0,
                allowed_ratio=0.0,
            ),
            id="good, of the service time, without exception",
        ),
        pytest.param(
            "errors[short] < 0.2%",
            Objective(
                "errors[short] < 0.2%",
                Metric.ERRORS,
                text_class="short",
                strict=True,
                allowed_ratio=0.002,
            ),
            id="errors",
        ),
        pytest.param(
            "errors <= 0%",
            Objective("errors <= 0%", Metric.ERRORS, allowed_ratio=0.0),
            id="no errors",
        ),
        pytest.param(
            "rps >= 50",
            Objective("rps >= 50", Metric.RPS, text_class="all", min_rps=50.0),
            id="rate",
        ),
        pytest.param(
            "rps[long] >= 5rps",
            Objective("rps[long] >= 5rps", Metric.RPS, text_class="long", min_rps=5.0),
            id="rate of a class",
        ),
        pytest.param(
            "p95 <= baseline + 5%",
            Objective("p95 <= baseline + 5%", Metric.RELATIVE, quantile=0.95, margin_ratio=0.05),
            id="relative with a margin",
        ),
        pytest.param(
            "p95[long] < baseline",
            Objective(
                "p95[long] < baseline",
                Metric.RELATIVE,
                text_class="long",
                strict=True,
                quantile=0.95,
                margin_ratio=0.0,
            ),
            id="relative",
        ),
    ],
)
def test_read(text: str, expected: Objective) -> None:
    assert parse_objective(text) == expected


@pytest.mark.parametrize("form", FORMS)
def test_every_advertised_form_is_read(form: str) -> None:
    assert parse_objective(form).expr == form


def test_operators_as_people_paste_them() -> None:
    assert parse_objective("P95 ≤ 150 ms") == parse_objective("p95 <= 150 ms")
    assert parse_objective("rps ≥ 50") == parse_objective("rps >= 50")


def test_a_class_in_the_wrong_place_is_told_the_right_one() -> None:
    with pytest.raises(ExpressionError, match=r"a text class goes after the metric"):
        parse_objective("p95 <= 150ms[short]")


def test_quantile_and_good_are_one_statement() -> None:
    """The same limit, the same allowed share, to the last bit."""
    quantile, good = parse_objective("p95 <= 150ms"), parse_objective("good(150ms) >= 95%")
    assert (quantile.limit_s, quantile.allowed_ratio, quantile.quantile) == (
        good.limit_s,
        good.allowed_ratio,
        good.quantile,
    )


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        pytest.param("", 0, "pNN, good(LIMIT), errors or rps", id="empty"),
        pytest.param("latency <= 1s", 0, "pNN, good(LIMIT), errors or rps", id="unknown word"),
        pytest.param("p <= 1s", 0, "pNN, good(LIMIT), errors or rps", id="no percentile"),
        pytest.param("good95(1s) >= 9%", 0, "pNN, good(LIMIT), errors or rps", id="good with NN"),
        pytest.param("  p0 <= 1s", 2, "a percentile between p0 and p100", id="p0"),
        pytest.param("p100 <= 1s", 0, "a percentile between p0 and p100", id="p100"),
        pytest.param("p95 = 150ms", 4, "<= or <", id="one equals sign"),
        pytest.param("p95 >= 150ms", 4, "<= or <", id="wrong way round"),
        pytest.param("p95", 3, "<= or <", id="nothing follows"),
        pytest.param("p95 <= 150", 7, "a number > 0 with us, ms, s, m, h or d", id="no unit"),
        pytest.param("p95 < = 1ms", 6, "a number > 0 with us, ms, s, m, h or d", id="split"),
        pytest.param("p95[] <= 1s", 3, "a text class", id="empty class"),
        pytest.param("p95[a b] <= 1s", 3, "a text class", id="class with a space"),
        pytest.param("p95[a][b] <= 1s", 6, "<= or <", id="two classes"),
        pytest.param("p95(sent) <= 1s", 3, "(service) or (due)", id="unknown clock"),
        pytest.param("p95 <= baseline + 5", 18, "a percentage from 0% to 100%", id="margin"),
        pytest.param("p95 <= baseline - 5%", 7, "baseline or baseline + N%", id="minus"),
        pytest.param("good >= 95%", 5, "a limit in parentheses", id="good without a limit"),
        pytest.param("good(x) >= 95%", 5, "a number > 0 with us, ms, s, m, h or d", id="limit"),
        pytest.param("good(1s) <= 95%", 9, ">=", id="good, wrong way round"),
        pytest.param("good(1s) >= 0%", 12, "a share above 0%", id="good of nothing"),
        pytest.param("good(1s) >= 95", 12, "a percentage from 0% to 100%", id="no percent sign"),
        pytest.param("errors <= 0.2", 10, "a percentage from 0% to 100%", id="errors"),
        pytest.param("errors < 0%", 9, "a share above 0% after <", id="fewer than none"),
        pytest.param("errors(service) <= 1%", 6, "<= or <", id="errors have no clock"),
        pytest.param("rps >= 0", 7, "requests a second, > 0", id="no rate"),
        pytest.param("rps <= 5", 4, ">=", id="rate, wrong way round"),
    ],
)
def test_refused_with_position(text: str, position: int, expected: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_objective(text)
    assert (caught.value.position, caught.value.expected) == (position, expected)
    assert f"at position {position + 1} " in str(caught.value)
