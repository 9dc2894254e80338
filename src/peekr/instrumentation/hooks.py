"""A provider's instrumentor: it puts a table of hooks onto an SDK, and takes them off again."""

from __future__ import annotations

import functools
import inspect
import logging
import types
from collections.abc import Collection
from typing import Any, Callable, NamedTuple, Optional, Union, cast

import wrapt
from opentelemetry import trace as otel_trace
from opentelemetry.instrumentation.instrumentor import (  # pyright: ignore[reportMissingTypeStubs]
    BaseInstrumentor,
)

from peekr import faults
from peekr._version import __version__
from peekr.instrumentation.call import Hook, Runtime, drive, drive_async

__all__ = ["SCHEMA_URL", "ProviderInstrumentor", "Replacement"]

SCHEMA_URL = "https://opentelemetry.io/schemas/1.42.0"
"""The release of the conventions that the spans follow."""

_logger = logging.getLogger("peekr.instrumentation")


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


class ProviderInstrumentor(BaseInstrumentor):
    """Watches one SDK through a table of hooks.

    Nothing is imported: a hook is put on when the application has imported its module, whether
    that was before or comes later. A hook whose target the SDK does not have is left out with one
    debug line; the others work.

    Attributes:
        name: The provider's short name, as in the entry point: `openai`.
        dependencies: The SDK's distribution and the versions that are supported.
        hooks: The table.
        replacements: Functions to watch that are no model calls, such as those that run tools.
    """

    name: str = ""
    dependencies: tuple[str, ...] = ()
    hooks: tuple[Hook, ...] = ()
    replacements: tuple[Replacement, ...] = ()

    def instrumentation_dependencies(self) -> Collection[str]:
        """The distributions that the SDK's hooks are written for."""
        return self.dependencies

    def _instrument(self, **kwargs: Any) -> None:
        """Begin to watch.

        Args:
            **kwargs: `tracer_provider` (None for the global one), `capture_content` (True),
                `max_chars` (None), and the provider's own options.
        """
        self.configure(**kwargs)
        for hook in (*self.hooks, *self.replacements):
            _Patch.of(self, hook).expect()

    def configure(self, **kwargs: Any) -> None:
        """Take new arguments (see `_instrument`) without touching the SDK again."""
        provider = kwargs.pop("tracer_provider", None) or otel_trace.get_tracer_provider()
        capture_content = bool(kwargs.pop("capture_content", True))
        max_chars = kwargs.pop("max_chars", None)
        kwargs.pop("skip_dep_check", None)
        tracer = provider.get_tracer(
            f"peekr.instrumentation.{self.name}", __version__, schema_url=SCHEMA_URL
        )
        self.runtime = Runtime(tracer, capture_content, max_chars, kwargs)

    runtime: Optional[Runtime] = None

    def _uninstrument(self, **kwargs: Any) -> None:
        """Stop watching and put the SDK's own methods back."""
        del kwargs
        self.runtime = None
        for hook in (*self.hooks, *self.replacements):
            _Patch.of(self, hook).remove()


class _Patch:
    """One hook on one SDK: waits for the module, replaces the method, restores it."""

    def __init__(self, owner: ProviderInstrumentor, hook: Union[Hook, Replacement]) -> None:
        self._owner = owner
        self._hook = hook
        self._expected = False
        self._cls: Any = None
        self._original: Any = None
        self._shim: Any = None

    @classmethod
    def of(cls, owner: ProviderInstrumentor, hook: Union[Hook, Replacement]) -> _Patch:
        key = (hook.module, hook.target)
        patch = _patches.get(key)
        if patch is None:
            patch = _patches[key] = cls(owner, hook)
        return patch

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

    def _present(self) -> Any:
        """What the class itself, not a base of it, has under the method's name."""
        return cast("dict[str, Any]", vars(self._cls)).get(self._name)

    @property
    def _name(self) -> str:
        return self._hook.target.rpartition(".")[2]

    def _imported(self, module: Any) -> None:
        try:
            if self._find(module):
                if self._owner.runtime is not None:
                    self._put()
            else:
                _logger.debug("%s has no %s: not watched", self._hook.module, self._hook.target)
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


_patches: dict[tuple[str, str], _Patch] = {}


def _shim(owner: ProviderInstrumentor, hook: Hook, original: Callable[..., Any]) -> Any:
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
            return drive(runtime, row, target, self, args, kwargs)

        return call

    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def acall(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            runtime = owner.runtime
            row = hook if choose is None else choose(self, args, kwargs)
            if runtime is None or row is None:
                return await target(self, *args, **kwargs)
            return await drive_async(runtime, row, target, self, args, kwargs)

        return acall

    @functools.wraps(original)
    def awaited(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        runtime = owner.runtime
        row = hook if choose is None else choose(self, args, kwargs)
        if runtime is None or row is None:
            return target(self, *args, **kwargs)
        return drive_async(runtime, row, target, self, args, kwargs)

    return awaited


def _bound(wrapper: Any) -> Callable[..., Any]:
    """Somebody else's wrapper, called as the class would have called it."""

    def target(instance: Any, *args: Any, **kwargs: Any) -> Any:
        return wrapper.__get__(instance, instance.__class__)(*args, **kwargs)

    return target
