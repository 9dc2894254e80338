"""The hooks on the `openai` package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, Optional

from opentelemetry import context as otel_context

from peekr import config
from peekr.instrumentation.hooks import Instrumentation
from peekr.instrumentation.runtime import ACTIVE_KEY, Hook, Runtime

__all__ = ["INSTRUMENTATIONS", "OPENAI"]

_PROVIDER = "openai"
_HERE = "peekr.instrumentation.openai"
_CLIENT = "openai._base_client"
_CHAT = "openai.resources.chat.completions.completions"
_RESPONSES = "openai.resources.responses.responses"
_EMBEDDINGS = "openai.resources.embeddings"
_COMPLETIONS = "openai.resources.completions"
_DELIVER = "peekr.instrumentation.stainless:deliver"
_DELIVER_REQUEST = "peekr.instrumentation.stainless:deliver_request"
_ASK_FOR_USAGE = "peekr.instrumentation.openai.stream_usage:ask_for_usage"
_BETA_CHAT = "openai.resources.beta.chat.completions"  # where `parse` was until 1.92


def _hooks() -> tuple[Hook, ...]:
    chat, text = f"{_HERE}.chat:CHAT", f"{_HERE}.chat:COMPLETION"
    responses, embeddings = f"{_HERE}.responses:RESPONSES", f"{_HERE}.embeddings:EMBEDDINGS"
    # The `stream` helpers open their stream through `create`, which is where they are seen.
    table: tuple[tuple[str, str, str, str, str, str], ...] = (
        (_CHAT, "Completions", "create", "openai.chat", "chat", chat),
        (_CHAT, "Completions", "parse", "openai.chat", "chat", chat),
        (_BETA_CHAT, "Completions", "parse", "openai.chat", "chat", chat),
        (_RESPONSES, "Responses", "create", "openai.responses", "chat", responses),
        (_RESPONSES, "Responses", "parse", "openai.responses", "chat", responses),
        (_EMBEDDINGS, "Embeddings", "create", "openai.embeddings", "embeddings", embeddings),
        (_COMPLETIONS, "Completions", "create", "openai.completions", "text_completion", text),
    )
    hooks = [
        Hook(
            module,
            f"{prefix}{cls}.{method}",
            record,
            _PROVIDER,
            operation,
            extractor,
            is_async,
            _DELIVER,
            _ASK_FOR_USAGE if extractor in (chat, text) else None,
        )
        for module, cls, method, record, operation, extractor in table
        for prefix, is_async in (("", False), ("Async", True))
    ]
    # What was taken from a client before it was watched (`create = client.chat.completions.create`,
    # a cached `with_raw_response`, another library's wrapper) still sends its request through here,
    # and so does what no row above names: `beta.responses`, `compact`, the client's own `post`.
    paths = (
        ("/chat/completions", "openai.chat", "chat", chat),
        ("/responses", "openai.responses", "chat", responses),
        ("/responses/compact", "openai.responses", "chat", responses),
        ("/embeddings", "openai.embeddings", "embeddings", embeddings),
        ("/completions", "openai.completions", "text_completion", text),
    )
    for cls, is_async in (("SyncAPIClient", False), ("AsyncAPIClient", True)):
        rows = {
            path: Hook(
                _CLIENT,
                f"{cls}.request",
                record,
                _PROVIDER,
                operation,
                extractor,
                is_async,
                _DELIVER_REQUEST,
                body=_body,
            )
            for path, record, operation, extractor in paths
        }
        hooks.append(rows["/chat/completions"]._replace(choose=_by_path(rows)))
    return tuple(hooks)


def _by_path(
    rows: Mapping[str, Hook],
) -> Callable[[Any, tuple[Any, ...], Mapping[str, Any]], Optional[Hook]]:
    def choose(instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Optional[Hook]:
        del instance
        if otel_context.get_current().get(ACTIVE_KEY) == _PROVIDER:
            return None  # what was hooked above it is watching
        options = _request_options(args, kwargs)
        if getattr(options, "method", None) != "post":
            return None
        # As the client resolves it: relative to its base, with or without a slash before it.
        path = str(getattr(options, "url", "")).partition("?")[0]
        return rows.get(path) or rows.get(f"/{path}")

    return choose


def _request_options(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return args[1] if len(args) > 1 else kwargs.get("options")


def _body(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    options = _request_options(args, kwargs)
    return {**(options.json_data or {}), "extra_body": getattr(options, "extra_json", None)}


def _options(before: Optional[Runtime], options: dict[str, Any]) -> dict[str, Any]:
    """`stream_usage` as asked for, as it was, or as `PEEKR_OPENAI_STREAM_USAGE` says."""
    asked = options.pop("stream_usage", None)
    if asked is None:
        asked = config.is_on("PEEKR_OPENAI_STREAM_USAGE") or (
            before is not None and bool(before.options.get("stream_usage"))
        )
    return {**options, "stream_usage": True} if asked else options


OPENAI = Instrumentation("openai", ("openai >= 1.66",), _hooks(), resolve=_options)

INSTRUMENTATIONS = (OPENAI,)
