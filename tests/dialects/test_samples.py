"""The same conversation gives the same record, whoever wrote it, but for what he did not write."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any, Dict, FrozenSet, List

import pytest

from peekr.record import SpanRecord
from tests.dialects.make_samples import SAMPLES
from tests.dialects.reading import FILES, FOLDER, calls, projected, read

SESSION = frozenset(("session_id", "user_id"))
DETAILS = frozenset(("tokens_cache_read", "tokens_reasoning"))
TOOLS = frozenset(("gen_ai.tool.definitions",))
RESPONSE = frozenset(("gen_ai.response.id",))
MODEL = frozenset(("gen_ai.response.model",))
REASONS = frozenset(("finish_reasons",))
# Other tools, or tools described in other words, are other tokens.
COUNTS = frozenset(("tokens_input", "tokens_total", "gen_ai.tool.definitions"))

COMPARED = (
    *("model", "provider", "tokens_input", "tokens_output", "tokens_total", "tokens_cache_read"),
    *("tokens_reasoning", "finish_reasons", "input", "output", "tool_calls", "session_id"),
    *("user_id", "system_instructions", "gen_ai.operation.name", "gen_ai.request.model"),
    *("gen_ai.request.temperature", "gen_ai.request.max_tokens", "gen_ai.response.model"),
    *("gen_ai.response.id", "gen_ai.tool.definitions"),
)

LACKING: Dict[str, FrozenSet[str]] = {
    "conventions-1.28": SESSION | DETAILS | TOOLS,
    "conventions-1.30": SESSION | DETAILS | TOOLS,
    "conventions-latest": SESSION | DETAILS | TOOLS,
    "langfuse": REASONS | MODEL | RESPONSE,
    "logfire-3.9": SESSION | REASONS | MODEL | RESPONSE,
    "logfire-5.2": SESSION,
    "openinference": frozenset(),
    "openlit-1.33": SESSION | DETAILS | TOOLS | REASONS | MODEL | {"tool_calls"},
    "openlit-1.45": SESSION | {"tokens_reasoning"} | TOOLS,
    "openllmetry-0.40": SESSION | {"tokens_reasoning"},
    "openllmetry-0.62": SESSION,
    "otlp-json-file": frozenset(),
    "peekr": frozenset(),
    "peekr-0.9.3": DETAILS
    | TOOLS
    | REASONS
    | MODEL
    | RESPONSE
    | {"gen_ai.operation.name", "gen_ai.request.temperature", "gen_ai.request.max_tokens"}
    | {"provider", "tool_calls", "gen_ai.request.model"},
    "pydantic-ai-0.0.40": frozenset({"user_id", "session_id"})
    | DETAILS
    | TOOLS
    | REASONS
    | RESPONSE,
    "pydantic-ai-2.68": frozenset({"user_id", "tokens_cache_read"}),
    "traceloop": frozenset(),
    "vercel-6": frozenset(),
}
"""What a dialect does not hold."""

DIFFERING: Dict[str, Dict[str, Any]] = {
    # Of the answer: the name that was asked for is not held.
    "langfuse": {"model": "gpt-4o-2024-08-06", "gen_ai.request.model": "gpt-4o-2024-08-06"},
    "openllmetry-0.62": {"finish_reasons": ["tool_call"]},
    "traceloop": {"finish_reasons": ["tool_call"]},
    "openlit-1.33": {
        "input": [{"role": "user", "content": re.compile("^system: You plan walks")}],
        "output": "Function called with tools",
    },
    "pydantic-ai-0.0.40": {"tokens_input": 61, "tokens_total": 68},
    "pydantic-ai-2.68": {
        "finish_reasons": ["tool_call"],
        "session_id": re.compile("^[0-9a-f]{8}-"),
        "tokens_input": 57,
        "tokens_total": 64,
        "gen_ai.tool.definitions": re.compile("The weather of a city today"),
    },
    "vercel-6": {
        "tokens_input": 70,
        "tokens_total": 77,
        "gen_ai.tool.definitions": re.compile("The weather of a city today"),
    },
    "peekr-0.9.3": {"output": None},  # tools that the model asked for were not recorded
}
"""What a dialect, or the SDK that the sample was made with, says otherwise of the first call."""

WITHOUT_INPUT = {"openlit-1.33", "openlit-1.45", "pydantic-ai-0.0.40", "pydantic-ai-2.68"}
"""Those that do not say what a call that failed was asked."""


def records_of(name: str, tmp_path: Path) -> List[SpanRecord]:
    path = Path(shutil.copy(FOLDER / name, tmp_path))
    records, problems = read(path)
    assert problems == ""
    return records


def fits(got: Any, wanted: Any) -> bool:
    if isinstance(wanted, re.Pattern):
        return bool(wanted.search(got if isinstance(got, str) else json.dumps(got)))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
    if isinstance(wanted, list) and isinstance(got, list):
        return len(got) == len(wanted) and all(map(fits, got, wanted))  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(wanted, dict) and isinstance(got, dict):
        return got.keys() == wanted.keys() and all(fits(got[key], wanted[key]) for key in wanted)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return got == wanted


def test_every_sample_has_a_file_and_is_expected() -> None:
    assert {path.stem for path in FILES} == set(SAMPLES) == set(LACKING)


@pytest.mark.parametrize("file", [path.name for path in FILES])
def test_the_same_conversation_gives_the_same_record(file: str, tmp_path: Path) -> None:
    name = file.rpartition(".")[0]
    expected = calls(records_of("peekr.jsonl", tmp_path))
    found = calls(records_of(file, tmp_path))
    if name == "vercel-6":
        # Fails before it streams, so that its answer comes last.
        found = [call for call in found if call.name != "ai.streamText.doStream"]
    differing = DIFFERING.get(name, {})
    first = found[0].attributes
    for key in COMPARED:
        wanted = differing.get(key, expected[0].attributes.get(key))
        if key in LACKING[name] and key not in differing:
            assert key not in first, key
        else:
            assert fits(first.get(key), wanted), (key, first.get(key), wanted)


@pytest.mark.parametrize("file", [path.name for path in FILES])
def test_a_result_and_an_answer_are_read(file: str, tmp_path: Path) -> None:
    name = file.rpartition(".")[0]
    if name == "openlit-1.33":
        pytest.skip("it writes one text for the whole conversation")
    expected = calls(records_of("peekr.jsonl", tmp_path))[1].attributes
    second = calls(records_of(file, tmp_path))[1].attributes
    asked = [
        message
        for message in second["input"]
        # OpenLIT leaves out messages that have no content.
        if not (name == "openlit-1.45" and message["content"] is None)
    ]
    wanted = [
        message
        for message in expected["input"]
        if not (name == "openlit-1.45" and message["content"] is None)
    ]
    for message in (*asked, *wanted):
        # The AI SDK's tool gives an object, and its JSON has no spaces.
        if isinstance(message["content"], str) and message["content"].startswith("{"):
            message["content"] = json.loads(message["content"])
    assert asked == wanted
    assert second["output"].replace(" ", "") == expected["output"].replace(" ", "")


@pytest.mark.parametrize("file", [path.name for path in FILES])
def test_a_call_that_failed_is_an_error_with_its_message(file: str, tmp_path: Path) -> None:
    name = file.rpartition(".")[0]
    failed = [record for record in records_of(file, tmp_path) if record.status == "error"]
    assert failed
    called = calls(failed) or [record for record in failed if "model" in record.attributes]
    if name == "openlit-1.33":
        called = failed  # says nothing of the call but that it failed
    assert "The model `no-such-model` does not exist" in called[0].attributes["error"]
    if name != "openlit-1.33":
        assert called[0].attributes["model"] == "no-such-model"
    if name not in WITHOUT_INPUT:
        assert [message["role"] for message in called[0].attributes["input"]] == ["system", "user"]


@pytest.mark.parametrize("file", [path.name for path in FILES])
def test_tokens_are_counted_once(file: str, tmp_path: Path) -> None:
    records = records_of(file, tmp_path)
    counted = [record for record in records if "tokens_input" in record.attributes]
    assert {id(record) for record in counted} <= {id(record) for record in calls(records)}


@pytest.mark.parametrize(
    ("file", "tool"),
    [
        ("langfuse.jsonl", "get_weather"),
        ("peekr.jsonl", "get_weather"),
        ("peekr-0.9.3.jsonl", "get_weather"),
        ("peekr-0.9.3.db", "get_weather"),
        ("pydantic-ai-2.68.jsonl", "execute_tool get_weather"),
        ("traceloop.jsonl", "get_weather.tool"),
        ("vercel-6.jsonl", "ai.toolCall"),
    ],
)
def test_tools_have_what_went_in_and_what_came_out(file: str, tool: str, tmp_path: Path) -> None:
    span = next(record for record in records_of(file, tmp_path) if record.name == tool)
    assert "Lisbon" in json.dumps(span.attributes["input"])
    assert isinstance(span.attributes["input"], dict)
    result = span.attributes["output"]
    if isinstance(result, str):
        result = json.loads(result)
    assert result == {"city": "Lisbon", "sky": "clear", "celsius": 21}


@pytest.mark.parametrize("file", ["langfuse", "traceloop", "vercel-6", "openinference"])
def test_sessions_and_users_are_read(file: str, tmp_path: Path) -> None:
    for record in records_of(f"{file}.jsonl", tmp_path):
        if record.name != "trip" or file != "openinference":
            assert record.attributes["session_id"] == "s-1"
            assert record.attributes["user_id"] == "u-1"


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if not path.stem.startswith("peekr")],
    ids=lambda path: path.stem,
)
def test_a_finished_span_gives_the_record_that_the_file_gives(path: Path) -> None:
    records, _ = read(path)
    pipeline = projected(path)
    assert set(pipeline) == {record.span_id for record in records}
    if path.stem.startswith(("conventions-1.28", "conventions-1.30")):
        return  # its content is in log records, which only the file has beside the spans
    for record in records:
        made = pipeline[record.span_id].to_dict()
        assert json.loads(json.dumps(made)) == json.loads(json.dumps(record.to_dict()))


def test_samples_name_no_folder_of_a_machine() -> None:
    for path in FILES:
        text = path.read_bytes()
        for folder in ("home", "root", "tmp", "work", "Users"):
            assert f"/{folder}/".encode() not in text, (path.name, folder)
