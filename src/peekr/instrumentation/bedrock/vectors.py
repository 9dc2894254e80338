"""What embedding calls say: Amazon Titan and Nova, Cohere; vectors are counted, never kept.

Source: the pages of these models in Amazon Bedrock's user guide.
"""

from __future__ import annotations

from typing import Any, Optional, cast

from peekr.instrumentation.bedrock.form import obj, objs, parameters, text_of
from peekr.instrumentation.bedrock.prompt import PromptForm
from peekr.instrumentation.contract import Accumulator, Request, Response, Usage
from peekr.messages import Message, Part, binary, data_url, message, text, uri
from peekr.semconv import otel, own

__all__ = ["EmbeddingForm"]

_VECTORS = ("embedding", "embeddings", "embeddingsByType")
# Cohere packs eight dimensions into each number of these.
_PACKED = ("binary", "ubinary")


class EmbeddingForm:
    """Texts and images that become vectors.

    Args:
        model_says_so: The model's id names it one that embeds; Titan's request alone does not
            tell (`{"inputText": …}` is its text models' as well).
    """

    def __init__(self, model_says_so: bool = False) -> None:
        self._model_says_so = model_says_so

    def asks(self, body: dict[str, Any]) -> bool:
        """Whether a request asks for vectors."""
        if any(name in body for name in ("texts", "input_type", "embeddingConfig", "inputImage")):
            return True
        return self._model_says_so or any(name in body for name in _NOVA_PARAMS)

    def request(self, body: dict[str, Any]) -> Request:
        """Read a request."""
        attributes: dict[str, Any] = {}
        nova = next((obj(body[name]) for name in _NOVA_PARAMS if name in body), obj(None))
        wanted = (
            body.get("dimensions")
            or body.get("output_dimension")
            or obj(body.get("embeddingConfig")).get("outputEmbeddingLength")
            or nova.get("embeddingDimension")
        )
        if isinstance(wanted, int):
            attributes[otel.GEN_AI_EMBEDDINGS_DIMENSION_COUNT] = wanted
        formats: Any = body.get("embeddingTypes") or body.get("embedding_types")
        if isinstance(formats, list):
            attributes[otel.GEN_AI_REQUEST_ENCODING_FORMATS] = [
                str(entry) for entry in cast("list[Any]", formats)
            ]
        held = parameters(body)
        for name in ("dimensions", "output_dimension", "embedding_types", "embeddingTypes"):
            held.pop(name, None)
        return Request(
            operation="embeddings",
            attributes=attributes,
            parameters=held,
            input=_input(body, nova) or None,
        )

    def answers(self, body: dict[str, Any]) -> bool:
        """Whether an answer has vectors."""
        return any(name in body for name in _VECTORS)

    def response(self, body: dict[str, Any]) -> Response:
        """Count the vectors of an answer and measure the first."""
        count, dimensions = _measured(body)
        attributes: dict[str, Any] = {}
        if count:
            attributes[own.PEEKR_EMBEDDINGS_COUNT] = count
        if dimensions:
            attributes[otel.GEN_AI_EMBEDDINGS_DIMENSION_COUNT] = dimensions
        sent = body.get("inputTextTokenCount")
        answer_id = body.get("id")
        return Response(
            id=answer_id if isinstance(answer_id, str) else None,
            usage=Usage(input=sent) if isinstance(sent, int) else None,
            attributes=attributes,
        )

    def accumulator(self) -> Accumulator:
        """Embeddings do not stream."""
        return PromptForm().accumulator()


_NOVA_PARAMS = ("singleEmbeddingParams", "segmentedEmbeddingParams")


def _input(body: dict[str, Any], nova: dict[str, Any]) -> list[Message]:
    made: list[Message] = []
    for entry in _list(body.get("texts")):
        made.append(message("user", [text(text_of(entry))]))
    for image in _list(body.get("images")):
        made.append(message("user", [_image(image)]))
    for entry in objs(body.get("inputs")):
        made.append(message("user", [_block(block) for block in objs(entry.get("content"))]))
    both: list[Part] = []
    if isinstance(body.get("inputText"), str):
        both.append(text(body["inputText"]))
    if body.get("inputImage"):
        both.append(_image(body["inputImage"]))
    written = obj(nova.get("text")).get("value")
    if isinstance(written, str):
        both.append(text(written))
    for modality in ("image", "video", "audio"):
        held = obj(nova.get(modality))
        source = obj(held.get("source"))
        mime_type = f"{modality}/{held.get('format')}"
        if "bytes" in source:
            both.append(binary(modality, source["bytes"], mime_type))
        elif source:
            both.append(uri(modality, text_of(obj(source.get("s3Location")).get("uri")), mime_type))
    if both:
        made.append(message("user", both))
    return made


def _block(block: dict[str, Any]) -> Part:
    if "text" in block:
        return text(text_of(block["text"]))
    held = block.get("image_url")
    return _image(held if isinstance(held, str) else obj(held).get("url"))


def _image(data: Any) -> Part:
    if isinstance(data, str) and data.startswith("data:"):
        return data_url("image", data)
    return binary("image", data)


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _measured(body: dict[str, Any]) -> tuple[int, Optional[int]]:
    """How many vectors, and of how many dimensions."""
    single = body.get("embedding")
    if isinstance(single, list):
        return 1, len(cast("list[Any]", single))
    by_type = obj(body.get("embeddingsByType"))
    if by_type:
        return 1, len(_list(next(iter(by_type.values())))) or None
    vectors: Any = body.get("embeddings")
    if isinstance(vectors, dict):
        kinds = cast("dict[str, Any]", vectors)
        kind = next((name for name in kinds if name not in _PACKED), next(iter(kinds), ""))
        found = _list(kinds.get(kind))
        dimensions = len(_list(found[0])) if found else 0
        return len(found), (dimensions * (8 if kind in _PACKED else 1)) or None
    found = _list(vectors)
    if not found:
        return 0, None
    first = found[0]
    if isinstance(first, dict):
        first = obj(first).get("embedding")  # Nova's
    return len(found), len(_list(first)) or None
