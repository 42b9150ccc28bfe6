"""The command line: one module a job, loaded when it is called.

This package is the only place that prints results and ends the process. Every
deliberate error carries its exit code (slokit.errors); anything else is a bug and ends
with 70.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from slokit import __version__
from slokit.errors import ExitCode, SlokitError

DEBUG_ENV: Final = "SLOKIT_DEBUG"

# Command -> (module, one line for `slokit --help`): help needs none of the modules.
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "run": ("run", "Offer a scenario's load and judge the service against its SLO."),
    "scenarios": ("scenarios", "List the scenarios that `run` knows."),
    "runs": ("runs", "List stored runs, or show one."),
    "report": ("report", "Render a stored run again."),
    "compare": ("compare", "Compare two stored runs: before and after."),
    "judge": ("judge", "Judge samples that exist with any SLO."),
    "doctor": ("doctor", "Measure what this machine can measure."),
    "serve": ("serve", "Start the reference embedding server."),
    "demo": ("demo", "Measure the reference server before and after optimisation."),
}


WITH_VERDICT: Final = frozenset({"run", "judge"})


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"slokit.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the table: no module is imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown command names those that exist."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            ctx.fail(f"no command {args[0]!r}; there are: {', '.join(COMMANDS)}")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="slokit")
def app() -> None:
    """SLO load testing for text-embedding services: a verdict you can trust.

    \b
    slokit serve --profile optimized          a server to measure against
    slokit run short --host http://localhost:8000 --slo "p95 <= 150ms"

    Exit codes: 0 pass, 1 fail, 2 usage, 3 inconclusive, 4 generator invalid,
    5 target unreachable, 70 internal error, 74 store, 130 interrupted, 143 terminated.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with the exit code that `slokit.errors` names."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = app.main(args=words, prog_name="slokit", standalone_mode=False)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.ClickException as error:
        error.show()
        code = ExitCode.USAGE
        _tell_machine(words, code, error.format_message())
    except SlokitError as error:
        click.echo(f"slokit: {error}", err=True)
        code = error.exit_code
        _tell_machine(words, code, str(error))
    except (KeyboardInterrupt, click.Abort):
        click.echo("slokit: interrupted", err=True)
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:  # the reader of our output left early: `slokit runs list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.PASS
    except Exception as error:  # the last line of defence: no traceback for users
        if os.environ.get(DEBUG_ENV):
            raise
        click.echo(
            f"slokit: internal error: {type(error).__name__}: {error} "
            f"(this is a bug; {DEBUG_ENV}=1 shows where)",
            err=True,
        )
        code = ExitCode.INTERNAL
        _tell_machine(words, code, f"internal error: {type(error).__name__}: {error}")
    sys.exit(code if isinstance(code, int) else 0)


def _tell_machine(words: list[str], code: ExitCode, message: str) -> None:
    """With `--json` a run that came to nothing is a document too: no verdict, and why."""
    if "--json" in words and words[0] in WITH_VERDICT:
        from slokit.report.document import build_document, to_json

        document = build_document({}, None, {}, exit_code=code, paths={}, reasons=[message])
        click.echo(to_json(document, indent=None))
