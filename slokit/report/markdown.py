"""The document as GitHub-flavoured Markdown, for a pull request or a ticket.

Everything from outside (names, messages, a service's own words) is escaped or stands in a
code span: it can neither break a table, nor become a link, a mention or HTML.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

from slokit.report import cells
from slokit.report.format import clean, count, verdict_word

MAX_BYTES: Final = 60_000  # GitHub takes comments of 65 536 characters
MAX_ROWS: Final = 100
MAX_LIST_BYTES: Final = 12_000

_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", "@": "&#64;", "$": "&#36;"}
_SPECIAL = re.compile(  # `p95 <= 150ms [short]` needs nothing, `<b>` and `[x](y)` do
    r"[\\`*~|$]|(?<![^\W_])_|_(?![^\W_])|\](?=[\[(:])|!(?=\[)|<(?=[\w/!?])|&(?=[\w#])|@(?=\w)"
)
_BLOCK_START = re.compile(r"(?=[#+=>-])|\d+(?=[.)](\s|$))")
_TICKS = re.compile(r"`+")


def render_run(document: Mapping[str, Any]) -> str:
    """A run: verdict and reasons, objectives, classes, evidence, environment, how to repeat it.

    At most 60 kB; what does not fit is left out from the end, and said.
    """
    sections = [("the verdict", _verdict(document))]
    if document["objectives"]:
        sections.append(("objectives", table(cells.objectives(document, wide=True))))
    if document["summary"]:
        sections.append(("latencies", table(cells.latencies(document))))
        sections.append(("tails", table(cells.tails(document))))
    evidence = [*cells.cut_lines(document), cells.generator_line(document)]
    sections.append(("evidence", _heading("Evidence") + bullets(evidence)))
    sections.append(("the environment", _environment(document)))
    if command := document["environment"].get("command"):
        sections.append(("the command", _heading("Repeat it") + fenced(command, "sh")))
    return _fit(sections)


def render_comparison(document: Mapping[str, Any]) -> str:
    """Before and after of two runs, a row a class and quantile."""
    head = f"Base {code(document['base'])}, candidate {code(document['candidate'])}.\n"
    if warnings := cells.warning_lines(document):
        head += "\n" + bullets(warnings, "**Warning:** ")
    content = cells.comparison(document, wide=True)
    if not content.rows:
        return f"{head}\nThe two runs have no text class in common.\n"
    return _fit([("the runs", head), ("the comparison", table(content))])


def table(content: cells.Table) -> str:
    """One table with its title; at most 100 rows, and said how many are left out."""
    sides = [":--" if i in content.words else "--:" for i in range(len(content.head))]
    lines = [
        _row(escape, content.head),
        f"|{'|'.join(sides)}|",
        *(_row(escape, row) for row in content.rows[:MAX_ROWS]),
    ]
    left_out = len(content.rows) - MAX_ROWS
    notes = [escape(content.note)] if content.note else []
    notes += [f"{count(left_out)} more rows are left out."] if left_out > 0 else []
    return _heading(content.title) + "\n".join(lines) + "\n" + "".join(f"\n{n}\n" for n in notes)


def bullets(lines: Sequence[str], mark: str = "") -> str:
    """A list of lines from outside, at most 12 kB, and said how many are left out."""
    items = [f"- {mark}{_paragraph(line)}\n" for line in lines]
    sizes = accumulate(len(item.encode()) for item in items)
    kept = sum(size <= MAX_LIST_BYTES for size in sizes)
    left_out = len(items) - kept
    more = f"- {count(left_out)} more are left out\n" if left_out else ""
    return "".join(items[:kept]) + more


def escape(text: str) -> str:
    r"""Text that reads as itself and means nothing to Markdown or HTML; one line.

    >>> escape("a|b <script> *x* [y](http://z) @me, p95 <= 1s")
    'a\\|b &lt;script> \\*x\\* [y\\](http://z) &#64;me, p95 <= 1s'
    """
    return _SPECIAL.sub(lambda m: _ENTITIES.get(m[0], f"\\{m[0]}"), clean(text))


def code(text: object) -> str:
    r"""A code span that holds the text whatever backticks and pipes it has.

    >>> code("a`b|c")
    '`` a`b\\|c ``'
    """
    shown = clean(text).replace("|", "\\|")
    if "`" not in shown:
        return f"`{shown or ' '}`"
    ticks = "`" * (max(map(len, _TICKS.findall(shown))) + 1)
    return f"{ticks} {shown} {ticks}"


def fenced(text: str, language: str = "") -> str:
    """A block of code that no backticks in the text can end."""
    longest = max((len(run) for run in _TICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{clean(text)}\n{fence}\n"


def _verdict(document: Mapping[str, Any]) -> str:
    word = verdict_word(document["verdict"])
    names = [code(document[key]) for key in ("scenario", "run_id") if document[key] is not None]
    if document["loop"] is not None:
        names.append(f"{document['loop']} loop")
    facts = " · ".join([*names, f"exit code {document['exit_code']}"])
    subject = cells.subject_line(document)
    return (
        f"## slokit: {word}\n\n{facts}\n\n"
        + bullets(cells.reason_lines(document))
        + bullets(cells.warning_lines(document), "**Warning:** ")
        + (f"\n{_paragraph(subject)}\n" if subject else "")
    )


def _environment(document: Mapping[str, Any]) -> str:
    rows = cells.environment_rows(document)
    rows += [(f"path: {name}", path) for name, path in document["paths"].items()]
    if not rows:
        return ""
    lines = [_row(str, ("What", "Value")), "|:--|:--|"]
    lines += [f"| {escape(name)} | {code(value)} |" for name, value in rows[:MAX_ROWS]]
    return _heading("Environment") + "\n".join(lines) + "\n"


def _row(show: Callable[[str], str], texts: Iterable[str]) -> str:
    shown = ("<br>".join(show(part) for part in text.split("\n")) for text in texts)
    return f"| {' | '.join(shown)} |"


def _paragraph(text: str) -> str:
    """Escaped text at the start of a line, where `# 1` would be a heading."""
    quiet = escape(text)
    match = _BLOCK_START.match(quiet)
    return quiet if match is None else f"{quiet[: match.end()]}\\{quiet[match.end() :]}"


def _heading(title: str) -> str:
    return f"### {escape(title)}\n\n"


def _fit(sections: Sequence[tuple[str, str]]) -> str:
    """Sections in order as long as they fit; those that do not are named."""
    kept, left_out, size = [], [], 0
    for name, text in sections:
        size_of_text = len(text.encode()) + 1
        if size + size_of_text > MAX_BYTES - 500:
            left_out.append(name)
        elif text:
            kept.append(text)
            size += size_of_text
    if left_out:
        kept.append(f"Left out, as this report ends at 60 kB: {', '.join(left_out)}.\n")
    return "\n".join(kept)
