"""Vectors against transformers' BertModel on the same directory, and what packing changes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertModel

from reference_server.engines import Engine, Vectors
from reference_server.engines.choice import Available, Choice, choose, create
from reference_server.engines.onnx import OnnxEngine
from reference_server.errors import SetupError
from reference_server.model import GTE_BASE_ZH, Model, Pooling
from reference_server.onnx_graph import quantize_columns
from reference_server.seeded import seeded_model

ONNX_FP32 = Choice("onnx", "fp32", "cpu")
ONNX_INT8 = Choice("onnx", "int8", "cpu")
TORCH_FP32 = Choice("torch", "fp32", "cpu")
TORCH_BF16 = Choice("torch", "bf16", "cpu")


def random_texts(count: int, shortest: int, longest: int, seed: int = 1) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(shortest, longest + 1, count)
    return [[101, *rng.integers(300, 7000, length).tolist(), 102] for length in lengths]


def oracle_vectors(
    directory: Path, texts: Sequence[Sequence[int]], pooling: Pooling = Pooling.CLS
) -> Vectors:
    """transformers alone: one text a pass, no padding, fp32."""
    bert = BertModel.from_pretrained(directory, add_pooling_layer=False, dtype=torch.float32)
    bert.eval()
    rows = []
    with torch.inference_mode():
        for ids in texts:
            hidden = bert(torch.tensor([list(ids)])).last_hidden_state[0]
            rows.append(hidden[0] if pooling is Pooling.CLS else hidden.mean(0))
    stacked = torch.stack(rows)
    unit: Vectors = (stacked / stacked.norm(dim=1, keepdim=True)).numpy()
    return unit


def cosines(left: Vectors, right: Vectors, centre: Vectors | float = 0.0) -> Vectors:
    a, b = left - centre, right - centre
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def alone(engine: Engine, texts: Sequence[Sequence[int]]) -> Vectors:
    return np.concatenate([engine.embed([ids]) for ids in texts])


TEXTS = [[101, 102], *random_texts(10, 1, 60), *random_texts(1, 510, 510)]


@pytest.mark.parametrize("choice", [ONNX_FP32, TORCH_FP32], ids=["onnx", "torch"])
@pytest.mark.parametrize("pooling", list(Pooling))
def test_fp32_equals_transformers(
    choice: Choice, pooling: Pooling, tiny_directory: Path, tiny_model: Model
) -> None:
    """Cosine > 0.9999 each text, every coordinate within 1e-5."""
    model = _with_pooling(tiny_model, pooling)
    vectors = create(model, choice, threads=1).embed(TEXTS)
    expected = oracle_vectors(tiny_directory, TEXTS, pooling)
    assert vectors.dtype == np.float32
    assert cosines(vectors, expected).min() > 0.9999
    assert np.abs(vectors - expected).max() < 1e-5


def _with_pooling(model: Model, pooling: Pooling) -> Model:
    from dataclasses import replace

    return replace(model, pooling=pooling)


def test_the_full_shape_equals_transformers(tmp_path: Path, write_directory) -> None:
    """Twelve layers, CLS rows only in the last; int8 within its stated bounds.

    int8: centred cosine > 0.97 each text and every text finds itself first among all: raw
    cosines say little here, because untrained vectors all point roughly the same way.
    """
    model = seeded_model("base", GTE_BASE_ZH, seed=0)
    texts = random_texts(16, 4, 24)
    expected = oracle_vectors(write_directory(tmp_path, model), texts)
    vectors = create(model, ONNX_FP32, threads=2).embed(texts)
    assert cosines(vectors, expected).min() > 0.9999
    assert np.abs(vectors - expected).max() < 1e-4
    between = (expected @ expected.T)[~np.eye(len(texts), dtype=bool)]
    assert between.mean() < 0.9  # Hugging Face's own initialisation gives 0.98
    int8 = create(model, ONNX_INT8, threads=2).embed(texts)
    assert cosines(int8, expected, expected.mean(0)).min() > 0.97
    assert np.argmax(int8 @ expected.T, axis=1).tolist() == list(range(len(texts)))


@pytest.mark.parametrize(
    ("choice", "worst"),
    [
        pytest.param(ONNX_FP32, 0.999999, id="onnx-fp32"),
        pytest.param(ONNX_INT8, 0.97, id="onnx-int8"),
        pytest.param(TORCH_FP32, 0.999999, id="torch-fp32"),
        pytest.param(TORCH_BF16, 0.99, id="torch-bf16"),
    ],
)
def test_the_company_in_a_batch_changes_nothing(
    choice: Choice, worst: float, tiny_model: Model
) -> None:
    """A text's vector is the same alone and among others (centred cosine, a bound a precision)."""
    engine = create(tiny_model, choice, threads=1)
    single = alone(engine, TEXTS)
    assert cosines(engine.embed(TEXTS), single, single.mean(0)).min() > worst
    backwards = engine.embed(TEXTS[::-1])[::-1]
    assert cosines(backwards, single, single.mean(0)).min() > worst


@pytest.mark.parametrize("choice", [ONNX_INT8, TORCH_BF16], ids=["int8", "bf16"])
def test_reduced_precision_stays_near_fp32(choice: Choice, tiny_model: Model) -> None:
    texts = random_texts(40, 4, 50)
    exact = create(tiny_model, ONNX_FP32, threads=1).embed(texts)
    reduced = alone(create(tiny_model, choice, threads=1), texts)
    assert cosines(reduced, exact, exact.mean(0)).min() > 0.98
    assert np.argmax(reduced @ exact.T, axis=1).tolist() == list(range(40))


@pytest.mark.parametrize("choice", [ONNX_FP32, ONNX_INT8, TORCH_FP32, TORCH_BF16])
def test_vectors_have_length_one(choice: Choice, tiny_model: Model) -> None:
    vectors = create(tiny_model, choice, threads=1).embed(TEXTS)
    assert vectors.shape == (len(TEXTS), tiny_model.shape.hidden)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_seeded_vectors_are_usable(tiny_model: Model) -> None:
    """A text with one changed character stays nearer to itself than to any other."""
    texts = random_texts(30, 20, 20)
    nearby = [[*ids[:-2], 5000, 102] for ids in texts]
    engine = OnnxEngine(tiny_model, precision="fp32", device="cpu", threads=1)
    vectors, changed = engine.embed(texts), engine.embed(nearby)
    assert np.argmax(changed @ vectors.T, axis=1).tolist() == list(range(30))


def test_column_scales_bound_the_rounding_error() -> None:
    weight = np.random.default_rng(0).normal(size=(6, 9)).astype(np.float32)
    weight[2] = 0
    steps, scale = quantize_columns(weight, 127)
    assert np.all(np.abs(steps * scale - weight.T) <= scale * 0.5001)
    assert np.abs(steps).max() == 127
    assert np.abs(quantize_columns(weight, 63)[0]).max() == 63


NOTHING = Available(torch=False, torch_cuda=False, onnx_cuda=False)
CPU_TORCH = Available(torch=True, torch_cuda=False, onnx_cuda=False)
ONNX_CUDA = Available(torch=True, torch_cuda=False, onnx_cuda=True)
BOTH = Available(torch=True, torch_cuda=True, onnx_cuda=True)


@pytest.mark.parametrize(
    ("asked", "available", "decided"),
    [
        pytest.param(("auto", "auto", "auto"), NOTHING, ONNX_INT8, id="plain-cpu"),
        pytest.param(("auto", "fp32", "auto"), CPU_TORCH, ONNX_FP32, id="baseline-cpu"),
        pytest.param(("torch", "auto", "auto"), CPU_TORCH, TORCH_FP32, id="torch-cpu"),
        pytest.param(("torch", "bf16", "cpu"), BOTH, TORCH_BF16, id="cpu-by-name"),
        pytest.param(("auto", "auto", "auto"), BOTH, Choice("torch", "fp16", "cuda"), id="gpu"),
        pytest.param(("auto", "fp32", "cuda"), BOTH, Choice("torch", "fp32", "cuda"), id="gpu-32"),
        pytest.param(
            ("auto", "auto", "auto"), ONNX_CUDA, Choice("onnx", "fp32", "cuda"), id="gpu-onnx"
        ),
        pytest.param(
            ("onnx", "auto", "cuda"), BOTH, Choice("onnx", "fp32", "cuda"), id="gpu-onnx-by-name"
        ),
        pytest.param(("auto", "auto", "cpu"), BOTH, ONNX_INT8, id="gpu-unwanted"),
    ],
)
def test_what_computes_is_decided_once(
    asked: tuple[str, str, str], available: Available, decided: Choice
) -> None:
    assert choose(*asked, available) == decided


@pytest.mark.parametrize(
    ("asked", "available", "message"),
    [
        pytest.param(("torch", "auto", "auto"), NOTHING, "needs PyTorch", id="no-torch"),
        pytest.param(("auto", "auto", "cuda"), CPU_TORCH, "no CUDA device", id="no-gpu"),
        pytest.param(("torch", "auto", "cuda"), ONNX_CUDA, "no CUDA device", id="no-torch-gpu"),
        pytest.param(("onnx", "bf16", "cpu"), NOTHING, "allowed: int8, fp32", id="precision"),
        pytest.param(("torch", "int8", "cpu"), BOTH, "allowed: fp32, bf16", id="torch-int8"),
    ],
)
def test_what_cannot_run_is_refused(
    asked: tuple[str, str, str], available: Available, message: str
) -> None:
    with pytest.raises(SetupError, match=message):
        choose(*asked, available)
