"""The settings of `instrument()`: checked, completed from the environment, frozen."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Union, cast

from peekr.errors import ConfigurationError

if TYPE_CHECKING:
    from dataclasses import dataclass as _fields

    Path = Union[str, os.PathLike[str]]

else:

    def _fields(**_: Any) -> Any:
        """Leave a class as it is: to generate it takes a tenth of the whole start."""
        return lambda cls: cls


__all__ = [
    "RETENTION_CLASSES",
    "STORAGES",
    "ContentCapture",
    "Settings",
    "content_capture",
    "from_environment",
    "is_on",
    "listed",
    "prices_file",
    "retention_class_of",
]

STORAGES = ("jsonl", "sqlite", "both")
RETENTION_CLASSES = ("default", "short", "long", "pii")


@_fields(frozen=True)
class Settings:
    """What `instrument()` was asked for; see there for the meaning of each field.

    Raises:
        ConfigurationError: (a ValueError) a value is none of the choices or out of its range.
        TypeError: an object is of the wrong kind; the message names it.
    """

    console: bool = True
    storage: Optional[str] = "jsonl"
    jsonl_path: Optional[Path] = "traces.jsonl"
    db_path: Optional[Path] = "traces.db"
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
    compliance_action: str = "raise"
    compliance_required: bool = False
    only_llm: bool = False
    prices: Any = None

    if not TYPE_CHECKING:

        def __init__(self, **given: Any) -> None:
            for name in given:
                if name not in Settings.__annotations__:
                    raise TypeError(f"{name} is no setting")
            self.__dict__.update(given)
            self._check()

        def __setattr__(self, name: str, value: Any) -> None:
            raise AttributeError(f"{name}: settings are frozen; call instrument() again")

    def _check(self) -> None:
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
        for argument in _SWITCHES:
            value = getattr(self, argument)
            # "false" would count as true: with capture_content, that is what must not happen.
            if isinstance(value, (str, bytes)) or value not in (True, False):
                raise TypeError(f"{argument}={value!r} is neither True nor False")
        for argument in ("jsonl_path", "db_path"):
            value = getattr(self, argument)
            if value is not None and not isinstance(value, (str, os.PathLike)):
                raise TypeError(f"{argument}={value!r} is no path; None writes no such file")
            if value is not None and not os.fspath(cast("str", value)):
                raise ConfigurationError(f"{argument} is empty; None writes no such file")
        if self.tenant_id is not None and not isinstance(self.tenant_id, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"tenant_id={self.tenant_id!r} is not a text")
        _check_each("alerts", self.rules, ("check", "__call__"))
        _check_alerts(self.rules)
        _check_each("evaluators", self.evaluators, ("evaluate", "__call__"))
        _check_each("guardrails", self.guardrails, ("check", "redact", "__call__"))
        if self.evaluate_filter is not None and not callable(self.evaluate_filter):
            raise TypeError(f"evaluate_filter={self.evaluate_filter!r} is not callable")
        if self.budget_alert is not None:
            _check_each("budget_alert", (self.budget_alert,), ("admit",))
        if self.exporter is not None:
            _check_exporter(self.exporter)
        self._check_compliance()

    @property
    def budgets(self) -> tuple[Any, ...]:
        """The budgets, wherever they were given; each once."""
        given = () if self.budget_alert is None else (self.budget_alert,)
        return given + tuple(one for one in self.alerts if _is_budget(one) and one not in given)

    @property
    def rules(self) -> tuple[Any, ...]:
        """The alerts that look at traces."""
        return tuple(one for one in self.alerts if not _is_budget(one))

    @property
    def writes_jsonl(self) -> Optional[Path]:
        """The path of the JSONL file, None when there is none to write."""
        return self.jsonl_path if self.storage in ("jsonl", "both") else None

    @property
    def writes_sqlite(self) -> Optional[Path]:
        """The path of the SQLite file, None when there is none to write."""
        return self.db_path if self.storage in ("sqlite", "both") else None

    def _check_compliance(self) -> None:
        if self.compliance_action not in ("raise", "warn"):
            raise ConfigurationError(
                f"compliance_action={self.compliance_action!r} is neither 'raise' nor 'warn'"
            )
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
                f"compliance={asked} needs exporter=peekr.HTTPExporter(...), or PEEKR_ENDPOINT "
                "and PEEKR_API_KEY under the launcher: "
                "the rules come from Peekr Cloud"
            )


_SWITCHES = (
    "console",
    "async_eval",
    "keep_errors",
    "capture_content",
    "compliance_required",
    "only_llm",
)


def listed(argument: str, items: Optional[Sequence[Any]]) -> tuple[Any, ...]:
    """The items of an argument that takes several; None counts as none.

    Args:
        argument: The argument's name, for the message.
        items: What was given for it.

    Raises:
        TypeError: it is a single item; the message names the argument.
    """
    if items is None:
        return ()
    try:
        if not isinstance(items, (str, bytes)):
            return tuple(items)
    except TypeError:
        pass
    raise TypeError(f"{argument}={items!r} is no list; give {argument}=[...]")


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


def prices_file(environ: Optional[Mapping[str, str]] = None) -> Optional[str]:
    """The file of prices that the environment names, if any."""
    return (os.environ if environ is None else environ).get("PEEKR_PRICES") or None


class ContentCapture(NamedTuple):
    """Where the messages of model calls go, as far as OpenTelemetry's variables say.

    Attributes:
        on_spans: On spans, and so into records.
        in_events: On the conventions' events, which are log records.
        emits_events: There are such events, with messages or without.
    """

    on_spans: bool = True
    in_events: bool = False
    emits_events: bool = False


_CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_EMIT_EVENT = "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT"
_refused: set[str] = set()
_ON = ("true", "1", "yes", "on")
_OFF = ("", "false", "0", "no", "off")
_no_switches: set[tuple[str, str]] = set()
# What the variable may say, with the two words of its earlier form.
_CAPTURES = {
    "": (True, False),
    "true": (True, False),
    "false": (False, False),
    "no_content": (False, False),
    "span_only": (True, False),
    "event_only": (False, True),
    "span_and_event": (True, True),
}


def content_capture(environ: Optional[Mapping[str, str]] = None) -> ContentCapture:
    """What OpenTelemetry's variables say of content.

    Another value than those that there are counts as `NO_CONTENT` and is logged: it may have been
    meant to keep content out.
    """
    environ = os.environ if environ is None else environ
    said = environ.get(_CAPTURE, "").strip()
    found = _CAPTURES.get(said.lower())
    if found is None and said not in _refused:
        import logging  # here: the command line is quicker without it

        _refused.add(said)
        logging.getLogger("peekr").warning(
            "%s=%r is none of NO_CONTENT, SPAN_ONLY, EVENT_ONLY, SPAN_AND_EVENT: "
            "calls are recorded without their contents",
            _CAPTURE,
            said,
        )
    on_spans, in_events = found or (False, False)
    emits = environ.get(_EMIT_EVENT, "").strip().lower()
    return ContentCapture(on_spans, in_events, emits == "true" or (emits != "false" and in_events))


def is_on(name: str, environ: Optional[Mapping[str, str]] = None) -> bool:
    """Whether a variable switches something on: `true`, `1`, `yes` or `on`.

    What is neither that nor the opposite is logged, once, and switches nothing on.
    """
    value = (os.environ if environ is None else environ).get(name, "").strip()
    word = value.lower()
    if word not in (*_ON, *_OFF) and (name, value) not in _no_switches:
        import logging  # here: the command line is quicker without it

        _no_switches.add((name, value))
        logging.getLogger("peekr").warning(
            "%s=%r is neither true nor false: it counts as false", name, value
        )
    return word in _ON


def _check_exporter(exporter: Any) -> None:
    if isinstance(exporter, type):
        raise TypeError(f"exporter={exporter!r} is a class; give an instance of it")
    export = getattr(exporter, "export", None)
    if not callable(export):
        raise TypeError(
            f"exporter={exporter!r} has no export(span) method; give a "
            "peekr.HTTPExporter, an OpenTelemetry SpanExporter, or any object with export(span)"
        )
    import inspect  # here: few give an exporter, and it takes longer to load than the rest of this

    if inspect.iscoroutinefunction(export):
        raise TypeError(
            f"exporter={exporter!r}: its export is a coroutine function, but exporters run on "
            "threads without an event loop; make it a plain method"
        )


def _is_budget(alert: Any) -> bool:
    return not isinstance(alert, type) and callable(getattr(alert, "admit", None))


def _check_alerts(alerts: Sequence[Any]) -> None:
    if not alerts:
        return
    import inspect  # here: few give any, and it takes longer to load than the rest of this

    for alert in alerts:
        if inspect.iscoroutinefunction(getattr(alert, "check", alert)):
            raise TypeError(
                f"alerts: {alert!r} is to be awaited, but alerts run on a thread without an event "
                "loop; make it a plain function"
            )


def _check_each(argument: str, items: Sequence[Any], methods: tuple[str, ...]) -> None:
    for item in items:
        if isinstance(item, type):
            raise TypeError(f"{argument}: {item!r} is a class; give an instance of it")
        usable = any(callable(getattr(item, method, None)) for method in methods)
        if isinstance(item, (str, bytes)) or not usable:
            raise TypeError(f"{argument}: {item!r} is not an instance of {_WANTED[argument]}")


_WANTED = {
    "alerts": "a peekr.alert class, nor a function",
    "evaluators": "a peekr.eval class, nor a function",
    "guardrails": "a peekr.guard class, nor a function",
    "budget_alert": "peekr.alert.BudgetAlert; several go into alerts=[...]",
}
