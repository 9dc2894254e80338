"""What an embedding call says; the vectors themselves are never stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from peekr.instrumentation.contract import Accumulator, Fault, Request, Response, Usage
from peekr.instrumentation.google_genai import client
from peekr.instrumentation.google_genai.client import get, items_of
from peekr.instrumentation.google_genai.contents import input_messages, part_of
from peekr.instrumentation.google_genai.generate import GenerateExtractor
from peekr.instrumentation.google_genai.written import embed_form
from peekr.instrumentation.sound import count
from peekr.messages import Message, message
from peekr.semconv import otel, own

__all__ = ["EMBEDDINGS", "EmbeddingsExtractor"]


class EmbeddingsExtractor:
    """Reads `models.embed_content`, and `_embed_content` of the versions that have it."""

    def request(self, instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Request:
        """Read a request from the SDK's keyword arguments."""
        del args  # the method takes none
        config = kwargs.get("config")
        provider, server = client.endpoint(instance, config)
        attributes, parameters, of_content = client.settings(config)
        dimensions = get(config, "output_dimensionality")
        if isinstance(dimensions, int):
            attributes[otel.GEN_AI_EMBEDDINGS_DIMENSION_COUNT] = dimensions
        return Request(
            model=client.model_name(kwargs.get("model")),
            provider=provider,
            server=server,
            attributes=attributes,
            parameters=parameters,
            content_parameters=of_content,
            form=embed_form(kwargs),
            input=_inputs(_contents(kwargs)),
        )

    def response(self, result: Any) -> Response:
        """Read an `EmbedContentResponse`."""
        vectors = items_of(get(result, "embeddings"))
        attributes: dict[str, Any] = {}
        if vectors:
            attributes[own.PEEKR_EMBEDDINGS_COUNT] = len(vectors)
            dimensions = len(items_of(get(vectors[0], "values")))
            if dimensions:
                attributes[otel.GEN_AI_EMBEDDINGS_DIMENSION_COUNT] = dimensions
        usage = client.usage(get(result, "usage_metadata")) or _counted(vectors)
        return Response(usage=usage, attributes=attributes)

    def accumulator(self) -> Accumulator:
        """Embeddings do not stream."""
        return GenerateExtractor(stream=False).accumulator()

    def fault(self, error: BaseException) -> Optional[Fault]:
        """Read an exception of the SDK."""
        return client.fault(error)


def _contents(kwargs: Mapping[str, Any]) -> Any:
    """The contents by the name that fits the model: Vertex AI has three ways to embed."""
    for name in ("contents", "content", "batch_contents"):
        contents = kwargs.get(name)
        if contents is not None:
            return contents
    return None


def _inputs(contents: Any) -> Optional[list[Message]]:
    """One message an embedded content: in a list, each text is a content of its own."""
    if not isinstance(contents, (list, tuple)):
        return input_messages(contents)
    made: list[Message] = []
    for entry in items_of(contents):
        if isinstance(entry, str):
            made.append(message("user", [part_of(entry)]))
        else:
            made += input_messages(entry) or []
    return made


def _counted(vectors: list[Any]) -> Optional[Usage]:
    """Vertex AI counts tokens for each content by itself."""
    counts = [get(get(vector, "statistics"), "token_count") for vector in vectors]
    known = [number for number in map(count, counts) if number is not None]
    return Usage(input=sum(known)) if known else None


EMBEDDINGS = EmbeddingsExtractor()
