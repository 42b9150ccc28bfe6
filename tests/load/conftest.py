"""Servers that misbehave on purpose: plain sockets in a thread, nothing of slokit."""

import contextlib
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from slokit.load.plan import LoadPlan

SERVER = Path(__file__).with_name("embedding_server.py")


class ScriptedServer:
    """Accepts connections one after another; each is given to the next script, the last for all."""

    def __init__(self, scripts, family=socket.AF_INET, context=None):
        self._listener = socket.create_server(
            ("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family
        )
        self._scripts, self._context = list(scripts), context
        self.port = self._listener.getsockname()[1]
        self.accepted = 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        with contextlib.suppress(OSError):  # the listener is closed: time to go
            while True:
                connection, _ = self._listener.accept()
                script = self._scripts[min(self.accepted, len(self._scripts) - 1)]
                self.accepted += 1
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(5)
                    secured = self._context and self._context.wrap_socket(
                        connection, server_side=True
                    )
                    script(secured or connection)
                    if secured:
                        secured.close()

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@pytest.fixture
def serve():
    """Start scripted servers: `serve(script, ...)`; they end with the test."""
    with contextlib.ExitStack() as stack:

        def start(*scripts, **options):
            server = ScriptedServer(scripts, **options)
            stack.callback(server.close)
            return server

        yield start


@pytest.fixture
def make_plan(tmp_path):
    """A load plan for a local port; anything can be changed."""

    def make(port=1, **changes):
        settings = {
            "run_id": "test",
            "run_dir": str(tmp_path),
            "scenario": "short",
            "url": f"http://127.0.0.1:{port}",
            "loop": "open",
            "duration_s": 1.0,
            "rate_rps": 10.0,
            "mix": {"short": 1.0},
            "seed": 1,
            "timeout_s": 2.0,
        }
        return LoadPlan(**(settings | changes))

    return make


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A self-signed certificate for localhost: (certificate and key file, server context)."""
    folder = tmp_path_factory.mktemp("tls")
    path = folder / "both.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    subprocess.run(
        [*command.split(), "-addext", names, "-keyout", folder / "key", "-out", folder / "crt"],
        check=True,
        capture_output=True,
    )
    path.write_bytes((folder / "key").read_bytes() + (folder / "crt").read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return folder / "crt", context


@pytest.fixture
def start_server():
    """Start an embedding service as a process: `start_server("--delay-s", "0.1")`."""
    running = []

    def start(*options):
        process = subprocess.Popen(
            [sys.executable, SERVER, *options], stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        process.url = f"http://127.0.0.1:{int(process.stdout.readline())}"
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()
