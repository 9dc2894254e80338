"""The form that each SDK's method takes, and where in it an argument has its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from peekr.replaying.request_anthropic import messages
from peekr.replaying.request_bedrock import converse
from peekr.replaying.request_gemini import generate
from peekr.replaying.request_openai import chat, completion, responses
from peekr.replaying.request_parts import Parts

__all__ = ["FORMS", "place_of"]

FORMS: dict[tuple[str, str], Callable[[Parts], dict[str, Any]]] = {
    ("openai", "chat"): chat,
    ("openai", "completions"): completion,
    ("openai", "responses"): responses,
    ("anthropic", "messages"): messages,
    ("gemini", "generate_content"): generate,
    ("bedrock", "converse"): converse,
}


def place_of(provider: str, name: str) -> str:
    """Where an argument has its place, named as people name it."""
    if provider == "gemini" and "." not in name and name not in ("model", "contents"):
        return f"config.{name}"
    if provider == "bedrock":
        held = {
            "temperature": "temperature",
            "top_p": "topP",
            "max_tokens": "maxTokens",
            "stop_sequences": "stopSequences",
        }.get(name)
        if held is not None:
            return f"inferenceConfig.{held}"
        return "modelId" if name == "model" else name
    return name
