"""Everything a load process needs to know, as one frozen value that travels as JSON."""

import base64
import ipaddress
import json
import math
import os
import random
import ssl
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from slokit.core.rates import Piece, constant
from slokit.errors import UsageError
from slokit.load.amount import Stage
from slokit.load.kinds import TextKind
from slokit.load.offer import offer_of
from slokit.load.scenario import WIRE, Scenario

DEFAULT_TIMEOUT_S: Final = 10.0
CONNECT_TIMEOUT_S: Final = 5.0
MIN_SLOTS: Final = 1000
END_PREFIX: Final = "load-"  # load-<worker>.json: how a load process ended, written last
LOG_PREFIX: Final = "load-"  # load-<worker>.log: what it printed
PATHS: Final = {"openai": "/v1/embeddings", "plain": "/embedding", "tei": "/embed"}  # by protocol
_PORTS: Final = {"http": 80, "https": 443}
_API_ROOT: Final = "/v1"
_HEADER_NAME: Final = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a service listens. `base_path` has no slash at its end; `host` no brackets."""

    scheme: str
    host: str
    port: int
    base_path: str = ""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `http://host[:port][/base]`; a `/v1` at its end is understood.

        Raises UsageError for anything else.

        >>> Endpoint.parse("http://[::1]:8000/api/").base_path
        '/api'
        """
        problem = "write http://HOST:PORT or https://HOST"
        try:
            parts = urlsplit(url if "://" in url else f"//{url}")
            port = parts.port
        except ValueError as error:
            raise UsageError(f"{url!r} is no address of a service ({error}): {problem}") from error
        if parts.scheme not in _PORTS or not parts.hostname:
            raise UsageError(f"{url!r} is no address of a service: {problem}")
        if parts.username or parts.query or parts.fragment or not url.isprintable() or " " in url:
            raise UsageError(f"{url!r} holds more than host, port and path: {problem}")
        port = _PORTS[parts.scheme] if port is None else port
        base = parts.path.rstrip("/")
        for route in (PATHS["openai"], _API_ROOT):  # what OpenAI's clients call their base URL
            base = base.removesuffix(route)
        return cls(parts.scheme, parts.hostname, port, base)

    @property
    def netloc(self) -> str:
        """Host and, unless it is the scheme's own, port: the value of a Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port as a URL."""
        return f"{self.scheme}://{self.netloc}"

    @property
    def is_loopback(self) -> bool:
        """True for this machine itself."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True)
class LoadPlan:
    """One load process's orders. Secrets are not in it: `api_key_env` names a variable.

    An open loop follows `pieces`, or the trace `replay` played `speed` times as fast; a
    closed one its `stages`. `rate_rps` is the mean rate. `mix` are weights of text classes,
    `kinds` says where those come from that are not what their name says. `worker` of
    `workers` processes share one schedule. `seed` splits into the seeds of
    schedule, texts and traces, so that changing one leaves the others alone.
    """

    run_id: str
    run_dir: str
    scenario: str
    url: str
    loop: str  # open | closed
    duration_s: float
    mix: Mapping[str, float]
    seed: int
    client: str = WIRE
    rate_rps: float | None = None
    pieces: tuple[Piece, ...] = ()
    replay: str | None = None
    speed: float = 1.0
    stages: tuple[Stage, ...] = ()
    pacing_s: float = 0.0
    arrivals: str = "poisson"
    batch: int = 1
    texts_file: str | None = None
    kinds: Mapping[str, TextKind] = field(default_factory=dict)
    repeat_ratio: float = 0.0
    protocol: str = "openai"
    path: str | None = None
    model: str | None = None
    encoding_format: str = "float"
    dim: int | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    max_in_flight: int = MIN_SLOTS
    headers: tuple[tuple[str, str], ...] = ()
    api_key_env: str | None = None
    ca_cert: str | None = None
    insecure: bool = False
    proxy: str | None = field(default=None, repr=False)  # may hold a password
    worker: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        """Refuse settings that cannot be meant."""
        Endpoint.parse(self.url)
        if self.protocol not in PATHS:
            allowed = ", ".join(PATHS)
            raise UsageError(f"protocol {self.protocol!r} is unknown: write one of {allowed}")
        if self.protocol == "plain" and self.batch > 1:
            raise UsageError(f"batch is {self.batch}: protocol plain takes one text a request")
        if self.encoding_format not in ("float", "base64"):
            raise UsageError(f"encoding format {self.encoding_format!r}: write float or base64")
        if self.path is not None and not (self.path.startswith("/") and _is_token(self.path)):
            raise UsageError(f"path {self.path!r} cannot be requested: write /v1/embeddings")
        for name in ("timeout_s", "connect_timeout_s", "duration_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"{name} is {getattr(self, name)!r}: write seconds > 0")
        if self.max_in_flight < 1:
            raise UsageError(f"max_in_flight is {self.max_in_flight}: write a number >= 1")
        if self.ca_cert is not None and self.insecure:
            raise UsageError("got both a CA certificate and insecure: give one of them")
        for name, value in self.headers:
            _check_header(name, value)

    @classmethod
    def of(
        cls, scenario: Scenario, *, name: str, texts_file: str | None = None, **settings: Any
    ) -> Self:
        """The plan of one scenario; `settings` are further fields of the plan.

        `run_id`, `run_dir`, `url` and `seed` must be among them. Without `max_in_flight`
        there are twice as many slots as the highest rate x time-out can fill, at least 1000
        (in a closed loop: as many as users); without `proxy` the one that the environment
        asks for, if any.
        """
        settings.setdefault("proxy", proxy_for(Endpoint.parse(settings["url"])))
        offer, peak_rps = offer_of(scenario, texts_file)
        timeout_s = settings.get("timeout_s", DEFAULT_TIMEOUT_S)
        users = max((stage.users for stage in offer["stages"]), default=0)
        settings.setdefault(
            "max_in_flight", max(MIN_SLOTS, users, math.ceil(2 * peak_rps * timeout_s))
        )
        return cls(scenario=name, **offer, **settings)

    @property
    def endpoint(self) -> Endpoint:
        """The address, taken apart."""
        return Endpoint.parse(self.url)

    @property
    def target_path(self) -> str:
        """Path of the request: the base path, then the protocol's own or the one asked for."""
        path = PATHS[self.protocol] if self.path is None else self.path
        return self.endpoint.base_path + path

    @property
    def rates(self) -> tuple[Piece, ...]:
        """The pieces of an open loop that replays nothing: at least one."""
        return self.pieces or (constant(self.rate_rps or 0.0, self.duration_s),)

    @property
    def expected_requests(self) -> float | None:
        """Mean number of requests of an open loop; None for a closed one."""
        return None if self.rate_rps is None else self.rate_rps * self.duration_s

    @property
    def expected_texts(self) -> float | None:
        """Mean number of texts of an open loop; None for a closed one."""
        return None if self.rate_rps is None else self.rate_rps * self.duration_s * self.batch

    @property
    def proxy_credentials(self) -> str | None:
        """The value of Proxy-Authorization for user and password in the proxy's URL."""
        parts = urlsplit(self.proxy or "")
        if parts.username is None:
            return None
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return "Basic " + base64.b64encode(pair.encode()).decode("ascii")

    def seed_for(self, purpose: str) -> int:
        """A seed of its own for `schedule`, `texts` or `trace`."""
        return random.Random(f"{self.seed}/{purpose}").getrandbits(63)  # noqa: S311 - no secret

    def to_json(self) -> str:
        """The plan as a JSON document."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        data = json.loads(text)
        data["stages"] = tuple(Stage(**stage) for stage in data["stages"])
        data["pieces"] = tuple(Piece(**piece) for piece in data["pieces"])
        data["kinds"] = {name: TextKind(**kind) for name, kind in data["kinds"].items()}
        data["headers"] = tuple((name, value) for name, value in data["headers"])
        return cls(**data)

    def file(self, prefix: str, suffix: str) -> Path:
        """A file of this worker in the run folder, such as samples-0.arrows."""
        return Path(self.run_dir) / f"{prefix}{self.worker}{suffix}"


def api_key(plan: LoadPlan) -> str | None:
    """The key from the environment. Raises UsageError when the variable is not set."""
    if plan.api_key_env is None:
        return None
    key = os.environ.get(plan.api_key_env, "")
    if not key or not key.isascii() or not key.isprintable():
        state = "holds no usable key" if key else "is not set"
        raise UsageError(f"the API key variable {plan.api_key_env} {state}: export it first")
    return key


def tls_context(plan: LoadPlan, kind: type[ssl.SSLContext]) -> ssl.SSLContext:
    """TLS as the plan asks: the system's authorities, one given CA, or no check at all.

    `kind` is the SSLContext of `ssl` or of `gevent.ssl`: each fits its own sockets only.
    Raises UsageError when the CA file cannot be read.
    """
    context = kind(ssl.PROTOCOL_TLS_CLIENT)
    if plan.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif plan.ca_cert is None:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(plan.ca_cert)
        except OSError as error:  # ssl.SSLError is one too
            raise UsageError(f"cannot read the CA certificate {plan.ca_cert}: {error}") from error
    return context


def proxy_for(endpoint: Endpoint) -> str | None:
    """The proxy that the environment asks for; never one for this machine itself."""
    if endpoint.is_loopback or proxy_bypass(endpoint.host):
        return None
    proxies = getproxies()
    return proxies.get(endpoint.scheme) or proxies.get("all")


def _is_token(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _check_header(name: str, value: str) -> None:
    if not name or not set(name.lower()) <= _HEADER_NAME:
        raise UsageError(f"header name {name!r} cannot be sent: write NAME:VALUE")
    if not value.isprintable() or not value.isascii():
        raise UsageError(f"the value of header {name} cannot be sent: write printable ASCII")
