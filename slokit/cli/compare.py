"""`slokit compare`: two stored runs, before and after."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from slokit.cli._emit import people, print_json
from slokit.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from slokit.runs.store import Run

# What must be alike for the difference to be the service's.
WORKLOAD: Final = (
    "loop",
    "arrivals",
    "rate_rps",
    "duration_s",
    "stages",
    "batch",
    "mix",
    "repeat_ratio",
)


@click.command(
    epilog="""\b
Examples:
  slokit compare 20261120T101500Z-short-1a2b latest
  slokit compare runs/before runs/after --report change.md
"""
)
@click.argument("base")
@click.argument("candidate")
@click.option("--runs", metavar="DIR", help="The run store [default: $SLOKIT_RUNS or ./runs].")
@click.option("--report", metavar="PATH", help="Write the comparison as Markdown (.md).")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON on stdout.")
def command(
    *, base: str, candidate: str, runs: str | None, report: str | None, as_json: bool
) -> None:
    """Compare CANDIDATE with BASE: P50, P95 and P99 of each text class, with intervals.

    By block bootstrap, which is weak evidence: two runs at different times differ by more
    than their samples tell. Exit 1 when something regressed, 3 when nothing is certain.
    """
    from slokit.report.markdown import render_comparison as to_markdown
    from slokit.report.terminal import render_comparison
    from slokit.runs.store import RunStore, write_text

    if report and Path(report).suffix != ".md":
        raise UsageError(f"--report {report}: a comparison is written as Markdown (.md)")
    store = RunStore.locate(runs)
    document = comparison(store.find(base), store.find(candidate))
    if report:
        write_text(Path(report), to_markdown(document))
    if as_json:
        print_json(document)
    people(as_json=as_json).print(render_comparison(document))
    sys.exit(exit_code(document))


def comparison(base: "Run", candidate: "Run") -> dict[str, Any]:
    """The document of two runs; what differs in their workloads stands in `warnings`."""
    from slokit.core.comparison import compare
    from slokit.judging import Terms, weigh_run
    from slokit.report.document import build_comparison
    from slokit.runs.journal import sample_files

    loops = [run.manifest["load"]["loop"] for run in (base, candidate)]
    if loops[0] != loops[1]:
        raise UsageError(f"an open loop cannot be compared with a closed one: got {loops}")
    kept = []
    for run in (base, candidate):
        samples = run.samples() if sample_files(run.folder) else None
        if samples is None or not len(samples):
            raise UsageError(f"run {run.run_id} holds no samples to compare")
        finding = weigh_run(run, Terms((), warmup_s=run.manifest.get("warmup_s")))
        kept.append(finding.judgement.samples(samples))
    try:
        found = compare(*kept)
    except ValueError as error:
        raise UsageError(
            f"cannot compare {base.run_id} with {candidate.run_id}: {error}"
        ) from error
    document = build_comparison(base.run_id, candidate.run_id, found)
    document["warnings"] = differences(base, candidate)
    return document


def differences(base: "Run", candidate: "Run") -> list[str]:
    """How two runs' workloads differ, one line each; none when they are alike."""
    told = []
    for key in WORKLOAD:
        before, after = (run.manifest["load"].get(key) for run in (base, candidate))
        if before != after:
            told.append(f"the workloads differ in {key}: {before} before, {after} after")
    return told


def exit_code(document: dict[str, Any]) -> ExitCode:
    """1 when anything regressed, 3 when anything stays open, else 0."""
    verdicts = {
        change["verdict"] for metrics in document["classes"].values() for change in metrics.values()
    }
    if "regressed" in verdicts:
        return ExitCode.FAIL
    return ExitCode.INCONCLUSIVE if "inconclusive" in verdicts else ExitCode.PASS
