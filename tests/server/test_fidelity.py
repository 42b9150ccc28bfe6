"""What the fidelity command computes and prints."""

import re
from pathlib import Path

import numpy as np
import pytest

from reference_server.fidelity import agreement, main

EXACT = np.array([[0.6, 0.8], [0.8, 0.6], [1.0, 0.0]], np.float32)


def test_equal_vectors_agree() -> None:
    same = agreement(EXACT, EXACT)
    assert same.raw_cosine_min == pytest.approx(1)
    assert same.centred_cosine_min == pytest.approx(1)
    assert same.top1_ratio == 1


def test_a_shared_direction_does_not_hide_a_swap() -> None:
    """Two nearly equal vectors exchanged: raw cosines stay high, the others tell."""
    near = np.array([[1, 0.01], [1, -0.01], [1, 0.03]], np.float32)
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    swapped = agreement(near, near[[1, 0, 2]])
    assert swapped.raw_cosine_min > 0.999
    assert swapped.centred_cosine_min < 0
    assert swapped.top1_ratio == pytest.approx(1 / 3)


def test_the_command_prints_each_way_to_compute(
    tiny_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first row is the measure of the others; what is cut away costs agreement."""
    arguments = ["--texts", "12", "--layers", "1", "--pruning-ratio", "0.5", "--engine", "torch"]
    assert main(["--model", str(tiny_directory), *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    near = {
        (way, company): [float(number) for number in re.findall(r"-?\d\.\d{4}", line)]
        for line in lines[2:14]
        for way, company in re.findall(r"((?:onnx|torch) .*?)  +(alone|in batches of 8)", line)
    }
    ways = [
        "onnx fp32",
        "onnx int8",
        "torch fp32",
        "torch bf16",
        "onnx int8 layers=1",
        "onnx int8 pruning_ratio=0.5",
    ]
    assert list(near) == [
        (way, company) for way in ways for company in ("alone", "in batches of 8")
    ]
    centred_min = [near[way, "alone"][0] for way in ways]
    assert centred_min[0] == 1
    assert 0.97 < centred_min[1] < 1
    assert centred_min[2] == 1
    assert 0.97 < centred_min[3] < 1
    assert max(centred_min[4:]) < centred_min[1]
    times = [re.findall(r"(\w+) \d+\.\d \(\d+\.\d\)", line) for line in lines[15:]]
    assert times == [["short", "medium", "long"]] * 6


def test_the_command_refuses_what_the_server_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--model", str(tmp_path)]) == 2
    assert "config.json: no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--layers", "3"], "3 layers asked for; the model has 1 to 2", id="layers"),
        pytest.param(["--pruning-ratio", "1"], "pruning ratio 1; allowed: 0 to", id="pruning"),
    ],
)
def test_the_command_refuses_what_cannot_be_cut(
    arguments: list[str], message: str, tiny_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--model", str(tiny_directory), *arguments]) == 2
    assert message in capsys.readouterr().err
