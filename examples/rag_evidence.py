"""Answers judged by what was retrieved: claim by claim, and citation by citation.

python rag_evidence.py traces.jsonl             # on simulated providers
python rag_evidence.py traces.jsonl --real      # asks OpenAI: OPENAI_API_KEY, some cents
peekr view traces.jsonl --io
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any, Optional

import openai

import peekr
from peekr.eval import CitationAccuracy, Hallucination, Judge
from simulated_providers import stand_in

DOCUMENTS = [
    {"id": "cats-1", "text": "Cats sleep 12 to 16 hours a day.", "source": "cats.md"},
    {"id": "cats-2", "text": "Cats cannot taste sweetness.", "source": "cats.md"},
    {"id": "dogs-1", "text": "Dogs bark at night.", "source": "dogs.md"},
]


@peekr.trace
def search(question: str) -> list[dict[str, str]]:
    """Retrieve, and say so: the model calls that follow carry it as `evidence`."""
    words = set(re.findall(r"\w+", question.lower()))
    found = [d for d in DOCUMENTS if words & set(re.findall(r"\w+", d["text"].lower()))]
    peekr.record_evidence(found)
    return found


@peekr.trace
def answer(client: openai.OpenAI, question: str) -> str:
    sources = "\n".join(f"[{found['id']}] {found['text']}" for found in search(question))
    completion = client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[
            {"role": "system", "content": f"Answer by these, and cite them:\n{sources}"},
            {"role": "user", "content": question},
        ],
    )
    return completion.choices[0].message.content or ""


def simulated(question: str) -> Optional[str]:
    """What the simulated models answer: the application's, and the judge, which looks words up."""
    if not question.startswith("<context>"):
        return "Cats sleep up to 16 hours a day [cats-1]. Cats love sweetness [cats-3]."
    verdicts = {"sleep": ("supported", ["cats-1"]), "love": ("contradicted", ["cats-2"])}
    claims: list[dict[str, Any]] = []
    said = question.partition("<answer>")[2]
    for claim in re.findall(r"(Cats [^.\[]+)", said):
        word = next(word for word in verdicts if word in claim)
        verdict, chunks = verdicts[word]
        claims.append({"claim": claim.strip() + ".", "verdict": verdict, "chunks": chunks})
    return json.dumps({"claims": claims})


def main(path: str = "traces.jsonl") -> None:
    judge = Judge("openai", "gpt-4o-mini")
    peekr.instrument(
        console=False,
        jsonl_path=path,
        evaluators=[Hallucination(detailed=True, judge_provider=judge), CitationAccuracy()],
    )
    with openai.OpenAI() as client:
        print(answer(client, "What do cats do all day?"))
    peekr.shutdown()
    with open(path, encoding="utf-8") as file:
        for line in file:
            show(json.loads(line)["attributes"])


def show(attributes: dict[str, Any]) -> None:
    """The scores, and each claim with what it rests on."""
    for name, score in attributes.get("eval_scores", {}).items():
        print(f"{name}: {score:g}")
    for claim in attributes.get("hallucination_details", []):
        print(f"  {claim['verdict']}: {claim['claim']} {claim['chunks']}")


if __name__ == "__main__":
    with stand_in(answers=simulated):
        main(*sys.argv[1:])
