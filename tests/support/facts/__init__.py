"""What a recorded exchange says, read straight from the wire formats: the oracle of the tests.

Nothing here knows how Peekr extracts; a fact that the exchange does not hold is None.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, Optional

from ..recordings import Interaction
from .anthropic import anthropic_facts
from .bedrock import converse_facts, invoke_facts
from .form import CalledTool, Facts
from .gemini import gemini_facts
from .openai import chat_facts, embeddings_facts, responses_facts
from .wire import Json, content_text, document, json_objects

__all__ = ["CalledTool", "Facts", "facts_of"]


def facts_of(interaction: Interaction) -> Facts:
    """Compute the facts of an exchange with any provider."""
    asked = Facts(
        request_model=_request_model(interaction),
        last_user_text=_last_user_text(interaction.request_body),
    )
    if interaction.status >= 400:
        return _error_facts(interaction, asked)
    asked = replace(asked, streamed=interaction.streamed)
    return _reader(interaction)(interaction, asked)


def _reader(interaction: Interaction) -> Callable[[Interaction, Facts], Facts]:
    path = interaction.path
    if interaction.provider == "anthropic":
        return anthropic_facts
    if interaction.provider == "gemini":
        return gemini_facts
    if interaction.provider == "bedrock":
        return converse_facts if "/converse" in path else invoke_facts
    if path.endswith("/responses"):
        return responses_facts
    return embeddings_facts if path.endswith("/embeddings") else chat_facts


def _request_model(interaction: Interaction) -> Optional[str]:
    if interaction.provider == "bedrock":
        return interaction.path.split("/")[2]
    if interaction.provider == "gemini":
        return interaction.path.rpartition("/")[2].partition(":")[0]
    return interaction.request_body.get("model")


def _last_user_text(body: Json) -> Optional[str]:
    """Find the last user text in a request of any form: messages, contents, input or prompt."""
    for name in ("input", "prompt", "inputText", "message"):
        if isinstance(body.get(name), str):
            return body[name]
    messages = body.get("messages") or body.get("contents") or body.get("input")
    said = [
        content_text(message.get("content") or message.get("parts"))
        for message in json_objects(messages)
        if message.get("role", "user") == "user"
    ]
    texts = [text for text in said if text]
    return texts[-1] if texts else None


def _error_facts(interaction: Interaction, asked: Facts) -> Facts:
    body = document(interaction)
    error: Json = body.get("error") or body
    # AWS names the kind in a header: `ValidationException:http://…`.
    of_aws = interaction.headers.get("x-amzn-errortype", "").partition(":")[0]
    code = error.get("code")
    named = of_aws or (code if isinstance(code, str) else None)
    return replace(
        asked,
        error_status=interaction.status,
        error_type=named or error.get("type") or error.get("status"),
        error_message=error.get("message"),
    )
