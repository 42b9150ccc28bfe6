"""What a precision costs and gives: `python -m reference_server.fidelity`.

Vectors of random Chinese texts in each precision against fp32, and the time of one pass.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reference_server.directory import load_directory
from reference_server.engines import Engine, Vectors
from reference_server.engines.choice import Choice, create
from reference_server.errors import SetupError
from reference_server.model import GTE_BASE_ZH, Model
from reference_server.seeded import seeded_model
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both tables; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m reference_server.fidelity", description=__doc__
    )
    parser.add_argument("--model", type=Path, metavar="DIR", help="default: the seeded base shape")
    parser.add_argument("--texts", type=int, default=60, metavar="N", help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="default: %(default)s")
    parsed = parser.parse_args(arguments)
    try:
        model = (
            load_directory(parsed.model, "model")
            if parsed.model
            else seeded_model("seeded-base", GTE_BASE_ZH, seed=0)
        )
    except SetupError as error:
        print(f"fidelity: {error}", file=sys.stderr)  # noqa: T201
        return 2
    _report(model, parsed.texts, parsed.threads)
    return 0


def _report(model: Model, texts: int, threads: int) -> None:
    tokenizer = Tokenizer(model.tokenizer, model.max_tokens, model.shape.vocabulary)
    rng = np.random.default_rng(0)
    sizes = rng.integers(CLASSES["short"], CLASSES["long"] + 1, texts)
    samples = [tokenizer.encode(_text(rng, int(size))) for size in sizes]
    engines = {
        precision: create(model, Choice("onnx", precision, "cpu"), threads)
        for precision in ("fp32", "int8")
    }
    exact = _alone(engines["fp32"], samples)
    _print(f"{model.origin}: {texts} texts of 4 to 50 characters, {threads} thread(s)")
    for name, vectors in (
        ("fp32 in batches", _batched(engines["fp32"], samples)),
        ("int8 alone", _alone(engines["int8"], samples)),
        ("int8 in batches", _batched(engines["int8"], samples)),
    ):
        near = agreement(exact, vectors)
        _print(
            f"  {name:16} centred cosine min {near.centred_cosine_min:.4f} "
            f"mean {near.centred_cosine_mean:.4f}, raw min {near.raw_cosine_min:.4f}, "
            f"top-1 {near.top1_ratio:.1%}"
        )
    for text_class, size in CLASSES.items():
        ids = [tokenizer.encode(_text(rng, size)) for _ in range(texts)]
        times = {precision: _times_ms(engine, ids) for precision, engine in engines.items()}
        shown = ", ".join(
            f"{precision} P50 {statistics.median(each):.1f} ms (min {min(each):.1f})"
            for precision, each in times.items()
        )
        _print(f"  {text_class:6} {size:2} characters, one at a time, n = {texts}: {shown}")


def _text(rng: np.random.Generator, size: int) -> str:
    return "".join(rng.choice(list(_COMMON), size))


def _alone(engine: Engine, texts: Sequence[list[int]]) -> Vectors:
    return np.concatenate([engine.embed([ids]) for ids in texts])


def _batched(engine: Engine, texts: Sequence[list[int]]) -> Vectors:
    starts = range(0, len(texts), _BATCH)
    return np.concatenate([engine.embed(texts[start : start + _BATCH]) for start in starts])


def _times_ms(engine: Engine, texts: Sequence[list[int]]) -> list[float]:
    times = []
    for ids in texts:
        began = time.perf_counter()
        engine.embed([ids])
        times.append((time.perf_counter() - began) * 1e3)
    return times


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # this is the command's output


if __name__ == "__main__":
    sys.exit(main())
