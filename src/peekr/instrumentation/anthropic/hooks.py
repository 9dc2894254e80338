"""The hooks on the `anthropic` package.

The hooks are on the clients' `request`, through which every version since 0.45 sends each request,
once: `messages.create`, `parse` and `stream` of both the stable and the beta API, raw responses,
threads, tool runners and the clients of other platforms. So one span is one request for a message,
retries included, and a stream is watched before a helper such as `MessageStream` wraps it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional, cast

from peekr.instrumentation.anthropic.native import REPLACEMENTS, silence
from peekr.instrumentation.hooks import Instrumentation
from peekr.instrumentation.runtime import Hook

__all__ = ["ANTHROPIC", "INSTRUMENTATIONS"]

_CLIENT = "anthropic._base_client"
_MESSAGES = "v1/messages"


def _options(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The request's options, the second parameter of `request`."""
    return args[1] if len(args) > 1 else kwargs.get("options")


def _body(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    options = _options(args, kwargs)
    body = getattr(options, "json_data", None)
    made = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    extra = getattr(options, "extra_json", None)
    return {**made, **extra} if extra else made


def _is_message(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    options = _options(args, kwargs)
    url = getattr(options, "url", None)
    # Batches and token counts have paths of their own below it.
    # With or without a slash before it: the client takes both as relative to its base.
    return isinstance(url, str) and url.partition("?")[0].lstrip("/") == _MESSAGES


def _hush(client: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    silence(client, _options(args, kwargs))


def _hook(cls: str, is_async: bool) -> Hook:
    row = Hook(
        _CLIENT,
        f"{cls}.request",
        "anthropic.messages",
        "anthropic",
        "chat",
        "peekr.instrumentation.anthropic.messages:MESSAGES",
        is_async,
        "peekr.instrumentation.stainless:deliver_request",
        body=_body,
        hush=_hush,
    )

    def choose(instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Optional[Hook]:
        del instance
        return row if _is_message(args, kwargs) else None

    return row._replace(choose=choose)


ANTHROPIC = Instrumentation(
    "anthropic",
    ("anthropic >= 0.45",),
    (_hook("SyncAPIClient", False), _hook("AsyncAPIClient", True)),
    REPLACEMENTS,
)

INSTRUMENTATIONS = (ANTHROPIC,)
