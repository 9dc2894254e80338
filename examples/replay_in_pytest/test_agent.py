"""The agent's test: the recorded run once more, from `agent.jsonl` beside this file."""

from __future__ import annotations

from typing import Any

import openai
from agent import plan_walk


def test_the_agent_looks_at_the_weather_first(peekr_replay: Any, peekr_trace: Any) -> None:
    replay = peekr_replay("agent.jsonl")
    client = openai.OpenAI(api_key="none")  # nothing is sent

    answer = plan_walk(client, "How is the weather in Paris?")

    assert answer
    replay.assert_all_served()
    peekr_trace.assert_no_errors()
    peekr_trace.assert_calls("openai.chat", "openai.chat")
    peekr_trace.assert_tokens(max_total=500)
    peekr_trace.assert_cost(max_usd=0.001)
    assert peekr_trace.tool_calls == ["get_weather"]
    assert peekr_trace.calls[0].attributes["finish_reasons"] == ["tool_calls"]
