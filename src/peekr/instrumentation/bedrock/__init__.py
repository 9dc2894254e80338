"""AWS Bedrock's runtime through botocore (boto3) and aiobotocore (aioboto3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peekr.instrumentation.bedrock.instrumentor import BedrockInstrumentor

__all__ = ["SDKS", "BedrockInstrumentor"]

SDKS = (
    "botocore.client",
    "aiobotocore.client",
)
"""The modules whose import loads the hooks."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # OpenTelemetry's base class is slow to import; only who asks for it pays.
    from peekr.instrumentation.bedrock import instrumentor

    return getattr(instrumentor, name)
