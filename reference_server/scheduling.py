"""Which scheduler runs the engine, and with what limits: the settings decide."""

from reference_server.batcher import DynamicBatcher
from reference_server.engines import Engine
from reference_server.settings import Settings
from reference_server.threads import ThreadPerRequest
from reference_server.work import BatchObserver, Limits, Relief

Scheduler = DynamicBatcher | ThreadPerRequest


def batch_limits(settings: Settings, device: str) -> Limits:
    """Resolve the size of a batch: a CPU gains nothing beyond some 100 tokens, a GPU does."""
    inputs, tokens = (512, 16384) if device == "cuda" else (16, 128)
    return Limits(
        settings.max_batch_inputs or inputs,
        settings.max_batch_tokens or tokens,
        settings.max_wait_ms / 1e3,
    )


def make_scheduler(
    settings: Settings,
    engine: Engine,
    limits: Limits,
    on_batch: BatchObserver,
    student: Engine | None = None,
) -> Scheduler:
    """Build the scheduler that `settings.batching` names, running.

    `student` takes over while more than `settings.degrade_queue` inputs wait.
    """
    relief = Relief(student, settings.degrade_queue) if student else None
    if settings.batching == "off":
        return ThreadPerRequest(engine, settings.request_threads, on_batch, relief=relief)
    batcher = DynamicBatcher(engine, limits, on_batch, relief=relief)
    batcher.start()
    return batcher
