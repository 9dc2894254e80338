"""The licences of what is installed with Peekr: which packages those are, and what they say.

python tests/release/licences.py        with the Python that has Peekr: a list, and what is wrong
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterable
from typing import Any

# Licences that ask for no more than their notice, and Mozilla's, which asks for the source of the
# files that are under it where somebody changes them: nothing here does.
ALLOWED = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "CNRI-Python",
        "ISC",
        "MIT",
        "MIT-0",
        "MPL-2.0",
        "PSF-2.0",
        "Python-2.0",
        "Unlicense",
        "Zlib",
    }
)
# Under Mozilla's licence: known and looked at, none of them changed or copied by Peekr.
MOZILLA = frozenset({"certifi", "orjson", "tqdm"})

# What packages without a licence expression say in its place.
_WORDS = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mit no attribution license (mit-0)": "MIT-0",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
    "zlib/libpng license": "Zlib",
}
_CHOICE = re.compile(r"\s+OR\s+|/", re.IGNORECASE)
_ALL = re.compile(r"\s+AND\s+|,", re.IGNORECASE)


def normal(name: str) -> str:
    """A package's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(root: str, extras: Iterable[str] = ()) -> dict[str, importlib.metadata.Distribution]:
    """A distribution and all that it needs here, with some of its extras, by name.

    Raises:
        importlib.metadata.PackageNotFoundError: `root` is not installed.
    """
    from packaging.requirements import Requirement

    found: dict[str, importlib.metadata.Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(root, extra) for extra in ("", *extras)]
    while waiting:
        name, extra = waiting.pop()
        if (normal(name), extra) in seen:
            continue
        seen.add((normal(name), extra))
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            if normal(name) == normal(root):
                raise
            continue  # of an extra that is not installed here
        found[normal(name)] = distribution
        for text in distribution.requires or ():
            required = Requirement(text)
            if required.marker is None or required.marker.evaluate({"extra": extra}):
                waiting += [(required.name, e) for e in ("", *required.extras)]
    return found


def licence(distribution: importlib.metadata.Distribution) -> str:
    """What a distribution says of its licence, as an expression where it has one."""
    metadata: Any = distribution.metadata
    expression = metadata.get("License-Expression")
    if expression:
        return str(expression)
    stated = str(metadata.get("License") or "").strip()
    if stated and len(stated) < 60 and stated.upper() not in ("UNKNOWN", "DUAL LICENSE"):
        return stated
    last = [
        str(classifier).rpartition(" :: ")[2]
        for classifier in metadata.get_all("Classifier") or ()
        if str(classifier).startswith("License ::")
    ]
    specific = [name for name in last if name != "OSI Approved"]
    # Several classifiers are a choice where nothing says otherwise; all of them are demanded here.
    return " AND ".join(specific) or stated.partition("\n")[0] or "nothing"


def is_allowed(expression: str) -> bool:
    """Whether an expression can be fulfilled with the licences that are allowed."""
    plain = expression.strip()
    known = _WORDS.get(plain.lower(), plain)
    if known in ALLOWED:
        return True
    if plain.startswith("(") and plain.endswith(")"):
        return is_allowed(plain[1:-1])
    for separator, enough in ((_ALL, all), (_CHOICE, any)):
        parts = _split(plain, separator)
        if len(parts) > 1:
            return enough(is_allowed(part) for part in parts)
    return False


def wrong(root: str = "peekr", extras: Iterable[str] = ()) -> list[str]:
    """The packages whose licence is not allowed, each with what it says."""
    found: list[str] = []
    for name, distribution in sorted(closure(root, extras).items()):
        said = licence(distribution)
        mozilla = "MPL" in said or "Mozilla" in said
        if not is_allowed(said) or (mozilla and name not in MOZILLA):
            found.append(f"{name} {distribution.version}: {said}")
    return found


def _split(expression: str, separator: re.Pattern[str]) -> list[str]:
    """The parts between the separators that are outside of parentheses."""
    parts, depth, begin = [""], 0, 0
    for match in re.finditer(rf"[()]|{separator.pattern}", expression, re.IGNORECASE):
        if match[0] in "()":
            depth += 1 if match[0] == "(" else -1
        elif depth == 0:
            parts[-1] = expression[begin : match.start()]
            parts.append("")
            begin = match.end()
    parts[-1] = expression[begin:]
    return parts


def main() -> int:
    extras = sys.argv[1:]
    for name, distribution in sorted(closure("peekr", extras).items()):
        print(f"  {name:42} {distribution.version:14} {licence(distribution)}")
    found = wrong("peekr", extras)
    for line in found:
        print(f"not allowed: {line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
