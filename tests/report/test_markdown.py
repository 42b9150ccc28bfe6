"""Markdown, read back by a parser of its own (markdown-it), as GitHub would."""

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from slokit.report import markdown
from slokit.report.format import clean

PARSER = MarkdownIt("commonmark", {"html": True}).enable("table")


class Page(HTMLParser):
    """The cells, list items and headings of a rendered page, and every tag in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.rows: list[list[str]] = []
        self.items: list[str] = []
        self.headings: list[str] = []
        self._open: list[str] = []
        self.feed(PARSER.render(text))

    def handle_starttag(self, tag: str, _attributes: Any) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "li":
            self.items.append("")
        if tag.startswith("h") and tag != "hr":
            self.headings.append("")
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data
        elif "li" in self._open:
            self.items[-1] += data
        elif {"h2", "h3"} & set(self._open):
            self.headings[-1] += data


OUR_TAGS = {
    "h2", "h3", "p", "code", "strong", "ul", "li", "pre", "br",
    "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip


def test_a_run_reads_from_verdict_to_command(run_document) -> None:
    text = markdown.render_run(run_document())
    page = Page(text)
    assert page.headings == [
        "slokit: FAIL ✗",
        "Objectives",
        "Latency in ms, from the moment a request was due",
        "Service time and lag in ms, and the tail",
        "Evidence",
        "Environment",
        "Repeat it",
    ]
    assert page.items[:2] == [
        "P95 182 ms is above 150 ms: 143 of 1 200 requests (11.9 %) were slower",
        "Warning: lag P99 4.2 ms is above 2 % of the limit",
    ]
    rows = [[cell.replace("\u202f", "") for cell in row] for row in page.rows]
    assert rows[0] == ["Verdict", "Objective", "Measured95 % bounds", "Bad/total", "n_eff", "More"]
    assert rows[1:5] == [
        ["PASS ✓", "p95 <= 150ms [short]", "95.2 ms [90.1, 99.3] ms", "12/1500", "612", "–"],
        [
            "INCONCLUSIVE ?",
            "p95 <= 150ms [medium]",
            "142 ms [130, –] ms",
            "65/1500",
            "612",
            "~2400",
        ],
        ["FAIL ✗", "p95 <= 150ms [long]", "182 ms [171, 199] ms", "143/1200", "612", "–"],
        ["PASS ✓", "errors[all] <= 0.2%", "0.04 % [0, 0.19] %", "2/4200", "612", "–"],
    ]
    assert ["short", "1500", "3", "0", "38.2", "42.1", "42.1", "95.2", "142", "–"] in rows
    assert ["long", "93.2", "140", "2.10", "3.38x", "–"] in rows
    assert ["model", "gte-base-zh"] in rows
    assert ["label branch", "main"] in rows
    assert "git commit" not in {row[0] for row in rows}  # not known: not said
    assert text.endswith("```sh\nslokit run mixed --rate 50\n```\n")


def test_a_run_without_a_verdict_says_why(no_run_document) -> None:
    page = Page(markdown.render_run(no_run_document()))
    assert page.headings == ["slokit: NO VERDICT", "Evidence"]
    assert page.items == [
        "http://127.0.0.1:9 refused the connection",
        "Generator: nothing was judged",
    ]
    assert page.rows == []


def test_no_sad_run_breaks_the_page(sad_run: dict[str, Any]) -> None:
    text = markdown.render_run(sad_run)
    assert len(text.encode()) <= 60_000
    page = Page(text)
    assert page.tags <= OUR_TAGS
    for row in page.rows:
        assert len(row) in (2, 6, 10)
    assert "nan" not in text.lower().replace("|", " ").split()


def test_hostile_names_read_as_themselves(hostile: str, run_document, objective_row) -> None:
    document = run_document(
        objectives=[objective_row(expr="p95 <= 1s", **{"class": hostile})],
        reasons=[hostile],
        environment={"model": hostile},
    )
    page = Page(markdown.render_run(document))
    name = clean(hostile)
    assert page.items[0] == name
    assert page.rows[1][1] == f"p95 <= 1s [{clean(hostile, 60)}]"
    assert ["model", name] in page.rows
    assert "@" not in markdown.escape("@me")  # nobody is called


@given(st.one_of(st.text(max_size=80), st.text("a1 _*`|\\~[]()!<>&@$#.:-+=\n", max_size=40)))
def test_any_text_reads_as_itself(text: str) -> None:
    """In a table cell, in a list and in a code span alike."""
    name = clean(text)
    source = f"| head | code |\n|:--|:--|\n| x{markdown.escape(text)} | {markdown.code(text)} |\n"
    page = Page(source)
    assert page.tags <= OUR_TAGS
    assert page.rows[1][0].split() == f"x{name}".split()
    assert page.rows[1][1].split() == name.split()
    listed = Page(markdown.bullets([text]))
    assert listed.tags <= {"ul", "li"}
    assert listed.items[0].split() == name.split()


@given(st.text("a`~ \n", max_size=40))
def test_no_text_ends_a_block_of_code(text: str) -> None:
    page = Page(markdown.fenced(text))
    assert page.tags == {"pre", "code"}


def test_long_lists_are_cut_and_counted() -> None:
    lines = markdown.bullets(["*" * 1000] * 9).splitlines()  # two bytes each
    assert len(lines) == 6
    assert lines[-1] == "- 4 more are left out"


def test_what_does_not_fit_is_named(run_document, objective_row) -> None:
    """Reasons come first and are kept; the tail of the report goes."""
    document = run_document(
        objectives=[objective_row(expr=f"p95 <= {i}ms", **{"class": "很" * 60}) for i in range(99)],
        summary={f"{i}-{'很' * 60}": run_document()["summary"]["all"] for i in range(99)},
        environment={"model": "很" * 4000, "command": "x" * 4000},
        reasons=["很" * 1000] * 30,
        warnings=["很" * 1000] * 30,
    )
    text = markdown.render_run(document)
    assert len(text.encode()) <= 60_000
    assert "Left out, as this report ends at 60 kB: latencies, tails." in text
    assert "很" * 900 in text


def test_a_table_says_how_many_rows_it_leaves_out(run_document, objective_row) -> None:
    document = run_document(objectives=[objective_row()] * 130)
    assert "30 more rows are left out." in markdown.render_run(document)


def test_a_comparison(comparison_document) -> None:
    text = markdown.render_comparison(comparison_document(warnings=["other rates"]))
    page = Page(text)
    assert page.rows == [
        ["Class", "Latency", "Base, ms", "Candidate, ms", "Change", "Verdict"],
        *(
            [
                "short",
                name,
                "210 [199, 220]",
                "95.0 [90.2, –]",
                "-54.8 % [-58.1, -51.2]",
                "IMPROVED ✓",
            ]
            for name in ("P50", "P95")
        ),
        ["long", "P99", "210 [199, 220]", "–", "–", "INCONCLUSIVE ?"],
    ]
    assert page.items == ["Warning: other rates"]
    assert "weak: block bootstrap of two stored runs" in text


@pytest.mark.parametrize(
    ("method", "note"),
    [
        pytest.param("bootstrap", "weak: block bootstrap of two stored runs", id="stored"),
        pytest.param("paired", "exact sign-flip test", id="interleaved"),
    ],
)
def test_a_comparison_says_how_far_to_trust_it(method: str, note: str, comparison_document) -> None:
    assert note in markdown.render_comparison(comparison_document(method=method))


def test_a_comparison_of_nothing_says_so(comparison_document) -> None:
    text = markdown.render_comparison(comparison_document(classes={}))
    assert "no text class in common" in text
