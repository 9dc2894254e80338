"""The OpenTelemetry face of an SDK's hooks: what launchers and other programs know how to call."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

from peekr.instrumentation.hooks import Instrumentation

__all__ = ["ProviderInstrumentor"]


class ProviderInstrumentor(BaseInstrumentor):
    """Watches one SDK; `peekr.instrument()` does the same for all of them.

    A module of its own, because OpenTelemetry's base class costs more to import than everything
    of Peekr's that a program needs before its first call.

    Attributes:
        instrumentation: The SDK and its hooks.
    """

    instrumentation: Instrumentation

    def instrumentation_dependencies(self) -> Collection[str]:
        """The distributions that the SDK's hooks are written for."""
        return self.instrumentation.dependencies

    def instrument(self, **kwargs: Any) -> Any:
        """Begin to watch; see `Instrumentation.watch` for the arguments."""
        if self.is_instrumented_by_opentelemetry and self.instrumentation.runtime is None:
            # `peekr.uninstrument()` has taken the hooks away meanwhile.
            self.uninstrument()
        return super().instrument(**kwargs)

    def _instrument(self, **kwargs: Any) -> None:
        """Begin to watch.

        Args:
            **kwargs: See `Instrumentation.watch`.
        """
        kwargs.pop("skip_dep_check", None)
        self.instrumentation.watch(**kwargs)

    def _uninstrument(self, **kwargs: Any) -> None:
        """Stop watching and put the SDK's own methods back."""
        del kwargs
        self.instrumentation.leave()
