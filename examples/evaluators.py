"""Scores for what models answer: by a judge and a rubric, by checks, by evaluators of one's own.

python evaluators.py traces.db                  # on simulated providers
python evaluators.py traces.db --real           # asks OpenAI: OPENAI_API_KEY, some cents
peekr eval traces.db --evaluator NoError
"""

from __future__ import annotations

import json
import sqlite3
import sys
from typing import Any, Optional

import openai

import peekr
from peekr.eval import BaseEvaluator, Judge, NotEmpty, Rubric, Score
from simulated_providers import stand_in


def short(span: Any) -> float:
    """A function of the record is an evaluator; its name is the score's."""
    return 1.0 if len(span.attributes.get("output", "")) < 100 else 0.0


class Greets(BaseEvaluator):
    """So is a class; it may be asynchronous, explain its score, and pass a span over."""

    async def evaluate(self, span: Any) -> Optional[float]:
        question = span.attributes["input"][-1]["content"]
        if not question.startswith("Hello"):
            return None
        greets = "hello" in span.attributes.get("output", "").lower()
        return Score(float(greets), "It greets." if greets else "It does not greet.")


def simulated(question: str) -> Optional[str]:
    """What the simulated models answer: the application's, and the judge, which grades by rule."""
    if question.startswith("<input>"):
        rude = "none of your business" in question.lower()
        return json.dumps(
            {"explanation": "Rude." if rude else "Polite.", "score": 0.1 if rude else 0.9}
        )
    if question.startswith("Hello"):
        return "Hello! How may I help?"
    return "That is none of your business."


def main(path: str = "traces.db") -> None:
    # Any server with OpenAI's interface judges: `base_url=` says where it is.
    judge = Judge("openai", "gpt-4o-mini", max_cost_usd=1.0)
    peekr.instrument(
        console=False,
        storage="sqlite",
        db_path=path,
        evaluators=[Rubric("The answer is polite.", judge), NotEmpty(), short, Greets()],
    )
    with openai.OpenAI() as client:
        for question in ("Hello, is anybody there?", "How old are you?"):
            client.chat.completions.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": question}]
            )
    # Records are written when they are scored; the end of the program waits for that too.
    peekr.flush()
    show(path)
    peekr.shutdown()


def show(path: str) -> None:
    """What was stored; a judge's own calls are there too, marked as internal."""
    connection = sqlite3.connect(path)
    rows = connection.execute(
        "SELECT json_extract(attributes, '$.output'), json_extract(attributes, '$.eval_scores'),"
        " json_extract(attributes, '$.eval_explanations.Rubric') FROM spans"
        " WHERE json_extract(attributes, '$.eval_scores') IS NOT NULL ORDER BY start_time"
    )
    for answer, scores, explanation in rows:
        print(f"{answer}\n  {explanation}")
        for name, score in sorted(json.loads(scores).items()):
            print(f"  {name}: {score:g}")
    connection.close()


if __name__ == "__main__":
    with stand_in(answers=simulated):
        main(*sys.argv[1:])
