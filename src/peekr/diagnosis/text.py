"""A diagnosis as lines of text."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from peekr.plaintext import clean

if TYPE_CHECKING:
    from peekr.diagnosis import Diagnosis

__all__ = ["rendered"]

_WORDS = {
    "watched": "watched",
    "waiting": "waits until it is imported",
    "off": "off",
    "empty": "has nothing that can be watched",
}


def rendered(diagnosis: Diagnosis) -> str:
    """The whole report; ends without a line break."""
    facts = diagnosis.facts
    sections = (
        ("", _head(facts)),
        ("SDKs", _sdks(facts)),
        ("Spans", _spans(facts)),
        ("Records", _records(facts)),
        ("Launcher", _launcher(facts)),
        ("Environment", (f"{k}={v}" for k, v in facts["environment"].items())),
        ("Notes", diagnosis.notes),
        ("Problems", diagnosis.problems or ["none found"]),
    )
    lines: list[str] = []
    for title, body in sections:
        found = [clean(line) for line in body]
        if found:
            lines += [*([""] if lines else []), *([title] if title else [])]
            lines += [f"  {line}" if title else line for line in found]
    return "\n".join(lines)


def _head(facts: dict[str, Any]) -> Iterator[str]:
    state = "running" if facts["is_active"] else "not running in this process"
    yield f"peekr {facts['peekr']}, {state} · Python {facts['python']} · {facts['platform']}"
    yield " · ".join(f"{name} {version}" for name, version in facts["versions"].items() if version)


def _sdks(facts: dict[str, Any]) -> Iterator[str]:
    width = max(len(sdk["distribution"]) for sdk in facts["sdks"])
    for sdk in facts["sdks"]:
        yield f"{sdk['distribution'].ljust(width)}  {_sdk(sdk, facts['is_active'])}"


def _sdk(sdk: dict[str, Any], is_active: bool) -> str:
    if sdk["version"] is None and sdk["state"] != "watched":
        return "not installed"
    version = sdk["version"] or "(version unknown)"
    if sdk["broken"]:
        return f"{version}, broken"
    if sdk["unsupported"]:
        return f"{version}, not supported: {sdk['supported']}"
    if sdk["is_disabled"]:
        return f"{version}, turned off by OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
    if not is_active:
        return f"{version}, supported"
    hooks = sdk["hooks"]
    said = f"{version}, {_WORDS[sdk['state']]}"
    if hooks["on"]:
        said += f" ({len(hooks['on'])} methods"
        said += f", {len(hooks['waiting'])} when their modules are imported" * bool(
            hooks["waiting"]
        )
        said += f", {len(hooks['missing'])} not in this version" * bool(hooks["missing"])
        said += ")"
    if sdk["makers"]:
        said += f", also wrapped by {', '.join(sdk['makers'])}"
    return said


def _spans(facts: dict[str, Any]) -> Iterator[str]:
    provider = facts["provider"]
    if not facts["is_active"] and not provider["is_set"]:
        return
    yield f"provider   {provider['used'] or provider['class']} ({provider['role']})"
    if provider["service"]:
        yield f"service    {provider['service']}"
    if provider["sampler"]:
        yield f"sampler    {_short(provider['sampler'])}"
    yield f"propagator {provider['propagator']}"
    for processor in provider["processors"]:
        exporter = processor["exporter"]
        line = f"{'  ' * processor['depth']}{processor['class']}"
        if exporter is not None:
            line += f" to {exporter['class']}"
            line += f" ({exporter['endpoint']})" if exporter["endpoint"] else ""
        yield f"processor  {line}"


def _short(sampler: str) -> str:
    """`ParentBased{root:…}` without what it does for spans with a parent."""
    head, comma, _ = sampler.partition(",")
    return f"{head}, …}}" if comma and head.startswith("ParentBased{") else sampler


def _records(facts: dict[str, Any]) -> Iterator[str]:
    settings = facts["settings"]
    if not facts["is_active"]:
        return
    for store in facts["storage"]:
        size = os.path.getsize(store["path"]) if os.path.exists(store["path"]) else 0
        yield f"{store['kind'].ljust(8)} {store['path']} ({size} bytes)"
    if settings.get("console"):
        yield "console  a line a span"
    if settings.get("exporter"):
        yield f"exporter {settings['exporter']}"
    lost = sum(outage["lost"] for outage in facts["lost"])
    yield f"lost     {lost}"


def _launcher(facts: dict[str, Any]) -> Iterator[str]:
    launcher = facts["launcher"]
    yield f"distributions   {', '.join(launcher['distros']) or 'none'}"
    yield f"configurators   {', '.join(launcher['configurators']) or 'none'}"
    yield f"traces exporters {', '.join(launcher['exporters']) or 'none'}"
