"""OpenAI, Azure OpenAI and every service that speaks OpenAI's API through the `openai` package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peekr.instrumentation.openai.instrumentor import OpenAIInstrumentor

__all__ = ["SDKS", "OpenAIInstrumentor"]

SDKS = ("openai",)
"""The modules whose import loads the hooks."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # OpenTelemetry's base class is slow to import; only who asks for it pays.
    from peekr.instrumentation.openai import instrumentor

    return getattr(instrumentor, name)
