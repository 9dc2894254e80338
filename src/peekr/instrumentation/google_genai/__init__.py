"""Google Gemini through `google-genai` (AI Studio, Vertex AI) and through its older package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peekr.instrumentation.google_genai.instrumentor import (
        GoogleGenAIInstrumentor,
        GoogleGenerativeAIInstrumentor,
    )

__all__ = ["SDKS", "GoogleGenAIInstrumentor", "GoogleGenerativeAIInstrumentor"]

SDKS = (
    "google.genai",
    "google.generativeai",
)
"""The modules whose import loads the hooks."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # OpenTelemetry's base class is slow to import; only who asks for it pays.
    from peekr.instrumentation.google_genai import instrumentor

    return getattr(instrumentor, name)
