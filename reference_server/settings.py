"""Every switch of the server, its value in both profiles, and what may be set."""

import re
from collections.abc import Iterable
from dataclasses import Field, asdict, dataclass, field, fields
from types import MappingProxyType
from typing import Any

from reference_server.errors import SetupError
from reference_server.rules import Rule, Value


def _setting(baseline: Value, optimized: Value, help_text: str, **limits: Any) -> Any:
    profiles = MappingProxyType({"baseline": baseline, "optimized": optimized})
    return field(metadata={"rule": Rule(profiles, help_text, **limits)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The switches in force; build them with `settings_for`."""

    engine: str = _setting(
        "auto",
        "auto",
        "what computes: torch on CUDA and ONNX Runtime on a CPU, unless named",
        choices=("auto", "onnx", "torch"),
    )
    precision: str = _setting(
        "fp32",
        "auto",
        "arithmetic of the matrices; auto is int8 on onnx, fp16 on CUDA, else fp32",
        choices=("auto", "fp32", "fp16", "bf16", "int8"),
    )
    layers: int = _setting(
        0,
        0,
        "a student of so many of the model's layers, evenly spaced; 0 keeps all",
        unit="layers",
        bounds=(0, 1000),
    )
    pruning_ratio: float = _setting(
        0.0,
        0.0,
        "share of the feed-forward neurons that is left out, the weakest ones",
        bounds=(0, 0.95),
    )
    batching: str = _setting(
        "off",
        "dynamic",
        "off: one text a pass in a thread a request; dynamic: what waits goes together",
        choices=("off", "dynamic"),
    )
    max_batch_inputs: int = _setting(
        0,
        0,
        "texts in one pass at most; 0 is 16 on a CPU, 512 on CUDA",
        unit="inputs",
        bounds=(0, 4096),
    )
    max_batch_tokens: int = _setting(
        0,
        0,
        "tokens in one pass at most (a longer text goes alone); 0 is 128 on a CPU, 16384 on CUDA",
        unit="tokens",
        bounds=(0, 1_000_000),
    )
    max_wait_ms: float = _setting(
        0.0, 0.0, "how long a batch that is not full waits for more", unit="ms", bounds=(0, 1000)
    )
    request_threads: int = _setting(
        40, 40, "requests computed at once when batching is off", unit="threads", bounds=(1, 1024)
    )
    max_queue: int = _setting(
        2048,
        2048,
        "inputs waiting before new requests get 429",
        unit="inputs",
        bounds=(1, 1_000_000),
    )
    deadline_ms: float = _setting(
        0.0,
        0.0,
        "refuse what cannot be answered in this time; 0 is off",
        unit="ms",
        bounds=(0, 3_600_000),
    )
    rate_limit_rps: float = _setting(
        0.0, 0.0, "requests of one caller; 0 is off", unit="a second", bounds=(0, 1_000_000)
    )
    rate_burst: int = _setting(
        0, 0, "requests at once; 0 is one second's", unit="requests", bounds=(0, 1_000_000)
    )
    breaker_failures: int = _setting(
        0,
        5,
        "failed passes in a row after which requests get 503; 0 is off",
        unit="passes",
        bounds=(0, 1000),
    )
    breaker_reset_s: float = _setting(
        10.0, 10.0, "then one request in this time is tried", unit="s", bounds=(0.1, 3600)
    )
    degrade: str = _setting(
        "off",
        "off",
        "beyond degrade_queue: answer from the cache only, or by a smaller model",
        choices=("off", "cached", "small"),
    )
    degrade_queue: int = _setting(
        64, 64, "inputs waiting that are too many", unit="inputs", bounds=(0, 1_000_000)
    )
    degrade_layers: int = _setting(
        0, 0, "layers of the smaller model; 0 is half of them", unit="layers", bounds=(0, 1000)
    )
    api_key_env: str = _setting(
        "", "", "variable that holds the API key", form="NAME", pattern=r"\w+"
    )
    api_key_file: str = _setting("", "", "file with an API key a line", form="PATH")
    cache_entries: int = _setting(
        0,
        1000,
        "vectors kept, least recently used out; 0 is off",
        unit="entries",
        bounds=(0, 10_000_000),
    )
    cache_ttl_s: float = _setting(
        0.0, 0.0, "how long a vector is kept; 0 is for ever", unit="s", bounds=(0, 31_536_000)
    )
    cache_url: str = _setting(
        "",
        "",
        "a Redis that several servers share as a second cache",
        form="redis://HOST[:PORT][/DB]",
        pattern=r"(rediss?|unix)://.+",
    )
    cache_timeout_ms: float = _setting(
        10.0, 10.0, "longest wait for the shared cache", unit="ms", bounds=(1, 1000)
    )
    single_flight: str = _setting(
        "off",
        "on",
        "on: a text that several requests want at once is computed once",
        choices=("off", "on"),
    )
    serializer: str = _setting(
        "json",
        "orjson",
        "json: a list of Python floats; orjson: float32 arrays directly",
        choices=("json", "orjson"),
    )
    event_loop: str = _setting(
        "asyncio", "uvloop", "who drives the sockets", choices=("asyncio", "uvloop")
    )
    http_parser: str = _setting(
        "h11", "httptools", "who reads HTTP: Python or C", choices=("h11", "httptools")
    )
    max_inputs: int = _setting(
        2048, 2048, "inputs in one request at most", unit="inputs", bounds=(1, 2048)
    )
    max_body_bytes: int = _setting(
        8_388_608, 8_388_608, "request body at most", unit="bytes", bounds=(1024, 1_000_000_000)
    )

    def as_dict(self) -> dict[str, Value]:
        """Name -> value, in the order of the table."""
        return asdict(self)

    def shown(self) -> dict[str, Value]:
        """Name -> value for everybody's eyes: without the password of a URL."""
        return {
            key: re.sub("//.*@", "//***@", value) if isinstance(value, str) else value
            for key, value in self.as_dict().items()
        }


PROFILES = ("baseline", "optimized")


def rules() -> dict[str, Rule]:
    """Name -> rule of every setting, in the order of the table."""
    return {each.name: _rule(each) for each in fields(Settings)}


def _rule(each: "Field[Any]") -> Rule:
    rule: Rule = each.metadata["rule"]
    return rule


def settings_for(profile: str, overrides: Iterable[str] = ()) -> Settings:
    """Take a profile's values and apply `KEY=VALUE` overrides, the last one wins.

    Raises SetupError that names what is allowed.

    >>> settings_for("optimized", ["cache_entries=0"]).cache_entries
    0
    >>> settings_for("optimized", ["cache=0"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    reference_server.errors.SetupError: unknown setting 'cache'; allowed: engine, precision, ...
    """
    if profile not in PROFILES:
        raise SetupError(f"unknown profile {profile!r}; allowed: {', '.join(PROFILES)}")
    table = rules()
    values = {key: rule.profiles[profile] for key, rule in table.items()}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise SetupError(f"--set takes KEY=VALUE, got {override!r}")
        if key not in table:
            raise SetupError(f"unknown setting {key!r}; allowed: {', '.join(table)}")
        values[key] = table[key].parse(key, text)
    return Settings(**values)  # type: ignore[arg-type]  # each value was read by its own rule


def describe_settings() -> str:
    """Render the table of `--list-settings`.

    >>> print(describe_settings().splitlines()[0].split())
    ['setting', 'baseline', 'optimized', 'allowed', 'help']
    """
    rows = [("setting", "baseline", "optimized", "allowed", "help")]
    for key, rule in rules().items():
        baseline, optimized = (f"{rule.profiles[profile]}" or "-" for profile in PROFILES)
        rows.append((key, baseline, optimized, f"{rule.allowed} {rule.unit}".strip(), rule.help))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
        for row in rows
    )
