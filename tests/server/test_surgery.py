"""Students are made of the teacher's own layers."""

from dataclasses import replace

import numpy as np
import pytest

from reference_server.engines.choice import Choice, create
from reference_server.errors import SetupError
from reference_server.model import TINY, Model
from reference_server.seeded import seeded_model
from reference_server.surgery import kept_layers, with_layers

FP32 = Choice("onnx", "fp32", "cpu")
TEXTS = [[101, 700, 800, 102], [101, 900, 102]]


@pytest.fixture(scope="module")
def four_layers() -> Model:
    return seeded_model("four", replace(TINY, layers=4), seed=0)


def test_a_student_of_all_layers_is_the_model(four_layers: Model) -> None:
    student = with_layers(four_layers, 4)
    assert student.shape == four_layers.shape
    assert all(student.weights[name] is array for name, array in four_layers.weights.items())


def test_a_student_holds_the_layers_it_keeps(four_layers: Model) -> None:
    student = with_layers(four_layers, 2)
    name = "attention.self.query.weight"
    for new, old in enumerate(kept_layers(4, 2)):
        kept = student.weights[f"encoder.layer.{new}.{name}"]
        assert kept is four_layers.weights[f"encoder.layer.{old}.{name}"]
    assert f"encoder.layer.2.{name}" not in student.weights
    vectors = create(student, FP32, threads=1).embed(TEXTS)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("layers", [0, 5])
def test_layers_that_are_not_there_are_refused(layers: int, four_layers: Model) -> None:
    with pytest.raises(SetupError, match=f"{layers} layers asked for; the model has 1 to 4"):
        with_layers(four_layers, layers)
