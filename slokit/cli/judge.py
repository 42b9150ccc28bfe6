"""`slokit judge`: any SLO on samples that exist."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from slokit.cli._emit import people, print_json
from slokit.cli._options import warmup_seconds
from slokit.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from slokit.judging import Finding, Terms

SHARD_SUFFIXES: Final = (".parquet", ".arrows")


@click.command(
    epilog="""\b
Examples:
  slokit judge latest --slo "p99 <= 200ms"
  slokit judge requests.csv --slo "good(150ms) >= 98.7%"
CSV has the header due_s,sent_s,end_s,status[,text_class]; times in seconds.
"""
)
@click.argument("sources", nargs=-1, required=True, metavar="FILE|RUN...")
@click.option(
    "--slo",
    multiple=True,
    required=True,
    metavar="EXPR",
    help='An objective: "p95 <= 150ms"; repeatable.',
)
@click.option("--warmup", metavar="TIME", help="Cut this much at the start [default: nothing].")
@click.option("--baseline", metavar="RUN", help="The stored run that relative objectives mean.")
@click.option(
    "--on-inconclusive",
    type=click.Choice(["fail", "warn"]),
    default="fail",
    show_default=True,
    help="Exit 3, or 0 with a warning, without enough evidence.",
)
@click.option("--runs", metavar="DIR", help="The run store [default: $SLOKIT_RUNS or ./runs].")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON a source on stdout.")
def command(
    *,
    sources: tuple[str, ...],
    slo: tuple[str, ...],
    warmup: str | None,
    baseline: str | None,
    on_inconclusive: Literal["fail", "warn"],
    runs: str | None,
    as_json: bool,
) -> None:
    """Judge stored runs, shards of samples, or CSV of any tool, with any SLO."""
    from slokit.core.verdict import worst
    from slokit.judging import Terms
    from slokit.report.terminal import render_run
    from slokit.runs.store import RunStore

    store = RunStore.locate(runs)
    terms = Terms.read(
        slo,
        warmup_s=warmup_seconds(warmup) or 0.0,
        on_inconclusive=on_inconclusive,
        baseline=store.find(baseline).samples() if baseline else None,
    )
    codes = []
    for source in sources:
        document = judged(source, terms, runs)
        codes.append(ExitCode(document["exit_code"]))
        if as_json:
            print_json(document, line=True)
        else:
            people().print(render_run(document))
    sys.exit(worst(codes))


def judged(source: str, terms: "Terms", runs: str | None) -> dict[str, Any]:
    """The document of one source: a file by its suffix, else a run of the store."""
    from slokit.judging import document_of, weigh_run
    from slokit.runs.columns import read_csv, to_samples
    from slokit.runs.journal import read_shard
    from slokit.runs.store import RunStore

    path = Path(source)
    if path.suffix == ".csv":
        return _file_document(path, _weigh_file(read_csv(path), terms))
    if path.suffix in SHARD_SUFFIXES:
        return _file_document(path, _weigh_file(to_samples(read_shard(path)), terms))
    if path.is_file():
        raise UsageError(f"{source}: a file to judge is a .csv, .parquet or .arrows")
    run = RunStore.locate(runs).find(source)
    return document_of(run, weigh_run(run, terms))


def _weigh_file(samples: Any, terms: "Terms") -> "Finding":
    from slokit.judging import lone_load, weigh

    return weigh(samples, lone_load(samples), terms)


def _file_document(path: Path, finding: "Finding") -> dict[str, Any]:
    from slokit.report.document import build_document

    return build_document(
        {"run_id": path.name, "scenario": path.stem, "loop": "open"},
        finding.judgement,
        finding.summaries,
        exit_code=finding.exit_code,
        paths={"samples": str(path)},
        reasons=finding.reasons,
    )
