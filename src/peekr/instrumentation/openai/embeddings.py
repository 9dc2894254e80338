"""What an embedding call says: how many vectors of how many dimensions, never the vectors."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Optional, cast

from peekr.instrumentation.contract import Accumulator, Fault, Request, Response, field
from peekr.instrumentation.openai import client
from peekr.instrumentation.openai.chat import ChatExtractor
from peekr.instrumentation.openai.chat_messages import prompt_messages
from peekr.instrumentation.openai.written import embeddings_form
from peekr.instrumentation.sound import listed
from peekr.semconv import otel, own

__all__ = ["EMBEDDINGS", "EmbeddingsExtractor"]


class EmbeddingsExtractor:
    """Reads `embeddings.create`."""

    def request(self, instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Request:
        """Read a request from the SDK's keyword arguments."""
        del args  # the method takes none
        arguments, attributes, parameters, contents = client.read(kwargs)
        provider, server = client.endpoint(instance)
        encoding = arguments.get("encoding_format")
        if isinstance(encoding, str):
            attributes[otel.GEN_AI_REQUEST_ENCODING_FORMATS] = [encoding]
        dimensions = arguments.get("dimensions")
        if isinstance(dimensions, int):
            attributes[otel.GEN_AI_EMBEDDINGS_DIMENSION_COUNT] = dimensions
        return Request(
            model=client.text_of(arguments.get("model")),
            provider=provider,
            server=server,
            attributes=attributes,
            parameters=parameters,
            content_parameters=contents,
            form=embeddings_form(kwargs),
            input=prompt_messages(arguments.get("input")),
        )

    def response(self, result: Any) -> Response:
        """Read a `CreateEmbeddingResponse` or its JSON."""
        vectors = listed(field(result, "data"))
        attributes: dict[str, Any] = {}
        if vectors:
            attributes[own.PEEKR_EMBEDDINGS_COUNT] = len(vectors)
            dimensions = _dimensions(field(vectors[0], "embedding"))
            if dimensions:
                attributes[otel.GEN_AI_EMBEDDINGS_DIMENSION_COUNT] = dimensions
        return Response(
            model=field(result, "model"),
            usage=client.usage(field(result, "usage")),
            attributes=attributes,
        )

    def accumulator(self) -> Accumulator:
        """Embeddings do not stream; a raw body that is still unread ends like a chat's."""
        return ChatExtractor().accumulator()

    def fault(self, error: BaseException) -> Optional[Fault]:
        """Read an exception of the SDK."""
        return client.fault(error)


def _dimensions(vector: Any) -> Optional[int]:
    if isinstance(vector, (list, tuple)):
        return len(cast("list[Any]", vector))
    if isinstance(vector, str):
        # Asked for as base64: little-endian float32.
        try:
            return len(base64.b64decode(vector, validate=True)) // 4 or None
        except ValueError:
            return None  # cut off, or something else
    return None


EMBEDDINGS = EmbeddingsExtractor()
