"""A model directory of Hugging Face or sentence-transformers, read without torch or pickle."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors

from reference_server.errors import SetupError
from reference_server.model import Model, Pooling, Shape, TokenizerFiles, Weights, expected_weights

Floats = npt.NDArray[np.float32]

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_SHORTEST = 3  # [CLS], one piece, [SEP]
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")


def check_directory(directory: Path) -> None:
    """Refuse, before anything slow, what cannot be loaded; raises SetupError."""
    if not directory.is_dir():
        raise SetupError(f"--model {directory}: no such directory")
    read_shape(directory)
    read_pooling(directory)
    _weight_files(directory)
    if not (directory / "vocab.txt").is_file() and not (directory / "tokenizer.json").is_file():
        raise SetupError(f"--model {directory}: neither vocab.txt nor tokenizer.json is there")


def load_directory(directory: Path, name: str) -> Model:
    """Read config, weights, tokenizer and pooling; raises SetupError that names the file."""
    check_directory(directory)
    shape = read_shape(directory)
    return Model(
        name=name,
        origin=f"directory {directory}",
        shape=shape,
        weights=read_weights(directory, shape),
        pooling=read_pooling(directory),
        tokenizer=read_tokenizer(directory),
        max_tokens=_max_tokens(directory, shape),
    )


def read_shape(directory: Path) -> Shape:
    """Read config.json; only what is computed faithfully is accepted."""
    path = directory / "config.json"
    config = _object(path)
    required: Mapping[str, object] = {
        "model_type": "bert",
        "hidden_act": "gelu",
        "position_embedding_type": "absolute",
        "is_decoder": False,
    }
    for key, wanted in required.items():
        got = config.get(key, None if key == "model_type" else wanted)
        if got != wanted:
            raise SetupError(f"{path}: {key} is {got!r}; supported: {wanted!r}")
    try:
        shape = Shape(
            layers=int(config["num_hidden_layers"]),
            hidden=int(config["hidden_size"]),
            heads=int(config["num_attention_heads"]),
            intermediate=int(config["intermediate_size"]),
            vocabulary=int(config["vocab_size"]),
            positions=int(config["max_position_embeddings"]),
            types=int(config.get("type_vocab_size", 2)),
            layer_norm_eps=float(config.get("layer_norm_eps", 1e-12)),
        )
    except KeyError as error:
        raise SetupError(f"{path}: {error.args[0]} is missing") from error
    except (TypeError, ValueError) as error:
        raise SetupError(f"{path}: a size is not a number: {error}") from error
    if min(shape.layers, shape.heads) < 1 or shape.hidden % shape.heads:
        raise SetupError(
            f"{path}: hidden_size {shape.hidden} is not a multiple of {shape.heads} heads"
        )
    return shape


def read_pooling(directory: Path) -> Pooling:
    """Find CLS or mean in sentence-transformers' files; CLS where nothing is said."""
    pooling_dir = directory / "1_Pooling"
    modules_path = directory / "modules.json"
    if modules_path.exists():
        for folder, kind in _modules(modules_path):
            if kind == "Pooling":
                pooling_dir = directory / folder
            elif kind not in ("Transformer", "Normalize"):
                raise SetupError(
                    f"{modules_path}: module {kind} is not supported; "
                    "supported: Transformer, Pooling, Normalize"
                )
    path = pooling_dir / "config.json"
    if not path.exists():
        return Pooling.CLS
    config = _object(path)
    modes = {key.removeprefix("pooling_mode_") for key, value in config.items() if value is True}
    modes &= {"cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "lasttoken"}
    if "pooling_mode" in config:
        modes = {str(config["pooling_mode"])}
    known = {
        frozenset({"cls_token"}): Pooling.CLS,
        frozenset({"cls"}): Pooling.CLS,
        frozenset({"mean_tokens"}): Pooling.MEAN,
        frozenset({"mean"}): Pooling.MEAN,
    }
    pooling = known.get(frozenset(modes))
    if pooling is None:
        raise SetupError(f"{path}: pooling is {sorted(modes)}; supported: cls_token or mean_tokens")
    return pooling


def _modules(path: Path) -> list[tuple[str, str]]:
    """Return folder and kind of each sentence-transformers module."""
    try:
        return [
            (str(module["path"]), str(module["type"]).rsplit(".", 1)[-1]) for module in _json(path)
        ]
    except (KeyError, TypeError) as error:
        raise SetupError(f"{path}: expected a list of objects with path and type") from error


def read_tokenizer(directory: Path) -> TokenizerFiles:
    """Take tokenizer.json, else vocab.txt with the switches of tokenizer_config.json."""
    whole = directory / "tokenizer.json"
    if whole.is_file():
        return TokenizerFiles(json_text=_text(whole))
    vocabulary = tuple(_text(directory / "vocab.txt").removesuffix("\n").split("\n"))
    config_path = directory / "tokenizer_config.json"
    config = _object(config_path) if config_path.exists() else {}
    return TokenizerFiles(
        vocabulary=vocabulary,
        lowercase=config.get("do_lower_case", True) is not False,
        strip_accents=config.get("strip_accents"),
        split_chinese=config.get("tokenize_chinese_chars", True) is not False,
    )


def read_weights(directory: Path, shape: Shape) -> Weights:
    """Read every array the encoder needs as float32; others (pooler, heads) are left out."""
    wanted = expected_weights(shape)
    found: dict[str, Floats] = {}
    for path in _weight_files(directory):
        for stored, tensor in _tensors(path):
            name = _canonical(stored)
            if name not in wanted:
                continue
            if tuple(tensor["shape"]) != wanted[name]:
                raise SetupError(
                    f"{path}: {stored} is {tuple(tensor['shape'])}, expected {wanted[name]}"
                )
            found[name] = _upcast(path, stored, tensor)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise SetupError(
            f"--model {directory}: {len(missing)} weights are missing, first {missing[0]!r}"
        )
    return found


def _max_tokens(directory: Path, shape: Shape) -> int:
    path = directory / "sentence_bert_config.json"
    if not path.exists():
        return shape.positions
    limit = _object(path).get("max_seq_length")
    if limit is None:
        return shape.positions
    if not isinstance(limit, int) or limit < _SHORTEST:
        raise SetupError(f"{path}: max_seq_length is {limit!r}; allowed: {_SHORTEST} or more")
    return min(shape.positions, limit)


def _weight_files(directory: Path) -> list[Path]:
    if (directory / _SINGLE).is_file():
        return [directory / _SINGLE]
    index = directory / _INDEX
    if index.is_file():
        weight_map = _object(index).get("weight_map")
        if not isinstance(weight_map, dict):
            raise SetupError(f"{index}: weight_map is missing")
        shards = sorted({str(shard) for shard in weight_map.values()})
        for shard in shards:
            if Path(shard).name != shard or not (directory / shard).is_file():
                raise SetupError(f"{index}: shard {shard!r} is not in the directory")
        return [directory / shard for shard in shards]
    pickled = next((name for name in _PICKLES if (directory / name).exists()), None)
    if pickled:
        raise SetupError(
            f"--model {directory}: only {pickled} is there, and loading a pickle runs the code "
            f"in it; convert it to {_SINGLE}"
        )
    raise SetupError(f"--model {directory}: {_SINGLE} is missing")


def _tensors(path: Path) -> list[tuple[str, dict[str, Any]]]:
    try:
        tensors: list[tuple[str, dict[str, Any]]] = safetensors.deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise SetupError(f"{path}: not a safetensors file: {error}") from error
    return sorted(tensors, key=lambda named: named[0])  # a fault names the same array each time


def _canonical(name: str) -> str:
    """Drop the `bert.` prefix and TensorFlow's names of a LayerNorm's arrays.

    >>> _canonical("bert.embeddings.LayerNorm.gamma")
    'embeddings.LayerNorm.weight'
    """
    name = name.removeprefix("bert.")
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
        "LayerNorm.beta", "LayerNorm.bias"
    )


_READERS: Mapping[str, Callable[[bytes], Floats]] = {
    "F32": lambda data: np.frombuffer(data, "<f4").astype(np.float32, copy=False),
    "F16": lambda data: np.frombuffer(data, "<f2").astype(np.float32),
    # bfloat16 is the upper half of a float32
    "BF16": lambda data: (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32),
}


def _upcast(path: Path, name: str, tensor: Mapping[str, Any]) -> Floats:
    reader = _READERS.get(tensor["dtype"])
    if reader is None:
        raise SetupError(f"{path}: {name} is {tensor['dtype']}; supported: {', '.join(_READERS)}")
    return reader(bytes(tensor["data"])).reshape(tensor["shape"])


def _object(path: Path) -> dict[str, Any]:
    value = _json(path)
    if not isinstance(value, dict):
        raise SetupError(f"{path}: expected a JSON object")
    return value


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise SetupError(f"{path}: cannot be read as JSON: {error}") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SetupError(f"{path}: no such file") from error
    except (UnicodeDecodeError, OSError) as error:
        raise SetupError(f"{path}: cannot be read: {error}") from error
