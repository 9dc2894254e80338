"""The command `peekr`: its table of commands and the way in.

A command is one module beside this one and one row in `COMMANDS`. Nothing heavy is imported
here: `peekr --help` is answered without click, because importing click takes several times as
long as starting Python does.
"""

from __future__ import annotations

import gc
import os
import sys

from peekr._version import __version__

__all__ = ["COMMANDS", "help_text", "main", "version_text"]

COMMANDS = {
    "completion": ("peekr.cli.completion", "Print the script for a shell's completion."),
    "cost": (
        "peekr.cli.cost",
        "Sum up what model calls cost, by model, tenant, user, day and more.",
    ),
    "dashboard": ("peekr.cli.dashboard", "Write a trace file as one HTML page."),
    "diff": ("peekr.cli.diff", "Compare two traces: the first message that differs, tokens, cost."),
    "doctor": ("peekr.cli.doctor", "Say what is watched, by whom, and what is wrong."),
    "eval": ("peekr.cli.eval", "Score stored traces with a rubric or evaluators."),
    "experiment": ("peekr.cli.experiment", "Compare the variants of @experiment."),
    "export": ("peekr.cli.export", "Write traces as OTLP JSON, JSON lines, CSV or Parquet."),
    "merge": ("peekr.cli.merge", "Put several trace files together into one."),
    "prune": ("peekr.cli.prune", "Delete records that their retention class keeps no longer."),
    "replay": ("peekr.cli.replay", "Step through one trace in the order of time."),
    "ship": ("peekr.cli.ship", "Send stored spans to an OpenTelemetry collector, each once."),
    "stats": ("peekr.cli.stats", "Count what a trace file holds."),
    "view": ("peekr.cli.view", "Show traces as trees: models, tokens, cost, errors, contents."),
}
"""Each command: the module that has a click command of its name, and one line of help."""


def help_text() -> str:
    """What `peekr --help` prints."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name.ljust(width)}  {line}" for name, (_, line) in COMMANDS.items())
    return f"""\
Usage: peekr COMMAND [ARGUMENTS]

Read the traces that peekr.instrument() wrote, JSONL or SQLite.

Example:
  peekr view traces.jsonl --io

Commands:
{commands}

Options:
  --version   Show the version and exit.
  -h, --help  Show this text, or that of a command (peekr view --help), and exit.
"""


def version_text() -> str:
    """What `peekr --version` prints."""
    return f"peekr {__version__}\n"


def main() -> None:
    """Run the command line; ends the process with 0, 1 (input unusable) or 2 (wrong usage)."""
    arguments = sys.argv[1:]
    _open_streams()
    try:
        if arguments in (["--help"], ["-h"]):
            _print(help_text())
            return
        if arguments == ["--version"]:
            _print(version_text())
            return
        if not arguments and "_PEEKR_COMPLETE" not in os.environ:
            # click's answer differs from version to version.
            sys.stderr.write(help_text())
            sys.exit(2)
        _run(arguments[0] if arguments else "")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        from peekr.cli.output import abandon_stdout

        abandon_stdout()


def _open_streams() -> None:
    """Give standard output and errors that are closed (`>&-`) a place where nobody reads."""
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison]
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def _print(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        from peekr.cli.output import abandon_stdout

        abandon_stdout()
        sys.stderr.write(f"peekr: {error.strerror or error}\n")
        sys.exit(1)


_READING = frozenset(("cost", "diff", "stats", "view"))
"""Commands that print and leave nothing behind: no thread, no temporary file, no connection."""


def _run(command: str) -> None:
    # Records hold no cycles, and looking for some takes a fifth of the time of reading many.
    gc.set_threshold(50_000, 20, 100)
    from peekr.cli.group import group

    try:
        group(prog_name="peekr")
    except SystemExit as end:
        if command in _READING and (end.code is None or isinstance(end.code, int)):
            _end(end.code or 0)
        raise


def _end(code: int) -> None:
    """End at once: to take the interpreter apart takes longer than to read a small file."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return  # the usual end says what there is to say
    os._exit(code)
