"""AWS Bedrock's runtime through botocore (boto3) and aiobotocore (aioboto3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peekr.late import public_names

if TYPE_CHECKING:
    from peekr.instrumentation.bedrock.instrumentor import BedrockInstrumentor

__all__ = ["SDKS", "BedrockInstrumentor"]

SDKS = (
    "botocore.client",
    "aiobotocore.client",
)
"""The modules whose import loads the hooks."""

# OpenTelemetry's base class is slow to import; only who asks for one pays.
_HOMES = {
    "BedrockInstrumentor": "peekr.instrumentation.bedrock.instrumentor",
}

__getattr__, __dir__ = public_names(globals(), _HOMES)
