"""The encoder as an ONNX graph, built from the weights: no torch, no export, no padding.

All tokens of a batch are the rows of one matrix; a mask keeps each text to itself in attention.
With CLS pooling the last layer computes keys and values for all rows, the rest for [CLS] only.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from reference_server.model import Model, Pooling

Array = npt.NDArray[Any]

_OPSET = 20
_MICROSOFT = "com.microsoft"
_MASKED = -1e9
_INLINE_BYTES = 1024
"""Larger arrays stay outside the protobuf, which cannot grow past 2 GB."""


@dataclass(slots=True)
class _Graph:
    """Nodes and constants under construction; every method returns the name of a value."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    def constant(self, name: str, value: Array) -> str:
        self.constants[name] = np.ascontiguousarray(value)
        return name

    def axes(self, *values: int) -> str:
        return self.constant(f"i64{values}", np.array(values, np.int64))

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        return self.add_many(operator, 1, *inputs, domain=domain, **attributes)[0]

    def add_many(
        self, operator: str, outputs: int, *inputs: str, domain: str = "", **attributes: Any
    ) -> list[str]:
        names = [f"{operator}_{len(self.nodes)}.{index}" for index in range(outputs)]
        self.nodes.append(
            helper.make_node(operator, list(inputs), names, domain=domain, **attributes)
        )
        return names


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """A serialised graph and the large arrays it refers to by name."""

    graph: bytes
    arrays: dict[str, Array]


def build_onnx(model: Model, *, int8: bool, weight_levels: int = 127) -> OnnxModel:
    """Build the graph of `model`; with `int8`, matrices run in 8 bits.

    Inputs: int64 `ids`, `positions`, `segments` of T tokens, int64 `starts` and `lengths` of
    B texts (as in PackedBatch). Output: float32 `vectors`, B x hidden, each of length 1.
    Weights are rounded to +-`weight_levels` steps an output column, activations to 8 bits a
    pass (asymmetric, range found at run time).
    """
    encoder = _Encoder(_Graph(), model, int8, weight_levels)
    encoder.build()
    return _serialise(encoder.graph, model.shape.hidden)


@dataclass(slots=True)
class _Encoder:
    graph: _Graph
    model: Model
    int8: bool
    weight_levels: int

    def build(self) -> None:
        """Emit the whole forward pass, ending in the value `vectors`."""
        g, last = self.graph, self.model.shape.layers - 1
        rows, mask = self._embeddings(), self._mask()
        for layer in range(last):
            rows = self._layer(layer, rows, rows, mask)
        if self.model.pooling is Pooling.CLS:
            pooled = self._layer(
                last, rows, g.add("Gather", rows, "starts"), g.add("Gather", mask, "starts")
            )
        else:
            pooled = self._mean(self._layer(last, rows, rows, mask))
        g.add("LpNormalization", pooled, axis=-1, p=2)
        g.nodes[-1].output[0] = "vectors"

    def _embeddings(self) -> str:
        g = self.graph
        words = g.add("Gather", self._weight("embeddings.word_embeddings.weight"), "ids")
        places = g.add("Gather", self._weight("embeddings.position_embeddings.weight"), "positions")
        kinds = self.model.weights["embeddings.token_type_embeddings.weight"]
        total = g.add("Add", g.add("Add", words, places), g.constant("type_0", kinds[0]))
        return self._layer_norm(total, "embeddings.LayerNorm")

    def _mask(self) -> str:
        """Return T x T: 0 within a text, very negative between texts."""
        g = self.graph
        row = g.add("Unsqueeze", "segments", g.axes(0))
        column = g.add("Unsqueeze", "segments", g.axes(1))
        same = g.add("Equal", row, column)
        inside = g.constant("zero", np.array(0, np.float32))
        outside = g.constant("masked", np.array(_MASKED, np.float32))
        return g.add("Where", same, inside, outside)

    def _layer(self, layer: int, rows: str, wanted: str, mask: str) -> str:
        """Run one layer: attend from the `wanted` rows to all `rows`; `mask` is wanted x rows."""
        g, prefix = self.graph, f"encoder.layer.{layer}."
        query, key, value = self._project(prefix, rows, wanted)
        heads = g.constant(
            "heads", np.array([0, self.model.shape.heads, self.model.shape.head_size], np.int64)
        )
        query = g.add("Transpose", g.add("Reshape", query, heads), perm=[1, 0, 2])
        key = g.add("Transpose", g.add("Reshape", key, heads), perm=[1, 2, 0])
        value = g.add("Transpose", g.add("Reshape", value, heads), perm=[1, 0, 2])
        scores = g.add("Add", g.add("MatMul", query, key), mask)
        mixed = g.add("MatMul", g.add("Softmax", scores, axis=-1), value)
        mixed = g.add("Transpose", mixed, perm=[1, 0, 2])
        mixed = g.add("Reshape", mixed, g.axes(0, self.model.shape.hidden))
        attended = g.add("Add", self._dense(mixed, f"{prefix}attention.output.dense"), wanted)
        attended = self._layer_norm(attended, f"{prefix}attention.output.LayerNorm")
        inner = self._dense(attended, f"{prefix}intermediate.dense")
        inner = g.add("Gelu", inner, domain=_MICROSOFT)
        outer = g.add("Add", self._dense(inner, f"{prefix}output.dense"), attended)
        return self._layer_norm(outer, f"{prefix}output.LayerNorm")

    def _project(self, prefix: str, rows: str, wanted: str) -> tuple[str, str, str]:
        """Return query, key and value: one matrix when all rows are wanted."""
        parts = {
            part: self._matrix(f"{prefix}attention.self.{part}")
            for part in ("query", "key", "value")
        }
        scale = np.float32(1 / math.sqrt(self.model.shape.head_size))
        parts["query"] = (parts["query"][0] * scale, parts["query"][1] * scale)
        if wanted == rows:
            query, key, value = self._stacked(rows, f"{prefix}qkv", list(parts.values()))
            return query, key, value
        (query,) = self._stacked(wanted, f"{prefix}q", [parts["query"]])
        key, value = self._stacked(rows, f"{prefix}kv", [parts["key"], parts["value"]])
        return query, key, value

    def _stacked(self, rows: str, name: str, parts: list[tuple[Array, Array]]) -> list[str]:
        weight = np.concatenate([weight for weight, _ in parts])
        bias = np.concatenate([bias for _, bias in parts])
        product = self._linear(rows, name, weight, bias)
        if len(parts) == 1:
            return [product]
        sizes = self.graph.axes(*(len(bias) for _, bias in parts))
        return self.graph.add_many("Split", len(parts), product, sizes, axis=1)

    def _dense(self, rows: str, name: str) -> str:
        return self._linear(rows, name, *self._matrix(name))

    def _linear(self, rows: str, name: str, weight: Array, bias: Array) -> str:
        """Return rows @ weight.T + bias; `weight` is [out, in]."""
        g = self.graph
        bias_name = g.constant(f"{name}.bias", bias)
        if not self.int8:
            return g.add("Gemm", rows, g.constant(f"{name}.weight", weight), bias_name, transB=1)
        steps, scale = quantize_columns(weight, self.weight_levels)
        return g.add(
            "DynamicQuantizeMatMul",
            rows,
            g.constant(f"{name}.steps", steps),
            g.constant(f"{name}.scale", scale),
            "",  # zero point of the weights: none, they are symmetric
            bias_name,
            domain=_MICROSOFT,
        )

    def _mean(self, rows: str) -> str:
        """Average the rows of each text: a B x T matrix of 1/length times the rows."""
        g = self.graph
        texts = g.add(
            "Range",
            g.constant("first", np.array(0, np.int64)),
            g.add("Size", "lengths"),
            g.constant("step", np.array(1, np.int64)),
        )
        texts = g.add("Unsqueeze", texts, g.axes(1))
        member = g.add("Equal", texts, g.add("Unsqueeze", "segments", g.axes(0)))
        member = g.add("Cast", member, to=TensorProto.FLOAT)
        lengths = g.add("Cast", g.add("Unsqueeze", "lengths", g.axes(1)), to=TensorProto.FLOAT)
        return g.add("MatMul", g.add("Div", member, lengths), rows)

    def _layer_norm(self, rows: str, name: str) -> str:
        return self.graph.add(
            "LayerNormalization",
            rows,
            self._weight(f"{name}.weight"),
            self._weight(f"{name}.bias"),
            axis=-1,
            epsilon=self.model.shape.layer_norm_eps,
        )

    def _matrix(self, name: str) -> tuple[Array, Array]:
        return self.model.weights[f"{name}.weight"], self.model.weights[f"{name}.bias"]

    def _weight(self, name: str) -> str:
        return self.graph.constant(name, self.model.weights[name])


def quantize_columns(
    weight: Array, levels: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Round an [out, in] matrix to int8 steps [in, out] and one scale an output column.

    weight.T is about steps * scale, off by at most half a scale.

    >>> quantize_columns(np.array([[1.0, -0.5], [0.0, 0.0]], np.float32), 127)[0].tolist()
    [[127, 0], [-64, 0]]
    """
    scale = np.abs(weight).max(axis=1).astype(np.float32) / np.float32(levels)
    scale[scale == 0] = 1  # a column of zeros stays zeros
    steps = np.rint(weight / scale[:, None]).astype(np.int8)
    return np.ascontiguousarray(steps.T), scale


def _serialise(g: _Graph, hidden: int) -> OnnxModel:
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, [size])
        for name, size in (
            ("ids", "T"),
            ("positions", "T"),
            ("segments", "T"),
            ("starts", "B"),
            ("lengths", "B"),
        )
    ]
    output = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["B", hidden])
    outside = {key: each for key, each in g.constants.items() if each.nbytes > _INLINE_BYTES}
    initializers = [
        _external(name, value) if name in outside else onnx.numpy_helper.from_array(value, name)
        for name, value in g.constants.items()
    ]
    graph = helper.make_graph(g.nodes, "bert", inputs, [output], initializers)
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    return OnnxModel(model.SerializeToString(), outside)


def _external(name: str, value: Array) -> TensorProto:
    """Declare an array that the session receives in memory, under its name."""
    tensor = TensorProto(
        name=name,
        data_type=helper.np_dtype_to_tensor_dtype(value.dtype),
        dims=value.shape,
        data_location=TensorProto.EXTERNAL,
    )
    for key, text in (("location", "memory"), ("offset", "0"), ("length", str(value.nbytes))):
        tensor.external_data.add(key=key, value=text)
    return tensor
