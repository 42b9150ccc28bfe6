"""API keys: who may use the server."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from pathlib import Path

from reference_server.errors import SetupError


class Keys:
    """The accepted keys, kept as hashes."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [_digest(key.encode()) for key in keys]

    def find(self, key: bytes) -> int | None:
        """Return the number of this key, or None; takes the same time whichever it is.

        >>> keys = Keys(["one", "two"])
        >>> keys.find(b"two"), keys.find(b"three")
        (1, None)
        """
        digest, found = _digest(key), None
        for number, known in enumerate(self._digests):
            if hmac.compare_digest(digest, known):
                found = number
        return found


def load_keys(variable: str, file: str, environment: Mapping[str, str]) -> Keys | None:
    """Read the keys of both settings, None where neither is set.

    A variable holds one key, a file one a line. Raises SetupError where none is found.
    """
    keys = []
    if variable:
        key = environment.get(variable, "").strip()
        if not key:
            raise SetupError(f"setting api_key_env: the variable {variable} is not set or empty")
        keys.append(key)
    if file:
        try:
            lines = Path(file).read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise SetupError(f"setting api_key_file: {error}") from error
        if not lines:
            raise SetupError(f"setting api_key_file: {file} holds no key")
        keys += lines
    return Keys(keys) if keys else None


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
