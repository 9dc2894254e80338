"""Each provider's extractor on the JSON of an answer, as the SDKs hand it over."""

from __future__ import annotations

import json
from typing import Any, Dict, List

from peekr.instrumentation.anthropic.messages import MESSAGES
from peekr.instrumentation.bedrock.converse import CONVERSE, CONVERSE_STREAM
from peekr.instrumentation.bedrock.invoke import INVOKE, INVOKE_STREAM
from peekr.instrumentation.contract import Response
from peekr.instrumentation.google_genai.embeddings import EMBEDDINGS as GEMINI_EMBEDDINGS
from peekr.instrumentation.google_genai.generate import GENERATE, GENERATE_STREAM
from peekr.instrumentation.openai.chat import CHAT, COMPLETION
from peekr.instrumentation.openai.embeddings import EMBEDDINGS
from peekr.instrumentation.openai.responses import RESPONSES

from ..support.recordings import Interaction

__all__ = ["as_models", "extractor_of", "is_invoke", "read", "read_documents"]


def is_invoke(interaction: Interaction) -> bool:
    """Whether it is one of Bedrock's `invoke_model`, whose bodies the SDK leaves as bytes."""
    return "/invoke" in interaction.path


def extractor_of(interaction: Interaction) -> Any:
    """What reads the calls of one kind."""
    path, streamed = interaction.path, interaction.streamed
    if interaction.provider == "anthropic":
        return MESSAGES
    if interaction.provider == "gemini":
        if "mbed" in path:
            return GEMINI_EMBEDDINGS
        return GENERATE_STREAM if streamed else GENERATE
    if interaction.provider == "bedrock":
        if is_invoke(interaction):
            return INVOKE_STREAM if streamed else INVOKE
        return CONVERSE_STREAM if streamed else CONVERSE
    if path.endswith("/chat/completions"):
        return CHAT
    if path.endswith("/responses"):
        return RESPONSES
    return EMBEDDINGS if path.endswith("/embeddings") else COMPLETION


def read(interaction: Interaction, documents: List[Any]) -> Response:
    """What the extractor makes of an answer, or of a stream of events.

    Raises:
        Exception: whatever it raises, which the call driver contains.
    """
    if is_invoke(interaction):
        documents = [_invoked(interaction, document) for document in documents]
    return read_documents(interaction, documents)


def read_documents(interaction: Interaction, documents: List[Any]) -> Response:
    """The same of the SDK's own objects."""
    extractor = extractor_of(interaction)
    if not interaction.streamed:
        return extractor.response(documents[0])
    accumulator = extractor.accumulator()
    if interaction.provider == "bedrock":
        accumulator.add({"ResponseMetadata": {"RequestId": "r", "HTTPHeaders": {}}})
        # Its parser makes an object of each event, whatever was sent.
        documents = [event for event in documents if isinstance(event, dict)]
    for document in documents:
        accumulator.add(document)
    return accumulator.response()


def _invoked(interaction: Interaction, document: Any) -> Dict[str, Any]:
    body = json.dumps(document).encode()
    if interaction.streamed:
        return {"chunk": {"bytes": body}}
    headers = {"x-amzn-bedrock-input-token-count": "x"}
    return {"body": body, "ResponseMetadata": {"HTTPHeaders": headers}}


def as_models(interaction: Interaction, documents: List[Any]) -> List[Any]:
    """The SDK's own objects, made as it makes them of JSON that it does not check."""
    if interaction.provider == "openai":
        from openai import types
        from openai._models import construct_type
        from openai.types import chat, responses

        if interaction.path.endswith("/chat/completions"):
            kind: Any = chat.ChatCompletionChunk if interaction.streamed else chat.ChatCompletion
        elif interaction.path.endswith("/responses"):
            kind = responses.Response
            if interaction.streamed:
                kind = responses.ResponseStreamEvent
        elif interaction.path.endswith("/embeddings"):
            kind = types.CreateEmbeddingResponse
        else:
            kind = types.Completion
    else:
        from anthropic._models import construct_type
        from anthropic.types import Message, RawMessageStreamEvent

        kind = RawMessageStreamEvent if interaction.streamed else Message
    return [construct_type(value=document, type_=kind) for document in documents]
