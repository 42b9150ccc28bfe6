"""`slokit report`: a stored run, rendered again."""

import sys
from pathlib import Path

import click

from slokit.cli._emit import check_reports, render, write_reports
from slokit.cli.runs import stored_document


@click.command(
    epilog="""\b
Examples:
  slokit report latest                       Markdown on stdout
  slokit report latest --to junit.xml --to report.md
"""
)
@click.argument("run")
@click.option(
    "--to", "paths", multiple=True, metavar="PATH", help="Write to a file: .md, .json or .xml."
)
@click.option("--runs", metavar="DIR", help="The run store [default: $SLOKIT_RUNS or ./runs].")
def command(*, run: str, paths: tuple[str, ...], runs: str | None) -> None:
    """Render RUN again: an id, the start or end of one, a path, or `latest`."""
    from slokit.runs.store import RunStore

    check_reports(paths, "--to")
    document = stored_document(RunStore.locate(runs).find(run))
    write_reports(document, paths, on_inconclusive="fail")
    for path in paths:
        click.echo(f"wrote {Path(path)}", err=True)
    if not paths:
        sys.stdout.write(render(document, ".md"))
