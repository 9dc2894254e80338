"""`peekr replay --offline`: a program run with recorded answers."""

from __future__ import annotations

import os
import runpy
import sys
import traceback
from collections.abc import Sequence

import click

from peekr.plaintext import clean
from peekr.store.query import Trace

__all__ = ["replay_offline"]


def replay_offline(trace: Trace, script: Sequence[str]) -> int:
    """Run a Python program as `python SCRIPT` does, its model calls answered from a trace.

    Args:
        trace: The recorded trace.
        script: The program's path and its arguments.

    Returns:
        The program's exit code; 1 where it ended well but its run is not the recorded one.
    """
    # What serves needs OpenTelemetry, which reading a file does not.
    from peekr.replaying.serving import Offline

    path = script[0]
    if not os.path.isfile(path):
        raise click.UsageError(f"{clean(path)}: no such program")
    sys.argv = list(script)
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    code = 0
    with Offline(trace.spans) as replay:
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
            if isinstance(error.code, str):
                click.echo(error.code, err=True)
        except Exception:
            # The program's own: shown as Python shows it.
            traceback.print_exc()
            code = 1
        finally:
            sys.stdout.flush()
            for line in replay.unmatched:
                click.echo(f"not recorded: {clean(line)}", err=True)
            for line in replay.loose:
                click.echo(f"served although it differs: {clean(line)}", err=True)
            for span in replay.unused:
                name = f"{span.name} [{span.attributes.get('model')}], span {span.span_id}"
                click.echo(f"not asked for: {clean(name)}", err=True)
            told = f"{replay.served} model calls were served, nothing was sent for them"
            click.echo(told, err=True)
    return code or int(bool(replay.unmatched or replay.unused))
