"""Messages: made, cut to a limit, and turned into the record's form and back."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from typing import Any, Dict, List

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peekr import messages
from peekr.encoding import dumps, loads
from peekr.messages import Message, Part, binary, cut, dump, from_record, message, to_record

from .support.recordings import shared_folder

# -- the record's form -----------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
ids = st.none() | st.just("") | st.text(max_size=8)
modalities = st.sampled_from(["image", "video", "audio", "document"])
mime_types = st.none() | st.sampled_from(["image/png", "application/pdf"])


def _text_with_more(content: str, more: Any) -> Part:
    return {**messages.text(content), "annotations": more}


def _text_that_is_none(value: Any) -> Part:
    return {"type": "text", "content": value}


def _call_without_an_id(value: Any) -> Part:
    return {"type": "tool_call", "id": None, "name": "f", "arguments": value}


def _response_with_any_id(given_id: Any, value: Any) -> Part:
    return {"type": "tool_call_response", "id": given_id, "response": value}


def _server_tool_call(value: Any) -> Part:
    return {"type": "server_tool_call", "name": "s", "server_tool_call": value}


def _another(value: Any) -> Part:
    return {"type": "video_note", "x": value}


PARTS: Dict[str, st.SearchStrategy[Part]] = {
    "text": st.builds(messages.text, st.text(max_size=20)),
    "text with more": st.builds(
        _text_with_more,
        st.text(max_size=8),
        json_values,
    ),
    "text that is none": st.builds(_text_that_is_none, json_values),
    "reasoning": st.builds(messages.reasoning, st.text(max_size=20)),
    "tool call": st.builds(messages.tool_call, ids, st.text(max_size=8), json_values),
    "tool call without an id": st.builds(
        _call_without_an_id,
        json_values,
    ),
    "tool response": st.builds(messages.tool_response, ids, json_values),
    "tool response without an id": st.builds(
        _response_with_any_id,
        ids,
        json_values,
    ),
    "uri": st.builds(messages.uri, modalities, st.just("https://host/image.png"), mime_types),
    "file": st.builds(messages.file, modalities, st.text(max_size=8), mime_types),
    "blob": st.builds(binary, modalities, st.binary(max_size=8), mime_types),
    "server tool call": st.builds(
        _server_tool_call,
        json_values,
    ),
    "another kind": st.builds(_another, json_values),
}
parts = st.one_of(*PARTS.values())
conversations = st.lists(
    st.builds(
        message,
        st.sampled_from(["system", "user", "assistant", "tool", "developer"]),
        st.lists(parts, max_size=4),
        name=st.none() | st.text(max_size=5),
        finish_reason=st.none() | st.sampled_from(["stop", "length", "tool_call"]),
    ),
    max_size=4,
)


@given(conversations)
@settings(max_examples=400)
def test_the_forms_convert_into_each_other_without_loss(conversation: List[Message]) -> None:
    stored = json.dumps(to_record(conversation))
    assert from_record(json.loads(stored)) == conversation


@pytest.mark.parametrize("kind", PARTS)
@given(data=st.data())
@settings(max_examples=40)
def test_each_kind_of_part_alone_comes_back(kind: str, data: st.DataObject) -> None:
    conversation = [message("user", [data.draw(PARTS[kind])])]
    assert from_record(json.loads(json.dumps(to_record(conversation)))) == conversation


def test_record_form_is_the_one_that_people_query() -> None:
    conversation = [
        message("system", [messages.text("Be brief.")]),
        message("user", [messages.text("Look:"), messages.uri("image", "https://h/a.png")]),
        message(
            "assistant",
            [messages.text("Let me see."), messages.tool_call("c1", "weather", '{"city":"Rome"}')],
        ),
        message("tool", [messages.tool_response("c1", "sunny")]),
        message("assistant", [messages.tool_call("c2", "now", "")], finish_reason="tool_call"),
    ]
    assert to_record(conversation) == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "content": "Look:"},
                {"type": "uri", "modality": "image", "uri": "https://h/a.png"},
            ],
        },
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [{"id": "c1", "name": "weather", "arguments": {"city": "Rome"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c2", "name": "now", "arguments": {}}],
            "finish_reason": "tool_call",
        },
    ]


def test_a_message_without_parts_stays_one() -> None:
    empty = [message("assistant", [])]
    assert to_record(empty) == [{"role": "assistant", "content": []}]
    assert from_record(to_record(empty)) == empty


def test_tool_calls_between_other_parts_keep_their_place() -> None:
    call = messages.tool_call("c1", "f", {"a": 1})
    conversation = [message("assistant", [call, messages.text("and"), call])]
    recorded = to_record(conversation)
    assert recorded[0]["content"] == [call, messages.text("and")]
    assert [made["id"] for made in recorded[0]["tool_calls"]] == ["c1"]
    assert from_record(recorded) == conversation


# -- parts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_arguments", "kept"),
    [
        ('{"a": [1, 2]}', {"a": [1, 2]}),
        ("", {}),
        ('{"a": 1', '{"a": 1'),
        ("not JSON", "not JSON"),
        ("[" * 100_000, "[" * 100_000),
        (None, None),
        ({"a": 1}, {"a": 1}),
    ],
    ids=["json", "empty", "cut off", "text", "nested too deeply", "none", "object"],
)
def test_tool_call_arguments_are_parsed_where_they_are_json(
    given_arguments: Any, kept: Any
) -> None:
    assert messages.tool_call("c", "f", given_arguments)["arguments"] == kept


def test_message_leaves_out_what_is_none() -> None:
    assert message("user", [], name=None, finish_reason="stop") == {
        "role": "user",
        "parts": [],
        "finish_reason": "stop",
    }


DATA = bytes(range(256)) * 3 + b"\xfb\xff"
STANDARD = base64.b64encode(DATA).decode()
URL_SAFE = base64.urlsafe_b64encode(DATA).decode()
LINES = base64.encodebytes(DATA).decode()


@pytest.mark.parametrize(
    "data",
    [DATA, bytearray(DATA), memoryview(DATA), STANDARD, URL_SAFE, URL_SAFE.rstrip("="), LINES],
    ids=["bytes", "bytearray", "memoryview", "base64", "URL-safe", "no padding", "lines"],
)
def test_inline_media_becomes_type_size_and_digest(data: Any) -> None:
    assert binary("image", data, "image/png", detail="low") == {
        "type": "blob",
        "modality": "image",
        "content": "",
        "size": len(DATA),
        "sha256": hashlib.sha256(DATA).hexdigest(),
        "mime_type": "image/png",
        "detail": "low",
    }


@pytest.mark.parametrize("text", ["not base64!", "naïve", "lone \ud800", "a"])
def test_text_that_is_no_base64_is_measured_as_it_is(text: str) -> None:
    raw = text.encode("utf-8", "surrogatepass")
    part = binary("document", text)
    assert (part["size"], part["sha256"]) == (len(raw), hashlib.sha256(raw).hexdigest())


def test_media_of_an_unknown_type_is_named_and_not_measured() -> None:
    assert binary("audio", object()) == {"type": "blob", "modality": "audio", "content": ""}


@pytest.mark.parametrize(
    ("address", "mime_type", "raw"),
    [
        ("data:image/png;base64," + STANDARD, "image/png", DATA),
        ("DATA:image/png;BASE64," + STANDARD, "image/png", DATA),
        ("data:image/png;base64," + STANDARD.replace("+", "%2B"), "image/png", DATA),
        ("data:text/plain;charset=utf-8;base64,aGk=", "text/plain", b"hi"),
        ("data:,hi%20you", None, b"hi you"),
        ("data:text/plain,hi", "text/plain", b"hi"),
        ("data:;base64,aGk=", None, b"hi"),
        ("data:secret", None, b"secret"),
        ("data:", None, b""),
    ],
)
def test_data_url_is_never_stored_itself(address: str, mime_type: Any, raw: bytes) -> None:
    part = messages.uri("image", address, detail="high")
    assert part["type"] == "blob"
    assert (part["size"], part["sha256"]) == (len(raw), hashlib.sha256(raw).hexdigest())
    assert part.get("mime_type") == mime_type
    assert part["detail"] == "high"
    assert "secret" not in json.dumps(part)


@given(st.text(st.characters()))
def test_no_data_url_breaks_a_call(rest: str) -> None:
    part = messages.data_url("image", "data:" + rest)
    assert part["content"] == ""


@pytest.mark.parametrize(
    ("mime_type", "modality"),
    [
        ("image/png", "image"),
        ("video/mp4", "video"),
        ("audio/wav", "audio"),
        ("application/pdf", "document"),
        ("", "document"),
        (None, "document"),
    ],
)
def test_modality_of_a_mime_type(mime_type: Any, modality: str) -> None:
    assert messages.media(mime_type) == modality


# -- the limit -------------------------------------------------------------------------------------


def test_without_a_limit_nothing_is_cut() -> None:
    conversation = [message("user", [messages.text("x" * 1_000_000)])]
    assert loads(dump(conversation)) == conversation
    assert loads(dump(conversation, 2_000_000)) == conversation


@given(st.text(st.characters(), max_size=400), st.integers(0, 500), st.integers(1, 30))
@settings(max_examples=300)
def test_cut_messages_are_valid_json_within_the_limit(text: str, limit: int, count: int) -> None:
    conversation = [message("user", [messages.text(f"{n} {text}")]) for n in range(count)]
    made = dump(conversation, limit)
    assert len(made) <= limit
    if limit:
        decoded = json.loads(made)
        made.encode("utf-8")  # no lone surrogate is left
        if limit >= 120:
            assert [entry["role"] for entry in decoded] == ["user"] * len(decoded)
            assert decoded[-1]["parts"][0]["content"].startswith(f"{count - 1} ")


@given(json_values, st.integers(1, 60))
def test_any_json_value_is_cut_to_valid_json(value: Any, limit: int) -> None:
    made = dump(value, limit)
    assert len(made) <= limit
    json.loads(made)


def test_a_long_text_is_cut_at_its_end_and_says_how_much_is_missing() -> None:
    conversation = [
        message("user", [messages.text("a" * 10_000)]),
        message("user", [messages.text("the question")]),
    ]
    cut_ones = json.loads(dump(conversation, 1_000))
    text = cut_ones[0]["parts"][0]["content"]
    kept = text.index("…")
    assert kept >= 400
    assert text == "a" * kept + f"…[{10_000 - kept} characters cut]"
    assert cut_ones[1] == conversation[1]


def test_of_many_messages_the_last_are_kept_and_the_cut_is_marked() -> None:
    conversation = [message("user", [messages.text(f"turn {n}")]) for n in range(500)]
    cut_ones = json.loads(dump(conversation, 1_500))
    left = len(cut_ones)
    assert 4 <= left < 500
    assert cut_ones[1:] == conversation[500 - left + 1 :]
    assert cut_ones[0] == {**conversation[500 - left], "cut": f"[{500 - left} entries cut]"}
    # What is left is messages: the record has them in its own form, the mark included.
    assert to_record(cut_ones)[0] == {
        "role": "user",
        "content": f"turn {500 - left}",
        "cut": f"[{500 - left} entries cut]",
    }


def test_the_names_of_roles_and_parts_are_never_cut() -> None:
    conversation = [
        message("assistant", [messages.tool_call("call_0123456789", "f", {"text": "x" * 5_000})]),
        message("tool", [messages.tool_response("call_0123456789", ["y" * 5_000] * 3)]),
    ]
    call, response = json.loads(dump(conversation, 400))
    assert call["parts"][0]["type"] == "tool_call"
    assert response["parts"][0]["type"] == "tool_call_response"
    assert response["parts"][0]["id"] == "call_0123456789"


def test_lists_and_objects_of_other_things_are_marked_too() -> None:
    numbers = json.loads(cut(list(range(5_000)), 300))
    assert numbers[0] == f"[{5_000 - len(numbers) + 1} entries cut]"
    assert numbers[-1] == 4_999
    keys = json.loads(cut({f"k{n}": n for n in range(5_000)}, 300))
    assert keys["k0"] == 0
    assert keys["cut"] == f"[{5_000 - len(keys) + 1} keys cut]"


def test_what_json_cannot_say_is_cut_too() -> None:
    circle: List[Any] = ["x" * 500]
    circle.append(circle)
    deep: Any = "y" * 500
    for _ in range(200):
        deep = [deep]
    for value in (circle, deep, {"bytes": b"z" * 500, "lone": "\ud800" * 500}, ("t" * 500,)):
        made = dump(value, 120)
        assert len(made) <= 120
        json.loads(made)
        assert "cut" in made


def test_cutting_leaves_the_callers_messages_alone() -> None:
    conversation = [message("user", [messages.text("x" * 500)]) for _ in range(100)]
    before = dumps(conversation)
    dump(conversation, 200)
    assert dumps(conversation) == before


# -- the conventions' schemas ----------------------------------------------------------------------


@functools.cache
def _validator(name: str) -> Any:
    path = shared_folder() / "semconv-genai" / name
    if not path.is_file():
        pytest.skip("the conventions' JSON schemas are not beside the checkout")
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(path.read_text("utf-8"))
    return jsonschema.validators.validator_for(schema)(schema)


MADE_PARTS: List[Part] = [
    messages.text("hi"),
    messages.reasoning("hm"),
    messages.tool_call("c1", "f", '{"a": 1}'),
    messages.tool_call(None, None, "cut o"),
    messages.tool_response("c1", {"sky": "clear"}),
    messages.tool_response(None, None),
    messages.uri("image", "https://h/a.png", "image/png", detail="low"),
    messages.uri("image", "data:image/png;base64,aGk="),
    messages.file("document", "file-1", "application/pdf"),
    binary("audio", b"abc", "audio/wav"),
    binary("image", object()),
]


@pytest.mark.parametrize("part", MADE_PARTS, ids=[part["type"] for part in MADE_PARTS])
def test_made_parts_are_what_the_conventions_say(part: Part) -> None:
    schema = _validator("gen-ai-input-messages.json").schema
    _validator("gen-ai-input-messages.json").validate([message("user", [part], name="n")])
    _validator("gen-ai-system-instructions.json").validate([part])
    _validator("gen-ai-output-messages.json").validate(
        [message("assistant", [part], finish_reason="stop")]
    )
    # "Any object with a type" is allowed as well, so the one that is meant is asked for itself.
    meant = {
        "text": "TextPart",
        "reasoning": "ReasoningPart",
        "tool_call": "ToolCallRequestPart",
        "tool_call_response": "ToolCallResponsePart",
        "uri": "UriPart",
        "file": "FilePart",
        "blob": "BlobPart",
    }[part["type"]]
    jsonschema = pytest.importorskip("jsonschema")
    one = {"$defs": schema["$defs"], "$ref": f"#/$defs/{meant}"}
    jsonschema.validators.validator_for(schema)(one).validate(part)


def test_cut_messages_are_what_the_conventions_say() -> None:
    conversation = [message("user", [part], name="n") for part in MADE_PARTS * 20]
    for limit in (20_000, 5_000, 1_000):
        decoded = json.loads(dump(conversation, limit))
        assert isinstance(decoded, list)
        _validator("gen-ai-input-messages.json").validate(decoded)
