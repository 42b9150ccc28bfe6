"""What the tables of a report say, as text; `terminal` and `markdown` only lay them out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from slokit.report.format import (
    UNKNOWN,
    about,
    change,
    clean,
    count,
    duration,
    interval,
    interval_in,
    measure,
    milliseconds,
    number,
    rate,
    share,
    times,
    verdict_word,
)

NAME_LIMIT: Final = 60  # a class or objective name in a table
REASON_LIMIT: Final = 1000
COMPARISON_NOTES: Final = {
    "bootstrap": "weak: block bootstrap of two stored runs; the intervals cannot see what else "
    "changed between them (machine, neighbours, time of day)",
    "paired": "paired: interleaved slices with the same arrivals and texts, exact sign-flip test",
}
_ENVIRONMENT: Final[dict[str, tuple[str, Callable[[Any], str]]]] = {
    "url": ("target", str),
    "protocol": ("protocol", str),
    "path": ("path", str),
    "model": ("model", str),
    "weights": ("weights", str),
    "engine": ("engine", str),
    "precision": ("precision", str),
    "device": ("device", str),
    "profile": ("profile", str),
    "threads": ("target's threads", str),
    "version": ("target's version", str),
    "arrivals": ("arrivals", str),
    "rate_rps": ("offered rate", rate),
    "users": ("users", count),
    "duration_s": ("duration", duration),
    "batch": ("texts in a request", count),
    "repeat_ratio": ("repeated texts", share),
    "processes": ("load processes", count),
    "seed": ("seed", str),
    "slo_source": ("SLO from", str),
    "slokit": ("slokit", str),
    "python": ("Python", str),
    "locust": ("Locust", str),
    "machine": ("load machine", str),
    "git_commit": ("git commit", str),
    "started_at": ("started", str),
    "ended_at": ("ended", str),
}
_LATENCY_QUANTILES: Final = ("p50", "p90", "p95", "p99", "p999")


@dataclass(frozen=True, slots=True)
class Table:
    """A title, a head, and rows of text; a cell may hold several lines.

    The columns of `words` are read (left-aligned), the others are numbers. `note` explains
    the head or says what is missing.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[int, ...] = (0,)
    note: str = ""


def objectives(document: Mapping[str, Any], *, wide: bool) -> Table:
    """One row an objective, class and stage; not `wide` puts intervals below the values."""
    results = document["objectives"]
    rows = tuple(
        (
            verdict_word(result["verdict"]),
            objective_label(result),
            _beside(
                measure(result["value"], result["unit"]),
                interval(result["ci"], result["unit"]),
                wide=wide,
            ),
            f"{count(result['bad'])}/{count(result['total'])}",
            count(result["n_eff"]),
            about(result["more_requests"]),
        )
        for result in results
    )
    confidence = share(results[0]["confidence"]) if results else ""
    return Table(
        "Objectives",
        ("Verdict", "Objective", f"Measured\n{confidence} bounds", "Bad/total", "n_eff", "More"),
        rows,
        words=(0, 1),
        note="Bounds: each end one-sided. n_eff: how many independent requests the evidence is "
        "worth. More: further requests that would probably decide.",
    )


def objective_label(result: Mapping[str, Any]) -> str:
    """`p95 <= 150ms [short]`, with the stage where the run has several."""
    label = clean(result["expr"], NAME_LIMIT)
    name = clean(result["class"], NAME_LIMIT)
    if f"[{name}]" not in label:
        label = f"{label} [{name}]"
    return label if result.get("stage") is None else f"{label} stage {result['stage'] + 1}"


def latencies(document: Mapping[str, Any]) -> Table:
    """Counts, rate and latency quantiles of each class."""
    rows = tuple(
        (
            clean(name, NAME_LIMIT),
            count(summary["count"]),
            count(summary["errors"]),
            count(summary["dropped"]),
            number(summary["rps"]),
            *(milliseconds(summary["latency_s"][q]) for q in _LATENCY_QUANTILES),
        )
        for name, summary in document["summary"].items()
    )
    return Table(
        "Latency in ms, from the moment a request was due",
        ("Class", "Requests", "Errors", "Dropped", "OK/s", "P50", "P90", "P95", "P99", "P99.9"),
        rows,
        note=_unknown_note(rows),
    )


def tails(document: Mapping[str, Any]) -> Table:
    """Service time and the generator's lag beside latency, and how long the tail is."""
    rows = tuple(
        (
            clean(name, NAME_LIMIT),
            milliseconds(summary["service_s"]["p95"]),
            milliseconds(summary["service_s"]["p99"]),
            milliseconds(summary["lag_s"]["p99"]),
            times(summary["ratios"]["p99_p50"]),
            times(summary["ratios"]["p999_p50"]),
        )
        for name, summary in document["summary"].items()
    )
    return Table(
        "Service time and lag in ms, and the tail",
        ("Class", "Service P95", "Service P99", "Lag P99", "P99/P50", "P99.9/P50"),
        rows,
        note="Service time: from sent to done. Lag: the load generator's own delay in sending.",
    )


def comparison(document: Mapping[str, Any], *, wide: bool) -> Table:
    """Before and after with their intervals, one row a class and quantile."""
    rows = []
    for name, metrics in document["classes"].items():
        for metric, result in metrics.items():
            before, after = (
                _beside(
                    milliseconds(result[side]), interval_in(result[f"{side}_ci"], "ms"), wide=wide
                )
                for side in ("base", "candidate")
            )
            ends = interval_in(result["ci"], "%")
            rows.append(
                (
                    clean(name, NAME_LIMIT),
                    clean(metric, NAME_LIMIT).upper(),
                    before,
                    after,
                    _beside(change(result["change_ratio"]), ends, wide=wide),
                    verdict_word(result["verdict"]),
                )
            )
    return Table(
        "Before and after",
        ("Class", "Latency", "Base, ms", "Candidate, ms", "Change", "Verdict"),
        tuple(rows),
        words=(0, 1, 5),
        note=f"In brackets 95 % intervals; {COMPARISON_NOTES[document['method']]}.",
    )


def generator_line(document: Mapping[str, Any]) -> str:
    """Whether the load generator did its part, in one line."""
    generator = document["generator"]
    if generator is None:
        return "Generator: nothing was judged"
    parts = [
        "valid" if generator["valid"] else "NOT VALID",
        f"sent {count(generator['sent'])} of {count(generator['scheduled'])} scheduled",
        f"dropped {count(generator['dropped'])}",
        f"lag P99 {duration(generator['lag_p99_s'])}",
    ]
    if generator["cpu_ratio"] is not None:
        parts.append(f"busiest process {share(generator['cpu_ratio'])} of a core")
    return "Generator: " + " · ".join(parts)


def cut_lines(document: Mapping[str, Any]) -> list[str]:
    """What was left out as warm-up and whether the rest was steady, a line a stage."""
    watched = document["loop"] != "closed"  # in-flight is set by the users there
    return [_cut_line(cut, watched=watched) for cut in document["cuts"]]


def reason_lines(document: Mapping[str, Any]) -> list[str]:
    """Why the verdict is what it is."""
    return [clean(reason, REASON_LIMIT) for reason in document["reasons"]]


def warning_lines(document: Mapping[str, Any]) -> list[str]:
    """What to know before trusting the numbers."""
    return [clean(warning, REASON_LIMIT) for warning in document.get("warnings", ())]


def subject_line(document: Mapping[str, Any]) -> str:
    """Target and offered load in one line; empty when nothing is known."""
    known = dict(environment_rows(document))
    names = ("target", "model", "arrivals", "offered rate", "users", "duration")
    return " · ".join(
        f"{known[name]} users" if name == "users" else known[name]
        for name in names
        if name in known
    )


def environment_rows(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was measured, where and with what: name and value, unknown ones left out."""
    known = {key: value for key, value in document["environment"].items() if value is not None}
    rows = []
    for key, value in known.items():
        if key in _ENVIRONMENT:
            name, write = _ENVIRONMENT[key]
            rows.append((name, clean(write(value), NAME_LIMIT * 4)))
    labels = known.get("labels", {})
    return rows + [(f"label {clean(k, 30)}", clean(v, NAME_LIMIT)) for k, v in labels.items()]


def _cut_line(cut: Mapping[str, Any], *, watched: bool) -> str:
    place = f"Stage {cut['stage'] + 1}" if cut["stage"] is not None else ""
    place += f" ({clean(cut['label'], NAME_LIMIT)})" if cut["label"] else ""
    left_out = f"the first {duration(cut['warmup_s'])}, {count(cut['warmup_requests'])} requests"
    if not cut["warmup_requests"]:
        left_out = "none left out"
    line = f"{place}{', warm-up' if place else 'Warm-up'}: {left_out}"
    if not watched:
        return line
    before, after = number(cut["in_flight_before"]), number(cut["in_flight_after"])
    return f"{line} · then {cut['state']}, in flight {before} to {after}"


def _beside(value: str, ends: str, *, wide: bool) -> str:
    """A value and its interval: beside each other, or one above the other."""
    if ends == UNKNOWN:
        return value
    return f"{value} {ends}" if wide else f"{value}\n{ends}"


def _unknown_note(rows: Iterable[Sequence[str]]) -> str:
    if not any(UNKNOWN in row for row in rows):
        return ""
    return f"{UNKNOWN}: falls on requests without a good answer, or nothing was measured."
