"""`peekr replay`: through one trace, span by span."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Optional

import click

from peekr.cli.choosing import default_file, trace_named
from peekr.cli.output import Output
from peekr.files.stepping import Step, steps_of
from peekr.render.view import TraceView
from peekr.store.opening import open_reader
from peekr.summary import format_duration, shorten

__all__ = ["replay"]

_NAME_CHARS = 60
_DOWN = (" ", "j", "\r", "\n", "\x1b[B", "\x1bOB", "\x1b[6~", "\xe0P", "\xe0Q")
_UP = ("b", "k", "\x1b[A", "\x1bOA", "\x1b[5~", "\xe0H", "\xe0I", "\x7f", "\x08")
_NEXT = ("n", "\x1b[C", "\x1bOC", "\xe0M")
_BACK = ("p", "\x1b[D", "\x1bOD", "\xe0K")
_FIRST, _LAST = ("g", "\x1b[H"), ("G", "\x1b[F")
_QUIT = ("q", "Q", "\x1b", "\x03", "\x04")
_KEYS = "next: space, back: b, next error: e, first: g, last: G, quit: q"
# The head of a step, the empty line and the keys below it.
_AROUND_LINES = 4
_LEAST_LINES = 4


@click.command(
    "replay",
    epilog="""\b
Examples:
  peekr replay 4bf92f35 --db traces.db
  peekr replay 4bf92f35 --jsonl traces.jsonl --no-input
  peekr replay 4bf92f35 --db traces.db --errors
  peekr replay 4bf92f35 --db traces.db --live --model gpt-4o --set temperature=0
  peekr replay 4bf92f35 --db traces.db --live --rubric "The answer is polite."
  peekr replay 4bf92f35 --db traces.db --live --dry-run
  peekr replay 4bf92f35 --db traces.db --offline agent.py""",
)
@click.argument("trace_id")
@click.argument("script", nargs=-1, type=click.UNPROCESSED)
@click.option("--db", metavar="FILE", type=click.Path(), help="The SQLite file that has it.")
@click.option("--jsonl", metavar="FILE", type=click.Path(), help="The JSONL file that has it.")
@click.option("--no-input", is_flag=True, help="Print every step without waiting for a key.")
@click.option("--errors", is_flag=True, help="Begin at the first span that failed.")
@click.option(
    "--offline", is_flag=True, help="Run SCRIPT with the recorded answers instead of the network's."
)
@click.option("--live", is_flag=True, help="Send the model calls again, and compare.")
@click.option("--model", metavar="NAME", help="With --live: ask this model instead.")
@click.option(
    "--provider",
    type=click.Choice(["openai", "anthropic", "gemini", "bedrock"]),
    help="With --live: ask this provider instead; needs --model.",
)
@click.option(
    "--set",
    "changes",
    metavar="KEY=VALUE",
    multiple=True,
    help="With --live: set an argument of the SDK's method; null takes it away.",
)
@click.option(
    "--evaluator",
    "evaluators",
    multiple=True,
    metavar="NAME",
    help="With --live: score both runs by one of peekr.eval, or your own as module:Name. "
    "Repeatable.",
)
@click.option(
    "--rubric",
    "rubrics",
    multiple=True,
    metavar="TEXT",
    help="With --live: what makes a good answer, for a judge to score both runs by. Repeatable.",
)
@click.option("--dry-run", is_flag=True, help="With --live: show what would be sent, and its cost.")
@click.pass_context
def replay(
    context: click.Context,
    trace_id: str,
    script: tuple[str, ...],
    db: Optional[str],
    jsonl: Optional[str],
    no_input: bool,
    errors: bool,
    offline: bool,
    live: bool,
    model: Optional[str],
    provider: Optional[str],
    changes: tuple[str, ...],
    evaluators: tuple[str, ...],
    rubrics: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Step through one trace in the order of time: what went in, what came out, how long it took.

    TRACE_ID is a trace id, or the beginning of one. On a terminal a key leads to the next step;
    elsewhere, or with --no-input, all steps are printed. Without --db and --jsonl, traces.db or
    traces.jsonl in the current directory is read.

    With --live the model calls of the trace are sent again, by the real SDKs with your keys, which
    costs money; the new trace is stored in the same file. Tools are not run.

    With --offline the Python program SCRIPT is run, with what follows it as its arguments, and its
    model calls are answered from the trace. Calls that could not be are told at the end.
    """
    if db is not None and jsonl is not None:
        raise click.UsageError("give --db or --jsonl, not both")
    if offline == (not script):
        raise click.UsageError("--offline needs a SCRIPT to run, and a SCRIPT needs --offline")
    if offline and live:
        raise click.UsageError("give --offline or --live, not both")
    if not live and (model or provider or changes or dry_run or evaluators or rubrics):
        raise click.UsageError(
            "--model, --provider, --set, --evaluator, --rubric and --dry-run go with --live"
        )
    if provider and not model:
        raise click.UsageError("--provider needs --model")
    path = db or jsonl or default_file()
    trace = trace_named(path, trace_id)
    if offline:
        from peekr.cli.replay_offline import replay_offline

        context.exit(replay_offline(trace, script))
    if live:
        from peekr.cli.replay_live import changes_of, replay_live

        output = Output()
        is_done = replay_live(
            trace,
            output,
            store=_store(path),
            model=model,
            provider=provider,
            changes=changes_of(changes),
            evaluators=_evaluators(rubrics, evaluators),
            dry_run=dry_run,
        )
        output.flush()
        context.exit(0 if is_done else 1)
    steps = steps_of(trace.spans)
    output = Output()
    view = TraceView(output.palette, output.pieces, True, output.width)
    begin = 0
    if errors:
        begin = next((s.number - 1 for s in steps if s.record.status == "error"), -1)
        if begin < 0:
            click.echo("No span of this trace failed.", err=True)
            begin = 0
    if no_input or not output.is_terminal or not sys.stdin.isatty():
        for step in steps[begin:]:
            output.lines([*_lines(step, view, output), ""])
        output.flush()
        return
    _walk(steps, begin, view, output)


def _store(path: str) -> dict[str, Any]:
    """The file itself as arguments of `peekr.instrument()`; none where Peekr cannot write it."""
    with closing(open_reader(path)) as reader:
        kind = type(reader).__module__
    if ".sqlite" in kind:
        return {"storage": "sqlite", "db_path": path}
    if ".jsonl" in kind:
        return {"storage": "jsonl", "jsonl_path": path}
    click.echo("OTLP files are only read: the new trace is not stored.", err=True)
    return {"storage": None}


def _evaluators(rubrics: tuple[str, ...], evaluators: tuple[str, ...]) -> list[Any]:
    if not rubrics and not evaluators:
        return []
    from peekr.cli.eval import evaluators_of
    from peekr.eval.judge import Judge

    return evaluators_of(rubrics, evaluators, Judge())


def _walk(steps: list[Step], begin: int, view: TraceView, output: Output) -> None:
    """Show a step a screen, until a key ends it; one that is longer takes several screens."""
    place, top = begin, 0
    while True:
        head, *lines = _lines(steps[place], view, output)
        room = max(_terminal_lines() - _AROUND_LINES, _LEAST_LINES)
        shown = lines[top : top + room]
        click.clear()
        output.lines([head, *shown])
        part = ""
        if len(shown) < len(lines):
            part = f"lines {top + 1} to {top + len(shown)} of {len(lines)}, next step: n; "
        output.lines(["", f"{output.palette.dim}{part}{_KEYS}{output.palette.off}"])
        key = click.getchar()
        if key in _QUIT:
            return
        if key in _DOWN and top + room < len(lines):
            top += room
        elif key in _UP and top > 0:
            top = max(0, top - room)
        elif key in _DOWN or key in _NEXT:
            if place + 1 == len(steps):
                return
            place, top = place + 1, 0
        elif key in _UP or key in _BACK:
            place, top = max(0, place - 1), 0
        elif key in _FIRST:
            place, top = 0, 0
        elif key in _LAST:
            place, top = len(steps) - 1, 0
        elif key == "e":
            failed = (s.number - 1 for s in steps[place + 1 :] if s.record.status == "error")
            place, top = next(failed, place), 0


def _terminal_lines() -> int:
    """How many lines the terminal has."""
    return shutil.get_terminal_size((80, 24)).lines


def _lines(step: Step, view: TraceView, output: Output) -> Iterator[str]:
    colour = output.palette
    beside = f", {step.parallel} beside it" if step.parallel else ""
    yield (
        f"{colour.strong}step {step.number} of {step.total}{colour.off}"
        f"{colour.dim}  after {format_duration(step.offset_ms)}{beside}{colour.off}"
    )
    if step.path:
        path = " > ".join(shorten(name, _NAME_CHARS) for name in step.path[-4:])
        yield f"{colour.dim}  in {path}{colour.off}"
    yield from view.span(step.record)
