"""Several runs of two services at the same load: their verdicts, and before against after."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import ConsoleRenderable, Group
from rich.text import Text

from slokit.report import markdown, terminal
from slokit.report.cells import Table, comparison
from slokit.report.format import count, milliseconds, rate, verdict_word

Documents = Mapping[tuple[str, str], Mapping[str, Any]]  # (profile, scenario) -> run document


def render_terminal(documents: Documents, change: Mapping[str, Any]) -> ConsoleRenderable:
    """Verdicts, then the before/after table."""
    tables = [terminal.table(verdicts(documents))]
    if change["classes"]:
        tables += [Text(), terminal.table(comparison(change, wide=False))]
    return Group(*tables)


def render_markdown(
    title: str, setting: Sequence[str], documents: Documents, change: Mapping[str, Any], chart: str
) -> str:
    """The same as a Markdown page; `chart` is the file name of the picture beside it."""
    parts = [f"# {markdown.escape(title)}\n", markdown.bullets(setting)]
    parts.append(markdown.table(verdicts(documents)))
    if change["classes"]:
        parts.append(markdown.table(comparison(change, wide=True)))
        parts.append(f"![Share of requests answered within a time, before and after]({chart})\n")
    runs = [f"{doc['run_id']}: {_first_reason(doc)}" for doc in documents.values()]
    parts.append("## Runs\n\n" + markdown.bullets(runs))
    return "\n".join(parts)


def verdicts(documents: Documents) -> Table:
    """One row a run: what was offered and what came of it."""
    rows = [
        (
            profile,
            scenario,
            rate(document["environment"]["rate_rps"]),
            count(document["summary"].get("all", {}).get("count", 0)),
            milliseconds(document["summary"].get("all", {}).get("latency_s", {}).get("p95")),
            verdict_word(document["verdict"]),
        )
        for (profile, scenario), document in documents.items()
    ]
    return Table(
        "Verdicts",
        ("Profile", "Class", "Offered", "Judged", "P95, ms", "Verdict"),
        tuple(rows),
        words=(0, 1, 5),
        note="",
    )


def _first_reason(document: Mapping[str, Any]) -> str:
    word = verdict_word(document["verdict"])
    return f"{word}. {'; '.join(document['reasons'][:2]) or 'Every objective holds.'}"
