"""`peekr eval`: scores for stored traces, written back into their file."""

from __future__ import annotations

import sys
from typing import Any, Optional

import click

from peekr.cli.progress import progress
from peekr.errors import ConfigurationError, EvaluationError, PeekrError
from peekr.eval.backends import choose_provider
from peekr.eval.hallucination import Hallucination
from peekr.eval.judge import Judge
from peekr.eval.rubric import Rubric
from peekr.files.rescoring import Rescoring, load_evaluator
from peekr.plaintext import clean
from peekr.render.table import aligned
from peekr.store.amend import require_amendable
from peekr.store.query import Query

__all__ = ["eval", "evaluators_of"]

_MAX_ERROR_CHARS = 200


@click.command(
    "eval",
    epilog="""\b
Examples:
  peekr eval traces.jsonl --rubric "The answer is polite and to the point."
  peekr eval traces.db --evaluator Hallucination --evaluator NotEmpty --limit 100
  peekr eval traces.db --evaluator my_package.checks:MyEvaluator
  peekr eval traces.db --rubric "…" --base-url http://127.0.0.1:11434/v1 --model llama3.2""",
)
@click.argument("file", type=click.Path())
@click.option(
    "--rubric",
    "rubrics",
    multiple=True,
    metavar="TEXT",
    help="What makes a good answer, for a judge to grade by; NAME=TEXT names it. Repeatable.",
)
@click.option(
    "--evaluator",
    "evaluators",
    multiple=True,
    metavar="NAME",
    help="One of peekr.eval by its name, or your own as module:Name. Repeatable.",
)
@click.option(
    "--judge",
    type=click.Choice(["auto", "openai", "anthropic"]),
    default="auto",
    show_default=True,
    help="Who judges; auto is the one whose key is in the environment.",
)
@click.option("--model", metavar="MODEL", help="The judge's model; a small one when left out.")
@click.option("--base-url", metavar="URL", help="A server with the judge's interface.")
@click.option(
    "--max-cost", type=click.FloatRange(min=0), metavar="USD", help="Stop asking judges then."
)
@click.option("--trace", metavar="ID", help="Only the trace with this id, or beginning of an id.")
@click.option("--session", metavar="ID", help="Only traces of this session.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest N traces.")
@click.option(
    "--name", metavar="NAME", help="Score the spans of this name instead of the model calls."
)
@click.option("--again", is_flag=True, help="Score also what has such a score already.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    metavar="N",
    help="How many evaluations run at once.",
)
@click.option("--dry-run", is_flag=True, help="Write nothing back.")
def eval(  # the command's name; nothing here evaluates Python
    file: str,
    rubrics: tuple[str, ...],
    evaluators: tuple[str, ...],
    judge: str,
    model: Optional[str],
    base_url: Optional[str],
    max_cost: Optional[float],
    trace: Optional[str],
    session: Optional[str],
    limit: Optional[int],
    name: Optional[str],
    again: bool,
    concurrency: int,
    dry_run: bool,
) -> None:
    """Score the model calls in FILE, and write the scores back into it.

    FILE is a JSONL or a SQLite file. Nothing but the scores is changed in it, also while an
    application writes to it. What has been scored by an evaluator of the same name is left alone,
    so that the command may be run again and again.
    """
    if not rubrics and not evaluators:
        raise click.UsageError("say what to score by: --rubric TEXT or --evaluator NAME")
    judging = Judge(
        judge, model, base_url=base_url, max_cost_usd=max_cost, max_concurrency=concurrency
    )
    if not dry_run:
        require_amendable(file)  # before anybody is paid for it
    made = evaluators_of(rubrics, evaluators, judging)
    asks_judge = bool(rubrics) or "Hallucination" in evaluators
    if asks_judge and judge == "auto" and base_url is None:
        _require_judge()
    work = Rescoring(
        file,
        made,
        query=Query(trace=trace, session=session, limit=limit),
        name=name,
        again=again,
        concurrency=concurrency,
    )
    total = work.count()
    if work.problems:
        click.echo(f"{clean(file)}: {work.problems}, left as they are", err=True)
    if not total:
        unscored = "" if again else " that is not scored already (--again scores those too)"
        click.echo(f"Nothing to score: no span matches{unscored}.")
        return
    is_interrupted = False
    with progress("Scoring", total, at_once=True) as advance:
        try:
            work.run(lambda: advance(1))
        except KeyboardInterrupt:
            is_interrupted = True
    for line in _table(work):
        click.echo(line)
    if dry_run:
        click.echo("Nothing was written.")
    else:
        changed = work.save()
        click.echo(f"Wrote to {changed} {'record' if changed == 1 else 'records'}.")
    if is_interrupted:
        click.echo("Interrupted: the same command does the rest.", err=True)
        sys.exit(130)
    outcomes = work.outcomes.values()
    if any(outcome.failed for outcome in outcomes) and not any(o.scores for o in outcomes):
        raise PeekrError("no score could be given")


def _require_judge() -> None:
    """Say before any work, and before errors are written into the file, that nobody can judge."""
    try:
        choose_provider()
    except EvaluationError:
        raise click.UsageError(
            "there is no judge: set OPENAI_API_KEY or ANTHROPIC_API_KEY (with its SDK installed), "
            "or name a server by --base-url"
        ) from None


def evaluators_of(
    rubrics: tuple[str, ...], evaluators: tuple[str, ...], judging: Judge
) -> list[Any]:
    """The evaluators that --rubric and --evaluator name.

    Raises:
        click.UsageError: one is none.
    """
    made: list[Any] = []
    try:
        for text in rubrics:
            name, equals, criteria = text.partition("=")
            if equals and name.strip().isidentifier():
                made.append(Rubric(criteria, judging, name=name.strip()))
            else:
                made.append(Rubric(text, judging))
        for named in evaluators:
            if named == "Hallucination":
                made.append(Hallucination(judge_provider=judging))
            else:
                made.append(load_evaluator(named))
    except ConfigurationError as error:
        raise click.UsageError(clean(str(error))) from error
    return made


def _table(work: Rescoring) -> list[str]:
    rows = [("evaluator", "scored", "mean", "lowest", "failed", "first error")]
    for name, outcome in work.outcomes.items():
        scores = outcome.scores
        rows.append(
            (
                clean(name),
                str(len(scores)),
                f"{outcome.mean:.3f}" if outcome.mean is not None else "",
                f"{min(scores):.3f}" if scores else "",
                str(outcome.failed) if outcome.failed else "",
                clean(outcome.first_error)[:_MAX_ERROR_CHARS],
            )
        )
    return list(aligned(rows, left=(0, 5)))
