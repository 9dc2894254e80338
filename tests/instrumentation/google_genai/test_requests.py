"""What is asked: contents in every shape, instructions, tools, configuration, service."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Dict, List, Optional

import pytest

from peekr.instrumentation.google_genai.contents import input_messages, system_parts
from peekr.instrumentation.google_genai.definitions import tool_definitions
from peekr.messages import Message

from ...conftest import Telemetry, attributes_of
from .calling import (
    COUNTED,
    Json,
    candidate,
    client_of,
    genai,
    in_all_modes,
    playing,
    quiet,
    run,
    text_answer,
    types,
)

pytestmark = quiet

PNG = b"\x89PNG" + bytes(100)
DIGEST = hashlib.sha256(PNG).hexdigest()
BLOB: Json = {
    "type": "blob",
    "modality": "image",
    "content": "",
    "size": len(PNG),
    "sha256": DIGEST,
    "mime_type": "image/png",
}


@pytest.fixture(autouse=True)
def sdk() -> Any:
    return genai()


def user(*parts: Json) -> Message:
    return {"role": "user", "parts": list(parts)}


def text(content: str) -> Json:
    return {"type": "text", "content": content}


def shapes() -> Dict[str, Any]:
    """Contents as the SDK takes them, with the messages that they are."""
    t = types()
    part, content = t.Part, t.Content
    link: Json = {
        "type": "uri",
        "modality": "video",
        "uri": "gs://bucket/a.mp4",
        "mime_type": "video/mp4",
    }
    call = t.FunctionCall(id="c-1", name="add", args={"a": 1})
    answer = t.FunctionResponse(name="add", response={"result": 3})
    return {
        "text": ("hi", [user(text("hi"))]),
        "texts": (["a", "b"], [user(text("a"), text("b"))]),
        "part": (part(text="hi"), [user(text("hi"))]),
        "content": (content(role="user", parts=[part(text="hi")]), [user(text("hi"))]),
        "dictionary": ({"role": "user", "parts": [{"text": "hi"}]}, [user(text("hi"))]),
        "dictionary of a part": ({"text": "hi"}, [user(text("hi"))]),
        "turns": (
            [
                content(role="user", parts=[part(text="a")]),
                {"role": "model", "parts": [{"text": "b"}]},
                "c",
            ],
            [user(text("a")), {"role": "assistant", "parts": [text("b")]}, user(text("c"))],
        ),
        "bytes": (
            ["look", part.from_bytes(data=PNG, mime_type="image/png")],
            [user(text("look"), BLOB)],
        ),
        "bytes in a dictionary": (
            {"parts": [{"inline_data": {"data": PNG, "mime_type": "image/png"}}]},
            [user(BLOB)],
        ),
        "address": (
            part.from_uri(file_uri="gs://bucket/a.mp4", mime_type="video/mp4"),
            [user(link)],
        ),
        "address in camel case": (
            {"parts": [{"fileData": {"fileUri": "gs://bucket/a.mp4", "mimeType": "video/mp4"}}]},
            [user(link)],
        ),
        "uploaded file": (
            [t.File(uri="https://files/x", mime_type="application/pdf", name="files/x"), "sum up"],
            [
                user(
                    {
                        "type": "uri",
                        "modality": "document",
                        "uri": "https://files/x",
                        "mime_type": "application/pdf",
                    },
                    text("sum up"),
                )
            ],
        ),
        "function call and result": (
            [
                "1 + 2?",
                content(role="model", parts=[part(function_call=call)]),
                content(role="user", parts=[part(function_response=answer)]),
            ],
            [
                user(text("1 + 2?")),
                {
                    "role": "assistant",
                    "parts": [
                        {"type": "tool_call", "name": "add", "arguments": {"a": 1}, "id": "c-1"}
                    ],
                },
                {
                    "role": "tool",
                    "parts": [
                        {"type": "tool_call_response", "response": {"result": 3}, "name": "add"}
                    ],
                },
            ],
        ),
        "thought": (
            {"role": "model", "parts": [{"text": "hm", "thought": True}]},
            [{"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}]}],
        ),
    }


@pytest.mark.parametrize("shape", list(shapes()) if types() else [])
def test_contents_of_every_shape_are_messages(shape: str):
    contents, expected = shapes()[shape]
    assert input_messages(contents) == expected


@pytest.mark.parametrize("shape", list(shapes()) if types() else [])
def test_the_sdk_takes_the_same_contents_unchanged(shape: str, telemetry: Telemetry):
    contents, expected = shapes()[shape]
    with playing("sync", text_answer("Hello.")) as player, client_of(player.url) as client:
        try:
            run(client, "sync", contents=contents)
        except ValueError as error:
            pytest.skip(f"this version does not take it: {type(error).__name__}")
    attributes = attributes_of(telemetry.span)
    assert json.loads(attributes["gen_ai.input.messages"]) == expected


def test_image_of_pil_is_recorded_by_type_and_measures(telemetry: Telemetry):
    image = pytest.importorskip("PIL.Image").new("RGB", (4, 3))
    with playing("sync", text_answer("Red.")) as player, client_of(player.url) as client:
        run(client, "sync", contents=["What is this?", image])
    (message,) = json.loads(attributes_of(telemetry.span)["gen_ai.input.messages"])
    assert message["parts"] == [
        text("What is this?"),
        {
            "type": "blob",
            "modality": "image",
            "content": "",
            "mime_type": "image/png",
            "width": 4,
            "height": 3,
        },
    ]


@pytest.mark.parametrize(
    "instruction",
    [
        "Be brief.",
        ["Be brief."],
        {"parts": [{"text": "Be brief."}]},
        {"role": "system", "parts": [{"text": "Be brief."}]},
    ],
)
def test_system_instruction_of_every_shape(instruction: Any, telemetry: Telemetry):
    assert system_parts(instruction) == [text("Be brief.")]
    with playing("sync", text_answer("Yes.")) as player, client_of(player.url) as client:
        run(client, "sync", config={"system_instruction": instruction})
    record = telemetry.record["attributes"]
    assert record["input"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
    ]


@in_all_modes
@pytest.mark.parametrize("form", ["dictionary", "object", "camel case"])
def test_configuration_is_recorded(telemetry: Telemetry, mode: str, form: str):
    config: Any = {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "max_output_tokens": 100,
        "stop_sequences": ["END"],
        "seed": 7,
        "candidate_count": 1,
        "presence_penalty": 0.25,
        "frequency_penalty": 0.75,
        "response_mime_type": "application/json",
        "response_schema": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
        "cached_content": "cachedContents/1",
    }
    if form == "object":
        config = types().GenerateContentConfig(**config)
    elif form == "camel case":
        config = {camel(name): value for name, value in config.items()}
    answer = [{"candidates": [candidate({"text": '{"a": "b"}'}, finish="STOP")], **COUNTED}]
    with playing(mode, answer) as player, client_of(player.url) as client:
        run(client, mode, config=config)
    attributes = telemetry.record["attributes"]
    asked = {
        key.rpartition("request.")[2]: value
        for key, value in attributes.items()
        if key.startswith("gen_ai.request.")
    }
    asked.pop("stream", None)
    assert asked == {
        "model": "gemini-2.5-flash",
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40.0,
        "max_tokens": 100,
        "stop_sequences": ["END"],
        "seed": 7,
        "presence_penalty": 0.25,
        "frequency_penalty": 0.75,
    }
    assert attributes["gen_ai.output.type"] == "json"
    parameters = attributes["peekr.request.parameters"]
    assert parameters["response_mime_type"] == "application/json"
    assert parameters["response_schema"]["properties"] == {"a": {"type": "STRING"}}
    assert parameters["cached_content"] == "cachedContents/1"
    assert "http_options" not in parameters


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)


def test_thinking_and_a_model_class_as_schema_are_parameters(telemetry: Telemetry):
    from pydantic import BaseModel

    if not hasattr(types(), "ThinkingConfig"):
        pytest.skip("this version does not think")

    class City(BaseModel):
        name: str

    config = {
        "thinking_config": {"include_thoughts": True},
        "response_schema": City,
        "response_mime_type": "application/json",
        "http_options": {"headers": {"x-secret": "no"}},
    }
    answer = text_answer('{"name": "Oslo"}')
    with playing("sync", answer) as player, client_of(player.url) as client:
        run(client, "sync", config=config)
    parameters = telemetry.record["attributes"]["peekr.request.parameters"]
    assert parameters["thinking_config"] == {"include_thoughts": True}
    assert parameters["response_schema"]["properties"]["name"]["type"] == "string"
    assert "x-secret" not in json.dumps(telemetry.record)


def get_weather(city: str, days: int = 1) -> str:
    """Say how the weather will be."""
    raise AssertionError("a definition is never called")


def test_tools_of_every_shape_are_defined():
    t = types()
    declaration = t.FunctionDeclaration(
        name="book",
        description="Book a room.",
        parameters=t.Schema(type="OBJECT", properties={"nights": t.Schema(type="INTEGER")}),
    )
    tools: Any = [
        get_weather,
        t.Tool(function_declarations=[declaration]),
        {"function_declarations": [{"name": "cancel", "description": "Cancel it."}]},
        t.Tool(google_search=t.GoogleSearch()),
        {"codeExecution": {}},
    ]
    assert tool_definitions(tools) == [
        {
            "type": "function",
            "name": "get_weather",
            "description": "Say how the weather will be.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city"],
            },
        },
        {
            "type": "function",
            "name": "book",
            "description": "Book a room.",
            "parameters": {"type": "OBJECT", "properties": {"nights": {"type": "INTEGER"}}},
        },
        {"type": "function", "name": "cancel", "description": "Cancel it."},
        {"type": "google_search", "name": "google_search"},
        {"type": "code_execution", "name": "code_execution"},
    ]


@in_all_modes
def test_tools_are_recorded_with_the_request(telemetry: Telemetry, mode: str):
    config: Json = {"tools": [{"google_search": {}}]}
    with playing(mode, text_answer("Rain.")) as player, client_of(player.url) as client:
        run(client, mode, config=config)
    assert telemetry.record["attributes"]["gen_ai.tool.definitions"] == [
        {"type": "google_search", "name": "google_search"}
    ]


@pytest.mark.parametrize(
    ("named", "recorded"),
    [
        ("gemini-2.5-flash", "gemini-2.5-flash"),
        ("models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("tunedModels/gemini-2.5-flash", "tunedModels/gemini-2.5-flash"),
    ],
)
def test_model_is_recorded_without_its_path(telemetry: Telemetry, named: str, recorded: str):
    with playing("sync", text_answer("Hi.")) as player, client_of(player.url) as client:
        try:
            run(client, "sync", model=named)
        except Exception:
            assert named.startswith("tunedModels")  # another path than the one that is played
    assert telemetry.record["attributes"]["model"] == recorded


@pytest.mark.parametrize("location", [None, "us-central1"])
def test_service_is_that_of_the_client(telemetry: Telemetry, location: Optional[str]):
    credentials = pytest.importorskip("google.oauth2.credentials")
    options: Dict[str, Any] = {"api_key": "written"}
    if location is not None:
        options = {
            "vertexai": True,
            "project": "p",
            "location": location,
            "credentials": credentials.Credentials(token="written"),
        }
    # Nobody listens there: the call fails, and it is known where it went to.
    address = {"base_url": "http://127.0.0.1:9"}
    client = genai().Client(http_options=address, **options)
    with pytest.raises(Exception, match=r"."):
        run(client, "sync", model="publishers/google/models/gemini-2.5-flash")
    attributes = attributes_of(telemetry.span)
    expected = "gcp.gemini" if location is None else "gcp.vertex_ai"
    assert attributes["gen_ai.provider.name"] == expected
    assert attributes["gen_ai.request.model"] == "gemini-2.5-flash"
    assert (attributes["server.address"], attributes["server.port"]) == ("127.0.0.1", 9)
    assert telemetry.record["status"] == "error"


@in_all_modes
def test_request_on_the_wire_is_the_same_as_without_peekr(bare_telemetry: Telemetry, mode: str):
    def sent() -> List[Any]:
        with playing(mode, text_answer("Hi.")) as player, client_of(player.url) as client:
            run(client, mode, contents=["a", "b"], config={"temperature": 0.5})
            return [(r.method, r.path, r.query, r.body, sorted(r.headers)) for r in player.requests]

    before = sent()
    bare_telemetry.instrument()
    assert sent() == before
    assert len(bare_telemetry.spans) == 1


@in_all_modes
def test_without_content_nothing_said_is_recorded(bare_telemetry: Telemetry, mode: str):
    bare_telemetry.instrument(capture_content=False)
    config: Json = {
        "system_instruction": "secret-1",
        "tools": [{"google_search": {}}],
        "response_mime_type": "application/json",
        "response_schema": {"type": "STRING", "description": "secret-4"},
    }
    with playing(mode, text_answer("secret-2")) as player, client_of(player.url) as client:
        run(client, mode, contents="secret-3", config=config)
    text = json.dumps(bare_telemetry.record) + str(bare_telemetry.span.attributes)
    assert "secret" not in text
    attributes = bare_telemetry.record["attributes"]
    assert attributes["tokens_total"] == 8
    parameters = attributes["peekr.request.parameters"]
    assert parameters == {"response_mime_type": "application/json"}
