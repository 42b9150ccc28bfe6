"""Pictures, read back as XML: what they say, that they say it in text, and always the same."""

import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from slokit.core.sample import Samples
from slokit.report import charts

SVG = "{http://www.w3.org/2000/svg}"


def samples(
    n: int = 600, *, scale: float = 1.0, failed: float = 0.0, classes: tuple[str, ...] = ("short",)
) -> Samples:
    """n requests at 10 a second whose latencies run evenly from 10 to 110 ms."""
    due_s = np.arange(n) / 10
    latency_s = (0.01 + 0.1 * (np.arange(n) * 7 % 100) / 100) * scale
    return Samples(
        due_s=due_s,
        sent_s=due_s,
        end_s=due_s + latency_s,
        lag_s=np.zeros(n),
        outcome=np.where(np.arange(n) < failed * n, "http_5xx", "ok"),
        text_class=np.array(classes)[np.arange(n) % len(classes)] if n else np.array([], np.str_),
        stage=np.zeros(n, dtype=np.int64),
    )


def texts(svg: str) -> list[str]:
    root = ET.fromstring(svg)  # noqa: S314 - our own
    return ["".join(element.itertext()).strip() for element in root.iter(f"{SVG}text")]


def test_latency_over_time_names_what_it_draws() -> None:
    svg = charts.latency_over_time(
        samples(failed=0.01), warmup_s=5.0, limit_s=0.15, title="short: 10 requests/s"
    )
    assert {
        "P95",
        "P50",
        "without a good answer",
        "warm-up",
        "limit 150 ms",
        "latency, ms",
        "seconds since the run began",
        "short: 10 requests/s",
    } <= set(texts(svg))


def test_what_is_not_there_is_not_in_the_legend() -> None:
    assert {"without a good answer", "warm-up"}.isdisjoint(
        texts(charts.latency_over_time(samples()))
    )


def test_before_and_after_has_a_panel_a_class_from_fast_to_slow() -> None:
    base = samples(classes=("b", "a"))
    svg = charts.ecdf(
        base, samples(scale=0.5, classes=("b", "a")), limits_s={"a": 0.1}, names=("old", "new")
    )
    found = texts(svg)
    assert {"old (■ P95)", "new (● P95)", "answered within, % of requests"} <= set(found)
    medians = {name: float(np.median(base.of_class(name).latency_s)) for name in ("a", "b")}
    assert [t for t in found if t in ("a", "b")] == sorted(medians, key=lambda n: medians[n])


@pytest.mark.parametrize(
    "sad",
    [
        pytest.param(samples(0), id="no requests"),
        pytest.param(samples(1), id="one request"),
        pytest.param(samples(failed=1.0), id="all failed"),
        pytest.param(samples(20_000), id="2000 seconds"),
    ],
)
def test_sad_runs_are_drawn_over_time(sad: Samples) -> None:
    svg = charts.latency_over_time(sad, limit_s=0.1)
    assert "limit 100 ms" in texts(svg)
    assert "nan" not in svg.lower()


@pytest.mark.parametrize(
    "sad",
    [
        pytest.param(samples(1), id="one request"),
        pytest.param(samples(failed=1.0), id="all failed"),
        pytest.param(samples(20_000), id="many requests"),
    ],
)
def test_sad_runs_are_compared(sad: Samples) -> None:
    svg = charts.ecdf(sad, samples())
    assert "short" in texts(svg)
    assert len(svg) < 100_000


def test_runs_without_a_common_class_are_refused() -> None:
    with pytest.raises(ValueError, match="no text class in common"):
        charts.ecdf(samples(), samples(classes=("long",)))


def test_names_from_outside_are_text() -> None:
    """No formula, no element, and Chinese without a font for it here."""
    name = r"$\frac{1$ <script> 短文本"
    svg = charts.ecdf(samples(classes=(name,)), samples(classes=(name,)))
    assert name in texts(svg)
    assert f"{SVG}script" not in {element.tag for element in ET.fromstring(svg).iter()}  # noqa: S314


def test_the_same_run_is_the_same_picture() -> None:
    first, second = (charts.ecdf(samples(), samples(scale=0.5)) for _ in range(2))
    assert first == second
    assert "dc:date" not in first


def test_drawing_leaves_no_trace() -> None:
    """No window system, no global figure, no changed setting; and the import draws in nothing."""
    program = (
        "import sys, slokit.report.charts as c\n"
        "assert 'matplotlib' not in sys.modules\n"
        "import matplotlib as mpl; before = mpl.rcParams.copy()\n"
        "import numpy as np; from slokit.core.sample import Samples\n"
        "e = np.array([]); s = Samples(e, e, e, e, e.astype(str), e.astype(str), e.astype(int))\n"
        "c.latency_over_time(s)\n"
        "assert mpl.rcParams.copy() == before\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
