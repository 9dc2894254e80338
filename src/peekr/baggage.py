"""Session, user, tenant and the like across services, as W3C baggage, where the user opted in.

Baggage goes along with every outgoing request of an instrumented HTTP client, to strangers too, so
nothing is put there unasked, and only what is on the list here ever is. Likewise only what is on
the list is taken from what arrives.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Optional, Union, cast

from opentelemetry import baggage as otel_baggage
from opentelemetry import context as otel_context
from opentelemetry.context import Context

from peekr.config import RETENTION_CLASSES
from peekr.context import current_scope, with_scope
from peekr.errors import ConfigurationError
from peekr.semconv import otel, own

__all__ = ["ALLOWED", "accept_baggage", "allowed", "carry"]

ALLOWED = {
    "session_id": otel.SESSION_ID,
    "user_id": otel.USER_ID,
    "tenant_id": own.PEEKR_TENANT_ID,
    "retention_class": own.PEEKR_RETENTION_CLASS,
    "experiment_variant": own.PEEKR_EXPERIMENT_VARIANT,
    "feature": own.PEEKR_FEATURE,
}
"""What may travel, and the name of its entry in the baggage."""

_MAX_CHARS = 256
"""The longest value that is taken from a request: whoever sends it is not trusted."""

_CARRIED = otel_context.create_key("peekr-baggage")


def allowed(names: Union[bool, Iterable[str]]) -> tuple[str, ...]:
    """The names to carry: all that may travel for True, none for False, else those given.

    Raises:
        ConfigurationError: a name may not travel.
    """
    if isinstance(names, bool):
        return tuple(ALLOWED) if names else ()
    chosen = (names,) if isinstance(names, str) else tuple(names)
    for name in chosen:
        if name not in ALLOWED:
            choices = ", ".join(ALLOWED)
            raise ConfigurationError(f"propagate: {name!r} is none of {choices}")
    return chosen


def carry(context: Context, names: tuple[str, ...] = ()) -> Context:
    """Put the scope of a context into its baggage.

    Args:
        context: The context, with its scope.
        names: What to carry besides what a block outside has opted in to.
    """
    carried = cast("tuple[str, ...]", context.get(_CARRIED) or ())
    names = (*carried, *(name for name in names if name not in carried))
    if not names:
        return context
    scope = current_scope(context)
    for name in names:
        value = cast("Optional[str]", getattr(scope, name))
        if value is not None:
            context = otel_baggage.set_baggage(ALLOWED[name], value, context)
    return otel_context.set_value(_CARRIED, names, context)


def accept_baggage(
    context: Optional[Context] = None, names: Union[bool, Iterable[str]] = True
) -> Context:
    """A context whose scope has what its baggage says; for a server that trusts its callers.

    What the scope says already stays. A value that is empty, too long or no retention class is
    passed over.

    Args:
        context: A context with baggage, such as a propagator's `extract` gives; the current one
            when None.
        names: Which of the entries to take: True for all that may travel.

    Raises:
        ConfigurationError: a name may not travel.
    """
    context = otel_context.get_current() if context is None else context
    scope = current_scope(context)
    found: dict[str, str] = {}
    for name in allowed(names):
        value = otel_baggage.get_baggage(ALLOWED[name], context)
        if getattr(scope, name) is not None or not isinstance(value, str):
            continue
        if not value or len(value) > _MAX_CHARS:
            continue
        if name == "retention_class" and value not in RETENTION_CLASSES:
            continue
        found[name] = value
    return with_scope(scope._replace(**cast("Any", found)), context) if found else context
