"""The projection of finished spans, at hand for the pipeline."""

from __future__ import annotations

from peekr.projection import project

__all__ = ["project"]
