"""From a command line's options to a warm service."""

import ctypes
import logging
import math
import time
from typing import TYPE_CHECKING

from reference_server.directory import load_directory
from reference_server.engines import Engine
from reference_server.engines.choice import Choice, create
from reference_server.errors import SetupError
from reference_server.metrics import Metrics
from reference_server.model import NAMED_SHAPES, Model, fingerprint
from reference_server.options import Options
from reference_server.protocol import Contract
from reference_server.scheduling import batch_limits
from reference_server.seeded import seeded_model
from reference_server.service import Service
from reference_server.settings import Settings
from reference_server.surgery import cut, with_layers
from reference_server.tokenizer import Tokenizer
from reference_server.work import Limits

if TYPE_CHECKING:
    from reference_server.shared_cache import SharedCache

log = logging.getLogger(__name__)

_WARM_TEXTS = ("你好", "今天的天气怎么样", "这是一段用来预热的比较长的文字" * 3)


def load_service(options: Options, choice: Choice, metrics: Metrics) -> Service:
    """Load or seed the model, build the engine, run a few texts; raises SetupError."""
    began = time.perf_counter()
    model = cut(_load_model(options), options.settings.layers, options.settings.pruning_ratio)
    tokenizer = Tokenizer(model.tokenizer, model.max_tokens, model.shape.vocabulary)
    engine = create(model, choice, options.threads)
    log.info("model loaded: %s in %.1f s", model.origin, time.perf_counter() - began)
    limits = batch_limits(options.settings, choice.device)
    _warm_up(engine, tokenizer, limits)
    facts = {**engine.describe(), **_describe(model), "batch_limits": limits._asdict()}
    facts["load_s"] = time.perf_counter() - began
    contract = Contract(
        options.model_name,
        model.shape.hidden,
        model.shape.vocabulary,
        options.settings.max_inputs,
    )
    student = _student(options, choice, model, tokenizer, limits)
    shared_cache = _shared_cache(options.settings, choice, model, metrics)
    del model
    _return_freed_memory()
    return Service(
        contract=contract,
        tokenizer=tokenizer,
        engine=engine,
        limits=limits,
        settings=options.settings,
        metrics=metrics,
        facts=facts,
        shared_cache=shared_cache,
        student=student,
    )


def _student(
    options: Options, choice: Choice, model: Model, tokenizer: Tokenizer, limits: Limits
) -> Engine | None:
    """Build and warm the smaller model of `degrade=small`."""
    if options.settings.degrade != "small":
        return None
    layers = options.settings.degrade_layers or max(1, model.shape.layers // 2)
    smaller = with_layers(model, layers)
    engine = create(smaller, choice, options.threads)
    _warm_up(engine, tokenizer, limits)
    log.info("under overload a student of %d layers answers", layers)
    return engine


def _shared_cache(
    settings: Settings, choice: Choice, model: Model, metrics: Metrics
) -> "SharedCache | None":
    """Prepare the second cache; servers that compute the same vectors share it."""
    if not settings.cache_url:
        return None
    try:
        from reference_server.shared_cache import SharedCache  # noqa: PLC0415  # an extra
    except ModuleNotFoundError as error:
        raise SetupError("cache_url needs redis-py; install the extra `redis`") from error
    return SharedCache(
        settings.cache_url,
        namespace=f"{fingerprint(model)} {choice.engine} {choice.precision}",
        dimension=model.shape.hidden,
        ttl_s=settings.cache_ttl_s or math.inf,
        timeout_s=settings.cache_timeout_ms / 1e3,
        metrics=metrics,
    )


def _describe(model: Model) -> dict[str, object]:
    shape = model.shape
    return {
        "weights": model.origin,
        "dimension": shape.hidden,
        "layers": shape.layers,
        "intermediate": shape.intermediate,
        "vocabulary": shape.vocabulary,
        "max_tokens": model.max_tokens,
        "pooling": model.pooling.value,
    }


def _return_freed_memory() -> None:
    """Give the pages of the float32 weights back: glibc keeps freed arrays (380 MB of them)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _load_model(options: Options) -> Model:
    if options.model is not None:
        return load_directory(options.model, options.model_name)
    log.warning(
        "no --model: seeded %s weights (seed %d), not a trained model; vectors carry no meaning",
        options.seeded_shape,
        options.seed,
    )
    return seeded_model(options.model_name, NAMED_SHAPES[options.seeded_shape], options.seed)


def _warm_up(engine: Engine, tokenizer: Tokenizer, limits: Limits) -> None:
    """Run one text alone, then a full batch, so that no user pays for first-time work."""
    texts = [tokenizer.encode(text) for text in _WARM_TEXTS]
    for ids in texts:
        engine.embed([ids])
    engine.embed([texts[1]] * max(1, min(limits.inputs, limits.tokens // len(texts[1]))))
