"""Whether the SDK that is installed is one that Peekr's hooks are written for."""

from __future__ import annotations

import operator
import sys
from collections.abc import Sequence
from typing import Optional

__all__ = ["broken", "installed", "unsupported"]

_COMPARED = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
_DIGITS = "0123456789"


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
        dependencies: Requirements such as `openai >= 1.66, < 4`.

    Returns:
        One line; None where every version fits or is not known.
    """
    for dependency in dependencies:
        name, _, clauses = dependency.partition(" ")
        version = _said(name) or installed(name)
        if version is not None and not _fits(version, clauses):
            return f"{name} {version} is not supported ({dependency})"
    return None


def _said(distribution: str) -> Optional[str]:
    """What an SDK that is in memory says of itself: its metadata takes milliseconds to read."""
    module = sys.modules.get(distribution.replace("google-", "google.").replace("-", "_"))
    version = getattr(module, "__version__", None)
    return version if isinstance(version, str) else None


def _fits(version: str, clauses: str) -> bool:
    numbers = _numbers(version)
    if numbers is None:
        return True
    for clause in clauses.split(","):
        comparison, _, bound = clause.strip().partition(" ")
        if not _COMPARED[comparison](numbers, _numbers(bound) or ()):
            return False
    return True


def _numbers(version: str) -> Optional[tuple[int, ...]]:
    """The release as numbers, without zeros at its end: 2.0.0rc1 is 2, as 2 and 2.0 are.

    None where it does not begin with a number. Without regular expressions: compiling them would
    be a tenth of what Peekr's start takes.
    """
    found: list[int] = []
    for part in version.split("."):
        rest = part.lstrip(_DIGITS)
        digits = part[: len(part) - len(rest)]
        if not digits:
            break
        found.append(int(digits))
        if rest:
            break
    if not found:
        return None
    while found and found[-1] == 0:
        found.pop()
    return tuple(found)
