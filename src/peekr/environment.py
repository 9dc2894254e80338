"""The environment's variables that Peekr reads, and the arguments that launchers make of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Callable, NamedTuple, Optional

from peekr.config import STORAGES
from peekr.errors import ConfigurationError

__all__ = ["ENVIRONMENT", "Variable", "arguments_of_launcher"]


class Variable(NamedTuple):
    """A variable of the environment.

    Attributes:
        meaning: What it does, as the documentation says it.
        argument: The argument of `instrument()` that it gives under `opentelemetry-instrument`;
            None for one that always holds.
        read: Makes the argument's value of the text.

    Raises:
        ValueError: (`read`) the text is none; the message says what would be.
    """

    meaning: str
    argument: Optional[str] = None
    read: Callable[[str], Any] = str


def _switch(text: str) -> bool:
    word = text.lower()
    if word in ("true", "1", "yes", "on"):
        return True
    if word in ("false", "0", "no", "off"):
        return False
    raise ValueError("is neither true nor false")


def _storage(text: str) -> Optional[str]:
    word = text.lower()
    if word in STORAGES:
        return word
    if word in ("none", "off"):
        return None
    raise ValueError(f"is none of {', '.join(STORAGES)}, none")


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        raise ValueError("is not a number") from None
    if not 0.0 <= rate <= 1.0:
        raise ValueError("is outside 0.0 to 1.0")
    return rate


def _packs(text: str) -> Optional[list[str]]:
    if text.lower() == "auto":
        return None
    return [pack.strip() for pack in text.split(",") if pack.strip()]


ENVIRONMENT: dict[str, Variable] = {
    "PEEKR_TENANT_ID": Variable("the customer organisation, where tenant_id is not given"),
    "PEEKR_RETENTION_CLASS": Variable(
        "default, short, long or pii, where retention_class is not given"
    ),
    "PEEKR_ENDPOINT": Variable(
        "where peekr.HTTPExporter, peekr_http and peekr ship send records, where they are not told"
    ),
    "PEEKR_API_KEY": Variable("the key that it sends with them; never printed or stored"),
    "PEEKR_OPENAI_STREAM_USAGE": Variable(
        "true asks streamed OpenAI chats for their token counts, and hides the chunk that has them"
    ),
    "PEEKR_PRICES": Variable("a JSON file of your own prices, where prices is not given"),
    "PEEKR_RAISE_FAULTS": Variable(
        "1 raises faults of Peekr's own instead of logging them; for its tests"
    ),
    "PEEKR_DOCTOR": Variable("set by `peekr doctor`: where a process leaves its report"),
    # Under the launcher alone: those that give an argument.
    "PEEKR_CONSOLE": Variable("launcher: console; true or false", "console", _switch),
    "PEEKR_STORAGE": Variable(
        "launcher: storage; jsonl, sqlite, both or none", "storage", _storage
    ),
    "PEEKR_JSONL_PATH": Variable("launcher: jsonl_path; a file", "jsonl_path"),
    "PEEKR_DB_PATH": Variable("launcher: db_path; a file", "db_path"),
    "PEEKR_COMPLIANCE": Variable(
        "launcher: compliance; names of rule packs with commas, or auto for those of the project",
        "compliance",
        _packs,
    ),
    "PEEKR_COMPLIANCE_ACTION": Variable(
        "launcher: compliance_action; raise or warn", "compliance_action"
    ),
    "PEEKR_COMPLIANCE_REQUIRED": Variable(
        "launcher: compliance_required; true or false", "compliance_required", _switch
    ),
    "PEEKR_ASYNC_EVAL": Variable("launcher: async_eval; true or false", "async_eval", _switch),
    "PEEKR_SAMPLE_RATE": Variable("launcher: sample_rate; 0.0 to 1.0", "sample_rate", _rate),
    "PEEKR_KEEP_ERRORS": Variable("launcher: keep_errors; true or false", "keep_errors", _switch),
    "PEEKR_CAPTURE_CONTENT": Variable(
        "launcher: capture_content; true or false", "capture_content", _switch
    ),
    "PEEKR_ONLY_LLM": Variable("launcher: only_llm; true or false", "only_llm", _switch),
}
"""Every variable that Peekr reads, and what it means."""


def arguments_of_launcher(environ: Optional[Mapping[str, str]] = None) -> dict[str, Any]:
    """The arguments of `instrument()` that the environment gives under a launcher.

    Only those whose variable is set; an empty variable counts as absent.

    Raises:
        ConfigurationError: a value cannot be used; the message names the variable.
    """
    environ = os.environ if environ is None else environ
    given: dict[str, Any] = {}
    for name, variable in ENVIRONMENT.items():
        text = environ.get(name, "").strip()
        if variable.argument is None or not text:
            continue
        try:
            given[variable.argument] = variable.read(text)
        except ValueError as error:
            raise ConfigurationError(f"{name}={text!r} {error}") from None
    return given
