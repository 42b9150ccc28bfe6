"""What a command prints, and where: results to stdout, progress and remarks to stderr.

With `--json` stdout carries the document alone and everything for people goes to stderr.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from slokit.errors import UsageError

REPORT_FORMATS: Final = (".md", ".json", ".xml")


def people(*, as_json: bool = False, quiet: bool = False) -> Console:
    """The console for results; stderr when stdout belongs to JSON, silent when asked."""
    return Console(stderr=as_json, quiet=quiet, highlight=False)


def progress(*, quiet: bool = False) -> Console:
    """The console for what is going on."""
    return Console(stderr=True, quiet=quiet, highlight=False)


def print_json(document: Mapping[str, Any], *, line: bool = False) -> None:
    """One JSON document on stdout; `line` for one of several."""
    text = json.dumps(document, allow_nan=False, indent=None if line else 2)
    click.echo(text)


def check_reports(paths: Iterable[str], flag: str = "--report") -> None:
    """Refuse a report whose format its suffix does not tell, before any load is sent."""
    for path in paths:
        if Path(path).suffix not in REPORT_FORMATS:
            allowed = ", ".join(REPORT_FORMATS)
            raise UsageError(f"{flag} {path}: the suffix names the format, one of {allowed}")
        folder = Path(path).parent
        if not folder.is_dir():
            raise UsageError(f"{flag} {path}: there is no folder {folder}")


def write_reports(
    document: Mapping[str, Any], paths: Iterable[str], *, on_inconclusive: str
) -> None:
    """Render the document into each path, by suffix."""
    for path in paths:
        from slokit.runs.store import write_text

        write_text(Path(path), render(document, Path(path).suffix, on_inconclusive))


def render(document: Mapping[str, Any], suffix: str, on_inconclusive: str = "fail") -> str:
    """A run's document as Markdown, JUnit XML or JSON."""
    from slokit.report import junit, markdown
    from slokit.report.document import to_json

    if suffix == ".md":
        return markdown.render_run(document)
    if suffix == ".xml":
        return junit.render_run(document, on_inconclusive)
    return to_json(document) + "\n"
