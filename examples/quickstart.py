"""A small agent on four providers, traced by one line, without a key or a network.

The SDKs are the real ones. The providers are not: `simulated_providers` answers on loopback by
fixed rules. Run it, then look at what the models were sent:

    python quickstart.py traces.jsonl
    peekr view traces.jsonl --io

With `--real` it asks OpenAI, Anthropic, AWS Bedrock and Gemini, with the keys and credentials of
the environment.
"""

# pyright: basic
# boto3 and google-genai carry types that are only partly known.

from __future__ import annotations

import json
import sys
from typing import Any

import anthropic
import boto3
import openai
from google import genai

import peekr
from simulated_providers import stand_in

TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a city today",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]


@peekr.trace
def get_weather(city: str) -> dict[str, Any]:
    """The tool that the model calls."""
    return {"city": city, "sky": "clear", "celsius": 21}


@peekr.trace
def ask_with_tools(client: openai.OpenAI, question: str) -> str:
    """OpenAI: the model asks for a tool, the tool runs, the answer comes as a stream."""
    messages: list[Any] = [
        {"role": "system", "content": "You plan walks. Look at the weather first."},
        {"role": "user", "content": question},
    ]
    try:
        reply = client.chat.completions.create(
            model="no-such-model", messages=messages, tools=TOOLS
        )
    except openai.NotFoundError:
        # The error is in the trace, and so is the second attempt.
        reply = client.chat.completions.create(model="gpt-4o", messages=messages, tools=TOOLS)
    message = reply.choices[0].message
    messages.append(message)
    for call in message.tool_calls or []:
        assert call.type == "function"
        weather = get_weather(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(weather)})
    words: list[str] = []
    with client.chat.completions.create(
        model="gpt-4o",
        messages=messages,
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        for chunk in stream:
            if chunk.choices:
                words.append(chunk.choices[0].delta.content or "")
    return "".join(words)


@peekr.trace(name="plan_walk")
def plan_walk(question: str) -> str:
    """One run of the agent: one trace, with a span for each step and each model call."""
    with openai.OpenAI() as client:
        plan = ask_with_tools(client, question)

    with anthropic.Anthropic() as claude:
        review = claude.messages.create(
            model="claude-sonnet-5",
            max_tokens=200,
            system="You find what is missing in a plan.",
            messages=[{"role": "user", "content": plan}],
        )

    bedrock = boto3.client("bedrock-runtime")
    bedrock.converse(
        modelId="us.amazon.nova-lite-v1:0",
        messages=[{"role": "user", "content": [{"text": f"Translate into French: {plan}"}]}],
        inferenceConfig={"maxTokens": 200, "temperature": 0.2},
    )
    bedrock.close()

    gemini = genai.Client()
    answer = gemini.models.generate_content(
        model="gemini-2.5-flash", contents=f"Shorten to one line: {plan}"
    )
    gemini.close()
    return answer.text or str(review.id)


def main(path: str = "traces.jsonl") -> None:
    # The one line. It may stand before or after the imports, before or after clients are made.
    peekr.instrument(jsonl_path=path)

    plan_walk("What is the weather in Lisbon, and where shall I walk?")


if __name__ == "__main__":
    with stand_in():
        main(*sys.argv[1:])
