"""From samples to paper: what is printed is what sorting the samples by hand gives."""

import io
import json
import math

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

from slokit.core.comparison import compare
from slokit.core.judgement import Load, Stage
from slokit.core.objective import parse_objective
from slokit.core.sample import Samples
from slokit.core.summary import summarise
from slokit.core.verdict import final_exit, judge
from slokit.report import before_after, junit, markdown, terminal
from slokit.report.document import build_comparison, build_document, read_schema

N, RATE = 3000, 50.0
SLO = ("p95 <= 150ms", "good(150ms) >= 90%", "errors[all] <= 0.2%", "rps >= 45")


def samples(*, seed: int = 1, slow: float = 1.0, failed: float = 0.0) -> Samples:
    rng = np.random.default_rng(seed)
    due_s = np.cumsum(rng.exponential(1 / RATE, N))
    outcome = np.where(rng.random(N) < failed, "http_5xx", "ok")
    return Samples(
        due_s=due_s,
        sent_s=due_s,
        end_s=due_s + slow * rng.lognormal(math.log(0.05), 0.5, N),
        lag_s=np.zeros(N),
        outcome=outcome,
        text_class=np.where(np.arange(N) % 3 == 0, "long", "short"),
        stage=np.zeros(N, dtype=np.int64),
    )


def document_of(taken: Samples, slo: tuple[str, ...] = SLO, stages: tuple[Stage, ...] = ()) -> dict:
    """The document as `slokit run` makes it, through JSON and back."""
    load = Load("open", RATE, len(taken), len(taken), end_s=N / RATE, stages=stages, cpu_ratio=0.2)
    found = judge(taken, [parse_objective(text) for text in slo], load, warmup_s=0)
    code = final_exit(found.verdict, holds_on_service=found.holds_on_service)
    summaries = summarise(found.samples(taken), found.span_s)
    manifest = {"run_id": "r1", "scenario": "mixed", "loop": "open", "load": {"rate_rps": RATE}}
    built = build_document(manifest, found, summaries, exit_code=code, paths={"run": "runs/r1"})
    return json.loads(json.dumps(built, allow_nan=False))


def printed(picture) -> str:
    target = io.StringIO()
    Console(file=target, width=80).print(picture)
    return " ".join(target.getvalue().replace("\u202f", "").split())


def test_a_passing_run_prints_the_quantiles_of_its_samples() -> None:
    taken = samples()
    document = document_of(taken)
    Draft202012Validator(read_schema("run")).validate(document)
    latency_s = np.sort((taken.end_s - taken.due_s)[taken.text_class == "short"])
    p95_s = latency_s[math.ceil(0.95 * len(latency_s)) - 1]
    assert document["verdict"] == "pass"
    assert document["summary"]["short"]["latency_s"]["p95"] == pytest.approx(p95_s, abs=0)
    assert document["summary"]["short"]["count"] == 2000
    assert f"PASS ✓ p95 <= 150ms [short] {p95_s * 1000:.0f} ms" in printed(
        terminal.render_run(document)
    )
    assert f"| PASS ✓ | p95 <= 150ms [short] | {p95_s * 1000:.0f} ms [" in markdown.render_run(
        document
    )
    assert 'failures="0"' in junit.render_run(document)


def test_a_quantile_on_failed_requests_is_unknown_everywhere() -> None:
    document = document_of(samples(failed=0.2))
    assert document["verdict"] == "fail"
    assert document["summary"]["all"]["latency_s"]["p95"] is None
    assert document["summary"]["all"]["latency_s"]["p50"] is not None
    assert "FAIL ✗ p95 <= 150ms [short] –" in printed(terminal.render_run(document))
    assert "| FAIL ✗ | p95 <= 150ms [short] | – |" in markdown.render_run(document)


@pytest.mark.parametrize(
    ("taken", "slo"),
    [
        pytest.param(samples().where(np.zeros(N, dtype=np.bool_)), SLO, id="no samples"),
        pytest.param(samples(failed=1.0), SLO, id="nothing but errors"),
        pytest.param(samples(), ("p95[none] <= 1s",), id="a class nobody sent"),
        pytest.param(samples(), (), id="no objective"),
    ],
)
def test_sad_samples_are_documents_that_print(taken: Samples, slo: tuple[str, ...]) -> None:
    document = document_of(taken, slo)
    Draft202012Validator(read_schema("run")).validate(document)
    for text in (
        printed(terminal.render_run(document)),
        markdown.render_run(document),
        junit.render_run(document),
    ):
        assert "nan" not in text.lower().split()


def test_stages_are_judged_and_printed_alone() -> None:
    stages = (Stage(0.0, 30.0, label="calm"), Stage(30.0, 60.0, label="busy"))
    taken = samples()
    staged = Samples(
        taken.due_s,
        taken.sent_s,
        taken.end_s,
        taken.lag_s,
        taken.outcome,
        taken.text_class,
        (taken.due_s >= 30).astype(np.int64),
    )
    document = document_of(staged, ("p95[all] <= 150ms",), stages)
    Draft202012Validator(read_schema("run")).validate(document)
    text = printed(terminal.render_run(document))
    assert "p95[all] <= 150ms stage 1" in text
    assert "Stage 2 (busy), warm-up: none left out" in text


def test_before_and_after() -> None:
    """A service twice as fast: the change is -50 % in every place it is told."""
    before, after = samples(), samples(seed=2, slow=0.5)
    change = build_comparison("r1", "r2", compare(before, after))
    Draft202012Validator(read_schema("compare")).validate(change)
    ratio = change["classes"]["short"]["p95"]["change_ratio"]
    assert ratio == pytest.approx(-0.5, abs=0.05)
    told = f"{ratio * 100:.1f} %"
    documents = {
        ("baseline", "mixed"): document_of(before),
        ("optimized", "mixed"): document_of(after),
    }
    page = before_after.render_markdown("Demo", ["one core"], documents, change, "change.svg")
    screen = printed(before_after.render_terminal(documents, change))
    for text in (
        page,
        screen,
        markdown.render_comparison(change),
        printed(terminal.render_comparison(change)),
    ):
        assert told in text
        assert "IMPROVED ✓" in text
    assert "baseline mixed 50.0 requests/s 3000" in screen
    assert "![Share of requests answered within a time, before and after](change.svg)" in page
    assert "- r1: PASS ✓. " in page


def test_before_and_after_without_a_change() -> None:
    """A demo whose runs failed still says what came of them."""
    documents = {("baseline", "mixed"): document_of(samples(failed=1.0))}
    nothing = {"classes": {}, "method": "bootstrap"}
    page = before_after.render_markdown("Demo", [], documents, nothing, "change.svg")
    assert "change.svg" not in page
    assert "FAIL ✗" in printed(before_after.render_terminal(documents, nothing))
