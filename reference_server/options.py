"""What a server is started with; cli.py reads it, loading.py and server.py act on it."""

from dataclasses import dataclass
from pathlib import Path

from reference_server.protection.keys import Keys
from reference_server.settings import Settings


@dataclass(frozen=True, slots=True)
class Options:
    """A validated command line."""

    profile: str
    settings: Settings
    host: str
    port: int
    public: bool
    keys: Keys | None
    model: Path | None
    model_name: str
    device: str
    threads: int
    seeded_shape: str
    seed: int
    stop_on_stdin_close: bool
