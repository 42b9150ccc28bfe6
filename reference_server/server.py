"""The life of the process: listen, load, serve, drain."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

import uvicorn

from reference_server import __version__
from reference_server.app import App
from reference_server.engines.choice import Choice, choose, detect
from reference_server.errors import SetupError
from reference_server.loading import load_service
from reference_server.metrics import Metrics
from reference_server.options import Options
from reference_server.service import Service

log = logging.getLogger(__name__)

_BACKLOG = 2048
_KEEP_ALIVE_S = 75
"""Longer than clients keep idle connections (5 s is usual), so that they close first."""

_DROPPED = 1
"""Exit code when accepted requests were left unanswered."""

_DRAIN_S = 60
"""Longest wait for accepted requests after the first signal to stop."""


class _Server(uvicorn.Server):
    """uvicorn, with the signals left to us: it would raise them again after the drain."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        """Accept nothing more; what was accepted is finished first."""
        self.should_exit = True

    def interrupt(self) -> None:
        """Stop, and at Ctrl-C while stopping leave without finishing anything."""
        if self.should_exit:
            log.error("interrupted again: accepted requests are dropped")
            os._exit(_DROPPED)
        self.stop()


def serve(options: Options) -> int:
    """Serve until SIGTERM, SIGINT or the end of stdin; returns the exit code.

    Raises SetupError for a busy port or a model that cannot be used.
    """
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        force=True,
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    settings = options.settings
    choice = choose(settings.engine, settings.precision, options.device, detect())
    listener = listen(options.host, options.port)
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    if settings.event_loop == "uvloop":
        import uvloop  # noqa: PLC0415  # not on every platform

        loop_factory = uvloop.new_event_loop
    with listener, asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_Life(options, choice, listener).run())
    return 0


def listen(host: str, port: int) -> socket.socket:
    """Open the port; SetupError if that cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only where the protocol is named: without it, each
    # answer waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise SetupError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    listener.setblocking(False)
    return listener


class _Life:
    """One run of the server, from an open socket to a drained queue."""

    def __init__(self, options: Options, choice: Choice, listener: socket.socket) -> None:
        self._options = options
        self._choice = choice
        self._listener = listener
        self._metrics = Metrics()
        self._app = App(options.settings, self._metrics, _facts(options, choice), options.keys)
        self._failure: SetupError | None = None
        self._server = _Server(
            uvicorn.Config(
                self._app,
                http=options.settings.http_parser,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_DRAIN_S,
            )
        )

    async def run(self) -> None:
        """Serve; raises the SetupError that stopped the loading."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._server.stop)
        loop.add_signal_handler(signal.SIGINT, self._server.interrupt)
        host, port = self._listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        if self._options.public and self._options.keys is None:
            log.warning(
                "bound to %s without authentication: anybody who reaches it can use it", host
            )
        _announce(f"listening on http://{shown}:{port}")
        _background(self._load, loop)
        if self._options.stop_on_stdin_close:
            _background(self._watch_stdin, loop)
        await self._server.serve(sockets=[self._listener])
        if self._app.service is not None:
            await self._app.service.close()
        if self._failure is not None:
            raise self._failure
        log.info("stopped")

    def _load(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            service = load_service(self._options, self._choice, self._metrics)
        except SetupError as error:
            _from_thread(loop, self._give_up, error)
        except BaseException:
            _from_thread(loop, self._give_up, SetupError("loading the model failed, see the log"))
            raise
        else:
            _from_thread(loop, self._ready, service)

    def _ready(self, service: Service) -> None:
        self._app.service = service
        log.info("ready: %s", ", ".join(f"{key} {value}" for key, value in service.facts.items()))
        _announce("ready")

    def _give_up(self, error: SetupError) -> None:
        self._failure = error
        self._server.stop()

    def _watch_stdin(self, loop: asyncio.AbstractEventLoop) -> None:
        while os.read(0, 4096):
            pass
        _from_thread(loop, self._server.stop)


def _facts(options: Options, choice: Choice) -> dict[str, object]:
    """What is known before the model is loaded."""
    return {
        "server": "reference_server",
        "version": __version__,
        "model": options.model_name,
        "profile": options.profile,
        "engine": choice.engine,
        "precision": choice.precision,
        "device": choice.device,
        "threads": options.threads,
        "settings": options.settings.shown(),
    }


def _announce(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # the lines a parent process waits for


def _background(
    work: Callable[[asyncio.AbstractEventLoop], None], loop: asyncio.AbstractEventLoop
) -> None:
    threading.Thread(target=work, args=(loop,), daemon=True).start()


def _from_thread(
    loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *arguments: object
) -> None:
    """Run a callback on the loop; a server that stopped meanwhile does not need it."""
    with contextlib.suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(callback, *arguments)
