"""An agent with tools: a loop of model calls and tools, a session of several questions.

    python agent_with_tools.py traces.db            # on simulated providers
    python agent_with_tools.py traces.db --real     # asks OpenAI: OPENAI_API_KEY, some cents
    peekr view traces.db --io

A question is a trace: the agent's span, and below it each model call and each tool, in order. The
traces of a conversation have the same session.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Callable

import openai

import peekr
from simulated_providers import stand_in

MODEL = "gpt-4o-mini"
MOST_STEPS = 6


@peekr.trace(name="tool.get_weather")
def get_weather(city: str) -> dict[str, Any]:
    """The weather of a city today."""
    if city == "Oslo":
        raise LookupError("no station in Oslo")
    return {"city": city, "sky": "clear", "celsius": 21}


@peekr.trace(name="tool.book_table")
def book_table(wish: str) -> dict[str, Any]:
    """Books a table; the wish is in words, such as: for two at seven."""
    return {"booked": True, "wish": wish}


TOOLS: dict[str, Callable[..., Any]] = {"get_weather": get_weather, "book_table": book_table}


def described(name: str, parameter: str) -> Any:
    """A tool as the model is told of it."""
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": TOOLS[name].__doc__,
            "parameters": {
                "type": "object",
                "properties": {parameter: {"type": "string"}},
                "required": [parameter],
            },
        },
    }


class Agent:
    """Answers questions, and remembers what was said."""

    def __init__(self, client: openai.OpenAI) -> None:
        self._client = client
        self._messages: list[Any] = [{"role": "system", "content": "You plan evenings."}]
        self._tools = [described("get_weather", "city"), described("book_table", "wish")]

    @peekr.trace(name="agent")
    def ask(self, question: str) -> str:
        self._messages.append({"role": "user", "content": question})
        for _ in range(MOST_STEPS):
            reply = self._client.chat.completions.create(
                model=MODEL, messages=self._messages, tools=self._tools
            )
            message = reply.choices[0].message
            self._messages.append(message)
            if not message.tool_calls:
                return message.content or ""
            for call in message.tool_calls:
                if call.type == "function":
                    result = self._run(call.function.name, call.function.arguments)
                    self._messages.append(
                        {"role": "tool", "tool_call_id": call.id, "content": result}
                    )
        # The agent's span says how it ended, beside what Peekr records by itself.
        span = peekr.get_current_span()
        if span is not None:
            span.attributes["gave_up_after"] = MOST_STEPS
        return "I cannot find out."

    def _run(self, name: str, arguments: str) -> str:
        """Run a tool; what fails is an error on the tool's span, and an answer to the model."""
        try:
            return json.dumps(TOOLS[name](**json.loads(arguments)))
        except Exception as error:
            return json.dumps({"error": str(error)})


def main(path: str = "traces.db") -> None:
    peekr.instrument(console=False, storage="sqlite", db_path=path)
    with openai.OpenAI() as client, peekr.session(user_id="ada"):
        agent = Agent(client)
        print(agent.ask("What is the weather in Lisbon and Oslo?"))
        print(agent.ask("Then call book_table for two at seven."))
    peekr.shutdown()


if __name__ == "__main__":
    with stand_in():
        main(*sys.argv[1:])
