"""On whose behalf work is done: session, user, tenant and the like, carried by the OTel context."""

from __future__ import annotations

from typing import NamedTuple, Optional, Union, cast

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from peekr.semconv import otel, own

__all__ = [
    "NO_SCOPE",
    "Scope",
    "current_scope",
    "internal_context",
    "is_internal",
    "with_scope",
]

_KEY = otel_context.create_key("peekr-scope")


class Scope(NamedTuple):
    """What the spans that start inside a block carry; None is "not set here or outside"."""

    session_id: Optional[str] = None
    user_id: Optional[str] = None
    tenant_id: Optional[str] = None
    retention_class: Optional[str] = None
    experiment_variant: Optional[str] = None
    feature: Optional[str] = None
    endpoint: Optional[str] = None
    internal: Optional[bool] = None
    """What runs here is Peekr's own work, a judge's call say: marked, and neither evaluated nor
    counted."""

    def attributes(self) -> dict[str, Union[str, bool]]:
        """The scope as span attributes."""
        made: dict[str, Union[str, bool]] = {
            key: value for key, value in zip(_ATTRIBUTES, self) if value is not None
        }
        if self.session_id is not None:
            made[otel.GEN_AI_CONVERSATION_ID] = self.session_id
        return made


# In the order of Scope's fields.
_ATTRIBUTES = (
    otel.SESSION_ID,
    otel.USER_ID,
    own.PEEKR_TENANT_ID,
    own.PEEKR_RETENTION_CLASS,
    own.PEEKR_EXPERIMENT_VARIANT,
    own.PEEKR_FEATURE,
    own.PEEKR_ENDPOINT,
    own.PEEKR_INTERNAL,
)

NO_SCOPE = Scope()
"""The scope where nothing was set."""


def current_scope(context: Optional[Context] = None) -> Scope:
    """The scope of a context, the current one when None; empty where nothing was set."""
    if context is None:
        context = otel_context.get_current()
    return cast("Scope", context.get(_KEY) or NO_SCOPE)


def with_scope(scope: Scope, context: Optional[Context] = None) -> Context:
    """A context that carries the scope; attach it to make it current."""
    return otel_context.set_value(_KEY, scope, context)


def is_internal() -> bool:
    """Whether what runs here is Peekr's own work, which is neither guarded nor counted."""
    return bool(current_scope().internal)


def internal_context(
    tenant_id: Optional[str] = None, retention_class: Optional[str] = None
) -> Context:
    """A context for Peekr's own work: what starts in it is a trace of its own, marked as internal.

    Args:
        tenant_id: On whose behalf it is done.
        retention_class: How long its records may be kept, for they hold the same content.
    """
    scope = Scope(tenant_id=tenant_id, retention_class=retention_class, internal=True)
    return with_scope(scope, Context())
