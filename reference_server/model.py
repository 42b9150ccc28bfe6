"""What a BERT encoder is: its shape, the names and shapes of its weights, how it pools."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Weights = Mapping[str, npt.NDArray[np.float32]]
"""Hugging Face names without the `bert.` prefix -> float32 arrays, matrices as [out, in]."""


class Pooling(StrEnum):
    """How token vectors become one vector; both are L2-normalised afterwards."""

    CLS = "cls"
    MEAN = "mean"


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a BERT encoder (post-LayerNorm, erf GELU, absolute positions)."""

    layers: int
    hidden: int
    heads: int
    intermediate: int
    vocabulary: int = 21128
    positions: int = 512
    types: int = 2
    layer_norm_eps: float = 1e-12

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden // self.heads


GTE_BASE_ZH = Shape(layers=12, hidden=768, heads=12, intermediate=3072)
"""The architecture of thenlper/gte-base-zh: BERT-base with the Chinese vocabulary."""

TINY = Shape(layers=2, hidden=64, heads=4, intermediate=128)
"""Small enough for unit tests; same vocabulary, positions and arithmetic."""

NAMED_SHAPES: Mapping[str, Shape] = {"base": GTE_BASE_ZH, "tiny": TINY}


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """A WordPiece tokenizer: a `tokenizer.json` text, or a vocabulary with BERT's switches."""

    vocabulary: tuple[str, ...] = ()
    json_text: str | None = None
    lowercase: bool = True
    strip_accents: bool | None = None
    split_chinese: bool = True


@dataclass(frozen=True, slots=True)
class Model:
    """Everything needed to turn texts into vectors, independent of any engine."""

    name: str
    origin: str
    shape: Shape
    weights: Weights
    pooling: Pooling
    tokenizer: TokenizerFiles
    max_tokens: int


def fingerprint(model: Model) -> str:
    """Hash what decides the vectors: weights, shape, pooling; some 0.3 s for the base shape."""
    digest = hashlib.blake2b(f"{model.shape} {model.pooling}".encode(), digest_size=16)
    for name in expected_weights(model.shape):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(model.weights[name]).data)
    return digest.hexdigest()


def expected_weights(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Name and shape of every array the encoder needs, in forward order.

    >>> expected_weights(TINY)["encoder.layer.0.intermediate.dense.weight"]
    (128, 64)
    """
    wide, narrow = shape.intermediate, shape.hidden
    arrays: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (shape.vocabulary, narrow),
        "embeddings.position_embeddings.weight": (shape.positions, narrow),
        "embeddings.token_type_embeddings.weight": (shape.types, narrow),
        **_layer_norm("embeddings.LayerNorm", narrow),
    }
    for layer in range(shape.layers):
        prefix = f"encoder.layer.{layer}."
        for part in ("query", "key", "value"):
            arrays |= _dense(f"{prefix}attention.self.{part}", narrow, narrow)
        arrays |= _dense(f"{prefix}attention.output.dense", narrow, narrow)
        arrays |= _layer_norm(f"{prefix}attention.output.LayerNorm", narrow)
        arrays |= _dense(f"{prefix}intermediate.dense", wide, narrow)
        arrays |= _dense(f"{prefix}output.dense", narrow, wide)
        arrays |= _layer_norm(f"{prefix}output.LayerNorm", narrow)
    return arrays


def _dense(name: str, out_width: int, in_width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out_width, in_width), f"{name}.bias": (out_width,)}


def _layer_norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}
