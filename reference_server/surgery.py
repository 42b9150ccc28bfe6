"""Smaller models cut out of a larger one. Without training afterwards they lose quality."""

from dataclasses import replace

import numpy as np

from reference_server.errors import SetupError
from reference_server.model import Model, expected_weights

_STEP = 16
_OUT_OF_INNER = "output.dense.weight"


def cut(model: Model, layers: int, pruning_ratio: float) -> Model:
    """Apply both: `layers` 0 keeps all of them, `pruning_ratio` 0 all neurons."""
    return pruned(with_layers(model, layers or model.shape.layers), pruning_ratio)


def with_layers(model: Model, layers: int) -> Model:
    """Keep `layers` of the encoder's layers, evenly spaced from the first to the last.

    Raises SetupError for more layers than there are. The arrays are the same ones, not copies.
    """
    there = model.shape.layers
    if not 1 <= layers <= there:
        raise SetupError(f"{layers} layers asked for; the model has 1 to {there}")
    shape = replace(model.shape, layers=layers)
    kept = kept_layers(there, layers)
    weights = {}
    for name in expected_weights(shape):
        head, _, rest = name.removeprefix("encoder.layer.").partition(".")
        source = f"encoder.layer.{kept[int(head)]}.{rest}" if head.isdecimal() else name
        weights[name] = model.weights[source]
    return replace(model, shape=shape, weights=weights)


def pruned(model: Model, ratio: float) -> Model:
    """Remove about `ratio` (0 to below 1) of the inner neurons of each layer's feed-forward part.

    Structured magnitude pruning: the neurons whose weights in and out are smallest go, whole
    rows and columns, so that less is computed (zeros in a full matrix save nothing on a CPU or
    GPU). What is kept is a multiple of 16, which the matrix kernels like. Raises SetupError for
    another ratio.
    """
    if not 0 <= ratio < 1:
        raise SetupError(f"pruning ratio {ratio:g}; allowed: 0 to below 1")
    if ratio == 0:
        return model
    width = max(_STEP, round(model.shape.intermediate * (1 - ratio) / _STEP) * _STEP)
    weights = dict(model.weights)
    for layer in range(model.shape.layers):
        prefix = f"encoder.layer.{layer}."
        into, bias, out = (
            prefix + name
            for name in ("intermediate.dense.weight", "intermediate.dense.bias", _OUT_OF_INNER)
        )
        size = np.linalg.norm(weights[into], axis=1) * np.linalg.norm(weights[out], axis=0)
        kept = np.sort(np.argsort(-size, kind="stable")[:width])
        weights[into], weights[bias] = weights[into][kept], weights[bias][kept]
        weights[out] = np.ascontiguousarray(weights[out][:, kept])
    return replace(model, shape=replace(model.shape, intermediate=width), weights=weights)


def kept_layers(there: int, kept: int) -> list[int]:
    """Choose the layers of a student: the first, the last and evenly spaced ones between.

    The rule DistilBERT was started with (Sanh et al. 2019, its published extraction script).

    >>> kept_layers(12, 6), kept_layers(3, 3), kept_layers(12, 1)
    ([0, 2, 4, 7, 9, 11], [0, 1, 2], [11])
    """
    if kept == 1:
        return [there - 1]
    return [round(index * (there - 1) / (kept - 1)) for index in range(kept)]
