"""The execution of one tool by an SDK that calls functions on the model's behalf: one span each.

Such a span is internal, and current while the tool runs, so that whatever the tool calls, models
included, is recorded beneath it.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

from opentelemetry import context as otel_context
from opentelemetry import trace as otel_trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from peekr import faults
from peekr.instrumentation.runtime import Runtime, is_suppressed
from peekr.messages import dump
from peekr.semconv import otel
from peekr.values import jsonable

__all__ = ["ToolExecution", "ToolRun"]


class ToolExecution(NamedTuple):
    """What is executed.

    Attributes:
        name: The tool's name.
        arguments: What the model passes.
        call_id: The id of the model's tool call, where it has one.
        type: `function` for code of the application, `extension` for a service it calls.
    """

    name: str
    arguments: Any
    call_id: Optional[str] = None
    type: str = "function"


class ToolRun:
    """The span of one execution, as a context manager around it; sync or async.

    It runs in the thread or task that runs the tool. An exception that passes through ends the
    span with an error and goes on unchanged.

    Args:
        runtime: The active instrumentor's.
        execution: What is executed.
    """

    def __init__(self, runtime: Runtime, execution: ToolExecution) -> None:
        self._runtime = runtime
        self._execution = execution
        self._span: Any = None
        self._token: Any = None
        self._failed = False

    def __enter__(self) -> ToolRun:
        try:
            if not is_suppressed():
                self._start()
        except Exception:
            faults.report("beginning the span of a tool")
        return self

    def _start(self) -> None:
        execution = self._execution
        attributes: dict[str, Any] = {
            otel.GEN_AI_OPERATION_NAME: "execute_tool",
            otel.GEN_AI_TOOL_NAME: execution.name,
            otel.GEN_AI_TOOL_TYPE: execution.type,
        }
        if execution.call_id:
            attributes[otel.GEN_AI_TOOL_CALL_ID] = execution.call_id
        if self._runtime.capture_content and execution.arguments is not None:
            attributes[otel.GEN_AI_TOOL_CALL_ARGUMENTS] = self._dumped(execution.arguments)
        span = self._runtime.tracer.start_span(
            f"execute_tool {execution.name}", kind=SpanKind.INTERNAL, attributes=attributes
        )
        self._token = otel_context.attach(otel_trace.set_span_in_context(span))
        self._span = span

    def returned(self, result: Any) -> None:
        """Take what the tool gave back."""
        if self._span is None or not self._runtime.capture_content:
            return
        try:
            self._span.set_attribute(otel.GEN_AI_TOOL_CALL_RESULT, self._dumped(result))
        except Exception:
            faults.report("recording a tool's result")

    def failed(self, kind: str, message: str, error: Optional[BaseException] = None) -> None:
        """Say that the tool failed; the first that is said counts.

        Args:
            kind: A low-cardinality name, such as the exception's class.
            message: What went wrong.
            error: The exception, where there was one.
        """
        if self._span is None or self._failed:
            return
        self._failed = True
        try:
            capture = self._runtime.capture_content
            self._span.set_attribute(otel.ERROR_TYPE, kind)
            if error is not None and capture:
                self._span.record_exception(error)
            # The words may quote the arguments.
            self._span.set_status(Status(StatusCode.ERROR, message if capture else kind))
        except Exception:
            faults.report("recording a tool's error")

    def __exit__(self, kind: Any, error: Optional[BaseException], traceback: Any) -> None:
        if self._span is None:
            return
        if error is not None:
            name = type(error).__qualname__
            self.failed(name, str(error) or name, error)
        # A coroutine that is closed may be in another context, where the token means nothing.
        if not isinstance(error, GeneratorExit):
            otel_context.detach(self._token)
        self._span.end()

    def _dumped(self, value: Any) -> str:
        return dump(jsonable(value), self._runtime.max_chars)
