"""Seeded weights and vocabulary: same bits everywhere, the layout of BERT-Chinese."""

import hashlib

import numpy as np
import pytest

from reference_server.model import GTE_BASE_ZH, TINY, Model, expected_weights
from reference_server.seeded import chinese_vocabulary, seeded_array, seeded_model


def test_the_bits_of_a_seed_are_fixed() -> None:
    """A golden hash: any machine and any NumPy must reproduce it."""
    array = seeded_array("encoder.layer.0.output.dense.weight", (5, 7), seed=0)
    digest = hashlib.sha256(array.astype("<f4").tobytes()).hexdigest()
    assert digest[:16] == "384efb7e98991a22"


def test_seeds_and_names_give_different_arrays() -> None:
    first = seeded_array("a.weight", (8, 8), seed=0)
    assert not np.array_equal(first, seeded_array("a.weight", (8, 8), seed=1))
    assert not np.array_equal(first, seeded_array("b.weight", (8, 8), seed=0))


@pytest.mark.parametrize(
    ("name", "std"),
    [
        pytest.param("encoder.layer.0.output.dense.weight", 0.02, id="dense"),
        pytest.param("encoder.layer.0.attention.self.query.weight", 0.06, id="attention"),
    ],
)
def test_matrices_look_normal(name: str, std: float) -> None:
    """Mean 0, the stated deviation, and tails close to a normal's: 4.55 % beyond 2 sigma."""
    values = seeded_array(name, (512, 512), seed=3) / std
    assert abs(values.mean()) < 0.01
    assert values.std() == pytest.approx(1, abs=0.01)
    assert np.mean(np.abs(values) > 2) == pytest.approx(0.0455, abs=0.005)


def test_layer_norms_are_neutral(tiny_model: Model) -> None:
    assert np.all(tiny_model.weights["embeddings.LayerNorm.weight"] == 1)
    assert np.all(tiny_model.weights["embeddings.LayerNorm.bias"] == 0)


def test_the_base_shape_has_the_parameters_of_bert_base() -> None:
    """101 677 056 without pooler: the published 102.3 M of bert-base-chinese less its pooler."""
    count = sum(int(np.prod(size)) for size in expected_weights(GTE_BASE_ZH).values())
    assert count == 102_267_648 - (768 * 768 + 768)


def test_the_vocabulary_is_laid_out_like_bert_chinese() -> None:
    vocabulary = chinese_vocabulary(21128)
    assert len(vocabulary) == len(set(vocabulary)) == 21128
    assert [vocabulary[i] for i in (0, 1, 99, 100, 101, 102, 103)] == [
        "[PAD]", "[unused1]", "[unused99]", "[UNK]", "[CLS]", "[SEP]", "[MASK]",
    ]  # fmt: skip
    common = set("的一是不了人我在有他这中大来上国今天气很好向量检索服务延迟")
    assert common <= set(vocabulary[:4100])
    assert {"a", "##z", "7", "##7", ",", "，", "。"} <= set(vocabulary)


def test_a_model_says_that_it_is_not_trained() -> None:
    assert seeded_model("m", TINY, seed=5).origin == "seeded:5 (not a trained model)"
