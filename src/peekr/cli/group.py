"""The click group over the table of commands, and what becomes of errors."""

from __future__ import annotations

import errno
import importlib
import os
from typing import Any, Optional

import click

from peekr.cli import COMMANDS, help_text, version_text
from peekr.cli.output import abandon_stdout
from peekr.errors import PeekrError
from peekr.plaintext import clean, clean_lines

__all__ = ["group"]

# Windows reports a reader that went away as EINVAL.
_READER_GONE = (errno.EPIPE, errno.EINVAL) if os.name == "nt" else (errno.EPIPE,)


class _Group(click.Group):
    """Imports a command's module when the command is run; no error ends in a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands of the table, in its order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        """The click command of that name in its module."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[Optional[str], Optional[click.Command], list[str]]:
        """The command that the arguments begin with; a slip is told with what may be meant."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            import difflib  # here: only for a slip

            close = difflib.get_close_matches(name, COMMANDS, 1)
            meant = f" Did you mean '{close[0]}'?" if close else ""
            raise click.UsageError(f"No such command '{clean(name)}'.{meant}", ctx)
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The same text as without click."""
        formatter.write(help_text())

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; whatever goes wrong is one line on stderr."""
        try:
            return super().invoke(ctx)
        except PeekrError as error:
            message = clean_lines(str(error))
        except KeyboardInterrupt:
            ctx.exit(130)
        except click.Abort:  # Ctrl-C or Ctrl-D at a question
            click.echo("\nNothing was done.", err=True)
            ctx.exit(130)
        except click.exceptions.Exit:
            raise
        except click.ClickException:
            raise
        except OSError as error:
            if error.errno in _READER_GONE:
                abandon_stdout()  # as in `peekr view | head`: the reader has what it wanted
                ctx.exit(0)
            message = f"peekr: {error.strerror or error}"
        except MemoryError:
            message = "peekr: not enough memory"
        except Exception as error:
            message = f"peekr: a fault of its own: {_described(error)}"
        click.echo(message, err=True)
        ctx.exit(1)


def _described(error: Exception) -> str:
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = ""
    if place is not None:
        name = os.path.basename(place.tb_frame.f_code.co_filename)
        where = f" ({name}:{place.tb_lineno})"
    return f"{type(error).__name__}: {clean(str(error))}{where}"


def _print_version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(version_text(), nl=False)
        ctx.exit()


group = _Group(
    "peekr",
    help="Read the traces that peekr.instrument() wrote, JSONL or SQLite.",
    context_settings={"help_option_names": ["-h", "--help"]},
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_print_version,
            help="Show the version and exit.",
        )
    ],
)
"""The command line as click knows it."""
