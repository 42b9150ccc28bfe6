"""The document as JUnit XML: one suite a run, one test case an objective.

CI systems show test cases; so each objective is one, and what ended the run before a
verdict is one too.
"""

import xml.etree.ElementTree as ET  # written, never parsed: nothing from outside is read
from collections.abc import Mapping
from typing import Any, Final

from slokit.report import cells
from slokit.report.format import clean, verdict_word

_WARN: Final = "warn"


def render_run(document: Mapping[str, Any], on_inconclusive: str = "fail") -> str:
    """One `testsuites` element as text, UTF-8.

    pass -> a plain case; fail, invalid and inconclusive -> `failure` of that type; with
    `on_inconclusive="warn"` an inconclusive case is `skipped`. A run without a verdict
    (exit codes 2, 5, 70, 74) has one more case, `run`, with an `error`; so has one whose
    verdict no objective explains (the generator was not valid, nothing was measured).
    """
    scenario = str(document["scenario"] or "run")
    seconds = document["environment"].get("duration_s") or 0.0
    suite = ET.Element("testsuite", name=_text(f"slokit {scenario}"), time=f"{seconds:.3f}")
    _add_properties(suite, document)
    for result in document["objectives"]:
        case = _add_case(suite, scenario, cells.objective_label(result))
        _add_outcome(case, result["verdict"], result["reason"], on_inconclusive)
    _add_run_case(suite, scenario, document, on_inconclusive)
    totals = {
        "tests": len(suite.findall("testcase")),
        **{f"{kind}s": len(suite.findall(f"testcase/{kind}")) for kind in ("failure", "error")},
        "skipped": len(suite.findall("testcase/skipped")),
    }
    root = ET.Element("testsuites", name="slokit")
    for element in (root, suite):
        element.attrib.update({name: str(value) for name, value in totals.items()})
    root.append(suite)
    ET.indent(root)
    return "<?xml version='1.0' encoding='utf-8'?>\n" + ET.tostring(root, encoding="unicode") + "\n"


def _add_run_case(
    suite: ET.Element, scenario: str, document: Mapping[str, Any], on_inconclusive: str
) -> None:
    """The case of the run itself, where its objectives alone do not say how it ended."""
    verdict = document["verdict"]
    if verdict is not None and verdict in {"pass", *(r["verdict"] for r in document["objectives"])}:
        return
    case = _add_case(suite, scenario, "run")
    reasons = " ".join(cells.reason_lines(document)) or verdict_word(verdict)
    if verdict is None:
        kind = f"exit code {document['exit_code']}"
        ET.SubElement(case, "error", type=kind, message=_text(reasons)).text = _text(reasons)
    else:
        _add_outcome(case, verdict, reasons, on_inconclusive)


def _add_case(suite: ET.Element, scenario: str, name: str) -> ET.Element:
    classname = _text(f"slokit.{scenario}")
    return ET.SubElement(suite, "testcase", classname=classname, name=_text(name))


def _add_outcome(case: ET.Element, verdict: str, reason: str, on_inconclusive: str) -> None:
    if verdict == "pass":
        return
    message = f"{verdict_word(verdict)}: {_text(reason)}"
    if verdict == "inconclusive" and on_inconclusive == _WARN:
        ET.SubElement(case, "skipped", message=message)
    else:
        ET.SubElement(case, "failure", type=verdict, message=message).text = message


def _add_properties(suite: ET.Element, document: Mapping[str, Any]) -> None:
    facts = [
        ("run_id", document["run_id"]),
        ("verdict", verdict_word(document["verdict"])),
        ("exit code", document["exit_code"]),
        ("loop", document["loop"]),
        *cells.environment_rows(document),
        *(("warning", warning) for warning in cells.warning_lines(document)),
    ]
    properties = ET.SubElement(suite, "properties")
    for name, value in facts:
        if value is not None:
            ET.SubElement(properties, "property", name=_text(str(name)), value=_text(str(value)))


def _text(text: str) -> str:
    """Text without the characters that XML 1.0 cannot hold, not even escaped."""
    return clean(text, cells.REASON_LIMIT)
