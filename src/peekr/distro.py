"""The way in for `opentelemetry-instrument`: Peekr as its distribution and configurator.

The launcher calls, in this order and each by an entry point: the distribution, the configurator,
`start` (before the instrumentors), each instrumentor. Where another distribution or configurator is
in charge, `start` alone makes Peekr join what that one has made.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Optional, cast

from opentelemetry.instrumentation.distro import BaseDistro
from opentelemetry.sdk import _configuration as sdk_configuration

from peekr import bootstrap, environment, named_exporters, provider
from peekr._version import __version__
from peekr.errors import PeekrError
from peekr.instrumentation import rivals, sdks
from peekr.instrumentation.versions import broken, installed
from peekr.pipeline.processor import PeekrSpanProcessor

__all__ = ["PeekrConfigurator", "PeekrDistro", "start"]

_OTLP_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_OTLP_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_OWN = "peekr.instrumentation."

_logger = logging.getLogger("peekr.distro")
_was_started = False


class PeekrDistro(BaseDistro):
    """Peekr as the launcher's distribution."""

    def _configure(self, **kwargs: Any) -> None:
        """Send spans by OTLP where an endpoint is named; to local files alone otherwise."""
        del kwargs
        endpoint = next((v for v in map(os.environ.get, _OTLP_ENDPOINTS) if v), None)
        if endpoint is None or os.environ.get("OTEL_TRACES_EXPORTER"):
            return
        os.environ["OTEL_TRACES_EXPORTER"] = "otlp"
        if not any(os.environ.get(name) for name in _OTLP_PROTOCOLS):
            # As `instrument()` does it: by the port, for the SDK would take gRPC for any.
            is_grpc = endpoint.rstrip("/").endswith(":4317")
            os.environ[_OTLP_PROTOCOLS[0]] = "grpc" if is_grpc else "http/protobuf"

    def load_instrumentor(self, entry_point: Any, **kwargs: Any) -> None:
        """Load one instrumentor; a fault of it is one line, and the next ones are loaded.

        Peekr's own need no loading: `start` has put their hooks in wait. Another library's for an
        SDK that Peekr watches is left out, with a line that says how to choose.
        """
        if str(entry_point.value).startswith(_OWN):
            _say_missing(entry_point.name)
            return
        try:
            rival = rivals.rival_of(entry_point)
            if rival is not None and bootstrap.active_settings() is not None:
                _logger.warning("%s", rival.left_out)
                return
            cast("Any", super()).load_instrumentor(entry_point, **kwargs)
        except ImportError:
            raise  # the launcher's own business: that library is not there
        except Exception as error:
            _logger.warning(
                "the instrumentor %s is off: %s: %s",
                entry_point.name,
                type(error).__name__,
                error,
            )


class PeekrConfigurator(
    sdk_configuration._OTelSDKConfigurator  # pyright: ignore[reportPrivateUsage] - made for this
):
    """OpenTelemetry's configuration from the environment, with Peekr's processor first in it."""

    def _configure(self, **kwargs: Any) -> None:
        """Make the providers that the `OTEL_…` variables ask for, and start Peekr on them."""
        attributes = cast("Mapping[str, Any]", kwargs.get("resource_attributes") or {})
        own = {"telemetry.distro.name": "peekr", "telemetry.distro.version": __version__}
        try:
            with _first_processor() as made:
                cast("Any", super())._configure(
                    **{**kwargs, "resource_attributes": {**own, **attributes}}
                )
            for tracer_provider, processor in made:
                provider.adopt(tracer_provider, processor)
        except Exception as error:
            # A provider of Peekr's own takes its place: what is stored here is stored all the same.
            _logger.warning(
                "OpenTelemetry's exporters are off: %s: %s", type(error).__name__, error
            )
        start()


def start() -> None:
    """Start Peekr as the environment says, unless it is running; never raises.

    Where another distribution was chosen by name Peekr starts only if something of its own was
    asked for as well: a variable of the launcher's, or an exporter.
    """
    global _was_started
    if os.environ.get("PEEKR_DOCTOR"):
        from peekr.diagnosis.report import at_exit

        at_exit()
    if _was_started or bootstrap.active_settings() is not None or not _is_wanted():
        return
    _was_started = True
    if os.environ.get("PEEKR_ENDPOINT") and not os.environ.get("PEEKR_API_KEY"):
        _logger.warning("PEEKR_ENDPOINT is set without PEEKR_API_KEY: no records are sent to it")
    try:
        bootstrap.instrument(**arguments())
        named_exporters.join()
    except (PeekrError, TypeError) as error:
        _logger.error("Peekr is off: %s", error)
    except Exception:
        _logger.exception("Peekr is off")


def arguments(environ: Optional[Mapping[str, str]] = None) -> dict[str, Any]:
    """What the launcher calls `peekr.instrument()` with.

    Raises:
        ConfigurationError: a variable has a value that cannot be used; the message names it.
    """
    environ = os.environ if environ is None else environ
    given = environment.arguments_of_launcher(environ)
    names = named_exporters.asked_for(environ)
    if names & {"peekr_jsonl", "peekr_sqlite"}:
        given.setdefault("storage", None)
    if "peekr_console" in names:
        given.setdefault("console", False)
    if environ.get("PEEKR_ENDPOINT") and environ.get("PEEKR_API_KEY"):
        given["exporter"] = named_exporters.http_exporter()
    return given


def _say_missing(name: str) -> None:
    """Say whose SDK is not there: that it is broken to all, that it is missing to the curious."""
    for instrumentation in sdks.every():
        if name != f"peekr_{instrumentation.name}":
            continue
        distribution = instrumentation.dependencies[0].partition(" ")[0]
        reason = broken(instrumentation.dependencies, instrumentation.hooks[0].module)
        if reason is not None:
            _logger.warning("%s is off: %s", name, reason)
        elif installed(distribution) is None:
            _logger.info("%s is off: %s is not installed", name, distribution)


def _is_wanted() -> bool:
    if sdks.is_disabled("*"):
        return False
    chosen = os.environ.get("OTEL_PYTHON_DISTRO") or os.environ.get("OTEL_PYTHON_CONFIGURATOR")
    if chosen in (None, "", "peekr") or named_exporters.asked_for(os.environ):
        return True
    return any(
        os.environ.get(name)
        for name, variable in environment.ENVIRONMENT.items()
        if variable.argument is not None
    )


@contextmanager
def _first_processor() -> Generator[list[tuple[Any, PeekrSpanProcessor]], None, None]:
    """Have OpenTelemetry's configuration make its provider with Peekr's processor in front.

    Behind it stand the exporters: what is redacted is redacted for them too. The name that is
    replaced for that moment is the module's own; without it Peekr joins the provider afterwards.
    """
    module: Any = sdk_configuration
    original = getattr(module, "TracerProvider", None)
    made: list[tuple[Any, PeekrSpanProcessor]] = []
    if original is None:
        yield made
        return

    @functools.wraps(original, updated=())
    def tracer_provider(*args: Any, **kwargs: Any) -> Any:
        processor = PeekrSpanProcessor()
        one = original(*args, **{"active_span_processor": processor, **kwargs})
        made.append((one, processor))
        return one

    module.TracerProvider = tracer_provider
    try:
        yield made
    finally:
        module.TracerProvider = original
