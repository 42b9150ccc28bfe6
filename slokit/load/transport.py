"""Connections for the hot path: gevent sockets, TLS, IPv6 and proxies, under one deadline."""

import select
from typing import Any, Final
from urllib.parse import urlsplit

import gevent
import gevent.socket
import gevent.ssl
from gevent.monkey import get_original

from slokit.load.plan import Endpoint, LoadPlan, tls_context

_TUNNEL_LIMIT: Final = 64 * 1024  # bytes of a proxy's answer to CONNECT
# Locust's process has select and socket replaced.
_poll: Any = get_original("select", "poll")
_socket: Any = get_original("socket", "socket")


class Dialer:
    """Opens connections to the target of a plan. Names are resolved once, before the load.

    A name that moves during a run is therefore not followed: what was measured stays one
    service at one place.
    """

    def __init__(self, plan: LoadPlan) -> None:
        self._target = plan.endpoint
        self._proxy = None if plan.proxy is None else Endpoint.parse(_bare(plan.proxy))
        self._authorization = plan.proxy_credentials
        is_tls = self._target.scheme == "https"
        self._tls = tls_context(plan, gevent.ssl.SSLContext) if is_tls else None
        self._addresses: list[tuple[Any, ...]] = []

    def resolve(self) -> None:
        """Look the name up. Raises OSError when it has no address."""
        near = self._proxy or self._target
        self._addresses = gevent.socket.getaddrinfo(
            near.host, near.port, type=gevent.socket.SOCK_STREAM
        )

    def dial(self, budget_s: float) -> Any:
        """A connected, non-blocking socket, TLS handshake done, within `budget_s`.

        Raises TimeoutError when that is not enough, else the OSError of the last address.
        """
        with gevent.Timeout(budget_s, TimeoutError("connecting took too long")):
            if not self._addresses:
                self.resolve()
            plain = self._first_to_accept()
            try:
                if self._proxy is not None and self._tls is not None:
                    self._tunnel(plain)
                if self._tls is None:
                    return _bare_socket(plain)
                secured = self._tls.wrap_socket(plain, server_hostname=self._target.host)
            except BaseException:
                plain.close()
                raise
            secured.settimeout(0)
            return secured

    def _first_to_accept(self) -> Any:
        last: OSError = OSError("the name has no address")
        for family, kind, number, _, address in self._addresses:
            plain = gevent.socket.socket(family, kind, number)
            try:
                plain.connect(address)
            except OSError as error:
                plain.close()
                last = error
            except BaseException:
                plain.close()
                raise
            else:
                plain.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
                return plain
        raise last

    def _tunnel(self, plain: Any) -> None:
        """Ask the proxy for a way through (RFC 9110, 9.3.6)."""
        host = f"[{self._target.host}]" if ":" in self._target.host else self._target.host
        where = f"{host}:{self._target.port}"
        lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}"]
        if self._authorization is not None:
            lines.append(f"Proxy-Authorization: {self._authorization}")
        plain.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        answer = b""
        while b"\r\n\r\n" not in answer:
            part = plain.recv(4096)
            if not part or len(answer) > _TUNNEL_LIMIT:
                raise ConnectionError("the proxy broke off")
            answer += part
        words = answer.split(None, 2)
        if len(words) < 2 or words[1] != b"200":
            raise ConnectionError(f"the proxy refused: {answer.splitlines()[0][:80]!r}")


def _bare_socket(cooperative: Any) -> Any:
    """The kernel's socket without gevent's waiting around it: calls straight into C."""
    family, kind, number = cooperative.family, cooperative.type, cooperative.proto
    bare = _socket(family, kind, number, fileno=cooperative.detach())
    bare.setblocking(False)
    return bare


def is_quiet(fd: int) -> bool:
    """True while an idle connection has nothing to read: neither its end nor stray bytes."""
    poller = _poll()
    poller.register(fd, select.POLLIN)
    return not poller.poll(0)


def _bare(proxy: str) -> str:
    url = proxy if "://" in proxy else f"http://{proxy}"
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
