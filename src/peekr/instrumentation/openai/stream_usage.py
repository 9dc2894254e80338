"""The option `stream_usage`: a stream that tells its token counts, though nobody asked it to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, Optional

from peekr.instrumentation.openai.chat_stream import is_usage_chunk
from peekr.instrumentation.runtime import Runtime
from peekr.instrumentation.stainless import is_raw

__all__ = ["ask_for_usage"]


def ask_for_usage(
    runtime: Runtime, kwargs: Mapping[str, Any]
) -> Optional[tuple[dict[str, Any], Callable[[Any], bool]]]:
    """With the option `stream_usage`, ask a stream for its token counts and hide the answer.

    Only where the caller streams, has not said what it wants itself, and does not read the raw
    response, in which nothing can be hidden.
    """
    if not runtime.options.get("stream_usage") or kwargs.get("stream") is not True:
        return None
    stated = kwargs.get("stream_options")
    if stated is not None and type(stated).__name__ not in ("Omit", "NotGiven"):
        return None
    body = kwargs.get("extra_body")
    if isinstance(body, Mapping) and "stream_options" in body:
        return None
    if is_raw(kwargs):
        return None
    return {**kwargs, "stream_options": {"include_usage": True}}, is_usage_chunk
