"""What users get: the built wheel, in a fresh environment, run from an empty directory."""

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.wheel]


def run(*words, cwd=None, code=0, **options):
    done = subprocess.run(
        [str(w) for w in words],
        check=False,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        **options,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The `bin` folder of an environment that holds the wheel with its server extra, no more."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT)
    wheel = next(folder.glob("*.whl"))
    venv.create(folder / "venv", with_pip=True)
    binary = folder / "venv" / "bin"
    pip = (binary / "python", "-m", "pip", "--quiet", "--disable-pip-version-check")
    constraints = ROOT / "constraints.txt"
    run(*pip, "install", "--constraint", constraints, f"{wheel}[server]")
    return binary


@pytest.fixture
def server(installed, tmp_path):
    """A warm reference server from the wheel; gives its URL."""
    words = [installed / "slokit", "serve", "--port", "0", "--seeded-shape", "tiny"]
    with subprocess.Popen(
        [*map(str, words), "--stop-on-stdin-close"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        url = process.stdout.readline().removeprefix("listening on ").strip()
        assert process.stdout.readline() == "ready\n"
        yield url
        process.stdin.close()
        assert process.wait(20) == 0


def test_run_from_an_empty_directory_passes_with_a_verdict(installed, server, tmp_path):
    cwd = tmp_path / "empty"
    cwd.mkdir()
    load = ("--rate", "60rps", "--duration", "15s", "--seed", "1")
    slo = ("--slo", "p95 <= 1s", "--slo", "errors <= 2%")
    words = (installed / "slokit", "run", "short", "--host", server, *load, *slo, "--json")
    done = run(*words, "--report", "out.md", "--report", "junit.xml", cwd=cwd)
    document = json.loads(done.stdout)
    assert document["verdict"] == "pass"
    assert document["summary"]["short"]["count"] > 400
    assert document["generator"]["valid"] is True
    assert document["environment"]["weights"].startswith("seeded")
    folder = cwd / document["paths"]["run"]
    assert {"run.json", "verdict.json", "series.parquet", "samples-0.parquet"} <= {
        path.name for path in folder.iterdir()
    }
    assert "PASS" in (cwd / "out.md").read_text(encoding="utf-8")


def test_a_promise_that_is_broken_ends_with_1(installed, server, tmp_path):
    load = ("--rate", "60rps", "--duration", "12s")
    words = (installed / "slokit", "run", "short", "--host", server, *load)
    done = run(*words, "--slo", "p95 <= 10us", "--quiet", cwd=tmp_path, code=1)
    assert "above" in done.stdout


def test_the_plain_locust_command_runs_a_packaged_scenario(installed, server, tmp_path):
    found = run(installed / "slokit", "scenarios", "--json", cwd=tmp_path).stdout
    path = next(s["path"] for s in json.loads(found)["scenarios"] if s["name"] == "short")
    words = (installed / "locust", "-f", path, "--headless", "--host", server, "-t", "4s")
    run(*words, cwd=tmp_path)


@pytest.mark.parametrize("name", ["run", "compare"])
def test_the_schemas_are_in_the_wheel(installed, tmp_path, name):
    code = f"from slokit.report.document import read_schema; print(read_schema({name!r})['type'])"
    assert run(installed / "python", "-c", code, cwd=tmp_path).stdout == "object\n"


def test_no_torch_is_needed(installed):
    run(installed / "python", "-c", "import torch", code=1)
