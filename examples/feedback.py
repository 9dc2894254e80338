"""What people thought of an answer, kept beside its trace, and exported to fine-tune a model.

python feedback.py traces.db                    # on simulated providers
python feedback.py traces.db --real             # asks OpenAI: OPENAI_API_KEY, some cents
cat training_data.jsonl
"""

from __future__ import annotations

import sys

import openai

import peekr
from simulated_providers import stand_in


@peekr.trace
def answer(client: openai.OpenAI, question: str) -> tuple[str, str]:
    reply = client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": question}]
    )
    span = peekr.get_current_span()
    assert span is not None
    # Hand the trace's id to the page with the answer: the thumbs send it back.
    return reply.choices[0].message.content or "", span.trace_id


def main(path: str = "traces.db") -> None:
    peekr.instrument(console=False, storage="sqlite", db_path=path)
    with openai.OpenAI() as client:
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
    with stand_in():
        main(*sys.argv[1:])
