"""The hooks on the `google-genai` package.

The hooks are on `Models._generate_content` and `Models._generate_content_stream`, which every
version from 1.0 on has and which send one request each: the public methods, chats and automatic
function calling go through them, perhaps several times a call. So one span is one request, and
the functions that the SDK calls between two requests run outside of any.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from peekr.instrumentation.google_genai.functions import replacements
from peekr.instrumentation.hooks import Instrumentation
from peekr.instrumentation.runtime import Hook

__all__ = ["GOOGLE_GENAI", "GOOGLE_GENERATIVEAI", "INSTRUMENTATIONS"]

_HERE = "peekr.instrumentation.google_genai"
_LEGACY = "google.generativeai.generative_models"
_MODELS = "google.genai.models"


def _hooks() -> tuple[Hook, ...]:
    whole, streamed = f"{_HERE}.generate:GENERATE", f"{_HERE}.generate:GENERATE_STREAM"
    embeddings = f"{_HERE}.embeddings:EMBEDDINGS"
    content, stream = "gemini.generate_content", "gemini.generate_content_stream"
    embed = "gemini.embed_content"
    # The last column: a public method is hooked where what is below it is not there (any more).
    table: tuple[tuple[str, str, str, str, Optional[str]], ...] = (
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
            "peekr.instrumentation.stream:deliver",
            unless=unless,
        )
        for method, record, operation, extractor, unless in table
        for cls, is_async in (("Models", False), ("AsyncModels", True))
    )


def _legacy_hooks() -> tuple[Hook, ...]:
    """The hooks of `google-generativeai`."""
    return tuple(
        hook._replace(choose=_choosing(hook))
        for hook in (
            Hook(
                _LEGACY,
                f"GenerativeModel.{method}",
                "gemini.generate_content",
                "gcp.gemini",
                "generate_content",
                f"{_HERE}.legacy:LEGACY",
                is_async,
                f"{_HERE}.legacy:deliver",
            )
            for method, is_async in (("generate_content", False), ("generate_content_async", True))
        )
    )


def _choosing(whole: Hook) -> Any:
    """Streamed answers are records of a name of their own."""
    streamed = whole._replace(record="gemini.generate_content_stream")

    def choose(instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Hook:
        del instance, args
        return streamed if kwargs.get("stream") else whole

    return choose


GOOGLE_GENAI = Instrumentation("google_genai", ("google-genai >= 1.0",), _hooks(), replacements())
GOOGLE_GENERATIVEAI = Instrumentation(
    "google_generativeai", ("google-generativeai >= 0.8",), _legacy_hooks()
)

INSTRUMENTATIONS = (GOOGLE_GENAI, GOOGLE_GENERATIVEAI)
