"""The conversation that every sample holds: a tool is asked for and answered, then a call fails."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Dict, List, Tuple

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
if str(EXAMPLES) not in sys.path:
    sys.path.insert(0, str(EXAMPLES))

MODEL = "gpt-4o"
SYSTEM = "You plan walks. Look at the weather first."
QUESTION = "What is the weather in Lisbon, and where shall I walk?"
WEATHER = json.dumps({"city": "Lisbon", "sky": "clear", "celsius": 21})
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


def run(client: Any, not_found: Any) -> str:
    """Hold it with an OpenAI client; the library under sample has been put on before."""
    asked: List[Dict[str, Any]] = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": QUESTION},
    ]
    options: Dict[str, Any] = {"model": MODEL, "temperature": 0.2, "max_tokens": 200}
    reply = client.chat.completions.create(messages=asked, tools=TOOLS, **options)
    call = reply.choices[0].message.tool_calls[0]
    function = {"name": call.function.name, "arguments": call.function.arguments}
    asked.append(
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": call.id, "type": "function", "function": function}],
        }
    )
    asked.append({"role": "tool", "tool_call_id": call.id, "content": WEATHER})
    reply = client.chat.completions.create(messages=asked, tools=TOOLS, **options)
    try:
        client.chat.completions.create(messages=asked[:2], **{**options, "model": "no-such-model"})
    except not_found:
        pass
    return reply.choices[0].message.content


def served() -> Tuple[Any, Any]:
    """The simulated providers, started, and an OpenAI client to them."""
    from simulated_providers import SimulatedProviders

    os.environ["OPENAI_API_KEY"] = "simulated"
    providers = SimulatedProviders()
    providers.start()
    import openai

    client = openai.OpenAI(base_url=providers.openai_url, api_key="simulated", max_retries=0)
    return providers, client
