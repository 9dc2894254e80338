"""The examples of the providers: what each prints, and what landed in the trace file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

import pytest

from simulated_providers import SimulatedProviders
from simulated_providers.environment import variables
from tests.support.examples import run_example

Record = Dict[str, Any]
SDKS = {
    "openai_calls.py": "openai",
    "anthropic_calls.py": "anthropic",
    "bedrock_calls.py": "boto3",
    "gemini_calls.py": "google.genai",
}
WEATHER = "Here is what I found: Lisbon: clear, 21 degrees; Oslo: clear, 21 degrees"


class Run:
    """One run of an example: what it printed, by the word before the colon, and its records."""

    def __init__(self, name: str, folder: Path) -> None:
        pytest.importorskip(SDKS[name])
        stdout, self.stderr = run_example(name, "t.jsonl", cwd=folder)
        self.said = dict(line.split(": ", 1) for line in stdout.splitlines())
        self.records = read(folder / "t.jsonl")

    def calls(self, name: str) -> List[Record]:
        return [record for record in self.records if record["name"] == name]

    def answers(self, name: str) -> Record:
        """The attributes of the call that gave this answer."""
        found = [r["attributes"] for r in self.records if r["attributes"].get("output") == name]
        assert len(found) == 1, name
        return found[0]

    def below(self, parent: str) -> List[Record]:
        """The records below the one of that name, in the order in which they began."""
        (above,) = self.calls(parent)
        found = [r for r in self.records if r["parent_id"] == above["span_id"]]
        assert {record["trace_id"] for record in found} == {above["trace_id"]}
        return sorted(found, key=lambda record: record["start_time"])


def read(path: Path) -> List[Record]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def check_side_by_side(run: Run) -> None:
    """Two calls under one span, which began before the first of them ended."""
    left, right = run.below("side by side")
    assert [left["attributes"]["output"], right["attributes"]["output"]] in (
        ["Left.", "Right."],
        ["Right.", "Left."],
    )
    assert right["start_time"] < left["end_time"]


def check_tools(run: Run, call: str, tool: str, parent: str = "__main__.with_tools") -> None:
    """A call that asks for two tools, the two tools, a call that has their results."""
    asked, first, second, answered = run.below(parent)[:4]
    assert [asked["name"], first["name"], second["name"], answered["name"]] == [
        call, tool, tool, call,
    ]  # fmt: skip
    wanted = asked["attributes"]["tool_calls"]
    assert [(c["name"], c["arguments"]) for c in wanted] == [
        ("get_weather", {"city": "Lisbon"}),
        ("get_weather", {"city": "Oslo"}),
    ]
    assert answered["attributes"]["output"] == WEATHER
    assert run.said["tools"] == WEATHER


def check_error(run: Run, call: str, said: str) -> None:
    (failed,) = [record for record in run.records if record["status"] == "error"]
    assert failed["name"] == call
    assert failed["attributes"]["model"] == "no-such-model"
    assert failed["attributes"]["error"]
    assert run.said["refused"] == said


def test_openai(tmp_path: Path) -> None:
    run = Run("openai_calls.py", tmp_path)
    assert run.stderr == ""
    call = "openai.chat"
    plain = run.answers("Hello.")
    assert [message["role"] for message in plain["input"]] == ["system", "user"]
    assert plain["gen_ai.request.temperature"] == 0.2
    assert plain["gen_ai.request.seed"] == 7
    assert plain["cost_usd"] > 0
    streamed = run.answers("One two three.")
    assert streamed["time_to_first_token_ms"] > 0
    assert streamed["tokens_output"] == 4
    check_side_by_side(run)
    check_tools(run, call, "__main__.get_weather")
    check_error(run, call, "404")
    (structured,) = [
        record["attributes"]
        for record in run.calls(call)
        if "kilometres" in str(record["attributes"].get("output"))
    ]
    assert json.loads(structured["output"])["kilometres"] == 1
    (thought,) = [record["attributes"] for record in run.calls("openai.responses")]
    assert thought["tokens_reasoning"] > 0
    assert [part["type"] for part in thought["output"][0]["content"]] == ["reasoning", "text"]
    (vectors,) = [record["attributes"] for record in run.calls("openai.embeddings")]
    assert vectors["gen_ai.embeddings.dimension.count"] == 256
    assert "0." not in str(vectors.get("output"))
    assert run.answers("Raw.")["model"] == "gpt-4o-mini"
    assert len(run.calls(call)) == 9


def test_anthropic(tmp_path: Path) -> None:
    run = Run("anthropic_calls.py", tmp_path)
    assert run.stderr == ""
    call = "anthropic.messages"
    plain = run.answers("Hello.")
    assert plain["input"][0] == {"role": "system", "content": "You plan walks."}
    for answer in ("One two three.", "Four five."):
        assert run.answers(answer)["time_to_first_token_ms"] > 0
    check_side_by_side(run)
    check_tools(run, call, "__main__.get_weather")
    check_error(run, call, "404")
    once, twice = run.answers("Once."), run.answers("Twice.")
    assert once["tokens_cache_write"] == twice["tokens_cache_read"] > 1_000
    assert once["tokens_input"] > once["tokens_cache_write"]
    assert twice["tokens_input"] > twice["tokens_cache_read"]
    assert twice["cost_usd"] < once["cost_usd"] / 5
    (thinking,) = [
        record["attributes"]
        for record in run.calls(call)
        if isinstance(record["attributes"].get("output"), list)
        and "reasoning" in str(record["attributes"]["output"])
    ]
    assert [part["type"] for part in thinking["output"][0]["content"]] == ["reasoning", "text"]
    assert len(run.calls(call)) == 11
    counted = [record for record in run.records if "count_tokens" in record["name"]]
    assert not any("tokens_total" in record["attributes"] for record in counted)


def test_bedrock(tmp_path: Path) -> None:
    run = Run("bedrock_calls.py", tmp_path)
    call = "bedrock.converse"
    plain = run.answers("Hello.")
    assert plain["provider"] == "aws.bedrock"
    assert plain["gen_ai.request.max_tokens"] == 100
    (streamed,) = run.calls("bedrock.converse_stream")
    assert streamed["attributes"]["output"] == "One two three."
    assert streamed["attributes"]["tokens_output"] == 4
    check_side_by_side(run)
    check_tools(run, call, "__main__.get_weather")
    check_error(run, call, "ValidationException")
    (claude,) = run.calls("bedrock.invoke_model")
    assert claude["attributes"]["output"] == run.said["claude"] == "Claude."
    assert claude["attributes"]["tokens_total"] > 0
    (llama,) = run.calls("bedrock.invoke_model_stream")
    assert llama["attributes"]["output"] == run.said["llama"] == "Llama."
    assert llama["attributes"]["cost_usd"] > 0
    assert len(run.calls(call)) == 6


def test_gemini(tmp_path: Path) -> None:
    run = Run("gemini_calls.py", tmp_path)
    call = "gemini.generate_content"
    plain = run.answers("Hello.")
    assert plain["input"][0] == {"role": "system", "content": "You plan walks."}
    (streamed,) = run.calls("gemini.generate_content_stream")
    assert streamed["attributes"]["output"] == "One two three."
    assert streamed["attributes"]["time_to_first_token_ms"] > 0
    check_side_by_side(run)
    check_tools(run, call, "execute_tool get_weather")
    follows = run.below("__main__.with_tools")[4]["attributes"]
    assert follows["output"] == run.said["chat"] == "Thanks."
    assert WEATHER in str(follows["input"])
    check_error(run, call, "404")
    structured = run.answers(run.said["structured"])
    assert json.loads(structured["output"]) == {"city": "This is a simulated answer to: Lisbon"}
    (thinking,) = [
        record["attributes"]
        for record in run.calls(call)
        if "reasoning" in str(record["attributes"].get("output"))
    ]
    assert [part["type"] for part in thinking["output"][0]["content"]] == ["reasoning", "text"]
    assert thinking["tokens_reasoning"] > 0
    (vectors,) = [record["attributes"] for record in run.calls("gemini.embed_content")]
    assert vectors["gen_ai.embeddings.dimension.count"] == 256
    assert len(run.calls(call)) == 9


@pytest.mark.parametrize("name", SDKS)
def test_for_real_it_asks_whom_the_environment_names(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Providers that the example did not start: as the real ones, but for the address.
    pytest.importorskip(SDKS[name])
    with SimulatedProviders() as providers:
        for variable, value in variables(providers).items():
            if value is None:
                monkeypatch.delenv(variable, raising=False)
            else:
                monkeypatch.setenv(variable, "key-of-mine" if "KEY" in variable else value)
        run_example(name, "t.jsonl", "--real", cwd=tmp_path)
        asked = len(providers.requests)
    calls = [record for record in read(tmp_path / "t.jsonl") if "model" in record["attributes"]]
    assert asked == len(calls) > 8
    assert "key-of-mine" not in (tmp_path / "t.jsonl").read_text("utf-8")
