"""The OpenTelemetry face of an SDK's hooks: what launchers and other programs know how to call."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

from peekr import environment
from peekr.errors import ConfigurationError
from peekr.instrumentation import sdks
from peekr.instrumentation.hooks import Instrumentation
from peekr.instrumentation.versions import unsupported

__all__ = ["ProviderInstrumentor"]

_logger = logging.getLogger("peekr.instrumentation")


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
        """Begin to watch; of a version that is not supported say so in one line instead.

        Args:
            **kwargs: See `Instrumentation.watch`. What is left out is as `peekr.instrument()` has
                it, and without that as the environment says.
        """
        for name in ("skip_dep_check", "raise_exception_on_conflict"):
            kwargs.pop(name, None)
        reason = unsupported(self.instrumentation.dependencies)
        if reason is not None:
            _logger.warning("%s: its calls are not recorded", reason)
            return
        given = sdks.arguments_in_force() or _from_environment()
        self.instrumentation.watch(**{**given, **kwargs})

    def _uninstrument(self, **kwargs: Any) -> None:
        """Stop watching and put the SDK's own methods back."""
        del kwargs
        self.instrumentation.leave()


def _from_environment() -> dict[str, Any]:
    try:
        given = environment.arguments_of_launcher().get("capture_content")
    except ConfigurationError as error:
        # It may be the very variable that keeps content out.
        _logger.warning("%s; calls are recorded without their contents", error)
        given = False
    return {} if given is None else {"capture_content": given}
