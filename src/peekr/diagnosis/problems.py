"""What is wrong in what a diagnosis found, and what to do about it."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from typing import Any

from peekr import config, environment
from peekr.errors import ConfigurationError

__all__ = ["judged"]

_ALWAYS_ON = ("AlwaysOnSampler", "ParentBased{root:AlwaysOnSampler,")
_BUILT_IN = ("otlp", "console", "none")


def judged(found: dict[str, Any]) -> tuple[list[str], list[str]]:
    """What is wrong, and what is right but may surprise.

    Args:
        found: See `facts`.
    """
    problems = [
        *_settings(found),
        *_sdks(found),
        *_provider(found),
        *_storage(found),
        *_launcher(found),
    ]
    return problems, list(_notes(found))


def _settings(found: dict[str, Any]) -> Iterator[str]:
    try:
        environment.arguments_of_launcher()
        config.from_environment()
    except ConfigurationError as error:
        yield f"{error}: Peekr does not start under opentelemetry-instrument."
    for name in found["environment"]:
        if name.startswith("PEEKR_") and name not in environment.ENVIRONMENT:
            near = difflib.get_close_matches(name, list(environment.ENVIRONMENT), 1)
            hint = f"; did you mean {near[0]}?" if near else "."
            yield f"{name} is no variable that Peekr reads{hint}"
    if found["is_active"] and found["provider"]["is_disabled"]:
        yield "OTEL_SDK_DISABLED turns OpenTelemetry off: there are no spans and no records."


def _sdks(found: dict[str, Any]) -> Iterator[str]:
    for sdk in found["sdks"]:
        name = f"{sdk['distribution']} {sdk['version']}"
        if sdk["broken"]:
            yield f"{sdk['broken']}: install it again."
        elif sdk["unsupported"]:
            yield f"{sdk['unsupported']}: its calls are not recorded. Install a supported version."
        elif sdk["version"] is None or sdk["is_disabled"] or not found["is_active"]:
            continue
        elif sdk["state"] == "empty":
            yield f"{name} has none of the methods that Peekr watches: its calls are not recorded."
        if sdk["state"] == "watched" and sdk["makers"]:
            others = ", ".join(sdk["makers"])
            own = f"peekr_{sdk['name']}"
            yield (
                f"{sdk['distribution']} is also wrapped by {others}: other exporters get two spans "
                f"a call, Peekr stores one. Turn off one of them: "
                f"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS={own} is Peekr's, or leave out the "
                "other's instrument()."
            )


def _provider(found: dict[str, Any]) -> Iterator[str]:
    provider = found["provider"]
    if found["is_active"] and not provider["is_used"] and provider["is_set"]:
        yield (
            f"The global tracer provider ({provider['class']}) is not the one that Peekr records "
            f"with ({provider['used']}): spans made through it are not stored. Set it up before "
            "peekr.instrument(), or pass tracer_provider=."
        )


def _storage(found: dict[str, Any]) -> Iterator[str]:
    for store in found["storage"]:
        if not store["is_writable"]:
            yield f"{store['path']} cannot be written."
    for outage in found["lost"]:
        if outage["lost"] or outage["now"]:
            state = "fails now" if outage["now"] else "failed"
            yield f"Writing to {outage['what']} {state}: {outage['lost']} records were lost."


def _launcher(found: dict[str, Any]) -> Iterator[str]:
    launcher = found["launcher"]
    for kind in ("distro", "configurator"):
        names = launcher[f"{kind}s"]
        variable = f"OTEL_PYTHON_{kind.upper()}"
        chosen = os.environ.get(variable)
        if chosen and chosen not in names:
            yield f"{variable}={chosen} is none of the installed ones ({', '.join(names)})."
        elif not chosen and len(names) > 1:
            yield (
                f"Several {kind}s are installed ({', '.join(names)}), and opentelemetry-instrument "
                f"takes whichever it finds first. Set {variable}=peekr, or another."
            )
    known = {*launcher["exporters"], *_BUILT_IN}
    for name in os.environ.get("OTEL_TRACES_EXPORTER", "").split(","):
        if name.strip() and name.strip() not in known:
            yield f"OTEL_TRACES_EXPORTER names {name.strip()}, which no installed package has."


def _notes(found: dict[str, Any]) -> Iterator[str]:
    if not found["is_active"]:
        yield (
            "Peekr is not running in this process: call peekr.instrument(), or start the program "
            "with opentelemetry-instrument."
        )
    for sdk in found["sdks"]:
        if sdk["is_disabled"] and sdk["version"] is not None:
            yield f"{sdk['distribution']}: OTEL_PYTHON_DISABLED_INSTRUMENTATIONS turns Peekr off."
    sampler = found["provider"]["sampler"]
    if sampler is not None and not sampler.startswith(_ALWAYS_ON):
        yield (
            f"The provider's sampler ({sampler}) drops spans before Peekr sees them; what it drops "
            "is not stored."
        )
    rate = found["settings"].get("sample_rate", 1.0)
    if rate < 1.0:
        yield f"sample_rate={rate}: Peekr stores that share of the traces."
    for rival in found["rivals"]:
        yield (
            f"{rival['library']} ({rival['name']}) instruments {rival['sdk']} as well. Under "
            f"opentelemetry-instrument with Peekr's distribution it is left out; "
            f"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS={rival['own']} chooses it instead of Peekr."
        )
    for name in ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"):
        if name in found["environment"]:
            yield f"{name}={found['environment'][name]}: longer prompts and answers are cut."
