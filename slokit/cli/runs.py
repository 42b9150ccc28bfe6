"""`slokit runs list|show`: what is in the store."""

from typing import TYPE_CHECKING, Any, Final

import click

from slokit.cli._emit import people, print_json
from slokit.conventions import SCHEMA_VERSION, VERDICT_FILE
from slokit.errors import StoreError, UsageError

if TYPE_CHECKING:
    from slokit.runs.store import Run

KEYS: Final = frozenset({"verdict", "objectives", "summary", "reasons", "environment", "paths"})
_STORE = click.option(
    "--runs", metavar="DIR", help="The run store [default: $SLOKIT_RUNS or ./runs]."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")


@click.group(epilog="\b\nExamples:\n  slokit runs list\n  slokit runs show latest")
def command() -> None:
    """List stored runs, or show one."""


@command.command("list", epilog="\b\nExample:\n  slokit runs list --json")
@_STORE
@_JSON
def list_runs(*, runs: str | None, as_json: bool) -> None:
    """Every run, oldest first."""
    from slokit.report.format import duration, verdict_word
    from slokit.report.terminal import render_list
    from slokit.runs.store import RunStore

    store = RunStore.locate(runs)
    found = [_row(run) for run in store.runs()]
    if as_json:
        print_json({"runs": found})
        return
    rows = [
        (
            row["run_id"],
            verdict_word(row["verdict"]) if row["verdict"] else row["status"],
            duration(row["p95_s"]),
            str(row["requests"]),
            row["target"],
        )
        for row in found
    ]
    empty = f"no runs in {store.root} yet; `slokit run short --host URL` makes one"
    head = ("run", "verdict", "P95", "requests", "target")
    people().print(render_list(f"Runs in {store.root}", head, rows, empty=empty))


@command.command("show", epilog="\b\nExample:\n  slokit runs show latest")
@click.argument("run")
@_STORE
@_JSON
def show_run(*, run: str, runs: str | None, as_json: bool) -> None:
    """The verdict of RUN: an id, the start or end of one, a path, or `latest`."""
    from slokit.cli.run import show
    from slokit.runs.store import RunStore

    document = stored_document(RunStore.locate(runs).find(run))
    if as_json:
        print_json(document)
    else:
        show(document, as_json=False, quiet=False)


def stored_document(run: "Run") -> dict[str, Any]:
    """The verdict document of a stored run.

    Raises UsageError while there is none, StoreError when it is damaged.
    """
    document = run.verdict()
    if document is None:
        raise UsageError(
            f"run {run.run_id} has no verdict ({run.manifest.get('status')}); "
            f'its samples can still be judged: slokit judge {run.run_id} --slo "p95 <= 150ms"'
        )
    if document.get("schema") != SCHEMA_VERSION or not document.keys() >= KEYS:
        raise StoreError(f"{run.folder / VERDICT_FILE} is no verdict of schema {SCHEMA_VERSION}")
    return document


def _row(run: "Run") -> dict[str, Any]:
    document = run.verdict() or {}
    summary = document.get("summary", {}).get("all", {})
    return {
        "run_id": run.run_id,
        "scenario": run.manifest.get("scenario"),
        "status": run.manifest.get("status"),
        "verdict": document.get("verdict"),
        "exit_code": document.get("exit_code"),
        "p95_s": summary.get("latency_s", {}).get("p95"),
        "requests": summary.get("count", 0),
        "target": run.manifest.get("target", {}).get("url"),
        "started_at": run.manifest.get("started_at"),
        "labels": run.manifest.get("labels", {}),
    }
