"""Two prompts against each other: which variant a user gets, and how the two did.

python experiment.py traces.jsonl               # on simulated providers
python experiment.py traces.jsonl --real        # asks OpenAI 80 times: OPENAI_API_KEY
peekr experiment traces.jsonl
"""

from __future__ import annotations

import sys
from typing import Any

import openai

import peekr
from simulated_providers import stand_in

PROMPTS: dict[str, dict[str, Any]] = {
    "control": {"system": "Answer.", "max_tokens": 200},
    "brief": {"system": "Answer in one short sentence, without examples.", "max_tokens": 50},
}


# One user keeps one variant, in every process. Without `sticky_by` each call draws anew.
@peekr.experiment(variants=PROMPTS, split=[1, 1], sticky_by="user_id")
def answer(
    client: openai.OpenAI, question: str, variant: str, variant_config: dict[str, Any]
) -> str:
    reply = client.chat.completions.create(
        model="gpt-4o",
        max_tokens=variant_config["max_tokens"],
        messages=[
            {"role": "system", "content": variant_config["system"]},
            {"role": "user", "content": question},
        ],
    )
    return f"{variant}: {reply.choices[0].message.content}"


@peekr.experiment(["lower", "upper"], split=[0.9, 0.1])
def shout(text: str, variant: str) -> str:
    """A list of names will do, and any function."""
    return text.upper() if variant == "upper" else text.lower()


def main(path: str = "traces.jsonl") -> None:
    peekr.instrument(console=False, jsonl_path=path)
    with openai.OpenAI() as client:
        for number in range(80):
            with peekr.session(user_id=f"user-{number}"):
                # `variant` and `variant_config` are not the caller's to give.
                said = answer(client, "Why is the sky blue?")
                if number == 0:
                    print(said)
    print(shout("Done"))


if __name__ == "__main__":
    with stand_in():
        main(*sys.argv[1:])
