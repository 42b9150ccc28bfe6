"""What was measured, where and with what: the part of a manifest that a report repeats.

Manifest keys that are read (each may be missing): `target` {url, protocol, path, model,
info: the target's own `/info`}, `load` {arrivals, rate_rps, users, duration_s, batch,
repeat_ratio, processes}, `seed`, `slo` {source}, `labels`, `versions` {slokit, python,
locust}, `git_commit`, `machine`, `started_at`, `ended_at`, `command` (a list of words).
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

_LOAD_KEYS: Final = (
    "arrivals",
    "rate_rps",
    "users",
    "duration_s",
    "batch",
    "repeat_ratio",
    "processes",
)
_INFO_KEYS: Final = ("weights", "engine", "precision", "device", "profile", "threads", "version")
_HIDDEN: Final = "***"
_HEADER_FLAGS: Final = ("--header",)
_USER_INFO = re.compile(r"://[^/?#\s]*@")


def environment(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The environment part of the document; what the manifest does not know is null."""
    target = _mapping(manifest.get("target"))
    load = _mapping(manifest.get("load"))
    info = _mapping(target.get("info"))
    versions = _mapping(manifest.get("versions"))
    command = manifest.get("command")
    return {
        "url": without_password(str(target["url"])) if target.get("url") else None,
        "protocol": target.get("protocol"),
        "path": target.get("path"),
        "model": target.get("model"),
        **{key: _scalar(info.get(key)) for key in _INFO_KEYS},
        **{key: load.get(key) for key in _LOAD_KEYS},
        "seed": manifest.get("seed"),
        "slo_source": _mapping(manifest.get("slo")).get("source"),
        "labels": dict(_mapping(manifest.get("labels"))),
        "slokit": versions.get("slokit"),
        "python": versions.get("python"),
        "locust": versions.get("locust"),
        "machine": _scalar(manifest.get("machine")),
        "git_commit": manifest.get("git_commit"),
        "started_at": manifest.get("started_at"),
        "ended_at": manifest.get("ended_at"),
        "command": repeat_command(command) if command else None,
    }


def repeat_command(words: Sequence[str]) -> str:
    """One shell line that repeats a run, without the secrets a header or a URL may carry.

    >>> repeat_command(["slokit", "run", "short", "--header", "X-Key: s3cret", "--label", "a=b c"])
    "slokit run short --header 'X-Key: ***' --label 'a=b c'"
    """
    shown, after_header = [], False
    for word in words:
        flag, equals, value = word.partition("=")
        if after_header:
            shown.append(_without_value(word))
        elif flag in _HEADER_FLAGS and equals:
            shown.append(f"{flag}={_without_value(value)}")
        else:
            shown.append(without_password(word))
        after_header = word in _HEADER_FLAGS
    return shlex.join(shown)


def without_password(text: str) -> str:
    """A text whose URLs tell neither user nor password.

    >>> without_password("https://me:pw@host:8000/v1")
    'https://***@host:8000/v1'
    """
    return _USER_INFO.sub(f"://{_HIDDEN}@", text)


def _without_value(header: str) -> str:
    name, colon, _ = header.partition(":")
    return f"{name}: {_HIDDEN}" if colon else _HIDDEN


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _scalar(value: Any) -> str | int | float | bool | None:
    """A target's `/info` is its own affair: only plain values are repeated."""
    return value if isinstance(value, str | int | float | bool) else None
