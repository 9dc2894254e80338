"""The settings of `instrument()`: checked, completed from the environment, frozen."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional

from peekr.errors import ConfigurationError

__all__ = ["ENVIRONMENT", "RETENTION_CLASSES", "STORAGES", "Settings", "retention_class_of"]

STORAGES = ("jsonl", "sqlite", "both")
RETENTION_CLASSES = ("default", "short", "long", "pii")

ENVIRONMENT: dict[str, str] = {
    "PEEKR_TENANT_ID": "the customer organisation, where tenant_id is not given",
    "PEEKR_RETENTION_CLASS": "default, short, long or pii, where retention_class is not given",
    "PEEKR_OPENAI_STREAM_USAGE": (
        "true asks streamed OpenAI chats for their token counts, and hides the chunk that has them"
    ),
    "PEEKR_RAISE_FAULTS": "1 raises faults of Peekr's own instead of logging them; for its tests",
}
"""Every variable that Peekr reads, and what it means."""


@dataclass(frozen=True)
class Settings:
    """What `instrument()` was asked for; see there for the meaning of each field.

    Raises:
        ConfigurationError: (a ValueError) a value is none of the choices or out of its range.
        TypeError: an object is of the wrong kind; the message names it.
    """

    console: bool = True
    storage: Optional[str] = "jsonl"
    jsonl_path: Optional[str] = "traces.jsonl"
    db_path: Optional[str] = "traces.db"
    tenant_id: Optional[str] = None
    retention_class: Optional[str] = None
    alerts: tuple[Any, ...] = ()
    evaluators: tuple[Any, ...] = ()
    guardrails: tuple[Any, ...] = ()
    compliance: Optional[tuple[str, ...]] = ()
    exporter: Any = None
    evaluate_filter: Optional[Callable[[Any], bool]] = None
    async_eval: bool = True
    sample_rate: float = 1.0
    keep_errors: bool = True
    budget_alert: Any = None
    capture_content: bool = True

    def __post_init__(self) -> None:
        """Check the values against each other and their ranges."""
        if self.storage is not None and self.storage not in STORAGES:
            choices = ", ".join(repr(choice) for choice in STORAGES)
            raise ConfigurationError(
                f"storage={self.storage!r} is none of {choices} or None (no local file)"
            )
        if isinstance(self.sample_rate, bool) or not isinstance(self.sample_rate, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"sample_rate={self.sample_rate!r} is not a number")
        if not 0.0 <= self.sample_rate <= 1.0:
            raise ConfigurationError(f"sample_rate={self.sample_rate!r} is outside 0.0 to 1.0")
        retention_class_of(self.retention_class)
        _check_each("alerts", self.alerts, ("check", "on_trigger", "__call__"))
        _check_each("evaluators", self.evaluators, ("evaluate",))
        _check_each("guardrails", self.guardrails, ("check", "redact", "__call__"))
        if self.evaluate_filter is not None and not callable(self.evaluate_filter):
            raise TypeError(f"evaluate_filter={self.evaluate_filter!r} is not callable")
        if self.exporter is not None and not callable(getattr(self.exporter, "export", None)):
            raise TypeError(
                f"exporter={self.exporter!r} has no export(span) method; give a "
                "peekr.HTTPExporter, an OpenTelemetry SpanExporter, or any object with export(span)"
            )
        self._check_compliance()

    @property
    def writes_jsonl(self) -> Optional[str]:
        """The path of the JSONL file, None when there is none to write."""
        return self.jsonl_path if self.storage in ("jsonl", "both") else None

    @property
    def writes_sqlite(self) -> Optional[str]:
        """The path of the SQLite file, None when there is none to write."""
        return self.db_path if self.storage in ("sqlite", "both") else None

    def _check_compliance(self) -> None:
        packs = self.compliance
        if packs is not None:
            for pack in packs:
                if not isinstance(pack, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                    raise TypeError(f"compliance: {pack!r} is not the name of a rule pack")
            if not packs:
                return
        if not hasattr(self.exporter, "endpoint"):
            asked = "None (whatever the project has on)" if packs is None else list(packs)
            raise ConfigurationError(
                f"compliance={asked} needs exporter=peekr.HTTPExporter(...): "
                "the rules come from Peekr Cloud"
            )


def retention_class_of(value: Optional[str]) -> Optional[str]:
    """The value itself where it is a retention class or None.

    Raises:
        ConfigurationError: it is another value.
    """
    if value is not None and value not in RETENTION_CLASSES:
        choices = ", ".join(RETENTION_CLASSES)
        raise ConfigurationError(f"retention_class={value!r} is none of {choices}")
    return value


def from_environment(
    environ: Optional[Mapping[str, str]] = None,
) -> tuple[Optional[str], Optional[str]]:
    """Tenant and retention class of the environment; an empty variable counts as absent.

    Raises:
        ConfigurationError: `PEEKR_RETENTION_CLASS` is no retention class.
    """
    environ = os.environ if environ is None else environ
    retention = environ.get("PEEKR_RETENTION_CLASS") or None
    if retention is not None and retention not in RETENTION_CLASSES:
        choices = ", ".join(RETENTION_CLASSES)
        raise ConfigurationError(f"PEEKR_RETENTION_CLASS={retention!r} is none of {choices}")
    return environ.get("PEEKR_TENANT_ID") or None, retention


def is_on(name: str, environ: Optional[Mapping[str, str]] = None) -> bool:
    """Whether a variable that switches something on says `true` or `1`."""
    value = (os.environ if environ is None else environ).get(name, "")
    return value.strip().lower() in ("true", "1")


def _check_each(argument: str, items: Sequence[Any], methods: tuple[str, ...]) -> None:
    for item in items:
        usable = any(callable(getattr(item, method, None)) for method in methods)
        if isinstance(item, (type, str, bytes)) or not usable:
            raise TypeError(
                f"{argument}: {item!r} is not an instance of a peekr.{_MODULES[argument]} class"
            )


_MODULES = {"alerts": "alert", "evaluators": "eval", "guardrails": "guard"}
