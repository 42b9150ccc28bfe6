"""What a precision, a student or pruning costs and gives: `python -m reference_server.fidelity`.

Vectors of random Chinese texts against those of the whole model in fp32, and the time of a pass.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reference_server.directory import load_directory
from reference_server.engines import Engine, Vectors
from reference_server.engines.choice import PRECISIONS, Choice, create
from reference_server.errors import SetupError
from reference_server.model import GTE_BASE_ZH, Model
from reference_server.seeded import seeded_model
from reference_server.surgery import cut
from reference_server.tokenizer import Tokenizer

CLASSES = {"short": 4, "medium": 20, "long": 50}
"""Characters of a text, by class."""

_BATCH = 8
_COMMON = "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多天而能好都然没日于起还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长"  # noqa: E501  # the hundred most common characters


@dataclass(frozen=True, slots=True)
class Agreement:
    """How near vectors are to the exact ones of the same texts.

    Cosines are taken after subtracting the mean of the exact vectors: raw ones stay near 1
    whenever all vectors share a direction. `top1_ratio` is the share of texts whose nearest
    exact vector is their own.
    """

    raw_cosine_min: float
    centred_cosine_min: float
    centred_cosine_mean: float
    top1_ratio: float


def agreement(exact: Vectors, other: Vectors) -> Agreement:
    """Compare two n x d arrays of unit vectors row by row, n >= 2.

    >>> exact = np.eye(3, dtype=np.float32)
    >>> agreement(exact, exact[[1, 0, 2]]).top1_ratio
    0.3333333333333333
    """
    raw, centred = _cosines(exact, other), _cosines(exact - exact.mean(0), other - exact.mean(0))
    found = np.argmax(other @ exact.T, axis=1)
    return Agreement(
        raw_cosine_min=float(raw.min()),
        centred_cosine_min=float(centred.min()),
        centred_cosine_mean=float(centred.mean()),
        top1_ratio=float(np.mean(found == np.arange(len(exact)))),
    )


def _cosines(left: Vectors, right: Vectors) -> Vectors:
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    products: Vectors = (left * right).sum(axis=1) / norms
    return products


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to compute: an engine's precision, on the model or on a part of it."""

    precision: str
    engine: str = "onnx"
    layers: int = 0
    pruning_ratio: float = 0.0

    def __str__(self) -> str:
        """Name it the way the settings do.

        >>> print(Variant("int8"), "/", Variant("int8", layers=6))
        onnx int8 / onnx int8 layers=6
        """
        layers = f" layers={self.layers}" if self.layers else ""
        pruning = f" pruning_ratio={self.pruning_ratio:g}" if self.pruning_ratio else ""
        return f"{self.engine} {self.precision}{layers}{pruning}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; returns the exit code."""
    parsed = _parser().parse_args(arguments)
    variants = [
        Variant("fp32"),
        Variant("int8"),
        *(
            Variant(precision, engine)
            for engine in parsed.engine
            for precision in PRECISIONS[engine, "cpu"]
        ),
        *(Variant("int8", layers=layers) for layers in parsed.layers),
        *(Variant("int8", pruning_ratio=ratio) for ratio in parsed.pruning_ratio),
    ]
    try:
        model = (
            load_directory(parsed.model, "model")
            if parsed.model
            else seeded_model("seeded-base", GTE_BASE_ZH, seed=0)
        )
        engines = {str(each): _engine(model, each, parsed.threads) for each in variants}
    except SetupError as error:
        print(f"fidelity: {error}", file=sys.stderr)  # noqa: T201
        return 2
    _print(
        f"{model.origin}: {parsed.texts} texts of 4 to 50 characters, {parsed.threads} thread(s)"
    )
    _report(engines, _samples(model, parsed.texts))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reference_server.fidelity", description=__doc__
    )
    add = parser.add_argument
    add("--model", type=Path, metavar="DIR", help="default: the seeded base shape")
    add("--texts", type=int, default=60, metavar="N", help="default: %(default)s")
    add("--threads", type=int, default=1, metavar="N", help="default: %(default)s")
    add("--engine", choices=("torch",), action="append", default=[], help="another engine, too")
    add("--layers", type=int, action="append", default=[], metavar="N", help="a student, too")
    add("--pruning-ratio", type=float, action="append", default=[], metavar="R", help="pruned, too")
    return parser


def _engine(model: Model, variant: Variant, threads: int) -> Engine:
    choice = Choice(variant.engine, variant.precision, "cpu")
    return create(cut(model, variant.layers, variant.pruning_ratio), choice, threads)


@dataclass(frozen=True, slots=True)
class _Samples:
    """Token ids: of all lengths, and of each class."""

    mixed: list[list[int]]
    classes: dict[str, list[list[int]]]


def _samples(model: Model, texts: int) -> _Samples:
    tokenizer = Tokenizer(model.tokenizer, model.max_tokens, model.shape.vocabulary)
    rng = np.random.default_rng(0)
    sizes = rng.integers(CLASSES["short"], CLASSES["long"] + 1, texts)
    return _Samples(
        [tokenizer.encode(_text(rng, int(size))) for size in sizes],
        {
            name: [tokenizer.encode(_text(rng, size)) for _ in range(texts)]
            for name, size in CLASSES.items()
        },
    )


def _report(engines: Mapping[str, Engine], samples: _Samples) -> None:
    """Print the agreement of each engine with the first, alone and in batches, and its time."""
    exact = _alone(next(iter(engines.values())), samples.mixed)
    _print("vectors against the first row's:")
    for name, engine in engines.items():
        for company, embed in (("alone", _alone), (f"in batches of {_BATCH}", _batched)):
            near = agreement(exact, embed(engine, samples.mixed))
            _print(
                f"  {name:28} {company:15} centred cosine min {near.centred_cosine_min:.4f} mean "
                f"{near.centred_cosine_mean:.4f}, raw min {near.raw_cosine_min:.4f}, "
                f"top-1 {near.top1_ratio:.1%}"
            )
    _print("one text at a time, ms, P50 (min):")
    times: dict[str, dict[str, list[float]]] = {
        text_class: {name: [] for name in engines} for text_class in CLASSES
    }
    for text_class, texts in samples.classes.items():
        for ids in texts:  # in turns, so that a busy machine is busy for all of them
            for name, engine in engines.items():
                times[text_class][name].append(_time_ms(engine, ids))
    for name in engines:
        shown = ", ".join(
            f"{text_class} {statistics.median(each[name]):.1f} ({min(each[name]):.1f})"
            for text_class, each in times.items()
        )
        _print(f"  {name:28} {shown}")


def _text(rng: np.random.Generator, size: int) -> str:
    return "".join(rng.choice(list(_COMMON), size))


def _alone(engine: Engine, texts: Sequence[list[int]]) -> Vectors:
    return np.concatenate([engine.embed([ids]) for ids in texts])


def _batched(engine: Engine, texts: Sequence[list[int]]) -> Vectors:
    starts = range(0, len(texts), _BATCH)
    return np.concatenate([engine.embed(texts[start : start + _BATCH]) for start in starts])


def _time_ms(engine: Engine, ids: list[int]) -> float:
    began = time.perf_counter()
    engine.embed([ids])
    return (time.perf_counter() - began) * 1e3


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # this is the command's output


if __name__ == "__main__":
    sys.exit(main())
