"""The command `peekr`: its table of commands and the way in.

A command is one module beside this one and one row in `COMMANDS`. Nothing heavy is imported
here: `peekr --help` is answered without click, because importing click takes several times as
long as starting Python does.
"""

from __future__ import annotations

import os
import sys

from peekr._version import __version__

__all__ = ["COMMANDS", "help_text", "main", "version_text"]

COMMANDS = {
    "completion": ("peekr.cli.completion", "Print the script for a shell's completion."),
    "cost": ("peekr.cli.cost", "Sum up what model calls cost, by model, tenant, user, day, …."),
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
    try:
        if arguments in (["--help"], ["-h"]):
            sys.stdout.write(help_text())
            sys.stdout.flush()
            return
        if arguments == ["--version"]:
            sys.stdout.write(version_text())
            sys.stdout.flush()
            return
        if not arguments and "_PEEKR_COMPLETE" not in os.environ:
            # click's answer differs from version to version.
            sys.stderr.write(help_text())
            sys.exit(2)
        from peekr.cli.group import group

        group(prog_name="peekr")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        from peekr.cli.output import abandon_stdout

        abandon_stdout()
