"""The live view, driven by ticks: the time in it is the run's, not the clock's."""

import io
from typing import Any

import pytest
from rich.console import Console

from slokit.conventions import TICK_COLUMNS
from slokit.report.live import LiveView, Progress, Ticks, block, curve, line

Tick = dict[str, Any]


def tick(second: int, **changes: Any) -> Tick:
    """A process that offers 50 requests/s and sends them all."""
    base = {
        "t_s": float(second),
        "scheduled": 50 * second,
        "sent": 50 * second,
        "done": 50 * second - 2,
        "errors": 0,
        "dropped": 0,
        "in_flight": 2,
        "cpu_ratio": 0.25,
        "p95_s": 0.0421,
        "worker": 0,
    }
    assert set(base) == set(TICK_COLUMNS)
    return base | changes


def console(*, is_terminal: bool) -> tuple[Console, io.StringIO]:
    target = io.StringIO()
    return Console(file=target, width=80, force_terminal=is_terminal, legacy_windows=False), target


def progress(*rows: Tick) -> Progress:
    ticks = Ticks()
    for row in rows:
        ticks.add(row)
    found = ticks.progress()
    assert found is not None
    return found


def test_a_log_gets_one_line_every_five_seconds() -> None:
    out, target = console(is_terminal=False)
    with LiveView(out, 60.0) as view:
        for second in range(1, 13):
            view.update([tick(second)])
    assert target.getvalue().splitlines() == [
        "5 s of 60 s · 50.0 requests/s · P95 (10 s) 42.1 ms · in flight 2 · errors 0",
        "10 s of 60 s · 50.0 requests/s · P95 (10 s) 42.1 ms · in flight 2 · errors 0",
    ]


def test_ticks_that_come_a_little_late_keep_the_beat() -> None:
    out, target = console(is_terminal=False)
    with LiveView(out, 60.0) as view:
        for second in range(1, 61):
            view.update([tick(second, t_s=second * 1.004)])
    assert len(target.getvalue().splitlines()) == 12


def test_ticks_that_come_together_are_shown_once() -> None:
    out, target = console(is_terminal=False)
    with LiveView(out, 60.0) as view:
        view.update(tick(second) for second in range(1, 31))
        view.update([])
    assert [text[:12] for text in target.getvalue().splitlines()] == ["30 s of 60 s"]


def test_no_ticks_show_nothing() -> None:
    out, target = console(is_terminal=False)
    with LiveView(out, 60.0) as view:
        view.update([])
    assert target.getvalue() == ""


def test_a_terminal_is_redrawn_at_most_twice_a_second() -> None:
    out, target = console(is_terminal=True)
    with LiveView(out, 60.0, "short") as view:
        for tenth in range(1, 41):
            view.update([tick(1, t_s=tenth / 10)])
    assert target.getvalue().count("in flight") == 8 + 1  # in 4 s, and once when it ends


def test_polling_without_news_draws_nothing_new() -> None:
    """The caller asks several times a second: one second is one bar of the curve."""
    out, target = console(is_terminal=True)
    with LiveView(out, 60.0) as view:
        for second in range(1, 4):
            view.update([tick(second)])
            for _ in range(4):
                view.update([])
    assert target.getvalue().count("in flight") == 3 + 1
    assert "███" in target.getvalue()
    assert "████" not in target.getvalue()


def test_a_terminal_is_given_back() -> None:
    """The cursor is shown again, also when the run ends in an error."""
    out, target = console(is_terminal=True)

    def broken_run() -> None:
        with LiveView(out, 60.0) as view:
            view.update([tick(1)])
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        broken_run()
    hide, show = "\x1b[?25l", "\x1b[?25h"
    assert target.getvalue().rfind(show) > target.getvalue().rfind(hide) >= 0


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param(
            [tick(1), tick(2)],
            {"at_s": 2.0, "sent_rps": 50.0, "offered_rps": 50.0, "done": 98, "p95_s": 0.0421},
            id="one process",
        ),
        pytest.param(
            [tick(4), tick(4, worker=1, p95_s=0.2, cpu_ratio=0.5, errors=3, in_flight=40)],
            {
                "at_s": 4.0,
                "sent_rps": 100.0,
                "scheduled": 400,
                "errors": 3,
                "in_flight": 42,
                "p95_s": 0.2,
                "cpu_ratio": 0.5,
            },
            id="two processes: counts add up, quantiles do not",
        ),
        pytest.param(
            [tick(s) for s in range(1, 21)] + [tick(s, sent=1000) for s in range(21, 31)],
            {"sent_rps": 0.0, "offered_rps": 50.0},
            id="nothing leaves any more: the rate is of the last 10 s",
        ),
        pytest.param(
            [tick(1, p95_s=None, cpu_ratio=None)], {"p95_s": None, "cpu_ratio": 0.0}, id="no answer"
        ),
        pytest.param([tick(0)], {"sent_rps": 0.0}, id="no time has passed"),
        pytest.param(
            [tick(1, t_s=0.95), tick(1)], {"sent_rps": 50.0}, id="two ticks in the first second"
        ),
    ],
)
def test_progress(rows: list[Tick], expected: dict[str, Any]) -> None:
    found = progress(*rows)
    assert {name: getattr(found, name) for name in expected} == expected


def test_a_line_without_answers_says_so() -> None:
    assert line(progress(tick(5, p95_s=None, errors=1234)), 60.0) == (
        "5 s of 60 s · 50.0 requests/s · P95 (10 s) – · in flight 2 · errors 1\u202f234"
    )


@pytest.mark.parametrize("width", [pytest.param(80, id="80 columns"), pytest.param(40, id="40")])
def test_the_block_fits(width: int) -> None:
    target = io.StringIO()
    out = Console(file=target, width=width)
    row = tick(30, errors=7, dropped=3)
    out.print(block(progress(tick(29), row), 60.0, "mixed → http://" + "x" * 99, "▁▄█" * 20))
    text = target.getvalue()
    assert max(map(len, text.splitlines())) <= width
    if width == 80:
        flat = " ".join(text.replace("\u202f", "").split())
        assert "30 s of 60 s · 30 s left" in flat
        assert "P95, last 10 s 42.1 ms" in flat
        assert "sent 50.0 requests/s, offered 50.0 requests/s" in flat
        assert "done 1498 of 1500 due so far" in flat
        assert "errors 7 (dropped 3)" in flat
        assert "generator CPU 25 % of a core" in flat


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        pytest.param([], "", id="nothing yet"),
        pytest.param([None, None], "", id="no answers"),
        pytest.param([0.0, 0.0], "", id="no time at all"),
        pytest.param([0.0, 0.5, 1.0], "▁▄█", id="from nothing to the top"),
        pytest.param([1.0, None, 1.0], "█ █", id="a gap"),
    ],
)
def test_curve(values: list[float | None], bars: str) -> None:
    assert curve(values) == bars
