"""Records as text for a terminal: trees of spans, their inputs and outputs."""

from __future__ import annotations
