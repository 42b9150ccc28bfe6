"""What a run is doing, while it lasts: from the tick rows of its load processes.

The load generator shares the machine, so this view is cheap: it has no thread and no
clock of its own, and draws at most twice a second of the run's own time. Where nobody
watches a terminal it prints one plain line every five seconds.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from slokit.report.format import count, duration, rate

REDRAW_S: Final = 0.5
LINE_EVERY_S: Final = 5.0
RATE_WINDOW: Final = 10  # ticks that a rate is taken over, as the rolling P95 is
HISTORY: Final = 60  # ticks in the curve of the rolling P95
_BARS: Final = "▁▂▃▄▅▆▇█"

Tick = Mapping[str, Any]
_START: Final[Tick] = {"t_s": 0.0, "scheduled": 0, "sent": 0}


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of all load processes together at `at_s` seconds into the run.

    Counts are sums. Quantiles of several processes do not add up: `p95_s` is the worst
    of them, `cpu_ratio` that of the busiest.
    """

    at_s: float
    offered_rps: float
    sent_rps: float
    scheduled: int
    done: int
    errors: int
    dropped: int
    in_flight: int
    p95_s: float | None
    cpu_ratio: float


class Ticks:
    """The last ticks of each load process."""

    def __init__(self) -> None:
        self._rows: dict[int, deque[Tick]] = {}

    def add(self, row: Tick) -> None:
        """Take one row; its columns are conventions.TICK_COLUMNS."""
        worker = int(row["worker"])
        if worker not in self._rows:
            self._rows[worker] = deque([_START], maxlen=RATE_WINDOW + 1)
        self._rows[worker].append(row)

    def progress(self) -> Progress | None:
        """Where the run stands; None before the first tick."""
        if not self._rows:
            return None
        last = [rows[-1] for rows in self._rows.values()]
        p95s = [row["p95_s"] for row in last if row["p95_s"] is not None]
        return Progress(
            at_s=max(row["t_s"] for row in last),
            offered_rps=sum(_rate(rows, "scheduled") for rows in self._rows.values()),
            sent_rps=sum(_rate(rows, "sent") for rows in self._rows.values()),
            scheduled=sum(row["scheduled"] for row in last),
            done=sum(row["done"] for row in last),
            errors=sum(row["errors"] for row in last),
            dropped=sum(row["dropped"] for row in last),
            in_flight=sum(row["in_flight"] for row in last),
            p95_s=max(p95s, default=None),
            cpu_ratio=max(row["cpu_ratio"] or 0.0 for row in last),
        )


class LiveView:
    """Show a run of `total_s` seconds on a console; a context manager.

    `update` takes the ticks that came since the last call. A console that is a terminal
    gets a small block that is redrawn in place and removed at the end; any other gets
    lines that stay.
    """

    def __init__(self, console: Console, total_s: float, title: str = "") -> None:
        self._console, self._total_s, self._title = console, total_s, title
        self._ticks = Ticks()
        self._p95s: deque[float | None] = deque(maxlen=HISTORY)
        self._seen_at_s = self._shown_at_s = 0.0
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Take the console's lower lines, where it is a terminal."""
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the console back, cursor included, however the run ended."""
        if self._live:
            self._live.stop()

    def update(self, ticks: Iterable[Tick]) -> None:
        """Take new tick rows, and show them when the last picture is old enough."""
        for row in ticks:
            self._ticks.add(row)
        progress = self._ticks.progress()
        if progress is None:
            return
        if progress.at_s > self._seen_at_s:
            self._p95s.append(progress.p95_s)
            self._seen_at_s = progress.at_s
        step_s = REDRAW_S if self._live else LINE_EVERY_S
        if progress.at_s - self._shown_at_s < step_s:
            return
        self._shown_at_s = progress.at_s - progress.at_s % step_s
        if self._live:
            picture = block(progress, self._total_s, self._title, curve(self._p95s))
            self._live.update(picture, refresh=True)
        else:
            self._console.print(Text(line(progress, self._total_s)), soft_wrap=True)


def where(at_s: float, total_s: float) -> str:
    """How far a run is; after its last arrival it waits for answers.

    >>> where(12.0, 60.0), where(63.0, 60.0)
    ('12 s of 60 s', '60 s of 60 s, waiting for answers')
    """
    if at_s <= total_s:
        return f"{at_s:.0f} s of {total_s:.0f} s"
    return f"{total_s:.0f} s of {total_s:.0f} s, waiting for answers"


def line(progress: Progress, total_s: float) -> str:
    """The run in one line, for logs."""
    return " · ".join(
        (
            where(progress.at_s, total_s),
            rate(progress.sent_rps),
            f"P95 ({RATE_WINDOW} s) {duration(progress.p95_s)}",
            f"in flight {count(progress.in_flight)}",
            f"errors {count(progress.errors)}",
        )
    )


def block(progress: Progress, total_s: float, title: str, history: str) -> RenderableType:
    """The run in a few lines, for a terminal."""
    left_s = max(0.0, total_s - progress.at_s)
    head = Table.grid(padding=(0, 2, 0, 0))
    head.add_row(
        Text(title, style="bold", overflow="ellipsis", no_wrap=True),
        ProgressBar(total=total_s or 1.0, completed=min(progress.at_s, total_s), width=24),
        Text(f"{where(progress.at_s, total_s)} · {left_s:.0f} s left", no_wrap=True),
    )
    errors = f"{count(progress.errors)} (dropped {count(progress.dropped)})"
    facts = (
        ("P95, last 10 s", f"{duration(progress.p95_s):<10} {history}", ""),
        ("sent", f"{rate(progress.sent_rps)}, offered {rate(progress.offered_rps)}", ""),
        ("done", f"{count(progress.done)} of {count(progress.scheduled)} due so far", ""),
        ("in flight", count(progress.in_flight), ""),
        ("errors", errors, "bold red" if progress.errors else ""),
        ("generator CPU", f"{progress.cpu_ratio * 100:.0f} % of a core", ""),
    )
    body = Table.grid(padding=(0, 2, 0, 0))
    for name, value, style in facts:
        body.add_row(Text(name, style="dim"), Text(value, style=style, no_wrap=True))
    return Group(head, body)


def curve(values: Iterable[float | None]) -> str:
    """A row of bars from nothing to the highest value; a blank where there was none.

    >>> curve([0.01, None, 0.04, 0.08])
    '▁ ▄█'
    """
    points = list(values)
    top = max((value for value in points if value is not None), default=0.0)
    if top <= 0:
        return ""
    steps = len(_BARS)
    return "".join(
        " " if value is None else _BARS[max(0, -int(-value / top * steps // 1) - 1)]
        for value in points
    )


def _rate(rows: deque[Tick], column: str) -> float:
    """Requests a second of one process over its last ticks."""
    first, last = rows[0], rows[-1]
    span_s = last["t_s"] - first["t_s"]
    return float(last[column] - first[column]) / span_s if span_s > 0 else 0.0
