"""What an answer says, in the types that it must have; a damaged one may say anything anywhere.

A service behind a proxy, a compatible one or a new version of an API may send a text where a
number belongs. What has another type than it must have is left out, as if it had not been said:
it is the part that is lost, never the rest of the answer.
"""

from __future__ import annotations

from typing import Any, Optional, cast

from peekr.instrumentation.contract import Response, Usage, fields

__all__ = ["clean", "count", "dumped", "joined", "listed"]

_TOO_MANY = 1 << 63
"""No span, and no file, holds a larger integer."""


def count(value: Any) -> Optional[int]:
    """A number of tokens; None for what is none."""
    if value.__class__ is int:
        return value if 0 <= value < _TOO_MANY else None
    if isinstance(value, float) and value.is_integer() and 0 <= value < _TOO_MANY:
        return int(value)
    return None


def joined(pieces: list[Any]) -> str:
    """The pieces of a text as one text; those that are none are left out."""
    try:
        return "".join(pieces)
    except TypeError:
        return "".join(piece for piece in pieces if isinstance(piece, str))


def listed(value: Any) -> list[Any]:
    """The entries of a list or a tuple; none of anything else."""
    if value.__class__ is list:
        return cast("list[Any]", value)
    return list(cast("tuple[Any, ...]", value)) if isinstance(value, (list, tuple)) else []


def dumped(model: Any) -> Any:
    """A pydantic model as JSON values, without the warnings that a damaged one brings about."""
    # The second are those of pydantic 1, and of what is not pydantic's.
    for options in ({"warnings": False}, {}):
        try:
            return model.model_dump(mode="json", exclude_none=True, **options)
        except (TypeError, ValueError):
            continue
    return dict(fields(model))


def clean(response: Response) -> None:
    """Leave out what a span cannot hold, or what is no count.

    Runs on the caller's thread at the end of each call, and takes less than half a microsecond
    where there is nothing to leave out.
    """
    if response.id.__class__ is not str:
        response.id = _text(response.id)
    if response.model.__class__ is not str:
        response.model = _text(response.model)
    reasons = response.finish_reasons
    if reasons:
        for reason in reasons:
            if reason.__class__ is not str:
                response.finish_reasons = [str.__str__(r) for r in reasons if isinstance(r, str)]  # pyright: ignore[reportUnnecessaryIsInstance]
                break
    usage = response.usage
    if usage is not None:
        for number in usage:
            if number is not None and not (number.__class__ is int and 0 <= number < _TOO_MANY):
                response.usage = Usage(*map(count, usage))
                break


def _text(value: Any) -> Optional[str]:
    return str.__str__(value) if isinstance(value, str) else None
