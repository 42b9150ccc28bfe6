"""From a command line's options to a warm service."""

import logging
import time
from typing import TYPE_CHECKING

from reference_server.batcher import Limits
from reference_server.directory import load_directory
from reference_server.engines import Engine
from reference_server.engines.choice import Choice, create
from reference_server.metrics import Metrics
from reference_server.model import NAMED_SHAPES, Model
from reference_server.protocol import Contract
from reference_server.seeded import seeded_model
from reference_server.service import Service, make_scheduler
from reference_server.settings import Settings
from reference_server.tokenizer import Tokenizer

if TYPE_CHECKING:
    from reference_server.cli import Options

log = logging.getLogger(__name__)

_WARM_TEXTS = ("你好", "今天的天气怎么样", "这是一段用来预热的比较长的文字" * 3)


def load_service(options: "Options", choice: Choice, metrics: Metrics) -> Service:
    """Load or seed the model, build the engine, run a few texts; raises SetupError."""
    began = time.perf_counter()
    model = _load_model(options)
    tokenizer = Tokenizer(model.tokenizer, model.max_tokens)
    engine = create(model, choice, options.threads)
    log.info("model loaded: %s in %.1f s", model.origin, time.perf_counter() - began)
    _warm_up(engine, tokenizer, options.settings)
    scheduler = make_scheduler(options.settings, engine, metrics.observe_batch)
    shape = model.shape
    return Service(
        contract=Contract(
            options.model_name, shape.hidden, shape.vocabulary, options.settings.max_inputs
        ),
        tokenizer=tokenizer,
        scheduler=scheduler,
        settings=options.settings,
        metrics=metrics,
        facts={
            **engine.describe(),
            "weights": model.origin,
            "dimension": shape.hidden,
            "layers": shape.layers,
            "vocabulary": shape.vocabulary,
            "max_tokens": model.max_tokens,
            "pooling": model.pooling.value,
            "load_s": time.perf_counter() - began,
        },
    )


def _load_model(options: "Options") -> Model:
    if options.model is not None:
        return load_directory(options.model, options.model_name)
    log.warning(
        "no --model: seeded %s weights (seed %d), not a trained model; vectors carry no meaning",
        options.seeded_shape,
        options.seed,
    )
    return seeded_model(options.model_name, NAMED_SHAPES[options.seeded_shape], options.seed)


def _warm_up(engine: Engine, tokenizer: Tokenizer, settings: Settings) -> None:
    """Run one text alone, then a full batch, so that no user pays for first-time work."""
    texts = [tokenizer.encode(text) for text in _WARM_TEXTS]
    for ids in texts:
        engine.embed([ids])
    if settings.batching == "dynamic":
        limits = Limits(settings.max_batch_inputs, settings.max_batch_tokens)
        engine.embed([texts[1]] * max(1, min(limits.inputs, limits.tokens // len(texts[1]))))
