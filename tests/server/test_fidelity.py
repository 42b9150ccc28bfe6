"""What the fidelity command computes and prints."""

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


def test_the_command_prints_each_precision_and_class(
    tiny_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--model", str(tiny_directory), "--texts", "6"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7
    assert "int8 in batches  centred cosine min 0.9" in lines[3]
    assert "top-1 100.0%" in lines[3]
    assert lines[6].startswith("  long   50 characters, one at a time, n = 6: fp32 P50 ")


def test_the_command_refuses_what_the_server_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--model", str(tmp_path)]) == 2
    assert "config.json: no such file" in capsys.readouterr().err
