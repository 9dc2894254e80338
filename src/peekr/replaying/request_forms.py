"""The form that each SDK's method takes, and where in it an argument has its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from peekr.replaying import (
    request_anthropic,
    request_bedrock,
    request_gemini,
    request_invoke,
    request_openai,
)
from peekr.replaying.request_parts import Parts
from peekr.request_form import rewrite

__all__ = ["FORMS", "place_of", "written"]

FORMS: dict[tuple[str, str], Callable[[Parts], dict[str, Any]]] = {
    ("openai", "chat"): request_openai.chat,
    ("openai", "completions"): request_openai.completion,
    ("openai", "responses"): request_openai.responses,
    ("openai", "embeddings"): request_openai.embeddings,
    ("anthropic", "messages"): request_anthropic.messages,
    ("gemini", "generate_content"): request_gemini.generate,
    ("gemini", "embed_content"): request_gemini.embed,
    ("bedrock", "converse"): request_bedrock.converse,
    ("bedrock", "invoke_model"): request_invoke.invoke,
}
_WORDS: dict[tuple[str, str], dict[str, Any]] = {
    **{("openai", method): words for method, words in request_openai.WORDS.items()},
    ("anthropic", "messages"): request_anthropic.WORDS,
    ("gemini", "generate_content"): request_gemini.WORDS,
    ("gemini", "embed_content"): request_gemini.EMBED_WORDS,
    ("bedrock", "converse"): {},
    ("bedrock", "invoke_model"): request_invoke.WORDS,
}
# The names in InvokeModel's bodies of what has one name elsewhere.
_NAMES = {
    "max_tokens": ("max_tokens", "max_gen_len", "maxTokenCount", "maxTokens", "max_new_tokens"),
    "top_p": ("top_p", "topP", "p"),
    "top_k": ("top_k", "topK", "k"),
    "stop_sequences": ("stop_sequences", "stopSequences", "stop"),
}


def written(provider: str, method: str, parts: Parts) -> dict[str, Any]:
    """The arguments of a method, written as the recorded request was.

    Args:
        provider: `openai`, `anthropic`, `gemini` or `bedrock`.
        method: One that `FORMS` has with it.
        parts: What was recorded.
    """
    key = provider, method
    made = FORMS[key](parts)
    body: Any = made.get("body") if method == "invoke_model" else made
    if isinstance(body, dict):
        rewrite(cast("dict[str, Any]", body), parts.form, _WORDS[key])
    if provider == "gemini" and isinstance(made["contents"], list):
        request_gemini.finish(made)
    return made


def place_of(provider: str, method: str, name: str, arguments: dict[str, Any]) -> str:
    """Where an argument has its place, named as people name it."""
    if provider == "gemini" and "." not in name and name not in ("model", "contents"):
        return f"config.{name}"
    if provider != "bedrock":
        return name
    if name == "model":
        return "modelId"
    if method == "invoke_model":
        return _place_in_body(name, arguments)
    held = {
        "temperature": "temperature",
        "top_p": "topP",
        "max_tokens": "maxTokens",
        "stop_sequences": "stopSequences",
    }.get(name)
    return name if held is None else f"inferenceConfig.{held}"


def _place_in_body(name: str, arguments: dict[str, Any]) -> str:
    body: dict[str, Any] = arguments.get("body") or {}
    names = _NAMES.get(name, (name,))
    for holder in ("inferenceConfig", "textGenerationConfig"):
        inner = body.get(holder)
        if isinstance(inner, dict):
            found = next((one for one in names if one in inner), None)
            if found is not None or name in ("temperature", *_NAMES):
                camel = {"max_tokens": "maxTokens", "top_p": "topP", "top_k": "topK"}
                return f"body.{holder}.{found or camel.get(name, name)}"
    found = next((one for one in names if one in body), None)
    return name if name in arguments else f"body.{found or name}"
