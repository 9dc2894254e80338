"""Google Gemini's HTTP interface, simulated: contents and embeddings, AI Studio and Vertex."""

from __future__ import annotations

import json
import re
from typing import Any, Iterator, List, Optional, cast

from .exchange import (
    Ids,
    Json,
    Rejected,
    Reply,
    Request,
    json_reply,
    objects,
    sse,
    stream_reply,
    strings,
)
from .failures import Failures, break_stream
from .model import Answer, Prompt, SimulatedModel, Tool, count_tokens, pieces, vector

__all__ = ["GeminiApi"]

_PATH = re.compile(
    r"^/(?P<version>v1(?:alpha|beta1?)?)/(?P<vertex>projects/[^/]+/locations/[^/]+/)?"
    r"(?P<publisher>publishers/google/)?models/(?P<model>[^/:]+):(?P<method>\w+)$"
)
_KNOWN_MODELS = re.compile(r"^(gemini-|gemma-|text-embedding-|simulated-)")
_THINKING_MODELS = re.compile(r"^(gemini-2\.5|gemini-3|simulated-reasoning)")
_CREATED_AT = "2025-01-01T00:00:00Z"
_ERRORS = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
    403: ("PERMISSION_DENIED", "The caller does not have permission."),
    404: ("NOT_FOUND", "Requested entity was not found."),
    429: ("RESOURCE_EXHAUSTED", "You exceeded your current quota."),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
    504: ("DEADLINE_EXCEEDED", "The service was unable to finish processing in time."),
}
_SERVER_ERROR = ("INTERNAL", "An internal error has occurred.")


class GeminiApi:
    """Answers the requests of the google-genai SDK, to AI Studio and to Vertex.

    Args:
        model: gives the answers.
        ids: gives the identifiers.
    """

    def __init__(self, model: SimulatedModel, ids: Ids) -> None:
        self._model = model
        self._ids = ids
        self._failures = Failures()

    def handle(self, request: Request) -> Optional[Reply]:
        """Answer a request; None where the path is not Gemini's.

        Raises:
            Rejected: the request is refused.
        """
        path = _PATH.match(request.path)
        if path is None:
            return None
        name, method = path["model"], path["method"]
        status = self._failures.status(name)
        if status is not None:
            raise _refused(status)
        if not _KNOWN_MODELS.match(name):
            raise _refused(
                404,
                f"models/{name} is not found for API version {path['version']}, or is not supported"
                f" for {method}. Call ListModels to see the list of available models and their"
                " supported methods.",
            )
        body = request.body
        if body is None:
            raise _refused(400, "Invalid JSON payload received.")
        methods = {
            "generateContent": self._generate,
            "streamGenerateContent": self._stream,
            "embedContent": self._embed,
            "batchEmbedContents": self._embed_batch,
            "predict": self._predict,
            "countTokens": self._count,
        }
        if method not in methods:
            raise _refused(404)
        return methods[method](name, body)

    def _generate(self, name: str, body: Json) -> Reply:
        prompt = _prompt(name, body)
        answers = [self._model.answer(prompt) for _ in range(_candidate_count(body))]
        with_thoughts = _shows_thoughts(body)
        candidates = [
            {
                "content": {"role": "model", "parts": _parts(answer, with_thoughts)},
                "finishReason": _finish_reason(answer),
                "index": index,
            }
            for index, answer in enumerate(answers)
        ]
        return json_reply(
            {
                "candidates": candidates,
                "usageMetadata": self._usage(prompt, answers),
                "modelVersion": name,
                "createTime": _CREATED_AT,
                "responseId": self._ids.next("response-"),
            }
        )

    def _stream(self, name: str, body: Json) -> Reply:
        prompt = _prompt(name, body)
        answer = self._model.answer(prompt)
        usage = self._usage(prompt, [answer])
        tail: Json = {
            "modelVersion": name,
            "createTime": _CREATED_AT,
            "responseId": self._ids.next("response-"),
        }

        def chunk(part: Json, **more: Any) -> bytes:
            candidate: Json = {"content": {"role": "model", "parts": [part]}, "index": 0, **more}
            counted = usage if more else {"promptTokenCount": prompt.tokens}
            return sse({"candidates": [candidate], "usageMetadata": counted, **tail})

        def chunks() -> Iterator[bytes]:
            shown = answer.reasoning if _shows_thoughts(body) else ""
            for piece in pieces(shown):
                yield chunk({"text": piece, "thought": True})
            parts = [{"text": piece} for piece in pieces(answer.text)]
            parts = parts or _parts(answer, with_thoughts=False) or [{"text": ""}]
            code = {"code": 503, "message": _ERRORS[503][1], "status": _ERRORS[503][0]}
            words = (chunk(part) for part in parts[:-1])
            # In a stream the service sends an error as bare lines of JSON.
            error = json.dumps({"error": code}, indent=2).encode() + b"\n"
            yield from break_stream(name, words, [error])
            yield chunk(parts[-1], finishReason=_finish_reason(answer))

        return stream_reply(chunks(), content_type="text/event-stream")

    def _usage(self, prompt: Prompt, answers: List[Answer]) -> Json:
        thoughts = sum(answer.reasoning_tokens for answer in answers)
        candidates = sum(answer.tokens for answer in answers) - thoughts
        cached = self._model.cached_tokens(prompt)
        usage: Json = {
            "promptTokenCount": prompt.tokens,
            "candidatesTokenCount": candidates,
            "totalTokenCount": prompt.tokens + candidates + thoughts,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt.tokens}],
        }
        if thoughts:
            usage["thoughtsTokenCount"] = thoughts
        if cached:
            usage["cachedContentTokenCount"] = cached
        return usage

    def _embed(self, name: str, body: Json) -> Reply:
        return json_reply({"embedding": {"values": _vector(body)}})

    def _embed_batch(self, name: str, body: Json) -> Reply:
        requests = objects(body.get("requests"))
        if not requests:
            raise _refused(400, "BatchEmbedContentsRequest.requests: at least one is required.")
        return json_reply({"embeddings": [{"values": _vector(asked)} for asked in requests]})

    def _predict(self, name: str, body: Json) -> Reply:
        """Vertex embeds through its general method for predictions."""
        dimensions = _field(_part(body, "parameters"), "outputDimensionality") or 768
        predictions: List[Json] = []
        for instance in objects(body.get("instances")):
            text = str(instance.get("content") or "")
            statistics = {"token_count": count_tokens(text), "truncated": False}
            values = vector(text, dimensions)
            predictions.append({"embeddings": {"values": values, "statistics": statistics}})
        return json_reply({"predictions": predictions})

    def _count(self, name: str, body: Json) -> Reply:
        return json_reply({"totalTokens": _prompt(name, body).tokens})


def _prompt(name: str, body: Json) -> Prompt:
    contents = objects(body.get("contents"))
    if not contents:
        raise _refused(400, "* GenerateContentRequest.contents: contents is not specified")
    question = ""
    results: List[str] = []
    texts = [_text(_part(body, "systemInstruction"))]
    for content in contents:
        text = _text(content)
        texts.append(text)
        if content.get("role", "user") == "user" and text:
            question, results = text, []
        for part in objects(content.get("parts")):
            if _field(part, "functionResponse") is not None:
                results.append(_result(_part(_part(part, "functionResponse"), "response")))
                texts.append(results[-1])
    config = _part(body, "generationConfig")
    schema: Optional[Json] = None
    if _field(config, "responseMimeType") == "application/json":
        schema = _part(config, "responseSchema") or _part(config, "responseJsonSchema")
    declared = [
        function
        for tool in objects(body.get("tools"))
        for function in objects(_field(tool, "functionDeclarations"))
    ]
    thinking = _part(config, "thinkingConfig")
    return Prompt(
        text="\n".join(texts),
        question=question,
        tools=[
            Tool(
                str(function.get("name")),
                _part(function, "parameters") or _part(function, "parametersJsonSchema"),
            )
            for function in declared
        ],
        tool_results=results,
        schema=schema,
        max_tokens=_field(config, "maxOutputTokens"),
        stop=strings(_field(config, "stopSequences")),
        thinks=bool(_THINKING_MODELS.match(name)) and _field(thinking, "thinkingBudget") != 0,
    )


def _field(body: Json, name: str) -> Any:
    """Return a field by its name in camel case; the service takes it in snake case too."""
    snake = re.sub(r"[A-Z]", lambda capital: f"_{capital[0].lower()}", name)
    return body.get(name, body.get(snake))


def _part(body: Json, name: str) -> Json:
    value = _field(body, name)
    return cast("Json", value) if isinstance(value, dict) else {}


def _text(content: Json) -> str:
    return "".join(str(part.get("text") or "") for part in objects(content.get("parts")))


def _result(response: Json) -> str:
    """Return a function's result as text: the one value of `{"result": …}`, else the JSON."""
    for name in ("result", "output"):
        if isinstance(response.get(name), str):
            return response[name]
    return json.dumps(response)


def _parts(answer: Answer, with_thoughts: bool) -> List[Json]:
    parts: List[Json] = []
    if answer.reasoning and with_thoughts:
        parts.append({"text": answer.reasoning, "thought": True})
    if answer.text:
        parts.append({"text": answer.text})
    parts.extend(
        {"functionCall": {"name": call.name, "args": call.arguments}} for call in answer.tool_calls
    )
    return parts


def _shows_thoughts(body: Json) -> bool:
    thinking = _part(_part(body, "generationConfig"), "thinkingConfig")
    return bool(_field(thinking, "includeThoughts"))


def _candidate_count(body: Json) -> int:
    return max(1, int(_field(_part(body, "generationConfig"), "candidateCount") or 1))


def _finish_reason(answer: Answer) -> str:
    return "MAX_TOKENS" if answer.truncated else "STOP"


def _vector(body: Json) -> List[float]:
    text = _text(_part(body, "content"))
    if not text:
        raise _refused(400, "* EmbedContentRequest.content: contents is not specified")
    config = _part(body, "embedContentConfig")
    dimensions = _field(body, "outputDimensionality") or _field(config, "outputDimensionality")
    return vector(text, dimensions or 768)


def _refused(status: int, text: Optional[str] = None) -> Rejected:
    kind, usual = _ERRORS.get(status, _SERVER_ERROR)
    error = {"code": status, "message": text or usual, "status": kind}
    headers = {"Retry-After": "0"} if status == 429 else {}
    return Rejected(json_reply({"error": error}, status=status, headers=headers))
