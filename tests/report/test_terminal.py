"""What a terminal shows: read back line by line, at 80 columns."""

import io
import re
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from slokit.report import terminal

ESCAPE = "\x1b"


def shown(picture: RenderableType, *, width: int = 80, is_terminal: bool = False) -> str:
    target = io.StringIO()
    Console(
        file=target,
        width=width,
        force_terminal=is_terminal,
        color_system="standard" if is_terminal else None,
        legacy_windows=False,
    ).print(picture)
    return target.getvalue()


def rows(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.replace("\u202f", "").splitlines()]


def test_a_run_reads_from_verdict_to_evidence(run_document) -> None:
    lines = rows(shown(terminal.render_run(run_document())))
    assert lines[:6] == [
        "mixed · 20261120T104424Z-mixed-ab12 · open loop",
        "FAIL ✗ exit code 1",
        "· P95 182 ms is above 150 ms: 143 of 1 200 requests (11.9 %) were slower",
        "! lag P99 4.2 ms is above 2 % of the limit",
        "",
        "http://127.0.0.1:8000 · gte-base-zh · 50.0 requests/s · 120 s",
    ]
    expected = [
        "PASS ✓ p95 <= 150ms [short] 95.2 ms 12/1500 612 –",
        "[90.1, 99.3] ms",
        "INCONCLUSIVE ? p95 <= 150ms [medium] 142 ms 65/1500 612 ~2400",
        "[130, –] ms",
        "FAIL ✗ p95 <= 150ms [long] 182 ms 143/1200 612 –",
        "PASS ✓ errors[all] <= 0.2% 0.04 % 2/4200 612 –",
        "short 1500 3 0 38.2 42.1 42.1 95.2 142 –",
        "short 93.2 140 2.10 3.38x –",
        "–: falls on requests without a good answer, or nothing was measured.",
        "Warm-up: the first 5.00 s, 251 requests · then steady, in flight 2.10 to 2.40",
        "Generator: valid · sent 4198 of 4200 scheduled · dropped 2 · lag P99 2.10 ms ·",
        "run: runs/20261120T104424Z-mixed-ab12",
    ]
    assert [line for line in expected if line not in lines] == []


def test_a_closed_loop_has_no_trend_of_its_own_users(run_document) -> None:
    text = shown(terminal.render_run(run_document() | {"loop": "closed"}))
    assert "Warm-up: the first 5.00 s, 251 requests" in text
    assert "in flight" not in text


def test_a_run_without_a_verdict_says_why(no_run_document) -> None:
    lines = rows(shown(terminal.render_run(no_run_document())))
    assert lines[1:3] == ["NO VERDICT exit code 5", "· http://127.0.0.1:9 refused the connection"]
    assert "Generator: nothing was judged" in lines


def test_stages_are_told_apart(run_document, objective_row) -> None:
    cut = run_document()["cuts"][0] | {"stage": 1, "label": "10 users"}
    document = run_document(objectives=[objective_row(stage=1)], cuts=[cut])
    text = " ".join(rows(shown(terminal.render_run(document), width=200)))
    assert "p95 <= 150ms [short] stage 2" in text
    assert "Stage 2 (10 users), warm-up: the first 5.00 s" in text


@pytest.mark.parametrize(
    "is_terminal", [pytest.param(True, id="terminal"), pytest.param(False, id="log")]
)
def test_no_sad_run_is_wider_than_the_screen(sad_run: dict[str, Any], is_terminal: bool) -> None:  # noqa: FBT001
    text = shown(terminal.render_run(sad_run), is_terminal=is_terminal)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert max(cell_len(line) for line in plain.splitlines()) <= 80
    assert "nan" not in plain.lower().split()
    assert "\x1b" not in plain
    assert "\x00" not in plain


def test_a_number_stays_with_its_unit_and_its_digits(run_document) -> None:
    for padding in range(40, 76):
        reason = "x" * padding + " 1\u202f200 were slower, 5 % are allowed"
        text = shown(terminal.render_run(run_document(reasons=[reason])))
        assert "1\u202f200" in text
        assert "5 %" in text


def test_colour_is_for_terminals_only(run_document) -> None:
    assert ESCAPE in shown(terminal.render_run(run_document()), is_terminal=True)
    assert ESCAPE not in shown(terminal.render_run(run_document()))


def test_markup_from_outside_is_text(hostile: str, run_document) -> None:
    """A model called `[bold]x[/bold]` is shown with its brackets and obeys nothing."""
    document = run_document(reasons=[hostile])
    text = " ".join(rows(shown(terminal.render_run(document), width=300)))
    assert "[bold]中文[/bold]" in text
    assert "a|b <script>alert(1)</script>" in text


def test_a_comparison_shows_both_sides_with_their_intervals(comparison_document) -> None:
    lines = rows(shown(terminal.render_comparison(comparison_document())))
    assert lines[:3] == [
        "base 20261120T104424Z-mixed-ab12",
        "candidate 20261120T105424Z-mixed-cd34",
        "",
    ]
    at = lines.index("short P95 210 95.0 -54.8 % IMPROVED ✓")
    assert lines[at + 1] == "[199, 220] [90.2, –] [-58.1, -51.2]"
    assert "long P99 210 – – INCONCLUSIVE ?" in lines
    assert lines[-3].startswith(
        "In brackets 95 % intervals; weak: block bootstrap of two stored runs"
    )


def test_a_comparison_says_what_makes_it_doubtful(comparison_document) -> None:
    document = comparison_document(warnings=["the workloads differ in rate_rps: 50 and 40"])
    assert "! the workloads differ in rate_rps: 50 and 40" in rows(
        shown(terminal.render_comparison(document))
    )


def test_a_comparison_of_nothing_says_so(comparison_document) -> None:
    text = shown(terminal.render_comparison(comparison_document(classes={})))
    assert "no text class in common" in text


def test_a_comparison_fits_the_screen(comparison_document, hostile: str) -> None:
    document = comparison_document(
        base="b" * 200, classes={hostile: comparison_document()["classes"]["short"]}
    )
    text = shown(terminal.render_comparison(document))
    assert max(cell_len(line) for line in text.splitlines()) <= 80


def test_a_list(hostile: str) -> None:
    found = terminal.render_list(
        "Runs", ("run", "verdict", "target"), [("a", "PASS ✓", hostile)], empty="none yet"
    )
    lines = rows(shown(found, width=200))
    assert lines[:2] == ["Runs", "run verdict target"]
    assert lines[2].startswith("a PASS ✓ a|b <script>")


def test_a_name_to_be_copied_is_never_broken() -> None:
    name = "20261120T104424Z-concurrency_ramp-ab12"
    row = (name, "INCONCLUSIVE ?", "1 200 ms", "http://127.0.0.1:8000/v1/embeddings")
    text = shown(terminal.render_list("Runs", ("run", "verdict", "P95", "target"), [row], empty=""))
    assert name in text
    assert max(map(len, text.splitlines())) <= 80


def test_an_empty_list_says_what_to_do() -> None:
    assert shown(terminal.render_list("Runs", ("run",), [], empty="none yet")) == "none yet\n"


@pytest.mark.parametrize("width", [30, 40, 50, 60, 80, 120])
def test_no_digit_is_lost_in_a_narrow_terminal(run_document, width) -> None:
    """Where a table does not fit, each row is written out under its name."""
    text = " ".join(
        shown(terminal.render_run(run_document()), width=width).replace("\u202f", "").split()
    )
    for number in ("95.2", "1500", "38.2", "2.10", "3.38x", "0.04 %"):
        assert number in text, number
