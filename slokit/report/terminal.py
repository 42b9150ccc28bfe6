"""The document for people at a terminal, 80 columns and up; also readable without colour.

Everything from outside is shown as plain text, never as markup. Lines and colour are the
console's business: one that is no terminal gets the same words without them.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, ConsoleRenderable, Group, RenderResult
from rich.panel import Panel
from rich.table import Table as RichTable
from rich.text import Text

from slokit.report import cells
from slokit.report.format import clean, verdict_word

_STYLES: Final = {
    "PASS": "bold green",
    "IMPROVED": "bold green",
    "FAIL": "bold red",
    "REGRESSED": "bold red",
    "INVALID": "bold magenta",
    "INCONCLUSIVE": "bold yellow",
    "EQUIVALENT": "bold",
    "NO": "bold red",
}

_GAP = 2  # columns between two columns


def render_run(document: Mapping[str, Any]) -> ConsoleRenderable:
    """Verdict and reasons first, then objectives, classes, tail and generator."""
    parts: list[ConsoleRenderable] = [_verdict(document)]
    if subject := cells.subject_line(document):
        parts += [Text(), Text(subject, overflow="fold")]
    if document["objectives"]:
        parts += [Text(), table(cells.objectives(document, wide=False))]
    if document["summary"]:
        parts += [Text(), table(cells.latencies(document))]
        parts += [Text(), table(cells.tails(document))]
    lines = [*cells.cut_lines(document), cells.generator_line(document)]
    lines += [f"{name}: {clean(path, 400)}" for name, path in document["paths"].items()]
    return Group(*parts, Text(), *(_Line(line) for line in lines))


def render_comparison(document: Mapping[str, Any]) -> ConsoleRenderable:
    """Before and after, a row a class and quantile."""
    base, candidate = (clean(document[side], 200) for side in ("base", "candidate"))
    names = Text(f"base       {base}\ncandidate  {candidate}", overflow="fold")
    head = (names, *_warnings(document), Text())
    if not document["classes"]:
        return Group(*head, Text("The two runs have no text class in common."))
    return Group(*head, table(cells.comparison(document, wide=False)))


def render_list(
    title: str, head: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str
) -> ConsoleRenderable:
    """A plain list, of runs or scenarios; `empty` is said when there is nothing to list.

    Verdict words (`PASS ✓`) in a cell take their colour.
    """
    if not rows:
        return Text(empty)
    texts = tuple(tuple(clean(cell, 200) for cell in row) for row in rows)
    content = cells.Table(title, tuple(head), texts, words=tuple(range(len(head))))
    return table(content, whole=(0,))


def table(content: cells.Table, *, whole: tuple[int, ...] = ()) -> ConsoleRenderable:
    """Lay out one table: words to the left, numbers to the right, no rules to draw.

    Numbers and the `whole` columns (names to be copied) are never broken over lines.
    """
    lines = RichTable(
        box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold underline"
    )
    for index, name in enumerate(content.head):
        words = index in content.words
        lines.add_column(
            Text(name),
            justify="left" if words else "right",
            overflow="fold",
            no_wrap=not words or index in whole,
        )
    for row in content.rows:
        lines.add_row(*(_cell(text) for text in row))
    note = [Text(content.note, style="dim")] if content.note else []
    return Group(Text(content.title, style="bold"), _Fitting(lines, content), *note)


class _Fitting:
    """A table where it fits; where it would lose digits, each row as lines of its own."""

    def __init__(self, lines: RichTable, content: cells.Table) -> None:
        self._lines, self._content = lines, content

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._least_width() <= options.max_width:
            yield self._lines
            return
        head = self._content.head
        for row in self._content.rows:
            yield Text(row[0], style="bold", overflow="fold")
            for name, text in zip(head[1:], row[1:], strict=True):
                yield Text(f"  {name}: {text}".replace("\n", " "), overflow="fold")

    def _least_width(self) -> int:
        """Columns in which nothing would be cut: whole lines of numbers, whole words of text."""
        width = 0
        texts = zip(self._content.head, *self._content.rows, strict=True)
        for column, column_texts in zip(self._lines.columns, texts, strict=True):
            split = str.splitlines if column.no_wrap else str.split
            pieces = [piece for cell in column_texts for piece in split(cell)]
            width += max(map(cell_len, pieces), default=0) + _GAP
        return width - _GAP


def _verdict(document: Mapping[str, Any]) -> ConsoleRenderable:
    word = verdict_word(document["verdict"])
    head = Text.assemble((word, _STYLES[word.split()[0]]), f"   exit code {document['exit_code']}")
    lines: list[ConsoleRenderable] = [_Line(f"· {text}") for text in cells.reason_lines(document)]
    lines += [
        Text(f"! {line}", style="yellow", overflow="fold") for line in cells.warning_lines(document)
    ]
    title = " · ".join(
        clean(document[key], 60) for key in ("scenario", "run_id") if document[key] is not None
    )
    if document["loop"] is not None:
        title = f"{title} · {document['loop']} loop"
    return _Framed(title, Group(head, *lines))


class _Framed:
    """A panel on a terminal, the same lines without a frame elsewhere."""

    def __init__(self, title: str, content: Group) -> None:
        self._title, self._content = title, content

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if console.is_terminal:
            yield Panel(self._content, title=Text(self._title), title_align="left", expand=True)
        else:
            yield Text(self._title, style="bold")
            yield self._content


def _warnings(document: Mapping[str, Any]) -> list[ConsoleRenderable]:
    return [_Line(f"! {text}", "yellow") for text in cells.warning_lines(document)]


class _Line:
    """A sentence, broken where a reader would: not inside `1 200` nor before `%`."""

    def __init__(self, text: str, style: str = "") -> None:
        self._text, self._style = text, style

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        text = self._text.replace(" %", "\u00a0%")
        if cell_len(text) == len(text):  # wide characters are left to rich
            lines = textwrap.wrap(text, options.max_width, break_on_hyphens=False)
            text = "\n".join(lines)
        yield Text(text.replace("\u00a0", " "), self._style, overflow="fold")


def _cell(text: str) -> Text:
    return Text(text, style=_STYLES.get(text.partition(" ")[0], ""))
