"""The command line: `python -m reference_server`. Libraries load only once a server starts."""

import argparse
import os
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import NoReturn

from reference_server import __version__
from reference_server.errors import SetupError
from reference_server.options import Options
from reference_server.protection.keys import load_keys
from reference_server.settings import PROFILES, describe_settings, settings_for

_USAGE_ERROR = 2


class _ListSettings(argparse.Action):
    """Print the table of settings and leave, as --version does."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:  # noqa: A002
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(describe_settings())  # noqa: T201  # this is the command's output
        parser.exit()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say it in one line, without the usage."""
        raise SetupError(f"{message} (see --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until it is told to stop; returns the exit code."""
    try:
        options = parse_options(arguments)
        os.environ["TOKENIZERS_PARALLELISM"] = "false"  # read when the library first encodes
        from reference_server.server import serve  # noqa: PLC0415  # keeps --help fast

        return serve(options)
    except ModuleNotFoundError as error:
        print(  # noqa: T201
            f"reference_server: {error.name} is not installed; install the extra `server`",
            file=sys.stderr,
        )
        return _USAGE_ERROR
    except SetupError as error:
        print(f"reference_server: {error}", file=sys.stderr)  # noqa: T201
        return _USAGE_ERROR


def parse_options(arguments: Sequence[str] | None = None) -> Options:
    """Read and check a command line; SetupError says what is wrong with it."""
    return _validate(_parser().parse_args(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m reference_server",
        description="Serve text embeddings over the OpenAI API, as a service to be measured.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--profile", choices=PROFILES, default="optimized", help="default: %(default)s")
    add("--host", default="127.0.0.1", help="default: %(default)s")
    add("--port", type=_integer(0, 65535), default=8000, help="0 takes a free one")
    add("--allow-public", action="store_true", help="bind any host, without a key too")
    add("--model", type=Path, metavar="DIR", help="Hugging Face directory; default: seeded")
    add("--model-name", metavar="NAME", help="name in the API; default: the directory's")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add(
        "--threads",
        type=_integer(1, 1024),
        metavar="N",
        help="of one pass; default: all cores",
    )
    add("--seeded-shape", choices=("base", "tiny"), help="without --model; default: base")
    add("--seed", type=_integer(0, 2**63 - 1), metavar="N", help="without --model; default: 0")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="override one setting")
    add("--list-settings", action=_ListSettings, help="print every setting and exit")
    add("--stop-on-stdin-close", action="store_true", help="stop when stdin reaches its end")
    add("--version", action="version", version=__version__)
    return parser


def _integer(low: int, high: int) -> "type[int]":
    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {low}..{high}")
        return number

    return read  # type: ignore[return-value]  # argparse takes any callable


def _validate(parsed: argparse.Namespace) -> Options:
    if parsed.model is not None and (parsed.seeded_shape or parsed.seed is not None):
        raise SetupError("--seeded-shape and --seed make a model; they do not go with --model")
    settings = settings_for(parsed.profile, parsed.set)
    keys = load_keys(settings.api_key_env, settings.api_key_file, os.environ)
    public = not _is_loopback(parsed.host)
    if public and keys is None and not parsed.allow_public:
        raise SetupError(
            f"--host {parsed.host} is not a loopback address and no API key is asked for: set "
            "api_key_env or api_key_file; --allow-public binds it nevertheless"
        )
    if parsed.model is not None:
        from reference_server.directory import check_directory  # noqa: PLC0415

        check_directory(parsed.model)
    shape = parsed.seeded_shape or "base"
    default_name = parsed.model.resolve().name if parsed.model else f"seeded-{shape}"
    return Options(
        profile=parsed.profile,
        settings=settings,
        host=parsed.host,
        port=parsed.port,
        public=public,
        keys=keys,
        model=parsed.model,
        model_name=parsed.model_name or default_name,
        device=parsed.device,
        threads=parsed.threads or _usable_cores(),
        seeded_shape=shape,
        seed=parsed.seed or 0,
        stop_on_stdin_close=parsed.stop_on_stdin_close,
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
