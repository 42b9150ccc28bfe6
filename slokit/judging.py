"""From a stored run to its verdict: one way, whether the run just ended or is a year old."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq

from slokit.conventions import SERIES_FILE
from slokit.core.judgement import Judgement, Load, Stage
from slokit.core.objective import Metric, Objective, parse_objective
from slokit.core.sample import Samples
from slokit.core.sequential import ONLY, Look
from slokit.core.summary import ClassSummary, summarise
from slokit.core.verdict import final_exit, judge
from slokit.errors import ExitCode, UsageError
from slokit.report.document import build_document
from slokit.runs.store import Run

OnInconclusive = Literal["fail", "warn"]


@dataclass(frozen=True)
class Terms:
    """What samples are judged against, and how."""

    objectives: tuple[Objective, ...]
    warmup_s: float | None = None  # None: cut automatically; 0: nothing
    on_inconclusive: OnInconclusive = "fail"
    baseline: Samples | None = None

    @classmethod
    def read(
        cls,
        expressions: Sequence[str],
        *,
        warmup_s: float | None = None,
        on_inconclusive: OnInconclusive = "fail",
        baseline: Samples | None = None,
    ) -> "Terms":
        """Parse the objectives. Raises UsageError for a relative one without a baseline."""
        objectives = tuple(parse_objective(text) for text in expressions)
        for objective in objectives:
            if objective.metric is Metric.RELATIVE and baseline is None:
                raise UsageError(f"{objective.expr!r} needs a run to compare with: --baseline RUN")
        return cls(objectives, warmup_s, on_inconclusive, baseline)


@dataclass(frozen=True)
class Finding:
    """A judgement with the summaries of the same requests and the exit code they end in."""

    judgement: Judgement
    summaries: Mapping[str, ClassSummary]
    exit_code: ExitCode
    reasons: tuple[str, ...] = ()  # why there is no verdict, where there is none


def weigh(
    samples: Samples,
    load: Load,
    terms: Terms,
    *,
    interrupted: ExitCode | None = None,
    look: Look = ONLY,
) -> Finding:
    """Judge samples and find the exit code. `interrupted` is 130 or 143 for a run cut short."""
    judgement = judge(
        samples,
        terms.objectives,
        load,
        warmup_s=terms.warmup_s,
        baseline=terms.baseline,
        look=look,
    )
    code = final_exit(
        judgement.verdict,
        holds_on_service=judgement.holds_on_service,
        interrupted=interrupted,
        all_broken=_all_broken(samples),
        on_inconclusive=terms.on_inconclusive,
    )
    counted = judgement.samples(samples)
    return Finding(judgement, summarise(counted, judgement.span_s), code, _broken(samples))


def _all_broken(samples: Samples) -> bool:
    return len(samples) > 0 and not samples.ok.any()


def _broken(samples: Samples) -> tuple[str, ...]:
    """The reason why nothing can be judged: no answer was good."""
    if not _all_broken(samples):
        return ()
    kinds = Counter(samples.outcome.tolist()).most_common()
    told = ", ".join(f"{kind} {n}" for kind, n in kinds)
    return (f"none of {len(samples)} requests got a good answer ({told})",)


def weigh_run(
    run: Run, terms: Terms, *, interrupted: ExitCode | None = None, look: Look | None = None
) -> Finding:
    """Judge a stored run with any SLO; its samples are cut as they were when it ran.

    A run that looked at itself to stop early is judged at the look that stopped it, with that
    look's share of the error, unless another `look` is given.
    """
    samples = run.samples()
    if look is None:
        look = last_look(run.manifest)
    return weigh(samples, offered(run, samples), terms, interrupted=interrupted, look=look)


def last_look(manifest: Mapping[str, Any]) -> Look:
    """The look that a run's verdict belongs to: the one that stopped it, else the last one."""
    plan = manifest.get("until_conclusive")
    if plan is None:
        return ONLY
    planned = len(plan["look_times_s"])
    if plan["stopped_at_s"] is None:
        return Look(planned, planned)
    return Look(plan["looks"][-1]["number"], planned, plan["stopped_at_s"])


def offered(run: Run, samples: Samples) -> Load:
    """What a stored run offered: from its manifest, its series and its samples."""
    load: Mapping[str, Any] = run.manifest["load"]
    scheduled, cpu_ratio = _series_facts(run.folder / SERIES_FILE)
    is_cut_short = run.manifest["status"] != "complete" and len(samples)
    stages = tuple(Stage(**stage) for stage in load["stages"])
    return Load(
        loop=load["loop"],
        rate_rps=load["rate_rps"],
        scheduled=max(scheduled, len(samples)),
        sent=int(np.isfinite(samples.sent_s).sum()),
        end_s=float(samples.due_s[-1] if is_cut_short else load["duration_s"]),
        stages=stages,
        cpu_ratio=cpu_ratio,
    )


def lone_load(samples: Samples) -> Load:
    """The load that samples of unknown origin tell by themselves: an open loop, one stage."""
    due = samples.due_s
    span_s = float(due[-1] - due[0]) if len(due) > 1 else 0.0
    return Load(
        loop="open",
        rate_rps=len(due) / span_s if span_s > 0 else None,
        scheduled=len(samples),
        sent=int(np.isfinite(samples.sent_s).sum()),
        end_s=float(due[-1]) if len(due) else 0.0,
    )


def _series_facts(path: Path) -> tuple[int, float | None]:
    """Requests scheduled by all load processes, and the busiest one's mean share of a core."""
    if not path.exists():
        return 0, None
    series = pq.read_table(path, columns=["scheduled", "cpu_ratio", "worker"])
    if not series.num_rows:
        return 0, None
    by_worker = series.group_by("worker").aggregate([("scheduled", "max"), ("cpu_ratio", "mean")])
    return (
        sum(by_worker["scheduled_max"].to_pylist()),
        max(by_worker["cpu_ratio_mean"].to_pylist()),
    )


def document_of(run: Run, finding: Finding) -> dict[str, Any]:
    """The run's JSON document: its manifest, what was noticed meanwhile and what was found."""
    document: dict[str, Any] = build_document(
        run.manifest,
        finding.judgement,
        finding.summaries,
        exit_code=finding.exit_code,
        paths={"run": str(run.folder)},
        reasons=finding.reasons,
    )
    document["warnings"] = [*run.manifest.get("warnings", ()), *document["warnings"]]
    if "until_conclusive" in run.manifest:
        look = finding.judgement.look
        told = {"number": look.number, "planned": look.planned, "alpha": look.alpha}
        document["until_conclusive"] = told | {
            "alpha_spent": look.spent,
            "looks": run.manifest["until_conclusive"]["looks"],
            "stopped_at_s": run.manifest["until_conclusive"]["stopped_at_s"],
        }
    return document
