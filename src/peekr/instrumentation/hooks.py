"""A table of hooks for one SDK: put onto it when it is imported, and taken off again."""

from __future__ import annotations

import functools
import inspect
import logging
import types
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Union, cast

import wrapt
from opentelemetry import trace as otel_trace

from peekr import faults
from peekr._version import __version__
from peekr.config import content_capture
from peekr.instrumentation.metrics import CallMetrics
from peekr.instrumentation.runtime import Hook, Runtime
from peekr.instrumentation.versions import installed
from peekr.instrumentation.wrappers import makers_of
from peekr.late import loaded
from peekr.semconv.otel import SCHEMA_URL

if TYPE_CHECKING:
    from peekr.instrumentation.details import OperationDetails
    from peekr.instrumentation.runtime import Admission, Observer
    from peekr.pricing.book import PriceBook

__all__ = ["SCHEMA_URL", "HookState", "Instrumentation", "Replacement"]

_logger = logging.getLogger("peekr.instrumentation")
_DRIVE = "peekr.instrumentation.drive:drive"
_DRIVE_ASYNC = "peekr.instrumentation.drive:drive_async"
_KEPT: Any = object()


class Replacement(NamedTuple):
    """A function of an SDK that is no model call itself, and what takes its place.

    Attributes:
        module: The module that defines it, by its full name.
        target: `function` or `Class.method`.
        replace: Makes the new function from the original and a function that gives the active
            runtime, None while nobody watches; it must then do what the original does.
    """

    module: str
    target: str
    replace: Callable[[Callable[[], Optional[Runtime]], Callable[..., Any]], Callable[..., Any]]


class HookState(NamedTuple):
    """How one hook stands.

    Attributes:
        module: The module that it is for.
        target: `Class.method`.
        state: `waiting` for the module's import, `missing` in this version of the SDK, `on`, or
            `off`.
        makers: Whose wrappers are on the method, the outermost first: names of modules.
    """

    module: str
    target: str
    state: str
    makers: tuple[str, ...] = ()


class Instrumentation:
    """One SDK and its table of hooks.

    Nothing is imported: a hook is put on when the application has imported its module, whether
    that was before or comes later. A hook whose target the SDK does not have is left out with one
    debug line; the others work.

    Attributes:
        name: The SDK's short name, as in the entry point: `openai`.
        dependencies: The SDK's distribution and the versions that are supported.
        hooks: The table.
        replacements: Functions to watch that are no model calls, such as those that run tools.
        runtime: What the hooks work with; None while nobody watches.
    """

    def __init__(
        self,
        name: str,
        dependencies: tuple[str, ...],
        hooks: tuple[Hook, ...],
        replacements: tuple[Replacement, ...] = (),
        resolve: Optional[Callable[[Optional[Runtime], dict[str, Any]], dict[str, Any]]] = None,
    ) -> None:
        """Describe an SDK.

        Args:
            name: See above.
            dependencies: See above.
            hooks: See above.
            replacements: See above.
            resolve: Completes the SDK's own options, given the runtime until now.
        """
        self.name = name
        self.dependencies = dependencies
        self.hooks = hooks
        self.replacements = replacements
        self.runtime: Optional[Runtime] = None
        self._resolve = resolve
        self._is_empty = False
        self._patches = [_Patch(self, hook) for hook in (*hooks, *replacements)]

    def watch(
        self,
        tracer_provider: Any = None,
        capture_content: Optional[bool] = None,
        max_chars: Optional[int] = None,
        admissions: Optional[tuple[Admission, ...]] = None,
        observers: Optional[tuple[Observer, ...]] = None,
        prices: Optional[PriceBook] = None,
        meter_provider: Any = None,
        gate: Any = _KEPT,
        **options: Any,
    ) -> None:
        """Begin to watch, or go on with other arguments; nothing is put on twice.

        What is left out stays as it is while somebody watches.

        Args:
            tracer_provider: Makes the spans; at first the global one.
            capture_content: False keeps prompts, outputs and tool arguments off the spans; at
                first True.
            max_chars: The longest attribute that the provider keeps whole, in characters.
            admissions: May refuse a call; see `Runtime`. At first none.
            observers: Are told of each call's end; see `Runtime`. At first none.
            prices: Say what a call costs; at first nothing does.
            meter_provider: Collects the conventions' metrics; at first the global one does, once
                there is one.
            gate: Looks at what calls ask and answer, see `Runtime`; None for nothing.
            **options: The SDK's own options.
        """
        before = self.runtime
        if tracer_provider is None and before is not None:
            tracer, max_chars = before.tracer, max_chars or before.max_chars
        else:
            provider = tracer_provider or otel_trace.get_tracer_provider()
            tracer = provider.get_tracer(
                f"peekr.instrumentation.{self.name}", __version__, schema_url=SCHEMA_URL
            )
        if capture_content is None and before is not None:
            capture_content, details = before.capture_content, before.details
        else:
            capture_content, details = self._capture(capture_content is not False)
        if admissions is None:
            admissions = () if before is None else before.admissions
        if observers is None:
            observers = () if before is None else before.observers
        if prices is None and before is not None:
            prices = before.prices
        if self._resolve is not None:
            options = self._resolve(before, options)
        if meter_provider is not None or before is None or before.metrics is None:
            scope = f"peekr.instrumentation.{self.name}"
            metrics = CallMetrics(scope, SCHEMA_URL, meter_provider)
        else:
            metrics = before.metrics
        if gate is _KEPT:
            gate = None if before is None else before.gate
        self.runtime = Runtime(
            tracer,
            capture_content,
            max_chars,
            options,
            admissions,
            observers,
            prices,
            metrics,
            gate,
            details,
        )
        for patch in self._patches:
            patch.expect()

    def _capture(self, capture_content: bool) -> tuple[bool, Optional[OperationDetails]]:
        """What is captured on spans, and the events, as OpenTelemetry's variables have it."""
        asked = content_capture()
        details = None
        if asked.emits_events:
            from peekr.instrumentation.details import OperationDetails

            scope = f"peekr.instrumentation.{self.name}"
            details = OperationDetails(scope, SCHEMA_URL, capture_content and asked.in_events)
        return capture_content and asked.on_spans, details

    def states(self) -> list[HookState]:
        """How each hook stands, in the order of the table."""
        return [patch.state_now() for patch in self._patches]

    def note_missing(self) -> None:
        """Say once, in one line, when the SDK turns out to have nothing of what is watched."""
        states = {p.state for p in self._patches if isinstance(p.hook, Hook)}
        if states == {"missing"} and not self._is_empty:
            self._is_empty = True
            distribution = self.dependencies[0].partition(" ")[0]
            _logger.warning(
                "%s %s has none of the methods that Peekr watches: its calls are not recorded",
                distribution,
                installed(distribution) or "(of an unknown version)",
            )

    def leave(self) -> None:
        """Stop watching and put the SDK's own methods back."""
        self.runtime = None
        for patch in self._patches:
            patch.remove()


class _Patch:
    """One hook on one SDK: waits for the module, replaces the method, restores it."""

    def __init__(self, owner: Instrumentation, hook: Union[Hook, Replacement]) -> None:
        self._owner = owner
        self._hook = self.hook = hook
        self.state = "waiting"
        self._expected = False
        self._cls: Any = None
        self._original: Any = None
        self._shim: Any = None

    def expect(self) -> None:
        """Replace the method as soon as its module is imported, at once if it is already."""
        if self._shim is not None:
            self._put()
        elif not self._expected:
            self._expected = True
            cast("Any", wrapt).register_post_import_hook(self._imported, self._hook.module)

    def remove(self) -> None:
        """Put the original back, unless somebody has wrapped ours since: then ours passes on."""
        if self._shim is not None and self._present() is self._shim:
            setattr(self._cls, self._name, self._original)

    def state_now(self) -> HookState:
        """How the hook stands."""
        if self._shim is None:
            return HookState(self._hook.module, self._hook.target, self.state)
        makers = makers_of(self._present(), self._shim)
        is_on = self._owner.runtime is not None and "peekr" in makers
        return HookState(
            self._hook.module, self._hook.target, "on" if is_on else "off", tuple(makers)
        )

    def _present(self) -> Any:
        """What the class itself, not a base of it, has under the method's name."""
        return cast("dict[str, Any]", vars(self._cls)).get(self._name)

    @property
    def _name(self) -> str:
        return self._hook.target.rpartition(".")[2]

    def _imported(self, module: Any) -> None:
        try:
            if self._find(module):
                self.state = "found"
                if self._owner.runtime is not None:
                    self._put()
            else:
                _logger.debug("%s has no %s: not watched", self._hook.module, self._hook.target)
                self.state = "missing"
                self._owner.note_missing()
        except Exception:
            faults.report(f"hooking {self._hook.module}.{self._hook.target}")

    def _find(self, module: Any) -> bool:
        path = self._hook.target.split(".")
        found: Any = module
        for step in path[:-1]:
            found = getattr(found, step, None)
        if found is None:
            return False
        owner, hook = self._owner, self._hook
        if isinstance(hook, Hook) and hook.unless is not None and hook.unless in vars(found):
            return False
        self._cls = found
        original = self._present()
        if original is None:
            return False
        self._original = original
        if isinstance(hook, Hook):
            self._shim = _shim(owner, hook, original)
        else:
            self._shim = hook.replace(lambda: owner.runtime, original)
        return True

    def _put(self) -> None:
        if self._present() is self._original:
            setattr(self._cls, self._name, self._shim)


def _shim(owner: Instrumentation, hook: Hook, original: Callable[..., Any]) -> Any:
    """A plain function in the original's place.

    Plain, not a proxy: signatures, copies, subclasses and mocks see what they saw before.
    """
    # By its type: proxies of wrapt say of themselves that they are functions.
    target = original if type(original) is types.FunctionType else _bound(original)
    choose = hook.choose

    if not hook.is_async:

        @functools.wraps(original)
        def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            runtime = owner.runtime
            row = hook if choose is None else choose(self, args, kwargs)
            if runtime is None or row is None:
                return target(self, *args, **kwargs)
            drive = loaded.get(_DRIVE) or _load(_DRIVE)
            if drive is None:
                return target(self, *args, **kwargs)
            return drive(runtime, row, target, self, args, kwargs)

        return call

    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def acall(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            runtime = owner.runtime
            row = hook if choose is None else choose(self, args, kwargs)
            if runtime is None or row is None:
                return await target(self, *args, **kwargs)
            drive = loaded.get(_DRIVE_ASYNC) or _load(_DRIVE_ASYNC)
            if drive is None:
                return await target(self, *args, **kwargs)
            return await drive(runtime, row, target, self, args, kwargs)

        return acall

    @functools.wraps(original)
    def awaited(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        runtime = owner.runtime
        row = hook if choose is None else choose(self, args, kwargs)
        if runtime is None or row is None:
            return target(self, *args, **kwargs)
        drive = loaded.get(_DRIVE_ASYNC) or _load(_DRIVE_ASYNC)
        if drive is None:
            return target(self, *args, **kwargs)
        return drive(runtime, row, target, self, args, kwargs)

    return awaited


def _load(driver: str) -> Any:
    """The driver, loaded at the first call; None where that fails: then nobody watches."""
    try:
        return loaded[driver]
    except Exception:
        faults.report("loading what reads calls")
        return None


def _bound(wrapper: Any) -> Callable[..., Any]:
    """Somebody else's wrapper, called as the class would have called it."""

    def target(instance: Any, *args: Any, **kwargs: Any) -> Any:
        return wrapper.__get__(instance, instance.__class__)(*args, **kwargs)

    return target
