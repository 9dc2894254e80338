"""Anthropic's API through the `anthropic` package: its own, Bedrock's, Vertex's and the like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peekr.instrumentation.anthropic.instrumentor import AnthropicInstrumentor

__all__ = ["SDKS", "AnthropicInstrumentor"]

SDKS = ("anthropic",)
"""The modules whose import loads the hooks."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # OpenTelemetry's base class is slow to import; only who asks for it pays.
    from peekr.instrumentation.anthropic import instrumentor

    return getattr(instrumentor, name)
