"""Commands on what is stored: judge, runs, report, compare."""

import json
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from slokit.report.document import read_schema

SLO = ("--slo", "p95 <= 150ms")


@pytest.mark.parametrize(
    ("csv", "slo", "code", "verdict"),
    [
        pytest.param({"median_s": 0.05}, "p95 <= 150ms", 0, "pass", id="well inside"),
        pytest.param({"median_s": 0.20}, "p95 <= 150ms", 1, "fail", id="well outside"),
        pytest.param({"median_s": 0.0916}, "p95 <= 150ms", 3, "inconclusive", id="at the limit"),
        pytest.param({"n": 20}, "p95 <= 150ms", 3, "inconclusive", id="too few"),
        pytest.param({"n": 0}, "p95 <= 150ms", 3, "inconclusive", id="no data"),
        pytest.param({"status": "500"}, "p95 <= 150ms", 5, None, id="every answer broken"),
        pytest.param({}, "errors <= 0.2%", 0, "pass", id="no errors in 3000"),
        pytest.param({"n": 600}, "errors <= 0.2%", 3, "inconclusive", id="no errors in 600"),
        pytest.param({}, "p95[long] <= 150ms", 3, "inconclusive", id="a class without data"),
    ],
)
def test_judge_ends_with_the_code_of_its_verdict(slokit, csv_file, csv, slo, code, verdict):
    path = csv_file("a.csv", **csv)
    result = slokit("judge", path, "--slo", slo, "--json")
    assert result.code == code
    document = json.loads(result.out)
    assert document["verdict"] == verdict
    assert document["exit_code"] == code
    assert result.err == ""
    jsonschema.validate(document, read_schema("run"))


def test_judge_of_several_prints_a_line_each_and_ends_with_the_worst(slokit, csv_file):
    good = csv_file("good.csv")
    bad = csv_file("bad.csv", median_s=0.2)
    result = slokit("judge", good, bad, good, *SLO, "--json")
    assert result.code == 1
    assert [json.loads(line)["verdict"] for line in result.out.splitlines()] == [
        "pass",
        "fail",
        "pass",
    ]


def test_an_inconclusive_verdict_may_be_let_through(slokit, csv_file):
    path = csv_file("a.csv", n=20)
    assert slokit("judge", path, *SLO, "--on-inconclusive", "warn").code == 0


def test_judge_takes_a_shard_and_a_run_with_another_slo(slokit, stored_run):
    run = stored_run()
    shard = str(next(run.folder.glob("*.parquet")))
    for source in (run.run_id, str(run.folder), str(run.folder / "samples-0.parquet")):
        assert slokit("judge", source, *SLO).code == 0, source
        assert slokit("judge", source, "--slo", "p95 <= 60ms").code == 1, source
    assert "samples-0" in shard or "series" in shard


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(("a.csv", "--slo", "p95 < = 1s"), "at position 7", id="objective"),
        pytest.param(
            ("a.csv", "--slo", "p95 <= baseline"), "needs a run to compare", id="baseline"
        ),
        pytest.param(("a.txt", *SLO), "a file to judge is a .csv, .parquet or .arrows", id="kind"),
        pytest.param(("none.csv", *SLO), "No such file", id="no file"),
        pytest.param(("none", *SLO), "no run 'none'", id="no run"),
        pytest.param(("a.csv",), "Missing option '--slo'", id="no slo"),
        pytest.param(("a.csv", *SLO, "--warmup", "5"), "is no duration", id="warm-up"),
    ],
)
def test_judge_refuses_what_cannot_be_meant(slokit, csv_file, tmp_path, words, message):
    csv_file("a.csv", n=10)
    (tmp_path / "a.txt").write_text("x")
    result = slokit("judge", *words)
    assert result.code == 2
    assert message in result.err
    assert result.out == ""


def test_runs_are_listed_and_shown(slokit, stored_run):
    assert "no runs in runs yet" in slokit("runs", "list").out
    run = stored_run()
    listed = json.loads(slokit("runs", "list", "--json").out)["runs"]
    assert [(row["run_id"], row["verdict"]) for row in listed] == [(run.run_id, None)]
    result = slokit("runs", "show", "latest")
    assert result.code == 2
    assert "has no verdict (complete)" in result.err


def test_compare_finds_what_changed_and_ends_with_it(slokit, stored_run, tmp_path):
    base = stored_run(0, median_s=0.10)
    faster = stored_run(1, median_s=0.05, seed=2)
    result = slokit("compare", base.run_id, faster.run_id, "--json")
    assert result.code == 0
    document = json.loads(result.out)
    jsonschema.validate(document, read_schema("compare"))
    change = document["classes"]["short"]["p95"]
    assert change["verdict"] == "improved"
    assert change["change_ratio"] == pytest.approx(-0.5, abs=0.05)
    assert change["ci"][0] < change["change_ratio"] < change["ci"][1]
    worse = slokit("compare", faster.run_id, base.run_id, "--report", "change.md")
    assert worse.code == 1
    assert "REGRESSED" in worse.out
    assert "REGRESSED" in (tmp_path / "change.md").read_text()


def test_compare_says_how_workloads_differ(slokit, stored_run):
    base = stored_run()
    other = stored_run(1, arrivals="constant")
    result = slokit("compare", base.run_id, other.run_id)
    assert "the workloads differ in arrivals: poisson before, constant after" in result.out


def test_compare_without_a_common_class_is_refused(slokit, stored_run):
    base = stored_run()
    empty = stored_run(1, n=0)
    result = slokit("compare", base.run_id, empty.run_id)
    assert (result.code, "holds no samples to compare" in result.err) == (2, True)


def test_compare_refuses_an_open_loop_with_a_closed_one(slokit, stored_run):
    base, other = stored_run(), stored_run(1, loop="closed")
    result = slokit("compare", base.run_id, other.run_id)
    assert (result.code, "cannot be compared" in result.err) == (2, True)


def test_compare_refuses_a_run_that_failed_before_any_load(slokit, stored_run):
    base, failed = stored_run(), stored_run(1)
    (failed.folder / "samples-0.parquet").unlink()
    result = slokit("compare", base.run_id, failed.run_id)
    assert (result.code, "holds no samples to compare" in result.err) == (2, True)


def test_report_renders_a_stored_verdict_again(slokit, stored_run, tmp_path):
    run = stored_run()
    document = json.loads(slokit("judge", run.run_id, *SLO, "--json").out)
    run.write_verdict(document)
    assert "p95 <= 150ms" in slokit("report", "latest").out
    result = slokit("report", "latest", "--to", "out.xml", "--to", "out.md", "--to", "out.json")
    assert result.code == 0
    assert ET.parse(tmp_path / "out.xml").getroot().tag in {"testsuite", "testsuites"}  # noqa: S314
    assert json.loads((tmp_path / "out.json").read_text())["verdict"] == "pass"
    assert "PASS" in slokit("runs", "show", "latest").out
    refused = slokit("report", "latest", "--to", "out.pdf")
    assert (refused.code, "the suffix names the format" in refused.err) == (2, True)
