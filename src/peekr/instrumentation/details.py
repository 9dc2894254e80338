"""The conventions' event of each model call, with its messages, where that was asked for.

Source: semantic conventions, event `gen_ai.client.inference.operation.details`. It is a log record
for OpenTelemetry's logs, so that messages can be kept elsewhere than spans, or for another time.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Optional, cast

from peekr import messages
from peekr._version import __version__
from peekr.encoding import loads
from peekr.instrumentation.metrics import attributes_of
from peekr.semconv import otel

if TYPE_CHECKING:
    from peekr.instrumentation.call import Call
    from peekr.instrumentation.contract import Response

__all__ = ["EVENT", "OperationDetails"]

EVENT = "gen_ai.client.inference.operation.details"

_MESSAGES = (
    otel.GEN_AI_INPUT_MESSAGES,
    otel.GEN_AI_OUTPUT_MESSAGES,
    otel.GEN_AI_SYSTEM_INSTRUCTIONS,
    otel.GEN_AI_TOOL_DEFINITIONS,
)
_OF_CONVENTIONS = ("gen_ai.", "openai.", "error.")


class OperationDetails:
    """Emits the event of each call that ends; runs on the thread that ends it.

    Its truth is whether the application has set up OpenTelemetry's logs: ask that first.

    Attributes:
        with_content: Messages are on the event.
    """

    def __init__(self, scope: str, schema_url: str, with_content: bool) -> None:
        """Begin; nothing of OpenTelemetry's is loaded.

        Args:
            scope: The name of the logger.
            schema_url: The release of the conventions.
            with_content: Put messages on the event.
        """
        self.with_content = with_content
        self._scope = scope
        self._schema_url = schema_url
        self._provider: Any = None
        self._logger: Any = None

    def __bool__(self) -> bool:
        """Whether there is a LoggerProvider."""
        # Who has one of the SDK has loaded the SDK's logs. Older ones make events in another way.
        sdk: Any = sys.modules.get("opentelemetry.sdk._logs")
        if not hasattr(sdk, "ReadWriteLogRecord"):
            return False
        from opentelemetry import _logs

        provider = _logs.get_logger_provider()
        if provider is not self._provider:
            self._logger = None
            if not cast("type[Any]", type(provider)).__module__.startswith("opentelemetry._logs"):
                self._logger = provider.get_logger(self._scope, __version__, self._schema_url)
            self._provider = provider
        return self._logger is not None

    def emit(self, call: Call, response: Optional[Response], content: dict[str, Any]) -> None:
        """Emit the event of a call.

        Args:
            call: The call, whose span becomes the event's parent.
            response: What came back.
            content: What is known of the call, by attribute; messages as JSON text.
        """
        from opentelemetry import _logs

        attributes = attributes_of(call, response)
        for name, value in content.items():
            if name in _MESSAGES:
                if self.with_content:
                    attributes[name] = _structured(value)
            elif name.startswith(_OF_CONVENTIONS):
                attributes[name] = value
        now_ns = time.time_ns()
        record: Any = _logs.LogRecord(
            timestamp=now_ns,
            observed_timestamp=now_ns,
            context=call.context(),
            severity_number=_logs.SeverityNumber.INFO,
            attributes=attributes,
            event_name=EVENT,
        )
        self._logger.emit(record)


def _structured(text: Any) -> Any:
    """Messages as the event has them, redacted where spans are."""
    value = loads(text) if isinstance(text, str) else text
    return value if messages.before_cut is None else messages.before_cut(value)
