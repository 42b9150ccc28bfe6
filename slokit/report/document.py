"""The JSON document of a run: `verdict.json`, and what `--json` prints.

Built once, from what was judged; every renderer takes it as a plain mapping. Times are
unrounded seconds, shares are ratios 0-1, and what is not known is null, never NaN.
`schema/run.schema.json` and `schema/compare.schema.json` hold both documents.
"""

import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from slokit.conventions import SCHEMA_VERSION
from slokit.core.objective import Metric, parse_objective
from slokit.errors import ExitCode
from slokit.report.environment import environment
from slokit.report.format import clean

if TYPE_CHECKING:
    from slokit.core.comparison import Change, Comparison
    from slokit.core.judgement import Judgement, ObjectiveResult, StageCut
    from slokit.core.summary import ClassSummary

_UNITS: Final = {
    Metric.LATENCY: "s",
    Metric.GOOD: "ratio",
    Metric.ERRORS: "ratio",
    Metric.RPS: "rps",
    Metric.RELATIVE: "baseline",
}

Document = dict[str, Any]

QUANTILES: Final = ("p50", "p90", "p95", "p99", "p999", "mean", "max")
NO_VERDICT_CODES: Final = frozenset(
    {ExitCode.USAGE, ExitCode.TARGET, ExitCode.INTERNAL, ExitCode.STORE}
)
TEXT_LIMIT: Final = 20_000  # a reason may quote a service's answer; nobody reads more


def build_document(
    manifest: Mapping[str, Any],
    judgement: "Judgement | None",
    summaries: "Mapping[str, ClassSummary]",
    *,
    exit_code: int,
    paths: Mapping[str, str],
    reasons: Sequence[str] = (),
) -> Document:
    """Put a run into one document.

    `judgement` is None when nothing could be judged; `reasons` then says why (an error's
    message), otherwise they come before the judgement's own. The verdict is null for the
    exit codes 2, 5, 70 and 74: what was measured cannot speak for the service.
    """
    judged = judgement is not None and exit_code not in NO_VERDICT_CODES
    document: Document = jsonable(
        {
            "schema": SCHEMA_VERSION,
            "run_id": manifest.get("run_id"),
            "scenario": manifest.get("scenario"),
            "loop": manifest.get("loop"),
            "verdict": judgement.verdict if judgement and judged else None,
            "exit_code": int(exit_code),
            "reasons": [*reasons, *(judgement.reasons if judgement else ())],
            "warnings": list(judgement.warnings) if judgement else [],
            "objectives": [_objective(result) for result in judgement.objectives]
            if judgement
            else [],
            "summary": {name: _summary(summary) for name, summary in summaries.items()},
            "generator": _generator(judgement) if judgement else None,
            "cuts": [_cut(cut) for cut in judgement.cuts] if judgement else [],
            "environment": environment(manifest),
            "paths": dict(paths),
        }
    )
    return document


def build_comparison(base_id: str, candidate_id: str, comparison: "Comparison") -> Document:
    """Put the comparison of two runs into one document; the change is candidate / base - 1."""
    document: Document = jsonable(
        {
            "schema": SCHEMA_VERSION,
            "base": base_id,
            "candidate": candidate_id,
            "method": comparison.method,
            "classes": {
                name: {metric: _change(result) for metric, result in metrics.items()}
                for name, metrics in comparison.classes.items()
            },
        }
    )
    return document


def to_json(document: Mapping[str, Any], *, indent: int | None = 2) -> str:
    """The document as JSON text in ASCII, so that no terminal or pipe can break it.

    `indent=None` gives one line. Raises ValueError for NaN and infinity: neither is JSON.
    """
    return json.dumps(document, indent=indent, allow_nan=False)


def read_schema(name: str) -> Document:
    """The JSON Schema (draft 2020-12) of the `run` or the `compare` document."""
    source = files("slokit.report") / "schema" / f"{name}.schema.json"
    schema: Document = json.loads(source.read_text(encoding="utf-8"))
    return schema


def jsonable(value: Any) -> Any:
    """Plain JSON values: tuples become lists, NumPy scalars numbers, NaN and infinity null.

    A quantile that falls on failed requests is infinite; in a document it is null.

    >>> jsonable({"ends": (0.5, float("inf")), "n": 3})
    {'ends': [0.5, None], 'n': 3}
    """
    if isinstance(value, Mapping):
        return {clean(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if hasattr(value, "item"):  # a NumPy scalar
        value = value.item()
    if isinstance(value, str):
        return clean(value, TEXT_LIMIT)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    raise TypeError(f"no place in a JSON document for {type(value).__name__}")


def _objective(result: "ObjectiveResult") -> Document:
    return {
        "expr": result.expr,
        "class": result.text_class,
        "stage": result.stage,
        "verdict": result.verdict,
        "value": result.value,
        "unit": _unit(result.expr),
        "ci": result.ci,
        "bad": result.bad,
        "total": result.total,
        "n_eff": result.n_eff,
        "confidence": result.confidence,
        "more_requests": result.more_requests,
        "reason": result.reason,
    }


def _unit(expr: str) -> str:
    """What an objective's value is: seconds, a ratio 0-1, requests a second, times baseline."""
    return _UNITS[parse_objective(expr).metric]


def _summary(summary: "ClassSummary") -> Document:
    return {
        "count": summary.count,
        "errors": summary.errors,
        "dropped": summary.dropped,
        "rps": summary.rps,
        **{
            clock: {name: getattr(getattr(summary, clock), name) for name in QUANTILES}
            for clock in ("latency_s", "service_s", "lag_s")
        },
        "ratios": {"p99_p50": summary.p99_to_p50, "p999_p50": summary.p999_to_p50},
    }


def _generator(judgement: "Judgement") -> Document:
    generator = judgement.generator
    return {
        "valid": generator.valid,
        "scheduled": generator.scheduled,
        "sent": generator.sent,
        "lag_p99_s": generator.lag_p99_s,
        "cpu_ratio": generator.cpu_ratio,
        "dropped": generator.dropped,
    }


def _cut(cut: "StageCut") -> Document:
    return {
        "stage": cut.stage,
        "label": cut.label,
        "warmup_s": cut.warmup_s,
        "warmup_requests": cut.warmup_requests,
        "state": cut.state,
        "in_flight_before": cut.in_flight_before,
        "in_flight_after": cut.in_flight_after,
    }


def _change(result: "Change") -> Document:
    return {
        "base": result.base,
        "candidate": result.candidate,
        "base_ci": result.base_ci,
        "candidate_ci": result.candidate_ci,
        "change_ratio": result.change_ratio,
        "ci": result.ci,
        "verdict": result.verdict,
    }
