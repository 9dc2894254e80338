"""What the conventions say: upstream's registry, where it is at hand, and Peekr's own."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, cast

import pytest

from ..support.recordings import shared_folder

OWN = Path(__file__).parents[2] / "semconv"

# Attributes of other namespaces than gen_ai, whose registries are not at hand.
# Source: the registry of OpenTelemetry's semantic conventions, release 1.42.0.
_OTHERS = {
    "aws.bedrock.guardrail.id": "string",
    "error.type": "string",
    "exception.message": "string",
    "exception.stacktrace": "string",
    "exception.type": "string",
    "exception.escaped": "string",  # the SDK's
    "http.request.method": "string",
    "http.request.method_original": "string",
    "http.response.status_code": "int",
    "http.route": "string",
    "openai.api.type": "string",
    "openai.request.service_tier": "string",
    "openai.response.service_tier": "string",
    "openai.response.system_fingerprint": "string",
    "server.address": "string",
    "server.port": "int",
    "session.id": "string",
    "url.path": "string",
    "url.scheme": "string",
    "user.id": "string",
}
_PYTHON = {"string": str, "int": int, "double": float, "boolean": bool}


class Level(NamedTuple):
    """How much a span needs an attribute.

    Attributes:
        name: `required`, `conditionally_required`, `recommended`, `opt_in`.
        condition: in words; empty where there is none.
    """

    name: str
    condition: str = ""


def _load(path: Path) -> Any:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load(path.read_text("utf-8"))


def _upstream(name: str) -> Any:
    path = shared_folder() / "semconv-genai" / name
    if not path.is_file():
        pytest.skip("the conventions' registry is not at hand")
    return _load(path)


@functools.cache
def types() -> Dict[str, Any]:
    """The type of each attribute, upstream's and our own; an enumeration is the list of values."""
    found: Dict[str, Any] = dict(_OTHERS)
    for group in _upstream("registry.yaml")["groups"]:
        for entry in group["attributes"]:
            kind = entry["type"]
            values = kind if isinstance(kind, str) else [m["value"] for m in kind["members"]]
            found[entry["id"]] = values
    for group in _load(OWN / "registry.yaml")["groups"]:
        for entry in group["attributes"]:
            found[entry["id"]] = entry["type"]
    return found


@functools.cache
def _groups(file: str) -> Dict[str, Any]:
    return {group["id"]: group for group in _upstream(file)["groups"]}


def kind_of(group: str) -> str:
    """The kind of the spans of a group."""
    return cast(str, _groups("spans.yaml")[group]["span_kind"])


def levels(group: str, file: str = "spans.yaml") -> Dict[str, Level]:
    """What a group wants of each attribute, with what it inherits."""
    entry = _groups(file)[group]
    found = levels(entry["extends"], file) if entry.get("extends") else {}
    for attribute in entry.get("attributes") or ():
        name, level = attribute["ref"], attribute.get("requirement_level")
        if level is None:
            found.setdefault(name, Level("recommended"))
        elif isinstance(level, str):
            found[name] = Level(level)
        else:
            ((kind, condition),) = cast("Dict[str, str]", level).items()
            found[name] = Level(kind, condition)
    return found


def wrong_type(name: str, value: Any) -> Optional[str]:
    """What is wrong with the value of an attribute; None when nothing is."""
    kind = types().get(name)
    if kind is None:
        return "in no registry"
    if isinstance(kind, list):  # an open enumeration: other values are texts as well
        return None if isinstance(value, str) else "no text"
    if kind == "any":
        return None if isinstance(value, str) else "no JSON text"
    if kind.endswith("[]"):
        is_list = isinstance(value, (list, tuple))
        kind = kind[:-2]
        items = cast("List[Any]", value) if is_list else []
        good = is_list and all(type(item) is _PYTHON[kind] for item in items)
        return None if good else f"no {kind}[]"
    return None if type(value) is _PYTHON[kind] else f"no {kind}"


def declared() -> List[Dict[str, Any]]:
    """The deviations that are declared."""
    return _load(OWN / "deviations.yaml")["deviations"]


def metrics() -> Dict[str, Any]:
    """The metrics of the conventions, by name."""
    groups = _groups("metrics.yaml").values()
    return {group["metric_name"]: group for group in groups if group["type"] == "metric"}
