"""Smaller models cut out of a larger one. Without training afterwards they lose quality."""

from dataclasses import replace

from reference_server.errors import SetupError
from reference_server.model import Model, expected_weights


def with_layers(model: Model, layers: int) -> Model:
    """Keep `layers` of the encoder's layers, evenly spaced, the last one among them.

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


def kept_layers(there: int, kept: int) -> list[int]:
    """Choose the layers of a student.

    >>> kept_layers(12, 6), kept_layers(12, 4), kept_layers(3, 3)
    ([1, 3, 5, 7, 9, 11], [2, 5, 8, 11], [0, 1, 2])
    """
    return [(index + 1) * there // kept - 1 for index in range(kept)]
