"""What a diagnosis finds, before it judges: plain values that JSON has."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Optional, cast

from opentelemetry import trace as otel_trace

from peekr import bootstrap, config, environment, provider
from peekr._version import __version__
from peekr.instrumentation import rivals, sdks
from peekr.instrumentation.hooks import HookState, Instrumentation
from peekr.instrumentation.versions import broken, installed, unsupported
from peekr.pipeline.processor import PeekrSpanProcessor
from peekr.store.outage import outages

__all__ = ["facts"]

_PARTS = (
    "opentelemetry-api",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation",
    "opentelemetry-exporter-otlp",
    "opentelemetry-distro",
    "wrapt",
    "genai-prices",
)
_OTEL = (
    "OTEL_SDK_DISABLED",
    "OTEL_PYTHON_DISTRO",
    "OTEL_PYTHON_CONFIGURATOR",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
    "OTEL_PYTHON_TRACER_PROVIDER",
    "OTEL_TRACES_EXPORTER",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_CONFIG_FILE",
)
_SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD")
_CREDENTIALS = re.compile(r"(?<=//)[^/?#\s]*@")
# Where wrappers of providers keep what they wrap.
_WRAPPED = ("provider", "_provider", "wrapped", "_wrapped", "__wrapped__")
_MAX_WRAPPERS = 4


def facts() -> dict[str, Any]:
    """What there is in this process."""
    settings = bootstrap.active_settings()
    return {
        "peekr": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "process": {"id": os.getpid(), "arguments": list(getattr(sys, "orig_argv", sys.argv))},
        "versions": {name: installed(name) for name in _PARTS},
        "is_active": settings is not None,
        "settings": {} if settings is None else _plain(settings),
        "sdks": [_sdk(instrumentation) for instrumentation in sdks.every()],
        "provider": _provider(),
        "storage": _storage(settings),
        "lost": [{"what": what, "lost": lost, "now": is_now} for what, lost, is_now in outages()],
        "launcher": _launcher(),
        "rivals": [rival._asdict() for rival in rivals.rivals()],
        "environment": _environment(),
    }


def _plain(settings: config.Settings) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in vars(settings).items():
        if isinstance(value, (str, bool, int, float, type(None))):
            found[name] = value
        elif isinstance(value, os.PathLike):
            found[name] = os.fsdecode(cast("os.PathLike[str]", value))
        elif isinstance(value, (list, tuple)):
            found[name] = [_named(one) for one in cast("Sequence[Any]", value)]
        else:
            found[name] = _named(value)
    return found


def _named(value: Any) -> str:
    return value if isinstance(value, str) else type(value).__name__


# -- what is watched -------------------------------------------------------------------------------


def _sdk(instrumentation: Instrumentation) -> dict[str, Any]:
    distribution = instrumentation.dependencies[0].partition(" ")[0]
    states = instrumentation.states()
    on = [state for state in states if state.state == "on"]
    return {
        "name": instrumentation.name,
        "distribution": distribution,
        "version": installed(distribution),
        "supported": ", ".join(instrumentation.dependencies),
        "unsupported": unsupported(instrumentation.dependencies),
        "broken": broken(instrumentation.dependencies, instrumentation.hooks[0].module),
        "is_disabled": sdks.is_disabled(instrumentation.name),
        "state": _state(instrumentation, states),
        "hooks": {kind: [s.target for s in states if s.state == kind] for kind in _KINDS},
        "makers": sorted({maker for state in states for maker in state.makers} - {"peekr"}),
        "watched": [state.target for state in on],
    }


_KINDS = ("on", "off", "missing", "waiting")


def _state(instrumentation: Instrumentation, states: Sequence[HookState]) -> str:
    """One word for all hooks: watched, waiting, off or empty."""
    kinds = {state.state for state in states}
    if "on" in kinds:
        return "watched"
    if instrumentation.runtime is None and "off" in kinds:
        return "off"
    # A module that is not imported yet is one that nobody has called yet.
    return "waiting" if "waiting" in kinds else "empty"


# -- where spans go --------------------------------------------------------------------------------


def _provider() -> dict[str, Any]:
    present = otel_trace.get_tracer_provider()
    inner = _unwrapped(present)
    used = provider.chosen() if bootstrap.active_settings() is not None else None
    joined = _processor_of(inner)
    sampler = getattr(inner, "sampler", None)
    resource = getattr(getattr(inner, "resource", None), "attributes", {})
    return {
        "class": _class(present),
        "is_set": not isinstance(present, otel_trace.ProxyTracerProvider),
        "is_used": used is None or used is present,
        "used": None if used is None else _class(used),
        "role": _role(used, joined),
        "is_disabled": used is not None and provider.is_disabled(used),
        "sampler": _sampler(sampler),
        "service": resource.get("service.name"),
        "processors": list(_processors(_unwrapped(used) if used is not None else inner)),
        "propagator": _class(_propagator()),
    }


def _role(used: Any, joined: Optional[PeekrSpanProcessor]) -> str:
    if used is None:
        return "not used"
    if provider.is_own(used):
        return "Peekr's own"
    return "made with Peekr in front" if joined is not None else "the application's, joined"


def _sampler(sampler: Any) -> Optional[str]:
    try:
        return None if sampler is None else str(sampler.get_description())
    except Exception:
        return type(sampler).__name__


def _propagator() -> Any:
    from opentelemetry import propagate

    return getattr(propagate.get_global_textmap(), "__wrapped__", propagate.get_global_textmap())


def _processor_of(inner: Any) -> Optional[PeekrSpanProcessor]:
    active = getattr(inner, "_active_span_processor", None)
    return active if isinstance(active, PeekrSpanProcessor) else None


def _processors(inner: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    """The processors of a provider in their order, with what they export to."""
    active = getattr(inner, "_active_span_processor", None) if depth == 0 else inner
    if active is None or depth > _MAX_WRAPPERS:
        return
    within = cast("Sequence[Any]", getattr(active, "_span_processors", None) or ())
    if isinstance(active, PeekrSpanProcessor) or not hasattr(active, "_span_processors"):
        yield {"class": _class(active), "depth": depth, "exporter": _exporter(active)}
    for processor in within:
        yield from _processors(processor, depth + 1)


def _exporter(processor: Any) -> Optional[dict[str, Any]]:
    for step in ("span_exporter", "exporter", "_exporter", "_batch_processor"):
        found = getattr(processor, step, None)
        if found is None:
            continue
        if step == "_batch_processor":
            found = getattr(found, "_exporter", None)
        if found is not None:
            endpoint = getattr(found, "endpoint", None) or getattr(found, "_endpoint", None)
            return {"class": _class(found), "endpoint": _address(endpoint)}
    return None


def _unwrapped(one: Any) -> Any:
    for _ in range(_MAX_WRAPPERS):
        if hasattr(one, "_active_span_processor"):
            return one
        inner = next((getattr(one, name) for name in _WRAPPED if hasattr(one, name)), None)
        if inner is None:
            break
        one = inner
    return one


def _class(one: Any) -> str:
    return f"{type(one).__module__}.{type(one).__qualname__}"


def _storage(settings: Optional[config.Settings]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if settings is None:
        return found
    for kind, path in (("jsonl", settings.writes_jsonl), ("sqlite", settings.writes_sqlite)):
        if path is not None:
            whole = os.path.abspath(os.fsdecode(path))
            found.append({"kind": kind, "path": whole, "is_writable": _is_writable(whole)})
    return found


def _is_writable(path: str) -> bool:
    while path and not os.path.exists(path):
        path = os.path.dirname(path)
    return os.access(path or ".", os.W_OK)


# -- how it is started -----------------------------------------------------------------------------


def _launcher() -> dict[str, Any]:
    return {
        "is_under": "opentelemetry.instrumentation.auto_instrumentation.sitecustomize"
        in sys.modules
        or "auto_instrumentation" in getattr(sys.modules.get("sitecustomize"), "__file__", ""),
        "distros": _names("opentelemetry_distro"),
        "configurators": _names("opentelemetry_configurator"),
        "exporters": _names("opentelemetry_traces_exporter"),
    }


def _names(group: str) -> list[str]:
    return [point.name for point in rivals.entry_points_of(group)]


def _environment() -> dict[str, Any]:
    known = (*environment.ENVIRONMENT, *_OTEL)
    found = {name: value for name, value in os.environ.items() if name.startswith("PEEKR_")}
    found.update({name: os.environ[name] for name in known if os.environ.get(name)})
    return {
        name: "(set)" if any(word in name for word in _SECRET) else _address(value)
        for name, value in sorted(found.items())
        if name != "PEEKR_DOCTOR"
    }


def _address(value: Any) -> Any:
    """A value without the credentials that the address in it may have; None for none."""
    return None if value is None else _CREDENTIALS.sub("(hidden)@", str(value))
