"""`@experiment`: each call of a function under one of several variants, recorded on its spans."""

from __future__ import annotations

import functools
import hashlib
import inspect
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, Callable, NamedTuple, Optional, TypeVar, Union, cast

from opentelemetry import context as otel_context

from peekr.context import current_scope
from peekr.errors import ConfigurationError
from peekr.manual.decorator import trace
from peekr.manual.generators import BareRun, wrap_async_generator, wrap_generator
from peekr.manual.scopes import ScopeBlock

__all__ = ["experiment"]

_Result = TypeVar("_Result")
_Split = Union[Sequence[float], Mapping[str, float]]

_FROM_SCOPE = ("user_id", "session_id", "tenant_id")
"""What `sticky_by` finds in the session around a call."""

# Not the module's functions: an application that seeds those, in every request or every worker,
# would choose the same variant each time. Asks the system, so a fork's children differ.
_chance = random.SystemRandom()


class _Arm(NamedTuple):
    """One variant: its name, what the function gets as `variant`, its config, its weight."""

    name: str
    value: Any
    config: Any
    weight: float
    block: ScopeBlock


def experiment(
    variants: Union[Sequence[Any], Mapping[str, Any]],
    split: Optional[_Split] = None,
    *,
    sticky_by: Optional[str] = None,
    capture_io: bool = True,
) -> Callable[[Callable[..., _Result]], Callable[..., _Result]]:
    """Run each call of a function under one of several variants, and record which.

    For functions, coroutine functions, generators, async generators and methods. The function gets
    the variant's name as the keyword argument `variant`, and for `{name: config}` its config as
    `variant_config`: each if it has a parameter of that name or takes any keyword. Callers do not
    see the two; one who passes `variant` all the same chooses it.

    A call is a span `experiment.<function>` with `experiment_variant`, which all spans inside
    carry too. Compare the variants with `peekr experiment FILE`.

    Args:
        variants: The names, or `{name: config}`. Other values than text (models, temperatures) are
            handed on as they are and named by their text.
        split: Weights in the order of the variants, or by name; they need not sum to 1. None
            weighs all the same; a variant with 0 is never chosen.
        sticky_by: The name of a parameter of the function, or `user_id`, `session_id` or
            `tenant_id` of the session around the call (the parameter comes first): equal values
            (compared as text) get the same variant in every process, as long as variants and
            weights stay. A change of weights moves no more users than it must. Calls without the
            value get a variant by chance.
        capture_io: False leaves arguments and result off the span.

    Raises:
        ConfigurationError: (a ValueError) no variants, two of one name, a `split` of another
            length, with a negative or infinite weight or without a positive one, an unknown
            `sticky_by`; and, when it is called, a `variant` that is none.
        TypeError: `variants` is a text, a weight is no number, or what is decorated is no function.
    """
    arms = _arms(variants, split)
    has_config = isinstance(variants, Mapping)

    def decorate(function: Callable[..., _Result]) -> Callable[..., _Result]:
        return _wrap(function, arms, has_config, sticky_by, capture_io)

    return decorate


def _arms(variants: Any, split: Any) -> list[_Arm]:
    if isinstance(variants, (str, bytes)):
        raise TypeError(f"variants={variants!r} is a text: give a list of names")
    configs = cast(
        "Optional[Mapping[Any, Any]]", variants if isinstance(variants, Mapping) else None
    )
    values: list[Any] = list(cast("Any", variants))
    if not values:
        raise ConfigurationError("variants: there is none to choose from")
    names = [value if isinstance(value, str) else str(value) for value in values]
    for name in names:
        if not name:
            raise ConfigurationError("variants: a name is empty")
        if names.count(name) > 1:
            raise ConfigurationError(f"variants: {name!r} is there more than once")
    weights = _weights(names, split)
    return [
        _Arm(
            name,
            name if configs is not None else value,
            None if configs is None else configs[value],
            weight,
            ScopeBlock({"experiment_variant": name}),
        )
        for name, value, weight in zip(names, values, weights)
    ]


def _weights(names: list[str], split: Any) -> list[float]:
    if split is None:
        return [1.0] * len(names)
    if isinstance(split, Mapping):
        by_name = {str(name): weight for name, weight in cast("Mapping[Any, Any]", split).items()}
        if set(by_name) != set(names):
            raise ConfigurationError(f"split={split!r} does not name the variants {names}")
        given: list[Any] = [by_name[name] for name in names]
    else:
        given = list(split)
        if len(given) != len(names):
            raise ConfigurationError(
                f"split has {len(given)} weights for {len(names)} variants ({', '.join(names)})"
            )
    weights: list[float] = []
    for weight in given:
        if isinstance(weight, (str, bytes)):
            raise TypeError(f"split: {weight!r} is not a number")
        number = float(weight)
        if not math.isfinite(number) or number < 0:
            raise ConfigurationError(f"split: {weight!r} is no weight, give 0 or more")
        weights.append(number)
    largest = max(weights)
    if largest <= 0:
        raise ConfigurationError(f"split={split!r} sums to 0, nothing could be chosen")
    return [weight / largest for weight in weights]


# -- the decorated function ------------------------------------------------------------------------


def _wrap(
    function: Any, arms: list[_Arm], has_config: bool, sticky_by: Optional[str], capture_io: bool
) -> Any:
    if isinstance(function, (classmethod, staticmethod)):
        inner = cast("Any", function).__func__
        return cast("Any", type(function))(_wrap(inner, arms, has_config, sticky_by, capture_io))  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(function, type) or not callable(function):
        raise TypeError(f"@experiment cannot be put on {function!r}: it is for functions")
    name: str = getattr(function, "__name__", type(function).__name__)
    chooser = _Chooser(function, name, arms, has_config, sticky_by)
    traced: Any = trace(name=f"experiment.{name}", capture_io=capture_io)(function)

    made: Any
    if inspect.isgeneratorfunction(function):
        made = wrap_generator(traced, chooser.run)
    elif inspect.isasyncgenfunction(function):
        made = wrap_async_generator(traced, chooser.run)
    elif inspect.iscoroutinefunction(function):

        @functools.wraps(traced)
        async def chosen_coroutine(*args: Any, **kwargs: Any) -> Any:
            with chooser.choose(args, kwargs).block:
                return await traced(*args, **kwargs)

        made = chosen_coroutine
    else:

        @functools.wraps(traced)
        def chosen(*args: Any, **kwargs: Any) -> Any:
            with chooser.choose(args, kwargs).block:
                return traced(*args, **kwargs)

        made = chosen
    if chooser.signature is not None:
        # What is injected is nothing that a caller gives: FastAPI would ask a client for it.
        made.__signature__ = chooser.signature
    return made


class _Chooser:
    """Chooses the variant of each call of one function and puts it among the arguments."""

    def __init__(
        self,
        function: Any,
        name: str,
        arms: list[_Arm],
        has_config: bool,
        sticky_by: Optional[str],
    ) -> None:
        self._name = name
        self._arms = arms
        self._sticky_by = sticky_by
        self.signature: Optional[inspect.Signature] = None
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            parameters: list[inspect.Parameter] = []  # built in, without a signature
            takes_any = True
        else:
            parameters = list(signature.parameters.values())
            takes_any = any(entry.kind is entry.VAR_KEYWORD for entry in parameters)
            hidden = ("variant", "variant_config") if has_config else ("variant",)
            self.signature = signature.replace(
                parameters=[entry for entry in parameters if entry.name not in hidden]
            )
        by_name = {entry.name: entry for entry in parameters}

        def takes(parameter: str) -> bool:
            found = by_name.get(parameter)
            if found is None:
                return takes_any
            return found.kind in (found.POSITIONAL_OR_KEYWORD, found.KEYWORD_ONLY)

        positional = [
            entry.name
            for entry in parameters
            if entry.kind in (entry.POSITIONAL_ONLY, entry.POSITIONAL_OR_KEYWORD)
        ]
        self._positions = {name: position for position, name in enumerate(positional)}
        self._takes_variant = takes("variant")
        self._takes_config = has_config and takes("variant_config")
        if sticky_by is not None and sticky_by not in (*_FROM_SCOPE, *by_name) and not takes_any:
            raise ConfigurationError(
                f"sticky_by={sticky_by!r} is no parameter of {name}() and none of "
                f"{', '.join(_FROM_SCOPE)}"
            )

    def choose(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Arm:
        """The variant of a call; it is put into `kwargs`.

        Raises:
            ConfigurationError: the caller asked for one that does not exist.
        """
        wished = self._argument("variant", args, kwargs) if self._takes_variant else _ABSENT
        arm = self._pick(args, kwargs) if wished is _ABSENT else self._wished(wished)
        if self._takes_variant and self._position("variant") >= len(args):
            kwargs["variant"] = arm.value
        if self._takes_config and self._position("variant_config") >= len(args):
            kwargs.setdefault("variant_config", arm.config)
        return arm

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> BareRun:
        """The run of a generator under the variant that is chosen for it."""
        return BareRun(self.choose(args, kwargs).block.enter(otel_context.get_current()))

    def _position(self, name: str) -> float:
        return self._positions.get(name, math.inf)

    def _argument(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if name in kwargs:
            return kwargs[name]
        position = self._positions.get(name)
        if position is not None and position < len(args):
            return args[position]
        return _ABSENT

    def _wished(self, wished: Any) -> _Arm:
        for arm in self._arms:
            if arm.value is wished or arm.value == wished or arm.name == wished:
                return arm
        choices = ", ".join(arm.name for arm in self._arms)
        raise ConfigurationError(f"variant={wished!r} of {self._name}() is none of {choices}")

    def _pick(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Arm:
        key = self._sticky_key(args, kwargs)
        if key is None:
            return _chance.choices(self._arms, [arm.weight for arm in self._arms])[0]
        # Weighted rendezvous: each variant draws a number from the key, the first to arrive wins.
        # A variant that gains weight only takes users, one that loses weight only gives some.
        return min(self._arms, key=lambda arm: self._arrival(arm, key))

    def _arrival(self, arm: _Arm, key: str) -> float:
        if not arm.weight:
            return math.inf
        text = "\0".join((self._name, arm.name, key)).encode("utf-8", "surrogatepass")
        drawn = int.from_bytes(hashlib.sha256(text).digest()[:8], "big")
        return -math.log((drawn + 1) / 2.0**64) / arm.weight

    def _sticky_key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Optional[str]:
        name = self._sticky_by
        if name is None:
            return None
        value = self._argument(name, args, kwargs)
        if (value is _ABSENT or value is None or value == "") and name in _FROM_SCOPE:
            value = getattr(current_scope(), name)
        return None if value is _ABSENT or value is None or value == "" else str(value)


_ABSENT = object()
