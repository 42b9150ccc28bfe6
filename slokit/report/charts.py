"""Pictures of latency as SVG: text stays text, readable without colour, same bytes every time.

matplotlib is imported inside the functions, through its objects: no window system, no
state shared with anybody else's figures.
"""

import io
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from slokit.core.estimates import quantile
from slokit.core.sample import FloatArray, Samples
from slokit.report.format import clean, duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVE_POINTS: Final = 160  # steps of an ECDF in a picture; more are below a pixel
MAX_BINS: Final = 300  # points of a line over time
_SETTINGS: Final[Any] = {
    "svg.fonttype": "none",  # text as text
    "text.parse_math": False,  # a class named $x$ is a name
    "svg.hashsalt": "slokit",  # ids depend on the content alone
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.6,
}
_BLACK, _BLUE, _ORANGE, _RED = "#222222", "#0b66b0", "#d1660a", "#b00020"


def latency_over_time(
    samples: Samples, *, warmup_s: float = 0.0, limit_s: float | None = None, title: str = ""
) -> str:
    """P50 and P95 of latency by second of the schedule, as SVG.

    `warmup_s` shades what was not judged, `limit_s` draws the limit; requests without a
    good answer are crosses at the top edge, dropped ones included.
    """
    import matplotlib as mpl  # noqa: PLC0415 - half a second that only pictures need
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(7.5, 3.2), layout="constrained")
        axes = figure.add_subplot()
        _draw_quantiles(axes, samples)
        _draw_failures(axes, samples)
        if warmup_s > 0:
            axes.axvspan(
                0, warmup_s, facecolor="#dddddd", hatch="//", edgecolor="#bbbbbb", label="warm-up"
            )
        _draw_limit(axes.axhline, limit_s)
        axes.set(xlabel="seconds since the run began", ylabel="latency, ms", title=clean(title))
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
        _set_legend(figure, axes)
        return _svg(figure)


def ecdf(
    base: Samples,
    candidate: Samples,
    *,
    limits_s: Mapping[str, float] | None = None,
    names: tuple[str, str] = ("base", "candidate"),
) -> str:
    """Share of requests answered within a time, before and after, a panel a text class; SVG.

    Both runs without their warm-up. A curve that stays below 100 % has requests without a
    good answer. `limits_s` maps a class to its limit. Raises ValueError when the two have
    no text class in common.
    """
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.ticker import LogLocator  # noqa: PLC0415

    shared = sorted(set(base.classes) & set(candidate.classes), key=lambda n: _median_s(base, n))
    if not shared:
        raise ValueError("the two runs have no text class in common: nothing to draw")
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(2.9 * len(shared) + 0.9, 3.2), layout="constrained")
        panels = figure.subplots(1, len(shared), sharex=True, sharey=True, squeeze=False)[0]
        for axes, name in zip(panels, shared, strict=True):
            _draw_ecdf(axes, base.of_class(name).latency_s, names[0], "--", _ORANGE)
            _draw_ecdf(axes, candidate.of_class(name).latency_s, names[1], "-", _BLUE)
            _draw_limit(axes.axvline, (limits_s or {}).get(name))
            axes.set(xscale="log", xlabel="latency, ms", title=clean(name, 40), ylim=(0, 102))
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(_plain_number)
            axes.xaxis.set_minor_formatter("")
        panels[0].set_ylabel("answered within, % of requests")
        _set_legend(figure, panels[0])
        return _svg(figure)


def _draw_quantiles(axes: "Axes", samples: Samples) -> None:
    """A line each for P50 and P95; a gap where a quantile falls on failed requests."""
    if not len(samples):
        return
    end_s = max(float(samples.due_s[-1]), 1.0)
    edges = np.linspace(0, end_s, min(MAX_BINS, int(end_s)) + 1)
    parts = np.split(samples.latency_s, np.searchsorted(samples.due_s, edges[1:-1]))
    middles = (edges[:-1] + edges[1:]) / 2
    for q, style, marker, color in ((0.95, "-", "o", _BLUE), (0.5, "--", "", _BLACK)):
        values = [quantile(part, q) for part in parts]
        shown = [np.nan if value is None else value * 1000 for value in values]
        axes.plot(
            middles,
            shown,
            style,
            color=color,
            marker=marker,
            markersize=2.5,
            lw=1.2,
            label=f"P{q * 100:.0f}",
        )


def _draw_failures(axes: "Axes", samples: Samples) -> None:
    """A cross at the top edge for each second with requests without a good answer."""
    seconds = np.unique(np.floor(samples.due_s[~samples.ok]))
    if len(seconds):
        axes.plot(
            seconds + 0.5,
            np.full(len(seconds), 0.98),
            "x",
            color=_RED,
            clip_on=False,
            transform=axes.get_xaxis_transform(),
            label="without a good answer",
        )


def _draw_ecdf(axes: "Axes", latency_s: FloatArray, name: str, style: str, color: str) -> None:
    ordered = np.sort(latency_s)
    answered = int(np.isfinite(ordered).sum())
    ranks = np.unique(np.linspace(0, answered - 1, min(answered, CURVE_POINTS)).astype(np.int64))
    marker, sign = ("o", "●") if style == "-" else ("s", "■")
    axes.plot(
        ordered[ranks] * 1000,
        (ranks + 1) / max(1, len(ordered)) * 100,
        style,
        color=color,
        lw=1.5,
        label=f"{clean(name, 40)} ({sign} P95)",
    )
    p95_s = quantile(latency_s, 0.95)
    if p95_s is not None:
        axes.plot(p95_s * 1000, 95, marker, color=color, markersize=5)


def _draw_limit(draw: Any, limit_s: float | None) -> None:
    """A line across or up, by `draw`, at the limit."""
    if limit_s is not None:
        draw(limit_s * 1000, color=_RED, ls=":", lw=1.5, label=f"limit {duration(limit_s)}")


def _set_legend(figure: "Figure", axes: "Axes") -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)


def _median_s(samples: Samples, name: str) -> tuple[float, str]:
    """Panels run from the fastest class to the slowest, ties by name."""
    median_s = quantile(samples.of_class(name).latency_s, 0.5)
    return (np.inf if median_s is None else median_s, name)


def _plain_number(value: float, _position: int) -> str:
    return f"{value:g}"


def _svg(figure: "Figure") -> str:
    target = io.StringIO()
    with warnings.catch_warnings():
        # Chinese names are measured in a font without them; whoever shows the SVG has one.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    return target.getvalue()
