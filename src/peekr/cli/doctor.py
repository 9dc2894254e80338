"""`peekr doctor`: what is watched, by whom, where spans go, and what is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from peekr.diagnosis import Diagnosis

__all__ = ["doctor"]


@click.command(
    "doctor",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="""\b
Examples:
  peekr doctor
  peekr doctor python app.py
  peekr doctor opentelemetry-instrument python app.py
  peekr doctor --redaction
  peekr doctor --json""",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document a process.")
@click.option(
    "--redaction",
    is_flag=True,
    help="Send made-up secrets through PIIRedact and Blocklist here; fail where one arrives.",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def doctor(as_json: bool, redaction: bool, command: tuple[str, ...]) -> None:
    """Say what Peekr would watch here, and what is wrong.

    With a COMMAND, run it as it would run without Peekr's doctor, and report how it was when each
    of its Python processes ended: which methods were wrapped and by whom, which provider,
    processors and exporters were active, what was lost. Inside a program, print(peekr.doctor())
    does the same.

    Ends with the command's exit code, else with 1 where a problem was found.
    """
    if redaction:
        _check_redaction(as_json, command)
        return
    code, found = _run(command) if command else (0, [_here()])
    for number, diagnosis in enumerate(found):
        if as_json:
            click.echo(json.dumps(diagnosis.to_dict(), default=str))
        else:
            if len(found) > 1:
                process = diagnosis.facts["process"]
                click.echo(f"\n== process {process['id']}: {' '.join(process['arguments'])}")
            elif command and number == 0:
                click.echo("")
            click.echo(str(diagnosis))
    if command and not found:
        click.echo("peekr doctor: no Python process of that command has ended properly", err=True)
        code = code or 1
    if code or any(diagnosis.problems for diagnosis in found):
        click.get_current_context().exit(code or 1)


def _check_redaction(as_json: bool, command: Sequence[str]) -> None:
    if command:
        raise click.UsageError(
            "--redaction checks what is installed here; for an application with its own guardrails "
            "call peekr.guard.verify_redaction() in it, or in its tests"
        )
    from peekr.canaries import check_environment
    from peekr.errors import RedactionError

    try:
        report, code = check_environment(), 0
    except RedactionError as error:
        report, code = error.report, 1
    click.echo(json.dumps(report.to_dict()) if as_json else str(report))
    click.get_current_context().exit(code)


def _here() -> Diagnosis:
    from peekr import diagnosis

    return diagnosis.doctor()


def _run(command: Sequence[str]) -> tuple[int, list[Diagnosis]]:
    """Run a command; returns its exit code and what its processes have reported."""
    from peekr.diagnosis import report, startup

    environment = dict(os.environ)
    startup_path = os.path.dirname(os.path.abspath(str(startup.__file__)))
    path = (startup_path, environment.get("PYTHONPATH", ""))
    environment["PYTHONPATH"] = os.pathsep.join(entry for entry in path if entry)
    with tempfile.TemporaryDirectory(prefix="peekr-doctor-") as folder:
        environment[report.FOLDER_VARIABLE] = folder
        try:
            code = subprocess.run(list(command), env=environment).returncode
        except OSError as error:
            raise click.UsageError(f"cannot run {command[0]}: {error.strerror}") from None
        found: list[Any] = report.read(folder)
    return code, found
