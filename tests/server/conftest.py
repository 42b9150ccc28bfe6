"""A tiny model, as values, as a directory and behind a live server; an app around a fake one."""

import asyncio
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pytest
from safetensors.numpy import save_file

from reference_server.app import App
from reference_server.metrics import Metrics
from reference_server.model import TINY, Model, TokenizerFiles
from reference_server.packing import TokenIds
from reference_server.protection.keys import Keys
from reference_server.protocol import Contract
from reference_server.seeded import chinese_vocabulary, seeded_model
from reference_server.service import Service
from reference_server.settings import settings_for
from reference_server.tokenizer import Tokenizer
from reference_server.work import Limits

WAIT_S = 60

DirectoryWriter = Callable[..., Path]


@dataclass
class FakeEngine:
    """Gives each text its first token and its length as a vector; keeps the batches it saw."""

    batches: list[list[list[int]]] = field(default_factory=list)
    error: Exception | None = None

    def embed(self, texts: Sequence[TokenIds]) -> np.ndarray:
        self.batches.append([list(ids) for ids in texts])
        if self.error is not None:
            raise self.error
        return np.array([[ids[0], len(ids)] for ids in texts], np.float32)

    def describe(self) -> dict[str, object]:
        return {"engine": "fake"}


@pytest.fixture
def fake_engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture(scope="session")
def tiny_model() -> Model:
    return seeded_model("tiny", TINY, seed=0)


def _write_directory(
    path: Path, model: Model, *, prefix: str = "", dtype: type = np.float32
) -> Path:
    """Write a model as Hugging Face would."""
    path.mkdir(parents=True, exist_ok=True)
    shape = model.shape
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "num_hidden_layers": shape.layers,
        "hidden_size": shape.hidden,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.intermediate,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.positions,
        "type_vocab_size": shape.types,
        "layer_norm_eps": shape.layer_norm_eps,
    }
    (path / "config.json").write_text(json.dumps(config))
    (path / "vocab.txt").write_text("\n".join(model.tokenizer.vocabulary) + "\n", encoding="utf-8")
    arrays = {prefix + name: array.astype(dtype) for name, array in model.weights.items()}
    save_file(arrays, path / "model.safetensors", metadata={"format": "pt"})
    return path


@pytest.fixture(scope="session")
def write_directory() -> DirectoryWriter:
    return _write_directory


@pytest.fixture(scope="session")
def tiny_directory(tmp_path_factory: pytest.TempPathFactory, tiny_model: Model) -> Path:
    return _write_directory(tmp_path_factory.mktemp("models") / "tiny-zh", tiny_model)


class Server:
    """A live `python -m reference_server`, its output lines and a client."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "reference_server", "--port", "0", "--threads", "1"]
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._read_stdout), threading.Thread(target=self._read_stderr)
        ]  # fmt: skip
        for reader in self._readers:
            reader.start()
        self.url = self.line().removeprefix("listening on ").strip()
        self.client = httpx.Client(base_url=self.url, timeout=WAIT_S, trust_env=False)

    def line(self) -> str:
        """The next line of stdout, "" at its end."""
        return self._lines.get(timeout=WAIT_S)

    def wait_ready(self) -> "Server":
        assert self.line() == "ready\n"
        return self

    def end(self) -> tuple[int, str]:
        """Wait for the end; exit code and stderr."""
        code = self.process.wait(WAIT_S)
        for reader in self._readers:
            reader.join(WAIT_S)
        return code, "".join(self._errors)

    def close(self) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
        self.end()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()

    def _read_stdout(self) -> None:
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _read_stderr(self) -> None:
        self._errors.extend(self.process.stderr)


@pytest.fixture
def start_server() -> Iterator[Callable[..., Server]]:
    """Start servers with given arguments; they are gone when the test ends."""
    servers: list[Server] = []

    def start(*arguments: str) -> Server:
        servers.append(Server(*arguments))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="module", params=["optimized", "baseline"])
def live(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A ready server of the tiny shape, once in each profile."""
    server = Server("--seeded-shape", "tiny", "--profile", request.param)
    try:
        yield server.wait_ready()
    finally:
        server.close()


TOKENIZER = Tokenizer(
    TokenizerFiles(vocabulary=chinese_vocabulary(21128)), max_tokens=512, vocabulary=21128
)
LIMITS = Limits(16, 128)


class House:
    """An application around a fake engine, and a way to ask it."""

    def __init__(
        self,
        engine: object,
        *overrides: str,
        profile: str = "optimized",
        keys: Keys | None = None,
        student: object = None,
    ) -> None:
        self.engine = engine
        chosen = settings_for(profile, overrides)
        self.metrics = Metrics()
        self.app = App(chosen, self.metrics, {"model": "m", "profile": profile}, keys)
        self.service = Service(
            contract=Contract("m", 2, 21128, chosen.max_inputs),
            tokenizer=TOKENIZER,
            engine=engine,
            limits=LIMITS,
            settings=chosen,
            metrics=self.metrics,
            facts={"weights": "fake"},
            student=student,
        )
        self.app.service = self.service

    def ask(self, method: str, path: str, **content: object) -> httpx.Response:
        async def one(client: httpx.AsyncClient) -> httpx.Response:
            return await client.request(method, path, **content)

        return self.run(one)

    def embed(self, value: object) -> httpx.Response:
        return self.ask("POST", "/v1/embeddings", json={"input": value})

    def run(self, work: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]) -> httpx.Response:
        async def main() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await work(client)

        return asyncio.run(main())

    def close(self) -> None:
        asyncio.run(self.service.close())

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"reference_server_{name}", labels)


@pytest.fixture
def make_house(fake_engine: object) -> Iterator[Callable[..., House]]:
    houses: list[House] = []

    def make(*overrides: str, engine: object = fake_engine, **more: object) -> House:
        houses.append(House(engine, *overrides, **more))
        return houses[-1]

    yield make
    for house in houses:
        house.close()


@pytest.fixture(scope="session")
def house_type() -> type[House]:
    """For tests that build one an example."""
    return House
