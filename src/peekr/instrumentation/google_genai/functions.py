"""Automatic function calling: the functions that the SDK executes between two requests.

The SDK calls `get_function_response_parts` for an answer with function calls, and for each call
`invoke_function_from_dict_args`, both (and their async forms) looked up in `_extra_utils` at the
time of the call; functions of an MCP server go through an adapter's `call_tool`.

Source: google-genai 1.0 to 3.4.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from contextvars import ContextVar, Token
from typing import Any, Callable, Optional, cast

from peekr import faults
from peekr.instrumentation.google_genai.client import get, items_of
from peekr.instrumentation.hooks import Replacement
from peekr.instrumentation.runtime import Runtime
from peekr.instrumentation.tool import ToolExecution, ToolRun

__all__ = ["replacements"]

_UTILS = "google.genai._extra_utils"
_ADAPTERS = "google.genai._adapters"

# The function calls of the answer at hand, which alone know their ids. It is one list for all
# threads and tasks that execute them.
_calls: ContextVar[Optional[list[Any]]] = ContextVar("peekr-function-calls", default=None)

_CurrentRuntime = Callable[[], Optional[Runtime]]


def replacements() -> tuple[Replacement, ...]:
    """What takes the place of the SDK's functions; those that a version lacks are left out."""
    return (
        Replacement(_UTILS, "get_function_response_parts", _holding_calls),
        Replacement(_UTILS, "get_function_response_parts_async", _holding_calls),
        Replacement(_UTILS, "invoke_function_from_dict_args", _invoking),
        Replacement(_UTILS, "invoke_function_from_dict_args_async", _invoking),
        Replacement(_ADAPTERS, "McpToGenAiToolAdapter.call_tool", _calling_server),
    )


def _holding_calls(current: _CurrentRuntime, original: Callable[..., Any]) -> Callable[..., Any]:
    """Keep the function calls of the answer at hand while the SDK executes them."""
    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def holding_async(*args: Any, **kwargs: Any) -> Any:
            if current() is None:
                return await original(*args, **kwargs)
            token = _calls.set(_function_calls(args, kwargs))
            try:
                return await original(*args, **kwargs)
            finally:
                _reset(token)

        return holding_async

    @functools.wraps(original)
    def holding(*args: Any, **kwargs: Any) -> Any:
        if current() is None:
            return original(*args, **kwargs)
        token = _calls.set(_function_calls(args, kwargs))
        try:
            return original(*args, **kwargs)
        finally:
            _reset(token)

    return holding


def _invoking(current: _CurrentRuntime, original: Callable[..., Any]) -> Callable[..., Any]:
    """A span around the execution of one function of the application."""
    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def invoking_async(*args: Any, **kwargs: Any) -> Any:
            runtime = current()
            if runtime is None:
                return await original(*args, **kwargs)
            with ToolRun(runtime, _of_function(args, kwargs)) as run:
                try:
                    result = await original(*args, **kwargs)
                except Exception as error:
                    _fail(run, error)
                    raise
                run.returned(result)
                return result

        return invoking_async

    @functools.wraps(original)
    def invoking(*args: Any, **kwargs: Any) -> Any:
        runtime = current()
        if runtime is None:
            return original(*args, **kwargs)
        with ToolRun(runtime, _of_function(args, kwargs)) as run:
            try:
                result = original(*args, **kwargs)
            except Exception as error:
                _fail(run, error)
                raise
            run.returned(result)
            return result

    return invoking


def _calling_server(current: _CurrentRuntime, original: Callable[..., Any]) -> Callable[..., Any]:
    """A span around the call of one tool of an MCP server."""

    @functools.wraps(original)
    async def calling(*args: Any, **kwargs: Any) -> Any:
        runtime = current()
        if runtime is None:
            return await original(*args, **kwargs)
        call = kwargs["function_call"] if "function_call" in kwargs else args[1]
        with ToolRun(runtime, _of_call(call)) as run:
            result = await original(*args, **kwargs)
            run.returned(result)
            if get(result, "is_error") or get(result, "isError"):
                run.failed("tool_error", str(get(result, "content")))
            return result

    return calling


def _function_calls(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
    try:
        answer = kwargs["response"] if "response" in kwargs else args[0]
        candidates = items_of(get(answer, "candidates"))
        parts = items_of(get(get(candidates[0], "content"), "parts")) if candidates else []
        return [call for call in (get(part, "function_call") for part in parts) if call is not None]
    except Exception:
        faults.report("reading the function calls of an answer")
        return []


def _of_function(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> ToolExecution:
    try:
        arguments = kwargs["args"] if "args" in kwargs else args[0]
        function = kwargs["function_to_invoke"] if "function_to_invoke" in kwargs else args[1]
        name = str(getattr(function, "__name__", type(function).__name__))
        return ToolExecution(name, arguments, _call_id(name))
    except Exception:
        faults.report("reading a function's execution")
        return ToolExecution("unknown", None)


def _of_call(call: Any) -> ToolExecution:
    name = str(get(call, "name") or "")
    return ToolExecution(name, get(call, "args"), _call_id(name), "extension")


def _call_id(name: str) -> Optional[str]:
    """The id of the next call of that name: the SDK executes them in their order."""
    calls = _calls.get()
    for index, call in enumerate(calls or ()):
        if get(call, "name") == name:
            cast("list[Any]", calls).pop(index)
            return get(call, "id")
    return None


def _fail(run: ToolRun, error: Exception) -> None:
    """Name the function's own exception, which the SDK's wraps."""
    cause = error.__cause__ or error.__context__
    if type(error).__name__ == "FunctionInvocationError" and cause is not None:
        name = type(cause).__qualname__
        run.failed(name, str(cause) or name, cause)


def _reset(token: Token[Optional[list[Any]]]) -> None:
    try:
        _calls.reset(token)
    except ValueError:
        pass  # a coroutine closed in another context, which has a value of its own
