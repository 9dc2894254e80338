"""What people thought of an answer, kept beside its trace, and exported to fine-tune a model.

python feedback.py traces.db
cat training_data.jsonl
"""

from __future__ import annotations

import sys

import openai

import peekr
from simulated_providers import SimulatedProviders


@peekr.trace
def answer(client: openai.OpenAI, question: str) -> tuple[str, str]:
    reply = client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": question}]
    )
    span = peekr.get_current_span()
    assert span is not None
    # Hand the trace's id to the page with the answer: the thumbs send it back.
    return reply.choices[0].message.content or "", span.trace_id


def main(path: str) -> None:
    peekr.instrument(console=False, storage="sqlite", db_path=path)
    with SimulatedProviders() as providers:
        client = openai.OpenAI(base_url=providers.openai_url, api_key="simulated")
        _, liked = answer(client, "How tall is the Eiffel tower?")
        _, disliked = answer(client, "Who am I?")
    peekr.flush()

    # Later, in whatever process serves the thumbs.
    peekr.feedback(liked, 1, "to the point", db_path=path)
    peekr.feedback(disliked, -1, db_path=path)

    count = peekr.export_feedback(path, filter="positive", output="training_data.jsonl")
    print(f"{count} example for fine-tuning")
    count = peekr.export_feedback(
        path,
        filter=lambda feedback: bool(feedback["note"]),
        output="noted.jsonl",
        format="raw",
    )
    print(f"{count} rating with a note")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "traces.db")
