"""Feedback kept beside the traces, and exported in the form that fine-tuning takes."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional, cast

import openai
import pytest

import peekr
from peekr.errors import ConfigurationError, PeekrError, UnreadableFileError
from simulated_providers import SimulatedProviders
from tests.conftest import Telemetry
from tests.support.trace_files import span, trace_id, write_jsonl, write_sqlite

# -- what the fine-tuning endpoint takes ----------------------------------------------------------
#
# Written from OpenAI's OpenAPI document (FineTuneChatRequestInput and what it refers to) and its
# guide to supervised fine-tuning, independent of the code that writes the file.

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def check_keys(value: dict[str, Any], required: Iterable[str], optional: Iterable[str]) -> None:
    assert set(required) <= set(value), (required, value)
    assert set(value) <= {*required, *optional}, value


def check_text(value: Any) -> None:
    assert isinstance(value, str)
    assert value


def check_parts(value: Any, kinds: set[str]) -> None:
    assert isinstance(value, list)
    assert value
    for part in cast("list[dict[str, Any]]", value):
        assert part["type"] in kinds, part
        if part["type"] == "text":
            check_keys(part, ["type", "text"], [])
            check_text(part["text"])
        else:
            check_keys(part, ["type", "image_url"], [])
            check_keys(part["image_url"], ["url"], ["detail"])
            assert part["image_url"]["url"].startswith(("http://", "https://", "data:image/"))


def check_tool(tool: dict[str, Any]) -> str:
    check_keys(tool, ["type", "function"], [])
    assert tool["type"] == "function"
    function = tool["function"]
    check_keys(function, ["name"], ["description", "parameters", "strict"])
    assert NAME.fullmatch(function["name"])
    if "parameters" in function:
        assert isinstance(function["parameters"], dict)
    if "strict" in function:
        assert isinstance(function["strict"], bool)
    return function["name"]


def check_example(line: str) -> dict[str, Any]:
    """Refuse what the endpoint refuses."""
    example = json.loads(line)
    check_keys(example, ["messages"], ["tools", "parallel_tool_calls"])
    names = {check_tool(tool) for tool in example.get("tools", [])}
    assert "tools" not in example or names
    open_calls: list[str] = []
    roles: list[str] = []
    for message in example["messages"]:
        role = message["role"]
        roles.append(role)
        if role == "tool":
            check_keys(message, ["role", "content", "tool_call_id"], [])
            assert isinstance(message["content"], str)
            assert message["tool_call_id"] in open_calls
            open_calls.remove(message["tool_call_id"])
            continue
        assert not open_calls, "a tool call without its answer"
        if role == "system":
            check_keys(message, ["role", "content"], ["name"])
            check_text(message["content"])
        elif role == "user":
            check_keys(message, ["role", "content"], ["name"])
            if isinstance(message["content"], str):
                check_text(message["content"])
            else:
                check_parts(message["content"], {"text", "image_url"})
        else:
            assert role == "assistant", role
            check_keys(message, ["role"], ["content", "tool_calls", "name", "weight"])
            if "content" in message:
                check_text(message["content"])
            else:
                assert message.get("tool_calls"), "an empty answer"
            for call in message.get("tool_calls", []):
                check_keys(call, ["id", "type", "function"], [])
                assert call["type"] == "function"
                check_text(call["id"])
                check_keys(call["function"], ["name", "arguments"], [])
                assert NAME.fullmatch(call["function"]["name"])
                assert isinstance(call["function"]["arguments"], str)
                open_calls.append(call["id"])
    assert roles[-1] == "assistant"
    assert "user" in roles
    return example


def exported(path: Path) -> list[dict[str, Any]]:
    """The lines of a file, each as the endpoint takes it."""
    text = path.read_text("utf-8")
    assert text.endswith("\n") or not text
    return [check_example(line) for line in text.splitlines()]


ANSWER = {"role": "assistant", "content": "y"}


@pytest.mark.parametrize(
    "line",
    [
        {"messages": []},
        {"messages": [{"role": "user", "content": "x"}]},
        {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": ""}]},
        {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": None}]},
        {"messages": [{"role": "developer", "content": "x"}, ANSWER]},
        {"messages": [{"role": "user", "content": "x"}, ANSWER], "x": 1},
    ],
)
def test_the_check_refuses_what_the_endpoint_refuses(line: Any) -> None:
    with pytest.raises((AssertionError, IndexError)):
        check_example(json.dumps(line))


# -- keeping --------------------------------------------------------------------------------------


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "traces.db"


def rows(path: Path) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(str(path))
    try:
        return connection.execute(
            "SELECT trace_id, rating, typeof(rating), note FROM feedback ORDER BY id"
        ).fetchall()
    finally:
        connection.close()


def test_feedback_is_a_row_and_file_and_table_are_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "traces.db"
    before = time.time()
    first = peekr.feedback(trace_id(1), 1, "good", db_path=str(path))
    second = peekr.feedback(trace_id(1).upper(), False, db_path=str(path))
    assert (first, second) == (1, 2)
    assert rows(path) == [
        (trace_id(1), 1, "integer", "good"),
        (trace_id(1), 0, "integer", ""),
    ]
    connection = sqlite3.connect(str(path))
    columns = [row[1] for row in connection.execute("PRAGMA table_info(feedback)")]
    (created,) = connection.execute("SELECT created_at FROM feedback WHERE id = 1").fetchone()
    connection.close()
    assert columns == ["id", "trace_id", "rating", "note", "created_at"]
    assert before <= created <= time.time()


def test_ratings_stay_what_they_are(db: Path) -> None:
    given: list[Any] = [1, -1, 0.75, "5", "thumbs_up", True, 2**53]
    for rating in given:
        peekr.feedback("t", rating, "n\ud800", db_path=str(db))
    assert [row[1:3] for row in rows(db)] == [
        (1, "integer"),
        (-1, "integer"),
        (0.75, "real"),
        ("5", "text"),
        ("thumbs_up", "text"),
        (1, "integer"),
        (2**53, "integer"),
    ]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("", 1), ConfigurationError),
        (("t", float("nan")), ConfigurationError),
        (("t", float("inf")), ConfigurationError),
        (("t", 2**64), ConfigurationError),
        (("t", ""), ConfigurationError),
        (("t", None), TypeError),
        (("t", [1]), TypeError),
        ((7, 1), TypeError),
        (("t", 1, None), TypeError),
    ],
)
def test_what_cannot_be_kept_is_refused(db: Path, arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        peekr.feedback(*arguments, db_path=str(db))
    assert not db.exists()


def test_a_file_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "junk.db").write_text("this is no database at all, but long enough to be asked")
    other = sqlite3.connect(str(tmp_path / "other.db"))
    other.executescript("CREATE TABLE mine (x); PRAGMA user_version = 9;")
    other.close()
    for name in ("junk.db", "other.db", "."):
        with pytest.raises(PeekrError, match="the feedback was not kept") as caught:
            peekr.feedback("t", 1, db_path=str(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_threads_and_processes_and_spans_at_once_lose_nothing(db: Path) -> None:
    peekr.instrument(console=False, storage="sqlite", db_path=str(db))
    code = (
        "import sys, peekr\n"
        "for number in range(15):\n"
        "    peekr.feedback(f'{sys.argv[1]}-{number}', 1, db_path=sys.argv[2])"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, f"p{n}", str(db)]) for n in range(2)]

    def give(name: str) -> None:
        for number in range(15):
            with peekr.span(name):
                peekr.feedback(f"{name}-{number}", 1, db_path=str(db))

    threads = [threading.Thread(target=give, args=(f"t{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait(60) for process in processes] == [0, 0]
    peekr.shutdown()
    assert len({row[0] for row in rows(db)}) == 75
    connection = sqlite3.connect(str(db))
    assert connection.execute("SELECT COUNT(*) FROM spans").fetchone() == (45,)
    connection.close()


def test_a_table_of_another_making_is_used_as_it_is(db: Path, tmp_path: Path) -> None:
    connection = sqlite3.connect(str(db))
    connection.execute(
        "CREATE TABLE feedback (id TEXT PRIMARY KEY, trace_id TEXT, rating TEXT, note TEXT,"
        " created_at REAL)"
    )
    connection.commit()
    connection.close()
    made = peekr.feedback(trace_id(1), "good", db_path=str(db))
    assert isinstance(made, str)
    assert peekr.export_feedback(str(db), None, str(tmp_path / "out"), "raw") == 1


# -- exporting ------------------------------------------------------------------------------------


def call(trace: int, number: int = 1, **attributes: Any) -> dict[str, Any]:
    """A model call of a trace; the later the number, the later it ended."""
    start = 1_790_000_000.0 + number
    held: dict[str, Any] = {"model": "gpt-4o", "gen_ai.operation.name": "chat", **attributes}
    return span(trace, number, None, "openai.chat", start, **held)


def rated(db: Path, ratings: dict[int, Any]) -> None:
    for trace, rating in ratings.items():
        peekr.feedback(trace_id(trace), rating, db_path=str(db))


def test_a_conversation_with_tools_images_and_reasoning_is_converted(
    db: Path, tmp_path: Path
) -> None:
    weather: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
    write_sqlite(
        db,
        [
            call(1, 1, input="first", output="not the last"),
            call(
                1,
                2,
                input=[
                    {"role": "developer", "content": "Be brief."},
                    {"role": "user", "content": [
                        {"type": "text", "content": "What is this?"},
                        {"type": "uri", "modality": "image", "uri": "https://example.org/x.png"},
                    ]},
                    {"role": "assistant", "content": [{"type": "reasoning", "content": "hm"}],
                     "tool_calls": [
                        {"id": "c1", "name": "look.up", "arguments": {"city": "Lisbon"}},
                        {"name": "other", "arguments": "{not json"},
                    ]},
                    {"role": "tool", "tool_call_id": "c1", "content": {"sky": "clear"}},
                    {"role": "tool", "content": [{"type": "text", "content": "fine"}]},
                ],
                output=[{"role": "assistant", "content": [
                    {"type": "reasoning", "content": "so"}, {"type": "text", "content": "Sunny"},
                ]}],
                **{"gen_ai.tool.definitions": [
                    {"type": "function", "name": "look.up", "description": "d",
                     "parameters": weather},
                    {"type": "web_search_preview", "name": "web_search_preview"},
                ]},
            ),
            call(1, 3, input="judge", output="0.9", **{"peekr.internal": True}),
            {**call(1, 4, input="x", **{"gen_ai.operation.name": "embeddings"}),
             "name": "openai.embeddings"},
        ],
    )  # fmt: skip
    rated(db, {1: 1})
    output = tmp_path / "new" / "out.jsonl"
    assert peekr.export_feedback(str(db), output=str(output)) == 1
    (example,) = exported(output)
    assert example == {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://example.org/x.png"}},
            ]},
            {"role": "assistant", "tool_calls": [
                {"id": "c1", "type": "function",
                 "function": {"name": "look_up", "arguments": '{"city":"Lisbon"}'}},
                {"id": "call_2", "type": "function",
                 "function": {"name": "other", "arguments": "{not json"}},
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": '{"sky":"clear"}'},
            {"role": "tool", "tool_call_id": "call_2", "content": "fine"},
            {"role": "assistant", "content": "Sunny"},
        ],
        "tools": [{"type": "function", "function": {
            "name": "look_up", "description": "d", "parameters": weather}}],
    }  # fmt: skip


MESSAGES = [{"role": "user", "content": "q"}]
LEFT_OUT: list[tuple[dict[str, Any], str]] = (
    [
        ({}, "no input was recorded"),
        ({"input": "q"}, "no output was recorded"),
        ({"output": "a"}, "no input was recorded"),
        ({"input": "q", "output": [{"role": "assistant", "content": ""}]}, "no answer"),
        ({"input": [{"role": "system", "content": "s"}], "output": "a"}, "no question"),
        ({"input": "q", "output": "half…[12 characters cut]"}, "content was cut"),
        (
            {"input": [{"role": "user", "content": "q", "cut": "[3 entries cut]"}], "output": "a"},
            "content was cut",
        ),
        ({"input": [{"role": "user", "content": [{"type": "blob", "modality": "audio"}]}],
          "output": "a"}, "audio"),
        ({"input": [*MESSAGES, {"role": "assistant", "content": None,
                                "tool_calls": [{"id": "c", "name": "f", "arguments": {}}]},
                    *MESSAGES], "output": "a"}, "without its result"),
        ({"input": [*MESSAGES, {"role": "tool", "tool_call_id": "c", "content": "r"}],
          "output": "a"}, "without its call"),
        ({"input": [{"role": "critic", "content": "x"}], "output": "a"}, "critic"),
        ({"input": {"question": "q"}, "output": "a"}, "no input"),
    ]
)  # fmt: skip


@pytest.mark.parametrize(("attributes", "why"), LEFT_OUT)
def test_what_cannot_be_learned_from_is_left_out_and_said(
    db: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, attributes: Any, why: str
) -> None:
    write_sqlite(db, [call(1, **attributes)])
    rated(db, {1: 1, 2: 1})
    output = tmp_path / "out.jsonl"
    assert peekr.export_feedback(str(db), output=str(output)) == 0
    assert output.read_bytes() == b""
    assert "2 rated traces were left out" in caplog.text
    assert why in caplog.text
    assert "not in the file" in caplog.text


def test_a_final_tool_call_a_choice_of_several_and_old_text_are_learned_from(
    db: Path, tmp_path: Path
) -> None:
    asked = [{"id": "c", "name": "f", "arguments": {"x": 1}}]
    write_sqlite(
        db,
        [
            call(1, input=MESSAGES, output=[
                {"role": "assistant", "content": None, "tool_calls": asked}]),
            call(2, input=MESSAGES, output=[{"role": "assistant", "content": "one"},
                 {"role": "assistant", "content": "two"}], **{"gen_ai.request.choice.count": 2}),
            call(3, input=json.dumps(MESSAGES), output="as text"),
            call(4, 1, input=MESSAGES, output="kept"),
            {**call(4, 2, input=MESSAGES, error="E"), "status": "error"},
        ],
    )  # fmt: skip
    rated(db, {1: 1, 2: 1, 3: 1, 4: 1})
    output = tmp_path / "out.jsonl"
    assert peekr.export_feedback(str(db), output=str(output)) == 4
    last = [example["messages"][-1] for example in exported(output)]
    assert [message.get("content") for message in last] == [None, "one", "as text", "kept"]
    assert json.loads(last[0]["tool_calls"][0]["function"]["arguments"]) == {"x": 1}
    assert exported(output)[2]["messages"][0] == {"role": "user", "content": "q"}


def noted_n3(feedback: dict[str, Any]) -> bool:
    return feedback["note"] == "n3"


@pytest.mark.parametrize(
    ("wanted", "traces"),
    [
        (None, [1, 2, 3, 4, 5]),
        ("positive", [1, 3, 4]),
        ("negative", [2, 5]),
        ("good", [4]),
        (1, [1]),
        (True, [1]),
        ([1, -1], [1, 2]),
        ({0.5}, [3]),
        (noted_n3, [3]),
    ],
)
def test_ratings_are_chosen(db: Path, tmp_path: Path, wanted: Any, traces: list[int]) -> None:
    write_sqlite(db, [call(n, input=f"q{n}", output="a") for n in range(1, 6)])
    for number, rating in enumerate([1, -1, 0.5, "good", "Thumbs_Down"], 1):
        peekr.feedback(trace_id(number), rating, f"n{number}", str(db))
    output = tmp_path / "out.jsonl"
    assert peekr.export_feedback(str(db), wanted, str(output)) == len(traces)
    asked = [example["messages"][0]["content"] for example in exported(output)]
    assert asked == [f"q{number}" for number in traces]
    assert peekr.export_feedback(str(db), wanted, str(output), format="raw") == len(traces)
    raw = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert [line["feedback"]["trace_id"] for line in raw] == [trace_id(n) for n in traces]
    assert all(line["spans"][0]["attributes"]["output"] == "a" for line in raw)


def test_the_latest_rating_of_a_trace_counts_and_raw_has_all(db: Path, tmp_path: Path) -> None:
    write_sqlite(db, [call(n, input=f"q{n}", output="a") for n in (1, 2)])
    for trace, rating in ((1, 1), (2, -1), (1, -1), (2, 1)):
        peekr.feedback(trace_id(trace), rating, db_path=str(db))
    output = tmp_path / "out.jsonl"
    assert peekr.export_feedback(str(db), "positive", str(output)) == 1
    assert exported(output)[0]["messages"][0]["content"] == "q2"
    assert peekr.export_feedback(str(db), output=str(output), format="raw") == 4


def test_traces_may_be_in_a_jsonl_file(db: Path, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "traces.jsonl", [call(n, input="q", output="a") for n in (1, 2)])
    rated(db, {2: 1})
    output = tmp_path / "out.jsonl"
    assert peekr.export_feedback(str(db), output=str(output), jsonl_path=str(path)) == 1
    assert len(exported(output)) == 1


def test_no_feedback_is_an_empty_file_and_no_database_an_error(db: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with pytest.raises(UnreadableFileError):
        peekr.export_feedback(str(db), output=str(output))
    assert not output.exists()
    assert not db.exists()
    write_sqlite(db, [call(1, input="q", output="a")])
    assert peekr.export_feedback(str(db), output=str(output)) == 0
    assert output.read_bytes() == b""
    with pytest.raises(ConfigurationError, match="'csv'"):
        peekr.export_feedback(str(db), format="csv")  # pyright: ignore[reportArgumentType]


def test_the_output_is_replaced_whole_or_not_at_all(db: Path, tmp_path: Path) -> None:
    write_sqlite(db, [call(1, input="q", output="a")])
    rated(db, {1: 1})
    output = tmp_path / "out.jsonl"
    output.write_text("before")
    output.chmod(0o640)

    def fails(row: dict[str, Any]) -> bool:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        peekr.export_feedback(str(db), fails, str(output))
    assert output.read_text() == "before"
    assert peekr.export_feedback(str(db), output=str(output)) == 1
    assert output.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir() if "tmp" in path.name) == []


def test_a_real_agents_rated_traces_are_exported(
    bare_telemetry: Telemetry, simulated: SimulatedProviders, tmp_path: Path
) -> None:
    db = tmp_path / "t.db"
    bare_telemetry.instrument(storage="sqlite", db_path=str(db))
    client = openai.OpenAI(base_url=simulated.openai_url, api_key="simulated")
    tools: list[Any] = [
        {"type": "function", "function": {"name": "get_weather", "parameters": {
            "type": "object", "properties": {"city": {"type": "string"}}}}}
    ]  # fmt: skip

    @peekr.trace
    def agent(question: str) -> Optional[str]:
        messages: list[Any] = [{"role": "user", "content": question}]
        reply = client.chat.completions.create(model="gpt-4o", messages=messages, tools=tools)
        messages.append(reply.choices[0].message)
        for asked in reply.choices[0].message.tool_calls or []:
            messages.append({"role": "tool", "tool_call_id": asked.id, "content": "clear"})
        client.chat.completions.create(model="gpt-4o", messages=messages, tools=tools)
        current = peekr.get_current_span()
        return current.trace_id if current else None

    for rating in (1, -1):
        peekr.feedback(agent("What is the weather in Lisbon?") or "", rating, db_path=str(db))
    assert peekr.flush()
    output = tmp_path / "out.jsonl"
    assert peekr.export_feedback(str(db), "positive", str(output)) == 1
    (example,) = exported(output)
    roles = [message["role"] for message in example["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant"]
    assert example["tools"][0]["function"]["name"] == "get_weather"
