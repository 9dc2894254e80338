"""Whether the SDK that is installed is one that Peekr's hooks are written for."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Optional

__all__ = ["broken", "installed", "unsupported"]

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9._-]+)\s*((?:[<>]=?\s*[0-9.]+\s*,?\s*)*)\s*")
_CLAUSE = re.compile(r"([<>]=?)\s*([0-9.]+)")


def installed(distribution: str) -> Optional[str]:
    """The version of a distribution; None where it is not installed or does not say."""
    from importlib import metadata  # here: who imports no SDK does not pay for it

    try:
        return str(metadata.version(distribution))
    except Exception:  # not installed, or installed so badly that it has no readable metadata
        return None


def broken(dependencies: Sequence[str], module: str) -> Optional[str]:
    """Why an SDK cannot be there although it is installed; nothing of it is imported.

    Args:
        dependencies: Requirements such as `openai >= 1.66`.
        module: One of the SDK's modules, by its full name.

    Returns:
        One line; None where it is there, or is not installed.
    """
    from importlib.util import find_spec  # here: see above

    parts = module.split(".")
    package = ".".join(parts[: 2 if parts[0] == "google" else 1])  # a name that many share
    distribution = dependencies[0].partition(" ")[0]
    version = installed(distribution)
    if version is None:
        return None
    try:
        if find_spec(package) is not None:
            return None
        reason = f"there is no module {package}"
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    return f"{distribution} {version} is broken ({reason})"


def unsupported(dependencies: Sequence[str]) -> Optional[str]:
    """Why the installed version is outside what is supported.

    Args:
        dependencies: Requirements such as `openai >= 1.66`.

    Returns:
        One line; None where every version fits or is not known.
    """
    for dependency in dependencies:
        found = _REQUIREMENT.fullmatch(dependency)
        if found is None:
            continue
        version = _said(found[1]) or installed(found[1])
        if version is not None and not _fits(version, found[2]):
            return f"{found[1]} {version} is not supported ({dependency})"
    return None


def _said(distribution: str) -> Optional[str]:
    """What an SDK that is in memory says of itself: its metadata takes milliseconds to read."""
    module = sys.modules.get(distribution.replace("google-", "google.").replace("-", "_"))
    version = getattr(module, "__version__", None)
    return version if isinstance(version, str) else None


def _fits(version: str, range: str) -> bool:
    numbers = _numbers(version)
    if not numbers:
        return True
    for operator, bound in _CLAUSE.findall(range):
        limit = _numbers(bound)
        width = max(len(numbers), len(limit))
        left, right = _padded(numbers, width), _padded(limit, width)
        holds = {
            ">": left > right,
            ">=": left >= right,
            "<": left < right,
            "<=": left <= right,
        }[operator]
        if not holds:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    """The release as numbers: 2.0.0rc1 counts as 2.0.0."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def _padded(numbers: tuple[int, ...], width: int) -> tuple[int, ...]:
    return numbers + (0,) * (width - len(numbers))
