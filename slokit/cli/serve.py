"""`slokit serve`: the reference server, in this very process."""

import importlib.util
import os
import sys

import click

from slokit.errors import UsageError

SERVER_MODULE = "reference_server"
NEEDS = ("onnxruntime", "tokenizers", "uvicorn")


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
    epilog="Example: slokit serve --profile optimized --port 8000",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(*, arguments: tuple[str, ...]) -> None:
    """Start the reference embedding server, with the options of `python -m reference_server`."""
    check_installed()
    words = [sys.executable, "-P", "-m", SERVER_MODULE, *arguments]  # -P: not from this folder
    os.execv(sys.executable, words)  # noqa: S606 - our own module takes this process over


def check_installed() -> None:
    """Raise UsageError naming the extra when the server's libraries are not there."""
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"the reference server needs {', '.join(missing)}: pip install 'slokit[server]'"
        )
