"""A small agent whose test replays a recorded run: no key, no network, no cost.

python agent.py                 # records a run into agent.jsonl, on simulated providers
python agent.py --real          # the same, by asking OpenAI: OPENAI_API_KEY
pytest                          # replays it offline: see test_agent.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Dict, List

import openai

import peekr

TOOLS: List[Any] = [
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


def get_weather(city: str) -> Dict[str, Any]:
    return {"city": city, "sky": "clear", "celsius": 21}


@peekr.trace
def plan_walk(client: openai.OpenAI, question: str) -> str:
    """Ask the model, run the tools that it asks for, ask again; the last answer is a stream."""
    messages: List[Any] = [
        {"role": "system", "content": "You plan walks. Look at the weather first."},
        {"role": "user", "content": question},
    ]
    reply: Any = client.chat.completions.create(
        model="gpt-4o-mini", messages=messages, tools=TOOLS, temperature=0.2
    )
    messages.append(reply.choices[0].message)
    for call in reply.choices[0].message.tool_calls or ():
        result = get_weather(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})
    chunks: Any = client.chat.completions.create(
        model="gpt-4o-mini",
        messages=messages,
        stream=True,
        stream_options={"include_usage": True},
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def record(path: str = "agent.jsonl") -> None:
    peekr.instrument(console=False, jsonl_path=path)
    with openai.OpenAI() as client:
        print(plan_walk(client, "How is the weather in Paris?"))
    peekr.shutdown()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from simulated_providers import stand_in

    with stand_in():
        record(*sys.argv[1:])
