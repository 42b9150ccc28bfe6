"""Model directories: what loads gives the same vectors, what does not is refused in one line."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from reference_server.directory import check_directory, load_directory, read_pooling
from reference_server.engines.onnx import OnnxEngine
from reference_server.errors import SetupError
from reference_server.model import Model, Pooling

IDS = [[101, 500, 600, 102], [101, *range(700, 730), 102]]


def vectors(model: Model) -> np.ndarray:
    return OnnxEngine(model, precision="fp32", device="cpu", threads=1).embed(IDS)


def plain(directory: Path) -> None:
    """Leave it as it is."""


def shard(directory: Path) -> None:
    arrays = load_file(directory / "model.safetensors")
    names = sorted(arrays)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, keys in parts.items():
        save_file({key: arrays[key] for key in keys}, directory / file)
    index = {"weight_map": {key: file for file, keys in parts.items() for key in keys}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    (directory / "model.safetensors").unlink()


def old_names(directory: Path) -> None:
    arrays = load_file(directory / "model.safetensors")
    renamed = {
        key.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): array
        for key, array in arrays.items()
    }
    renamed["pooler.dense.bias"] = np.zeros(64, np.float32)
    save_file(renamed, directory / "model.safetensors")


@pytest.mark.parametrize("prefix", ["", "bert."], ids=["bare", "prefixed"])
@pytest.mark.parametrize("change", [plain, shard, old_names])
def test_layouts_load_alike(
    prefix: str,
    change: Callable[[Path], None],
    tmp_path: Path,
    tiny_model: Model,
    write_directory: Callable[..., Path],
) -> None:
    change(write_directory(tmp_path, tiny_model, prefix=prefix))
    loaded = load_directory(tmp_path, "m")
    assert (loaded.shape, loaded.pooling, loaded.max_tokens) == (
        tiny_model.shape, Pooling.CLS, 512,
    )  # fmt: skip
    assert loaded.tokenizer.vocabulary == tiny_model.tokenizer.vocabulary
    assert np.array_equal(vectors(loaded), vectors(tiny_model))


def test_fp16_files_are_read_as_they_are(
    tmp_path: Path, tiny_model: Model, write_directory: Callable[..., Path]
) -> None:
    rounded = {
        name: array.astype(np.float16).astype(np.float32)
        for name, array in tiny_model.weights.items()
    }
    write_directory(tmp_path, tiny_model, dtype=np.float16)
    expected = vectors(replace(tiny_model, weights=rounded))
    assert np.array_equal(vectors(load_directory(tmp_path, "m")), expected)


def test_bf16_files_are_read_as_torch_reads_them(tmp_path: Path, tiny_directory: Path) -> None:
    import torch
    from safetensors.torch import load_file as load_torch
    from safetensors.torch import save_file as save_torch

    for name in ("config.json", "vocab.txt"):
        (tmp_path / name).write_bytes((tiny_directory / name).read_bytes())
    arrays = load_torch(tiny_directory / "model.safetensors")
    halves = {key: array.to(torch.bfloat16) for key, array in arrays.items()}
    save_torch(halves, tmp_path / "model.safetensors")
    loaded = load_directory(tmp_path, "m").weights
    for name, array in halves.items():
        assert np.array_equal(loaded[name], array.float().numpy())


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        pytest.param({"pooling_mode_cls_token": True}, Pooling.CLS, id="cls"),
        pytest.param(
            {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True},
            Pooling.MEAN,
            id="mean",
        ),
        pytest.param({"pooling_mode": "mean"}, Pooling.MEAN, id="mean-by-name"),
    ],
)
@pytest.mark.parametrize("with_modules", [True, False])
def test_pooling_is_what_sentence_transformers_says(
    config: dict[str, object],
    pooling: Pooling,
    tmp_path: Path,
    with_modules: bool,  # noqa: FBT001
) -> None:
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(config))
    if with_modules:
        kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
        modules = [{"path": path, "type": f"sentence_transformers.models.{k}"} for path, k in kinds]
        (tmp_path / "modules.json").write_text(json.dumps(modules))
    assert read_pooling(tmp_path) is pooling


def edit_config(**changes: object) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        path = directory / "config.json"
        config = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))

    return change


def only_pickle(directory: Path) -> None:
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")


def no_weights(directory: Path) -> None:
    (directory / "model.safetensors").unlink()


def no_config(directory: Path) -> None:
    (directory / "config.json").unlink()


def broken_config(directory: Path) -> None:
    (directory / "config.json").write_text("{")


def list_config(directory: Path) -> None:
    (directory / "config.json").write_text("[]")


def no_vocabulary(directory: Path) -> None:
    (directory / "vocab.txt").unlink()


def lost_shard(directory: Path) -> None:
    shard(directory)
    (directory / "b.safetensors").unlink()


def shard_outside(directory: Path) -> None:
    no_weights(directory)
    index = {"weight_map": {"a": "../model.safetensors"}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))


def cut_weights(directory: Path) -> None:
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def lost_weight(directory: Path) -> None:
    path = directory / "model.safetensors"
    arrays = load_file(path)
    del arrays["encoder.layer.1.output.dense.bias"]
    save_file(arrays, path)


def int_weights(directory: Path) -> None:
    path = directory / "model.safetensors"
    arrays = load_file(path)
    arrays["embeddings.LayerNorm.bias"] = np.zeros(64, np.int32)
    save_file(arrays, path)


def max_pooling(directory: Path) -> None:
    (directory / "1_Pooling").mkdir()
    (directory / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true}')


def bad_modules(directory: Path) -> None:
    (directory / "modules.json").write_text('["Pooling"]')


def no_weight_map(directory: Path) -> None:
    no_weights(directory)
    (directory / "model.safetensors.index.json").write_text("{}")


def latin_vocabulary(directory: Path) -> None:
    (directory / "vocab.txt").write_bytes(b"caf\xe9")


def no_room(directory: Path) -> None:
    (directory / "sentence_bert_config.json").write_text('{"max_seq_length": 2}')


def dense_module(directory: Path) -> None:
    (directory / "modules.json").write_text('[{"path": "2_Dense", "type": "models.Dense"}]')


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            only_pickle, "only pytorch_model.bin is there, and loading a pickle", id="bin"
        ),
        pytest.param(no_weights, "model.safetensors is missing", id="no-weights"),
        pytest.param(no_config, "config.json: no such file", id="no-config"),
        pytest.param(broken_config, "config.json: cannot be read as JSON", id="broken-config"),
        pytest.param(list_config, "config.json: expected a JSON object", id="list-config"),
        pytest.param(no_vocabulary, "neither vocab.txt nor tokenizer.json", id="no-vocabulary"),
        pytest.param(lost_shard, "shard 'b.safetensors' is not in the directory", id="lost-shard"),
        pytest.param(shard_outside, "shard '../model.safetensors' is not in", id="shard-outside"),
        pytest.param(max_pooling, "pooling is ['max_tokens']; supported: cls", id="max-pooling"),
        pytest.param(bad_modules, "expected a list of objects with path and type", id="modules"),
        pytest.param(no_weight_map, "weight_map is missing", id="no-weight-map"),
        pytest.param(dense_module, "module Dense is not supported", id="dense-module"),
        pytest.param(
            edit_config(model_type="roberta"),
            "model_type is 'roberta'; supported: 'bert'",
            id="type",
        ),
        pytest.param(edit_config(model_type=None), "model_type is None", id="no-type"),
        pytest.param(edit_config(hidden_act="relu"), "hidden_act is 'relu'", id="activation"),
        pytest.param(edit_config(is_decoder=True), "is_decoder is True", id="decoder"),
        pytest.param(
            edit_config(position_embedding_type="relative_key"), "is 'relative_key'", id="positions"
        ),
        pytest.param(edit_config(hidden_size=None), "hidden_size is missing", id="no-size"),
        pytest.param(edit_config(hidden_size="wide"), "a size is not a number", id="word-size"),
        pytest.param(edit_config(num_attention_heads=5), "not a multiple of 5 heads", id="heads"),
    ],
)
def test_what_cannot_be_loaded_is_refused_before_the_port_opens(
    change: Callable[[Path], None],
    message: str,
    tmp_path: Path,
    tiny_model: Model,
    write_directory: Callable[..., Path],
) -> None:
    change(write_directory(tmp_path, tiny_model))
    with pytest.raises(SetupError) as refused:
        check_directory(tmp_path)
    assert message in str(refused.value)
    assert str(tmp_path) in str(refused.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(cut_weights, "not a safetensors file", id="cut"),
        pytest.param(lost_weight, "1 weights are missing, first 'encoder.layer.1.out", id="lost"),
        pytest.param(latin_vocabulary, "vocab.txt: cannot be read", id="vocabulary"),
        pytest.param(no_room, "max_seq_length is 2; allowed: 3 or more", id="sequence"),
        pytest.param(int_weights, "is I32; supported: F32, F16, BF16", id="integers"),
        pytest.param(edit_config(intermediate_size=256), "is (128,), expected (256,)", id="shape"),
    ],
)
def test_what_is_found_wrong_while_loading_is_named(
    change: Callable[[Path], None],
    message: str,
    tmp_path: Path,
    tiny_model: Model,
    write_directory: Callable[..., Path],
) -> None:
    change(write_directory(tmp_path, tiny_model))
    with pytest.raises(SetupError) as refused:
        load_directory(tmp_path, "m")
    assert message in str(refused.value)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="nowhere: no such directory"):
        check_directory(tmp_path / "nowhere")


def test_the_sequence_limit_of_sentence_transformers_holds(
    tmp_path: Path, tiny_model: Model, write_directory: Callable[..., Path]
) -> None:
    write_directory(tmp_path, tiny_model)
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 128}')
    assert load_directory(tmp_path, "m").max_tokens == 128
