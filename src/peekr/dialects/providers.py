"""Names of providers as the conventions have them, from what others call them."""

from __future__ import annotations

from typing import Any, Optional

__all__ = ["provider_name"]

_NAMES = {
    "az.ai.openai": "azure.ai.openai",
    "azure": "azure.ai.openai",
    "azure-openai": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "az.ai.inference": "azure.ai.inference",
    "amazon-bedrock": "aws.bedrock",
    "amazon_bedrock": "aws.bedrock",
    "aws": "aws.bedrock",
    "aws_bedrock": "aws.bedrock",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "google-gla": "gcp.gemini",
    "google.generative-ai": "gcp.gemini",
    "google_genai": "gcp.gemini",
    "google-vertex": "gcp.vertex_ai",
    "google.vertex": "gcp.vertex_ai",
    "vertex": "gcp.vertex_ai",
    "vertex_ai": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
_KINDS = (".chat", ".messages", ".responses", ".completion", ".embedding", ".generative-ai")


def provider_name(given: Any) -> Optional[str]:
    """The name in the conventions; what is not known stays as it came, in lower case."""
    if not isinstance(given, str) or not given:
        return None
    name = given.strip().lower()
    if name in _NAMES:
        return _NAMES[name]
    for kind in _KINDS:
        if name.endswith(kind):
            # `openai.chat`, `anthropic.messages`: the SDK's name and the kind of its models.
            name = name[: -len(kind)]
            break
    return _NAMES.get(name, name)
