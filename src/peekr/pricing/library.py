"""The price table of genai-prices: which provider and model a name means, and what that costs.

The table is a snapshot inside the package: nothing is fetched. Importing it takes some tenths of a
second, so `load_behind` does that on a daemon thread; what asks meanwhile gets told later.
"""

from __future__ import annotations

import _thread
import contextlib
import importlib
import os
import re
import sys
import threading
from collections.abc import Mapping
from typing import Any, Callable, Optional, cast

from peekr import faults
from peekr.pricing.rates import Daily, From, Plan, Price, PricedModel, Tiered, Variant

__all__ = [
    "LibraryTable",
    "is_settled",
    "load",
    "load_behind",
    "loaded",
    "source",
    "wait",
    "when_loaded",
]

_KINDS = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "audio_input",
    "output_audio_mtok": "audio_output",
    "input_image_mtok": "image_input",
}
_PROVIDERS = {
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "az.ai.openai": "azure",
    "az.ai.inference": "azure",
    "azure_openai": "azure",
    "aws.bedrock": "aws",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "gcp.gen_ai": "google",
    "mistral_ai": "mistral",
    "x_ai": "x-ai",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
    "moonshot_ai": "moonshotai",
    "z_ai": "zai",
}
# Libraries that some instrumentations name where the provider belongs: they bill nobody.
_FRAMEWORKS = frozenset(
    ("langchain", "langgraph", "llamaindex", "llama_index", "haystack", "crewai", "autogen",
     "agno", "smolagents", "openai_agents", "pydantic_ai", "pydantic-ai", "semantic_kernel")
)  # fmt: skip
_ARN = re.compile(r"arn:[^:]*:bedrock:[^:]*:[^:]*:([a-z-]+)/(.+)", re.IGNORECASE)
# Whatever else an ARN names is billed by the hour, or says nothing about the model.
_ARN_KINDS = ("foundation-model", "inference-profile")
_MAX_NAME = 512

_FORK_S = 5.0


class LibraryTable:
    """The loaded table. Any thread; a look-up takes about 0.1 ms."""

    def __init__(self, snapshot: Any) -> None:
        """Args:
        snapshot: The library's `DataSnapshot`.
        """
        self._snapshot = snapshot

    def find(self, provider: Optional[str], model: str) -> Optional[PricedModel]:
        """The prices of a model; None where the table does not know it.

        Args:
            provider: As spans name it: `openai`, `aws.bedrock`, `gcp.gemini`; where there is none,
                the table decides by the model's name.
            model: As callers and providers name it: aliases, dated versions, ARNs, deployments.
        """
        if len(model) > _MAX_NAME:
            return None
        provider_id = None
        if provider:
            provider_id = provider.lower().strip()
            provider_id = _PROVIDERS.get(provider_id, provider_id)
            if provider_id in _FRAMEWORKS:
                provider_id = None
        if provider_id == "aws":
            arn = _ARN.fullmatch(model)
            if arn is not None:
                if arn[1].lower() not in _ARN_KINDS:
                    return None
                model = arn[2]
        found = self._match(model, provider_id)
        if found is None and "/" in model and provider_id == "google":
            # models/…, projects/…/publishers/google/models/…
            found = self._match(model.rpartition("/")[2], provider_id)
        if found is None:
            return None
        owner, info = found
        return _compile(info, is_own=any(info is one for one in owner.models))

    def _match(self, model: str, provider_id: Optional[str]) -> Optional[tuple[Any, Any]]:
        try:
            return self._snapshot.find_provider_model(model, None, provider_id, None)
        except LookupError:
            return None


def _compile(info: Any, *, is_own: bool) -> Optional[PricedModel]:
    given = info.prices
    dated = [(one.prices, one.constraint) for one in given] if _is_list(given) else [(given, None)]
    plans = [Plan(_prices(prices), _condition(constraint)) for prices, constraint in dated]
    if not plans or not any(kind in plan.prices for plan in plans for kind in ("input", "output")):
        return None  # priced by the hour, the page, the picture: tokens say nothing about it
    variants: list[Variant] = []
    # The library gives a provider that sells another one's models no variants of those.
    for one in (getattr(info, "price_variants", None) or ()) if is_own else ():
        wanted = cast("dict[str, str]", one.when)
        if wanted.keys() <= {"processing", "service_tier", "speed"}:
            values = frozenset(wanted.values())
            variants.append(Variant(values, _prices(one.prices), _condition(one.constraint)))
    return PricedModel(str(info.id), plans, variants)


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _prices(given: Any) -> dict[str, Price]:
    found: dict[str, Price] = {}
    values = cast("Mapping[str, Any]", vars(given))
    for key, kind in _KINDS.items():
        value = values.get(key)
        if value is None:
            continue
        tiers = getattr(value, "tiers", None)
        if tiers is None:
            found[kind] = float(value)
        else:
            steps = sorted((int(tier.start), float(tier.price)) for tier in tiers)
            found[kind] = Tiered(float(value.base), tuple(steps))
    requests = values.get("requests_kcount")
    if requests is not None and not hasattr(requests, "tiers"):
        found["request"] = float(requests) * 1000.0
    return found


def _condition(constraint: Any) -> Any:
    if constraint is None:
        return None
    from datetime import datetime, timezone  # here: nobody needs it before there is a table

    day = getattr(constraint, "start_date", None)
    if day is not None:
        midnight = datetime(day.year, day.month, day.day, tzinfo=timezone.utc)
        return From(int(midnight.timestamp()) * 10**9)
    return Daily(_of_day(constraint.start_time), _of_day(constraint.end_time))


def _of_day(moment: Any) -> int:
    seconds = (moment.hour * 60 + moment.minute) * 60 + moment.second
    offset = moment.utcoffset()
    if offset is not None:
        seconds = (seconds - int(offset.total_seconds())) % 86_400
    return seconds * 10**9


# -- loading ---------------------------------------------------------------------------------------


class _Loading:
    """One process's table: not asked for, on its way, there, or not to be had."""

    def __init__(self) -> None:
        self.begun = False
        self.thread = 0
        self.done = threading.Event()
        # The callbacks have run as well.
        self.finished = threading.Event()
        self.table: Optional[LibraryTable] = None
        # Reentrant: a collected stream may end its span inside any allocation made here.
        self.lock = threading.RLock()
        self.waiting: list[Callable[[], None]] = []


_state = _Loading()


def loaded() -> Optional[LibraryTable]:
    """The table if it is there; takes no time and never loads it."""
    return _state.table


def is_settled() -> bool:
    """Whether the table is there, or is known not to be had."""
    return _state.done.is_set()


def load_behind() -> None:
    """Begin to load the table on a daemon thread, if nobody has; returns at once."""
    state = _state
    if state.begun:
        return
    with state.lock:
        if state.begun:
            return
        state.begun = True
    _watch_forks()
    if "openai" in sys.modules and "httpx2" not in sys.modules:
        # The table's library imports it, and openai 2 looks for it in `sys.modules` at each
        # request: it must not find it half imported by another thread.
        with contextlib.suppress(Exception):
            importlib.import_module("httpx2")
    if not sys.is_finalizing():
        try:
            # Not `threading.Thread`: its start takes a lock that the frame below may hold, when
            # this is a finalizer.
            _thread.start_new_thread(_load, (state,))
            return
        except RuntimeError:
            pass  # the interpreter is about to end: there is nobody left to keep waiting
    _load(state)


def load(timeout_s: float = 30.0) -> Optional[LibraryTable]:
    """The table, loaded on this thread where nobody has begun; None where there is none."""
    state = _state
    with state.lock:
        begun, state.begun = state.begun, True
    if begun:
        state.done.wait(timeout_s)
    else:
        _load(state)
    return state.table


def when_loaded(callback: Callable[[], None]) -> None:
    """Call a function once the table is there or known not to be had.

    It runs on the loading thread, or on this one where that is so already.
    """
    state = _state
    with state.lock:
        if not state.done.is_set():
            state.waiting.append(callback)
            return
    callback()


def wait(timeout_s: float) -> bool:
    """Wait for a load that has begun; False when time ran out."""
    return not _state.begun or _state.done.wait(timeout_s)


def source() -> str:
    """Which table it is: `genai-prices 0.2.3`."""
    import importlib.metadata  # here: slow to load

    try:
        return f"genai-prices {importlib.metadata.version('genai-prices')}"
    except importlib.metadata.PackageNotFoundError:
        return "no price table"


def _load(state: _Loading) -> None:
    state.thread = threading.get_ident()
    try:
        try:
            # The library's current snapshot: the bundled one, or a newer one where the application
            # itself has put it in place.
            from genai_prices import data_snapshot

            state.table = LibraryTable(data_snapshot.get_snapshot())
        except Exception:
            faults.report("loading the price table (model calls have no cost)")
    finally:
        with state.lock:
            state.done.set()
            waiting, state.waiting = state.waiting, []
        try:
            for callback in waiting:
                try:
                    callback()
                except Exception:
                    faults.report("pricing what waited for the price table")
        finally:
            state.finished.set()


_forks_watched = False


def _watch_forks() -> None:
    global _forks_watched
    if not _forks_watched and hasattr(os, "register_at_fork"):
        _forks_watched = True
        os.register_at_fork(before=_before_fork, after_in_child=_after_in_child)


def _before_fork() -> None:
    # A child that is forked in the middle of an import, or while a store's lock is held, would wait
    # for ever for its end.
    if _state.begun and threading.get_ident() != _state.thread:
        _state.finished.wait(_FORK_S)


def _after_in_child() -> None:
    global _state
    before, _state = _state, _Loading()
    if before.begun:
        # Without a table the import did not come to its end, and cannot be tried again here.
        _state.begun, _state.table = True, before.table
        _state.done.set()
        _state.finished.set()
