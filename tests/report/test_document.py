"""The document is what others branch on: its keys, its nulls and its schema."""

import json
import math
import shlex
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError

from slokit.core.comparison import Change, ChangeVerdict, Comparison
from slokit.core.judgement import Generator, Judgement, ObjectiveResult, StageCut, Verdict
from slokit.core.steady import State
from slokit.core.summary import ClassSummary, Distribution
from slokit.errors import ExitCode
from slokit.report.document import (
    build_comparison,
    build_document,
    jsonable,
    read_schema,
    to_json,
)
from slokit.report.environment import environment, repeat_command, without_password

RUN, COMPARE = (Draft202012Validator(read_schema(name)) for name in ("run", "compare"))
FAILED = Distribution(p50=0.04, p90=0.07, p95=None, p99=None, p999=None, mean=0.05, max=None)
LAG = Distribution(p50=0.0, p90=0.0, p95=0.0, p99=0.002, p999=0.004, mean=0.0, max=0.01)
SUMMARIES = {
    "all": ClassSummary(
        count=4000,
        errors=300,
        dropped=2,
        rps=46.25,
        latency_s=FAILED,
        service_s=FAILED,
        lag_s=LAG,
        p99_to_p50=None,
        p999_to_p50=None,
    )
}
MANIFEST = {"run_id": "20261120T104424Z-mixed-ab12", "scenario": "mixed", "loop": "open"}


def judgement(verdict: Verdict = Verdict.FAIL, **changes: Any) -> Judgement:
    result = ObjectiveResult(
        expr="p95 <= 150ms",
        text_class="all",
        stage=None,
        verdict=verdict,
        value=None,
        ci=(0.14, math.inf),
        bad=300,
        total=4000,
        n_eff=np.float64(812.5),
        reason="P95 falls on failed requests",
    )
    facts: dict[str, Any] = {
        "verdict": verdict,
        "holds_on_service": False,
        "reasons": ("P95 falls on failed requests",),
        "warnings": (),
        "objectives": (result,),
        "cuts": (StageCut(None, "", 5.0, 251, State.STEADY, 2.0, 2.5),),
        "generator": Generator(
            valid=True, scheduled=4251, sent=4249, lag_p99_s=0.002, cpu_ratio=0.3, dropped=2
        ),
        "span_s": 80.0,
        "judged": np.ones(4000, dtype=np.bool_),
    }
    return Judgement(**(facts | changes))


def build(code: int, found: Judgement | None, **more: Any) -> dict[str, Any]:
    manifest = more.pop("manifest", MANIFEST)
    return build_document(
        manifest, found, SUMMARIES if found else {}, exit_code=code, paths={"run": "runs/x"}, **more
    )


def test_the_document_carries_what_was_judged_unrounded() -> None:
    document = build(1, judgement())
    assert document["verdict"] == "fail"
    assert document["exit_code"] == 1
    assert document["objectives"] == [
        {
            "expr": "p95 <= 150ms",
            "class": "all",
            "stage": None,
            "verdict": "fail",
            "value": None,
            "unit": "s",
            "ci": [0.14, None],
            "bad": 300,
            "total": 4000,
            "n_eff": 812.5,
            "confidence": 0.95,
            "more_requests": None,
            "reason": "P95 falls on failed requests",
        }
    ]
    summary = document["summary"]["all"]
    assert (summary["count"], summary["errors"], summary["dropped"]) == (4000, 300, 2)
    assert summary["latency_s"]["p90"] == 0.07
    assert summary["latency_s"]["p95"] is None  # it falls on failed requests
    assert summary["ratios"] == {"p99_p50": None, "p999_p50": None}
    assert document["generator"] == {
        "valid": True,
        "scheduled": 4251,
        "sent": 4249,
        "lag_p99_s": 0.002,
        "cpu_ratio": 0.3,
        "dropped": 2,
    }
    assert document["cuts"][0]["warmup_requests"] == 251
    assert document["paths"] == {"run": "runs/x"}
    RUN.validate(document)


@pytest.mark.parametrize(
    ("code", "judged", "verdict"),
    [
        pytest.param(ExitCode.PASS, Verdict.PASS, "pass", id="0 pass"),
        pytest.param(ExitCode.PASS, Verdict.INCONCLUSIVE, "inconclusive", id="0 under warn"),
        pytest.param(ExitCode.FAIL, Verdict.FAIL, "fail", id="1 fail"),
        pytest.param(ExitCode.USAGE, None, None, id="2 usage"),
        pytest.param(ExitCode.INCONCLUSIVE, Verdict.INCONCLUSIVE, "inconclusive", id="3"),
        pytest.param(ExitCode.INVALID, Verdict.INVALID, "invalid", id="4 invalid"),
        pytest.param(ExitCode.TARGET, None, None, id="5 unreachable: nothing was judged"),
        pytest.param(ExitCode.TARGET, Verdict.FAIL, None, id="5 every answer broken"),
        pytest.param(ExitCode.INTERNAL, Verdict.PASS, None, id="70 after judging"),
        pytest.param(ExitCode.STORE, Verdict.PASS, None, id="74 after judging"),
        pytest.param(ExitCode.INTERRUPTED, Verdict.FAIL, "fail", id="130 as judged"),
        pytest.param(ExitCode.INTERRUPTED, None, None, id="130 before any load"),
        pytest.param(ExitCode.TERMINATED, Verdict.PASS, "pass", id="143 as judged"),
    ],
)
def test_verdict_by_exit_code(code: ExitCode, judged: Verdict | None, verdict: str | None) -> None:
    found = None if judged is None else judgement(judged)
    document = build(code, found, reasons=["why"])
    assert document["verdict"] == verdict
    assert document["exit_code"] == int(code)
    assert (document["generator"] is None) == (judged is None)
    assert document["reasons"][0] == "why"
    RUN.validate(document)


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        pytest.param(0, "fail", id="0 is never a fail"),
        pytest.param(1, "pass", id="1 is never a pass"),
        pytest.param(3, "pass", id="3 is inconclusive"),
        pytest.param(4, "fail", id="4 is invalid"),
        pytest.param(5, "fail", id="5 has no verdict"),
        pytest.param(70, "pass", id="70 has no verdict"),
        pytest.param(9, None, id="no such code"),
    ],
)
def test_the_schema_refuses_a_verdict_that_contradicts_its_code(
    code, verdict, run_document
) -> None:
    with pytest.raises(ValidationError):
        RUN.validate(run_document(exit_code=code, verdict=verdict))


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param({"objectives": [{"expr": "p95 <= 1s"}]}, id="half an objective"),
        pytest.param({"summary": {"all": {"count": 1}}}, id="half a summary"),
        pytest.param({"generator": None}, id="a verdict without its generator"),
        pytest.param({"schema": 2}, id="another schema"),
        pytest.param({"loop": "sideways"}, id="unknown loop"),
        pytest.param({"reasons": "one"}, id="reasons are a list"),
    ],
)
def test_the_schema_refuses(broken: dict[str, Any], run_document) -> None:
    with pytest.raises(ValidationError):
        RUN.validate(run_document(**broken))


@pytest.mark.parametrize("key", ["verdict", "exit_code", "objectives", "summary", "generator"])
def test_every_promised_key_is_required(key: str, run_document) -> None:
    document = run_document()
    del document[key]
    with pytest.raises(ValidationError):
        RUN.validate(document)


def test_sad_documents_are_documents(sad_run) -> None:
    RUN.validate(sad_run)


def test_the_schemas_are_schemas() -> None:
    for name in ("run", "compare"):
        Draft202012Validator.check_schema(read_schema(name))


@pytest.mark.parametrize(
    ("expr", "unit"),
    [
        pytest.param("p95 <= 150ms", "s", id="quantile"),
        pytest.param("p99(service) <= 150ms", "s", id="service time"),
        pytest.param("good(150ms) >= 98.7%", "ratio", id="good share"),
        pytest.param("errors <= 0.2%", "ratio", id="errors"),
        pytest.param("rps >= 50", "rps", id="rate"),
        pytest.param("p95 <= baseline + 5%", "baseline", id="relative"),
    ],
)
def test_the_unit_of_a_value_is_told(expr: str, unit: str) -> None:
    base = judgement().objectives[0]
    result = ObjectiveResult(expr, "all", None, Verdict.PASS, 1.0, None, 0, 10, 10.0, base.reason)
    document = build(0, judgement(Verdict.PASS, objectives=(result,)))
    assert document["objectives"][0]["unit"] == unit
    assert document["objectives"][0]["ci"] is None
    RUN.validate(document)


def test_comparison() -> None:
    change = Change(
        base=0.21,
        candidate=None,
        change_ratio=None,
        ci=(0.1, math.inf),
        base_ci=(0.2, 0.22),
        candidate_ci=(0.3, None),
        slower_p=0.001,
        faster_p=1.0,
        verdict=ChangeVerdict.REGRESSED,
    )
    document = build_comparison("a", "b", Comparison({"short": {"p95": change}}))
    assert document == {
        "schema": 1,
        "base": "a",
        "candidate": "b",
        "method": "bootstrap",
        "classes": {
            "short": {
                "p95": {
                    "base": 0.21,
                    "candidate": None,
                    "base_ci": [0.2, 0.22],
                    "candidate_ci": [0.3, None],
                    "change_ratio": None,
                    "ci": [0.1, None],
                    "verdict": "regressed",
                }
            }
        },
    }
    COMPARE.validate(document)


JSON_LIKE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner), st.tuples(inner, inner), st.dictionaries(st.text(), inner)
    ),
)


@given(JSON_LIKE)
def test_anything_measured_becomes_strict_json(value: Any) -> None:
    """No NaN, no infinity, no lone surrogate: any JSON parser reads it back the same."""
    plain = jsonable(value)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = to_json({"value": plain}, indent=None)
    assert json.loads(text, parse_constant=refuse)["value"] == plain
    json.dumps(plain, ensure_ascii=False).encode()


def test_values_of_numpy_are_plain() -> None:
    plain = jsonable({"n": np.int64(3), "x": np.float64("nan"), "ok": np.bool_(True)})
    assert plain == {"n": 3, "x": None, "ok": True}
    assert [type(value) for value in plain.values()] == [int, type(None), bool]


def test_what_is_no_value_is_refused() -> None:
    with pytest.raises(TypeError, match="no place in a JSON document for set"):
        jsonable({"x": {1, 2}})


def test_environment_is_read_from_the_manifest() -> None:
    found = environment(
        {
            "target": {
                "url": "http://me:pw@host:8000",
                "model": "gte-base-zh",
                "info": {"engine": "onnx", "weights": {"not": "a word"}, "secret": "x"},
            },
            "load": {"rate_rps": 50.0, "duration_s": 60.0},
            "slo": {"source": "the scenario's own"},
            "seed": 7,
            "labels": {"branch": "main"},
            "versions": {"slokit": "0.1.0"},
            "command": ["slokit", "run", "short", "--label", "branch=main"],
        }
    )
    known = {key: value for key, value in found.items() if value is not None}
    assert known == {
        "url": "http://***@host:8000",
        "model": "gte-base-zh",
        "engine": "onnx",
        "rate_rps": 50.0,
        "duration_s": 60.0,
        "seed": 7,
        "slo_source": "the scenario's own",
        "labels": {"branch": "main"},
        "slokit": "0.1.0",
        "command": "slokit run short --label branch=main",
    }


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param({}, id="empty"),
        pytest.param({"target": None, "load": [], "labels": "x", "command": []}, id="wrong shapes"),
        pytest.param({"target": {"info": "<html>"}}, id="info is no object"),
    ],
)
def test_an_environment_that_is_not_known_is_null(manifest: dict[str, Any]) -> None:
    found = environment(manifest)
    assert found.pop("labels") == {}
    assert set(found.values()) == {None}


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        pytest.param(
            ["slokit", "run", "--header", "Authorization: Bearer abc"],
            ["slokit", "run", "--header", "Authorization: ***"],
            id="header",
        ),
        pytest.param(["--header=X-Key:abc"], ["--header=X-Key: ***"], id="header in one word"),
        pytest.param(["--header", "abc"], ["--header", "***"], id="no header at all"),
        pytest.param(["--host", "https://a:b@h/v1"], ["--host", "https://***@h/v1"], id="url"),
        pytest.param(["--host=https://a:b@h"], ["--host=https://***@h"], id="url after ="),
        pytest.param(["http://u:p@[::1"], ["http://***@[::1"], id="broken url"),
        pytest.param(["--api-key-env", "KEY"], ["--api-key-env", "KEY"], id="a name is no secret"),
        pytest.param(["--slo", "p95 <= 1s"], ["--slo", "p95 <= 1s"], id="spaces are quoted"),
    ],
)
def test_the_command_is_repeatable_without_its_secrets(words: list[str], shown: list[str]) -> None:
    assert shlex.split(repeat_command(words)) == shown


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("http://host:8000/v1", id="no password"),
        pytest.param("me@example.com", id="no url"),
        pytest.param("", id="nothing"),
    ],
)
def test_text_without_a_password_stays(text: str) -> None:
    assert without_password(text) == text
