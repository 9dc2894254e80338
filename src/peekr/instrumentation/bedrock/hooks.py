"""The hooks on botocore and aiobotocore, for the clients of `bedrock-runtime`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, Optional

from peekr.instrumentation.hooks import Instrumentation
from peekr.instrumentation.runtime import Hook

__all__ = ["BEDROCK", "INSTRUMENTATIONS"]

_HERE = "peekr.instrumentation.bedrock"
_AWS = "peekr.instrumentation.aws"
_PROVIDER = "aws.bedrock"
_SERVICE = "bedrock-runtime"
# The methods of clients are made per client from the service's description, so there is no class
# whose public methods could be watched; all of them come through this one.
_CLIENTS = (
    ("botocore.client", "BaseClient._make_api_call", False, f"{_AWS}:deliver"),
    ("aiobotocore.client", "AioBaseClient._make_api_call", True, f"{_AWS}:deliver_async"),
)
_OPERATIONS: tuple[tuple[str, str, str], ...] = (
    ("Converse", "bedrock.converse", f"{_HERE}.converse:CONVERSE"),
    ("ConverseStream", "bedrock.converse_stream", f"{_HERE}.converse:CONVERSE_STREAM"),
    ("InvokeModel", "bedrock.invoke_model", f"{_HERE}.invoke:INVOKE"),
    (
        "InvokeModelWithResponseStream",
        "bedrock.invoke_model_stream",
        f"{_HERE}.invoke:INVOKE_STREAM",
    ),
)


def _chooser(
    rows: Mapping[str, Hook],
) -> Callable[[Any, tuple[Any, ...], Mapping[str, Any]], Optional[Hook]]:
    def choose(instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Optional[Hook]:
        row = rows.get(args[0] if args else kwargs.get("operation_name", ""))
        if row is None or _service_of(instance) != _SERVICE:
            return None
        return row

    return choose


def _service_of(instance: Any) -> Any:
    meta = getattr(instance, "meta", None)
    return getattr(getattr(meta, "service_model", None), "service_name", None)


def _hooks() -> tuple[Hook, ...]:
    made: list[Hook] = []
    for module, target, is_async, delivery in _CLIENTS:
        rows = {
            operation: Hook(
                module, target, record, _PROVIDER, "chat", extractor, is_async, delivery
            )
            for operation, record, extractor in _OPERATIONS
        }
        made.append(rows["Converse"]._replace(choose=_chooser(rows)))
    return tuple(made)


BEDROCK = Instrumentation("bedrock", ("botocore >= 1.35",), _hooks())

INSTRUMENTATIONS = (BEDROCK,)
