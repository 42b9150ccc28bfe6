"""Students are made of the teacher's own layers."""

from dataclasses import replace

import numpy as np
import pytest

from reference_server.engines.choice import Choice, create
from reference_server.errors import SetupError
from reference_server.model import TINY, Model
from reference_server.seeded import seeded_model
from reference_server.surgery import cut, pruned, with_layers

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
    for new, old in enumerate([0, 3]):
        kept = student.weights[f"encoder.layer.{new}.{name}"]
        assert kept is four_layers.weights[f"encoder.layer.{old}.{name}"]
    assert f"encoder.layer.2.{name}" not in student.weights
    vectors = create(student, FP32, threads=1).embed(TEXTS)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("layers", [0, 5])
def test_layers_that_are_not_there_are_refused(layers: int, four_layers: Model) -> None:
    with pytest.raises(SetupError, match=f"{layers} layers asked for; the model has 1 to 4"):
        with_layers(four_layers, layers)


def test_nothing_cut_is_the_model(four_layers: Model) -> None:
    assert cut(four_layers, 0, 0.0).shape == four_layers.shape


def test_the_weakest_neurons_go(four_layers: Model) -> None:
    """Neurons made weak on purpose are those that go; the rest stays in its order."""
    rng = np.random.default_rng(0)
    weak = np.sort(rng.choice(TINY.intermediate, 32, replace=False))
    strong = np.setdiff1d(np.arange(TINY.intermediate), weak)
    weights = dict(four_layers.weights)
    into = "encoder.layer.1.intermediate.dense.weight"
    out = "encoder.layer.1.output.dense.weight"
    weights[into] = weights[into].copy()
    weights[into][weak] *= 1e-6
    smaller = pruned(replace(four_layers, weights=weights), 0.25)
    assert smaller.shape.intermediate == 96
    assert np.array_equal(smaller.weights[into], weights[into][strong])
    assert np.array_equal(smaller.weights[out], weights[out][:, strong])
    assert smaller.weights["encoder.layer.1.intermediate.dense.bias"].shape == (96,)


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_neurons_without_weight_are_not_missed(engine: str, four_layers: Model) -> None:
    """Where the pruned neurons gave nothing, the vectors are the same."""
    weights = dict(four_layers.weights)
    for layer in range(4):
        name = f"encoder.layer.{layer}.output.dense.weight"
        weights[name] = weights[name].copy()
        weights[name][:, 16:80] = 0
    whole = replace(four_layers, weights=weights)
    choice = Choice(engine, "fp32", "cpu")
    smaller = create(pruned(whole, 0.5), choice, threads=1).embed(TEXTS)
    assert np.abs(smaller - create(whole, choice, threads=1).embed(TEXTS)).max() < 1e-6


@pytest.mark.parametrize(
    ("ratio", "width"),
    [(0.0, 128), (0.05, 128), (0.1, 112), (0.5, 64), (0.95, 16)],
)
def test_what_is_kept_is_a_multiple_of_16(ratio: float, width: int, four_layers: Model) -> None:
    assert pruned(four_layers, ratio).shape.intermediate == width
