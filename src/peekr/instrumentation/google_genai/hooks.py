"""The hooks on the `google-genai` package.

The hooks are on `Models._generate_content` and `Models._generate_content_stream`, which every
version from 1.0 on has and which send one request each: the public methods, chats and automatic
function calling go through them, perhaps several times a call. So one span is one request, and
the functions that the SDK calls between two requests run outside of any.
"""

from __future__ import annotations

from typing import Optional

from peekr.instrumentation import Extractor
from peekr.instrumentation.call import Hook
from peekr.instrumentation.google_genai.embeddings import EmbeddingsExtractor
from peekr.instrumentation.google_genai.functions import replacements
from peekr.instrumentation.google_genai.generate import GenerateExtractor
from peekr.instrumentation.google_genai.legacy import legacy_hooks
from peekr.instrumentation.hooks import Instrumentation
from peekr.instrumentation.stream import deliver

__all__ = ["GOOGLE_GENAI", "GOOGLE_GENERATIVEAI", "INSTRUMENTATIONS"]

_MODELS = "google.genai.models"


def _hooks() -> tuple[Hook, ...]:
    whole, streamed = GenerateExtractor(stream=False), GenerateExtractor(stream=True)
    embeddings = EmbeddingsExtractor()
    content, stream = "gemini.generate_content", "gemini.generate_content_stream"
    embed = "gemini.embed_content"
    # The last column: a public method is hooked where what is below it is not there (any more).
    table: tuple[tuple[str, str, str, Extractor, Optional[str]], ...] = (
        ("_generate_content", content, "generate_content", whole, None),
        ("generate_content", content, "generate_content", whole, "_generate_content"),
        ("_generate_content_stream", stream, "generate_content", streamed, None),
        (
            "generate_content_stream",
            stream,
            "generate_content",
            streamed,
            "_generate_content_stream",
        ),
        ("_embed_content", embed, "embeddings", embeddings, None),
        ("embed_content", embed, "embeddings", embeddings, "_embed_content"),
    )
    return tuple(
        Hook(
            _MODELS,
            f"{cls}.{method}",
            record,
            "gcp.gemini",
            operation,
            extractor,
            is_async,
            deliver,
            unless=unless,
        )
        for method, record, operation, extractor, unless in table
        for cls, is_async in (("Models", False), ("AsyncModels", True))
    )


GOOGLE_GENAI = Instrumentation("google_genai", ("google-genai >= 1.0",), _hooks(), replacements())
GOOGLE_GENERATIVEAI = Instrumentation(
    "google_generativeai", ("google-generativeai >= 0.8",), legacy_hooks()
)

INSTRUMENTATIONS = (GOOGLE_GENAI, GOOGLE_GENERATIVEAI)
