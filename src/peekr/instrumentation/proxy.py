"""wrapt's transparent proxy, with the type that not every version of it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import wrapt

__all__ = ["ObjectProxy"]

if TYPE_CHECKING:

    class ObjectProxy:
        """An object in another's place: whatever is not overridden is the other's."""

        __wrapped__: Any

        def __init__(self, wrapped: Any) -> None: ...

else:
    ObjectProxy = wrapt.ObjectProxy
