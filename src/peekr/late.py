"""Values of modules by their names, each found at its first use: what is not used is not loaded."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["loaded"]


class _Loaded(dict[str, Any]):
    """Values by `module:name`; a look-up of one that was used before is a dictionary's."""

    def __missing__(self, name: str) -> Any:
        module, _, attribute = name.partition(":")
        value = self[name] = getattr(importlib.import_module(module), attribute)
        return value


loaded = _Loaded()
