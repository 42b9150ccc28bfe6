"""Documentation cannot lie: the commands it shows are run, the names it needs are there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from slokit.cli import COMMANDS
from slokit.core.objective import parse_objective
from slokit.errors import ExitCode
from slokit.load.scenario import all_scenarios

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHORTER = {"run": ["--rate", "40rps", "--duration", "8s", "--warmup", "1s"]}
STARTS_A_SERVER = {"serve", "demo"}  # tests of their own


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def shown_commands():
    """Every `slokit ...` line of the README's shell blocks, in order."""
    lines = "\n".join(blocks(README, "sh")).splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.startswith("slokit ")]


def test_the_commands_of_the_readme_run_in_their_order(tiny_server, tmp_path):
    ran = []
    for words in shown_commands():
        name = words[1]
        if name in STARTS_A_SERVER:
            continue
        told = [w.replace("http://localhost:8000", tiny_server) for w in words[1:]]
        told = [tiny_server if w == "$SERVICE" else w for w in told] + SHORTER.get(name, [])
        done = subprocess.run(
            [sys.executable, "-m", "slokit", *told],
            cwd=tmp_path,
            env=os.environ | {"SERVICE": tiny_server},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        judged = {ExitCode.PASS, ExitCode.INCONCLUSIVE}  # 8 s hold little evidence
        assert done.returncode in judged, (told, done.stdout, done.stderr)
        ran.append(name)
    assert {"run", "runs", "report"} <= set(ran)
    assert (tmp_path / "junit.xml").exists()


def test_the_readme_names_every_command_scenario_and_exit_code():
    for name in COMMANDS:
        assert f"`slokit {name}`" in README, name
    for file in all_scenarios():
        assert f"`{file.name}`" in README, file.name
    table = README.partition("| exit code |")[2].partition("\n\n")[0]
    assert {int(n) for n in re.findall(r"\b\d{1,3}\b", table.replace("0)", ")"))} >= set(ExitCode)


def test_the_objectives_of_the_readme_are_read():
    forms = [
        form
        for line in blocks(README, "text")
        if "good(150ms)" in line and "baseline" in line
        for row in line.splitlines()
        for form in re.split(r"\s{3,}", row.strip())
        if form and not form.startswith("(with")
    ]
    assert len(forms) == 8
    for form in forms:
        assert parse_objective(form).expr


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/*.md")), ids=lambda path: path.name)
def test_the_commands_of_a_page_exist(path):
    text = path.read_text(encoding="utf-8")
    for line in "\n".join(blocks(text, "sh")).splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["slokit"]:
            assert words[1] in COMMANDS, line
        elif words[:1] == ["python"] and not words[1].startswith("-"):
            assert (ROOT / words[1]).exists(), line


def test_links_of_the_readme_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
