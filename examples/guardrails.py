"""What a model may not be asked or answer: secrets, a topic, an answer that nothing supports.

    python guardrails.py traces.jsonl               # on simulated providers
    python guardrails.py traces.jsonl --real        # asks OpenAI: OPENAI_API_KEY, some cents
    peekr view traces.jsonl --io

A real model may name no competitor and make nothing up: then nothing is withheld.
"""

from __future__ import annotations

import sys
from typing import Any, Optional

import openai

import peekr
from peekr.guard import BaseGuardrail, Blocklist, Finding, HallucinationBlock, PIIRedact
from simulated_providers import SimulatedProviders, stand_in

KEY = "sk-proj-" + "a1B2c3D4e5F6" * 10
FILLER = "Here is what I know of it, at some length. " * 20


class NoCompetitors(BaseGuardrail):
    """Withholds answers that name a competitor; a stream is handed on up to the name."""

    name = "no-competitors"
    fields = ("output",)
    stream = "window"
    window_chars = 64

    def check(self, text: str, field: str) -> list[Finding]:
        at = text.find("Acme")
        return [Finding("competitor", at, at + 4)] if at >= 0 else []


def supported(span: Any) -> float:
    """Stands in for the judge of `peekr.eval.Hallucination`: only cheese is made up here."""
    return 0.1 if "cheese" in str(span.attributes.get("output")) else 1.0


def answers(question: str) -> Optional[str]:
    if "compare" in question:
        return f"{FILLER}But Acme is cheaper. {FILLER}"
    if "moon" in question:
        return "The moon is made of cheese."
    return None


def ask(client: openai.OpenAI, question: str) -> None:
    """Ask, and say what came of it; a stream is shown as far as it is handed on."""
    shown = 0
    try:
        stream = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": question}], stream=True
        )
        for chunk in stream:
            shown += len(chunk.choices[0].delta.content or "") if chunk.choices else 0
        print(f"answered, {shown} characters")
    except peekr.GuardrailError as error:
        print(f"{error} ({'some' if shown else 'none'} of it was shown)")


def main(path: str = "traces.jsonl", server: Optional[SimulatedProviders] = None) -> None:
    supported.__name__ = "Hallucination"
    with openai.OpenAI(max_retries=0) as client:
        peekr.instrument(
            console=False,
            jsonl_path=path,
            guardrails=[
                Blocklist(patterns=Blocklist.COMMON_SECRETS),  # both sides, by default
                NoCompetitors(),
                PIIRedact(),  # acts on what is recorded, the model still sees it
            ],
        )
        ask(client, "Write to ada@example.com")
        ask(client, f"My key is {KEY}")
        if server is not None:
            print("requests sent:", len(server.requests))
        ask(client, "Please compare yourself")

        peekr.instrument(
            console=False,
            jsonl_path=path,
            guardrails=[HallucinationBlock(threshold=0.5)],
            evaluators=[supported],
        )
        ask(client, "What is the moon made of?")
    peekr.shutdown()


if __name__ == "__main__":
    with stand_in(answers=answers) as simulated:
        main(*sys.argv[1:], server=simulated)
