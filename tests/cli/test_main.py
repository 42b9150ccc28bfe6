"""The entry point: help that needs nothing, errors in one line with their code."""

import json
import subprocess
import sys

import jsonschema
import pytest

from slokit.cli import COMMANDS
from slokit.errors import ExitCode
from slokit.report.document import read_schema

HEAVY = {"locust", "gevent", "pandas", "pyarrow", "matplotlib", "httpx", "rich", "numpy"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(slokit, name):
    if name == "serve":  # its help is the server's own
        return
    result = slokit(name, "--help")
    assert result.code == 0
    assert f"slokit {name}" in result.out
    assert "Example" in result.out


def test_help_names_every_command_and_imports_nothing_heavy():
    code = "import sys; sys.argv = ['slokit', '--help']\n"
    code += "import slokit.cli\ntry: slokit.cli.main()\nexcept SystemExit: pass\n"
    code += "print('LOADED', *sorted(set(m.partition('.')[0] for m in sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    help_text, _, loaded = done.stdout.partition("LOADED")
    assert not HEAVY & set(loaded.split())
    for name, (_, summary) in COMMANDS.items():
        assert name in help_text
        assert summary.split()[0] in help_text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(
            ("nonsense",), "no command 'nonsense'; there are: run, scenarios", id="command"
        ),
        pytest.param(("run",), "Missing argument 'SCENARIO'", id="no scenario"),
        pytest.param(("run", "shrt"), "did you mean 'short'", id="scenario"),
        pytest.param(("run", "short"), "slokit serve", id="no host"),
        pytest.param(("run", "short", "--host", "ftp://x"), "write http://HOST:PORT", id="scheme"),
        pytest.param(("run", "short", "--users", "0"), "Invalid value for '--users'", id="users"),
        pytest.param(("run", "short", "--frobnicate"), "No such option", id="option"),
        pytest.param(("run", "short", "--protocol", "grpc"), "'--protocol'", id="protocol"),
    ],
)
def test_usage_errors_end_with_2_before_any_load(slokit, words, message):
    result = slokit(*words)
    assert result.code == ExitCode.USAGE
    assert message in result.err
    assert "Traceback" not in result.err


HOST = ("run", "short", "--host", "http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(("--slo", "p95 << 150ms"), "at position 6", id="objective"),
        pytest.param(("--slo", "rps >= 60"), "can never hold: 50 requests/s are offered", id="rps"),
        pytest.param(("--slo", "p95 <= baseline"), "needs a run to compare", id="no baseline"),
        pytest.param(("--slo", "p95[shrot] <= 1s"), "write one of short, all", id="class"),
        pytest.param(("--warmup", "60s"), "leaves nothing of 60 s to judge", id="warm-up"),
        pytest.param(("--rate", "fast"), "'fast' is no rate", id="rate"),
        pytest.param(("--rate", "5rps", "--users", "3"), "give one of them", id="both"),
        pytest.param(("--duration", "60"), "'60' is no duration", id="duration"),
        pytest.param(("--arrivals", "uniform"), "uniform", id="arrivals"),
        pytest.param(("--users", "3", "--arrivals", "poisson"), "has no arrivals", id="closed"),
        pytest.param(("--label", "x"), "write KEY=VALUE", id="label"),
        pytest.param(("--header", "X-Key"), "write NAME:VALUE", id="header"),
        pytest.param(("--report", "out.pdf"), "one of .md, .json, .xml", id="report"),
        pytest.param(("--report", "no/where.md"), "there is no folder no", id="report folder"),
        pytest.param(("--baseline", "none"), "no run 'none'", id="baseline"),
        pytest.param(("--texts", "none.txt"), "does not exist", id="texts"),
        pytest.param(("--repeat-ratio", "1.5"), "repeat_ratio is 1.5", id="repeat"),
        pytest.param(("--api-key-env", "NO_SUCH_VARIABLE"), "NO_SUCH_VARIABLE", id="key"),
    ],
)
def test_a_run_that_cannot_be_meant_is_refused(slokit, tmp_path, words, message):
    result = slokit(*HOST, *words)
    assert (result.code, message in result.err) == (2, True), result.err


@pytest.mark.parametrize(
    "words",
    [
        pytest.param((*HOST, "--slo", "p95 << 1s", "--json"), id="objective"),
        pytest.param((*HOST, "--users", "0", "--json"), id="option"),
        pytest.param(("judge", "none.csv", "--slo", "p95 <= 1s", "--json"), id="judge"),
    ],
)
def test_a_usage_error_is_a_document_without_a_verdict_for_machines(slokit, words):
    result = slokit(*words)
    document = json.loads(result.out)
    jsonschema.validate(document, read_schema("run"))
    assert (result.code, document["verdict"], document["exit_code"]) == (2, None, 2)
    assert document["reasons"][0] in " ".join(result.err.split())


def test_a_dry_run_sends_nothing_and_says_what_it_would(slokit, tmp_path):
    result = slokit(*HOST, "--rate", "20rps", "--duration", "30s", "--dry-run", "--seed", "7")
    assert result.code == 0
    assert "about 600 requests" in result.out
    assert "no load was sent" in result.out
    assert not (tmp_path / "runs").exists()


def test_an_unreachable_target_is_5_and_leaves_a_run_that_says_so(slokit, tmp_path):
    result = slokit(*HOST, "--json")
    assert result.code == ExitCode.TARGET
    assert '"verdict": null' in result.out
    assert "cannot connect to http://127.0.0.1:1" in result.out
    listed = slokit("runs", "list").out
    assert "NO VERDICT" in listed or "failed" in listed


def test_secrets_in_headers_are_not_written_down(slokit, tmp_path):
    slokit(*HOST, "--header", "X-Key: hunter2")
    for path in (tmp_path / "runs").rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes(), path


def test_a_store_that_cannot_be_written_is_74(slokit, tmp_path):
    (tmp_path / "file").write_text("")
    result = slokit(*HOST, "--runs", "file")
    assert result.code == ExitCode.STORE
    assert "cannot create" in result.err


def test_a_bug_is_70_in_one_line(slokit, tmp_path, monkeypatch):
    monkeypatch.setitem(COMMANDS, "scenarios", ("no_such_module", "broken"))
    result = slokit("scenarios")
    assert result.code == ExitCode.INTERNAL
    assert "internal error: ModuleNotFoundError" in result.err
    assert "Traceback" not in result.err
