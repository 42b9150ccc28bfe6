"""JUnit XML, parsed back."""

import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slokit.report import junit
from slokit.report.format import clean


def parsed(document: dict[str, Any], on_inconclusive: str = "fail") -> ET.Element:
    return ET.fromstring(junit.render_run(document, on_inconclusive))  # noqa: S314 - our own


def outcomes(document: dict[str, Any], on_inconclusive: str = "fail") -> dict[str, str]:
    """Test case -> pass, or `kind type`."""
    found = {}
    for case in parsed(document, on_inconclusive).iter("testcase"):
        ending = case.find("*")
        found[str(case.get("name"))] = (
            "pass" if ending is None else f"{ending.tag} {ending.get('type', '')}".strip()
        )
    return found


def test_one_case_an_objective(run_document) -> None:
    assert outcomes(run_document()) == {
        "p95 <= 150ms [short]": "pass",
        "p95 <= 150ms [medium]": "failure inconclusive",
        "p95 <= 150ms [long]": "failure fail",
        "errors[all] <= 0.2%": "pass",
    }
    suite = parsed(run_document())[0]
    assert suite.attrib == {
        "name": "slokit mixed",
        "time": "120.000",
        "tests": "4",
        "failures": "2",
        "errors": "0",
        "skipped": "0",
    }
    assert {case.get("classname") for case in suite.iter("testcase")} == {"slokit.mixed"}
    failure = suite.find("testcase/failure[@type='fail']")
    assert failure is not None
    assert failure.get("message") == "FAIL ✗: P95 182 ms is above 150 ms"
    assert failure.text == failure.get("message")


def test_the_setting_is_in_the_properties(run_document) -> None:
    found = {p.get("name"): p.get("value") for p in parsed(run_document()).iter("property")}
    assert found == {
        "run_id": "20261120T104424Z-mixed-ab12",
        "verdict": "FAIL ✗",
        "exit code": "1",
        "loop": "open",
        "target": "http://127.0.0.1:8000",
        "model": "gte-base-zh",
        "engine": "onnxruntime",
        "offered rate": "50.0 requests/s",
        "duration": "120 s",
        "seed": "7",
        "label branch": "main",
        "slokit": "0.1.0",
        "warning": "lag P99 4.2 ms is above 2 % of the limit",
    }


@pytest.mark.parametrize(
    ("changes", "mode", "ending"),
    [
        pytest.param(
            {"verdict": None, "exit_code": 5}, "fail", "error exit code 5", id="no good answer"
        ),
        pytest.param(
            {"verdict": None, "exit_code": 70}, "fail", "error exit code 70", id="internal error"
        ),
        pytest.param(
            {"verdict": "invalid", "exit_code": 4}, "warn", "failure invalid", id="generator"
        ),
        pytest.param({"verdict": "inconclusive", "exit_code": 3}, "fail", "failure inconclusive",
                     id="no evidence"),
        pytest.param({"verdict": "inconclusive", "exit_code": 0}, "warn", "skipped",
                     id="no evidence, warn"),
        pytest.param({"verdict": "fail", "exit_code": 1}, "fail", "failure fail", id="overload"),
    ],
)  # fmt: skip
def test_a_run_that_no_objective_explains_is_a_case_of_its_own(
    changes: dict[str, Any], mode: str, ending: str, run_document, objective_row
) -> None:
    document = run_document(objectives=[objective_row()], reasons=["why it ended"], **changes)
    assert outcomes(document, mode) == {"p95 <= 150ms [short]": "pass", "run": ending}
    case = parsed(document, mode).find("*/testcase[@name='run']/*")
    assert case is not None
    assert "why it ended" in str(case.get("message"))


def test_a_pass_has_no_case_of_its_own(run_document, objective_row) -> None:
    document = run_document(objectives=[objective_row()], verdict="pass", exit_code=0)
    assert outcomes(document) == {"p95 <= 150ms [short]": "pass"}


def test_an_inconclusive_objective_is_skipped_under_warn(run_document) -> None:
    found = outcomes(run_document(), "warn")
    assert found["p95 <= 150ms [medium]"] == "skipped"
    assert found["p95 <= 150ms [long]"] == "failure fail"
    assert parsed(run_document(), "warn").get("skipped") == "1"


def test_nothing_judged_is_one_error(no_run_document) -> None:
    root = parsed(no_run_document())
    assert outcomes(no_run_document()) == {"run": "error exit code 5"}
    assert (root.get("tests"), root.get("errors"), root.get("failures")) == ("1", "1", "0")


def test_sad_runs_are_valid_xml(sad_run) -> None:
    root = parsed(sad_run)
    cases = len(list(root.iter("testcase")))
    assert root.get("tests") == str(cases) == root[0].get("tests")
    assert cases >= 1


@given(st.text())
def test_any_reason_comes_through(text: str) -> None:
    """A control character cannot stand in XML, not even escaped: it is left out."""
    result = {
        "expr": "p95 <= 1s",
        "class": "all",
        "stage": None,
        "verdict": "fail",
        "reason": text,
    }
    document = {
        "run_id": text,
        "scenario": text,
        "loop": "open",
        "verdict": "fail",
        "exit_code": 1,
        "reasons": [],
        "warnings": [],
        "objectives": [result],
        "environment": {},
    }
    failure = parsed(document).find("*/testcase/failure")
    assert failure is not None
    assert failure.text == f"FAIL ✗: {clean(text, 1000)}"
