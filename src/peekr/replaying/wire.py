"""Which provider's words tell a recorded answer."""

from __future__ import annotations

from typing import Any, cast

from peekr.encoding import loads
from peekr.errors import ReplayError
from peekr.replaying.answers import Answer
from peekr.replaying.reply import Reply

__all__ = ["reply_to"]


def reply_to(answer: Answer, path: str, body: bytes) -> Reply:
    """What a request gets that the SDK would have sent.

    Args:
        answer: What was recorded.
        path: The request's path, percent-decoded.
        body: The request's body.

    Raises:
        ReplayError: it is no request for a model call that can be replayed.
    """
    try:
        held: Any = loads(body) if body else {}
    except ValueError:
        held = {}
    request = cast("dict[str, Any]", held if isinstance(held, dict) else {})
    name = answer.record.name
    # Imported where needed: an application uses one provider, rarely two.
    if name == "openai.chat":
        from peekr.replaying.openai_chat import chat

        return chat(answer, request)
    if name == "openai.completions":
        from peekr.replaying.openai_chat import completion

        return completion(answer, request)
    if name == "openai.responses":
        from peekr.replaying.openai_responses import responses

        return responses(answer, request)
    if name == "anthropic.messages":
        from peekr.replaying.anthropic_messages import messages

        if path.endswith((":streamRawPredict", "/invoke-with-response-stream")):
            request = {**request, "stream": True}
        return messages(answer, request)
    if name.startswith("bedrock."):
        from peekr.replaying.bedrock import runtime

        return runtime(answer, path, request)
    if name.startswith("gemini."):
        from peekr.replaying.gemini import generate

        return generate(answer, path)
    raise ReplayError(f"{name} cannot be replayed: nothing is known of its answers")
