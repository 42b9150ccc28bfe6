"""A server that does nothing but answer: what is measured against it is the generator's own.

One process, one thread, epoll and plain sockets, because it has to be faster than any
client on one core. It answers each complete request at once with the same 9.6 KB of
embedding, whatever was asked.

    python -m slokit.load.null_server      prints its port and serves until standard input ends
"""

import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

DIM: Final = 1024
_VECTOR: Final = [0.03125] * DIM  # of unit length
_DOCUMENT: Final = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": _VECTOR}],
    "model": "null",
    "usage": {"prompt_tokens": 4, "total_tokens": 4},
}
BODY: Final = b"{" + json.dumps(_DOCUMENT).encode()[1:].rjust(9599)
ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    + BODY
)
_CHUNK: Final = 256 * 1024


def request_length(data: bytes) -> int:
    r"""Bytes of the request that `data` begins with; 0 while its head is not complete.

    >>> request_length(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
    40
    """
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return 0
    found = data.find(b"ontent-", 0, head)
    while found >= 0 and data[found + 7 : found + 15].lower() != b"length: ":
        found = data.find(b"ontent-", found + 1, head)
    if found < 0:
        return head + 4
    return head + 4 + int(data[found + 15 : data.find(b"\r\n", found)])


class NullServer:
    """The listening socket and its connections; `serve` answers until standard input ends."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._poller = select.epoll()
        self._poller.register(self._listener, select.EPOLLIN)
        self._connections: dict[int, socket.socket] = {}
        self._partial: dict[int, bytes] = {}  # requests that have not arrived in one piece

    def serve(self, stop_fd: int) -> None:
        """Answer until `stop_fd` becomes readable."""
        self._poller.register(stop_fd, select.EPOLLIN)
        listener_fd = self._listener.fileno()
        while True:
            for fd, _ in self._poller.poll():
                if fd == stop_fd:
                    return
                if fd == listener_fd:
                    self._accept()
                else:
                    self._answer(fd)

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[connection.fileno()] = connection
        self._poller.register(connection.fileno(), select.EPOLLIN)

    def _answer(self, fd: int) -> None:
        connection = self._connections[fd]
        try:
            data = connection.recv(_CHUNK)
            if not data:
                raise ConnectionResetError
            if self._partial:
                data = self._partial.pop(fd, b"") + data
            while (length := request_length(data)) and length <= len(data):
                data = data[length:]
                if connection.send(ANSWER) < len(ANSWER):  # it does not read: no client of ours
                    raise ConnectionResetError
            if data:
                self._partial[fd] = data
        except OSError:
            self._poller.unregister(fd)
            self._partial.pop(fd, None)
            del self._connections[fd]
            connection.close()


@contextmanager
def null_server(cpus: Iterable[int] | None = None) -> Iterator[str]:
    """The null server in a process of its own, on `cpus`; gives its address."""
    command = [sys.executable, "-P", "-m", __name__]
    with subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        if cpus is not None:
            os.sched_setaffinity(server.pid, cpus)
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline()) if server.stdout else 0}"
        finally:
            server.kill()


def main() -> None:
    """Print the port, then serve."""
    server = NullServer()
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    server.serve(sys.stdin.fileno())


if __name__ == "__main__":
    main()
