"""Holds what a span says against the JSON schemas of the GenAI conventions."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from ..conftest import attributes_of
from ..support.recordings import shared_folder

_SCHEMAS = {
    "gen_ai.input.messages": "gen-ai-input-messages.json",
    "gen_ai.output.messages": "gen-ai-output-messages.json",
    "gen_ai.system_instructions": "gen-ai-system-instructions.json",
    "gen_ai.tool.definitions": "gen-ai-tool-definitions.json",
}


def check_messages(span: ReadableSpan) -> None:
    """Assert that the span's structured attributes are what the conventions say they are.

    Where the schemas are absent, only that they are JSON.
    """
    for name, value in attributes_of(span).items():
        if name in _SCHEMAS:
            assert isinstance(value, str)
            decoded = json.loads(value)
            validator = _validator(_SCHEMAS[name])
            if validator is not None:
                validator.validate(decoded)


@functools.cache
def _validator(file: str) -> Any:
    path = shared_folder() / "semconv-genai" / file
    if not path.is_file():
        return None
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(path.read_text("utf-8"))
    return jsonschema.validators.validator_for(schema)(schema)
