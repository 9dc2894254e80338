"""OpenAI's HTTP interface, simulated: chat completions, embeddings, completions, and the way in."""

from __future__ import annotations

import array
import base64
import json
import re
from typing import Any, Iterator, List, Optional, Set, cast

from .exchange import (
    CREATED_AT_S,
    Ids,
    Json,
    Reply,
    Request,
    child,
    json_reply,
    objects,
    sse,
    stream_reply,
)
from .failures import Failures, break_stream
from .model import Answer, Prompt, SimulatedModel, count_tokens, pieces, vector
from .openai_errors import check_number, failed, missing, refused, server_error
from .openai_responses import VERSIONS, offered_tools, reasons, responses_reply, text_of, version

__all__ = ["OpenAIApi"]

_PATH = re.compile(r"^(?:/v1|/openai/v1|/openai/deployments/(?P<deployment>[^/]+))/(?P<method>.+)$")
_KNOWN_MODELS = re.compile(
    r"^(gpt-|chatgpt-|o[1-9]|text-embedding-|davinci|babbage|ft:|simulated-"
    r"|llama|meta-llama|mistral|deepseek|grok|sonar|qwen|gemma|.+/)"
)
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")


class OpenAIApi:
    """Answers the requests of the OpenAI SDK, Azure's paths among them.

    Args:
        model: gives the answers.
        ids: gives the identifiers.
    """

    def __init__(self, model: SimulatedModel, ids: Ids) -> None:
        self._model = model
        self._ids = ids
        self._failures = Failures()

    def handle(self, request: Request) -> Optional[Reply]:
        """Answer a request; None where the path is not OpenAI's.

        Raises:
            Rejected: the request is refused.
        """
        path = _PATH.match(request.path)
        if path is None:
            return None
        methods = {
            "chat/completions": self._chat,
            "responses": self._responses,
            "embeddings": self._embeddings,
            "completions": self._completions,
        }
        if path["method"] == "models":
            models = [{"id": name, "object": "model"} for name in VERSIONS]
            return json_reply({"object": "list", "data": models})
        method = methods.get(path["method"])
        if method is None:
            return None
        if request.body is None:
            raise refused(400, "We could not parse the JSON body of your request.")
        body = dict(request.body)
        if path["deployment"]:
            body.setdefault("model", path["deployment"])
        self._check_model(body, any_name=bool(path["deployment"]))
        reply = method(body)
        headers = {
            **reply.headers,
            "openai-version": "2020-10-01",
            "x-request-id": self._ids.next("req_"),
        }
        return Reply(reply.status, reply.content_type, reply.chunks, reply.streamed, headers)

    def _check_model(self, body: Json, *, any_name: bool) -> None:
        name = body.get("model")
        if not isinstance(name, str) or not name:
            raise refused(400, "you must provide a model parameter", code=None)
        status = self._failures.status(name)
        if status is not None:
            raise failed(status)
        if not any_name and not _KNOWN_MODELS.match(name):
            raise refused(
                404,
                f"The model `{name}` does not exist or you do not have access to it.",
                code="model_not_found",
            )

    # -- chat completions ---------------------------------------------------------------------

    def _chat(self, body: Json) -> Reply:
        check_number(body, "temperature", 2)
        check_number(body, "top_p", 1)
        messages = _messages(body)
        prompt = _chat_prompt(body, messages)
        head: Json = {
            "id": self._ids.next("chatcmpl-"),
            "object": "chat.completion",
            "created": CREATED_AT_S,
            "model": version(body["model"]),
        }
        answers = [self._model.answer(prompt) for _ in range(_count(body, "n"))]
        usage = _chat_usage(prompt, answers, self._model.cached_tokens(prompt))
        tail: Json = {"service_tier": "default", "system_fingerprint": "fp_simulated"}
        if body.get("stream"):
            head["object"] = "chat.completion.chunk"
            return stream_reply(self._chat_chunks(body, {**head, **tail}, answers, usage))
        choices: List[Json] = []
        for index, answer in enumerate(answers):
            message: Json = {"role": "assistant", "content": answer.text or None, "refusal": None}
            if answer.tool_calls:
                message["tool_calls"] = self._chat_tool_calls(answer)
            message["annotations"] = []
            choices.append(
                {
                    "index": index,
                    "message": message,
                    "logprobs": None,
                    "finish_reason": _finish_reason(answer),
                }
            )
        return json_reply({**head, "choices": choices, "usage": usage, **tail})

    def _chat_tool_calls(self, answer: Answer) -> List[Json]:
        return [
            {
                "id": self._ids.next("call_"),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments_json},
            }
            for call in answer.tool_calls
        ]

    def _chat_chunks(
        self, body: Json, head: Json, answers: List[Answer], usage: Json
    ) -> Iterator[bytes]:
        with_usage = bool(child(body, "stream_options").get("include_usage"))
        usage_field: Json = {"usage": None} if with_usage else {}

        def chunk(index: int, delta: Json, finish_reason: Optional[str] = None) -> bytes:
            choice: Json = {
                "index": index,
                "delta": delta,
                "logprobs": None,
                "finish_reason": finish_reason,
            }
            return sse({**head, "choices": [choice], **usage_field})

        for index, answer in enumerate(answers):
            start: Json = {"role": "assistant", "content": "", "refusal": None}
            if answer.tool_calls:
                start["content"] = None
            yield chunk(index, start)
            words = (chunk(index, {"content": piece}) for piece in pieces(answer.text))
            yield from break_stream(body["model"], words, [sse({"error": server_error()})])
            for number, call in enumerate(self._chat_tool_calls(answer)):
                function = call["function"]
                arguments = pieces(function["arguments"])
                opened = {**call, "function": {**function, "arguments": ""}}
                yield chunk(index, {"tool_calls": [{"index": number, **opened}]})
                for piece in arguments:
                    part = {"index": number, "function": {"arguments": piece}}
                    yield chunk(index, {"tool_calls": [part]})
            yield chunk(index, {}, _finish_reason(answer))
        if with_usage:
            yield sse({**head, "choices": [], "usage": usage})
        yield sse("[DONE]")

    def _responses(self, body: Json) -> Reply:
        return responses_reply(body, self._model, self._ids)

    # -- embeddings and completions -----------------------------------------------------------

    def _embeddings(self, body: Json) -> Reply:
        if body.get("input") in (None, "", []):
            raise missing("input")
        inputs = _texts(body["input"])
        dimensions = body.get("dimensions") or (3072 if "3-large" in body["model"] else 1536)
        data: List[Json] = []
        for index, text in enumerate(inputs):
            embedding: Any = vector(text, dimensions)
            if body.get("encoding_format") == "base64":
                embedding = base64.b64encode(array.array("f", embedding).tobytes()).decode()
            data.append({"object": "embedding", "index": index, "embedding": embedding})
        tokens = sum(count_tokens(text) for text in inputs)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return json_reply({"object": "list", "data": data, "model": body["model"], "usage": usage})

    def _completions(self, body: Json) -> Reply:
        prompts = _texts(body.get("prompt") or "")
        asked = [
            Prompt(
                text=text,
                question=text,
                max_tokens=body.get("max_tokens", 16),
                stop=_texts(body.get("stop") or []),
            )
            for text in prompts
        ]
        answers = [self._model.answer(p) for p in asked for _ in range(_count(body, "n"))]
        tokens_input = sum(p.tokens for p in asked)
        tokens_output = sum(answer.tokens for answer in answers)
        head: Json = {
            "id": self._ids.next("cmpl-"),
            "object": "text_completion",
            "created": CREATED_AT_S,
            "model": body["model"],
        }
        usage: Json = {
            "prompt_tokens": tokens_input,
            "completion_tokens": tokens_output,
            "total_tokens": tokens_input + tokens_output,
        }

        def choice(index: int, text: str, finish_reason: Optional[str]) -> Json:
            return {"text": text, "index": index, "logprobs": None, "finish_reason": finish_reason}

        def chunks() -> Iterator[bytes]:
            for index, answer in enumerate(answers):
                words = (
                    sse({**head, "choices": [choice(index, piece, None)]})
                    for piece in pieces(answer.text)
                )
                yield from break_stream(body["model"], words, [sse({"error": server_error()})])
                yield sse({**head, "choices": [choice(index, "", _finish_reason(answer))]})
            if child(body, "stream_options").get("include_usage"):
                yield sse({**head, "choices": [], "usage": usage})
            yield sse("[DONE]")

        if body.get("stream"):
            return stream_reply(chunks())
        choices = [
            choice(i, answer.text, _finish_reason(answer)) for i, answer in enumerate(answers)
        ]
        return json_reply({**head, "choices": choices, "usage": usage})


def _messages(body: Json) -> List[Json]:
    if "messages" not in body:
        raise missing("messages")
    messages = objects(body["messages"])
    if not messages:
        raise refused(
            400,
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an"
            " empty array instead.",
            param="messages",
            code="empty_array",
        )
    called: Set[str] = set()
    for index, message in enumerate(messages):
        role = message.get("role")
        if role not in _ROLES:
            supported = ", ".join(f"'{name}'" for name in _ROLES)
            raise refused(
                400,
                f"Invalid value: '{role}'. Supported values are: {supported}.",
                param=f"messages[{index}].role",
                code="invalid_value",
            )
        called.update(str(call.get("id")) for call in objects(message.get("tool_calls")))
        if role == "tool" and message.get("tool_call_id") not in called:
            raise refused(
                400,
                "Invalid parameter: messages with role 'tool' must be a response to a preceeding"
                " message with 'tool_calls'.",
                param=f"messages.[{index}].role",
            )
    return messages


def _chat_prompt(body: Json, messages: List[Json]) -> Prompt:
    question = ""
    results: List[str] = []
    for message in messages:
        if message["role"] == "user":
            question, results = text_of(message.get("content")), []
        elif message["role"] in ("tool", "function"):
            results.append(text_of(message.get("content")))
    functions = [child(tool, "function") for tool in objects(body.get("tools"))]
    functions += objects(body.get("functions"))
    form = child(body, "response_format")
    schema: Optional[Json] = None
    if form.get("type") == "json_schema":
        schema = child(child(form, "json_schema"), "schema")
    elif form.get("type") == "json_object":
        schema = {}
    return Prompt(
        text="\n".join(text_of(message.get("content")) + _called(message) for message in messages),
        question=question,
        tools=offered_tools(body, functions),
        tool_results=results,
        schema=schema,
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        stop=_texts(body.get("stop") or []),
        thinks=reasons(body["model"]),
    )


def _called(message: Json) -> str:
    calls = objects(message.get("tool_calls"))
    return "".join(json.dumps(call.get("function")) for call in calls)


def _texts(value: Any) -> List[str]:
    """Return a field that takes a text or several; token ids count as their decimal text."""
    if isinstance(value, str):
        return [value]
    items = cast("List[Any]", value)
    if items and isinstance(items[0], int):
        return [" ".join(map(str, items))]
    return [item if isinstance(item, str) else " ".join(map(str, item)) for item in items]


def _finish_reason(answer: Answer) -> str:
    if answer.tool_calls:
        return "tool_calls"
    return "length" if answer.truncated else "stop"


def _chat_usage(prompt: Prompt, answers: List[Answer], cached: int) -> Json:
    tokens_output = sum(answer.tokens for answer in answers)
    return {
        "prompt_tokens": prompt.tokens,
        "completion_tokens": tokens_output,
        "total_tokens": prompt.tokens + tokens_output,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": sum(answer.reasoning_tokens for answer in answers),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _count(body: Json, name: str) -> int:
    return max(1, int(body.get(name) or 1))
